"""Following: which items follow those that a person liked, as an adapter learned it from the order of likes.

With the vectors ``v_j`` of what they liked, of unit length, a person is the unit vector of

    sum_j s_j unit((I + A) v_j)

and an item's score is its cosine with that. The matrix ``A`` and the shares ``s_j``, by how many likes ago one was, are
learned in :mod:`coldstart.refining.head`; of likes without an order none counts more than another.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from coldstart.errors import AdapterError
from coldstart.index import Index
from coldstart.refining.balance import AFTER, FUSION, MARK, MET, PLACES, SHIPPED, Balance
from coldstart.rows import key
from coldstart.scoring import Query

if TYPE_CHECKING:
    from numpy.typing import NDArray

NEAR = ("liked", "taste")
"""The scorers beside which it counts, and in whose place where a request has words as well."""


@dataclass(frozen=True, eq=False, slots=True)
class Follows:
    """What an adapter knows beside the encoder's change.

    Attributes:
        matrix: ``A``; None if it learned none. Shape: ``(dimension, dimension)``.
        places: The logarithms of the shares, the last like first; of still earlier likes nothing counts.
            Shape: ``(places,)``.
        balance: How much each kind of evidence counts with it.
        met: The first :data:`MARK` bytes of the keys of documents that it learned of; None for all.
    """

    matrix: NDArray[np.float32] | None
    places: NDArray[np.float32]
    balance: Balance
    met: frozenset[bytes] | None = None

    def knows(self, documents: Sequence[str]) -> NDArray[np.bool_]:
        """Return which documents it learned of. Shape: ``(documents,)``."""
        if self.met is None:
            return np.ones(len(documents), np.bool_)
        return np.fromiter((key(text)[:MARK] in self.met for text in documents), np.bool_, len(documents))

    @classmethod
    def of(cls, config: bytes, weights: bytes, scale: float) -> Follows:
        """Return what an adapter holds; nothing of it for one that is of the encoder alone.

        Args:
            config: Its configuration, JSON.
            weights: Its tensors, a safetensors file.
            scale: How much of them is applied.

        Raises:
            AdapterError: It can't be read.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            told: Mapping[str, Any] = json.loads(config)
            tensors = load(weights) if AFTER in told else {}
            balance = Balance.of(told[FUSION]) if FUSION in told else SHIPPED
            matrix = np.float32(scale) * tensors[AFTER].astype(np.float32) if tensors else None
            marks = base64.b64decode(told[MET], validate=True) if MET in told else None
            met = None if marks is None else frozenset(marks[at : at + MARK] for at in range(0, len(marks), MARK))
            places = np.float32(scale) * tensors[PLACES].astype(np.float32) if tensors else np.zeros(1, np.float32)
        except (ValueError, KeyError, TypeError, SafetensorError) as problem:
            raise AdapterError(f"the adapter can't be read ({problem}): roll back or refine again") from problem
        return cls(matrix, places, balance, met)


class Following:
    """How well an item follows what a person liked: a cosine, in [-1, 1]; abstains without likes."""

    name = "following"

    def __init__(self, index: Index, follows: Follows) -> None:
        if follows.matrix is None:
            raise AdapterError("the adapter holds no matrix of what follows what: it scores nothing; refine again")
        self._index, self._matrix, self._places = index, follows.matrix, follows.places

    def score(self, query: Query, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the cosine of each row."""
        direction = self.direction(query)
        if direction is None:
            return np.full(len(rows), np.nan)
        vectors = self._index.vectors
        whole = len(rows) == len(vectors) and bool((rows == np.arange(len(rows))).all())
        return np.asarray((vectors if whole else vectors[rows]) @ direction, np.float64)

    def direction(self, query: Query) -> NDArray[np.float32] | None:
        """Return the person's unit vector; None without likes. Shape: ``(dimension,)``."""
        stated, past = query.liked[: len(query.liked) - query.past], query.liked[len(query.liked) - query.past :]
        past = past[len(past) - min(len(past), len(self._places)) :]
        phrases = [query.said[phrase] for phrase in query.liked_phrases]
        if len(stated) + len(past) + len(phrases) == 0:
            return None
        found = [self._index.vectors[stated], self._index.vectors[past], np.array(phrases, np.float32)]
        vectors = np.concatenate([part.reshape(-1, self._matrix.shape[0]) for part in found])
        shares = np.exp(self._places)
        each = np.full(len(vectors), shares.mean(), np.float32)
        each[len(stated) : len(stated) + len(past)] = shares[: len(past)][::-1]
        person = each @ _unit(vectors + vectors @ self._matrix)
        return np.asarray(_unit(person[None])[0], np.float32)


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    return np.asarray(vectors / lengths, np.float32)
