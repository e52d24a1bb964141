"""Traits: which items share a value of an attribute, and which of them a request is after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from coldstart.attributes import Attribute
from coldstart.catalogue import Catalogue
from coldstart.fields import Fields
from coldstart.wording import plain, says_nothing

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEWEST, MOST_SHARE = 3, 0.6
"""A trait is shared by so many items at least, and by such a share of them at most."""

CLEAR, APART = 3.0, 0.5
"""How clearly a request is after a trait, in standard errors, and how far it parts items, in standard deviations."""

_LONGEST = 40  # characters of a value


@dataclass(frozen=True, slots=True)
class Trait:
    """A value of an attribute, as a sentence has it."""

    label: str
    value: str
    several: bool
    """Whether items have several values of the attribute."""


class Traits:
    """The traits of a catalogue's items, in a table. Only texts are traits; numbers aren't."""

    def __init__(self, catalogue: Catalogue, fields: Fields) -> None:
        self.traits: list[Trait] = []
        rows: list[NDArray[np.int32]] = []
        columns: list[NDArray[np.int64]] = []
        for name in catalogue.attribute_names:
            label = fields.label(name, kind=catalogue.kind)
            if not label:
                continue
            column = Attribute.of(name, catalogue.items)
            counts = np.bincount(column.codes, minlength=len(column.vocabulary))
            held = np.unique(column.rows).size
            words = _spellings(name, column, catalogue)
            place = np.full(len(column.vocabulary), -1)
            for code, text in words.items():
                if FEWEST <= counts[code] <= MOST_SHARE * len(catalogue):
                    place[code] = len(self.traits)
                    self.traits.append(Trait(label, text, held < len(column.rows)))
            known = place[column.codes] >= 0
            rows.append(column.rows[known])
            columns.append(place[column.codes[known]])
        held_by = np.concatenate([np.empty(0, np.int64), *rows])
        held_are = np.concatenate([np.empty(0, np.int64), *columns])
        shape = (len(catalogue), len(self.traits))
        self._table: Any = sparse.csr_matrix((np.ones(len(held_by)), (held_by, held_are)), shape=shape)
        self._table.data[:] = 1.0  # a value that an item names twice counts once

    def of(self, row: int) -> Sequence[int]:
        """Return an item's traits, as places in :attr:`traits`."""
        found: Sequence[int] = self._table.indices[self._table.indptr[row] : self._table.indptr[row + 1]].tolist()
        return found

    def met(self, falls: NDArray[np.float64], rows: NDArray[np.int64]) -> dict[int, float]:
        """Return the traits whose items fall further than others where a cause is taken away, and how clearly.

        By :data:`APART` standard deviations of all falls at least, and by :data:`CLEAR` standard errors.

        Args:
            falls: By how much each item falls. Shape: ``(rows,)``.
            rows: Of the catalogue. Shape: ``(rows,)``.

        Returns:
            Places in :attr:`traits` to standard errors.
        """
        spread = falls.std()
        if not self.traits or spread == 0:
            return {}
        table = self._table[rows]
        having = np.asarray(table.sum(0)).ravel()
        lacking = len(rows) - having
        told = (having >= FEWEST) & (lacking >= FEWEST)
        sums = np.asarray(table.T @ falls).ravel()
        means = sums / np.maximum(having, 1), (falls.sum() - sums) / np.maximum(lacking, 1)
        apart = np.where(told, (means[0] - means[1]) / spread, 0.0)
        clear = apart * np.sqrt(having * lacking / len(rows))
        return {int(place): float(clear[place]) for place in np.flatnonzero((clear >= CLEAR) & (apart >= APART))}


def _spellings(name: str, column: Attribute, catalogue: Catalogue) -> dict[int, str]:
    """Return how each value is written, by its code; values that say nothing or are no short texts are left out."""
    found: dict[int, str] = {}
    last, place = -1, 0
    for row, code in zip(column.rows.tolist(), column.codes.tolist(), strict=True):
        place = place + 1 if row == last else 0
        last = row
        if code not in found:
            value = catalogue[row].attributes[name]
            member = value[place] if isinstance(value, tuple) else value
            text = plain(member[: 2 * _LONGEST]) if isinstance(member, str) else ""
            found[code] = text if len(text) <= _LONGEST and not says_nothing(text) else ""
    return {code: text for code, text in found.items() if text and any(map(str.isalpha, text))}
