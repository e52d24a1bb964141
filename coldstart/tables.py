"""Foreign file formats end here: bytes become named columns of cells, and each row still knows its line.

CSV (comma, semicolon or tab), RecBole atomic files, JSONL and Parquet, any of them gzipped. What the
columns mean is told in :mod:`coldstart.columns`.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import logging
import os
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from coldstart.errors import CatalogueError

log = logging.getLogger(__name__)

RECBOLE_TYPES = frozenset({"token", "token_seq", "float", "float_seq"})
_ATOMIC = frozenset({".item", ".user", ".inter"})
_TABBED = frozenset({".tsv", ".tab"})
_JSON_LINES = frozenset({".jsonl", ".ndjson", ".json"})
_DELIMITED = frozenset({".csv", *_TABBED, *_ATOMIC})
_MOST_COLUMNS = 4096


def shown(value: object, *, width: int = 80) -> str:
    """Return the value as Python would print it, cut to ``width`` characters, for error messages.

    >>> shown("a" * 200, width=6)
    "'aaa..."
    """
    text = repr(value[:width] if isinstance(value, (str, bytes)) else value)
    cut = len(text) > width or (isinstance(value, (str, bytes)) and len(value) > width)
    return f"{text[: max(width - 2, 1)]}..." if cut else text


def snake_case(name: str) -> str:
    """Return a column's name in lower snake case; dots stay, since they mark nesting.

    >>> [snake_case(name) for name in ("WineID", "Game Name", "ITEM_ID", "zip_code", "ABV", "maker.name")]
    ['wine_id', 'game_name', 'item_id', 'zip_code', 'abv', 'maker.name']
    """
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return re.sub(r"[^\w.]+|_+", "_", parted).strip("_").lower() or name.strip()


@dataclass(frozen=True, slots=True)
class Table:
    """Columns of equal length, in the file's order.

    Attributes:
        source: The path, for messages.
        columns: Snake-case name to its cells.
        headers: Snake-case name to the name as the file has it.
        length: Number of rows, the header not counted.
        typed: Whether cells carry their own type (JSONL, Parquet). Otherwise every cell is text as
            written, and "" is a missing one.
        types: Snake-case name to the type that a RecBole header (``name:type``) declares for it.
        lines: Each row's line in the file, from 1; empty for Parquet, which has none.
    """

    source: str
    columns: Mapping[str, Sequence[Any]]
    headers: Mapping[str, str]
    length: int
    typed: bool
    types: Mapping[str, str] = field(default_factory=dict)
    lines: Sequence[int] = ()

    def place(self, row: int) -> str:
        """Return where a row (from 0) is, in a person's count: ``row 3 (line 4)``."""
        return f"row {row + 1} (line {self.lines[row]})" if self.lines else f"row {row + 1}"

    def places(self, rows: Sequence[int], *, most: int = 5) -> str:
        """Return where some rows are, the first ``most`` by name and the others by number."""
        named = ", ".join(self.place(row) for row in rows[:most])
        return named + (f" and {len(rows) - most} more" if len(rows) > most else "")

    def error(self, message: str) -> CatalogueError:
        """Return an error that begins with the file's path."""
        return CatalogueError(f"{self.source}: {message}")


def read_table(path: str | os.PathLike[str], *, encoding: str | None = None) -> Table:
    """Read any accepted file whole.

    gzip and Parquet are known by their first bytes. The extension (``.gz`` aside) then decides: ``.csv``,
    ``.tsv``, ``.tab`` and RecBole's ``.item``, ``.user``, ``.inter`` are delimited; ``.jsonl``, ``.ndjson`` and
    ``.json`` hold one object a line; under any other name a file that begins with ``{`` is JSONL.

    Args:
        path: The file.
        encoding: Of a text file. None: UTF-8, or UTF-16 with a byte order mark; nothing else is guessed.

    Raises:
        CatalogueError: The file is missing, empty, damaged, in another encoding, or a row has more or
            fewer cells than the header.
    """
    name = os.fspath(path)
    data = _unzipped(_read_bytes(name), name)
    extension = PurePath(name.lower().removesuffix(".gz")).suffix
    if data.startswith(b"PAR1"):
        return _parquet(data, name)
    if extension in {".parquet", ".pq"}:
        raise CatalogueError(f"{name}: begins with {shown(data[:4])}, not with PAR1: it isn't Parquet; write it again")
    if data.startswith(b"PK\x03\x04"):
        raise CatalogueError(f"{name}: is a zip or Excel file: unpack it, or export the sheet as CSV")
    text = _decoded(data, name, encoding)
    if not text.strip():
        raise CatalogueError(f"{name}: is empty: expected a header and at least one row")
    if extension in _JSON_LINES or (extension not in _DELIMITED and text.lstrip().startswith("{")):
        return _json_lines(text, name)
    return _delimited(text, name, extension)


