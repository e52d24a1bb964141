r"""What a person may like, as a Gaussian belief over items and chips that answers update in closed form.

Each item and each chip is a *variable*: whether the person likes the item, or would choose the chip. A person chooses a
chip if more of what they like has it than of what people at large like. The variables' means ``m`` are the items'
popularity and the share of people who choose the chip; their covariance ``C`` is that of
:mod:`coldstart.learning.companions`: seen in the platform's people, and shrunk to what vectors let expect. Answers are
observations ``y = H z + noise``, so that what is believed after them is

    m' = m + C H' (H C H' + S)^-1 (y - H m),        C' = C - C H' (H C H' + S)^-1 H C

With no interactions at all it is a belief from words: the vectors are those of the encoder beside which chips an item
has, and popularity is what the language model's appeal lets expect. Only the columns of variables that are asked about
are held.

A question is worth what its answer is expected to add to the chances of the list that is shown: the *knowledge
gradient* (Frazier, Powell and Dayanik, 2009), for the best ``k`` items in place of one. Where several options are
offered at once, answers are drawn from the belief by a Gaussian copula.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.stats import binom, norm

from coldstart.learning import companions
from coldstart.learning.platform import Platform
from coldstart.onboarding.facets import Chip

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

WORDS = 0.5
"""Of the likeness that words let expect, the share that is the encoder's; the rest is having the same chips."""

KNOWN = 10
"""How many liked things a person has in mind when they choose chips, on a platform that has no people yet."""

LIST = 10
"""How long the list is whose chances a question should raise."""

DRAWS = 64
PLAUSIBLE = 400
"""How many items are looked at when questions are weighed: those that may come into the list."""

_FLOOR = 0.1
_LEAST = 1e-9


class Observation(NamedTuple):
    """What an answer says: that a sum of variables has a value, about.

    Attributes:
        variables: Rows of items, or ``items + place`` for a chip.
        signs: What each counts in the sum.
        value: What the sum is.
        noise: How much of the sum's variance before any answer is added as noise.
    """

    variables: tuple[int, ...]
    signs: tuple[float, ...]
    value: float
    noise: float


@dataclass(frozen=True, eq=False)
class Ground:
    """What is believed of anybody, before an answer.

    Attributes:
        likes: Who likes which items and would choose which chips. SciPy CSR. Shape: ``(people, variables)``.
        vectors: Of the variables. Shape: ``(variables, width)``.
        mean: ``m``. Shape: ``(variables,)``.
        items: How many of the variables are items; they come first.
        own: How many of those who like an item choose a chip for that like alone. Shape: ``(items, chips)``.
    """

    likes: sparse.csr_matrix
    vectors: NDArray[np.float32]
    mean: Floats
    items: int
    own: Floats

    @classmethod
    def of(cls, platform: Platform, chips: Sequence[Chip]) -> Ground:
        """Make it of what a platform has seen, which may be nothing."""
        popularity = np.clip(platform.popularity.mean, _LEAST, 1.0 - 1e-3)
        member = membership(chips, len(popularity))
        share = np.asarray(popularity @ member).ravel() / popularity.sum()
        table = platform.likes.table.astype(np.float64)
        chosen, own = _chosen(table, member, share)
        people, faint = table.shape[0], binom.sf(np.floor(KNOWN * share), KNOWN, share)
        rate = (np.asarray(chosen.sum(0)).ravel() + KNOWN * faint) / (people + KNOWN)
        return cls(
            likes=sparse.hstack([table, chosen], format="csr"),
            vectors=_vectors(platform.vectors, member),
            mean=np.concatenate([popularity, np.clip(rate, 0.02, 0.98)]),
            items=len(popularity),
            own=own,
        )

    @cached_property
    def variance(self) -> Floats:
        """The diagonal of ``C``. Shape: ``(variables,)``."""
        return self.mean * (1.0 - self.mean)

    def columns(self, variables: Rows) -> NDArray[np.float32]:
        """Return columns of ``C``. Shape: ``(variables, asked)``."""
        together, counts, people = companions.together(self.likes, variables)
        chips = variables >= self.items
        together[: self.items, chips] -= self.own[:, variables[chips] - self.items]
        items = np.flatnonzero(~chips)
        together[self.items :, items] -= self.own[variables[items]].T
        found = companions.shrunk(together, counts, people, self.vectors, self.mean, variables)
        return found.astype(np.float32)


def membership(chips: Sequence[Chip], items: int) -> sparse.csr_matrix:
    """Return which items have which chips, ones. Shape: ``(items, chips)``."""
    rows = np.concatenate([chip.rows for chip in chips]) if chips else np.empty(0, np.int64)
    places = np.repeat(np.arange(len(chips)), [len(chip.rows) for chip in chips])
    return sparse.csr_matrix((np.ones(len(rows)), (rows, places)), shape=(items, len(chips)))


