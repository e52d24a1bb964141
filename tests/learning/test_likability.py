"""What verdicts tell of items: against a dense Gaussian process, and as laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from coldstart.learning import likability
from coldstart.learning.likability import Verdicts, fit

ITEMS, PEOPLE, LENGTH = 12, 60, 5


def unit(rng, count=ITEMS):
    vectors = rng.normal(size=(count, LENGTH))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def told(rng, effects, *, people=PEOPLE, each=6):
    """Return verdicts of people who differ in how easily they are pleased."""
    mood = rng.normal(size=people)
    who = np.repeat(np.arange(people), each)
    rows = np.concatenate([rng.permutation(len(effects))[:each] for _ in range(people)])
    chance = 1 / (1 + np.exp(-(mood[who] + effects[rows])))
    return Verdicts(rows, rng.random(len(rows)) < chance)


@pytest.mark.parametrize("liked", [[], [True, True], [False, False, False]])
def test_verdicts_that_are_all_the_same_tell_nothing(liked):
    rows = np.arange(len(liked))
    verdicts = Verdicts(rows, np.array(liked, np.bool_))
    found = fit(verdicts, np.zeros(len(liked)), unit(np.random.default_rng(0)))
    assert not found.effect.any()
    assert not found.variance.any()


@pytest.mark.parametrize(("own", "words"), [(1.0, 0.0), (0.02, 0.3), (0.3, 1.0)])
def test_the_mode_and_the_variance_are_those_of_a_dense_gaussian_process(monkeypatch, own, words):
    rng = np.random.default_rng(3)
    vectors, verdicts = unit(rng), told(rng, rng.normal(size=ITEMS), people=15)
    expected = rng.normal(size=len(verdicts))
    mode = likability._Problem.mode
    monkeypatch.setattr(likability._Problem, "mode", lambda self, *_: mode(self, own, words))
    found = fit(verdicts, expected, vectors)
    prior = own * np.eye(ITEMS) + words * vectors @ vectors.T + 1e-9 * np.eye(ITEMS)
    precision = np.linalg.inv(prior)
    signs = np.where(verdicts.liked, 1.0, -1.0)

    def loss(parameters):
        effects, constant = parameters[:-1], parameters[-1]
        odds = signs * (expected + constant + effects[verdicts.rows])
        return np.logaddexp(0, -odds).sum() + 0.5 * effects @ precision @ effects + 0.5 * constant**2

    best = minimize(loss, np.zeros(ITEMS + 1), method="BFGS", options={"gtol": 1e-7, "maxiter": 5000}).x
    assert found.effect == pytest.approx(best[:-1], abs=2e-3)
    chance = 1 / (1 + np.exp(-(expected + best[-1] + best[:-1][verdicts.rows])))
    curvature = np.zeros((ITEMS + 1, ITEMS + 1))
    for row, weight in zip(verdicts.rows, chance * (1 - chance), strict=True):
        seen = np.zeros(ITEMS + 1)
        seen[[row, ITEMS]] = 1
        curvature += weight * np.outer(seen, seen)
    curvature[:ITEMS, :ITEMS] += precision
    curvature[ITEMS, ITEMS] += 1
    marginal = np.diag(np.linalg.inv(curvature))[:ITEMS]
    assert found.variance == pytest.approx(marginal, rel=5e-3)


def test_items_that_people_like_beyond_expectation_are_told_from_those_they_dislike():
    rng = np.random.default_rng(1)
    effects = np.linspace(-2, 2, ITEMS)
    found = fit(told(rng, effects, people=300), np.zeros(1800), unit(rng))
    assert np.corrcoef(found.effect, effects)[0, 1] > 0.9
    assert found.own > 0


def test_words_carry_what_is_known_to_items_that_nobody_judged():
    rng = np.random.default_rng(2)
    vectors = unit(rng, 60)
    effects = 3.0 * vectors[:, 0]
    found = fit(told(rng, effects[:50], people=300, each=8), np.zeros(2400), vectors)
    assert found.words > 0
    assert np.corrcoef(found.effect[50:], effects[50:])[0, 1] > 0.7


def test_verdicts_by_chance_move_little():
    moved = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        verdicts = told(rng, np.zeros(ITEMS), people=20)
        moved.append(np.abs(fit(verdicts, np.zeros(len(verdicts)), unit(rng)).effect).max())
    assert np.median(moved) < 0.35  # in log-odds; an item's own verdicts alone would say up to 1.5
    assert min(moved) == 0.0


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_the_order_of_verdicts_changes_nothing(seed):
    rng = np.random.default_rng(seed)
    vectors, verdicts = unit(rng), told(rng, rng.normal(size=ITEMS), people=10)
    order = rng.permutation(len(verdicts))
    expected = rng.normal(size=len(verdicts))
    found = fit(Verdicts(verdicts.rows[order], verdicts.liked[order]), expected[order], vectors)
    assert found.effect == pytest.approx(fit(verdicts, expected, vectors).effect)
