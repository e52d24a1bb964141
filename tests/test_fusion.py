"""Laws of fusion: standard scores forget shift and scale, abstaining costs nothing, ties never go by row."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from coldstart.fusion import SOFT, meeting, settled, standardise, top, weighted_sum

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
    if known.any() and np.abs(known).max() < SOFT:  # beyond, they are softened
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


@st.composite
def arrivals(draw):
    """Draw full scores, zero-shot scores and how far each item is known: not at all, partly or wholly."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.integers(0, 30))
    seen, zero_shot = rng.normal(size=(2, count)) * 10.0 ** rng.integers(-3, 3)
    known = draw(st.sampled_from([np.zeros, np.ones, rng.random, lambda n: rng.choice([0.0, 0.3, 1.0], n)]))(count)
    return seen, zero_shot + draw(st.sampled_from([0.0, 1.0])) * seen, known


@laws
@given(arrivals())
def test_items_that_nobody_knows_keep_their_zero_shot_order(items):
    seen, zero_shot, known = items
    unknown = np.flatnonzero(known == 0)
    order = unknown[np.argsort(zero_shot[unknown])]
    assert (np.diff(settled(seen, zero_shot, known)[order]) >= 0).all()
    assert len(set(settled(seen, zero_shot, known)[order])) == len(order)


@laws
@given(arrivals())
def test_items_that_all_know_keep_their_full_score(items):
    seen, zero_shot, known = items
    if known.sum() >= 1:
        np.testing.assert_array_equal(settled(seen, zero_shot, known)[known == 1], seen[known == 1])
    np.testing.assert_array_equal(settled(seen, zero_shot, np.ones_like(known)), seen)


@laws
@given(arrivals())
def test_where_nothing_is_known_the_zero_shot_scores_stand(items):
    seen, zero_shot, known = items
    found = settled(seen, zero_shot, np.zeros_like(known))
    np.testing.assert_array_equal(found, zero_shot)
    assert found is not zero_shot


@laws
@given(arrivals())
def test_what_was_counted_of_an_unknown_item_says_nothing(items):
    seen, zero_shot, known = items
    other = np.where(known == 0, 7.0, seen)
    np.testing.assert_array_equal(settled(other, zero_shot, known), settled(seen, zero_shot, known))


@laws
@given(arrivals())
def test_an_item_that_nobody_knows_moves_no_other(items):
    seen, zero_shot, known = items
    more = settled(np.append(seen, 5.0), np.append(zero_shot, 2.0), np.append(known, 0.0))
    found = settled(seen, zero_shot, known)
    np.testing.assert_allclose(more[:-1], found, atol=1e-9 * (1 + np.abs(found).max(initial=0)))


@laws
@given(arrivals(), st.floats(-9, 9), st.floats(-9, 9))
def test_the_better_an_item_is_known_the_closer_it_comes_to_its_full_score(items, full, words):
    seen, zero_shot, known = items
    degrees = np.linspace(0, 1, 6)
    twins = settled(np.append(seen, [full] * 6), np.append(zero_shot, [words] * 6), np.append(known, degrees))[-6:]
    assert (np.diff(np.abs(twins - full)) <= 1e-9 * (1 + np.abs(twins).max())).all()
    assert twins[-1] == full


def test_an_unknown_item_is_expected_where_known_items_like_it_stand():
    zero_shot = np.array([0.0, 1.0, 2.0, 3.0, 1.5])
    found = settled(np.array([10.0, 12.0, 14.0, 16.0, -99.0]), zero_shot, np.array([1.0, 1.0, 1.0, 1.0, 0.0]))
    np.testing.assert_allclose(found, [10, 12, 14, 16, 13])


@pytest.mark.parametrize("known", [0.0, 0.1, 0.6, 1.0])
@pytest.mark.parametrize(("seen", "zero_shot"), [(1.0, 1.0), (0.0, 0.0), (1e9, -1e9)])
@pytest.mark.parametrize("count", [0, 1, 2, 9])
def test_scores_that_are_all_equal_settle_to_numbers_that_are_all_equal(seen, zero_shot, known, count):
    found = settled(np.full(count, seen), np.full(count, zero_shot), np.full(count, known))
    assert found.shape == (count,)
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found, found[:1].repeat(count))


def test_where_words_mislead_unknown_items_stand_together_in_their_own_order():
    zero_shot = np.array([0.0, 1.0, 2.0, 3.0, 0.5, 2.5])
    known = np.array([1.0, 1.0, 1.0, 1.0, 0.0, 0.0])
    found = settled(np.array([9.0, 6.0, 3.0, 0.0, 0.0, 0.0]), zero_shot, known)
    assert found[4] < found[5]
    np.testing.assert_allclose(found[4:], 4.5, atol=0.01)


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


@laws
@given(st.lists(st.floats(-5, 12), min_size=1, max_size=40).map(np.array))
def test_meeting_keeps_the_order_and_is_centred(deviations):
    found = meeting(deviations)
    assert np.isfinite(found).all()
    assert found.mean() == pytest.approx(0.0, abs=1e-9)
    order = np.argsort(deviations, kind="stable")
    assert (np.diff(found[order]) >= -1e-9).all()


def test_more_than_enough_of_what_is_asked_for_counts_hardly_more():
    found = meeting(np.array([-1.0, 0.0, 2.5, 3.5]))
    assert found[3] - found[2] < 0.1 < 4.0 < found[2] - found[1]


def test_enough_is_a_share_of_what_the_best_has():
    common, rare = meeting(np.array([-0.2, 2.0, 2.1])), meeting(np.array([-0.2, 2.0, 8.0]))
    assert common[2] - common[1] < 0.2 < 4.0 < rare[2] - rare[1]
