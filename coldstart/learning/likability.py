"""How much better or worse an item is liked than was expected of it: a Bayesian logistic model of items.

People say of item ``i`` that they like it with log-odds ``e_i + c + v_i . b + o_i``: what was expected, a constant,
what the item's words say and what is the item's own,

    b ~ N(0, s_w I),        o_i ~ N(0, s_o),        c ~ N(0, 1).

Verdicts of one item enter by their sums alone, so that the work grows with the items and the square of the vectors'
length, and not with who judged what. The mode is found by Newton's method; ``s_w`` and ``s_o`` are chosen by Laplace's
evidence (Rasmussen & Williams 2006, section 3.4) times exponential priors, so that verdicts that tell items no
further apart than chance does move nothing. The constant belongs to who judged, and isn't part of what an item is.
Nor does it count how the same people judged other items: on validation rows, taking each person's other verdicts as
part of ``e`` made probabilities worse than leaving people out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

AMPLITUDES = (0.0, 0.1, 0.3, 1.0, 2.0)
"""The variances, in squared nats, that words (of unit length) and what is an item's own are tried with."""

_STEPS = 8
_PASSES = 2
_CALM = 1e-4


@dataclass(frozen=True, eq=False, slots=True)
class Verdicts:
    """What people said of items.

    Attributes:
        rows: The items. Shape: ``(verdicts,)``.
        liked: What was said. Shape: ``(verdicts,)``.
    """

    rows: Rows
    liked: NDArray[np.bool_]

    @classmethod
    def none(cls) -> Verdicts:
        """Return what nobody said."""
        return cls(np.empty(0, np.int64), np.empty(0, np.bool_))

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def agree(self) -> bool:
        """Whether all of them are the same, or there are none: then they tell nothing apart."""
        return bool(self.liked.all() or not self.liked.any())


def log_ratio(likes: ArrayLike, dislikes: ArrayLike) -> Floats:
    """Return the log-odds of people's likes against their dislikes, one added to each."""
    return np.asarray(np.log((np.asarray(likes) + 1.0) / (np.asarray(dislikes) + 1.0)))


@dataclass(frozen=True, eq=False, slots=True)
class Likability:
    """What verdicts tell of items, in log-odds; nothing of any before a verdict.

    Attributes:
        effect: The posterior mean. Shape: ``(items,)``.
        variance: The posterior variance. Shape: ``(items,)``.
        own: ``s_o``.
        words: ``s_w``.
    """

    effect: Floats
    variance: Floats
    own: float = 0.0
    words: float = 0.0


def fit(verdicts: Verdicts, expected: Floats, vectors: NDArray[np.floating]) -> Likability:
    """Return what verdicts tell of items.

    Args:
        verdicts: May be none.
        expected: ``e``, log-odds. Shape: ``(verdicts,)``.
        vectors: Every item's, of about unit length. Shape: ``(items, dimension)``.
    """
    count = len(vectors)
    nothing = Likability(np.zeros(count), np.zeros(count))
    if verdicts.agree:
        return nothing
    judged, place = np.unique(verdicts.rows, return_inverse=True)
    design = np.column_stack([vectors[judged].astype(np.float64), np.ones(len(judged))])
    problem = _Problem(design, place, verdicts.liked.astype(np.float64), expected)
    found = problem.mode(0.0, 0.0)
    for _ in range(_PASSES):
        for tried in (*((own, found.words) for own in AMPLITUDES), *((found.own, words) for words in AMPLITUDES)):
            step = problem.mode(*tried)
            if step.evidence > found.evidence + _CALM:
                found = step
    return nothing if found.own == found.words == 0.0 else _everywhere(found, judged, vectors)


@dataclass(frozen=True, eq=False, slots=True)
class _Mode:
    """The most likely effects, with the coefficients and own parts that make them up.

    Attributes:
        effects: With the constant. Shape: ``(judged,)``.
        coefficients: In prior deviations; the constant's last. Shape: ``(dimension + 1,)``.
        factor: Cholesky's, of the coefficients' precision.
        pull: What is the items' own. Shape: ``(judged,)``.
        weight: Each item's curvature. Shape: ``(judged,)``.
        evidence: Laplace's, and the amplitudes' prior.
    """

    effects: Floats
    coefficients: Floats
    factor: Floats
    pull: Floats
    weight: Floats
    evidence: float
    own: float
    words: float


@dataclass(frozen=True, eq=False, slots=True)
class _Problem:
    """Verdicts by judged item; ``design`` is the items' vectors and a column of ones."""

    design: Floats
    place: Rows
    liked: Floats
    expected: Floats

    def mode(self, own: float, words: float) -> _Mode:
        """Return the mode for these amplitudes."""
        deviations = np.full(self.design.shape[1], np.sqrt(words))
        deviations[-1] = 1.0
        scaled = self.design * deviations if words else self.design[:, -1:]
        effects = np.zeros(len(scaled))
        for _ in range(_STEPS):
            before, (_, gradient, weight) = effects, self._at(effects)
            left = weight / (1.0 + own * weight)  # what an item's own part leaves of its precision
            factor = cholesky(np.eye(scaled.shape[1]) + (scaled * left[:, None]).T @ scaled, lower=True)
            seen = effects + gradient / weight
            coefficients = cho_solve((factor, True), scaled.T @ (left * seen))
            common = scaled @ coefficients
            pull = own * left * (seen - common)
            effects = common + pull
            if np.abs(effects - before).max() < _CALM:
                break
        fitted, gradient, weight = self._at(effects)
        volume = np.log1p(own * weight).sum() + 2.0 * np.log(np.diag(factor)).sum()
        evidence = float(fitted - 0.5 * effects @ gradient - 0.5 * volume) - own - words
        return _Mode(effects, coefficients, factor, pull, weight, evidence, own, words)

    def _at(self, effects: Floats) -> tuple[float, Floats, Floats]:
        """Return the log-likelihood of these effects, and each item's gradient and curvature, ``(judged,)``."""
        odds = np.clip(self.expected + effects[self.place], -30, 30)
        chance = 1.0 / (1.0 + np.exp(-odds))
        size = len(effects)
        gradient: Floats = np.bincount(self.place, self.liked - chance, size).astype(np.float64)
        weight: Floats = np.maximum(np.bincount(self.place, chance * (1.0 - chance), size), 1e-9)
        return float(-np.logaddexp(0.0, np.where(self.liked > 0, -odds, odds)).sum()), gradient, weight


def _everywhere(mode: _Mode, judged: Rows, vectors: NDArray[np.floating]) -> Likability:
    """Return the posterior of all items, without the constant."""
    effect, open_ = np.zeros(len(vectors)), np.ones(len(vectors))
    open_[judged] = 1.0 / (1.0 + mode.own * mode.weight)  # the share of an item's own variance that is left
    across = (open_ - 1.0)[:, None]  # an item's own effect moves against the constant, and against its words
    if mode.words:
        scaled = np.sqrt(mode.words) * vectors.astype(np.float64)
        effect += scaled @ mode.coefficients[:-1]
        across = np.column_stack([open_[:, None] * scaled, across])
    effect[judged] += mode.pull
    spread = (solve_triangular(mode.factor, across.T, lower=True) ** 2).sum(0)
    return Likability(effect, mode.own * open_ + spread, mode.own, mode.words)
