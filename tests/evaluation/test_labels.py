from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from coldstart.errors import EvaluationError
from coldstart.evaluation.labels import (
    LABEL_MEASURES,
    accuracy,
    auc,
    ece,
    f1,
    gauc,
    label_statistic,
    log_loss,
    mae,
    rmse,
)

SCALE = np.array([0.0, 0.05, 0.3, 0.5, 0.5, 0.7, 1.0])


def tables(count: int, columns: int, seed: int = 0):
    """Yield random answers and labels, a draw a column, and weights or None.

    Many answers tie, some draws have labels of one class, weights may be zero.
    """
    rng = np.random.default_rng(seed)
    for place in range(count):
        shape = (int(rng.integers(2, 40)), columns)
        answers = rng.choice(SCALE, shape) if place % 3 else rng.random(shape)
        liked = rng.random(shape) < rng.choice([0.0, 0.1, 0.5, 0.9, 1.0], columns)
        weights = None
        if place % 2:
            weights = rng.random(shape[0]) if place % 4 == 1 else rng.integers(0, 4, shape[0]).astype(float)
            weights[0] = 1.0
        yield answers, liked, weights


def draws(count: int, seed: int = 0):
    """Yield tables of one column as plain arrays."""
    for answers, liked, weights in tables(count, columns=1, seed=seed):
        yield answers[:, 0], liked[:, 0], weights


def theirs(name, *given, **options):
    """Call a measure of scikit-learn, which takes seconds to import."""
    from sklearn import metrics

    return getattr(metrics, name)(*given, **options)


def by_column(measure, liked, answers, weights, **options):
    return [measure(*column, sample_weight=weights, **options) for column in zip(liked.T, answers.T, strict=True)]


def roc_auc(liked, answers, sample_weight):
    counted = liked if sample_weight is None else liked[sample_weight > 0]
    if counted.all() or not counted.any():
        return np.nan
    return theirs("roc_auc_score", liked, answers, sample_weight=sample_weight)


def f1_by_column(liked, answers, weights):
    return theirs("f1_score", liked, answers >= 0.5, average=None, sample_weight=weights, zero_division=0.0)


def error_by_column(error, liked, answers, weights):
    return error(liked, answers, multioutput="raw_values", sample_weight=weights)


THEIRS = {
    auc: partial(by_column, roc_auc),
    accuracy: lambda liked, answers, weights: by_column(
        partial(theirs, "accuracy_score"), liked, answers >= 0.5, weights
    ),
    f1: f1_by_column,
    log_loss: partial(by_column, partial(theirs, "log_loss"), labels=[False, True]),
    mae: partial(error_by_column, partial(theirs, "mean_absolute_error")),
    rmse: partial(error_by_column, partial(theirs, "root_mean_squared_error")),
}


@pytest.mark.slow
@pytest.mark.parametrize("measure", THEIRS, ids=lambda measure: measure.__name__)
def test_every_measure_agrees_with_scikit_learn_on_1000_random_draws(measure):
    import sklearn

    found, expected = [], []
    with sklearn.config_context(assume_finite=True, skip_parameter_validation=True):
        for answers, liked, weights in tables(40, columns=25):
            expected.extend(THEIRS[measure](liked, answers, weights))
            found.extend(measure(*column, weights=weights) for column in zip(answers.T, liked.T, strict=True))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)
    undefined = int(np.isnan(found).sum())
    assert len(found) == 1000
    assert 100 < undefined < 900 if measure is auc else undefined == 0


@pytest.mark.slow
def test_errors_of_ratings_agree_with_scikit_learn():
    truth, predicted = np.random.default_rng(0).uniform(1, 5, size=(2, 50))
    assert mae(predicted, truth) == pytest.approx(theirs("mean_absolute_error", truth, predicted))
    assert rmse(predicted, truth) == pytest.approx(theirs("root_mean_squared_error", truth, predicted))


def test_errors_of_ratings_take_a_given_value_where_a_system_abstained():
    truth, predicted = np.random.default_rng(0).uniform(1, 5, size=(2, 50))
    predicted[:5] = np.nan
    filled = np.where(np.isnan(predicted), 3.0, predicted)
    assert mae(predicted, truth, abstained=3.0) == mae(filled, truth)
    assert rmse(predicted, truth, abstained=3.0) == rmse(filled, truth)


