"""Fusion: scorers' scores become one ranking. Weights are data; abstaining costs nothing and earns nothing."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

DEFAULT_WEIGHTS: Mapping[str, float] = MappingProxyType(
    {
        "liked": 0.5,
        "taste": 0.5,
        "following": 0.0,
        "text": 1.0,
        "facets": 0.65,
        "about": 0.03,
        "context": 0.2,
        "disliked": 0.3,
        "unwanted": 3.0,
        "lexical": 0.6,
        "keywords": 2.5,
        "language": 0.1,
        "listwise": 0.0,
        "borrowed": 0.5,
        "neighbours": 0.0,
        "linear": 0.0,
        "demographic": 0.0,
    }
)
"""Weights for any catalogue, in standard deviations of the candidates; appeal's is earned, see ``scoring.appeal``, and
that of what follows what is the adapter's own, see ``refining.balance``. What goes by the request itself (text,
keywords, facets, unwanted) weighs in units of how far all the others together tell candidates apart, so that what is
asked for holds whatever else is known."""

LEAST = 0.1
"""The unit of these where the others tell little."""

REACH = 3.0
"""The best by the others is so many units ahead at most: what far more people like, or what shares rare words with a
like, stands many deviations out."""

STEEP, ENOUGH, LIKE_THE_BEST = 4.5, 5 / 3, 0.25
"""An item has what is asked for with the chance ``1 / (1 + exp(-STEEP (z - e)))``, ``z`` being how far its values meet
that in standard deviations, softened, and ``e`` :data:`ENOUGH`, or this share of the best one's deviations, before they
were softened, where that is more."""


SOFT = 3.0
"""Standard deviations from which scores are softened."""

_ROUNDING = 1e-6  # scores come from float32 products: equal rows differ by less than this


def standardise(scores: NDArray[np.float64], counts: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """Return scores in standard deviations from their mean; 0 where a scorer abstained or tells nothing apart.

    Beyond :data:`SOFT` deviations they grow as a logarithm: where a scorer gives nearly all candidates the same, a
    few others would stand ten deviations out and drown every other scorer. The order stays.

    Args:
        scores: Shape: ``(candidates,)``.
        counts: For how many candidates each stands; one if None. Shape: ``(candidates,)``.

    >>> standardise(np.array([1.0, 3.0, np.nan])).tolist()
    [-1.0, 1.0, 0.0]
    """
    known = np.isfinite(scores)
    told = scores if known.all() else scores[known]
    if not len(told):
        return np.zeros(len(scores))
    mean, spread = moments(told, None if counts is None else counts[known])
    if spread <= _ROUNDING * max(1.0, abs(mean)):
        return np.zeros(len(scores))
    return soft(((scores if told is scores else np.where(known, scores, mean)) - mean) / spread)


def soft(deviations: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return deviations that grow as a logarithm beyond :data:`SOFT`, in place of what is given.

    >>> soft(np.array([2.0, -3.0, 4.0])).round(2).tolist()
    [2.0, -3.0, 3.69]
    """
    far = np.flatnonzero(np.abs(deviations) > SOFT)
    deviations[far] = np.sign(deviations[far]) * (SOFT + np.log1p(np.abs(deviations[far]) - SOFT))
    return deviations


def meeting(
    deviations: NDArray[np.float64], counts: NDArray[np.float64] | None = None, *, sure: float = 1.0
) -> NDArray[np.float64]:
    """Return the logarithm of the chance that items have what is asked for, less its mean. Shape: ``(candidates,)``.

    What has most of it is hardly ahead of what has enough: between these, what the person likes decides.

    Args:
        deviations: How far their values meet it, standardised. Shape: ``(candidates,)``.
        counts: For how many candidates each stands; one if None. Shape: ``(candidates,)``.
        sure: The chance that values are asked for at all; if they aren't, every item has what is.

    >>> meeting(np.array([-1.0, 1.0, 3.0])).round(1).tolist()
    [-7.0, 2.0, 5.0]
    >>> meeting(np.array([-1.0, 1.0, 3.0]), sure=0.5).round(1).tolist()
    [-0.2, -0.2, 0.4]
    """
    best = float(deviations.max(initial=0.0))
    best = best if best <= SOFT else SOFT + float(np.expm1(best - SOFT))
    enough = float(soft(np.array([max(ENOUGH, LIKE_THE_BEST * best)]))[0])
    found: NDArray[np.float64] = -np.logaddexp(0.0, STEEP * (enough - deviations))
    if sure < 1.0:
        with np.errstate(divide="ignore"):
            found = np.logaddexp(np.log(sure) + found, np.log1p(-sure))
    return found - moments(found, counts)[0] if len(found) else found


