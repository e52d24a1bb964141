"""What the columns of a file mean: which one is the id, and how its cells become text, numbers and lists.

Cells of a typed file (JSONL, Parquet) keep their types; those of a text file are typed a whole column at a
time, so that one column never mixes ``1995`` and ``"n/a"`` by accident.
"""

from __future__ import annotations

import ast
import datetime
import decimal
import json
import math
import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coldstart.entities import Scalar, Value
from coldstart.errors import CatalogueError
from coldstart.tables import Table, shown

NAMES: dict[str, tuple[str, ...]] = {
    "item_id": ("item_id", "itemid", "asin", "sku", "isbn"),
    "title": ("title", "item_title", "name", "item_name", "product_title", "product_name", "headline"),
    "user_id": ("user_id", "userid", "user", "customer_id", "client_id", "member_id", "visitor_id", "reviewer_id"),
    "event_type": ("event_type", "event", "interaction_type", "action", "behavior", "behaviour"),
    "event_value": ("event_value", "value", "rating", "score", "stars"),
    "timestamp": ("timestamp", "unix_timestamp", "event_time", "created_at", "datetime", "date", "time", "ts"),
    "text": ("text", "description"),
    "likes": ("likes",),
    "dislikes": ("dislikes",),
    "history": ("history",),
}
"""The accepted names of each meaning, in snake case, the first found wins. A file of items or users may also
call its ids ``id``; an item's columns may be ``<noun>_id`` and ``<noun>_title`` or ``<noun>_name``."""

_NEVER_ITEMS = frozenset(
    {"user", "customer", "client", "member", "visitor", "reviewer", "session", "event", "rating", "review", "order"}
    | {"transaction", "interaction", "row", "brand", "author", "category", "store", "seller"}
)
"""Nouns whose ``_id``, ``_title`` or ``_name`` column isn't the item's."""

