"""Learning to answer: a language model's adapter moves the log-odds of yes and no after the instruction.

The loss is on the answer alone, by the very score that ranks: log-odds given the person, less what the model as it
came answers for nobody. So learning starts where zero-shot stands, and what is learned of items in general stays.
After Bao et al., "TALLRec" (RecSys 2023), who train the answer's words. Answers count each by themselves, or by the
order in which one person's stand: see :mod:`coldstart.refining.objectives`.
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

from coldstart.errors import CatalogueError
from coldstart.generation import LanguageModel
from coldstart.refining import gate, loop, lora, objectives
from coldstart.refining.gate import Verdict
from coldstart.refining.lora import Adapter, Shape
from coldstart.refining.objectives import Objective
from coldstart.refining.questions import Question, data_hash
from coldstart.refining.schedule import LANGUAGE, Schedule, Trained

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from coldstart.refining.loop import Told

SHAPE = Shape(rank=8, alpha=16, upper=0.5)

_TOKENS = 2048  # that are read at once, padding included

Row = tuple[tuple[int, ...], float, bool]
"""Tokens, the log-odds for nobody, and the answer."""

Group = Sequence[Row]
"""What stands together in the loss: one question, or those of one person."""


class Answering(nn.Module):
    """From groups of questions to the mean of their losses.

    Args:
        model: A causal language model.
        yes: The token that yes begins with.
        no: The same of no.
        objective: By what it learns.
    """

    def __init__(self, model: Any, *, yes: int, no: int, objective: Objective = "answers") -> None:
        super().__init__()
        self.model, self._yes, self._no = model, yes, no
        self._loss = objectives.loss(objective)
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

    def forward(self, groups: Sequence[Group]) -> Tensor:
        """Return the mean of the groups' losses. Shape: ``()``."""
        scores = self.scores([row for group in groups for row in group])
        liked = torch.tensor([liked for group in groups for _, _, liked in group], device=scores.device)
        sizes = [len(group) for group in groups]
        parts = zip(torch.split(scores, sizes), torch.split(liked, sizes), strict=True)
        return torch.stack([self._loss(*part) for part in parts]).mean()


def taught(
    model: LanguageModel,
    questions: Sequence[Question],
    judges: Sequence[Question],
    *,
    answers: tuple[str, str] = ("Yes", "No"),
    objective: Objective = "answers",
    shape: Shape = SHAPE,
    schedule: Schedule = LANGUAGE,
    checkpoint: Path | None = None,
    told: Told | None = None,
) -> tuple[Adapter | None, Trained, Verdict]:
    """Train an adapter of a language model; None if the judges' answers became no likelier after any step.

    Args:
        model: As it came; where it reads in half precision, it learns in that too.
        questions: What is learned from.
        judges: Of other people.
        answers: Yes and no, as the model says them; they are told apart by their first tokens.
        objective: By what it learns.
        shape: What learns.
        schedule: How long and how fast.
        checkpoint: Where it is kept how far training is.
        told: Hears how each step went.

    Returns:
        With how the judges' questions are told apart before and after, among all (AUC, see :func:`judged`), or where
        order is learned among each person's own (GAUC, see :func:`coldstart.refining.objectives.in_order`).

    Raises:
        CatalogueError: Order is to be learned, and nobody said both yes and no.
        AdapterError: The model can't be refined, or the loss isn't finite.
    """
    wrapped = lora.attached_to(model.model, shape, seed=schedule.seed)
    yes, no = (model.tokenizer(answer, add_special_tokens=False)["input_ids"][0] for answer in answers)
    module = Answering(wrapped, yes=yes, no=no, objective=objective)
    rows, held_out = ([_row(model, one) for one in part] for part in (questions, judges))
    asked = objectives.grouped(judges, objective)
    if not (learned := objectives.grouped(questions, objective)):
        raise CatalogueError(
            f"{len(questions)} answered questions, and nobody said both yes and no after having said the same:"
            f" {objective!r} learns from the order of one person's answers; learn by 'answers'"
        )
    groups, checks = (
        [[part[place] for place in group] for group in found] for part, found in ((rows, learned), (held_out, asked))
    )
    half = model.dtype == "bfloat16"
    trained = [objective, half, model.hash, data_hash([*questions, *judges]), asdict(shape)]
    key = json.dumps([*trained, {**asdict(schedule), "minutes": 0}])
    most = sum(map(len, groups)) / len(groups)  # questions a group, so that a step reads as many whatever is learned by
    size = min(max(1, round(schedule.batch / most)), len(groups))

    def draw(step: int) -> list[tuple[float, tuple[Any, ...]]]:
        at = (step * size + np.arange(size)).tolist()
        orders = {each: _order(len(groups), schedule.seed, each) for each in {place // len(groups) for place in at}}
        batch = [groups[orders[place // len(groups)][place % len(groups)]] for place in at]
        return [(len(part) / size, (part,)) for part in _parts(batch)]

    def ask() -> float:
        with torch.no_grad():
            losses = [(float(module(part)), len(part)) for part in _parts(checks)]
        return float(np.average([loss for loss, _ in losses], weights=[size for _, size in losses]))

    liked = np.array([one.liked for one in judges])

    def quality() -> NDArray[np.float64]:
        scores = _scores(module, held_out)
        if objective == "answers":
            return judged(scores, liked)
        return np.array(objectives.in_order(scores, liked, asked))

    present = quality()
    steps = max(1, int(np.ceil(schedule.passes * len(groups) / size)))
    work = loop.Work(module, steps, draw, ask, lambda given: sum(map(len, given[0])))
    device = next(wrapped.parameters()).device.type
    hashed = hashlib.sha256(key.encode()).hexdigest()
    kept: dict[str, Any] = {"checkpoint": checkpoint, "key": hashed, "told": told}
    done = loop.fit(work, schedule, device=device, half=half, **kept)
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    if done.best == 0:
        return None, done, gate.unasked(())
    measure = "AUC" if objective == "answers" else "GAUC"
    verdict = gate.compared(present, quality(), seed=schedule.seed, measure=measure)
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


def _parts(groups: Sequence[Group]) -> list[list[Group]]:
    """Split groups into parts that are read at once, those of like length together; no group is split."""
    parts: list[list[Group]] = []
    rows = 0
    for group in sorted(groups, key=_length, reverse=True):
        if not parts or (rows + len(group)) * _length(parts[-1][0]) > _TOKENS:
            parts.append([])
            rows = 0
        parts[-1].append(group)
        rows += len(group)
    return parts


def _length(group: Group) -> int:
    return max(len(tokens) for tokens, _, _ in group)


def _scores(module: Answering, rows: Sequence[Row]) -> NDArray[np.float64]:
    order = sorted(range(len(rows)), key=lambda place: -len(rows[place][0]))
    found = np.zeros(len(rows))
    with torch.no_grad():
        parts = [
            module.scores([row for (row,) in part]).double().cpu().numpy() for part in _parts([(row,) for row in rows])
        ]
    found[order] = np.concatenate(parts) if parts else np.empty(0)
    return found
