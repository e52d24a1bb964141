"""What is drawn at random, as values: the same seed gives the same split on any machine.

Ids are sorted as text before anything is drawn, so that neither a file's row order nor Python's hashing
plays a part; the draws are NumPy's PCG64, whose stream is fixed by its seed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from coldstart.errors import EvaluationError


def generator(seed: int, *names: str) -> np.random.Generator:
    """Return a random stream of its own for what is named, such as a user of a protocol.

    A user's draws then don't depend on who else takes part.

    >>> generator(0, "ann").random() == generator(0, "ann").random() != generator(0, "bob").random()
    True
    """
    if seed < 0:
        raise EvaluationError(f"the seed is {seed}: expected 0 or more")
    key = int(digest(names)[:32], 16)
    return np.random.Generator(np.random.PCG64([seed, key]))


def digest(parts: Iterable[str]) -> str:
    """Return the SHA-256 of a sequence of texts, in hexadecimal; where one ends and the next begins counts.

    >>> digest(["ab", "c"]) == digest(["a", "bc"])
    False
    """
    sha = hashlib.sha256()
    for part in parts:
        data = part.encode()
        sha.update(len(data).to_bytes(8, "big"))
        sha.update(data)
    return sha.hexdigest()


@dataclass(frozen=True, slots=True)
class Split:
    """Ids parted in two.

    Attributes:
        kept: What may be learned from, sorted as text.
        held: What is predicted, sorted as text.
    """

    kept: tuple[str, ...]
    held: tuple[str, ...]

    @property
    def hash(self) -> str:
        """A content hash: equal if and only if the same ids are kept and held."""
        return digest((str(len(self.kept)), *self.kept, *self.held))


def hold_out(ids: Iterable[str], *, share: float, seed: int, fold: int = 0) -> Split:
    """Hold out a share of the ids: the first of a seeded permutation of the sorted ids, or those that come after.

    Args:
        ids: In any order; repeats count once.
        share: In ``[0, 1]``; the number held out is rounded to the nearest, halves to even.
        seed: The same seed holds out the same ids.
        fold: How many shares of the permutation are passed over; folds have no id in common.

    Raises:
        EvaluationError: A share outside ``[0, 1]``, or a fold beyond the ids.

    >>> hold_out(["d", "a", "c", "b"], share=.5, seed=0) == hold_out("abcd", share=.5, seed=0)
    True
    >>> hold_out("abcd", share=.5, seed=0, fold=1).held == hold_out("abcd", share=.5, seed=0).kept
    True
    """
    if not 0 <= share <= 1:
        raise EvaluationError(f"the share to hold out is {share}: expected a number from 0 to 1")
    if fold < 0 or (fold + 1) * share > 1 + 1e-9:
        raise EvaluationError(f"the fold is {fold}: expected 0 or more, within folds of {share:g} that make up all")
    drawn = _permuted(ids, seed=seed)
    start, end = (round(share * len(drawn) * place) for place in (fold, fold + 1))
    return Split(tuple(sorted([*drawn[:start], *drawn[end:]])), tuple(sorted(drawn[start:end])))


def sample(ids: Iterable[str], size: int | None, *, seed: int) -> tuple[str, ...]:
    """Return ``size`` of the ids (all if there are fewer, or if None), sorted as text.

    A smaller sample with the same seed is part of a larger one.

    >>> set(sample("abcdef", 2, seed=1)) <= set(sample("abcdef", 4, seed=1))
    True
    """
    if size is not None and size < 1:
        raise EvaluationError(f"a sample of {size}: expected at least 1")
    return tuple(sorted(_permuted(ids, seed=seed)[:size]))


def _permuted(ids: Iterable[str], *, seed: int) -> list[str]:
    if seed < 0:
        raise EvaluationError(f"the seed is {seed}: expected 0 or more")
    ordered = sorted(set(ids))
    order = np.random.Generator(np.random.PCG64(seed)).permutation(len(ordered))
    return [ordered[place] for place in order]
