"""Laws of yes and no: what a person says of themselves, what others say of an item, and what examples teach."""

from __future__ import annotations

import numpy as np
import pytest

from coldstart.entities import Answer, Context, Interaction, Profile
from coldstart.errors import ProfileError, UnknownItem
from coldstart.recommender import Recommender

NOW = 1_700_000_000.0
ASKED = ["t10", "t12", "t17"]
PLEASED = Profile(likes=["t01", "t02", "t05"], dislikes=["t06"])
STERN = Profile(likes=["t01"], dislikes=["t02", "t05", "t06"])


@pytest.fixture
def plain(catalogue, encoder) -> Recommender:
    return Recommender.build(catalogue, encoder=encoder, language_model=None)


def critics(good: str, bad: str, count: int = 30) -> list[Interaction]:
    """Return what people of all moods rate: one item well and one badly, whatever else they like."""
    rng = np.random.default_rng(0)
    told = []
    for person in range(count):
        told += [Interaction(f"u{person}", good, value=5.0), Interaction(f"u{person}", bad, value=1.0)]
        others = [f"t{number:02d}" for number in rng.permutation(10)[:4]]
        told += [Interaction(f"u{person}", other, value=float(rng.choice([1.0, 5.0]))) for other in others]
    return told


def test_who_likes_most_things_is_likelier_to_like_the_next_one(plain):
    assert (plain.probability(PLEASED, ASKED) > 0.5).all()
    assert (plain.probability(STERN, ASKED) < 0.5).all()


def test_what_observed_people_dislike_is_less_likely_liked(plain):
    plain.observe(critics("t10", "t12"), now=NOW)
    good, bad, unseen = plain.probability(Profile(), ASKED)
    assert good > unseen > bad


def test_where_nobody_dislikes_anything_no_item_is_disliked(plain):
    before = plain.probability(Profile(), ["t12"])[0]
    plain.observe([Interaction(f"u{person}", "t10", value=None) for person in range(20)], now=NOW)
    assert plain.probability(Profile(), ["t12"])[0] == pytest.approx(before, abs=0.1)


def test_the_histories_of_examples_tell_of_items_too(plain):
    rng = np.random.default_rng(1)
    answers = []
    for _ in range(40):
        others = [f"t{number:02d}" for number in rng.permutation(10)[:5]]
        profile = Profile(likes=["t10", *others[:2]], dislikes=["t12", *others[2:4]])
        answers.append(Answer(profile, others[4], bool(rng.random() < 0.5)))
    good, bad, _ = plain.calibrated(answers).probability(STERN, ASKED)
    before = plain.probability(STERN, ASKED)
    assert good > before[0]
    assert bad < before[1]


def test_before_answers_what_people_say_of_themselves_is_no_yes_and_no_no(plain):
    nothing = plain.probability(Profile(), ASKED)
    said = Profile(attributes={"age": 34, "occupation": "engineer"})
    assert plain.probability(said, ASKED, context=Context({"weather": "sunny"})) == pytest.approx(nothing)


def test_answers_tell_what_people_who_say_the_same_like(plain):
    rng = np.random.default_rng(2)
    answers = []
    for number in range(60):
        pleased, town = number % 2 == 0, f"town {rng.integers(4)}"
        profile = Profile(attributes={"occupation": "nurse" if pleased else "lawyer", "town": town})
        answers.append(Answer(profile, f"t{rng.integers(10):02d}", pleased))
    taught = plain.calibrated(answers)
    nurse, lawyer = (
        taught.probability(Profile(attributes={"occupation": job, "town": "town 9"}), ASKED)
        for job in ("nurse", "lawyer")
    )
    assert (nurse > 0.6).all()
    assert (lawyer < 0.4).all()


def test_answers_tell_which_circumstances_suit(plain):
    rng = np.random.default_rng(3)
    told = [Context({"weather": "rain" if number % 2 else "sun"}) for number in range(60)]
    answers = [
        Answer(Profile(), f"t{rng.integers(10):02d}", number % 2 == 0, context) for number, context in enumerate(told)
    ]
    taught = plain.calibrated(answers)
    sun, rain = (taught.probability(Profile(), ASKED, context=Context({"weather": one})) for one in ("sun", "rain"))
    assert (sun > 0.6).all()
    assert (rain < 0.4).all()


def test_examples_leave_the_ranking_and_the_first_recommender_alone(plain):
    before = plain.probability(PLEASED, ASKED)
    taught = plain.calibrated([Answer(PLEASED, item, False) for item in ("t20", "t21", "t22", "t23")])
    assert plain.probability(PLEASED, ASKED) == pytest.approx(before)
    assert (taught.probability(PLEASED, ASKED) < before).all()
    assert taught.score(PLEASED) == pytest.approx(plain.score(PLEASED))


def test_no_items_have_no_probabilities_and_what_is_no_list_is_refused(plain):
    assert plain.probability(PLEASED, []).shape == (0,)
    with pytest.raises(ProfileError, match="expected a list of item ids"):
        plain.probability(PLEASED, "t10")
    with pytest.raises(UnknownItem, match="nothing"):
        plain.probability(PLEASED, ["nothing"])
    with pytest.raises(UnknownItem, match="nothing"):
        plain.calibrated([Answer(PLEASED, "nothing", True)])
