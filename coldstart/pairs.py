"""Pairs of a person and an item, in the numbers that a calibration learns from and answers for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from coldstart.entities import Context, Profile
from coldstart.fusion import standardise
from coldstart.index import Index
from coldstart.learning.calibration import EXPECTED, Asked
from coldstart.learning.platform import Platform
from coldstart.querying import Reader
from coldstart.ranking import Ranker
from coldstart.scoring import VIEWS, Query

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from coldstart.ranking import Scores


def described(
    requests: Sequence[tuple[Profile, Context | None, Sequence[str]]],
    *,
    index: Index,
    reader: Reader,
    ranker: Ranker,
    platform: Platform | None,
) -> Asked:
    """Return people and the ids of items asked about, one pair for each id, in their order.

    Raises:
        UnknownItem: An id that the catalogue doesn't hold.
    """
    everything = np.arange(len(index.catalogue))
    features, rows, people = [], [], []
    for profile, context, items in requests:
        query, _ = reader.read(profile, context, describe=False)
        wanted = index.catalogue.rows(list(items))
        ratio = np.log((len(profile.likes) + 1.0) / (len(profile.dislikes) + 1.0))
        anyone, them = _standings(ranker.score(query, everything, platform), wanted)
        features.append(np.column_stack([np.ones(len(wanted)), np.full(len(wanted), ratio), anyone, them]))
        rows.append(wanted)
        people.append(np.repeat(_person(query, index)[None], len(wanted), 0))
    found = np.concatenate(rows) if rows else np.empty(0, np.int64)
    return Asked(
        np.concatenate(features) if features else np.empty((0, EXPECTED.size)),
        found,
        index.centred[found].astype(np.float64),
        np.concatenate(people) if people else np.empty((0, (len(VIEWS) + 1) * index.mean.size)),
    )


def _standings(scores: Scores, rows: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return where rows stand in the catalogue, in standard deviations: with anyone, and with this person.

    The first counts as far as it is trusted in a ranking. Shape of each: ``(rows,)``.

    Args:
        scores: Of the whole catalogue, in its order.
        rows: Which to tell of.
    """
    name = "collaborative" if "collaborative" in scores.parts else "appeal"
    if name not in scores.parts:
        return np.zeros(len(rows)), standardise(scores.fused)[rows]
    weight, anyone = scores.weights[name], scores.parts[name][1]
    return min(weight, 1.0) * anyone[rows], standardise(scores.fused - weight * anyone)[rows]


def _person(query: Query, index: Index) -> NDArray[np.float64]:
    """Return what is known of the person as one vector of at most unit length, a view beside a view."""
    parts = [query.vectors.get(query.texts.get(view, "")) for view in VIEWS]
    liked = index.centred[query.liked].mean(0) if len(query.liked) else None
    there = [*parts, liked if liked is None else liked / max(float(np.linalg.norm(liked)), 1e-9)]
    count = max(sum(part is not None for part in there), 1)
    nothing = np.zeros(index.mean.size)
    return np.concatenate([nothing if part is None else part / np.sqrt(count) for part in there]).astype(np.float64)
