"""Laws of distilling: the matrix agrees with its teacher on people it wasn't told of, if there is anything to tell."""

from __future__ import annotations

import numpy as np
import pytest

from coldstart.refining import distilling
from coldstart.refining.distilling import Reading, learned, readings
from coldstart.refining.examples import User
from coldstart.refining.schedule import Schedule
from coldstart.scoring.following import Follows

ITEMS, WIDTH = 120, 10


@pytest.fixture(scope="module")
def vectors():
    found = np.random.default_rng(1).normal(size=(ITEMS, WIDTH)).astype(np.float32) + 0.3
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def taught(vectors, people, *, seed, noise=0.0, blind=False):
    """Return what a teacher tells who turns what people like by a matrix of its own, or who tells nothing of it."""
    rng, moved = np.random.default_rng(seed), unit(vectors - vectors.mean(0))
    turn = np.random.default_rng(7).normal(size=(WIDTH, WIDTH))
    found = []
    for _ in range(people):
        likes, rows = tuple(rng.permutation(ITEMS)[:4].tolist()), np.sort(rng.permutation(ITEMS)[:30])
        person = unit(unit(moved[list(likes)] @ turn).sum(0))
        told = rng.normal(size=30) if blind else moved[rows] @ person + noise * rng.normal(size=30)
        found.append(Reading(likes, rows, told))
    return found


pytestmark = pytest.mark.slow  # some learn


@pytest.fixture(autouse=True)
def quicker(monkeypatch):
    monkeypatch.setattr(distilling, "RATE", 3e-2)
    monkeypatch.setattr(distilling, "STEPS", 60)


def test_it_agrees_with_the_teacher_on_people_it_was_not_told_of(vectors):
    adapter, done, found = learned(
        vectors, taught(vectors, 40, seed=2, noise=0.05), taught(vectors, 10, seed=3), Schedule(), base="plain"
    )
    assert found.before < 0.3
    assert found.after > 0.6
    assert done.best > 0
    matrix = Follows.of(adapter.config, adapter.weights, 1.0).matrix
    assert np.linalg.matrix_rank(matrix, tol=1e-4) <= distilling.RANK


def test_a_teacher_who_tells_nothing_of_people_is_hardly_followed(vectors):
    adapter, _, found = learned(
        vectors, taught(vectors, 30, seed=4, blind=True), taught(vectors, 40, seed=5, blind=True), Schedule(), base="x"
    )
    assert adapter is None or found.after < 0.1


def test_it_can_be_told_twice(vectors):
    given = taught(vectors, 20, seed=2), taught(vectors, 8, seed=3)
    one, other = (learned(vectors, *given, Schedule(), base="plain")[0] for _ in range(2))
    assert one.hash == other.hash


def test_the_teacher_reads_some_of_the_best_and_some_of_all_and_never_what_is_judged():
    users = [User(f"u{person}", tuple(range(person, person + 8))) for person in range(5)]
    asked = []

    def read(likes, rows):
        asked.append((likes, rows))
        return rows.astype(float)

    done = []
    found = readings(users, ranked=lambda _likes: np.arange(1000)[::-1], read=read, seed=0, progress=done.append)
    assert len(found) == sum(done) == 5
    for user, (likes, rows) in zip(users, asked, strict=True):
        assert likes == user.likes[:4]
        assert distilling.NEAR <= (rows >= 1000 - distilling.BEST).sum() < len(rows)
        assert len(rows) <= distilling.NEAR + distilling.FAR


def test_a_person_of_whom_the_teacher_tells_nothing_apart_is_left_out():
    users = [User("u", (0, 1))]
    for ranked, told in ((np.arange(50), 1.0), (np.arange(3), np.arange(3.0))):
        read = lambda _likes, rows, told=told: np.zeros(len(rows)) + told  # noqa: E731
        assert readings(users, ranked=lambda _likes, ranked=ranked: ranked, read=read, seed=0) == []
