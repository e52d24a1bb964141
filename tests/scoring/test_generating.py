"""Laws of generating: what the model names is in the catalogue, and is what it finds likeliest when it reads all."""

from __future__ import annotations

import numpy as np
import pytest

from coldstart.catalogue import Catalogue
from coldstart.entities import Item
from coldstart.generation import LanguageModel
from coldstart.prompting import Library
from coldstart.scoring import generating as module
from coldstart.scoring.generating import TRUSTED, Generating, ahead_of

ITEMS = (
    *(Item(f"a{place}", title) for place, title in enumerate(("Rain", "Rain on Slate", "Rain on Slate and Moss"))),
    *(Item(f"b{place}", "The Quiet Hill") for place in range(3)),
    Item("c", "翡翠の茶"),
    Item("d", "Thé à l'été — №5"),
    Item("e", "", {"sort": "green"}),
    Item("f", "the  quiet\nhill"),
    *(Item(f"g{place}", f"Harvest {place}") for place in range(3)),
)
SOMEONE = "A 34-year-old person from Kandy. Likes: Rain."


@pytest.fixture
def model(language_model):
    """A model that is read packed."""
    return language_model


def generating(model, items=ITEMS):
    return Generating(model, Catalogue(items, kind="tea"), Library.load())


def told(maker, allowed=None, k=4):
    """Return what is named by id, with its log-probability."""
    ids = maker._catalogue.ids
    found = maker.best(SOMEONE, k, np.ones(len(ids), np.bool_) if allowed is None else allowed)
    assert found.certain
    return {ids[row]: total for row, total in zip(found.rows, found.totals, strict=True)}


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])  # read packed, and by transformers
def test_what_is_named_is_what_reading_all_titles_finds_likeliest(architecture, language_model_folder, resolve_folder):
    maker = generating(LanguageModel.load(resolve_folder(language_model_folder(architecture))))
    every = dict(zip(maker._catalogue.ids, maker.exhaustive(SOMEONE), strict=True))
    found = told(maker, k=6)
    assert found == pytest.approx({id_: every[id_] for id_ in found}, abs=1e-4)
    others = [total for id_, total in every.items() if id_ not in found and np.isfinite(total)]
    assert min(found.values()) >= max(others) - 1e-4


def test_all_items_but_the_untitled_are_named_if_that_many_are_wanted_and_twins_stand_together(model):
    maker = generating(model)
    found = list(told(maker, k=len(ITEMS)))
    assert set(found) == {item.id for item in ITEMS} - {"e"}
    first = found.index("b0")
    assert found[first : first + 3] == ["b0", "b1", "b2"]


def test_what_is_not_allowed_is_not_named(model):
    maker = generating(model)
    allowed = np.array([item.id not in ("b0", "a0") for item in ITEMS])
    found = told(maker, allowed, k=len(ITEMS))
    assert set(found) == {item.id for item in ITEMS} - {"e", "b0", "a0"}


def test_what_ends_cost_at_least_is_of_the_number_of_tokens_and_of_nearly_all_titles():
    told = [np.full(3, -1.0), *(np.full(4, -2.0) for _ in range(200))]
    assert ahead_of(told) == pytest.approx([0.0, *(-2.0 * TRUSTED * count for count in range(1, 5))])
    assert ahead_of(told[:3]) == pytest.approx([0.0])


def test_order_of_items_changes_nothing_and_neither_does_how_the_catalogue_came_about(model):
    whole = told(generating(model))
    assert told(generating(model, ITEMS[::-1])) == pytest.approx(whole, abs=1e-4)
    grown = generating(model, ITEMS[3:9])
    told(grown)
    assert told(grown.of(Catalogue(ITEMS, kind="tea"))) == pytest.approx(whole, abs=1e-4)
    smaller = generating(model)
    told(smaller)
    less = smaller.of(Catalogue(ITEMS[3:], kind="tea"))
    assert told(less) == pytest.approx(told(generating(model, ITEMS[3:])), abs=1e-4)


def test_a_stopped_search_names_items_too(model):
    found = generating(model).best(SOMEONE, 8, np.ones(len(ITEMS), np.bool_), most=120)
    assert not found.certain
    assert all(np.isfinite(found.totals))


@pytest.fixture
def likely(model):
    """How likely each title is for nobody."""
    return generating(model).exhaustive("")


def test_where_titles_are_known_for_nobody_the_same_is_named(model, likely):
    maker, allowed = generating(model), np.array([item.id != "b0" for item in ITEMS])
    every = np.where(allowed, maker.exhaustive(SOMEONE), np.nan)
    found = maker.best(SOMEONE, 4, allowed, likely=likely)
    assert found.certain
    assert found.totals == pytest.approx(every[found.rows], abs=1e-4)
    best = np.unique(np.round(every[np.isfinite(every)], 3))[::-1][:4]
    assert np.unique(np.round(found.totals, 3))[::-1] == pytest.approx(best, abs=2e-3)
    changed = maker.of(Catalogue(ITEMS[1:], kind="tea"))
    later = changed.best(SOMEONE, 4, allowed[1:], likely=likely[1:])
    fresh = generating(model, ITEMS[1:]).best(SOMEONE, 4, allowed[1:], likely=likely[1:])
    assert later.rows.tolist() == fresh.rows.tolist()


def test_only_the_likeliest_are_looked_at_and_those_that_nothing_is_known_of(model, likely, monkeypatch):
    monkeypatch.setattr(module, "COMMON", 3)
    monkeypatch.setattr(module, "KIN", 1)
    everyone, unknown = np.ones(len(ITEMS), np.bool_), [item.id for item in ITEMS].index("c")
    likely = np.array(likely)
    likely[unknown] = np.nan
    found = generating(model).best(SOMEONE, 3, everyone, likely=likely)
    titled = [row for row in range(len(ITEMS)) if np.isfinite(likely[row])]
    highest = sorted({round(float(likely[row]), 6) for row in titled})[-2:]
    named = set(found.rows.tolist())
    assert unknown in named
    assert {round(float(likely[row]), 6) for row in named - {unknown}} == set(highest)
