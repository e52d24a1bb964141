"""Laws of the values: they never change, hold nothing missing, and refuse what they can't be."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldstart.entities import (
    Context,
    Interaction,
    Item,
    Part,
    Profile,
    Recommendation,
    Recommendations,
    freeze_attributes,
)
from coldstart.errors import ColdstartError, ProfileError

missing = st.sampled_from([None, math.nan, math.inf, "", "  \n", [], (), [None, " "]])
scalars = st.text(min_size=1).filter(str.strip) | st.integers() | st.booleans() | st.floats(-1e9, 1e9)
values = scalars | st.lists(scalars, min_size=1, max_size=3) | missing

VALUES: list[Any] = [
    Item("1", "Tea", {"notes": ["hay"]}),
    Profile("hi", {"age": 3}, likes=["a"], history=["b"]),
    Context({"time": "evening"}),
    Interaction("u", "i"),
    Part(1.0, 0.5, 2.0),
    Recommendations(()),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_value_can_not_be_changed(value):
    for field in dataclasses.fields(value):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, field.name, None)
    with pytest.raises((AttributeError, TypeError)):
        value.unheard_of = 1


@pytest.mark.parametrize("value", VALUES[:3], ids=lambda value: type(value).__name__)
def test_attributes_can_not_be_changed(value):
    with pytest.raises(TypeError):
        value.attributes["age"] = 4


def test_what_a_value_was_made_from_can_be_changed_without_it():
    attributes, likes, notes = {"age": 3}, ["a"], ["hay"]
    profile, item = Profile(attributes=attributes, likes=likes), Item("1", "Tea", {"notes": notes})
    attributes["age"] = 4
    likes.append("b")
    notes.append("malt")
    assert (profile.attributes["age"], profile.likes, item.attributes["notes"]) == (3, ("a",), ("hay",))


@given(st.dictionaries(st.text(), values, max_size=4))
def test_freezing_keeps_all_that_is_known_and_nothing_missing(attributes):
    frozen = freeze_attributes(attributes, where="x")
    assert all(value not in (None, "", ()) and value == value for value in frozen.values())
    assert dict(freeze_attributes(frozen, where="x")) == dict(frozen)
    assert set(frozen) <= set(attributes)


def test_a_set_reads_the_same_whatever_its_order():
    assert freeze_attributes({"a": {"z", "b", "m"}}, where="x")["a"] == ("b", "m", "z")


def test_numbers_of_numpy_are_numbers():
    frozen = freeze_attributes({"a": np.int64(3), "b": np.float32(0.5), "c": np.bool_(True), "d": np.nan}, where="x")
    assert dict(frozen) == {"a": 3, "b": 0.5, "c": True}
    assert [type(value) for value in frozen.values()] == [int, float, bool]


@pytest.mark.parametrize("value", [object(), b"bytes", {"a": 1}, [[1]], [{"a": 1}], 1j, np.array([1, 2])])
def test_an_attribute_that_is_no_scalar_is_an_error_that_names_it(value):
    with pytest.raises(ProfileError, match="'colour' of a profile"):
        Profile(attributes={"colour": value})
    with pytest.raises(ProfileError, match="'colour' of item 'i7'"):
        Item("i7", "Tea", {"colour": value})
    with pytest.raises(ProfileError, match="'colour' of a context"):
        Context({"colour": value})


@pytest.mark.parametrize("attributes", [None, "age: 3", 3, ["age"], [("age", 3)]])
def test_attributes_that_are_no_mapping_are_an_error(attributes):
    for made in (
        lambda: Profile(attributes=attributes),
        lambda: Context(attributes),
        lambda: Item("1", "T", attributes),
    ):
        with pytest.raises(ColdstartError, match="expected a mapping"):
            made()


def test_an_attribute_named_by_a_number_is_an_error():
    with pytest.raises(ProfileError, match="named 3: expected text"):
        Profile(attributes={3: "x"})


@pytest.mark.parametrize("name", ["likes", "dislikes"])
def test_a_list_given_as_text_is_an_error_that_shows_the_list(name):
    with pytest.raises(ProfileError, match=rf"a profile's {name} is the text 'Barolo': expected a list; write"):
        Profile(**{name: "Barolo"})


@pytest.mark.parametrize("name", ["likes", "dislikes", "history"])
@pytest.mark.parametrize("value", [None, 3, [3], [None], [["a"]]])
def test_a_list_of_something_else_is_an_error_that_names_it(name, value):
    with pytest.raises(ProfileError, match=f"a profile's {name}.*expected"):
        Profile(**{name: value})


def test_a_history_given_as_text_and_a_text_that_is_none_are_errors():
    with pytest.raises(ProfileError, match="history is the text 'b'"):
        Profile(history="b")
    with pytest.raises(ProfileError, match="text is None: expected text"):
        Profile(text=None)


def test_likes_are_kept_once_and_without_blanks_in_their_order():
    assert Profile(likes=[" b ", "a", "", "b", " "]).likes == ("b", "a")
    assert Profile(likes=iter(["a"])).likes == ("a",)


def test_a_history_of_ids_is_a_history_of_interactions():
    event = Interaction("u", "b", value=4)
    assert Profile(history=["a", event]).events == (Interaction("", "a"), event)
    assert Profile(history=iter(["a"])).events == (Interaction("", "a"),)


def test_a_profile_of_nothing_known_is_empty():
    nothing = [Profile(), Profile(" ", {"age": None}, likes=[" "]), Profile(attributes={"a": math.nan})]
    known = [
        Profile("x"),
        Profile(attributes={"a": 0}),
        Profile(likes=["x"]),
        Profile(dislikes=["x"]),
        Profile(history=["x"]),
    ]
    assert all(profile.is_empty for profile in nothing)
    assert not any(profile.is_empty for profile in known)


def test_recommendations_are_a_sequence():
    ranked = tuple(Recommendation(str(n), "T", -n, n + 1, {}, Item(str(n), "T")) for n in range(3))
    found = Recommendations(ranked)
    assert (len(found), list(found), found[0], found[-1], found[1:]) == (3, [*ranked], ranked[0], ranked[2], ranked[1:])
    assert ranked[1] in found
    assert not Recommendations(())


def test_a_part_contributes_its_weight_times_its_standard_score():
    assert Part(raw=0.3, standardised=-1.5, weight=0.5).contribution == -0.75
    assert Part(raw=math.nan, standardised=0.0, weight=0.5).contribution == 0
