"""The shortlist: which of a large catalogue's items are worth scoring, for one request.

An item that is among the best of all stands out by something: by what the person says and likes, by words or values
shared with that, by how it stands with anyone, or by what people who said the same like. So the rows that each of these
finds best are gathered, some thousands in all, at a cost that hardly grows with the catalogue. Of these the best few
hundred are worth scoring, by all of them together, with codes in the place of vectors.

What scorers give to a fixed sample of the catalogue, drawn without regard to what items are, tells the scale of their
scores, on which the short list's are put.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from coldstart.fusion import soft
from coldstart.index import Index
from coldstart.scoring import VIEWS, Query
from coldstart.scoring.following import Following
from coldstart.scoring.relevance import Taste

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = NDArray[np.int64]
    Floats = NDArray[np.float64]
    Scored = tuple[Rows, Floats]

SAMPLE = 2000
"""Items whose scores tell the scale of all."""

FEW = 4000
"""Where no more may be recommended, all of them are scored."""

CLOSE = 1500
"""Rows that are gathered at least for lying in the direction of the whole request, by their codes."""

EACH = 100
"""Rows that are gathered for lying near one liked thing."""

BESIDE = 1500
"""Rows that are gathered for one other thing: for standing well with anyone, or for shared words or values."""

WORTH = 250
"""Rows that are worth scoring, unless four times as many as are wanted are more."""

WORTH_OBSERVED = 800
"""The same once something was observed: how others stand with anyone tells less of how they stand with one person."""

SOUGHT, ONE_IN = 200, 500
"""With how many nearest the cells that are read are chosen: so many, or one in so many of a larger catalogue."""

_MISSED = 0.03  # the share of them that may lie elsewhere
_LIKES = 6  # so many liked things are looked around one by one, the last ones


@dataclass(frozen=True, eq=False)
class Standing:
    """How items stand with anyone: what ranks them when nothing is known of the person.

    Attributes:
        values: Higher is better, in any unit; finite. Shape: ``(items,)``.
        order: All rows, the best first. Shape: ``(items,)``.
    """

    values: Floats
    order: NDArray[np.int32]

    @classmethod
    def of(cls, values: Floats) -> Standing:
        """Order items by values; those without one stand in the middle."""
        known = np.isfinite(values)
        filled = np.where(known, values, values[known].mean() if known.any() else 0.0)
        return cls(filled, np.argsort(-filled, kind="stable").astype(np.int32))

    def best(self, count: int, allowed: NDArray[np.bool_]) -> Rows:
        """Return the best rows that are allowed, that many or all there are."""
        looked = 2 * count
        while True:
            found = self.order[:looked]
            found = found[allowed[found]]
            if len(found) >= count or looked >= len(self.order):
                return found[:count].astype(np.int64)
            looked *= 4


@dataclass(frozen=True, eq=False, slots=True)
class Finder:
    """What finds and tells rows apart beside vectors.

    Attributes:
        name: The scorer whose scores these are.
        best: Rows that score best with it alone, at most some thousands of any, and their scores.
        score: What it gives to rows; NaN where it abstains.
        bend: From scores in standard deviations to what counts.
    """

    name: str
    best: Callable[[], Scored]
    score: Callable[[Rows], Floats]
    bend: Callable[[Floats], Floats] = soft


def nothing() -> Scored:
    """Return no rows: what some scorers find, who only tell rows apart."""
    return np.empty(0, np.int64), np.empty(0)


def gathered(
    index: Index,
    finders: Sequence[Finder],
    following: Following | None,
    query: Query,
    *,
    weights: Mapping[str, float],
    scales: Mapping[str, tuple[float, float]],
    allowed: NDArray[np.bool_],
    worth: int = WORTH,
) -> Rows:
    """Return the rows that are worth scoring, rising, all of them allowed.

    Args:
        index: Whose rows.
        finders: What finds rows beside vectors.
        following: Tells what follows likes; None for nothing.
        query: What is asked.
        weights: Of scorers, for this request.
        scales: The mean and the standard deviation of each scorer's scores over the catalogue, if it gives any.
        allowed: Which rows may be recommended. Shape: ``(items,)``.
        worth: How many at most.
    """
    units = {name: weights.get(name, 0.0) / spread for name, (_, spread) in scales.items() if spread > 0}
    finders = [finder for finder in finders if units.get(finder.name)]
    direction = _direction(index, query, units, following)
    found = []
    for finder in finders:
        rows, scores = finder.best()
        met = allowed[rows]
        rows, scores = (rows, scores) if met.all() else (rows[met], scores[met])
        found.append(_best(rows, scores, BESIDE))
    near, products = np.empty(0, np.int64), np.empty(0, np.float32)
    if direction is not None:
        sought = max(SOUGHT, len(allowed) // ONE_IN)
        near, products = index.search.near(direction, sought, allowed=allowed, missed=_MISSED)
        best = _places(products, max(CLOSE, 3 * sought))
        near, products = near[best], products[best]
        if len(query.liked) > 1:
            each = [index.search.around(row, allowed=allowed) for row in query.liked[-_LIKES:].tolist()]
            found.extend(_best(rows, close, EACH) for rows, close in each)
    others = _once(found)
    others = others[~np.isin(others, near, kind="table")]
    rows = np.concatenate([near, others])
    if len(rows) <= worth:
        return np.sort(rows)
    total = np.zeros(len(rows))
    if direction is not None:
        total[: len(near)] = products
        total[len(near) :] = index.search.by_code(others, direction[None])[:, 0]
    for finder in finders:
        mean, spread = scales[finder.name]
        scores = finder.score(rows)
        total += weights[finder.name] * finder.bend((np.where(np.isfinite(scores), scores, mean) - mean) / spread)
    return np.sort(_best(rows, total, worth))


def _direction(
    index: Index, query: Query, units: Mapping[str, float], following: Following | None
) -> NDArray[np.float32] | None:
    """Return the direction in which the scores of closeness grow together; None if the request has none."""
    total = np.zeros(index.mean.size, np.float32)
    for view in VIEWS:
        vector = query.vectors.get(query.texts.get(view, ""))
        if vector is not None and view in units:
            total += units[view] * vector
    liked = _liked(index, query)
    if len(liked):
        total += units.get("liked", 0.0) * liked.mean(0)
        total += units.get("taste", 0.0) * Taste(index).direction(query)
    person = None if following is None else following.direction(query)
    if person is not None:
        total += units.get("following", 0.0) * person
    return total if total.any() else None


def _liked(index: Index, query: Query) -> NDArray[np.float32]:
    """Return the vectors of liked things. Shape: ``(things, dimension)``."""
    phrases = [query.vectors[phrase] for phrase in query.liked_phrases]
    return np.concatenate([index.at(query.liked), np.array(phrases, np.float32).reshape(-1, index.mean.size)])


def _once(found: Sequence[Rows]) -> Rows:
    if not found:
        return np.empty(0, np.int64)
    rows = np.sort(np.concatenate(found))  # faster than NumPy's own way of telling which are different
    return rows[np.diff(rows, prepend=-1) > 0]


def _best(rows: Rows, values: NDArray[np.floating], count: int) -> Rows:
    return rows[_places(values, count)]


def _places(values: NDArray[np.floating], count: int) -> Rows:
    """Return the places of the largest values, in any order; all if there are no more."""
    if len(values) <= count:
        return np.arange(len(values))
    return np.argpartition(-values, count - 1)[:count]
