"""How likely a yes is: a prior from what is known without examples, corrected by answered ones.

The log-odds of "this person likes this item" are a Gaussian process (Rasmussen & Williams, "Gaussian Processes for
Machine Learning", 2006, chapter 3). Its mean, ``f . w0`` and what others' verdicts tell of the item (see
:mod:`coldstart.learning.likability`), needs no examples. Its covariance says in which ways that may be wrong: in the
weights of ``f``; by item, by items with like words, by people with like words, and by the two together. How much of
each is chosen by the evidence of the examples (Laplace's approximation, algorithm 3.1), so that few examples move
little, and a way in which they don't differ moves nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky

Floats = NDArray[np.float64]

EXPECTED = np.array([0.0, 1.1, 0.15, 0.05, 0.0])
"""``w0``: of a constant, of the person's likes against dislikes, of the item's standing with anyone and with them, and
of the language model's answer in nats.

Set on TALLRec's validation rows of films, where people judge what they chose to see: there, closeness to what they
like tells little of whether they will like it.
"""

WEIGHTS_MAY_MOVE = np.array([0.3, 0.1, 0.1, 0.1, 0.3])
"""The standard deviation of each weight around that: how many say yes at all differs more than what makes them."""

AMPLITUDES = (0.0, 0.1, 0.3, 1.0, 3.0)
"""The variances, in squared nats, that each way of being wrong is tried with."""

LEAST = 0.1
"""The least variance of items: no two are liked alike."""

FIRMNESS = 2.0
"""The rate of the exponential prior of each variance: a spurious one of 3 would have to be worth six nats."""

MOST = 2000
"""With more examples than this the last ones are used: the work grows with their third power."""

_STEPS = 50
_CALM = 1e-6
_PASSES = 2


@dataclass(frozen=True, eq=False, slots=True)
class Asked:
    """Pairs of a person and an item.

    Attributes:
        features: ``f``: 1, the log-odds of the person's likes, the item's standing by appeal or by what others like,
            its standing by what is known of the person, and the language model's answer. Shape: ``(pairs, 5)``.
        rows: The item. Shape: ``(pairs,)``.
        items: The items' unit vectors. Shape: ``(pairs, dimension)``.
        people: Vectors of what is known of the person and the circumstances. Shape: ``(pairs, any)``.
        effects: What others' verdicts tell of the item, in log-odds. Shape: ``(pairs,)``.
        doubts: The variance of that. Shape: ``(pairs,)``.
    """

    features: Floats
    rows: NDArray[np.int64]
    items: Floats
    people: Floats
    effects: Floats
    doubts: Floats

    @property
    def mean(self) -> Floats:
        """The log-odds expected without examples. Shape: ``(pairs,)``."""
        return np.asarray(self.features @ EXPECTED + self.effects)

    def __len__(self) -> int:
        return len(self.rows)

    def last(self, count: int) -> Asked:
        """Return the last pairs, that many."""
        parts = (getattr(self, field.name)[-count:] for field in fields(self))
        return Asked(*parts)


@dataclass(frozen=True, eq=False, slots=True)
class Calibration:
    """What examples taught; without any, the prior.

    Attributes:
        examples: None before any.
        pull: ``d log p(y | f) / d f`` at the mode. Shape: ``(examples,)``.
        root: The Cholesky factor of ``I + W^1/2 K W^1/2``. Shape: ``(examples, examples)``.
        weights: ``W^1/2``. Shape: ``(examples,)``.
        amplitudes: Of items, of items' words, of people's words, and of both together.
    """

    examples: Asked | None = None
    pull: Floats | None = None
    root: Floats | None = None
    weights: Floats | None = None
    amplitudes: tuple[float, ...] = ()

    def probability(self, asked: Asked) -> Floats:
        """Return the chance of a yes, averaged over what is uncertain (MacKay 1992, eq. 10). Shape: ``(pairs,)``."""
        mean = asked.mean
        own = _own(asked, self.amplitudes)
        if self.examples is None or self.pull is None or self.root is None or self.weights is None:
            return _squash(mean / np.sqrt(1.0 + np.pi * own / 8.0))
        across = _covariance(asked, self.examples, self.amplitudes)
        mean = mean + across @ self.pull
        solved = cho_solve((self.root, True), (across * self.weights).T)
        variance = np.maximum(own - ((across * self.weights).T * solved).sum(0), 0.0)
        return _squash(mean / np.sqrt(1.0 + np.pi * variance / 8.0))


def fit(examples: Asked, liked: NDArray[np.bool_]) -> Calibration:
    """Return what answered pairs teach; the prior for none."""
    if len(liked) == 0:
        return Calibration()
    examples = examples.last(MOST)
    signs = np.where(liked[-MOST:], 1.0, -1.0)
    best = [LEAST, *[0.0] * (len(_KERNELS) - 1)]
    parts = [kernel(examples, examples) for kernel in _KERNELS]
    linear = _linear(examples, examples)

    def evidence(amplitudes: Sequence[float]) -> float:
        total = linear + sum(a * part for a, part in zip(amplitudes, parts, strict=True))
        return _mode(total, signs, examples.mean)[3] - FIRMNESS * sum(amplitudes)

    now = evidence(best)
    for _ in range(_PASSES):
        for place in range(len(best)):
            for amplitude in AMPLITUDES if place else AMPLITUDES[AMPLITUDES.index(LEAST) :]:
                tried = [*best[:place], amplitude, *best[place + 1 :]]
                if tried != best and (found := evidence(tried)) > now + _CALM:
                    best, now = tried, found
    pull, root, weights, _ = _mode(
        linear + sum(a * part for a, part in zip(best, parts, strict=True)), signs, examples.mean
    )
    return Calibration(examples, pull, root, weights, tuple(best))


def _mode(covariance: Floats, signs: Floats, mean: Floats) -> tuple[Floats, Floats, Floats, float]:
    """Find the posterior mode of the log-odds; return its pull, root, weights and the log evidence."""
    size = len(signs)
    latent = np.zeros(size)  # above the mean
    before = -np.inf
    for _ in range(_STEPS):
        chance = _squash(mean + latent)
        weights = np.sqrt(np.maximum(chance * (1.0 - chance), 1e-12))
        root = cholesky(np.eye(size) + weights[:, None] * covariance * weights, lower=True, check_finite=False)
        pull = (signs + 1.0) / 2.0 - chance
        right = weights**2 * latent + pull
        solved = right - weights * cho_solve((root, True), weights * (covariance @ right), check_finite=False)
        latent = covariance @ solved
        fitted = -np.logaddexp(0.0, -signs * (mean + latent)).sum()
        value = float(fitted - 0.5 * solved @ latent - np.log(np.diag(root)).sum())
        if abs(value - before) < _CALM:
            break
        before = value
    chance = _squash(mean + latent)
    return (signs + 1.0) / 2.0 - chance, root, weights, value


def _linear(a: Asked, b: Asked) -> Floats:
    return np.asarray((a.features * WEIGHTS_MAY_MOVE**2) @ b.features.T)


def _same(a: Asked, b: Asked) -> Floats:
    return np.asarray(a.rows[:, None] == b.rows[None], np.float64)


def _words(a: Asked, b: Asked) -> Floats:
    return np.asarray(a.items @ b.items.T)


def _people(a: Asked, b: Asked) -> Floats:
    return np.asarray(a.people @ b.people.T)


def _both(a: Asked, b: Asked) -> Floats:
    return _people(a, b) * (_same(a, b) + _words(a, b)) / 2.0


_KERNELS = (_same, _words, _people, _both)


def _covariance(a: Asked, b: Asked, amplitudes: Sequence[float]) -> Floats:
    total: Floats = _linear(a, b)
    for amplitude, kernel in zip(amplitudes, _KERNELS, strict=False):
        if amplitude:
            total = total + amplitude * kernel(a, b)
    return total


def _own(asked: Asked, amplitudes: Sequence[float]) -> Floats:
    """Return each pair's own variance. Shape: ``(pairs,)``."""
    items, people = (asked.items**2).sum(1), (asked.people**2).sum(1)
    alone = (np.ones(len(asked.rows)), items, people, people * (1.0 + items) / 2.0)
    total = asked.doubts + ((asked.features * WEIGHTS_MAY_MOVE) ** 2).sum(1)
    return np.asarray(total + sum(a * part for a, part in zip(amplitudes, alone, strict=False)))


def _squash(odds: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(odds, -500, 500))))
