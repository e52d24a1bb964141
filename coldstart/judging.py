"""Judging: people who were held out say which adapter is the best, how much it should count, and whether it helps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from coldstart.errors import CatalogueError
from coldstart.learning.platform import Platform
from coldstart.ranking import FEW, Ranker
from coldstart.refining import balance, gate
from coldstart.refining.balance import Balance, Shares
from coldstart.refining.examples import PARTED_FROM, Lesson, User
from coldstart.refining.gate import Verdict, parted
from coldstart.refining.lora import Adapter
from coldstart.scoring import Query
from coldstart.scoring.following import NEAR

WHOLE = Balance(unmet=Shares(1.0, 1.0, 1.0), unmet_beside=Shares(1.0, 1.0, 1.0))
"""With this balance all that an adapter weighs counts fully for items that it never learned of."""

_Recommender = TypeVar("_Recommender", bound=Any)


def judged(
    present: _Recommender,
    tried: Sequence[Adapter],
    lesson: Lesson,
    *,
    adapted: Callable[[Adapter], _Recommender],
    observing: Callable[[_Recommender], _Recommender],
    seed: int,
) -> tuple[_Recommender, Verdict]:
    """Return the best of some adapters in use, with its weights, and how that compares with what there is.

    Every other one who is held out chooses, and those between judge. If they are few, the first adapter is judged, with
    the weights there are.

    Args:
        present: What ranks now, and knows nothing of those held out.
        tried: At least one.
        lesson: What was learned, by whom it isn't judged, and by whom it is.
        adapted: From an adapter to what ranks with it; twice the same costs little.
        observing: From what ranks to the same once it has observed what was learned from.
        seed: Of the test.
    """
    ids = present.catalogue.ids
    observed = present.platform is not None and present.platform.likes.events > 0
    choosing, judging = lesson.choosing, lesson.judging
    if len(lesson.judges) < PARTED_FROM:
        refined = adapted(tried[0])
        qualities = (gate.quality(one, judging, ids) for one in (present, refined))
        return refined, gate.compared(*qualities, seed=seed)
    found = []
    for adapter in tried:
        refined = adapted(adapter)
        alone, quality = balanced(refined.ranker, None, choosing)
        beside = None
        if observed:
            beside, quality = balanced(refined.ranker, refined.platform, choosing)
        found.append((quality, adapter, Balance(alone, beside)))
    _, adapter, weights = max(found, key=lambda one: one[0])
    refined = adapted(adapter.balanced(weights))
    if not observed:
        full = observing(refined)
        beside, _ = balanced(adapted(adapter).ranker, full.platform, choosing)
        other = adapted(adapter.balanced(Balance(weights.alone, beside)))
        if gate.quality(observing(other), judging, ids).mean() > gate.quality(full, judging, ids).mean():
            refined = other
    qualities = (gate.quality(one, judging, ids) for one in (present, refined))
    return refined, gate.compared(*qualities, seed=seed)


def quality(refined: Any, lesson: Lesson) -> float:
    """Return the quality of lists for those who choose, with the weights that they choose.

    Raises:
        CatalogueError: They are the same people who judge: too few are held out.
    """
    if len(lesson.judges) < PARTED_FROM:
        raise CatalogueError(
            f"{len(lesson.judges)} people are held out, who would choose settings and judge them as well: a search "
            f"needs {PARTED_FROM}, of twice as many with two likes or more; refine without one"
        )
    observed = refined.platform is not None and refined.platform.likes.events > 0
    return balanced(refined.ranker, refined.platform if observed else None, lesson.choosing)[1]


def balanced(ranker: Ranker, platform: Platform | None, people: Sequence[User]) -> tuple[Shares, float]:
    """Return how much what an adapter learned should count, and the quality of lists with that.

    See :mod:`coldstart.refining.balance`.

    Args:
        ranker: With the adapter, which carries no weights yet.
        platform: What was observed, and nothing of these people; None for nothing.
        people: Who had no part in training.
    """
    grid = balance.ALONE if platform is None else balance.BESIDE
    if ranker.follows is None or ranker.follows.matrix is None:
        grid = tuple(one for one in grid if one[0] == 0.0)
    found = []
    for person in people:
        stated, later = parted(person)
        query = Query(
            liked=np.array(stated, np.int64),
            liked_weights=np.ones(len(stated)),
            disliked=np.empty(0, np.int64),
            past=len(stated),
        )
        parts = _parts(ranker, platform, query)
        found.append(balance.qualities(parts, person.likes[: -len(later)], later, np.array(grid)))
    quality = np.array(found)
    shares = balance.chosen(quality, grid, grid.index((0.0, 1.0, 1.0)))
    near = int(np.argmin([sum((np.array(one) - (shares.following, shares.near, shares.lexical)) ** 2) for one in grid]))
    return shares, float(quality[:, near].mean())


def unmet(
    ranker: Ranker, platform: Platform | None, people: Sequence[User], rows: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the quality of lists of items that an adapter never learned of, by how much it counts there.

    Args:
        ranker: With such an adapter, and with :data:`WHOLE` as its balance.
        platform: What was observed: nothing of these people, and nothing of these items; None for nothing at all.
        people: Who had no part in training, with all that they like; of some others there is nothing to ask.
        rows: Those items. Shape: ``(rows,)``.

    Returns:
        NDCG at ten and over the whole list. Shape: ``(people, grid, 2)``.
    """
    found: list[NDArray[np.floating]] = [np.empty((0, len(balance.UNMET), 2))]
    new = set(rows.tolist())
    for person in people:
        stated = [row for row in person.likes if row not in new][-gate.STATED :]
        later = np.flatnonzero(np.isin(rows, person.likes)).tolist()
        if not stated or not later:
            continue
        liked = np.array(stated, np.int64)
        query = Query(liked=liked, liked_weights=np.ones(len(liked)), disliked=np.empty(0, np.int64), past=len(liked))
        fused, weighed = ranker.unmet(query, rows, platform)
        parts = _apart(fused, weighed, weighed.get("following", np.zeros(len(rows))))
        found.append(balance.qualities(parts, (), later, np.array(balance.UNMET))[None])
    return np.concatenate(found)


