"""Laws of what types of events say: words are understood, callers obeyed, and what people say beats what they do."""

import numpy as np
import pytest

from coldstart.entities import Interaction
from coldstart.errors import ProfileError
from coldstart.interactions import Interactions
from coldstart.learning.experience import UNSEEN, Experience
from coldstart.learning.meanings import GLANCE, Meanings

NOW = 1_700_000_000.0
ROWS = {"tea": 0, "jam": 1, "oat": 2}


def likes(*events, **told):
    experience = Experience()
    records = [Interaction(*event) for event in events]
    experience.observe(Interactions.from_records(records), known=ROWS, now=NOW)
    return experience.likes(ROWS, now=NOW, meanings=Meanings(told))


@pytest.mark.parametrize(
    ("name", "meaning"),
    [("like", "like"), ("Thumbs Up", "like"), ("thumbs_down", "dislike"), ("hide", "dislike"), ("returned", "dislike"),
     ("skip", "shown"), ("impression", "shown"), ("PageView", GLANCE), ("item_click", GLANCE), ("AddToCart", 1.0),
     ("purchase", 1.0), ("movie-rating", "rating"), ("remove_from_cart", "ignore"), ("zap", "interaction"),
     ("", "interaction"), ("\ud800", "interaction"), ("x" * 100_000, "interaction")],
)  # fmt: skip
def test_usual_types_are_understood(name, meaning):
    assert Meanings().of(name) == meaning
    assert Meanings({name: "ignore"}).of(name) == "ignore"


@pytest.mark.parametrize("said", ["loved", 0, -1, 2, float("nan"), True, None])
def test_a_meaning_that_is_none_is_refused(said):
    with pytest.raises(ProfileError, match="'zap' are said to mean"):
        Meanings({"zap": said})


def test_a_dislike_without_a_value_is_no_like():
    found = likes(("ann", "tea", "dislike"), ("bob", "jam", "like"))
    assert found.counts.tolist() == [0, 1, 0]
    assert found.dislikes.toarray().sum(0).tolist() == [1, 0, 0]


@pytest.mark.parametrize("order", [1, -1])
def test_what_people_say_holds_over_what_they_do(order):
    done = [("ann", "tea", "purchase"), ("ann", "tea", "return"), ("ann", "jam", "hide"), ("ann", "jam", "like")]
    found = likes(*done[::order])
    assert found.counts.tolist() == [0, 1, 0]
    assert found.dislikes.toarray().tolist() == [[1, 0, 0]]


def test_looking_weighs_less_than_buying_unless_it_is_all_there_is():
    looked = [("ann", "tea", "view"), ("bob", "jam", "click")]
    assert likes(*looked).counts.tolist() == [1, 1, 0]
    assert likes(*looked, ("ann", "tea", "purchase")).counts.tolist() == [1, GLANCE, 0]


def test_a_price_is_no_rating_and_nothing_for_nothing_is_no_like():
    assert likes(("a", "tea", "purchase", 3.0), ("b", "jam", "purchase", 90.0)).counts.tolist() == [1, 1, 0]
    assert likes(("a", "tea", "click", 0.0), ("b", "jam", "click", 1.0)).counts.tolist() == [0, 1, 0]


def test_each_type_has_its_own_scale():
    found = likes(("a", "tea", "rating", 2.0), ("b", "jam", "rating", 5.0), ("c", "tea", "zap", 900.0))
    assert found.counts.tolist() == [1, 1, 0]


def test_callers_are_obeyed():
    events = [("ann", "tea", "zap"), ("ann", "jam", "view"), ("bob", "oat", "like")]
    assert likes(*events, zap="dislike", view=0.5).counts.tolist() == [0, 0.5, 1]


def test_who_was_shown_an_item_and_passed_tells_more_against_it_than_who_never_saw_it():
    shown = [("ann", "tea", "impression"), ("bob", "tea", "skip"), ("ann", "jam", "like"), ("cem", "oat", "like")]
    found = likes(*shown)
    assert found.people.tolist() == [3, 3, 3]
    np.testing.assert_allclose(found.exposed, [3, 3 - (1 - UNSEEN), 3 - 2 * (1 - UNSEEN)])
    unlogged = likes(("ann", "jam", "like"), ("cem", "oat", "like"))
    np.testing.assert_array_equal(unlogged.exposed, unlogged.people)


def test_what_was_done_with_each_type_is_told():
    experience = Experience()
    records = [Interaction("ann", "tea", kind) for kind in ("zap", "view", "hide")]
    observed = experience.observe(Interactions.from_records(records), known=ROWS, now=NOW, meanings=Meanings())
    assert [(one.name, one.events, one.known) for one in observed.types] == [
        ("zap", 1, False), ("view", 1, True), ("hide", 1, True)
    ]  # fmt: skip
    assert "1 'hide' as dislike" in str(observed)
    assert "a type that isn't known" in str(observed)
