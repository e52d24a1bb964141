"""What are the first interactions worth: from zero-shot to an established platform, and from no favourite to five?

Method: the growth protocol on a grid of how much the platform has seen and how many favourites a new user states. The
engine as it is from words alone stands beside the engine that observed what the platform had seen, popularity, and the
peers a user would run instead, each tuned on validation users wherever there are enough. In each cell the engine that
observed is compared with the best peer, user by user.

Where the data asks yes or no of people with answered examples, those are what is learned from, drawn ``--draws`` times:
by arithmetic alone, and with ``--refine`` with an adapter of the bi-encoder, of the language model and of both on top.

Command: ``python benchmarks/fewshot.py [--quick] [--only NAME] [--max-users N] [--refine MINUTES] [--draws N]
[--seed 0] [--out FILE]``. ``--quick`` asks 100 users on MovieLens-100K alone. What is done is kept, by commit, in the
cache, and isn't done again after an interrupt. ``python benchmarks/report.py`` draws the curves.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from cells import Cells as Kept
from cells import models_of, recommender_of
from coldstart.errors import CatalogueError, EvaluationError
from coldstart.evaluation import Cases, Events, System, ask, engine, observing, prepare, run
from coldstart.evaluation.datasets import load
from coldstart.recommender import Recommender
from coldstart.refining.schedule import Schedule
from lessons import Lessons
from peers import PEERS, as_system
from provenance import finish, print_table, provenance
from records import BOTH, REFINED, averaged

DATA = ("ml-100k", "x-wines", "steam")
FIRST = ("0", "100", "1000", "10000", "all")
FAVOURITES = (0, 1, 5)
SHOTS = (16, 64, 256)
PEERS_HERE = {"demographic popularity", "item-kNN", "EASE", "ALS", "TF-IDF"}


def main() -> None:
    """Measure, print the tables and the record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a look in minutes")
    parser.add_argument("--max-users", type=int, default=300, help="ask this many, drawn with the seed")
    parser.add_argument("--refine", type=float, metavar="MINUTES", help="refine the encoder as well, so long a cell")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", action="append", help="a data set's name, also of questions; may be repeated")
    parser.add_argument("--draws", type=int, default=5, help="how often examples of questions are drawn")
    parser.add_argument("--out", type=Path, help="write the record here as well")
    given = parser.parse_args()
    users = min(100, given.max_users) if given.quick else given.max_users
    cells, records = Kept.of_this_commit("fewshot"), []
    models: dict[str, str] = {}
    for data in given.only or (DATA[:1] if given.quick else DATA):
        try:
            load(data)
        except EvaluationError as missing:
            print(f"{data} is skipped: {missing}", file=sys.stderr)
            continue
        for shots in SHOTS if load(data).questions else ():
            key = {"data": data, "shots": shots, "questions": users, "seed": given.seed, "draws": given.draws}
            found = cells.get({**key, "refine": given.refine}, lambda: _answered(data, shots, users, given))  # noqa: B023
            models |= found.pop("models")
            print(
                f"\n{shots} shots of {data}: {found['questions']} questions, {found['draws']} draws, seed {given.seed}"
            )
            print_table(found.pop("table"))
            print("\n".join(f"{name}: {said}" for draw in found["refinements"] for name, said in draw.items()))
            records.append(found)
        for first in () if load(data).questions else FIRST:
            for favourites in FAVOURITES:
                protocol = f"growth({first}, {favourites})"
                key = {"data": data, "protocol": protocol, "users": users, "seed": given.seed}
                key |= {"refine": given.refine} if given.refine else {}
                found = cells.get(key, lambda: _measured(data, protocol, users, given))  # noqa: B023
                models |= found.pop("models")
                print(f"\n{protocol} on {data}: {found['users']} users, seed {given.seed}")
                print_table(found.pop("table"))
                records.append(found)
    finish({"benchmark": "fewshot", "seed": given.seed, "runs": records, **provenance(models)}, given.out)


def _measured(data: str, protocol: str, users: int, given: argparse.Namespace) -> dict[str, Any]:
    """Return one cell's record."""
    recommender, dataset = recommender_of(data), load(data)
    cases = prepare(
        dataset, protocol, Events.of(dataset.interactions, dataset.catalogue), max_users=users, seed=given.seed
    )
    systems = [observing(recommender) if len(cases.training) else engine(recommender, name="coldstart observed")]
    systems.append(engine(recommender))
    refinement = "" if not given.refine else _refined(recommender, cases, given, systems)
    peers = [peer for peer in PEERS if peer.name in PEERS_HERE and not peer.lacks(cases)]
    systems += [as_system(peer) for peer in peers]
    report = run(dataset, protocol, systems, max_users=users, seed=given.seed, measures=["ndcg@10"])
    told = {"refinement": refinement} if refinement else {}
    return {**report.to_json(), **told, "models": models_of(recommender), "table": report.table()}


def _answered(data: str, shots: int, users: int, given: argparse.Namespace) -> dict[str, Any]:
    """Return the record of one number of examples: means over draws."""
    recommender, dataset = recommender_of(data), load(data)
    found, refinements = [], []
    for seed in range(given.seed, given.seed + given.draws):
        lessons = Lessons(recommender, given.refine or 0.0, seed=seed)
        judges = lessons.judges() if given.refine else lessons.judges()[:1]
        told: dict[str, Any] = {"shots": shots, "max_questions": users, "seed": seed}
        found.append(ask(dataset, "pointwise", judges, **told).to_json())
        refinements.append(lessons.said)
    systems = {judge: averaged([each["systems"][judge] for each in found]) for judge in found[0]["systems"]}
    rows = [["AUC", "mean", *(f"draw {draw}" for draw in range(given.draws))]]
    by_draw = {judge: [each["systems"][judge]["auc"]["mean"] for each in found] for judge in systems}
    rows += [
        [judge, f"{systems[judge]['auc']['mean']:.3f}", *(f"{one:.3f}" for one in by_draw[judge])] for judge in systems
    ]
    return {
        **{name: value for name, value in found[0].items() if name not in {"summary", "differences"}},
        "systems": systems,
        "draws": given.draws,
        "by_draw": by_draw,
        "differences": [difference for each in found for difference in each["differences"]],
        "refinements": refinements,
        "models": models_of(recommender),
        "table": rows,
    }


def _refined(recommender: Recommender, cases: Cases, given: argparse.Namespace, systems: list[System]) -> str:
    """Enter the refined engine, alone and as it observes, and return what came of refining."""
    try:
        found = recommender.unlearned().refine(
            cases.training, schedule=Schedule(minutes=given.refine, seed=given.seed), profiles=cases.profiles
        )
    except CatalogueError as problem:  # too little was seen
        return f"not refined: {problem}"
    systems.append(engine(found.recommender, name=REFINED))
    systems.append(observing(found.recommender, name=BOTH))
    return str(found)


if __name__ == "__main__":
    main()
