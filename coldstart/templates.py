"""What a template is: a TOML file, its purpose and variables, and the small language of its texts.

A template holds ``name``, ``purpose``, ``version``, ``description``, ``text`` and, optionally, ``budget`` (tokens) and,
where its purpose has two parts, ``candidate``. The texts are a small part of Jinja2 (output, ``if``, ``for``,
``filter``), so that a template from anyone's folder ends soon and reaches nothing but its variables.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import jinja2
from jinja2 import nodes
from jinja2.meta import find_undeclared_variables
from jinja2.sandbox import ImmutableSandboxedEnvironment

from coldstart.errors import TemplateError
from coldstart.wording import FILTERS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from importlib.abc import Traversable

_WRITE = MappingProxyType({str: 'text in quotes ("...")', int: "a whole number"})
ONE_LINE = ("user", "item", "appeal-item", "facet")

Part = Literal["text", "candidate"]
Prepared = str | tuple[str, ...] | dict[str, str]


@dataclass(frozen=True, slots=True)
class Variable:
    """What a template of some purpose may read.

    Attributes:
        meaning: For the documentation and ``coldstart prompts show``.
        share: When not all fits, how many characters it keeps beside the others; infinite: cut last; 0: never cut.
        empty: What it is when nothing is known.
    """

    meaning: str
    share: float = 1.0
    empty: Prepared = ""


_KIND = {
    "kind": Variable('what the catalogue holds: "movie", "wine"', share=0),
    "kinds": Variable('its plural: "movies"', share=0),
}
_ATTRIBUTES = Variable("all attributes as text by name in snake_case: attributes.get('zip_code', '')", 1, {})
_ITEM = {
    **_KIND,
    "title": Variable("the tidied title", math.inf),
    "year": Variable("four digits, unless the title ends with a year", 8),
    "creator": Variable("author, artist, director, winery, brand: the first that is known", 4),
    "sort": Variable('the kind by type: "red wine"', 4),
    "genres": Variable("list", 4, ()),
    "origin": Variable('"Barolo, Italy"', 4),
    "facts": Variable('all other attributes: "body: Full-bodied", "no lid" (list)', 2, ()),
    "description": Variable("the catalogue's own text"),
    "attributes": _ATTRIBUTES,
}
_USER = {
    **_KIND,
    "who": Variable('"34-year-old woman", "man", "person aged 25-34"', 8),
    "origin": Variable('"Cuernavaca, Mexico"', 8),
    "traits": Variable('verb phrases: "works as a technician", "speaks French" (list)', 4, ()),
    "text": Variable("the user's or the product's own words", 3),
    "likes": Variable("titles or phrases (list)", 3, ()),
    "dislikes": Variable("titles or phrases (list)", 2, ()),
    "history": Variable("titles, newest first (list)", 1, ()),
    "facts": Variable('all other attributes: "favourite colour: red", "has children" (list)', 2, ()),
    "context": Variable('circumstances: "evening", "with friends" (list)', 2, ()),
    "attributes": _ATTRIBUTES,
}
_DESCRIPTION = Variable("the task description of the user; may be empty")
_CHOSEN = Variable("what the language model chose of the values that there are (list)", 1, ())
PURPOSES: Mapping[str, Mapping[str, Variable]] = MappingProxyType(
    {
        "user": _USER,
        "item": _ITEM,
        "facet": {
            **_KIND,
            "label": Variable('a field\'s name as it reads: "pairings"', 1),
            "value": Variable("one of its values; empty where the field says yes", 2),
        },
        "appeal": _KIND,
        "appeal-asked": _KIND,
        "appeal-neutral": _KIND,
        "appeal-item": _ITEM,
        "naming": {**_KIND, "description": _DESCRIPTION},
        "listwise": {**_KIND, "description": _DESCRIPTION},
        "question": {
            **_KIND,
            "description": _DESCRIPTION,
            "item": Variable("the item as an appeal-item template writes it", math.inf),
        },
        "summary": {**_ITEM, "values": _CHOSEN},
        "profile": {**_KIND, "description": _DESCRIPTION, "values": _CHOSEN},
        "rewrite": {**_KIND, "description": _DESCRIPTION},
    }
)
"""Purpose to the variables of its templates.

