"""The command ``refine``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from coldstart.cli.options import FILE, FOLDER, as_json, encoding_option, prompts_option


@click.command()
@click.argument("folder", metavar="INDEX", type=FOLDER)
@click.option("--interactions", type=FILE, required=True, help="Who liked what: user_id, item_id, timestamp, ...")
@click.option("--users", type=FILE, help="Who the users said they were, so that this is learned from too.")
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), default=15.0, show_default=True)
@click.option("--passes", type=click.FloatRange(min=0, min_open=True), default=10.0, show_default=True)
@click.option("--batch", type=click.IntRange(min=2), default=128, show_default=True, help="Pairs of items a step.")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), default=5e-4, show_default=True)
@click.option("--rank", type=click.IntRange(min=1), default=16, show_default=True, help="Of each weight's change.")
@click.option("--hold", is_flag=True, help="Keep the adapter, but don't use it yet: for a service's index.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--device", default="cpu", show_default=True, help='A torch device: "cpu", "cuda", "mps".')
@prompts_option
@encoding_option
@as_json
def refine(
    folder: Path,
    interactions: Path,
    users: Path | None,
    minutes: float,
    passes: float,
    batch: int,
    rate: float,
    rank: int,
    hold: bool,
    seed: int,
    device: str,
    prompts: tuple[Path, ...],
    encoding: str | None,
    as_json: bool,
) -> None:
    """Train an adapter of an index's bi-encoder on what people liked; it is used only if it ranks better.

    Some users are held out, and judge. A run that is stopped goes on where it was when the same command is given again.
    """
    from coldstart.catalogue import Interactions
    from coldstart.profiles import read_profiles
    from coldstart.recommender import Recommender
    from coldstart.refining.lora import Shape
    from coldstart.refining.schedule import Schedule
    from coldstart.terminal import bars, console, print_json

    recommender = Recommender.load(folder, prompts=prompts, device=device)
    events = Interactions.read(interactions, encoding=encoding)
    profiles = None if users is None else read_profiles(users, encoding=encoding)
    schedule = Schedule(minutes=minutes, passes=passes, batch=batch, rate=rate, seed=seed)
    with bars() as progress:
        found = recommender.refine(
            events,
            profiles=profiles,
            path=folder,
            schedule=schedule,
            shape=Shape(rank=rank),
            hold=hold,
            progress=progress,
        )
    if as_json:
        trained = None if found.trained is None else {**asdict(found.trained), "losses": len(found.trained.losses)}
        told = {"promoted": found.promoted, "version": found.version, **found.verdict.told(), **found.told}
        print_json({**told, "trained": trained})
        return
    out = console()
    out.print(f"{interactions.name}: {found}", markup=False)
    if found.told["unknown"]:
        out.print(f"{found.told['unknown']:,} events are with items that the catalogue lacks", markup=False)
    if found.promoted and hold:
        out.print(f"adapter {found.version} is kept with {folder}, and isn't in use", markup=False)
    elif found.promoted:
        out.print(f"{folder} now uses adapter {found.version}; `coldstart adapters rollback {folder}` undoes it")
