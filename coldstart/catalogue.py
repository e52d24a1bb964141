"""The catalogue: an immutable set of items, id <-> row, read from the files people have, filtered fast.

:class:`~coldstart.interactions.Interactions` and :func:`~coldstart.profiles.read_profiles`, which read the files
that go with it, can be had from here too.
"""

from __future__ import annotations

import copy
import difflib
import hashlib
import json
import logging
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coldstart import columns
from coldstart.attributes import Attribute, condition_codes
from coldstart.entities import Item
from coldstart.errors import CatalogueError, ProfileError, UnknownItem
from coldstart.interactions import Interactions
from coldstart.profiles import read_profiles
from coldstart.tables import Table, read_table, shown, snake_case

__all__ = ["Catalogue", "Interactions", "read_profiles"]

log = logging.getLogger(__name__)

_LONGEST_KIND = 40
_LONG_TITLE = 100_000
_SEARCHED = 20_000
_COMPARED = 400
_MASKS = 32


class Catalogue:
    """An immutable set of items in a fixed order; ``catalogue[row]`` is an item.

    Args:
        items: At least one. Equal items count once; an item needs a title or an attribute.
        kind: What an item is called in prompts: a singular noun such as "movie" or "wine".

    Raises:
        CatalogueError: No items, an id that isn't text or is empty, one id for two different items, an item
            of which nothing but the id is known, or a kind that isn't a short plain noun.

    >>> wines = Catalogue([Item("1", "Barolo", {"body": "full"}), Item("2", "Soave")], kind="wine")
    >>> wines.row("2"), wines[0].title, wines.select({"body": "Full"}).tolist()
    (1, 'Barolo', [True, False])
    """

    def __init__(self, items: Iterable[Item], *, kind: str = "item") -> None:
        if not _is_kind(kind):
            raise CatalogueError(
                f"the kind of item is {shown(kind)}: expected a singular noun in plain text, on one line, without "
                f'braces, of at most {_LONGEST_KIND} characters, such as "movie"'
            )
        self._kind = kind
        self._items = _distinct(items, place=lambda row: f"item {row + 1}")
        self._rows = {item.id: row for row, item in enumerate(self._items)}
        self._attributes: dict[str, Attribute] = {}
        self._masks: dict[tuple[str, bool, bytes], NDArray[np.bool_]] = {}  # which items meet a condition
        self._hashes: dict[str, str] = {}  # of items, by id

    @classmethod
    def read(cls, path: str | os.PathLike[str], *, kind: str | None = None, encoding: str | None = None) -> Catalogue:
        """Read a CSV, TSV, JSONL, Parquet or RecBole ``.item`` file, gzipped or not.

        The columns are ``item_id,title`` and any attributes; :data:`coldstart.columns.NAMES` lists the other names
        accepted. Attribute names become snake case. In a text file, a column of numbers becomes numbers, one
        with ``a|b`` or ``['a', 'b']`` becomes tuples, and empty, NaN, null and None cells are missing. An object
        in JSONL is flattened one level: ``maker.name``. Equal rows count once, and the others are logged.

        Args:
            path: The file.
            kind: See :class:`Catalogue`. None: the noun of a column such as ``movie_title`` or ``WineName``, else
                "item".
            encoding: Of a text file. None: UTF-8, or UTF-16 with a byte order mark.

        Raises:
            CatalogueError: The file, a column or a row can't be used; the message says where.
        """
        table = read_table(path, encoding=encoding)
        id_column, title_column, noun = columns.item_columns(table)
        if not table.length:
            raise table.error("an empty catalogue: there is a header but no row; add items")
        items = _distinct(_items(table, id_column, title_column), place=table.place, source=f"{table.source}: ")
        _log_titles(items, table.source)
        return cls(items, kind=kind if kind is not None else noun if _is_kind(noun) else "item")

    @property
    def items(self) -> tuple[Item, ...]:
        """The items, by row."""
        return self._items

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """The items' ids, by row."""
        return tuple(self._rows)

    @property
    def kind(self) -> str:
        """What an item is called: a singular noun."""
        return self._kind

    @cached_property
    def attribute_names(self) -> tuple[str, ...]:
        """Every attribute that some item has, in order of first appearance."""
        return tuple(dict.fromkeys(name for item in self._items for name in item.attributes))

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the kind and all items, in hex: the same on any machine and in any order of rows."""
        hashes = sorted(self.item_hash(row) for row in range(len(self)))
        return _sha256([self._kind, *hashes])

    def item_hash(self, row: int) -> str:
        """Return the SHA-256 of one item's id, title and attributes, in hex; the order of attributes doesn't count."""
        item = self._items[row]
        if item.id not in self._hashes:
            self._hashes[item.id] = _sha256([item.id, item.title, sorted(item.attributes.items())])
        return self._hashes[item.id]

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items)

    def __getitem__(self, row: int) -> Item:
        return self._items[row]

    def __contains__(self, item_id: object) -> bool:
        return isinstance(item_id, str) and item_id in self._rows

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Catalogue):
            return NotImplemented
        return self._kind == other._kind and self._items == other._items

    def __hash__(self) -> int:
        return hash(self.hash)

    def __repr__(self) -> str:
        return f"<Catalogue of {len(self)} items, kind {self._kind!r}>"

    def row(self, item_id: str) -> int:
        """Return an item's row.

        Raises:
            UnknownItem: No item has the id; the message suggests those whose id or title is closest.
        """
        if item_id not in self:
            raise UnknownItem(
                f"no {self._kind} with the id {shown(item_id)} among {len(self)}{self._suggestion(str(item_id))}"
            )
        return self._rows[item_id]

    def rows(self, ids: Iterable[str]) -> NDArray[np.int64]:
        """Return the rows of some ids, in their order. Shape: ``(ids,)``. Raises as :meth:`row` does."""
        if isinstance(ids, str):
            raise UnknownItem(f"the ids are the text {shown(ids)}: expected a list; write [{shown(ids)}]")
        return np.fromiter((self.row(item_id) for item_id in ids), dtype=np.int64)

    def _suggestion(self, wanted: str) -> str:
        """Return "; did you mean ...", having looked at a bounded part of a large catalogue."""
        wanted = wanted[:100].casefold()
        named: dict[str, str] = {}
        for item in islice(self._items, _SEARCHED):
            for name in (item.id, item.title):
                if name[:1].casefold() == wanted[:1] and len(named) < _COMPARED:
                    named.setdefault(name[:100].casefold(), item.id)
        near = dict.fromkeys(named[name] for name in difflib.get_close_matches(wanted, named, n=3))
        if not near:
            return f"; ids look like {shown(self.ids[0])}"
        return "; did you mean " + " or ".join(f"{shown(i)} ({shown(self[self._rows[i]].title)})" for i in near) + "?"

    def select(self, where: Mapping[str, Any]) -> NDArray[np.bool_]:
        """Return which items meet every condition. Shape: ``(items,)``; all True for no conditions.

        A condition is a value, a list of which any will do, ``{"min": .., "max": ..}`` with either or both ends
        included, or ``{"not": value or list}``. Text compares without case, a number equals its text ("1995"), and
        of an attribute with several values one is enough. An item without the attribute meets only a "not".

        Raises:
            ProfileError: No item has an attribute of that name, or a condition has another shape.
        """
        if not isinstance(where, Mapping):
            raise ProfileError(
                f'the filter is {shown(where)}: expected attributes and conditions: {{"genre": "Comedy"}}'
            )
        met = np.ones(len(self), dtype=np.bool_)
        for name, condition in where.items():
            met &= self._met(self._attribute(name), condition)
        return met

    def _met(self, attribute: Attribute, condition: Any) -> NDArray[np.bool_]:
        """Return which items meet a condition; those that were asked for last are kept. Shape: ``(items,)``."""
        codes, negated = condition_codes(attribute, condition)
        key = (attribute.name, negated, codes.tobytes())
        found = self._masks.get(key)
        if found is None:
            found = np.full(len(self), negated)
            found[attribute.rows[codes[attribute.codes]]] = not negated
            for oldest in list(self._masks)[: max(0, len(self._masks) - _MASKS + 1)]:
                self._masks.pop(oldest, None)
            self._masks[key] = found
        return found

    def _attribute(self, name: str) -> Attribute:
        known = name if name in self.attribute_names else snake_case(name) if isinstance(name, str) else ""
        if known not in self.attribute_names:
            raise ProfileError(
                f"the filter names {shown(name)}, which no {self._kind} has: expected one of "
                f"{', '.join(self.attribute_names) or '(there are no attributes)'}"
            )
        if known not in self._attributes:
            self._attributes[known] = Attribute.of(known, self._items)
        return self._attributes[known]

    def with_items(self, items: Iterable[Item]) -> Catalogue:
        """Return a catalogue in which each given item replaces the one with its id, or else comes at the end."""
        new = {item.id: item for item in _distinct(items, place=lambda row: f"item {row + 1}", empty=True)}
        return self._of({**dict(zip(self.ids, self._items, strict=True)), **new}, changed=new)

    def without(self, ids: Iterable[str]) -> Catalogue:
        """Return a catalogue without some items; an unknown id raises, and so does leaving no item."""
        gone = set(self.rows(ids).tolist())
        kept = {item.id: item for row, item in enumerate(self._items) if row not in gone}
        if not kept:
            raise CatalogueError(
                f"taking away {len(gone)} items leaves an empty catalogue: expected at least one item to stay"
            )
        return self._of(kept, changed=())

    def _of(self, items: Mapping[str, Item], *, changed: Collection[str]) -> Catalogue:
        """Return a catalogue of these items, which were checked; those that didn't change aren't hashed again."""
        made = copy.copy(self)
        made._items = tuple(items.values())
        made._rows = dict(zip(items, range(len(items)), strict=True))
        made._attributes, made._masks = {}, {}
        made._hashes = {id_: hashed for id_, hashed in self._hashes.items() if id_ not in changed and id_ in items}
        for name in ("ids", "attribute_names", "hash"):
            made.__dict__.pop(name, None)
        return made


def _is_kind(kind: object) -> bool:
    plain = isinstance(kind, str) and kind.isprintable() and not set(kind) & set("{}")
    return isinstance(kind, str) and plain and kind == kind.strip() and 0 < len(kind) <= _LONGEST_KIND


def _sha256(content: list[Any]) -> str:
    return hashlib.sha256(json.dumps(content, separators=(",", ":")).encode("ascii")).hexdigest()


def _items(table: Table, id_column: str, title_column: str) -> Iterator[Item]:
    ids, titles = columns.ids(table, id_column), columns.texts(table, title_column)
    names = [name for name in table.columns if name not in (id_column, title_column)]
    cells = [columns.values(table, name) for name in names]
    for row, (item_id, title) in enumerate(zip(ids, titles, strict=True)):
        known = {name: column[row] for name, column in zip(names, cells, strict=True)}
        yield Item(item_id, title, {name: value for name, value in known.items() if value is not None})


def _distinct(
    items: Iterable[Item], *, place: Callable[[int], str], source: str = "", empty: bool = False
) -> tuple[Item, ...]:
    """Return the items, equal ones once; an id with two contents and an item that says nothing are errors."""
    kept: dict[str, Item] = {}
    first: dict[str, int] = {}
    repeated = 0
    for row, item in enumerate(items):
        _check(item, source + place(row))
        if item.id not in kept:
            kept[item.id], first[item.id] = item, row
        elif kept[item.id] == item:
            repeated += 1
        else:
            raise CatalogueError(
                f"{source}the id {shown(item.id)} is in {place(first[item.id])} and, with other content, in "
                f"{place(row)}: delete one, or give it an id of its own"
            )
    if repeated:
        log.warning("%s%d items were given more than once with equal content; each counts once", source, repeated)
    if not kept and not empty:
        raise CatalogueError(f"{source}an empty catalogue: expected at least one item")
    return tuple(kept.values())


def _check(item: object, place: str) -> None:
    if not isinstance(item, Item):
        raise CatalogueError(f"{place} is {shown(item)}: expected an Item(id, title, attributes)")
    if not isinstance(item.id, str) or not item.id.strip():
        raise CatalogueError(f"{place} has the id {shown(item.id)}: expected text that isn't empty; wrap it in str()")
    if not isinstance(item.title, str):
        raise CatalogueError(f'{place} has the title {shown(item.title)}: expected text; write "" if it has none')
    if not item.title.strip() and not item.attributes:
        raise CatalogueError(
            f"{place} (id {shown(item.id)}) has neither a title nor an attribute, so nothing can be said of it: "
            "add one, or delete it"
        )


def _log_titles(items: Sequence[Item], source: str) -> None:
    untitled = [item.id for item in items if not item.title]
    if untitled:
        log.warning("%s: %d items have no title, the first with the id %s", source, len(untitled), shown(untitled[0]))
    for item in items:
        if len(item.title) > _LONG_TITLE:
            log.warning("%s: the title of %s has %d characters", source, shown(item.id), len(item.title))
