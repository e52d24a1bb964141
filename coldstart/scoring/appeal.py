"""Appeal: how likely anyone is to know and like an item, from what the language model has read; before who asks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from coldstart.index import AppealEvidence, standing
from coldstart.learning.estimating import Expectation, inputs
from coldstart.scoring import Query
from coldstart.search import Search

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SAMPLE = 8000  # items that the regression is fitted to, at most
_BLOCK = 16_384  # items that are estimated at once


class Appeal:
    """The mean, over appeal prompts, of a title's standardised, length-normalised log-probability.

    Args:
        evidence: What the language model said.
        vectors: The items' centred vectors, from which the appeal of those that it hasn't read is estimated; None takes
            them for average. Shape: ``(items, dimension)``.
        titles: What it reads of each item, whose length says something too. Shape: ``(items,)``.
    """

    name = "appeal"

    def __init__(
        self,
        evidence: AppealEvidence,
        vectors: Search | NDArray[np.float32] | None = None,
        titles: Sequence[str] | None = None,
    ) -> None:
        self.prior = prior(evidence)
        if evidence.pending.any():
            self.prior[evidence.pending] = estimated(self.prior, evidence.pending, vectors, titles)

    def score(self, query: Query, rows: NDArray[np.int64]) -> NDArray[np.float64]:  # noqa: ARG002 - asks nothing
        """Return each row's prior; NaN for items without a title."""
        return self.prior[rows]


def prior(evidence: AppealEvidence) -> NDArray[np.float64]:
    """Return each item's appeal, in standard deviations from the catalogue's mean. Shape: ``(items,)``."""
    return standing(evidence.total, evidence.tokens)


def estimated(
    known: NDArray[np.float64],
    pending: NDArray[np.bool_],
    vectors: Search | NDArray[np.float32] | None,
    titles: Sequence[str] | None = None,
) -> NDArray[np.float64]:
    """Return what the appeal of other items lets expect of those that weren't read: a ridge regression on vectors.

    Args:
        known: Each item's prior; NaN for unknown. Shape: ``(items,)``.
        pending: Which items to estimate. Shape: ``(items,)``.
        vectors: Centred unit vectors; None for an estimate of 0, the mean. Shape: ``(items, dimension)``.
        titles: What the model reads of each item; None to leave their lengths out. Shape: ``(items,)``.

    Returns:
        Shape: ``(pending items,)``.
    """
    rows = np.flatnonzero(np.isfinite(known) & ~pending)
    if vectors is None or len(rows) == 0:
        return np.zeros(int(pending.sum()))

    def told(rows: NDArray[np.int64]) -> NDArray[np.float64]:
        return inputs(vectors[rows], [titles[row] if titles else "" for row in rows.tolist()])

    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), _SAMPLE)).astype(np.int64)]
    expected, wanted = Expectation.of(told(rows), known[rows]), np.flatnonzero(pending)
    return np.concatenate([expected(told(wanted[at : at + _BLOCK])) for at in range(0, len(wanted), _BLOCK)])


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
