"""What a platform has seen: its events, each once, and the table of who likes what that they make."""

from __future__ import annotations

import copy
from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from coldstart.entities import Value
from coldstart.interactions import Interactions
from coldstart.learning.meanings import DISLIKE, IGNORE, LIKE, RATING, SHOWN, UNDECIDED, Meanings, TypeRead
from coldstart.learning.scale import Scale

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Key = tuple[str, str, str, "float | None", "float | None"]

_DAY = 86_400.0
_EXAMPLES = 3
_TYPES_SAID = 6

UNSEEN = 0.2
"""How much someone whose impressions are told, but none of an item, tells against it beside one who was shown it."""


@dataclass(frozen=True, slots=True)
class Observed:
    """What became of some events.

    Attributes:
        events: How many were given.
        new: How many weren't known before.
        unknown: How many of the new ones are with items that the catalogue doesn't hold; they are kept, and count
            once it does.
        unknown_items: Some of those items.
        future: How many of the new ones bear a time to come; they count as just now.
        types: How the new ones were read, by type, the most frequent first.
    """

    events: int
    new: int
    unknown: int
    unknown_items: tuple[str, ...]
    future: int
    types: tuple[TypeRead, ...] = ()

    def __str__(self) -> str:
        parts = [f"{self.new} new of {self.events} events"]
        if self.unknown:
            parts.append(f"{self.unknown} with items the catalogue lacks, such as {self.unknown_items[0]!r}")
        if self.future:
            parts.append(f"{self.future} from the future, read as now")
        if told := [str(one) for one in self.types if one.name != UNDECIDED]:
            parts.append(", ".join(told[:_TYPES_SAID]) + (", ..." if len(told) > _TYPES_SAID else ""))
        return "; ".join(parts)


@dataclass(frozen=True, slots=True, eq=False)
class Likes:
    """Who likes what, in the rows of a catalogue.

    Attributes:
        table: Where a person likes an item, 1, or less where all they did was look. SciPy CSR.
            Shape: ``(people, items)``.
        dislikes: Ones where a person dislikes an item and never liked it, the same way.
        counts: How many like each item, older likes less if they fade. Shape: ``(items,)``.
        people: How many people each item was offered to: those who did anything after it arrived. Shape: ``(items,)``.
        exposed: The same, where those whose impressions are told, but none of the item, count :data:`UNSEEN`.
            Shape: ``(items,)``.
        events: How many events they were made of.
        users: The people's ids. As many as there are people.
    """

    table: Any
    dislikes: Any
    counts: Floats
    people: Floats
    exposed: Floats
    events: int
    users: tuple[str, ...] = ()

    def widened(self, items: int) -> Likes:
        """Return the same where more items stand at the end, which nobody was offered yet; nothing is counted anew.

        Args:
            items: How many there are then.
        """

        def wide(table: Any) -> Any:
            return sparse.csr_matrix((table.data, table.indices, table.indptr), shape=(table.shape[0], items))

        none = np.zeros(items - len(self.counts))
        counts, people, exposed = (np.concatenate([each, none]) for each in (self.counts, self.people, self.exposed))
        return Likes(wide(self.table), wide(self.dislikes), counts, people, exposed, self.events, self.users)


class _Columns:
    """Events in numbers, in the order they were told.

    Attributes:
        users: The users to their codes.
        items: The items, likewise.
        types: The event types, likewise.
        codes: The codes of each event's user, item and type, one after the other.
        measures: Each event's value, NaN for none, and when it happened, likewise.
        latest: When the last of them happened.
    """

    def __init__(self) -> None:
        self.users: dict[str, int] = {}
        self.items: dict[str, int] = {}
        self.types: dict[str, int] = {}
        self.codes, self.measures = array("q"), array("d")
        self.latest = -np.inf

    def add(self, key: Key, time: float) -> None:
        """Take in one event."""
        user, item, kind, value, _ = key
        coded = (self.users, user), (self.items, item), (self.types, kind)
        self.codes.extend(codes.setdefault(name, len(codes)) for codes, name in coded)
        self.measures.extend((np.nan if value is None else value, time))
        self.latest = max(self.latest, time)

    def copied(self) -> _Columns:
        """Return the same in an object of its own."""
        made = copy.copy(self)
        made.users, made.items, made.types = dict(self.users), dict(self.items), dict(self.types)
        made.codes, made.measures = self.codes[:], self.measures[:]
        return made


