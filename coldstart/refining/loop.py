"""The training loop: steps, checks on what was held out, and checkpoints. What a step learns is the caller's.

Runs on what accelerate finds: a processor, a graphics card, or several processes.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from coldstart import artefact
from coldstart.errors import AdapterError
from coldstart.refining.schedule import Schedule, Trained

_WARM = 0.1

Told = Callable[[int, int, float, float], None]
"""Called after each step with how many are done, how many there are, the loss and the last one held out."""


@dataclass(frozen=True, eq=False, slots=True)
class Work:
    """What is learned.

    Attributes:
        module: From a part of a step to its loss.
        steps: How many there are at most.
        draw: From a step's number to its parts, each with its share of the step; their gradients add up.
        ask: Returns the loss on what was held out; None if nothing was.
        texts: How many texts a part of a step reads.
        faster: How many times faster than the rest some parameters learn, by name.
    """

    module: nn.Module
    steps: int
    draw: Callable[[int], Sequence[tuple[float, tuple[Any, ...]]]]
    ask: Callable[[], float] | None
    texts: Callable[[tuple[Any, ...]], int]
    faster: Mapping[str, float] = field(default_factory=dict)


def fit(
    work: Work,
    schedule: Schedule,
    *,
    device: str,
    half: bool = False,
    checkpoint: Path | None = None,
    key: str = "",
    told: Told | None = None,
) -> Trained:
    """Train what of a module learns, in place; it is left as it was where what was held out fared best.

    Args:
        work: What is learned; if nothing was held out, all steps are taken.
        schedule: How long and how fast.
        device: The kind of device that the module is on, such as "cpu".
        half: Whether products are of bfloat16; what learns stays in 32-bit floats.
        checkpoint: A file that keeps where it stands, every so often; after a kill it goes on from there.
        key: What the checkpoint must be of: data, model and settings.
        told: Hears how it goes.

    Raises:
        AdapterError: The loss isn't finite.
    """
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=device == "cpu")
    named = {name: part for name, part in work.module.named_parameters() if part.requires_grad}
    learning, rates = list(named.values()), [schedule.rate * work.faster.get(name, 1.0) for name in named]
    groups = [{"params": [part], "lr": rate} for part, rate in zip(learning, rates, strict=True)]
    optimizer: Any = torch.optim.AdamW(groups, weight_decay=0.0)
    module, optimizer = accelerator.prepare(work.module, optimizer)
    state = State.begin(learning)
    if checkpoint is not None and (found := State.read(checkpoint, key)) is not None:
        state = found.resumed_into(learning, optimizer)

    def ask() -> float:
        with torch.autocast(device, torch.bfloat16, enabled=half):
            return 0.0 if work.ask is None else work.ask()

    if not state.checks:
        state.checks.append(ask())
    begun, before = time.monotonic(), state.seconds
    texts = 0
    while state.step < work.steps and state.stale < schedule.patience:
        if state.seconds >= 60.0 * schedule.minutes:
            break
        spent = state.seconds / (60.0 * schedule.minutes)
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * warm_then_cosine(state.step, work.steps, spent)
        total = 0.0
        for share, given in work.draw(state.step):
            with torch.autocast(device, torch.bfloat16, enabled=half):
                loss = share * module(*given)
            if not torch.isfinite(loss):
                raise AdapterError(
                    f"the loss is {float(loss)} in step {state.step + 1}: refine with a lower learning rate"
                )
            accelerator.backward(loss)
            total += float(loss.detach())
            texts += work.texts(given)
        accelerator.clip_grad_norm_(learning, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        state.step += 1
        state.losses.append(total)
        state.seconds = before + time.monotonic() - begun
        if state.step % schedule.every == 0 or state.step == work.steps:
            state.check(ask(), learning)
            state.seconds = before + time.monotonic() - begun
            if checkpoint is not None and accelerator.is_main_process:
                state.write(checkpoint, key, learning, optimizer)
        if told is not None:
            told(state.step, work.steps, state.losses[-1], state.checks[-1])
    if state.step % schedule.every and state.step < work.steps and state.stale < schedule.patience:
        state.check(ask(), learning)
    if work.ask is None:
        state.best_step, state.best = state.step, [part.detach().clone() for part in learning]
    with torch.no_grad():
        for part, best in zip(learning, state.best, strict=True):
            part.copy_(best)
    return state.told(texts / max(time.monotonic() - begun, 1e-9))


def warm_then_cosine(step: int, steps: int, spent: float) -> float:
    """Return the share of the learning rate for a step, by how much of the steps or of the time is over.

    Where time runs out first, it is time that the rate rises and falls by: else it would end while the rate is rising.

    Args:
        step: How many are done.
        steps: How many there are at most.
        spent: The share of the time that is over, from 0 to 1.
    """
    over = max((step + 1) / (steps + 1), min(spent, 1.0))
    return over / _WARM if over < _WARM else float(0.5 * (1.0 + np.cos(np.pi * (over - _WARM) / (1.0 - _WARM))))


class State:
    """Where training stands, and what a checkpoint keeps of it."""

    def __init__(self) -> None:
        self.step = self.best_step = self.stale = self.resumed = 0
        self.losses: list[float] = []
        self.checks: list[float] = []
        self.seconds = 0.0
        self.best: list[Tensor] = []
        self._kept: dict[str, Any] = {}

    @classmethod
    def begin(cls, learning: list[nn.Parameter]) -> State:
        """Return the state before the first step."""
        made = cls()
        made.best = [part.detach().clone() for part in learning]
        return made

    def told(self, rate: float) -> Trained:
        """Return how training went, at so many texts a second."""
        return Trained(
            self.step, self.best_step, tuple(self.losses), tuple(self.checks), self.seconds, rate, self.resumed
        )

    def check(self, loss: float, learning: list[nn.Parameter]) -> None:
        """Take note of a loss on what was held out; the best one's weights are kept."""
        better = loss < min(self.checks)
        self.checks.append(loss)
        self.stale = 0 if better else self.stale + 1
        if better:
            self.best_step, self.best = self.step, [part.detach().clone() for part in learning]

    def write(self, path: Path, key: str, learning: Any, optimizer: Any) -> None:
        """Keep it, in one step."""
        told = {name: value for name, value in vars(self).items() if name not in {"best", "_kept"}}
        buffer = io.BytesIO()
        kept = {
            "now": [part.detach().cpu() for part in learning],
            "best": [part.cpu() for part in self.best],
            "optimizer": optimizer.state_dict(),
            "told": json.dumps({**told, "key": key}),
        }
        torch.save(kept, buffer)
        path.parent.mkdir(parents=True, exist_ok=True)
        artefact.replace(path, buffer.getvalue())

    @classmethod
    def read(cls, path: Path, key: str) -> State | None:
        """Return what a checkpoint holds; None if there is none, it is damaged, or it is of another training."""
        try:
            kept = torch.load(path, weights_only=True, map_location="cpu")
            told = json.loads(kept["told"])
        except Exception:
            return None
        if told.pop("key", None) != key:
            return None
        made = cls()
        vars(made).update(told)
        made._kept = kept
        return made

    def resumed_into(self, learning: list[nn.Parameter], optimizer: Any) -> State:
        """Set weights and optimizer to where they were."""
        with torch.no_grad():
            for part, value in zip(learning, self._kept["now"], strict=True):
                part.copy_(value)
        optimizer.load_state_dict(self._kept["optimizer"])
        self.best = [value.to(part.device) for part, value in zip(learning, self._kept["best"], strict=True)]
        self.resumed, self._kept = self.step, {}
        return self
