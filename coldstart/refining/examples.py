"""Training examples: what people liked one after the other, and who they said they are; users held out by hash."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from coldstart.errors import CatalogueError
from coldstart.interactions import Interactions
from coldstart.learning.scale import Scale

Rows = NDArray[np.int64]

WINDOW = 3
"""How many likes later an item still follows another."""

MOST_A_USER = 50
"""How many pairs one user gives at most, so that a few can't outvote the others."""

RUN = 6
"""How many neighbouring pairs of a user are learned from in one step: they are of few items, each encoded once."""

HELD_OUT = 0.2
"""The share of users whom training never sees."""

MOST_HELD_OUT = 600
ENOUGH = 40
"""So many are held out if that is no more than half."""

LEAST = 4
"""Fewer pairs than this are refused."""

PARTED_FROM = 32
"""With fewer people held out they can't be parted in two: the same choose and judge."""


@dataclass(frozen=True, slots=True)
class User:
    """A user's liked items, each once, in the order in which they liked them."""

    id: str
    likes: tuple[int, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Examples:
    """Pairs of what someone liked, or said of themselves, and what they liked.

    Attributes:
        anchors: What came first: a row of the catalogue, or a text's place after the last row. Shape: ``(pairs,)``.
        positives: What was liked after it, a row. Shape: ``(pairs,)``.
        owners: Whose pair it is. Shape: ``(pairs,)``.
        users: Whose pairs they are.
        texts: What users said, for anchors from the number of rows on.
        counts: How many of the users like each item. Shape: ``(items,)``.
    """

    anchors: Rows
    positives: Rows
    owners: Rows
    users: tuple[User, ...]
    texts: tuple[str, ...]
    counts: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.anchors)

    @classmethod
    def of(cls, users: Sequence[User], items: int, *, said: Mapping[str, str], seed: int) -> Examples:
        """Return the pairs of some users, in the order of their ids."""
        users = sorted(users, key=lambda user: user.id)
        texts: dict[str, int] = {}
        pairs = [
            (anchor, positive, owner)
            for owner, user in enumerate(users)
            for anchor, positive in _pairs(user, said.get(user.id, ""), texts, items, seed)
        ]
        liked = [row for user in users for row in user.likes]
        anchors, positives, owners = np.array(pairs, np.int64).reshape(-1, 3).T
        counts = np.bincount(np.array(liked, np.int64), minlength=items).astype(np.float64)
        return cls(anchors, positives, owners, tuple(users), tuple(texts), counts)


@dataclass(frozen=True, eq=False, slots=True)
class Lesson:
    """What there is to learn from, and by whom it is judged.

    Attributes:
        taught: The pairs that are learned from.
        held_out: Pairs of those who choose, who are never learned from: they say when training fared best.
        judges: All who are held out, in an order by hash.
        events: How many events were given.
        unknown: How many of them are with items that the catalogue doesn't hold.
        hash: Of what everyone likes and said.
    """

    taught: Examples
    held_out: Examples
    judges: tuple[User, ...]
    events: int
    unknown: int
    hash: str

    @property
    def choosing(self) -> tuple[User, ...]:
        """Those who choose among what was learned, settings and weights: every other one who is held out."""
        return _choosing(self.judges)

    @property
    def judging(self) -> tuple[User, ...]:
        """Those who say whether what was chosen ranks better: the rest, or the same where they are too few."""
        return self.judges[1::2] if len(self.judges) >= PARTED_FROM else self.judges

    @property
    def teaches(self) -> bool:
        """Whether there are pairs enough to learn from, and somebody with two likes who chooses."""
        return len(self.taught) >= LEAST and any(len(user.likes) > 1 for user in self.choosing)

    def without_items(self, rows: Rows) -> Lesson:
        """Return the same lesson as if these items didn't exist yet; what users said of themselves isn't learned."""
        out = set(rows.tolist())

        def left(users: tuple[User, ...]) -> tuple[User, ...]:
            return tuple(User(user.id, tuple(row for row in user.likes if row not in out)) for user in users)

        taught = Examples.of(left(self.taught.users), len(self.taught.counts), said={}, seed=0)
        judges, name = left(self.judges), _digest(f"{self.hash} without {sorted(out)}")
        return replace(self, taught=taught, judges=judges, hash=name)

    def without_judges(self, events: Interactions) -> Interactions:
        """Return those of some events that nobody who is held out had a part in."""
        out = {user.id for user in self.judges}
        return events.take(np.array([user not in out for user in events.user_ids], np.bool_)[events.users])


