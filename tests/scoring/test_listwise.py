"""Laws of listwise picks: they follow the items through rotations, and position bias is told and cancelled."""

from __future__ import annotations

import numpy as np
import pytest

from coldstart.entities import Profile
from coldstart.errors import ProfileError
from coldstart.prompting import Library
from coldstart.scoring.listwise import LETTERS, Listwise

SOMEONE = "A 34-year-old person from Kandy."


@pytest.fixture
def listwise(language_model, catalogue):
    return Listwise(language_model, catalogue, Library.load())


def test_scores_follow_their_items_through_rotations_of_the_list(listwise):
    rows = np.array([3, 1, 4, 15, 9])
    found = listwise.picked(SOMEONE, rows)
    turned = listwise.picked(SOMEONE, np.roll(rows, 2))
    np.testing.assert_allclose(turned.scores, np.roll(found.scores, 2), atol=1e-4)
    np.testing.assert_allclose(turned.shares, found.shares, atol=1e-4)
    assert np.ptp(found.scores) > 1e-3
    assert found.shares.sum() == pytest.approx(1.0)
    assert 0 < found.bias < 1


def test_a_model_that_goes_by_the_place_alone_tells_no_items_apart_and_is_found_out(listwise, monkeypatch):
    def first(asked, answers):
        return [np.tile(np.r_[9.0, np.zeros(len(answers) - 1)], (len(questions), 1)) for _, questions in asked]

    monkeypatch.setattr(listwise._model, "preferences", first)
    found = listwise.picked(SOMEONE, np.arange(6))
    assert np.ptp(found.scores) == pytest.approx(0.0, abs=1e-12)
    assert found.bias > 0.8


def test_a_model_that_goes_by_the_item_alone_has_no_bias(listwise, catalogue, monkeypatch):
    wanted = catalogue[2].title

    def choose(asked, answers):
        ((_, questions),) = asked
        lines = [question.splitlines() for question in questions]
        return [
            np.array([[8.0 * line[at].startswith(f"{a}. {wanted}") for at, a in enumerate(answers)] for line in lines])
        ]

    monkeypatch.setattr(listwise._model, "preferences", choose)
    found = listwise.picked(SOMEONE, np.arange(6))
    assert found.scores.argmax() == 2
    assert found.bias == pytest.approx(0.0, abs=1e-12)


def test_what_has_no_letter_and_what_is_no_choice_have_no_score(listwise):
    found = listwise.picked(SOMEONE, np.arange(len(LETTERS) + 2))
    assert np.isnan(found.scores).tolist() == [False] * len(LETTERS) + [True] * 2
    assert np.isnan(listwise.picked(SOMEONE, np.array([4])).scores).all()
    assert listwise.picked(SOMEONE, np.empty(0, np.int64)).bias == 0.0


def test_a_list_has_a_part_of_it_only_where_it_was_given_a_weight(recommender, add_up):
    profile = Profile(text="something smoky")
    plain = recommender.recommend(profile, language=5)
    assert all("listwise" not in one.parts for one in plain)
    weighed = recommender.reweighted({"listwise": 0.7})
    found = weighed.recommend(profile, language=5)
    add_up(found)
    assert {"listwise", "language"} <= found[0].parts.keys()
    assert all("listwise" not in one.parts for one in weighed.recommend(profile))
    slices = list(weighed.recommending(profile, language=5, size=2))
    assert [one.degraded for one in slices] == [True] * (len(slices) - 1) + [False]
    with pytest.raises(ProfileError):
        recommender.reweighted({"listwise": -1.0})
