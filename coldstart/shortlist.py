"""The shortlist: which of a large catalogue's items are worth scoring, for one request.

An item that is among the best of all stands out by something: by what the person says and likes, by words shared with
that, by how it stands with anyone, or by two of these together. So the rows that each finds best are gathered, some
thousand in all. What scorers give to a fixed sample of the catalogue, drawn without regard to what items are, tells
the scale of their scores, on which the short list's are put.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from coldstart.index import Index
from coldstart.scoring import VIEWS, Query
from coldstart.scoring.facets import Faceted
from coldstart.scoring.following import Following
from coldstart.scoring.lexical import Lexical
from coldstart.scoring.relevance import Taste

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = NDArray[np.int64]
    Floats = NDArray[np.float64]

SAMPLE = 2000
"""Items whose scores tell the scale of all."""

CLOSE = 1000
"""Rows that are taken for all of it together, among those in the direction of the whole request."""

EACH = 100
"""Rows that are taken for lying near one liked thing."""

BESIDE = 600
"""Rows that are taken for one thing alone: for standing well with anyone, shared words, or that direction."""

_SOUGHT = 200  # with whose nearest the cells that are read are chosen
_MISSED = 0.01  # the share of them that may lie elsewhere
_LIKES = 6  # so many liked things are looked around one by one, the last ones


@dataclass(frozen=True, eq=False)
class Standing:
    """How items stand with anyone: what ranks them when nothing is known of the person.

    Attributes:
        values: Higher is better, in any unit; finite. Shape: ``(items,)``.
        order: All rows, the best first. Shape: ``(items,)``.
    """

    values: Floats
    order: Rows

    @classmethod
    def of(cls, values: Floats) -> Standing:
        """Order items by values; those without one stand in the middle."""
        known = np.isfinite(values)
        filled = np.where(known, values, values[known].mean() if known.any() else 0.0)
        return cls(filled, np.argsort(-filled, kind="stable"))

    def best(self, count: int, allowed: NDArray[np.bool_]) -> Rows:
        """Return the best rows that are allowed, that many or all there are."""
        looked = 2 * count
        while True:
            found = self.order[:looked]
            found = found[allowed[found]]
            if len(found) >= count or looked >= len(self.order):
                return found[:count]
            looked *= 4


def gathered(
    index: Index,
    lexical: Lexical,
    faceted: Faceted,
    following: Following | None,
    query: Query,
    *,
    weights: Mapping[str, float],
    spreads: Mapping[str, float],
    allowed: NDArray[np.bool_],
    standing: Standing | None,
    standing_name: str,
) -> Rows:
    """Return the rows that are worth scoring, rising, all of them allowed.

    Args:
        index: Whose rows.
        lexical: Finds rows by words.
        faceted: Finds rows by the values that the words ask for.
        following: Tells what follows likes; None for nothing.
        query: What is asked.
        weights: Of scorers, for this request.
        spreads: The standard deviation of each scorer's scores over the catalogue, if it gives any.
        allowed: Which rows may be recommended. Shape: ``(items,)``.
        standing: How items stand with anyone; None if nothing tells.
        standing_name: The scorer that says so.
    """
    units = {name: weights.get(name, 0.0) / spread for name, spread in spreads.items() if spread > 0}
    found: list[Rows] = []
    added = None if standing is None else standing.values * units.get(standing_name, 0.0)
    if standing is not None:
        found.append(standing.best(BESIDE, allowed))
    direction = _direction(index, query, units, following)
    beside = np.zeros(len(allowed), np.float32) if added is None else added.astype(np.float32)
    told = [np.empty(0, np.int64)]
    for name, finder in (("lexical", lexical), ("facets", faceted)):
        if name in units:
            sharing, score = finder.sharing(query)
            beside[sharing] += (units[name] * score).astype(np.float32)
            told.append(sharing[allowed[sharing]])
    found.extend(_best(sharing, beside[sharing], BESIDE) for sharing in told)
    if direction is None:
        return _once(found)
    rows, products = index.search.near(direction, _SOUGHT, allowed=allowed, missed=_MISSED)
    found.append(_best(rows, products, BESIDE))
    found.append(_best(rows, products + beside[rows], CLOSE))
    each = (
        index.search.near(vector, EACH // 2, allowed=allowed, missed=_MISSED)
        for vector in _liked(index, query)[-_LIKES:]
    )
    found.extend(_best(near, close, EACH) for near, close in each)
    return _once(found)


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
    rows = np.sort(np.concatenate(found))  # faster than NumPy's own way of telling which are different
    return rows[np.diff(rows, prepend=-1) > 0]


def _best(rows: Rows, values: NDArray[np.floating], count: int) -> Rows:
    if len(rows) <= count:
        return rows
    return rows[np.argpartition(-values, count - 1)[:count]]
