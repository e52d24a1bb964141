"""Pairs of a person and an item, in the numbers that a calibration learns from and answers for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from coldstart.entities import Context, Profile, Value
from coldstart.fusion import standardise
from coldstart.index import Index
from coldstart.learning.calibration import EXPECTED, Asked
from coldstart.learning.likability import Likability, Verdicts, fit, log_ratio
from coldstart.learning.platform import Platform
from coldstart.querying import Reader
from coldstart.ranking import Ranker
from coldstart.refining.questions import mark
from coldstart.scoring import VIEWS, Query
from coldstart.scoring.language import Language

if TYPE_CHECKING:
    from numpy.typing import NDArray

STANDARD = 4000
"""In a larger catalogue this many items, the same ones for everybody, are what an item's standing is told by."""

UNSURE = ("about", "context")
"""Closeness to a description of the person, and of the circumstances, tells nothing of yes or no before answers do.

By it alone, people's answers were ordered worse than by chance, on half of the people each of UCI's coupons (.45 of
their pairs), its restaurants (.48) and MovieLens-100K (.496). What answers tell of such fields, a calibration learns.
"""

_NOBODY = Query(np.empty(0, np.int64), np.empty(0), np.empty(0, np.int64))


def described(
    requests: Sequence[tuple[Profile, Context | None, Sequence[str]]],
    *,
    index: Index,
    reader: Reader,
    ranker: Ranker,
    platform: Platform | None,
    likability: Likability,
    language: Language | None = None,
    taught: Collection[str] = (),
) -> Asked:
    """Return people and the ids of items asked about, one pair for each id, in their order.

    Args:
        requests: Who is asked, in which circumstances, about which items.
        language: Answers each, if it is to.
        taught: Marks of the questions that it learned the answer of: for these it tells nothing new.

    Raises:
        UnknownItem: An id that the catalogue doesn't hold.
    """
    usual = ranker.sample(STANDARD)
    features, rows, people, told = [], [], [], []
    for profile, context, items in requests:
        query, _ = reader.read(profile, context, describe=language is not None)
        wanted = index.catalogue.rows(list(items))
        ratio = log_ratio(len(profile.likes), len(profile.dislikes))
        anyone, them = _standings(ranker, query, platform, wanted, usual)
        said = _said(language, query, wanted, taught)
        features.append(np.column_stack([np.ones(len(wanted)), np.full(len(wanted), ratio), anyone, them, said]))
        rows.append(wanted)
        told += [_said_of(profile, context)] * len(wanted)
        people.append(np.repeat(_person(query, index)[None], len(wanted), 0))
    found = np.concatenate(rows) if rows else np.empty(0, np.int64)
    return Asked(
        np.concatenate(features) if features else np.empty((0, EXPECTED.size)),
        found,
        index.at(found).astype(np.float64),
        np.concatenate(people) if people else np.empty((0, (len(VIEWS) + 1) * index.mean.size)),
        likability.effect[found],
        likability.variance[found],
        tuple(told),
    )


def _said_of(profile: Profile, context: Context | None) -> dict[tuple[str, str], Value]:
    """Return what a person says of themselves and of the circumstances, by field."""
    circumstances = {} if context is None else context.attributes
    parts = (("person", profile.attributes), ("circumstances", circumstances))
    return {(part, name): value for part, fields in parts for name, value in fields.items()}


def _said(
    language: Language | None, query: Query, rows: NDArray[np.int64], taught: Collection[str]
) -> NDArray[np.float64]:
    """Return the language model's part, in nats; 0 where it isn't asked or may not tell. Shape: ``(rows,)``."""
    if language is None or not query.description:
        return np.zeros(len(rows))
    odds = language.score(query, rows)
    if taught:
        prompt, endings = language.asked(query.description, rows.tolist())
        odds = np.where([mark(prompt, ending) in taught for ending in endings], 0.0, odds)
    return odds


def histories(profiles: Iterable[Profile], reader: Reader) -> Verdicts:
    """Return what people say they like and dislike, people of the same likes and dislikes once.

    Raises:
        UnknownItem: An id that the catalogue doesn't hold.
    """
    stated = dict.fromkeys((tuple(profile.likes), tuple(profile.dislikes)) for profile in profiles)
    rows: list[int] = []
    liked: list[bool] = []
    for likes, dislikes in stated:
        for values, verdict in ((likes, True), (dislikes, False)):
            known = reader.items(values)
            rows += known
            liked += [verdict] * len(known)
    return Verdicts(np.array(rows, np.int64), np.array(liked, np.bool_))


def likability(verdicts: Verdicts, *, index: Index, ranker: Ranker, platform: Platform | None) -> Likability:
    """Return what verdicts tell of each item beyond what is expected of it by where it stands with anyone."""
    rows = np.unique(verdicts.rows)
    anyone, _ = _standings(ranker, _NOBODY, platform, rows, ranker.sample(STANDARD))
    standing = anyone[np.searchsorted(rows, verdicts.rows)]
    return fit(verdicts, EXPECTED[2] * standing, index.centred)


def _standings(
    ranker: Ranker, query: Query, platform: Platform | None, rows: NDArray[np.int64], usual: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return where rows stand among the usual ones, in standard deviations: with anyone, and with this person.

    The first counts as far as it is trusted in a ranking. The second leaves out how close the item is to what the
    person says of themselves and of the circumstances (:data:`UNSURE`). Shape of each: ``(rows,)``.
    """
    candidates = np.union1d(usual, rows)
    scores, places = ranker.score(query, candidates, platform), np.searchsorted(candidates, rows)
    name = "collaborative" if "collaborative" in scores.parts else "appeal"
    unsure = (scores.weights[part] * scores.parts[part][1] for part in UNSURE if part in scores.parts)
    rest = scores.fused - sum(unsure, np.zeros(len(candidates)))
    if name not in scores.parts:
        return np.zeros(len(rows)), standardise(rest)[places]
    weight, anyone = scores.weights[name], scores.parts[name][1]
    return min(weight, 1.0) * anyone[places], standardise(rest - weight * anyone)[places]


def _person(query: Query, index: Index) -> NDArray[np.float64]:
    """Return what is known of the person as one vector of at most unit length, a view beside a view."""
    parts = [query.vectors.get(query.texts.get(view, "")) for view in VIEWS]
    liked = index.at(query.liked).mean(0) if len(query.liked) else None
    there = [*parts, liked if liked is None else liked / max(float(np.linalg.norm(liked)), 1e-9)]
    count = max(sum(part is not None for part in there), 1)
    nothing = np.zeros(index.mean.size)
    return np.concatenate([nothing if part is None else part / np.sqrt(count) for part in there]).astype(np.float64)
