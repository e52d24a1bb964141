"""Text ridge: how popular an item's text makes it, and how close it is to what the user likes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coldstart.evaluation.cases import Case, Cases
from coldstart.evaluation.systems import Scores
from coldstart.models import DEFAULT_ENCODER
from peers.evidence import Scorer, likes, no_training, ranked
from peers.semantic import item_vectors, mean_vector


@dataclass(frozen=True)
class TextRidge:
    """Ridge regression of ``log(1 + likes)`` on the vectors of items, beside the closeness to the user's mean vector.

    Both in standard deviations over what is ranked. It is fitted on items that somebody has touched, and predicts
    new ones.

    Attributes:
        model: See :func:`coldstart.models.resolve`.
    """

    model: str = DEFAULT_ENCODER
    name = "text ridge"
    grid = tuple(
        {"alpha": alpha, "taste": taste, "centred": centred}
        for alpha in (1.0, 10.0)
        for taste in (0.3, 0.0, 0.15, 0.5, 0.7, 0.9)
        for centred in (False, True)
    )

    def lacks(self, cases: Cases) -> str:
        """Return what it lacks to take part, in words; empty for nothing."""
        return no_training(cases)

    def fit(self, cases: Cases, *, alpha: float, taste: float, centred: bool) -> Scorer:
        """Regress the likes per item on the items' vectors.

        Args:
            cases: What may be learned from.
            alpha: The weight of the penalty, > 0.
            taste: The weight of the user's taste, from 0 to 1; the rest is the predicted popularity's.
            centred: Whether the items' mean vector is taken from every vector before cosines are.
        """
        from sklearn.linear_model import Ridge

        vectors = item_vectors(cases.catalogue, self.model)
        counts = np.asarray(likes(cases).sum(axis=0)).ravel()
        touched = np.unique(cases.learnable.rows)
        popularity = Ridge(alpha=alpha).fit(vectors[touched], np.log1p(counts[touched])).predict(vectors)
        centre = vectors.mean(axis=0) if centred else np.zeros_like(vectors[0])
        moved = vectors - centre

        def score(case: Case) -> Scores:
            wanted = mean_vector(case, cases.catalogue, self.model)
            predicted = _standardised(ranked(case, popularity))
            if wanted is None:
                return predicted
            return (1 - taste) * predicted + taste * _standardised(ranked(case, moved @ (wanted - centre)))

        return score


def _standardised(scores: Scores) -> Scores:
    """Return scores of mean 0 and standard deviation 1; zeros if they are all alike."""
    spread = scores.std()
    return (scores - scores.mean()) / spread if spread > 0 else np.zeros_like(scores)
