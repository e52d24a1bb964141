"""Contrastive learning of an encoder's adapter on pairs of what was liked together.

A batch's loss is the cross-entropy of each anchor's own positive among all of a batch's items, by cosine over a
temperature (InfoNCE: van den Oord et al., "Representation Learning with Contrastive Predictive Coding", 2018), in the
space that ranks: vectors less the catalogue's mean, of unit length. Popular items are drawn as negatives more often
than others; the logarithm of how often is taken off (Yi et al., "Sampling-bias-corrected neural modeling", RecSys
2019). What the anchor's user likes is no negative. Anchors are candidates too: they are encoded anyway. Hard negatives,
where they are asked for, are items that the index as it is holds close to an anchor (Karpukhin et al., "Dense passage
retrieval for open-domain question answering", EMNLP 2020), and corrected like the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from coldstart.refining import loop
from coldstart.refining.examples import RUN, Examples
from coldstart.refining.loop import Told
from coldstart.refining.schedule import Schedule, Trained
from coldstart.refining.tower import Tower

if TYPE_CHECKING:
    from numpy.typing import NDArray

CLOSEST = 50
"""Among so many items closest to an anchor a hard negative is drawn."""

_LEAST_CHANCE = 1e-9


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
        self, tower: Callable[[NDArray[np.int64]], Tensor], anchors: Any, positives: Any, owners: Any, hard: Any = ()
    ) -> Tensor:
        """Return the mean loss. Shape of what is given: ``(pairs,)`` each; ``(hard,)`` rows of further negatives."""
        hard = np.asarray(hard, np.int64)
        places, back = np.unique(np.concatenate([anchors, positives, hard]), return_inverse=True)
        vectors = nn.functional.normalize(tower(places) - self.mean, dim=1)
        candidates = places[places < len(self.correction)]  # rising: texts come after all items
        own = back[len(anchors) : 2 * len(anchors)]
        logits = vectors[back[: len(anchors)]] @ vectors[: len(candidates)].T
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

    def forward(self, anchors: Any, positives: Any, owners: Any, hard: Any = ()) -> Tensor:
        return self.loss(self.tower, anchors, positives, owners, hard)  # type: ignore[no-any-return]


def train(
    tower: Tower,
    examples: Examples,
    checks: Examples,
    mean: NDArray[np.float32],
    schedule: Schedule,
    *,
    vectors: NDArray[np.float32] | None = None,
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
        vectors: The catalogue's as they are now, centred, for hard negatives. Shape: ``(items, dimension)``.
        checkpoint: A file that keeps where it stands, every so often; after a kill it goes on from there.
        key: What the checkpoint must be of: data, model and settings.
        told: Hears how it goes.

    Raises:
        AdapterError: The loss isn't finite.
    """
    likes = [set(user.likes) for user in examples.users]
    module = _Module(tower, Loss(mean, examples.counts, likes, temperature=schedule.temperature))
    module.to(tower.model.device)
    read = np.unique(np.concatenate([examples.anchors, examples.positives]))
    known = read[read < len(examples.counts)]

    def draw(step: int) -> list[tuple[float, tuple[Any, ...]]]:
        batch = _drawn(len(examples), schedule, step)
        pairs = (examples.anchors[batch], examples.positives[batch], examples.owners[batch])
        if vectors is None or not schedule.hard:
            return [(1.0, pairs)]
        rng = np.random.default_rng([schedule.seed, 17, step])
        return [(1.0, (*pairs, _hard(pairs, vectors, known, likes, schedule.hard, rng)))]

    work = loop.Work(
        module,
        schedule.steps(len(examples)),
        draw,
        _asker(module, checks, schedule) if len(checks) else None,
        lambda pairs: len(np.unique(np.concatenate(pairs[:2]))),
    )
    return loop.fit(work, schedule, device=tower.model.device.type, checkpoint=checkpoint, key=key, told=told)


def _drawn(pairs: int, schedule: Schedule, step: int) -> NDArray[np.int64]:
    """Return a step's pairs: all of them, in an order of its own each time round, also after an interrupt.

    Runs of neighbours stay together: they are of few items, so that a step's texts give more pairs.
    """
    size = min(schedule.batch, pairs)
    start = step * size
    found: list[NDArray[np.int64]] = []
    while sum(map(len, found)) < size:
        at = start + sum(map(len, found))
        runs = np.random.default_rng([schedule.seed, at // pairs]).permutation(-(-pairs // RUN))
        order = (RUN * runs[:, None] + np.arange(RUN)).ravel()
        order = order[order < pairs]
        found.append(order[at % pairs :][: size - sum(map(len, found))])
    return np.concatenate(found)


def _hard(
    pairs: tuple[NDArray[np.int64], ...],
    vectors: NDArray[np.float32],
    known: NDArray[np.int64],
    likes: Sequence[set[int]],
    count: int,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Return items that are close to anchors and aren't liked by whose pairs those are.

    Args:
        pairs: Anchors, positives and owners of a step.
        vectors: The catalogue's, centred. Shape: ``(items, dimension)``.
        known: Rows of the items in pairs, which alone are drawn: the tower reads them. Shape: ``(known,)``.
        likes: What each owner likes.
        count: How many at most; anchors that are texts give none.
        rng: Draws them.
    """
    anchors, _, owners = pairs
    chosen = rng.permutation(np.flatnonzero(anchors < len(vectors)))[:count]
    close = vectors[anchors[chosen]] @ vectors[known].T
    most = min(CLOSEST, len(known))
    found = []
    for place, row in zip(chosen.tolist(), close, strict=True):
        near = known[np.argpartition(-row, most - 1)[:most]]
        mine = likes[owners[place]]
        others = [item for item in near.tolist() if item not in mine and item != anchors[place]]
        if others:
            found.append(int(rng.choice(others)))
    return np.array(found, np.int64)


def _asker(module: _Module, checks: Examples, schedule: Schedule) -> Callable[[], float]:
    """Return what tells the loss on what was held out, always on the same pairs."""
    chosen = np.random.default_rng(schedule.seed).permutation(len(checks))[: 4 * schedule.batch]
    likes = [set(user.likes) for user in checks.users]
    mean = module.loss.mean
    loss = Loss(mean.cpu().numpy(), checks.counts, likes, temperature=schedule.temperature).to(mean.device)

    def ask() -> float:
        losses = []
        with torch.no_grad():
            for start in range(0, len(chosen), schedule.batch):
                rows = chosen[start : start + schedule.batch]
                found = loss(module.tower, checks.anchors[rows], checks.positives[rows], checks.owners[rows])
                losses.append((float(found), len(rows)))
        return float(np.average([value for value, _ in losses], weights=[count for _, count in losses]))

    return ask
