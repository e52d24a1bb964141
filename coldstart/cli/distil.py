"""The command ``distil``."""

from __future__ import annotations

from pathlib import Path

import click

from coldstart.cli.options import FILE, FOLDER, as_json, encoding_option, prompts_option
from coldstart.cli.refine import report


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
    from coldstart.terminal import bars

    recommender = Recommender.load(folder, prompts=prompts)
    events = Interactions.read(interactions, encoding=encoding)
    schedule = Schedule(minutes=minutes, seed=seed)
    with bars() as progress:
        found = recommender.distil(events, people=people, path=folder, schedule=schedule, hold=hold, progress=progress)
    report(found, folder, events=interactions.name, hold=hold, as_json=as_json)
