"""Questions that teach the language model: would this person like it? With what they said, or did, as the answer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coldstart.entities import Profile
from coldstart.errors import CatalogueError
from coldstart.interactions import Interactions
from coldstart.learning.scale import Scale

LEAST = 4
"""Fewer questions than this, or answers that are all the same, are refused."""

HELD_OUT = 0.2
ENOUGH = 40
"""So many questions are held out if that is no more than half."""

MOST_HELD_OUT = 240
"""As soon as so many are held out, those of no further people are: they are read twice more, in seconds."""

TARGETS = 2
"""Of how many of a user's last likes it is asked."""

STATED = 10
"""How many likes and dislikes from before the person is described by, at most of each."""

MOST = 20_000
"""More questions than this aren't made of interactions."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question and its answer.

    Attributes:
        owner: Who answers; all of one's questions are held out together.
        prompt: What the model reads first: instruction and person.
        ending: What it reads then: the item, and the beginning of its own turn.
        row: The item's.
        liked: The answer.
    """

    owner: str
    prompt: str
    ending: str
    row: int
    liked: bool

    @property
    def mark(self) -> str:
        """What it is known by, without its answer."""
        return mark(self.prompt, self.ending)


@dataclass(frozen=True, eq=False, slots=True)
class Told:
    """Who likes an item, or doesn't, before it is put in words."""

    owner: str
    profile: Profile
    row: int
    liked: bool


def mark(prompt: str, ending: str) -> str:
    """Return what a question is known by, without its answer."""
    return _digest(f"{prompt}{ending}")[:12]


def of_interactions(
    interactions: Interactions, ids: Sequence[str], *, profiles: Mapping[str, Profile], seed: int, others: int = 1
) -> Iterator[Told]:
    """Ask of each user's last likes given those before, and of items that they don't like.

    Those are what they dislike, or else items drawn as often as people like them, so that yes doesn't mean popular.

    Args:
        interactions: In any order.
        ids: The catalogue's, by row.
        profiles: Who the users said they are, by id.
        seed: Fixes what is drawn.
        others: How many items they don't like stand beside one that they do.
    """
    row_of = {id_: row for row, id_ in enumerate(ids)}
    rows = np.array([row_of.get(id_, -1) for id_ in interactions.item_ids], np.int64)[interactions.items]
    scale = Scale.of(interactions.values)
    liked = scale.relevant(interactions.values) & (rows >= 0)
    times = np.where(np.isnan(interactions.timestamps), -np.inf, interactions.timestamps)
    counts = np.bincount(rows[liked], minlength=len(ids)).astype(np.float64)
    order = np.lexsort((np.arange(len(rows)), times, interactions.users))
    ends = np.flatnonzero(np.diff(interactions.users[order], append=-1)) + 1
    starts = np.concatenate([[0], ends[:-1]]) if len(ends) else np.empty(0, np.int64)
    per_user = [
        (interactions.user_ids[interactions.users[order[a]]], order[a:b]) for a, b in zip(starts, ends, strict=True)
    ]
    per_user.sort(key=lambda pair: _digest(f"{seed} {pair[0]}"))
    made = 0
    for user, places in per_user:
        if made >= MOST:
            return
        known = places[rows[places] >= 0]
        for told in _of_user(user, known, rows, liked, counts, ids, profiles.get(user), seed, others):
            made += 1
            yield told


def _of_user(
    user: str,
    places: NDArray[np.int64],
    rows: NDArray[np.int64],
    liked: NDArray[np.bool_],
    counts: NDArray[np.float64],
    ids: Sequence[str],
    profile: Profile | None,
    seed: int,
    others: int,
) -> Iterator[Told]:
    rng = np.random.default_rng(int(_digest(f"{seed} questions {user}")[:15], 16))
    likes = list(dict.fromkeys(rows[places[liked[places]]].tolist()))
    dislikes = [row for row in dict.fromkeys(rows[places[~liked[places]]].tolist()) if row not in set(likes)]
    touched = {*likes, *dislikes}
    for back in range(min(TARGETS, len(likes) - 1), 0, -1):
        before, target = likes[:-back], likes[-back]
        if len(dislikes) > back:
            known, asked = dislikes[:-back], [dislikes[-back]]
        else:
            known, asked = dislikes, []
        if len(asked) < others:
            drawn = rng.choice(len(ids), 8 * others, p=(counts + 0.1) / (counts + 0.1).sum())
            fresh = dict.fromkeys(row for row in drawn.tolist() if row not in touched)
            asked += list(fresh)[: others - len(asked)]
        if not asked:
            continue
        person = _person(profile, [ids[row] for row in before[-STATED:]], [ids[row] for row in known[-STATED:]])
        yield Told(user, person, target, True)
        for other in asked:
            yield Told(user, person, other, False)


def _person(profile: Profile | None, likes: Sequence[str], dislikes: Sequence[str]) -> Profile:
    if profile is None:
        return Profile(likes=likes, dislikes=dislikes)
    return Profile(text=profile.text, attributes=profile.attributes, likes=likes, dislikes=dislikes)


def parted(questions: Iterable[Question], *, seed: int) -> tuple[list[Question], list[Question]]:
    """Return questions to learn from, and those of other people, who judge.

    Raises:
        CatalogueError: Fewer than four questions, or answers that are all the same.
    """
    every = sorted(questions, key=lambda one: (_digest(f"{seed} {one.owner}"), one.mark, one.liked))
    if len(every) < LEAST or len({one.liked for one in every}) < 2:
        answers = "answers that are all the same" if len(every) >= LEAST else "too few of them"
        raise CatalogueError(
            f"{len(every)} answered questions, {answers}: the language model needs at least {LEAST}, with yes and no"
            " among them; until then calibrated() learns from what there is"
        )
    wanted = min(max(int(HELD_OUT * len(every)), ENOUGH), len(every) // 2, MOST_HELD_OUT)
    out = {one.owner for one in every[:wanted]}
    taught = [one for one in every if one.owner not in out]
    return taught, [one for one in every if one.owner in out]


def data_hash(questions: Iterable[Question]) -> str:
    """Return the hash of what was asked and answered, in any order."""
    return _digest(repr(sorted((one.owner, one.mark, one.liked) for one in questions)))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