def _read_bytes(name: str) -> bytes:
    try:
        return Path(name).read_bytes()
    except FileNotFoundError:
        raise CatalogueError(f"{name}: there is no such file: check the path") from None
    except IsADirectoryError:
        raise CatalogueError(f"{name}: is a folder: give the path of a file in it") from None
    except (OSError, ValueError) as error:
        raise CatalogueError(f"{shown(name)}: can't be read ({error}): check the path and its permissions") from error


def _unzipped(data: bytes, name: str) -> bytes:
    if not data.startswith(b"\x1f\x8b"):
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise CatalogueError(f"{name}: its gzip data is damaged ({error}): compress or fetch it again") from error


def _decoded(data: bytes, name: str, encoding: str | None) -> str:
    """Return the text without its byte order mark, NULs (which csv refuses in Python 3.10) blanked."""
    marked = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    chosen = encoding or ("utf-16" if marked else "utf-8")
    try:
        text = data.decode(chosen)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise CatalogueError(
            f"{name}: byte 0x{data[error.start : error.start + 1].hex()} at offset {error.start} (line {line}) isn't "
            f'{chosen}: pass encoding="latin-1", or whatever the file is in, or convert it: iconv -f latin1 -t utf8'
        ) from None
    except (LookupError, ValueError) as error:
        raise CatalogueError(
            f'{name}: encoding {shown(encoding)} can\'t be used ({error}): expected a name such as "utf-8" or "latin-1"'
        ) from None
    return text.removeprefix("\ufeff").replace("\x00", " ")


def _delimited(text: str, name: str, extension: str) -> Table:
    first = re.split("[\r\n]", text.lstrip("\r\n"), maxsplit=1)[0]
    delimiter = "\t" if extension in _TABBED else _delimiter(first)
    typed_header = any(cell.strip().rpartition(":")[2] in RECBOLE_TYPES for cell in first.split(delimiter))
    atomic = delimiter == "\t" and (extension in _ATOMIC or typed_header)
    rows, lines = _split(text, name, delimiter, atomic=atomic)
    width = len(rows[0])
    for at, cells in enumerate(rows):
        if len(cells) != width:
            raise CatalogueError(
                f"{name}: row {at} (line {lines[at]}) has {len(cells)} columns where the header has {width}: "
                f"put cells that hold the delimiter {delimiter!r} in quotes, or mend the row"
            )
    columns = [[row[at] for row in rows[1:]] for at in range(width)]
    if atomic and '"' in text:
        columns = [[_unquoted(cell) for cell in column] for column in columns]
    return _table(name, rows[0], columns, length=len(rows) - 1, typed=False, lines=lines[1:])


def _delimiter(header: str) -> str:
    bare = re.sub(r'"[^"]*"', "", header)
    if "\t" in bare:
        return "\t"
    return ";" if bare.count(";") > bare.count(",") else ","


def _split(text: str, name: str, delimiter: str, *, atomic: bool) -> tuple[list[list[str]], Sequence[int]]:
    """Return the rows, the header among them, and the line each begins on; blank lines are skipped."""
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    reader = _reader(text, delimiter, atomic=atomic)
    try:
        rows = list(reader)
    except csv.Error:
        rows = []
    if len(rows) == reader.line_num and min(map(len, rows), default=0) > 1:
        return rows, range(1, len(rows) + 1)
    # Some row is blank, spans lines, or is wrong: go row by row, since only then is its line known.
    return _split_slowly(_reader(text, delimiter, atomic=atomic), name)


def _reader(text: str, delimiter: str, *, atomic: bool) -> Any:
    """Return a strict reader: otherwise a quote never closed would swallow the rest of the file into one cell."""
    quoting: Any = csv.QUOTE_NONE if atomic else csv.QUOTE_MINIMAL
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting, strict=True)


