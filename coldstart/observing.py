"""Observing: what an index's platform has learned starts from words, moves with the index and is kept beside it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from coldstart import memory
from coldstart.catalogue import Catalogue
from coldstart.errors import ProfileError
from coldstart.index import Index
from coldstart.learning.experience import Experience
from coldstart.learning.meanings import Meanings
from coldstart.learning.platform import Platform
from coldstart.learning.weighing import Weighing
from coldstart.tables import shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

AFTERWARDS = 2.0**40
"""A time after all events, in seconds since 1970."""


class Ground:
    """What a platform starts from: an index's items, and how far words alone tell which of them are liked.

    Args:
        index: Whose items.
        words: The appeal prior; None for an index without one. Shape: ``(items,)``.
        weight: The prior's weight in a ranking, >= 0.
    """

    def __init__(self, index: Index, words: NDArray[np.float64] | None, *, weight: float) -> None:
        self._rows = dict(zip(index.catalogue.ids, range(len(index.catalogue)), strict=True))
        self._vectors = index.centred
        self._words = np.full(len(self._rows), np.nan) if words is None else words
        self._expected = min(weight, 1.0)

    def platform(
        self,
        *,
        half_life: float | None,
        arrivals: Mapping[str, float],
        now: float,
        experience: Experience | None = None,
        meanings: Meanings | None = None,
        weighing: Weighing | None = None,
    ) -> Platform:
        """Return a platform that has seen what is told, or nothing yet; see :class:`Platform`."""
        return Platform(
            self._rows,
            self._vectors,
            self._words,
            expected=self._expected,
            half_life=half_life,
            arrivals=arrivals,
            experience=experience,
            meanings=meanings,
            weighing=weighing,
            now=now,
        )

    def carried(self, platform: Platform, before: Catalogue, *, now: float, without: Iterable[str] = ()) -> Platform:
        """Return what a platform of another catalogue learned, for this one; items that are new to it arrive now.

        What some users did is left out.

        The two share no state, so that what one observes or forgets leaves the other.
        """
        out = frozenset(without)
        told: dict[str, Any] = {"expected": self._expected, "now": now}
        if not out and (grown := platform.grown(self._rows, self._vectors, self._words, **told)) is not None:
            return grown
        arrived = dict.fromkeys(self._rows.keys() - set(before.ids), now)
        experience = platform.experience.copied(out)
        arrivals = {**arrived, **platform.arrivals}
        kept: dict[str, Any] = {"half_life": platform.half_life, "arrivals": arrivals, "meanings": platform.meanings}
        kept["weighing"] = None if out else platform.weighing
        return self.platform(now=now, experience=experience, **kept)

    def recalled(self, folder: str | os.PathLike[str], *, now: float) -> Platform | None:
        """Return what :func:`remember` kept in an index's folder; None if nothing was.

        Raises:
            BadIndex: It is damaged.
        """
        found = memory.load(Path(folder))
        if found is None:
            return None
        experience, state = found
        told: dict[str, Any] = {"half_life": state["half_life"], "arrivals": state["arrivals"]}
        told |= {"meanings": Meanings(state.get("meanings")), "weighing": Weighing.of(state.get("weights"))}
        return self.platform(now=now, experience=experience, **told)


def remember(folder: str | os.PathLike[str], platform: Platform | None, *, now: float) -> None:
    """Keep what was learned in an index's folder, in one step; with None, what was kept there goes."""
    if platform is None:
        memory.erase(Path(folder))
    else:
        platform.refresh(now=now)  # so that it ranks as it will when it is loaded
        memory.save(Path(folder), platform.experience, platform.state())


def checked_half_life(days: Any) -> float | None:
    """Return a half-life, or None for none; ProfileError for what is no number of days > 0."""
    if days is not None and not (isinstance(days, (int, float, np.number)) and days > 0):
        raise ProfileError(f"half_life is {days!r}: expected a number of days > 0")
    return None if days is None else float(days)


def checked_arrivals(arrivals: Mapping[str, Any]) -> dict[str, float]:
    """Return when items arrived; ProfileError for what is no time in seconds since 1970."""
    for id_, moment in arrivals.items():
        if not isinstance(moment, (int, float, np.number)) or not np.isfinite(moment):
            raise ProfileError(f"the arrival of {shown(id_)} is {moment!r}: expected seconds since 1970")
    return {id_: float(moment) for id_, moment in arrivals.items()}
