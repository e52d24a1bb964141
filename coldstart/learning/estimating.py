"""Estimating: what a number known of some items lets expect of others, by their vectors and the length of titles.

A ridge regression, whose penalty is the one that leaves the least error when each item in turn is left out: with the
eigenvectors of the inputs that takes no more than one regression does (Golub, Heath and Wahba, 1979, section 2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import rankdata

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_PENALTIES = 5.0 * 4.0 ** np.arange(-2, 6)  # in units of one item's squared length


@dataclass(frozen=True, slots=True)
class Quality:
    """How well estimates meet what they are of, on items that they weren't made from.

    Attributes:
        share: Of the variance that they explain; may be below 0.
        order: Their rank correlation (Spearman's); 0 where all are alike.
    """

    share: float
    order: float


@dataclass(frozen=True, eq=False, slots=True)
class Expectation:
    """A regression that was fitted.

    Attributes:
        centre: The mean of the inputs. Shape: ``(inputs,)``.
        direction: Shape: ``(inputs,)``.
        mean: Of the values.
        quality: With each item in turn left out.
    """

    centre: Floats
    direction: Floats
    mean: float
    quality: Quality

    @classmethod
    def of(cls, inputs: Floats, values: Floats) -> Expectation:
        """Fit it.

        Args:
            inputs: As :func:`inputs` gives them. Shape: ``(items, inputs)``; at least one item.
            values: Finite. Shape: ``(items,)``.
        """
        centre, mean = inputs.mean(0), float(values.mean())
        moved, wanted = inputs - centre, values - mean
        sizes, axes = np.linalg.eigh(moved.T @ moved)
        along = moved @ axes
        told = along.T @ wanted
        best: tuple[float, Floats, Floats] | None = None
        for penalty in _PENALTIES:
            shrunk = 1.0 / (np.maximum(sizes, 0.0) + penalty)
            weight = np.minimum((along * along) @ shrunk + 1.0 / len(values), 1.0 - 1e-6)  # the mean is fitted as well
            missed = (wanted - along @ (shrunk * told)) / (1.0 - weight)
            if best is None or missed @ missed < best[0]:
                best = float(missed @ missed), wanted - missed, axes @ (shrunk * told)
        assert best is not None  # noqa: S101 - there are penalties
        error, guesses, direction = best
        spread = float(wanted @ wanted)
        share = 1.0 - error / spread if spread > 0 else 0.0
        return cls(centre, direction, mean, Quality(share, _agreement(guesses, wanted)))

    def __call__(self, inputs: Floats) -> Floats:
        """Return what is expected. Shape: ``(items,)``."""
        found: Floats = self.mean + (inputs - self.centre) @ self.direction
        return found


def inputs(vectors: NDArray[np.float32], titles: Sequence[str]) -> Floats:
    """Return what is regressed on: vectors, and the logarithm of how long the title is. Shape: ``(items, inputs)``."""
    lengths = np.log1p(np.array([len(title) for title in titles], np.float64))
    return np.concatenate([vectors, lengths[:, None]], 1).astype(np.float64)


def _agreement(one: Floats, other: Floats) -> float:
    if len(one) < 2 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(np.corrcoef(rankdata(one), rankdata(other))[0, 1])