def _split_slowly(reader: Any, name: str) -> tuple[list[list[str]], list[int]]:
    rows: list[list[str]] = []
    lines: list[int] = []
    line = 1
    try:
        for cells in reader:
            if len(cells) > 1 or (cells and cells[0].strip()):
                rows.append(cells)
                lines.append(line)
            line = reader.line_num + 1
    except csv.Error as error:
        raise CatalogueError(
            f"{name}: row {len(rows)} (line {line}) isn't valid CSV ({error}): close every quote, and double those "
            f"inside a quoted cell"
        ) from None
    if not rows:
        raise CatalogueError(f"{name}: has no header: expected column names in the first line")
    return rows, lines


def _unquoted(cell: str) -> str:
    """Return a cell of an atomic file without the quotes that pandas puts around it; other quotes are text."""
    inner = cell[1:-1]
    quoted = len(cell) > 1 and cell[0] == cell[-1] == '"' and '"' not in inner.replace('""', "")
    return inner.replace('""', '"') if quoted else cell


def _json_lines(text: str, name: str) -> Table:
    columns: dict[str, list[Any]] = {}
    lines: list[int] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        row = _json_row(line, f"{name}: row {len(lines) + 1} (line {number})")
        for key, value in row.items():
            if key not in columns:
                columns[key] = [None] * len(lines)
            columns[key].append(value)
        lines.append(number)
        for key in columns.keys() - row.keys():
            columns[key].append(None)
        if len(columns) > _MOST_COLUMNS:
            raise CatalogueError(
                f"{name}: has over {_MOST_COLUMNS} different keys by line {number}: expected the same keys in each row"
            )
    return _table(name, list(columns), list(columns.values()), length=len(lines), typed=True, lines=lines)


def _json_row(line: str, place: str) -> dict[str, Any]:
    """Return one object with nested objects flattened a level: ``{"a": {"b": 1}}`` has the key ``a.b``."""
    try:
        # Not strict: control characters in text are blanked later, as in any other format.
        row = json.loads(line, strict=False)
    except (ValueError, RecursionError) as error:
        raise CatalogueError(f"{place} isn't a JSON object ({error}): write one object a line") from None
    if not isinstance(row, dict):
        raise CatalogueError(
            f"{place} is {shown(row)}: expected one JSON object a line; an array becomes that by jq -c '.[]'"
        )
    flat: dict[str, Any] = {}
    for key, value in row.items():
        for inner, cell in value.items() if isinstance(value, dict) else [("", value)]:
            full = f"{key}.{inner}" if inner else key
            if full in flat:
                raise CatalogueError(f"{place} has the key {shown(full)} twice: rename one of them")
            flat[full] = cell
    return flat


def _parquet(data: bytes, name: str) -> Table:
    # Imported here because only Parquet needs it and it takes a third of a second.
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.read_table(pa.BufferReader(data)).flatten()
        columns = [_plain(column).to_pylist() for column in table.columns]
    except (pa.ArrowException, OSError, ValueError, OverflowError, TypeError, LookupError) as error:
        raise CatalogueError(
            f"{name}: its Parquet data can't be read ({shown(str(error))}): write it again with plain column types"
        ) from error
    return _table(name, list(table.column_names), columns, length=table.num_rows, typed=True)


def _plain(column: Any) -> Any:
    """Return an Arrow column that turns into Python values without pandas or a time zone database."""
    import pyarrow as pa

    if pa.types.is_timestamp(column.type):
        # Nanoseconds have no Python type; those past microseconds are cut on purpose.
        return column.cast(pa.timestamp("us", tz="UTC" if column.type.tz else None), safe=False)
    return column


def _table(
    name: str,
    headers: Sequence[str],
    cells: Iterable[Sequence[Any]],
    *,
    length: int,
    typed: bool,
    lines: Sequence[int] = (),
) -> Table:
    """Name the columns; those without a name of their own (the index that pandas writes) are left out, and logged."""
    columns: dict[str, Sequence[Any]] = {}
    written: dict[str, str] = {}
    types: dict[str, str] = {}
    for header, column in zip(headers, cells, strict=True):
        plain, _, declared = header.strip().rpartition(":")
        if not (plain and declared in RECBOLE_TYPES and not typed):
            plain, declared = header.strip(), ""
        key = snake_case(plain)
        if not key or header.startswith("__index_level_"):
            if any(cell not in ("", None) for cell in column):
                log.warning("%s: a column without a name was left out", name)
            continue
        if key in columns:
            raise CatalogueError(
                f"{name}: the columns {shown(written[key])} and {shown(header)} are both {key!r}: rename one of them"
            )
        columns[key], written[key] = column, header
        if declared:
            types[key] = declared
    return Table(name, columns, written, length, typed, types, lines)
