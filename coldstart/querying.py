"""Querying: what a person says and likes becomes rows and vectors, and what they ask for, the rows that may answer."""

from __future__ import annotations

import contextlib
import re
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from coldstart.blas import undivided
from coldstart.entities import Context, Profile
from coldstart.errors import ColdstartError, ProfileError, UnknownItem
from coldstart.index import Index
from coldstart.learning.meanings import DISLIKE, IGNORE, SHOWN, Meanings
from coldstart.negation import parted, undecided
from coldstart.prompting import Library
from coldstart.scoring import Query
from coldstart.scoring.blank import Idle
from coldstart.wording import EXAMPLE, LONGEST_MEMBER, READ, READ_MEMBER, plain, shorten, tidy_title

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from coldstart.enriching import Enrichment

    Vectors = Mapping[str, NDArray[np.float32]]

HISTORY_WEIGHT = 0.5
"""How much a past item counts beside a stated like; without stated likes, past items count in full."""

_DATED = re.compile(r"(?P<title>.+\S)\s*\((?P<year>[12]\d{3})\)")

_LONGEST_TITLE = 12  # words
_MOST_EXAMPLES = 20  # a text of nothing but "like" would take long
_APART = re.compile(r"[\s.!?]*(?:$|[,;:.!?)]|\s(?:and|or|but|for|with|only|please|that|which)\b)")

_TEXTS_KEPT = 4096
_VIEWS_READ = 64  # texts whose cosines with all items are kept until their request is read


