"""The command ``refine``."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from coldstart.cli.options import FILE, FOLDER, as_json, encoding_option, prompts_option
from coldstart.cli.people import conditions
from coldstart.errors import AdapterError

if TYPE_CHECKING:
    from coldstart.refining.refinement import Refinement


@click.command()
@click.argument("folder", metavar="INDEX", type=FOLDER)
@click.option("--interactions", type=FILE, required=True, help="Who liked what: user_id, item_id, timestamp, ...")
@click.option("--users", type=FILE, help="Who the users said they were, so that this is learned from too.")
@click.option(
    "--model",
    type=click.Choice(["encoder", "language"]),
    default="encoder",
    show_default=True,
    help="What learns: the bi-encoder, or the language model its yes and no.",
)
@click.option(
    "--objective",
    type=click.Choice(["answers", "pairs", "lists"]),
    help="By what the language model learns: each answer (as it is if not said), or the order of one person's.",
)
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), default=15.0, show_default=True)
@click.option("--passes", type=click.FloatRange(min=0, min_open=True), help="Over the examples, at most: 10 and 3.")
@click.option("--batch", type=click.IntRange(min=2), help="Pairs of items a step, or questions: 128 and 16.")
@click.option("--hard", type=click.IntRange(min=0), help="Items close to a step's own, as negatives beside them: 0.")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="The largest learning rate: 5e-4 and 3e-4.")
@click.option("--rank", type=click.IntRange(min=1), help="Of each weight's change: 16 and 8.")
@click.option("--search", type=click.IntRange(min=1), help="Try so many settings, each for --minutes; needs Optuna.")
@click.option(
    "--segment",
    multiple=True,
    metavar="NAME=VALUE|JSON",
    help="Whom it learns from, and answers: a condition on their fields, such as country=Brazil; needs --users.",
)
@click.option("--hold", is_flag=True, help="Keep the adapter, but don't use it yet: for a service's index.")
@click.option("--tensorboard", type=FOLDER, help="Write the curves of training there, for TensorBoard.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--device", default="cpu", show_default=True, help='A torch device: "cpu", "cuda", "mps".')
@prompts_option
@encoding_option
@as_json
def refine(
    folder: Path,
    interactions: Path,
    users: Path | None,
    model: str,
    objective: str | None,
    minutes: float,
    passes: float | None,
    batch: int | None,
    hard: int | None,
    rate: float | None,
    rank: int | None,
    search: int | None,
    segment: tuple[str, ...],
    hold: bool,
    tensorboard: Path | None,
    seed: int,
    device: str,
    prompts: tuple[Path, ...],
    encoding: str | None,
    as_json: bool,
) -> None:
    """Train an adapter of one of an index's models on what people liked; it is used only if it ranks better.

    Some users are held out, and judge. A run that is stopped goes on where it was when the same command is given again.
    """
    from coldstart.catalogue import Interactions
    from coldstart.profiles import read_profiles
    from coldstart.recommender import Recommender
    from coldstart.refining.lora import Shape
    from coldstart.refining.schedule import LANGUAGE, Schedule
    from coldstart.terminal import bars

    if search is not None and model == "language":
        raise AdapterError("--search tries settings of the bi-encoder alone: leave it out, or refine that")
    if hard and model == "language":
        raise AdapterError("--hard is of the bi-encoder, which is told items apart: leave it out, or refine that")
    if objective and model == "encoder":
        raise AdapterError("--objective is of the language model: leave it out, or add --model language")
    if segment and (model == "language" or users is None):
        raise AdapterError("--segment is of the bi-encoder, and needs --users to know who belongs to it")
    rule = conditions(segment, "--segment") or None
    recommender = Recommender.load(folder, prompts=prompts, device=device)
    events = Interactions.read(interactions, encoding=encoding)
    profiles = None if users is None else read_profiles(users, encoding=encoding)
    given: dict[str, Any] = {"minutes": minutes, "passes": passes, "batch": batch, "rate": rate, "seed": seed}
    given["hard"] = hard
    schedule = replace(
        LANGUAGE if model == "language" else Schedule(),
        **{name: value for name, value in given.items() if value is not None},
    )
    how: dict[str, Any] = {"profiles": profiles, "path": folder, "schedule": schedule, "hold": hold}
    how["tensorboard"] = tensorboard
    if rank is not None:
        how["shape"] = Shape(rank=rank, alpha=2 * rank)
    with bars() as progress:
        if model == "language":
            how["objective"] = objective or "answers"
            found = recommender.refine_language(interactions=events, progress=progress, **how)
        else:
            found = recommender.refine(events, search=search or 0, segment=rule, progress=progress, **how)
    report(found, folder, events=interactions.name, hold=hold, as_json=as_json)


def report(found: Refinement, folder: Path, *, events: str, hold: bool, as_json: bool) -> None:
    """Print what came of refining an index, or of distilling, by the events of a file."""
    from coldstart.refining.segments import told
    from coldstart.terminal import console, print_json

    if as_json:
        trained = None if found.trained is None else {**asdict(found.trained), "losses": len(found.trained.losses)}
        about = {"promoted": found.promoted, "version": found.version, **found.verdict.told(), **found.told}
        print_json({**about, "trained": trained})
        return
    out = console()
    out.print(f"{events}: {found}", markup=False)
    if agreement := found.told.get("agreement"):
        before, after = (f"{agreement[when]:.2f}" for when in ("before", "after"))
        how = f"{before} by closeness to likes, {after} as learned (Spearman, people held out)"
        out.print(f"order agrees with the language model's: {how}", markup=False)
    if found.told.get("unknown"):
        out.print(f"{found.told['unknown']:,} events are with items that the catalogue lacks", markup=False)
    if found.promoted and hold:
        out.print(f"adapter {found.version} is kept with {folder}, and isn't in use", markup=False)
    elif found.promoted and (rule := found.told.get("segment")):
        undo = f"`coldstart adapters withdraw {folder} {found.version}` undoes it"
        out.print(f"{folder} now answers {told(rule)} with adapter {found.version}; {undo}", markup=False)
    elif found.promoted:
        other = " --model language" if found.told.get("kind") == "language" else ""
        undo = f"`coldstart adapters rollback {folder}{other}` undoes it"
        out.print(f"{folder} now uses adapter {found.version}; {undo}", markup=False)
