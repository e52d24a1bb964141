"""The first list for a new person: relevant, diverse, partly to explore, on shelves whose titles are true."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from coldstart.entities import Recommendation
from coldstart.errors import DialogueError
from coldstart.onboarding.dialogue import Dialogue
from coldstart.wording import plural, tidy_title

if TYPE_CHECKING:
    from coldstart.onboarding.planner import Onboarding
    from coldstart.ranking import Scores
    from coldstart.scoring import Query

EXPLORED = 0.15
"""The share of a list that explores."""

SHELF = 5
"""Items on a shelf of a reason of its own, at most."""

SHELVES = 3
"""Shelves beside that of the best, the widely liked and the new."""

DIVERSITY = 0.25
"""How much likeness with what is shown already counts against an item, per standard deviation of scores."""

_POOL = 200
_REASONABLE = 0.25  # an item to explore stands in this part of the list, from the top
_HEAT = 1.0


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One suggested item.

    Attributes:
        recommendation: The item, its score and its parts; its rank is that in the whole list.
        source: Why it is on its shelf: "best", "chip", "liked", "popular" or "explored".
        propensity: The probability with which a person of this dialogue is shown it; below 1 if it was drawn.
        exploration: Whether it was drawn to learn whether people like it.
    """

    recommendation: Recommendation
    source: str
    propensity: float
    exploration: bool

    def to_dict(self) -> dict[str, Any]:
        """Return what ``json.dumps`` takes."""
        one = self.recommendation
        return {
            "id": one.id,
            "title": one.title,
            "score": one.score,
            "rank": one.rank,
            "source": self.source,
            "propensity": self.propensity,
            "exploration": self.exploration,
        }


