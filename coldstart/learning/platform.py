"""What a platform has taught so far: its events, and the popularity and the table of likes that they make."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coldstart.entities import Value
from coldstart.interactions import Interactions
from coldstart.learning import companions, popularity
from coldstart.learning.demographics import Demographics
from coldstart.learning.experience import Experience, Likes, Observed
from coldstart.learning.inverses import inverse
from coldstart.learning.likability import Verdicts
from coldstart.learning.meanings import Meanings
from coldstart.learning.neighbours import Linear
from coldstart.learning.popularity import Popularity
from coldstart.learning.weighing import Weighing

TELLING = 20_000
"""With so many items a regression on their vectors is as good as with more."""

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

REFRESH = 0.01
"""Counts are made anew once this share of the events is new; a table a hundredth behind ranks no worse."""


class Platform:
    """A catalogue's platform as it learns; the order in which events are told doesn't matter.

    Args:
        row_of: Rows of the catalogue by item id.
        vectors: The items' centred vectors. Shape: ``(items, dimension)``.
        words: The appeal prior, in standard deviations; NaN for unknown. Shape: ``(items,)``.
        expected: By how much a standard deviation of it is expected to multiply an item's chance, as a logarithm.
        half_life: After how many days a like counts half; None for never fading.
        arrivals: When items arrived, in seconds since 1970, by id; others were always there.
        experience: What was seen before.
        meanings: What types of events say.
        weighing: The weights that were chosen.
        now: Seconds since 1970.
    """

    def __init__(
        self,
        row_of: Mapping[str, int],
        vectors: NDArray[np.float32],
        words: Floats,
        *,
        expected: float,
        half_life: float | None = None,
        arrivals: Mapping[str, float] | None = None,
        experience: Experience | None = None,
        meanings: Meanings | None = None,
        weighing: Weighing | None = None,
        now: float,
    ) -> None:
        self._row_of, self.vectors, self._words = row_of, vectors, words
        self._expected, self.half_life = expected, half_life
        self.arrivals = dict(arrivals or {})
        self.experience = experience or Experience()
        self.meanings = meanings or Meanings()
        self.weighing = weighing or Weighing()
        self._described = 0
        self.likes: Likes
        self.popularity: Popularity
        self.refresh(now=now)

    def __len__(self) -> int:
        return len(self.experience)

    def observe(self, interactions: Interactions, *, now: float) -> Observed:
        """Take in events; idempotent."""
        observed = self.experience.observe(interactions, known=self._row_of, now=now, meanings=self.meanings)
        if len(self.experience) - self._counted > REFRESH * self._counted:
            self.refresh(now=now)
        return observed

    def describe(self, said: Mapping[str, Mapping[str, Value]]) -> None:
        """Take in what people say of themselves at sign-up, by user."""
        if (
            self.experience.describe(said)
            and abs(len(self.experience.said) - self._described) > REFRESH * self._described
        ):
            self.__dict__.pop("demographics", None)
            self._use()

    def forget(self, user: str, *, now: float) -> int:
        """Take back all that a user did; return how many events that was. Nothing of them stays in any count.

        Weights that were chosen go as well, since the user may have had a part in choosing them.
        """
        described = user in self.experience.said
        gone = self.experience.forget(user)
        if gone or described:
            self.weighing = Weighing()
            self.refresh(now=now)
        return gone

    def refresh(self, *, now: float) -> None:
        """Make the counts anew from all events."""
        self._counted = len(self.experience)
        told: dict[str, Any] = {"half_life": self.half_life, "arrivals": self.arrivals, "meanings": self.meanings}
        self.likes = self.experience.likes(self._row_of, now=now, **told)
        for made_of_counts in ("verdicts", "linear", "demographics"):
            self.__dict__.pop(made_of_counts, None)
        self._fit()
        self._use()

    def _use(self) -> None:
        """Make what the weights ask for now, and not when a request waits."""
        if self.weighing.uses("linear"):
            _ = self.linear
        if self.weighing.trust.share:
            _ = self.demographics

    def _fit(self) -> None:
        """Make what follows from the counts and the items."""
        for made_of_items in ("known", "telling"):
            self.__dict__.pop(made_of_items, None)
        self._inverses: dict[float, NDArray[np.float32]] = {}
        self._by_item: Any = None
        self.popularity = popularity.fit(self.likes.counts, self.likes.exposed, self._words, expected=self._expected)

    def grown(
        self, row_of: Mapping[str, int], vectors: NDArray[np.float32], words: Floats, *, expected: float, now: float
    ) -> Platform | None:
        """Return the platform of a catalogue with more items at its end, which arrive now; no event is counted anew.

        None where events must be: items went or moved, an event or an arrival of a new one is known, or likes fade.
        The arguments are those of the class. The two share no state that either changes.
        """
        ids, before = list(row_of), list(self._row_of)
        new = ids[len(before) :]
        known = any(item in self.arrivals or self.experience.met(item) for item in new)
        if ids[: len(before)] != before or known or self.half_life is not None or now < self.experience.latest:
            return None
        made = copy.copy(self)
        made._row_of, made.vectors, made._words, made._expected = row_of, vectors, words, expected
        made.arrivals = {**dict.fromkeys(new, now), **self.arrivals}
        made.experience, made.likes = self.experience.copied(), self.likes.widened(len(ids))
        if "linear" in made.__dict__:
            made.__dict__["linear"] = self.linear.widened(len(ids))
        made._fit()
        return made

    def read_by(self, vectors: NDArray[np.float32]) -> Platform:
        """Return the same platform where another encoder made the items' centred vectors; what was observed is shared.

        Args:
            vectors: Shape: ``(items, dimension)``.
        """
        made = copy.copy(self)
        made.vectors, made._inverses = vectors, {}
        return made

    def weigh(self, weighing: Weighing) -> None:
        """Use these weights from now on."""
        self.weighing = weighing
        self.__dict__.pop("linear", None)
        self._use()

    @property
    def unweighed(self) -> bool:
        """Whether there are twice the likes, or twice the people who said something, that weights were chosen with."""
        likes, described = self.likes.table.nnz, len(self.experience.said)
        return bool(likes > 2 * self.weighing.likes or (likes and described > 2 * self.weighing.described))

    @cached_property
    def linear(self) -> Linear:
        """A linear item-item model of who likes what."""
        return Linear(self.likes.table, penalty=self.weighing.penalty)

    @cached_property
    def demographics(self) -> Demographics:
        """What people who said the same of themselves like more than others do."""
        self._described = len(self.experience.said)
        return Demographics(self.likes.table, [self.experience.said.get(user, {}) for user in self.likes.users])

    def lifts(self, attributes: Mapping[str, Value], rows: Rows | None = None) -> Floats | None:
        """Return the logarithm of what the chances of someone who says this are multiplied by; None for unknown.

        Args:
            attributes: What they say of themselves.
            rows: Of which items; None for all. Shape: ``(rows,)``.

        Returns:
            Shape: ``(rows,)``, or ``(items,)`` for all.
        """
        trust = self.weighing.trust
        rows = np.arange(len(self.vectors)) if rows is None else rows
        return self.demographics.lifts(attributes, trust, rows) if attributes and trust.share else None

    def liked_by_alike(self, attributes: Mapping[str, Value]) -> Rows:
        """Return the items that some people like who said the same, rising. Shape: ``(rows,)``."""
        trust = self.weighing.trust
        if not attributes or not trust.share:
            return np.empty(0, np.int64)
        return self.demographics.liked(attributes, trust)

    @cached_property
    def known(self) -> Floats:
        """How far each item's popularity is known from its counts, 0 to 1; 1 for all that didn't arrive late.

        Shape: ``(items,)``.
        """
        exposed = self.likes.exposed
        share = exposed / (exposed + self.popularity.strength / self.popularity.prior)
        return np.where(self.likes.people < self.likes.table.shape[0], share, 1.0)

    @cached_property
    def telling(self) -> Rows | slice:
        """The items that what is borrowed is told by: all, or as many of a large catalogue's as :data:`TELLING`."""
        if len(self.vectors) <= TELLING:
            return slice(None)
        return np.sort(np.random.default_rng(0).choice(len(self.vectors), TELLING, replace=False))

    @cached_property
    def verdicts(self) -> Verdicts:
        """What people said of items."""
        likes, dislikes = self.likes.table.tocoo(), self.likes.dislikes.tocoo()
        liked = likes.col[likes.data >= 1.0]
        rows = np.concatenate([liked, dislikes.col]).astype(np.int64)
        return Verdicts(rows, np.repeat([True, False], [len(liked), dislikes.nnz]))

    def inverse(self, ridge: float) -> NDArray[np.float32]:
        """Return ``(V' K V + ridge I)^-1`` over the known items. Shape: ``(dimension, dimension)``."""
        if ridge not in self._inverses:
            root = np.sqrt(self.known[self.telling, None]).astype(np.float32)
            weighted = self.vectors[self.telling] * root
            inner = weighted.T @ weighted  # of a matrix with itself: NumPy works out one half
            inner[np.diag_indices_from(inner)] += np.float32(ridge)
            self._inverses[ridge] = inverse(inner)
        return self._inverses[ridge]

    def expected(self, given: Rows, verdicts: Floats, *, without: int = -1) -> Floats:
        """Return the chance that a person with these likes likes each item (see :mod:`companions`)."""
        base = self.popularity
        if without >= 0:
            own = np.asarray(self.likes.table[[without]].todense(), np.float64).ravel()
            whole = np.asarray(self.likes.table.sum(0), np.float64).ravel()
            own *= self.likes.counts / np.maximum(whole, 1.0)  # theirs have faded as the others' have
            base = base.updated(self.likes.counts - own, np.maximum(self.likes.exposed - 1.0, 0.0))
        return companions.conditional(self.likes.table, self.vectors, base.mean, given, verdicts, without=without)

    def expected_of(self, rows: Rows, given: Rows, verdicts: Floats) -> Floats:
        """Return what :meth:`expected` does, of some items alone and at their cost. Shape: ``(rows,)``."""
        if self._by_item is None:
            self._by_item = self.likes.table.tocsc()
        among = np.union1d(rows, given)
        likes, base = self._by_item[:, among].tocsr(), self.popularity.mean[among]
        found = companions.conditional(likes, self.vectors[among], base, np.searchsorted(among, given), verdicts)
        chances: Floats = found[np.searchsorted(among, rows)]
        return chances

    def state(self) -> dict[str, Any]:
        """Return what a manifest says of it."""
        return {
            "events": len(self.experience),
            "people": int(self.likes.table.shape[0]),
            "described": len(self.experience.said),
            "likes": int(self.likes.table.nnz),
            "half_life": self.half_life,
            "arrivals": self.arrivals,
            "meanings": dict(self.meanings.told),
            "weights": self.weighing.state(),
        }
