"""Distilling: what the language model makes of people with their likes, as a matrix behind the encoder.

The teacher is how much readier the language model is to name an item once it knows of a person, ``t_i``
(:mod:`coldstart.scoring.naming`). With an item's vector ``v = unit(x - m)``, for an encoder's vector ``x`` and the
catalogue's mean ``m``, a person is the unit vector ``u`` of ``sum_k unit((I + A) v_k)`` over their likes, as
:mod:`coldstart.scoring.following` has it. ``A``, of low rank, is learned so that ``u . v_i`` goes with ``t_i``: the
loss is 1 less Pearson's correlation over the items that were read for one person, which leaves the scale to the fusion
(Tang and Wang, "Ranking Distillation", KDD 2018, learn a ranking from a teacher's likewise). People of whom nothing is
learned say when to stop.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from scipy.stats import rankdata
from torch import Tensor, nn

from coldstart.refining import loop
from coldstart.refining.balance import AFTER, HEAD, PLACES
from coldstart.refining.gate import parted
from coldstart.refining.lora import Adapter

if TYPE_CHECKING:
    from coldstart.refining.examples import User
    from coldstart.refining.loop import Told
    from coldstart.refining.schedule import Schedule, Trained

    Rows = NDArray[np.int64]

RANK = 32
RATE, STEPS, EVERY, PATIENCE = 3e-3, 400, 10, 6
BATCH = 32
"""People a step."""

NEAR, FAR = 24, 24
"""Items that are read for each person: so many of the present ranking's best, and so many of all."""

BEST = 200
"""Among so many of the present ranking's best the former are drawn."""

FEWEST_READ = 4
"""Of fewer items no order can be told."""


@dataclass(frozen=True, eq=False, slots=True)
class Reading:
    """What the teacher makes of one person.

    Attributes:
        likes: Rows of what the person is known to like.
        rows: Rows of items. Shape: ``(items,)``.
        told: How much readier the language model is to name each. Shape: ``(items,)``.
    """

    likes: tuple[int, ...]
    rows: Rows
    told: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well the order of items agrees with the teacher's, as Spearman's correlation, mean over people.

    Attributes:
        before: By closeness to what people like, without a matrix.
        after: With it.
    """

    before: float
    after: float


def readings(
    users: Sequence[User],
    *,
    ranked: Callable[[tuple[int, ...]], Rows],
    read: Callable[[tuple[int, ...], Rows], NDArray[np.float64]],
    seed: int,
    progress: Callable[[int], None] | None = None,
) -> list[Reading]:
    """Ask the teacher of some people, each known by a few of their likes.

    Args:
        users: With two likes or more each.
        ranked: From likes to rows, the best first, as they are ranked now; at least some hundreds, or all there are.
        read: From likes and rows to what the teacher tells.
        seed: Draws the items.
        progress: Called as people are done.
    """
    found = []
    for place, user in enumerate(users):
        likes = parted(user)[0]
        order = ranked(likes)
        rng = np.random.default_rng([seed, 19, place])
        best = rng.permutation(order[:BEST])[:NEAR]
        rows = np.unique(np.concatenate([best, rng.permutation(order)[:FAR]]))
        found.append(Reading(likes, rows, read(likes, rows)))
        if progress is not None:
            progress(1)
    return [one for one in found if len(one.rows) >= FEWEST_READ and np.ptp(one.told) > 0]


def learned(
    vectors: NDArray[np.float32],
    taught: Sequence[Reading],
    checks: Sequence[Reading],
    schedule: Schedule,
    *,
    base: str,
    told: Told | None = None,
) -> tuple[Adapter | None, Trained, Agreement]:
    """Learn the matrix; None if after no step it agreed better with what the teacher told of others.

    Args:
        vectors: The catalogue's, of the encoder without an adapter. Shape: ``(items, dimension)``.
        taught: What is learned; at least one reading.
        checks: Of other people; at least one.
        schedule: Its minutes and its seed.
        base: The hash of the encoder.
        told: Hears how each step went.
    """
    module = Matrix(torch.from_numpy(_unit(vectors - vectors.mean(0))), seed=schedule.seed)

    def draw(step: int) -> list[tuple[float, tuple[Any, ...]]]:
        rng = np.random.default_rng([schedule.seed, 23, step])
        return [(1.0, ([taught[at] for at in rng.permutation(len(taught))[:BATCH]],))]

    def ask() -> float:
        with torch.no_grad():
            return float(module(checks))

    work = loop.Work(module, STEPS, draw, ask, lambda part: len(part[0]))
    how = replace(schedule, rate=RATE, every=EVERY, patience=PATIENCE)
    before = module.agreement(checks)
    done = loop.fit(work, how, device="cpu", told=told)
    found = Agreement(before, module.agreement(checks))
    if done.best == 0:
        return None, done, found
    after = module.change.detach().contiguous()
    tensors = {AFTER: after, PLACES: torch.zeros(1)}
    return Adapter(save(tensors), json.dumps({HEAD: True, AFTER: True}, sort_keys=True).encode(), base), done, found


class Matrix(nn.Module):
    """From readings to how far the order of items is from the teacher's; it changes nothing before it learns.

    Args:
        vectors: The catalogue's, centred, of unit length. Shape: ``(items, dimension)``.
        seed: Of where it begins.
    """

    def __init__(self, vectors: Tensor, *, seed: int) -> None:
        super().__init__()
        self._vectors, size = vectors, vectors.shape[1]
        rank, random = min(RANK, size), torch.Generator().manual_seed(seed)
        self.out = nn.Parameter(torch.zeros(size, rank))
        self.into = nn.Parameter(torch.randn(rank, size, generator=random) / rank**0.5)

    @property
    def change(self) -> Tensor:
        """``A``. Shape: ``(dimension, dimension)``."""
        return self.out @ self.into

    def forward(self, readings: Sequence[Reading]) -> Tensor:
        """Return 1 less Pearson's correlation of scores and what the teacher told, mean over people."""
        change = self.change
        missed = [1.0 - _correlation(self._scores(one, change), torch.from_numpy(one.told)) for one in readings]
        return torch.stack(missed).mean()

    def agreement(self, readings: Sequence[Reading]) -> float:
        """Return Spearman's correlation of scores and what the teacher told, mean over people."""
        with torch.no_grad():
            change = self.change
            found = [np.corrcoef(*map(rankdata, (self._scores(one, change), one.told)))[0, 1] for one in readings]
        return float(np.mean(found))

    def _scores(self, reading: Reading, change: Tensor) -> Tensor:
        """Return each item's score. Shape: ``(items,)``."""
        liked = self._vectors[list(reading.likes)]
        person = nn.functional.normalize(liked + liked @ change, dim=1).sum(0)
        person = nn.functional.normalize(person, dim=0)
        return self._vectors[torch.from_numpy(reading.rows)] @ person


def _correlation(one: Tensor, other: Tensor) -> Tensor:
    one, other = one - one.mean(), (other - other.mean()).to(one.dtype)
    both: Tensor = one.norm() * other.norm()
    return (one @ other) / both.clamp_min(1e-9)


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    return found
