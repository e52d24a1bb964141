"""Laws of what events say: the last verdict holds, and what was only shown says nothing."""

import pytest

from coldstart.catalogue import Catalogue
from coldstart.entities import Item, Profile
from coldstart.learning.meanings import Meanings
from coldstart.service.events import interactions, person, verdict
from coldstart.service.storage import Event

CATALOGUE = Catalogue([Item(id_, id_.title()) for id_ in "abcde"])


def event(item, kind, value=None):
    return Event(f"{item}-{kind}-{value}", "ann", item, kind, value, 5.0)


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [("return", None, 0), ("skip", None, None), ("thumbs-down", None, 0),
     ("like", None, 1), ("dislike", None, 0), ("hide", None, 0),
     ("rating", 4, 1), ("rating", 3, 0.5), ("rating", 2, 0),
     ("purchase", 19.9, 1), ("view", None, 1), ("impression", None, None)],
)  # fmt: skip
def test_what_an_event_says(kind, value, said):
    assert verdict(event("a", kind, value)) == said


def test_impressions_are_told_once_a_person_and_an_item():
    told = interactions([event("a", "impression"), event("a", "impression", 3.0), event("b", "like")])
    assert len({(one.user, one.item, one.event_type, one.value, one.timestamp) for one in told}) == 2


def test_a_rating_is_told_as_what_it_says():
    told = interactions([event(item, "rating", value) for item, value in zip("abc", (4.0, 3.0, 2.0), strict=True)])
    assert [one.event_type for one in told] == ["like", "shown", "dislike"]


def test_what_a_type_means_can_be_told():
    meanings = Meanings({"skip": "dislike", "view": "ignore"})
    did = [event("a", "skip"), event("b", "view"), event("c", "zap")]
    assert [verdict(one, meanings) for one in did] == [0.0, None, 1.0]
    assert [one.item for one in interactions(did, meanings)] == ["a", "c"]
    assert person(None, did, None, CATALOGUE, meanings=meanings).dislikes == ("a",)


def test_a_person_likes_dislikes_and_has_touched():
    did = [
        event("a", "like"),
        event("b", "dislike"),
        event("c", "view"),
        event("d", "impression"),
        event("e", "rating", 3),
    ]
    found = person(None, did, None, CATALOGUE)
    assert (found.likes, found.dislikes, [e.item for e in found.events]) == (("a",), ("b",), ["c", "e"])


def test_the_last_verdict_holds_also_over_what_was_stated():
    stated = {"likes": ["a", "b"], "dislikes": ["c"]}
    did = [event("a", "like"), event("a", "dislike"), event("c", "like")]
    found = person(stated, did, None, CATALOGUE)
    assert (set(found.likes), set(found.dislikes)) == ({"b", "c"}, {"a"})


def test_items_that_are_gone_say_nothing():
    found = person(
        {"likes": ["a", "gone", "quite nice things"]}, [event("gone", "like")], None, CATALOGUE, lenient=True
    )
    assert found.likes == ("a", "quite nice things")


def test_what_a_request_says_comes_on_top():
    stated = {"text": "likes tea", "attributes": {"age": 34, "city": "Uji"}}
    found = person(stated, [], Profile(text="now in a hurry", attributes={"city": "Assam"}, likes=["d"]), CATALOGUE)
    assert found == Profile("likes tea now in a hurry", {"age": 34, "city": "Assam"}, ["d"])
