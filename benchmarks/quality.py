"""How good are rankings, from nothing known on, beside what a user would run instead?

Method: the protocols of ``coldstart.evaluation`` on public data, one set of defaults for all data. Beside the engine
as it is from words alone ("coldstart") stand the engine once it observed what a platform knows ("coldstart observed"),
the engine without its appeal prior, the peers of ``benchmarks/peers``, each tuned on validation users that were
hidden from what may be learned from, random, and the known popularity (an oracle in system-cold and new-item: it has
seen the very interactions that are asked for). Every two systems are compared user by user. Games and books are indexed
without the language model: there, only words rank.

What was chosen on what: scorers, their weights and the appeal prior's curve on LLMRank's validation users (none of the
6,000 reported), Steam's purchases, TALLRec's book validation rows, and random splits of MovieLens-100K and X-Wines
other than the reported ones (seeds 10 and up against 0); so were the collaborative scorer's constants and its curve.
Appeal prompts by how much known popularity of Steam and MovieLens-100K items they capture on random halves of the
catalogues.

Command: ``python benchmarks/quality.py [--quick] [--only NAME] [--protocol P] [--without PEER] [--max-users N]
[--seed N] [--out FILE]``.
``--quick`` asks 100 users on the data that is always there, without the slow peers. Prompted reranking takes half a
minute a user on one core: it stands beside ours and semantic search in runs of its own, on 50 users. A data set that
is missing is skipped with a line that says how to get it, a peer that has nothing to answer from with the reason.
What is done is kept, by commit, in the cache, and isn't done again after an interrupt. Where answered examples are
given ("shots"), they are drawn ten times and the means over the draws reported.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from cells import Cells, models_of, recommender_of
from coldstart.errors import EvaluationError
from coldstart.evaluation import Events, ask, engine, engine_judge, observing, prepare, run
from coldstart.evaluation.datasets import load
from coldstart.evaluation.verdicts import MEASURES
from peers import PEERS, RERANKERS, as_system
from peers.semantic import SemanticSearch
from provenance import finish, print_table, provenance
from records import averaged

ALWAYS = (
    ("ml-100k", "system-cold"),
    ("ml-100k", "new-user(0)"),
    ("ml-100k", "new-user(1)"),
    ("ml-100k", "new-user(5)"),
    ("ml-100k", "new-item"),
    ("x-wines", "new-user(1)"),
    ("x-wines", "new-user(5)"),
    ("x-wines", "new-item"),
)
FROM_A_FOLDER = (
    ("llmrank-games", "candidates"),
    ("steam", "new-user(1)"),
    ("steam", "new-user(5)"),
    ("tallrec-movie", "pointwise"),
    ("tallrec-book", "pointwise"),
    ("uci-restaurant-consumer", "context"),
    ("uci-invehicle-coupon", "context"),
)
RERANKED = (("ml-100k", "new-user(5)"), ("llmrank-games", "candidates"))
"""Where a language model that is prompted to rank, as people write it today, is put beside ours."""
RERANKED_USERS = 50
SHOTS = {"pointwise": (0, 16, 64, 256), "context": (0, 250)}
DRAWS = 10
"""How many times the examples are drawn anew; what is reported is the mean over them, intervals' ends as well."""

SLOW = {"LightFM", "BPR"}


