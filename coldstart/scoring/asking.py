"""Asking: whether what a user says asks for values that items have, names an item, says something else, or nothing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from coldstart.index import Index
from coldstart.scoring import Query
from coldstart.scoring.blank import UNLIKE, Usual, likely, sigmoid
from coldstart.scoring.facets import Faceted
from coldstart.scoring.lexical import Keywords, words_of
from coldstart.scoring.relevance import cosines
from coldstart.wording import EXAMPLE, tidy_title

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

ALIKE, ALIKE_BLUR, ALIKE_DOUBT = 0.5, 0.05, 0.05
"""The share of words that a text and a title have in common, by rarity, at which the text is as likely to name that
item as not, how fast that changes, and how much more it takes the more the text is like those that say nothing."""

CLOSEST = 10
"""Of how many items the mean closeness counts: that of one alone is often chance."""

SAMPLE = 2000
"""Among how many items those are."""

_KEPT = 10_000  # titles whose words are kept
_TITLES = 20  # items that share the rarest words with a text, whose titles are looked at


@dataclass(frozen=True, slots=True)
class Asked:
    """How likely a text does what; the rest of 1 is that it says nothing.

    Attributes:
        naming: It names an item.
        values: It asks for values that items have.
        other: It says something else.
    """

    naming: float = 0.0
    values: float = 0.0
    other: float = 0.0

    @property
    def nothing(self) -> float:
        """How likely it says nothing of what is wanted."""
        return max(0.0, 1.0 - self.naming - self.values - self.other)


class Asking:
    """Reads what requests' texts ask for.

    Args:
        index: What is asked.
        faceted: What tells facets asked for.
        keywords: What tells words shared with a text.
        sample: Gives that many rows of the catalogue, rising, all if there are fewer; always the same ones.
    """

    def __init__(
        self, index: Index, faceted: Faceted, keywords: Keywords, sample: Callable[[int], NDArray[np.int64]]
    ) -> None:
        self._index, self._faceted, self._keywords, self._sample = index, faceted, keywords, sample
        self._usual: tuple[NDArray[np.float32], Usual] | None = None
        self._titles: dict[int, tuple[frozenset[str], float]] = {}

    def of(self, query: Query, *, faceted: bool = True) -> Asked:
        """Return what the query's text asks for; nothing without a text.

        Args:
            query: What is asked.
            faceted: Whether values count at all.
        """
        if "text" not in query.texts:
            return Asked()
        if (self, faceted) not in query.kept:
            query.kept[self, faceted] = self._read(query, faceted=faceted)
        found: Asked = query.kept[self, faceted]
        return found

    def _read(self, query: Query, *, faceted: bool) -> Asked:
        text = query.texts["text"]
        naming = self._naming(query, text)
        values = 0.0
        if faceted and self._faceted.weights(query).any():
            values = (1.0 - naming) * self._faceted.clearly(query, text)
        if self._index.is_large:
            near = self._rows @ query.vectors[text]
        else:
            near = cosines(self._index, query, text)[self._places]
        idle = query.idle.get(text, UNLIKE)
        other = (1.0 - naming - values) * likely(float(_closest(near[None])[0]), self._usually(query.blank), idle)
        return Asked(naming, values, other)

    def _naming(self, query: Query, text: str) -> float:
        """Return how likely a text names an item: by the words that it and the item's title have in common."""
        rows, shared = self._keywords.sharing(query)
        if not len(rows):
            return 0.0
        said, most = words_of(EXAMPLE.split(text)[-1]), 0.0  # "something like" says which comes next
        whole = self._keywords.rarity(said)
        for row in rows[np.argsort(-shared, kind="stable")[:_TITLES]].tolist():
            title, weight = self._title(row)
            both = self._keywords.rarity(said & title)
            together = whole + weight - both
            most = max(most, both / together if together > 0 else 0.0)
        doubt = ALIKE_DOUBT * max(0.0, query.idle.get(text, UNLIKE) - UNLIKE)
        return sigmoid((most - ALIKE - doubt) / ALIKE_BLUR)

    def _title(self, row: int) -> tuple[frozenset[str], float]:
        """Return the words of an item's title, and their summed rarity; those looked at last are kept."""
        found = self._titles.pop(row, None)
        if found is None:
            words = words_of(tidy_title(self._index.catalogue[row].title))
            found = words, self._keywords.rarity(words)
        self._titles[row] = found
        for oldest in list(islice(self._titles, max(0, len(self._titles) - _KEPT))):
            self._titles.pop(oldest, None)
        return found

    @cached_property
    def _places(self) -> NDArray[np.int64]:
        return self._sample(SAMPLE)

    @cached_property
    def _rows(self) -> NDArray[np.float32]:
        """Centred vectors of the sample. Shape: ``(sample, dimension)``."""
        return self._index.at(self._places)

    def _usually(self, blank: NDArray[np.float32]) -> Usual:
        """Return how close blank texts come to items."""
        if self._usual is None or self._usual[0] is not blank:
            near = self._index.centre(blank) @ self._rows.T if len(blank) else np.empty((0, 1), np.float32)
            self._usual = blank, Usual.of(_closest(near))
        return self._usual[1]


def _closest(near: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the mean of each row's largest values. Shape: ``(texts, items)`` to ``(texts,)``."""
    count = min(CLOSEST, near.shape[1])
    largest = np.partition(near, near.shape[1] - count, axis=1)[:, near.shape[1] - count :]
    found: NDArray[np.float64] = largest.mean(1, dtype=np.float64)
    return found
