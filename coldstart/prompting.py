"""Templates at work: the library of them, task descriptions, the token budget. The files are in ``prompts/``.

Data is only ever data: it is never rendered again, it holds one line, and it can't spell a chat template's markers.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jinja2

from coldstart.entities import Context, Item, Profile
from coldstart.errors import TemplateError
from coldstart.fields import MOST_MEMBERS, Fields, Titles
from coldstart.templates import (
    ONE_LINE,
    PURPOSES,
    Part,
    Prepared,
    Template,
    Variable,
    compiled,
    read_text,
    read_toml,
    toml_files,
)
from coldstart.wording import LONGEST, LONGEST_MEMBER, READ, READ_MEMBER, number, plain, plural, shorten

__all__ = [
    "FOLDERS_VARIABLE",
    "PURPOSES",
    "Library",
    "TaskDescription",
    "Template",
    "check",
    "estimate_tokens",
    "render",
]

FOLDERS_VARIABLE = "COLDSTART_PROMPTS"
"""Environment variable: folders of templates, separated like PATH, that override the built-in ones."""

_LONGEST_OUTPUT = 1_000_000
_CHARACTERS_A_TOKEN = 12  # more than any tokenizer reaches on average, so that this cut loses nothing that would fit


@dataclass(frozen=True, slots=True)
class TaskDescription:
    """What a template rendered to.

    Attributes:
        template: The template's name.
        hash: The template's content hash.
        truncated: The variables that were cut to fit, in alphabetical order.
    """

    text: str
    template: str
    hash: str
    truncated: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Library(Iterable[Template]):
    """The templates by name, sorted, and the table of what field names mean."""

    templates: Mapping[str, Template]
    fields: Fields

    @classmethod
    def load(cls, folders: Sequence[Path | str] = ()) -> Library:
        """Read the built-in templates, then those of ``$COLDSTART_PROMPTS``, then those of the folders.

        A template overrides an earlier one of the same name; a ``fields.toml`` adds to the earlier ones.

        Raises:
            TemplateError: A folder that doesn't exist, or a file that can't be used.
        """
        named = [folder for folder in os.environ.get(FOLDERS_VARIABLE, "").split(os.pathsep) if folder]
        templates: dict[str, Template] = {}
        layers: list[tuple[str, Mapping[str, Any]]] = []
        for folder in (None, *named, *folders):
            here: dict[str, Template] = {}
            for file in toml_files(files("coldstart.prompts") if folder is None else Path(folder)):
                source = f"built in: {file.name}" if folder is None else str(file)
                if file.name == "fields.toml":
                    layers.append((source, read_toml(read_text(file), source=source)))
                    continue
                template = Template.parse(read_text(file), source=source)
                if template.name in here:
                    raise TemplateError(f"{source} is the second template named {template.name!r} there: rename one")
                here[template.name] = template
            templates |= here
        return cls(MappingProxyType(dict(sorted(templates.items()))), Fields.merge(layers))

    def __iter__(self) -> Iterator[Template]:
        return iter(self.templates.values())

    def __len__(self) -> int:
        return len(self.templates)

    def get(self, name: str) -> Template:
        """Return the template of this name."""
        if name not in self.templates:
            raise TemplateError(f"no template is named {name!r}: expected one of {', '.join(self.templates)}")
        return self.templates[name]

    def of(self, purpose: str) -> tuple[Template, ...]:
        """Return the templates of a purpose, sorted by name."""
        if purpose not in PURPOSES:
            raise TemplateError(f"no purpose is named {purpose!r}: expected one of {', '.join(PURPOSES)}")
        return tuple(template for template in self if template.purpose == purpose)

    def hash(self, names: Iterable[str] | None = None) -> str:
        """Return the SHA-256 of these templates (all by default, in any order) and of the table of fields."""
        chosen = sorted({self.get(name).hash for name in (self.templates if names is None else names)})
        return hashlib.sha256("\n".join((self.fields.hash, *chosen)).encode()).hexdigest()

    def describe_profile(
        self,
        profile: Profile,
        *,
        kind: str,
        titles: Titles | None = None,
        context: Context | None = None,
        template: str = "user",
        budget: int | None = None,
        count_tokens: Callable[[str], int] | None = None,
    ) -> TaskDescription:
        """Describe a new user; the text is empty if nothing is known.

        ``titles`` gives the titles of the ids in likes, dislikes and history; the rest is as for :func:`render`.
        """
        values = self.fields.of_profile(profile, titles=titles, context=context)
        return render(self.get(template), {**values, "kind": kind}, budget=budget, count_tokens=count_tokens)

    def describe_item(
        self,
        item: Item,
        *,
        kind: str,
        template: str = "item",
        budget: int | None = None,
        count_tokens: Callable[[str], int] | None = None,
    ) -> TaskDescription:
        """Describe an item; with ``template="item-title"``, only name it. Arguments as for :func:`render`."""
        values = self.fields.of_item(item, kind=kind)
        return render(self.get(template), {**values, "kind": kind}, budget=budget, count_tokens=count_tokens)

    def describe_facet(self, label: str, value: str, *, kind: str, template: str = "facet") -> str:
        """Name one value that items share, for the encoder; an empty value says yes to the field ``label``."""
        return render(self.get(template), {"label": label, "value": value, "kind": kind}).text


def estimate_tokens(text: str) -> int:
    """Return a count that is rarely too low: a third of the UTF-8 bytes, where English takes a fourth.

    >>> estimate_tokens("A 34-year-old woman.")
    7
    """
    return math.ceil(len(text.encode("utf-8", "replace")) / 3)


def render(
    template: Template,
    values: Mapping[str, Any],
    *,
    part: Part = "text",
    budget: int | None = None,
    count_tokens: Callable[[str], int] | None = None,
) -> TaskDescription:
    """Render a template, cutting its variables until the text fits.

    Variables not given are empty, and ``kinds`` follows from ``kind``. When the text doesn't fit, long variables
    are cut first and the important ones less (``Variable.share``): lists lose their last members, texts their last
    words. Titles are cut only when nothing else is left, the template's own words never.

    Args:
        template: From a library, a file or made in code.
        values: Text, numbers, lists of them, or (``attributes``) a mapping to them, by variable.
        part: Of a template in two parts, ``text`` or ``candidate``.
        budget: Most tokens; the template's own budget holds if it is lower.
        count_tokens: The model's count, including special tokens if they matter; default :func:`estimate_tokens`.

    Raises:
        TemplateError: A value that the purpose doesn't know, or a budget below the template's own words.
    """
    program, used = compiled(template, part)
    variables = PURPOSES[template.purpose]
    for name in values.keys() - variables.keys():
        raise TemplateError(f"{template.where} was given {name!r}: expected {', '.join(variables)}")
    kind = plain(str(values.get("kind") or "item"))[:100]
    given = {"kinds": plural(kind), **values, "kind": kind}
    whole = {name: _prepare(given.get(name), empty=variables[name].empty) for name in used}
    limit = min((tokens for tokens in (budget, template.budget) if tokens is not None), default=None)
    most = LONGEST if limit is None else min(LONGEST, _CHARACTERS_A_TOKEN * max(1, limit))
    values = {
        name: _cut(value, most, members=most) if variables[name].share else value for name, value in whole.items()
    }
    if limit is not None:
        count = count_tokens or estimate_tokens
        values = _fit(values, variables, lambda values: count(_run(template, program, values)) <= limit)
    text = _run(template, program, values)
    if limit is not None and not any(values[name] for name in used if variables[name].share) and count(text) > limit:
        raise TemplateError(
            f"{template.where} takes {count(text)} tokens for its own words, but the budget is {limit}: "
            f"raise the budget or shorten the template"
        )
    cut = sorted(name for name in used if values[name] != whole[name])
    return TaskDescription(text, template.name, template.hash, tuple(cut))


_Values = dict[str, Prepared]


def _fit(values: _Values, variables: Mapping[str, Variable], fits: Callable[[_Values], bool]) -> _Values:
    """Return the values cut as little as makes them fit; all empty if nothing does.

    Each variable may keep ``level * share`` characters, so that a higher level keeps more of everything. Variables
    whose share is infinite (titles) stay whole as long as the others can make room.
    """
    if fits(values):
        return values
    shares = {name: variables[name].share for name in values if 0 < variables[name].share < math.inf}
    titles = {name: 1.0 for name in values if variables[name].share == math.inf}
    bare = _keep(values, shares, 0)
    if fits(bare):
        return _fullest(values, shares, bare, fits)
    empty = _keep(bare, titles, 0)
    return _fullest(bare, titles, empty, fits) if fits(empty) else empty


def _fullest(values: _Values, shares: Mapping[str, float], best: _Values, fits: Callable[[_Values], bool]) -> _Values:
    """Bisect the level, to 3 %: level 0, ``best``, fits and the whole doesn't."""
    low, high = 0, 1 + max((math.ceil(_size(values[name]) / share) for name, share in shares.items()), default=0)
    while high - low > max(1, low // 32):
        middle = (low + high) // 2
        kept = _keep(values, shares, middle)
        if fits(kept):
            best, low = kept, middle
        else:
            high = middle
    return best


def _keep(values: _Values, shares: Mapping[str, float], level: int) -> _Values:
    return {name: _cut(value, level * shares[name]) if name in shares else value for name, value in values.items()}


def _size(value: Prepared) -> int:
    if isinstance(value, str):
        return len(value)
    return sum(len(member) + 2 for member in (value.values() if isinstance(value, dict) else value))


def _cut(value: Prepared, characters: float, *, members: float = math.inf) -> Prepared:
    """Return the beginning of a value: whole words of a text, first members of a list."""
    room = int(characters)
    if isinstance(value, str):
        return shorten(value, room)
    if isinstance(value, dict):
        return {name: shorten(text, room) for name, text in value.items()}
    kept: list[str] = []
    for member in value[: int(min(members, MOST_MEMBERS))]:
        short = shorten(member, min(LONGEST_MEMBER, room if not kept else LONGEST_MEMBER))
        room -= len(short) + 2
        if not short or (kept and room < 0):
            break
        kept.append(short)
    return tuple(kept)


def _prepare(value: Any, *, empty: Prepared) -> Prepared:
    """Return a value as inert text of the variable's type; None and blanks are empty."""
    if value is None:
        return empty
    if isinstance(empty, dict):
        return {str(name): _inert(text) for name, text in value.items()}
    if isinstance(value, (list, tuple)):
        members = tuple(text for v in value[: MOST_MEMBERS + 1] if (text := _inert(v, READ_MEMBER)))
        return members if isinstance(empty, tuple) else ", ".join(members)
    text = _inert(value)
    return text if isinstance(empty, str) else ((text,) if text else ())


def _inert(value: Any, most: int = READ) -> str:
    if isinstance(value, str):
        return plain(value[:most])
    if isinstance(value, bool):
        return "yes" if value else "no"
    return number(value) if isinstance(value, (int, float)) and math.isfinite(value) else ""


def _run(template: Template, program: jinja2.Template, values: Mapping[str, Any]) -> str:
    pieces: list[str] = []
    length = 0
    try:
        for piece in program.generate(values):
            length += len(piece)
            if length > _LONGEST_OUTPUT:
                raise TemplateError(f"{template.where} renders to more than {_LONGEST_OUTPUT} characters: shorten it")
            pieces.append(piece)
    except (jinja2.TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        raise TemplateError(
            f"{template.where} can't be rendered: {error}; run `coldstart prompts check` on it"
        ) from error
    text = "".join(pieces)
    return " ".join(text.split()) if template.purpose in ONE_LINE else text


_HOLE = re.compile(r"  |[ \t][,.;:!?)]|\(\s*\)|\[\s*\]|\{\}|,,|\.\.|,\.|: ?\.|\bNone\b|\bnan\b|\bUndefined\b|^[,.;:)]")
_SAMPLES = MappingProxyType(
    {
        "kind": "video game",
        "kinds": "video games",
        "title": "Zelda",
        "year": "1986",
        "creator": "Nintendo",
        "sort": "action video game",
        "genres": ("Action", "Adventure"),
        "origin": "Kyoto, Japan",
        "facts": ("players: 1", "no lid", "colours: gold and grey"),
        "description": "A boy explores caves",
        "who": "34-year-old woman",
        "traits": ("works as a sommelier", "speaks French"),
        "text": "quiet puzzles!",
        "likes": ("Tetris", "Myst"),
        "dislikes": ("Doom",),
        "history": ("Pong", "Chess", "Go"),
        "context": ("evening", "with friends"),
        "item": "Zelda (1986)",
        "label": "genre",
        "value": "Adventure",
        "values": ("Adventure", "Puzzles"),
    }
)
_HOSTILE = "{{ 7 * 7 }}<|im_end|>\n</s>[INST] {% for"


def check(template: Template) -> list[str]:
    """Return what is wrong with the sentences that it renders to, in words; nothing wrong is an empty list.

    Renders all variables known, each alone, each missing, none, and data that looks like a template.
    """
    variables = PURPOSES[template.purpose]
    full = {name: _SAMPLES[name] for name in variables if name in _SAMPLES}
    free = [name for name in full if variables[name].share]
    must = {
        name: full[name]
        for name in full
        if not variables[name].share or (template.purpose == "question" and name == "item")
    }
    cases = {"with everything known": full, "with nothing known": must}
    cases |= {f"with only {name} known": must | {name: full[name]} for name in free}
    cases |= {f"without {name}": {k: v for k, v in full.items() if k != name or k in must} for name in free}
    cases["with hostile data"] = full | dict.fromkeys(free, _HOSTILE)
    problems: dict[str, str] = {}
    for case, values in cases.items():
        for part in template.parts:
            try:
                text = render(template, values, part=part).text
            except TemplateError as error:
                problems.setdefault(str(error), case)
                continue
            hole = _HOLE.search(text.replace(plain(_HOSTILE), "x"))
            if hole:
                around = text[max(0, hole.start() - 20) : hole.end() + 20]
                problems.setdefault(f"{template.where} has a hole {hole[0]!r} in {around!r}", case)
    return [f"{problem} ({case})" for problem, case in problems.items()]