class Experience:
    """Events, each once however often it is told, in no order, and what people said of themselves.

    The same user, item, event type, value and time are the same event.

    Attributes:
        said: The fields of people's sign-ups, by user; what one said last holds.
    """

    def __init__(self) -> None:
        self._events: dict[Key, float] = {}  # to when it happened, or else was told
        self._columns = _Columns()
        self._shared = False  # with a copy, until either takes in more
        self.said: dict[str, Mapping[str, Value]] = {}

    def __len__(self) -> int:
        return len(self._events)

    @property
    def latest(self) -> float:
        """When the last event happened, in seconds since 1970; minus infinity without events."""
        return self._columns.latest

    def met(self, item: str) -> bool:
        """Return whether any event is with an item."""
        return item in self._columns.items

    def observe(
        self, interactions: Interactions, *, known: Mapping[str, Any], now: float, meanings: Meanings | None = None
    ) -> Observed:
        """Take in events; what is known already changes nothing.

        Args:
            interactions: In any order.
            known: The ids of the catalogue's items.
            now: Seconds since 1970.
            meanings: What types say, for the report.
        """
        meanings, types = meanings or Meanings(), Counter[str]()
        before, unknown, future = len(self._events), 0, 0
        strange: dict[str, None] = {}
        self._unshare()
        for event in interactions:
            key = (event.user, event.item, event.event_type, event.value, event.timestamp)
            if key in self._events:
                continue
            self._add(key, now if event.timestamp is None else min(event.timestamp, now))
            types[event.event_type] += 1
            future += event.timestamp is not None and event.timestamp > now
            if event.item not in known:
                unknown += 1
                if len(strange) < _EXAMPLES:
                    strange[event.item] = None
        read = (TypeRead(name, count, meanings.of(name), meanings.knows(name)) for name, count in types.most_common())
        return Observed(len(interactions), len(self._events) - before, unknown, tuple(strange), future, tuple(read))

    def describe(self, said: Mapping[str, Mapping[str, Value]]) -> bool:
        """Take in what people say of themselves; return whether that was news. Empty fields take back what one said."""
        news = {user: mine for user, mine in said.items() if self.said.get(user, {}) != mine}
        if news:
            self.said = {user: mine for user, mine in {**self.said, **news}.items() if mine}
        return bool(news)

    def forget(self, user: str) -> int:
        """Take back all of a user's events and what they said; return how many events there were."""
        self.said = {who: mine for who, mine in self.said.items() if who != user}
        before = len(self._events)
        if user in self._columns.users:
            left = self.copied({user})
            self._events, self._columns, self._shared = left._events, left._columns, False
        return before - len(self._events)

    def copied(self, without: Collection[str] = ()) -> Experience:
        """Return the same in an object of its own, but for what is of some users; all is copied at no cost."""
        if without:
            kept = ((key, time) for key, time in self._events.items() if key[0] not in without)
            return Experience.of(kept, {user: mine for user, mine in self.said.items() if user not in without})
        made = Experience()
        self._shared, made._shared = True, True
        made._events, made._columns, made.said = self._events, self._columns, self.said
        return made

    def _add(self, key: Key, time: float) -> None:
        self._events[key] = time
        self._columns.add(key, time)

    def _unshare(self) -> None:
        if self._shared:
            self._events, self._columns, self._shared = dict(self._events), self._columns.copied(), False

    def records(self) -> list[tuple[Key, float]]:
        """Return the events and when they happened or were told, sorted: the order they came in can't be read off."""
        return sorted(self._events.items(), key=lambda pair: (pair[0][:3], repr(pair[0][3:]), pair[1]))

    @classmethod
    def of(
        cls, records: Iterable[tuple[Key, float]], said: Mapping[str, Mapping[str, Value]] | None = None
    ) -> Experience:
        """Return what :meth:`records` gave, of people who said something of themselves."""
        made = cls()
        for key, time in dict(records).items():
            made._add(key, time)
        made.said = dict(said or {})
        return made

    def likes(
        self,
        row_of: Mapping[str, int],
        *,
        now: float,
        half_life: float | None = None,
        arrivals: Mapping[str, float] | None = None,
        scale: Scale | None = None,
        meanings: Meanings | None = None,
    ) -> Likes:
        """Return who likes what among some items.

        Args:
            row_of: Their rows, from 0 on.
            now: Seconds since 1970; events of a later time count as of now.
            half_life: After how many days a like counts half for popularity; None for never fading.
            arrivals: When items arrived, in seconds since 1970, by id; their first event if that came before. Others
                were always there.
            scale: Which values say "liked"; read off the values of each type if None.
            meanings: What types of events say; see :mod:`coldstart.learning.meanings`. What people say of an item
                holds over what they did with it, and what they once liked stays liked.
        """
        people, users, rows, types, values, times = self._of(row_of)
        size = (int(users.max(initial=-1)) + 1, len(row_of))
        weights, shown = _read(types, tuple(self._columns.types), values, scale, meanings or Meanings())
        said, disliked = np.isinf(weights) & (weights > 0), weights < 0
        dislikes = _ones(users[disliked], rows[disliked], size)
        dislikes = _without(dislikes, _ones(users[said], rows[said], size))
        liked = weights > 0
        table = _largest(_weighed(np.minimum(weights[liked], 1.0), users[liked], rows[liked], size)).tocsr()
        table = _without(table, dislikes)
        counts = np.asarray(table.sum(0), np.float64).ravel()
        if half_life is not None:
            ages = np.maximum(now - times[liked], 0.0) / _DAY
            fresh = np.minimum(weights[liked], 1.0) * 0.5 ** (ages / half_life)
            faded = _largest(_weighed(fresh, users[liked], rows[liked], size)).tocsr()
            counts = np.asarray(_without(faded, dislikes).sum(0), np.float64).ravel()
        offered = np.maximum(_offered(row_of, arrivals or {}, users, rows, times), counts)
        exposed = offered
        if shown.any():
            logged = np.isin(users, users[shown])
            could = _offered(row_of, arrivals or {}, users, rows, times, among=logged)
            met = np.asarray(_ones(users[logged], rows[logged], size).sum(0), np.float64).ravel()
            exposed = np.maximum(offered - (1.0 - UNSEEN) * np.maximum(could - met, 0.0), counts)
        return Likes(table, dislikes, counts, offered, exposed, len(rows), people)

    def _of(self, row_of: Mapping[str, int]) -> tuple[tuple[str, ...], Rows, Rows, Rows, Floats, Floats]:
        """Return who did what with some items, when: people by their ids, their places, rows, types, values, times."""
        told = self._columns
        codes = np.array(told.codes, np.int64).reshape(-1, 3)
        measures = np.array(told.measures, np.float64).reshape(-1, 2)
        rows = np.array([row_of.get(item, -1) for item in told.items], np.int64)[codes[:, 1]]
        there = np.flatnonzero(rows >= 0)
        users, names = codes[there, 0], tuple(told.users)
        present = sorted(np.unique(users).tolist(), key=names.__getitem__)
        place = np.zeros(len(names), np.int64)
        place[present] = np.arange(len(present))
        people = tuple(names[code] for code in present)
        return people, place[users], rows[there], codes[there, 2], measures[there, 0], measures[there, 1]


