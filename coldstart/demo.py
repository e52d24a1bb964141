"""The demo: real wines, three invented sign-ups and one new wine; no interaction is used."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType

from coldstart.catalogue import Catalogue
from coldstart.entities import Item, Profile

SIGN_UPS: Mapping[str, Profile] = MappingProxyType(
    {
        "Ana": Profile(text="bold, full-bodied reds for a steak dinner", attributes={"age": 34, "country": "Brazil"}),
        "Bruno": Profile(
            text="I love seafood and want something fresh and crisp",
            attributes={"age": 27, "occupation": "marine biologist"},
        ),
        "Chloé": Profile(text="sparkling wine for birthday parties and toasts", attributes={"age": 22}),
    }
)
"""Invented people, as a sign-up form would know them."""

NEW_WINE = Item(
    "new-1",
    "Vale do Sol Brut Rosé",
    {
        "type": "Sparkling",
        "grapes": ("Pinot Noir", "Chardonnay"),
        "pairings": ("Appetizer", "Sweet Dessert", "Soft Cheese"),
        "body": "Light-bodied",
        "country": "Brazil",
        "winery": "Vale do Sol",
    },
)
"""An invented wine that nobody has tasted yet."""


def wines() -> Catalogue:
    """Return the shipped catalogue: X-Wines Slim, 1,007 wines (see coldstart/data/README.md)."""
    return Catalogue.read(str(files("coldstart") / "data" / "wines.csv"), kind="wine")
