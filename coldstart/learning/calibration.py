"""How likely a yes is: a prior from what is known without examples, corrected by answered ones.

The log-odds of "this person likes this item" are a Gaussian process (Rasmussen & Williams, "Gaussian Processes for
Machine Learning", 2006, chapter 3). Its mean, ``f . w0`` and what others' verdicts tell of the item (see
:mod:`coldstart.learning.likability`), needs no examples. Its covariance says in which ways that may be wrong: in the
weights of ``f``; by item, by items with like words; by people, and circumstances, that agree in what they say (a
product of rows for each field by itself, a squared exponential for those who agree in nearly all), or have like words;
and by item and people together. How much of each is chosen by the evidence of the examples (Laplace's approximation,
algorithm 3.1), so that few examples move little, and a way in which they don't differ moves nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky

from coldstart.entities import Value
from coldstart.learning.groups import Agreement

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

CHOOSING = 500
"""So many of them, at most, choose how much each way of being wrong counts."""

SHARP = 8.0
"""How fast people who agree in fewer fields have less in common: those who differ in one of eight, a share of 1 / e."""

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
        said: What the person says of themselves, and of the circumstances, by field. As many as there are pairs.
    """

    features: Floats
    rows: NDArray[np.int64]
    items: Floats
    people: Floats
    effects: Floats
    doubts: Floats
    said: tuple[Mapping[Any, Value], ...]

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
class _Known:
    """Pairs, with what people say as rows whose products say in how much they agree.

    Attributes:
        pairs: The pairs.
        facts: SciPy CSR. Shape: ``(pairs, groups)``.
    """

    pairs: Asked
    facts: Any

    @property
    def says(self) -> Floats:
        """Return 1 for those who say anything. Shape: ``(pairs,)``."""
        return np.asarray(np.diff(self.facts.indptr) > 0, np.float64)


@dataclass(frozen=True, eq=False, slots=True)
class Mode:
    """Where the posterior of answered pairs has its mode.

    Attributes:
        latent: The log-odds above their mean. Shape: ``(examples,)``.
        pull: ``d log p(y | f) / d f``. Shape: ``(examples,)``.
        weights: ``W^1/2``. Shape: ``(examples,)``.
        root: The Cholesky factor of ``I + W^1/2 K W^1/2``. Shape: ``(examples, examples)``.
        evidence: Its logarithm.
    """

    latent: Floats
    pull: Floats
    weights: Floats
    root: Floats
    evidence: float


@dataclass(frozen=True, eq=False, slots=True)
class Taught:
    """What examples taught.

    Attributes:
        agreement: How what people say is read.
        examples: The pairs that were answered.
        amplitudes: How much each kernel counts.
        mode: By these.
    """

    agreement: Agreement
    examples: _Known
    amplitudes: tuple[float, ...]
    mode: Mode


@dataclass(frozen=True, eq=False, slots=True)
class Calibration:
    """From pairs to chances.

    Attributes:
        taught: What examples taught; None without any, which leaves the prior.
    """

    taught: Taught | None = None

    def probability(self, asked: Asked) -> Floats:
        """Return the chance of a yes, averaged over what is uncertain (MacKay 1992, eq. 10). Shape: ``(pairs,)``."""
        mean, variance = asked.mean, _doubt(asked)
        if self.taught is not None:
            amplitudes, mode = self.taught.amplitudes, self.taught.mode
            known = _Known(asked, self.taught.agreement.rows(asked.said))
            across = _covariance(known, self.taught.examples, amplitudes)
            mean = mean + across @ mode.pull
            weighted = (across * mode.weights).T
            told = (weighted * cho_solve((mode.root, True), weighted)).sum(0)
            variance = np.maximum(variance + _own(known, amplitudes) - told, 0.0)
        return _squash(mean / np.sqrt(1.0 + np.pi * variance / 8.0))


def fit(examples: Asked, liked: NDArray[np.bool_]) -> Calibration:
    """Return what answered pairs teach; the prior for none."""
    if len(liked) == 0:
        return Calibration()
    examples, liked = examples.last(MOST), liked[-MOST:]
    agreement = Agreement.of(examples.said)
    known, few = (_Known(pairs, agreement.rows(pairs.said)) for pairs in (examples, examples.last(CHOOSING)))
    amplitudes = _chosen(few, liked[-CHOOSING:])
    mode = _mode(_covariance(known, known, amplitudes), liked, examples.mean)
    return Calibration(Taught(agreement, known, amplitudes, mode))


