"""Facets asked for: how well the values that an item has meet what the user says, and what they don't want."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from coldstart.index import Index
from coldstart.scoring import Query
from coldstart.scoring.relevance import cosines
from coldstart.scoring.sparse import Taken, summed

if TYPE_CHECKING:
    from numpy.typing import NDArray

STANDS_OUT = 1.5
"""Standard deviations above all facets' mean closeness from which a facet counts as asked for."""

MEANT = 0.5
"""The share of a field's most by which another of its values must stand out to be disliked as well: "red wine" is close
to white and rosé, and speaks against neither."""

_HELD = 20_000

NAMED, BLUR = -0.1, 0.05
"""How much closer the closest facet is to a text than the closest item when it is as likely that the text asks for
values as that it names an item, and how fast that changes; differences of cosines."""


class Faceted:
    """The facets that stand out in the user's words, summed over those that an item has; >= 0.

    A facet weighs ``max(0, z - STANDS_OUT) ** 2``, with ``z`` its closeness to the words in standard deviations from
    all facets' mean: "bold reds for a steak dinner" asks for red, full-bodied and beef, and for nothing else. Liked
    phrases are words as well. Abstains where no facet stands out.
    """

    name = "facets"

    def __init__(self, index: Index) -> None:
        self._index, self._facets = index, index.facets

    @cached_property
    def _centred(self) -> NDArray[np.float32]:
        moved = self._facets.vectors - self._facets.vectors.mean(0)
        result: NDArray[np.float32] = moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-9)
        return result

    def warm(self) -> None:
        """Work out what the first request would have to."""
        if len(self._facets):
            _ = self._centred, self._by_facet

    def weights(self, query: Query) -> NDArray[np.float64]:
        """Return how much each facet is asked for, >= 0. Shape: ``(facets,)``.

        It is worked out once a request.
        """
        if self not in query.kept:
            liked = [*query.liked_phrases, *(query.texts[view] for view in ("text",) if view in query.texts)]
            query.kept[self] = self._mean(self.asked(query.said[text]) for text in liked)
        found: NDArray[np.float64] = query.kept[self]
        return found

    def unwanted(self, query: Query) -> NDArray[np.float64]:
        """Return how much disliked phrases ask for each facet, >= 0; see :data:`MEANT`. Shape: ``(facets,)``."""
        if (self, "unwanted") not in query.kept:
            phrases = query.disliked_phrases
            query.kept[self, "unwanted"] = self._mean(self._meant(self.asked(query.said[each])) for each in phrases)
        found: NDArray[np.float64] = query.kept[self, "unwanted"]
        return found

    def _mean(self, told: Iterable[NDArray[np.float64]]) -> NDArray[np.float64]:
        found = list(told)
        return sum(found, np.zeros(len(self._facets))) / max(len(found), 1)

    def _meant(self, asked: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what a text asks for without what only comes near that in the same field; see :data:`MEANT`."""
        most = np.zeros(int(self._field.max(initial=-1)) + 1)
        np.maximum.at(most, self._field, asked)
        return np.where(asked >= MEANT * most[self._field], asked, 0.0)

    @cached_property
    def _field(self) -> NDArray[np.int64]:
        """Which field each facet is of. Shape: ``(facets,)``."""
        return np.unique([label for label, _ in self._facets.names], return_inverse=True)[1].astype(np.int64)

    def asked(self, vector: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return how much a text asks for each facet, >= 0, given its unit vector. Shape: ``(facets,)``."""
        if not len(self._facets):
            return np.zeros(0)
        near = np.einsum("ij,j->i", self._centred, vector).astype(np.float64)
        spread = near.std()
        if spread <= 1e-6:
            return np.zeros(len(near))
        asked: NDArray[np.float64] = np.maximum((near - near.mean()) / spread - STANDS_OUT, 0.0) ** 2
        return asked

    def share(self, query: Query, *parts: NDArray[np.int64]) -> float:
        """Return how likely the user's text asks for values rather than names one of some rows, 0 to 1.

        "something like Toy Story" is closer to one item than to any facet; "scary movies" is closer to a facet.

        Args:
            query: What is asked.
            parts: Rows, those of each part together; asking for the same array again is cheap.
        """
        if "text" not in query.texts or not len(self._facets) or not any(map(len, parts)):
            return 1.0
        text = query.texts["text"]
        vector = query.said[text]
        closest = max(self._closest(query, text, rows) for rows in parts if len(rows))
        if (self, "closest") not in query.kept:
            query.kept[self, "closest"] = float(np.einsum("ij,j->i", self._facets.vectors, vector).max())
        ahead = query.kept[self, "closest"] - closest
        return float(1.0 / (1.0 + np.exp(-(ahead - NAMED) / BLUR)))

    def _closest(self, query: Query, text: str, rows: NDArray[np.int64]) -> float:
        """Return the largest cosine of a text with rows; of the rows that were just asked for it is known."""
        asked, found = query.kept.get((self, "rows"), (None, 0.0))
        if asked is not rows:
            found = float(self._plainly(query, text, rows).max())
            query.kept[self, "rows"] = rows, found
        return float(found)

    def _plainly(self, query: Query, text: str, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the cosines of a text with rows, nothing being centred. Shape: ``(rows,)``."""
        index, vector = self._index, query.said[text]
        if text in query.cosines or 2 * len(rows) > len(index.vectors):
            return index.plainly(cosines(index, query, text), vector)[rows]
        # With ``c`` the unit vector along ``v - m`` and ``|v| = 1``: ``|v - m|^2 + 2 |v - m| c.m + m.m = 1``.
        both = np.stack([vector, index.mean], 1)
        along = index.at(rows) @ both
        lengths = np.sqrt(np.maximum(along[:, 1] ** 2 + 1.0 - index.mean @ index.mean, 0.0)) - along[:, 1]
        found: NDArray[np.float32] = lengths * along[:, 0] + index.mean @ vector
        return found

    def score(self, query: Query, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the summed weights of each row's facets."""
        return self.summed(self.weights(query), rows)

    def summed(self, weights: NDArray[np.float64], rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the summed weights of each row's facets; NaN where no facet has any. Shape: ``(rows,)``."""
        if not weights.any():
            return np.full(len(rows), np.nan)
        table = self._facets.table
        if 2 * len(rows) <= table.shape[0]:
            return np.asarray(self._taken(rows) @ weights, np.float64)
        return np.asarray(table @ weights, np.float64)[rows]

    def sharing(self, query: Query) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return rows that have the rarest of the facets asked for, once each, and their scores by those alone.

        Of the facets as many count, the rarest first, as :data:`_HELD` items with any let: what most items have tells
        few of them apart.
        """
        weights = self.weights(query)
        if not weights.any():
            return np.empty(0, np.int64), np.empty(0)
        table = self._by_facet
        asked = np.flatnonzero(weights > 0)
        sizes = (table.indptr[asked + 1] - table.indptr[asked]).astype(np.int64)
        order = np.argsort(sizes, kind="stable")
        rare = asked[order[np.cumsum(sizes[order]) <= _HELD]]
        return summed(table, rare, weights[rare])

    @cached_property
    def _taken(self) -> Taken:
        return Taken(self._facets.table)

    @cached_property
    def _by_facet(self) -> Any:
        return self._facets.table.tocsc()


class Unwanted:
    """The facets that stand out in what the user dislikes, summed over those that an item has; <= 0.

    It stands beside :class:`Faceted` rather than being taken off it: a dislike that names a facet outright ("red
    wine") would count so much that what a vague text asks for ("dinner wine") told nothing apart any more. Abstains
    where no disliked phrase asks for a facet.
    """

    name = "unwanted"

    def __init__(self, faceted: Faceted) -> None:
        self._faceted = faceted

    def score(self, query: Query, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the negated sum for each row."""
        return -self._faceted.summed(self._faceted.unwanted(query), rows)
