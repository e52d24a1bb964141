"""What an event's type says: liked, disliked, judged by its value, only shown, or nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np

from coldstart.errors import ProfileError

LIKE, DISLIKE, RATING, SHOWN, IGNORE = "like", "dislike", "rating", "shown", "ignore"
MEANINGS = (LIKE, DISLIKE, RATING, SHOWN, IGNORE)
"""What a type may mean besides a number: the weight of someone's interest, above 0 and at most 1."""

GLANCE = 0.3
"""What looking at an item weighs where people do more with others, such as buying them."""

UNDECIDED = "interaction"
"""Said of types that nobody explained: by their value if values differ, otherwise interest."""

Meaning = str | float

_WORDS: tuple[tuple[Meaning, str], ...] = (
    (IGNORE, "remove removed delete deleted unlike unfavorite unfavourite unsave unfollow undo cancel cancelled "
             "search"),
    (DISLIKE, "dislike disliked downvote hide hidden block report return returned refund refunded uninstall "
              "unsubscribe thumbs_down not_interested"),
    (RATING, "rating rate rated review reviewed score scored stars star"),
    (LIKE, "like liked love loved favorite favourite favorited favourited upvote recommend thumbs_up"),
    (1.0, "purchase purchased buy bought order ordered transaction checkout cart basket addtocart save saved bookmark "
          "wishlist follow subscribe share shared complete completed finish finished watch watched play played listen "
          "listened stream borrow borrowed book booked reserve download install apply applied reply attend visit"),
    (GLANCE, "view viewed views pageview click clicked clicks open opened detail details hover preview read seen"),
    (SHOWN, "impression impressions shown show exposure skip skipped pass passed dismiss dismissed ignored swipe_left"),
)  # fmt: skip
"""Words of types; of a type of several the earliest line here holds: to remove from a cart is no interest."""

_PLACE = {word: (line, meaning) for line, (meaning, words) in enumerate(_WORDS) for word in words.split()}
_BREAK = re.compile(r"(?<=[a-z])(?=[A-Z])|[^A-Za-z]+")


@dataclass(frozen=True, slots=True)
class TypeRead:
    """How events of one type were read.

    Attributes:
        name: The type, as told.
        events: How many of the new events are of it.
        meaning: "like", "dislike", "rating" (by its value), "shown", "ignore", a weight, or "interaction" for a type
            that nobody explained: by its value if values differ, otherwise interest.
        known: Whether the type is told or one that is generally understood.
    """

    name: str
    events: int
    meaning: Meaning
    known: bool

    def __str__(self) -> str:
        said = f"interest of {self.meaning:g}" if isinstance(self.meaning, float) else self.meaning
        if said == UNDECIDED:
            said = "interest, unless their values say otherwise"
        return f"{self.events} {self.name!r} as {said}" + ("" if self.known else " (a type that isn't known)")


class Meanings:
    """What types of events say; equal if they were told the same.

    Args:
        told: By type, over what is generally understood: one of :data:`MEANINGS`, or a weight of interest above 0 and
            at most 1.

    Raises:
        ProfileError: A meaning that is none of these.

    >>> found = Meanings({"listen": 0.5})
    >>> [found.of(name) for name in ("ProductView", "thumbs-up", "remove_from_cart", "listen", "zap")]
    [0.3, 'like', 'ignore', 0.5, 'interaction']
    """

    def __init__(self, told: Mapping[str, Any] | None = None) -> None:
        self.told: Mapping[str, Meaning] = MappingProxyType(
            {name: _checked(name, said) for name, said in (told or {}).items()}
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Meanings) and self.told == other.told

    __hash__ = None  # type: ignore[assignment]

    def of(self, name: str) -> Meaning:
        """Return what a type says; "interaction" for one that isn't known."""
        return self.told[name] if name in self.told else _usual(name)

    def knows(self, name: str) -> bool:
        """Return whether a type is told or generally understood."""
        return name in self.told or name == UNDECIDED or _usual(name) != UNDECIDED

    def over(self, told: Mapping[str, Any] | None) -> Meanings:
        """Return these with more told, which holds over what was."""
        return Meanings({**self.told, **(told or {})})


@lru_cache(maxsize=4096)
def _usual(name: str) -> Meaning:
    words = [word.lower() for word in _BREAK.split(name[:200]) if word]
    whole = "_".join(words)
    found = [_PLACE[word] for word in (whole, *words) if word in _PLACE]
    found += [place for word, place in _PLACE.items() if "_" in word and f"_{word}_" in f"_{whole}_"]
    return min(found, key=lambda place: place[0])[1] if found else UNDECIDED


def _checked(name: str, said: Any) -> Meaning:
    if isinstance(said, str) and said in MEANINGS:
        return said
    if isinstance(said, (int, float, np.number)) and not isinstance(said, bool) and 0 < said <= 1:
        return float(said)
    raise ProfileError(
        f"events of type {name!r} are said to mean {said!r}: expected one of {', '.join(MEANINGS)}, or a weight of "
        "interest above 0 and at most 1"
    )