_MISSING = frozenset({"", "NaN", "nan", "NAN", "null", "NULL", "None", "<NA>", "N/A", "#N/A"})
"""Cells of text files that stand for nothing. ``none`` and ``NA`` are words: a smoking area, Namibia."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_NUMBER = re.compile(r"[+-]?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_MOMENTS = re.compile(r"(?:[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}:[0-9]{2}\n)+")
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_LONGEST_LIST = 10_000
_LONGEST_MEMBER = 100
_MILLISECONDS = 1e11


def clean(text: str) -> str:
    """Return one line: control characters, line breaks and halves of surrogate pairs become spaces."""
    # isprintable is far faster, and false for every character of the pattern.
    return (text if text.isprintable() else _CONTROL.sub(" ", text)).strip()


def find(table: Table, meaning: str, *, also: Iterable[str] = ()) -> str | None:
    """Return the column with a meaning of :data:`NAMES`, or with a name in ``also``; None when there is none."""
    return next((name for name in (*NAMES[meaning], *also) if name in table.columns), None)


def item_columns(table: Table) -> tuple[str, str, str]:
    """Return the id column, the title column and the kind of item that their names tell.

    Listed names come first. Failing those, the id is ``<noun>_id``: of the one noun that also has a
    ``<noun>_title`` or ``<noun>_name``, or of the file's first column, or of the only one there is. The title
    is that noun's, or the only ``<noun>_title``, or the only ``<noun>_name``. The kind is the noun, else "item".
    """
    ids = find(table, "item_id", also=("id",)) or _noun_id(table)
    if ids is None:
        raise missing_column(table, "item_id", ("id", "<noun>_id"))
    titles = find(table, "title") or _noun_title(table, _noun(ids, "_id"))
    if titles is None:
        raise missing_column(table, "title", ("<noun>_title", "<noun>_name"))
    kind = _noun(titles, "_title") or _noun(titles, "_name") or _noun(ids, "_id")
    return ids, titles, kind.replace("_", " ") or "item"


def rated_item(table: Table) -> str:
    """Return the column of an interactions file that names the item: a listed name or the only ``<noun>_id``."""
    named = find(table, "item_id", also=("item",))
    nouns = [name for name in table.columns if _noun(name, "_id")]
    if named is None and len(nouns) != 1:
        raise missing_column(table, "item_id", ("item", "<noun>_id"))
    return named or nouns[0]


def missing_column(table: Table, meaning: str, also: tuple[str, ...] = ()) -> CatalogueError:
    """Return the error that lists the columns found and the names accepted."""
    found = ", ".join(shown(header) for header in list(table.headers.values())[:20]) or "none"
    return table.error(
        f"no {meaning} column, or more than one that could be it; columns found: {found}; "
        f"rename one to {meaning} (accepted in any case: {', '.join((*NAMES[meaning], *also))})"
    )


def _noun(name: str, ending: str) -> str:
    noun = name.removesuffix(ending)
    return "" if noun == name or noun in _NEVER_ITEMS else noun


def _noun_id(table: Table) -> str | None:
    ids = [name for name in table.columns if _noun(name, "_id")]
    paired = [name for name in ids if _noun_title(table, _noun(name, "_id"), only=True)]
    if len(paired) != 1 and ids and ids[0] == next(iter(table.columns)):
        return ids[0]
    candidates = paired or ids
    return candidates[0] if len(candidates) == 1 else None


def _noun_title(table: Table, noun: str, *, only: bool = False) -> str | None:
    for ending in ("_title", "_name"):
        if noun + ending in table.columns:
            return noun + ending
    for ending in () if only else ("_title", "_name"):
        candidates = [name for name in table.columns if _noun(name, ending)]
        if len(candidates) == 1:
            return candidates[0]
    return None


def ids(table: Table, name: str) -> list[str]:
    """Return a column of ids as text; 12 and 12.0 (as pandas writes 12 beside a NaN) are both ``"12"``.

    Raises:
        CatalogueError: A cell is missing, or neither text nor a whole number.
    """
    cells = table.columns[name]
    if len(set(map(type, cells))) == 1 and isinstance(cells[0], (str, int)):
        # Ids repeat in interactions. Of one type, since 1 == 1.0 == True.
        known_ids = {cell: _id(cell, typed=table.typed) for cell in set(cells)}
        kept = [known_ids[cell] for cell in cells]
    else:
        kept = [_id(cell, typed=table.typed) for cell in cells]
    if all(kept):
        return [known for known in kept if known]
    missing = [row for row, known in enumerate(kept) if known is None]
    if missing:
        raise table.error(f"no {name} in {table.places(missing)}: give every row an id, or delete the row")
    row = kept.index("")
    raise table.error(f"{name} {shown(cells[row])} in {table.place(row)}: expected text or a whole number")


def _id(cell: Any, *, typed: bool) -> str | None:
    """Return an id; None for a missing cell, "" for one that can't be an id."""
    if isinstance(cell, str):
        text = clean(cell)
        return None if not text or (not typed and text in _MISSING) else text
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return None
    if isinstance(cell, float) and cell.is_integer() and abs(cell) <= 2**53:
        return str(int(cell))
    return str(cell) if isinstance(cell, int) and not isinstance(cell, bool) and cell.bit_length() <= 128 else ""


def texts(table: Table, name: str) -> list[str]:
    """Return a column as single lines of text, "" where a cell is missing. Here ``NaN`` and ``None`` are words."""
    cells = table.columns[name]
    if not table.typed:
        return [clean(cell) for cell in cells]
    kept = [_native(cell, table, name, row) for row, cell in enumerate(cells)]
    return ["" if cell is None else " ".join(map(str, cell)) if isinstance(cell, tuple) else str(cell) for cell in kept]


def lists(table: Table, name: str) -> list[tuple[str, ...]]:
    """Return a column of ids or phrases as tuples of text; a cell that isn't a list has one member."""
    cells: Sequence[Value | None]
    if table.typed or name in table.types:
        cells = values(table, name)
    else:
        cells = _as_lists([_present(cell) for cell in table.columns[name]])
    members = [() if cell is None else cell if isinstance(cell, tuple) else (cell,) for cell in cells]
    return [tuple(_id(member, typed=True) or str(member) for member in cell) for cell in members]


