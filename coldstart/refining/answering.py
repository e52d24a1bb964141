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
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
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

CHECKED = 96
"""So many questions of those who are held out say how training goes; all of them judge."""

_TOKENS = 2048  # that are read at once, padding included
_CLOSE = 1e-3  # nats


@dataclass(frozen=True, slots=True)
class Asked:
    """Questions put to one person, who said the same before each.

    Attributes:
        prompt: Tokens that the questions share.
        endings: The tokens of each question. Of each: at least one.
        alone: The log-odds of yes for nobody, in nats.
        liked: The answers.
    """

    prompt: tuple[int, ...]
    endings: tuple[tuple[int, ...], ...]
    alone: tuple[float, ...]
    liked: tuple[bool, ...]

    def __len__(self) -> int:
        return len(self.endings)


class Answering(nn.Module):
    """From questions to the mean of their losses.

    What a person's questions share is read once: they follow each other, each blind to the others, at the positions
    that it would have alone. A model that doesn't answer as it would then reads each question by itself.

    Args:
        model: A causal language model.
        yes: The token that yes begins with.
        no: The same of no.
        objective: By what it learns.
    """

    def __init__(self, model: Any, *, yes: int, no: int, objective: Objective = "answers") -> None:
        super().__init__()
        self.model, self._yes, self._no = model, yes, no
        self._objective, self._loss = objective, objectives.loss(objective)
        base = model.get_base_model() if hasattr(model, "get_base_model") else model
        self._can_choose = "logits_to_keep" in inspect.signature(base.forward).parameters
        self.together = True

    def try_together(self, groups: Sequence[Asked]) -> bool:
        """Find out on the shortest group whether the model answers as it would if what questions share is read once."""
        probe = sorted((group for group in groups if len(group) > 1), key=_tokens)[:1]
        if not probe:
            return self.together
        try:
            with torch.no_grad():
                apart, joined = self._apart(probe), self._joined(probe)
            self.together = bool((apart - joined).abs().max() < _CLOSE)
        except (RuntimeError, TypeError, ValueError, AttributeError, IndexError):
            self.together = False
        return self.together

    def scores(self, groups: Sequence[Asked]) -> Tensor:
        """Return log-odds of yes less those for nobody, in nats, of each question. Shape: ``(questions,)``."""
        joined = self.together and any(len(group) > 1 for group in groups)
        odds = self._joined(groups) if joined else self._apart(groups)
        return odds - torch.tensor([alone for group in groups for alone in group.alone], device=odds.device)

    def _apart(self, groups: Sequence[Asked]) -> Tensor:
        rows = [(*group.prompt, *ending) for group in groups for ending in group.endings]
        lengths = torch.tensor([len(row) for row in rows])
        mask = torch.arange(int(lengths.max()))[None] < lengths[:, None]
        return self._odds(_padded(rows), torch.arange(len(rows)), lengths - 1, attention_mask=mask.long())

    def _joined(self, groups: Sequence[Asked]) -> Tensor:
        rows = [(*group.prompt, *chain.from_iterable(group.endings)) for group in groups]
        size = max(map(len, rows))
        positions = torch.zeros((len(rows), size), dtype=torch.long)
        parts = torch.full((len(rows), size), -1)
        owners, ends = [], []
        for row, group in enumerate(groups):
            at = len(group.prompt)
            positions[row, :at], parts[row, :at] = torch.arange(at), 0
            for part, ending in enumerate(group.endings, start=1):
                there = slice(at, at := at + len(ending))
                positions[row, there], parts[row, there] = torch.arange(len(ending)) + len(group.prompt), part
                owners.append(row)
                ends.append(at - 1)
        seen = (parts[:, None] == 0) | (parts[:, None] == parts[:, :, None])  # the prompt, and one's own
        seen &= torch.ones((size, size), dtype=torch.bool).tril()
        where = {"attention_mask": seen[:, None], "position_ids": positions}
        return self._odds(_padded(rows), torch.tensor(owners), torch.tensor(ends), **where)

    def _odds(self, inputs: Tensor, rows: Tensor, ends: Tensor, **where: Tensor) -> Tensor:
        device = next(self.model.parameters()).device
        kept, places = torch.unique(ends, return_inverse=True)
        chosen = {"logits_to_keep": kept.to(device)} if self._can_choose else {}
        moved = {name: value.to(device) for name, value in where.items()}
        logits = self.model(input_ids=inputs.to(device), use_cache=False, **moved, **chosen).logits
        last = logits[rows.to(device), (places if chosen else ends).to(device)].float()
        odds: Tensor = last[:, self._yes] - last[:, self._no]
        return odds

    def weight(self, groups: Sequence[Asked]) -> int:
        """Return how much groups count beside others: by their questions, or where order is learned each the same."""
        return sum(map(len, groups)) if self._objective == "answers" else len(groups)

    def forward(self, groups: Sequence[Asked]) -> Tensor:
        """Return the mean of the groups' losses. Shape: ``()``."""
        scores = self.scores(groups)
        liked = torch.tensor([liked for group in groups for liked in group.liked], device=scores.device)
        sizes = [len(group) for group in groups]
        parts = zip(torch.split(scores, sizes), torch.split(liked, sizes), strict=True)
        losses = torch.stack([self._loss(*part) for part in parts])
        weights = torch.tensor([float(self.weight([group])) for group in groups], device=scores.device)
        return (weights * losses).sum() / weights.sum()

    def parts(self, groups: Sequence[Asked]) -> list[list[Asked]]:
        """Split groups into parts that are read at once, those of like length together; no group is split."""
        found: list[list[Asked]] = []
        rows = 0
        for group in sorted(groups, key=self._length, reverse=True):
            more = 1 if self.together else len(group)
            if not found or (rows + more) * self._length(found[-1][0]) > _TOKENS:
                found.append([])
                rows = 0
            found[-1].append(group)
            rows += more
        return found

    def _length(self, group: Asked) -> int:
        return _tokens(group) if self.together else len(group.prompt) + max(map(len, group.endings))


