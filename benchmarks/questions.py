"""How long does onboarding take to choose its next question, as the catalogue grows?

Method: invented wines (``invented.py``), with the vectors and the appeal of ``scale.py``; words alone, and after a
thousand people's twenty likes each were observed. Made-up people answer until nothing is asked any more: each chooses
of what they are offered about three things in ten, by a hash, so that the same are chosen on every machine; every other
one signs up with a sentence. Reported are the median and the 95th percentile of a question, sign-up sentences being
encoded anew each time, of a list after an answer, and the seconds before the first one. Each size in a fresh process,
on one thread, as the service runs. The bar: at 10,000 items the median question takes at most 50 ms.

    python benchmarks/questions.py --out benchmarks/results/questions.json
"""

from __future__ import annotations

import argparse
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

import coldstart as cs
from coldstart.encoding import Encoder
from coldstart.models import DEFAULT_ENCODER, DEFAULT_LANGUAGE_MODEL, resolve
from coldstart.onboarding import Question
from coldstart.wheels import cache_folder
from provenance import finish, print_table, provenance
from scale import Store, alone, assembled, prepare

SIZES = (1_000, 10_000)
BAR = (10_000, 50.0)
"""At so many items, milliseconds that the median question may take."""

PEOPLE, LIKES = 1_000, 20
WARMED, CHOSEN, OF = 3, 3, 10
Found = TypeVar("Found")


def liked(catalogue: cs.Catalogue, *, seed: int) -> list[cs.Interaction]:
    """Return what a thousand people like: few wines are liked by many, and many by few."""
    random = np.random.default_rng([seed, 3])
    share = random.pareto(1.0, len(catalogue)) + 0.1
    share /= share.sum()
    return [
        cs.Interaction(f"u{person}", catalogue.ids[row], value=5.0)
        for person in range(PEOPLE)
        for row in random.choice(len(catalogue), LIKES, replace=False, p=share)
    ]


def chosen(question: Question, person: int) -> list[str] | None:
    """Return what a made-up person chooses; no sentence."""
    if question.kind == "text":
        return None
    return [one.id for one in question.options if zlib.crc32(f"{person} {one.id}".encode()) % OF < CHOSEN]


def talked(asking: cs.Onboarding, person: int) -> tuple[list[float], list[float]]:
    """Return the seconds that each question took to choose, and each list after an answer."""
    text = f"a wine for evening {person} with friends" if person % 2 else ""
    dialogue = asking.start(cs.Profile(text=text))
    questions, lists = list[float](), list[float]()
    while True:
        took, question = _timed(lambda: asking.question(dialogue))  # noqa: B023
        questions.append(took)
        if question is None:
            return questions, lists
        dialogue = asking.answered(dialogue, question.id, chosen(question, person))
        lists.append(_timed(lambda: asking.suggestions(dialogue, k=10))[0])  # noqa: B023


def _timed(work: Callable[[], Found]) -> tuple[float, Found]:
    start = time.perf_counter()
    found = work()
    return time.perf_counter() - start, found


def measured(store: Store, size: int, people: int) -> dict[str, Any]:
    """Return what questions about so many items take, by what was observed."""
    import torch

    torch.set_num_threads(1)
    words = assembled(store, size, Encoder.load(resolve(DEFAULT_ENCODER)))
    observed = words.unlearned()
    observed.observe(liked(words.catalogue, seed=store.seed), now=0.0)
    found: dict[str, Any] = {}
    for name, recommender in (("words alone", words), ("observed", observed)):
        asking = cs.Onboarding(recommender, seed=store.seed)
        ready, _ = _timed(asking.warm)
        for person in range(WARMED):
            talked(asking, people + person)
        told = [talked(asking, person) for person in range(people)]
        questions = 1000.0 * np.concatenate([each for each, _ in told])
        lists = 1000.0 * np.concatenate([each for _, each in told])
        found[name] = {
            "p50_ms": round(float(np.median(questions)), 1),
            "p95_ms": round(float(np.quantile(questions, 0.95)), 1),
            "list_p50_ms": round(float(np.median(lists)), 1),
            "list_p95_ms": round(float(np.quantile(lists, 0.95)), 1),
            "ready_s": round(ready, 2),
            "questions": len(questions),
        }
    return found


def main() -> None:
    """Measure, print the table and the record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--people", type=int, default=30, help="who answers (default: 30)")
    parser.add_argument("--seed", type=int, default=0, help="draws the wines and the likes (default: 0)")
    parser.add_argument("--out", type=Path, help="also write the last line, JSON, to this file")
    given = parser.parse_args()
    store = Store(cache_folder() / "benchmarks" / "scale-data" / str(given.seed), given.seed)
    alone(prepare, store, SIZES[-1])
    results = {str(size): alone(measured, store, size, given.people) for size in SIZES}
    rows = [["items", "known", "question p50 ms", "p95", "list p50 ms", "p95", "before the first, s"]]
    rows += [
        [f"{int(size):,}", known, *(str(one[name]) for name in list(one)[:5])]
        for size, by_known in results.items()
        for known, one in by_known.items()
    ]
    print_table(rows)
    size, most = BAR
    worst = max(one["p50_ms"] for one in results[str(size)].values())
    kept = "within" if worst <= most else "over"
    print(f"\nat {size:,} items the median question takes {worst} ms: {kept} {most} ms")
    models = {one.name: one.hash for one in map(resolve, (DEFAULT_ENCODER, DEFAULT_LANGUAGE_MODEL))}
    finish({"benchmark": "questions", "seed": given.seed, **provenance(models), "results": results}, given.out)


if __name__ == "__main__":
    main()