def _chosen(likes: sparse.csr_matrix, member: sparse.csr_matrix, share: Floats) -> tuple[sparse.csr_matrix, Floats]:
    """Return which chips each person would choose: those that more of their likes have than of everyone's.

    Also by how many more of those who like an item choose a chip than would without that like: it can't tell of an
    item that one doesn't know yet. Shape: ``(items, chips)``.
    """
    held = np.asarray((likes @ member).todense())
    each = np.asarray(likes.sum(1)).reshape(-1, 1)
    chosen = (held > each * share).astype(np.float64)
    usual = (each - 1.0) * share
    with_it = likes.T @ (chosen - (held - 1.0 > usual))
    without = likes.T @ (chosen - (held > usual))
    has = np.asarray(member.todense())
    return sparse.csr_matrix(chosen), np.asarray(has * with_it + (1.0 - has) * without)


def _vectors(words: NDArray[np.float32], member: sparse.csr_matrix) -> NDArray[np.float32]:
    """Return the variables' vectors: the encoder's, a chip's being its items' mean, beside which chips they have."""
    if not member.shape[1]:
        return words
    middle = _unit(np.asarray(member.T @ words))
    has = np.vstack([_unit(np.asarray(member.todense())), np.eye(member.shape[1])])
    has = _unit(has - has[: len(words)].mean(0))
    both = np.hstack([np.sqrt(WORDS) * np.vstack([words, middle]), np.sqrt(1.0 - WORDS) * has])
    return both.astype(np.float32)


def _unit(table: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(table / np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-9))


@dataclass(frozen=True, eq=False)
class Belief:
    """What is believed after some answers.

    Attributes:
        mean: ``m'`` of all variables. Shape: ``(variables,)``.
        askable: The variables that may be asked about. Shape: ``(askable,)``.
        prior: Their columns of ``C``. Shape: ``(variables, askable)``.
        before: Their variances before any answer. Shape: ``(askable,)``.
        items: How many of the variables are items.
        told: What answers take off: ``C H'``, and what it is multiplied by. Shapes: ``(variables, observations)`` and
            ``(observations, askable)``; None before any.
    """

    mean: Floats
    askable: Rows
    prior: NDArray[np.float32]
    before: Floats
    items: int
    told: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None

    @cached_property
    def columns(self) -> NDArray[np.float32]:
        """The askable variables' columns of ``C'``, which a list doesn't need. Shape: ``(variables, askable)``."""
        if self.told is None:
            return self.prior
        seen, solved = self.told
        return self.prior - seen @ solved

    def after(self, observed: Sequence[Observation], seen: NDArray[np.float32], inner: Floats, given: Floats) -> Belief:
        """Return the belief after observations; this one is of nobody's answers yet.

        Args:
            observed: What was answered.
            seen: ``C H'``. Shape: ``(variables, observations)``.
            inner: ``H C H' + S``. Shape: ``(observations, observations)``.
            given: ``H m``. Shape: ``(observations,)``.
        """
        values = np.array([one.value for one in observed])
        mean = self.mean + seen @ np.linalg.solve(inner, values - given)
        across = seen[self.askable].T.astype(np.float64)  # H C, at what may be asked
        return replace(self, mean=mean, told=(seen, np.linalg.solve(inner, across).astype(np.float32)))

    def chances(self, popularity: Floats) -> Floats:
        """Return the chance of liking each item, at least a tenth of its popularity. Shape: ``(items,)``."""
        return np.clip(self.mean[: self.items], _FLOOR * popularity, 1.0)


