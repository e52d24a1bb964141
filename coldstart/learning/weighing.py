"""Weighing: how much each kind of evidence counts, chosen by simulated cold start on the platform's own people.

People are hidden as if they had just come: some of their likes are shown, the others are the truth, and nothing of
theirs is in any count. Each weights ``w`` of a grid gain ``g_w`` in NDCG@10 over the shipped ones, paired by person,
and their mean by exponential weights (Dalalyan & Tsybakov 2008) is taken,

    sum_w w p_w exp(g_w / t) / sum_w p_w exp(g_w / t)

where ``t`` is the usual standard error of a gain, and ``p`` favours the shipped weights and those near them: without
evidence little moves. What that is worth is judged by cross-fitting, half of the people choosing and the other half
judging, and the weights go from the shipped ones only as far as it is likelier that this helps than that it harms: not
at all where the judges lost by it. The penalty of the linear model is chosen with them, for all numbers of likes at
once: that with the greatest evidence, the sum above without its ``w``.

What ranks a few first of very many isn't what orders a short list best: there, words count more beside what others
like. How many times more is chosen in the same way on lists of :data:`LENGTH` items, one that the person likes among
others that are drawn evenly, with the weights above; between that length and the whole catalogue it is interpolated in
the logarithms of both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp, ndtr

from coldstart.learning.demographics import Trust
from coldstart.learning.neighbours import PENALTY

Floats = NDArray[np.floating]
Dealt = Sequence[tuple[int, NDArray[np.int64], NDArray[np.int64]]]
"""People, some of their likes to show, and the others."""

NAMES = ("neighbours", "linear", "words")
"""What is weighed: two item-item models, in weights of what others like, and the share of words' usual weights."""

SHIPPED = (0.0, 0.0, 1.0)
"""The weights before anything is learned."""

GRID = tuple(product((0.0, 0.1, 0.3), (0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 4.0), (1.0, 0.5, 1.5)))
"""With the last of its weights the linear model decides nearly alone."""

PENALTIES = (100.0, 300.0, 1000.0, 3000.0)
"""Among these that of the linear model is chosen: Steck's range for data of very different size."""

STAYING = 0.5
"""How likely the shipped weights are before any evidence."""

NEAR = 0.15
"""At what weight a model is a third as likely beforehand as at none, with a tail that reaches models alone; a step of
words counts as much."""

TAIL = 1.5
"""How fast what is likely beforehand falls with a weight, as a power: heavy, since on some data one model is all."""

ANCHORS = (1, 5, 15)
"""For how many known likes weights are chosen; between, they are interpolated in the logarithm of one more."""

FEWEST = 20
"""With fewer people to simulate nothing is chosen."""

