"""One attribute of all items in columns, and the conditions that filters put on it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coldstart.entities import Item, Scalar, Value
from coldstart.errors import ProfileError
from coldstart.tables import shown

_NUMBER = re.compile(r"[+-]?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


@dataclass(frozen=True, slots=True, eq=False)
class Attribute:
    """Which rows have which values.

    Attributes:
        name: The attribute's name.
        rows: The row of each value; an item with several values has several. Shape: ``(values,)``, int32.
        codes: The value, as a position in the vocabulary. Shape: ``(values,)``, int32.
        vocabulary: A value's key, by which values compare, to its code.
        numbers: The value of each code as a number, NaN for text. Shape: ``(vocabulary,)``.
    """

    name: str
    rows: NDArray[np.int32]
    codes: NDArray[np.int32]
    vocabulary: Mapping[str, int]
    numbers: NDArray[np.float64]

    @classmethod
    def of(cls, name: str, items: Sequence[Item]) -> Attribute:
        """Return the column of one attribute of the items."""
        rows: list[int] = []
        codes: list[int] = []
        seen: dict[tuple[type, Scalar], int] = {}
        vocabulary: dict[str, int] = {}
        for row, item in enumerate(items):
            value = item.attributes.get(name, ())
            for member in value if isinstance(value, tuple) else (value,):
                # The type is part of what is looked up, since True == 1.
                typed = (type(member), member)
                if typed not in seen:
                    seen[typed] = vocabulary.setdefault(_key(member), len(vocabulary))
                rows.append(row)
                codes.append(seen[typed])
        numbers = np.array([_number(key) for key in vocabulary], dtype=np.float64)
        return cls(name, np.array(rows, dtype=np.int32), np.array(codes, dtype=np.int32), vocabulary, numbers)


def condition_codes(attribute: Attribute, condition: Any) -> tuple[NDArray[np.bool_], bool]:
    """Return which of the attribute's codes a condition names, and whether it rules them out.

    Returns:
        Shape ``(vocabulary,)``, and True for a "not".

    Raises:
        ProfileError: The condition has none of the shapes that :meth:`Catalogue.select` describes.
    """
    if isinstance(condition, Mapping) and set(condition) == {"not"} and not isinstance(condition["not"], Mapping):
        return _any_of(attribute, condition["not"]), True
    if isinstance(condition, Mapping):
        return _between(attribute, condition), False
    return _any_of(attribute, condition), False


def holds(values: Mapping[str, Value], where: Mapping[str, Any]) -> bool:
    """Return whether conditions hold of some fields; one that is missing meets only a "not".

    Args:
        values: Fields, such as a profile's.
        where: Conditions, as :meth:`coldstart.catalogue.Catalogue.select` takes them.

    Raises:
        ProfileError: A condition has another shape.

    >>> holds({"country": "Brazil", "age": 34}, {"country": ["brazil", "Chile"], "age": {"min": 30}})
    True
    >>> holds({"age": "unknown"}, {"age": {"min": 30}}), holds({}, {"country": {"not": "Brazil"}})
    (False, True)
    """
    for name, condition in where.items():
        attribute = Attribute.of(name, [Item("-", "-", {name: values[name]})] if name in values else [])
        if isinstance(condition, Mapping) and "not" not in condition and np.isnan(attribute.numbers).all():
            _between(Attribute.of(name, [Item("-", "-", {name: 0})]), condition)
            return False
        codes, negated = condition_codes(attribute, condition)
        if bool(codes.any()) == negated:
            return False
    return True


def _any_of(attribute: Attribute, wanted: Any) -> NDArray[np.bool_]:
    members = list(wanted) if isinstance(wanted, (list, tuple, set, frozenset)) else [wanted]
    if not members or not all(isinstance(member, (str, bool, int, float)) for member in members):
        raise _wrong_shape(attribute, wanted)
    codes = np.zeros(len(attribute.vocabulary), dtype=np.bool_)
    for member in members:
        code = attribute.vocabulary.get(_key(member))
        if code is not None:
            codes[code] = True
    return codes


def _between(attribute: Attribute, condition: Mapping[Any, Any]) -> NDArray[np.bool_]:
    if not condition or not set(condition) <= {"min", "max"}:
        raise _wrong_shape(attribute, condition)
    ends = {end: _number(_key(value)) if _is_scalar(value) else math.nan for end, value in condition.items()}
    if any(math.isnan(value) for value in ends.values()):
        raise _wrong_shape(attribute, condition)
    low, high = ends.get("min", -math.inf), ends.get("max", math.inf)
    if low > high:
        raise ProfileError(f"the filter on {attribute.name} has min {low:g} above max {high:g}: exchange them")
    if np.isnan(attribute.numbers).all():
        known = ", ".join(shown(key) for key in list(attribute.vocabulary)[:5])
        raise ProfileError(
            f"the filter on {attribute.name} is the range {shown(dict(condition))}, but its values aren't numbers "
            f"({known}): name values instead"
        )
    # NaN, which stands for text, is in no range.
    return (attribute.numbers >= low) & (attribute.numbers <= high)


def _wrong_shape(attribute: Attribute, condition: Any) -> ProfileError:
    return ProfileError(
        f"the filter on {attribute.name} is {shown(condition)}: expected a value, a list of values, "
        '{"min": number, "max": number} or {"not": value or list}'
    )


def _is_scalar(value: Any) -> bool:
    return isinstance(value, (str, int, float)) and not isinstance(value, bool)


def _key(value: Scalar) -> str:
    """Return the text by which values compare: no case, and a number in one spelling.

    >>> [_key(value) for value in ("Noir ", 1995, "1995.0", True, "007")]
    ['noir', '1995', '1995', 'true', '007']
    """
    text = str(value).strip().casefold()
    number = _number(text)
    return str(int(number)) if number.is_integer() and abs(number) < 2**53 else text


def _number(text: str) -> float:
    """Return a number written plainly (no leading zero), else NaN."""
    return float(text) if _NUMBER.fullmatch(text) else math.nan
