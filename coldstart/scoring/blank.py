"""Blank texts: what people say who ask for nothing in particular, and what comes closer to a catalogue than they do.

How close a text comes to anything depends on the encoder and on the catalogue, also for texts that say nothing of what
is wanted. So texts of that kind tell what is usual, as content-free inputs tell what a language model answers to
anything (Zhao et al., "Calibrate Before Use", ICML 2021), and a text counts as far as it comes closer than they do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLANK = (
    "I am not sure yet",
    "anything is fine",
    "show me what you have",
    "no preference",
    "hello",
    "just browsing",
    "I like all kinds of things",
    "pick one for me",
    "you decide",
    "what do you suggest?",
    "I have no idea",
    "whatever",
    "the usual",
    "thanks",
    "a friend told me about this",
    "I live near the station",
    "I work long hours",
    "my name is Alex",
    "test",
    "ok",
)
"""What people say who ask for nothing in particular, in any catalogue."""

SURE, BLUR = 2.2, 0.2
"""How many standard deviations closer than blank texts a text is of which it is as likely that it says something as
that it doesn't, and how fast that changes."""

SPREAD = 0.01
"""The least spread of how close they come: those that are all equally close tell no scale."""


class Usual(NamedTuple):
    """How close blank texts come to something.

    Attributes:
        mean: Everything is closer where there are no such texts.
        spread: Their standard deviation, > 0.
    """

    mean: float
    spread: float

    @classmethod
    def of(cls, near: NDArray[np.float64]) -> Usual:
        """Tell what is usual. Shape: ``(texts,)``."""
        return cls(float(near.mean()), max(float(near.std()), SPREAD)) if len(near) else cls(-np.inf, 1.0)


def likely(near: float, usual: Usual) -> float:
    """Return how likely a text that comes so near says something, beside what is usual for blank ones.

    >>> [round(likely(near, Usual(0.2, 0.05)), 2) for near in (0.2, 0.31, 0.4)]
    [0.0, 0.5, 1.0]
    """
    return sigmoid(((near - usual.mean) / usual.spread - SURE) / BLUR)


def sigmoid(value: float) -> float:
    """Return the logistic function.

    >>> sigmoid(0.0), sigmoid(float("inf"))
    (0.5, 1.0)
    """
    return float(1.0 / (1.0 + np.exp(-np.clip(value, -500.0, 500.0))))
