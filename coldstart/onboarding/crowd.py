"""A crowd: people who stand for whoever is asked, and what asking them shows that a question is worth.

A question is worth what it does to the lists of those who answer it. The crowd are the platform's own people. What each
likes is parted in two at random: one half they can tell of, and the other is what a list should hold. Each answers
truthfully; the list is ranked anew by the belief; and the question is worth by how much the lists' discounted gain
rises, averaged over the crowd. Those whose answers would have been the person's own count most. The belief's own
expectation asks for more of what it was told already.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from coldstart.onboarding.belief import LIST, Belief, Ground, Observation, Worth, chosen_by

if TYPE_CHECKING:
    from coldstart.onboarding.belief import Floats

PEOPLE = 600
"""How many a crowd is at most."""

FEWEST, LIKES = 50, 8
"""Fewer people, of those who like so many items at least, are no crowd."""

ALIKE = 60
"""Of how many people the weighted crowd is worth as many, however much was answered."""

SURE, KNOWS = 0.85, 0.5
"""How likely a person whose likes call for a chip chooses it, and one tells of an item that they like."""

_EITHER = 0.02


@dataclass(frozen=True, eq=False)
class Crowd:
    """People who stand for whoever is asked.

    Attributes:
        told: What each would say yes to, ones, of all variables. SciPy CSC. Shape: ``(people, variables)``.
        found: What a list should hold for each, as a share of the best list's gain. SciPy CSC.
            Shape: ``(people, items)``.
    """

    told: sparse.csc_matrix
    found: sparse.csc_matrix

    @classmethod
    def of(cls, ground: Ground, *, seed: int) -> Crowd | None:
        """Make one of a platform's people; None if there are too few yet."""
        rng = np.random.default_rng(seed)
        likes = ground.likes[:, : ground.items].tocsr()
        likes = likes[np.flatnonzero(np.diff(likes.indptr) >= LIKES)]
        if likes.shape[0] < FEWEST:
            return None
        if likes.shape[0] > PEOPLE:
            likes = likes[np.sort(rng.choice(likes.shape[0], PEOPLE, replace=False))]
        pairs = likes.tocoo()
        known = rng.random(pairs.nnz) < KNOWS
        halves = [
            sparse.csr_matrix((np.ones(int(half.sum())), (pairs.row[half], pairs.col[half])), shape=likes.shape)
            for half in (known, ~known)
        ]
        there = np.diff(halves[1].indptr)
        told, wanted = (half[np.flatnonzero(there)] for half in halves)
        told = sparse.hstack([told, chosen_by(told, ground.member, ground.share)], format="csc")
        best = np.cumsum(1.0 / np.log2(np.arange(2, LIST + 2)))
        gain = best[np.minimum(there[there > 0], LIST) - 1]
        return cls(told, (sparse.diags(1.0 / gain) @ wanted).tocsc())

    @cached_property
    def rate(self) -> Floats:
        """The share of people who say yes. Shape: ``(variables,)``."""
        return np.asarray(self.told.mean(0), np.float64).ravel()

    def weights(self, answers: Sequence[Observation]) -> Floats:
        """Return how much each person counts after answers, summing to 1. Shape: ``(people,)``.

        In proportion to how likely these answers are theirs, tempered so that :data:`ALIKE` people are left in effect.
        """
        said = np.zeros(self.told.shape[0])
        for one in answers:
            if len(one.variables) > 1:
                continue
            variable = one.variables[0]
            mine = self.told[:, [variable]].toarray().ravel() > 0
            if variable < self.found.shape[1]:
                yes = np.where(mine, KNOWS, max(KNOWS * self.rate[variable], _EITHER))
            else:
                yes = np.where(mine, SURE, 1.0 - SURE)
            said += np.log(yes if one.value > 0.5 else 1.0 - yes)
        low, high = 0.0, 1.0
        for power in (1.0, *[None] * 16):
            power = (low + high) / 2 if power is None else power
            weights = np.exp(power * (said - said.max()))
            weights /= weights.sum()
            if (weights**2).sum() * min(ALIKE, len(said)) <= 1.0:
                if power == 1.0:
                    return np.asarray(weights)
                low = power
            else:
                high = power
        weights = np.exp(low * (said - said.max()))
        return np.asarray(weights / weights.sum())


class Shown(Worth):
    """What asking is worth to a crowd; see the module and :class:`coldstart.onboarding.belief.Worth`.

    Args:
        crowd: Who is asked in the person's place.
        answers: What the person said so far.
    """

    again = 1.0  # what was answered before shows in the crowd

    def __init__(
        self,
        belief: Belief,
        usual: Floats,
        hidden: NDArray[np.bool_],
        *,
        noise: float,
        faint: float,
        crowd: Crowd,
        answers: Sequence[Observation],
    ) -> None:
        super().__init__(belief, usual, hidden, noise=noise, faint=faint)
        weights = crowd.weights(answers).astype(np.float32)
        self._found = crowd.found[:, self._rows].toarray().astype(np.float32) * weights[:, None]
        self._told = crowd.told[:, belief.askable].toarray() > 0
        first = self._lists(self._mean[None])[0] if self._length else np.empty(0, np.int64)
        self._base = float((self._found[:, first] @ self._weights).sum())
        self.now = max(self._base, 1e-3)

    def _lists(self, chances: Floats) -> NDArray[np.int64]:
        """Return the places of each row's best items, best first. ``(draws, items)`` to ``(draws, LIST)``."""
        best = np.argpartition(-chances, self._length - 1, axis=1)[:, : self._length]
        order = np.argsort(-np.take_along_axis(chances, best, 1), axis=1, kind="stable")
        return np.asarray(np.take_along_axis(best, order, 1))

    @cached_property
    def alone(self) -> Floats:
        """By how much one yes or no on each askable variable raises the crowd's lists. Shape: ``(askable,)``."""
        if not self._length:
            return np.zeros(len(self._expected))
        yes = (self._mean[:, None] + self._columns * ((1.0 - self._expected) / (self._variance + self._noise))).T
        own = np.flatnonzero(self._own >= 0)
        yes[own, self._own[own]] = -np.inf
        no = (self._mean[:, None] - self._columns * (self._expected / (self._variance + self._faint))).T
        agreed = self._told.T.astype(np.float32) @ self._found
        gains = np.take_along_axis(agreed, self._lists(yes), 1)
        gains = gains + np.take_along_axis(self._found.sum(0) - agreed, self._lists(no), 1)
        return np.asarray(gains @ self._weights - self._base)

    def together(self, places: Sequence[int]) -> float:
        """Return by how much answers on several askable variables at once raise the crowd's lists."""
        asked = list(places)
        if not self._length:
            return 0.0
        answers, which = np.unique(self._told[:, asked], axis=0, return_inverse=True)
        chances = self._mean + self._moves(asked, answers)
        for place, own in enumerate(self._own[asked]):
            if own >= 0:
                chances[answers[:, place], own] = -np.inf
        lists = self._lists(chances)[which.ravel()]
        return max(float((np.take_along_axis(self._found, lists, 1) @ self._weights).sum()) - self._base, 0.0)
