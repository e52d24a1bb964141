"""What does the language model's second reading bring, and what of it does a matrix keep that was learned from it?

Method: new-user(5) of a data set (fetched once), from words alone, on ``--users`` new users. NDCG@10 of coldstart's
list is set beside that with the 20 best read again by the language model, and beside that with
:meth:`coldstart.Recommender.distil`, which learns from the other users: for ``--people`` of them the language model
reads some 46 titles each. Told are also how the order of the matrix agrees with the language model's on people that it
wasn't told of, as Spearman's correlation, beside closeness to likes alone; what its own gate found; and the median
milliseconds of a request of each kind. A gate that lets nothing through leaves the ranking as it is.

Command: ``python benchmarks/distilling.py [--only DATA ...] [--seed 0] [--users 200] [--people 200] [--dtype auto]
[--out FILE]``.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import coldstart as cs
from cells import Cells, indexed
from coldstart.encoding import Encoder
from coldstart.evaluation import Events, engine, prepare, run
from coldstart.evaluation.datasets import load
from coldstart.evaluation.significance import paired_bootstrap
from coldstart.generation import LanguageModel, model_hashes
from coldstart.models import DEFAULT_ENCODER, DEFAULT_LANGUAGE_MODEL, resolve
from precision import REREAD, rereading
from provenance import finish, print_table, provenance

DATA = ("ml-100k", "x-wines")
PROTOCOL, NDCG = "new-user:5", "ndcg@10"
PLAIN, READ_AGAIN, DISTILLED = "coldstart", f"{REREAD} read again", "distilled"
TIMED = 20


def main() -> None:
    """Measure, print the table and the record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=DATA, default=list(DATA), help="measure only these")
    parser.add_argument("--seed", type=int, default=0, help="draws people and splits (default: 0)")
    parser.add_argument("--users", type=int, default=200, help="new users, at most (default: 200)")
    parser.add_argument("--people", type=int, default=200, help="other users whom it is learned from (default: 200)")
    parser.add_argument("--dtype", default="auto", help="what the language model multiplies (default: auto)")
    parser.add_argument("--out", type=Path, help="also write the last line, JSON, to this file")
    given = parser.parse_args()
    model = LanguageModel.load(resolve(DEFAULT_LANGUAGE_MODEL), dtype=given.dtype)
    encoder = Encoder.load(resolve(DEFAULT_ENCODER))
    made, cells = provenance(model_hashes(encoder, model)), Cells.of_this_commit("distilling")
    results = []
    for data in given.only:
        print(data, file=sys.stderr)
        key = {"data": data, "seed": given.seed, "users": given.users, "people": given.people, "dtype": model.dtype}
        results.append(cells.get(key, partial(measured, data, encoder, model, given)))
    print_table(table(results))
    finish({"benchmark": "distilling", "dtype": model.dtype, **made, "results": results}, given.out)


def measured(data: str, encoder: Encoder, model: LanguageModel, given: argparse.Namespace) -> dict[str, Any]:
    """Return what was found on a data set."""
    dataset = load(data)
    events = Events.of(dataset.interactions, dataset.catalogue)
    cases = prepare(dataset, PROTOCOL, events, max_users=given.users, seed=given.seed)
    with indexed(data, None, encoder, model) as recommender:
        start = time.perf_counter()
        found = recommender.distil(cases.training, people=given.people)
        took = time.perf_counter() - start
        distilled = found.recommender
        systems = [engine(recommender, name=PLAIN), rereading(recommender, name=READ_AGAIN)]
        systems += [engine(distilled, name=DISTILLED)] if found.promoted else []
        report = run(dataset, PROTOCOL, systems, max_users=given.users, measures=[NDCG], seed=given.seed)
        plain = report.values[PLAIN][NDCG]
        timed = {PLAIN: (recommender, 0), READ_AGAIN: (recommender, REREAD), DISTILLED: (distilled, 0)}
        profiles = [case.profile for case in cases][:TIMED]
        return {
            "data": data,
            "seed": given.seed,
            "users": len(plain),
            "ndcg": {name: round(float(each[NDCG].mean()), 4) for name, each in report.values.items()},
            "differences": {
                one.name: [round(value, 4) for value in paired_bootstrap(report.values[one.name][NDCG], plain, seed=0)]
                for one in systems[1:]
            },
            "promoted": found.promoted,
            "said": str(found),
            "verdict": {**found.verdict.told(), "judges": found.verdict.judges},
            "taught": {name: found.told[name] for name in ("users", "pairs")},
            "agreement": found.told.get("agreement"),
            "distil_s": round(took, 1),
            "ms": {name: _median_ms(one, profiles, language) for name, (one, language) in timed.items()},
        }


def _median_ms(recommender: cs.Recommender, profiles: list[cs.Profile], language: int) -> float:
    recommender.recommend(profiles[0], language=language)
    taken = []
    for profile in profiles:
        start = time.perf_counter()
        recommender.recommend(profile, language=language)
        taken.append(time.perf_counter() - start)
    return round(1000 * statistics.median(taken), 2)


def table(results: list[dict[str, Any]]) -> list[list[str]]:
    """Return the header and the rows of what was found, as text."""
    names = (PLAIN, READ_AGAIN, DISTILLED)
    rows = [["NDCG@10", *names, "agreement, before and after", "the gate"]]
    for each in results:
        ndcg = [f"{each['ndcg'][name]:.4f}" if name in each["ndcg"] else "-" for name in names]
        agreed = each["agreement"] or {"before": float("nan"), "after": float("nan")}
        rows.append([each["data"], *ndcg, f"{agreed['before']:.3f} {agreed['after']:.3f}", each["said"]])
        rows.append(["  ms", *(f"{each['ms'][name]:.1f}" for name in names), "", ""])
    return rows


if __name__ == "__main__":
    main()
