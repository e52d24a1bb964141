"""What people who said the same of themselves at sign-up like more than others do: lifts of chances, by field.

Of people with the value ``g`` of a field, ``k_gi`` like item ``i``; were they like all others who filled the field in,
``e_gi`` would, their likes times the item's share of all likes. The lift's logarithm is

    r_gi = log (k_gi + s) / (e_gi + s)

the posterior mean of a Poisson rate's ratio under a Gamma prior with mean one and a strength of ``s`` likes, as Clayton
& Kaldor (1987) smooth rates. Each field has the strength that best foretells the likes of people who are left out of
all counts, and a field that tells nothing of taste has none. Fields tell of each other (occupation of age), so a
person's lift is a share of the sum over fields. It is chosen the same way, and is 0 unless those left out are foretold
better by more than a standard error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from coldstart.entities import Value
from coldstart.learning.groups import MOST_FIELDS, Field

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

STRENGTHS = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
"""Among these each field's is chosen, in likes."""

SHARES = (0.25, 0.5, 0.75, 1.0)
"""Among these the share of all fields' sum is chosen."""

FEWEST = 5
"""Values that fewer people share say nothing."""

JUDGES = 300
"""How many people are foretold at most."""

_ITEMS = 4000  # by which people are foretold: those that most like


@dataclass(frozen=True, slots=True)
class Trust:
    """How far what people say of themselves is trusted.

    Attributes:
        strengths: Of the fields that tell of taste, in likes.
        share: Of their sum, 0 to 1.
        gain: In nats a like, by how much the people left out were foretold better.
        error: The standard error of that.
        people: How many they were.
    """

    strengths: Mapping[str, float] = field(default_factory=dict)
    share: float = 0.0
    gain: float = 0.0
    error: float = 0.0
    people: int = 0

    def __str__(self) -> str:
        told = ", ".join(self.strengths) if self.share else "nothing"
        return f"{told} (a like is {self.gain:+.3f} +- {self.error:.3f} nats likelier, for {self.people} people)"

    def state(self) -> dict[str, Any]:
        """Return it as plain values; see :meth:`of`."""
        return {name: getattr(self, name) for name in Trust.__slots__} | {"strengths": dict(self.strengths)}

    @classmethod
    def of(cls, state: Mapping[str, Any] | None) -> Trust:
        """Return what :meth:`state` gave; no trust for None.

        Raises:
            ValueError: It is something else.
        """
        if state is None:
            return cls()
        try:
            strengths = {str(name): float(strength) for name, strength in state["strengths"].items()}
            share, gain, error = (float(state[name]) for name in ("share", "gain", "error"))
            people = int(state["people"])
        except (KeyError, TypeError, AttributeError) as problem:
            raise ValueError(f"no trust in what people say of themselves: {problem!r}") from problem
        if not np.isfinite([*strengths.values(), share, gain, error]).all() or not all(
            one > 0 for one in strengths.values()
        ):
            raise ValueError("a strength isn't a number > 0, or a share isn't finite")
        return cls(strengths, share, gain, error, people)


class _Groups:
    """One field: who said what, and what those like.

    Args:
        said: What each person said; None for nothing.
        likes: Who likes what. A SciPy CSR matrix of shape ``(people, items)``.
    """

    def __init__(self, said: Sequence[Value | None], likes: Any) -> None:
        self._field = Field.of(said)
        values = [self._field.read(value) for value in said]
        counts: dict[str, int] = {}
        for mine in values:
            for value in mine:
                counts[value] = counts.get(value, 0) + 1
        kept = sorted(value for value, count in counts.items() if count >= FEWEST)
        self.places = {value: place for place, value in enumerate(kept)}
        pairs = [(self.places[value], who) for who, mine in enumerate(values) for value in mine if value in self.places]
        groups, people = np.array(pairs, np.int64).reshape(-1, 2).T
        self.members = sparse.csr_matrix((np.ones(len(pairs)), (groups, people)), shape=(len(kept), len(said)))
        self.liked = sparse.csr_matrix(self.members @ likes)
        self.totals = np.asarray(self.liked.sum(1), np.float64).ravel()
        answered = np.array([float(bool(mine)) for mine in values])
        everyone = np.asarray(likes.T @ answered, np.float64).ravel()
        self.shares = everyone / max(everyone.sum(), 1.0)
        self._kept: dict[tuple[int, float], Floats] = {}

    def of(self, value: Value | None) -> list[int]:
        """Return the places of the groups that a value belongs to."""
        return [self.places[one] for one in self._field.read(value) if one in self.places]

    def lifts(self, group: int, strength: float) -> Floats:
        """Return the logarithms of a group's lifts. Shape: ``(items,)``."""
        key = (group, strength)
        if key not in self._kept:
            if len(self._kept) >= 64:
                self._kept.clear()
            seen = np.asarray(self.liked[[group]].todense(), np.float64).ravel()
            self._kept[key] = np.log((seen + strength) / (self.totals[group] * self.shares + strength))
        return self._kept[key]


