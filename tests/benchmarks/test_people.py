"""Twenty made-up people and the real models: first lists hold what was asked for."""

from __future__ import annotations

import pytest

from coldstart import demo
from coldstart.recommender import Recommender
from people import ENOUGH, PEOPLE, K, judged, suits


def test_the_shipped_wines_have_what_each_asks_for():
    wines = demo.wines()
    for name, person in PEOPLE.items():
        assert sum(suits(person, item) for item in wines.items) >= K, name


@pytest.mark.model
def test_first_lists_hold_what_was_asked_for():
    found = judged(Recommender.build(demo.wines(), language_model=None))
    right = [name for name, one in found.items() if one["right"] >= ENOUGH]
    assert set(right) == set(PEOPLE), found
    assert all(any(one["because"]) for one in found.values())
