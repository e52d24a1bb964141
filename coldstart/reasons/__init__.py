"""Reasons: what moved an item to its place, told only if the item falls once it is taken away.

A cause is something that a request names: a liked thing, a phrase of the text, the circumstances, or what others like.
It is **deleted** from the request, the candidates are scored anew, and an item's *standing*, its score in standard
deviations of all candidates' from their mean, must fall by :data:`LEAST` at least, and its rank mustn't rise. So a
reason is never a guess at what a scorer meant: it is a counterfactual that anyone can repeat. What an item has in
common with a cause (a grape, a genre) is added only if the deletion makes the items that have it fall further than the
others (:meth:`coldstart.reasons.traits.Traits.met`), and only if its words are close to those of a phrase, or the liked
item has it too.

What the language model says when it reads a list again isn't told: reasons are of the ranking that it was given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from coldstart.entities import Context, Profile, Reason, Recommendation
from coldstart.index import Index
from coldstart.learning.platform import Platform
from coldstart.querying import Reader
from coldstart.ranking import Ranker, Scores
from coldstart.reasons.phrases import phrases
from coldstart.reasons.sentences import grounded, said
from coldstart.reasons.traits import Trait, Traits
from coldstart.scoring import Query
from coldstart.wording import plain, shorten, tidy_title

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Rows = NDArray[np.int64]

__all__ = ["LEAST", "Reasons", "Scored", "Traits", "standing"]

Scored = Callable[[Profile, "Context | None", Sequence[str]], Scores]
"""From who asks, in which circumstances, and which scorers have no part, to what the whole catalogue's rows get."""

LEAST = 0.1
"""By how many standard deviations an item has to fall for a cause to be told."""

SHOWN = 3
"""Reasons of one item at most."""

CANDIDATES = 4000
"""Among so many candidates an item's standing is told at most: of more, these, the same ones for everybody."""

NEAR = 0.5
"""The cosine of a phrase with a trait from which the one is said to be met by the other."""

_LIKES = 8  # liked things that are taken away one by one
_LONGEST = 60  # characters of a title or a phrase in a sentence
_WELL_KNOWN = 1.0  # standard deviations of appeal from which something is called well known
_WITH_LIKES = ("liked", "taste", "following", "lexical", "collaborative", "disliked")


def standing(fused: Floats) -> Floats:
    """Return scores in standard deviations from their mean; 0 where nothing tells candidates apart.

    >>> standing(np.array([1.0, 3.0])).tolist()
    [-1.0, 1.0]
    """
    spread = fused.std()
    return np.zeros(len(fused)) if spread <= 1e-9 else (fused - fused.mean()) / spread


@dataclass(frozen=True, slots=True)
class Cause:
    """Something that can be taken out of a request.

    Attributes:
        kind: Of the reason that it would be, see :class:`coldstart.entities.Reason`.
        cause: Its name there.
        name: Its name in a sentence.
        form: The sentence's form, of :data:`coldstart.reasons.sentences.FORMS`.
        profile: Who asks, without it.
        context: The circumstances, without it.
        without: Scorers that are left out.
    """

    kind: str
    cause: str
    name: str
    form: str
    profile: Profile
    context: Context | None
    without: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False, slots=True)
class _Deleted:
    """What became of the candidates without a cause."""

    falls: Floats
    sinks: NDArray[np.bool_]
    after: Scores
    met: dict[int, float]