TIMES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""How many times their weight words count in short lists: what is tried."""

LENGTH = 20
"""How many items those lists hold."""

LISTS = 4
"""How many lists each simulated person is shown."""

DEPTH = 10
_DRAWS = 3
_POOL = 60  # what is among so many first at no corner of the grid is among the first ten nowhere in it, or hardly
_CORNERS = tuple(product((0.0, 0.3), (0.0, 0.6, 4.0), (0.5, 1.5)))


@dataclass(frozen=True, eq=False, slots=True)
class Simulated:
    """People as if they had just come, and what each kind of evidence says to them.

    Attributes:
        who: Which person each is; the same person may be simulated with other likes. Shape: ``(people,)``.
        base: What counts in any case: what others like. Shape: ``(people, items)``.
        neighbours: With the weight of what others like. Shape: ``(people, items)``.
        linear: The same, by each of :data:`PENALTIES`. Shape: ``(penalties, people, items)``.
        words: With its usual weights.
        liked: What they turn out to like. Shape: ``(people, items)``.
        shown: What is known that they like, and isn't ranked. Shape: ``(people, items)``.
        short: What each kind of evidence says of short lists, in the order of base, words, neighbours and each linear
            model; the item that the person likes is the last of a list. None if the catalogue is no longer itself.
            Shape: ``(people, lists, kinds, LENGTH)``.
    """

    who: NDArray[np.int64]
    base: Floats
    neighbours: Floats
    linear: Floats
    words: Floats
    liked: NDArray[np.bool_]
    shown: NDArray[np.bool_]
    short: Floats | None = None


@dataclass(frozen=True, slots=True)
class Chosen:
    """What was chosen for one number of known likes.

    Attributes:
        likes: That number.
        weights: By the order of :data:`NAMES`, after shrinking.
        people: How many were simulated.
        gain: In NDCG@10, judged by people who had no part in choosing.
        error: The standard error of that.
        share: How much likelier this is a gain than a loss: how far from the shipped weights it went, 0 to 1.
        times: How many times more words count in lists of :data:`LENGTH` items, after shrinking.
    """

    likes: int
    weights: tuple[float, ...]
    people: int
    gain: float
    error: float
    share: float
    times: float = 1.0

    def __str__(self) -> str:
        """Say it for people.

        >>> print(Chosen(5, (0.03, 0.05, 0.97), 200, 0.0057, 0.0049, 0.75))
        neighbours 0.03, linear 0.05, words 0.97 (NDCG@10 +0.006 +- 0.005 for 200 simulated people)
        """
        told = ", ".join(f"{name} {weight:g}" for name, weight in zip(NAMES, self.weights, strict=True))
        told += f", in short lists {self.times:g} times that" if self.times != 1.0 else ""
        return f"{told} (NDCG@10 {self.gain:+.3f} +- {self.error:.3f} for {self.people} simulated people)"


@dataclass(frozen=True, slots=True)
class Weighing:
    """The weights that were chosen, by how much is known of a person.

    Attributes:
        chosen: By rising number of likes; may be empty.
        likes: How many likes the platform had.
        penalty: Of the linear model.
        trust: How far what people say of themselves tells what they like.
        described: How many people had said something of themselves.
    """

    chosen: tuple[Chosen, ...] = ()
    likes: int = 0
    penalty: float = PENALTY
    trust: Trust = field(default_factory=Trust)
    described: int = 0

    def at(self, likes: float) -> dict[str, float]:
        """Return the weights for someone of whom that many likes are known; the shipped ones for none."""
        places = np.log1p([0, *(one.likes for one in self.chosen)])
        known = np.array([SHIPPED, *(one.weights for one in self.chosen)])
        return {name: float(np.interp(np.log1p(likes), places, known[:, at])) for at, name in enumerate(NAMES)}

    def times(self, likes: float, *, ranked: int, items: int) -> float:
        """Return how many times their usual weight words count in a list for someone.

        Args:
            likes: How many are known of them.
            ranked: How long the list is that is ordered.
            items: How many the catalogue holds.
        """
        places = np.log1p([0, *(one.likes for one in self.chosen)])
        known = np.log([1.0, *(one.times for one in self.chosen)])
        return float(np.exp(shortness(ranked, items) * np.interp(np.log1p(likes), places, known)))

    def uses(self, name: str) -> bool:
        """Return whether anything that isn't words counts for anyone."""
        return any(one.weights[NAMES.index(name)] > 0 for one in self.chosen)

    def state(self) -> dict[str, Any]:
        """Return it as plain values; see :meth:`of`."""
        chosen = [{**{name: getattr(one, name) for name in Chosen.__slots__}} for one in self.chosen]
        told = {"likes": self.likes, "chosen": chosen, "penalty": self.penalty}
        return {**told, "trust": self.trust.state(), "described": self.described}

    @classmethod
    def of(cls, state: Mapping[str, Any] | None) -> Weighing:
        """Return what :meth:`state` gave; nothing chosen for None.

        Raises:
            ValueError: It is something else.
        """
        try:
            told = state or {"chosen": (), "likes": 0}
            found = tuple(Chosen(**{**one, "weights": tuple(map(float, one["weights"]))}) for one in told["chosen"])
            if any(len(one.weights) != len(NAMES) or not np.isfinite(one.weights).all() for one in found):
                raise ValueError("a weight is missing or isn't finite")
            penalty = float(told.get("penalty", PENALTY))
            if not 0.0 < penalty < np.inf:
                raise ValueError(f"a penalty of {penalty!r}, expected a number > 0")
            return cls(found, int(told["likes"]), penalty, Trust.of(told.get("trust")), int(told.get("described", 0)))
        except (KeyError, TypeError, AttributeError) as problem:
            raise ValueError(f"no weighing: {problem!r}") from problem


def shortness(ranked: int, items: int) -> float:
    """Return how short a list is to be ordered: 0 for a whole catalogue, 1 for :data:`LENGTH` items or fewer.

    >>> [round(shortness(ranked, 2000), 2) for ranked in (2000, 200, 20, 1)]
    [0.0, 0.5, 1.0, 1.0]
    """
    if items <= LENGTH or ranked >= items:
        return 0.0
    return float(min(np.log(items / max(ranked, 1)) / np.log(items / LENGTH), 1.0))


