"""Facets: the values that many items share, such as red, full-bodied and beef, each read by the encoder on its own.

An item's text is one vector, in which its title drowns what its fields say; what a person asks for in words is a few
values of those fields. Facets are few, so that each can be asked by itself how well it meets a request.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from coldstart.catalogue import Catalogue
from coldstart.prompting import Library
from coldstart.wording import shorten

MOST = 4096
"""Facets of a catalogue: its most frequent values."""

FEWEST = 2
"""Items that a value must have to be one: what only one item has is its own description."""

LARGEST_SHARE = 0.9
"""Of the items: a value that nearly all have tells nothing apart."""

_LONGEST = 60
_FEW = 20  # items up to which a catalogue is too small to count in


@dataclass(frozen=True, slots=True, eq=False)
class Facets:
    """Which values items share.

    Attributes:
        names: Each one's field and value, as read: ("pairings", "Beef"); an empty value says yes to the field.
        texts: What the encoder read of each.
        vectors: Unit vectors, float32. Shape: ``(facets, dimension)``.
        table: Ones where an item has a facet. SciPy CSR. Shape: ``(items, facets)``.
    """

    names: tuple[tuple[str, str], ...]
    texts: tuple[str, ...]
    vectors: NDArray[np.float32]
    table: Any

    def __len__(self) -> int:
        return len(self.names)

    @classmethod
    def none(cls, items: int, dimension: int) -> Facets:
        """Return those of items that share nothing."""
        return cls((), (), np.zeros((0, dimension), np.float32), sparse.csr_matrix((items, 0), dtype=np.float32))

    @classmethod
    def found(
        cls, catalogue: Catalogue, library: Library, encode: Callable[[Sequence[str]], NDArray[np.float32]]
    ) -> Facets:
        """Return what a catalogue's items share.

        Args:
            encode: From texts to unit vectors. Shape: ``(texts, dimension)``.
        """
        items = len(catalogue)
        said = [_said(catalogue, library, row) for row in range(items)]
        counts = Counter(name for names in said for name in names)
        least = FEWEST if items >= _FEW else 1
        most = LARGEST_SHARE * items if items >= _FEW else items
        kept = [name for name, count in counts.items() if least <= count <= most]
        kept = sorted(sorted(kept), key=lambda name: -counts[name])[:MOST]
        texts = tuple(library.describe_facet(label, value, kind=catalogue.kind) for label, value in kept)
        return cls(tuple(kept), texts, np.asarray(encode(texts), np.float32), _table(said, kept))

    def of(self, catalogue: Catalogue, library: Library, places: Sequence[int] | NDArray[np.int64]) -> Facets:
        """Return the same facets for other items: no text is read.

        Args:
            places: The row here of each item that was there before; -1 for others.
        """
        there = np.asarray(places, np.int64)
        kept, new = np.flatnonzero(there >= 0), np.flatnonzero(there < 0)
        table = self.table[there[kept]]
        if len(new):
            arrived = _table([_said(catalogue, library, int(row)) for row in new], self.names)
            order = np.argsort(np.concatenate([kept, new]), kind="stable")
            table = sparse.vstack([table, arrived], format="csr")[order]
        return Facets(self.names, self.texts, self.vectors, table)

    def to_bytes(self) -> bytes:
        """Return the facets as one file."""
        buffer = io.BytesIO()
        words = np.frombuffer(json.dumps([self.names, self.texts]).encode(), np.uint8)
        np.savez(buffer, words=words, vectors=self.vectors, places=self.table.indices, ends=self.table.indptr)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Facets:
        """Read what :meth:`to_bytes` wrote."""
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            names, texts = json.loads(arrays["words"].tobytes())
            vectors, places, ends = arrays["vectors"], arrays["places"], arrays["ends"]
        size = (len(ends) - 1, len(names))
        table = sparse.csr_matrix((np.ones(len(places), np.float32), places, ends), shape=size)
        return cls(tuple((label, value) for label, value in names), tuple(texts), vectors, table)


def _said(catalogue: Catalogue, library: Library, row: int) -> list[tuple[str, str]]:
    found = library.fields.facets_of(catalogue[row], kind=catalogue.kind)
    return list(dict.fromkeys((shorten(label, _LONGEST), value) for label, value in found if len(value) <= _LONGEST))


def _table(said: Sequence[Sequence[tuple[str, str]]], names: Sequence[tuple[str, str]]) -> Any:
    columns = {name: column for column, name in enumerate(names)}
    places = [sorted(columns[name] for name in row if name in columns) for row in said]
    ends = np.concatenate([[0], np.cumsum([len(row) for row in places], dtype=np.int64)])
    flat = np.array([place for row in places for place in row], np.int32)
    return sparse.csr_matrix((np.ones(len(flat), np.float32), flat, ends), shape=(len(said), len(names)))
