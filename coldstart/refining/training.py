"""The training loop: contrastive learning of an encoder's adapter on pairs of what was liked together.

A batch's loss is the cross-entropy of each anchor's own positive among all of the batch's, by cosine over a temperature
(InfoNCE: van den Oord et al., "Representation Learning with Contrastive Predictive Coding", 2018), in the space that
ranks: vectors less the catalogue's mean, of unit length. Popular items are drawn as negatives more often than others;
the logarithm of how often is taken off (Yi et al., "Sampling-bias-corrected neural modeling", RecSys 2019). What the
anchor's user likes is no negative.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from coldstart import artefact
from coldstart.errors import AdapterError
from coldstart.refining.examples import Examples
from coldstart.refining.schedule import Schedule, Trained
from coldstart.refining.tower import Tower

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WARM = 0.1
_LEAST_CHANCE = 1e-9


Told = Callable[[int, int, float, float], None]
"""Called after each step with how many are done, how many there are, the loss and the last one held out."""


class Loss(nn.Module):
    """The contrastive loss of pairs.

    Args:
        mean: The catalogue's mean vector. Shape: ``(dimension,)``.
        counts: How many like each item; at least 1 is read. Shape: ``(items,)``.
        likes: What each user likes.
        temperature: By which cosines are divided.
    """

    mean: Tensor
    correction: Tensor

    def __init__(
        self, mean: NDArray[np.float32], counts: NDArray[np.float64], likes: list[set[int]], *, temperature: float
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.from_numpy(np.array(mean)))
        chances = np.maximum(counts, 1.0) / np.maximum(counts, 1.0).sum()
        self.register_buffer("correction", torch.from_numpy(np.log(np.maximum(chances, _LEAST_CHANCE))).float())
        self._likes, self._temperature = likes, temperature

    def forward(
        self, tower: Callable[[NDArray[np.int64]], Tensor], anchors: Any, positives: Any, owners: Any
    ) -> Tensor:
        """Return the mean loss. Shape of what is given: ``(pairs,)`` each."""
        places, back = np.unique(np.concatenate([anchors, positives]), return_inverse=True)
        vectors = nn.functional.normalize(tower(places) - self.mean, dim=1)
        candidates, own = np.unique(positives, return_inverse=True)
        of = {place: row for row, place in enumerate(places.tolist())}
        logits = vectors[back[: len(anchors)]] @ vectors[[of[place] for place in candidates.tolist()]].T
        logits = logits / self._temperature - self.correction[candidates]
        liked = np.array([[item in self._likes[owner] for item in candidates.tolist()] for owner in owners.tolist()])
        liked |= anchors[:, None] == candidates[None]
        liked[np.arange(len(own)), own] = False
        logits = logits.masked_fill(torch.from_numpy(liked).to(logits.device), float("-inf"))
        return nn.functional.cross_entropy(logits, torch.from_numpy(own).to(logits.device))


class _Module(nn.Module):
    """Tower and loss as one module, as accelerate wants what it distributes."""

    def __init__(self, tower: Tower, loss: Loss) -> None:
        super().__init__()
        self.tower, self.loss = tower, loss

    def forward(self, anchors: Any, positives: Any, owners: Any) -> Tensor:
        return self.loss(self.tower, anchors, positives, owners)  # type: ignore[no-any-return]


def train(
    tower: Tower,
    examples: Examples,
    checks: Examples,
    mean: NDArray[np.float32],
    schedule: Schedule,
    *,
    checkpoint: Path | None = None,
    key: str = "",
    told: Told | None = None,
) -> Trained:
    """Train what of a tower learns, in place; it is left as it was where what was held out fared best.

    Args:
        tower: Over the catalogue's documents and then the examples' texts.
        examples: What is learned.
        checks: Pairs of people who were held out; if there are none, all steps are taken.
        mean: The catalogue's mean vector.
        schedule: How long and how fast.
        checkpoint: A file that keeps where it stands, every so often; after a kill it goes on from there.
        key: What the checkpoint must be of: data, model and settings.
        told: Hears how it goes.

    Raises:
        AdapterError: The loss isn't finite.
    """
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=tower.model.device.type == "cpu")
    learning = [part for part in tower.parameters() if part.requires_grad]
    steps = schedule.steps(len(examples))
    optimizer = torch.optim.AdamW(learning, lr=schedule.rate, weight_decay=0.0)
    likes = [set(user.likes) for user in examples.users]
    module = _Module(tower, Loss(mean, examples.counts, likes, temperature=schedule.temperature))
    module, optimizer = accelerator.prepare(module, optimizer)
    state = _State.begin(learning)
    if checkpoint is not None and (found := _State.read(checkpoint, key)) is not None:
        state = found.resumed_into(learning, optimizer)
    ask = _asker(module, checks, schedule)
    if not state.checks:
        state.checks.append(ask())
    begun, before = time.monotonic(), state.seconds
    texts = 0
    while state.step < steps and state.stale < schedule.patience:
        if state.seconds >= 60.0 * schedule.minutes:
            break
        spent = state.seconds / (60.0 * schedule.minutes)
        for group in optimizer.param_groups:
            group["lr"] = schedule.rate * warm_then_cosine(state.step, steps, spent)
        batch = _drawn(len(examples), schedule, state.step)
        loss = module(examples.anchors[batch], examples.positives[batch], examples.owners[batch])
        if not torch.isfinite(loss):
            raise AdapterError(f"the loss is {float(loss)} in step {state.step + 1}: refine with a lower learning rate")
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(learning, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        texts += len(np.unique(np.concatenate([examples.anchors[batch], examples.positives[batch]])))
        state.step += 1
        state.losses.append(float(loss.detach()))
        state.seconds = before + time.monotonic() - begun
        if state.step % schedule.every == 0 or state.step == steps:
            state.check(ask(), learning)
            state.seconds = before + time.monotonic() - begun
            if checkpoint is not None and accelerator.is_main_process:
                state.write(checkpoint, key, learning, optimizer)
        if told is not None:
            told(state.step, steps, state.losses[-1], state.checks[-1])
    if state.step % schedule.every and state.step < steps and state.stale < schedule.patience:
        state.check(ask(), learning)
    if len(checks) == 0:
        state.best_step, state.best = state.step, [part.detach().clone() for part in learning]
    with torch.no_grad():
        for part, best in zip(learning, state.best, strict=True):
            part.copy_(best)
    lasted = max(time.monotonic() - begun, 1e-9)
    return Trained(
        state.step,
        state.best_step,
        tuple(state.losses),
        tuple(state.checks),
        state.seconds,
        texts / lasted,
        state.resumed,
    )


def _drawn(pairs: int, schedule: Schedule, step: int) -> NDArray[np.int64]:
    """Return a step's pairs: all of them, in an order of its own each time round, also after an interrupt."""
    size = min(schedule.batch, pairs)
    start = step * size
    found: list[NDArray[np.int64]] = []
    while sum(map(len, found)) < size:
        at = start + sum(map(len, found))
        order = np.random.default_rng([schedule.seed, at // pairs]).permutation(pairs)
        found.append(order[at % pairs :][: size - sum(map(len, found))])
    return np.concatenate(found)


def _asker(module: Any, checks: Examples, schedule: Schedule) -> Callable[[], float]:
    """Return what tells the loss on what was held out, always on the same pairs; zero without any."""
    if len(checks) == 0:
        return lambda: 0.0
    chosen = np.random.default_rng(schedule.seed).permutation(len(checks))[: 4 * schedule.batch]
    likes = [set(user.likes) for user in checks.users]
    inner = module.module if hasattr(module, "module") else module
    loss = Loss(inner.loss.mean.cpu().numpy(), checks.counts, likes, temperature=schedule.temperature)
    loss = loss.to(inner.loss.mean.device)

    def ask() -> float:
        losses = []
        with torch.no_grad():
            for start in range(0, len(chosen), schedule.batch):
                rows = chosen[start : start + schedule.batch]
                found = loss(inner.tower, checks.anchors[rows], checks.positives[rows], checks.owners[rows])
                losses.append((float(found), len(rows)))
        return float(np.average([value for value, _ in losses], weights=[count for _, count in losses]))

    return ask


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


class _State:
    """Where training stands, and what a checkpoint keeps of it."""

    def __init__(self) -> None:
        self.step = self.best_step = self.stale = self.resumed = 0
        self.losses: list[float] = []
        self.checks: list[float] = []
        self.seconds = 0.0
        self.best: list[Tensor] = []
        self._kept: dict[str, Any] = {}

    @classmethod
    def begin(cls, learning: list[nn.Parameter]) -> _State:
        made = cls()
        made.best = [part.detach().clone() for part in learning]
        return made

    def check(self, loss: float, learning: list[nn.Parameter]) -> None:
        """Take note of a loss on what was held out; the best one's weights are kept."""
        better = loss < min(self.checks)
        self.checks.append(loss)
        self.stale = 0 if better else self.stale + 1
        if better:
            self.best_step, self.best = self.step, [part.detach().clone() for part in learning]

    def write(self, path: Path, key: str, learning: Any, optimizer: Any) -> None:
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
    def read(cls, path: Path, key: str) -> _State | None:
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

    def resumed_into(self, learning: list[nn.Parameter], optimizer: Any) -> _State:
        with torch.no_grad():
            for part, value in zip(learning, self._kept["now"], strict=True):
                part.copy_(value)
        optimizer.load_state_dict(self._kept["optimizer"])
        self.best = [value.to(part.device) for part, value in zip(learning, self._kept["best"], strict=True)]
        self.resumed, self._kept = self.step, {}
        return self
