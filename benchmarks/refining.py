"""What does refining add to what words and arithmetic give, and how fast does it train?

Method: for each data set and protocol the engine is refined on what may be learned from, with the shipped settings and
a budget of minutes; where the next item is asked, on nothing of any user who could be asked. Zero-shot, observed,
refined and both then answer the same cases, and are compared user by user. An adapter that its gate doesn't let through
leaves the ranking as it is, and the record says so. The rate is that of training steps on a data set's own pairs, in
turns with sentence-transformers' trainer and PEFT: the same pairs, batch, rank, learning rate and number of steps; both
then show the loss on the same pairs that were held out.

Command: ``python benchmarks/refining.py [--quick] [--without-rate] [--only NAME] [--minutes M] [--max-users N]
[--seed N] [--out F]``. ``--quick`` measures the rate alone, with few steps. Time it on a machine that does nothing
else, or leave it out.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from cells import Cells as Kept
from cells import models_of, recommender_of
from coldstart.catalogue import Interactions
from coldstart.errors import EvaluationError
from coldstart.evaluation import Cases, Events, System, engine, observing, prepare, run
from coldstart.evaluation.datasets import Dataset, load
from coldstart.refining import lora
from coldstart.refining.examples import Examples, Lesson, lesson
from coldstart.refining.lora import Shape
from coldstart.refining.schedule import Schedule
from coldstart.terminal import bars
from provenance import finish, print_table, provenance
from records import BOTH, REFINED

RUNS = (
    ("ml-100k", "new-item"),
    ("ml-100k", "new-user(5)"),
    ("x-wines", "new-item"),
    ("x-wines", "new-user(5)"),
    ("llmrank-games", "candidates"),
)
STEPS, TURNS = 30, 3


def main() -> None:
    """Measure, print the tables and the record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="the rate alone, with few steps")
    parser.add_argument("--without-rate", action="store_true", help="leave out how fast it trains")
    parser.add_argument("--only", action="append", help="a data set's name; may be repeated")
    parser.add_argument("--minutes", type=float, default=15.0, help="of training, at most")
    parser.add_argument("--max-users", type=int, default=1000, help="ask this many, drawn with the seed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="write the record here as well")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    cells, records = Kept.of_this_commit("refining"), []
    models: dict[str, str] = {}
    for data, protocol in () if given.quick else RUNS:
        if given.only and data not in given.only:
            continue
        try:
            load(data)
        except EvaluationError as missing:
            print(f"{data} is skipped: {missing}", file=sys.stderr)
            continue
        key = {"data": data, "protocol": protocol, "users": given.max_users, "minutes": given.minutes}
        found = cells.get({**key, "seed": given.seed}, lambda: _measured(given, data, protocol))  # noqa: B023
        models |= found.pop("models")
        print(f"\n{protocol} on {data}: {found['users']} users, seed {given.seed}; {found['refinement']}")
        for table in found.pop("tables"):
            print_table(table)
        records.append(found)
    rate = None if given.without_rate else _timed(given)
    finish(
        {"benchmark": "refining", "seed": given.seed, "runs": records, "rate": rate, **provenance(models)}, given.out
    )


def _timed(given: argparse.Namespace) -> dict[str, Any]:
    """Measure how fast it trains, and print it."""
    rate = _rates("ml-100k" if not given.only else given.only[0], 6 if given.quick else STEPS, given.seed)
    rows = [["", "pairs a second", "held-out loss"]]
    rows += [[name, f"{told['pairs_per_s']:.1f}", f"{told['held_out']:.4f}"] for name, told in rate["trainers"].items()]
    print_table(rows)
    print(f"ours is {rate['ratio']:.2f} times as fast; before training the loss was {rate['before']:.4f}")
    return rate


def _measured(given: argparse.Namespace, data: str, protocol: str) -> dict[str, Any]:
    """Return one run's record."""
    recommender, dataset = recommender_of(data), load(data)
    events = Events.of(dataset.interactions, dataset.catalogue)
    cases = prepare(dataset, protocol, events, max_users=given.max_users, seed=given.seed)
    with bars() as progress:
        found = recommender.unlearned().refine(
            of_others(dataset, cases), schedule=Schedule(minutes=given.minutes, seed=given.seed), progress=progress
        )
    systems: list[System] = [
        observing(found.recommender, name=BOTH),
        engine(found.recommender, name=REFINED),
        observing(recommender),
        engine(recommender),
    ]
    report = run(dataset, protocol, systems, max_users=given.max_users, seed=given.seed, measures=["ndcg@10"])
    return {
        **report.to_json(),
        "refinement": str(found),
        "promoted": found.promoted,
        "told": found.told,
        "trained": None if found.trained is None else {**asdict(found.trained), "losses": ()},
        "models": models_of(recommender),
        "tables": [report.table(), report.comparison_table()],
    }


def of_others(dataset: Dataset, cases: Cases) -> Interactions:
    """Return what refining may learn from: where the next item is asked, nothing of anyone who could be asked.

    Their histories are known when they are asked, and so are in what may be learned from; an adapter that saw them
    would know the very people that it is measured by. In the other protocols new users' events aren't there anyway,
    and of new items there are none.
    """
    if cases.protocol != "candidates":
        return cases.training
    asked = set(dataset.given) or {case.user for case in cases}
    others = np.array([user not in asked for user in cases.training.user_ids], np.bool_)
    return cases.training.take(others[cases.training.users])


def _rates(data: str, steps: int, seed: int) -> dict[str, Any]:
    """Return how many pairs a second our loop and sentence-transformers' trainer take, in turns."""
    recommender, dataset = recommender_of(data), load(data)
    rows = {id_: row for row, id_ in enumerate(recommender.catalogue.ids)}
    taught = lesson(dataset.interactions, rows, seed=seed)
    schedule = Schedule(minutes=1e6, passes=1e6, every=10**9, patience=10**9, batch=64, seed=seed)
    count = steps * schedule.batch
    chosen = np.random.default_rng(seed).permutation(len(taught.taught))[:count]
    taught = replace(taught, taught=_taken(taught.taught, chosen))
    schedule = replace(schedule, passes=steps * schedule.batch / len(taught.taught))
    trainers: dict[str, Callable[..., tuple[float, float, float]]] = {
        "ours": _ours,
        "SentenceTransformerTrainer": _theirs,
    }
    times: dict[str, list[tuple[float, float, float]]] = {name: [] for name in trainers}
    for _ in range(TURNS):
        for name, trainer in trainers.items():
            times[name].append(trainer(recommender, taught, schedule, steps))
    told = {
        name: {
            "pairs_per_s": steps * schedule.batch / statistics.median(seconds for seconds, _, _ in found),
            "held_out": statistics.median(after for _, _, after in found),
        }
        for name, found in times.items()
    }
    return {
        "data": data,
        "steps": steps,
        "batch": schedule.batch,
        "trainers": told,
        "before": times["ours"][0][1],
        "ratio": told["ours"]["pairs_per_s"] / told["SentenceTransformerTrainer"]["pairs_per_s"],
    }


def _taken(examples: Examples, places: Any) -> Examples:
    return replace(
        examples,
        anchors=examples.anchors[places],
        positives=examples.positives[places],
        owners=examples.owners[places],
    )


def _ours(recommender: Any, taught: Lesson, schedule: Schedule, steps: int) -> tuple[float, float, float]:
    """Train with our loop; return seconds, and the loss on what is held out before and after."""
    from coldstart.refining.tower import Tower
    from coldstart.refining.training import train

    encoder, documents = recommender.encoder.base, recommender.index.documents
    model, _ = lora.attached(encoder, Shape(), seed=schedule.seed)
    used = np.unique(np.concatenate([taught.taught.anchors, taught.taught.positives]))
    begun = time.perf_counter()
    tower = Tower(model, used, [documents[row] for row in used], learning=_learning(model), prompt=None)
    nobody = _taken(taught.held_out, np.empty(0, np.int64))
    done = train(tower, taught.taught, nobody, recommender.index.mean, schedule)
    seconds = time.perf_counter() - begun
    if done.steps != steps:
        raise RuntimeError(f"{done.steps} steps were taken: expected {steps}")
    tower.restore()
    return seconds, _held_out(recommender, encoder.model, taught), _held_out(recommender, model, taught)


def _theirs(recommender: Any, taught: Lesson, schedule: Schedule, steps: int) -> tuple[float, float, float]:
    """Train with sentence-transformers' trainer and PEFT; return the same."""
    from datasets import Dataset
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    documents = recommender.index.documents
    model, _ = lora.attached(recommender.encoder.base, Shape(), seed=schedule.seed)
    pairs = Dataset.from_dict(
        {
            "anchor": [documents[row] for row in taught.taught.anchors],
            "positive": [documents[row] for row in taught.taught.positives],
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        arguments = SentenceTransformerTrainingArguments(
            output_dir=folder,
            max_steps=steps,
            per_device_train_batch_size=schedule.batch,
            learning_rate=schedule.rate,
            lr_scheduler_type="cosine",
            warmup_steps=max(1, steps // 10),
            seed=schedule.seed,
            use_cpu=True,
            report_to=[],
            save_strategy="no",
            disable_tqdm=True,
            logging_strategy="no",
            dataloader_drop_last=True,
        )
        loss = MultipleNegativesRankingLoss(model, scale=1.0 / schedule.temperature)
        trainer = SentenceTransformerTrainer(model=model, args=arguments, train_dataset=pairs, loss=loss)
        begun = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - begun
    return seconds, 0.0, _held_out(recommender, model, taught)


def _learning(model: Any) -> int:
    return lora.first_learning(lora.transformer(model), Shape())


def _held_out(recommender: Any, model: Any, taught: Lesson) -> float:
    """Return the loss of a model on pairs that were held out, by the measure that training uses."""
    import torch

    from coldstart.refining.training import Loss

    documents, encoder = recommender.index.documents, type(recommender.encoder)
    held_out = _taken(taught.held_out, np.random.default_rng(0).permutation(len(taught.held_out))[:512])
    rows = np.unique(np.concatenate([held_out.anchors, held_out.positives]))
    vectors = torch.from_numpy(encoder(model.eval()).encode([documents[row] for row in rows]))
    loss = Loss(
        recommender.index.mean,
        taught.taught.counts,
        [set(user.likes) for user in held_out.users],
        temperature=Schedule().temperature,
    )

    def looked_up(wanted: Iterable[int]) -> Any:
        return vectors[np.searchsorted(rows, np.asarray(wanted))]

    parts = [slice(start, start + 128) for start in range(0, len(held_out), 128)]
    found = [loss(looked_up, held_out.anchors[p], held_out.positives[p], held_out.owners[p]) for p in parts]
    return float(np.mean([float(each) for each in found]))


if __name__ == "__main__":
    main()