class Demographics:
    """The lifts of a platform's groups of people.

    Args:
        likes: Who likes what. A SciPy CSR matrix of shape ``(people, items)``.
        said: What each person said of themselves, by field; empty for nothing. As many as there are people.
    """

    def __init__(self, likes: Any, said: Sequence[Mapping[str, Value]]) -> None:
        names = sorted({name for mine in said for name in mine})
        self._likes = likes
        self._fields = {name: _Groups([mine.get(name) for mine in said], likes) for name in names[:MOST_FIELDS]}
        self._fields = {name: groups for name, groups in self._fields.items() if len(groups.places) > 1}

    def lifts(self, attributes: Mapping[str, Value], trust: Trust, rows: Rows | None = None) -> Floats | None:
        """Return the logarithm of what someone's chances are multiplied by; None if nothing is known of the like.

        Args:
            attributes: What they say of themselves.
            trust: How far that is trusted.
            rows: Of which items; those that came later have none that is known: 0. None for all. Shape: ``(rows,)``.

        Returns:
            Shape: ``(rows,)``.
        """
        rows = np.arange(self._likes.shape[1]) if rows is None else rows
        there = rows < self._likes.shape[1]
        known = rows[there]
        total: Floats | None = None
        for groups, strength, mine in self._groups(attributes, trust):
            found = np.mean([groups.lifts(group, strength)[known] for group in mine], axis=0)
            total = found if total is None else total + found
        if total is None:
            return None
        lifted = np.zeros(len(rows))
        lifted[there] = trust.share * total
        return lifted

    def liked(self, attributes: Mapping[str, Value], trust: Trust) -> Rows:
        """Return the items that someone in a person's groups likes, rising: no other's chances are lifted."""
        of_groups = (groups.liked[mine].indices for groups, _, mine in self._groups(attributes, trust))
        return np.unique(np.concatenate([np.empty(0, np.int64), *of_groups])).astype(np.int64)

    def _groups(self, attributes: Mapping[str, Value], trust: Trust) -> Iterator[tuple[_Groups, float, list[int]]]:
        """Yield the trusted fields that someone filled in as others did, with their strengths and the groups."""
        for name, strength in trust.strengths.items() if trust.share else ():
            groups = self._fields.get(name)
            mine = groups.of(attributes[name]) if groups is not None and name in attributes else []
            if groups is not None and mine:
                yield groups, strength, mine

    def trusted(self, *, seed: int = 0) -> Trust:
        """Return how far the fields foretell the likes of people who are left out of the counts.

        Args:
            seed: Of the draw of those people.
        """
        able = np.flatnonzero(np.diff(self._likes.indptr))
        judges = np.random.default_rng(seed).permutation(able)[:JUDGES]
        counts = np.asarray(self._likes.sum(0), np.float64).ravel()
        rows = np.sort(np.argsort(-counts, kind="stable")[:_ITEMS])
        rows = rows[counts[rows] > 0]
        if len(judges) < 2 * FEWEST or not self._fields:
            return Trust()
        own = np.asarray(self._likes[judges][:, rows].todense(), np.float64)
        judged = own.sum(1) > 0
        judges, own = judges[judged], own[judged]
        base = counts[rows] - own  # what everyone else likes
        strengths: dict[str, float] = {}
        total = np.zeros_like(own)
        for name, groups in self._fields.items():
            tried = [_left_out(groups, judges, own, rows, strength) for strength in STRENGTHS]
            gains = [_gain(own, base, lifts).mean() for lifts in tried]
            best = int(np.argmax(gains))
            if gains[best] > 0:
                strengths[name] = STRENGTHS[best]
                total += tried[best]
        gained = [_gain(own, base, share * total) for share in SHARES]
        best = int(np.argmax([one.mean() for one in gained]))
        gain, error = float(gained[best].mean()), float(gained[best].std() / np.sqrt(len(judges)))
        share = SHARES[best] if gain > error else 0.0
        return Trust(strengths if share else {}, share, round(gain, 5), round(error, 5), len(judges))


def _left_out(groups: _Groups, judges: Rows, own: Floats, rows: Rows, strength: float) -> Floats:
    """Return the lifts of people from all others' likes. Shape: ``(judges, rows)``."""
    found = np.zeros_like(own)
    members = groups.members.tocsc()
    seen = np.asarray(groups.liked[:, rows].todense(), np.float64)
    totals = np.asarray(own.sum(1))
    for place, judge in enumerate(judges.tolist()):
        mine = members.indices[members.indptr[judge] : members.indptr[judge + 1]]
        if len(mine):
            likes = seen[mine] - own[place]
            expected = np.outer(np.maximum(groups.totals[mine] - totals[place], 0.0), groups.shares[rows])
            found[place] = np.log((np.maximum(likes, 0.0) + strength) / (expected + strength)).mean(0)
    return found


def _gain(own: Floats, base: Floats, lifts: Floats) -> Floats:
    """Return by how many nats lifts make each person's likes likelier, a like. Shape: ``(people,)``."""
    share = base / base.sum(1, keepdims=True)
    whole = np.log((share * np.exp(lifts)).sum(1))
    gains: Floats = (own * lifts).sum(1) / own.sum(1) - whole
    return gains
