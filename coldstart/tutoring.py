"""Tutoring the language model: answers and interactions become questions in the templates that rank."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from coldstart.entities import Answer
from coldstart.index import Index
from coldstart.querying import Reader
from coldstart.refining.lora import Shape
from coldstart.refining.questions import Question, Told, data_hash
from coldstart.refining.schedule import Schedule
from coldstart.scoring.language import Language


def of_answers(answers: Iterable[Answer], index: Index, reader: Reader) -> list[tuple[Told, str]]:
    """Return answered examples with the description of who answers; of one person those of one profile."""
    found = []
    for answer in answers:
        query, _ = reader.read(answer.profile, answer.context)
        owner = query.description
        found.append((Told(owner, answer.profile, index.catalogue.row(answer.item), answer.liked), query.description))
    return found


def described(told: Iterable[Told], reader: Reader) -> list[tuple[Told, str]]:
    """Return what people like or don't with the description of each person."""
    return [(one, reader.read(one.profile, None)[0].description) for one in told]


def questions(told: Sequence[tuple[Told, str]], language: Language) -> list[Question]:
    """Return questions as the language model reads them; those of people of whom nothing is known are left out."""
    found = []
    for one, description in told:
        if description:
            prompt, (ending,) = language.asked(description, [one.row])
            found.append(Question(one.owner, prompt, ending, one.row, one.liked))
    return found


def manifest(
    taught: Sequence[Question],
    judges: Sequence[Question],
    shape: Shape,
    schedule: Schedule,
    templates: str,
    objective: str,
) -> dict[str, Any]:
    """Return what an adapter's manifest says of what made it; what it was taught is known by its mark."""
    return {
        "kind": "language",
        "objective": objective,
        "pairs": len(taught),
        "users": len({one.owner for one in taught}),
        "judges": len(judges),
        "data": data_hash([*taught, *judges]),
        "templates": templates,
        "shape": asdict(shape),
        "schedule": asdict(schedule),
        "taught": sorted({one.mark for one in taught}),
    }
