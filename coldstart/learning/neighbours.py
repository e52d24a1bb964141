"""Item-item models beside :mod:`companions`: what is liked by the same people, near by and by a linear model.

Both count only; words have no part in them. Where much was seen they order some lists better than a Gaussian model
does, and how much they count is chosen on the platform's own data (:mod:`coldstart.learning.weighing`).
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coldstart.learning.inverses import inverse

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

SUPPORT = 10.0
"""How many likes a similarity must be supported by to count half."""

PENALTY = 1000.0
"""``l`` of the linear model, where nothing was chosen; the stronger, the more it is popularity among like people."""

MOST = 4000
"""The linear model has this many items at most, those that most people like: 64 MB, and two seconds to make."""


def alike(likes: Any, given: Rows, *, without: int = -1) -> Floats:
    """Return how alike each item is to some, by who likes both: a shrunk cosine (Bell & Koren, ICDM 2007).

    ``sum_j n_ij / (sqrt(n_i n_j) + 10)``; an item isn't alike to itself. Shape: ``(items,)``.

    Args:
        likes: Who likes what. A SciPy CSR matrix of shape ``(people, items)``.
        given: Rows of items, each once. Shape: ``(given,)``.
        without: A row of ``likes`` to leave out; -1 for none.
    """
    together = np.asarray((likes.T @ likes[:, given]).todense(), np.float64)
    counts = np.asarray(likes.sum(0), np.float64).ravel()
    if without >= 0:
        own = np.asarray(likes[[without]].todense(), np.float64).ravel()
        together, counts = together - np.outer(own, own[given]), counts - own
    similar = together / (np.sqrt(np.maximum(np.outer(counts, counts[given]), 0.0)) + SUPPORT)
    similar[given, np.arange(len(given))] = 0.0
    return np.asarray(similar.sum(1))


class Linear:
    """EASE (Steck, WWW 2019): each item's likes as a linear function of those of the others, with a ridge.

    ``B = I - P diag(P)^-1`` with ``P = (X' X + l I)^-1``, of the items that most people like.

    Args:
        likes: ``X``, who likes what. A SciPy CSR matrix of shape ``(people, items)``.
        penalty: ``l``, > 0.
        most: How many items at most.
    """

    def __init__(self, likes: Any, *, penalty: float = PENALTY, most: int = MOST) -> None:
        counts = np.asarray(likes.sum(0), np.float64).ravel()
        chosen = np.argsort(-counts, kind="stable")[:most]
        self.rows: Rows = np.sort(chosen[counts[chosen] > 0]).astype(np.int64)
        self._place = np.full(likes.shape[1], -1)
        self._place[self.rows] = np.arange(len(self.rows))
        self._likes = likes[:, self.rows]
        gram = np.asarray((self._likes.T @ self._likes).todense(), np.float32, order="F")
        gram[np.diag_indices_from(gram)] += penalty
        self._inverse = inverse(gram)

    def widened(self, items: int) -> Linear:
        """Return the same where more items stand at the end, which it doesn't hold.

        Args:
            items: How many there are then.
        """
        made = copy.copy(self)
        made._place = np.concatenate([self._place, np.full(items - len(self._place), -1)])
        return made

    def score(self, given: Rows, *, without: int = -1) -> Floats:
        """Return ``B' x`` of a person who likes some items; NaN for items that it doesn't hold. Shape: ``(items,)``.

        Args:
            given: Rows of items, each once. Shape: ``(given,)``.
            without: A row of the likes to leave out, by Sherman and Morrison's formula; -1 for none.
        """
        places = self._place[given]
        places = places[places >= 0]
        found = np.full(len(self._place), np.nan)
        if not len(places):
            return found
        columns, diagonal = self._inverse[places].T.astype(np.float64), np.diag(self._inverse)
        if without >= 0:
            own = self._likes[[without]]
            moved = own.data @ self._inverse[own.indices].astype(np.float64)
            left = max(1.0 - float(own.data @ moved[own.indices]), 1e-9)
            columns = columns + np.outer(moved, moved[places]) / left
            diagonal = diagonal + moved**2 / left
        scores = -(columns / diagonal[:, None]).sum(1)
        scores[places] = 0.0
        found[self.rows] = scores
        return found
