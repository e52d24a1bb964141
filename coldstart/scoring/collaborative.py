"""Collaborative: how likely someone is to like an item, given what else they like and what others do."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from coldstart.learning.companions import MOST as MOST_LIKES
from coldstart.learning.neighbours import alike
from coldstart.learning.platform import Platform
from coldstart.scoring import Query

Rows = NDArray[np.int64]

FULL_WEIGHT = 20.0
"""The weight it comes to where many likes were seen, in units of the other scorers' standard deviations."""

LEAST, HALF = 0.6, 14.4
"""With ``l`` likes per item it has come the share ``(l + LEAST) / (l + LEAST + HALF)`` of the way there."""

FIRST = 20.0
"""With how many likes on the whole platform it starts to weigh: halfway to what it weighs by likes per item."""

_MANY_TIMES = 8  # where there are so many times more items than are asked for, only those are looked at


class Collaborative:
    """The logarithm of the chance that the person likes each item (see :mod:`coldstart.learning.companions`).

    It holds the appeal prior, which counts correct as they come in, and so takes its place.

    Args:
        platform: What was learned.
        without: A person to leave out, as if they had never come; -1 for nobody.
    """

    name = "collaborative"

    def __init__(self, platform: Platform, *, without: int = -1) -> None:
        self.platform, self.without = platform, without
        self._asked: tuple[Query, NDArray[np.float64]] | None = None

    def chances(self, query: Query) -> NDArray[np.float64]:
        """Return the chance of each of the catalogue's items; computed once a request. Shape: ``(items,)``."""
        if self._asked is None or self._asked[0] is not query:
            self._asked = query, self.platform.expected(query.liked, query.liked_weights, without=self.without)
        return self._asked[1]

    def score(self, query: Query, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the log-chance of each row, <= 0."""
        if self.without < 0 and _MANY_TIMES * len(rows) < len(self.platform.vectors):
            chances = self.platform.expected_of(rows, query.liked, query.liked_weights)
        else:
            chances = self.chances(query)[rows]
        found: NDArray[np.float64] = np.log(np.maximum(chances, 1e-12))
        return found


BESIDES: Mapping[str, Callable[[Platform, Rows, int], NDArray[np.float64]]] = {
    "neighbours": lambda platform, given, without: alike(platform.likes.table, given, without=without),
    "linear": lambda platform, given, without: platform.linear.score(given, without=without),
}
"""Item-item models of what a person likes, without one of the people (see :mod:`coldstart.learning.neighbours`)."""


class Beside:
    """An item-item model that counts beside :class:`Collaborative` where the platform's own people say so.

    Args:
        name: One of :data:`BESIDES`.
        learned: Of whose platform.
    """

    def __init__(self, name: str, learned: Collaborative) -> None:
        self.name, self._learned = name, learned

    def score(self, query: Query, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return what it makes of each row; abstains without likes, and on what it doesn't hold."""
        found = self._all(query)
        return np.full(len(rows), np.nan) if found is None else found[rows]

    def best(self, query: Query) -> tuple[Rows, NDArray[np.float64]]:
        """Return rows that it speaks for, and their scores."""
        found = self._all(query)
        rows = np.flatnonzero(found > 0) if found is not None else np.empty(0, np.int64)
        return rows, found[rows] if found is not None else np.empty(0)

    def _all(self, query: Query) -> NDArray[np.float64] | None:
        """Return the score of all items, worked out once a request; None without likes. Shape: ``(items,)``."""
        given = query.liked[-MOST_LIKES:]
        if self not in query.kept:
            platform, without = self._learned.platform, self._learned.without
            query.kept[self] = BESIDES[self.name](platform, given, without) if len(given) else None
        found: NDArray[np.float64] | None = query.kept[self]
        return found


class Demographic:
    """What people who said the same of themselves like more than others do (:mod:`coldstart.learning.demographics`).

    It is added to the logarithm of the chance, and so stands on the scale of :class:`Collaborative`.
    """

    name = "demographic"

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def score(self, query: Query, rows: Rows) -> NDArray[np.float64]:
        """Return the logarithm of each row's lift; abstains where nothing is known of people who say the like."""
        found = self._platform.lifts(query.attributes, rows)
        return np.full(len(rows), np.nan) if found is None else found

    def best(self, query: Query) -> tuple[Rows, NDArray[np.float64]]:
        """Return rows that some who said the same like, and the logarithms of the chances that they do."""
        rows = self._platform.liked_by_alike(query.attributes)
        found = self._platform.lifts(query.attributes, rows)
        if found is None:
            return np.empty(0, np.int64), np.empty(0)
        return rows, found + np.log(np.maximum(self._platform.popularity.mean[rows], 1e-12))


RIDGE = 5.0
"""The penalty of the regression of chances on vectors, in units of one item's squared length."""


class Borrowed:
    """What the chances of known items like it let expect of an item that few know: a ridge regression on vectors.

    The regression is one of the request: on how likely this person is to like each known item. It extends a
    collaborative ranking to items without interactions, as Gantner et al. (ICDM 2010) map attributes to factors.
    """

    name = "borrowed"

    def __init__(self, learned: Collaborative) -> None:
        self._learned = learned

    def score(self, query: Query, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the expected chance of each row, up to a constant; abstains if nothing is known of any item."""
        platform = self._learned.platform
        telling, vectors = platform.telling, platform.vectors
        known = platform.known[telling]
        if known.sum() < 1.0:
            return np.full(len(rows), np.nan)
        if isinstance(telling, slice):
            chances = self._learned.chances(query)
        else:
            chances = platform.expected_of(telling, query.liked, query.liked_weights)
        pulled = vectors[telling].T @ (known * (chances - np.average(chances, weights=known))).astype(np.float32)
        found: NDArray[np.float64] = (vectors[rows] @ (platform.inverse(RIDGE) @ pulled)).astype(np.float64)
        return found


def weight(likes: int, items: int, *, appeal: float) -> float:
    """Return the scorer's weight in the fusion.

    The curve was set on new users of MovieLens-100K, X-Wines and Steam with 100, 1,000, 10,000 and all interactions of
    the platform seen, on other splits than the reported ones.

    Args:
        likes: How many the platform has seen.
        items: How many items there are, at least one.
        appeal: The appeal prior's weight, which it starts from.
    """
    each = likes / items + LEAST
    return appeal + FULL_WEIGHT * each / (each + HALF) * likes / (likes + FIRST)
