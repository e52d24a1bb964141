"""Generating: which of the catalogue's titles the language model would name itself, found token by token."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from coldstart.catalogue import Catalogue
from coldstart.generation import LanguageModel
from coldstart.prompting import Library, render
from coldstart.rows import key
from coldstart.trie import Tokens, Trie

if TYPE_CHECKING:
    from numpy.typing import NDArray


SURE, TRUSTED = 0.02, 0.5
"""What is still to be read of a title is taken to cost at least this share of what all but so few titles' ends cost.
Set on one person and MovieLens-100K's titles: it found the same twenty as no such bound in 3,012 reads of 7,376;
with 0.7 it found eighteen of them in 1,839."""

COMMON, KIN = 400, 4
"""Where it is known how likely titles are, so many of the likeliest are looked at, or so many times as many as are
wanted: of MovieLens-100K's 1,664 the twenty best for three people were among 113."""

GAIN = 3.0
"""What knowing of a person is taken to add to the end of a title at most, in nats. For five made-up people 19 or 20 of
the 20 best of MovieLens-100K's titles were found, in 660 to 1,050 reads."""

_KEPT = 50_000  # titles of which it is remembered what they have for nobody: some 10 MB
_SAMPLE = 200  # titles whose ends tell what ends cost
_FEWEST = 10  # titles that have so many tokens; what costs more isn't told


@dataclass(frozen=True, eq=False, slots=True)
class Named:
    """What a language model names.

    Attributes:
        rows: Of the catalogue, the likeliest first. Items of the same title stand together, in the order of ids.
        totals: The log-probability of each one's title and of its end, in nats. Shape: ``(rows,)``.
        certain: Whether no other is likelier, up to what a sample tells of titles' ends; else the search was stopped.
        read: Tokens that the model read for it, beside the description.
    """

    rows: NDArray[np.int64]
    totals: NDArray[np.float64]
    certain: bool
    read: int


@dataclass(frozen=True, eq=False, slots=True)
class _Known:
    """A catalogue's titles as tokens.

    Attributes:
        tokens: By title, with what ends it.
        trie: Of them.
        title_of: The title of each row, by its place in the trie; -1 for none. Shape: ``(items,)``.
        order: Rows by title, and by id within one. Shape: ``(items with a title,)``.
        ends: Where each title's rows end in that. Shape: ``(titles,)``.
        ahead: See :meth:`coldstart.trie.Trie.best`; None for a small catalogue.
    """

    tokens: Mapping[str, Tokens]
    trie: Trie
    title_of: NDArray[np.int64]
    order: NDArray[np.int64]
    ends: NDArray[np.int64]
    ahead: NDArray[np.float64] | None

    @classmethod
    def of(
        cls,
        titles: Sequence[str],
        ids: Sequence[str],
        tokenize: Callable[[Sequence[str]], Sequence[Tokens]],
        read: Callable[[Sequence[Tokens]], Sequence[NDArray[np.float64]]],
        before: _Known | None,
    ) -> _Known:
        wanted = frozenset(titles) - {""}
        known = {} if before is None else {text: row for text, row in before.tokens.items() if text in wanted}
        new = sorted(wanted - known.keys())
        tokens = {**known, **dict(zip(new, tokenize(new), strict=True))}
        if before is None:
            trie = Trie.of(tokens.values())
        else:  # two titles may be written by the same tokens
            now = frozenset(tokens.values())
            trie = before.trie.changed(gone=[row for row in before.trie.sequences if row not in now], new=now)
        place = {row: at for at, row in enumerate(trie.sequences)}
        title_of = np.array([place[tokens[title]] if title else -1 for title in titles], np.int64)
        there = np.flatnonzero(title_of >= 0)
        order = np.array(sorted(there.tolist(), key=lambda row: (title_of[row], ids[row])), np.int64)
        ends = np.cumsum(np.bincount(title_of[there], minlength=len(trie)))
        ahead = None if before is None else before.ahead
        if ahead is None and len(trie) > _SAMPLE:
            sample = sorted(trie.sequences, key=lambda row: key(" ".join(map(str, row))))[:_SAMPLE]
            ahead = ahead_of(read(sample))
        return cls(tokens, trie, title_of, order, ends, ahead)

    def items_of(self, place: int) -> NDArray[np.int64]:
        """Return the rows of the items with a title."""
        return self.order[self.ends[place - 1] if place else 0 : self.ends[place]]


