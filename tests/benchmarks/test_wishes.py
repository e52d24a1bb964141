"""The requests in plain words: what meets each is well told."""

from __future__ import annotations

from coldstart import demo
from coldstart.entities import Item
from coldstart.templates import read_toml
from wishes import LATER, WISHES, meets

ASKED, LATER_ON = (read_toml(path.read_text("utf-8"), source=path.name) for path in (WISHES, LATER))


def test_an_item_meets_a_request_by_one_value_of_every_field():
    wish = {"text": "x", "type": ["Red"], "pairings": ["Beef", "Lamb"]}
    assert meets(Item("1", "", {"type": "Red", "pairings": ["Pasta", "Lamb"]}), wish)
    assert not meets(Item("2", "", {"type": "Red", "pairings": "Pasta"}), wish)
    assert not meets(Item("3", "", {"type": "White", "pairings": "Beef"}), wish)
    assert not meets(Item("4", ""), wish)


def test_a_field_is_asked_for_twice_with_a_2():
    wish = {"text": "romantic comedies", "class": ["Romance"], "class2": ["Comedy"]}
    assert meets(Item("1", "", {"class": ["Romance", "Comedy"]}), wish)
    assert not meets(Item("2", "", {"class": ["Romance"]}), wish)


def test_some_of_the_shipped_wines_meet_each_request_and_others_do_not():
    wines = demo.wines()
    for wish in (*ASKED["x-wines"], *LATER_ON["x-wines"]):
        assert 0 < sum(meets(item, wish) for item in wines.items) < len(wines), wish["text"]


def test_later_requests_are_others_over_the_same_catalogues():
    assert ASKED.keys() == LATER_ON.keys()
    for data, wishes in ASKED.items():
        assert not {wish["text"] for wish in wishes} & {wish["text"] for wish in LATER_ON[data]}