def values(table: Table, name: str) -> list[Value | None]:
    """Return a column as attribute values, None where a cell is missing.

    A text column becomes numbers when every cell is one (a leading zero makes codes of them), tuples when
    a cell is a JSON or Python list or has short parts between ``|``, else text. A type that the header
    declares is followed instead.
    """
    cells = table.columns[name]
    if table.typed:
        return _as_lists([_native(cell, table, name, row) for row, cell in enumerate(cells)])
    kept = [_present(cell) for cell in cells]
    declared = table.types.get(name, "")
    if declared == "token":
        return list(kept)
    if declared == "token_seq":
        return [None if cell is None else tuple(cell.split()) for cell in kept]
    if declared.startswith("float"):
        return _declared_floats(kept, table, name)
    return _as_numbers(kept) or _as_lists(kept)


def _present(cell: str) -> str | None:
    text = clean(cell)
    return None if text in _MISSING else text


def _as_numbers(cells: Sequence[str | None]) -> list[Value | None] | None:
    """Return the cells as whole numbers, or all as fractions; None when one of them isn't a number."""
    if all(cell is None or _INTEGER.fullmatch(cell) for cell in cells):
        return [None if cell is None else int(cell) for cell in cells]
    if not all(cell is None or (_NUMBER.fullmatch(cell) and math.isfinite(float(cell))) for cell in cells):
        return None
    # More digits than a double holds are a code, not a quantity.
    if any(cell is not None and len(cell) > 18 for cell in cells):
        return None
    return [None if cell is None else float(cell) for cell in cells]


def _declared_floats(cells: Sequence[str | None], table: Table, name: str) -> list[Value | None]:
    sequence = table.types[name] == "float_seq"
    kept: list[Value | None] = []
    for row, cell in enumerate(cells):
        parts = [] if cell is None else cell.split() if sequence else [cell]
        try:
            found = tuple(float(part) for part in parts)
        except ValueError:
            raise table.error(
                f"{name} {shown(cell)} in {table.place(row)}: the header declares {table.types[name]}; write numbers"
            ) from None
        kept.append((found if sequence else found[0]) if found else None)
    return kept


def _as_lists(cells: Sequence[Value | None]) -> list[Value | None]:
    """Return the cells as tuples if one of them is written as a list, else as they are."""
    written = [cell for cell in cells if isinstance(cell, str)]
    listed = {cell: _listed(cell) for cell in set(written) if cell[0] in "[(" and cell[-1] in "])"}
    barred = any("|" in cell for cell in written) and all(
        len(part) <= _LONGEST_MEMBER for cell in written for part in cell.split("|")
    )
    if not barred and not any(members is not None for members in listed.values()):
        return list(cells)

    def members(cell: str) -> tuple[Scalar, ...] | None:
        known = listed.get(cell)
        if known is not None:
            return known or None
        parts = cell.split("|") if barred else [cell]
        return tuple(part.strip() for part in parts if part.strip()) or None

    return [members(cell) if isinstance(cell, str) else cell for cell in cells]


def _listed(cell: str) -> tuple[Scalar, ...] | None:
    """Return the members of a list in JSON or Python notation; None when the text isn't a flat list."""
    if len(cell) > _LONGEST_LIST:
        return None
    try:
        found = json.loads(cell)
    except (ValueError, RecursionError):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = ast.literal_eval(cell)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return None
    if not isinstance(found, (list, tuple)):
        return None
    if not all(member is None or isinstance(member, (str, int, float)) for member in found):
        return None
    kept = [clean(member) if isinstance(member, str) else member for member in found]
    return tuple(m for m in kept if m is not None and m != "" and not (isinstance(m, float) and not math.isfinite(m)))


