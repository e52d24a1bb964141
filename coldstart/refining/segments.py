"""Segments: which adapter answers a request, by rules on what is known of who asks and of the circumstances.

A rule is a filter as a request puts on items, on the fields of the profile and of the context; the first that holds
decides, and where none does, the index's own adapter answers, or none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from coldstart.attributes import holds
from coldstart.entities import Profile, Value
from coldstart.errors import AdapterError, CatalogueError, ProfileError
from coldstart.interactions import Interactions
from coldstart.refining import registry
from coldstart.refining.lora import Adapter

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False, slots=True)
class Segment:
    """A rule, and the adapter that answers where it holds.

    Attributes:
        where: Conditions on fields, as :meth:`coldstart.catalogue.Catalogue.select` takes them on attributes.
        adapter: Of the bi-encoder.
        known: Vectors that it gave before, by the document's :func:`coldstart.rows.key`.
    """

    where: Mapping[str, Any]
    adapter: Adapter
    known: Mapping[bytes, NDArray[np.float32]]

    def holds(self, values: Mapping[str, Value]) -> bool:
        """Return whether the rule holds of what is known."""
        return holds(values, self.where)


def checked(where: Any) -> dict[str, Any]:
    """Return a rule as it is kept.

    Raises:
        ProfileError: It is none, or would hold of everybody.
    """
    if not isinstance(where, Mapping) or not where or not all(isinstance(name, str) and name for name in where):
        raise ProfileError(
            f'the segment is {where!r}: expected fields of who asks and conditions on them, such as {{"country": '
            '"Brazil"}'
        )
    holds(dict.fromkeys(where, 0), where)
    return {name: list(value) if isinstance(value, (set, frozenset, tuple)) else value for name, value in where.items()}


def of_those(events: Interactions, where: Mapping[str, Any], profiles: Mapping[str, Profile]) -> Interactions:
    """Return what people did of whose profiles conditions hold.

    Raises:
        CatalogueError: They hold of nobody.
    """
    inside = [user in profiles and holds(profiles[user].attributes, where) for user in events.user_ids]
    if not any(inside):
        raise CatalogueError(
            f"{told(where)} holds of none of the {len(events.user_ids)} people in the events: give their profiles, and "
            "spell the fields as they do"
        )
    return events.take(np.array(inside, np.bool_)[events.users])


def told(where: Mapping[str, Any]) -> str:
    """Return a rule in words.

    >>> told({"country": "Brazil", "age": {"max": 30}})
    'country = "Brazil", age = {"max": 30}'
    """
    return ", ".join(f"{name} = {json.dumps(condition, ensure_ascii=False)}" for name, condition in where.items())


def of(index: Path, *, base: str) -> tuple[Segment, ...]:
    """Return an index's segments; those whose adapter is of another encoder than ``base`` are refused.

    Raises:
        AdapterError: One's adapter is missing, damaged or of another encoder.
    """
    found = []
    for where, version in registry.rules(index):
        adapter = registry.load(index, version)
        if adapter.base != base:
            raise AdapterError(
                f"the adapter {version} for {told(where)} was made for the model {adapter.base[:12]}, but the index's "
                f"is {base[:12]}: `coldstart adapters withdraw` it, or refine again"
            )
        found.append(Segment(where, adapter, registry.known_vectors(index, version)))
    return tuple(found)


def assign(index: Path, version: str, where: Mapping[str, Any]) -> str:
    """Let an adapter answer where a rule holds, in one step; one with the same rule gives way. Return its version.

    Raises:
        AdapterError: It isn't there, is damaged, or is of the language model.
        ProfileError: The rule is none.
    """
    rule, entry = checked(where), registry.entry(index, version)
    if entry.language:
        raise AdapterError(f"{entry.version} is of the language model: a segment is answered by one of the bi-encoder")
    registry.load(index, entry.version)
    others = [each for each in registry.rules(index) if each[0] != rule]
    registry.rule(index, [*others, (rule, entry.version)])
    return entry.version


def withdraw(index: Path, version: str) -> list[dict[str, Any]]:
    """Let an adapter answer no segment; return the rules it had.

    Raises:
        AdapterError: It answers none.
    """
    version, every = registry.found(index, version), registry.rules(index)
    gone = [where for where, name in every if name == version]
    if not gone:
        raise AdapterError(f"{version} answers no segment: see `coldstart adapters list`")
    registry.rule(index, [each for each in every if each[1] != version])
    return gone
