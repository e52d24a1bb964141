"""Does half precision keep the ranking, and what does it save on this machine?

Method: MovieLens-100K's items are indexed twice by the default models, in 32-bit floats and in bfloat16 (fetched
once; the indexes are kept in a folder if one is given, and what is there isn't computed again). Compared are, on
``--seed``, which is none that anything here was chosen on:

- NDCG@10 of system-cold (``--users`` of the people that have likes), of new-user(5) and of new-item, each once per
  precision: items, queries and appeal are all in it; and the same with the language model's second reading of the 20
  best, for ``--reread`` people of new-user(5).
- Spearman's correlation over items of the language model's appeal and over all pairs of people and items of the fused
  scores; how many of each ten best are the same ten.
- Tokens a second that each model reads, the other way right before or after, medians of ``--repeats``.

Command: ``python benchmarks/precision.py [--seed 0] [--users 300] [--reread 40] [--repeats 5] [--keep FOLDER]
[--out FILE]``.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import coldstart as cs
from coldstart.encoding import Encoder
from coldstart.evaluation import Cases, System, engine, run
from coldstart.evaluation.datasets import Dataset, load
from coldstart.evaluation.significance import paired_bootstrap
from coldstart.generation import LanguageModel, model_hashes
from coldstart.index import standing
from coldstart.models import DEFAULT_ENCODER, DEFAULT_LANGUAGE_MODEL, resolve
from coldstart.prompting import Library, render
from provenance import finish, print_table, provenance

DATA = "ml-100k"
PROTOCOLS = ("system-cold", "new-user:5", "new-item")
FULL, HALF = DTYPES = ("float32", "bfloat16")
BEST = 10
REREAD = 20
TITLES = 200
TEXTS = 400


def main() -> None:
    """Compare, print the tables and the record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=0, help="draws people and splits (default: 0)")
    parser.add_argument("--users", type=int, default=300, help="people a protocol, at most (default: 300)")
    parser.add_argument("--reread", type=int, default=40, help="people whose best are read again (default: 40)")
    parser.add_argument("--repeats", type=int, default=5, help="measurements of speed (default: 5)")
    parser.add_argument("--keep", type=Path, help="where to keep the indexes; nowhere if left out")
    parser.add_argument("--out", type=Path, help="also write the last line, JSON, to this file")
    given = parser.parse_args()
    encoder, model = Encoder.load(resolve(DEFAULT_ENCODER)), LanguageModel.load(resolve(DEFAULT_LANGUAGE_MODEL))
    made = provenance(model_hashes(encoder, model))
    dataset = load(DATA)
    with tempfile.TemporaryDirectory() as scratch:
        built = {}
        for dtype in DTYPES:
            print(f"indexing in {dtype}", file=sys.stderr)
            models: dict[str, Any] = {"encoder": encoder.at(dtype), "language_model": model.at(dtype)}
            built[dtype] = cs.Recommender.build(dataset.catalogue, **models, path=(given.keep or Path(scratch)) / dtype)
        results = {
            "quality": quality(dataset, built, users=given.users, reread=given.reread, seed=given.seed),
            "agreement": agreement(dataset, built, users=given.users, seed=given.seed),
            "speed": speed(dataset, built, repeats=given.repeats, seed=given.seed),
        }
    for rows in tables(results):
        print_table(rows)
    finish({"benchmark": "precision", "data": DATA, "seed": given.seed, **made, "results": results}, given.out)


def quality(
    dataset: Dataset, built: dict[str, cs.Recommender], *, users: int, reread: int, seed: int
) -> list[dict[str, Any]]:
    """Return NDCG@10 by protocol and precision, the relative change, and the difference with its interval."""
    found = []
    asked = [(name, users, engine) for name in PROTOCOLS] + [("new-user:5", reread, rereading)]
    for protocol, most, system in asked:
        systems = [system(one, name=dtype) for dtype, one in built.items()]
        report = run(dataset, protocol, systems, max_users=most, measures=[f"ndcg@{BEST}"], seed=seed)
        values = {dtype: report.values[dtype][f"ndcg@{BEST}"] for dtype in built}
        full, half = (values[dtype] for dtype in DTYPES)
        changed = paired_bootstrap(half, full, seed=seed)
        name = f"{protocol}, {REREAD} read again" if system is rereading else protocol
        found.append(
            {
                "protocol": name,
                "users": len(report.cases),
                **{dtype: round(float(each.mean()), 4) for dtype, each in values.items()},
                "change": round(float(half.mean() / full.mean()) - 1, 4),
                "difference": [round(value, 4) for value in changed],
            }
        )
    return found


