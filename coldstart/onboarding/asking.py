"""Which questions there could be next, and what each is worth by a policy."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from coldstart.onboarding.belief import Belief, Worth
from coldstart.onboarding.dialogue import Asked, Kind, Option, Question, Reply
from coldstart.onboarding.facets import Chip, Facet
from coldstart.wording import plural

Floats = NDArray[np.float64]

CHIPS, ITEMS = 8, 6
"""How many options are offered at once."""

AGAIN = 0.7
"""What a question counts if its facet, or items, were asked about once already; set on MovieLens-100K, seed 12.

People tire of more of the same, and sorts of questions that complement each other lead further than the belief expects.
"""


VERDICTS = (Option("like", "I like it"), Option("dislike", "Not for me"), Option("unknown", "I don't know it"))


class Policy(Protocol):
    """What a question is worth."""

    @property
    def name(self) -> str:
        """What it goes by."""
        ...

    def options(self, worth: Worth, left: Sequence[int], most: int) -> list[int]:
        """Return which of some askable variables to offer together, at most so many."""
        ...

    def value(self, worth: Worth, places: Sequence[int], *, items: bool) -> float:
        """Return what offering these is worth; by expected gain in units of the list's value, else in any unit."""
        ...


class ExpectedGain:
    """By how much the answer is expected to raise the chances of the list: what onboarding goes by."""

    name = "expected gain"

    def options(self, worth: Worth, left: Sequence[int], most: int) -> list[int]:
        """Choose one by one: what each is worth alone, less what it shares with those chosen before."""
        rest = sorted(left, key=lambda place: -worth.alone[place])[: 5 * most]
        gains, chosen = worth.alone[rest], list[int]()
        free, shared = np.ones(len(rest), np.bool_), np.zeros(len(rest))
        while len(chosen) < min(most, len(rest)):
            best = int(np.where(free, gains * (1.0 - shared), -np.inf).argmax())
            chosen.append(rest[best])
            free[best] = False
            shared = np.maximum(shared, worth.alike(rest, rest[best]))
        return chosen

    def value(self, worth: Worth, places: Sequence[int], *, items: bool) -> float:  # noqa: ARG002 -- all alike
        """Return the expected gain."""
        return worth.together(places)


class Entropy:
    """By how uncertain the answer is, for comparison: questions that halve the people, whatever it says of the list."""

    name = "entropy"

    def options(self, worth: Worth, left: Sequence[int], most: int) -> list[int]:
        """Return the most uncertain."""
        return sorted(left, key=lambda place: -worth.doubt[place])[:most]

    def value(self, worth: Worth, places: Sequence[int], *, items: bool) -> float:  # noqa: ARG002 -- all alike
        """Return the entropies' sum."""
        return float(worth.doubt[list(places)].sum())


class Popular:
    """The items that most people like, for comparison; chips only where there are no items left."""

    name = "popular"

    def options(self, worth: Worth, left: Sequence[int], most: int) -> list[int]:
        """Return the likeliest at the outset."""
        return sorted(left, key=lambda place: -worth.usual[place])[:most]

    def value(self, worth: Worth, places: Sequence[int], *, items: bool) -> float:
        """Return their chances' sum."""
        return float(worth.usual[list(places)].sum()) + (1e6 if items else 0.0)


@dataclass(frozen=True, slots=True)
class Drawn:
    """At random, for comparison; the same draw for the same seed."""

    seed: int
    name: str = "random"

    def options(self, worth: Worth, left: Sequence[int], most: int) -> list[int]:
        """Draw some."""
        return [int(one) for one in self._generator(worth, left).permutation(left)[:most]]

    def value(self, worth: Worth, places: Sequence[int], *, items: bool) -> float:  # noqa: ARG002 -- all alike
        """Draw a number."""
        return float(self._generator(worth, places).random())

    def _generator(self, worth: Worth, places: Sequence[int]) -> np.random.Generator:
        # Between two questions the belief changes, and with it what is drawn.
        return np.random.default_rng([self.seed, abs(hash(round(worth.now, 12))) % 2**32, *places])


