"""Ranking: what the scorers say of candidates, weighed into one order, with the part that each had in it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property, partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from coldstart import shortlist
from coldstart.blas import undivided
from coldstart.entities import Part, Recommendation
from coldstart.errors import ProfileError
from coldstart.fusion import (
    DEFAULT_WEIGHTS,
    LEAST,
    REACH,
    meeting,
    moments,
    settled,
    soft,
    standardise,
    top,
    weighted_sum,
)
from coldstart.index import FIXED, Index
from coldstart.learning.neighbours import Linear
from coldstart.learning.platform import Platform
from coldstart.scoring import VIEWS, Query, Scorer, collaborative
from coldstart.scoring.appeal import Appeal, earned_weight
from coldstart.scoring.asking import Asked, Asking
from coldstart.scoring.facets import Faceted, Unwanted
from coldstart.scoring.following import NEAR, Following, Follows
from coldstart.scoring.lexical import Keywords, Lexical, Words
from coldstart.scoring.relevance import Disliked, Liked, Said, Taste
from coldstart.wording import tidy_title

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Parts = Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]]
    """A scorer's raw and standardised scores, by its name. Shape of each: ``(rows,)``."""

    Parted = tuple[NDArray[np.float64], Mapping[str, NDArray[np.float64]]]
    """Scores, and the part that some scorers have in them, by name. Shape of each: ``(rows,)``."""


FEW = 5.0
"""With how many liked things closeness to them counts half: one favourite tells less of a taste than ten."""

WORDS_AT_LEAST = 1 / 3
"""What of their weight words shared with likes keep however few these are: with one favourite they are the surest."""

MET = 20
"""Fewer items than this, and less than half, that an adapter learned of don't tell on which scale the others stand: all
are ranked as if it had learned of none."""

OTHERWISE = MappingProxyType({"text": 0.4, "keywords": 0.08})
"""What of its weight a text as a whole has, and what its words have, where it asks for something that is no value.
Where it names an item, they have all of it."""

NOTHING = MappingProxyType({"text": 0.01, "keywords": 0.0})
"""The same where it asks for nothing."""

TIES, BESIDE_VALUES = 0.3, MappingProxyType({"text": 0.35, "keywords": 0.08})
"""What of its weight, in standard deviations of all, more of the values asked for counts beside enough of them, and
what of that a text as a whole and its words count beside values."""

EVEN_SO = 0.15
"""What of that is left where it isn't likely that values are asked for, for who is known nothing else of."""

_LEARNED = ("collaborative", "demographic", *collaborative.BESIDES)
_WORDS = ("liked", "taste", "following", "lexical", "disliked")

_NOT_PERSONAL = frozenset({"appeal", "collaborative", "borrowed"})


@dataclass(frozen=True, eq=False, slots=True)
class Scores:
    """Candidates and what came of scoring them.

    Attributes:
        rows: Which rows of the catalogue they are. Shape: ``(rows,)``.
        parts: What each scorer gave, but for those that abstained on all.
        fused: The weighted sum of the standardised scores. Shape: ``(rows,)``.
        weights: Of scorers, by name, for this request.
    """

    rows: NDArray[np.int64]
    parts: Parts
    fused: NDArray[np.float64]
    weights: Mapping[str, float]

    def at(self, places: NDArray[np.int64]) -> Scores:
        """Return the candidates at some places, in that order."""
        parts = {name: (raw[places], standardised[places]) for name, (raw, standardised) in self.parts.items()}
        return replace(self, rows=self.rows[places], parts=parts, fused=self.fused[places])

    def joined(self, name: str, raw: NDArray[np.float64]) -> Scores:
        """Return the same candidates with one more scorer's raw scores; unchanged if it abstained on all."""
        if not np.isfinite(raw).any():
            return self
        standardised = standardise(raw)
        fused = self.fused + self.weights[name] * standardised
        return replace(self, parts={**self.parts, name: (raw, standardised)}, fused=fused)


