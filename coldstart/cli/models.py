"""The commands ``models list``, ``pull`` and ``verify``."""

from __future__ import annotations

import click

from coldstart.cli.options import as_json


@click.group()
def models() -> None:
    """The pretrained models: which there are, fetching and checking them."""


@models.command("list")
@as_json
def list_models(as_json: bool) -> None:
    """Show the known models and those in the cache."""
    from coldstart.models import list_models as rows_of_models
    from coldstart.terminal import console, print_json, rows_table

    rows = rows_of_models()
    if as_json:
        fields = ("name", "role", "state", "size", "licence", "hash")
        print_json({"models": [{name: getattr(row, name) for name in fields} for row in rows]})
        return
    cells = [[row.name, row.role, row.state, f"{row.size / 1e6:.0f} MB", row.licence, row.hash[:12]] for row in rows]
    console().print(rows_table([["name", "role", "state", "size", "licence", "hash"], *cells]))


@models.command()
@click.argument("names", nargs=-1)
@click.option("--force", is_flag=True, help="Fetch again what is there.")
def pull(names: tuple[str, ...], force: bool) -> None:
    """Fetch models into the cache; without names, the default pair."""
    from coldstart.models import DEFAULT_ENCODER, DEFAULT_LANGUAGE_MODEL
    from coldstart.models import pull as fetch

    for name in names or (DEFAULT_ENCODER, DEFAULT_LANGUAGE_MODEL):
        found = fetch(name, force=force)
        click.echo(f"{name}: {found.path} ({found.hash[:12]})")


@models.command("verify")
@click.argument("names", nargs=-1)
def verify_models(names: tuple[str, ...]) -> None:
    """Compare the files of models with their SHA-256; without names, all in the cache."""
    from coldstart.errors import ModelError
    from coldstart.models import list_models as rows_of_models
    from coldstart.models import verify

    problems = []
    for name in names or [row.name for row in rows_of_models() if row.state != "not pulled"]:
        found = verify(name)
        problems += [f"{name}: {problem}" for problem in found]
        if not found:
            click.echo(f"{name}: whole")
    if problems:
        raise ModelError("; ".join(problems) + "; run `coldstart models pull --force` with the name")
