"""Questions, answers and the dialogue they make: plain values, from and to JSON.

A question's id says what it asks, so that an answer needs nothing but the id and a value:

====================================  =========================================  =====================================
id                                    asks                                       value
====================================  =========================================  =====================================
``chips:grapes=Malbec|Merlot``        which of these values                      option ids (values) that were chosen
``chip:grapes=Malbec``                one value                                  ``yes``, ``no``
``items:42|57|8``                     which of these items were enjoyed          item ids that were chosen
``item:42``                           one item                                   ``like``, ``dislike``, ``unknown``
``pair:42|57``                        which of two items                         an item's id, ``both`` or ``neither``
``text``                              a sentence                                 the text
====================================  =========================================  =====================================

None skips any question. ``%``, ``|`` and ``=`` in values and ids are written ``%25``, ``%7C`` and ``%3D``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from coldstart.entities import Interaction, Profile
from coldstart.errors import DialogueError

Kind = Literal["chips", "chip", "items", "item", "pair", "text"]
Choice = str | tuple[str, ...] | None

MANY = ("chips", "items")
"""Kinds of questions of which several options may be chosen, or none."""

MOST_ANSWERS = 100
MOST_OPTIONS = 100
LONGEST_TEXT = 2_000

_VERDICTS = {"chip": ("yes", "no"), "item": ("like", "dislike", "unknown"), "pair": ("both", "neither")}


@dataclass(frozen=True, slots=True)
class Option:
    """Something to choose: its id is what an answer names, its label what a person reads."""

    id: str
    label: str


@dataclass(frozen=True, slots=True)
class Question:
    """Something to ask.

    Attributes:
        id: What it asks; see the module.
        kind: How it is asked.
        prompt: The question, in words.
        options: What to choose from; of ``chips`` and ``items`` several, or none of them, may be chosen. Empty for a
            free text.
        gain: By what share the answer is expected to raise the chances of the first list's items; NaN for a free text.
            Questions are equal whatever theirs is.
    """

    id: str
    kind: Kind
    prompt: str
    options: tuple[Option, ...]
    gain: float = field(compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Return what ``json.dumps`` takes."""
        options = [{"id": option.id, "label": option.label} for option in self.options]
        gain = None if self.gain != self.gain else round(self.gain, 6)
        return {"id": self.id, "kind": self.kind, "prompt": self.prompt, "options": options, "gain": gain}


@dataclass(frozen=True, slots=True)
class Asked:
    """A question's id, read.

    Attributes:
        attribute: What chips are values of; empty otherwise.
        about: The values or item ids it asks about; empty for a text.
    """

    kind: Kind
    attribute: str
    about: tuple[str, ...]

    @property
    def id(self) -> str:
        """The id, written.

        >>> Asked("chips", "grapes", ("Malbec", "A|B")).id
        'chips:grapes=Malbec|A%7CB'
        """
        if self.kind == "text":
            return "text"
        names = "|".join(map(_escaped, self.about))
        return f"{self.kind}:{_escaped(self.attribute)}={names}" if self.attribute else f"{self.kind}:{names}"

    @classmethod
    def parse(cls, id_: Any) -> Asked:
        """Read a question's id.

        Raises:
            DialogueError: It is none.

        >>> Asked.parse("pair:42|57").about, Asked.parse("chip:grapes=Malbec").attribute
        (('42', '57'), 'grapes')
        """
        kind, colon, rest = id_.partition(":") if isinstance(id_, str) else ("", "", "")
        if kind == "text" and not colon:
            return cls("text", "", ())
        attribute, equals, names = rest.partition("=") if kind in ("chip", "chips") else ("", "=", rest)
        about = tuple(map(_plain, names.split("|"))) if names else ()
        asked = {"chip": 1, "item": 1, "pair": 2}.get(kind, len(about))
        fits = kind in get_args(Kind) and kind != "text" and equals and about and len(about) == asked and all(about)
        if not fits or (kind in ("chip", "chips") and not attribute) or len(set(about)) < len(about):
            raise DialogueError(
                f"no question has the id {_short(id_)}: expected one as `chips:grapes=Malbec|Merlot`, "
                "`items:42|57`, `item:42`, `pair:42|57` or `text`; send back the id of the question that was asked"
            )
        if len(about) > MOST_OPTIONS:
            raise DialogueError(f"a question of {len(about)} options: expected at most {MOST_OPTIONS}")
        return cls(kind, _plain(attribute), about)  # type: ignore[arg-type]

    def checked(self, value: Any) -> Choice:
        """Return an answer's value as it is kept: options in the question's order, each once.

        Raises:
            DialogueError: It doesn't answer the question.
        """
        if value is None:
            return None
        if self.kind == "text":
            if not isinstance(value, str) or len(value) > LONGEST_TEXT:
                raise DialogueError(f"the answer to a text is {_short(value)}: expected at most {LONGEST_TEXT} letters")
            return value.strip() or None
        many = self.kind in MANY
        allowed = self.about if many else (*_VERDICTS[self.kind], *(self.about if self.kind == "pair" else ()))
        chosen = (value,) if isinstance(value, str) else value
        fits = isinstance(chosen, Sequence) and all(isinstance(one, str) and one in allowed for one in chosen)
        if not fits or not (many or len(chosen) == 1):
            number = "any of" if many else "one of"
            raise DialogueError(
                f"the answer to {self.id!r} is {_short(value)}: expected {number} {', '.join(allowed)}, or null to skip"
            )
        return tuple(one for one in allowed if one in chosen) if many else str(chosen[0])


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: a question's id and what was chosen or said; None if it was skipped."""

    question_id: str
    value: Choice


