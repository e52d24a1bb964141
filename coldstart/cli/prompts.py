"""The commands ``prompts list``, ``show``, ``render`` and ``check``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from coldstart.cli.options import FILE, as_json, encoding_option, kind_option, prompts_option
from coldstart.cli.people import profile_of, profile_options
from coldstart.errors import TemplateError


@click.group()
def prompts() -> None:
    """The templates: what the models are told about people and items."""


@prompts.command("list")
@prompts_option
@as_json
def list_prompts(prompts: tuple[Path, ...], as_json: bool) -> None:
    """Show the templates in use."""
    from coldstart.prompting import Library
    from coldstart.terminal import console, print_json, rows_table

    library = Library.load(prompts)
    if as_json:
        fields = ("name", "purpose", "version", "description", "hash", "source")
        print_json({"prompts": [{name: getattr(template, name) for name in fields} for template in library]})
        return
    cells = [[one.name, one.purpose, str(one.version), one.hash[:12], one.description] for one in library]
    console().print(rows_table([["name", "purpose", "version", "hash", "description"], *cells]))


@prompts.command("show")
@click.argument("name")
@prompts_option
def show_prompt(name: str, prompts: tuple[Path, ...]) -> None:
    """Print a template, what its variables mean and where it is from."""
    from coldstart.prompting import PURPOSES, Library

    template = Library.load(prompts).get(name)
    click.echo(f"# {template.name} ({template.purpose}, version {template.version}), {template.source}")
    click.echo(f"# {template.description}\n# hash {template.hash}")
    for part in template.parts:
        click.echo(f"\n[{part}]\n{getattr(template, part)}")
    click.echo("\n[variables]")
    for variable, meaning in PURPOSES[template.purpose].items():
        click.echo(f"{variable}: {meaning.meaning}")


@prompts.command("render")
@click.argument("name")
@profile_options
@click.option("--items", type=FILE, help="For a template of items: the catalogue.")
@click.option("--item", help="For a template of items: the item's id; the first if left out.")
@kind_option
@prompts_option
@encoding_option
def render_prompt(
    name: str,
    items: Path | None,
    item: str | None,
    kind: str | None,
    prompts: tuple[Path, ...],
    encoding: str | None,
    **who: Any,
) -> None:
    """Print what a template says of a person or an item."""
    from coldstart.catalogue import Catalogue
    from coldstart.prompting import Library, render

    library = Library.load(prompts)
    template = library.get(name)
    catalogue = Catalogue.read(items, kind=kind, encoding=encoding) if items else None
    kind = kind or (catalogue.kind if catalogue else "item")
    if template.purpose in ("item", "appeal-item"):
        if catalogue is None:
            raise TemplateError(f"{name!r} describes an item: name its catalogue with --items")
        chosen = catalogue[catalogue.row(item) if item else 0]
        click.echo(library.describe_item(chosen, kind=kind, template=name).text)
        return
    profile, context = profile_of(encoding=encoding, **who)
    titles = {one.id: one.title for one in catalogue.items} if catalogue else None
    if template.purpose == "user":
        said = library.describe_profile(profile, kind=kind, titles=titles, context=context, template=name)
        click.echo(said.text)
        return
    about = library.describe_profile(profile, kind=kind, titles=titles, context=context).text
    values = {"kind": kind, "description": about, "item": item or ""}
    known = {key: value for key, value in values.items() if key in _variables(template.purpose)}
    for part in template.parts:
        click.echo(render(template, known, part=part).text)


@prompts.command("check")
@click.argument("files", nargs=-1, required=True, type=FILE)
def check_prompts(files: tuple[Path, ...]) -> None:
    """Check template files: unknown variables, unsafe constructs, holes in the sentences."""
    from coldstart.prompting import Template, check

    problems = [problem for file in files for problem in check(Template.read(file))]
    if problems:
        raise TemplateError("\n".join(problems))
    click.echo(f"{len(files)} checked, nothing wrong")


def _variables(purpose: str) -> Sequence[str]:
    from coldstart.prompting import PURPOSES

    return list(PURPOSES[purpose])