@dataclass(frozen=True, slots=True)
class Shelf:
    """Items that are shown for one reason, which the title says."""

    title: str
    source: str
    items: tuple[Suggestion, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return what ``json.dumps`` takes."""
        return {"title": self.title, "source": self.source, "items": [one.to_dict() for one in self.items]}


@dataclass(frozen=True, slots=True)
class Suggestions:
    """The first list.

    Attributes:
        shelves: Each item is on one of them.
    """

    shelves: tuple[Shelf, ...]

    def __iter__(self) -> Iterator[Suggestion]:
        return (one for shelf in self.shelves for one in shelf.items)

    def __len__(self) -> int:
        return sum(len(shelf.items) for shelf in self.shelves)

    def to_dict(self) -> dict[str, Any]:
        """Return what ``json.dumps`` takes."""
        return {"shelves": [shelf.to_dict() for shelf in self.shelves]}


@dataclass(frozen=True, slots=True)
class _Plan:
    """A shelf before its items are described."""

    title: str
    source: str
    rows: list[int]


def suggested(onboarding: Onboarding, dialogue: Dialogue, query: Query, scores: Scores, *, k: int) -> Suggestions:
    """Put the first list together. See :meth:`coldstart.onboarding.Onboarding.suggestions`."""
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise DialogueError(f"k is {k!r}: expected a whole number >= 1")
    catalogue = onboarding.recommender.catalogue
    shown = np.zeros(len(catalogue), np.bool_)
    shown[query.liked] = shown[query.disliked] = shown[query.examples] = True
    explored = round(EXPLORED * k)
    known = max(k - explored, 1)
    plans = [_Plan(f"{_capital(plural(catalogue.kind))} for you", "best", [])]
    reasons = list(_reasons(onboarding, dialogue, query))[:SHELVES]
    each = min(SHELF, known // (2 * len(reasons))) if reasons else 0
    _fill(onboarding, scores.fused, shown, plans[0], known - each * len(reasons))
    for title, source, among in reasons if each else ():
        plan = _Plan(title, source, [])
        _fill(onboarding, np.where(among, scores.fused, -np.inf), shown, plan, each)
        plans.append(plan)
    drawn, propensities = _explored(onboarding, dialogue, scores.fused, shown, min(explored, k - 1))
    plans.append(_Plan("Something else to try", "explored", drawn))
    shown[drawn] = True
    _fill(onboarding, scores.fused, shown, plans[0], k - sum(len(plan.rows) for plan in plans))  # shelves stayed short
    rank_of = np.empty(len(catalogue), np.int64)
    rank_of[np.argsort(-scores.fused, kind="stable")] = np.arange(1, len(catalogue) + 1)
    shelves = []
    for plan in plans:
        rows = np.array(plan.rows, np.int64)
        found = {one.id: one for one in onboarding.recommender.listed(scores.at(rows), len(rows))} if len(rows) else {}
        items = tuple(
            Suggestion(
                replace(found[catalogue.ids[row]], rank=int(rank_of[row])),
                plan.source,
                propensities.get(row, 1.0) if plan.source == "explored" else 1.0,
                plan.source == "explored",
            )
            for row in plan.rows
        )
        if items:
            shelves.append(Shelf(plan.title, plan.source, items))
    return Suggestions(tuple(shelves))


def _reasons(onboarding: Onboarding, dialogue: Dialogue, query: Query) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    """Yield what shelves could be for, in the order in which the person said it: title, source and which items."""
    size = len(onboarding.recommender.catalogue)
    for facet, value in onboarding.chosen(dialogue):
        among = np.zeros(size, np.bool_)
        among[onboarding.rows_of(facet, value)] = True
        yield f"Because you like {onboarding.phrase(facet, value)}", "chip", among
    vectors = onboarding.recommender.index.centred
    for row in query.liked[query.liked_weights >= 1.0]:
        near = vectors @ vectors[row]
        among = near >= np.partition(near, -min(4 * SHELF, size))[-min(4 * SHELF, size)]
        yield f"Close to {tidy_title(onboarding.recommender.catalogue[int(row)].title)}", "liked", among


def _fill(
    onboarding: Onboarding, scores: NDArray[np.float64], shown: NDArray[np.bool_], plan: _Plan, count: int
) -> None:
    """Put the best on a shelf by maximal marginal relevance (Carbonell and Goldstein, 1998), and mark them as shown."""
    left = np.where(shown, -np.inf, scores)
    pool = np.argsort(-left, kind="stable")[:_POOL]
    pool = pool[np.isfinite(left[pool])]
    if not len(pool):
        return
    vectors = onboarding.recommender.index.centred[pool].astype(np.float64)
    spread = float(scores[np.isfinite(scores)].std())
    worth, nearest = left[pool].copy(), np.zeros(len(pool))
    for _ in range(min(count, len(pool))):
        best = int((worth - DIVERSITY * spread * nearest).argmax())
        plan.rows.append(int(pool[best]))
        shown[pool[best]] = True
        worth[best] = -np.inf
        nearest = np.maximum(nearest, vectors @ vectors[best])


def _explored(
    onboarding: Onboarding, dialogue: Dialogue, scores: NDArray[np.float64], shown: NDArray[np.bool_], count: int
) -> tuple[list[int], dict[int, float]]:
    """Draw items whose appeal is uncertain, and the probability that each had to be drawn.

    Among what stands in the upper quarter of the list, an item's weight grows with its score and with how uncertain its
    popularity is, in units of itself. Systematic sampling (Madow, 1949) draws each with exactly its own probability.
    """
    order = np.argsort(-np.where(shown, -np.inf, scores), kind="stable")
    order = order[: max(int(_REASONABLE * len(order)), count)]
    pool = order[~shown[order]]
    count = min(count, len(pool))
    if count < 1:
        return [], {}
    doubt = onboarding.doubt()[pool]
    spread = max(float(scores.std()), 1e-9)
    appeal = (scores[pool] - scores[pool].max()) / spread / _HEAT
    weight = np.exp(appeal) * doubt
    chances = _inclusion(weight, count)
    said = json.dumps([onboarding.seed, dialogue.to_dict()], sort_keys=True, default=str)
    rng = np.random.default_rng(int(hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:16], 16))
    mixed = rng.permutation(len(pool))
    marks = np.arange(count) + rng.random()
    places = mixed[np.searchsorted(np.cumsum(chances[mixed]), marks * (1.0 - 1e-12))]
    chosen = sorted(dict.fromkeys(places.tolist()), key=lambda place: -scores[pool[place]])
    return [int(pool[place]) for place in chosen], {int(pool[place]): float(chances[place]) for place in chosen}


def _inclusion(weight: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Return probabilities that sum to ``count``, in proportion to weights but at most 1. Shape: ``(items,)``."""
    chances = np.zeros(len(weight))
    sure = np.zeros(len(weight), np.bool_)
    while True:
        left = count - int(sure.sum())
        rest = weight[~sure]
        total = rest.sum()
        chances[~sure] = left * rest / total if total > 0 else left / max(len(rest), 1)
        chances[sure] = 1.0
        over = (chances > 1.0) & ~sure
        if not over.any():
            return chances
        sure |= over


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
