"""Vector search: the rows that lie nearest to vectors; exact in small catalogues, and nearly so in large ones.

A large catalogue's vectors are kept where they are, on disk if need be. Beside them lie codes: their first principal
components, sorted by cell, of a k-means partition (an inverted file: Jégou et al., "Product Quantization for Nearest
Neighbor Search", 2011, section IV). A query reads the codes of some cells, and the whole vectors of the best few
hundred or thousand.

Which cells follows from a model and not from a setting: a cell's inner products with a query ``q`` are taken for
normal, with mean ``q . m_c`` and variance ``sum_d q_d^2 v_cd``; the threshold that as many rows as are wanted would
pass is solved for, and cells are read until they hold all but :data:`MISSED` of those expected to pass it. A query of
one meaning reads a hundredth of the codes, one of several reads a tenth. So does which rows are compared whole: all
whose code is as good as the best ones' but for :data:`DOUBT` standard deviations of what codes leave out.

Rows may come and go: new ones are coded by the old cells, and those that went are passed over.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from coldstart.errors import BadIndex

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]

EXACT = 20_000
"""Up to so many rows all of them are compared."""

COMPONENTS = 128
"""Principal components in a code, at most: on sentence vectors they hold nine tenths of the variance."""

MISSED = 1e-5
"""The expected share of the nearest rows that lie in cells which aren't read: by a model that promises too much."""

DOUBT = 5.0
"""Rows are compared whole whose code is within so many standard deviations of what it leaves out of the best."""

RESCORED = 4000
"""Rows that are compared whole, at most, unless twice as many as are wanted are more."""

AROUND = 3
"""Cells that are read to look around one row."""

_ROWS_A_CELL = 500
_MOST_CELLS = 2048
_TRAINING = 64  # rows a cell
_ROUNDS = 8
_BLOCK = 16_384


@dataclass(frozen=True, eq=False, slots=True)
class Cells:
    """A partition of the space of codes.

    Attributes:
        basis: From vectors to codes. Shape: ``(dimension, components)``.
        means: Of each cell's codes. Shape: ``(cells, components)``.
        variances: Of each cell's codes, along each component. Shape: ``(cells, components)``.
        left: Second moments of what codes leave out of vectors. Shape: ``(dimension, dimension)``.
    """

    basis: Floats
    means: Floats
    variances: Floats
    left: Floats

    def doubt(self, query: Floats) -> float:
        """Return the standard deviation of what codes leave out of rows' inner products with a query."""
        return float(np.sqrt(max(np.einsum("i,ij,j", query, self.left, query), 0.0)))

    def nearest(self, codes: Floats) -> Rows:
        """Return the cell of each code. Shape: ``(codes,)``."""
        half = 0.5 * np.einsum("ij,ij->i", self.means, self.means)
        found: Rows = np.argmax(codes @ self.means.T - half, 1).astype(np.int64)
        return found


@dataclass(frozen=True, eq=False, slots=True)
class Segment:
    """Codes of rows that were added together, a cell beside a cell.

    Attributes:
        codes: May be memory-mapped. Shape: ``(codes, components)``.
        rows: Each code's row now; -1 for one that went. Shape: ``(codes,)``.
        ends: Where each cell ends. Shape: ``(cells,)``.
    """

    codes: Floats
    rows: NDArray[np.int32]
    ends: Rows

    @property
    def sizes(self) -> Rows:
        """How many codes each cell holds. Shape: ``(cells,)``."""
        return np.diff(self.ends, prepend=0)


