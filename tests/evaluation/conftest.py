"""A small platform: 30 films, users who rate them from 1 to 5 in time order, and what they said at sign-up."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from coldstart.catalogue import Catalogue, Interactions
from coldstart.entities import Interaction, Item, Profile
from coldstart.evaluation import Dataset

FILMS = tuple(f"f{n:02d}" for n in range(30))

Platform = Callable[..., Dataset]


def rating(rng: np.random.Generator) -> float:
    """Draw a rating, more often high than low."""
    return float(rng.choice(5, p=[0.1, 0.1, 0.2, 0.3, 0.3])) + 1


@pytest.fixture(scope="session")
def ratings() -> tuple[Interaction, ...]:
    """Ratings whose number per film falls with its number, in an order that isn't that of time."""
    rng = np.random.default_rng(0)
    chance = 0.9 / (1 + 0.03 * np.arange(len(FILMS)))
    events = [
        Interaction(f"u{user:02d}", film, value=rating(rng), timestamp=float(rng.integers(1, 10_000)))
        for user in range(60)
        for film, keep in zip(FILMS, rng.random(len(FILMS)) < chance, strict=True)
        if keep
    ]
    return tuple(events[place] for place in rng.permutation(len(events)))


@pytest.fixture(scope="session")
def platform() -> Platform:
    """From events to a data set; every user has an age, and stated a like that no protocol may show."""

    def build(events: Sequence[Interaction], films: tuple[str, ...] = FILMS, **more: object) -> Dataset:
        return Dataset(
            name="films",
            catalogue=Catalogue([Item(film, f"Film {film}") for film in films], kind="movie"),
            interactions=Interactions.from_records(events),
            profiles={
                user: Profile(attributes={"age": 30 + place}, likes=["f00"])
                for place, user in enumerate(sorted({event.user for event in events}))
            },
            **more,
        )

    return build


@pytest.fixture(scope="session")
def films(platform: Platform, ratings: tuple[Interaction, ...]) -> Dataset:
    """The platform of all ratings."""
    return platform(ratings)
