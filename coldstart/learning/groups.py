"""Groups: what people say of themselves, and the circumstances, as values and bands of numbers, told apart by field."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from coldstart.entities import Value

Floats = NDArray[np.float64]

BANDS = 8
"""Numbers are told apart by so many quantiles."""

MOST_FIELDS = 30
"""Fields that are looked at."""

_LONGEST = 100  # characters of a value that are told apart
_MOST_VALUES = 20  # of one field of one person


@dataclass(frozen=True, eq=False, slots=True)
class Field:
    """How the values of one field are read.

    Attributes:
        edges: Between which numbers its bands lie, rising; None for one that isn't of many numbers.
    """

    edges: Floats | None

    @classmethod
    def of(cls, said: Iterable[Value | None]) -> Field:
        """Return the field of what people said; None for nothing."""
        given = [value for value in said if value is not None]
        numbers = np.array([_number(value) for value in given])
        known = numbers[np.isfinite(numbers)]
        if len(known) < 0.9 * len(given) or len(np.unique(known)) <= BANDS:
            return cls(None)
        return cls(np.unique(np.quantile(known, np.linspace(0, 1, BANDS + 1)[1:-1])))

    def read(self, value: Value | None) -> tuple[str, ...]:
        """Return what groups a value belongs to, also those that nobody is in."""
        several = value if isinstance(value, (tuple, list)) else () if value is None else (value,)
        if self.edges is not None:
            numbers = [_number(one) for one in several]
            return tuple(str(int(np.searchsorted(self.edges, one, side="right"))) for one in numbers if one == one)
        texts = (" ".join(str(one)[:_LONGEST].casefold().split()) for one in several[:_MOST_VALUES])
        return tuple(dict.fromkeys(text for text in texts if text))


@dataclass(frozen=True, eq=False, slots=True)
class Agreement:
    """In how many fields people agree, by a product of rows.

    Attributes:
        fields: By name.
        columns: Where each group of a field stands in a row.
    """

    fields: Mapping[Hashable, Field]
    columns: Mapping[tuple[Hashable, str], int]

    @classmethod
    def of(cls, said: Sequence[Mapping[Any, Value]]) -> Agreement:
        """Return the one for the fields, and their groups, that some people filled in."""
        names = sorted({name for mine in said for name in mine}, key=str)[:MOST_FIELDS]
        fields = {name: Field.of(mine.get(name) for mine in said) for name in names}
        groups = {(name, group) for mine in said for name in fields for group in fields[name].read(mine.get(name))}
        return cls(fields, {group: place for place, group in enumerate(sorted(groups, key=str))})

    def rows(self, said: Sequence[Mapping[Any, Value]]) -> Any:
        """Return what people said as rows, of whom two have as product the share of fields in which they agree.

        Where one filled in more fields than another, it is the share of the geometric mean of both. A row is of unit
        length, but for groups that weren't known.

        Returns:
            SciPy CSR. Shape: ``(people, columns)``.
        """
        places: list[int] = []
        values: list[float] = []
        ends = [0]
        kept: dict[int, list[tuple[int, float]]] = {}  # the same people are told of over and over
        for mine in said:
            if id(mine) not in kept:
                kept[id(mine)] = self._row(mine)
            for place, value in kept[id(mine)]:
                places.append(place)
                values.append(value)
            ends.append(len(places))
        return sparse.csr_matrix((values, places, ends), shape=(len(said), len(self.columns)))

    def _row(self, said: Mapping[Any, Value]) -> list[tuple[int, float]]:
        groups = {name: field.read(said.get(name)) for name, field in self.fields.items()}
        filled = sum(map(bool, groups.values()))
        return sorted(
            (self.columns[name, group], 1.0 / np.sqrt(filled * len(mine)))
            for name, mine in groups.items()
            for group in mine
            if (name, group) in self.columns
        )


def _number(value: Any) -> float:
    if isinstance(value, bool):
        return np.nan
    try:
        return float(value)
    except (TypeError, ValueError):
        return np.nan