@dataclass(frozen=True, eq=False)
class Search:
    """Finds rows by their vectors, after a mean is taken off them and they are scaled to unit length.

    Attributes:
        vectors: Unit vectors, float32; may be memory-mapped. Shape: ``(rows, dimension)``.
        mean: Shape: ``(dimension,)``.
        cells: None where all rows are compared.
        segments: Codes of the rows that have any; the others are compared one by one.
    """

    vectors: Floats
    mean: Floats
    cells: Cells | None = None
    segments: tuple[Segment, ...] = ()

    @classmethod
    def over(cls, vectors: Floats, mean: Floats, *, seed: int = 0, exact: int = EXACT) -> Search:
        """Return a search over vectors, with codes if there are more than ``exact``."""
        found = cls(vectors, mean)
        if len(vectors) <= exact:
            return found
        cells = _partition(found, np.random.default_rng(seed))
        found = replace(found, cells=cells)
        return replace(found, segments=(found._coded(np.arange(len(vectors))),))

    def __len__(self) -> int:
        return len(self.vectors)

    def __getitem__(self, rows: Rows) -> Floats:
        """Return rows' unit vectors after the mean is taken off. Shape: ``(rows, dimension)``."""
        moved: Floats = self._whole(rows) - self.mean
        moved /= np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-9)
        return moved

    def moved(self, vectors: Floats, mean: Floats, places: Rows, *, fold: int = EXACT) -> Search:
        """Return the search for a catalogue of which items went and to which some came; the others aren't coded anew.

        Args:
            vectors: Of all items now. Shape: ``(rows, dimension)``.
            mean: Of those vectors.
            places: Each row's row before; -1 for a new or changed one. Shape: ``(rows,)``.
            fold: How many rows without a code there may be before they are coded.
        """
        if self.cells is None:
            return Search.over(vectors, mean)
        now = np.full(len(self) + 1, -1, np.int32)  # the last one stands for what went before
        kept = np.flatnonzero(places >= 0)
        now[places[kept]] = kept
        segments = tuple(replace(segment, rows=now[segment.rows]) for segment in self.segments)
        made = replace(self, vectors=vectors, mean=mean, segments=segments)
        loose = made._loose
        return made if len(loose) <= fold else replace(made, segments=(*segments, made._coded(loose)))

    def nearest(self, query: Floats, k: int, *, allowed: Mask | None = None) -> tuple[Rows, Floats]:
        """Return the ``k`` rows of the largest ``centred vector . query``, best first, and those products.

        Fewer come back only if fewer are allowed. Of equal products the lower row comes first.

        Args:
            query: Any length. Shape: ``(dimension,)``.
            k: At least 1.
            allowed: Which rows may come back; None for all. Shape: ``(rows,)``.
        """
        count = len(self) if allowed is None else int(np.count_nonzero(allowed))
        k = min(k, count)
        if k == 0:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        if self.cells is None or count <= max(2 * k, RESCORED):
            rows = np.arange(len(self)) if allowed is None else np.flatnonzero(allowed)
        else:
            rows = self._doubtful(query, k, allowed)
        products = self._products(rows, query)
        if k < len(rows):
            best = np.argpartition(-products, k - 1)[:k]
            rows, products = rows[best], products[best]
        order = np.lexsort((rows, -products))
        return rows[order], products[order]

    def near(
        self, query: Floats, k: int, *, allowed: Mask | None = None, missed: float = MISSED
    ) -> tuple[Rows, Floats]:
        """Return the rows that are read to find the ``k`` nearest, in any order, and their products by code.

        Without cells, all that are allowed.

        Args:
            query: Any length. Shape: ``(dimension,)``.
            k: At least 1.
            allowed: Which rows may come back; None for all. Shape: ``(rows,)``.
            missed: The expected share of the nearest that may lie elsewhere.
        """
        if self.cells is None:
            rows = np.arange(len(self)) if allowed is None else np.flatnonzero(allowed)
            return rows, self._products(rows, query)
        count = len(self) if allowed is None else int(np.count_nonzero(allowed))
        rows, products = self._read(query, k, allowed, len(self) / max(count, 1), missed)
        loose = self._loose if allowed is None else self._loose[allowed[self._loose]]
        if not len(loose):
            return rows, products
        return np.concatenate([rows, loose]), np.concatenate([products, self._products(loose, query)])

    def warm(self) -> None:
        """Work out what the first query would have to."""
        if self.cells is not None:
            _ = self._loose, self._beside, self._sizes

    def around(self, row: int, *, allowed: Mask | None = None) -> tuple[Rows, Floats]:
        """Return the rows of the cells nearest to a row's own, in any order, and their products with it by code.

        Most of what is nearest to it is there, and no more is read. Without cells, or a code of the row, all that are
        read to find its nearest.

        Args:
            row: Any.
            allowed: Which rows may come back; None for all. Shape: ``(rows,)``.
        """
        place = -1 if self.cells is None else int(self._places[row])
        for segment in self.segments:
            if 0 <= place < len(segment.codes):
                cell = int(np.searchsorted(segment.ends, place, side="right"))
                return self._scanned(self._beside[cell], segment.codes[place], allowed)
            place -= len(segment.codes)
        return self.near(self[np.array([row])][0], AROUND, allowed=allowed)

    @cached_property
    def _beside(self) -> Rows:
        """The cells nearest to each, itself included, rising. Shape: ``(cells, AROUND)``."""
        assert self.cells is not None  # noqa: S101 - who has a code has a cell
        means = self.cells.means
        apart = np.einsum("ij,ij->i", means, means) - 2 * means @ means.T
        return np.sort(np.argpartition(apart, AROUND - 1, axis=1)[:, :AROUND], axis=1)

    @cached_property
    def _sizes(self) -> Rows:
        """How many codes each cell holds, in all segments. Shape: ``(cells,)``."""
        found: Rows = np.sum([segment.sizes for segment in self.segments], axis=0)
        return found

    def by_code(self, rows: Rows, queries: Floats) -> Floats:
        """Return what some rows' codes say of their products with queries, or without codes the products themselves.

        Args:
            rows: In any order. Shape: ``(rows,)``.
            queries: Any lengths. Shape: ``(queries, dimension)``.

        Returns:
            Shape: ``(rows, queries)``.
        """
        if self.cells is None:
            return np.stack([self._products(rows, query) for query in queries], 1)
        places, codes = self._places[rows], (queries @ self.cells.basis).T
        found = np.empty((len(rows), len(queries)), np.float32)
        begin = 0
        for segment in self.segments:
            here = np.flatnonzero((places >= begin) & (places < begin + len(segment.codes)))
            found[here] = segment.codes[places[here] - begin] @ codes
            begin += len(segment.codes)
        if len(loose := np.flatnonzero(places < 0)):
            found[loose] = self[rows[loose]] @ queries.T
        return found

    def _products(self, rows: Rows, query: Floats) -> Floats:
        """Return rows' inner products with a query, once centred.

        The vectors are of unit length, so that ``|x - m|^2 = 1 - 2 x . m + m . m``, and they needn't be moved.
        """
        found = np.empty(len(rows), np.float32)
        both = np.stack([query, self.mean], 1).astype(np.float32)
        for start in range(0, len(rows), _BLOCK):
            part = slice(start, start + _BLOCK)
            products = self._whole(rows[part]) @ both
            lengths = np.sqrt(np.maximum(1.0 - 2.0 * products[:, 1] + self.mean @ self.mean, 1e-18))
            found[part] = (products[:, 0] - query @ self.mean) / lengths
        return found

    def _doubtful(self, query: Floats, k: int, allowed: Mask | None) -> Rows:
        """Return the rows that may be among the ``k`` nearest by what their codes say, rising; at least ``k``."""
        assert self.cells is not None  # noqa: S101 - without cells nothing has a code
        rows, products = self.near(query, k, allowed=allowed)
        most = max(RESCORED, 2 * k)
        if len(rows) > most:
            best = np.argpartition(-products, most - 1)[:most]
            rows, products = rows[best], products[best]
        if len(rows) > k:
            last = np.partition(products, len(rows) - k)[len(rows) - k]
            rows = rows[products >= last - DOUBT * self.cells.doubt(query)]
        return np.sort(rows)

    def _read(self, query: Floats, k: int, allowed: Mask | None, thinned: float, missed: float) -> tuple[Rows, Floats]:
        """Return the rows of the cells that hold the ``k`` nearest, and their products by code."""
        assert self.cells is not None  # noqa: S101 - without cells nothing has a code
        code = np.asarray(query @ self.cells.basis, np.float32)
        means = np.einsum("ij,j->i", self.cells.means, code)
        variances = np.einsum("ij,j->i", self.cells.variances, code * code)
        ordered, shares = self._planned(k * thinned, means, variances)
        read = int(np.searchsorted(shares, 1.0 - missed)) + 1
        rows, products = self._scanned(np.sort(ordered[:read]), code, allowed)
        while len(rows) < 2 * k and read < len(ordered):  # what is allowed lies elsewhere than a plain sample would
            read = min(2 * read, len(ordered))
            rows, products = self._scanned(np.sort(ordered[:read]), code, allowed)
        return rows, products

    def _planned(self, k: float, means: Floats, variances: Floats) -> tuple[Rows, NDArray[np.float64]]:
        """Return the cells, those that promise most of the ``k`` nearest first, and the share in the first ones."""
        sizes = self._sizes
        spread = np.sqrt(np.maximum(variances, 1e-12))
        low, high = float((means - 6 * spread).min()), float((means + 6 * spread).max())
        expected = np.asarray(sizes, np.float64)
        for _ in range(14):
            middle = (low + high) / 2
            expected = sizes * ndtr((means - middle) / spread)
            low, high = (middle, high) if expected.sum() > k else (low, middle)
        order = np.argsort(-expected / (np.asarray(sizes) + 20), kind="stable")
        return order, np.cumsum(expected[order]) / max(float(expected.sum()), 1e-300)

    def _scanned(self, cells: Rows, code: Floats, allowed: Mask | None) -> tuple[Rows, Floats]:
        """Return the rows in some cells, in any order, and what their codes say of their products."""
        found, products = [], []
        for segment in self.segments:
            for part in _runs(segment, cells):
                # Not a matrix product: its threads cost more than they bring, and go on spinning.
                products.append(np.einsum("ij,j->i", segment.codes[part], code))
                found.append(segment.rows[part])
        rows, near = np.concatenate(found), np.concatenate(products)
        kept = rows >= 0 if allowed is None else (rows >= 0) & allowed[rows]
        return (rows.astype(np.int64), near) if kept.all() else (rows[kept].astype(np.int64), near[kept])

    @cached_property
    def _places(self) -> NDArray[np.int32]:
        """Where each row's code is, all segments' one after another; -1 without one. Shape: ``(rows,)``."""
        found = np.full(len(self) + 1, -1, np.int32)  # the last one is for codes of rows that went
        begin = 0
        for segment in self.segments:
            found[segment.rows] = np.arange(begin, begin + len(segment.rows), dtype=np.int32)
            begin += len(segment.rows)
        return found[:-1]

    @cached_property
    def _loose(self) -> Rows:
        """Rows without a code, rising."""
        return np.flatnonzero(self._places < 0)

    def _coded(self, rows: Rows) -> Segment:
        assert self.cells is not None  # noqa: S101 - a caller has made them
        codes = np.empty((len(rows), self.cells.basis.shape[1]), np.float32)
        cell = np.empty(len(rows), np.int64)
        for start in range(0, len(rows), _BLOCK):
            part = slice(start, start + _BLOCK)
            codes[part] = self[rows[part]] @ self.cells.basis
            cell[part] = self.cells.nearest(codes[part])
        order = np.argsort(cell, kind="stable")
        sizes = np.bincount(cell, minlength=len(self.cells.means))
        return Segment(codes[order], rows[order].astype(np.int32), np.cumsum(sizes))

    def _whole(self, rows: Rows) -> Floats:
        """Return rows' vectors as they are, not to be written to; rows of one range lie where they are, in memory.

        From a file they are read and not mapped: mapped pages count as memory that is held, and a page's fault costs
        more than a read.
        """
        file = self._file
        first = int(rows[0]) if len(rows) else 0
        ranged = len(rows) > 0 and int(rows[-1]) - first + 1 == len(rows) and bool((np.diff(rows) == 1).all())
        if file is None:
            return self.vectors[first : first + len(rows)] if ranged else self.vectors[rows]
        size, start = self.vectors.strides[0], self.vectors.offset  # type: ignore[attr-defined]
        if ranged:
            data = os.pread(file, size * len(rows), start + size * first)
        else:
            data = b"".join([os.pread(file, size, place) for place in (rows * size + start).tolist()])
        return np.frombuffer(data, np.float32).reshape(len(rows), self.vectors.shape[1])

    @cached_property
    def _file(self) -> int | None:
        """The file that the vectors are mapped from; None if they are in memory, or can't be read side by side."""
        vectors = self.vectors
        plain = isinstance(vectors, np.memmap) and vectors.flags.c_contiguous and hasattr(os, "pread")
        if not plain or getattr(vectors, "filename", None) is None or vectors.dtype != np.float32:
            return None
        file = os.open(vectors.filename, os.O_RDONLY)  # type: ignore[attr-defined]
        weakref.finalize(self, os.close, file)
        return file

    # Keeping ------------------------------------------------------------------------------------------------

    def arrays(self) -> Mapping[str, NDArray[Any]] | None:
        """Return what is kept of the codes, ``codes`` the largest by far; None without any.

        Segments become one, and codes of rows that went are left out.
        """
        if self.cells is None:
            return None
        whole = self.segments
        if len(whole) > 1 or len(self._loose) or (whole[0].rows < 0).any():
            whole = (self._coded(np.arange(len(self))),)
        cells = {name: getattr(self.cells, name) for name in ("basis", "means", "variances", "left")}
        return {"codes": whole[0].codes, "rows": whole[0].rows, "ends": whole[0].ends, "mean": self.mean, **cells}

    @classmethod
    def of(cls, vectors: Floats, arrays: Mapping[str, NDArray[Any]]) -> Search:
        """Return the search that :meth:`arrays` was asked of.

        Raises:
            BadIndex: They don't belong together.
        """
        cells = Cells(arrays["basis"], arrays["means"], arrays["variances"], arrays["left"])
        segment = Segment(arrays["codes"].view(np.ndarray), arrays["rows"], arrays["ends"])
        size, fits = len(vectors), len(segment.codes) == len(segment.rows) == len(vectors)
        if not fits or int(segment.ends[-1]) != size or arrays["basis"].shape[0] != vectors.shape[1]:
            raise BadIndex(f"the codes of {len(segment.codes)} items don't fit {size} vectors: index again")
        return cls(vectors, arrays["mean"], cells, (segment,))


