"""Laws of inverses: they are what LAPACK gives, to the last bit, and what has none is refused."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import lapack

from coldstart.learning.inverses import inverse


def gram(rows: int, seed: int = 0) -> np.ndarray:
    told = np.random.default_rng(seed).random((rows + 5, rows), dtype=np.float32)
    return told.T @ told + np.eye(rows, dtype=np.float32)


@pytest.mark.parametrize("rows", [1, 2, 7, 130])
@pytest.mark.parametrize("order", ["C", "F"])
def test_it_is_what_scipy_finds(rows, order):
    factor, _ = lapack.spotrf(gram(rows), lower=1)
    lower, _ = lapack.spotri(factor, lower=1)
    found = inverse(np.array(gram(rows), order=order))
    assert np.array_equal(found, np.tril(lower) + np.tril(lower, -1).T)
    assert np.abs(found @ gram(rows) - np.eye(rows)).max() < 1e-2


def test_nothing_is_its_own_inverse():
    assert inverse(np.zeros((0, 0), np.float32)).shape == (0, 0)


@pytest.mark.parametrize("diagonal", [(1.0, -1.0), (0.0, 1.0)])
def test_what_has_no_factors_is_refused(diagonal):
    with pytest.raises(np.linalg.LinAlgError, match="raise the penalty"):
        inverse(np.diag(np.array(diagonal, np.float32)))
