"""Onboarding on made-up teas."""

from __future__ import annotations

import pytest

from coldstart.onboarding import Onboarding


@pytest.fixture(scope="session")
def onboarding(recommender) -> Onboarding:
    """On teas that nobody has tasted."""
    return Onboarding(recommender)
