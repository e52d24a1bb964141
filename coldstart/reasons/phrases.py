"""The phrases of a sentence that someone asks with: what can be named as a cause, and the sentence without it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

MOST = 6
"""Phrases of one text at most; the first ones."""

_LONGEST = 6  # words
_READ = 2000  # characters of a text that are looked at
_TOKEN = re.compile(r"[^\W_]+(?:['\u2019&-][^\W_]+)*")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_INNER = _words("of de du des di del della da do la le")
_LINKING = _words(
    """
    a about all also am an and any anything are as at be because been being best but by can could did do does enjoy
    enjoying enjoys ever favorite favourite find finding for from get give go going good great had has have having i
    i'd i'll i'm i've if in into is it it's its just kind kinds let like liked likes liking look looking lot lots love
    loved loves loving many maybe me mostly much my need needs nice often on one ones or our perhaps please prefer
    preferably preferred prefers quite rather really recommend searching show so some someone something sort sorts
    suggest than that that's the their them then these they thing things this those to too try trying us usually very
    want wanted wanting wants was we we're well were what when where which while who whose will wish with would you
    your always buy buying bought drink drinking eat eating watch watching read reading play playing listen listening
    """
)
_NEGATING = _words(
    """
    no not never without nothing neither nor don't dont doesn't didn't can't cannot won't isn't aren't wasn't dislike
    dislikes disliked hate hates hated avoid avoiding avoids except allergic allergy less least instead nicht kein keine
    ohne sin sem sans pas senza
    """
)
_ENDS = re.compile(r"[^\s\"'\u2019\u201c\u201d\u2018()-]|\s-\s")  # what parts phrases when it stands between two words


@dataclass(frozen=True, slots=True)
class Phrase:
    """A phrase, as it was said, and the text without it: "" if nothing else was asked for."""

    said: str
    rest: str


def phrases(text: str) -> tuple[Phrase, ...]:
    """Return what a text asks for, in phrases; what it says no to isn't asked for.

    >>> [phrase.said for phrase in phrases("I love bold reds for a steak dinner, nothing sweet")]
    ['bold reds', 'steak dinner']
    >>> phrases("bold reds for a steak dinner")[1].rest
    'bold reds for a'
    >>> phrases("something fresh")
    (Phrase(said='fresh', rest=''),)
    """
    text = text[:_READ]
    spans = list(_spans(text))
    asked = [span for span in spans if not span[2]][:MOST]
    return tuple(
        Phrase(text[start:end], " ".join((text[:start] + " " + text[end:]).split()) if len(spans) > 1 else "")
        for start, end, _ in asked
    )


def _spans(text: str) -> Iterator[tuple[int, int, bool]]:
    """Yield where phrases begin and end, and whether the text says no to them."""
    words: list[re.Match[str]] = []
    negated, last = False, 0
    for token in _TOKEN.finditer(text):
        word = token[0].casefold().replace("\u2019", "'")
        ended = _ENDS.search(text, last, token.start()) is not None
        last = token.end()
        inner = bool(words) and not ended and (word in _INNER or (word == "the" and words[-1][0].casefold() in _INNER))
        linking = (word in _LINKING or word in _NEGATING) and not inner
        if words and (ended or linking or len(words) == _LONGEST):
            yield from _whole(words, negated)
            words = []
        if ended or word == "but":
            negated = False
        negated = negated or word in _NEGATING
        if not linking and (words or word not in _INNER):
            words.append(token)
    yield from _whole(words, negated)


def _whole(words: list[re.Match[str]], negated: bool) -> Iterator[tuple[int, int, bool]]:
    while words and (words[-1][0].casefold() in _INNER or words[-1][0].casefold() == "the"):
        words = words[:-1]
    if words:
        yield words[0].start(), words[-1].end(), negated
