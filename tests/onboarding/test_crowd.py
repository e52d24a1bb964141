"""Laws of crowds: those count who would have answered alike, and asking about one thing is worth the same both ways."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from coldstart.onboarding.belief import Belief, Ground, Observation
from coldstart.onboarding.crowd import ALIKE, Crowd, Shown

ITEMS, PEOPLE = 40, 200


@pytest.fixture(scope="module")
def ground() -> Ground:
    """Half of the people like most of the first half of the items, the others of the second."""
    rng = np.random.default_rng(0)
    first = np.arange(ITEMS) < ITEMS // 2
    chance = np.where(first == (np.arange(PEOPLE) < PEOPLE // 2)[:, None], 0.7, 0.1)
    likes = sparse.csr_matrix((rng.random((PEOPLE, ITEMS)) < chance).astype(np.float64))
    member = sparse.csr_matrix(np.column_stack([first, ~first]).astype(np.float64))
    mean = np.concatenate([np.asarray(likes.mean(0)).ravel(), [0.5, 0.5]])
    both = sparse.hstack([likes, sparse.csr_matrix((likes @ member).toarray() > 10)], format="csr").astype(np.float64)
    vectors = np.eye(ITEMS + 2, dtype=np.float32)
    return Ground(both, vectors, mean, ITEMS, member, np.array([0.5, 0.5]))


@pytest.fixture(scope="module")
def crowd(ground) -> Crowd:
    return Crowd.of(ground, seed=0)


def worth(ground: Ground, crowd: Crowd, answers=()) -> Shown:
    askable = np.arange(len(ground.mean))
    belief = Belief(ground.mean, askable, ground.columns(askable), ground.variance, ITEMS)
    hidden = np.zeros(ITEMS, np.bool_)
    return Shown(belief, ground.mean, hidden, noise=0.6, faint=50.0, crowd=crowd, answers=answers)


def test_those_who_would_have_answered_alike_count_more(crowd):
    assert crowd.weights([]) == pytest.approx(1.0 / crowd.told.shape[0])
    yes = crowd.told[:, [ITEMS]].toarray().ravel() > 0
    weights = crowd.weights([Observation((ITEMS,), (1.0,), 1.0, 0.6)])
    assert weights.sum() == pytest.approx(1.0)
    assert weights[yes].min() > weights[~yes].max()
    many = crowd.weights([Observation((item,), (1.0,), float(item < ITEMS // 2), 0.6) for item in range(ITEMS)])
    assert (many**2).sum() == pytest.approx(1.0 / ALIKE, rel=0.01)


def test_one_thing_is_worth_the_same_alone_and_offered_by_itself(ground, crowd):
    found = worth(ground, crowd)
    for place in (0, ITEMS - 1, ITEMS, ITEMS + 1):
        assert found.together([place]) == pytest.approx(max(found.alone[place], 0.0), abs=1e-5)


def test_what_parts_the_crowd_is_worth_most(ground, crowd):
    asked = worth(ground, crowd)
    assert asked.alone.argmax() >= ITEMS
    assert asked.alone[ITEMS] > 0.1


def test_too_few_people_are_no_crowd(ground):
    few = Ground(ground.likes[:30], ground.vectors, ground.mean, ITEMS, ground.member, ground.share)
    assert Crowd.of(few, seed=0) is None
