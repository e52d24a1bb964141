"""The command ``evaluate``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from coldstart.cli.options import (
    FILE,
    FOLDER,
    chosen_models,
    encoding_option,
    kind_option,
    model_options,
    prompts_option,
)


class Listing(click.Option):
    """An option whose help ends with names that are only imported when it is shown."""

    def __init__(self, *given: Any, names: Callable[[], Iterable[str]], **options: Any) -> None:
        super().__init__(*given, **options)
        self._names = names

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return the option and its help, with the names."""
        shown, self.help = self.help, f"{self.help}: {', '.join(self._names())}."
        try:
            return super().get_help_record(ctx)
        finally:
            self.help = shown


def _data_sets() -> Iterable[str]:
    from coldstart.evaluation import DATASETS

    return DATASETS


def _protocols() -> Iterable[str]:
    from coldstart.evaluation import POINTWISE, PROTOCOLS

    return (*PROTOCOLS, "elicitation", *(f"{name} (yes/no)" for name in POINTWISE))


@click.command()
@click.option("--data", cls=Listing, names=_data_sets, help="A public data set")
@click.option(
    "--folder", type=FOLDER, help="Where that data set lies, if it isn't shipped or fetched; or $COLDSTART_DATA."
)
@click.option("--items", type=FILE, help="Your own catalogue.")
@click.option("--users", type=FILE, help="Your own users, if there is a file of them.")
@click.option(
    "--interactions", type=FILE, help="Your own interactions: what is asked for, and what may be learned from."
)
@kind_option
@click.option(
    "--protocol",
    default="system-cold",
    show_default=True,
    cls=Listing,
    names=_protocols,
    help="What is asked, with numbers as in new-user:5 and growth:1000:5",
)
@click.option("--shots", type=click.IntRange(min=0), help="How many answered examples yes/no protocols may learn from.")
@click.option(
    "--max-users",
    type=click.IntRange(min=1),
    help="Ask only this many users, or questions in yes/no protocols, drawn with the seed.",
)
@click.option("--seed", default=0, show_default=True, help="Fixes the split, what is drawn, ties and intervals.")
@click.option("--without", multiple=True, metavar="SCORER", help="Also run without this scorer: appeal, lexical, ...")
@click.option("--by", multiple=True, metavar="ATTRIBUTE", help="Also tell groups of users apart: gender, age, ...")
@click.option("--index", "folder_of_index", type=FOLDER, help="Keep the index here, and use the one that is there.")
@model_options
@prompts_option
@encoding_option
@click.option("--json", "as_json", is_flag=True, help="After the tables, print one line of JSON.")
def evaluate(
    data: str | None,
    folder: Path | None,
    items: Path | None,
    users: Path | None,
    interactions: Path | None,
    kind: str | None,
    encoding: str | None,
    protocol: str,
    shots: int | None,
    max_users: int | None,
    by: tuple[str, ...],
    **options: Any,
) -> None:
    """Measure rankings against what people did, beside random and the known popularity."""
    from coldstart import evaluating

    asked = evaluating.Asked.parse(protocol, shots=shots, most=max_users, by=by)
    if data is not None and items is None and interactions is None:
        dataset = evaluating.load(data, folder=folder)
    elif data is not None or items is None or interactions is None:
        raise click.UsageError("say what to evaluate on: --data NAME, or --items FILE with --interactions FILE")
    else:
        dataset = evaluating.from_files(items, interactions, users, kind, encoding=encoding)
    chosen = chosen_models(options.pop("encoder"), options.pop("language_model"), options.pop("no_language_model"))
    evaluating.evaluate(dataset, asked, models=chosen, **options)