def moments(scores: NDArray[np.float64], counts: NDArray[np.float64] | None = None) -> tuple[float, float]:
    """Return the mean and the standard deviation of scores, each counting as often as said; once if None.

    >>> moments(np.array([1.0, 4.0]), np.array([2.0, 1.0]))[0]
    2.0
    """
    if counts is None:
        return float(scores.mean()), float(scores.std())
    mean = float(np.average(scores, weights=counts))
    return mean, float(np.sqrt(np.average((scores - mean) ** 2, weights=counts)))


def weighted_sum(
    standardised: Mapping[str, NDArray[np.float64]], weights: Mapping[str, float], count: int
) -> NDArray[np.float64]:
    """Return the weighted sum of standardised scores. Shape: ``(candidates,)``.

    A scorer without a weight counts nothing.

    >>> weighted_sum({"a": np.array([1.0, 0.0]), "b": np.array([0.0, 1.0])}, {"a": 1, "b": 0.5}, 2).tolist()
    [1.0, 0.5]
    """
    total = np.zeros(count)
    for name, scores in standardised.items():
        total += weights.get(name, 0.0) * scores
    return total


def settled(
    seen: NDArray[np.float64],
    zero_shot: NDArray[np.float64],
    known: NDArray[np.float64],
    counts: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Return scores where some items were offered to few people, or to nobody yet. Shape: ``(candidates,)``.

    What counts say of such an item is nothing, and no verdict. Its zero-shot score tells what the full score is to be
    expected: the linear regression of the one on the other over the items that are known. Among items that nobody knows
    the zero-shot order holds.

    Args:
        seen: The full scores, meaningless where nothing is known.
        zero_shot: Scores that need no counts.
        known: How far an item is known, 0 to 1.
        counts: For how many candidates each stands; one if None. Shape: ``(candidates,)``.

    >>> settled(np.array([2.0, 4.0, 9.0]), np.array([0.0, 1.0, 0.5]), np.array([1.0, 1.0, 0.0])).tolist()
    [2.0, 4.0, 3.0]
    """
    told = known if counts is None else known * counts
    if told.sum() < 1.0:
        return np.array(zero_shot)
    centre_seen, centre_zero = np.average(seen, weights=told), np.average(zero_shot, weights=told)
    spread = np.average((zero_shot - centre_zero) ** 2, weights=told)
    together = np.average((zero_shot - centre_zero) * (seen - centre_seen), weights=told)
    slope = max(float(together / spread), 0.0) if spread > 0 else 0.0
    expected = centre_seen + max(slope, 1e-3) * (zero_shot - centre_zero)
    result: NDArray[np.float64] = known * seen + (1.0 - known) * expected
    return result


def top(scores: NDArray[np.float64], ties: NDArray[np.uint64], k: int) -> NDArray[np.int64]:
    """Return the places of the k best scores, best first.

    Args:
        scores: No NaN. Shape: ``(candidates,)``.
        ties: Decide between equal scores, lowest first; so that the order of the catalogue never does.
        k: As many as wanted; all if there are fewer.
    """
    k = min(k, len(scores))
    if 0 < k < len(scores):
        cut = np.partition(scores, len(scores) - k)[len(scores) - k]
        places = np.flatnonzero(scores >= cut)
    else:
        places = np.arange(len(scores))
    order = np.lexsort((ties[places], -scores[places]))
    return places[order][:k].astype(np.int64)
