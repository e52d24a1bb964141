"""Laws of the benchmark of growth: what is invented is the same whatever the size, and reads as templates write."""

from __future__ import annotations

import numpy as np
import pytest

import invented
import scale
from coldstart.entities import Item
from coldstart.prompting import Library


def test_a_larger_catalogue_begins_with_the_smaller_one():
    small, large = list(invented.wines(1200, seed=3)), list(invented.wines(2500, seed=3))
    assert small == large[:1200]
    assert len({item.id for item in large}) == 2500
    assert list(invented.wines(10, seed=4)) != small[:10]


def test_estates_make_many_wines_or_few_and_titles_differ():
    made = list(invented.wines(5000, seed=0))
    counts = np.unique([str(item.attributes["winery"]) for item in made], return_counts=True)[1]
    assert counts.max() > 20
    assert (counts == 1).sum() > 100
    assert len({(item.title, item.attributes["winery"]) for item in made}) > 4900


def test_texts_are_what_the_templates_make():
    items = list(invented.wines(150, seed=0))[100:]
    documents, titles = scale.written(items)
    library = Library.load()
    assert documents == tuple(library.describe_item(item, kind="wine").text for item in items)
    named = (library.describe_item(item, kind="wine", template="item-title").text for item in items)
    assert titles == tuple(f" {name}" for name in named)


def test_texts_that_are_not_are_refused():
    with pytest.raises(AssertionError, match="templates say"):
        scale.written([Item("1", "Barolo @winery", {"type": "Red", "winery": "Casa Nova"})])
