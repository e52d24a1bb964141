"""Laws of weighing: weights move only where the platform's own people rank better by it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from coldstart.learning import weighing
from coldstart.learning.neighbours import Linear, alike
from coldstart.learning.weighing import Chosen, Simulated, Weighing

ITEMS, PEOPLE = 80, 60


def simulated(*, helps: bool, seed: int = 0) -> Simulated:
    """People for whom the linear model knows what they like, or nobody does."""
    rng = np.random.default_rng(seed)
    liked = rng.random((PEOPLE, ITEMS)) < 0.1
    noise = rng.normal(size=(4, PEOPLE, ITEMS))
    linear = np.stack([noise[2] + 6.0 * liked if helps and at == 1 else noise[2] for at in range(4)])
    shown = np.zeros_like(liked)
    return Simulated(np.arange(PEOPLE), 3 * noise[0], noise[1], linear, noise[3], liked & ~shown, shown)


@pytest.fixture
def likes():
    rng = np.random.default_rng(1)
    table = (rng.random((50, 12)) < 0.3).astype(float)
    return sparse.csr_matrix(table)


def test_what_helps_gets_weight_and_is_judged_to_help():
    (found,), penalty = weighing.choose({5: simulated(helps=True)})
    assert penalty == weighing.PENALTIES[1]
    assert found.weights[1] > 0.2
    assert found.gain > 2 * found.error > 0
    assert found.share > 0.9


def test_what_does_not_help_stays_as_shipped():
    for seed in range(3):
        (found,), _ = weighing.choose({5: simulated(helps=False, seed=seed)})
        assert np.abs(np.subtract(found.weights, weighing.SHIPPED)).max() < 0.15
        if found.gain <= 0:
            assert found.weights == weighing.SHIPPED


def short(*, helps: bool, seed: int = 0) -> np.ndarray:
    """Return short lists in which words know what is liked, and counts drown them, or counts know it."""
    rng = np.random.default_rng(seed)
    found = rng.normal(size=(PEOPLE, weighing.LISTS, 7, weighing.LENGTH))
    found[:, :, 0] *= 8.0
    found[:, :, 1 if helps else 0, -1] += 3.0 if helps else 12.0
    return found


def test_words_count_more_in_short_lists_where_that_helps_and_only_there():
    people = replace(simulated(helps=False), short=short(helps=True))
    (found,), _ = weighing.choose({5: people})
    assert found.times > 3.0
    one = Weighing((found,), 100)
    assert one.times(5, ranked=weighing.LENGTH, items=4000) == pytest.approx(found.times)
    assert one.times(5, ranked=4000, items=4000) == 1.0
    path = [one.times(5, ranked=ranked, items=4000) for ranked in (10, 20, 100, 1000, 3000, 4000)]
    assert (np.diff(path) <= 0).all()
    assert one.times(0, ranked=20, items=4000) == 1.0
    assert one.times(5, ranked=10, items=weighing.LENGTH) == 1.0
    assert "in short lists" in str(found)


def test_where_words_would_drown_counts_short_lists_are_ordered_as_long_ones():
    for seed in range(3):
        people = replace(simulated(helps=False, seed=seed), short=short(helps=False, seed=seed))
        (found,), _ = weighing.choose({5: people})
        assert found.times < 1.2


def test_the_same_people_choose_the_same():
    assert weighing.choose({5: simulated(helps=True)}) == weighing.choose({5: simulated(helps=True)})


def test_what_was_chosen_is_the_same_when_read():
    one = Weighing((Chosen(1, (0.1, 0.2, 1.0), 30, 0.01, 0.005, 0.9, 4.0),), 100, 300.0)
    assert Weighing.of(one.state()) == one
    assert Weighing.of(None) == Weighing()
    with pytest.raises(ValueError, match="no weighing"):
        Weighing.of({"chosen": [{"likes": 1}], "likes": 2})


def test_weights_move_smoothly_with_what_is_known_and_start_as_shipped():
    one = Weighing(
        (Chosen(1, (0.1, 0.0, 1.0), 30, 0.01, 0.005, 0.9), Chosen(5, (0.3, 0.2, 0.5), 30, 0.1, 0.01, 1.0)), 9
    )
    assert tuple(one.at(0).values()) == weighing.SHIPPED
    path = np.array([list(one.at(likes).values()) for likes in (0, 1, 2, 3, 4, 5, 500)])
    assert (np.diff(path[:, 0]) >= 0).all()
    np.testing.assert_allclose(path[-1], (0.3, 0.2, 0.5))


def test_people_are_dealt_what_they_like_and_the_same_each_time(likes):
    dealt = weighing.deal(likes, 1, people=30, seed=3)
    again = weighing.deal(likes, 1, people=30, seed=3)
    assert len(dealt) == 30
    for (person, known, others), (_, same, _) in zip(dealt, again, strict=True):
        assert sorted([*known, *others]) == sorted(likes[person].indices)
        assert len(known) == 1
        np.testing.assert_array_equal(known, same)


def test_a_person_left_out_counts_as_if_they_had_never_come(likes):
    given, person = np.array([2, 5]), 7
    rest = sparse.csr_matrix(np.delete(likes.toarray(), person, axis=0))
    np.testing.assert_allclose(alike(likes, given, without=person), alike(rest, given))
    np.testing.assert_allclose(
        Linear(likes).score(given, without=person), Linear(rest).score(given), rtol=1e-4, atol=1e-7
    )


@pytest.mark.parametrize("penalty", [10.0, 1000.0])
def test_the_linear_model_is_steck_s(likes, penalty):
    gram = (likes.T @ likes).toarray() + penalty * np.eye(12)
    inverse = np.linalg.inv(gram)
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    given = np.array([1, 4])
    expected = weights[given].sum(0)
    expected[given] = 0.0
    found = Linear(likes, penalty=penalty).score(given)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-7)
