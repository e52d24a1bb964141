"""A small platform with an item that has no title, and requests as the scorers see them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from coldstart.catalogue import Catalogue
from coldstart.entities import Context, Item, Profile
from coldstart.index import Index
from coldstart.prompting import Library
from coldstart.querying import Reader
from coldstart.recommender import Recommender
from coldstart.scoring import Query

UNTITLED = "blank"


@dataclass(frozen=True)
class World:
    """What scorers are made from."""

    index: Index
    library: Library
    model: Any
    ask: Callable[..., Query]

    @property
    def untitled(self) -> int:
        """The row of the item without a title."""
        return self.index.catalogue.row(UNTITLED)


def world_of(recommender: Recommender) -> World:
    """Return what scorers are made from."""
    reader = Reader(recommender.index, recommender.library, partial(recommender.encoder.encode, role="query"))

    def ask(profile: Profile, context: Context | None = None) -> Query:
        return reader.read(profile, context)[0]

    return World(recommender.index, recommender.library, recommender.language_model, ask)


@pytest.fixture(scope="session")
def world(teas, encoder, language_model) -> World:
    """Twenty-four teas and one item without a title."""
    items = [*teas(24), Item(UNTITLED, "", {"sort": "green", "origin": "Uji"})]
    catalogue = Catalogue(items, kind="tea")
    return world_of(Recommender.build(catalogue, encoder=encoder, language_model=language_model))


@pytest.fixture(scope="session")
def reloaded(world, encoder, language_model, tmp_path_factory) -> World:
    """The same world from a saved index."""
    folder: Path = tmp_path_factory.mktemp("saved") / "index"
    world.index.save(folder)
    return world_of(Recommender.load(folder, encoder=encoder, language_model=language_model))
