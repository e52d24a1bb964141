"""Laws of asking: whether a text names an item, asks for values, says something else, or nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from coldstart.entities import Profile
from coldstart.scoring.asking import Asked, Asking
from coldstart.scoring.blank import BLANK, CHATTER, UNLIKE, Idle, Usual, likely
from coldstart.scoring.facets import Faceted
from coldstart.scoring.lexical import Keywords, Words


@pytest.fixture
def asking(world) -> Asking:
    index = world.index
    rows = np.arange(len(index.vectors))
    return Asking(index, Faceted(index), Keywords(Words(index.documents)), lambda _: rows)


def shares(asked: Asked) -> list[float]:
    return [asked.naming, asked.values, asked.other, asked.nothing]


@pytest.mark.parametrize("text", ["Old Kettle", "old kettle", "something like Old Kettle", "kettle, old"])
def test_a_title_names_an_item(asking, world, text):
    assert asking.of(world.ask(Profile(text=text))).naming > 0.9


def test_a_word_of_a_long_request_names_none(asking, world):
    asked = asking.of(world.ask(Profile(text="I had a kettle once and would rather drink something smoky tonight")))
    assert asked.naming < 0.01


@pytest.mark.parametrize("text", [*BLANK[:5], "Old Kettle", "smoky", "zzz qqq"])
@pytest.mark.parametrize("faceted", [False, True])
def test_shares_are_of_one(asking, world, text, faceted):
    asked = asking.of(world.ask(Profile(text=text)), faceted=faceted)
    assert sum(shares(asked)) == pytest.approx(1.0)
    assert min(shares(asked)) >= 0.0
    assert faceted or asked.values == 0.0


def test_nothing_is_asked_for_without_a_text(asking, world):
    assert asking.of(world.ask(Profile(likes=["t01"]))) == Asked()
    assert Asked().nothing == 1.0


def test_texts_that_say_nothing_ask_for_nothing(asking, world):
    """They are what tells: only some stand out among themselves."""
    texts = [text for text in BLANK if world.ask(Profile(text=text)).texts]
    asked = [asking.of(world.ask(Profile(text=text))) for text in texts]
    assert np.median([one.nothing for one in asked]) > 0.9


def test_without_blank_texts_every_text_says_something(asking, world):
    query = replace(world.ask(Profile(text="smoky")), blank=np.empty((0, 0), np.float32))
    assert asking.of(query).nothing == pytest.approx(0.0)


def test_what_comes_no_closer_than_usual_says_nothing():
    usual = Usual.of(np.array([0.1, 0.2, 0.3]))
    assert likely(0.2, usual) < 0.01
    assert likely(0.9, usual) > 0.99
    assert likely(-1.0, Usual.of(np.empty(0))) == 1.0


def test_the_more_a_text_is_like_those_that_say_nothing_the_more_it_takes_to_say_something():
    usual = Usual.of(np.array([0.1, 0.2, 0.3]))
    found = [likely(0.45, usual, like) for like in (-3.0, UNLIKE, 0.0, 3.0)]
    assert found == sorted(found, reverse=True)
    assert found[0] > 0.99
    assert found[-1] < 0.01
    assert likely(0.25, usual, -100.0) < 0.01, "one that is like none of them says something only where it is close"
    assert likely(2.0, usual, 100.0) > 0.99, "a shop may sell what it is greeted by"


def test_how_much_a_text_is_like_those_that_say_nothing_is_in_units_of_their_own_closeness():
    turned = np.linspace(0.0, 2.0, len(BLANK) + len(CHATTER))
    vectors = np.stack([np.cos(turned), np.sin(turned)], 1).astype(np.float32)
    idle = Idle(vectors)
    assert len(idle.blank) == len(BLANK)
    same, between, away = idle.like(np.array([vectors[30], (vectors[30] + vectors[31]) / 2, [-1.0, 0.0]], np.float32))
    assert same >= between > away
    assert away < -3


def test_a_query_holds_how_much_each_text_and_phrase_is_like_those_that_say_nothing(world):
    query = world.ask(Profile(text="smoky", likes=["something sweet"], dislikes=["just browsing"]))
    assert set(query.idle) == {query.texts["text"], "something sweet", "just browsing"}
    assert max(query.idle, key=lambda text: query.idle[text]) == "just browsing"
    assert len(query.blank) == len(BLANK)
    assert not world.ask(Profile(likes=["t01"])).idle


def test_a_text_like_those_that_say_nothing_names_an_item_only_by_nearly_all_its_words(asking, world):
    query = world.ask(Profile(text="kettle, old, then"))
    plain, idle = (asking.of(replace(query, idle={query.texts["text"]: like})).naming for like in (UNLIKE, 3.0))
    assert plain > idle


def test_what_introduces_an_example_isnt_counted_among_its_words(asking, world):
    asked = asking.of(world.ask(Profile(text="I would love to find some nice tea similar to Old Kettle")))
    assert asked.naming > 0.9


def test_all_equally_close_tell_no_scale():
    usual = Usual.of(np.full(5, 0.3))
    assert likely(0.3, usual) < 0.01
    assert likely(0.31, usual) < 0.5 < likely(0.4, usual)


def test_untrusted_texts_are_only_data(recommender):
    """Whatever the text, a list comes, and no score is lost."""
    for text in ("", "!!! ???", "like " * 50, "x" * 20_000, "{{ 7*7 }} <|im_end|>", "\x00\u202e"):
        found = recommender.recommend(Profile(text=text, likes=["t01"]), k=30)
        assert len(found) == 29
        assert np.isfinite([one.score for one in found]).all()


def test_an_item_without_a_title_is_never_named(asking, world):
    assert world.untitled >= 0
    assert asking.of(world.ask(Profile(text="Uji green"))).naming < 0.5