class Reader:
    """Reads requests to an index. The vectors of the texts that it read last are kept, and nothing of who asked.

    Args:
        index: What is asked.
        library: How people are described.
        encode: From texts to unit vectors in the index's space, not centred. Shape: ``(texts, dimension)``.
        previous: Of another index by the same encoder, whose texts are taken over.
        enrichment: What a language model chose to be read beside what people say; None for nothing.
    """

    def __init__(
        self,
        index: Index,
        library: Library,
        encode: Callable[[Sequence[str]], NDArray[np.float32]],
        previous: Reader | None = None,
        enrichment: Enrichment | None = None,
    ) -> None:
        self._index, self._library, self._encode = index, library, encode
        self._catalogue = index.catalogue
        self._previous = previous
        self.enrichment = enrichment
        self._cosines: dict[str, NDArray[np.float32]] = {}
        self._said_before: OrderedDict[Hashable, str] = OrderedDict()
        self._texts: OrderedDict[str, NDArray[np.float32]] = OrderedDict() if previous is None else previous._texts
        if previous is not None and "_idle" in previous.__dict__:
            self.__dict__["_idle"] = previous._idle

    @undivided()
    def prepare(self, requests: Sequence[tuple[Profile, Context | None]]) -> None:
        """Encode what several requests say in one go; reading each afterwards needs no encoder.

        Requests that can't be read are left to the reading, which says why.
        """
        wanted: list[str] = []
        views: list[str] = []
        for profile, context in requests:
            with contextlib.suppress(ColdstartError):
                text, unwanted = _parted(profile.text)
                views += self._said(replace(profile, text=text), context).values()
                wanted += unwanted
                wanted += self._stated(profile.likes, "likes")[1]
                wanted += self._stated(profile.dislikes, "dislikes")[1]
        self.vectors_of([*views, *wanted])
        if wanted or any(profile.text for profile, _ in requests):
            _ = self._idle
        views = list(dict.fromkeys(views))[:_VIEWS_READ]
        self._cosines.clear()
        if views and not self._index.is_large:  # one product for all reads the items' vectors once
            self._cosines.update(zip(views, self._index.near(np.stack(self.vectors_of(views))), strict=True))

    @undivided()
    def read(
        self,
        profile: Profile,
        context: Context | None,
        *,
        describe: bool = True,
        meanings: Meanings | None = None,
    ) -> tuple[Query, tuple[str, ...]]:
        """Return the request in rows and vectors, and what the caller should know of how it was read.

        Args:
            profile: What is known of the person.
            context: The circumstances of the request.
            describe: Whether the query holds the description that the language model reads.
            meanings: What types of events in the history say.

        Raises:
            UnknownItem: An id that the catalogue doesn't hold.
        """
        liked, liked_phrases, notes = self._stated(profile.likes, "likes")
        if self.enrichment is not None and (common := self.enrichment.profile(profile, self._catalogue, self.find)):
            liked_phrases = (*liked_phrases, common)
        disliked, disliked_phrases, more = self._stated(profile.dislikes, "dislikes")
        past, hidden = self._past(profile, meanings or Meanings())
        disliked = [*disliked, *(row for row in hidden if row not in {*liked, *disliked})]
        past = np.array(list(dict.fromkeys(int(row) for row in past if row not in {*liked, *disliked})), np.int64)
        weight = HISTORY_WEIGHT if liked or liked_phrases else 1.0
        wanted, unwanted = _parted(profile.text)
        if profile.text and not wanted and not unwanted:
            more += [f"the text leaves the choice: {_short(profile.text)} is read as nothing said"]
        disliked_phrases = tuple(dict.fromkeys((*disliked_phrases, *unwanted)))
        more += [f"the text says what isn't wanted: {_short(phrase)} is read as a dislike" for phrase in unwanted]
        texts = self._said(replace(profile, text=wanted), context)
        examples = self._examples(wanted)
        more += [
            f"{_short(tidy_title(self._catalogue[row].title))} is an example of what is wanted: left out"
            for row in examples
        ]
        phrases = (*liked_phrases, *disliked_phrases)
        said, vectors = self._vectors([*texts.values(), *phrases])
        query = Query(
            liked=np.array([*liked, *past], np.int64),
            liked_weights=np.array([1.0] * len(liked) + [weight] * len(past)),
            disliked=np.array(disliked, np.int64),
            examples=np.array(examples, np.int64),
            liked_phrases=liked_phrases,
            disliked_phrases=disliked_phrases,
            texts=texts,
            vectors=vectors,
            said=said,
            **self._beside_idle(said) if "text" in texts or phrases else {},
            cosines={text: self._cosines.pop(text) for text in texts.values() if text in self._cosines},
            description=self._description(profile, context) if describe else "",
            attributes=profile.attributes,
            past=len(past),
        )
        return query, (*notes, *more)

    @cached_property
    def _idle(self) -> Idle:
        return Idle.read(self._encode)

    def _beside_idle(self, said: Vectors) -> dict[str, Any]:
        """Return what tells whether texts say anything, as a query holds it."""
        like = self._idle.like(np.stack(list(said.values())))
        return {"blank": self._idle.blank, "idle": dict(zip(said, like.tolist(), strict=True))}

    def _past(self, profile: Profile, meanings: Meanings) -> tuple[NDArray[np.int64], list[int]]:
        """Return the rows of past items that were taken up, and of those whose last event says they were disliked."""
        rows = self._catalogue.rows([event.item for event in profile.events])
        said = [meanings.of(event.event_type) for event in profile.events]
        last = {int(row): one for row, one in zip(rows, said, strict=True) if one not in (SHOWN, IGNORE)}
        return np.array([row for row in last if last[row] != DISLIKE], np.int64), [
            row for row in last if last[row] == DISLIKE
        ]

    def items(self, values: Sequence[str]) -> list[int]:
        """Return the rows of the items among what a profile likes or dislikes, each once; phrases are none.

        Raises:
            UnknownItem: An id that the catalogue doesn't hold.
        """
        return self._stated(values, "likes or dislikes")[0]

    def eligible(
        self,
        query: Query,
        profile: Profile,
        *,
        where: Mapping[str, Any] | None = None,
        exclude: Iterable[str] = (),
        candidates: Iterable[str] | None = None,
    ) -> NDArray[np.bool_]:
        """Return which rows may be recommended. Shape: ``(items,)``.

        What the profile names is left out, also as an example in its text, unless there are candidates; the rest is as
        in :meth:`coldstart.recommender.Recommender.recommend`.

        Raises:
            ProfileError: Ids given as one text, or a condition that can't be used.
            UnknownItem: An id that the catalogue doesn't hold.
        """
        for name, ids in (("exclude", exclude), ("candidates", candidates)):
            if isinstance(ids, str):
                raise ProfileError(f"{name} is the text {ids!r}: expected a list of item ids; write [{ids!r}]")
        eligible = np.zeros(len(self._catalogue), bool)
        if candidates is None:
            eligible[:] = True
            eligible[query.liked] = False
            eligible[query.disliked] = False
            eligible[query.examples] = False
            eligible[self._catalogue.rows([event.item for event in profile.events])] = False
        else:
            eligible[self._catalogue.rows(list(candidates))] = True
        eligible[self._catalogue.rows(list(exclude))] = False
        if where is not None:
            eligible &= self._catalogue.select(where)
        return eligible

    def _stated(self, values: Sequence[str], what: str) -> tuple[list[int], tuple[str, ...], list[str]]:
        """Tell items, by id or exact title, from phrases; a word that is neither is an error."""
        rows: list[int] = []
        phrases: list[str] = []
        notes: list[str] = []
        for value in values:
            row = self.find(value)
            if row is not None:
                rows.append(row)
            elif " " in value or (not value.isdigit() and value.casefold() in self._words):
                phrases.append(shorten(plain(value[:READ_MEMBER]), LONGEST_MEMBER))
                notes.append(f"{what} names {_short(value)}, which is no item's id or title: read as a phrase")
            else:
                self._unknown(value, what)
        return list(dict.fromkeys(rows)), tuple(dict.fromkeys(phrases)), notes

    def _unknown(self, value: str, what: str) -> None:
        try:
            self._catalogue.row(value)
        except UnknownItem as problem:
            raise UnknownItem(
                f"a profile's {what}: {problem} (a phrase of several words, or of the catalogue's own, needs no item)"
            ) from None

    def find(self, value: str) -> int | None:
        """Return the row of an item by its id or its exact title; None for what names none."""
        if value in self._catalogue:
            return self._catalogue.row(value)
        title = tidy_title(value[:READ]).casefold()
        found = self._rows_by_title.get(title)
        dated = _DATED.fullmatch(title) if found is None else None
        if dated is None:
            return found
        found = self._rows_by_title.get(dated["title"])  # "Toy Story (1995)" where the year is an attribute
        told = () if found is None else self._catalogue[found].attributes.values()
        return found if any(str(value).startswith(dated["year"]) for value in told) else None

    def _examples(self, text: str) -> list[int]:
        """Return the rows of items whose titles a text gives as examples: "something like Toy Story".

        The longest title that follows such words and ends where they do counts; what is also a value, such as "Red",
        names no item. A text that is nothing but a title isn't an example: it looks for the item.
        """
        found: list[int] = []
        for cue in islice(EXAMPLE.finditer(text[:READ]), _MOST_EXAMPLES):
            rest = text[cue.end() : cue.end() + READ_MEMBER]
            ends = [match.end() for match in re.finditer(r"\S+", rest)][:_LONGEST_TITLE]
            marks = sorted({*ends, *(end - 1 for end in ends)}, reverse=True)
            titles = (rest[:end].strip(" \"'“”‘’") for end in marks if _APART.match(rest, end))
            row = next((row for title in titles if title and (row := self._titled(title)) is not None), None)
            if row is not None:
                found.append(row)
        return list(dict.fromkeys(found))

    def _titled(self, title: str) -> int | None:
        return None if title in self._catalogue or title.casefold() in self._values else self.find(title)

    @cached_property
    def _values(self) -> frozenset[str]:
        return frozenset(value.casefold() for _, value in self._index.facets.names)

    @cached_property
    def _rows_by_title(self) -> Mapping[str, int]:
        """Rows by tidied title, without titles that several items share."""
        found: dict[str, int] = {}
        shared: set[str] = set()
        for row, title in enumerate(self._tidied.values()):
            if title in found or not title:
                shared.add(title)
            found[title] = row
        return {title: row for title, row in found.items() if title not in shared}

    @cached_property
    def _tidied(self) -> Mapping[str, str]:
        """Tidied titles without case, by item."""
        return {item.id: tidy_title(item.title).casefold() for item in self._catalogue.items}

    def _tidied_from(self, before: Reader) -> Mapping[str, str]:
        known = {item.id: (item.title, before._tidied[item.id]) for item in before._catalogue.items}
        found = ((item.id, item.title, known.get(item.id, ("", None))) for item in self._catalogue.items)
        return {
            id_: tidied if tidied is not None and old == title else tidy_title(title).casefold()
            for id_, title, (old, tidied) in found
        }

    @cached_property
    def _words(self) -> frozenset[str]:
        """The catalogue's own words, and while items come and go also those of items that went."""
        return _words_of(self._index.documents)

    def warm(self) -> None:
        """Work out what requests to the one before needed, and let go of that one."""
        before, self._previous = self._previous, None
        if before is None:
            return
        if "_tidied" in before.__dict__:
            self.__dict__["_tidied"] = self._tidied_from(before)
        if "_words" in before.__dict__:
            new = set(self._index.documents).difference(before._index.documents)
            self.__dict__["_words"] = before._words | _words_of(new)

    def said(self, profile: Profile) -> tuple[str, ...]:
        """Return the texts that a profile is read as, but for its likes and dislikes."""
        return tuple(self._said(replace(profile, text=_parted(profile.text)[0]), None).values())

    def _said(self, profile: Profile, context: Context | None) -> dict[str, str]:
        texts = {
            "text": self._described(Profile(text=profile.text), profile.text),
            "about": self._described(Profile(attributes=profile.attributes), tuple(profile.attributes.items())),
            "context": ", ".join(self._library.fields.of_context(context)) if context else "",
        }
        return {view: text for view, text in texts.items() if text}

    def _described(self, profile: Profile, key: Hashable) -> str:
        """Return what is said of a profile; what was said last is kept by its key."""
        if key not in self._said_before:
            found = self._library.describe_profile(profile, kind=self._catalogue.kind)
            self._said_before[key] = found.text
            while len(self._said_before) > _TEXTS_KEPT:
                self._said_before.popitem(last=False)
        return self._said_before[key]

    def _description(self, profile: Profile, context: Context | None) -> str:
        def title_of(value: str) -> str | None:
            row = self.find(value)
            return None if row is None else self._catalogue[row].title

        found = self._library.describe_profile(profile, kind=self._catalogue.kind, titles=title_of, context=context)
        return found.text

    def _vectors(self, texts: Sequence[str]) -> tuple[Vectors, Vectors]:
        """Return the unit vectors of texts, as the encoder gave them and centred."""
        if not texts:
            return {}, {}
        known = np.stack(self.vectors_of(texts))
        return dict(zip(texts, known, strict=True)), dict(zip(texts, self._index.centre(known), strict=True))

    def vectors_of(self, texts: Sequence[str]) -> list[NDArray[np.float32]]:
        """Return the unit vectors of texts, not centred; those read last are kept."""
        new = [text for text in dict.fromkeys(texts) if text not in self._texts]
        if new:
            self._texts.update(zip(new, self._encoded(new), strict=True))
        found = [self._texts[text] for text in texts]
        while len(self._texts) > _TEXTS_KEPT:
            self._texts.popitem(last=False)
        return found

    def _encoded(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors of texts: of one that was said in other ways too, the mean's direction."""
        if self.enrichment is None:
            return self._encode(texts)
        ways = [(text, *self.enrichment.rewrites(text, kind=self._catalogue.kind)) for text in texts]
        vectors = self._encode([way for each in ways for way in each])
        starts = np.cumsum([0, *(len(each) for each in ways[:-1])])
        sums = np.add.reduceat(vectors, starts, axis=0)
        found: NDArray[np.float32] = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)
        return found


def _parted(text: str) -> tuple[str, tuple[str, ...]]:
    """Return what a text wants and, as phrases, what it doesn't; neither for one that leaves the choice."""
    if undecided(text[:READ]):
        return "", ()
    wanted, unwanted = parted(text[:READ])
    if not unwanted:
        return text, ()
    return wanted, tuple(phrase for said in unwanted if (phrase := shorten(plain(said), LONGEST_MEMBER)))


def _words_of(documents: Iterable[str]) -> frozenset[str]:
    return frozenset(word.strip(".,:;()'\"!?") for text in documents for word in text.casefold().split())


def count(value: Any, name: str, *, least: int) -> int:
    """Return a whole number of at least ``least``; ProfileError, naming what it is, for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ProfileError(f"{name} is {value!r}: expected a whole number >= {least}")
    return int(value)


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