@dataclass(frozen=True, slots=True)
class Dialogue:
    """What is known of a person: who they said they are, and their answers in order. The whole state.

    Raises:
        DialogueError: More than 100 answers, or two to one question.
    """

    profile: Profile
    answers: tuple[Reply, ...] = ()

    def __post_init__(self) -> None:
        ids = [reply.question_id for reply in self.answers]
        if len(ids) > MOST_ANSWERS:
            raise DialogueError(f"a dialogue of {len(ids)} answers: expected at most {MOST_ANSWERS}; start anew")
        twice = next((id_ for id_ in ids if ids.count(id_) > 1), None)
        if twice is not None:
            raise DialogueError(f"a dialogue answers {_short(twice)} twice: keep the last answer")

    def with_answer(self, question_id: str, value: Any) -> Dialogue:
        """Return the dialogue with one more answer; one to a question answered before takes that one's place."""
        asked = Asked.parse(question_id)
        reply = Reply(asked.id, asked.checked(value))
        if any(one.question_id == reply.question_id for one in self.answers):
            answers = tuple(reply if one.question_id == reply.question_id else one for one in self.answers)
        else:
            answers = (*self.answers, reply)
        return replace(self, answers=answers)

    def to_dict(self) -> dict[str, Any]:
        """Return what ``json.dumps`` takes."""
        who = self.profile
        history = [{name: getattr(event, name) for name in Interaction.__dataclass_fields__} for event in who.events]
        profile = {
            "text": who.text,
            "attributes": {
                name: list(value) if isinstance(value, tuple) else value for name, value in who.attributes.items()
            },
            "likes": list(who.likes),
            "dislikes": list(who.dislikes),
            "history": history,
        }
        answers = [
            {"question_id": one.question_id, "value": list(one.value) if isinstance(one.value, tuple) else one.value}
            for one in self.answers
        ]
        return {"profile": profile, "answers": answers}

    @classmethod
    def from_dict(cls, data: Any) -> Dialogue:
        """Read what :meth:`to_dict` made, from anyone.

        Raises:
            DialogueError: It isn't a dialogue.
            ProfileError: Its profile can't be used.
        """
        if not isinstance(data, Mapping) or not set(data) <= {"profile", "answers"}:
            raise DialogueError(f"a dialogue is {_short(data)}: expected an object with `profile` and `answers`")
        answers = data.get("answers", ())
        if not isinstance(answers, Sequence) or isinstance(answers, str):
            raise DialogueError(f"a dialogue's answers are {_short(answers)}: expected a list")
        if len(answers) > MOST_ANSWERS:
            raise DialogueError(f"a dialogue of {len(answers)} answers: expected at most {MOST_ANSWERS}; start anew")
        made = cls(_profile(data.get("profile", {})))
        for one in answers:
            if not isinstance(one, Mapping) or set(one) != {"question_id", "value"}:
                raise DialogueError(f"an answer is {_short(one)}: expected an object with `question_id` and `value`")
            made = made.with_answer(one["question_id"], one["value"])
        return made


def _profile(data: Any) -> Profile:
    known = set(Profile.__dataclass_fields__)
    if not isinstance(data, Mapping) or not set(data) <= known:
        raise DialogueError(f"a dialogue's profile is {_short(data)}: expected any of {', '.join(sorted(known))}")
    history = data.get("history", ())
    if not isinstance(history, Sequence) or isinstance(history, str):
        raise DialogueError(f"a profile's history is {_short(history)}: expected a list")
    return Profile(**{**data, "history": [_event(event) for event in history]})


def _event(data: Any) -> Interaction | str:
    if isinstance(data, str):
        return data
    if not isinstance(data, Mapping) or not {"item"} <= set(data) <= set(Interaction.__dataclass_fields__):
        raise DialogueError(f"a past event is {_short(data)}: expected an item's id, or an object with `item`")
    event = Interaction(**{"user": "", **data})
    words, numbers = (event.user, event.item, event.event_type), (event.value, event.timestamp)
    if not all(isinstance(one, str) for one in words) or not all(
        one is None or (isinstance(one, (int, float)) and not isinstance(one, bool)) for one in numbers
    ):
        raise DialogueError(f"a past event is {_short(dict(data))}: expected text for names and numbers for the rest")
    return event


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("|", "%7C").replace("=", "%3D")


def _plain(text: str) -> str:
    return text.replace("%3D", "=").replace("%7C", "|").replace("%25", "%")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 100 else text[:97] + "..."
