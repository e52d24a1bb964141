"""Balancing: how much each kind of evidence counts beside what an adapter learned, chosen by people who were held out.

Weights of a grid are tried on people whom training never saw; each gains something in NDCG, at ten and over the whole
list, over the weights there were, and the mean of the grid by exponential weights (Dalalyan & Tsybakov 2008) is taken,
as :mod:`coldstart.learning.weighing` does it. Other people judge what comes of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]

HEAD = "head"
"""What an adapter's configuration says of one that is matrices; see :mod:`coldstart.refining.head`."""

CHANGE, AFTER, PLACES = "weight", "after", "places"
"""Its tensors of what follows what; see :mod:`coldstart.scoring.following`."""

MET = "met"
"""Where its configuration holds the keys of the documents that it learned of."""

MARK = 8
"""How many bytes of each it holds."""

FUSION = "fusion"
"""Where an adapter's configuration says how much each kind of evidence counts."""

UNMET = tuple(product((0.0, 0.25, 0.5, 1.0, 2.0), (0.0, 0.5, 1.0), (1.0,)))
"""What is tried for items that an adapter never learned of."""

ALONE = tuple(product((0.0, 0.5, 1.0, 2.0, 4.0), (0.0, 0.3, 1.0), (0.5, 1.0, 2.0)))
BESIDE = tuple(product((0.0, 0.03, 0.1, 0.3, 1.0), (0.0, 1.0), (1.0, 3.0, 10.0)))
"""What is tried before any interactions are observed, and beside what others like."""

DEPTH = 10


@dataclass(frozen=True, slots=True)
class Shares:
    """How much three kinds of evidence count.

    Attributes:
        following: The weight of what follows what; beside what others like, in units of its weight, but for items that
            an adapter never learned of.
        near: What of their usual weight closeness to likes, and taste, keep.
        lexical: The same for shared words.
    """

    following: float = 0.0
    near: float = 1.0
    lexical: float = 1.0


@dataclass(frozen=True, slots=True)
class Balance:
    """The weights that an adapter carries.

    Attributes:
        alone: Where nothing was observed.
        beside: Beside what others like; None for the same.
        unmet: For items that the adapter never learned of, where nothing was observed.
        unmet_beside: For those, or items that hardly anyone was offered, beside what others like.
    """

    alone: Shares = Shares()
    beside: Shares | None = None
    unmet: Shares = Shares()
    unmet_beside: Shares = Shares()

    def state(self) -> dict[str, Any]:
        """Return it as plain values; see :meth:`of`."""
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: one and [one.following, one.near, one.lexical] for name, one in named.items()}

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Balance:
        """Return what :meth:`state` gave.

        Raises:
            ValueError: It is something else.
        """
        try:
            alone, beside = (None if state[name] is None else _shares(state[name]) for name in ("alone", "beside"))
            unmet = [_shares(state[name]) if name in state else Shares() for name in ("unmet", "unmet_beside")]
        except (KeyError, TypeError) as problem:
            raise ValueError(f"no balance: {problem!r}") from problem
        if alone is None:
            raise ValueError("no balance where nothing was observed")
        return cls(alone, beside, *unmet)

    def at(self, alone: float, beside: float, *, met: bool = True) -> tuple[float, Shares]:
        """Return the weight of what follows what, and the shares that hold.

        Args:
            alone: What a unit of it is where nothing was observed.
            beside: The weight of what others like; 0 where nothing was observed.
            met: Whether the items are of those that it learned of.
        """
        if not met:
            shares = self.unmet_beside if beside else self.unmet
            return shares.following * alone, shares
        if self.beside is not None and self.beside.following * beside > self.alone.following * alone:
            return self.beside.following * beside, self.beside
        return self.alone.following * alone, self.alone


SHIPPED = Balance()
"""The balance of an adapter that carries none."""


def _shares(values: Sequence[float]) -> Shares:
    found = Shares(*map(float, values))
    if len(values) != 3 or not all(0.0 <= value < np.inf for value in (found.following, found.near, found.lexical)):
        raise ValueError(f"the weights {values!r}: expected three numbers >= 0")
    return found


def qualities(parts: Floats, shown: Sequence[int], later: Sequence[int], grid: Floats) -> Floats:
    """Return one person's NDCG by each weights of a grid, at ten and over the whole list. Shape: ``(grid, 2)``.

    Args:
        parts: What counts in any case, then what follows what, closeness and shared words, each with what is a weight
            of one. Shape: ``(4, items)``.
        shown: Rows of what is known that they like, which isn't ranked.
        later: Rows of what they turn out to like.
        grid: Shape: ``(grid, 3)``.
    """
    scores = np.asarray(parts[0] + grid @ parts[1:])
    scores[:, list(shown)] = -np.inf
    wanted = scores[:, list(later)]
    above = np.stack([_above(scores, wanted, at) for at in range(len(later))], axis=1)
    ranks = np.sort(above, axis=1)
    ranks = np.maximum(ranks, np.arange(len(later)))  # those that tie stand one after the other
    discounts = 1.0 / np.log2(ranks + 2.0)
    ideal = 1.0 / np.log2(np.arange(len(later)) + 2.0)
    at_ten = np.where(ranks < DEPTH, discounts, 0.0).sum(1) / ideal[:DEPTH].sum()
    return np.stack([at_ten, discounts.sum(1) / ideal.sum()], axis=1)


def _above(scores: Floats, wanted: Floats, at: int) -> Floats:
    """Return how many items stand above a wanted one: of others that tie with it half. Shape: ``(grid,)``."""
    this = wanted[:, [at]]
    tied = (scores == this).sum(1) - (wanted == this).sum(1)
    return np.asarray((scores > this).sum(1) + 0.5 * tied)


def chosen(found: Floats, grid: Sequence[tuple[float, ...]], usual: int) -> Shares:
    """Return the mean of a grid by exponential weights of what people gain with it.

    Args:
        found: Each person's NDCG at ten and over the whole list. Shape: ``(people, grid, 2)``.
        grid: What was tried.
        usual: The place in it of what others must gain over.
    """
    quality = found.mean(2)
    gains = quality - quality[:, [usual]]
    error = gains.std(0) / np.sqrt(len(gains))
    unit = float(np.median(error[error > 0])) if (error > 0).any() else 1.0
    odds = gains.mean(0) / unit
    odds[usual] += np.log(len(grid))  # as likely beforehand as all the others together
    share = np.exp(odds - odds.max())
    mean = (share / share.sum()) @ np.array(grid)
    return Shares(*(round(float(value), 4) for value in mean))
