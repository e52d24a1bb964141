"""Listwise: which item of a list the language model picks for a person, by letters, from every one of its rotations."""

from __future__ import annotations

import string
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from coldstart.catalogue import Catalogue
from coldstart.generation import LanguageModel
from coldstart.prompting import Library, render

if TYPE_CHECKING:
    from numpy.typing import NDArray

LETTERS = tuple(string.ascii_uppercase)
"""What items are called in a list, which can't be longer."""

_MARK = "\x1e"


@dataclass(frozen=True, eq=False, slots=True)
class Picked:
    """What a language model picks from a list.

    Attributes:
        scores: The mean log-probability of each item's letter among those of the list, in nats. Shape: ``(items,)``.
        shares: The mean probability of each place, whatever stands there; all alike without position bias. Shape:
            ``(items,)``.
    """

    scores: NDArray[np.float64]
    shares: NDArray[np.float64]

    @property
    def bias(self) -> float:
        """How much of the probability goes by the place, from 0 to 1: the total variation from equal shares."""
        return float(np.abs(self.shares - 1 / max(len(self.shares), 1)).sum() / 2)


class Listwise:
    """The first token of an answer to "which of these?", over the letters that items are called by in a list.

    Each item stands in each place once, in as many lists as there are items, each of which is the last one rotated by
    a place: what the model has for a place cancels. (Tang et al., "Found in the Middle: Permutation Self-Consistency",
    NAACL 2024, with the cyclic permutations alone.)

    Its weight is 0 unless it is given: of SmolLM2-135M's picks on MovieLens-100K, see ``benchmarks/listwise.py``, most
    go by the place, and what is left ranks worse than the list it was given.
    """

    name = "listwise"

    def __init__(self, model: LanguageModel, catalogue: Catalogue, library: Library) -> None:
        self._model, self._catalogue, self._library = model, catalogue, library
        self._template = library.of("listwise")[0]
        self._head, _, self._tail = model.chat(_MARK).partition(_MARK)

    def picked(self, description: str, rows: NDArray[np.int64]) -> Picked:
        """Return what the model picks from some rows for a person; the first rows, as far as there are letters.

        Args:
            description: Of the person; empty for nobody.
            rows: Of the catalogue; those beyond the letters get NaN.
        """
        titles = [self._title(int(row)) for row in rows[: len(LETTERS)]]
        count = len(titles)
        scores = np.full(len(rows), np.nan)
        if count < 2:
            return Picked(scores, np.ones(count))
        places = (np.arange(count)[:, None] + np.arange(count)) % count  # of each list, which item stands where
        opening, closing = self._asked(description)
        lists = ["\n".join(f"{LETTERS[at]}. {titles[item]}" for at, item in enumerate(row)) for row in places]
        questions = [f"{text}{closing}" for text in lists]
        (found,) = self._model.preferences([(opening, questions)], LETTERS[:count])
        told = found - np.logaddexp.reduce(found, 1, keepdims=True)
        scores[:count] = np.bincount(places.ravel(), told.ravel(), count) / count
        return Picked(scores, np.exp(told).mean(0))

    def _asked(self, description: str) -> tuple[str, str]:
        """Return what is read before the list, and after it."""
        values = {"kind": self._catalogue.kind, "description": description}
        question = render(self._template, values).text
        return f"{self._head}{question}\n", f"\n\n{render(self._template, values, part='candidate').text}{self._tail}"

    def _title(self, row: int) -> str:
        item = self._catalogue[row]
        return self._library.describe_item(item, kind=self._catalogue.kind, template="item-title").text