def _read(
    kinds: Rows, names: Sequence[str], values: Floats, scale: Scale | None, meanings: Meanings
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return what events say: infinity for liked, minus infinity for disliked, a weight, or 0; and which were shown."""
    weights, shown = np.zeros(len(kinds)), np.zeros(len(kinds), np.bool_)
    for kind in np.unique(kinds):
        mine, meaning = kinds == kind, meanings.of(names[kind])
        if meaning in (RATING, UNDECIDED):
            by = scale or Scale.of(values[mine])
            explicit = by.relevant_from is not None
            weights[mine] = np.where(by.relevant(values[mine]), np.inf if explicit else 1.0, 0.0)
            weights[mine] = np.where(by.disliked(values[mine]), -np.inf, weights[mine])
        elif meaning == DISLIKE:
            weights[mine] = -np.inf
        elif meaning in (SHOWN, IGNORE):
            shown |= mine & (meaning == SHOWN)
        else:
            weights[mine] = np.where(values[mine] <= 0, 0.0, np.inf if meaning == LIKE else float(meaning))
    interest = weights[np.isfinite(weights)].max(initial=0.0)
    if interest and not (weights == np.inf).any():
        weights = np.where(np.isfinite(weights), weights / interest, weights)  # looking is all there is
    return weights, shown


def _without(table: Any, gone: Any) -> Any:
    """Return a sparse table without what stands where another has something."""
    table = sparse.csr_matrix(table - table.multiply(gone))
    table.eliminate_zeros()
    return table


def _weighed(data: Floats, users: Rows, rows: Rows, size: tuple[int, int]) -> Any:
    return sparse.coo_matrix((data, (users, rows)), shape=size)


def _ones(users: Rows, rows: Rows, size: tuple[int, int]) -> Any:
    """Return a SciPy CSR matrix of ones at some places; told twice is told."""
    table = sparse.csr_matrix((np.ones(len(users)), (users, rows)), shape=size)
    table.data[:] = 1.0
    return table


def _offered(
    row_of: Mapping[str, int],
    arrivals: Mapping[str, float],
    users: Rows,
    rows: Rows,
    times: Floats,
    *,
    among: NDArray[np.bool_] | None = None,
) -> Floats:
    """Return how many people did anything after each item arrived, among those of some events. Shape: ``(items,)``."""
    arrived, first = np.full(len(row_of), -np.inf), np.full(len(row_of), np.inf)
    for item in arrivals.keys() & row_of.keys():
        arrived[row_of[item]] = arrivals[item]
    np.minimum.at(first, rows, times)
    arrived = np.minimum(arrived, np.nextafter(first, -np.inf))  # what someone met was there
    last = np.full(int(users.max(initial=-1)) + 1, -np.inf)
    np.maximum.at(last, users, times)
    if among is not None:
        last = last[np.unique(users[among])]
    offered: Floats = last.size - np.searchsorted(np.sort(last), arrived, side="right").astype(np.float64)
    return offered


def _largest(table: Any) -> Any:
    """Return a sparse table with the largest of the values that share a place."""
    order = np.lexsort((-table.data, table.col, table.row))
    row, col = table.row[order], table.col[order]
    first = np.ones(row.size, np.bool_)
    first[1:] = (row[1:] != row[:-1]) | (col[1:] != col[:-1])
    return sparse.coo_matrix((table.data[order][first], (row[first], col[first])), shape=table.shape)
