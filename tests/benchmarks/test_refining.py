"""What benchmarks/refining.py learns from."""

from __future__ import annotations

import pytest

from coldstart.catalogue import Interactions
from coldstart.evaluation import Dataset, Events, Given, prepare
from refining import of_others


@pytest.fixture
def asked_of_two(stage, camps):
    """A data set that gives lists for two of its people."""
    given = {user: Given("newnoir", tuple(stage.ids)) for user in ("old0", "young3")}
    return Dataset("stage", stage, Interactions.from_records(camps), given=given)


def test_nobody_who_could_be_asked_is_learned_from(asked_of_two):
    events = Events.of(asked_of_two.interactions, asked_of_two.catalogue)
    cases = prepare(asked_of_two, "candidates", events, max_users=1)
    learned = of_others(asked_of_two, cases)
    users = {event.user for event in learned}
    assert users == {event.user for event in asked_of_two.interactions} - {"old0", "young3"}
    assert {event.user for event in cases.training} > users


def test_where_what_is_asked_is_held_out_anyway_all_else_is_learned_from(asked_of_two):
    events = Events.of(asked_of_two.interactions, asked_of_two.catalogue)
    cases = prepare(asked_of_two, "new-item", events)
    assert of_others(asked_of_two, cases) is cases.training
