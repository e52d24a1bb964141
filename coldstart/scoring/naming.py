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

_KEPT = 50_000  # names whose likelihood for nobody is remembered: some 10 MB


class Naming:
    """A name's log-likelihood per token given the person, minus the same given nobody; abstains if nothing is known.

    The difference, in nats, is a pointwise mutual information: it cancels the item's popularity and whatever its own
    words say to the model. (Holtzman et al., "Surface Form Competition", EMNLP 2021, domain-conditional PMI.) By token,
    a long name doesn't stand out for its length: over films, wines and games lists were better for it than by sums.
    Nothing follows a name, so its own tokens are all that is read.
    """

    name = "language"

    def __init__(self, model: LanguageModel, catalogue: Catalogue, library: Library) -> None:
        self._model = model
        self._catalogue = catalogue
        self._library = library
        self._template = library.of("naming")[0]
        self._alone: OrderedDict[str, float] = OrderedDict()
        self._ahead = 0

    def of(self, catalogue: Catalogue) -> Naming:
        """Return the same scorer for another catalogue; what it remembers stays."""
        made = copy.copy(self)
        made._catalogue = catalogue
        made._ahead = 0
        return made

    def score(self, query: Query, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the difference for each row; 0 for items without a title."""
        return [np.full(len(rows), np.nan), *self.slices(query, rows, size=max(len(rows), 1))][-1]

    def slices(self, query: Query, rows: NDArray[np.int64], *, size: int) -> Iterator[NDArray[np.float64]]:
        """Score the rows a few at a time, in their order; yield all scores so far, NaN where there are none yet.

        The first and longest piece of work is reading the description; then come slices of ``size`` rows. What the
        model gives a name for nobody is remembered. Nothing is yielded if nothing is known of the person.
        """
        if not query.description:
            return
        found = np.full(len(rows), np.nan)
        prompt = self._prompt(query.description)
        self._model.likelihoods(prompt, [])
        if len(rows) > size:
            yield found.copy()
        for start in range(0, len(rows), size):
            names = [self._name(int(row)) for row in rows[start : start + size]]
            found[start : start + size] = self._differences(prompt, names)
            yield found.copy()

    def read_ahead(self, reading: LanguageModel, *, most: int) -> bool:
        """Let a language model read some rows' names for nobody, before anyone asks; return whether any rows were left.

        Each row is looked at once, in turn, and a name that is known already isn't read again.

        Args:
            reading: The same model, on whatever thread.
            most: How many rows at most.
        """
        rows = range(self._ahead, min(self._ahead + most, len(self._catalogue), _KEPT))
        new = [name for name in dict.fromkeys(map(self._name, rows)) if name and name not in self._alone]
        if new:
            self._alone.update(zip(new, reading.likelihoods(self._prompt(""), new).mean.tolist(), strict=True))
        self._ahead += len(rows)
        return bool(rows)

    def _differences(self, prompt: str, names: Sequence[str]) -> NDArray[np.float64]:
        """Return what a prompt adds to names' log-likelihood per token. Shape: ``(names,)``."""
        new = [name for name in dict.fromkeys(names) if name and name not in self._alone]
        if new:  # by themselves: what is read for the person is the same, to the last bit, whatever was known before
            self._alone.update(zip(new, self._model.likelihoods(self._prompt(""), new).mean.tolist(), strict=True))
        given = self._model.likelihoods(prompt, names).mean
        usual = np.array([self._alone.get(name, 0.0) for name in names])
        while len(self._alone) > _KEPT:
            self._alone.popitem(last=False)
        found: NDArray[np.float64] = np.nan_to_num(given) - usual  # 0 without a name
        return found

    def _name(self, row: int) -> str:
        text = self._library.describe_item(self._catalogue[row], kind=self._catalogue.kind, template="item-name").text
        return f" {text}" if text else ""

    def _prompt(self, description: str) -> str:
        return render(self._template, {"kind": self._catalogue.kind, "description": description}).text
