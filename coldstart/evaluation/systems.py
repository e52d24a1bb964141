"""What is compared: a name and a function from cases to scores; a recommender, and baselines that need nothing.

To add one, write a function ``(Cases) -> scores``, one array a case in their order, and wrap it in a
:class:`System`; ``BASELINES`` lists those that every run shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from coldstart.catalogue import Catalogue, Interactions
from coldstart.entities import Profile
from coldstart.evaluation.cases import Cases
from coldstart.observing import AFTERWARDS

Scores = NDArray[np.floating]
"""One score per candidate of a case, NaN where the system abstains. Shape: ``(candidates,)``."""


class Ranker(Protocol):
    """What an engine must offer to be evaluated."""

    def score(self, profile: Profile, rows: NDArray[np.int64] | None) -> Scores:
        """Return a score for each of these catalogue rows, or for the whole catalogue (None), in their order."""
        ...


@dataclass(frozen=True, slots=True)
class System:
    """Something that scores cases.

    Attributes:
        name: What the report calls it.
        scores: One array per case, in their order; None for a user the system has no answer for, who then
            counts as zero. It may look at all cases first (to batch them, to learn from ``cases.training``),
            but not at what is relevant.
        baseline: Whether the others are tested against it.
        counts: Whether it reads ``cases.counts``, and so is an oracle where they are.
    """

    name: str
    scores: Callable[[Cases], Iterable[Scores | None]]
    baseline: bool = False
    counts: bool = False


def engine(recommender: Ranker, *, name: str = "coldstart") -> System:
    """Return a recommender as a system; give variants of one, such as without a scorer, names of their own."""

    def scores(cases: Cases) -> Iterator[Scores]:
        for case in cases:
            yield recommender.score(case.profile, case.candidates)

    return System(name, scores)


class Learner(Ranker, Protocol):
    """What an engine must offer to be evaluated as it learns."""

    @property
    def catalogue(self) -> Catalogue:
        """What it ranks."""
        ...

    def unlearned(self) -> Learner:
        """Return the same engine before it observed anything."""
        ...

    def observe(
        self,
        interactions: Interactions,
        *,
        arrivals: Mapping[str, float] | None = None,
        profiles: Mapping[str, Profile] | None = None,
        now: float | None = None,
    ) -> object:
        """Learn from interactions; items that arrive after them aren't taken for disliked."""
        ...

    def weigh(self) -> object:
        """Choose the weights of what was observed by what was observed."""
        ...


def observing(learner: Learner, *, name: str = "coldstart observed") -> System:
    """Return an engine as a system that first observes what may be learned from."""

    def scores(cases: Cases) -> Iterator[Scores]:
        ready = learner.unlearned()
        names = learner.catalogue.ids
        arrivals = {names[row]: AFTERWARDS for row in cases.new}
        ready.observe(cases.training, arrivals=arrivals, profiles=cases.profiles, now=AFTERWARDS)
        ready.weigh()
        for case in cases:
            yield ready.score(case.profile, case.candidates)

    return System(name, scores)


def _random(cases: Cases) -> Iterator[Scores]:
    """All alike, so that the ranking is the seeded draw that breaks ties."""
    for case in cases:
        yield np.zeros(len(cases.catalogue) if case.candidates is None else case.candidates.size)


def _popularity(cases: Cases) -> Iterator[Scores]:
    counts = cases.counts.astype(np.float64)
    for case in cases:
        yield counts if case.candidates is None else counts[case.candidates]


RANDOM = System("random", _random, baseline=True)
POPULARITY = System("popularity", _popularity, baseline=True, counts=True)
BASELINES = (RANDOM, POPULARITY)
