"""Does the language model name what it would find likeliest if it read every title, and how soon?

Method: MovieLens-100K (fetched once) is indexed by the default models, unless an index of it is given. For ``--people``
of its people, drawn by ``--seed``, each told by sign-up fields and three of the items they like, the twenty titles that
:class:`coldstart.scoring.generating.Generating` names, with the index's appeal to go by as in ``recommend(named=20)``,
are set against the twenty likeliest of all titles, each read. The constants were set on five made-up people.

Then the same on ``--large`` titles, recombined from the names of the wines that ship with coldstart (each word follows
one that it follows there), for the made-up people of the demo, without anything known of the titles and no limit on
what is read; how near that comes to reading all isn't measured.

Seconds are those of one search once the titles are tokenized, the person's description included, and in the first part
once it is known what titles have for nobody; what that takes, once a catalogue, is told too.

Command: ``python benchmarks/naming.py [--seed 0] [--people 20] [--large 100000] [--dtype auto] [--index FOLDER]
[--out FILE]``.
"""

from __future__ import annotations

import argparse
import itertools
import random
import statistics
import sys
import time
from collections import defaultdict
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import coldstart as cs
from cells import indexed
from coldstart.encoding import Encoder
from coldstart.evaluation.datasets import load
from coldstart.generation import LanguageModel, model_hashes
from coldstart.models import DEFAULT_ENCODER, DEFAULT_LANGUAGE_MODEL, resolve
from coldstart.prompting import Library
from coldstart.scoring.generating import Generating, Named
from provenance import finish, print_table, provenance

NAMED = 20
LIKES = 3
LONGEST = 10  # words of a recombined title
SAID = (
    cs.Profile(text="bold, full-bodied reds for a steak dinner", attributes={"age": 34, "country": "Brazil"}),
    cs.Profile(text="sweet sparkling wine for birthday parties and desserts", attributes={"age": 22}),
    cs.Profile(text="I love seafood and want something fresh and crisp", attributes={"age": 27}),
    cs.Profile(text="an organic white to drink on a terrace", attributes={"age": 45}),
    cs.Profile(text="something old and rare for my father", attributes={"age": 51, "occupation": "doctor"}),
)


