"""Relevance: how close an item is to what the user likes and says, in the bi-encoder's space."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from coldstart.index import Index
from coldstart.scoring import Query

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHARPNESS = 3.0
"""Inverse temperature of the soft maximum over liked things: 0 is their mean, infinity the closest one."""

TOUCHED = 0.5
"""How much a past item of unknown verdict counts as liked, between 0 and 1."""

NOISE = 5.0
"""Variance of a verdict around a linear taste, in units of the prior's variance along a unit vector."""

_BLOCK = 4_000_000  # similarities held at once: 16 MB


class Said:
    """Closeness to one text of the request: the cosine of centred vectors, in [-1, 1].

    Abstains when the request has no such text.
    """

    def __init__(self, index: Index, view: str) -> None:
        self.name = view
        self._index = index

    def score(self, query: Query, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the cosine of each row with the view's text."""
        text = query.texts.get(self.name, "")
        vector = query.vectors.get(text)
        if vector is None:
            return np.full(len(rows), np.nan)
        if text in query.cosines or 2 * len(rows) > len(self._index.vectors):  # copying many rows costs more
            return cosines(self._index, query, text)[rows].astype(np.float64)
        few: NDArray[np.float64] = np.einsum("ij,j->i", self._index.at(rows), vector).astype(np.float64)
        return few


class Liked:
    """Closeness to the things a user likes: a soft maximum of the cosines, in [-1, 1].

    ``1/s * log(sum_i w_i exp(s * cos_i) / sum_i w_i)`` with ``s`` = :data:`SHARPNESS`: a user has several
    tastes, and an item that fits one of them well should beat one that fits all of them a little.
    """

    name = "liked"

    def __init__(self, index: Index) -> None:
        self._index = index

    def score(self, query: Query, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the soft maximum for each row."""
        phrases = [query.vectors[phrase] for phrase in query.liked_phrases]
        weights = np.concatenate([query.liked_weights, np.ones(len(phrases))])
        return closeness(self._index, rows, query.liked, phrases, weights)


class Taste:
    """The user's taste as one direction in the encoder's space, learned from all that they touched.

    Bayesian linear regression with a prior of mean zero: the posterior mean of ``x . w`` given targets 1 for likes,
    :data:`TOUCHED` for past items and 0 for dislikes, solved over the examples (kernel ridge; Rasmussen and
    Williams, "Gaussian Processes for Machine Learning", 2006, eq. 2.11). Items that a user chose to try tell of
    their taste even when they weren't liked, and examples that say the same don't count twice.
    """

    name = "taste"

    def __init__(self, index: Index) -> None:
        self._index = index

    def score(self, query: Query, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the expected liking of each row; abstains without likes."""
        if len(query.liked) + len(query.liked_phrases) == 0:
            return np.full(len(rows), np.nan)
        direction = self.direction(query)
        most = 2 * len(rows) > len(self._index.vectors)
        found: NDArray[np.float32] = (self._index.centred if most else self._index.at(rows)) @ direction
        return (found[rows] if most else found).astype(np.float64)

    def direction(self, query: Query) -> NDArray[np.float32]:
        """Return the taste of someone who likes something, worked out once a request. Shape: ``(dimension,)``."""
        name = Taste, id(self._index)
        if name not in query.kept:
            query.kept[name] = self._learned(query)
        found: NDArray[np.float32] = query.kept[name]
        return found

    def _learned(self, query: Query) -> NDArray[np.float32]:
        phrases = [query.vectors[phrase] for phrase in (*query.liked_phrases, *query.disliked_phrases)]
        seen = np.concatenate([query.liked, query.disliked])
        examples = _vectors(self._index, seen, phrases).astype(np.float64)
        targets = np.concatenate(
            [
                np.where(query.liked_weights < 1, TOUCHED, 1.0),
                np.zeros(len(query.disliked)),
                np.ones(len(query.liked_phrases)),
                np.zeros(len(query.disliked_phrases)),
            ]
        )
        if len(examples) <= examples.shape[1]:
            kernel = examples @ examples.T + NOISE * np.eye(len(examples))
            found: NDArray[np.float64] = examples.T @ np.linalg.solve(kernel, targets)
        else:
            precision = examples.T @ examples + NOISE * np.eye(examples.shape[1])
            found = np.linalg.solve(precision, examples.T @ targets)
        return found.astype(np.float32)


class Disliked:
    """How much closer an item is to what the user dislikes than to what they like; <= 0, and 0 for most items.

    Only the excess counts: people know and rate what is near their taste, so that a dislike among many likes says
    more of the one item than of its neighbourhood.
    """

    name = "disliked"

    def __init__(self, index: Index) -> None:
        self._index = index
        self._liked = Liked(index)

    def score(self, query: Query, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the negated excess for each row."""
        phrases = [query.vectors[phrase] for phrase in query.disliked_phrases]
        weights = np.ones(len(query.disliked) + len(phrases))
        if not len(weights):
            return np.full(len(rows), np.nan)
        bad = closeness(self._index, rows, query.disliked, phrases, weights)
        good = self._liked.score(query, rows)
        return np.minimum(0.0, np.where(np.isnan(good), 0.0, good) - bad)


def cosines(index: Index, query: Query, text: str) -> NDArray[np.float32]:
    """Return a text's cosines with all items, worked out once a request. Shape: ``(items,)``.

    Args:
        text: One of the query's.
    """
    if text not in query.cosines:
        # Not a matrix product: its threads go on spinning and slow the encoder's next forward several times.
        query.cosines[text] = np.einsum("ij,j->i", index.centred, query.vectors[text])
    return query.cosines[text]


def closeness(
    index: Index,
    rows: NDArray[np.int64],
    examples: NDArray[np.int64],
    phrases: list[NDArray[np.float32]],
    weights: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the weighted soft maximum of each row's cosines with examples; NaN if there are none.

    Args:
        examples: Rows of items.
        phrases: Centred unit vectors of texts.
        weights: Of the examples, then the phrases; > 0.
    """
    if len(weights) == 0:
        return np.full(len(rows), np.nan)
    size = len(index.vectors)
    if 2 * len(rows) > size and len(rows) < size:
        everything = np.arange(size)  # rows of one range are read where they lie
        return closeness(index, everything, examples, phrases, weights)[rows]
    scaled = (_vectors(index, examples, phrases) * np.float32(SHARPNESS)).T
    whole = len(rows) == size and bool((rows == np.arange(len(rows))).all())
    offsets = np.log(weights / weights.sum())
    found = np.empty(len(rows))
    block = max(1, _BLOCK // len(weights))
    vectors = index.centred if whole else index.at(rows) if 2 * len(rows) <= size else index.centred[rows]
    for start in range(0, len(rows), block):
        near = slice(start, start + block)
        similar = vectors[near] @ scaled
        # Cosines are within 1, so that no exponent passes SHARPNESS: nothing to guard against.
        found[start : start + block] = np.log(np.exp(similar) @ np.exp(offsets)) / SHARPNESS
    return found


def _vectors(index: Index, rows: NDArray[np.int64], phrases: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return the centred vectors of items, then of phrases. Shape: ``(rows + phrases, dimension)``."""
    return np.concatenate([index.at(rows), np.array(phrases, np.float32).reshape(-1, index.mean.size)])
