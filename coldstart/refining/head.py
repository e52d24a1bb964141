"""A head: matrices behind the encoder, learned in seconds or minutes; its vectors stay what they are for all else.

An item is ``v = unit((I + D)(x - m))`` for an encoder's vector ``x`` and the catalogue's mean ``m``. A person is the
unit vector ``u`` of ``sum_k s_k unit((I + A) v_k)``, of the items that they liked before, the last one first, and what
they liked next is to be told from other items ``j``, drawn evenly from all that anybody likes, by the cross-entropy of
``cos(u, v_j) / t``. ``D``, ``A`` and the logarithms of the shares ``s`` are learned, from zero on. Items that nobody
likes are never among the others: they may just be new.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor, nn

from coldstart.refining import loop
from coldstart.refining.balance import AFTER, CHANGE, HEAD, PLACES
from coldstart.refining.lora import Adapter

if TYPE_CHECKING:
    from coldstart.refining.examples import Lesson, User
    from coldstart.refining.loop import Told
    from coldstart.refining.schedule import Schedule

BEFORE = 10
"""How many earlier likes, at most, a person is made of."""

TEMPERATURE, RATE, RATE_OF_SHARES = 0.1, 1e-3, 2e-2
BATCH, OTHERS = 512, 1024
FEWEST_STEPS, PASSES = 40, 3.0
EVERY, PATIENCE = 20, 5
SHARE = 0.4
"""The share of the minutes that it may take."""


def learned(
    vectors: NDArray[np.float32],
    lesson: Lesson,
    schedule: Schedule,
    *,
    base: str,
    checkpoint: Path | None = None,
    told: Told | None = None,
) -> Adapter | None:
    """Learn a head; None if it brings none of those who choose closer to what they liked.

    Args:
        vectors: The catalogue's, of the encoder without an adapter. Shape: ``(items, dimension)``.
        lesson: What people like.
        schedule: Its minutes and its seed.
        base: The hash of the encoder.
        checkpoint: A file that keeps where it stands, so that a run that is killed goes on.
        told: Hears how each step went.
    """
    taught, held_out = _steps(lesson.taught.users), _steps(lesson.choosing)
    module = Head(torch.from_numpy(vectors - vectors.mean(0)))
    liked = np.flatnonzero(lesson.taught.counts)
    check = _sampled(held_out, liked, np.random.default_rng([schedule.seed, 12]), size=4 * BATCH)

    def draw(step: int) -> list[tuple[float, tuple[Any, ...]]]:
        return [(1.0, _sampled(taught, liked, np.random.default_rng([schedule.seed, 11, step]), size=BATCH))]

    def ask() -> float:
        with torch.no_grad():
            return float(module(*check))

    work = loop.Work(
        module,
        max(FEWEST_STEPS, int(PASSES * len(taught[1]) / BATCH)),
        draw,
        ask,
        lambda part: len(part[1]),
        faster={"shares": RATE_OF_SHARES / RATE},
    )
    how = replace(schedule, minutes=SHARE * schedule.minutes, rate=RATE, every=EVERY, patience=PATIENCE)
    key = hashlib.sha256(json.dumps([base, lesson.hash, {**asdict(how), "minutes": 0}]).encode()).hexdigest()
    done = loop.fit(work, how, device="cpu", checkpoint=checkpoint, key=key, told=told)
    if done.best == 0:
        return None
    change, after, shares = (part.detach() for part in module.parameters())
    tensors = {CHANGE: change, AFTER: after, PLACES: shares}
    return Adapter(save(tensors), json.dumps({HEAD: True, AFTER: True}, sort_keys=True).encode(), base)


class Head(nn.Module):
    """From what people liked before and next to the loss; it changes nothing before it learns.

    Args:
        centred: The catalogue's vectors less their mean. Shape: ``(items, dimension)``.

    Attributes:
        change: ``D``. Shape: ``(dimension, dimension)``.
        after: ``A``. Shape: ``(dimension, dimension)``.
        shares: The logarithms of ``s``, up to a constant. Shape: ``(BEFORE,)``.
    """

    def __init__(self, centred: Tensor) -> None:
        super().__init__()
        self._centred, size = centred, centred.shape[1]
        self.change = nn.Parameter(torch.zeros(size, size))
        self.after = nn.Parameter(torch.zeros(size, size))
        self.shares = nn.Parameter(torch.zeros(BEFORE))

    def forward(self, before: NDArray[np.int64], after: NDArray[np.int64], others: NDArray[np.int64]) -> Tensor:
        """Return the mean cross-entropy of what was liked next among it and the others.

        Shapes: ``(pairs, BEFORE)``, ``(pairs,)``, ``(others,)``.
        """
        there = before >= 0
        items, back = np.unique(np.concatenate([before[there], after, others]), return_inverse=True)
        plain = self._centred[torch.from_numpy(items)]
        vectors = nn.functional.normalize(plain + plain @ self.change, dim=1)
        mine, next_, rest = np.split(back, [there.sum(), there.sum() + len(after)])
        said, where = np.unique(mine, return_inverse=True)
        turned = vectors[torch.from_numpy(said)]
        turned = nn.functional.normalize(turned + turned @ self.after, dim=1)
        shares = torch.softmax(self.shares.masked_fill(torch.from_numpy(~there), float("-inf")), dim=1)
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
