"""Do people who ask for something in words get what they ask for, and of that what they would like?

New users of an established platform, as in the new-user protocol, who say something and state some of their likes, or
none. What they say is

- a request of ``wishes.toml``, drawn by the seed among those that two or more of the likes they keep to themselves
  meet: relevant are these, and beside NDCG@10 it is told how many of ten items meet the request at all. The likes
  stated meet it or not as it happens, or all of them don't: who likes red wines asks for a white one;
- most of the title of one like that they keep to themselves, which is relevant;
- nothing of what they want ("what's good here?"): relevant is all they keep to themselves, as if they had said nothing.

The engine knows what others like (observed), or nothing but words (zero-shot). Beside it stand semantic search and
TF-IDF over the text and what is liked, semantic search for the text alone, EASE and popularity, and the usual way to
have both: the items that semantic search finds for the text, in the order of EASE, or of popularity where no like is
stated. Weights were chosen on users of the training part (``--validation``), whom nobody asks here; but for the same
requests, and the first twelve of the texts that say nothing were seen there as well, so that what these cost is
optimistic. The others were written for this by somebody who had seen none of those that the engine knows, after all
was chosen; those that turned out nearly the same as one of these were left out.

    python benchmarks/asking.py --out benchmarks/results/asking.json
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cells import models_of, recommender_of
from coldstart.catalogue import Catalogue
from coldstart.entities import Profile
from coldstart.errors import EvaluationError
from coldstart.evaluation import Case, Cases, Dataset, Events, System, engine, prepare
from coldstart.evaluation.datasets import load
from coldstart.evaluation.metrics import ndcg
from coldstart.evaluation.runs import measured, top_lists
from coldstart.evaluation.significance import bootstrap_interval, paired_bootstrap
from coldstart.evaluation.splits import generator, sample
from coldstart.evaluation.systems import POPULARITY, Scores
from coldstart.observing import AFTERWARDS
from coldstart.recommender import Recommender
from coldstart.templates import read_toml
from coldstart.wording import tidy_title
from peers import Peer, tuned
from peers.ease import Ease
from peers.semantic import SemanticSearch
from peers.words import TfIdf
from provenance import finish, print_table, provenance
from wishes import WISHES, meets

DATA = ("x-wines", "ml-100k", "steam")
KEPT = 5
"""From which like on, in random order, likes are kept to themselves."""

NOTHING = (
    "what's good here?",
    "something nice for the weekend",
    "I just signed up",
    "I trust your taste",
    "something I haven't tried",
    "a treat for myself",
    "my sister recommended this site",
    "I have a free evening",
    "start with your favourites",
    "what do other people choose?",
    "I don't know much about this",
    "my friends are coming over",
    "Whatever you reckon is best, I trust you completely",
    "honestly just throw something at me",
    "I'd be grateful if you would choose on my behalf, please.",
    "eeny meeny miny moe, your turn",
    "Go on then, impress me, computer",
    "dealer's choice mate",
    "idk u decide lol",
    "Spin the wheel and let's see where it lands",
    "I'll leave that in your capable hands, thank you",
    "Can't make up my mind, so could you do it for me?",
    "anything at all, really not fussed",
    "A colleague told me to sign up so here I am",
    "Hi, I'm Margaret, and I've never done one of these before",
    "i overthink every box i have to fill in, sorry",
    "supposed to be working right now, shh",
    "Just got my wifi back this morning after two days without!",
    "my thumbs are too big for this keyboard",
    "Dentist at three, so I can't stay long",
    "ok so my bus was late AGAIN, unbelievable",
    "why do you need to know",
    "Is this box compulsory?",
    "what a stupid question",
    "How am I supposed to answer that before I've seen anything?",
    "Not sure what I'm meant to write here, hope that's all right",
    "can i skip this",
    "Will my answer be visible to other people?",
    "The skip button, that's what I'm looking for",
    "none of your business",
    "Aren't you the ones who are supposed to tell me that?",
)
FOUND = (50, 200)
"""How many items of a text are put into another order."""

ZERO_SHOT, OBSERVED, UNSAID = "coldstart", "coldstart observed", "coldstart observed, without the text"
TEXT = "semantic search for the text"
WORDS = (TEXT, "semantic search", "TF-IDF")
"""What needs no interactions."""


class Situation(NamedTuple):
    """What is said, and how much is known beside it."""

    said: str
    likes: int
    other: bool = False

    def __str__(self) -> str:
        likes = f"{self.likes or 'no'} like{'' if self.likes == 1 else 's'}{' of another kind' if self.other else ''}"
        return f"{self.said}, {likes}"


SITUATIONS = (
    *(Situation("a request", likes, other=bool(likes)) for likes in (0, 1, 5)),
    Situation("a request", 5),
    *(Situation("a title", likes) for likes in (0, 5)),
    *(Situation("nothing", likes) for likes in (0, 5)),
)


def asked_by(
    user: str,
    liked: NDArray[np.int64],
    situation: Situation,
    catalogue: Catalogue,
    met: NDArray[np.bool_],
    *,
    seed: int,
) -> tuple[int, str, NDArray[np.int64], NDArray[np.int64]] | None:
    """Return what a user says, states and would like: a wish or -1, a text, rows and rows; None if they can't ask.

    Args:
        user: Who asks.
        liked: What they like, in random order. Shape: ``(likes,)``.
        situation: What they say.
        catalogue: Of what.
        met: Which items meet which wish. Shape: ``(wishes, items)``.
        seed: Fixes what is drawn.
    """
    rng = generator(seed, situation.said, user)
    kept = liked[KEPT:]
    if situation.said == "nothing":
        return -1, NOTHING[int(rng.integers(len(NOTHING)))], liked[: situation.likes], np.sort(kept)
    if situation.said == "a title":
        row = int(rng.choice(kept))
        words = tidy_title(catalogue[row].title).split()
        return -1, " ".join(words[:-1] if len(words) > 2 else words), liked[: situation.likes], np.array([row])
    likely = [wish for wish in range(len(met)) if met[wish][kept].sum() >= 2 and (~met[wish][liked]).sum() >= KEPT]
    if not likely:
        return None
    wish = int(rng.choice(likely))
    stated = (liked[~met[wish][liked]] if situation.other else liked)[: situation.likes]
    return wish, "", stated, np.setdiff1d(kept[met[wish][kept]], stated)


def cases_of(
    dataset: Dataset, cases: Cases, wishes: Sequence[Mapping[str, Any]], situation: Situation, *, most: int, seed: int
) -> tuple[Cases, NDArray[np.bool_]]:
    """Return the cases of a situation, and which items meet what each asks for. Shape: ``(cases, items)``."""
    events, catalogue = Events.of(dataset.interactions, dataset.catalogue, scale=cases.scale), dataset.catalogue
    met = np.array([[meets(item, wish) for item in catalogue.items] for wish in wishes])
    found, meeting = [], []
    for user in sample([case.user for case in cases], most, seed=seed):
        mine = events.by(user)
        liked = np.unique(events.rows[mine[events.relevant[mine]]])
        liked = generator(seed, "asking", user).permutation(liked)
        asked = asked_by(user, liked, situation, catalogue, met, seed=seed)
        if asked is None or not len(asked[3]):
            continue
        wish, text, stated, relevant = asked
        text = text or str(wishes[wish]["text"])
        profile = replace(dataset.signed_up(user), text=text, likes=[catalogue.ids[row] for row in stated])
        found.append(Case(user, profile, relevant, np.setdiff1d(np.arange(len(catalogue)), stated)))
        meeting.append(met[wish] if wish >= 0 else np.zeros(len(catalogue), np.bool_))
    return replace(cases, cases=tuple(found)), np.array(meeting)


def fitted(peer: Peer, cases: Cases) -> System:
    """Return a peer as a system, tuned and fitted once: situations differ in what is asked, not in what is learned."""
    score = peer.fit(cases, **tuned(peer, cases.rehearsal))
    return System(peer.name, lambda asked: map(score, asked))


def systems_of(recommender: Recommender, observed: Recommender, cases: Cases) -> list[System]:
    """Return the engines, and what a product would run instead."""
    semantic = SemanticSearch()

    def by_text(cases: Cases) -> Iterator[Scores | None]:
        score = semantic.fit(cases, mean=False)
        return (score(replace(case, profile=Profile(text=case.profile.text))) for case in cases)

    def reordered(cases: Cases, *, count: int, by: System) -> Iterator[Scores | None]:
        for near, order in zip(by_text(cases), by.scores(cases), strict=True):
            assert near is not None  # noqa: S101 - everyone says something
            last = np.sort(near)[-min(count, len(near))]
            told = np.zeros(len(near)) if order is None else np.nan_to_num(np.asarray(order, np.float64), nan=-1e9)
            yield np.where(near >= last, told, -1e12)

    def unsaid(cases: Cases) -> Iterator[Scores]:
        return (observed.score(replace(case.profile, text=""), case.candidates) for case in cases)

    ease = fitted(Ease(), cases)
    return [
        engine(observed, name=OBSERVED),
        engine(recommender, name=ZERO_SHOT),
        System(UNSAID, unsaid),
        System(TEXT, by_text),
        fitted(semantic, cases),
        fitted(TfIdf(), cases),
        ease,
        POPULARITY,
        *(System(f"{n} found for the text, by EASE", partial(reordered, count=n, by=ease)) for n in FOUND),
        *(System(f"{n} found for the text, by popularity", partial(reordered, count=n, by=POPULARITY)) for n in FOUND),
    ]


def judged(cases: Cases, met: NDArray[np.bool_], systems: Sequence[System], *, seed: int) -> dict[str, Any]:
    """Return each system's quality in one situation, and how ours compares with the best of the others."""
    measure, values, shares = ndcg @ 10, {}, {}
    stated = any(case.profile.likes for case in cases)
    for system in systems:
        if "EASE" in system.name and not stated:
            continue
        rows = top_lists(cases, system, depth=10).rows
        values[system.name] = measured(cases, rows, [measure])[str(measure)]
        shares[system.name] = np.take_along_axis(met, rows, 1).mean(1)
    found: dict[str, Any] = {"users": len(cases), "systems": {}, "against": {}}
    for name, each in values.items():
        mean, low, high = bootstrap_interval(each, seed=seed)
        found["systems"][name] = {"ndcg@10": round(mean, 5), "low": round(low, 5), "high": round(high, 5)}
        if met.any():
            found["systems"][name]["met"] = round(float(shares[name].mean()), 4)
    peers = [name for name in values if name not in (ZERO_SHOT, OBSERVED, UNSAID)]
    for ours, others in ((ZERO_SHOT, [name for name in peers if name in WORDS]), (OBSERVED, peers)):
        best = max(others, key=lambda name: values[name].mean())
        mean, low, high = paired_bootstrap(values[ours], values[best], seed=seed)
        told = {"difference": round(mean, 5), "low": round(low, 5), "high": round(high, 5)}
        found["against"][ours] = {"best": best, **told}
    return found


