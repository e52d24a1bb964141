"""Laws of the belief: what a chip tells of an item comes from others' likes, answers update it in closed form."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from coldstart.onboarding.asking import ExpectedGain
from coldstart.onboarding.belief import Belief, Observation, Worth, _chosen, _root


def test_a_like_has_no_part_in_what_a_chip_tells_of_the_same_item():
    rng = np.random.default_rng(0)
    likes = sparse.csr_matrix((rng.random((60, 12)) < 0.4).astype(np.float64))
    member = sparse.csr_matrix((rng.random((12, 3)) < 0.5).astype(np.float64))
    share = np.array([0.3, 0.5, 0.7])
    chosen, own = _chosen(likes, member, share)
    for item in range(12):
        others = likes.tolil()
        others[:, item] = 0.0
        without = _chosen(others.tocsr(), member, share)[0]
        expected = (likes[:, [item]].T @ without).toarray().ravel()
        assert (likes.T @ chosen).toarray()[item] - own[item] == pytest.approx(expected)


VARIABLES, ITEMS, NOISE = 40, 30, 0.5


@pytest.fixture
def covariance() -> np.ndarray:
    """Of forty variables, the first thirty of them items. Shape: ``(40, 40)``."""
    factors = np.random.default_rng(1).normal(size=(VARIABLES, 6)) / 10
    return factors @ factors.T + 0.02 * np.eye(VARIABLES)


@pytest.fixture
def anybody(covariance) -> Belief:
    """Of whom any variable but the first three may be asked about."""
    askable = np.arange(3, VARIABLES)
    mean = np.random.default_rng(2).uniform(0.1, 0.4, VARIABLES)
    return Belief(mean, askable, covariance[:, askable].astype(np.float32), np.diag(covariance)[askable], ITEMS)


def told(anybody, covariance, observed):
    """Return the belief after observations, and what the textbook makes of them in 64 bits."""
    sums = np.zeros((len(observed), VARIABLES))
    for row, one in enumerate(observed):
        sums[row, list(one.variables)] = one.signs
    seen, given = covariance @ sums.T, sums @ anybody.mean
    inner = sums @ seen + NOISE * np.diag(np.diag(sums @ seen))
    gain = np.linalg.solve(inner, seen.T).T
    values = np.array([one.value for one in observed])
    mean = anybody.mean + gain @ (values - given)
    after = anybody.after(observed, seen.astype(np.float32), inner, given)
    return after, mean, covariance - gain @ seen.T


def test_answers_do_to_mean_and_covariance_what_conditioning_does(anybody, covariance):
    observed = [
        Observation((5,), (1.0,), 1.0, NOISE),
        Observation((6, 9), (1.0, -1.0), -1.0, NOISE),
        Observation((33,), (1.0,), 0.0, NOISE),
    ]
    after, mean, left = told(anybody, covariance, observed)
    np.testing.assert_allclose(after.mean, mean, atol=1e-6)
    np.testing.assert_allclose(after.columns, left[:, anybody.askable], atol=1e-6)
    np.testing.assert_array_equal(anybody.columns, anybody.prior)


def test_rounding_decides_nothing_about_what_is_drawn():
    """Where eigenvectors are arbitrary, a change in the last digits leaves the root as it was."""
    alike = np.eye(5)
    alike[0, 1] = alike[1, 0] = 0.3
    rng = np.random.default_rng(0)
    for _ in range(20):
        change = rng.normal(size=(5, 5)) * 1e-12
        np.testing.assert_allclose(_root(alike + change + change.T), _root(alike), atol=1e-9)
    root = _root(alike)
    np.testing.assert_allclose(root @ root.T, alike, atol=1e-12)


def test_options_are_chosen_by_what_each_adds_to_those_before(anybody):
    noise = np.full(len(anybody.askable), NOISE)
    worth = Worth(anybody, anybody.mean[anybody.askable], np.zeros(ITEMS, np.bool_), noise=noise, faint=5.0)
    chosen = ExpectedGain().options(worth, range(len(anybody.askable)), 6)
    assert len(set(chosen)) == 6
    assert chosen[0] == int(worth.alone.argmax())
    for count, place in enumerate(chosen[1:], 1):
        before, rest = chosen[:count], [one for one in range(len(anybody.askable)) if one not in chosen[:count]]
        shared = np.max([worth.alike(rest, other) for other in before], axis=0)
        assert place == rest[int((worth.alone[rest] * (1 - shared)).argmax())]
    assert len(ExpectedGain().options(worth, [1, 2], 6)) == 2
