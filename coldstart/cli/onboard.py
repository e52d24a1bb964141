"""The command ``onboard``: a few questions in the terminal, and the first list they lead to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from coldstart.cli.options import FOLDER, as_json, encoding_option, prompts_option
from coldstart.cli.people import profile_of, profile_options

if TYPE_CHECKING:
    from rich.console import Console

    from coldstart.onboarding import Dialogue, Onboarding, Question, Suggestions

DONE = "done"


@click.command()
@click.argument("index", type=FOLDER)
@profile_options
@click.option("-k", default=12, show_default=True, help="How many items to suggest.")
@click.option("--seed", default=0, show_default=True, help="Fixes what is drawn for exploration.")
@prompts_option
@encoding_option
@as_json
def onboard(
    index: Path,
    k: int,
    seed: int,
    prompts: tuple[Path, ...],
    encoding: str | None,
    as_json: bool,
    **who: Any,
) -> None:
    """Ask a new person what raises their first list most, and suggest.

    Answer with the numbers of options ("1 3"), with words where words are asked for, with Enter to skip or "done" to
    stop. Answers may come from a pipe, a line each.
    """
    from rich.console import Console

    from coldstart.onboarding import Onboarding
    from coldstart.recommender import Recommender
    from coldstart.terminal import console, print_json

    profile, _ = profile_of(encoding=encoding, **{**who, "context": ()})
    asking = Onboarding(Recommender.load(index, prompts=prompts), seed=seed)
    asking.warm()
    out = Console(stderr=True, highlight=False) if as_json else console()
    dialogue = _talk(asking, asking.start(profile), out)
    found = asking.suggestions(dialogue, k=k)
    if as_json:
        print_json({**found.to_dict(), "dialogue": dialogue.to_dict(), "ending": asking.ending(dialogue)})
    else:
        _show(found, out)


def _talk(asking: Onboarding, dialogue: Dialogue, out: Console) -> Dialogue:
    """Ask until nothing is worth asking, or until the person, or the pipe, is done."""
    while (question := asking.question(dialogue)) is not None:
        _ask(question, out)
        while True:
            try:
                said = input().strip()
            except EOFError:
                return dialogue
            if said.casefold() == DONE:
                return dialogue
            value = _read(question, said)
            if value is not ...:
                break
            out.print(f"[red]Expected numbers from 1 to {len(question.options)}, Enter or {DONE}.[/]")
        dialogue = asking.answered(dialogue, question.id, value)
    out.print(f"[dim]No more questions: {asking.ending(dialogue)}.[/]")
    return dialogue


def _ask(question: Question, out: Console) -> None:
    from rich.text import Text

    out.print()
    out.print(Text(question.prompt, style="bold"))
    for place, option in enumerate(question.options, start=1):
        out.print(Text.assemble((f"  {place} ", "cyan"), option.label))
    many = question.kind in ("chips", "items")
    how = "In your words" if not question.options else "Numbers, 0 for none" if many else "A number"
    out.print(f"[dim]{how}; Enter skips, {DONE} stops:[/] ", end="")


def _read(question: Question, said: str) -> Any:
    """Return an answer's value; None for a skip, and an ellipsis for what can't be read."""
    if not said or not question.options:
        return said or None
    words = said.replace(",", " ").split()
    many = question.kind in ("chips", "items")
    if many and words == ["0"]:
        return []
    if not all(word.isascii() and word.isdigit() and 1 <= int(word[:9]) <= len(question.options) for word in words):
        return ...
    chosen = [question.options[int(word) - 1].id for word in words]
    return chosen if many else chosen[0] if len(chosen) == 1 else ...


def _show(found: Suggestions, out: Console) -> None:
    from rich.text import Text

    for shelf in found.shelves:
        out.print()
        out.print(Text(shelf.title, style="bold"))
        for one in shelf.items:
            drawn = f"  (drawn, with probability {one.propensity:.2f})" if one.exploration else ""
            out.print(Text.assemble(f"  {one.recommendation.title or one.recommendation.id}", (drawn, "dim")))
