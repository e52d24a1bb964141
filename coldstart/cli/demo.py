"""The command ``demo``."""

from __future__ import annotations

from pathlib import Path

import click

from coldstart.cli.options import FOLDER, as_json


@click.command()
@click.option("--index", "folder", type=FOLDER, help="Where to keep the index; the model cache if left out.")
@as_json
def demo(folder: Path | None, as_json: bool) -> None:
    """Index 1,007 real wines and recommend to three invented sign-ups."""
    from coldstart import demo as story
    from coldstart.recommender import Recommender
    from coldstart.terminal import bars, console, print_json, recommendations_json, recommendations_table
    from coldstart.wheels import cache_folder

    out = console()
    wines = story.wines()
    if not as_json:
        out.print(f"{len(wines)} wines, no ratings. The first run fetches two models and reads every wine: minutes.")
    place = folder or cache_folder() / "demo"
    with bars() as progress:
        recommender = Recommender.build(wines, path=place, progress=progress)
        grown = recommender.add([story.NEW_WINE], path=place.with_name(f"{place.name}-grown"), progress=progress)
    lists = {name: recommender.recommend(profile, k=5) for name, profile in story.SIGN_UPS.items()}
    audience = grown.audience(story.NEW_WINE.id, story.SIGN_UPS)
    if as_json:
        found = {name: recommendations_json(ranked) for name, ranked in lists.items()}
        suits = [{"name": suit.name, "rank": suit.rank, "of": suit.of} for suit in audience]
        print_json({"recommendations": found, "new_item": story.NEW_WINE.id, "audience": suits})
        return
    for name, ranked in lists.items():
        out.print(f"\n[bold]{name}[/]: {ranked.description}")
        out.print(recommendations_table(ranked, wines, explain=True))
    title = story.NEW_WINE.title
    out.print(f"\n[bold]A new wine[/], {title}: {grown.index.documents[-1]}")
    for suit in audience:
        out.print(f"  for {suit.name} it ranks {suit.rank} of {suit.of}")