class Reasons:
    """Finds the reasons of one request's recommendations.

    Args:
        index: Whose items.
        reader: What reads requests to it.
        ranker: What scores its items.
        platform: What was learned from interactions; None before any.
        traits: Of the index's items; called when they are first needed.
        profile: Who asks.
        context: The circumstances.
        query: The request as it was read.
        rows: The candidates. Shape: ``(rows,)``.
        scored: What gives all rows their scores for someone in some circumstances, if the list wasn't made by the
            ranker alone; None for the ranker.
    """

    def __init__(
        self, index: Index, reader: Reader, ranker: Ranker, platform: Platform | None, traits: Callable[[], Traits], *,
        profile: Profile, context: Context | None, query: Query, rows: Rows, scored: Scored | None = None,
    ) -> None:  # fmt: skip
        self._index, self._reader, self._ranker, self._platform = index, reader, ranker, platform
        self._traits_of, self._profile, self._context, self._query, self._all = traits, profile, context, query, rows
        self._rows = rows if len(rows) <= CANDIDATES else np.intersect1d(rows, ranker.sample(CANDIDATES))
        self._scored = scored
        self._deleted: dict[tuple[str, str], _Deleted] = {}

    def explained(self, ranked: Sequence[Recommendation]) -> tuple[Recommendation, ...]:
        """Return recommendations with their reasons, the strongest first; without, where none is true."""
        rows = [self._index.catalogue.row(one.id) for one in ranked]
        self._take_in(rows)
        causes = list(self._causes(rows))
        self._reader.prepare([(cause.profile, cause.context) for cause in causes])
        self._read_phrases(causes, rows)
        return tuple(
            replace(one, reasons=tuple(self._reasons(row, causes))) for one, row in zip(ranked, rows, strict=True)
        )

    def _read_phrases(self, causes: Sequence[Cause], rows: Sequence[int]) -> None:
        """Encode in one go what phrases are compared with, so that comparing them needs no encoder."""
        words: dict[str, None] = {}
        for cause in causes:
            if cause.form in ("asked", "phrase"):
                deleted = self._without(cause)
                own = {each for row in rows for each in self._traits.of(row) if each in deleted.met}
                words.update(dict.fromkeys([cause.name, *(self._trait(each).value for each in sorted(own))]))
        if words:
            self._reader.vectors_of(list(words))

    def _take_in(self, rows: Sequence[int]) -> None:
        """Make sure that the rows are among the candidates that are told apart."""
        if not np.isin(rows, self._rows).all():
            self._rows = np.union1d(self._rows, np.array(rows, np.int64))
            self._deleted.clear()
            self.__dict__.pop("_before", None)

    @cached_property
    def _before(self) -> Scores:
        return self._scores(self._profile, self._context, query=self._query)

    def _scores(
        self, profile: Profile, context: Context | None, *, without: Sequence[str] = (), query: Query | None = None
    ) -> Scores:
        """Return what the candidates are given: by the ranker, or by what made the list."""
        if self._scored is not None:
            return self._scored(profile, context, without).at(self._rows)
        query = query or self._reader.read(profile, context, describe=False)[0]
        ranker = self._ranker.without(without) if without else self._ranker
        return ranker.score(query, self._rows, self._platform)

    @cached_property
    def _traits(self) -> Traits:
        return self._traits_of()

    # Causes -------------------------------------------------------------------------------------------------

    def _causes(self, rows: Sequence[int]) -> Iterator[Cause]:
        """Yield what may be taken out, the more telling before the less."""
        profile, context = self._profile, self._context
        yield from self._asked()
        yield from self._liked(rows)
        for stated in profile.dislikes[:_LIKES]:
            rest = replace(profile, dislikes=[value for value in profile.dislikes if value != stated])
            yield Cause("dislike", stated, self._named(stated), "dislike", rest, context)
        if context is not None and "context" in self._query.texts:
            yield Cause("context", self._query.texts["context"], _short(self._query.texts["context"]), "context",
                        profile, None)  # fmt: skip
        if "about" in self._query.texts:
            names = ", ".join(profile.attributes)
            yield Cause("about", names, names, "about", replace(profile, attributes={}), context)
        anyone = {"collaborative": "popularity", "appeal": "appeal"}
        for name in anyone.keys() & self._before.parts.keys():
            left_out = (name, "borrowed", "appeal") if name == "collaborative" else (name,)
            yield Cause(anyone[name], name, "", anyone[name], profile, context, left_out)

    def _asked(self) -> Iterator[Cause]:
        profile = self._profile
        if "text" not in self._query.texts:
            return
        asked = phrases(profile.text)
        for phrase in asked:
            yield Cause("text", phrase.said, _short(phrase.said), "asked", replace(profile, text=phrase.rest),
                        self._context)  # fmt: skip
        if all(phrase.rest for phrase in asked):
            yield Cause("text", profile.text, "", "text", replace(profile, text=""), self._context)

    def _liked(self, rows: Sequence[int]) -> Iterator[Cause]:
        profile = self._profile
        stated = list(profile.likes)
        past = list(dict.fromkeys(event.item for event in profile.events))
        for value in self._nearest([*stated, *past], rows):
            rest = replace(
                profile,
                likes=[like for like in stated if like != value],
                history=[event for event in profile.events if event.item != value],
            )
            form = ("like" if self._reader.find(value) is not None else "phrase") if value in stated else "past"
            yield Cause("like", value, self._named(value), form, rest, self._context)
        if len(stated) + len(past) > 1:
            yield Cause("taste", "", "", "taste", replace(profile, likes=[], history=[]), self._context)

    def _nearest(self, values: Sequence[str], rows: Sequence[int]) -> list[str]:
        """Return what is liked, and of many liked things those that are closest to one of the rows."""
        if len(values) <= _LIKES:
            return list(values)
        found = [(value, self._reader.find(value)) for value in values]
        items = [(value, row) for value, row in found if row is not None]
        vectors = self._index.centred
        near = (vectors[[row for _, row in items]] @ vectors[list(rows)].T).max(1)
        return [items[place][0] for place in np.argsort(-near, kind="stable")[:_LIKES]]

    def _named(self, value: str) -> str:
        row = self._reader.find(value)
        return _short(value if row is None else self._index.catalogue[row].title or value)

    # Deletion -----------------------------------------------------------------------------------------------

    def _without(self, cause: Cause) -> _Deleted:
        key = (cause.kind, cause.cause)
        if key not in self._deleted:
            before, query = self._before, self._query if cause.without else None
            after = self._scores(cause.profile, cause.context, without=cause.without, query=query)
            falls = standing(before.fused) - standing(after.fused)
            sinks = (falls >= LEAST) & (_places(after.fused) >= _places(before.fused))
            met = self._traits.met(falls, self._rows) if cause.kind in ("like", "text") else {}
            self._deleted[key] = _Deleted(falls, sinks, after, met)
        return self._deleted[key]

    def _reasons(self, row: int, causes: Iterable[Cause]) -> Iterator[Reason]:
        place = int(np.searchsorted(self._rows, row))
        found: list[tuple[Cause, float]] = []
        for cause in causes:
            deleted = self._without(cause)
            if deleted.sinks[place] and self._holds(cause, row):
                found.append((cause, float(deleted.falls[place])))
        named = {cause.kind for cause, _ in found if cause.form not in ("text", "taste")}
        told = [pair for pair in found if not (pair[0].form == "text" and "text" in named)]
        told = [pair for pair in told if not (pair[0].form == "taste" and "like" in named)]
        shown = 0
        for cause, fall in sorted(told, key=lambda pair: -pair[1]):
            sentence = self._sentence(cause, row, place)
            if self._grounded(sentence, cause, row) and shown < SHOWN:
                shown += 1
                yield Reason(cause.kind, cause.cause, sentence, fall)

    def _holds(self, cause: Cause, row: int) -> bool:
        """Whether what the sentence says beside the cause is so: that something is well known, or liked by many."""
        if cause.kind == "appeal":
            prior = None if self._ranker.appeal is None else self._ranker.appeal.prior[row]
            return prior is not None and bool(prior >= _WELL_KNOWN)
        if cause.kind == "popularity":
            assert self._platform is not None  # noqa: S101 - the scorer has a part
            counts = self._platform.likes.counts
            return bool(counts[row] >= 2 and counts[row] >= np.quantile(counts, 0.75))
        return True

    # Sentences ----------------------------------------------------------------------------------------------

    def _sentence(self, cause: Cause, row: int, place: int) -> str:
        deleted = self._without(cause)
        liked = self._reader.find(cause.cause) if cause.form in ("like", "past") else None
        if liked is not None and self._by_others(deleted.after, place, liked, row):
            return said(f"{cause.form}, others", cause=cause.name)
        trait = self._shared(deleted, row, liked) if liked is not None else self._meeting(cause, row)
        if trait is not None:
            return said(
                f"{cause.form}, having", cause=cause.name, label=trait.label, value=trait.value, several=trait.several
            )
        return said(cause.form, cause=cause.name)

    def _shared(self, deleted: _Deleted, row: int, liked: int) -> Trait | None:
        """Return what two items have in common and the cause is most clearly about."""
        shared = deleted.met.keys() & set(self._traits.of(row)) & set(self._traits.of(liked))
        return self._trait(max(shared, key=lambda each: deleted.met[each])) if shared else None

    def _meeting(self, cause: Cause, row: int) -> Trait | None:
        """Return the trait of an item that meets a phrase: the closest in words of those that the cause is about."""
        if cause.form not in ("asked", "phrase"):
            return None
        met = [each for each in self._traits.of(row) if each in self._without(cause).met]
        if not met:
            return None
        asked, *values = self._reader.vectors_of([cause.name, *(self._trait(each).value for each in met)])
        near = [float(asked @ value) for value in values]
        best = int(np.argmax(near))
        return self._trait(met[best]) if near[best] >= NEAR else None

    def _by_others(self, after: Scores, place: int, liked: int, row: int) -> bool:
        """Whether what others like had the largest part in a fall, and some like both things."""
        if self._platform is None or "collaborative" not in self._before.parts:
            return False
        lost = {
            name: _part(self._before, name, place) - _part(after, name, place)
            for name in _WITH_LIKES
            if name in self._before.parts
        }
        table = self._platform.likes.table
        both = table[:, [liked]].multiply(table[:, [row]]).sum()
        return max(lost, key=lambda name: lost[name]) == "collaborative" and both >= 2

    def _grounded(self, sentence: str, cause: Cause, row: int) -> bool:
        having = {(trait.label, trait.value) for trait in map(self._trait, self._traits.of(row))}
        profile = self._profile
        stated = {*profile.likes, *profile.dislikes, *(event.item for event in profile.events)}
        known = cause.cause in stated or cause.kind not in ("like", "dislike")
        known = known and (cause.form != "asked" or cause.cause in profile.text)
        return known and grounded(sentence, causes={cause.name}, having=having)

    def _trait(self, place: int) -> Trait:
        return self._traits.traits[place]


def _part(scores: Scores, name: str, place: int) -> float:
    if name not in scores.parts:
        return 0.0
    return float(scores.weights.get(name, 0.0) * scores.parts[name][1][place])


def _places(fused: Floats) -> Floats:
    """Return each candidate's place, from 0; candidates that tie share the middle of their places."""
    ordered = np.sort(fused)
    above = len(fused) - np.searchsorted(ordered, fused, side="right")
    least = len(fused) - np.searchsorted(ordered, fused, side="left") - 1
    places: Floats = (above + least) / 2.0
    return places


def _short(text: str) -> str:
    return shorten(tidy_title(plain(text[:500])), _LONGEST)
