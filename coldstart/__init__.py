"""Zero-shot cold-start recommendation: from a catalogue and a sentence about a person to a ranked list.

>>> import coldstart as cs
>>> cs.Profile(text="bold reds for a steak dinner").is_empty
False
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coldstart.catalogue import Catalogue, Interactions, read_profiles
from coldstart.entities import (
    Answer,
    Context,
    Interaction,
    Item,
    Part,
    Profile,
    Reason,
    Recommendation,
    Recommendations,
)
from coldstart.errors import ColdstartError

if TYPE_CHECKING:
    from coldstart.client import Client
    from coldstart.onboarding import Dialogue, Onboarding
    from coldstart.recommender import Recommender

__version__ = "0.1.0"

__all__ = [
    "Answer",
    "Catalogue",
    "Client",
    "ColdstartError",
    "Context",
    "Dialogue",
    "Interaction",
    "Interactions",
    "Item",
    "Onboarding",
    "Part",
    "Profile",
    "Reason",
    "Recommendation",
    "Recommendations",
    "Recommender",
    "read_profiles",
]


def __getattr__(name: str) -> Any:
    """Load what needs numpy's heavier friends only when it is asked for."""
    if name == "Recommender":
        from coldstart.recommender import Recommender

        return Recommender
    if name == "Client":
        from coldstart.client import Client

        return Client
    if name in ("Dialogue", "Onboarding"):
        from coldstart import onboarding

        return getattr(onboarding, name)
    raise AttributeError(f"module 'coldstart' has no attribute {name!r}")
