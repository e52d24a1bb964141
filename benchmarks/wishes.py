"""Does a request in plain words find what has what it asks for, and still find an item that it names?

Requests over wines, films, restaurants and games (``wishes.toml``), each with the fields that would meet it: an item is
relevant if it has one of the wanted values of every field. Beside them, "something like" the title of 60 items drawn by
a seed, where that item is what is looked for. No interactions, no language model; ``coldstart without facets``, plain
semantic search with the same encoder and TF-IDF over the same texts stand beside. The weights of facets were chosen on
these requests (halves of them in turn), so that the figures are optimistic; the people of ``people.py`` had no part.

    python benchmarks/wishes.py --out benchmarks/results/wishes.json
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer

from cells import models_of
from coldstart.catalogue import Catalogue
from coldstart.entities import Item, Profile
from coldstart.evaluation.datasets import load
from coldstart.evaluation.metrics import ndcg, rank
from coldstart.recommender import Recommender
from coldstart.templates import read_toml
from coldstart.wheels import cache_folder
from coldstart.wording import tidy_title
from provenance import finish, print_table, provenance

Score = Callable[[str], NDArray[np.float64]]

WISHES = Path(__file__).parent / "wishes.toml"

NAMED = 60
"""Items that are asked for by their title."""


def meets(item: Item, wish: Mapping[str, Any]) -> bool:
    """Whether an item has one of the wanted values of every field."""
    for name, wanted in wish.items():
        value = item.attributes.get(name.rstrip("2"), ())
        if name != "text" and not {str(one) for one in (value if isinstance(value, tuple) else (value,))} & set(wanted):
            return False
    return True


def systems(recommender: Recommender) -> dict[str, Score]:
    """Return what scores every item for a text, by name."""
    words = TfidfVectorizer(sublinear_tf=True)
    table = words.fit_transform(recommender.index.documents)
    bare, vectors, encoder = recommender.reweighted({"facets": 0.0}), recommender.index.vectors, recommender.encoder
    return {
        "coldstart": lambda text: recommender.score(Profile(text=text)),
        "coldstart without facets": lambda text: bare.score(Profile(text=text)),
        "semantic search": lambda text: np.asarray(vectors @ encoder.encode([text])[0], np.float64),
        "TF-IDF": lambda text: np.asarray((table @ words.transform([text]).T).todense(), np.float64).ravel(),
    }


def measured(data: str, wishes: list[dict[str, Any]], *, seed: int) -> dict[str, Any]:
    """Return each system's NDCG@10 on the requests, one by one, and its reciprocal rank of items named."""
    catalogue = load(data).catalogue
    told = Catalogue((item for item in catalogue.items if item.attributes), kind=catalogue.kind)
    folder = cache_folder() / "evaluations" / f"{told.hash[:16]}-no-language-model"
    recommender = Recommender.build(told, language_model=None, path=folder)
    rng, items = np.random.default_rng(seed), len(told)
    named = rng.choice(items, min(NAMED, items), replace=False)
    found: dict[str, Any] = {"models": models_of(recommender), "systems": {}}
    for name, score in systems(recommender).items():
        values = []
        for wish in wishes:
            relevant = np.array([meets(item, wish) for item in told.items])
            best = rank(score(wish["text"]), k=10, rng=np.random.default_rng(seed))
            values.append(float((ndcg @ 10)(relevant[best][None], relevant=np.array([relevant.sum()]))[0]))
        ranks = []
        for row in named.tolist():
            scores = score(f"something like {tidy_title(told[row].title)}")
            ranks.append(1.0 / (1 + int((scores > scores[row]).sum())))
        found["systems"][name] = {"ndcg@10": values, "mrr_named": float(np.mean(ranks))}
    return found


def main() -> None:
    """Measure, print a table, and end with a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    wishes = read_toml(WISHES.read_text("utf-8"), source=WISHES.name)
    results = {data: measured(data, asked, seed=given.seed) for data, asked in wishes.items()}
    names = list(next(iter(results.values()))["systems"])
    header = ["", *(f"{data} ({len(asked)})" for data, asked in wishes.items())]
    rows = [header]
    for name in names:
        cells = [one["systems"][name] for one in results.values()]
        rows.append([name, *(f"{np.mean(cell['ndcg@10']):.3f} / {cell['mrr_named']:.3f}" for cell in cells)])
    print_table(rows)
    print("NDCG@10 of requests / mean reciprocal rank of an item that is named")
    models = {name: hash_ for one in results.values() for name, hash_ in one.pop("models").items()}
    record = {"benchmark": "wishes", "seed": given.seed, "results": results, "provenance": provenance(models)}
    finish(record, given.out)


if __name__ == "__main__":
    main()
