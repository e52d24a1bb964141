"""The command ``index``."""

from __future__ import annotations

from pathlib import Path

import click

from coldstart.cli.options import (
    FILE,
    FOLDER,
    as_json,
    chosen_models,
    encoding_option,
    kind_option,
    model_options,
    prompts_option,
)


@click.command()
@click.argument("items", type=FILE)
@click.option("--out", required=True, type=FOLDER, help="The index's folder; one that is there is updated.")
@kind_option
@model_options
@prompts_option
@encoding_option
@as_json
def index(
    items: Path,
    out: Path,
    kind: str | None,
    encoder: str | None,
    language_model: str | None,
    no_language_model: bool,
    device: str,
    dtype: str,
    prompts: tuple[Path, ...],
    encoding: str | None,
    as_json: bool,
) -> None:
    """Read a catalogue and index it; only what is new since the last time is computed."""
    from coldstart.catalogue import Catalogue
    from coldstart.terminal import bars, print_json

    catalogue = Catalogue.read(items, kind=kind, encoding=encoding)
    chosen = chosen_models(encoder, language_model, no_language_model)
    from coldstart.recommender import Recommender

    with bars() as progress:
        built = Recommender.build(
            catalogue, path=out, prompts=prompts, device=device, dtype=dtype, progress=progress, **chosen
        )
    manifest = built.index.manifest
    if as_json:
        print_json({"index": str(out), "weights": built.weights, **manifest})
        return
    click.echo(f"{out}: {len(catalogue)} items of kind {catalogue.kind!r}")
    if built.index.appeal is not None:
        known = built.index.appeal.knowledge
        weight = built.weights["appeal"]
        click.echo(
            f"the language model's knowledge of this catalogue is {known:.3f}: its appeal prior weighs {weight:.2f}"
        )
    if sample := manifest.get("sample"):
        click.echo(
            f"it read {sample['titles']} titles; of the others appeal is estimated, whose order agrees to"
            f" {sample['order']:.2f} with what it would say (rank correlation, on titles left out)"
        )