def _chosen(known: _Known, liked: NDArray[np.bool_]) -> tuple[float, ...]:
    """Return how much each kernel counts: what makes the answers the most evident, one by one and over again."""
    best = [LEAST, *[0.0] * (len(_KERNELS) - 1)]
    parts = [kernel(known, known) for kernel in _KERNELS]
    telling = [place for place, part in enumerate(parts) if part.any()]
    linear, mean, latent = _linear(known, known), known.pairs.mean, np.zeros(len(liked))

    def evidence(amplitudes: Sequence[float]) -> tuple[float, Floats]:
        total = linear + sum(amplitudes[place] * parts[place] for place in telling if amplitudes[place])
        mode = _mode(total, liked, mean, start=latent)
        return mode.evidence - FIRMNESS * sum(amplitudes), mode.latent

    now, latent = evidence(best)
    for _ in range(_PASSES):
        for place in telling:
            for amplitude in AMPLITUDES if place else AMPLITUDES[AMPLITUDES.index(LEAST) :]:
                tried = [*best[:place], amplitude, *best[place + 1 :]]
                if tried == best:
                    continue
                value, there = evidence(tried)
                if value > now + _CALM:
                    best, now, latent = tried, value, there
    return tuple(best)


def _mode(covariance: Floats, liked: NDArray[np.bool_], mean: Floats, *, start: Floats | None = None) -> Mode:
    """Find the posterior's mode (Rasmussen & Williams 2006, algorithm 3.1).

    Args:
        covariance: Shape: ``(examples, examples)``.
        liked: Shape: ``(examples,)``.
        mean: Shape: ``(examples,)``.
        start: Near which it is looked for first; 0 if None. Shape: ``(examples,)``.
    """
    signs = np.where(liked, 1.0, -1.0)
    latent = np.zeros(len(liked)) if start is None else start
    before = -np.inf
    for _ in range(_STEPS):
        chance = _squash(mean + latent)
        weights = np.sqrt(np.maximum(chance * (1.0 - chance), 1e-12))
        scaled = weights[:, None] * covariance
        scaled *= weights
        scaled[np.diag_indices_from(scaled)] += 1.0
        root = cholesky(scaled, lower=True, overwrite_a=True, check_finite=False)
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
    return Mode(latent, (signs + 1.0) / 2.0 - chance, weights, root, value)


def _linear(a: _Known, b: _Known) -> Floats:
    return np.asarray((a.pairs.features * WEIGHTS_MAY_MOVE**2) @ b.pairs.features.T)


def _same(a: _Known, b: _Known) -> Floats:
    return np.asarray(a.pairs.rows[:, None] == b.pairs.rows[None], np.float64)


def _words(a: _Known, b: _Known) -> Floats:
    return np.asarray(a.pairs.items @ b.pairs.items.T)


def _facts(a: _Known, b: _Known) -> Floats:
    return np.asarray((a.facts @ b.facts.T).todense())


def _alike(a: _Known, b: _Known) -> Floats:
    return np.asarray(np.outer(a.says, b.says) * np.exp(-SHARP * (1.0 - _facts(a, b))))


def _facts_and_item(a: _Known, b: _Known) -> Floats:
    return _facts(a, b) * _item(a, b)


def _people(a: _Known, b: _Known) -> Floats:
    return np.asarray(a.pairs.people @ b.pairs.people.T)


def _people_and_item(a: _Known, b: _Known) -> Floats:
    return _people(a, b) * _item(a, b)


def _item(a: _Known, b: _Known) -> Floats:
    return (_same(a, b) + _words(a, b)) / 2.0


_KERNELS = (_same, _words, _facts, _alike, _facts_and_item, _people, _people_and_item)


def _covariance(a: _Known, b: _Known, amplitudes: Sequence[float]) -> Floats:
    total: Floats = _linear(a, b)
    for amplitude, kernel in zip(amplitudes, _KERNELS, strict=True):
        if amplitude:
            total = total + amplitude * kernel(a, b)
    return total


def _own(known: _Known, amplitudes: Sequence[float]) -> Floats:
    """Return each pair's own variance by the kernels. Shape: ``(pairs,)``."""
    asked, says = known.pairs, known.says
    items, people = (asked.items**2).sum(1), (asked.people**2).sum(1)
    either = (1.0 + items) / 2.0
    alone = (np.ones(len(items)), items, says, says, says * either, people, people * either)
    return np.asarray(sum(a * part for a, part in zip(amplitudes, alone, strict=True)))


def _doubt(asked: Asked) -> Floats:
    """Return each pair's variance without examples. Shape: ``(pairs,)``."""
    return np.asarray(asked.doubts + ((asked.features * WEIGHTS_MAY_MOVE) ** 2).sum(1))


def _squash(odds: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(odds, -500, 500))))