@dataclass(frozen=True, eq=False, slots=True)
class Offer:
    """What can be asked about.

    Attributes:
        kind: What an item is called.
        facets: What chips there are.
        chips: All facets' chips, in the order of their variables.
        ids: The items' ids.
        label: From an item's row to its id and what people read.
        kinds: Which kinds of questions are asked.
    """

    kind: str
    facets: Sequence[Facet]
    chips: Sequence[Chip]
    ids: Sequence[str]
    label: Callable[[int], Option]
    kinds: Collection[Kind]

    def questions(
        self, belief: Belief, worth: Worth, replies: Sequence[Reply], hidden: NDArray[np.bool_], policy: Policy
    ) -> Iterator[Question]:
        """Yield the best question of each sort, about nothing that was asked before; gains aren't relative yet.

        Args:
            belief: What is believed.
            worth: What asking is worth under it.
            replies: What was asked before; a facet that was skipped isn't asked again.
            hidden: Items that aren't asked about. Shape: ``(items,)``.
            policy: What decides.
        """
        asked = [Asked.parse(reply.question_id) for reply in replies]
        skipped = {each.attribute for each, reply in zip(asked, replies, strict=True) if reply.value is None}
        told = {(each.attribute, name) for each in asked for name in each.about}
        chips: dict[str, list[int]] = {facet.name: [] for facet in self.facets if facet.name not in skipped}
        items: list[int] = []
        for place, variable in enumerate(belief.askable):
            if variable >= belief.items:
                chip = self.chips[variable - belief.items]
                if chip.facet in chips and (chip.facet, chip.value) not in told:
                    chips[chip.facet].append(place)
            elif not hidden[variable] and ("", self.ids[variable]) not in told:
                items.append(place)
        for facet in self.facets:
            times = sum(each.attribute == facet.name for each in asked)
            yield from self._about_chips(facet, chips.get(facet.name, []), belief, worth, policy, times)
        yield from self._about_items(items, belief, worth, policy, times=sum(each.kind == "items" for each in asked))

    def _about_chips(
        self, facet: Facet, left: Sequence[int], belief: Belief, worth: Worth, policy: Policy, times: int
    ) -> Iterator[Question]:
        def value_of(place: int) -> str:
            return self.chips[int(belief.askable[place]) - belief.items].value

        if "chips" in self.kinds and len(left) >= 2:
            chosen = sorted(policy.options(worth, left, CHIPS), key=lambda place: -worth.usual[place])
            names = tuple(map(value_of, chosen))
            gain = policy.value(worth, chosen, items=False) * AGAIN**times
            options = tuple(Option(name, name) for name in names)
            prompt = facet.more if times else facet.prompt
            yield Question(Asked("chips", facet.name, names).id, "chips", prompt, options, gain)
        if "chip" in self.kinds and left:
            chosen = policy.options(worth, left, 1)
            name = value_of(chosen[0])
            gain = policy.value(worth, chosen, items=False) * AGAIN**times
            prompt = f"Do you like {facet.phrase.format(name)}?"
            yes_or_no = (Option("yes", "Yes"), Option("no", "No"))
            yield Question(Asked("chip", facet.name, (name,)).id, "chip", prompt, yes_or_no, gain)

    def _about_items(
        self, left: Sequence[int], belief: Belief, worth: Worth, policy: Policy, *, times: int
    ) -> Iterator[Question]:
        def labels(chosen: Sequence[int]) -> tuple[Option, ...]:
            return tuple(self.label(int(belief.askable[place])) for place in chosen)

        if "items" in self.kinds and len(left) >= 2:
            chosen = sorted(policy.options(worth, left, ITEMS), key=lambda place: -worth.usual[place])
            options = labels(chosen)
            again = "more " if times else ""
            prompt = f"Which of these {again}{plural(self.kind)} have you enjoyed?"
            gain = policy.value(worth, chosen, items=True) * AGAIN**times
            yield Question(Asked("items", "", tuple(one.id for one in options)).id, "items", prompt, options, gain)
        if "item" in self.kinds and left:
            chosen = policy.options(worth, left, 1)
            one, gain = labels(chosen)[0], policy.value(worth, chosen, items=True)
            verdicts = (
                Option("like", "I like it"),
                Option("dislike", "Not for me"),
                Option("unknown", "Don't know it"),
            )
            yield Question(Asked("item", "", (one.id,)).id, "item", f"Do you like {one.label}?", verdicts, gain)
        if "pair" in self.kinds and len(left) >= 2:
            chosen = policy.options(worth, left, 2)
            pair, gain = labels(chosen), policy.value(worth, chosen, items=True)
            neither = (Option("both", "Both"), Option("neither", "Neither, or I don't know them"))
            asked = Asked("pair", "", tuple(one.id for one in pair))
            yield Question(asked.id, "pair", "Which do you like better?", (*pair, *neither), gain)
