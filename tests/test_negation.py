"""Laws of negation: what isn't wanted is told apart, and any other text stays as it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldstart.negation import parted, undecided


@pytest.mark.parametrize(
    ("text", "unwanted"),
    [
        ("whites only, no red wine at all", "red wine"),
        ("I love seafood but I don't like sweet wine.", "sweet wine"),
        ("serious drama, no comedies please", "comedies"),
        ("I'm not a big fan of horror, but thrillers are great", "horror"),
        ("I hate oak", "oak"),
        ("anything but chardonnay", "chardonnay"),
        ("wine without oak for fish", "oak"),
        ("not too sweet", "sweet"),
    ],
)
def test_what_is_not_wanted_is_told_apart(text, unwanted):
    wanted, found = parted(text)
    assert found == (unwanted,)
    assert unwanted not in wanted


@pytest.mark.parametrize(
    "text",
    ["", "bold reds for a steak", "I have no idea", "not sure yet", "no, thanks", "There is nothing special", "No"],
)
def test_a_text_that_refuses_nothing_stays_as_it_is(text):
    assert parted(text) == (text, ())


@pytest.mark.parametrize(
    "text",
    [
        "surprise me",
        "not sure, surprise me",
        "I have no idea, you choose",
        "I don't know yet.",
        "Whatever!",
        "anything is fine",
    ],
)
def test_who_leaves_the_choice_says_nothing(text):
    assert undecided(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "any red",
        "surprise me with a red",
        "not sure, something dry",
        "whatever goes with fish",
        "a sure thing",
    ],
)
def test_who_says_what_they_want_is_heard(text):
    assert not undecided(text)


def test_a_long_text_says_something_and_is_judged_in_time():
    assert not any(undecided(text * 10_000) for text in ("surprise me, ", "please ", "i ", "so, and "))


@given(st.text())
def test_any_text_can_be_read(text):
    wanted, unwanted = parted(text)
    assert len(wanted) <= len(text) + 2 * len(unwanted)
    assert all(phrase in text for phrase in unwanted)


def test_many_negations_are_read_in_time():
    assert len(parted("no x, " * 100_000)[1]) == 1
