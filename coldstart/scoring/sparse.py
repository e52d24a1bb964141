"""Sparse tables of what items have: words, values. A few of the rows or columns of many, at the cost of those alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from coldstart.index import FIXED

if TYPE_CHECKING:
    from numpy.typing import NDArray

_KEPT = 2


class Taken:
    """Rows of a table. Those of the arrays of rows that were asked for last are kept, for who asks for these again.

    Arrays that can't be written to are kept apart: they are asked for by later requests as well.

    Args:
        table: A SciPy CSR matrix.
    """

    def __init__(self, table: Any) -> None:
        self._table = table
        self._kept: dict[bool, tuple[tuple[NDArray[np.int64], Any], ...]] = {False: (), True: ()}

    def __call__(self, rows: NDArray[np.int64]) -> Any:
        """Return some rows as a CSR matrix; the array of them must not change. Shape: ``(rows, columns)``."""
        fixed = not rows.flags.writeable
        kept = self._kept[fixed]
        found = next((table for asked, table in kept if asked is rows), None)
        if found is None:
            found = self._table[rows]
        others = (one for one in kept if one[0] is not rows)
        self._kept[fixed] = ((rows, found), *others)[: FIXED if fixed else _KEPT]
        return found


def summed(
    by_column: Any, columns: NDArray[np.int64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the rows that have anything in some columns, rising, and the weighted sum of that.

    The other rows cost nothing.

    Args:
        by_column: A SciPy CSC matrix, each column's rows rising.
        columns: Which of them. Shape: ``(columns,)``.
        weights: Of each. Shape: ``(columns,)``.
    """
    held = [slice(by_column.indptr[column], by_column.indptr[column + 1]) for column in columns]
    if not held:
        return np.empty(0, np.int64), np.empty(0)
    places = np.concatenate([by_column.indices[part] for part in held])
    values = np.concatenate([by_column.data[part] * weight for part, weight in zip(held, weights, strict=True)])
    order = np.argsort(places, kind="stable")  # runs that rise are merged
    places = places[order]
    first = np.flatnonzero(np.diff(places, prepend=-1))
    if not len(first):
        return np.empty(0, np.int64), np.empty(0)
    return places[first].astype(np.int64), np.add.reduceat(values[order].astype(np.float64), first)
