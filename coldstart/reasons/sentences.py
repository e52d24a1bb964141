"""Sentences: reasons said by template, from evidence alone, and a check that they claim nothing else."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from types import MappingProxyType

FORMS: Mapping[str, str] = MappingProxyType(
    {
        "like": "Close to {cause}, which you like.",
        "like, having": "You like {cause}: its {label} {verb} {value} too.",
        "like, others": "Others who like {cause} like it too.",
        "phrase": "Fits \u201c{cause}\u201d, which you like.",
        "phrase, having": "You like \u201c{cause}\u201d: its {label} {verb} {value}.",
        "past": "Close to {cause}, which you had before.",
        "past, having": "You had {cause} before: its {label} {verb} {value} too.",
        "past, others": "Others who had {cause} like it too.",
        "taste": "In line with all that you like.",
        "dislike": "Unlike {cause}, which you don't like.",
        "asked": "Higher up because you said \u201c{cause}\u201d.",
        "asked, having": "You asked for \u201c{cause}\u201d: its {label} {verb} {value}.",
        "text": "Close to what you asked for.",
        "about": "Chosen with what you told about yourself in mind.",
        "context": "Fits the occasion: {cause}.",
        "popularity": "Many people here like it.",
        "appeal": "Well known, as far as the language model has read.",
    }
)
"""What can be said, by what is known. The words in braces are evidence; all others are ours."""

_SLOT = re.compile(r"\\\{(\w+)\\\}")


def said(form: str, *, cause: str = "", label: str = "", value: str = "", several: bool = False) -> str:
    """Return a sentence of :data:`FORMS`.

    >>> said("asked, having", cause="steak", label="pairings", value="Beef", several=True)
    'You asked for “steak”: its pairings include Beef.'
    >>> said("like, having", cause="Barolo", label="grape", value="Nebbiolo", several=True)
    'You like Barolo: its grape includes Nebbiolo too.'
    """
    verb = ("include" if label.endswith("s") and not label.endswith("ss") else "includes") if several else "is"
    return FORMS[form].format(cause=cause, label=label, verb=verb, value=value)


def grounded(sentence: str, *, causes: Collection[str], having: Collection[tuple[str, str]]) -> bool:
    """Whether a sentence claims nothing but what is known: by one of our forms, filled with evidence alone.

    Args:
        causes: What the person said, likes, or was in, as a sentence may name it.
        having: What the item has: labels and values of its attributes.

    >>> grounded("Close to Barolo, which you like.", causes={"Barolo"}, having=())
    True
    >>> grounded("Close to Barolo, which is the best.", causes={"Barolo"}, having=())
    False
    """
    for pattern in _PATTERNS:
        match = pattern.fullmatch(sentence)
        if match is None:
            continue
        slots = match.groupdict()
        known = slots.get("cause") is None or slots["cause"] in causes
        if known and ("label" not in slots or (slots["label"], slots["value"]) in having):
            return True
    return False


def _pattern(form: str) -> re.Pattern[str]:
    kinds = {"verb": "(?:is|includes?)"}
    return re.compile(_SLOT.sub(lambda slot: kinds.get(slot[1], f"(?P<{slot[1]}>.+?)"), re.escape(form)))


_PATTERNS = tuple(_pattern(form) for form in FORMS.values())
