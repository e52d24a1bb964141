"""Elicitation: what questions to a new user are worth, one by one, answered truthfully by people who really came.

A fifth of the users is new, as in new-user. What each of them touched is parted in two at random: one half is what they
can tell of, and of the other, what they liked is to be found. Everything is ranked but the first half, whatever was
asked, so that all strategies and any number of questions are measured on the same lists of the same items: nobody gains
by asking away what is easy to find, and nothing that was answered is among what is right.

An item is liked, disliked or unknown as it is in the first half. A chip is chosen if it is on a larger share of what
the user liked there than of what all the others like, each like counted. Strategies differ in what they ask; the
answers are made into a list in one way for all. One fifth after the other can be new, in folds, so that everyone is
asked once, each by what the others taught.

Where the platform's interactions are known, weights and what sign-up fields tell are chosen by them first, as a service
does and as in the other protocols.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from coldstart.catalogue import Interactions
from coldstart.entities import Profile
from coldstart.errors import EvaluationError
from coldstart.evaluation.cases import Events
from coldstart.evaluation.comparisons import (
    Comparison,
    adjusted,
    counted,
    doubts,
    in_words,
    paragraph,
    plain,
    table_of,
    value_of,
)
from coldstart.evaluation.datasets import Dataset
from coldstart.evaluation.metrics import ndcg, rank
from coldstart.evaluation.plans import ENOUGH, NEW_USERS
from coldstart.evaluation.significance import Interval, bootstrap_intervals, comparisons
from coldstart.evaluation.splits import digest, generator, hold_out, sample
from coldstart.onboarding.asking import Drawn, Entropy, ExpectedGain, Policy, Popular
from coldstart.onboarding.dialogue import Asked, Dialogue, Kind
from coldstart.onboarding.planner import Onboarding

if TYPE_CHECKING:
    from coldstart.recommender import Recommender

ELICITATION = "elicitation"
"""The protocol's name."""

QUESTIONS = 5
DEPTH = 10
NOTHING = "no question"
"""What strategies are compared with beside each other: the list before any."""

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Strategy:
    """What to ask.

    Attributes:
        kinds: Of questions.
        policy: From a person's seed to what decides between them.
    """

    name: str
    kinds: tuple[Kind, ...]
    policy: Callable[[int], Policy]


ANY_KIND = ("random, any kind", "entropy, any kind")
"""Ablations: they ask what ours asks, chips included, and choose by other means."""

STRATEGIES = (
    Strategy("coldstart", ("chips", "items"), lambda _: ExpectedGain()),
    Strategy("popular", ("items",), lambda _: Popular()),
    Strategy("entropy", ("items",), lambda _: Entropy()),
    Strategy("random", ("items",), Drawn),
    Strategy(ANY_KIND[0], ("chips", "items"), Drawn),
    Strategy(ANY_KIND[1], ("chips", "items"), lambda _: Entropy()),
)
"""Several options at once, the same number for all.

What is usual is to ask about items (Rashid et al., IUI 2002): the next most popular, those whose answers are the most
uncertain by what is believed of the person so far, or random ones. All three choose among the items that ours chooses
among, a catalogue's best known: random ones of a whole catalogue hardly anybody knows."""

SINGLE = (
    Strategy("coldstart", ("chip", "item"), lambda _: ExpectedGain()),
    Strategy("popular", ("item",), lambda _: Popular()),
    Strategy("entropy", ("item",), lambda _: Entropy()),
    Strategy("random", ("item",), Drawn),
    Strategy(ANY_KIND[0], ("chip", "item"), Drawn),
    Strategy(ANY_KIND[1], ("chip", "item"), lambda _: Entropy()),
)
"""One thing at a time."""


@dataclass(frozen=True, eq=False, slots=True)
class Person:
    """A new user who answers truthfully.

    Attributes:
        liked: Rows they can tell of. Shape: ``(liked,)``.
        disliked: The same.
        relevant: Rows to be found. Shape: ``(relevant,)``.
        ranked: Rows that are ranked. Shape: ``(ranked,)``.
    """

    user: str
    profile: Profile
    liked: Rows
    disliked: Rows
    relevant: Rows
    ranked: Rows


