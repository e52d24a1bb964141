"""Does it help to ask the language model which of a list a person would like best?

Method: new-user(5) of MovieLens-100K (fetched once), on a validation split: its result decides whether the scorer has a
weight, and it hasn't. For ``--people`` of its new users the ``--length`` best items of coldstart's own list, if some
but not all of them are liked, are ordered anew: by the picks of the language model over all rotations of the list, by
naming, and by the fused score plus so much of the picks. Reported are NDCG of the few, beside that of the list as it
was, with the standard error of the difference over people; and how much of a pick goes by the place.

Command: ``python benchmarks/listwise.py [--seed 11] [--people 60] [--length 10] [--dtype auto] [--index FOLDER]
[--out FILE]``.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import coldstart as cs
from cells import indexed
from coldstart.encoding import Encoder
from coldstart.evaluation import Events, prepare
from coldstart.evaluation.datasets import load
from coldstart.fusion import standardise
from coldstart.generation import LanguageModel, model_hashes
from coldstart.models import DEFAULT_ENCODER, DEFAULT_LANGUAGE_MODEL, resolve
from coldstart.prompting import Library
from coldstart.scoring.listwise import Listwise
from provenance import finish, print_table, provenance

WEIGHTS = (0.1, 0.3)
AS_IT_WAS = "as it was"


def main() -> None:
    """Measure, print the table and the record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=11, help="of the split (default: 11)")
    parser.add_argument("--people", type=int, default=60, help="new users, at most (default: 60)")
    parser.add_argument("--length", type=int, default=10, help="items of a list (default: 10)")
    parser.add_argument("--dtype", default="auto", help="what the language model multiplies (default: auto)")
    parser.add_argument("--index", type=Path, help="an index of ml-100k with a language model; built if left out")
    parser.add_argument("--out", type=Path, help="also write the last line, JSON, to this file")
    given = parser.parse_args()
    model = LanguageModel.load(resolve(DEFAULT_LANGUAGE_MODEL), dtype=given.dtype)
    encoder = Encoder.load(resolve(DEFAULT_ENCODER))
    made = provenance(model_hashes(encoder, model))
    with indexed("ml-100k", given.index, encoder, model) as recommender:
        results = measured(recommender, model, people=given.people, length=given.length, seed=given.seed)
    print_table(table(results))
    told = {"benchmark": "listwise", "seed": given.seed, "length": given.length, "dtype": model.dtype}
    finish({**told, **made, "results": results}, given.out)


def measured(
    recommender: cs.Recommender, model: LanguageModel, *, people: int, length: int, seed: int
) -> dict[str, Any]:
    """Return NDCG by how a list is ordered, and the position bias."""
    dataset = load("ml-100k")
    events = Events.of(dataset.interactions, dataset.catalogue)
    listwise = Listwise(model, recommender.catalogue, Library.load())
    found: dict[str, list[float]] = {}
    shares = []
    for case in prepare(dataset, "new-user:5", events, max_users=people, seed=seed):
        best = recommender.recommend(case.profile, k=length, language=length)
        rows = np.array([recommender.catalogue.row(one.id) for one in best])
        liked = np.isin(rows, case.relevant)
        if liked.all() or not liked.any():
            continue
        picked = listwise.picked(best.description, rows)
        shares.append(picked.shares)
        fused = np.array([one.score - one.parts["language"].contribution for one in best])
        orders = {
            AS_IT_WAS: fused,
            "naming": np.array([one.parts["language"].raw for one in best]),
            "picks over all rotations": picked.scores,
            **{f"as it was + {w} picks": standardise(fused) + w * standardise(picked.scores) for w in WEIGHTS},
        }
        for name, scores in orders.items():
            found.setdefault(name, []).append(ndcg(scores, liked))
    plain = np.array(found[AS_IT_WAS])
    gains = {name: np.array(values) - plain for name, values in found.items()}
    bias = float(np.abs(np.mean(shares, 0) - 1 / length).sum() / 2)
    return {
        "people": len(plain),
        "position_bias": round(bias, 4),
        "position_shares": [round(float(share), 4) for share in np.mean(shares, 0)],
        "ndcg": {
            name: {
                "mean": round(float(np.mean(values)), 4),
                "change": round(float(gains[name].mean()), 4),
                "standard_error": round(float(gains[name].std(ddof=1) / len(plain) ** 0.5), 4),
            }
            for name, values in found.items()
        },
    }


def ndcg(scores: NDArray[np.float64], liked: NDArray[np.bool_]) -> float:
    """Return how well scores order a list, from 0 to 1; some of it is liked."""
    gains = 1 / np.log2(np.arange(len(liked)) + 2)
    order = np.argsort(-scores, kind="stable")
    return float((liked[order] * gains).sum() / gains[: int(liked.sum())].sum())


def table(results: dict[str, Any]) -> list[list[str]]:
    """Return the header and the rows of what was found, as text."""
    rows = [
        [name, f"{each['mean']:.3f}", f"{each['change']:+.4f}", f"{each['standard_error']:.4f}"]
        for name, each in results["ndcg"].items()
    ]
    bias = f"{results['position_bias']:.2f}"
    return [[f"NDCG, {results['people']} people", "mean", "change", "standard error"], *rows, ["bias", bias, "", ""]]


if __name__ == "__main__":
    main()
