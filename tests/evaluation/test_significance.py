import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from coldstart.errors import EvaluationError
from coldstart.evaluation.significance import (
    bootstrap_interval,
    bootstrap_intervals,
    compare,
    comparisons,
    paired_bootstrap,
    paired_permutation,
)

VALUES = arrays(np.float64, st.integers(1, 20), elements=st.floats(0, 1))


@settings(max_examples=25)
@given(VALUES)
def test_an_interval_holds_its_mean_and_lies_within_the_values(values):
    mean, low, high = bootstrap_interval(values, seed=0, resamples=200)
    assert mean == pytest.approx(values.mean())
    assert values.min() - 1e-9 <= low <= high <= values.max() + 1e-9


def test_the_interval_is_as_wide_as_the_standard_error_says():
    values = np.random.default_rng(0).normal(0.3, 0.2, size=900)
    mean, low, high = bootstrap_interval(values, seed=1)
    assert (high - low) / 2 == pytest.approx(1.96 * values.std() / 30, rel=0.1)
    assert low < mean < high


def test_intervals_cover_the_truth_about_as_often_as_they_claim():
    rng = np.random.default_rng(3)
    table = rng.random((100, 300))
    covered = [low <= 0.5 <= high for _, low, high in bootstrap_intervals(table, seed=0, resamples=400)]
    assert 0.89 <= np.mean(covered) <= 0.99


def test_the_same_seed_gives_the_same_numbers_and_columns_do_not_matter():
    table = np.random.default_rng(0).random((50, 3))
    together = bootstrap_intervals(table, seed=4)
    alone = [bootstrap_interval(column, seed=4) for column in table.T]
    np.testing.assert_allclose(together, alone, atol=1e-12)
    assert together == bootstrap_intervals(table, seed=4)
    assert together != bootstrap_intervals(table, seed=5)


def test_many_users_are_resampled_in_batches_without_changing_the_law(monkeypatch):
    values = np.random.default_rng(0).random(200)
    whole = bootstrap_interval(values, seed=0)
    monkeypatch.setattr("coldstart.evaluation.significance._CELLS", 1000)
    np.testing.assert_allclose(whole, bootstrap_interval(values, seed=0), atol=1e-12)


def test_a_system_does_not_differ_from_itself():
    values = np.random.default_rng(0).random(40)
    assert tuple(compare(values, values, seed=0)) == (0.0, 0.0, 0.0, 1.0)


def test_swapping_the_systems_turns_the_difference_round():
    a, b = np.random.default_rng(0).random((2, 80))
    there, back = compare(a, b, seed=0), compare(b, a, seed=0)
    assert back[:3] == pytest.approx((-there.mean, -there.high, -there.low))
    assert back.p == there.p


def test_a_steady_small_gain_is_found_where_unpaired_intervals_overlap():
    rng = np.random.default_rng(0)
    base = rng.random(400)
    better = base + rng.normal(0.02, 0.05, size=400)
    assert bootstrap_interval(better, seed=0).low < bootstrap_interval(base, seed=0).high
    difference = compare(better, base, seed=0)
    assert difference.low > 0
    assert difference.p < 0.001
    assert paired_bootstrap(better, base, seed=0) == difference[:3]


def test_the_permutation_test_is_exact_on_few_users():
    # 2 of the 2^4 swaps are as extreme as all four users agreeing
    assert paired_permutation([2.0, 3, 4, 5], [1.0, 1, 1, 1], seed=0, resamples=40_000) == pytest.approx(
        1 / 8, abs=0.01
    )


def test_alike_systems_are_called_different_about_as_often_as_the_level_says():
    differences = np.random.default_rng(2).normal(size=(40, 300))
    found = [d.p < 0.05 for d in comparisons(differences, seed=0)]
    assert 0.02 <= np.mean(found) <= 0.09


@pytest.mark.parametrize("call", [lambda: bootstrap_interval([], seed=0), lambda: compare([], [], seed=0)])
def test_no_users_have_no_interval(call):
    with pytest.raises(EvaluationError, match="no users"):
        call()


def test_other_users_or_levels_are_refused():
    with pytest.raises(EvaluationError, match="same users"):
        compare([1.0, 2.0], [1.0], seed=0)
    with pytest.raises(EvaluationError, match="level 95"):
        bootstrap_interval([1.0], seed=0, level=95)
    with pytest.raises(EvaluationError, match="0 resamples"):
        paired_permutation([1.0], [0.0], seed=0, resamples=0)
