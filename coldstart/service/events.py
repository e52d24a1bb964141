"""What events say: of a user to rank for, and to everyone's counts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from coldstart.catalogue import Catalogue
from coldstart.entities import Interaction, Profile
from coldstart.learning.meanings import DISLIKE, IGNORE, LIKE, RATING, SHOWN, Meanings
from coldstart.service.storage import Event

LIKED, NEITHER, DISLIKED = 1.0, 0.5, 0.0

_NEITHER = "shown"  # a rating in the middle: it was tried, and isn't liked
_MOST_LIKES, _MOST_PAST = 100, 200


def verdict(event: Event, meanings: Meanings | None = None) -> float | None:
    """Return what an event says of the user and the item; None for nothing.

    A ``rating`` is on the scale from 1 to 5, where 4 and more says liked and 2 and less disliked. Whatever else someone
    does with an item is a sign of interest, but for what only says that it was shown.
    """
    said = (meanings or Meanings()).of(event.event_type)
    if said in (SHOWN, IGNORE):
        return None
    if said == RATING and event.value is not None:
        return LIKED if event.value >= 4 else DISLIKED if event.value <= 2 else NEITHER
    return DISLIKED if said == DISLIKE else LIKED


def interactions(events: Iterable[Event], meanings: Meanings | None = None) -> list[Interaction]:
    """Return events as everyone's counts take them; how often an item was shown to someone doesn't count."""
    meanings = meanings or Meanings()
    told = []
    for event in events:
        said = meanings.of(event.event_type)
        if said == SHOWN:
            told.append(Interaction(event.user, event.item, event.event_type))
        elif said == RATING and event.value is not None:
            by_value = {LIKED: LIKE, DISLIKED: DISLIKE, NEITHER: _NEITHER}[verdict(event, meanings) or DISLIKED]
            told.append(Interaction(event.user, event.item, by_value, None, event.timestamp))
        elif said != IGNORE:
            told.append(Interaction(event.user, event.item, event.event_type, None, event.timestamp))
    return told


def person(
    stated: dict[str, Any] | None,
    did: Sequence[Event],
    besides: Profile | None,
    catalogue: Catalogue,
    *,
    lenient: bool = False,
    meanings: Meanings | None = None,
) -> Profile:
    """Return a stored user as a profile: what they stated, what they did, and what a request says besides.

    Of an item, the last verdict holds. Items that the catalogue no longer has say nothing.

    Args:
        stated: The stored profile; None for none.
        did: What they did, oldest first.
        besides: What the request says of them.
        catalogue: What is ranked.
        lenient: Leave out what they stated that may be an item which is gone: a word that is no id.
        meanings: What types of events say.
    """
    said = Profile(**stated) if stated is not None else Profile()
    besides = besides or Profile()
    meanings, last = meanings or Meanings(), dict[str, tuple[float, bool]]()
    for event in did:
        known = verdict(event, meanings)
        if known is not None and event.item in catalogue:
            last.pop(event.item, None)
            last[event.item] = known, meanings.of(event.event_type) in (LIKE, DISLIKE, RATING)
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
