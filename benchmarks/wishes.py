"""Does a request in plain words find what has what it asks for, and still find an item that it names?

Requests over wines, films, restaurants and games (``wishes.toml``), each with the fields that would meet it: an item is
relevant if it has one of the wanted values of every field. Beside them, "something like" the title of 60 items drawn by
a seed, where that item is what is looked for. And the same requests with a dislike: a value that some of what meets the
request has and some has not, drawn by a seed; relevant is what meets the request and hasn't it. No interactions, no
language model; ``coldstart without facets``, plain semantic search with the same encoder and TF-IDF over the same texts
stand beside, which take closeness to the dislike off. How values are read and weighed was chosen on these requests, so
that the figures are optimistic. On those of ``wishes_later.toml``, most of them of several fields at once, nothing was
chosen; nor on the people of ``people.py`` but for one, whose list was looked at.

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

Mask = NDArray[np.bool_]
Score = Callable[[str, list[str]], NDArray[np.float64]]
"""From a text and what is disliked to every item's score."""

WISHES, LATER = (Path(__file__).parent / name for name in ("wishes.toml", "wishes_later.toml"))

NAMED = 60
"""Items that are asked for by their title."""

DISLIKES, SHARES = 4, (0.15, 0.85)
"""Values disliked in turn beside each request, at most, and which share of what meets it each has."""


def meets(item: Item, wish: Mapping[str, Any]) -> bool:
    """Whether an item has one of the wanted values of every field."""
    for name, wanted in wish.items():
        value = item.attributes.get(name.rstrip("2"), ())
        if name != "text" and not {str(one) for one in (value if isinstance(value, tuple) else (value,))} & set(wanted):
            return False
    return True


def disliked(recommender: Recommender, wish: Mapping[str, Any], met: Mask, rng: np.random.Generator) -> dict[str, Mask]:
    """Return values that some of what meets a request has, and which items have each."""
    facets, found = recommender.index.facets, {}
    asked = {value for name, wanted in wish.items() if name != "text" for value in wanted}
    for column, (_, value) in enumerate(facets.names):
        has = np.asarray(facets.table[:, [column]].todense()).ravel() > 0
        least, most = SHARES
        if value and value not in asked and least <= has[met].mean() <= most:
            found[value] = has
    drawn = rng.permutation(len(found))[:DISLIKES]
    return {value: has for place, (value, has) in enumerate(found.items()) if place in drawn}


def systems(recommender: Recommender) -> dict[str, Score]:
    """Return what scores every item for a text and dislikes, by name."""
    words = TfidfVectorizer(sublinear_tf=True)
    table = words.fit_transform(recommender.index.documents)
    bare = recommender.reweighted({"facets": 0.0, "unwanted": 0.0})
    vectors, encoder = recommender.index.vectors, recommender.encoder

    def near(text: str) -> NDArray[np.float64]:
        return np.asarray(vectors @ encoder.encode([text])[0], np.float64)

    def shared(text: str) -> NDArray[np.float64]:
        return np.asarray((table @ words.transform([text]).T).todense(), np.float64).ravel()

    return {
        "coldstart": lambda text, dislikes: recommender.score(Profile(text=text, dislikes=dislikes)),
        "coldstart without facets": lambda text, dislikes: bare.score(Profile(text=text, dislikes=dislikes)),
        "semantic search": lambda text, dislikes: near(text) - sum(map(near, dislikes)),
        "TF-IDF": lambda text, dislikes: shared(text) - sum(map(shared, dislikes)),
    }


def measured(data: str, wishes: list[dict[str, Any]], later: list[dict[str, Any]], *, seed: int) -> dict[str, Any]:
    """Return each system's NDCG@10 on requests, later ones, and with dislikes, and its MRR of items named."""
    catalogue = load(data).catalogue
    told = Catalogue((item for item in catalogue.items if item.attributes), kind=catalogue.kind)
    folder = cache_folder() / "evaluations" / f"{told.hash[:16]}-no-language-model"
    recommender = Recommender.build(told, language_model=None, path=folder)
    rng, items = np.random.default_rng(seed), len(told)
    named = rng.choice(items, min(NAMED, items), replace=False)
    met, met_later = (
        [np.array([meets(item, wish) for item in told.items]) for wish in some] for some in (wishes, later)
    )
    cases = [
        (wish["text"], value, one & ~has)
        for wish, one in zip(wishes, met, strict=True)
        for value, has in disliked(recommender, wish, one, rng).items()
    ]

    def judged(scores: NDArray[np.float64], relevant: Mask) -> float:
        best = rank(scores, k=10, rng=np.random.default_rng(seed))
        return float((ndcg @ 10)(relevant[best][None], relevant=np.array([relevant.sum()]))[0])

    found: dict[str, Any] = {"models": models_of(recommender), "systems": {}}
    for name, score in systems(recommender).items():
        ranks = []
        for row in named.tolist():
            scores = score(f"something like {tidy_title(told[row].title)}", [])
            ranks.append(1.0 / (1 + int((scores > scores[row]).sum())))
        found["systems"][name] = {
            "ndcg@10": [judged(score(wish["text"], []), one) for wish, one in zip(wishes, met, strict=True)],
            "ndcg@10_later": [judged(score(wish["text"], []), one) for wish, one in zip(later, met_later, strict=True)],
            "ndcg@10_with_dislikes": [judged(score(text, [value]), left) for text, value, left in cases],
            "mrr_named": float(np.mean(ranks)),
        }
    return found


def main() -> None:
    """Measure, print a table, and end with a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    wishes, later = (read_toml(path.read_text("utf-8"), source=path.name) for path in (WISHES, LATER))
    results = {data: measured(data, asked, later[data], seed=given.seed) for data, asked in wishes.items()}
    names = list(next(iter(results.values()))["systems"])
    header = ["", *(f"{data} ({len(asked)}, {len(later[data])})" for data, asked in wishes.items())]
    rows = [header]
    for name in names:
        cells = [one["systems"][name] for one in results.values()]
        keys = ("ndcg@10", "ndcg@10_later", "ndcg@10_with_dislikes", "mrr_named")
        rows.append([name, *(" / ".join(f"{np.mean(cell[key]):.3f}" for key in keys) for cell in cells)])
    print_table(rows)
    print("NDCG@10 of requests / later ones / requests with a dislike; mean reciprocal rank of an item that is named")
    models = {name: hash_ for one in results.values() for name, hash_ in one.pop("models").items()}
    record = {"benchmark": "wishes", "seed": given.seed, "results": results, "provenance": provenance(models)}
    finish(record, given.out)


if __name__ == "__main__":
    main()
