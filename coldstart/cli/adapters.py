"""The commands ``adapters list|show|promote|rollback|assign|withdraw|remove``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from coldstart.cli.options import FOLDER, as_json, prompts_option
from coldstart.cli.people import conditions

if TYPE_CHECKING:
    from coldstart.refining.registry import Entry

_index = click.argument("folder", metavar="INDEX", type=FOLDER)
_version = click.argument("version")


@click.group()
def adapters() -> None:
    """See, choose and take back the adapters that `coldstart refine` made."""


@adapters.command("list")
@_index
@as_json
def list_adapters(folder: Path, as_json: bool) -> None:
    """List an index's adapters, oldest first."""
    from coldstart.refining import registry
    from coldstart.refining.segments import told
    from coldstart.terminal import console, print_json, rows_table

    entries = registry.listed(folder)
    if as_json:
        print_json([_plain(entry) for entry in entries])
        return
    rows = [
        [
            entry.version,
            "in use" if entry.promoted else "; ".join(map(told, entry.segments)),
            f"{entry.told.get('pairs', 0):,}",
            "language model" if entry.language else "encoder",
            f"{entry.told.get(f'present_{entry.measure}', 0.0):.3f} -> "
            f"{entry.told.get(f'refined_{entry.measure}', 0.0):.3f}",
        ]
        for entry in entries
    ]
    if rows:
        console().print(rows_table([["adapter", "", "examples", "of", "NDCG@10 or AUC of those held out"], *rows]))
    else:
        console().print(f"{folder} has no adapters: `coldstart refine {folder} --interactions FILE` makes one")


@adapters.command()
@_index
@_version
def show(folder: Path, version: str) -> None:
    """Print what made an adapter, as JSON."""
    from coldstart.refining import registry
    from coldstart.terminal import print_json

    name = registry.found(folder, version)
    entry = registry.entry(folder, name)
    registry.load(folder, name)
    print_json(_plain(entry))


@adapters.command()
@_index
@_version
@prompts_option
def promote(folder: Path, version: str, prompts: tuple[Path, ...]) -> None:
    """Put an adapter to use, in one step."""
    _use(folder, version, prompts)


@adapters.command()
@_index
@click.option("--model", type=click.Choice(["encoder", "language"]), default="encoder", show_default=True)
@prompts_option
def rollback(folder: Path, model: str, prompts: tuple[Path, ...]) -> None:
    """Put to use again what a model of the index had before the adapter it has."""
    if model == "encoder":
        _use(folder, None, prompts)
        return
    from coldstart.refining import registry
    from coldstart.terminal import console

    version = registry.hush(folder)
    console().print(f"the language model of {folder} now uses {version or 'no adapter'}", markup=False)


def _use(folder: Path, version: str | None, prompts: tuple[Path, ...]) -> None:
    from coldstart.recommender import Recommender
    from coldstart.refining import registry
    from coldstart.terminal import bars, console

    if version is not None and registry.entry(folder, version).language:
        name = registry.found(folder, version)
        registry.load(folder, name)
        registry.speak(folder, name)
        console().print(f"the language model of {folder} now uses {name}", markup=False)
        return
    recommender = Recommender.load(folder, prompts=prompts)
    with bars() as progress:
        if version is None:
            recommender.rolled_back(folder, progress=progress)
        else:
            recommender.promoted(folder, version, progress=progress)
    console().print(f"{folder} now uses {registry.promoted(folder) or 'no adapter'}", markup=False)


@adapters.command()
@_index
@_version
@click.option(
    "--where", multiple=True, required=True, metavar="NAME=VALUE|JSON", help="A condition on who asks: country=Brazil."
)
def assign(folder: Path, version: str, where: tuple[str, ...]) -> None:
    """Let an adapter answer a segment alone: those of whom conditions hold; the first rule that holds decides."""
    from coldstart.refining import segments
    from coldstart.terminal import console

    rule = conditions(where, "--where")
    name = segments.assign(folder, version, rule)
    console().print(f"{folder} now answers {segments.told(rule)} with {name}", markup=False)


@adapters.command()
@_index
@_version
def withdraw(folder: Path, version: str) -> None:
    """Let an adapter answer no segment any more."""
    from coldstart.refining import segments
    from coldstart.terminal import console

    for rule in segments.withdraw(folder, version):
        console().print(f"{folder} no longer answers {segments.told(rule)} with {version}", markup=False)


@adapters.command()
@_index
@_version
def remove(folder: Path, version: str) -> None:
    """Delete an adapter that isn't in use."""
    from coldstart.refining import registry
    from coldstart.terminal import console

    name = registry.found(folder, version)
    registry.remove(folder, name)
    console().print(f"{name} is gone", markup=False)


def _plain(entry: Entry) -> dict[str, Any]:
    return {**entry.told, "promoted": entry.promoted, "segments": [dict(where) for where in entry.segments]}
