"""Lists on the executor: fast at first, then refined while there is time, and told in the words of the answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from coldstart.entities import Context, Profile, Recommendation, Recommendations
from coldstart.errors import UnknownItem
from coldstart.service.events import person
from coldstart.service.storage import Event
from coldstart.service.tenant import Tenant

SLICE, LARGER = 4, 10
"""Candidates that the language model reads a slice: by a deadline or beside other requests, and where nobody waits."""

EMPTY = "the catalogue holds no items: send some to POST /v1/items first"

_WORDS = {
    "text": "close to what the request says",
    "facets": "has what the request asks for",
    "about": "fits the fields of the profile",
    "context": "fits the circumstances",
    "liked": "close to what the user likes",
    "taste": "in line with what the user likes and dislikes",
    "following": "often liked after what the user likes",
    "disliked": "further from what the user dislikes than others",
    "unwanted": "has less of what the user doesn't want than others",
    "lexical": "shares words with what the user likes",
    "keywords": "holds words that the request says",
    "appeal": "liked by people at large, as far as the language model has read",
    "collaborative": "liked by others who like the same things",
    "demographic": "liked more by people who said the same of themselves than by others",
    "neighbours": "liked by the people who like the same things",
    "linear": "liked together with what the user likes",
    "borrowed": "like items that such users like",
    "language": "the language model answers that this person would enjoy it",
}


@dataclass(frozen=True)
class Asked:
    """One request for a list.

    Attributes:
        stated: What a stored user stated; None for nobody stored.
        did: What they did, oldest first.
        besides: What the request says of them.
        options: Of :meth:`coldstart.recommender.Recommender.recommending`.
    """

    stated: Mapping[str, Any] | None
    did: Sequence[Event]
    besides: Profile | None
    context: Context | None
    options: Mapping[str, Any]

    def profile(self, tenant: Tenant, *, lenient: bool = False) -> Profile:
        """Return who asks, for the tenant's items as they are."""
        if tenant.recommender is None:
            return Profile()
        stated = None if self.stated is None else dict(self.stated)
        told: dict[str, Any] = {"lenient": lenient, "meanings": tenant.engine.meanings}
        return person(stated, self.did, self.besides, tenant.recommender.catalogue, **told)


class Pace:
    """How long slices of the language model take, so that none begins which would pass a deadline."""

    def __init__(self) -> None:
        self.first, self.others = 0.1, 0.1

    def took(self, seconds: float, *, first: bool, size: int = SLICE) -> None:
        """Learn from one slice; slower ones at once, faster ones by and by.

        Args:
            seconds: It took.
            first: Whether it was that in which the description is read.
            size: Of the others. About half of what :data:`SLICE` take is for reading the weights.
        """
        seconds = seconds if first else seconds * 2 * SLICE / (SLICE + size)
        name = "first" if first else "others"
        known = getattr(self, name)
        setattr(self, name, max(seconds, known + 0.2 * (seconds - known)))


def ranked(
    tenant: Tenant,
    asked: Asked,
    pace: Pace,
    *,
    deadline: float | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Generator[None, None, Recommendations]:
    """Rank in slices on the executor's thread; return the whole list, or the best so far at the deadline.

    Raises:
        UnknownItem: An id that the catalogue doesn't hold.
        ProfileError: A condition that doesn't fit the catalogue.
    """
    recommender = tenant.recommender
    if recommender is None:
        return Recommendations((), degraded=True, fallback_reason=EMPTY)
    found: Recommendations | None = None
    executor = tenant.engine.executor
    size = SLICE if deadline is not None or executor.waiting or executor.running else LARGER
    for lenient in (False, True):
        slices = recommender.recommending(
            asked.profile(tenant, lenient=lenient), context=asked.context, size=size, **asked.options
        )
        try:
            found = next(slices)
            break
        except UnknownItem:
            if lenient or asked.stated is None:
                raise
    assert found is not None  # noqa: S101 - the loop ends with a list or an error
    if not asked.options.get("language"):
        return found
    first = True
    while True:
        if deadline is not None and clock() + (pace.first if first else pace.others) > deadline:
            return _late(found)
        start = clock()
        with tenant.engine.hurrying():
            later = next(slices, None)
        if later is None:
            return found
        pace.took(clock() - start, first=first, size=size)
        found, first = later, False
        yield


def _late(found: Recommendations) -> Recommendations:
    if not found.degraded:
        return found
    return replace(found, fallback_reason=f"the deadline came: {found.fallback_reason}")


def kept(found: Recommendation) -> list[Any]:
    """Return an item as the log of lists keeps it: id, title, score and what each scorer had in it."""
    parts = {name: round(part.contribution, 6) for name, part in found.parts.items() if np.isfinite(part.raw)}
    return [found.id, found.title, round(found.score, 6), {name: value for name, value in parts.items() if value}]


def why(found: Recommendation) -> list[dict[str, Any]]:
    """Return an item's reasons as an answer holds them."""
    return [{"kind": one.kind, "cause": one.cause, "sentence": one.sentence, "fall": one.fall} for one in found.reasons]


def told(entry: Sequence[Any], rank: int, *, explain: bool) -> dict[str, Any]:
    """Return a kept item as an answer holds it. Parts are those that raised its score, the largest first."""
    id_, title, score, parts, *drawn = entry
    raising = sorted(((name, value) for name, value in parts.items() if value > 0), key=lambda pair: -pair[1])
    answer: dict[str, Any] = {
        "id": id_,
        "title": title,
        "rank": rank,
        "score": score,
        "source": raising[0][0] if raising else None,
        "propensity": drawn[0] if drawn else 1.0,
    }
    if explain:
        answer["parts"] = [
            {"scorer": name, "contribution": value, "meaning": _WORDS.get(name, name)} for name, value in raising
        ]
    return answer
