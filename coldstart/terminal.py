"""How results look on a terminal: tables, and progress that a pipe never sees."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from coldstart.catalogue import Catalogue
from coldstart.entities import Recommendations, Value
from coldstart.wording import number, shorten

LABELS: Mapping[str, str] = {
    "liked": "likes",
    "taste": "taste",
    "following": "what follows likes",
    "text": "words",
    "about": "person",
    "context": "context",
    "disliked": "dislikes",
    "facets": "traits",
    "unwanted": "unwanted traits",
    "lexical": "shared words",
    "keywords": "words asked for",
    "appeal": "appeal",
    "collaborative": "others' likes",
    "neighbours": "liked by the same people",
    "linear": "others' likes together",
    "borrowed": "likes of similar items",
    "language": "language model",
}
"""What the scorers are called in tables."""

_TITLE_WIDTH = 60
_LEAST_SHOWN = 0.05


def console() -> Console:
    """Return the console on standard output, at most 120 wide, and 100 where there is no terminal."""
    out = Console(highlight=False, soft_wrap=False)
    out.width = min(out.width, 120) if out.is_terminal else 100
    return out


@contextmanager
def bars() -> Iterator[Any]:
    """Give a progress callback that draws bars on standard error if that is a terminal."""
    columns = (
        TextColumn("{task.description:<26}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    err = Console(file=sys.stderr)
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        tasks: dict[str, TaskID] = {}

        def advance(task: str, done: int, total: int) -> None:
            if task not in tasks:
                tasks[task] = progress.add_task(task, total=total)
            progress.update(tasks[task], advance=done, total=total)

        yield advance


def print_json(data: Any) -> None:
    """Print one line of JSON; NaN becomes null, which JSON has."""
    click.echo(json.dumps(_plain(data), ensure_ascii=False, allow_nan=False))


def recommendations_table(found: Recommendations, catalogue: Catalogue, *, explain: bool) -> Table:
    """Return a ranked list as a table: rank, title, what tells items apart, score; with reasons and parts if asked."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("", justify="right")
    table.add_column(catalogue.kind, overflow="fold", ratio=3)
    columns = telling_attributes(catalogue)
    for name in columns:
        table.add_column(name.replace("_", " "), overflow="fold", ratio=2)
    table.add_column("score", justify="right")
    if explain:
        table.add_column("because of", overflow="fold", ratio=3)
    for one in found:
        cells = [shown(one.item.attributes.get(name)) for name in columns]
        parts = ["\n".join([*(reason.sentence for reason in one.reasons), because(one.parts)])] if explain else []
        title = shorten(one.title, _TITLE_WIDTH) or f"(no title: {one.id})"
        row = [str(one.rank), title, *cells, f"{one.score:+.2f}", *parts]
        table.add_row(*(Text(cell) for cell in row))
    return table


def because(parts: Mapping[str, Any]) -> str:
    """Return the parts that moved a score, the strongest first, from 0.05 on: "words +0.91, appeal -0.12"."""
    moved = sorted(parts.items(), key=lambda part: -abs(part[1].contribution))
    told = [f"{LABELS.get(name, name)} {part.contribution:+.2f}" for name, part in moved if _counts(part.contribution)]
    return ", ".join(told)


def _counts(contribution: float) -> bool:
    return abs(contribution) >= _LEAST_SHOWN


def telling_attributes(catalogue: Catalogue, most: int = 2) -> list[str]:
    """Return the attributes worth a column: on most items, short, and neither all alike nor all different."""
    items = catalogue.items[:500]

    def worth(name: str) -> float:
        texts = [shown(item.attributes[name]) for item in items if name in item.attributes]
        kinds = len(set(texts))
        if len(texts) < len(items) * 0.6 or kinds < 2 or kinds > len(texts) * 0.6:
            return 0.0
        return 1.0 / (4 + sum(map(len, texts)) / len(texts)) if sum(map(len, texts)) / len(texts) < 40 else 0.0

    names = [name for name in catalogue.attribute_names if worth(name) > 0]
    textual = [name for name in names if any(isinstance(item.attributes.get(name), (str, tuple)) for item in items)]
    return (textual or names)[:most]


def shown(value: Value | None) -> str:
    """Return an attribute as text, at most 40 characters."""
    if value is None:
        return ""
    members = value if isinstance(value, tuple) else (value,)
    words = [number(one) if isinstance(one, float) else str(one) for one in members]
    return shorten(", ".join(words), 40)


def rows_table(rows: Sequence[Sequence[str]]) -> Table:
    """Return rows of text, the header first, as a table; the first column to the left, the others to the right."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for place, name in enumerate(rows[0]):
        table.add_column(name, justify="left" if place == 0 else "right", overflow="fold")
    for row in rows[1:]:
        table.add_row(*(Text(cell) for cell in row))
    return table


def recommendations_json(found: Recommendations) -> dict[str, Any]:
    """Return a ranked list as plain data."""
    items = [
        {
            "id": one.id,
            "title": one.title,
            "score": one.score,
            "rank": one.rank,
            "parts": {
                name: {"raw": part.raw, "standardised": part.standardised, "weight": part.weight}
                for name, part in one.parts.items()
            },
            "reasons": [
                {"kind": reason.kind, "cause": reason.cause, "sentence": reason.sentence, "fall": reason.fall}
                for reason in one.reasons
            ],
        }
        for one in found
    ]
    return {
        "items": items,
        "description": found.description,
        "template_hash": found.template_hash,
        "models": dict(found.models),
        "degraded": found.degraded,
        "fallback_reason": found.fallback_reason,
        "notes": list(found.notes),
    }


def _plain(data: Any) -> Any:
    if isinstance(data, Mapping):
        return {str(key): _plain(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_plain(value) for value in data]
    if isinstance(data, float) and data != data:
        return None
    if isinstance(data, str):
        return data.encode("utf-8", "replace").decode()
    return data
