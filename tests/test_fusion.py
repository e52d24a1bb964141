"""Laws of fusion: standard scores forget shift and scale, abstaining costs nothing, ties never go by row."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from coldstart.fusion import standardise, top, weighted_sum

scores = st.lists(st.floats(-1e3, 1e3) | st.just(np.nan), max_size=30).map(np.array)
coarse = st.lists(st.sampled_from([-1.5, -0.0, 0.0, 0.5, 2.0]), max_size=30).map(lambda s: np.array(s, float))
laws = settings(max_examples=30, deadline=None)


def spread(values) -> float:
    known = values[np.isfinite(values)]
    return float(known.std()) if len(known) else 0.0


@pytest.mark.parametrize("seed", range(3))
def test_rounding_errors_are_not_blown_up(seed):
    values = 0.7 + np.random.default_rng(seed).normal(size=40) * 1e-8
    assert standardise(values).tolist() == [0.0] * 40


@laws
@given(scores, st.floats(-1e3, 1e3), st.floats(1e-2, 1e2))
def test_standard_scores_forget_shift_and_positive_scale(values, shift, scale):
    # Below this a difference may be a rounding error: see the law above.
    assume(min(1, scale) * spread(values) > 1e-2)
    assume(scale * spread(values) > 1e-5 * abs(scale * np.nanmean(values) + shift))
    np.testing.assert_allclose(standardise(values * scale + shift), standardise(values), atol=1e-6)


@laws
@given(scores)
def test_standard_scores_have_mean_zero_and_deviation_one_or_are_all_zero(values):
    known = standardise(values)[np.isfinite(values)]
    if known.any():
        assert abs(known.mean()) < 1e-6
        assert known.std() == pytest.approx(1)
    assert np.isfinite(standardise(values)).all()


@laws
@given(scores)
def test_standard_scores_keep_the_order(values):
    known = np.flatnonzero(np.isfinite(values))
    order = known[np.argsort(values[known])]
    assert (np.diff(standardise(values)[order]) >= 0).all()


@pytest.mark.parametrize("values", [[], [3.0], [2.0, 2.0], [np.nan, np.nan], [1e9, 1e9], [np.inf, 1.0]])
def test_a_scorer_that_tells_nothing_apart_adds_nothing(values):
    assert standardise(np.array(values, float)).tolist() == [0.0] * len(values)


@laws
@given(scores)
def test_a_row_that_abstains_stands_at_the_mean_and_moves_no_other(values):
    more = standardise(np.append(values, np.nan))
    assert more[-1] == 0
    np.testing.assert_array_equal(more[:-1], standardise(values))


@laws
@given(scores, scores)
def test_a_scorer_that_abstains_costs_nothing(first, second):
    count = min(len(first), len(second))
    assume(count)
    there = {"a": standardise(first[:count]), "b": standardise(second[:count])}
    silent = {**there, "c": standardise(np.full(count, np.nan))}
    weights = {"a": 0.7, "b": 1.3, "c": 9.0}
    np.testing.assert_array_equal(weighted_sum(silent, weights, count), weighted_sum(there, weights, count))


def test_a_scorer_without_a_weight_counts_nothing():
    assert weighted_sum({"a": np.array([1.0])}, {}, 1).tolist() == [0.0]
    assert weighted_sum({}, {"a": 1.0}, 3).tolist() == [0.0] * 3


@laws
@given(coarse, st.integers(0, 40), st.randoms(use_true_random=False))
def test_the_top_is_a_stable_sort_by_score_then_tie_for_any_k(values, k, random):
    ties = np.array(random.sample(range(10**6), len(values)), np.uint64)
    expected = sorted(range(len(values)), key=lambda place: (-values[place], ties[place]))[:k]
    assert top(values, ties, k).tolist() == expected


@laws
@given(coarse, st.integers(1, 40), st.randoms(use_true_random=False))
def test_the_top_does_not_depend_on_the_order_of_rows(values, k, random):
    ties = np.array(random.sample(range(10**6), len(values)), np.uint64)
    order = np.array(random.sample(range(len(values)), len(values)), np.int64)
    assert ties[order][top(values[order], ties[order], k)].tolist() == ties[top(values, ties, k)].tolist()
