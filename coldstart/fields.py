"""Which fields mean what: from any attributes of a profile or an item to the variables of a template."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from types import MappingProxyType
from typing import Any, Literal

from coldstart.entities import Context, Item, Profile, Scalar, Value
from coldstart.errors import TemplateError
from coldstart.wording import READ, READ_MEMBER, article, join_words, number, plain, says_nothing, tidy_title

Titles = Mapping[str, str] | Callable[[str], str | None]
"""Item id to title; a function may answer None for what it doesn't know."""
Values = dict[str, str | tuple[str, ...] | dict[str, str]]
"""What a template reads, by variable."""

MOST_MEMBERS = 512
"""Members of one list that are ever looked at."""

_FEW, _SHORT = 16, 60  # members, and characters of each, of values that are remembered

_ROLES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "profile": ("age", "birth_year", "gender", "occupation", "origin", "language", "text", "plain", "dropped"),
        "item": ("year", "creator", "sort", "genres", "origin", "description", "plain", "dropped"),
        "context": ("bare", "company", "plain", "dropped"),
        "endings": ("dropped",),
        "silent": ("profile", "item", "context"),
    }
)
_NAMES = ("gender", "occupation", "origin", "language", "sort", "genres")
_TABLES = ("labels", "gender", "young", "occupation", "language", "country")
_WORD_BREAK = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[\W_]+")
_YEAR = re.compile(r"(?<!\d)(1\d{3}|20\d\d)(?!\d)")
_ENDS_WITH_YEAR = re.compile(r"(?<!\d)\d{4}\)?$")
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?")
_ADDRESS = re.compile(r"(?:https?://|www\.)\S+$", re.I)

Entity = Literal["profile", "item", "context"]