``user`` and ``item`` describe, and ``facet`` names one value that items share; ``appeal`` opens a list of the best and
``appeal-neutral`` opens nothing; ``appeal-asked`` does so in a chat, with the user's turn in ``text`` and the beginning
of the answer in ``candidate``; ``appeal-item`` is how an item is written after them; ``naming`` opens a list of what
the user loves; ``listwise`` asks which of a list they would like best, with what comes before the list in ``text`` and
what comes after it in ``candidate``; ``summary`` and ``profile`` open what an item is known for and what a person's
likes have in common, with what is written of the ``values`` that were chosen in ``candidate``; ``rewrite`` says a
description otherwise; ``question`` asks for yes or no, with the user in ``text`` (which all candidates
share) and the item in ``candidate``. Texts of ``user``, ``item``, ``facet`` and ``appeal-item`` come out on one line
with single spaces; all others keep their spaces and line breaks.
"""

_IN_TWO_PARTS = {"question", "appeal-asked", "listwise", "summary", "profile"}

_NODES = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.For, nodes.FilterBlock, nodes.Name),
    *(nodes.Const, nodes.Tuple, nodes.List, nodes.Filter, nodes.Test, nodes.Getattr, nodes.Getitem, nodes.Slice),
    *(nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.CondExpr, nodes.Concat, nodes.Call),
)
_LOOP = ("first", "last", "index", "index0", "length", "revindex")
_JINJA_FILTERS = ("capitalize", "default", "first", "join", "last", "length", "lower", "title", "trim", "upper")


@dataclass(frozen=True, slots=True)
class Template:
    """A checked template: constructing one with an unknown purpose, variable or construct is an error.

    Attributes:
        text: The template; of one in two parts, what all candidates share.
        candidate: Of a question, what is an item's own; of an asked appeal, the beginning of the answer; of a list,
            what comes after it; of a summary or a profile, what is written; else empty.
        budget: Most tokens that it renders to; None leaves it to the model.
        source: The file it comes from, "built in: ..." for a shipped one.

    Raises:
        TemplateError: Naming the file, what is wrong with it and what to write.
    """

    name: str
    purpose: str
    version: int
    description: str
    text: str
    candidate: str = ""
    budget: int | None = None
    source: str = "made in code"

    def __post_init__(self) -> None:
        if self.purpose not in PURPOSES:
            expected = ", ".join(PURPOSES)
            raise TemplateError(f"{self.where} has the purpose {self.purpose!r}: expected one of {expected}")
        if (self.purpose in _IN_TWO_PARTS) != bool(self.candidate):
            raise TemplateError(
                f"{self.where} has the purpose {self.purpose!r} and the candidate {self.candidate!r}: "
                f"{' and '.join(sorted(_IN_TWO_PARTS))} need one, other purposes have none"
            )
        if self.budget is not None and self.budget < 1:
            raise TemplateError(f"{self.where} has a budget of {self.budget}: expected tokens, 1 or more")
        for part in self.parts:
            compiled(self, part)

    @classmethod
    def parse(cls, text: str, *, source: str) -> Template:
        """Read the TOML of a template."""
        data = read_toml(text, source=source)
        expected = {"name": str, "purpose": str, "version": int, "description": str, "text": str}
        optional = {"candidate": str, "budget": int}
        for key in data.keys() - expected.keys() - optional.keys():
            known = ", ".join((*expected, *optional))
            raise TemplateError(f"{source} has the unknown key {key!r}: expected {known}; remove or rename it")
        for key, kind in (expected | optional).items():
            if key in expected and key not in data:
                raise TemplateError(f"{source} has no {key}: expected {_WRITE[kind]}; add {key} = ...")
            if key in data and type(data[key]) is not kind:
                raise TemplateError(f"{source} sets {key} to {data[key]!r}: expected {_WRITE[kind]}")
        if not data["name"].strip():
            raise TemplateError(f"{source} has an empty name: expected one to ask for it by")
        return cls(**data, source=source)

    @classmethod
    def read(cls, path: Path | str) -> Template:
        """Read a template from a TOML file."""
        return cls.parse(read_text(Path(path)), source=str(path))

    @property
    def hash(self) -> str:
        """SHA-256 of all that the rendered text depends on, and of the version."""
        return _hash(self)

    @property
    def parts(self) -> tuple[Part, ...]:
        """The texts that it has."""
        return ("text", "candidate") if self.purpose in _IN_TWO_PARTS else ("text",)

    @property
    def where(self) -> str:
        """The template for an error message."""
        return f"template {self.name!r} ({self.source})"


@lru_cache(maxsize=256)
def _hash(template: Template) -> str:
    t = template
    content = [t.name, t.purpose, t.version, t.text, t.candidate, t.budget]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


_ENVIRONMENT = ImmutableSandboxedEnvironment(
    undefined=jinja2.StrictUndefined, autoescape=False, keep_trailing_newline=True
)
_ENVIRONMENT.globals.clear()
_ENVIRONMENT.filters = {name: _ENVIRONMENT.filters[name] for name in _JINJA_FILTERS} | dict(FILTERS)


@lru_cache(maxsize=256)
def compiled(template: Template, part: Part) -> tuple[jinja2.Template, tuple[str, ...]]:
    """Return the compiled part and the variables that it reads, or say what it must not hold."""
    if part not in template.parts:
        raise TemplateError(
            f"{template.where} has no {part!r}: only {' and '.join(sorted(_IN_TWO_PARTS))} have a candidate"
        )
    text = template.candidate if part == "candidate" else template.text
    try:
        tree = _ENVIRONMENT.parse(text)
        _check_language(template, tree)
        program = _ENVIRONMENT.from_string(tree)
    except jinja2.TemplateSyntaxError as error:
        raise TemplateError(f"{template.where}, line {error.lineno} of {part}: {error.message}; correct it") from error
    except (RecursionError, SyntaxError, MemoryError) as error:
        raise TemplateError(f"{template.where} is nested too deeply: simplify it") from error
    variables = PURPOSES[template.purpose]
    names = find_undeclared_variables(tree)
    for name in sorted(names - variables.keys()):
        raise TemplateError(
            f"{template.where} reads the unknown variable {name!r}: a template for {template.purpose!r} knows "
            f"{', '.join(variables)}"
        )
    return program, tuple(sorted(names))


def _check_language(template: Template, tree: nodes.Template) -> None:
    """Raise at whatever could run long, grow without bound, change from run to run or reach beyond the variables."""
    gets = {id(call.node) for call in tree.find_all(nodes.Call) if _is_get(call)}
    for node in tree.find_all(nodes.Node):
        problem = ""
        if not isinstance(node, _NODES):
            problem = f"uses {type(node).__name__}"
        elif isinstance(node, nodes.Name) and node.name in ("self", "super"):
            problem = f"names {node.name}"
        elif isinstance(node, nodes.Call) and id(node.node) not in gets:
            problem = "calls something"
        elif isinstance(node, nodes.Getattr) and id(node) not in gets and not _is_of_loop(node):
            problem = f"reaches for .{node.attr}"
        elif isinstance(node, nodes.Getitem) and not _is_position(node.arg):
            problem = "reaches for a member by name"
        elif isinstance(node, nodes.For) and (node.recursive or any(node.find_all(nodes.For))):
            problem = "nests loops"
        elif isinstance(node, nodes.Filter) and not _is_constant(node):
            problem = f"gives the filter {node.name} something other than constants"
        if problem:
            raise TemplateError(
                f"{template.where}, line {node.lineno}, {problem}: a template holds only output, if, one for inside no "
                f"other, filter, comparisons, positions such as likes[0], loop.first and attributes.get('name', '')"
            )


def _is_constant(node: nodes.Filter | nodes.Call) -> bool:
    return not (node.kwargs or node.dyn_args or node.dyn_kwargs) and all(isinstance(a, nodes.Const) for a in node.args)


def _is_get(call: nodes.Call) -> bool:
    get = call.node
    if not (isinstance(get, nodes.Getattr) and isinstance(get.node, nodes.Name)):
        return False
    return get.attr == "get" and get.node.name == "attributes" and _is_constant(call)


def _is_of_loop(node: nodes.Getattr) -> bool:
    return isinstance(node.node, nodes.Name) and node.node.name == "loop" and node.attr in _LOOP


def _is_position(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Slice) or (isinstance(node, nodes.Const) and isinstance(node.value, int))


def toml_files(folder: Path | Traversable) -> list[Path | Traversable]:
    """Return the TOML files of a folder, sorted by name."""
    if not folder.is_dir():
        raise TemplateError(f"the folder of templates {str(folder)!r} doesn't exist: create it or name another")
    return sorted((file for file in folder.iterdir() if file.name.endswith(".toml")), key=lambda file: file.name)


def read_text(file: Path | Traversable) -> str:
    """Return the text of a file in UTF-8."""
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TemplateError(f"{file} can't be read: {error}; expected a TOML file in UTF-8") from error


def read_toml(text: str, *, source: str) -> dict[str, Any]:
    """Return parsed TOML."""
    try:
        data: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TemplateError(f"{source} isn't TOML: {error}; correct it there") from error
    return data