def main() -> None:
    """Measure, print the tables and the record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a look in minutes")
    parser.add_argument("--without", action="append", default=[], help="a peer to leave out; may be repeated")
    parser.add_argument("--max-users", type=int, help="ask only this many, drawn with the seed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", action="append", help="a data set's name; may be repeated")
    parser.add_argument("--protocol", action="append", help="a protocol as it prints; may be repeated")
    parser.add_argument("--out", type=Path, help="write the record here as well")
    given = parser.parse_args()
    if given.quick:
        given.max_users = given.max_users or 100
    cells, records = Cells.of_this_commit("quality"), []
    models: dict[str, str] = {}
    asked = [(*pair, False) for pair in (ALWAYS if given.quick else (*ALWAYS, *FROM_A_FOLDER))]
    asked += [(*pair, True) for pair in (() if given.quick else RERANKED)]
    for data, protocol, reranked in asked:
        wanted = not given.only or data in given.only
        if not wanted or (given.protocol and protocol not in given.protocol):
            continue
        try:
            load(data)
        except EvaluationError as missing:
            print(f"{data} is skipped: {missing}", file=sys.stderr)
            continue
        for shots in SHOTS.get(protocol, (None,)):
            key = {"data": data, "protocol": protocol, "shots": shots, "users": given.max_users, "seed": given.seed}
            key |= {"quick": given.quick, "without": sorted(given.without), "reranked": reranked}
            found = cells.get(key, lambda: _measured(given, data, protocol, shots, reranked))  # noqa: B023
            _show(found)
            models |= found.pop("models")
            records.append(found)
    finish({"benchmark": "quality", "seed": given.seed, "runs": records, **provenance(models)}, given.out)


def _measured(given: argparse.Namespace, data: str, protocol: str, shots: int | None, reranked: bool) -> dict[str, Any]:
    """Return one run's record."""
    if shots is not None:
        return _answered(given, data, protocol, shots)
    recommender, dataset = recommender_of(data), load(data)
    max_users = min(given.max_users or RERANKED_USERS, RERANKED_USERS) if reranked else given.max_users
    systems = [engine(recommender)]
    if recommender.index.appeal is not None and not reranked:
        systems.append(engine(recommender.reweighted({"appeal": 0.0}), name="without appeal"))
    cases = prepare(
        dataset, protocol, Events.of(dataset.interactions, dataset.catalogue), max_users=max_users, seed=given.seed
    )
    if len(cases.training) and not reranked:
        systems.append(observing(recommender))
    skipped = {}
    for peer in (*RERANKERS, SemanticSearch()) if reranked else PEERS:
        lacks = "slow, and this is a quick look" if given.quick and peer.name in SLOW else peer.lacks(cases)
        lacks = "left out by --without" if peer.name in given.without else lacks
        if lacks:
            skipped[peer.name] = lacks
        else:
            systems.append(as_system(peer))
    report = run(dataset, protocol, systems, max_users=max_users, seed=given.seed)
    chosen = {system.name: system.chosen for system in systems if hasattr(system, "chosen")}
    return {
        **report.to_json(),
        **({"reranked": True} if reranked else {}),
        "chosen": chosen,
        "skipped": skipped,
        "knowledge": recommender.index.manifest["knowledge"],
        "appeal_weight": recommender.weights["appeal"],
        "models": models_of(recommender),
        "tables": [report.table(), report.comparison_table()],
    }


def _answered(given: argparse.Namespace, data: str, protocol: str, shots: int) -> dict[str, Any]:
    recommender, dataset = recommender_of(data), load(data)
    draws = DRAWS if shots and not given.quick else 1
    verdicts = [
        ask(dataset, protocol, [engine_judge(recommender)], shots=shots, max_questions=given.max_users, seed=seed)
        for seed in range(given.seed, given.seed + draws)
    ]
    found = [each.to_json() for each in verdicts]
    systems = {judge: averaged([each["systems"][judge] for each in found]) for judge in found[0]["systems"]}
    rows = [["system", *MEASURES]]
    for judge, values in systems.items():
        rows.append([judge, *("-" if values[m]["mean"] is None else f"{values[m]['mean']:.3f}" for m in MEASURES)])
    by_draw = {judge: [each["systems"][judge][found[0]["headline"]]["mean"] for each in found] for judge in systems}
    return {
        **{name: value for name, value in found[0].items() if name not in {"summary", "differences"}},
        "systems": systems,
        "draws": draws,
        "by_draw": by_draw,
        "differences": [difference for each in found for difference in each["differences"]],
        "models": models_of(recommender),
        "tables": [rows],
    }


def _show(found: dict[str, Any]) -> None:
    asked = (
        f"{found['users']} users"
        if "shots" not in found
        else f"{found['questions']} questions, {found['shots']} shots, {found['draws']} draws"
    )
    print(f"\n{found['protocol']} on {found['data']}: {asked}, seed {found['seed']}")
    for table in found.pop("tables"):
        print_table(table)
    for name, why in found.get("skipped", {}).items():
        print(f"skipped: {name}: {why}")


if __name__ == "__main__":
    main()