def taught(
    model: LanguageModel,
    questions: Sequence[Question],
    judges: Sequence[Question],
    *,
    alone: Callable[[Sequence[int]], NDArray[np.float64]],
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
        alone: From rows to the log-odds of yes that the model as it came gives for nobody, in nats; asked of what a
            step reads, each time anew.
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
    learned, judging = (objectives.grouped(part, objective) for part in (questions, judges))
    if not learned:
        raise CatalogueError(
            f"{len(questions)} answered questions, and nobody said both yes and no after having said the same:"
            f" {objective!r} learns from the order of one person's answers; learn by 'answers'"
        )
    wrapped = lora.attached_to(model.model, shape, seed=schedule.seed)
    yes, no = (model.tokenizer(answer, add_special_tokens=False)["input_ids"][0] for answer in answers)
    module = Answering(wrapped, yes=yes, no=no, objective=objective)
    held_out = [asked(model, [judges[place] for place in group], alone) for group in judging]
    several = next(([questions[place] for place in group] for group in learned if len(group) > 1), None)
    module.try_together([*held_out, *([] if several is None else [asked(model, several, alone)])])
    checks = held_out[: int(np.searchsorted(np.cumsum([len(group) for group in held_out]), CHECKED)) + 1]
    half = model.dtype == "bfloat16"
    device = next(wrapped.parameters()).device.type
    trained = [objective, half, model.hash, data_hash([*questions, *judges]), asdict(shape)]
    key = json.dumps([*trained, {**asdict(schedule), "minutes": 0}])
    size = sum(map(len, learned)) / len(learned)  # so that a step reads as many questions, however they are grouped
    size = min(max(1, round(schedule.batch / size)), len(learned))

    def draw(step: int) -> list[tuple[float, tuple[Any, ...]]]:
        at = (step * size + np.arange(size)).tolist()
        orders = {each: _order(len(learned), schedule.seed, each) for each in {place // len(learned) for place in at}}
        drawn = [learned[orders[place // len(learned)][place % len(learned)]] for place in at]
        batch = [asked(model, [questions[place] for place in group], alone) for group in drawn]
        return [(module.weight(part) / module.weight(batch), (part,)) for part in module.parts(batch)]

    def ask() -> float:
        with torch.no_grad():
            losses = [(float(module(part)), module.weight(part)) for part in module.parts(checks)]
        return float(np.average([loss for loss, _ in losses], weights=[weight for _, weight in losses]))

    def quality() -> NDArray[np.float64]:
        with torch.autocast(device, torch.bfloat16, enabled=half):
            scores = scored(module, held_out)
        liked = [np.array(group.liked) for group in held_out]
        if objective == "answers":
            return judged(np.concatenate(scores), np.concatenate(liked))
        return objectives.in_order(scores, liked)

    present = quality()
    work = loop.Work(module, schedule.steps(len(learned), size), draw, ask, lambda given: sum(map(len, given[0])))
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


def asked(
    model: LanguageModel, questions: Sequence[Question], alone: Callable[[Sequence[int]], NDArray[np.float64]]
) -> Asked:
    """Return questions of one prompt in the model's tokens."""
    prompt = questions[0].prompt
    return Asked(
        tuple(model.tokenizer(prompt, verbose=False)["input_ids"]),
        tuple(tuple(ending) for ending in model.tokenize(prompt, [one.ending for one in questions])),
        tuple(alone([one.row for one in questions]).tolist()),
        tuple(one.liked for one in questions),
    )


def scored(module: Answering, groups: Sequence[Asked]) -> list[NDArray[np.float64]]:
    """Return the log-odds of each group's questions, less those for nobody. Shape of each: ``(questions,)``."""
    found: dict[int, NDArray[np.float64]] = {}
    with torch.no_grad():
        for part in module.parts(groups):
            scores = module.scores(part).double().cpu().numpy()
            ends = np.cumsum([len(group) for group in part])[:-1]
            found.update(zip(map(id, part), np.split(scores, ends), strict=True))
    return [found[id(group)] for group in groups]


def judged(scores: NDArray[np.float64], liked: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return for each question with what share of those of the other answer it is in the right order.

    The mean over the questions of one answer is the area under the ROC curve. Shape of each: ``(questions,)``.
    """
    above = (scores[:, None] > scores[None]) + 0.5 * (scores[:, None] == scores[None])
    right = np.where(liked[:, None], above, 1.0 - above)
    others = liked[:, None] != liked[None]
    return np.asarray((right * others).sum(1) / np.maximum(others.sum(1), 1))


def _order(count: int, seed: int, time: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, time]).permutation(count)


def _tokens(group: Asked) -> int:
    return len(group.prompt) + sum(map(len, group.endings))


def _padded(rows: Sequence[tuple[int, ...]]) -> Tensor:
    found = torch.zeros((len(rows), max(map(len, rows))), dtype=torch.long)
    for place, row in enumerate(rows):
        found[place, : len(row)] = torch.tensor(row)
    return found
