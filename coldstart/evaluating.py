"""What ``coldstart evaluate`` does once its options are read: index, put through a protocol, show what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coldstart import __version__
from coldstart.errors import EvaluationError
from coldstart.evaluation import (
    POINTWISE,
    Dataset,
    Events,
    Protocol,
    Report,
    Verdicts,
    ask,
    engine,
    engine_judge,
    observing,
    prepare,
    run,
)
from coldstart.evaluation.comparisons import counted
from coldstart.evaluation.datasets import from_files, load
from coldstart.evaluation.elicitation import ELICITATION, QUESTIONS, elicit
from coldstart.recommender import Recommender
from coldstart.terminal import bars, console, print_json, rows_table
from coldstart.wheels import cache_folder

__all__ = ["Asked", "evaluate", "from_files", "load"]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a protocol is asked with.

    Attributes:
        protocol: A ranking protocol, or the name of a yes/no one.
        shots: How many answered examples may be learned from, in a yes/no protocol.
        most: How many users, or questions of a yes/no protocol, at most; all if None.
        by: Attributes of users that group the results of a ranking protocol.
    """

    protocol: Protocol | str
    shots: int = 0
    most: int | None = None
    by: tuple[str, ...] = ()

    @classmethod
    def parse(
        cls, protocol: str, *, shots: int | None = None, most: int | None = None, by: Sequence[str] = ()
    ) -> Asked:
        """Read a protocol as it is typed, and check that the rest goes with it.

        Raises:
            EvaluationError: An unknown protocol, shots for a ranking one, or groups for a yes/no one.
        """
        kinds = ", ".join(POINTWISE)
        name = protocol.strip().lower()
        if name == ELICITATION:
            if by or shots is not None:
                raise EvaluationError(f"{name} tells no groups apart and takes no examples: leave out --by and --shots")
            return cls(name, 0, most)
        if name in POINTWISE:
            if by:
                raise EvaluationError(f"--by {by[0]} with {name}: groups are told of ranking protocols; leave it out")
            return cls(name, shots or 0, most)
        try:
            ranking = Protocol.parse(protocol)
        except EvaluationError as problem:
            raise EvaluationError(f"{problem}; yes/no protocols are {kinds}") from None
        if shots is not None:
            raise EvaluationError(
                f"--shots {shots} with {ranking}: examples are for the yes/no protocols ({kinds}); leave it out, or "
                f"say how much a platform has seen: --protocol growth:{shots}"
            )
        return cls(ranking, 0, most, tuple(dict.fromkeys(by)))


def evaluate(
    dataset: Dataset,
    asked: Asked,
    *,
    models: Mapping[str, Any],
    without: Sequence[str] = (),
    seed: int = 0,
    folder_of_index: Path | None = None,
    prompts: Sequence[Path] = (),
    device: str = "cpu",
    dtype: str = "float32",
    as_json: bool = False,
) -> None:
    """Put a data set's index, and variants of it, through a protocol and print what came of it.

    Args:
        dataset: What to ask about.
        asked: What is asked.
        models: See :meth:`Recommender.build`.
        without: Scorers, each of which a variant does without.
        seed: Fixes all that is drawn.
        folder_of_index: Where the index is kept; in the cache if None.
        prompts: See :meth:`Recommender.build`.
        device: See :meth:`Recommender.build`.
        dtype: See :meth:`Recommender.build`.
        as_json: Whether the last line is JSON.

    Raises:
        EvaluationError: A protocol that the data can't serve, or an attribute that no user has.
    """
    _check_groups(dataset, asked.by)
    place = folder_of_index or place_of(dataset, models, dtype)
    with bars() as progress:
        recommender = Recommender.build(
            dataset.catalogue, path=place, prompts=prompts, device=device, dtype=dtype, progress=progress, **models
        )
        recommender.encoder  # noqa: B018 -- loaded now, so that the seconds told are those of ranking
    fresh = recommender.unlearned()  # what an index has observed may be what is asked for
    variants = {"coldstart": fresh}
    variants |= {f"without {name}": fresh.reweighted({name: 0.0}) for name in without}
    if asked.protocol == ELICITATION:
        found = _elicited(dataset, asked, fresh, seed)
    elif isinstance(asked.protocol, Protocol):
        report = _ranked(dataset, asked, variants, seed)
        _show_report(report, asked.by)
        found = report.to_json(by=asked.by)
    else:
        judges = [engine_judge(variant, name=name) for name, variant in variants.items()]
        verdicts = ask(dataset, asked.protocol, judges, shots=asked.shots, max_questions=asked.most, seed=seed)
        _show_verdicts(verdicts)
        found = verdicts.to_json()
    if as_json:
        print_json({**found, **_provenance(recommender)})


