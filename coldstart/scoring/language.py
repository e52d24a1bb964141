"""Language: what the language model answers when asked whether this person would like an item."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from coldstart.catalogue import Catalogue
from coldstart.generation import LanguageModel
from coldstart.prompting import Library, render
from coldstart.scoring import Query

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MARK = "\x1e"


class Language:
    """Yes/no log-odds given the person, minus the same given nobody, in nats; abstains if nothing is known.

    The difference is a pointwise mutual information: it cancels the model's liking for "yes", the item's
    popularity and whatever the item's own text says to the model. (Holtzman et al., "Surface Form Competition",
    EMNLP 2021, domain-conditional PMI.)
    """

    name = "language"

    def __init__(self, model: LanguageModel, catalogue: Catalogue, library: Library) -> None:
        self._model = model
        self._catalogue = catalogue
        self._library = library
        self._template = library.of("question")[0]
        self._head, _, self._tail = model.chat(_MARK).partition(_MARK)

    def score(self, query: Query, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the difference of log-odds for each row. One short forward a row, twice."""
        if not query.description:
            return np.full(len(rows), np.nan)
        questions = [self._question(int(row)) for row in rows]
        given = self._ask(query.description, questions)
        return given - self._ask("", questions)

    def _question(self, row: int) -> str:
        item = self._library.describe_item(self._catalogue[row], kind=self._catalogue.kind, template="item-title")
        values = {"kind": self._catalogue.kind, "item": item.text, "description": ""}
        return render(self._template, values, part="candidate").text + self._tail

    def _ask(self, description: str, questions: list[str]) -> NDArray[np.float64]:
        shared = render(self._template, {"kind": self._catalogue.kind, "description": description}).text
        return self._model.log_odds(self._head + shared, questions, yes="Yes", no="No")
