"""What a run found: every user's value of every measure, and from them intervals, tests, a table and JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np

from coldstart.evaluation.cases import Cases
from coldstart.evaluation.metrics import Floats
from coldstart.evaluation.significance import Difference, Interval, bootstrap_intervals, comparisons


@dataclass(frozen=True, slots=True)
class Comparison:
    """How much better one system is than another by one measure, on the same users."""

    system: str
    against: str
    measure: str
    difference: Difference


@dataclass(frozen=True, eq=False)
class Report:
    """The outcome of a run.

    Attributes:
        data: The data set's name.
        cases: What was asked.
        values: System to measure to one value per case, in the cases' order. Shape of each: ``(cases,)``.
        seconds: System to how long it took to score and rank all cases.
        baselines: The systems that the others are tested against.
        oracles: The systems that saw counts nobody may see.
        relevant_from: The value from which an interaction was relevant; None if every one was.
        outside: How many interactions were ignored because the catalogue lacks their item.
    """

    data: str
    cases: Cases
    values: Mapping[str, Mapping[str, Floats]]
    seconds: Mapping[str, float]
    baselines: tuple[str, ...]
    oracles: tuple[str, ...]
    relevant_from: float | None
    outside: int

    @property
    def users(self) -> tuple[str, ...]:
        """The ids of the users asked, in the order of ``values``."""
        return tuple(case.user for case in self.cases)

    @cached_property
    def intervals(self) -> Mapping[str, Mapping[str, Interval]]:
        """System to measure to its mean over users with a 95 % bootstrap interval."""
        keys = [(system, measure) for system, by_measure in self.values.items() for measure in by_measure]
        table = np.column_stack([self.values[system][measure] for system, measure in keys])
        found: dict[str, dict[str, Interval]] = {system: {} for system in self.values}
        for (system, measure), interval in zip(keys, bootstrap_intervals(table, seed=self.cases.seed), strict=True):
            found[system][measure] = interval
        return found

    @property
    def best_baseline(self) -> str:
        """The honest baseline with the highest mean of the first measure; empty if there is none."""
        honest = [name for name in self.baselines if name not in self.oracles]
        return max(honest, key=self._headline, default="")

    @cached_property
    def comparisons(self) -> tuple[Comparison, ...]:
        """Paired tests by every measure.

        Each system against the best honest baseline and against every oracle; the first system against each
        of the others.
        """
        entered = [name for name in self.values if name not in self.baselines]
        rivals = [name for name in (self.best_baseline, *self.oracles) if name]
        pairs = [*product(entered, rivals), *((entered[0], other) for other in entered[1:])]
        keys = [(a, b, measure) for a, b in pairs for measure in self.values[a]]
        if not keys:
            return ()
        table = np.column_stack([self.values[a][measure] - self.values[b][measure] for a, b, measure in keys])
        return tuple(
            Comparison(*key, difference)
            for key, difference in zip(keys, comparisons(table, seed=self.cases.seed), strict=True)
        )

    def _headline(self, system: str) -> float:
        return float(next(iter(self.values[system].values())).mean())

    def to_json(self) -> dict[str, Any]:
        """Return what ``json.dumps`` takes: plain numbers and text, rounded to 6 digits after the point."""
        return {
            "protocol": self.cases.protocol,
            "data": self.data,
            "seed": self.cases.seed,
            "users": len(self.cases),
            "eligible_users": self.cases.eligible,
            "items": len(self.cases.catalogue),
            "systems": {
                system: {
                    **({"oracle": True} if system in self.oracles else {}),
                    **{measure: _plain(interval) for measure, interval in by_measure.items()},
                }
                for system, by_measure in self.intervals.items()
            },
            "best_baseline": self.best_baseline,
            "differences": [
                {"system": c.system, "against": c.against, "measure": c.measure, **_plain(c.difference)}
                for c in self.comparisons
            ],
            "seconds": {system: round(seconds, 3) for system, seconds in self.seconds.items()},
            "relevant_from": self.relevant_from,
            "outside_catalogue": self.outside,
            "split": self.cases.hash,
            "catalogue": self.cases.catalogue.hash,
        }

    def table(self) -> list[list[str]]:
        """Return the header and a row a system, as text: the mean of each measure with its interval.

        Oracles are marked; systems stand in the order they were entered.
        """
        measures = list(next(iter(self.values.values())))
        rows = [["system", *measures, "seconds"]]
        for system, by_measure in self.intervals.items():
            name = f"{system} (oracle)" if system in self.oracles else system
            cells = [f"{i.mean:.3f} [{i.low:.3f}, {i.high:.3f}]" for i in by_measure.values()]
            rows.append([name, *cells, f"{self.seconds[system]:.1f}"])
        return rows

    def comparison_table(self) -> list[list[str]]:
        """Return the header and a row a paired test of the first measure, as text; the header alone if none."""
        first = next(iter(next(iter(self.values.values()))))
        rows = [["system", "against", f"difference in {first}", "p"]]
        for c in self.comparisons:
            if c.measure == first:
                d = c.difference
                rows.append([c.system, c.against, f"{d.mean:+.3f} [{d.low:+.3f}, {d.high:+.3f}]", f"{d.p:.4f}"])
        return rows


def _plain(values: Interval | Difference) -> dict[str, float]:
    return {name: round(value, 6) for name, value in values._asdict().items()}
