"""How training is to go, and how it went."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coldstart.errors import AdapterError


@dataclass(frozen=True, slots=True)
class Schedule:
    """How training goes.

    Attributes:
        minutes: How long it may take at most.
        passes: How often it goes through the pairs at most.
        batch: Pairs a step.
        rate: AdamW's largest learning rate; it rises at first and then falls to zero (cosine), by steps or by time,
            whichever ends first.
        temperature: By which cosines are divided.
        every: After how many steps what was held out is asked.
        hard: How many items, each among those that the index holds closest to an anchor, stand beside a step's own as
            further negatives.
        patience: How many times in a row that may be no better than before.
        seed: Of the order of pairs and of the adapter's beginning.
    """

    minutes: float = 15.0
    passes: float = 10.0
    batch: int = 128
    rate: float = 5e-4
    temperature: float = 0.07
    every: int = 20
    hard: int = 0
    patience: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        numbers = (self.minutes, self.passes, self.batch, self.rate, self.temperature, self.every, self.patience)
        if not all(number > 0 for number in numbers) or self.batch < 2 or self.hard < 0:
            raise AdapterError(f"{self}: expected numbers above 0, and at least 2 pairs a batch")

    def steps(self, examples: int, batch: int | None = None) -> int:
        """Return how many steps are taken at most, of so many examples each; of :attr:`batch` if None."""
        return max(1, int(np.ceil(self.passes * examples / min(batch or self.batch, examples))))


LANGUAGE = Schedule(passes=3.0, batch=16, rate=3e-4, every=8, patience=3)
"""How a language model learns if nothing else is said."""


@dataclass(frozen=True, slots=True)
class Trained:
    """How training went.

    Attributes:
        steps: How many were taken.
        best: After which one the adapter was kept; 0 if none was better than the start.
        losses: Each step's.
        checks: The loss on what was held out, from before the first step on.
        seconds: How long it took, over all resumptions.
        rate: Texts a second that went forward and back.
        resumed: From which step it went on after an interrupt; 0 for none.
    """

    steps: int
    best: int
    losses: tuple[float, ...]
    checks: tuple[float, ...]
    seconds: float
    rate: float
    resumed: int = 0