@dataclass(frozen=True, slots=True)
class Fields:
    """The table behind automatic descriptions; see ``prompts/fields.toml``, which documents its parts.

    Attributes:
        roles: Entity to (field name to role and rank within the role).
        tables: Known values and how they read, in lower case.
        endings: Endings of the names that say nothing.
        silent: Entity to the values that say nothing of it.
    """

    roles: Mapping[str, Mapping[str, tuple[str, int]]]
    tables: Mapping[str, Mapping[str, str]]
    endings: tuple[str, ...]
    silent: Mapping[str, frozenset[str]]

    @classmethod
    def merge(cls, layers: Iterable[tuple[str, Mapping[str, Any]]]) -> Fields:
        """Build the table from (file, parsed TOML) pairs; a later layer moves names and adds to tables.

        Raises:
            TemplateError: An unknown part or role, or a value of the wrong type.
        """
        roles: dict[str, dict[str, tuple[str, int]]] = {entity: {} for entity in ("profile", "item", "context")}
        tables: dict[str, dict[str, str]] = {name: {} for name in _TABLES}
        lists: dict[str, list[str]] = {"dropped": [], "profile": [], "item": [], "context": []}
        for source, data in layers:
            _check(source, data)
            for part, content in data.items():
                if part in tables:
                    tables[part].update({key.casefold(): value for key, value in content.items()})
                elif part in roles:
                    for role, names in content.items():
                        roles[part].update({_snake(name): (role, rank) for rank, name in enumerate(names)})
                else:
                    for key, values in content.items():
                        lists[key] += [value.casefold() for value in values]
        silent = {entity: frozenset(lists[entity]) for entity in roles}
        return cls(roles, tables, tuple(lists["dropped"]), MappingProxyType(silent))

    @property
    def hash(self) -> str:
        """SHA-256 of the content: descriptions depend on it as they do on a template."""
        silent = {entity: sorted(values) for entity, values in self.silent.items()}
        content = json.dumps([self.roles, self.tables, self.endings, silent], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()

    def of_profile(self, profile: Profile, *, titles: Titles | None = None, context: Context | None = None) -> Values:
        """Return the variables of a ``user`` template.

        Liked things that ``titles`` doesn't know stay as said; past items without a title are left out.
        History is newest first, so that what is cut from its end is the oldest.
        """
        known, facts = self._read(profile.attributes, "profile")
        title_of = _lookup(titles)
        past = dict.fromkeys(event.item for event in reversed(profile.events))
        history = (title for id_ in past if (title := title_of(id_)))
        said = (plain(profile.text[:READ]), *_flat(known["text"]))
        return {
            "who": self._who(known),
            "origin": self._origin(known["origin"]),
            "traits": tuple(self._traits(known)),
            "text": " ".join(text for text in said if not says_nothing(text)),
            "likes": _titles(title_of(like) or like for like in profile.likes),
            "dislikes": _titles(title_of(dislike) or dislike for dislike in profile.dislikes),
            "history": _titles(history),
            "facts": tuple(facts),
            "context": self.of_context(context) if context else (),
            "attributes": self._attributes(profile.attributes, "profile"),
        }

    def of_context(self, context: Context) -> tuple[str, ...]:
        """Return the circumstances as phrases: "evening", "with friends", "device: phone"."""
        known, facts = self._read(context.attributes, "context")
        company = [join_words(found.words) for found in known["company"]]
        phrases = [words if words.casefold() in ("alone", "nobody") else f"with {words}" for words in company]
        return (*_flat(known["bare"]), *phrases, *facts)

    def of_item(self, item: Item, *, kind: str) -> Values:
        """Return the variables of an ``item`` or ``appeal-item`` template."""
        known, facts = self._read(item.attributes, "item", prefix=_snake(kind) + "_")
        title = tidy_title(item.title[:READ])
        years = [match[1] for text in _flat(known["year"]) if (match := _YEAR.search(text))]
        # One maker and one sort make the sentence; any others are named.
        facts = [self._fact(found) for role in ("creator", "sort") for found in known[role][1:]] + facts
        return {
            "title": title,
            "year": years[0] if years and not _ENDS_WITH_YEAR.search(title[-8:]) else "",
            "creator": join_words(known["creator"][0].words[:3]) if known["creator"] else "",
            "sort": _sort_of(_flat(known["sort"][:1]), kind),
            "genres": _flat(known["genres"]),
            "origin": self._origin(known["origin"]),
            "description": " ".join(_flat(known["description"])),
            "facts": tuple(facts),
            "attributes": self._attributes(item.attributes, "item"),
        }

    def label(self, name: str, *, kind: str) -> str:
        """Return what an item's attribute is called in a sentence; nothing for what tells no trait of it.

        Identifiers, addresses and the like tell none, nor does a description.
        """
        if self.role(name, kind=kind) in ("dropped", "description"):
            return ""
        short = _snake(name).removeprefix(_snake(kind) + "_")
        return self.tables["labels"].get(short, short.replace("_", " ")).strip()

    def role(self, name: str, *, kind: str) -> str:
        """Return what an item's attribute is: "genres", "year", ...; "dropped" for identifiers and the like."""
        snake = _snake(name)
        known = self.roles["item"].get(snake) or self.roles["item"].get(snake.removeprefix(_snake(kind) + "_"))
        if known is None:
            return "dropped" if snake.endswith(self.endings) else "plain"
        return "dropped" if known[0] == "plain" and snake.endswith(self.endings) else known[0]

    def words(self, value: Value) -> tuple[str, ...]:
        """Return what an item's value says, as distinct words; nothing for placeholders and web addresses."""
        return self._words(value, "item")

    def facets_of(self, item: Item, *, kind: str) -> Iterable[tuple[str, str]]:
        """Return the values of an item that others may share, each with its field's label: ("pairings", "Beef").

        A field that says yes gives ("outdoor seating", ""), and one that says no gives nothing. Numbers, years and
        descriptions are no facets.
        """
        known = self._known(item.attributes, "item", prefix=_snake(kind) + "_")
        for role in ("sort", "genres", "creator", "origin", "plain"):
            for found in known[role]:
                label = self.tables["labels"].get(found.name, found.name.replace("_", " ")).strip()
                for word in found.words:
                    answer = word.casefold()
                    if answer in ("yes", "true") and len(found.words) == 1:
                        yield label, ""
                    elif answer not in ("no", "false") and any(map(str.isalpha, word)):
                        yield label, word

    def _read(
        self, attributes: Mapping[str, Value], entity: Entity, *, prefix: str = " "
    ) -> tuple[dict[str, list[_Found]], list[str]]:
        """Return the known fields by role, each role's in the table's order, and all others as facts."""
        known = self._known(attributes, entity, prefix=prefix)
        return known, [self._fact(found) for found in known["plain"]]

    def _known(self, attributes: Mapping[str, Value], entity: Entity, *, prefix: str) -> dict[str, list[_Found]]:
        """Return the fields by role, each role's in the table's order."""
        ranked: dict[str, list[tuple[int, _Found]]] = {role: [] for role in _ROLES[entity]}
        for name, value in islice(attributes.items(), MOST_MEMBERS + 1):
            snake = _snake(name)
            short = snake.removeprefix(prefix)
            roles = self.roles[entity]
            role, rank = roles.get(snake) or roles.get(short) or ("plain", 0)
            if role == "plain" and snake not in roles and snake.endswith(self.endings):
                continue
            if isinstance(value, bool) and role != "dropped":
                role = "plain"
            words = () if role == "dropped" else self._words(value, entity)
            if role in _NAMES:
                # A code such as occupation 17 names nothing.
                words = tuple(word for word in words if any(map(str.isalpha, word)))
            if words:
                ranked[role].append((rank, _Found(short, words)))
        ordered = {
            role: pairs if role == "plain" else sorted(pairs, key=lambda p: p[0]) for role, pairs in ranked.items()
        }
        return {role: [found for _, found in pairs] for role, pairs in ordered.items()}

    def _words(self, value: Value, entity: Entity) -> tuple[str, ...]:
        """Return what a value says, as distinct words; nothing for placeholders and web addresses."""
        members = value if isinstance(value, tuple) else (value,)
        short = len(members) <= _FEW and all(type(member) is str and len(member) <= _SHORT for member in members)
        return (_said_again if short else _said)(members, self.silent[entity])

    def _fact(self, found: _Found) -> str:
        """Return "favourite colour: red", "has children", "no children" or "smoker: no"."""
        label = self.tables["labels"].get(found.name, found.name.replace("_", " ")).strip()
        answer = {"true": True, "yes": True, "false": False, "no": False}.get(found.words[0].casefold())
        verb, _, rest = label.partition(" ")
        if answer is not None and len(found.words) == 1:
            if verb == "has" and rest:
                return label if answer else f"no {rest}"
            if verb == "is" and rest:
                return rest if answer else f"not {rest}"
            return f"{label}: {'yes' if answer else 'no'}"
        return f"{label}: {join_words(found.words)}" if label else join_words(found.words)

    def _who(self, known: Mapping[str, Sequence[_Found]]) -> str:
        """Return "34-year-old woman", "woman aged 25-34", "person"; nothing if neither age nor gender is known."""
        age = next(iter(_flat(known["age"])), "")
        said = next(iter(_flat(known["gender"])), "")
        noun = self.tables["gender"].get(said.casefold(), "" if said.isdigit() else said.casefold())
        if noun and noun not in self.tables["young"] and not noun.endswith(("man", "person", "boy", "girl")):
            noun += " person"
        if not age.isdigit() or not 0 < int(age[:4]) < 130:
            # An age that isn't a plain number is a range ("25-34"); one that can't be is an error in the data.
            aged = bool(age) and not _NUMBER.fullmatch(age)
            return f"{noun or 'person'} aged {age}" if aged else noun
        if int(age) < 18:
            noun = self.tables["young"].get(noun, noun)
        return f"{int(age)}-year-old {noun or 'person'}"

    def _traits(self, known: Mapping[str, Sequence[_Found]]) -> Iterable[str]:
        for born in _flat(known["birth_year"])[:1]:
            if not known["age"]:
                yield f"was born in {born}"
        for job in _flat(known["occupation"])[:3]:
            job = job.lower() if job.istitle() else job
            last = re.split(r"[/ ]", job.casefold())[-1]
            phrase = self.tables["occupation"].get(job.casefold()) or self.tables["occupation"].get(last)
            if phrase is None:
                yield f"works as {article(job)} {job}"
            elif phrase.startswith("is a ") and last != job.casefold():
                yield f"is {article(job)} {job}"
            elif phrase:
                yield phrase
        languages = _flat(known["language"])
        if languages:
            yield f"speaks {join_words([self.tables['language'].get(w.casefold(), w) for w in languages])}"

    def _origin(self, places: Sequence[_Found]) -> str:
        words = [
            self.tables["country"].get(word.casefold(), word) if found.name.startswith("country") else word
            for found in places
            for word in found.words
        ]
        return ", ".join(dict.fromkeys(words))

    def _attributes(self, attributes: Mapping[str, Value], entity: Entity) -> dict[str, str]:
        pairs = (
            (_snake(name), self._words(value, entity)) for name, value in islice(attributes.items(), MOST_MEMBERS + 1)
        )
        return {name: join_words(words) for name, words in pairs if words}


@dataclass(frozen=True, slots=True)
class _Found:
    """A field of an entity: its name in snake_case and what it says, never nothing."""

    name: str
    words: tuple[str, ...]


def _said(members: tuple[Scalar, ...], silent: frozenset[str]) -> tuple[str, ...]:
    """Return the members of a value that say something, as distinct words."""
    members = members[:MOST_MEMBERS]
    words = (_scalar(member, READ_MEMBER if len(members) > 1 else READ) for member in members)
    kept = (w for w in words if not says_nothing(w) and not _ADDRESS.match(w))
    return tuple(dict.fromkeys(w for w in kept if w.casefold() not in silent))


# Items share most of their values, and each of them is read for what it is and for what it is called.
_said_again = lru_cache(maxsize=8192)(_said)


def _flat(found: Iterable[_Found]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word for each in found for word in each.words))