def main() -> None:
    """Measure, print the table and the record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=0, help="draws people and titles (default: 0)")
    parser.add_argument("--people", type=int, default=20, help="of MovieLens (default: 20)")
    parser.add_argument("--large", type=int, default=100_000, help="recombined titles (default: 100000)")
    parser.add_argument("--dtype", default="auto", help="what the language model multiplies (default: auto)")
    parser.add_argument("--index", type=Path, help="an index of ml-100k with a language model; built if left out")
    parser.add_argument("--out", type=Path, help="also write the last line, JSON, to this file")
    given = parser.parse_args()
    model = LanguageModel.load(resolve(DEFAULT_LANGUAGE_MODEL), dtype=given.dtype)
    encoder, made = Encoder.load(resolve(DEFAULT_ENCODER)), provenance(model_hashes(model))
    with indexed("ml-100k", given.index, encoder, model) as recommender:
        results = {
            "dtype": model.dtype,
            "ml-100k": beside_reading_all(recommender, model, people=given.people, seed=given.seed),
            "recombined": on_many(model, given.large, seed=given.seed),
        }
    print_table(table(results))
    finish({"benchmark": "naming", "seed": given.seed, **made, "results": results}, given.out)


def beside_reading_all(recommender: cs.Recommender, model: LanguageModel, *, people: int, seed: int) -> dict[str, Any]:
    """Return what share of the likeliest of all titles is named, over people, and how long that takes."""
    catalogue = recommender.catalogue
    assert recommender.index.appeal is not None  # noqa: S101 - it was built with a language model
    likely = recommender.index.appeal.total.mean(1)
    maker, everything = Generating(model, catalogue, Library.load()), np.ones(len(catalogue), np.bool_)
    first = seconds(lambda: maker.best("", NAMED, everything, likely=likely))[0]
    recalls: list[float] = []
    taken, read, all_taken = [], [], []
    for description in described(recommender, people, seed):
        print(f"{len(recalls) + 1} of {people}", file=sys.stderr)
        spent, found = seconds(
            lambda description=description: maker.best(description, NAMED, everything, likely=likely)
        )
        slow, every = seconds(lambda description=description: maker.exhaustive(description))
        recalls.append(recall(found, every))
        taken.append(spent)
        read.append(found.read)
        all_taken.append(slow)
    return {
        "titles": len(catalogue),
        "people": people,
        "recall": round(statistics.mean(recalls), 4),
        "least_recall": round(min(recalls), 4),
        "tokens_read": round(statistics.median(read)),
        "seconds": round(statistics.median(taken), 3),
        "most_seconds": round(max(taken), 3),
        "seconds_of_reading_all": round(statistics.median(all_taken), 2),
        "seconds_once_a_catalogue": round(first, 2),
    }


def recall(found: Named, every: NDArray[np.float64]) -> float:
    """Return what share of the likeliest titles is named; items of the same title count once."""
    rows = found.rows[np.unique(found.totals, return_index=True)[1]] if len(found.rows) > NAMED else found.rows
    best = np.unique(np.round(every[np.isfinite(every)], 4))[-NAMED:]
    return float(np.isin(best, np.round(every[rows], 4)).mean())


def described(recommender: cs.Recommender, people: int, seed: int) -> list[str]:
    """Return what the language model is told of some people, each with some of what they like best."""
    dataset, rng = load("ml-100k"), random.Random(seed)  # noqa: S311 - no secrets
    liked = defaultdict(list)
    for one in dataset.interactions:
        if one.value is not None and one.value >= 4:
            liked[one.user].append(one.item)
    found = []
    for user in rng.sample(sorted(name for name, items in liked.items() if len(items) >= LIKES), people):
        likes = rng.sample(sorted(liked[user]), LIKES)
        profile = cs.Profile(attributes=dataset.profiles[user].attributes, likes=likes)
        found.append(recommender.recommend(profile, k=1).description)
    return found


def on_many(model: LanguageModel, count: int, *, seed: int) -> dict[str, Any]:
    """Return how long naming takes among many titles."""
    catalogue = cs.Catalogue(
        [cs.Item(str(row), title) for row, title in enumerate(recombined(count, seed))], kind="wine"
    )
    maker, everything = Generating(model, catalogue, Library.load()), np.ones(len(catalogue), np.bool_)
    first = seconds(lambda: maker.best("", 1, everything, most=1))[0]
    taken, read, certain = [], [], []
    library = Library.load()
    for profile in SAID:
        told = library.describe_profile(profile, kind="wine").text
        spent, found = seconds(lambda told=told: maker.best(told, NAMED, everything))
        taken.append(spent)
        read.append(found.read)
        certain.append(found.certain)
    return {
        "titles": len(catalogue),
        "people": len(SAID),
        "searched_to_the_end": all(certain),
        "tokens_read": round(statistics.median(read)),
        "seconds": round(statistics.median(taken), 3),
        "most_seconds": round(max(taken), 3),
        "seconds_once_a_catalogue": round(first, 2),
    }


def recombined(count: int, seed: int) -> list[str]:
    """Return so many distinct titles, each word of which follows one that it follows in a wine's name."""
    wines = cs.Catalogue.read(Path(str(resources.files("coldstart"))) / "data" / "wines.csv")
    following: dict[str, list[str]] = defaultdict(list)
    for item in wines.items:
        for one, other in itertools.pairwise(["", *item.title.split(), ""]):
            following[one].append(other)
    rng = random.Random(seed)  # noqa: S311 - no secrets
    found: set[str] = set()
    while len(found) < count:
        words = [rng.choice(following[""])]
        while words[-1] and len(words) <= LONGEST:
            words.append(rng.choice(following[words[-1]]))
        found.add(" ".join(words).strip())
    return sorted(found)


def seconds(work: Any) -> tuple[float, Any]:
    """Return how long some work took, and its outcome."""
    start = time.perf_counter()
    found = work()
    return time.perf_counter() - start, found


def table(results: dict[str, Any]) -> list[list[str]]:
    """Return the header and the rows of what was found, as text."""
    few, many = results["ml-100k"], results["recombined"]
    names = list(dict.fromkeys([*few, *many]))
    shown = [[name.replace("_", " "), str(few.get(name, "")), str(many.get(name, ""))] for name in names]
    return [[results["dtype"], "ml-100k", "recombined"], *shown]


if __name__ == "__main__":
    main()
