"""Laws of a calibration: a prior without examples, moved by as much as they say, and never a NaN."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldstart.learning.calibration import EXPECTED, MOST, Asked, Calibration, fit

LENGTH = 4


def pairs(rng, count, *, items=6, people=8) -> Asked:
    """Return pairs of some people and some items, of whom nothing is expected."""
    rows = rng.integers(0, items, count)
    vectors = np.linalg.qr(rng.normal(size=(LENGTH, LENGTH)))[0]
    vectors = np.concatenate([vectors, -vectors])[:items]
    minds = rng.normal(size=(people, LENGTH))
    minds /= np.linalg.norm(minds, axis=1, keepdims=True)
    said = [{"job": f"job {who // 2}", "town": f"town {who % 2}"} for who in range(people)]
    who = rng.integers(0, people, count)
    features = np.column_stack([np.ones(count), np.zeros((count, EXPECTED.size - 1))])
    nothing = np.zeros(count)
    return Asked(
        features, rows, vectors[rows], minds[who], nothing, np.zeros(count), tuple(said[one] for one in who.tolist())
    )


def drawn(rng, odds) -> np.ndarray:
    return rng.random(len(odds)) < 1 / (1 + np.exp(-odds))


def test_without_examples_it_is_the_prior():
    asked = pairs(np.random.default_rng(0), 5)
    asked.features[:, 1] = [-2.0, -1.0, 0.0, 1.0, 2.0]
    found = fit(asked.last(0), np.empty(0, np.bool_)).probability(asked)
    assert found == pytest.approx(Calibration().probability(asked))
    assert (np.diff(found) > 0).all()
    assert found[2] == pytest.approx(0.5)


def test_what_others_say_of_an_item_counts_and_doubt_draws_to_a_half():
    sure, unsure = pairs(np.random.default_rng(0), 1), pairs(np.random.default_rng(0), 1)
    sure.effects[:] = unsure.effects[:] = 2.0
    unsure.doubts[:] = 4.0
    certain, doubtful = Calibration().probability(sure)[0], Calibration().probability(unsure)[0]
    assert 0.5 < doubtful < certain < 1.0


def test_a_rate_is_learned_from_examples_of_any_item():
    rng = np.random.default_rng(1)
    examples, asked = pairs(rng, 200), pairs(rng, 50)
    liked = rng.random(200) < 0.8
    assert fit(examples, liked).probability(asked).mean() == pytest.approx(0.8, abs=0.12)


@pytest.mark.parametrize("way", ["item", "person", "both", "job", "same", "job and item"])
def test_it_learns_in_which_way_answers_differ(way):
    rng = np.random.default_rng(2)
    everything = pairs(rng, 700)
    job, town = (np.array([int(one[field][-1]) for one in everything.said]) for field in ("job", "town"))
    odds = {
        "item": 4.0 * everything.items[:, 0],
        "person": 4.0 * everything.people[:, 0],
        "both": 8.0 * (everything.items * everything.people).sum(1),
        "job": np.where(job % 2, 2.0, -2.0),
        "same": np.where((job + town) % 2, 2.0, -2.0),
        "job and item": np.where(job % 2, 4.0, -4.0) * everything.items[:, 0],
    }[way]
    liked = drawn(rng, odds)
    examples, asked = (
        Asked(*(getattr(everything, name)[part] for name in Asked.__slots__)) for part in (slice(400), slice(400, None))
    )
    said = fit(examples, liked[:400]).probability(asked)
    truth = odds[400:] > 0
    assert said[truth].mean() > said[~truth].mean() + 0.2
    assert np.corrcoef(said, odds[400:])[0, 1] > 0.6


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 12), st.booleans(), st.integers(0, 1000))
def test_few_or_agreeing_examples_give_chances_and_no_certainty(count, liked, seed):
    rng = np.random.default_rng(seed)
    examples, asked = pairs(rng, count), pairs(rng, 20)
    found = fit(examples, np.full(count, liked)).probability(asked)
    assert np.isfinite(found).all()
    assert ((found > 0.02) & (found < 0.98)).all()
    assert (found.mean() > 0.5) == liked


def test_more_examples_than_it_can_hold_are_the_last_ones():
    rng = np.random.default_rng(3)
    examples = pairs(rng, MOST + 5)
    assert len(examples.last(MOST)) == MOST
    assert (examples.last(MOST).rows == examples.rows[5:]).all()