class Ranker:
    """Scores an index's items for requests and orders them.

    Args:
        index: Whose items.
        weights: Of scorers, by name, over the defaults; "appeal" overrides the earned weight.
        previous: Of another index. What it knows of the items that both hold isn't worked out again.
        follows: What the encoder's adapter knows besides; None for none.

    Attributes:
        given: Those weights.
        follows: As it was given.
        weights: The weight of every scorer, before a request is known.

    Raises:
        ProfileError: No scorer has that name, or a weight isn't a number >= 0.
    """

    def __init__(
        self,
        index: Index,
        weights: Mapping[str, float],
        previous: Ranker | None = None,
        *,
        follows: Follows | None = None,
    ) -> None:
        self.given, self.follows = dict(weights), follows
        self.weights = _checked(index, self.given)
        self._index = index
        self._words: Words = Words(index.documents, None if previous is None else previous._words)
        self._lexical, self._keywords = Lexical(self._words), Keywords(self._words)
        self._facets = Faceted(index)
        self._asking = Asking(index, self._facets, self._keywords, self.sample)
        self._following = None if follows is None or follows.matrix is None else Following(index, follows)
        self._by_words: tuple[Scorer, ...] = (
            Liked(index),
            Taste(index),
            *(Said(index, view) for view in VIEWS),
            Disliked(index),
            self._facets,
            Unwanted(self._facets),
            self._lexical,
            self._keywords,
            *([self._following] if self._following else []),
        )
        self._sampled: NDArray[np.int64] | None = None
        self._samples: dict[bytes, NDArray[np.int64]] = {}
        self._stood: tuple[Any, shortlist.Standing] | None = None
        ids = index.catalogue.ids
        known = previous._index.catalogue.ids if previous is not None else ()
        same = len(known) if known == ids[: len(known)] else 0
        digests = (hashlib.sha256(id_.encode("utf-8", "surrogatepass")).digest()[:8] for id_ in ids[same:])
        ties = np.frombuffer(b"".join(digests), np.uint64)
        self._ties: NDArray[np.uint64] = (
            ties if previous is None or not same else np.concatenate([previous._ties[:same], ties])
        )

    def without(self, names: Iterable[str]) -> Ranker:
        """Return the same ranker with no weight on some scorers; what it worked out is shared."""
        made = copy(self)
        made.given = {**self.given, **dict.fromkeys(names, 0.0)}
        made.weights = _checked(self._index, made.given)
        return made

    @cached_property
    def appeal(self) -> Appeal | None:
        """The prior before who asks; None for an index without a language model."""
        index = self._index
        return None if index.appeal is None else Appeal(index.appeal, index.points, index.rows.titles)

    @property
    def rows(self) -> NDArray[np.int64]:
        """All rows of the catalogue. Shape: ``(items,)``."""
        return np.arange(len(self._ties))

    @undivided()
    def score(self, query: Query, rows: NDArray[np.int64], platform: Platform | None) -> Scores:
        """Score some rows, in their order, with all but the language model.

        Args:
            query: What is asked.
            rows: Any rows of the catalogue. Shape: ``(rows,)``.
            platform: What was learned from interactions; None before any.
        """
        weights = self._weights_for(query, platform, ranked=len(rows))
        learned, scorers = self._scorers(platform, weights)
        raw = {scorer.name: scorer.score(query, rows) for scorer in scorers}
        return self._fused(query, rows, raw, weights, learned, None)

    @undivided()
    def shortlisted(
        self,
        query: Query,
        allowed: NDArray[np.bool_],
        platform: Platform | None,
        *,
        also: NDArray[np.int64] | None = None,
        wanted: int = 0,
    ) -> Scores:
        """Score the rows that may be recommended; of more than some thousands, those that may be among the best.

        Scores of a short list are on the scale of all, as a sample tells it; see :mod:`coldstart.shortlist`.

        Args:
            query: What is asked.
            allowed: Which rows may be recommended. Shape: ``(items,)``.
            platform: What was learned from interactions; None before any.
            also: Rows that are on the short list for another reason; all of them allowed. Shape: ``(rows,)``.
            wanted: How many of the best the caller goes on with.
        """
        count = int(np.count_nonzero(allowed))
        if not self._index.is_large or count <= shortlist.FEW:
            return self.score(query, np.flatnonzero(allowed), platform)
        sample = self._reference(allowed)
        weights = self._weights_for(query, platform, ranked=count)
        learned, scorers = self._scorers(platform, weights)
        usual = {scorer.name: scorer.score(query, sample) for scorer in scorers}
        told = {name: scores[np.isfinite(scores)] for name, scores in usual.items()}
        scales = {name: moments(scores) for name, scores in told.items() if len(scores)}
        if learned is not None and "demographic" in scales:  # see _scaled
            scales["demographic"] = (scales["demographic"][0], scales[learned.name][1])
        found = shortlist.gathered(
            self._index,
            self._finders(query, learned, scorers, allowed),
            self._following,
            query,
            weights=self._weighed(query, usual, weights, None)[1],
            scales=scales,
            allowed=allowed,
            worth=max(4 * wanted, shortlist.WORTH if learned is None else shortlist.WORTH_OBSERVED),
        )
        found = found if also is None else np.union1d(found, also)
        new = found[~np.isin(found, sample, assume_unique=True)]
        rows = np.concatenate([sample, new])
        raw = {scorer.name: np.concatenate([usual[scorer.name], scorer.score(query, new)]) for scorer in scorers}
        gathered = np.ones(len(rows))
        only = ~np.isin(sample, found, assume_unique=True)
        gathered[: len(sample)][only] = (count - len(found)) / max(int(only.sum()), 1)
        return self._fused(query, rows, raw, weights, learned, gathered)

    def _finders(
        self,
        query: Query,
        learned: collaborative.Collaborative | None,
        scorers: Sequence[Scorer],
        allowed: NDArray[np.bool_],
    ) -> list[shortlist.Finder]:
        """Return what finds rows beside vectors."""
        found = [
            shortlist.Finder(one.name, partial(one.sharing, query), partial(one.score, query))
            for one in (self._lexical, self._keywords)
        ]
        bend: Callable[[NDArray[np.float64]], NDArray[np.float64]] = soft
        if "text" in query.texts:
            values = self._asked(query).values
            bend = lambda deviations: meeting(soft(deviations), sure=values)  # noqa: E731
        facets = self._facets
        found.append(shortlist.Finder(facets.name, partial(facets.sharing, query), partial(facets.score, query), bend))
        found += [
            shortlist.Finder(one.name, shortlist.nothing, partial(one.score, query))
            for one in scorers
            if isinstance(one, Unwanted)
        ]
        found += [
            shortlist.Finder(one.name, partial(one.best, query), partial(one.score, query))
            for one in scorers
            if isinstance(one, (collaborative.Beside, collaborative.Demographic))
        ]
        standing = self._standing(learned)
        if standing is not None:

            def best() -> tuple[NDArray[np.int64], NDArray[np.float64]]:
                rows = standing.best(shortlist.BESIDE, allowed)
                return rows, standing.values[rows]

            name = Appeal.name if learned is None else learned.name
            found.append(shortlist.Finder(name, best, lambda rows: standing.values[rows]))
        return found

    def _scorers(
        self, platform: Platform | None, weights: Mapping[str, float]
    ) -> tuple[collaborative.Collaborative | None, list[Scorer]]:
        learned = collaborative.Collaborative(platform) if platform is not None and platform.likes.events else None
        anyone = learned or self.appeal
        scorers = [*self._by_words, *([anyone] if anyone else [])]
        if learned is not None:
            scorers += [collaborative.Beside(name, learned) for name in collaborative.BESIDES if weights[name]]
            scorers += [collaborative.Demographic(learned.platform)]
        return learned, scorers

    def _reference(self, allowed: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return a sample of the rows that are allowed, rising; the same array where it was asked for lately."""
        if self._sampled is None:
            self._sampled = self._fixed(self.sample(shortlist.SAMPLE))
        if allowed[self._sampled].all():
            return self._sampled
        looked = 2 * shortlist.SAMPLE
        while True:
            found = self._drawn[:looked]
            found = found[allowed[found]]
            if len(found) >= shortlist.SAMPLE or looked >= len(self._drawn):
                return self._fixed(np.sort(found[: shortlist.SAMPLE]).astype(np.int64))
            looked *= 4

    def _fixed(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return an array of the same rows that nobody changes: one that was returned lately, if there is any.

        What scorers work out of such an array is kept for the next request with the same filter.
        """
        name = rows.tobytes()
        found = self._samples.pop(name, rows)
        found.flags.writeable = False
        self._samples[name] = found
        for oldest in list(self._samples)[:-FIXED]:
            self._samples.pop(oldest, None)
        return found

    @cached_property
    def _drawn(self) -> NDArray[np.int32]:
        """All rows in an order that has nothing to do with what they are. Shape: ``(items,)``."""
        return np.argsort(self._ties, kind="stable").astype(np.int32)

    def _standing(self, learned: collaborative.Collaborative | None) -> shortlist.Standing | None:
        """Return how items stand with anyone; made anew when what was learned has changed."""
        source: Any = self.appeal if learned is None else learned.platform.popularity
        if source is None:
            return None
        if self._stood is None or self._stood[0] is not source:
            values = self.appeal.prior if self.appeal and learned is None else np.log(np.maximum(source.mean, 1e-12))
            self._stood = source, shortlist.Standing.of(values)
        return self._stood[1]

    def _fused(
        self,
        query: Query,
        rows: NDArray[np.int64],
        raw: Mapping[str, NDArray[np.float64]],
        weights: Mapping[str, float],
        learned: collaborative.Collaborative | None,
        counts: NDArray[np.float64] | None,
    ) -> Scores:
        """Weigh raw scores; ``counts`` says for how many candidates each row stands."""
        parts, weights = self._weighed(query, raw, weights, counts)
        fused = weighted_sum({name: scores for name, (_, scores) in parts.items()}, weights, len(rows))
        found = Scores(rows, parts, fused, weights)
        if learned is None or learned.name not in parts or not weights[learned.name]:
            return self._with_unmet(query, found, counts) if learned is None else found
        everyone_saw = bool((learned.platform.known[rows] == 1.0).all())
        return found if everyone_saw else self._with_arrivals(learned, query, found, counts)

    def _weighed(
        self,
        query: Query,
        raw: Mapping[str, NDArray[np.float64]],
        weights: Mapping[str, float],
        counts: NDArray[np.float64] | None,
    ) -> tuple[dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]], dict[str, float]]:
        """Return the parts of scorers that don't abstain on all, and weights on which what is asked for holds.

        It counts in units of how far all the rest tells candidates apart.
        """
        there = {name: scores for name, scores in raw.items() if np.isfinite(scores).any()}
        parts = {name: (scores, standardise(scores, counts)) for name, scores in there.items()}
        if "demographic" in parts:
            parts["demographic"] = (raw["demographic"], _scaled(raw["demographic"], raw["collaborative"], counts))
        asked = [name for name in _requested(query) if name in parts]
        if not asked:
            return parts, dict(weights)
        rest = {name: scores for name, (_, scores) in parts.items() if name not in asked}
        count = len(parts[asked[0]][0])
        known = weighted_sum(rest, weights, count)
        mean, spread = moments(known, counts)
        unit = max(LEAST, spread, float(known.max() - mean) / REACH)
        held = {**weights, **{name: unit * weights[name] for name in asked}}
        if "text" in query.texts and "facets" in parts:
            scores, met = parts["facets"]
            asks = self._asked(query)
            ties = TIES * (asks.values + EVEN_SO * (1.0 - asks.values - asks.naming))
            parts["facets"] = (scores, meeting(met, counts, sure=asks.values) + ties / unit * met)
            for name, share in BESIDE_VALUES.items():
                held[name] += ties * share * self.weights[name]
        return parts, held

    def _asked(self, query: Query) -> Asked:
        """Return what the query's text asks for."""
        return self._asking.of(query, faceted=self.weights["facets"] > 0)

    @cached_property
    def _met(self) -> NDArray[np.bool_]:
        """Which items the adapter learned of. Shape: ``(items,)``."""
        nothing = np.ones(len(self._ties), np.bool_)
        return nothing if self.follows is None else self.follows.knows(self._index.documents)

    def _with_unmet(self, query: Query, found: Scores, counts: NDArray[np.float64] | None) -> Scores:
        """Score items that the adapter never learned of as it says of such ones, on the scale of the others.

        Which items follow which was learned of others, and chosen to count as much as it does by them.
        """
        name = "following"
        if name not in found.parts or (known := self._met[found.rows]).all():
            return found
        usual = self._weights_for(query, None, ranked=len(found.rows), met=False)
        plain = {**found.weights, **{part: usual[part] for part in (*NEAR, "lexical", name)}}
        weight = found.weights[name] or plain[name]
        if not weight:
            return found
        if 2 * known.sum() < min(2 * MET, len(known)):
            known = np.zeros_like(known)
        said = {part: scores for part, (_, scores) in found.parts.items()}
        zero_shot = weighted_sum(said, plain, len(found.rows))
        fused = settled(found.fused, zero_shot, known.astype(np.float64), counts)
        raw, part = found.parts[name]
        rest = found.fused - found.weights[name] * part
        moved = np.where(known, part * (found.weights[name] / weight), (fused - rest) / weight)
        told = raw if plain[name] else np.where(known, raw, np.nan)
        parts, weights = {**found.parts, name: (told, moved)}, {**found.weights, name: weight}
        return replace(found, parts=parts, fused=fused, weights=weights)

    def sample(self, count: int) -> NDArray[np.int64]:
        """Return that many rows, rising; all if there are fewer. Which items they are isn't told by their order."""
        if len(self._ties) <= count:
            return np.arange(len(self._ties))
        return np.sort(np.argpartition(self._ties, count)[:count])

    def unmet(self, query: Query, rows: NDArray[np.int64], platform: Platform | None) -> Parted:
        """Return the scores of items that a platform knows nothing of, and what evidence that is weighed gives to them.

        Args:
            query: What is asked.
            rows: Such items. Shape: ``(rows,)``.
            platform: What was learned from interactions with others; None before any.
        """
        scores = self.score(query, rows, platform)
        weights = self._weights_for(query, platform, ranked=len(self._ties), met=False)
        names = (*NEAR, "lexical", "following")
        given = {name: weights[name] * scores.parts[name][1] for name in names if name in scores.parts}
        return scores.fused, given

    def _with_arrivals(
        self,
        learned: collaborative.Collaborative,
        query: Query,
        found: Scores,
        counts: NDArray[np.float64] | None,
    ) -> Scores:
        """Score items that arrived late by words, on the scale of the others; see :func:`coldstart.fusion.settled`."""
        rows, weights, parts = found.rows, found.weights, dict(found.parts)
        by_words = {name: scores for name, (_, scores) in parts.items() if name not in _LEARNED}
        expected: list[Scorer] = [collaborative.Borrowed(learned), *([self.appeal] if self.appeal else [])]
        guesses = {scorer.name: scorer.score(query, rows) for scorer in expected}
        guessed = {name: standardise(scores, counts) for name, scores in guesses.items()}
        said = weighted_sum(by_words, weights, len(rows))
        by_counts = {name: parts[name][1] for name in _LEARNED if name in parts}
        seen = said + weighted_sum(by_counts, weights, len(rows))
        # How words count beside counts says nothing of items without any: there they count as in long lists, and as the
        # adapter says of items that it never learned of.
        usual = self._weights_for(query, learned.platform, ranked=len(self._ties), met=False)
        unseen = weighted_sum(by_words, {**weights, **{name: usual[name] for name in _WORDS}}, len(rows))
        zero_shot = unseen + weighted_sum(guessed, weights, len(rows))
        known = learned.platform.known[rows]
        fused, late = settled(seen, zero_shot, known, counts), known < 1.0
        for name, scores in guessed.items():
            parts[name] = (np.where(late, guesses[name], np.nan), np.where(late, scores, 0.0))
        for name in by_counts.keys() - {"collaborative"}:  # nothing is known of those that came late
            parts[name] = (np.where(late, np.nan, parts[name][0]), np.where(late, 0.0, parts[name][1]))
        others = {name: parts[name][1] for name in (*guessed, *by_counts) if name != "collaborative"}
        explained = said + weighted_sum(others, weights, len(rows))
        parts["collaborative"] = (parts["collaborative"][0], (fused - explained) / weights["collaborative"])
        return Scores(rows, parts, fused, weights)

    def _weights_for(
        self,
        query: Query,
        platform: Platform | None,
        *,
        ranked: int,
        met: bool = True,
    ) -> dict[str, float]:
        """Return the weights, with what the platform's own people say of them; what the caller gave holds.

        Args:
            query: What is asked.
            platform: What was learned from interactions; None before any.
            ranked: How many items are ordered.
            met: Whether they are items that the adapter learned of.
        """
        weights = self._usual(query, platform, met=met)
        likes = len(query.liked) + len(query.liked_phrases)
        if platform is None or not likes:
            return weights
        chosen = platform.weighing.at(likes)
        for name in collaborative.BESIDES:
            if name not in self.given:
                weights[name] = chosen[name] * weights["collaborative"]
        times = platform.weighing.times(likes, ranked=ranked, items=len(self._ties))
        for name in _WORDS:
            if name not in self.given:
                weights[name] *= times * chosen["words"]
        return weights

    def _usual(self, query: Query, platform: Platform | None, *, met: bool = True) -> dict[str, float]:
        """Return the shipped weights, by what the user's text asks for and by how much is known of what they like.

        Closeness to few liked things weighs less; words shared with them never less than :data:`WORDS_AT_LEAST`. What
        people like who say the same of themselves counts less with each like of the person's own, which tells more.
        """
        weights = dict(self.weights)
        likes = len(query.liked) + len(query.liked_phrases)
        if "text" in query.texts:
            asked = self._asked(query)
            for name, share in OTHERWISE.items():
                weights[name] *= asked.naming + share * asked.other + NOTHING[name] * asked.nothing
        elif query.liked_phrases:
            weights["facets"] *= max(self._facets.clearly(query, phrase) for phrase in query.liked_phrases)
        if query.disliked_phrases:
            weights["unwanted"] *= max(self._facets.clearly(query, phrase) for phrase in query.disliked_phrases)
        if likes:
            told = likes / (likes + FEW)
            faceted = len(self._index.facets) > 0 and query.liked_phrases and "text" not in query.texts
            present = [*NEAR, *(["facets"] if faceted else [])]
            unit = max(1.0, sum(weights[name] for name in present))
            for name in present:
                weights[name] /= unit
            for name in (*NEAR, "disliked"):
                weights[name] *= told
            weights["lexical"] *= max(told, WORDS_AT_LEAST)
        if platform is not None and "collaborative" not in self.given:
            seen, items = int(platform.likes.table.nnz), len(self._index.catalogue)
            weights["collaborative"] = collaborative.weight(seen, items, appeal=weights["appeal"])
            weights["borrowed"] *= seen / (seen + items)
        if "demographic" not in self.given:
            weights["demographic"] = weights["collaborative"] / (1.0 + likes)
        if self.follows is not None and likes:
            self._balance(weights, likes / (likes + FEW), observed=platform is not None, met=met)
        return weights

    def _balance(self, weights: dict[str, float], told: float, *, observed: bool, met: bool) -> None:
        """Let what an adapter learned of likes count as it says, and the rest beside it."""
        balance = self.follows.balance if self.follows is not None else None
        if balance is None:
            return
        following, shares = balance.at(told, weights["collaborative"] if observed else 0.0, met=met)
        for name, share in {**dict.fromkeys(NEAR, shares.near), "lexical": shares.lexical}.items():
            if name not in self.given:
                weights[name] *= share
        if "following" not in self.given:
            weights["following"] = following

    def evidence(
        self,
        query: Query,
        lists: Sequence[NDArray[np.int64]],
        platform: Platform,
        models: Sequence[Linear],
        *,
        without: int,
    ) -> list[tuple[NDArray[np.float64], ...]]:
        """Return what each kind of evidence says of lists to a person of the platform as if they had just come.

        Args:
            query: What is known of them: items that they like.
            lists: Rows of the catalogue.
            platform: Theirs, as it would be without them.
            models: Linear models of who likes what on it.
            without: Their row among its people.

        Returns:
            For each list what others like, and words, with their usual weights; the neighbours and each linear model
            with the weight of what others like. Shape of each: ``(rows of the list,)``.
        """
        rows = np.concatenate(lists)
        learned = collaborative.Collaborative(platform, without=without)
        words = {scorer.name: scorer.score(query, rows) for scorer in self._by_words}
        told = [
            learned.score(query, rows),
            collaborative.Beside("neighbours", learned).score(query, rows),
            *(model.score(query.liked, without=without)[rows] for model in models),
        ]
        weights, found, start = self._usual(query, platform), [], 0
        for some in lists:
            there = slice(start, start := start + len(some))
            said = {name: standardise(scores[there]) for name, scores in words.items()}
            base, *besides = (weights["collaborative"] * standardise(scores[there]) for scores in told)
            found.append((base, weighted_sum(said, weights, len(some)), *besides))
        return found

    def warm(self, platform: Platform | None) -> None:
        """Work out what the first request would have to."""
        self._words.warm()
        self._facets.warm()
        if self._following is not None:
            self._following.warm()
        _ = self._index.points, self.appeal
        if self._index.is_large:
            self._index.search.warm()
            _ = self._drawn
        if platform is not None or self._index.is_large:
            nobody = np.empty(0, np.int64)
            query = Query(liked=nobody, liked_weights=np.empty(0), disliked=nobody)
            self.shortlisted(query, np.ones(len(self._index.catalogue), np.bool_), platform)

    def best(self, scores: Scores, k: int, *, also: NDArray[np.int64] | None = None) -> Scores:
        """Return the ``k`` best candidates, best first; all if there are fewer. An item's id decides between ties.

        Args:
            scores: Of candidates.
            k: How many.
            also: Rows among the candidates that are returned besides, after those. Shape: ``(rows,)``.
        """
        places = top(scores.fused, self._ties[scores.rows], k)
        if also is None:
            return scores.at(places)
        besides = np.flatnonzero(np.isin(scores.rows, also))
        return scores.at(np.concatenate([places, besides[~np.isin(besides, places)]]))

    def ranked(self, scores: Scores, k: int) -> tuple[Recommendation, ...]:
        """Return the ``k`` best candidates as they are recommended, with each scorer's part."""
        best = self.best(scores, k)
        ranked = []
        for place, row in enumerate(best.rows):
            item = self._index.catalogue[int(row)]
            parts = {
                name: Part(float(raw[place]), float(standardised[place]), best.weights.get(name, 0.0))
                for name, (raw, standardised) in best.parts.items()
            }
            title, score = tidy_title(item.title), float(best.fused[place])
            ranked.append(Recommendation(item.id, title, score, place + 1, MappingProxyType(parts), item))
        return tuple(ranked)


