"""A head: one matrix behind the encoder, learned in seconds from likes; the encoder's own vectors stay what they are.

A person is the mean ``u`` of the items that they liked before, and what they liked next is to be told from other items
``j``, drawn evenly from all that anybody likes, by the cross-entropy of ``cos(u, v_j) / t`` with
``v = unit((I + D)(x - m))`` for an encoder's vector ``x`` and the catalogue's mean ``m``. Only ``D`` is learned, from
zero on. Items that nobody likes are never among the others: they may just be new.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor, nn

from coldstart.refining.lora import HEAD, Adapter

if TYPE_CHECKING:
    from coldstart.refining.examples import Lesson, User
    from coldstart.refining.schedule import Schedule

BEFORE = 10
"""How many earlier likes, at most, a person is the mean of."""

TEMPERATURE, RATE = 0.1, 1e-3
BATCH, OTHERS = 512, 1024
FEWEST_STEPS, MOST_STEPS, PASSES = 20, 200, 3.0
EVERY, PATIENCE = 10, 3
SHARE = 0.1
"""The share of the minutes that it may take."""


def learned(vectors: NDArray[np.float32], lesson: Lesson, schedule: Schedule, *, base: str) -> Adapter | None:
    """Learn a head; None if it brings nobody who was held out closer to what they liked.

    Args:
        vectors: The catalogue's, of the encoder without an adapter. Shape: ``(items, dimension)``.
        lesson: What people like.
        schedule: Its minutes and its seed.
        base: The hash of the encoder.
    """
    mean = vectors.mean(0)
    centred = torch.from_numpy(vectors - mean)
    taught, held_out = _steps(lesson.taught.users), _steps(lesson.judges)
    change = nn.Parameter(torch.zeros(vectors.shape[1], vectors.shape[1]))
    liked = np.flatnonzero(lesson.taught.counts)
    count = int(np.clip(PASSES * len(taught[1]) / BATCH, FEWEST_STEPS, MOST_STEPS))
    optimizer: Any = torch.optim.AdamW([change], lr=RATE, weight_decay=0.0)
    rates: Any = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, count)
    drawn = np.random.default_rng([schedule.seed, 11])
    check = _sampled(held_out, liked, np.random.default_rng([schedule.seed, 12]))
    best: Tensor | None = None
    least, stale = float(_loss(centred, change.detach(), *check)), 0
    begun = time.monotonic()
    for step in range(1, count + 1):
        loss = _loss(centred, change, *_sampled(taught, liked, drawn))
        (change.grad,) = torch.autograd.grad(loss, [change])
        optimizer.step()
        rates.step()
        if step % EVERY and step < count:
            continue
        now = float(_loss(centred, change.detach(), *check))
        stale = stale + 1 if now >= least else 0
        if now < least:
            best, least = change.detach().clone(), now
        if stale >= PATIENCE or time.monotonic() - begun > 60.0 * SHARE * schedule.minutes:
            break
    if best is None:
        return None
    bias = -torch.from_numpy(mean) @ (torch.eye(len(best)) + best)
    tensors = {"weight": best, "bias": bias}
    return Adapter(save(tensors), json.dumps({HEAD: True}).encode(), base)


def _steps(users: tuple[User, ...]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return what people liked before, -1 where there was less, and next. Shapes: ``(pairs, BEFORE)``, ``(pairs,)``."""
    pairs = [
        (*user.likes[max(0, at - BEFORE) : at], *(-1,) * (BEFORE - at), user.likes[at])
        for user in users
        for at in range(1, len(user.likes))
    ]
    table = np.array(pairs, np.int64).reshape(-1, BEFORE + 1)
    return table[:, :BEFORE], table[:, BEFORE]


def _sampled(
    steps: tuple[NDArray[np.int64], NDArray[np.int64]], liked: NDArray[np.int64], rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    chosen = rng.choice(len(steps[1]), min(BATCH, len(steps[1])), replace=False)
    return steps[0][chosen], steps[1][chosen], rng.choice(liked, min(OTHERS, len(liked)), replace=False)


def _loss(
    centred: Tensor, change: Tensor, before: NDArray[np.int64], after: NDArray[np.int64], others: NDArray[np.int64]
) -> Tensor:
    """Return the mean cross-entropy of what was liked next among it and the others."""
    there = before >= 0
    items, back = np.unique(np.concatenate([before[there], after, others]), return_inverse=True)
    plain = centred[torch.from_numpy(items)]
    vectors = nn.functional.normalize(plain + plain @ change, dim=1)
    mine, next_, rest = np.split(back, [there.sum(), there.sum() + len(after)])
    shares = np.zeros((len(before), len(items)), np.float32)
    np.add.at(shares, (np.nonzero(there)[0], mine), 1.0)
    people = nn.functional.normalize(torch.from_numpy(shares) @ vectors, dim=1)
    own = (people * vectors[torch.from_numpy(next_)]).sum(1, keepdim=True)
    theirs = people @ vectors[torch.from_numpy(rest)].T
    known = (others == after[:, None]) | (before[:, :, None] == others).any(1)
    theirs = theirs.masked_fill(torch.from_numpy(known), float("-inf"))
    logits = torch.cat([own, theirs], dim=1) / TEMPERATURE
    return nn.functional.cross_entropy(logits, torch.zeros(len(before), dtype=torch.long))
