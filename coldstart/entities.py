"""The words of the domain as frozen values: items, profiles, contexts, interactions, recommendations.

Nothing here knows of models or files; nothing here loads torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, overload

from coldstart.errors import ProfileError

Scalar = str | int | float | bool
Value = Scalar | tuple[Scalar, ...]
"""What an attribute may hold: one scalar or several."""


def freeze_attributes(attributes: Mapping[str, Any], *, where: str) -> Mapping[str, Value]:
    """Return a read-only copy without missing values (None, NaN, blank text, empty lists).

    Args:
        attributes: Names to scalars, or to lists, tuples or sets of scalars (a set is sorted, so that
            the same set always renders the same).
        where: What the attributes belong to, for the error message.

    Raises:
        ProfileError: No mapping, a name that isn't text, or a value that is neither a scalar nor a list of them.

    >>> dict(freeze_attributes({"age": 34, "genres": ["noir", None], "city": " "}, where="a profile"))
    {'age': 34, 'genres': ('noir',)}
    """
    if not isinstance(attributes, Mapping):
        raise ProfileError(f"the attributes of {where} are {attributes!r}: expected a mapping of names to values")
    frozen: dict[str, Value] = {}
    for name, value in attributes.items():
        if not isinstance(name, str):
            raise ProfileError(f"{where} has an attribute named {name!r}: expected text; rename it")
        kept = _freeze_value(value, where=f"attribute {name!r} of {where}")
        if kept is not None:
            frozen[name] = kept
    return MappingProxyType(frozen)


def _freeze_value(value: Any, *, where: str) -> Value | None:
    if isinstance(value, (list, tuple, set, frozenset)):
        members = sorted(value, key=str) if isinstance(value, (set, frozenset)) else value
        kept = [_freeze_scalar(member, where=where) for member in members]
        return tuple(member for member in kept if member is not None) or None
    return _freeze_scalar(value, where=where)


def _freeze_scalar(value: Any, *, where: str) -> Scalar | None:
    if value is None:
        return None
    if hasattr(value, "item") and getattr(value, "shape", None) == ():  # a number of NumPy
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, (bool, int, float)):
        return value
    raise ProfileError(
        f"{where} is {value!r} of type {type(value).__name__}: expected text, a number, true/false or a list of them"
    )


@dataclass(frozen=True, slots=True)
class Item:
    """One thing of the catalogue. ``title`` is as the catalogue gives it; it may be empty."""

    id: str
    title: str
    attributes: Mapping[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "attributes", freeze_attributes(self.attributes, where=f"item {self.id!r}"))


@dataclass(frozen=True, slots=True)
class Interaction:
    """One event between a user and an item.

    Attributes:
        value: A rating, a duration, a price; None when the event type says it all.
        timestamp: Seconds since 1970, UTC; None when unknown.
    """

    user: str
    item: str
    event_type: str = "interaction"
    value: float | None = None
    timestamp: float | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """What is known of a user, which may be nothing.

    Attributes:
        text: Free text, in the user's or the product's words.
        attributes: Any fields from the sign-up: age, occupation, country.
        likes: Item ids, exact titles, or phrases, stated as liked.
        dislikes: The same, stated as disliked.
        history: Past interactions, oldest first; plain item ids are accepted and wrapped.
    """

    text: str = ""
    attributes: Mapping[str, Value] = field(default_factory=dict)
    likes: Sequence[str] = ()
    dislikes: Sequence[str] = ()
    history: Sequence[Interaction | str] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise ProfileError(f"a profile's text is {self.text!r}: expected text")
        object.__setattr__(self, "text", self.text.strip())
        object.__setattr__(self, "attributes", freeze_attributes(self.attributes, where="a profile"))
        for name in ("likes", "dislikes"):
            object.__setattr__(self, name, _texts(getattr(self, name), name=name))
        if isinstance(self.history, str):
            raise ProfileError(f"a profile's history is the text {self.history!r}: expected a list of item ids")
        if not isinstance(self.history, Iterable):
            raise ProfileError(f"a profile's history is {self.history!r}: expected a list of item ids")
        events = tuple(Interaction("", e) if isinstance(e, str) else e for e in self.history)
        for event in events:
            if not isinstance(event, Interaction):
                raise ProfileError(f"a profile's history holds {event!r}: expected an item id or an Interaction")
        object.__setattr__(self, "history", events)

    @property
    def events(self) -> tuple[Interaction, ...]:
        """The history as interactions, oldest first."""
        return tuple(e for e in self.history if isinstance(e, Interaction))

    @property
    def is_empty(self) -> bool:
        """Whether nothing at all is known."""
        return not (self.text or self.attributes or self.likes or self.dislikes or self.history)


def _texts(values: Iterable[str], *, name: str) -> tuple[str, ...]:
    if isinstance(values, str):
        raise ProfileError(f"a profile's {name} is the text {values!r}: expected a list; write [{values!r}]")
    if not isinstance(values, Iterable):
        raise ProfileError(f"a profile's {name} is {values!r}: expected a list of item ids or phrases")
    kept: list[str] = []
    for value in values:
        if not isinstance(value, str):
            raise ProfileError(f"a profile's {name} holds {value!r}: expected item ids or phrases as text")
        if value.strip():
            kept.append(value.strip())
    return tuple(dict.fromkeys(kept))


@dataclass(frozen=True, slots=True)
class Context:
    """The circumstances of one request: time, place, device, company, any key and value."""

    attributes: Mapping[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "attributes", freeze_attributes(self.attributes, where="a context"))


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether a person liked an item, told as an example.

    Attributes:
        item: The item's id.
        context: The circumstances they were in.
    """

    profile: Profile
    item: str
    liked: bool
    context: Context | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """What one scorer gave one item.

    Attributes:
        raw: The scorer's own score; NaN where it abstained.
        standardised: The raw score in standard deviations from the candidates' mean; 0 where it abstained.
        weight: The scorer's weight in the fusion.
    """

    raw: float
    standardised: float
    weight: float

    @property
    def contribution(self) -> float:
        """What this part added to the item's final score."""
        return self.weight * self.standardised


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an item is where it is: without the cause it would stand lower, and nobody would stand higher for it.

    Attributes:
        kind: What sort of cause it is: "like", "dislike" or "taste" (stated likes, or past items), "text", "about" (the
            person's attributes), "context", "popularity" (what others like) or "appeal" (what people at large do).
        cause: What to take away to see it: an id, title or phrase as the profile has it, the words of the text, or the
            name of a scorer.
        sentence: The same for people, claiming nothing else.
        fall: By how much the item falls without it, in standard deviations of the candidates' scores; > 0.
    """

    kind: str
    cause: str
    sentence: str
    fall: float


@dataclass(frozen=True, slots=True)
class Recommendation:
    """One ranked item: ``score`` is the sum of its parts' contributions; ``rank`` counts from 1.

    ``reasons`` are the strongest first; they are there only if they were asked for, and only if there are true ones.
    """

    id: str
    title: str
    score: float
    rank: int
    parts: Mapping[str, Part]
    item: Item
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class Recommendations(Sequence[Recommendation]):
    """A ranked list, best first, and how it came about.

    Attributes:
        description: The task description of the user that the models read; empty for an empty profile.
        template_hash: Content hash of the templates that took part.
        models: Name to content hash of the models that took part.
        adapter: The version of the adapter that the bi-encoder has; empty for none, or one that isn't kept.
        degraded: Whether something asked for could not be done (see ``fallback_reason``).
        fallback_reason: Why the list isn't personal or not refined; empty when it is.
        notes: Decisions on the input that the caller should know of, in words.
    """

    ranked: tuple[Recommendation, ...]
    description: str = ""
    template_hash: str = ""
    models: Mapping[str, str] = field(default_factory=dict)
    adapter: str = ""
    degraded: bool = False
    fallback_reason: str = ""
    notes: tuple[str, ...] = ()

    @overload
    def __getitem__(self, index: int) -> Recommendation: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Recommendation, ...]: ...
    def __getitem__(self, index: int | slice) -> Recommendation | tuple[Recommendation, ...]:
        return self.ranked[index]

    def __len__(self) -> int:
        return len(self.ranked)

    def __iter__(self) -> Iterator[Recommendation]:
        return iter(self.ranked)


@dataclass(frozen=True, slots=True)
class Suitability:
    """How well an item suits one profile.

    Attributes:
        name: The profile's name.
        rank: The item's rank in the profile's list of the whole catalogue, from 1.
        of: Length of that list.
        score: The item's score, in the fusion's units.
    """

    name: str
    rank: int
    of: int
    score: float