@settings(max_examples=25)
@given(st.data())
def test_auc_is_the_share_of_pairs_in_the_right_order(data):
    size = data.draw(st.integers(2, 40))
    scores = data.draw(arrays(np.float64, size, elements=st.sampled_from([-np.inf, -3.0, 0.0, 0.25, 0.5, 1.0])))
    liked = data.draw(arrays(np.bool_, size))
    if liked.all() or not liked.any():
        assert np.isnan(auc(scores, liked))
    else:
        above = scores[liked][:, None] > scores[~liked][None, :]
        level = scores[liked][:, None] == scores[~liked][None, :]
        assert auc(scores, liked) == pytest.approx((above + 0.5 * level).mean(), abs=1e-12)


@pytest.mark.parametrize("weighted", [True, False])
def test_grouped_auc_is_the_mean_over_the_users_with_both_answers(weighted):
    rng = np.random.default_rng(0)
    compared = 0
    for answers, liked, weights in draws(80, seed=1):
        users = rng.choice(["ann", "bob", "cleo", "dan"], answers.size)
        counts = np.ones(answers.size) if weights is None else weights
        each, sizes = [], []
        for user in np.unique(users):
            mine = users == user
            value = auc(answers[mine], liked[mine], weights=counts[mine])
            if not np.isnan(value):
                each.append(value)
                sizes.append(counts[mine].sum() if weighted else counts[mine].mean())
        expected = np.average(each, weights=sizes) if each else np.nan
        found = gauc(users, answers, liked, weighted=weighted, weights=weights)
        assert found == pytest.approx(expected, abs=1e-9, nan_ok=True)
        compared += bool(each)
    assert compared > 20


def test_a_user_counts_in_grouped_auc_by_their_questions_or_once():
    users = ["a", "b", "a", "b", "b", "c"]
    scores = [2.0, 1.0, 1.0, 2.0, 3.0, 9.0]
    liked = [True, True, False, False, False, True]
    assert gauc(users, scores, liked) == pytest.approx((2 * 1.0 + 3 * 0.0) / 5)
    assert gauc(users, scores, liked, weighted=False) == pytest.approx((1.0 + 0.0) / 2)
    assert np.isnan(gauc(["c"], [1.0], [True]))


