"""The gate: an adapter is let through only if people whom it never saw are ranked better with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from coldstart.entities import Profile
from coldstart.refining.examples import User

Floats = NDArray[np.float64]

STATED = 5
"""How many likes a judge states at most; what they liked later is what they should be shown."""

DEPTH = 10
SURE = 0.05
"""The largest p-value at which the refined ranking counts as better."""

FEWEST = 8
"""With fewer judges nothing can be told."""

_FLIPS = 4000
_COUNTED = {"NDCG@10": "people", "AUC": "questions", "GAUC": "people's questions"}


class Ranking(Protocol):
    """What is judged."""

    def score(self, profile: Profile, /) -> Floats:
        """Return the whole catalogue's scores for a person. Shape: ``(items,)``."""
        ...


@dataclass(frozen=True, slots=True)
class Verdict:
    """How two rankings compare.

    Attributes:
        judges: How many people were asked.
        present: Mean NDCG@10 of the ranking there is.
        refined: Of the refined one.
        p: The chance of so large a gain if the two were equal (one-sided permutation test of the paired differences).
        measure: What the means are of.
    """

    judges: int
    present: float
    refined: float
    p: float
    measure: str = "NDCG@10"

    @property
    def better(self) -> bool:
        """Whether the refined ranking is let through."""
        return self.judges >= FEWEST and self.refined > self.present and self.p <= SURE

    def told(self) -> dict[str, float]:
        """Return what a manifest says of it."""
        name = self.measure.lower()
        return {f"present_{name}": self.present, f"refined_{name}": self.refined, "p": self.p}

    def __str__(self) -> str:
        if self.judges < FEWEST:
            return f"{self.judges} people were held out, and fewer than {FEWEST} can't tell"
        gain = self.refined - self.present
        return (
            f"{self.measure} {self.present:.3f} -> {self.refined:.3f} ({gain:+.3f}, p = {self.p:.3f}) for {self.judges}"
            f" {_COUNTED[self.measure]} held out"
        )


def unasked(judges: Sequence[User]) -> Verdict:
    """Return the verdict of people who weren't asked: they are too few, or there is nothing to judge."""
    return Verdict(len(judges), 0.0, 0.0, 1.0)


def parted(judge: User) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return what a judge states, oldest first, and what they liked later."""
    middle = max(1, len(judge.likes) // 2)
    return judge.likes[max(0, middle - STATED) : middle], judge.likes[middle:]


def quality(ranking: Ranking, judges: Sequence[User], ids: Sequence[str]) -> Floats:
    """Return each judge's NDCG@10: they state some likes, and their later ones are relevant. Shape: ``(judges,)``.

    Args:
        ranking: Of the whole catalogue.
        judges: With two likes or more each.
        ids: The catalogue's, by row.
    """
    discounts = 1.0 / np.log2(np.arange(DEPTH) + 2.0)
    found = np.zeros(len(judges))
    for place, judge in enumerate(judges):
        stated, later = parted(judge)
        scores = np.array(ranking.score(Profile(history=[ids[row] for row in stated])))
        scores[list(judge.likes[: -len(later)])] = -np.inf
        order = np.argsort(-scores, kind="stable")[:DEPTH]
        gains = np.isin(order, later)
        found[place] = (gains * discounts[: len(order)]).sum() / discounts[: min(len(later), DEPTH)].sum()
    return found


def compared(present: Floats, refined: Floats, *, seed: int, measure: str = "NDCG@10") -> Verdict:
    """Return how two rankings compare, judge by judge."""
    differences = refined - present
    rng = np.random.default_rng([seed, 5])
    signs = rng.choice(np.array([-1.0, 1.0]), (_FLIPS, len(differences)))
    as_large = (signs @ differences >= differences.sum() - 1e-12).sum()
    p = (1.0 + float(as_large)) / (1.0 + _FLIPS)
    return Verdict(len(differences), float(present.mean()), float(refined.mean()), p, measure)