def _runs(segment: Segment, cells: Rows) -> Iterator[slice]:
    """Yield where some cells, rising, lie; neighbours together."""
    begins, ends = segment.ends[cells] - segment.sizes[cells], segment.ends[cells]
    breaks = np.flatnonzero(begins[1:] != ends[:-1]) + 1
    for first, last in zip([0, *breaks.tolist()], [*breaks.tolist(), len(cells)], strict=True):
        yield slice(int(begins[first]), int(ends[last - 1]))


def _partition(search: Search, random: np.random.Generator) -> Cells:
    """Return the principal components and the cells of a sample of the rows."""
    size = len(search)
    count = int(np.clip(size // _ROWS_A_CELL, 8, _MOST_CELLS))
    sample = np.sort(random.choice(size, min(size, count * _TRAINING), replace=False))
    inputs = search[sample]
    _, axes = np.linalg.eigh(np.cov(inputs.T.astype(np.float64)))
    basis = np.ascontiguousarray(axes[:, ::-1][:, :COMPONENTS], np.float32)
    codes = inputs @ basis
    out = inputs - codes @ basis.T
    left = out.T @ out / np.float32(len(out))
    cells = Cells(basis, codes[random.choice(len(codes), count, replace=False)], np.empty((0, 0), np.float32), left)
    for _ in range(_ROUNDS):
        cell = np.concatenate([cells.nearest(codes[at : at + _BLOCK]) for at in range(0, len(codes), _BLOCK)])
        means, variances, sizes = _moments(codes, cell, count)
        means[sizes == 0] = codes[random.choice(len(codes), int((sizes == 0).sum()))]
        cells = Cells(basis, means, variances, left)
    return cells


def _moments(codes: Floats, cell: Rows, count: int) -> tuple[Floats, Floats, Rows]:
    """Return each cell's mean, its variance along each component, and its size; zeros for an empty cell."""
    order = np.argsort(cell, kind="stable")
    sizes = np.bincount(cell, minlength=count)
    there = np.flatnonzero(sizes)
    begins = (np.cumsum(sizes) - sizes)[there]
    means, squares = np.zeros((2, count, codes.shape[1]), np.float32)
    ordered = codes[order]
    means[there] = np.add.reduceat(ordered, begins) / sizes[there, None]
    squares[there] = np.add.reduceat(ordered**2, begins) / sizes[there, None]
    return means, np.maximum(squares - means**2, 0.0), sizes
