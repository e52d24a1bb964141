"""The command ``enrich``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from coldstart.cli.options import FILE, FOLDER, as_json, encoding_option, prompts_option


@click.command()
@click.argument("folder", metavar="INDEX", type=FOLDER)
@click.option("--users", type=FILE, help="People whose likes are summed up and whose words are said in other ways.")
@click.option(
    "--only",
    multiple=True,
    type=click.Choice(["summary", "profile", "rewrite"]),
    help="What to choose words for; all if left out; may be repeated.",
)
@prompts_option
@encoding_option
@as_json
def enrich(
    folder: Path,
    users: Path | None,
    only: tuple[Any, ...],
    prompts: tuple[Path, ...],
    encoding: str | None,
    as_json: bool,
) -> None:
    """Let the language model choose words about items and people, of their own; kept beside the index.

    They count where that is asked for: `coldstart recommend --enriched`. An interrupted run goes on where it was.
    """
    from coldstart.enriching import PURPOSES, Enrichment
    from coldstart.profiles import read_profiles
    from coldstart.recommender import Recommender
    from coldstart.terminal import bars, print_json

    uses = only or PURPOSES
    recommender = Recommender.load(folder, prompts=prompts)
    people = {} if users is None else read_profiles(users, encoding=encoding)
    with bars() as progress:
        words = recommender.enrich(folder, profiles=people.values(), uses=uses, progress=progress)
    enrichment = Enrichment(words, recommender.library, frozenset(uses))
    told = sum(map(bool, enrichment.summaries(recommender.catalogue)))
    if as_json:
        print_json({"index": str(folder), "summaries": told, "kept": len(words), **words.made_by})
        return
    items = len(recommender.catalogue)
    click.echo(f"{folder}: {told} of {items} items have a summary, and {len(words)} choices of the model are kept")
    click.echo("they count in `coldstart recommend --enriched`")
