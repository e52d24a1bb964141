"""The command ``distil``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from coldstart.cli.options import FILE, FOLDER, as_json, encoding_option, prompts_option


@click.command()
@click.argument("folder", metavar="INDEX", type=FOLDER)
@click.option("--interactions", type=FILE, required=True, help="Who liked what: user_id, item_id, timestamp, ...")
@click.option(
    "--people",
    type=click.IntRange(min=4),
    default=200,
    show_default=True,
    help="How many the language model reads titles for, at most.",
)
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), default=15.0, show_default=True)
@click.option("--hold", is_flag=True, help="Keep what was learned, but don't use it yet: for a service's index.")
@click.option("--seed", type=int, default=0, show_default=True)
@prompts_option
@encoding_option
@as_json
def distil(
    folder: Path,
    interactions: Path,
    people: int,
    minutes: float,
    hold: bool,
    seed: int,
    prompts: tuple[Path, ...],
    encoding: str | None,
    as_json: bool,
) -> None:
    """Learn what the language model makes of people's likes, for lists without it; used only if it ranks better.

    It reads titles for some people, which takes seconds each. Others are held out, and judge.
    """
    from coldstart.catalogue import Interactions
    from coldstart.recommender import Recommender
    from coldstart.refining.schedule import Schedule
    from coldstart.terminal import bars, console, print_json

    recommender = Recommender.load(folder, prompts=prompts)
    events = Interactions.read(interactions, encoding=encoding)
    schedule = Schedule(minutes=minutes, seed=seed)
    with bars() as progress:
        found = recommender.distil(events, people=people, path=folder, schedule=schedule, hold=hold, progress=progress)
    if as_json:
        trained = None if found.trained is None else {**asdict(found.trained), "losses": len(found.trained.losses)}
        about = {"promoted": found.promoted, "version": found.version, **found.verdict.told(), **found.told}
        print_json({**about, "trained": trained})
        return
    out = console()
    out.print(f"{interactions.name}: {found}", markup=False)
    if agreement := found.told.get("agreement"):
        before, after = (f"{agreement[when]:.2f}" for when in ("before", "after"))
        how = f"{before} by closeness to likes, {after} as learned (Spearman, people held out)"
        out.print(f"order agrees with the language model's: {how}", markup=False)
    if found.promoted and hold:
        out.print(f"adapter {found.version} is kept with {folder}, and isn't in use", markup=False)
    elif found.promoted:
        undo = f"`coldstart adapters rollback {folder}` undoes it"
        out.print(f"{folder} now uses adapter {found.version}; {undo}", markup=False)
