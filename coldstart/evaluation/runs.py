"""Put systems through a protocol: every user's scores become a ranking, every ranking its measures."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from coldstart.errors import EvaluationError
from coldstart.evaluation.cases import Case, Cases, Events
from coldstart.evaluation.datasets import Dataset
from coldstart.evaluation.metrics import DEFAULT_MEASURES, Floats, Hits, Measure, parse_measures, rank
from coldstart.evaluation.protocols import prepare
from coldstart.evaluation.report import Report
from coldstart.evaluation.splits import generator
from coldstart.evaluation.systems import BASELINES, System

Progress = Callable[[str, int, int], None]
"""Called with a system's name, the users done and the users there are."""


def run(
    dataset: Dataset,
    protocol: str,
    systems: Iterable[System] = (),
    *,
    max_users: int | None = None,
    seed: int = 0,
    measures: Iterable[Measure | str] = DEFAULT_MEASURES,
    relevant_from: float | None = None,
    progress: Progress | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Report:
    """Put systems, and the baselines beside them, through a protocol.

    Args:
        dataset: What to ask about.
        protocol: One of ``PROTOCOLS``.
        systems: What to compare; the first is also tested against each of the others, user by user.
        max_users: Ask this many, drawn with the seed; all if None.
        seed: Fixes the split, the users drawn, the ties and the intervals.
        measures: What to report; the first decides which baseline is best.
        relevant_from: The value from which an interaction is relevant; read off the values if None.
        progress: Told how far a system is, after each user.
        clock: Seconds from any start.

    Raises:
        EvaluationError: An unknown protocol, data it can't serve, two systems of one name, or scores of a
            wrong shape.
    """
    entered = (*systems, *BASELINES)
    names = [system.name for system in entered]
    if len(set(names)) < len(names):
        raise EvaluationError(f"the systems are named {', '.join(names)}: give each a name of its own")
    asked = parse_measures(measures)
    if not asked:
        raise EvaluationError("no measures: name at least one, such as ndcg@10")
    events = Events.of(dataset.interactions, dataset.catalogue, relevant_from=relevant_from)
    cases = prepare(dataset, protocol, events, max_users=max_users, seed=seed)
    values: dict[str, dict[str, Floats]] = {}
    seconds: dict[str, float] = {}
    for system in entered:
        start = clock()
        values[system.name] = evaluate(cases, system, asked, progress=progress)
        seconds[system.name] = clock() - start
    return Report(
        data=dataset.name,
        cases=cases,
        values=values,
        seconds=seconds,
        baselines=tuple(s.name for s in entered if s.baseline),
        oracles=tuple(s.name for s in entered if s.counts and cases.oracle),
        relevant_from=events.scale.relevant_from,
        outside=events.outside,
    )


def evaluate(
    cases: Cases, system: System, measures: Iterable[Measure], *, progress: Progress | None = None
) -> dict[str, NDArray[np.float64]]:
    """Return each measure's value per case, by the measure's name. Shape of each: ``(cases,)``."""
    asked = tuple(measures)
    hits: Hits = np.zeros((len(cases), max(measure.k for measure in asked)), dtype=np.bool_)
    answers = iter(system.scores(cases))
    for place, case in enumerate(cases):
        try:
            scores = next(answers)
        except StopIteration:
            raise EvaluationError(
                f"{system.name} answered {place} of {len(cases)} users: expected an array, or None, for each"
            ) from None
        if scores is not None:
            found = _hits(cases, case, np.asarray(scores), depth=hits.shape[1], name=system.name)
            hits[place, : found.size] = found
        if progress is not None:
            progress(system.name, place + 1, len(cases))
    relevant = np.array([case.relevant.size for case in cases])
    return {str(measure): measure(hits, relevant=relevant) for measure in asked}


def _hits(cases: Cases, case: Case, scores: NDArray[np.floating], *, depth: int, name: str) -> Hits:
    expected = len(cases.catalogue) if case.candidates is None else case.candidates.size
    if scores.shape != (expected,):
        raise EvaluationError(
            f"{name} gave user {case.user!r} scores of shape {scores.shape}: expected one per candidate, ({expected},)"
        )
    best = rank(scores, k=depth, rng=generator(cases.seed, "ties", case.user))
    return np.isin(best if case.candidates is None else case.candidates[best], case.relevant)
