"""What people did, in columns: read from a file or from records, cut by rows."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from coldstart import columns
from coldstart.entities import Interaction
from coldstart.errors import CatalogueError
from coldstart.tables import Table, read_table, shown

_Key = TypeVar("_Key", bound=Hashable)

DEFAULT_EVENT = "interaction"


@dataclass(frozen=True, slots=True, eq=False)
class Interactions:
    """Events in columns; the arrays are read-only. ``for event in interactions`` gives them as records.

    Attributes:
        user_ids: The users, in order of first appearance where the events were read.
        item_ids: The items, likewise.
        event_types: The event types, likewise.
        users: Each event's user as a position in ``user_ids``. Shape: ``(events,)``, int32.
        items: Each event's item as a position in ``item_ids``. Shape: ``(events,)``, int32.
        types: Each event's type as a position in ``event_types``. Shape: ``(events,)``, int32.
        values: A rating, a duration, a price; NaN for none. Shape: ``(events,)``, float64.
        timestamps: Seconds since 1970 in UTC; NaN for unknown. Shape: ``(events,)``, float64.

    >>> liked = Interactions.from_records([Interaction("ann", "tea", value=5.0), Interaction("bob", "jam")])
    >>> liked.item_ids, liked.users.tolist(), len(liked.take(liked.values > 3))
    (('tea', 'jam'), [0, 1], 1)
    """

    user_ids: tuple[str, ...]
    item_ids: tuple[str, ...]
    event_types: tuple[str, ...]
    users: NDArray[np.int32]
    items: NDArray[np.int32]
    types: NDArray[np.int32]
    values: NDArray[np.float64]
    timestamps: NDArray[np.float64]

    def __post_init__(self) -> None:
        for name, dtype in (("users", np.int32), ("items", np.int32), ("types", np.int32)):
            self._freeze(name, dtype)
        for name in ("values", "timestamps"):
            self._freeze(name, np.float64)
        for name, ids in (("users", self.user_ids), ("items", self.item_ids), ("types", self.event_types)):
            codes = getattr(self, name)
            if len(codes) and (codes.min() < 0 or codes.max() >= len(ids)):
                raise CatalogueError(
                    f"{name} run from {codes.min()} to {codes.max()}: expected positions in {len(ids)} ids"
                )

    def _freeze(self, name: str, dtype: type) -> None:
        column: NDArray[Any] = np.array(getattr(self, name), dtype=dtype)
        if column.shape != (len(self.users),):
            raise CatalogueError(f"{name} has the shape {column.shape}: expected one a user, ({len(self.users)},)")
        column.setflags(write=False)
        object.__setattr__(self, name, column)

    @classmethod
    def read(cls, path: str | os.PathLike[str], *, encoding: str | None = None) -> Interactions:
        """Read a CSV, TSV, JSONL, Parquet or RecBole ``.inter`` file, gzipped or not; a header alone gives none.

        The columns are ``user_id,item_id`` and, if there are, ``event_type``, ``event_value`` and ``timestamp``;
        :data:`coldstart.columns.NAMES` lists the other names accepted, such as ``rating`` and ``date``. Further
        columns are ignored. A cell without an event type means "interaction".

        Raises:
            CatalogueError: The file or a column can't be used, or a row lacks an id or has a value that isn't a
                number, or a timestamp that is neither seconds nor an ISO date; the message says where.
        """
        table = read_table(path, encoding=encoding)
        user_column = columns.find(table, "user_id")
        if user_column is None:
            raise columns.missing_column(table, "user_id")
        user_ids, users = _coded(columns.ids(table, user_column))
        item_ids, items = _coded(columns.ids(table, columns.rated_item(table)))
        event_types, types = _event_types(table)
        values, timestamps = columns.find(table, "event_value"), columns.find(table, "timestamp")
        unknown = np.full(table.length, np.nan)
        return cls(
            *(user_ids, item_ids, event_types, users, items, types),
            values=unknown if values is None else columns.numbers(table, values),
            timestamps=unknown if timestamps is None else columns.times(table, timestamps),
        )

    @classmethod
    def from_records(cls, records: Iterable[Interaction]) -> Interactions:
        """Return the columns of some events, in their order."""
        events = list(records)
        for row, event in enumerate(events):
            _check(event, row)
        user_ids, users = _coded([event.user for event in events])
        item_ids, items = _coded([event.item for event in events])
        event_types, types = _coded([event.event_type for event in events])
        values = [np.nan if event.value is None else event.value for event in events]
        timestamps = [np.nan if event.timestamp is None else event.timestamp for event in events]
        return cls(user_ids, item_ids, event_types, users, items, types, np.array(values), np.array(timestamps))

    def __len__(self) -> int:
        return len(self.users)

    def __iter__(self) -> Iterator[Interaction]:
        coded = zip(self.users.tolist(), self.items.tolist(), self.types.tolist(), strict=True)
        measured = zip(self.values.tolist(), self.timestamps.tolist(), strict=True)
        for (user, item, kind), (value, timestamp) in zip(coded, measured, strict=True):
            yield Interaction(
                self.user_ids[user], self.item_ids[item], self.event_types[kind], _known(value), _known(timestamp)
            )

    def __repr__(self) -> str:
        return f"<Interactions: {len(self)} events, {len(self.user_ids)} users, {len(self.item_ids)} items>"

    def take(self, rows: NDArray[Any] | Sequence[int] | Sequence[bool]) -> Interactions:
        """Return some events: those that a mask marks, or rows in the order given.

        The vocabularies stay whole, so that a position means the same user or item in every part.
        """
        kept = np.asarray(rows)
        kept = kept if kept.dtype == np.bool_ else kept.astype(np.int64)
        parts = {part.name: getattr(self, part.name) for part in fields(self)}
        arrays = {name: part[kept] for name, part in parts.items() if isinstance(part, np.ndarray)}
        return Interactions(**(parts | arrays))


def _coded(keys: Sequence[_Key]) -> tuple[tuple[_Key, ...], NDArray[np.int32]]:
    """Return the different keys in order of first appearance, and each key's position among them."""
    positions = {key: at for at, key in enumerate(dict.fromkeys(keys))}
    return tuple(positions), np.fromiter((positions[key] for key in keys), dtype=np.int32, count=len(keys))


def _event_types(table: Table) -> tuple[tuple[str, ...], NDArray[np.int32]]:
    column = columns.find(table, "event_type")
    if column is None:
        return (DEFAULT_EVENT,), np.zeros(table.length, dtype=np.int32)
    return _coded([text or DEFAULT_EVENT for text in columns.texts(table, column)])


def _known(number: float) -> float | None:
    return None if number != number else number


def _check(event: object, row: int) -> None:
    if not isinstance(event, Interaction):
        raise CatalogueError(f"event {row + 1} is {shown(event)}: expected an Interaction(user, item, ...)")
    for name, text in (("user", event.user), ("item", event.item), ("event_type", event.event_type)):
        if not isinstance(text, str) or not text.strip():
            raise CatalogueError(f"event {row + 1} has the {name} {shown(text)}: expected text that isn't empty")
    for name, number in (("value", event.value), ("timestamp", event.timestamp)):
        if number is not None and not (isinstance(number, (int, float)) and np.isfinite(number)):
            raise CatalogueError(f"event {row + 1} has the {name} {shown(number)}: expected a finite number or None")