def rereading(recommender: cs.Recommender, *, name: str) -> System:
    """Return the system whose best the language model has read again."""

    def scores(cases: Cases) -> Iterator[NDArray[np.floating]]:
        ids = cases.catalogue.ids
        for case in cases:
            rows = np.arange(len(ids)) if case.candidates is None else case.candidates
            found = recommender.score(case.profile, rows)
            asked = [ids[row] for row in rows]
            place = {name: at for at, name in enumerate(asked)}
            best = recommender.recommend(case.profile, k=REREAD, language=REREAD, candidates=asked)
            found[[place[one.id] for one in best]] = found.max() + np.arange(len(best), 0, -1)
            yield found

    return System(name, scores)


def agreement(dataset: Dataset, built: dict[str, cs.Recommender], *, users: int, seed: int) -> dict[str, float]:
    """Return how alike the two precisions' numbers order items, and how alike their lists are."""
    rng = np.random.default_rng(seed)
    names = sorted(dataset.profiles)
    people = [dataset.profiles[names[at]] for at in rng.permutation(len(names))[:users]]
    full, half = ([one.score(person) for person in people] for one in built.values())
    best = [[set(np.argsort(-scores)[:BEST]) for scores in each] for each in (full, half)]
    told = [one.index.appeal for one in built.values()]
    appeals = [standing(each.total, each.tokens) for each in told if each is not None]
    return {
        "spearman_of_appeal": round(spearman(*appeals), 5),
        "spearman_of_scores": round(float(np.mean([spearman(a, b) for a, b in zip(full, half, strict=True)])), 5),
        f"same_of_the_{BEST}_best": round(float(np.mean([len(a & b) for a, b in zip(*best, strict=True)])), 3),
    }


def spearman(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """Return the correlation of ranks; hardly any are tied."""
    return float(np.corrcoef(one.argsort().argsort(), other.argsort().argsort())[0, 1])


def speed(dataset: Dataset, built: dict[str, cs.Recommender], *, repeats: int, seed: int) -> dict[str, Any]:
    """Return tokens a second by model and precision, and how many times as fast the second is."""
    one = next(iter(built.values()))
    rng = np.random.default_rng(seed)
    texts = [one.index.documents[row] for row in rng.permutation(len(one.index.documents))[:TEXTS]]
    titles = sorted({*one.index.rows.titles} - {""})
    titles = [titles[row] for row in rng.permutation(len(titles))[:TITLES]]
    prompt = render(Library.load().of("appeal")[0], {"kind": dataset.catalogue.kind}).text
    tokens = {
        "encoder": sum([one.encoder.count_tokens(text) for text in texts]),
        "language_model": sum([len(row) - 1 for row in model_of(one).tokenize(prompt, titles)]),
    }
    taken: dict[tuple[str, str], list[float]] = {}
    for number in range(repeats + 1):
        for dtype, each in built.items():
            works: dict[str, Callable[[], Any]] = {
                "encoder": partial(each.encoder.encode, texts),
                "language_model": partial(model_of(each).likelihoods, prompt, titles),
            }
            for role, work in works.items():
                start = time.perf_counter()
                work()
                if number:  # the first is to warm up
                    taken.setdefault((role, dtype), []).append(time.perf_counter() - start)
    found: dict[str, Any] = {}
    for role, count in tokens.items():
        rates = {dtype: count / statistics.median(taken[role, dtype]) for dtype in DTYPES}
        found[role] = {**{k: round(v, 1) for k, v in rates.items()}, "ratio": round(rates[HALF] / rates[FULL], 3)}
    return found


def model_of(recommender: cs.Recommender) -> LanguageModel:
    """Return the language model, which it was built with."""
    model = recommender.language_model
    assert model is not None  # noqa: S101 - it was given one
    return model


def tables(results: dict[str, Any]) -> Iterator[list[list[str]]]:
    """Yield what was found as rows of text."""
    ndcg = [
        [each["protocol"], *(f"{each[d]:.4f}" for d in DTYPES), f"{each['change']:+.2%}", f"{each['difference']}"]
        for each in results["quality"]
    ]
    yield [[f"NDCG@{BEST}", *DTYPES, "change", "difference and its interval"], *ndcg]
    yield [["agreement", ""], *([name.replace("_", " "), f"{value}"] for name, value in results["agreement"].items())]
    rates = [
        [role, *(f"{each[d]:.0f}" for d in DTYPES), f"{each['ratio']:.2f}"] for role, each in results["speed"].items()
    ]
    yield [["tokens a second", *DTYPES, "ratio"], *rates]


if __name__ == "__main__":
    main()
