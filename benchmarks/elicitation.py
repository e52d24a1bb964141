"""What are questions to a new user worth, and does it matter which are asked?

Method: the elicitation protocol (see :mod:`coldstart.evaluation.elicitation`): new users answer truthfully from half of
what they did, and NDCG@10 on the other half is taken after each of five questions. The questions by expected gain stand
beside what is usual, asking about popular, uncertain and random items, and beside ablations that ask about chips as
well, as ours do, at random and by entropy; with the interactions of the other users and with none at all; with several
options to a question, the same number for all strategies, and with one thing at a time. Each fifth of the users is new
in turn. Constants were chosen on seeds 11 to 13, on MovieLens-100K and X-Wines: whoever was new there isn't asked.

Command: ``python benchmarks/elicitation.py [--quick] [--only NAME] [--max-users N] [--folds 5] [--seed 0] [--out
FILE]``. ``--quick`` asks 30 users on MovieLens-100K. What is done is kept, by commit, in the cache, and isn't done
again after an interrupt.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cells import Cells, models_of, recommender_of
from coldstart.evaluation.cases import Events
from coldstart.evaluation.datasets import load
from coldstart.evaluation.elicitation import SINGLE, STRATEGIES, elicit, newcomers
from provenance import finish, print_table, provenance

DATA = ("ml-100k", "x-wines")
CHOSEN_ON = (11, 12, 13)
STYLES = {"several at once": STRATEGIES, "one at a time": SINGLE}


def main() -> None:
    """Measure, print the tables and the record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a look in minutes")
    parser.add_argument("--max-users", type=int, default=1000, help="ask this many, drawn with the seed")
    parser.add_argument("--folds", type=int, default=5, help="how many fifths of the users are new, one after another")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", action="append", choices=DATA, help="a data set's name; may be repeated")
    parser.add_argument("--out", type=Path, help="write the record here as well")
    given = parser.parse_args()
    users = min(30, given.max_users) if given.quick else given.max_users
    folds = 1 if given.quick else given.folds
    cells, records = Cells.of_this_commit("elicitation"), []
    models: dict[str, str] = {}
    for data in given.only or (DATA[:1] if given.quick else DATA):
        for observed in (True, False):
            for style in STYLES:
                key = {"data": data, "observed": observed, "style": style, "users": users, "folds": folds}
                key["seed"] = given.seed
                how: dict[str, Any] = {"max_users": users, "folds": folds, "seed": given.seed}
                found = cells.get(key, lambda: _measured(data, observed, style, how))  # noqa: B023
                _show(found)
                records.append(found)
        models |= models_of(recommender_of(data))
    finish({"benchmark": "elicitation", "seed": given.seed, **provenance(models), "results": records}, given.out)


def _measured(data: str, observed: bool, style: str, how: Mapping[str, Any]) -> dict[str, Any]:
    dataset = load(data)
    events = Events.of(dataset.interactions, dataset.catalogue)
    known = {user for seed in CHOSEN_ON for user in newcomers(events, seed=seed)}
    found = elicit(dataset, recommender_of(data), observed=observed, strategies=STYLES[style], but=known, **how)
    return {"style": style, **found.to_json()}


def _show(found: dict[str, Any]) -> None:
    known = "the others' interactions" if found["observed"] else "no interactions"
    print(f"\n{found['data']}, {known}, {found['style']}, {found['users']} users: NDCG@10 after 0, 1, ... questions")
    rows = [["asking", *map(str, range(len(next(iter(found["systems"].values())))))]]
    rows += [[name, *(f"{one['mean']:.3f}" for one in means)] for name, means in found["systems"].items()]
    print_table(rows)
    print(found["summary"], flush=True)


if __name__ == "__main__":
    main()
