"""Scorers: each gives candidates a score from one kind of evidence, or abstains with NaN."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from coldstart.entities import Value

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["VIEWS", "Query", "Scorer"]

VIEWS = ("text", "about", "context")
"""The parts of a request that the encoder reads as texts of their own."""


@dataclass(frozen=True)
class Query:
    """One request as the scorers see it: ids are rows and texts are vectors by now.

    Attributes:
        liked: Rows of liked items, and of past items that weren't disliked. Shape: ``(liked,)``.
        liked_weights: How much each counts, > 0. Shape: ``(liked,)``.
        disliked: Rows of disliked items. Shape: ``(disliked,)``.
        examples: Rows of items that the text names as examples of what is wanted. Shape: ``(examples,)``.
        liked_phrases: Likes that name no item, as said.
        disliked_phrases: Dislikes that name no item, as said.
        texts: What the user or the product said, by view.
        vectors: Centred unit vectors of ``texts``, and of the phrases under their own text. Shape: ``(dimension,)``.
        said: The unit vectors of the same texts and phrases, not centred. Shape: ``(dimension,)``.
        blank: The unit vectors of texts that say nothing, not centred, if there is a text or a phrase. Shape:
            ``(texts, dimension)``.
        idle: How much each of the texts and phrases is like those; see :meth:`coldstart.scoring.blank.Idle.like`.
        cosines: With every row, of those ``texts`` for which they are known; scorers add what they work out.
            Shape: ``(items,)``.
        description: The whole task description, for the language model.
        attributes: What the person said of themselves, by field.
        past: How many of the liked, the last ones, are past items in the order of time; the others have no order.
        kept: What scorers worked out for this very query, under keys of their own.
    """

    liked: NDArray[np.int64]
    liked_weights: NDArray[np.float64]
    disliked: NDArray[np.int64]
    examples: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    liked_phrases: tuple[str, ...] = ()
    disliked_phrases: tuple[str, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    vectors: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    said: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    blank: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32))
    idle: Mapping[str, float] = field(default_factory=dict)
    cosines: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    description: str = ""
    attributes: Mapping[str, Value] = field(default_factory=dict)
    past: int = 0
    kept: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False, compare=False)


class Scorer(Protocol):
    """Scores candidates for one request."""

    name: str

    def score(self, query: Query, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return a score for each row, higher is better, NaN where there is nothing to say.

        A row's score depends on the query and the row alone, not on the other rows. Shape: ``(rows,)``.
        """
        ...