@dataclass(frozen=True, eq=False)
class People:
    """Who is asked, and what the others did.

    Attributes:
        everyone: Likes of the others per item, by which a chip is common or not. Shape: ``(items,)``.
        training: What a platform may have seen.
        eligible: How many there are before any were drawn.
    """

    people: tuple[Person, ...]
    everyone: Floats
    training: Interactions
    eligible: int

    @cached_property
    def hash(self) -> str:
        """A content hash of who is asked and what is right."""
        return digest(
            text
            for one in self.people
            for text in (one.user, *(",".join(map(str, rows.tolist())) for rows in (one.liked, one.relevant)))
        )


def newcomers(events: Events, *, seed: int, fold: int = 0) -> tuple[str, ...]:
    """Return who is new in a fold, sorted as text."""
    users = (events.user_ids[place] for place in np.unique(events.users))
    return hold_out(users, share=NEW_USERS, seed=seed, fold=fold).held


def people_of(
    dataset: Dataset, *, max_users: int | None = None, seed: int = 0, fold: int = 0, but: Collection[str] = ()
) -> People:
    """Return the new users of a data set, with what they can tell of and what is to be found.

    Args:
        dataset: Whose users.
        max_users: Return this many, drawn with the seed; all if None.
        seed: Fixes who is new and what they can tell of.
        fold: Which fifth is new.
        but: Users who are new but not returned.

    Raises:
        EvaluationError: Too few users liked enough.
    """
    catalogue, events = dataset.catalogue, Events.of(dataset.interactions, dataset.catalogue)
    held = newcomers(events, seed=seed, fold=fold)
    is_new = np.isin(events.users, np.flatnonzero(np.isin(events.user_ids, held)))
    learnt = np.zeros(len(dataset.interactions), dtype=np.bool_)
    learnt[events.source[~is_new]] = True
    by_id = np.empty(len(catalogue), np.int64)
    by_id[catalogue.rows(sorted(catalogue.ids))] = np.arange(len(catalogue))

    def person(user: str) -> Person:
        mine = events.by(user)
        touched = np.unique(events.rows[mine])
        drawn = generator(seed, "told", user).permutation(touched[np.argsort(by_id[touched])])
        told = drawn[: len(drawn) // 2]
        liked = np.unique(events.rows[mine[events.relevant[mine]]])
        disliked = np.setdiff1d(events.rows[mine[events.disliked[mine]]], liked)
        ranked = np.setdiff1d(np.arange(len(catalogue)), told)
        return Person(
            user,
            dataset.signed_up(user),
            np.intersect1d(liked, told),
            np.intersect1d(disliked, told),
            np.setdiff1d(liked, told),
            ranked,
        )

    pairs = np.unique(np.column_stack([events.users, events.rows])[events.relevant & is_new], axis=0)
    many = np.bincount(pairs[:, 0], minlength=len(events.user_ids)) >= ENOUGH
    eligible = [id_ for place in np.flatnonzero(many) if (id_ := events.user_ids[place]) not in but]
    if not eligible:
        raise EvaluationError(
            f"{ELICITATION} finds no users in {dataset.name}: it takes new users who liked {ENOUGH} items or more; "
            "give more interactions, or set what is relevant"
        )
    drawn = [person(user) for user in sample(eligible, max_users, seed=seed)]
    others = events.counts(len(catalogue), events.relevant & ~is_new).astype(np.float64)
    kept = tuple(one for one in drawn if len(one.relevant) and len(one.liked))
    return People(kept, others, dataset.interactions.take(learnt), len(eligible))


def truth(onboarding: Onboarding, person: Person, question_id: str, everyone: Floats) -> Any:
    """Return a person's truthful answer to a question; see the module."""
    asked = Asked.parse(question_id)
    if asked.kind == "text":
        return None
    if asked.attribute:
        chosen = [name for name in asked.about if _carries(onboarding.rows_of(asked.attribute, name), person, everyone)]
        return chosen if asked.kind == "chips" else ("yes" if chosen else "no")
    row = onboarding.recommender.catalogue.row
    liked = [name for name in asked.about if row(name) in person.liked]
    if asked.kind == "items":
        return liked
    if asked.kind == "pair":
        return liked[0] if len(liked) == 1 else "both" if liked else "neither"
    return "like" if liked else "dislike" if row(asked.about[0]) in person.disliked else "unknown"


def _carries(rows: Rows, person: Person, everyone: Floats) -> bool:
    usual = everyone[rows].sum() / max(everyone.sum(), 1.0)
    return bool(np.isin(person.liked, rows).mean() > usual)


@dataclass(frozen=True, eq=False)
class Elicited:
    """What came of it.

    Attributes:
        data: The data set's name.
        folds: Who was asked, in turn.
        values: Strategy to NDCG@10 of each person after 0, 1, ... questions. Shape: ``(people, questions + 1)``.
        asked: Strategy to how many questions of each kind it asked.
        milliseconds: Strategy to how long each question took to choose.
        observed: Whether the platform's interactions were learned from.
        seed: What was drawn with.
    """

    data: str
    folds: tuple[People, ...]
    values: Mapping[str, Floats]
    asked: Mapping[str, Mapping[str, int]]
    milliseconds: Mapping[str, Floats]
    observed: bool
    seed: int

    @property
    def users(self) -> int:
        """How many were asked."""
        return sum(len(each.people) for each in self.folds)

    @property
    def questions(self) -> int:
        """How many were asked at most."""
        return int(next(iter(self.values.values())).shape[1]) - 1

    @cached_property
    def intervals(self) -> Mapping[str, tuple[Interval, ...]]:
        """Strategy to the mean after each number of questions, with a 95 % bootstrap interval."""
        return {name: bootstrap_intervals(table, seed=self.seed) for name, table in self.values.items()}

    @cached_property
    def comparisons(self) -> tuple[Comparison, ...]:
        """The first strategy against each other and against no question, after each number of questions."""
        ours, *others = self.values
        found: list[Comparison] = []
        for after in range(1, self.questions + 1):
            rivals = {NOTHING: self.values[ours][:, 0], **{name: self.values[name][:, after] for name in others}}
            table = np.column_stack([self.values[ours][:, after] - values for values in rivals.values()])
            differences = comparisons(table, seed=self.seed)
            found += [
                Comparison(ours, name, f"ndcg@{DEPTH} after {after}", difference)
                for name, difference in zip(rivals, differences, strict=True)
            ]
        return adjusted(found)

    @property
    def summary(self) -> str:
        """What it says in words, after the last question."""
        last = f"ndcg@{DEPTH} after {self.questions}"
        found = [c for c in self.comparisons if c.measure == last]
        told = counted(self.users, "user")
        start = "knowing what others did" if self.observed else "with no interactions at all"
        words = [in_words(c, does="ranks", asked=told, tests=len(found)) for c in found]
        return paragraph(
            [
                f"{start}, after {self.questions} questions {words[0]}",
                *words[1:],
                *doubts(self.users, "user"),
            ]
        )

    def to_json(self) -> dict[str, Any]:
        """Return what ``json.dumps`` takes."""
        return {
            "protocol": f"{ELICITATION}({self.questions})",
            "data": self.data,
            "seed": self.seed,
            "observed": self.observed,
            "folds": len(self.folds),
            "users": self.users,
            "eligible_users": sum(each.eligible for each in self.folds),
            "systems": {name: [plain(one) for one in found] for name, found in self.intervals.items()},
            "asked": {name: dict(kinds) for name, kinds in self.asked.items()},
            "milliseconds": {
                name: {"p50": round(float(np.median(times)), 1), "p95": round(float(np.quantile(times, 0.95)), 1)}
                for name, times in self.milliseconds.items()
                if times.size
            },
            "differences": [c.to_json() for c in self.comparisons],
            "summary": self.summary,
            "split": digest(each.hash for each in self.folds) if len(self.folds) > 1 else self.folds[0].hash,
        }

    def table(self) -> list[list[str]]:
        """Return the header and a row a strategy, as text: NDCG@10 after each number of questions."""
        rows = [["asking", *map(str, range(self.questions + 1))]]
        last = self.questions
        for name, found in self.intervals.items():
            rows.append([name, *(value_of(one, whole=place == last) for place, one in enumerate(found))])
        return rows

    def comparison_table(self, after: int | None = None) -> list[list[str]]:
        """Return the header and a row a paired test, as text."""
        return table_of(self.comparisons, f"ndcg@{DEPTH} after {after or self.questions}")


def elicit(
    dataset: Dataset,
    recommender: Recommender,
    *,
    questions: int = QUESTIONS,
    observed: bool = True,
    strategies: Sequence[Strategy] = STRATEGIES,
    max_users: int | None = None,
    seed: int = 0,
    folds: int = 1,
    but: Collection[str] = (),
    progress: Callable[[str, int, int], None] | None = None,
) -> Elicited:
    """Ask new users by each strategy, and rank for them after each answer.

    Args:
        dataset: Whose users.
        recommender: On the data set's catalogue; what it observed before isn't used.
        questions: How many are asked at most; a strategy may stop before.
        observed: Whether it learns first from what the other users did.
        strategies: What to compare; the first is tested against the others.
        max_users: Ask this many, drawn with the seed, the same number in each fold; all if None.
        seed: Fixes who is new, what they can tell of, and what is drawn.
        folds: How many fifths of the users are new, one after the other.
        but: Users who aren't asked, such as those on whom something was chosen.
        progress: Told how far a strategy is, after each user.

    Raises:
        EvaluationError: No users to ask, no question, or not 1 to 5 folds.
    """
    if questions < 1:
        raise EvaluationError(f"{questions} questions: expected at least 1")
    if folds < 1:
        raise EvaluationError(f"{folds} folds: expected at least 1")
    each = None if max_users is None else -(-max_users // folds)
    parted = tuple(people_of(dataset, max_users=each, seed=seed, fold=fold, but=but) for fold in range(folds))
    values: dict[str, list[Floats]] = {one.name: [] for one in strategies}
    asked: dict[str, dict[str, int]] = {one.name: {} for one in strategies}
    times: dict[str, list[float]] = {one.name: [] for one in strategies}
    of = sum(len(people.people) for people in parted)
    for people in parted:
        ready = recommender.unlearned()
        if observed:
            ready.observe(people.training, profiles=dataset.profiles, now=0.0)
            ready.weigh()
        for strategy in strategies:
            name = strategy.name
            onboarding = Onboarding(ready, seed=seed, kinds=strategy.kinds)
            onboarding.warm()
            for person in people.people:
                onboarding.policy = strategy.policy(int(generator(seed, "asked", person.user).integers(2**32)))
                row = np.zeros(questions + 1)
                talk = _talk(onboarding, person, people.everyone, questions, asked[name], times[name])
                for after, dialogue in enumerate(talk):
                    row[after:] = _quality(onboarding, dialogue, person, seed)
                values[name].append(row)
                if progress is not None:
                    progress(name, len(values[name]), of)
    return Elicited(
        dataset.name,
        parted,
        {name: np.array(rows) for name, rows in values.items()},
        asked,
        {name: 1000.0 * np.array(seconds) for name, seconds in times.items()},
        observed,
        seed,
    )


def _talk(
    onboarding: Onboarding,
    person: Person,
    everyone: Floats,
    questions: int,
    kinds: dict[str, int],
    times: list[float],
) -> Iterator[Dialogue]:
    """Yield the dialogue before any answer and after each, and count what was asked and how long choosing took."""
    dialogue = onboarding.start(person.profile)
    yield dialogue
    for _ in range(questions):
        start = time.perf_counter()
        question = onboarding.question(dialogue)
        times.append(time.perf_counter() - start)
        if question is None:
            return
        kinds[question.kind] = kinds.get(question.kind, 0) + 1
        answer = truth(onboarding, person, question.id, everyone)
        dialogue = onboarding.answered(dialogue, question.id, answer)
        yield dialogue


def _quality(onboarding: Onboarding, dialogue: Dialogue, person: Person, seed: int) -> float:
    scores = onboarding.score(dialogue, person.ranked)
    best = person.ranked[rank(scores, k=DEPTH, rng=generator(seed, "ties", person.user))]
    hits = np.isin(best, person.relevant)
    return float((ndcg @ DEPTH)(hits[None], relevant=[len(person.relevant)])[0])
