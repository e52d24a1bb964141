"""Learning to answer: a language model's adapter moves the log-odds of yes and no after the instruction.

The loss is on the answer alone, by the very score that ranks: log-odds given the person, less what the model as it
came answers for nobody. So learning starts where zero-shot stands, and what is learned of items in general stays.
After Bao et al., "TALLRec" (RecSys 2023), who train the answer's words.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from coldstart.generation import LanguageModel
from coldstart.refining import gate, loop, lora
from coldstart.refining.gate import Verdict
from coldstart.refining.lora import Adapter, Shape
from coldstart.refining.questions import Question, data_hash
from coldstart.refining.schedule import LANGUAGE, Schedule, Trained

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from coldstart.refining.loop import Told

SHAPE = Shape(rank=8, alpha=16, upper=0.5)

_TOKENS = 2048  # that are read at once, padding included

Row = tuple[tuple[int, ...], float, bool]
"""Tokens, the log-odds for nobody, and the answer."""


class Answering(nn.Module):
    """From questions to the cross-entropy of their answers.

    Args:
        model: A causal language model.
        yes: The token that yes begins with.
        no: The same of no.
    """

    def __init__(self, model: Any, *, yes: int, no: int) -> None:
        super().__init__()
        self.model, self._yes, self._no = model, yes, no
        base = model.get_base_model() if hasattr(model, "get_base_model") else model
        self._can_choose = "logits_to_keep" in inspect.signature(base.forward).parameters

    def scores(self, rows: Sequence[Row]) -> Tensor:
        """Return log-odds of yes less those for nobody, in nats. Shape: ``(rows,)``."""
        device = next(self.model.parameters()).device
        lengths = torch.tensor([len(tokens) for tokens, _, _ in rows], device=device)
        inputs = torch.zeros((len(rows), int(lengths.max())), dtype=torch.long)
        for place, (tokens, _, _) in enumerate(rows):
            inputs[place, : len(tokens)] = torch.tensor(tokens)
        inputs = inputs.to(device)
        mask = torch.arange(inputs.shape[1], device=device)[None] < lengths[:, None]
        kept = torch.unique(lengths - 1)
        asked = {"logits_to_keep": kept} if self._can_choose else {}
        logits = self.model(input_ids=inputs, attention_mask=mask.long(), use_cache=False, **asked).logits
        ends = torch.searchsorted(kept, lengths - 1) if asked else lengths - 1
        last = logits[torch.arange(len(rows), device=device), ends].float()
        alone = torch.tensor([alone for _, alone, _ in rows], device=device)
        scores: Tensor = last[:, self._yes] - last[:, self._no] - alone
        return scores

    def forward(self, rows: Sequence[Row]) -> Tensor:
        """Return the mean cross-entropy of the answers."""
        scores = self.scores(rows)
        liked = torch.tensor([float(liked) for _, _, liked in rows], device=scores.device)
        return nn.functional.binary_cross_entropy_with_logits(scores, liked)


def taught(
    model: LanguageModel,
    questions: Sequence[Question],
    judges: Sequence[Question],
    *,
    answers: tuple[str, str] = ("Yes", "No"),
    shape: Shape = SHAPE,
    schedule: Schedule = LANGUAGE,
    checkpoint: Path | None = None,
    told: Told | None = None,
) -> tuple[Adapter | None, Trained, Verdict]:
    """Train an adapter of a language model; None if the judges' answers became no likelier after any step.

    Args:
        model: As it came.
        questions: What is learned from.
        judges: Of other people.
        answers: Yes and no, as the model says them; they are told apart by their first tokens.
        shape: What learns.
        schedule: How long and how fast.
        checkpoint: Where it is kept how far training is.
        told: Hears how each step went.

    Returns:
        With how the judges' questions are told apart before and after: see :func:`judged`.
    """
    wrapped = lora.attached_to(model.model, shape, seed=schedule.seed)
    yes, no = (model.tokenizer(answer, add_special_tokens=False)["input_ids"][0] for answer in answers)
    module = Answering(wrapped, yes=yes, no=no)
    rows, held_out = ([_row(model, one) for one in part] for part in (questions, judges))
    key = json.dumps([model.hash, data_hash([*questions, *judges]), asdict(shape), {**asdict(schedule), "minutes": 0}])

    def draw(step: int) -> list[tuple[float, tuple[Any, ...]]]:
        size = min(schedule.batch, len(rows))
        at = (step * size + np.arange(size)).tolist()
        orders = {each: _order(len(rows), schedule.seed, each) for each in {place // len(rows) for place in at}}
        batch = [rows[orders[place // len(rows)][place % len(rows)]] for place in at]
        return [(len(part) / size, (part,)) for part in _parts(batch)]

    def ask() -> float:
        with torch.no_grad():
            losses = [(float(module(part)), len(part)) for part in _parts(held_out)]
        return float(np.average([loss for loss, _ in losses], weights=[size for _, size in losses]))

    present = _scores(module, held_out)
    work = loop.Work(module, schedule.steps(len(rows)), draw, ask, lambda part: len(part[0]))
    device = next(wrapped.parameters()).device.type
    hashed = hashlib.sha256(key.encode()).hexdigest()
    done = loop.fit(work, schedule, device=device, checkpoint=checkpoint, key=hashed, told=told)
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    if done.best == 0:
        return None, done, gate.unasked(())
    liked = np.array([one.liked for one in judges])
    verdict = gate.compared(
        judged(present, liked), judged(_scores(module, held_out), liked), seed=schedule.seed, measure="AUC"
    )
    return lora.taken(wrapped, base=model.hash), done, verdict


def judged(scores: NDArray[np.float64], liked: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return for each question with what share of those of the other answer it is in the right order.

    The mean over the questions of one answer is the area under the ROC curve. Shape of each: ``(questions,)``.
    """
    above = (scores[:, None] > scores[None]) + 0.5 * (scores[:, None] == scores[None])
    right = np.where(liked[:, None], above, 1.0 - above)
    others = liked[:, None] != liked[None]
    return np.asarray((right * others).sum(1) / np.maximum(others.sum(1), 1))


def _row(model: LanguageModel, question: Question) -> Row:
    start = model.tokenizer(question.prompt, verbose=False)["input_ids"]
    (end,) = model.tokenize(question.prompt, [question.ending])
    return (*start, *end), question.alone, question.liked


def _order(count: int, seed: int, time: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, time]).permutation(count)


def _parts(rows: Sequence[Row]) -> list[list[Row]]:
    """Split rows into parts that are read at once, those of like length together."""
    parts: list[list[Row]] = []
    for row in sorted(rows, key=lambda row: -len(row[0])):
        if not parts or (len(parts[-1]) + 1) * len(parts[-1][0][0]) > _TOKENS:
            parts.append([])
        parts[-1].append(row)
    return parts


def _scores(module: Answering, rows: Sequence[Row]) -> NDArray[np.float64]:
    order = sorted(range(len(rows)), key=lambda place: -len(rows[place][0]))
    found = np.zeros(len(rows))
    with torch.no_grad():
        parts = [module.scores(part).double().cpu().numpy() for part in _parts(rows)]
    found[order] = np.concatenate(parts) if parts else np.empty(0)
    return found
