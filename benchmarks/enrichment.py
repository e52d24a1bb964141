"""Does it help to let the language model choose words about items, people and requests?

Method: ``coldstart.enriching`` as it is shipped, on validation seeds (11 and up), which are none that is reported
elsewhere. Beside what the model chose stand controls that need no model, so that what helps is told from who chose it:

- Summaries: the items' text alone; text and summary in one; the vectors' mean with the summary's at the shipped share;
  the same with all of an item's values, in the catalogue's order; the same with as many at random.
- Profiles (new-user): a phrase on what the likes have in common, as a further like; the same with the values of most
  likes; none.
- Rewrites: a text alone, and the mean with its rewrites, in requests (``wishes.toml``, with what would meet them) and
  where people say something of themselves (system-cold). How far rewrites agree is the mean cosine of each with the
  text, centred, and the share of the ten nearest items that they have in common.

The engine knows words alone; for new items it also has observed what the platform knows.
Differences are paired, person by person, over all seeds.

    python benchmarks/enrichment.py --out benchmarks/results/enrichment.json
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cells import Cells, models_of, recommender_of
from coldstart import enriching
from coldstart.entities import Profile
from coldstart.evaluation import Cases, Events, System, engine, evaluate, observing, prepare
from coldstart.evaluation.datasets import load
from coldstart.evaluation.metrics import ndcg, rank
from coldstart.evaluation.significance import comparisons
from coldstart.recommender import Recommender
from coldstart.templates import read_toml
from coldstart.wheels import cache_folder
from provenance import finish, print_table, provenance
from wishes import WISHES, meets

DATA: Mapping[str, tuple[str, ...]] = {
    "x-wines": ("new-item", "new-user(1)"),
    "ml-100k": ("system-cold", "new-item", "new-user(1)"),
}
ONCE = "system-cold"
"""A protocol without a split: one seed draws as good a sample of the users as several."""

SEEDS, USERS, K = (11, 12), 200, 10
PLAIN = "as it is"
Floats = NDArray[np.float64]


def summaries(recommender: Recommender, words: enriching.Words, *, seed: int) -> dict[str, Recommender]:
    """Return the engine with other item vectors, by how they were made."""
    catalogue, library, encode = recommender.catalogue, recommender.library, recommender.encoder.encode
    told = enriching.Enrichment(words, library, frozenset({"summary"})).summaries(catalogue)
    choices = [enriching.summary_of(item, kind=catalogue.kind, library=library) for item in catalogue.items]
    random = np.random.default_rng(seed)

    def said(choose: Callable[[Sequence[str]], Sequence[str]]) -> list[str]:
        return [
            enriching.sentence("summary", choose(choice.phrases), kind=catalogue.kind, library=library)
            if choice
            else ""
            for choice in choices
        ]

    def drawn(phrases: Sequence[str]) -> list[str]:
        return [phrases[place] for place in random.permutation(len(phrases))[: enriching.MOST]]

    index = recommender.index
    joined = encode([f"{text} {more}".strip() for text, more in zip(index.documents, told, strict=True)])
    indexes = {
        "summary, mean": enriching.mixed(index, told, encode),
        "summary, one text": replace(index, vectors=joined, coded=None),
        "all values, mean": enriching.mixed(index, said(list), encode),
        "random values, mean": enriching.mixed(index, said(drawn), encode),
    }
    return {name: recommender.reindexed(one) for name, one in indexes.items()}


def with_common_values(recommender: Recommender) -> System:
    """Return the engine that reads the values of most likes as one more like: a profile without a model."""
    catalogue, library = recommender.catalogue, recommender.library

    def find(name: str) -> int | None:
        return catalogue.row(name) if name in catalogue else None

    def scores(cases: Cases) -> Iterable[Floats]:
        for case in cases:
            likes = [*case.profile.likes]
            choice = enriching.profile_of(case.profile, catalogue=catalogue, find=find, library=library)
            if choice is not None:
                chosen = choice.phrases[: enriching.MOST]
                likes.append(enriching.sentence("profile", chosen, kind=catalogue.kind, library=library))
            yield recommender.score(replace(case.profile, likes=likes), case.candidates)

    return System("common values", scores)


def agreement(recommender: Recommender, words: enriching.Words, texts: Sequence[str]) -> dict[str, float]:
    """Return how far rewrites agree with the texts that they are of."""
    cosines, shared = list[float](), list[float]()
    enrichment = enriching.Enrichment(words, recommender.library, frozenset({"rewrite"}))
    vectors = recommender.index.vectors
    for text in texts:
        ways = [text, *enrichment.rewrites(text, kind=recommender.catalogue.kind)]
        encoded = recommender.index.centre(recommender.encoder.encode(ways))
        cosines += (encoded[1:] @ encoded[0]).tolist()
        near = recommender.index.centre(np.asarray(vectors)) @ encoded.T
        best = [set(np.argsort(-near[:, place], kind="stable")[:K].tolist()) for place in range(len(ways))]
        shared += [len(best[0] & one) / K for one in best[1:]]
    return {
        "cosine": round(float(np.mean(cosines)), 4),
        "top_10": round(float(np.mean(shared)), 4),
        "texts": len(texts),
    }


def wished(recommender: Recommender, words: enriching.Words, wishes: Sequence[dict[str, Any]], *, seed: int) -> Floats:
    """Return NDCG@10 of each request as it is and with its rewrites. Shape: ``(requests, 2)``."""
    found = []
    for wish in wishes:
        relevant = np.array([meets(item, wish) for item in recommender.catalogue.items])
        row = []
        for one in (recommender, recommender.enriched(words, uses=["rewrite"])):
            best = rank(one.score(Profile(text=wish["text"])), k=K, rng=np.random.default_rng(seed))
            row.append(float((ndcg @ K)(relevant[best][None], relevant=np.array([relevant.sum()]))[0]))
        found.append(row)
    return np.array(found)


def measured(data: str, users: int, seeds: Sequence[int], folder: Path) -> dict[str, Any]:
    """Return what came of it on one data set; what the model chooses is kept in a folder as it comes."""
    recommender, dataset = recommender_of(data), load(data)
    events = Events.of(dataset.interactions, dataset.catalogue)
    asked = {
        protocol: [
            prepare(dataset, protocol, events, max_users=users, seed=seed)
            for seed in (seeds[:1] if protocol == ONCE else seeds)
        ]
        for protocol in DATA[data]
    }
    wishes = read_toml(WISHES.read_text("utf-8"), source=WISHES.name).get(data, [])
    words, seconds = chosen(folder / data, recommender, asked, [wish["text"] for wish in wishes])
    others = summaries(recommender, words, seed=seeds[0])
    found: dict[str, Any] = {**seconds, "protocols": []}
    for protocol, by_seed in asked.items():
        words_alone = [engine(recommender, name=PLAIN)]
        words_alone += [engine(one, name=name) for name, one in others.items()]
        if protocol == ONCE:
            words_alone.append(engine(recommender.enriched(words, uses=["rewrite"]), name="rewrites"))
        if protocol.startswith("new-user"):
            words_alone.append(engine(recommender.enriched(words, uses=["profile"]), name="profile"))
            words_alone.append(with_common_values(recommender))
        found["protocols"].append(_compared(protocol, "words alone", by_seed, words_alone))
        if protocol == "new-item":  # where items' vectors count most beside what others did
            learned = [observing(recommender, name=PLAIN)]
            learned += [observing(others[name], name=name) for name in ("summary, mean", "all values, mean")]
            found["protocols"].append(_compared(protocol, "observed", by_seed, learned))
    if wishes:
        texts = [text for wish in wishes for text in recommender.query(Profile(text=wish["text"])).texts.values()]
        values = wished(recommender, words, wishes, seed=seeds[0])
        found["agreement"] = agreement(recommender, words, texts)
        found["protocols"].append(_told("requests", "words alone", {PLAIN: values[:, 0], "rewrites": values[:, 1]}))
    return {**found, "models": models_of(recommender)}


def chosen(
    folder: Path, recommender: Recommender, asked: Mapping[str, Sequence[Cases]], texts: Sequence[str]
) -> tuple[enriching.Words, dict[str, Any]]:
    """Let the model choose, and return that with how many choices there are and how long they took.

    What was chosen before by the same model with the same templates isn't asked again, and its seconds count.
    """
    folder.mkdir(parents=True, exist_ok=True)
    clock = folder / "seconds.json"
    before: dict[str, dict[str, float]] = json.loads(clock.read_text("utf-8")) if clock.exists() else {}
    people = {name: [case.profile for cases in by_seed for case in cases] for name, by_seed in asked.items()}
    new = [one for name, some in people.items() if name.startswith("new-user") for one in some]
    wanted: dict[enriching.Purpose, dict[str, Any]] = {
        "summary": {},
        "profile": {"profiles": new},
        "rewrite": {"profiles": people.get(ONCE, []), "texts": texts},
    }
    model, library = recommender.index.manifest["language_model"], recommender.library
    for use, told in wanted.items():
        known, start = len(enriching.Words.open(folder, model=model, library=library)), time.perf_counter()
        words = recommender.enrich(folder, uses=[use], **told)
        if known == 0:
            before = {}
        choices, seconds = len(words) - known, time.perf_counter() - start if len(words) > known else 0.0
        was = before.get(use, {"choices": 0, "seconds": 0.0})
        before[use] = {"choices": was["choices"] + choices, "seconds": round(was["seconds"] + seconds, 1)}
        clock.write_text(json.dumps(before), "utf-8")
        print(f"{folder.name}, {use}: {before[use]}", file=sys.stderr)
    return words, {"chosen": before}


def _compared(protocol: str, known: str, by_seed: Sequence[Cases], systems: Sequence[System]) -> dict[str, Any]:
    measure = ndcg @ K
    values = {
        system.name: np.concatenate([evaluate(cases, system, [measure])[str(measure)] for cases in by_seed])
        for system in systems
    }
    return _told(protocol, known, values)


def _told(protocol: str, known: str, values: Mapping[str, Floats]) -> dict[str, Any]:
    """Return means, and the differences to the engine as it is with their intervals."""
    others = [name for name in values if name != PLAIN]
    differences = comparisons(np.column_stack([values[name] - values[PLAIN] for name in others]), seed=0)
    found = {name: {"ndcg@10": round(float(one.mean()), 4)} for name, one in values.items()}
    for name, one in zip(others, differences, strict=True):
        found[name] |= {"difference": round(one.mean, 4), "low": round(one.low, 4), "high": round(one.high, 4)}
    return {"protocol": protocol, "known": known, "users": len(values[PLAIN]), "systems": found}


def main() -> None:
    """Measure, print the tables and the record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", action="append", choices=list(DATA), help="a data set's name; may be repeated")
    parser.add_argument("--max-users", type=int, default=USERS, help="ask this many of each seed's")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS), help="11 and up are for validation")
    parser.add_argument("--out", type=Path, help="write the record here as well")
    given = parser.parse_args()
    cells, models = Cells.of_this_commit("enrichment"), dict[str, str]()
    results: dict[str, dict[str, Any]] = {}
    folder = cache_folder() / "benchmarks" / "enrichment-words"
    for data in given.only or DATA:
        key = {"data": data, "users": given.max_users, "seeds": given.seeds}
        found = cells.get(key, partial(measured, data, given.max_users, given.seeds, folder))
        models |= found.pop("models")
        results[data] = found
        _show(data, found)
    made = {"seed": given.seeds[0], "seeds": given.seeds, **provenance(models)}
    finish({"benchmark": "enrichment", **made, "results": results}, given.out)


def _show(data: str, found: Mapping[str, Any]) -> None:
    print(f"\n{data}: {found['chosen']}, rewrites agree: {found.get('agreement')}")
    for one in found["protocols"]:
        print(f"\n{one['protocol']}, {one['known']}, {one['users']} users")
        rows = [["", "ndcg@10", "difference", "95 % interval"]]
        for name, told in one["systems"].items():
            more = (
                [f"{told['difference']:+.4f}", f"[{told['low']:.4f}, {told['high']:.4f}]"]
                if "low" in told
                else ["", ""]
            )
            rows.append([name, f"{told['ndcg@10']:.4f}", *more])
        print_table(rows)


if __name__ == "__main__":
    main()
