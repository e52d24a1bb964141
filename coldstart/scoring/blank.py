"""Blank texts: what people say who ask for nothing in particular, and what comes closer to a catalogue than they do.

How close a text comes to anything depends on the encoder and on the catalogue, also for texts that say nothing of what
is wanted. So texts of that kind tell what is usual, as content-free inputs tell what a language model answers to
anything (Zhao et al., "Calibrate Before Use", ICML 2021), and a text counts as far as it comes closer than they do: the
closer, the more it is like one of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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

CHATTER = (
    "hi there",
    "Good morning!",
    "idk",
    "um, not sure yet",
    "surprise me",
    "you pick",
    "Whatever you think is best",
    "asdfgh",
    "what do I write here?",
    "Is this box required?",
    "just looking around",
    "just browsing thanks",
    "First time on this site",
    "how does this work",
    "no idea honestly",
    "anything",
    "I'll know it when I see it",
    "...",
    "helllo",
    "dont knwo",
    "Do you have an app?",
    "Skip",
    "The page loads really slowly for me",
    "I forgot my password twice today",
    "How are you today?",
    "hmm let me think",
    "Can I come back to this later?",
    "nothing in particular",
    "Are you a robot?",
    "Show me what you've got",
    "I never fill in these forms",
    "ok so, well, yeah",
    "My name is Daniel",
    "I can never make up my mind",
    "why are you asking me this",
    "n/a",
    "sorry, pressed enter too soon",
    "Nice layout, by the way",
    "my neighbour Carol mentioned this page over the fence",
    "just show me whatever most people end up picking",
    "I moved to Leeds in March and still have boxes everywhere",
    "the laptop keeps freezing so I may vanish halfway through",
    "you decide, I trust the algorithm",
    "what arrived since last week?",
    "I work nights at the post office sorting parcels",
    "hello there, hope your Monday is going better than mine",
    "found you through a link in a newsletter",
    "payday is Friday so I am only looking today",
    "surprise me please, I never know what to type here",
    "our cat just walked across the keyboard, ignore any typos",
    "the bus was late again and the driver shrugged",
    "whatever is selling the most right now",
    "my password was reset twice before I got in",
    "I am a retired accountant from Ohio",
    "do I really have to fill in this box?",
    "our landlord is replacing the windows this month",
    "a colleague forwarded me your address on Tuesday",
    "sorry about my spelling, I left my glasses upstairs",
    "top of the list will do, whatever sits there",
    "I closed my old account last year and came back",
    "my phone battery is at four percent",
    "getting married in June, the paperwork is endless",
    "saw your advert on a billboard near the motorway",
    "give me the ones with the most clicks",
    "I used to be a member under my maiden name",
    "the dentist cancelled so here I am with an empty afternoon",
    "no idea yet, let me browse first",
    "my brother drives a lorry and swears by this website",
    "the bank just sent me a new card",
    "it has been raining here since breakfast",
    "pick anything at random, roll the dice for me",
    "our street was closed for roadworks until yesterday",
    "I voted, walked the dog and then signed up",
    "thank you kindly for asking, nice layout by the way",
    "what would your staff choose if they were me?",
    "my nephew studies law and set up this browser for me",
    "waiting for the plumber, he promised to come before noon",
    "I read about you in the local paper",
    "anything added recently, I have not looked since Christmas",
    "the office printer broke so everyone went home early",
    "I share this login with my flatmate Dave",
    "council tax went up again, what can you do",
    "is this where I enter the voucher code?",
    "my knee surgery is scheduled for the autumn",
    "the usual stuff everybody orders, I suppose",
    "a podcast host read out your name twice",
    "will tell you more tomorrow, somebody is ringing the doorbell",
)
"""What people say besides: no taste, property or use in it, in whatever words of every day. How close a text comes to
any of these and of :data:`BLANK` tells how much it is like them."""

SURE, BLUR = 2.2, 0.2
"""How many standard deviations closer than blank texts a text is of which it is as likely that it says something as
that it doesn't, and how fast that changes."""

UNLIKE, DOUBT, AT_LEAST, AT_MOST = -0.65, 4.0, 1.6, 8.0
"""How much like blank texts a text is of which that holds (in standard deviations, see :class:`Idle`), how much closer
it has to come for each more, and between which bounds: a shop may sell what it is greeted by."""

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


@dataclass(frozen=True, eq=False)
class Idle:
    """Texts that say nothing, as an encoder reads them.

    Attributes:
        vectors: Unit vectors of :data:`BLANK` and :data:`CHATTER`, not centred. Shape: ``(texts, dimension)``.
    """

    vectors: NDArray[np.float32]

    @classmethod
    def read(cls, encode: Callable[[Sequence[str]], NDArray[np.float32]]) -> Idle:
        """Read them, given what encodes texts to unit vectors."""
        return cls(encode([*BLANK, *CHATTER]))

    @cached_property
    def blank(self) -> NDArray[np.float32]:
        """The vectors of :data:`BLANK`. Shape: ``(texts, dimension)``."""
        return self.vectors[: len(BLANK)]

    def like(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return how much texts are like these: closeness to the closest, in standard deviations from these' own mean.

        Args:
            vectors: Unit vectors, not centred. Shape: ``(some, dimension)``.

        Returns:
            Shape: ``(some,)``.
        """
        found: NDArray[np.float64] = np.einsum("ij,kj->ik", vectors, self.vectors).max(1).astype(np.float64)
        return (found - self._usual.mean) / self._usual.spread

    @cached_property
    def _usual(self) -> Usual:
        near = self.vectors @ self.vectors.T
        np.fill_diagonal(near, -np.inf)
        return Usual.of(near.max(1).astype(np.float64))


def likely(near: float, usual: Usual, like: float = UNLIKE) -> float:
    """Return how likely a text says something.

    Args:
        near: How close it comes to what it may say.
        usual: How close blank texts do.
        like: How much it is like these; see :meth:`Idle.like`.

    >>> [round(likely(near, Usual(0.2, 0.05)), 2) for near in (0.2, 0.31, 0.4)]
    [0.0, 0.5, 1.0]
    >>> [round(likely(0.4, Usual(0.2, 0.05), like), 2) for like in (-1.0, -0.5, 1.0)]
    [1.0, 1.0, 0.0]
    """
    enough = min(max(SURE + DOUBT * (like - UNLIKE), AT_LEAST), AT_MOST)
    return sigmoid(((near - usual.mean) / usual.spread - enough) / BLUR)


def sigmoid(value: float) -> float:
    """Return the logistic function.

    >>> sigmoid(0.0), sigmoid(float("inf"))
    (0.5, 1.0)
    """
    return float(1.0 / (1.0 + np.exp(-np.clip(value, -500.0, 500.0))))