def _requested(query: Query) -> Iterator[str]:
    """Yield the scorers that go by the request itself: what is said now, not what the person or anyone likes."""
    yield from ("text", "keywords", "unwanted")
    if "text" in query.texts:
        yield "facets"  # else those of liked phrases
    if not len(query.disliked):
        yield "disliked"  # phrases alone


def _scaled(
    lifts: NDArray[np.float64], chances: NDArray[np.float64], counts: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """Return lifts in standard deviations of the chances that they are added to, both as logarithms."""
    spread = moments(chances, counts)[1]
    scaled: NDArray[np.float64] = (lifts - moments(lifts, counts)[0]) / spread if spread > 0 else np.zeros(len(lifts))
    return scaled


def fallback(query: Query, scores: Scores) -> str:
    """Return why a list isn't personal, in words; empty if it is."""
    if len(scores.rows) == 0:
        return "no item is eligible: the filters, exclusions and candidates leave none"
    if set(scores.parts) - _NOT_PERSONAL:
        return ""
    told = "nothing that tells items apart" if query.description else "nothing"
    if "collaborative" in scores.parts and scores.weights["collaborative"]:
        return f"{told} is known of the user: ranked by what others like"
    if "appeal" in scores.parts:
        return f"{told} is known of the user: ranked by appeal alone"
    return f"{told} is known of the user and no scorer ranks without it: the order is arbitrary"


def _checked(index: Index, given: Mapping[str, float]) -> dict[str, float]:
    earned = {"appeal": earned_weight(index.appeal.knowledge)} if index.appeal is not None else {"appeal": 0.0}
    known = {**DEFAULT_WEIGHTS, **earned, "collaborative": collaborative.FULL_WEIGHT}
    for name, weight in given.items():
        if name not in known:
            raise ProfileError(f"no scorer is named {name!r}: expected one of {', '.join(sorted(known))}")
        if not isinstance(weight, (int, float)) or not np.isfinite(weight) or weight < 0:
            raise ProfileError(f"the weight of {name!r} is {weight!r}: expected a number >= 0")
    return {**known, **{name: float(weight) for name, weight in given.items()}}