def _elicited(dataset: Dataset, asked: Asked, fresh: Recommender, seed: int) -> dict[str, Any]:
    """Ask new users with what the others did, and without; show both."""
    told = {}
    for observed in (True, False):
        one = elicit(dataset, fresh, questions=QUESTIONS, observed=observed, max_users=asked.most, seed=seed)
        users = counted(one.users, "user")
        known = "what others did is known" if observed else "no interactions are known"
        _show_line(f"{ELICITATION} on {one.data}: {users}, {known}, ndcg@10 after each question, seed {seed}")
        _show_tables(one.table(), one.comparison_table())
        _show_line(one.summary)
        told["observed" if observed else "zero_shot"] = one.to_json()
    return {"protocol": ELICITATION, "data": dataset.name, **told}


def _check_groups(dataset: Dataset, by: Sequence[str]) -> None:
    """Refuse an attribute that no user has, before anything takes time."""
    names = {name for profile in dataset.profiles.values() for name in profile.attributes}
    for attribute in by:
        if attribute not in names:
            told = ", ".join(sorted(names)) or "no attributes at all"
            raise EvaluationError(
                f"--by {attribute}: no user of {dataset.name} has it; expected one of theirs ({told})"
            )


def place_of(dataset: Dataset, models: Mapping[str, Any], dtype: str = "float32") -> Path:
    """Return where an index is kept; one without the language model must not replace one that took it minutes."""
    without = models.get("language_model", "default") is None
    numbers = "" if dtype == "float32" else f"-{dtype}"
    name = dataset.catalogue.hash[:16] + numbers + ("-no-language-model" if without else "")
    return cache_folder() / "evaluations" / name


def _ranked(dataset: Dataset, asked: Asked, variants: Mapping[str, Recommender], seed: int) -> Report:
    """Run the engine and its variants.

    Where something may be learned from, they observe that first, and the engine that observed nothing stands beside.
    """
    events = Events.of(dataset.interactions, dataset.catalogue)
    learnt = len(prepare(dataset, asked.protocol, events, max_users=1, seed=seed).training)
    known = {"coldstart observed" if name == "coldstart" else name: one for name, one in variants.items()}
    if learnt:
        systems = [*(observing(one, name=name) for name, one in known.items()), engine(variants["coldstart"])]
    else:
        systems = [engine(one, name=name) for name, one in variants.items()]
    with bars() as progress:
        return run(
            dataset,
            asked.protocol,
            systems,
            max_users=asked.most,
            seed=seed,
            progress=lambda system, done, total: progress(system, int(done > 0), total),
        )


def _show_report(report: Report, by: Sequence[str]) -> None:
    cases = report.cases
    users = _of(len(cases), cases.eligible, "user")
    learnt = counted(len(cases.training), "interaction")
    _show_line(
        f"{cases.protocol} on {report.data}: {users}, {counted(len(cases.catalogue), 'item')}, {learnt} to learn from, "
        f"seed {cases.seed}"
    )
    _show_tables(report.table(), report.comparison_table(), report.beyond_table(), *map(report.group_table, by))
    _show_line(report.summary)


def _show_verdicts(verdicts: Verdicts) -> None:
    asked = verdicts.questions
    questions = _of(len(asked), asked.eligible, "question")
    liked = f"{int(asked.liked.sum()):,} of them answered yes"
    shots = counted(len(asked.examples), "example")
    _show_line(
        f"{asked.protocol} on {verdicts.data}: {questions}, {liked}, {shots} to learn from, "
        f"{counted(len(asked.catalogue), 'item')}, seed {asked.seed}"
    )
    _show_tables(verdicts.table(), verdicts.comparison_table())
    _show_line(verdicts.summary)


def _show_line(text: str) -> None:
    console().print(text, markup=False)


def _show_tables(*tables: Sequence[Sequence[str]]) -> None:
    out = console()
    for rows in tables:
        if len(rows) > 1:
            out.print(rows_table(rows))
            out.print()


def _of(asked: int, eligible: int, noun: str) -> str:
    return counted(asked, noun) if asked == eligible else f"{asked:,} of {counted(eligible, noun)}"


def _provenance(recommender: Recommender) -> dict[str, Any]:
    manifest = recommender.index.manifest
    return {
        "version": __version__,
        "encoder": manifest["encoder"],
        "language_model": manifest["language_model"],
        "templates": manifest["templates"],
        "knowledge": manifest["knowledge"],
        "weights": recommender.weights,
    }
