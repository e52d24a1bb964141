"""Appeal: how likely anyone is to know and like an item, from what the language model has read; before who asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from coldstart.index import AppealEvidence
from coldstart.scoring import Query
from coldstart.search import Search

if TYPE_CHECKING:
    from numpy.typing import NDArray

LENGTH_POWER = 0.7
"""Log-probabilities are divided by tokens to this power: 1 favours long familiar phrases, 0 favours short titles."""


RIDGE = 5.0
"""The penalty of the regression of appeal on vectors, in units of one item's squared length."""

_SAMPLE = 2000  # items that the regression is fitted to


class Appeal:
    """The mean, over appeal prompts, of a title's standardised, length-normalised log-probability.

    Args:
        evidence: What the language model said.
        vectors: The items' centred vectors, from which the appeal of those that it hasn't read yet is estimated; None
            takes them for average. Shape: ``(items, dimension)``.
    """

    name = "appeal"

    def __init__(self, evidence: AppealEvidence, vectors: Search | NDArray[np.float32] | None = None) -> None:
        self.prior = prior(evidence)
        if evidence.pending.any():
            self.prior[evidence.pending] = estimated(self.prior, evidence.pending, vectors)

    def score(self, query: Query, rows: NDArray[np.int64]) -> NDArray[np.float64]:  # noqa: ARG002 - asks nothing
        """Return each row's prior; NaN for items without a title."""
        return self.prior[rows]


def prior(evidence: AppealEvidence) -> NDArray[np.float64]:
    """Return each item's appeal, in standard deviations from the catalogue's mean. Shape: ``(items,)``."""
    normalised = evidence.total / np.maximum(evidence.tokens, 1)[:, None] ** LENGTH_POWER
    if not np.isfinite(normalised).any():
        return np.full(len(normalised), np.nan)
    spread = np.nanstd(normalised, 0)
    centred = normalised - np.nanmean(normalised, 0)
    result: NDArray[np.float64] = (centred / np.where(spread > 0, spread, 1.0)).mean(1)
    return result


def estimated(
    known: NDArray[np.float64], pending: NDArray[np.bool_], vectors: Search | NDArray[np.float32] | None
) -> NDArray[np.float64]:
    """Return what the appeal of other items lets expect of those that weren't read yet: a ridge regression on vectors.

    Args:
        known: Each item's prior; NaN for unknown. Shape: ``(items,)``.
        pending: Which items to estimate. Shape: ``(items,)``.
        vectors: Centred unit vectors; None for an estimate of 0, the mean. Shape: ``(items, dimension)``.

    Returns:
        Shape: ``(pending items,)``.
    """
    rows = np.flatnonzero(np.isfinite(known) & ~pending)
    if vectors is None or len(rows) == 0:
        return np.zeros(int(pending.sum()))
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), _SAMPLE)).astype(np.int64)]
    inputs = vectors[rows].astype(np.float64)
    mean = known[rows].mean()
    inner = inputs.T @ inputs + RIDGE * np.eye(inputs.shape[1])
    direction = np.linalg.solve(inner, inputs.T @ (known[rows] - mean))
    result: NDArray[np.float64] = mean + vectors[np.flatnonzero(pending)] @ direction
    return result


def earned_weight(knowledge: float) -> float:
    """Return the prior's weight in the fusion, from how well the language model knows the catalogue.

    The curve was set on video games (LLMRank's validation users, Steam) and books (TALLRec's validation rows), where
    a knowledge of about 0.03 bears a weight between 0.1 and 0.3 and much more does harm, and on splits of
    MovieLens-100K other than the reported one, where 0.085 bears 1.5. The floor makes appeal the order of those of
    whom nothing else is known.

    Args:
        knowledge: See :class:`~coldstart.index.AppealEvidence`.
    """
    return float(np.clip(1.5 * (max(knowledge, 0.0) / 0.085) ** 2.5, 0.02, 1.5))