def choose(people: Mapping[int, Simulated]) -> tuple[tuple[Chosen, ...], float]:
    """Return the weights for people of whom so many likes are known, and the penalty of the linear model.

    Args:
        people: Simulated people by how many of their likes are shown.
    """
    grid = np.array(GRID)
    gains = [np.stack([_gains(one, at, grid) for at in range(len(PENALTIES))]) for one in people.values()]
    first = [np.unique(one.who) % 2 == 0 for one in people.values()]
    best, *halves = (
        _penalty([some[:, among] for some, among in zip(gains, chosen, strict=True)])
        for chosen in ([np.ones_like(half) for half in first], first, [~half for half in first])
    )
    found = []
    for (likes, one), some, half in zip(people.items(), gains, first, strict=True):
        means = [_mean(some[at, among]) for at, among in zip(halves, (half, ~half), strict=True)]
        judged = [_gains(one, at, mean[None])[:, 0] for at, mean in zip(halves, means, strict=True)]
        chosen = _settled(likes, _mean(some[best]), np.where(half, judged[1], judged[0]))
        found.append(replace(chosen, times=_times(one, best, chosen.weights, half)))
    return tuple(found), PENALTIES[best]


def _times(people: Simulated, penalty: int, weights: Sequence[float], half: NDArray[np.bool_]) -> float:
    """Return how many times more words count in short lists, as far as judges gained by what others chose.

    Args:
        people: Simulated ones.
        penalty: The place of the linear model's.
        weights: What was chosen for long lists.
        half: Which people choose; the others judge, and the other way round. Shape: ``(people,)``.
    """
    if people.short is None:
        return 1.0
    base, words, neighbours, *linear = np.moveaxis(people.short, 2, 0)
    said = np.stack([base + weights[0] * neighbours + weights[1] * linear[penalty], weights[2] * words])
    tried = _by_person(people.who, _ordered(said, TIMES))
    gains = tried[:, 1:] - tried[:, :1]
    steps = [_step(gains[among]) for among in (half, ~half)]
    judged = _by_person(people.who, _ordered(said, (1.0, *np.exp(steps))))
    judged = np.where(half, judged[:, 2], judged[:, 1]) - judged[:, 0]
    gain, error = float(judged.mean()), float(judged.std() / np.sqrt(len(judged)))
    share = max(0.0, 2.0 * float(ndtr(gain / error)) - 1.0) if error > 0 else 0.0
    return round(float(np.exp(share * _step(gains))), 4)


def _ordered(said: Floats, times: Sequence[float]) -> Floats:
    """Return each person's mean NDCG@10 over short lists, words counting so many times. Shape: ``(people, times)``."""
    found = []
    for each in times:
        scores = said[0] + each * said[1]
        last, others = scores[..., -1:], scores[..., :-1]
        rank = (others > last).sum(2) + 0.5 * (others == last).sum(2)
        found.append(np.where(rank < DEPTH, 1.0 / np.log2(rank + 2.0), 0.0).mean(1))
    return np.stack(found, axis=1)


def _step(gains: Floats) -> float:
    """Return the mean, by exponential weights, of the logarithm of the times that were tried; 0 without people."""
    if not len(gains):
        return 0.0
    prior = np.log([STAYING, *[(1.0 - STAYING) / (len(TIMES) - 1)] * (len(TIMES) - 1)])
    odds = prior + np.concatenate([[0.0], gains.mean(0) / _usual_error(gains)])
    share = np.exp(odds - odds.max())
    return float((share / share.sum()) @ np.log(TIMES))


def _settled(likes: int, weights: Floats, gained: Floats) -> Chosen:
    """Go from the shipped weights as far towards others as what judges gained by such allows."""
    gain, error = float(gained.mean()), float(gained.std() / np.sqrt(len(gained)))
    share = max(0.0, 2.0 * float(ndtr(gain / error)) - 1.0) if error > 0 else 0.0
    shipped = np.array(SHIPPED)
    weights = np.round(shipped + share * (weights - shipped), 4)
    return Chosen(likes, tuple(weights.tolist()), len(gained), round(gain, 5), round(error, 5), round(share, 4))


def _gains(people: Simulated, penalty: int, grid: Floats) -> Floats:
    """Return what each person gains in NDCG@10 over the shipped weights. Shape: ``(people, grid)``."""
    tried = np.vstack([SHIPPED, grid])
    quality = _by_person(people.who, _each(people, penalty, tried))
    return np.asarray(quality[:, 1:] - quality[:, :1])