def of_unmet(found: Sequence[NDArray[np.float64]]) -> Shares:
    """Return how much an adapter should count for items that it never learned of.

    Args:
        found: What :func:`unmet` gives, for some adapters.
    """
    quality = np.concatenate([np.empty((0, len(balance.UNMET), 2)), *found])
    if len(quality) < gate.FEWEST:
        return Shares()
    return balance.chosen(quality, balance.UNMET, balance.UNMET.index((0.0, 1.0, 1.0)))


def _apart(
    fused: NDArray[np.float64], weighed: Mapping[str, NDArray[np.float64]], following: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return what counts in any case, and what is weighed: following, closeness, shared words. Shape: ``(4, items)``.

    Args:
        fused: With all of that. Shape: ``(items,)``.
        weighed: The part of each scorer in it. Shape of each: ``(items,)``.
        following: What a weight of one for what follows what adds. Shape: ``(items,)``.
    """
    nothing = np.zeros(len(fused))
    near = sum((weighed.get(name, nothing) for name in NEAR), nothing)
    lexical = weighed.get("lexical", nothing)
    return np.stack([fused - near - lexical - weighed.get("following", nothing), following, near, lexical])


def _parts(ranker: Ranker, platform: Platform | None, query: Query) -> NDArray[np.float64]:
    """Return what counts in any case, and what is weighed, for the whole catalogue. Shape: ``(4, items)``."""
    count = len(query.liked)
    scores = ranker.score(query, ranker.rows, platform)
    weighed = {name: scores.weights[name] * part for name, (_, part) in scores.parts.items()}
    unit = count / (count + FEW) if platform is None else scores.weights["collaborative"]
    following = scores.parts["following"][1] if "following" in scores.parts else np.zeros(len(scores.rows))
    return _apart(scores.fused, weighed, unit * following)