def measured_on(data: str, *, users: int, seed: int, validation: bool) -> dict[str, Any]:
    """Return what each situation gives on a data set, by the situation's name."""
    dataset, wishes = load(data), read_toml(WISHES.read_text("utf-8"), source=WISHES.name)[data]
    cases = prepare(dataset, "new-user", Events.of(dataset.interactions, dataset.catalogue), seed=seed)
    if validation:
        dataset = replace(dataset, interactions=cases.training, given={})
        events = Events.of(dataset.interactions, dataset.catalogue, scale=cases.scale)
        cases = prepare(dataset, "new-user", events, seed=seed)
    recommender = recommender_of(data).unlearned()
    observed = recommender.unlearned()
    observed.observe(cases.training, profiles=cases.profiles, now=AFTERWARDS)
    observed.weigh()
    systems, found = systems_of(recommender, observed, cases), {}
    for situation in SITUATIONS:
        asked, met = cases_of(dataset, cases, wishes, situation, most=users, seed=seed)
        found[str(situation)] = judged(asked, met, systems, seed=seed)
    return {"data": data, "seed": seed, "models": models_of(recommender), "situations": found}


def main() -> None:
    """Measure, print the tables and the record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", action="append", help="a data set's name; may be repeated")
    parser.add_argument("--max-users", type=int, default=300, help="ask this many, drawn with the seed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--validation", action="store_true", help="ask users of the training part, to choose on")
    parser.add_argument("--out", type=Path, help="write the record here as well")
    given = parser.parse_args()
    runs: list[dict[str, Any]] = []
    for data in given.only or DATA:
        try:
            runs.append(measured_on(data, users=given.max_users, seed=given.seed, validation=given.validation))
        except EvaluationError as missing:
            print(f"{data} is skipped: {missing}", file=sys.stderr)
            continue
        for name, one in runs[-1]["situations"].items():
            print(f"\n{name}, {data}: {one['users']} users")
            rows = [["system", "NDCG@10", "meets the request"]]
            for system, each in sorted(one["systems"].items(), key=lambda pair: -pair[1]["ndcg@10"]):
                share = f"{each['met']:.2f}" if "met" in each else ""
                rows.append([system, f"{each['ndcg@10']:.3f} [{each['low']:.3f}, {each['high']:.3f}]", share])
            print_table(rows)
            for ours, beside in one["against"].items():
                gain = "{difference:+.3f} [{low:+.3f}, {high:+.3f}]".format(**beside)
                print(f"{ours} against {beside['best']}: {gain}")
    models = {name: hash_ for one in runs for name, hash_ in one.pop("models").items()}
    told = {"seed": given.seed, "max_users": given.max_users, "validation": given.validation}
    finish({"benchmark": "asking", **told, "runs": runs, **provenance(models)}, given.out)


if __name__ == "__main__":
    main()
