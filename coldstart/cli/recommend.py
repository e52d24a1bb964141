"""The commands ``recommend``, from a person to items, and ``audience``, from items to people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from coldstart.cli.options import FILE, FOLDER, as_json, encoding_option, prompts_option
from coldstart.cli.people import conditions, profile_of, profile_options


@click.command()
@click.argument("index", type=FOLDER)
@profile_options
@click.option("-k", default=10, show_default=True, help="How many items.")
@click.option(
    "--where", multiple=True, metavar="NAME=VALUE|JSON", help='A condition: type=Red, {"year": {"min": 1990}}.'
)
@click.option("--exclude", multiple=True, metavar="ID", help="An item that must not come back.")
@click.option("--candidate", "candidates", multiple=True, metavar="ID", help="Rank only these; may be repeated.")
@click.option("--language", default=0, metavar="N", help="Let the language model read the best N again; 0 for none.")
@click.option("--named", default=0, metavar="N", help="Let it name N items of its own beside those; 0 for none.")
@click.option("--enriched", is_flag=True, help="Read what `coldstart enrich` chose beside items' and people's words.")
@click.option("--explain", is_flag=True, help="Say why each is there, and what each scorer gave.")
@click.option(
    "--dtype",
    type=click.Choice(["float32", "bfloat16", "float16", "auto"]),
    help="What the models multiply; what they did for the index if left out.",
)
@prompts_option
@encoding_option
@as_json
def recommend(
    index: Path,
    k: int,
    where: tuple[str, ...],
    exclude: tuple[str, ...],
    candidates: tuple[str, ...],
    language: int,
    named: int,
    enriched: bool,
    explain: bool,
    dtype: str | None,
    prompts: tuple[Path, ...],
    encoding: str | None,
    as_json: bool,
    **who: Any,
) -> None:
    """Rank an index's items for one person; say nothing of them to see what appeals to anyone."""
    from coldstart.recommender import Recommender
    from coldstart.terminal import console, print_json, recommendations_json, recommendations_table

    profile, context = profile_of(encoding=encoding, **who)
    recommender = Recommender.load(index, prompts=prompts, dtype=dtype)
    if enriched:
        recommender = recommender.enriched(index)
    found = recommender.recommend(
        profile,
        context=context,
        k=k,
        where=conditions(where, "--where") or None,
        exclude=exclude,
        candidates=candidates or None,
        language=language,
        named=named,
        explain=explain,
    )
    if as_json:
        print_json(recommendations_json(found))
        return
    for note in (*found.notes, found.fallback_reason):
        if note:
            click.echo(f"note: {note}", err=True)
    out = console()
    if found.description:
        out.print(found.description, markup=False)
    if len(found):
        out.print(recommendations_table(found, recommender.catalogue, explain=explain))


@click.command()
@click.argument("index", type=FOLDER)
@click.argument("items", type=FILE)
@click.option("--users", required=True, type=FILE, help="The people to compare.")
@click.option("-k", default=10, show_default=True, help="How many people for each item.")
@prompts_option
@encoding_option
@as_json
def audience(
    index: Path, items: Path, users: Path, k: int, prompts: tuple[Path, ...], encoding: str | None, as_json: bool
) -> None:
    """Tell whom new items suit: in whose list of the whole catalogue each would stand highest."""
    from coldstart.catalogue import Catalogue, read_profiles
    from coldstart.recommender import Recommender
    from coldstart.terminal import bars, console, print_json, rows_table

    recommender = Recommender.load(index, prompts=prompts)
    new = Catalogue.read(items, kind=recommender.catalogue.kind, encoding=encoding)
    profiles = read_profiles(users, encoding=encoding)
    with bars() as progress:
        grown = recommender.add(new.items, progress=progress)
    found = {item.id: grown.audience(item.id, profiles)[:k] for item in new.items}
    if as_json:
        plain = {id_: [{"name": s.name, "rank": s.rank, "of": s.of} for s in suits] for id_, suits in found.items()}
        print_json({"audience": plain})
        return
    rows = [[item.title or item.id, s.name, f"{s.rank} of {s.of}"] for item in new.items for s in found[item.id]]
    console().print(rows_table([["item", "user", "rank"], *rows]))
