"""Facets asked for: how well the values that an item has meet what the user says, and what they don't want."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from coldstart.index import Index
from coldstart.scoring import Query
from coldstart.scoring.blank import SPREAD, UNLIKE, Usual, likely
from coldstart.scoring.lexical import words_of
from coldstart.scoring.sparse import Taken, summed

if TYPE_CHECKING:
    from numpy.typing import NDArray

CLOSER, STANDS_OUT = 2.0, 0.5
"""How much closer than blank texts a text has to come to a facet to ask for it, and how much closer to it than to all
facets on average, in standard deviations of each."""

STEM = 5
"""So many letters at the beginning tell that two words are forms of one."""

MEANT = 0.5
"""The share of a field's most by which another of its values must stand out to be disliked as well: "red wine" is close
to white and rosé, and speaks against neither."""

_HELD = 20_000


@dataclass(frozen=True, eq=False, slots=True)
class _Blank:
    """How close blank texts come to facets.

    Attributes:
        near: On average. Shape: ``(facets,)``.
        spread: The standard deviation around that, of all together; > 0.
        closest: How much closer than the others each comes to some facet.
    """

    near: NDArray[np.float64]
    spread: float
    closest: Usual

    @classmethod
    def of(cls, near: NDArray[np.float64]) -> _Blank:
        """Tell what is usual. Shape: ``(texts, facets)``, of two texts at least."""
        mean, count = near.mean(0), len(near)
        # The mean of the others: from its own it would seem less far than a text is that had no part in it.
        left_out = (near - mean) * count / (count - 1)
        return cls(mean, max(float((near - mean).std()), SPREAD), Usual.of(left_out.max(1)))


class Faceted:
    """The facets that stand out in the user's words, summed over those that an item has; >= 0.

    A facet weighs ``max(0, b - CLOSER) * max(0, z - STANDS_OUT)``, with ``z`` its closeness to the words in standard
    deviations from all facets' mean, and ``b`` in those from blank texts' mean for the same facet (:mod:`blank`): "bold
    reds for a steak dinner" asks for red, full-bodied and beef, and for nothing else. Without a text liked phrases are
    the words. A facet that stands out and whose words are all among the person's, in whatever form, weighs as much as
    the one that stands out most. Abstains where none does.

    Some facet stands out for any text, also for one that asks for nothing: how far a text counts is told by
    :meth:`clearly`.
    """

    name = "facets"

    def __init__(self, index: Index) -> None:
        self._facets = index.facets
        self._known: tuple[NDArray[np.float32], _Blank] | None = None

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
            words = [query.texts["text"]] if "text" in query.texts else query.liked_phrases
            query.kept[self] = self._mean(query, words, self.asked)
        found: NDArray[np.float64] = query.kept[self]
        return found

    def unwanted(self, query: Query) -> NDArray[np.float64]:
        """Return how much disliked phrases ask for each facet, >= 0; see :data:`MEANT`. Shape: ``(facets,)``.

        What the text asks for isn't unwanted: "scary films, no vampires".
        """
        if (self, "unwanted") not in query.kept:
            found = self._mean(query, query.disliked_phrases, self._meant)
            asked = self.weights(query) if "text" in query.texts and found.any() else np.zeros(1)
            found *= 1.0 - asked / max(float(asked.max(initial=0.0)), 1e-9)
            query.kept[self, "unwanted"] = found
        result: NDArray[np.float64] = query.kept[self, "unwanted"]
        return result

    def _mean(
        self, query: Query, texts: Sequence[str], asked: Callable[[Query, str], NDArray[np.float64]]
    ) -> NDArray[np.float64]:
        """Return the mean of what texts ask for, each as far as it clearly asks for anything."""
        found = [asked(query, text) * self.clearly(query, text) for text in texts]
        return sum(found, np.zeros(len(self._facets))) / max(len(found), 1)

    def _meant(self, query: Query, text: str) -> NDArray[np.float64]:
        """Return what a text asks for without what only comes near that in the same field; see :data:`MEANT`."""
        asked = self.asked(query, text)
        most = np.zeros(int(self._field.max(initial=-1)) + 1)
        np.maximum.at(most, self._field, asked)
        return np.where(asked >= MEANT * most[self._field], asked, 0.0)

    @cached_property
    def _field(self) -> NDArray[np.int64]:
        """Which field each facet is of. Shape: ``(facets,)``."""
        return np.unique([label for label, _ in self._facets.names], return_inverse=True)[1].astype(np.int64)

    def asked(self, query: Query, text: str) -> NDArray[np.float64]:
        """Return how much one of a query's texts asks for each facet, >= 0. Shape: ``(facets,)``."""
        if not len(self._facets):
            return np.zeros(0)
        near = self._near(query.said[text][None])[0]
        spread = near.std()
        if spread <= 1e-6:
            return np.zeros(len(near))
        blank, own = self._blank(query.blank), (near - near.mean()) / spread
        closer = own if blank is None else (near - blank.near) / blank.spread
        found: NDArray[np.float64] = np.maximum(closer - CLOSER, 0.0) * np.maximum(own - STANDS_OUT, 0.0)
        found[self._in_so_many_words(text, np.flatnonzero(found))] = found.max()
        return found

    def _in_so_many_words(self, text: str, places: NDArray[np.int64]) -> list[int]:
        """Return those of some facets whose words are all among a text's, in whatever form.

        A word that some of these facets have as it is said stands for no other word: who wants to point and click wants
        no clicker.
        """
        said = words_of(text)
        names = [self._facets.names[place] for place in places.tolist()]
        words = [words_of(value or label) for label, value in names]
        known = frozenset().union(*words)
        taken = {one for one in said if any(_plural(one, word) for word in known)}
        free = said - taken
        return [
            place
            for place, each in zip(places.tolist(), words, strict=True)
            if all(any(_plural(word, one) for one in taken) or any(_same(word, one) for one in free) for word in each)
        ]

    def clearly(self, query: Query, text: str) -> float:
        """Return how likely one of a query's texts asks for a value, 0 to 1; 0 without facets."""
        if not len(self._facets):
            return 0.0
        if (self, text) not in query.kept:
            near, blank = self._near(query.said[text][None])[0], self._blank(query.blank)
            query.kept[self, text] = 1.0
            if blank is not None:
                closest = float((near - blank.near).max())
                query.kept[self, text] = likely(closest, blank.closest, query.idle.get(text, UNLIKE))
        return float(query.kept[self, text])

    def _near(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return how close texts' unit vectors come to facets. Shape: ``(texts, facets)``."""
        found: NDArray[np.float64] = np.einsum("ij,kj->ik", vectors, self._centred).astype(np.float64)
        return found

    def _blank(self, vectors: NDArray[np.float32]) -> _Blank | None:
        """Return how close blank texts come, given their unit vectors; None if there are too few."""
        if len(vectors) < 2:
            return None
        if self._known is None or self._known[0] is not vectors:
            self._known = vectors, _Blank.of(self._near(vectors))
        return self._known[1]

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


def _plural(word: str, other: str) -> bool:
    """Whether two words are the same but for a plural's ending.

    >>> _plural("reds", "red"), _plural("red", "red"), _plural("click", "clicker")
    (True, True, False)
    """
    shorter, longer = sorted((word, other), key=len)
    return longer in (shorter, f"{shorter}s", f"{shorter}es")


def _same(word: str, other: str) -> bool:
    """Whether two words are forms of one, as far as their beginnings tell.

    >>> _same("comedy", "comedies"), _same("red", "reds"), _same("port", "portuguese"), _same("war", "warm")
    (True, True, False, False)
    """
    shorter, longer = sorted((word, other), key=len)
    together = next((at for at, pair in enumerate(zip(shorter, longer)) if pair[0] != pair[1]), len(shorter))  # noqa: B905
    return _plural(word, other) or together >= max(STEM, len(shorter) - 2)


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
