"""Searching: which shape and schedule teach an adapter by which those who choose are ranked best, as Optuna tries them.

The first trial is what was asked for, the others are drawn around it by a tree-structured Parzen estimator (Bergstra et
al., "Algorithms for Hyper-Parameter Optimization", NeurIPS 2011). What was tried is kept in one small file, written in
one step: a search that was killed goes on with the trial it was at. Those who judge have no part in it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from coldstart import artefact
from coldstart.errors import AdapterError
from coldstart.refining.lora import TARGETS, Shape
from coldstart.refining.schedule import Schedule

log = logging.getLogger(__name__)

Found = TypeVar("Found")

Train = Callable[[int, Shape, Schedule], "tuple[Found, float]"]
"""From a trial's number, what learns and how, to what came of it and how good that is; more is better."""

UPPER = (0.34, 0.5, 1.0)
"""The shares of blocks that are tried."""


@dataclass(frozen=True, eq=False, slots=True)
class Searched(Generic[Found]):
    """What a search found.

    Attributes:
        found: What came of the best trial.
        shape: What learned in it.
        schedule: How it went.
        told: What a manifest says of the search.
    """

    found: Found
    shape: Shape
    schedule: Schedule
    told: dict[str, Any]


def searched(
    train: Train[Found],
    *,
    trials: int,
    shape: Shape,
    schedule: Schedule,
    path: Path | None = None,
    key: str = "",
) -> Searched[Found]:
    """Return the best of some trials.

    Args:
        train: Called for each trial, and once more for the best one if that was before an interrupt.
        trials: How many, at least one; those of an earlier search of the same count.
        shape: Of the first trial; ranks are tried from a quarter of its to four times that.
        schedule: Of the first trial; the rate, the temperature and the passes are tried around its own.
        path: A file that keeps what was tried.
        key: What that must be of: data and model.

    Raises:
        AdapterError: Optuna isn't installed, or no trial came to its end.
    """
    optuna = _optuna()
    space = _space(optuna, shape, schedule)
    mark = json.dumps([key, asdict(shape), asdict(schedule)])
    done, asked = _read(path, mark)
    best: tuple[float, Found] | None = None
    problem: AdapterError | None = None
    while len(done) < trials:
        study = optuna.create_study(
            direction="maximize", sampler=optuna.samplers.TPESampler(seed=schedule.seed + len(done))
        )
        study.add_trials([_told(optuna, each, space) for each in done])
        first = _params(shape, schedule) if not done else None
        if (fixed := asked or first) is not None:
            study.enqueue_trial(fixed)
        params, asked = study.ask(space).params, None
        _write(path, mark, done, params)
        try:
            found, quality = train(len(done) + 1, *_settings(params, shape, schedule))
        except AdapterError as raised:  # such as a rate at which the loss isn't finite
            problem = raised
            log.info("trial %d of %d: %s", len(done) + 1, trials, raised)
            done.append(Trial(params))
            continue
        done.append(Trial(params, quality))
        _write(path, mark, done, None)
        log.info("trial %d of %d: %.4f by %s", len(done), trials, quality, params)
        if best is None or quality > best[0]:
            best = quality, found
    values = [trial.quality for trial in done if trial.quality is not None]
    if not values:
        raise problem or AdapterError("no trial came to its end: refine with a lower learning rate")
    at = next(place for place, trial in enumerate(done) if trial.quality == max(values))
    settings = _settings(done[at].params, shape, schedule)
    again = best is None or best[0] < max(values)
    found = train(at + 1, *settings)[0] if again or best is None else best[1]
    told = {"trials": len(done), "best": at + 1, "qualities": [trial.quality for trial in done]}
    return Searched(found, *settings, told)


@dataclass(frozen=True, slots=True)
class Trial:
    """What was tried, and how good it was; None if it came to no end."""

    params: Mapping[str, Any] = field(default_factory=dict)
    quality: float | None = None


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as missing:
        raise AdapterError("a search needs Optuna: pip install 'coldstart[search]'") from missing
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _space(optuna: Any, shape: Shape, schedule: Schedule) -> dict[str, Any]:
    a = optuna.distributions
    return {
        "rank": a.IntDistribution(max(1, shape.rank // 4), 4 * shape.rank, log=True),
        "upper": a.CategoricalDistribution(sorted({*UPPER, shape.upper})),
        "targets": a.CategoricalDistribution(list(TARGETS)),
        "rate": a.FloatDistribution(schedule.rate / 5, schedule.rate * 5, log=True),
        "temperature": a.FloatDistribution(schedule.temperature / 2, schedule.temperature * 2, log=True),
        "passes": a.FloatDistribution(schedule.passes / 4, schedule.passes, log=True),
    }


def _params(shape: Shape, schedule: Schedule) -> dict[str, Any]:
    learning = {"rank": shape.rank, "upper": shape.upper, "targets": shape.targets}
    return {**learning, "rate": schedule.rate, "temperature": schedule.temperature, "passes": schedule.passes}


def _settings(params: Mapping[str, Any], shape: Shape, schedule: Schedule) -> tuple[Shape, Schedule]:
    rank = int(params["rank"])
    learning = {"rank": rank, "alpha": max(1, round(rank * shape.alpha / shape.rank))}
    how: dict[str, Any] = {name: float(params[name]) for name in ("rate", "temperature", "passes")}
    return Shape(**learning, upper=params["upper"], targets=params["targets"]), replace(schedule, **how)


def _told(optuna: Any, trial: Trial, space: dict[str, Any]) -> Any:
    state = optuna.trial.TrialState.FAIL if trial.quality is None else optuna.trial.TrialState.COMPLETE
    return optuna.trial.create_trial(state=state, value=trial.quality, params=dict(trial.params), distributions=space)


def _read(path: Path | None, mark: str) -> tuple[list[Trial], dict[str, Any] | None]:
    """Return the trials that came to their end, and what was tried when it stopped; nothing of another search."""
    if path is None or not path.exists():
        return [], None
    try:
        kept = json.loads(path.read_text("utf-8"))
        if kept["mark"] != mark:
            return [], None
        return [Trial(each["params"], each["quality"]) for each in kept["trials"]], kept["asked"]
    except (OSError, ValueError, KeyError, TypeError):
        return [], None  # damaged: it is searched anew


def _write(path: Path | None, mark: str, done: list[Trial], asked: dict[str, Any] | None) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = {"mark": mark, "trials": [asdict(each) for each in done], "asked": asked}
        artefact.replace(path, json.dumps(kept).encode())