def _native(cell: Any, table: Table, name: str, row: int) -> Value | None:
    """Return a typed cell as an attribute value: dates as ISO text, lists as tuples."""
    if isinstance(cell, (list, tuple)):
        members = [_native(member, table, name, row) for member in cell]
        if any(isinstance(member, tuple) for member in members):
            raise table.error(f"{name} in {table.place(row)} is a list of lists: {shown(cell)}; flatten it")
        return tuple(m for m in members if m is not None and not isinstance(m, tuple)) or None
    if isinstance(cell, str):
        return clean(cell) or None
    if isinstance(cell, decimal.Decimal):
        cell = float(cell)
    if isinstance(cell, float):
        return cell if math.isfinite(cell) else None
    if isinstance(cell, int):
        return cell
    if isinstance(cell, (datetime.date, datetime.time)):
        return cell.isoformat()
    if cell is None:
        return None
    raise table.error(
        f"{name} in {table.place(row)} is {shown(cell)}: expected text, a number, true/false, a list of them or an "
        "object of them; flatten what is nested deeper"
    )


def numbers(table: Table, name: str) -> NDArray[np.float64]:
    """Return a column of finite numbers, NaN where a cell is missing."""
    found = _as_floats(table.columns[name])
    return _parsed(table, name, float, expected="a number such as 4.5") if found is None else found


def times(table: Table, name: str) -> NDArray[np.float64]:
    """Return a column of moments as seconds since 1970 in UTC, NaN where a cell is missing.

    Cells are seconds, or ISO dates and times such as ``2021-11-02 20:52:59``; those without an offset are UTC.
    """
    cells = table.columns[name]
    seconds = _as_moments(cells) if table.length and isinstance(cells[0], str) else None
    if seconds is None:
        seconds = _as_floats(cells)
    if seconds is None:
        expected = "seconds since 1970 or an ISO date such as 2021-11-02 20:52:59"
        seconds = _parsed(table, name, _seconds, expected=expected)
    wild = np.flatnonzero(np.abs(seconds) >= _MILLISECONDS)
    if len(wild):
        row = int(wild[0])
        raise table.error(
            f"{name} {shown(cells[row])} in {table.place(row)} is past the year 5000 in seconds: "
            "it looks like milliseconds; divide by 1000"
        )
    return seconds


def _as_floats(cells: Sequence[Any]) -> NDArray[np.float64] | None:
    """Return the cells at once; None unless each is a finite number, its text, or NaN."""
    try:
        found = np.array(cells, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if found.ndim == 1 and not np.isinf(found).any() else None


def _as_moments(cells: Sequence[Any]) -> NDArray[np.float64] | None:
    """Return the cells at once; None unless each is a date and time to the second, without an offset."""
    try:
        if not _MOMENTS.fullmatch("\n".join(cells) + "\n"):
            return None
        return np.array(cells, dtype="datetime64[s]").astype(np.float64)
    except (TypeError, ValueError):
        return None


def _parsed(table: Table, name: str, parse: Callable[[Any], float], *, expected: str) -> NDArray[np.float64]:
    """Return a column parsed cell by cell, so that the message can name the row of the first wrong one."""
    kept = np.full(table.length, np.nan)
    for row, cell in enumerate(table.columns[name]):
        if cell is None or (isinstance(cell, str) and cell.strip() in _MISSING) or cell != cell:
            continue
        try:
            kept[row] = parse(cell)
        except (TypeError, ValueError, OverflowError):
            kept[row] = math.inf
        if not math.isfinite(kept[row]):
            raise table.error(f"{name} {shown(cell)} in {table.place(row)}: expected {expected}, or an empty cell")
    return kept


def _seconds(cell: Any) -> float:
    if isinstance(cell, str):
        try:
            return float(cell)
        except ValueError:
            # Python 3.10 doesn't read the Z of UTC.
            cell = datetime.datetime.fromisoformat(re.sub("[zZ]$", "+00:00", cell.strip()))
    if isinstance(cell, datetime.date) and not isinstance(cell, datetime.datetime):
        cell = datetime.datetime.combine(cell, datetime.time())
    if isinstance(cell, datetime.datetime):
        return (cell if cell.tzinfo else cell.replace(tzinfo=datetime.timezone.utc)).timestamp()
    return float(cell)