def _choosing(judges: tuple[User, ...]) -> tuple[User, ...]:
    return judges[::2] if len(judges) >= PARTED_FROM else judges


def lesson(
    interactions: Interactions,
    row_of: Mapping[str, int],
    *,
    said: Mapping[str, str] | None = None,
    seed: int = 0,
) -> Lesson:
    """Return what some interactions teach. A fifth of the users is held out, and half if there are few.

    Args:
        interactions: In any order; the likes among them count, see :class:`coldstart.learning.scale.Scale`.
        row_of: Rows of the catalogue by item id, from 0 on.
        said: What users said of themselves, by user id: they give pairs from that to what they like.
        seed: Fixes who is held out.

    Raises:
        CatalogueError: Fewer than four pairs of liked items.
    """
    said = said or {}
    users = sorted(_users(interactions, row_of), key=lambda user: _digest(f"{seed} {user.id}"))
    judging = [user for user in users if len(user.likes) > 1]
    few = min(max(int(HELD_OUT * len(judging)), ENOUGH), len(judging) // 2, MOST_HELD_OUT)
    judges = judging[:few]
    out = {user.id for user in judges}
    taught = Examples.of([user for user in users if user.id not in out], len(row_of), said=said, seed=seed)
    if len(taught) < LEAST:
        raise CatalogueError(
            f"{len(taught)} pairs of items that one user likes, in {len(interactions)} events: refining needs at least "
            f"{LEAST} of items that the catalogue holds, beside those of the people who judge; until then observe "
            "learns from every event"
        )
    held_out = Examples.of(_choosing(tuple(judges)), len(row_of), said=said, seed=seed)
    unknown = np.array([item not in row_of for item in interactions.item_ids], np.bool_)[interactions.items].sum()
    told = sorted((user.id, user.likes, said.get(user.id, "")) for user in users)
    return Lesson(taught, held_out, tuple(judges), len(interactions), int(unknown), _digest(repr((told, seed))))


def _users(interactions: Interactions, row_of: Mapping[str, int]) -> Iterable[User]:
    """Return users with the items they like, in the order of time; events without one come first, as they came."""
    rows = np.array([row_of.get(id_, -1) for id_ in interactions.item_ids], np.int64)[interactions.items]
    liked = Scale.of(interactions.values).relevant(interactions.values) & (rows >= 0)
    times = np.where(np.isnan(interactions.timestamps), -np.inf, interactions.timestamps)
    ids = np.array(interactions.item_ids, object)[interactions.items] if len(interactions) else np.empty(0, object)
    by_user: dict[int, list[tuple[float, int, str, int]]] = {}
    for place in np.flatnonzero(liked).tolist():
        when = float(times[place])  # at one time, ids decide; without times, what came first
        event = (when, 0 if np.isfinite(when) else place, str(ids[place]), int(rows[place]))
        by_user.setdefault(int(interactions.users[place]), []).append(event)
    for user, events in by_user.items():
        yield User(interactions.user_ids[user], tuple(dict.fromkeys(row for *_, row in sorted(events))))


def _pairs(user: User, said: str, texts: dict[str, int], items: int, seed: int) -> list[tuple[int, int]]:
    likes = user.likes
    found = [
        (likes[first], likes[then])
        for first in range(len(likes))
        for then in range(first + 1, min(first + 1 + WINDOW, len(likes)))
    ]
    if said:
        place = items + texts.setdefault(said, len(texts))
        found += [(place, like) for like in likes]
    if len(found) <= MOST_A_USER:
        return found
    rng = np.random.default_rng(int(_digest(f"{seed} pairs {user.id}")[:15], 16))
    starts = RUN * np.sort(rng.permutation(-(-len(found) // RUN))[: -(-MOST_A_USER // RUN)])
    return [pair for start in starts.tolist() for pair in found[start : start + RUN]][:MOST_A_USER]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
