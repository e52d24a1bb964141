"""How good are rankings made without any training data, and does each part of the engine earn its place?

Method: the protocols of ``coldstart.evaluation`` on public data, all eligible users unless ``--max-users`` says
otherwise, one set of defaults for all data. Beside the engine stand random, the known popularity (an oracle in
system-cold and new-item: it has seen the very interactions that are asked for) and the engine without its appeal
prior, compared user by user. Games are indexed without the language model: there, only words rank.

What was chosen on what: scorers, their weights and the appeal prior's curve on LLMRank's validation users (none of the
6,000 reported), Steam's purchases, TALLRec's book validation rows, and random splits of MovieLens-100K and X-Wines
other than the reported ones (seed 0). Appeal prompts by how much known popularity of Steam and MovieLens-100K items
they capture on random halves of the catalogues.

Command: ``python benchmarks/quality.py [--max-users N] [--seed 0] [--only NAME] [--out FILE]``; about half an hour
on two cores with all users, indexing included; a data set that is missing is skipped with a line that says how to get
it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from coldstart.errors import EvaluationError
from coldstart.evaluation import Report, engine, run
from coldstart.evaluation.datasets import load
from coldstart.recommender import Recommender
from coldstart.terminal import bars
from coldstart.wheels import cache_folder
from provenance import finish, print_table, provenance

RUNS = (
    ("ml-100k", "system-cold"),
    ("ml-100k", "new-item"),
    ("x-wines", "new-item"),
    ("llmrank-games", "candidates"),
)
WITHOUT_LANGUAGE_MODEL = {"llmrank-games"}
"""Data that is measured without the language model; a matter of the clock, not of the defaults."""


def main() -> None:
    """Measure, print the tables and the record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--max-users", type=int, help="ask only this many, drawn with the seed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", action="append", help="a data set's name; may be repeated")
    parser.add_argument("--out", type=Path, help="write the record here as well")
    given = parser.parse_args()
    models: dict[str, str] = {}
    records = []
    for data, protocol in RUNS:
        if given.only and data not in given.only:
            continue
        try:
            recommender = _recommender(data)
        except EvaluationError as missing:
            print(f"{data} is skipped: {missing}", file=sys.stderr)
            continue
        report = _report(recommender, data, protocol, given.seed, given.max_users)
        print(f"\n{protocol} on {data}: {len(report.users)} users, seed {given.seed}")
        print_table(report.table())
        print_table(report.comparison_table())
        models |= _models(recommender)
        records.append(_record(recommender, report))
    finish({"benchmark": "quality", "seed": given.seed, "runs": records, **provenance(models)}, given.out)


def _recommender(data: str) -> Recommender:
    dataset = load(data)
    chosen: dict[str, Any] = {"language_model": None} if data in WITHOUT_LANGUAGE_MODEL else {}
    folder = cache_folder() / "evaluations" / dataset.catalogue.hash[:16]
    with bars() as progress:
        return Recommender.build(dataset.catalogue, path=folder, progress=progress, **chosen)


def _report(recommender: Recommender, data: str, protocol: str, seed: int, max_users: int | None) -> Report:
    systems = [engine(recommender)]
    if recommender.index.appeal is not None:
        systems.append(engine(recommender.reweighted({"appeal": 0.0}), name="without appeal"))
    return run(load(data), protocol, systems, max_users=max_users, seed=seed)


def _record(recommender: Recommender, report: Report) -> dict[str, Any]:
    return {
        **report.to_json(),
        "knowledge": recommender.index.manifest["knowledge"],
        "appeal_weight": recommender.weights["appeal"],
    }


def _models(recommender: Recommender) -> dict[str, str]:
    roles = ("encoder", "language_model")
    found = [recommender.index.manifest[role] for role in roles]
    return {model["name"]: model["hash"] for model in found if model}


if __name__ == "__main__":
    main()
