"""Laws of estimating: it finds what is linear, and says truly how well it does on items that are left out."""

from __future__ import annotations

import numpy as np
import pytest

from coldstart.learning.estimating import Expectation, inputs


def world(items: int, noise: float, seed: int = 0):
    random = np.random.default_rng(seed)
    vectors = random.standard_normal((items, 12)).astype(np.float32)
    titles = ["x" * int(length) for length in random.integers(3, 60, items)]
    told = inputs(vectors, titles)
    return told, told @ np.arange(13) / 8 + noise * random.standard_normal(items) + 4


def test_what_is_linear_is_found_in_vectors_and_lengths():
    told, values = world(900, 0.0)
    found = Expectation.of(told[:800], values[:800])
    assert found(told[800:]) == pytest.approx(values[800:], abs=0.05)
    assert found.quality.share > 0.999
    assert found.quality.order > 0.999


def test_quality_is_what_other_items_bear_out_and_nothing_is_made_of_noise():
    told, values = world(8000, 4.0)
    found = Expectation.of(told[:4000], values[:4000])
    left = values[4000:] - found(told[4000:])
    assert found.quality.share == pytest.approx(1 - left.var() / values[4000:].var(), abs=0.06)
    noise = Expectation.of(told[:400], np.random.default_rng(1).standard_normal(400))
    assert abs(noise.quality.share) < 0.03


def test_leaving_each_out_in_turn_agrees_with_fitting_without_it(monkeypatch):
    monkeypatch.setattr("coldstart.learning.estimating._PENALTIES", np.array([3.0]))
    told, values = world(30, 1.0)
    missed = [values[i] - Expectation.of(np.delete(told, i, 0), np.delete(values, i))(told[i]) for i in range(30)]
    share = 1 - np.square(missed).sum() / np.square(values - values.mean()).sum()
    assert Expectation.of(told, values).quality.share == pytest.approx(share, abs=1e-6)


def test_few_items_and_equal_values_are_no_error():
    told, values = world(1, 0.0)
    assert Expectation.of(told, values)(told) == pytest.approx(values)
    alike = Expectation.of(world(5, 0.0)[0], np.full(5, 2.0))
    assert alike(world(3, 0.0, seed=1)[0]) == pytest.approx([2.0] * 3)
    assert (alike.quality.share, alike.quality.order) == (0.0, 0.0)
