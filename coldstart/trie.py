"""A trie of token sequences, and the likeliest of them found without looking at all.

A sequence's log-probability is the sum of its tokens', none of which is above 0: what a beginning has is a bound on
whatever goes on from it. So beginnings are looked at in the order of what they have, and once as many sequences are
known as are wanted, and no beginning has more than the last of them, those are the best there are (best-first search
with an admissible bound: Hart, Nilsson and Raphael, 1968). What the tokens that are still to come cost at least, as a
sample of sequences tells, makes the bound a good deal tighter, and a little less sure.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Tokens = tuple[int, ...]

Look = Callable[[Sequence[Tokens], Sequence[int], "Sequence[NDArray[np.int32]]"], "Sequence[NDArray[np.float64]]"]
"""Tells how beginnings go on, in nats: from rows, from where in each row on it is asked, and for each place asked, row
by row and up to the row's end, which tokens it is asked of; to those tokens' log-probabilities after the row so far."""

TOGETHER = 192
"""Tokens that are looked at in one go, about: more are read in vain, of fewer a product is slower."""


@dataclass(frozen=True, eq=False)
class Trie:
    """Distinct sequences of tokens, of which none begins another: end each with the same token, found nowhere else.

    Attributes:
        sequences: Rising.
    """

    sequences: tuple[Tokens, ...]

    @classmethod
    def of(cls, sequences: Iterable[Tokens]) -> Trie:
        """Return the trie of sequences in any order, each of at least one token; the same ones count once."""
        return cls(tuple(sorted(set(sequences))))

    def changed(self, *, gone: Iterable[Tokens] = (), new: Iterable[Tokens] = ()) -> Trie:
        """Return the trie without some sequences and with others; what stays isn't sorted again."""
        left = frozenset(gone)
        kept = [each for each in self.sequences if each not in left] if left else list(self.sequences)
        kept.extend(each for each in frozenset(new) if not self.holds(each) or each in left)
        return Trie(tuple(sorted(kept)))  # linear in what is sorted already

    def holds(self, sequence: Tokens) -> bool:
        """Whether a sequence is one of those here."""
        place = bisect_left(self.sequences, sequence)
        return place < len(self.sequences) and self.sequences[place] == sequence

    def __len__(self) -> int:
        return len(self.sequences)

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each sequence. Shape: ``(sequences,)``."""
        return np.fromiter(map(len, self.sequences), np.int64, len(self.sequences))

    @cached_property
    def _flat(self) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """All tokens, and where each sequence begins."""
        tokens = np.fromiter(chain.from_iterable(self.sequences), np.int32, int(self.lengths.sum()))
        return tokens, np.cumsum(self.lengths) - self.lengths

    def _children(self, first: int, last: int, depth: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Return how sequences that are alike up to a depth go on, and where those that go on so begin; and the end."""
        tokens, starts = self._flat
        following = tokens[starts[first:last] + depth]
        begins = np.flatnonzero(np.diff(following, prepend=-1))
        return following[begins], np.append(begins + first, last)

    def _alike(self, first: int, last: int, most: int) -> int:
        """Return with how many equal tokens sequences begin, at most, without the last token of a single one."""
        one, other = self.sequences[first], self.sequences[last - 1]
        if last - first == 1:
            return min(len(one) - 1, most)
        return next((place for place, (a, b) in enumerate(zip(one[:most], other[:most], strict=False)) if a != b), most)

    def best(
        self,
        look: Look,
        k: int,
        *,
        allowed: NDArray[np.bool_] | None = None,
        most: int | None = None,
        ahead: NDArray[np.float64] | None = None,
        left: Sequence[NDArray[np.float64]] | None = None,
    ) -> Best:
        """Return the likeliest sequences, best first.

        Args:
            look: Tells how beginnings go on.
            k: How many; all if there are fewer.
            allowed: Which sequences may be among them. Shape: ``(sequences,)``.
            most: Tokens after which the search stops with what it found; None for no limit.
            ahead: The log-probability that a sequence's last tokens have at most, by their number from 0, falling; None
                for 0, which is always true. Shape: ``(numbers,)``; further ones are as the last.
            left: In its place, what each sequence's tokens from each one on have at most. Shape of each: ``(tokens,)``.
        """
        counted = np.cumsum(np.r_[0, np.ones(len(self), np.int64) if allowed is None else allowed])
        search = _Search(self, counted, k, np.zeros(1) if ahead is None else ahead, left)
        while batch := search.taken():
            search.go_on(batch, look)
            if most is not None and search.read >= most:
                break
        return search.best()


