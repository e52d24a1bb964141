"""Lexical: words shared with what the user likes and says, weighted by how rare they are in the catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from coldstart.scoring import Query

if TYPE_CHECKING:
    from numpy.typing import NDArray


_COMMON = 0.8
"""Words in a larger share of the items tell nothing apart and are left out, in catalogues that aren't tiny."""

_FEW = 20


class Lexical:
    """Words shared with the liked items, liked phrases and the user's own text; abstains without a match.

    The square root of the summed TF-IDF cosines, so that one rare word doesn't outweigh everything else. Sublinear
    term frequency, as in Manning et al., "Introduction to Information Retrieval" (2008), section 6.4.
    """

    name = "lexical"

    def __init__(self, documents: Sequence[str]) -> None:
        self._documents = documents

    @cached_property
    def _fitted(self) -> tuple[Any, Any]:
        from sklearn.feature_extraction.text import TfidfVectorizer

        words = r"(?u)\b\w+\b"
        most = _COMMON if len(self._documents) >= _FEW else 1.0
        vectorizer = TfidfVectorizer(sublinear_tf=True, token_pattern=words, max_df=most, dtype=np.float32)
        try:
            return vectorizer, vectorizer.fit_transform(self._documents)
        except ValueError:  # not one word in the whole catalogue
            return None, None

    def score(self, query: Query, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the root of the summed cosines of each row."""
        vectorizer, matrix = self._fitted
        nothing = np.full(len(rows), np.nan)
        said = [*query.liked_phrases, *(query.texts[view] for view in ("text",) if view in query.texts)]
        if matrix is None or not (len(query.liked) or said):
            return nothing
        wanted = np.asarray(query.liked_weights @ matrix[query.liked]).ravel()
        if said:
            wanted = wanted + np.asarray(vectorizer.transform(said).sum(0)).ravel()
        if not wanted.any():
            return nothing
        shared: NDArray[np.float64] = np.asarray(matrix @ wanted, np.float64).ravel()[rows]
        return np.sqrt(np.maximum(shared, 0.0))
