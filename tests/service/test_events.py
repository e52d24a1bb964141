"""Laws of what events say: the last verdict holds, and what was only shown says nothing."""

import pytest

from coldstart.catalogue import Catalogue
from coldstart.entities import Item, Profile
from coldstart.service.events import interactions, person, verdict
from coldstart.service.storage import Event

CATALOGUE = Catalogue([Item(id_, id_.title()) for id_ in "abcde"])


def event(item, kind, value=None):
    return Event(f"{item}-{kind}-{value}", "ann", item, kind, value, 5.0)


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [("like", None, 1), ("dislike", None, 0), ("hide", None, 0), ("rating", 4, 1), ("rating", 3, 0.5), ("rating", 2, 0),
     ("purchase", 19.9, 1), ("view", None, 1), ("impression", None, None)],
)  # fmt: skip
def test_what_an_event_says(kind, value, said):
    assert verdict(event("a", kind, value)) == said


def test_impressions_teach_nothing():
    told = interactions([event("a", "impression"), event("b", "like"), event("c", "dislike")])
    assert [(one.item, one.value) for one in told] == [("b", 1.0), ("c", 0.0)]


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
