"""What else is liked by those who like some items: the conditional mean of a Gaussian model of who likes what.

A person's likes are a random vector ``z`` with mean ``a``, the items' popularity, and covariance ``C``. Knowing only
that they like the items ``L``, and nothing of the others (what isn't stated isn't disliked),

    E[z_i | z_L = 1] = a_i + C_iL (C_LL + s D_L^2)^-1 (1 - a_L),        D_j^2 = a_j (1 - a_j)

``C`` is the covariance seen in people, shrunk to what words let expect, as Ledoit & Wolf (2004) shrink to a target:
that liking one of two items with a cosine of ``cos_ij`` lifts the chance of liking the other by :data:`LIFT` times
that. Item ``i`` with ``n_i`` likes keeps a share ``k_i`` of its own,

    C_ij = k_i k_j S_ij + (1 - k_i k_j) w cos_ij a_i a_j,        k_i = n_i / (n_i + c)

with ``w`` = :data:`LIFT` and ``c`` = :data:`SHRINK` likes; in the target an ``a_i`` counts ``D_i / sqrt(w)`` at most,
so that no correlation passes one, and where likes fade, so does what was seen together. Popularity and item-item
neighbours are limits of it. Only the columns of ``L`` are ever computed, from the sparse table of likes: nothing of
the size items x items is held.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

SHRINK = 15.0
"""``c``: with how many likes an item's seen covariances count half."""

LIFT = 2.0
"""``w``: by how many times its chance liking an item raises that of one with the same words, beyond what was seen."""

NOISE = 0.6
"""``s``: how much a like says beyond taste (chance, occasion), in units of its variance."""

MOST = 200
"""With more likes than this the last ones speak."""

_FLOOR = 0.1
"""A conditional mean stays above this share of the popularity: the model is linear, chances are positive."""


def conditional(
    likes: Any, vectors: NDArray[np.float32], popularity: Floats, given: Rows, verdicts: Floats, *, without: int = -1
) -> Floats:
    """Return the chance that a person with these likes likes each item. Shape: ``(items,)``.

    Args:
        likes: Who likes what, ones. A SciPy CSR matrix of shape ``(people, items)``.
        vectors: The items' centred vectors. Shape: ``(items, dimension)``.
        popularity: ``a``. Shape: ``(items,)``.
        given: ``L``, each once, oldest first; may be empty. Shape: ``(given,)``.
        verdicts: ``z_L``: 1 for a like, less for a maybe. Shape: ``(given,)``.
        without: A row of ``likes`` to leave out, as if that person had never come; -1 for none.
    """
    if len(given) == 0:
        return np.array(popularity)
    given, verdicts = given[-MOST:], verdicts[-MOST:]
    spread = np.sqrt(popularity * (1.0 - popularity))
    covariance = covariances(likes, vectors, popularity, given, without=without)
    inner = covariance[given] + np.diag(NOISE * spread[given] ** 2 + 1e-12)
    moved = covariance @ np.linalg.solve(inner, verdicts - popularity[given])
    result: Floats = np.clip(popularity + moved, _FLOOR * popularity, 1.0)
    return result


def covariances(
    likes: Any, vectors: NDArray[np.float32], popularity: Floats, given: Rows, *, without: int = -1
) -> Floats:
    """Return the covariance of liking each item with liking each given one: the columns ``L`` of ``C``.

    Returns:
        Shape: ``(items, given)``.
    """
    pairs, counts, people = together(likes, given, without=without)
    return shrunk(pairs, counts, people, vectors, popularity, given)


def shrunk(
    pairs: Floats, counts: Floats, people: int, vectors: NDArray[np.float32], popularity: Floats, given: Rows
) -> Floats:
    """Return the columns ``L`` of ``C`` from counts.

    Args:
        pairs: How many people like each item and each given one. Shape: ``(items, given)``.
        counts: ``n``. Shape: ``(items,)``.
        people: How many there are; may be 0.
        vectors: The items' centred vectors. Shape: ``(items, dimension)``.
        popularity: ``a``. Shape: ``(items,)``.
        given: ``L``. Shape: ``(given,)``.

    Returns:
        Shape: ``(items, given)``.
    """
    spread = np.sqrt(popularity * (1.0 - popularity))
    kept = counts / (counts + SHRINK)
    share = np.outer(kept, kept[given])
    cosines = (vectors @ vectors[given].T).astype(np.float64)
    lift = np.minimum(popularity, spread / np.sqrt(LIFT))  # no more than a correlation of one
    covariance: Floats = (1.0 - share) * LIFT * cosines * np.outer(lift, lift[given])
    if people:
        rate = counts / people
        faded = np.minimum(spread / np.sqrt(np.maximum(rate * (1.0 - rate), 1e-12)), 1.0)
        share *= np.outer(faded, faded[given])  # covariances fade as popularity has
        covariance += share * (pairs / people - np.outer(counts / people, counts[given] / people))
    covariance[given, np.arange(len(given))] = spread[given] ** 2
    return covariance


def together(likes: Any, given: Rows, *, without: int = -1) -> tuple[Floats, Floats, int]:
    """Return how many people like each item and each given one, how many like each item, and how many there are."""
    people = likes.shape[0]
    columns = likes[:, given]
    together = np.asarray((likes.T @ columns).todense(), np.float64)
    counts = np.asarray(likes.sum(0), np.float64).ravel()
    if without >= 0:
        own = np.asarray(likes[[without]].todense(), np.float64).ravel()
        together -= np.outer(own, own[given])
        counts, people = counts - own, people - 1
    return together, counts, people
