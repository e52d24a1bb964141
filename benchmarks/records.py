"""The records that the benchmarks' ``--out`` wrote, run by run."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from coldstart.errors import EvaluationError
from coldstart.evaluation import Protocol
from coldstart.evaluation.comparisons import counted
from coldstart.evaluation.significance import Interval

NDCG = "ndcg@10"
OBSERVED, WORDS = "coldstart observed", "coldstart"
REFINED, BOTH = "refined", "refined and observed"
OURS = (BOTH, OBSERVED, REFINED, WORDS)
BASELINES = ("popularity", "random")
ABLATIONS = ("without appeal",)
"""Variants of ours, which aren't shown beside peers."""

SCRIPTS = (
    "quality", "asking", "fewshot", "elicitation", "refining", "speed", "precision", "naming", "distilling", "listwise",
    "enrichment", "questions", "page", "scale", "service",
)  # fmt: skip
"""The benchmarks whose records are shown."""

INFINITY = float("inf")


class Run(NamedTuple):
    """One run, and the record and the file it comes from; a record without runs is one."""

    file: str
    record: Mapping[str, Any]
    found: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """What it is about: one of those that ``report.py`` has words on."""
        if self.found.get("reranked"):
            return "reranking"
        if self.record["benchmark"] == "quality":
            return "answers" if "shots" in self.found else "rankings"
        if "shots" in self.found:
            return "lessons"
        return {"fewshot": "growth"}.get(self.record["benchmark"], str(self.record["benchmark"]))

    @property
    def title(self) -> str:
        """What one table holds: a data set's runs with one seed, questions of different protocols apart; or a file."""
        about = [self.found.get("data", self.file)]
        if self.kind in ("answers", "lessons"):
            about.append(self.found["protocol"])
        return ", ".join([*about, f"seed {self.found['seed']}"])

    @property
    def key(self) -> tuple[Any, ...]:
        """What was measured; no two runs may say it."""
        about = (self.found.get(name) for name in ("protocol", "shots", "style", "observed"))
        return (self.kind, self.title, *about)

    @property
    def numbers(self) -> tuple[float, float]:
        """How many interactions a growing platform has seen, and how many favourites are stated; infinity is all."""
        numbers = Protocol.parse(self.found["protocol"]).numbers
        seen, stated = (INFINITY if number is None else float(number) for number in numbers)
        return seen, stated

    @property
    def systems(self) -> list[str]:
        """Those that are shown, in the order they were entered."""
        return [name for name in self.found["systems"] if name not in ABLATIONS]

    def honest(self, *, without: Iterable[str] = ()) -> list[str]:
        """Return the systems shown that are no oracles."""
        return [name for name in self.systems if name not in without and not self.found["systems"][name].get("oracle")]

    def value(self, system: str, measure: str = NDCG) -> Interval:
        """Return a system's mean with its interval, NaN where it isn't defined."""
        found = self.found["systems"][system][measure]
        return Interval(*(float("nan") if found[part] is None else found[part] for part in Interval._fields))

    @property
    def rival(self) -> str:
        """The honest system with the best mean that isn't ours, baselines included."""
        return max(self.honest(without=OURS), key=lambda name: self.value(name).mean)

    @property
    def standing(self) -> int:
        """1 if ours is above the rival, -1 if below, 0 if the interval of their paired difference holds 0.

        Raises:
            EvaluationError: The two weren't compared.
        """
        for d in self.found["differences"]:
            if (d["system"], d["against"], d["measure"]) == (OBSERVED, self.rival, NDCG):
                return 0 if d["low"] is None else (d["low"] > 0) - (d["high"] < 0)
        raise EvaluationError(
            f"{self.file} doesn't compare {OBSERVED} with {self.rival} in {self.found['protocol']}, {self.title}: "
            f"enter {OBSERVED} first, and measure anew"
        )


def averaged(draws: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the means over draws of each measure's mean and interval; None where a draw has none."""
    found: dict[str, Any] = {"abstained": sum(draw["abstained"] for draw in draws)}
    for measure in (measure for measure in draws[0] if measure != "abstained"):
        parts = {part: [draw[measure][part] for draw in draws] for part in draws[0][measure]}
        found[measure] = {
            part: None if None in values else round(sum(values) / len(values), 6) for part, values in parts.items()
        }
    return found


Runs = Mapping[str, list[Run]]
"""Runs by title, each a table's."""


def read(folder: Path) -> dict[str, Runs]:
    """Return a folder's runs by kind, then by title; kinds without runs are missing.

    The runs of a platform that grows stand by what it has seen, then by the favourites stated; others in the order of
    the files' names and of the runs in them.

    Raises:
        EvaluationError: No folder, a file that isn't a record, or two runs that say the same.
    """
    if not folder.is_dir():
        raise EvaluationError(f"{folder} is no folder: expected the one that the benchmarks' --out writes to")
    seen: dict[tuple[Any, ...], Run] = {}
    found: dict[str, dict[str, list[Run]]] = defaultdict(lambda: defaultdict(list))
    for run in (run for benchmark in SCRIPTS for run in _runs(folder, benchmark)):
        if other := seen.get(run.key):
            raise EvaluationError(f"{other.file} and {run.file} both hold {run.key}: expected one of them; remove one")
        seen[run.key] = run
        found[run.kind][run.title].append(run)
    for runs in found["growth"].values():
        runs.sort(key=lambda run: run.numbers)
    return {kind: dict(by_title) for kind, by_title in found.items() if by_title}


def _runs(folder: Path, benchmark: str) -> Iterator[Run]:
    for path in sorted(folder.glob(f"{benchmark}*.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise EvaluationError(f"{path} isn't JSON ({error}): write it with {benchmark}.py --out") from error
        if not isinstance(record, dict) or record.get("benchmark") != benchmark:
            raise EvaluationError(f"{path} isn't a record of {benchmark}.py: write it with that script's --out")
        results = record.get("results")
        runs = record.get("runs", results if isinstance(results, list) else [record])
        yield from (Run(path.name, record, run) for run in runs)


def how_many(number: float) -> str:
    """Return a number of interactions in words.

    >>> how_many(10_000), how_many(INFINITY)
    ('10,000', 'all')
    """
    return "all" if number == INFINITY else f"{number:,.0f}"


def favourites(number: float) -> str:
    """Return a number of favourites in words.

    >>> favourites(0), favourites(1), favourites(INFINITY)
    ('no favourites', '1 favourite', 'all favourites')
    """
    return counted(int(number), "favourite") if 0 < number < INFINITY else f"{'all' if number else 'no'} favourites"
