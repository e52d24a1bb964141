"""Lexical: words shared with what the user likes, and with what they ask for, by how rare they are in the catalogue."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from coldstart.scoring import Query
from coldstart.scoring.sparse import Taken, summed

if TYPE_CHECKING:
    from numpy.typing import NDArray


_COMMON = 0.8
"""Words in a larger share of the items tell nothing apart and are left out, in catalogues that aren't tiny."""

_FEW = 20
_FEW_WORDS = 64  # up to here, adding a word's column for each is faster than a product with all
_MANY_TIMES = 8  # where there are so many times more items than are asked for, only those are looked at
_POSTINGS = 20_000
_WORD = re.compile(r"(?u)\b\w+\b")


class Words:
    """The words of a catalogue's texts, and how rare each is.

    TF-IDF with sublinear term frequency, as in Manning et al., "Introduction to Information Retrieval" (2008), section
    6.4; the rest as scikit-learn's ``TfidfVectorizer`` has it.

    Args:
        documents: The items' texts, by row.
        previous: Of another catalogue. Texts that it counted aren't counted again.
    """

    def __init__(self, documents: Sequence[str], previous: Words | None = None) -> None:
        self._documents = documents
        self._previous = previous if previous is not None and "_counted" in previous.__dict__ else None

    @cached_property
    def _counted(self) -> tuple[dict[str, int], Any]:
        """The columns of words, and how often each text has each. Shape: ``(items, words)``, CSR."""
        columns: dict[str, int] = {}
        rows_of: dict[str, int] = {}
        before: Any = None
        if self._previous is not None:
            columns, before = dict(self._previous._counted[0]), self._previous._counted[1]
            before_it = self._previous._documents
            rows_of = dict(zip(before_it, range(len(before_it)), strict=True))
            self._previous = None
        new = [text for text in self._documents if text not in rows_of]
        counts: list[int] = []
        places: list[int] = []
        ends = [0]
        for text in new:
            words = Counter(_WORD.findall(text.lower()))
            counts.extend(words.values())
            places.extend(columns.setdefault(word, len(columns)) for word in words)
            ends.append(len(places))
        size = (len(new), len(columns))
        table = sparse.csr_matrix((np.array(counts, np.float32), np.array(places, np.int32), ends), shape=size)
        if before is None:
            return columns, table
        before = sparse.csr_matrix((before.data, before.indices, before.indptr), shape=(before.shape[0], len(columns)))
        first = {text: row for row, text in enumerate(new)}
        rows = [rows_of[text] if text in rows_of else before.shape[0] + first[text] for text in self._documents]
        return columns, sparse.vstack([before, table], format="csr")[rows]

    @cached_property
    def _weighed(self) -> tuple[NDArray[np.float32], Any]:
        """How rare each word is, 0 for those left out, and the items' unit vectors of words."""
        columns, counts = self._counted
        items = counts.shape[0]
        found = np.bincount(counts.indices, minlength=len(columns))
        rarity = np.log((1 + items) / (1 + found)) + 1
        rarity[found > (_COMMON if items >= _FEW else 1.0) * items] = 0.0
        return rarity.astype(np.float32), _unit(counts, rarity.astype(np.float32))

    @cached_property
    def _taken(self) -> Taken:
        return Taken(self._weighed[1])

    @cached_property
    def _by_word(self) -> Any:
        """The items' vectors of words, a column beside a column."""
        return self._weighed[1].tocsc()

    def said(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the sum of texts as unit vectors of the catalogue's words. Shape: ``(words,)``."""
        columns, rarity = self._counted[0], self._weighed[0]
        total = np.zeros(len(columns))
        for text in texts:
            counts = Counter(columns[word] for word in _WORD.findall(text.lower()) if word in columns)
            places = np.fromiter(counts, np.int64, len(counts))
            weights = (1 + np.log(np.fromiter(counts.values(), np.float64, len(counts)))) * rarity[places]
            total[places] += weights / (np.linalg.norm(weights) or 1.0)
        return total

    def rarity(self, words: Iterable[str]) -> float:
        """Return the summed rarity of words; those that no text has are the rarest."""
        columns, (rarity, table) = self._counted[0], self._weighed
        unheard = np.log(1 + table.shape[0]) + 1
        return float(sum(rarity[columns[word]] if word in columns else unheard for word in words))

    def of(self, rows: NDArray[np.int64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the weighted sum of items' unit vectors of words. Shape: ``(words,)``."""
        return np.asarray(weights @ self._weighed[1][rows]).ravel()

    def warm(self) -> None:
        """Count and weigh the words now, not when the first request comes."""
        if self._counted[0]:
            _ = self._weighed, self._by_word

    def shared(self, wanted: NDArray[np.float64], rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the product of each row's unit vector with how much each word is wanted. Shape: ``(rows,)``."""
        matrix = self._weighed[1]
        if _MANY_TIMES * len(rows) < matrix.shape[0]:
            few: NDArray[np.float64] = np.maximum(self._taken(rows) @ wanted, 0.0)
            return few
        places, shared = np.flatnonzero(wanted), np.zeros(matrix.shape[0])
        if len(places) <= _FEW_WORDS:
            by_word = self._by_word
            for place in places:
                held = slice(by_word.indptr[place], by_word.indptr[place + 1])
                shared[by_word.indices[held]] += by_word.data[held] * wanted[place]
        else:
            shared += np.asarray(matrix @ wanted).ravel()
        return np.maximum(shared, 0.0)[rows]

    def sharing(self, wanted: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return rows that share the rarest of the words wanted, once each, and the product by those words alone.

        Of the words as many count, the rarest first, as :data:`_POSTINGS` occurrences let.
        """
        by_word, places = self._by_word, np.flatnonzero(wanted)
        found = by_word.indptr[places + 1] - by_word.indptr[places]
        order = np.argsort(found, kind="stable")
        rare = places[order[np.cumsum(found[order]) <= _POSTINGS]]
        return summed(by_word, rare, wanted[rare])

    def __bool__(self) -> bool:
        return bool(self._counted[0])


class Lexical:
    """Words shared with the liked items and liked phrases; abstains without a match.

    The square root of the summed cosines, so that one rare word doesn't outweigh everything else.

    Args:
        words: The catalogue's.
    """

    name = "lexical"

    def __init__(self, words: Words) -> None:
        self._words = words

    def score(self, query: Query, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the root of the summed cosines of each row."""
        wanted = self._wanted(query)
        return np.full(len(rows), np.nan) if wanted is None else np.sqrt(self._words.shared(wanted, rows))

    def sharing(self, query: Query) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return rows that share the rarest of the words wanted, once each, and their scores by those words alone."""
        wanted = self._wanted(query)
        if wanted is None:
            return np.empty(0, np.int64), np.empty(0)
        rows, shared = self._words.sharing(wanted)
        return rows, np.sqrt(shared)

    def _wanted(self, query: Query) -> NDArray[np.float64] | None:
        """Return how much each word is asked for, worked out once a request; None if none is. Shape: ``(words,)``."""
        if self not in query.kept:
            wanted = self._wants(query)
            query.kept[self] = wanted if wanted is not None and wanted.any() else None
        found: NDArray[np.float64] | None = query.kept[self]
        return found

    def _wants(self, query: Query) -> NDArray[np.float64] | None:
        if not (len(query.liked) or query.liked_phrases) or not self._words:
            return None
        wanted = self._words.said(query.liked_phrases)
        return wanted + self._words.of(query.liked, query.liked_weights) if len(query.liked) else wanted


class Keywords(Lexical):
    """Words shared with what the user asks for; abstains without a match, or without a text."""

    name = "keywords"

    def _wants(self, query: Query) -> NDArray[np.float64] | None:
        return self._words.said([query.texts["text"]]) if "text" in query.texts and self._words else None

    def rarity(self, words: Iterable[str]) -> float:
        """Return the summed rarity of words in the catalogue."""
        return self._words.rarity(words) if self._words else 0.0


def words_of(text: str) -> frozenset[str]:
    """Return a text's words, without case.

    >>> sorted(words_of("The Good, the Bad"))
    ['bad', 'good', 'the']
    """
    return frozenset(_WORD.findall(text.lower()))


def _unit(counts: Any, rarity: NDArray[np.float32]) -> Any:
    """Return counts with sublinear frequencies and rarities, each row of unit length or empty."""
    data = (1 + np.log(counts.data)) * rarity[counts.indices]
    row_of = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    lengths = np.sqrt(np.bincount(row_of, weights=data.astype(np.float64) ** 2, minlength=counts.shape[0]))
    data = (data / np.where(lengths > 0, lengths, 1.0)[row_of]).astype(np.float32)
    return sparse.csr_matrix((data, counts.indices, counts.indptr), shape=counts.shape)