@pytest.mark.parametrize("measure", LABEL_MEASURES.values(), ids=str)
def test_a_weight_says_how_often_a_question_is_asked(measure):
    rng = np.random.default_rng(3)
    for answers, liked, _ in draws(40, seed=2):
        users, times = rng.integers(0, 4, answers.size), rng.integers(0, 4, answers.size)
        repeated = measure(*(np.repeat(column, times) for column in (users, answers, liked)))
        assert measure(users, answers, liked, weights=times) == pytest.approx(repeated, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("measure", LABEL_MEASURES.values(), ids=str)
def test_to_abstain_is_to_answer_one_half(measure):
    rng = np.random.default_rng(0)
    answers, liked, users = rng.random(60), rng.random(60) < 0.6, rng.integers(0, 5, 60)
    some = np.where(rng.random(60) < 0.3, np.nan, answers)
    assert measure(users, some, liked) == measure(users, np.nan_to_num(some, nan=0.5), liked)
    assert measure(users, some, liked) != measure(users, answers, liked)


def test_who_always_abstains_tells_nothing():
    liked = np.array([True, True, True, False])
    silent = np.full(4, np.nan)
    assert auc(silent, liked) == 0.5
    assert gauc([0, 1, 0, 0], silent, liked) == 0.5
    assert log_loss(silent, liked) == pytest.approx(np.log(2))
    assert mae(silent, liked) == rmse(silent, liked) == 0.5
    assert ece(silent, liked) == 0.25


def test_abstaining_can_stand_for_another_number_where_scores_are_no_probabilities():
    scores, liked = [np.nan, np.nan, -5.0], [True, False, True]
    assert auc(scores, liked, abstained=-np.inf) == pytest.approx(0.75)
    assert auc(scores, liked, abstained=0.0) == pytest.approx(0.25)
    assert gauc(["a", "a", "a"], scores, liked, abstained=-np.inf) == pytest.approx(0.75)


@pytest.mark.parametrize("bins", [1, 10, 15])
def test_calibration_error_is_the_mean_gap_of_the_bins(bins):
    for answers, liked, _ in draws(50, seed=4):
        total = 0.0
        for low, high in zip(np.linspace(0, 1, bins + 1)[:-1], np.linspace(0, 1, bins + 1)[1:], strict=True):
            inside = (answers > low) & (answers <= high) | ((low == 0) & (answers == 0))
            if inside.any():
                total += inside.mean() * abs(answers[inside].mean() - liked[inside].mean())
        assert ece(answers, liked, bins=bins) == pytest.approx(total, abs=1e-12)


def test_calibration_error_by_hand():
    # (0.9, 1]: 0.95 said, 0.5 true; (0.1, 0.2]: 0.2 said, 0 true
    assert ece([0.95, 0.95, 0.2, 0.2], [True, False, False, False]) == pytest.approx((0.45 + 0.2) / 2)
    assert ece([0.0, 1.0, 1.0], [False, True, True]) == 0.0


def test_one_wrong_certainty_costs_a_finite_loss():
    assert log_loss([1.0], [False]) == pytest.approx(-np.log(np.finfo(float).eps))
    assert log_loss([1.0], [True]) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("measure", LABEL_MEASURES.values(), ids=str)
def test_better_answers_score_better(measure):
    rng = np.random.default_rng(0)
    liked, users = rng.random(400) < 0.5, rng.integers(0, 20, 400)
    perfect, poor = liked.astype(float), np.where(rng.random(400) < 0.4, ~liked, liked).astype(float)
    gain = measure(users, perfect, liked) - measure(users, poor, liked)
    assert gain > 0.1 if measure.higher_is_better else gain < -0.1


@pytest.mark.parametrize("measure", LABEL_MEASURES.values(), ids=str)
def test_no_questions_have_no_value(measure):
    assert np.isnan(measure([], [], []))
    assert np.isnan(measure(["ann"], [0.4], [True], weights=[0.0]))


def test_a_statistic_of_several_systems_holds_each_measure_of_each():
    rng = np.random.default_rng(0)
    liked, users = rng.random(30) < 0.5, rng.integers(0, 4, 30)
    systems = rng.random((3, 30))
    systems[1, :4] = np.nan
    times = rng.integers(0, 3, size=(6, 30)).astype(float)
    found = label_statistic(users, systems, liked)(times)
    expected = [
        [m(users, answers, liked, weights=row) for answers in systems for m in LABEL_MEASURES.values()] for row in times
    ]
    np.testing.assert_allclose(found, expected, atol=1e-12)
    chosen = label_statistic(users, systems[:1], liked, measures=["ece", "auc"])(times)
    np.testing.assert_allclose(chosen, found[:, [list(LABEL_MEASURES).index(name) for name in ("ece", "auc")]])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: accuracy([0.5, 1.5], [True, False]), "1.5: expected a probability"),
        (lambda: log_loss([-2.0], [True]), "-2: expected a probability"),
        (lambda: LABEL_MEASURES["auc"]([0], [3.0], [True]), "3: expected a probability"),
        (lambda: f1([0.5], [4.0]), "4: expected 1 for liked"),
        (lambda: auc([0.5], [4.0]), "4: expected 1 for liked"),
        (lambda: auc([0.5, 0.2], [True]), r"\(2,\) answers to \(1,\) questions"),
        (lambda: gauc(["a"], [0.5, 0.2], [True, False]), r"of \(1,\) users"),
        (lambda: mae([3.0], [np.nan]), "NaN"),
        (lambda: rmse([3.0], [2.0], weights=[-1.0]), "each 0 or more"),
        (lambda: rmse([3.0], [2.0], weights=[1.0, 1.0]), r"weights of shape \(2,\)"),
        (lambda: ece([0.5], [True], bins=0), "0 bins"),
        (lambda: label_statistic([0], [[0.5]], [True], measures=["brier"]), "'brier'"),
        (lambda: label_statistic([0], [], [True]), "0 systems"),
        (lambda: label_statistic([], [[]], []), "no questions"),
    ],
)
def test_what_cannot_be_measured_is_refused(call, message):
    with pytest.raises(EvaluationError, match=message):
        call()