class Worth:
    """What asking is worth, under a belief.

    Args:
        belief: What is believed.
        usual: The chance of a yes on each askable variable before any answer. Shape: ``(askable,)``.
        hidden: Items that won't be shown: those that are liked or disliked already. Shape: ``(items,)``.
        noise: How much of a variable's variance before any answer is added to an answer as noise. Shape:
            ``(askable,)``.
        faint: How many times that if an item isn't chosen: not to know it says next to nothing.
    """

    def __init__(
        self, belief: Belief, usual: Floats, hidden: NDArray[np.bool_], *, noise: Floats, faint: float
    ) -> None:
        self.usual = usual
        mean = np.where(hidden, -np.inf, belief.mean[: belief.items])
        self._inner = belief.columns[belief.askable].astype(np.float64)  # C' among what may be asked
        self._variance = np.maximum(np.diag(self._inner), _LEAST)
        self._noise = noise * belief.before + _LEAST
        self._faint = self._noise * np.where(belief.askable < belief.items, faint, 1.0)
        self._expected = np.clip(belief.mean[belief.askable], 0.02, 0.98)
        reach = np.abs(belief.columns[: belief.items]) @ (1.0 / np.sqrt(self._variance + self._noise)).astype(
            np.float32
        )
        reach = mean + reach / np.sqrt(max(len(belief.askable), 1))
        count = min(PLAUSIBLE, int(np.isfinite(mean).sum()))
        self._rows = np.argpartition(-reach, count - 1)[:count] if count else np.empty(0, np.int64)
        self._mean = mean[self._rows]
        self._columns = belief.columns[self._rows].astype(np.float64)
        length = min(LIST, count)
        self._length, self._weights = length, 1.0 / np.log2(np.arange(2, length + 2))
        place_of = {int(row): place for place, row in enumerate(self._rows)}
        self._own = np.array([place_of.get(int(variable), -1) for variable in belief.askable], np.int64)
        self.now = float(self._value(self._mean[None])[0])

    def _value(self, chances: Floats) -> Floats:
        """Return the expected discounted gain of each row's best list. ``(draws, items)`` to ``(draws,)``."""
        if not self._length:
            return np.zeros(len(chances))
        best = -np.partition(-chances, self._length - 1, axis=1)[:, : self._length]
        best = -np.sort(-best, axis=1)
        return np.asarray(np.maximum(best, 0.0) @ self._weights)

    @cached_property
    def alone(self) -> Floats:
        """By how much one yes or no on each askable variable is expected to raise the list's value, at least 0.

        Shape: ``(askable,)``.
        """
        step = (1.0 - self._expected) / (self._variance + self._noise)
        gone = np.zeros((len(step), len(self._rows)), np.bool_)
        gone[self._own >= 0, self._own[self._own >= 0]] = True
        yes = self._raised((self._mean[:, None] + self._columns * step).T, gone)
        step = self._expected / (self._variance + self._faint)
        no = self._raised((self._mean[:, None] - self._columns * step).T, np.zeros_like(gone))
        return np.asarray(np.maximum(self._expected * yes + (1.0 - self._expected) * no, 0.0))

    def _raised(self, chances: Floats, gone: NDArray[np.bool_]) -> Floats:
        """Return by how much each row's best list is better than it was, without items that are known to be liked.

        They won't be shown: to hear that the list is right about one adds nothing to the list.
        """
        before = np.full(len(chances), self.now)
        some = gone.any(1)
        if some.any():
            before[some] = self._value(np.where(gone[some], -np.inf, self._mean))
        return np.asarray(self._value(np.where(gone, -np.inf, chances)) - before)

    @property
    def doubt(self) -> Floats:
        """The entropy of one yes or no on each askable variable, in bits. Shape: ``(askable,)``."""
        p = self._expected
        return np.asarray(-p * np.log2(p) - (1 - p) * np.log2(1 - p))

    def alike(self, places: Sequence[int], other: int) -> Floats:
        """Return the squared correlation of some askable variables with another one, 0 to 1. Shape: ``(places,)``."""
        rows = list(places)
        squared = self._inner[rows, other] ** 2 / (self._variance[rows] * self._variance[other])
        return np.asarray(np.minimum(squared, 1.0))

    def together(self, places: Sequence[int]) -> float:
        """Return by how much answers on several askable variables at once are expected to raise the list's value."""
        asked = list(places)
        covariance = self._inner[np.ix_(asked, asked)]
        deviation = np.sqrt(self._variance[asked])
        correlation = np.clip(covariance / np.outer(deviation, deviation), -0.99, 0.99)
        np.fill_diagonal(correlation, 1.0)
        drawn = _standard(len(asked)) @ _root(correlation).T
        yes = drawn < norm.ppf(self._expected[asked])
        noise = np.where(yes, self._noise[asked], self._faint[asked])
        inner = covariance + noise[:, :, None] * np.eye(len(asked))
        moves = np.linalg.solve(inner, (yes - self._expected[asked])[:, :, None])[:, :, 0] @ self._columns[:, asked].T
        own = self._own[asked]
        gone = np.zeros(moves.shape, np.bool_)
        gone[:, own[own >= 0]] = yes[:, own >= 0]
        return max(float(self._raised(self._mean + moves, gone).mean()), 0.0)


def _root(correlation: Floats) -> Floats:
    """Return the symmetric root, which moves no more than the matrix does: draws are the same whatever the rounding."""
    values, vectors = np.linalg.eigh(correlation)
    root: Floats = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    return np.asarray(_unit(root), np.float64)


def _standard(size: int) -> Floats:
    """Return the same standard normal draws each time, in pairs of opposites. Shape: ``(draws, size)``."""
    half = np.random.default_rng(0).normal(size=(DRAWS // 2, size))
    return np.vstack([half, -half])