@dataclass(frozen=True, eq=False, slots=True)
class Best:
    """What a search found.

    Attributes:
        places: In :attr:`Trie.sequences`, the likeliest first. Shape: ``(found,)``.
        totals: Their log-probabilities, in nats. Shape: ``(found,)``.
        certain: Whether none is likelier than these, if what was told of tokens ahead is true: the search went on to
            its end.
        read: Tokens that were looked at.
    """

    places: NDArray[np.int64]
    totals: NDArray[np.float64]
    certain: bool
    read: int


_Node = tuple[float, float, int, int, int]
"""Less the bound, the log-probability so far, the range of sequences, and the tokens they begin with."""


class _Search:
    def __init__(
        self,
        trie: Trie,
        counted: NDArray[np.int64],
        k: int,
        ahead: NDArray[np.float64],
        left: Sequence[NDArray[np.float64]] | None,
    ) -> None:
        self._trie, self._counted, self._k, self._ahead = trie, counted, k, ahead
        self._left = None if left is None else np.concatenate([[*each, 0.0] for each in left])
        self._open: list[_Node] = [(0.0, 0.0, 0, len(trie), 0)] if counted[-1] and k > 0 else []
        self._found: list[tuple[float, int]] = []  # the k best so far, the worst first
        self.read = 0

    @property
    def _bar(self) -> float:
        return self._found[0][0] if len(self._found) >= self._k else -np.inf

    def taken(self) -> list[tuple[_Node, Tokens]]:
        """Return the beginnings that are looked at next, each with what is read of it: none if the best are known."""
        batch, cost = [], 0
        while self._open and cost < TOGETHER and -self._open[0][0] > self._bar:
            node = heapq.heappop(self._open)
            _, _, first, last, depth = node
            # Reading twice as far each time reads a sequence twice in all at most, and most are given up early.
            row = self._trie.sequences[first][: self._trie._alike(first, last, 2 * depth)]
            batch.append((node, row))
            cost += max(len(row), 1)
        self.read += cost
        return batch

    def go_on(self, batch: Sequence[tuple[_Node, Tokens]], look: Look) -> None:
        """Look at beginnings, and open what they go on to."""
        rows = [row for _, row in batch]
        kin = [self._trie._children(first, last, len(row)) for (_, _, first, last, _), row in batch]
        asked = [
            each
            for ((*_, depth), row), (tokens, _) in zip(batch, kin, strict=True)
            for each in (*(np.array([token], np.int32) for token in row[depth:]), tokens)
        ]
        told = iter(look(rows, [depth for (*_, depth), _ in batch], asked))
        for ((_, had, _, _, depth), row), (_, begins) in zip(batch, kin, strict=True):
            so_far = had + sum(float(next(told)[0]) for _ in row[depth:])
            self._opened(so_far + next(told), begins, len(row) + 1)

    def _opened(self, totals: NDArray[np.float64], begins: NDArray[np.int64], depth: int) -> None:
        rows = slice(int(begins[0]), int(begins[-1]))
        if self._left is None:
            left = np.minimum.reduceat(self._trie.lengths[rows], begins[:-1] - begins[0]) - depth
            bounds = totals + self._ahead[np.minimum(left, len(self._ahead) - 1)]
        else:  # one number more a sequence than it has tokens
            places = self._trie._flat[1][rows] + np.arange(rows.start, rows.stop) + depth
            bounds = totals + np.maximum.reduceat(self._left[places], begins[:-1] - begins[0])
        there = (np.diff(self._counted[begins]) > 0) & (bounds > self._bar)
        for place in np.flatnonzero(there).tolist():
            first, last = int(begins[place]), int(begins[place + 1])
            total = float(totals[place])
            if last - first > 1 or len(self._trie.sequences[first]) > depth:
                heapq.heappush(self._open, (-float(bounds[place]), total, first, last, depth))
            elif len(self._found) < self._k:
                heapq.heappush(self._found, (total, -first))
            else:
                heapq.heappushpop(self._found, (total, -first))

    def best(self) -> Best:
        """Return what was found."""
        ranked = sorted(self._found, reverse=True)
        certain = not self._open or -self._open[0][0] <= self._bar
        return Best(
            np.array([-place for _, place in ranked], np.int64),
            np.array([total for total, _ in ranked]),
            certain,
            self.read,
        )
