"""What events say: of a user to rank for, and to everyone's counts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from coldstart.catalogue import Catalogue
from coldstart.entities import Interaction, Profile
from coldstart.service.storage import IMPRESSION, Event

LIKED, NEITHER, DISLIKED = 1.0, 0.5, 0.0
"""What an event is told to the engine as; see :meth:`coldstart.learning.scale.Scale.of`."""

_STATED = {"like": LIKED, "dislike": DISLIKED, "hide": DISLIKED}
_MOST_LIKES, _MOST_PAST = 100, 200


def verdict(event: Event) -> float | None:
    """Return what an event says of the user and the item; None for nothing.

    A ``rating`` is on the scale from 1 to 5, where 4 and more says liked and 2 and less disliked. Whatever else someone
    does with an item is a sign of interest.
    """
    if event.event_type == IMPRESSION:
        return None
    if event.event_type == "rating" and event.value is not None:
        return LIKED if event.value >= 4 else DISLIKED if event.value <= 2 else NEITHER
    return _STATED.get(event.event_type, LIKED)


def interactions(events: Iterable[Event]) -> list[Interaction]:
    """Return events as everyone's counts take them."""
    told = ((event, verdict(event)) for event in events)
    return [
        Interaction(event.user, event.item, event.event_type, said, event.timestamp)
        for event, said in told
        if said is not None
    ]


def person(
    stated: dict[str, Any] | None,
    did: Sequence[Event],
    besides: Profile | None,
    catalogue: Catalogue,
    *,
    lenient: bool = False,
) -> Profile:
    """Return a stored user as a profile: what they stated, what they did, and what a request says besides.

    Of an item, the last verdict holds. Items that the catalogue no longer has say nothing.

    Args:
        stated: The stored profile; None for none.
        did: What they did, oldest first.
        besides: What the request says of them.
        catalogue: What is ranked.
        lenient: Leave out what they stated that may be an item which is gone: a word that is no id.
    """
    said = Profile(**stated) if stated is not None else Profile()
    besides = besides or Profile()
    last: dict[str, tuple[float, bool]] = {}
    for event in did:
        known = verdict(event)
        if known is not None and event.item in catalogue:
            last.pop(event.item, None)
            last[event.item] = known, event.event_type in _STATED or event.event_type == "rating"
    likes = [item for item, (value, stated_) in last.items() if stated_ and value == LIKED][-_MOST_LIKES:]
    dislikes = [item for item, (value, _) in last.items() if value == DISLIKED][-_MOST_LIKES:]
    past = [item for item in last if item not in {*likes, *dislikes}][-_MOST_PAST:]
    settled = {item: value for item, (value, stated_) in last.items() if stated_}
    return Profile(
        text=" ".join(filter(None, (said.text, besides.text))),
        attributes={**said.attributes, **besides.attributes},
        likes=[*_holding(said.likes, settled, LIKED, catalogue, lenient), *likes, *besides.likes],
        dislikes=[*_holding(said.dislikes, settled, DISLIKED, catalogue, lenient), *dislikes, *besides.dislikes],
        history=[*(e.item for e in said.events if e.item in catalogue), *past, *(e.item for e in besides.events)],
    )


def _holding(
    values: Sequence[str], settled: dict[str, float], said: float, catalogue: Catalogue, lenient: bool
) -> list[str]:
    """Return what was stated and wasn't judged otherwise since."""
    kept = (value for value in values if settled.get(value, said) == said)
    return [value for value in kept if not lenient or value in catalogue or " " in value]
