"""Naming: how much readier the language model is to name an item once it knows of the person."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from coldstart.catalogue import Catalogue
from coldstart.generation import LanguageModel
from coldstart.prompting import Library, render
from coldstart.scoring import Query

if TYPE_CHECKING:
    from numpy.typing import NDArray

_KEPT = 50_000  # titles whose likelihood for nobody is remembered: some 10 MB


class Naming:
    """A title's log-likelihood given the person, minus the same given nobody, in nats; abstains if nothing is known.

    The difference is a pointwise mutual information: it cancels the item's popularity, its length and whatever its own
    words say to the model. (Holtzman et al., "Surface Form Competition", EMNLP 2021, domain-conditional PMI.)
    Nothing follows a title, so its own tokens are all that is read.
    """

    name = "language"

    def __init__(self, model: LanguageModel, catalogue: Catalogue, library: Library) -> None:
        self._model = model
        self._catalogue = catalogue
        self._library = library
        self._template = library.of("naming")[0]
        self._alone: OrderedDict[str, float] = OrderedDict()

    def of(self, catalogue: Catalogue) -> Naming:
        """Return the same scorer for another catalogue; what it remembers stays."""
        made = copy.copy(self)
        made._catalogue = catalogue
        return made

    def score(self, query: Query, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the difference for each row; 0 for items without a title."""
        return [np.full(len(rows), np.nan), *self.slices(query, rows, size=max(len(rows), 1))][-1]

    def slices(self, query: Query, rows: NDArray[np.int64], *, size: int) -> Iterator[NDArray[np.float64]]:
        """Score the rows a few at a time, in their order; yield all scores so far, NaN where there are none yet.

        The first and longest piece of work is reading the description; then come slices of ``size`` rows. What the
        model gives a title for nobody is remembered. Nothing is yielded if nothing is known of the person.
        """
        if not query.description:
            return
        found = np.full(len(rows), np.nan)
        prompt = self._prompt(query.description)
        self._model.likelihoods(prompt, [])
        if len(rows) > size:
            yield found.copy()
        for start in range(0, len(rows), size):
            titles = [self._title(int(row)) for row in rows[start : start + size]]
            found[start : start + size] = self._differences(prompt, titles)
            yield found.copy()

    def read_ahead(self, reading: LanguageModel, titles: Sequence[str], *, most: int) -> bool:
        """Let a language model read some titles for nobody, before anyone asks; return whether there were any.

        Args:
            reading: The same model, on whatever thread.
            titles: As it reads them, after a space; those that are known are passed over.
            most: How many at most.
        """
        new = [title for title in dict.fromkeys(titles[:_KEPT]) if title and title not in self._alone][:most]
        if new:
            self._alone.update(zip(new, reading.likelihoods(self._prompt(""), new).total.tolist(), strict=True))
        return bool(new)

    def _differences(self, prompt: str, titles: Sequence[str]) -> NDArray[np.float64]:
        """Return what a prompt adds to titles' log-likelihood, in nats, read in one go. Shape: ``(titles,)``."""
        new = [title for title in dict.fromkeys(titles) if title not in self._alone]
        asked = [(prompt, titles), *([(self._prompt(""), new)] if new else [])]
        given, *alone = self._model.likelihoods_of(asked)
        if alone:
            self._alone.update(zip(new, alone[0].total.tolist(), strict=True))
        found: NDArray[np.float64] = given.total - np.array([self._alone[title] for title in titles])
        while len(self._alone) > _KEPT:
            self._alone.popitem(last=False)
        return found

    def _title(self, row: int) -> str:
        text = self._library.describe_item(self._catalogue[row], kind=self._catalogue.kind, template="item-title").text
        return f" {text}" if text else ""

    def _prompt(self, description: str) -> str:
        return render(self._template, {"kind": self._catalogue.kind, "description": description}).text