def ahead_of(told: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the log-probability that titles' last tokens have at most, by their number from 0, as a sample tells.

    Args:
        told: The log-probability of each token of some titles, in nats.
    """
    found = [0.0]
    while True:
        costs = [float(row[-len(found) :].sum()) for row in told if len(row) >= len(found)]
        if len(costs) < _FEWEST:
            return np.array(found)
        found.append(min(found[-1], TRUSTED * float(np.quantile(costs, 1 - SURE))))


class Generating:
    """Goes on with "that this person loves" by titles of the catalogue alone: what it names exists.

    A title is over where its line is, so that "Alien" isn't likelier for being how "Aliens" begins.

    Args:
        model: Names.
        catalogue: What may be named.
        library: Templates.
        previous: Of another catalogue; titles that it knows aren't tokenized again.
    """

    def __init__(
        self, model: LanguageModel, catalogue: Catalogue, library: Library, previous: Generating | None = None
    ) -> None:
        self._model, self._catalogue, self._library = model, catalogue, library
        self._template = library.of("naming")[0]
        self._previous = previous if previous is not None and "_known" in previous.__dict__ else None
        self._ends: dict[Tokens, NDArray[np.float64]] = {} if previous is None else previous._ends

    def of(self, catalogue: Catalogue) -> Generating:
        """Return the same for another catalogue; titles that both have aren't read again."""
        return Generating(self._model, catalogue, self._library, self)

    def best(
        self,
        description: str,
        k: int,
        allowed: NDArray[np.bool_],
        *,
        most: int | None = None,
        likely: NDArray[np.float64] | None = None,
    ) -> Named:
        """Return the items that the model names likeliest to someone.

        Args:
            description: Of the person; empty for nobody.
            k: How many at least, if there are so many titles: all items of a title that is among the best.
            allowed: Which rows may be named. Shape: ``(items,)``.
            most: Tokens after which it stops with the best it has; None to go on until they are certain.
            likely: How likely each row's title is, whoever asks, by whatever prompt; NaN where that isn't known. Only
                those that are likeliest, or not known, are looked at then, see :data:`COMMON`; what these have for
                nobody is read, and remembered, and tells how likely the rest of a title is for a person. Shape:
                ``(items,)``.
        """
        known = self._known
        titles = np.zeros(len(known.trie), np.bool_)
        titles[known.title_of[allowed & (known.title_of >= 0)]] = True
        look = self._model.look(self._prompt(description))
        if likely is None:
            places = np.arange(len(known.trie))
            found = known.trie.best(look, k, allowed=titles, most=most, ahead=known.ahead)
        else:
            places = self._likeliest(known, titles, likely, max(COMMON, KIN * k))
            few = Trie(tuple(known.trie.sequences[place] for place in places))
            found = few.best(look, k, most=most, left=self._left(few.sequences))
        held = [[row for row in known.items_of(int(places[place])) if allowed[row]] for place in found.places]
        rows = np.array([row for rows in held for row in rows], np.int64)
        totals = np.repeat(found.totals, [len(rows) for rows in held])
        return Named(rows, totals, found.certain, found.read)

    def _likeliest(
        self, known: _Known, titles: NDArray[np.bool_], likely: NDArray[np.float64], count: int
    ) -> NDArray[np.int64]:
        """Return the places of the likeliest of some titles, rising, those that nothing is known of among them."""
        there = np.flatnonzero(known.title_of >= 0)
        values = np.zeros(len(known.trie))
        values[known.title_of[there]] = np.where(np.isnan(likely[there]), np.inf, likely[there])
        places = np.flatnonzero(titles)
        return np.sort(places[np.argsort(-values[places], kind="stable")[:count]])

    def _left(self, sequences: Sequence[Tokens]) -> list[NDArray[np.float64]]:
        """Return what each title's tokens from each one on have at most."""
        if len(self._ends) > _KEPT:
            self._ends.clear()
        new = [row for row in sequences if row not in self._ends]
        for row, told in zip(new, self._model.told(self._prompt(""), new), strict=True):
            self._ends[row] = np.minimum(np.cumsum(told[::-1])[::-1] + GAIN, 0.0)
        return [self._ends[row] for row in sequences]

    def exhaustive(self, description: str) -> NDArray[np.float64]:
        """Return the same log-probability of every item by reading all: for tests and measurements. NaN: no title."""
        prompt, ending = self._prompt(description), self._model.ending()
        titles = self._titles
        wanted = sorted(set(titles) - {""})
        told = self._model.told(prompt, [[*row, ending] for row in self._model.tokenize(prompt, wanted)])
        totals = {title: float(values.sum()) for title, values in zip(wanted, told, strict=True)}
        return np.array([totals.get(title, np.nan) for title in titles])

    @cached_property
    def _titles(self) -> tuple[str, ...]:
        def title(row: int) -> str:
            item = self._catalogue[row]
            text = self._library.describe_item(item, kind=self._catalogue.kind, template="item-title").text
            return f" {text}" if text else ""

        return tuple(title(row) for row in range(len(self._catalogue)))

    @cached_property
    def _known(self) -> _Known:
        before = None if self._previous is None else self._previous._known
        self._previous = None
        prompt, ending = self._prompt(""), self._model.ending()

        def tokenize(titles: Sequence[str]) -> list[Tokens]:
            return [(*row, ending) for row in self._model.tokenize(prompt, titles)]

        def read(rows: Sequence[Tokens]) -> list[NDArray[np.float64]]:
            return self._model.told(prompt, rows)

        return _Known.of(self._titles, self._catalogue.ids, tokenize, read, before)

    def _prompt(self, description: str) -> str:
        return render(self._template, {"kind": self._catalogue.kind, "description": description}).text
