"""The command ``observe``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from coldstart.cli.options import (
    FILE,
    FOLDER,
    as_json,
    encoding_option,
    meanings_option,
    prompts_option,
    read_meanings,
)


@click.command()
@click.argument("folder", metavar="INDEX", type=FOLDER)
@click.option("--interactions", type=FILE, help="What people did: user_id, item_id and, if there are, event_value, ...")
@click.option("--users", type=FILE, help="What people said of themselves at sign-up: user_id and any other columns.")
@click.option("--forget", multiple=True, metavar="USER", help="Take back all that this user did; may be repeated.")
@click.option("--half-life", type=click.FloatRange(min=0, min_open=True), help="Days after which a like counts half.")
@meanings_option
@prompts_option
@encoding_option
@as_json
def observe(
    folder: Path,
    interactions: Path | None,
    users: Path | None,
    forget: tuple[str, ...],
    half_life: float | None,
    meanings: tuple[str, ...],
    prompts: tuple[Path, ...],
    encoding: str | None,
    as_json: bool,
) -> None:
    """Let an index learn from interactions: seconds of arithmetic, kept beside it, taken back for anyone who asks."""
    from coldstart.catalogue import Interactions
    from coldstart.profiles import read_profiles
    from coldstart.recommender import Recommender
    from coldstart.terminal import console, print_json

    if interactions is None and users is None and not forget:
        raise click.UsageError("say what to learn: --interactions FILE, --users FILE, or --forget USER")
    told = read_meanings(meanings)
    recommender = Recommender.load(folder, prompts=prompts)
    events = (
        Interactions.from_records([]) if interactions is None else Interactions.read(interactions, encoding=encoding)
    )
    profiles = None if users is None else read_profiles(users, encoding=encoding)
    observed = recommender.observe(events, half_life=half_life, meanings=told, profiles=profiles)
    gone = {user: recommender.forget(user) for user in forget}
    chosen = recommender.weigh()
    recommender.remember(folder)
    state = recommender.learned
    if as_json:
        print_json({"observed": asdict(observed), "forgotten": gone, "learned": state})
        return
    out = console()
    if interactions is not None:
        out.print(f"{interactions.name}: {observed}", markup=False)
    for user, count in gone.items():
        out.print(f"{user}: {count} events taken back", markup=False)
    out.print(f"{folder} has learned from {state['events']} events of {state['people']} people", markup=False)
    for one in chosen.chosen:
        out.print(f"  with {one.likes} known likes: {one}", markup=False)
    if state["described"]:
        out.print(f"  what people say of themselves tells of taste: {chosen.trust}", markup=False)
