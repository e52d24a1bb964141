"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

FILE = click.Path(dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)

as_json = click.option("--json", "as_json", is_flag=True, help="Print one line of JSON instead of a table.")
prompts_option = click.option(
    "--prompts", multiple=True, type=FOLDER, help="A folder of templates over the built-in ones; may be repeated."
)
encoding_option = click.option("--encoding", help="Of text files, when it isn't UTF-8 or UTF-16: latin-1, cp1252, ...")
kind_option = click.option(
    "--kind", help='What an item is, in the singular: "movie", "wine". Read off the file if left out.'
)


meanings_option = click.option(
    "--meaning",
    "meanings",
    multiple=True,
    metavar="TYPE=MEANING",
    help="What events of a type say: like, dislike, rating, shown, ignore, or a weight from 0 to 1; may be repeated.",
)


def read_meanings(given: tuple[str, ...]) -> dict[str, str | float]:
    """Return what was told of types of events, by type."""
    found: dict[str, str | float] = {}
    for one in given:
        name, sign, said = one.rpartition("=")
        if not sign or not name:
            raise click.UsageError(f"--meaning {one!r}: expected TYPE=MEANING, such as view=0.3 or skip=dislike")
        try:
            found[name] = float(said)
        except ValueError:
            found[name] = said
    return found


def model_options(command: Command) -> Command:
    """Add the options that choose the models."""
    for option in (
        click.option(
            "--dtype",
            type=click.Choice(["float32", "bfloat16", "float16", "auto"]),
            default="float32",
            show_default=True,
            help="What the models multiply; auto: bfloat16 where that is a good deal faster, as measured.",
        ),
        click.option("--device", default="cpu", show_default=True, help='A torch device: "cpu", "cuda", "mps".'),
        click.option("--no-language-model", is_flag=True, help="Index without the appeal prior: much faster."),
        click.option("--language-model", help="Name, folder, hub id or pypi:package==version."),
        click.option("--encoder", help="The same, for the bi-encoder."),
    ):
        command = option(command)
    return command


def chosen_models(encoder: str | None, language_model: str | None, none: bool) -> dict[str, Any]:
    """Return the models that are named, by role; None for the language model that isn't wanted."""
    if none and language_model:
        raise click.UsageError("--language-model and --no-language-model exclude each other: give one")
    chosen: dict[str, Any] = {"encoder": encoder} if encoder else {}
    if none:
        chosen["language_model"] = None
    elif language_model:
        chosen["language_model"] = language_model
    return chosen
