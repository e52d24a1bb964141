"""Following: which items follow those that a person liked, as an adapter learned it from the order of likes.

With an item's centred vector ``x``, and ``v = unit((I + D) x)``, a person is the unit vector of

    sum_j s_j unit((I + A) v_j)

over what they liked, and an item's score is the cosine of its ``v`` with that. The matrices ``D`` and ``A`` and the
shares ``s_j``, by how many likes ago one was, are learned in :mod:`coldstart.refining.head`; of likes without an order
none counts more than another. All other scorers go by the encoder's own vectors: what was learned of items that people
met says little of others, and of words nothing.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from coldstart.errors import AdapterError
from coldstart.index import Index
from coldstart.refining.balance import AFTER, CHANGE, FUSION, MARK, MET, PLACES, SHIPPED, Balance
from coldstart.rows import key
from coldstart.scoring import Query

if TYPE_CHECKING:
    from numpy.typing import NDArray

NEAR = ("liked", "taste")
"""The scorers beside which it counts, and in whose place where a request has words as well."""

_SAMPLE = 1000  # items that tell how long vectors are after the change


@dataclass(frozen=True, eq=False, slots=True)
class Follows:
    """What an adapter knows beside the encoder's change.

    Attributes:
        matrix: ``A``; None if it learned none. Shape: ``(dimension, dimension)``.
        change: ``D``; None for zeros. Shape: ``(dimension, dimension)``.
        places: The logarithms of the shares, the last like first; of still earlier likes nothing counts.
            Shape: ``(places,)``.
        balance: How much each kind of evidence counts with it.
        met: The first :data:`MARK` bytes of the keys of documents that it learned of; None for all.
    """

    matrix: NDArray[np.float32] | None
    places: NDArray[np.float32]
    balance: Balance
    met: frozenset[bytes] | None = None
    change: NDArray[np.float32] | None = None

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
            change = np.float32(scale) * tensors[CHANGE].astype(np.float32) if CHANGE in tensors else None
            marks = base64.b64decode(told[MET], validate=True) if MET in told else None
            met = None if marks is None else frozenset(marks[at : at + MARK] for at in range(0, len(marks), MARK))
            places = np.float32(scale) * tensors[PLACES].astype(np.float32) if tensors else np.zeros(1, np.float32)
        except (ValueError, KeyError, TypeError, SafetensorError) as problem:
            raise AdapterError(f"the adapter can't be read ({problem}): roll back or refine again") from problem
        return cls(matrix, places, balance, met, change)


class Following:
    """How well an item follows what a person liked: a cosine, in [-1, 1]; abstains without likes."""

    name = "following"

    def __init__(self, index: Index, follows: Follows) -> None:
        if follows.matrix is None:
            raise AdapterError("the adapter holds no matrix of what follows what: it scores nothing; refine again")
        self._index, self._matrix, self._places = index, follows.matrix, follows.places
        self._change = follows.change

    def score(self, query: Query, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the cosine of each row."""
        person = self._person(query)
        if person is None:
            return np.full(len(rows), np.nan)
        whole = len(rows) == len(self._index.catalogue) and bool((rows == np.arange(len(rows))).all())
        return np.asarray((self._all if whole and not self._index.is_large else self._at(rows)) @ person, np.float64)

    def direction(self, query: Query) -> NDArray[np.float32] | None:
        """Return the direction of centred vectors in which scores grow; None without likes. Shape: ``(dimension,)``.

        The product with it is about the score: the vectors' length after the change is taken for what it is on average.
        """
        person = self._person(query)
        if person is None or self._change is None:
            return person
        return np.asarray((person + self._change @ person) / self._stretch, np.float32)

    def warm(self) -> None:
        """Work out what the first request would have to."""
        _ = self._stretch if self._index.is_large else self._all

    @cached_property
    def _all(self) -> NDArray[np.float32]:
        """Every item's ``v``. Shape: ``(items, dimension)``."""
        return self._turned(self._index.centred)

    @cached_property
    def _stretch(self) -> float:
        """The mean length of ``(I + D) x``."""
        count = len(self._index.catalogue)
        rows = np.unique(np.linspace(0, count - 1, min(count, _SAMPLE)).astype(np.int64))
        return max(float(np.linalg.norm(self._changed(self._index.at(rows)), axis=1).mean()), 1e-9)

    def _at(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        return self._turned(self._index.at(rows)) if self._index.is_large else self._all[rows]

    def _changed(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        return vectors if self._change is None else vectors + vectors @ self._change

    def _turned(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        return _unit(self._changed(vectors))

    def _person(self, query: Query) -> NDArray[np.float32] | None:
        """Return the person's unit vector; None without likes. Shape: ``(dimension,)``."""
        stated, past = query.liked[: len(query.liked) - query.past], query.liked[len(query.liked) - query.past :]
        past = past[len(past) - min(len(past), len(self._places)) :]
        phrases = [query.vectors[phrase] for phrase in query.liked_phrases]
        if len(stated) + len(past) + len(phrases) == 0:
            return None
        said = self._turned(np.array(phrases, np.float32).reshape(-1, self._matrix.shape[0]))
        vectors = np.concatenate([self._at(stated), self._at(past), said])
        shares = np.exp(self._places)
        each = np.full(len(vectors), shares.mean(), np.float32)
        each[len(stated) : len(stated) + len(past)] = shares[: len(past)][::-1]
        person = each @ _unit(vectors + vectors @ self._matrix)
        return np.asarray(_unit(person[None])[0], np.float32)


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    return np.asarray(vectors / lengths, np.float32)