def _titles(titles: Iterable[str]) -> tuple[str, ...]:
    tidy = (tidy_title(title[:READ_MEMBER]) for title in islice(titles, MOST_MEMBERS + 1))
    return tuple(dict.fromkeys(title for title in tidy if title))


def _lookup(titles: Titles | None) -> Callable[[str], str | None]:
    if titles is None:
        return lambda _: None
    return titles.get if isinstance(titles, Mapping) else titles


def _scalar(value: Scalar, most: int) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, str):
        return number(value)
    text = plain(value[:most])
    # A code such as No_Alcohol_Served is read as its words.
    return text if " " in text else text.replace("_", " ").strip()


def _sort_of(sorts: Sequence[str], kind: str) -> str:
    """Return "red wine" for the sort "Red"; nothing if it only repeats the kind."""
    words = join_words(sorts[:2])
    if not words or words.casefold() == kind.casefold() or len(words) > 60:
        return ""
    words = words if words.isupper() else words.lower()
    return words if words.casefold().endswith(kind.casefold()) else f"{words} {kind}"


@lru_cache(maxsize=1024)
def _snake(name: str) -> str:
    return _WORD_BREAK.sub("_", plain(name[:200])).strip("_").lower()


def _check(source: str, data: Mapping[str, Any]) -> None:
    """Raise unless every part is known and holds what it should."""
    known = (*_ROLES, *_TABLES)
    for part, content in data.items():
        if part not in known:
            raise TemplateError(f"{source} has the unknown part [{part}]: expected one of {', '.join(known)}")
        if not isinstance(content, Mapping):
            raise TemplateError(f"{source} sets {part} to {content!r}: expected a table [{part}]")
        for key, value in content.items():
            if part in _TABLES and not isinstance(value, str):
                raise TemplateError(f'{source} sets {part}.{key} to {value!r}: expected text; write {key} = "..."')
            if part in _ROLES and key not in _ROLES[part]:
                raise TemplateError(f"{source} has the unknown key {part}.{key}: expected {', '.join(_ROLES[part])}")
            if part in _ROLES and not (isinstance(value, list) and all(isinstance(name, str) for name in value)):
                raise TemplateError(f"{source} sets {part}.{key} to {value!r}: expected a list of texts")
