"""Simulating: people of the platform as if they had just come, as a ranker's scorers see them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from coldstart.learning import weighing
from coldstart.learning.neighbours import PENALTY, Linear
from coldstart.learning.platform import Platform
from coldstart.learning.weighing import Simulated, Weighing
from coldstart.ranking import Ranker
from coldstart.scoring import Query

PEOPLE = 200
"""How many are simulated for each number of known likes; more tell little more and take longer."""

MOST = 3000
"""Of so many items at most, those that most people like, lists are simulated."""


def weighed(
    ranker: Ranker, platform: Platform, *, people: int = PEOPLE, seed: int = 0, pause: Callable[[], None] | None = None
) -> Weighing:
    """Return the weights that rank best for people of the platform as if they had just come.

    See :mod:`coldstart.learning.weighing`. The platform's own weighing has no part in it.

    Args:
        ranker: Whose weights.
        platform: Whose people.
        people: How many at most, for each number of likes.
        seed: Of the draw of people and of their likes.
        pause: Called after each slice of the work: a person, or a linear model.
    """
    simulated, pause = {}, pause or _go_on
    models = []
    for penalty in weighing.PENALTIES:
        models.append(Linear(platform.likes.table, penalty=penalty))
        pause()
    for likes in weighing.ANCHORS:
        dealt = weighing.deal(platform.likes.table, likes, people=people, seed=seed)
        if len({person for person, _, _ in dealt}) >= weighing.FEWEST:
            simulated[likes] = _simulated(ranker, platform, models, dealt, pause, seed)
    chosen, penalty = weighing.choose(simulated) if simulated else ((), PENALTY)
    trust = platform.demographics.trusted(seed=seed)
    pause()
    return Weighing(chosen, int(platform.likes.table.nnz), penalty, trust, len(platform.experience.said))


def _go_on() -> None:
    pass


def _simulated(
    ranker: Ranker,
    platform: Platform,
    models: Sequence[Linear],
    dealt: weighing.Dealt,
    pause: Callable[[], None],
    seed: int,
) -> Simulated:
    counts = np.asarray(platform.likes.table.sum(0)).ravel()
    rows = np.sort(np.argsort(-counts, kind="stable")[:MOST]).astype(np.int64)
    rng = np.random.default_rng([seed, len(dealt), 20])
    parts, liked, shown, short = [], [], [], []
    for person, known, others in dealt:
        query = Query(liked=known, liked_weights=np.ones(len(known)), disliked=np.empty(0, np.int64))
        lists = _lists(others, np.union1d(known, others), len(ranker.rows), rng)
        whole, *few = ranker.evidence(query, [rows, *lists], platform, models, without=person)
        parts.append(whole)
        short.append(np.array(few, np.float32))
        liked.append(np.isin(rows, others))
        shown.append(np.isin(rows, known))
        pause()
    base, words, neighbours, *linear = (np.array(part, np.float32) for part in zip(*parts, strict=True))
    who = np.array([person for person, _, _ in dealt])
    told = np.array(short) if short[0].size else None
    return Simulated(who, base, neighbours, np.stack(linear), words, np.array(liked), np.array(shown), told)


def _lists(
    liked: NDArray[np.int64], all_liked: NDArray[np.int64], items: int, rng: np.random.Generator
) -> list[NDArray[np.int64]]:
    """Return short lists of rows, each of something liked, which is last, among others; none of a small catalogue.

    Args:
        liked: Rows of what may be last.
        all_liked: Rows of what isn't among the others.
        items: How many the catalogue holds.
        rng: Draws them.
    """
    if items < 2 * weighing.LENGTH + len(all_liked):
        return []
    found = []
    for last in rng.choice(liked, weighing.LISTS).tolist():
        drawn = rng.choice(items, weighing.LENGTH + len(all_liked), replace=False)
        others = drawn[~np.isin(drawn, all_liked)][: weighing.LENGTH - 1]
        found.append(np.append(others, last).astype(np.int64))
    return found
