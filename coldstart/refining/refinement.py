"""One refinement: from interactions to an adapter, and what is said of it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from coldstart.encoding import Encoder
from coldstart.refining import lora, segments
from coldstart.refining.examples import Lesson, lesson
from coldstart.refining.gate import Verdict
from coldstart.refining.lora import Adapter, Shape
from coldstart.refining.schedule import Schedule, Trained

if TYPE_CHECKING:
    from coldstart.index import Index
    from coldstart.refining.loop import Told

__all__ = ["SCALES", "Refinement", "lesson", "manifest", "shrunk", "trained"]

SCALES = (1.0, 0.5)
"""How much of what was learned is tried."""

HALF = 64.0
"""With how many pairs half of what was learned is applied at most: few examples move the ranking little."""


@dataclass(frozen=True, eq=False, slots=True)
class Refinement:
    """What came of refining.

    Attributes:
        recommender: The one to go on with: refined if that ranks better, else the one there was.
        promoted: Whether it is refined.
        version: The adapter's, if it was kept with an index.
        verdict: How people who were held out fared.
        trained: How training went; None if it wasn't tried.
        told: What a manifest keeps: data, settings and seed.
    """

    recommender: Any
    promoted: bool
    version: str
    verdict: Verdict
    trained: Trained | None
    told: dict[str, Any]

    def __str__(self) -> str:
        what = "answers" if self.told.get("kind") == "language" else "readings" if "teacher" in self.told else "pairs"
        learned = f"{self.told['pairs']:,} {what} of {self.told['users']:,} users"
        if self.trained is None:
            return f"not refined: {self.verdict}; {learned} are there. The ranking stays as it is"
        steps = f"{self.trained.steps} steps in {self.trained.seconds / 60:.1f} min"
        if self.trained.best == 0 and self.verdict.refined == self.verdict.present == 0.0:
            why = "no step brought what people who were held out liked closer together"
            if "teacher" in self.told:
                why = "no step agreed better with what the language model tells of people who were held out"
            return f"not promoted after {learned}, {steps}: {why}. The ranking stays as it is"
        if self.promoted:
            of = f" for {segments.told(self.told['segment'])}" if "segment" in self.told else ""
            return f"refined{of} by {learned}, {steps}: {self.verdict}"
        return f"not promoted after {learned}, {steps}: {self.verdict}. The ranking stays as it is"


def trained(
    index: Index,
    encoder: Encoder,
    lesson: Lesson,
    *,
    shape: Shape,
    schedule: Schedule,
    checkpoint: Path | None = None,
    told: Told | None = None,
) -> tuple[Adapter | None, Trained]:
    """Train an adapter of an encoder; None if nothing that was held out fared better after any step.

    Args:
        index: Whose documents the encoder reads.
        encoder: Without an adapter.
        lesson: What is learned, and what is held out.
        shape: What learns.
        schedule: How long and how fast.
        checkpoint: Where it is kept how far training is, so that a killed one goes on.
        told: Hears how each step went.
    """
    from coldstart.refining.tower import Tower
    from coldstart.refining.training import train

    model, wrapped = lora.attached(encoder, shape, seed=schedule.seed)
    taught, held_out = _together(lesson, len(index.documents))
    texts = (*index.documents, *dict.fromkeys((*lesson.taught.texts, *lesson.held_out.texts)))
    rows = np.unique(np.concatenate([taught.anchors, taught.positives, held_out.anchors, held_out.positives]))
    tower = Tower(
        model,
        rows,
        [texts[row] for row in rows.tolist()],
        learning=lora.first_learning(lora.transformer(model), shape),
        prompt=encoder.prompt("document"),
    )
    key = hashlib.sha256(
        json.dumps([encoder.hash, lesson.hash, asdict(shape), {**asdict(schedule), "minutes": 0}]).encode()
    ).hexdigest()
    kept: dict[str, Any] = {"checkpoint": checkpoint, "key": key, "told": told}
    done = train(tower, taught, held_out, index.mean, schedule, vectors=index.centred, **kept)
    tower.restore()
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    if done.best == 0:
        return None, done
    return lora.taken(wrapped, base=encoder.hash), done


def _together(lesson: Lesson, items: int) -> tuple[Any, Any]:
    """Return both kinds of examples with their texts numbered alike, after the catalogue's rows."""
    every = dict.fromkeys((*lesson.taught.texts, *lesson.held_out.texts))
    texts = {text: items + place for place, text in enumerate(every)}
    found = []
    for examples in (lesson.taught, lesson.held_out):
        numbers = np.array([texts[text] for text in examples.texts], np.int64)
        anchors = examples.anchors.copy()
        said = anchors >= items
        anchors[said] = numbers[anchors[said] - items]
        found.append(replace(examples, anchors=anchors))
    return found[0], found[1]


def manifest(lesson: Lesson, shape: Shape, schedule: Schedule, templates: str) -> dict[str, Any]:
    """Return what an adapter's manifest says of what made it."""
    return {
        **source(lesson, templates),
        "shape": asdict(shape),
        "schedule": asdict(schedule),
    }


def source(lesson: Lesson, templates: str) -> dict[str, Any]:
    """Return what a manifest says of what was learned from."""
    return {
        "pairs": len(lesson.taught),
        "users": len(lesson.taught.users),
        "judges": len(lesson.judges),
        "events": lesson.events,
        "unknown": lesson.unknown,
        "data": lesson.hash,
        "templates": templates,
    }


def shrunk(scale: float, pairs: int) -> float:
    """Return how much of what so many pairs taught is applied."""
    return scale * pairs / (pairs + HALF)
