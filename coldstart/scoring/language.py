"""Language: what the language model answers when asked whether this person would like an item."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from coldstart.catalogue import Catalogue
from coldstart.generation import LanguageModel
from coldstart.prompting import Library, render
from coldstart.scoring import Query

if TYPE_CHECKING:
    from numpy.typing import NDArray

YES, NO = "Yes", "No"

_MARK = "\x1e"
_KEPT = 50_000  # questions whose answer for nobody is remembered: some 10 MB


class Language:
    """Yes/no log-odds given the person, minus the model's given nobody, in nats; abstains if nothing is known.

    The difference is a pointwise mutual information: it cancels the model's liking for "yes", the item's
    popularity and whatever the item's own text says to the model. (Holtzman et al., "Surface Form Competition",
    EMNLP 2021, domain-conditional PMI.) A refined model is held against what the model as it came answers for nobody,
    so that what it learned of items in general stays.

    Args:
        model: As it came.
        catalogue: What is asked about.
        library: Templates.
        refined: With an adapter; None for the model as it came.
    """

    name = "language"

    def __init__(
        self, model: LanguageModel, catalogue: Catalogue, library: Library, refined: LanguageModel | None = None
    ) -> None:
        self._model, self._refined = model, refined or model
        self._catalogue = catalogue
        self._library = library
        self._template = library.of("question")[0]
        self._head, _, self._tail = model.chat(_MARK).partition(_MARK)
        self._alone: OrderedDict[str, float] = OrderedDict()

    def of(self, catalogue: Catalogue) -> Language:
        """Return the same scorer for another catalogue; what it remembers stays."""
        made = copy.copy(self)
        made._catalogue = catalogue
        made.__dict__.pop("_opening", None)
        return made

    def score(self, query: Query, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the difference of log-odds for each row: one short forward a row, and one more where it is new."""
        return [np.full(len(rows), np.nan), *self.slices(query, rows, size=max(len(rows), 1))][-1]

    def slices(self, query: Query, rows: NDArray[np.int64], *, size: int) -> Iterator[NDArray[np.float64]]:
        """Score the rows a few at a time, in their order; yield all scores so far, NaN where there are none yet.

        The first and longest piece of work is reading the description; then come slices of ``size`` rows. What the
        model answers for nobody is remembered by item. Nothing is yielded if nothing is known of the person.
        """
        if not query.description:
            return
        found = np.full(len(rows), np.nan)
        self._ask(self._refined, query.description, [])
        if len(rows) > size:
            yield found.copy()
        for start in range(0, len(rows), size):
            questions = [self._question(int(row)) for row in rows[start : start + size]]
            given = self._ask(self._refined, query.description, questions)
            found[start : start + size] = given - self._for_nobody(questions)
            yield found.copy()

    def asked(self, description: str, rows: Sequence[int]) -> tuple[str, list[str]]:
        """Return a prompt and each row's question after it."""
        return self._put(description, [self._question(int(row)) for row in rows])

    def for_nobody(self, rows: Sequence[int]) -> NDArray[np.float64]:
        """Return the log-odds that the model as it came answers for nobody, in nats; remembered. Shape: ``(rows,)``."""
        return self._for_nobody([self._question(int(row)) for row in rows])

    def _for_nobody(self, questions: Sequence[str]) -> NDArray[np.float64]:
        new = [question for question in dict.fromkeys(questions) if question not in self._alone]
        if new:
            self._alone.update(zip(new, self._ask(self._model, "", new).tolist(), strict=True))
        found = np.array([self._alone[question] for question in questions])
        while len(self._alone) > _KEPT:
            self._alone.popitem(last=False)
        return found

    def _question(self, row: int) -> str:
        item = self._library.describe_item(self._catalogue[row], kind=self._catalogue.kind, template="item-title")
        return self._asked(item.text) + self._tail

    def _asked(self, item: str) -> str:
        values = {"kind": self._catalogue.kind, "item": item, "description": ""}
        return render(self._template, values, part="candidate").text

    @cached_property
    def _opening(self) -> str:
        """How every question begins, up to the last space before the item's name: read once, not once an item."""
        first, second = self._asked("one"), self._asked("two")
        alike = next((place for place, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), 0)
        return first[: max(first.rfind(" ", 0, alike), 0)]

    def _ask(self, model: LanguageModel, description: str, questions: Sequence[str]) -> NDArray[np.float64]:
        return model.log_odds(*self._put(description, questions), yes=YES, no=NO)

    def _put(self, description: str, questions: Sequence[str]) -> tuple[str, list[str]]:
        """Return what the model reads once, and what it reads for each question."""
        shared = render(self._template, {"kind": self._catalogue.kind, "description": description}).text
        opening = self._opening if all(question.startswith(self._opening) for question in questions) else ""
        return self._head + shared + opening, [question[len(opening) :] for question in questions]