def _penalty(gains: Sequence[Floats]) -> int:
    """Return which penalty has the greatest evidence, over all numbers of known likes.

    Args:
        gains: For each number. Shape: ``(penalties, people, grid)``.
    """
    evidence = np.zeros(len(PENALTIES))
    for some in gains:
        if some.shape[1]:
            usual = _usual_error(np.concatenate(some, axis=1))
            evidence += [float(logsumexp(_prior() + one.mean(0) / usual)) for one in some]
    return int(evidence.argmax())


def _each(people: Simulated, penalty: int, grid: Floats) -> Floats:
    """Return each simulated person's NDCG@10 by each weights of a grid. Shape: ``(simulated, grid)``."""
    return np.array([_one(people, penalty, place, grid) for place in range(len(people.who))])


def _by_person(who: NDArray[np.int64], values: Floats) -> Floats:
    """Return each person's mean. Shape: ``(simulated, any)`` to ``(people, any)``."""
    people, place = np.unique(who, return_inverse=True)
    found = np.zeros((len(people), values.shape[1]))
    np.add.at(found, place, values)
    return np.asarray(found / np.bincount(place)[:, None])


def _prior() -> Floats:
    """Return how likely each weights of the grid are beforehand, as a logarithm. Shape: ``(grid,)``."""
    grid = np.array(GRID)
    prior = np.exp(-2.0 * np.abs(grid[:, 2] - 1.0)) / np.prod(1.0 + grid[:, :2] / NEAR, axis=1) ** TAIL
    prior[GRID.index(SHIPPED)] = 0.0
    prior *= (1.0 - STAYING) / prior.sum()
    prior[GRID.index(SHIPPED)] = STAYING
    return np.asarray(np.log(prior))


def _usual_error(gains: Floats) -> float:
    """Return the usual standard error of a gain; 1 where none of the grid changes anything."""
    error = gains.std(0) / np.sqrt(len(gains))
    return float(np.median(error[error > 0])) if (error > 0).any() else 1.0


def _mean(gains: Floats) -> Floats:
    """Return the mean of the grid by exponential weights; the shipped ones without people. Shape: ``(3,)``."""
    if not len(gains):
        return np.array(SHIPPED)
    odds = _prior() + gains.mean(0) / _usual_error(gains)
    share = np.exp(odds - odds.max())
    return np.asarray((share / share.sum()) @ np.array(GRID))


def _one(people: Simulated, penalty: int, place: int, grid: Floats) -> Floats:
    """Return one person's NDCG@10 by each weights of a grid. Shape: ``(grid,)``."""
    base, liked, shown = people.base[place], people.liked[place], people.shown[place]
    parts = np.stack([people.neighbours[place], people.linear[penalty, place], people.words[place]])
    pool: set[int] = set()
    for weights in _CORNERS:
        scores = np.where(shown, -np.inf, base + np.array(weights) @ parts)
        pool.update(np.argpartition(-scores, min(_POOL, len(scores) - 1))[:_POOL].tolist())
    rows = np.array(sorted(pool), np.int64)
    rows = rows[~shown[rows]]
    scores = base[rows] + grid @ parts[:, rows]
    best = np.argpartition(-scores, min(DEPTH, scores.shape[1] - 1), axis=1)[:, :DEPTH]
    inner = np.argsort(-np.take_along_axis(scores, best, 1), axis=1, kind="stable")
    order = np.take_along_axis(best, inner, 1)
    discounts = 1.0 / np.log2(np.arange(2, DEPTH + 2))
    found = liked[rows][order] @ discounts[: order.shape[1]]
    ideal = discounts[: max(1, min(int(liked.sum()), DEPTH))].sum()
    return np.asarray(found / ideal)


def deal(likes: Any, shown: int, *, people: int, seed: int) -> Dealt:
    """Return people, some of their likes to show, and the others; drawn with a seed.

    Those take part who like at least three more items than are shown; where they are few, each with several draws.

    Args:
        likes: Who likes what. A SciPy CSR matrix.
        shown: How many likes to show.
        people: How many people at most.
        seed: Of the draw.
    """
    rng = np.random.default_rng([seed, shown])
    able = np.flatnonzero(np.diff(likes.indptr) >= shown + 3)
    dealt = []
    drawn = np.concatenate([rng.permutation(able) for _ in range(_DRAWS)])[: max(people, 0)]
    for person in drawn.tolist():
        liked = rng.permutation(likes.indices[likes.indptr[person] : likes.indptr[person + 1]]).astype(np.int64)
        dealt.append((person, liked[:shown], liked[shown:]))
    return dealt
