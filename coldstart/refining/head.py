"""A head: matrices behind the encoder, learned in seconds or minutes; the encoder's own vectors stay what they are.

An item is ``v = unit((I + D)(x - m))`` for an encoder's vector ``x`` and the catalogue's mean ``m``. A person is the
unit vector ``u`` of ``sum_k s_k unit((I + A) v_k)``, of the items that they liked before, the last one first, and what
they liked next is to be told from other items ``j``, drawn evenly from all that anybody likes, by the cross-entropy of
``cos(u, v_j) / t``. ``D``, ``A`` and the logarithms of the shares ``s`` are learned, from zero on. Items that nobody
likes are never among the others: they may just be new.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor, nn

from coldstart.refining.balance import AFTER, HEAD, PLACES
from coldstart.refining.lora import Adapter

if TYPE_CHECKING:
    from coldstart.refining.examples import Lesson, User
    from coldstart.refining.schedule import Schedule

BEFORE = 10
"""How many earlier likes, at most, a person is made of."""

TEMPERATURE, RATE, RATE_OF_SHARES = 0.1, 1e-3, 2e-2
BATCH, OTHERS = 512, 1024
FEWEST_STEPS, PASSES = 40, 3.0
WARM = 20
EVERY, PATIENCE = 20, 5
SHARE = 0.4
"""The share of the minutes that it may take."""


def learned(vectors: NDArray[np.float32], lesson: Lesson, schedule: Schedule, *, base: str) -> Adapter | None:
    """Learn a head; None if it brings nobody who was held out closer to what they liked.

    Args:
        vectors: The catalogue's, of the encoder without an adapter. Shape: ``(items, dimension)``.
        lesson: What people like.
        schedule: Its minutes and its seed.
        base: The hash of the encoder.
    """
    begun = time.monotonic()
    mean = vectors.mean(0)
    centred = torch.from_numpy(vectors - mean)
    taught, held_out = _steps(lesson.taught.users), _steps(lesson.judges)
    parts = Parts.none(vectors.shape[1])
    liked = np.flatnonzero(lesson.taught.counts)
    count = max(FEWEST_STEPS, int(PASSES * len(taught[1]) / BATCH))
    optimizer: Any = torch.optim.AdamW(
        [{"params": [parts.change, parts.after], "lr": RATE}, {"params": [parts.shares], "lr": RATE_OF_SHARES}],
        weight_decay=0.0,
    )
    rates = [group["lr"] for group in optimizer.param_groups]
    drawn = np.random.default_rng([schedule.seed, 11])
    check = _sampled(held_out, liked, np.random.default_rng([schedule.seed, 12]), size=4 * BATCH)
    best: Parts | None = None
    least, stale = float(_loss(centred, parts.fixed(), *check)), 0
    for step in range(1, count + 1):
        over = max(step / count, (time.monotonic() - begun) / (60.0 * SHARE * schedule.minutes))
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * min(1.0, step / WARM) * 0.5 * (1.0 + np.cos(np.pi * min(over, 1.0)))
        loss = _loss(centred, parts, *_sampled(taught, liked, drawn, size=BATCH))
        for part, gradient in zip(parts, torch.autograd.grad(loss, list(parts)), strict=True):
            part.grad = gradient
        optimizer.step()
        if step % EVERY and over < 1.0:
            continue
        now = float(_loss(centred, parts.fixed(), *check))
        stale = stale + 1 if now >= least else 0
        if now < least:
            best, least = parts.fixed(), now
        if stale >= PATIENCE or over >= 1.0:
            break
    if best is None:
        return None
    bias = -torch.from_numpy(mean) @ (torch.eye(len(best.change)) + best.change)
    tensors = {"weight": best.change, "bias": bias, AFTER: best.after, PLACES: best.shares}
    return Adapter(save(tensors), json.dumps({HEAD: True, AFTER: True}, sort_keys=True).encode(), base)


class Parts(NamedTuple):
    """What is learned.

    Attributes:
        change: ``D``. Shape: ``(dimension, dimension)``.
        after: ``A``. Shape: ``(dimension, dimension)``.
        shares: The logarithms of ``s``, up to a constant. Shape: ``(BEFORE,)``.
    """

    change: Tensor
    after: Tensor
    shares: Tensor

    @classmethod
    def none(cls, dimension: int) -> Parts:
        """Return those that change nothing."""
        sizes = ((dimension, dimension), (dimension, dimension), (BEFORE,))
        return cls(*(nn.Parameter(torch.zeros(size)) for size in sizes))

    def fixed(self) -> Parts:
        """Return a copy of them as they are."""
        return Parts(*(part.detach().clone() for part in self))


def _steps(users: tuple[User, ...]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return what people liked before, the last one first and -1 where there was less, and next.

    Shapes: ``(pairs, BEFORE)``, ``(pairs,)``.
    """
    pairs = [
        (*user.likes[max(0, at - BEFORE) : at][::-1], *(-1,) * (BEFORE - at), user.likes[at])
        for user in users
        for at in range(1, len(user.likes))
    ]
    table = np.array(pairs, np.int64).reshape(-1, BEFORE + 1)
    return table[:, :BEFORE], table[:, BEFORE]


def _sampled(
    steps: tuple[NDArray[np.int64], NDArray[np.int64]], liked: NDArray[np.int64], rng: np.random.Generator, *, size: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    chosen = rng.choice(len(steps[1]), min(size, len(steps[1])), replace=False)
    return steps[0][chosen], steps[1][chosen], rng.choice(liked, min(OTHERS, len(liked)), replace=False)


def _loss(
    centred: Tensor, parts: Parts, before: NDArray[np.int64], after: NDArray[np.int64], others: NDArray[np.int64]
) -> Tensor:
    """Return the mean cross-entropy of what was liked next among it and the others."""
    there = before >= 0
    items, back = np.unique(np.concatenate([before[there], after, others]), return_inverse=True)
    plain = centred[torch.from_numpy(items)]
    vectors = nn.functional.normalize(plain + plain @ parts.change, dim=1)
    mine, next_, rest = np.split(back, [there.sum(), there.sum() + len(after)])
    said, where = np.unique(mine, return_inverse=True)
    turned = vectors[torch.from_numpy(said)]
    turned = nn.functional.normalize(turned + turned @ parts.after, dim=1)
    shares = torch.softmax(parts.shares.masked_fill(torch.from_numpy(~there), float("-inf")), dim=1)
    person = torch.from_numpy(np.nonzero(there)[0])
    table = torch.zeros(len(before), len(said))
    table = table.index_put((person, torch.from_numpy(where)), shares[torch.from_numpy(there)], accumulate=True)
    people = nn.functional.normalize(table @ turned, dim=1)
    own = (people * vectors[torch.from_numpy(next_)]).sum(1, keepdim=True)
    theirs = people @ vectors[torch.from_numpy(rest)].T
    known = (others == after[:, None]) | (before[:, :, None] == others).any(1)
    theirs = theirs.masked_fill(torch.from_numpy(known), float("-inf"))
    logits = torch.cat([own, theirs], dim=1) / TEMPERATURE
    return nn.functional.cross_entropy(logits, torch.zeros(len(before), dtype=torch.long))
