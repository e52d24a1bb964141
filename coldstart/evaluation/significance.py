"""How sure a mean over users is, and whether two systems differ: bootstrap and permutation, seeded.

Every function takes per-user values and an explicit seed; users are the unit that is resampled.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from coldstart.errors import EvaluationError

Floats = NDArray[np.float64]
_CELLS = 4_000_000  # drawn at once: about 32 MB


class Interval(NamedTuple):
    """A mean and the bounds of its confidence interval."""

    mean: float
    low: float
    high: float


class Difference(NamedTuple):
    """The mean of ``a - b`` over users, its interval, and the two-sided p value of "no difference"."""

    mean: float
    low: float
    high: float
    p: float


def bootstrap_interval(values: ArrayLike, *, seed: int, resamples: int = 2000, level: float = 0.95) -> Interval:
    """Return the mean over users with its percentile bootstrap interval (Efron 1979).

    Args:
        values: One value per user, at least one user. Shape: ``(users,)``.
        seed: The same seed and values give the same interval.
        resamples: How often the users are drawn anew, with replacement.
        level: The interval's coverage, in ``(0, 1)``.

    >>> bootstrap_interval([1.0, 1.0, 1.0], seed=0)
    Interval(mean=1.0, low=1.0, high=1.0)
    """
    return bootstrap_intervals(np.asarray(values)[:, None], seed=seed, resamples=resamples, level=level)[0]


def bootstrap_intervals(
    values: ArrayLike, *, seed: int, resamples: int = 2000, level: float = 0.95
) -> tuple[Interval, ...]:
    """Return each column's :func:`bootstrap_interval`, all from the same resamples of the users.

    Args:
        values: Shape: ``(users, columns)``.
        seed: Fixes the resamples.
        resamples: How often the users are drawn anew.
        level: The intervals' coverage.
    """
    table = _columns(values)
    if not 0 < level < 1 or resamples < 1:
        raise EvaluationError(f"level {level} with {resamples} resamples: expected 0 < level < 1 and at least one")
    users = table.shape[0]
    rng = np.random.Generator(np.random.PCG64(seed))
    means = []
    for size in _batches(resamples, users):
        drawn = rng.integers(0, users, size=(size, users)) + users * np.arange(size)[:, None]
        times = np.bincount(drawn.ravel(), minlength=size * users).reshape(size, users)
        means.append(times @ table / users)
    outside = (1 - level) / 2
    low, high = np.quantile(np.concatenate(means), [outside, 1 - outside], axis=0)
    return tuple(Interval(float(m), float(a), float(b)) for m, a, b in zip(table.mean(axis=0), low, high, strict=True))


def paired_bootstrap(a: ArrayLike, b: ArrayLike, *, seed: int, resamples: int = 2000, level: float = 0.95) -> Interval:
    """Return the mean of ``a - b`` over the same users with its bootstrap interval.

    Args:
        a: One value per user. Shape: ``(users,)``.
        b: The other system's values for the same users. Shape: ``(users,)``.
        seed: Fixes the resamples.
        resamples: How often the users are drawn anew.
        level: The interval's coverage.
    """
    return bootstrap_interval(_paired(a, b), seed=seed, resamples=resamples, level=level)


def paired_permutation(a: ArrayLike, b: ArrayLike, *, seed: int, resamples: int = 10_000) -> float:
    """Return the two-sided p value of "a and b are alike": swap them user by user at random (Fisher 1935).

    The share of random swaps whose mean difference is at least as far from zero as the one seen, the one
    seen counted among them: never below ``1 / (resamples + 1)``.

    Args:
        a: One value per user. Shape: ``(users,)``.
        b: The other system's values for the same users. Shape: ``(users,)``.
        seed: Fixes the swaps.
        resamples: How many random swaps.

    >>> paired_permutation([.2, .4], [.2, .4], seed=0)
    1.0
    """
    return permutation_values(_paired(a, b)[:, None], seed=seed, resamples=resamples)[0]


def permutation_values(differences: ArrayLike, *, seed: int, resamples: int = 10_000) -> tuple[float, ...]:
    """Return each column's :func:`paired_permutation` p value, all from the same swaps.

    Args:
        differences: ``a - b`` per user. Shape: ``(users, columns)``.
        seed: Fixes the swaps.
        resamples: How many random swaps.
    """
    table = _columns(differences)
    if resamples < 1:
        raise EvaluationError(f"{resamples} resamples: expected at least one")
    rng = np.random.Generator(np.random.PCG64(seed))
    seen = np.abs(table.sum(axis=0))
    slack = 1e-12 * np.abs(table).sum(axis=0)  # sums of the same numbers in another order still tie
    beyond = np.zeros(table.shape[1], dtype=np.int64)
    for size in _batches(resamples, table.shape[0]):
        kept = rng.integers(0, 2, size=(size, table.shape[0]), dtype=np.int8)
        swapped = (2.0 * kept - 1.0) @ table
        beyond += (np.abs(swapped) >= seen - slack).sum(axis=0)
    return tuple(float(p) for p in (beyond + 1) / (resamples + 1))


def compare(a: ArrayLike, b: ArrayLike, *, seed: int) -> Difference:
    """Return how much better ``a`` is than ``b``: a :func:`paired_bootstrap` interval, a :func:`paired_permutation` p.

    Args:
        a: One value per user. Shape: ``(users,)``.
        b: The other system's values for the same users. Shape: ``(users,)``.
        seed: Fixes both the resamples and the swaps.
    """
    return comparisons(_paired(a, b)[:, None], seed=seed)[0]


def comparisons(differences: ArrayLike, *, seed: int) -> tuple[Difference, ...]:
    """Return each column's :func:`compare`, for ``a - b`` per user. Shape of the input: ``(users, columns)``."""
    intervals = bootstrap_intervals(differences, seed=seed)
    return tuple(
        Difference(*interval, p)
        for interval, p in zip(intervals, permutation_values(differences, seed=seed), strict=True)
    )


def _batches(resamples: int, users: int) -> list[int]:
    size = max(1, _CELLS // users)
    return [min(size, resamples - start) for start in range(0, resamples, size)]


def _columns(values: ArrayLike) -> Floats:
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2:
        raise EvaluationError(f"values have shape {table.shape}: expected (users, columns)")
    if table.shape[0] == 0:
        raise EvaluationError("no users: an interval needs at least one user's value")
    return table


def _paired(a: ArrayLike, b: ArrayLike) -> Floats:
    left, right = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if left.ndim != 1 or left.shape != right.shape:
        raise EvaluationError(f"values of shapes {left.shape} and {right.shape}: expected the same users in both")
    return np.asarray(left - right)
