"""What can be asked about all items at once: values of attributes, or, where there are none, groups of like items."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coldstart.catalogue import Catalogue
from coldstart.fields import Fields
from coldstart.wording import capital, plural, tidy_title, with_article

Floats = NDArray[np.float64]

LEAST_SHARE, MOST_SHARE = 0.01, 0.7
"""A value that fewer or more of the items have tells nothing worth a tap."""

LEAST_ITEMS = 3
MOST_CHIPS = 24
"""Chips of one attribute: those that most items have."""

LONGEST_LABEL = 40
GROUPS = "group"
"""What groups of like items are called where there are no attributes."""

_VERDICTS = frozenset({"yes", "no", "true", "false"})
_NOT_ASKED = frozenset({"dropped", "description", "creator"})
_YEAR = re.compile(r"(?<!\d)(1[5-9]\d\d|20\d\d)(?!\d)")
_WORD = re.compile(r"[^\W\d_]{3,}")
_SAMPLE = 4000
_ROUNDS = 15


@dataclass(frozen=True, slots=True, eq=False)
class Chip:
    """A value that items have.

    Attributes:
        facet: The attribute, as the catalogue names it; :data:`GROUPS` for a group of like items.
        value: What an answer names, and a person reads.
        rows: The items that have it, rising. Shape: ``(rows,)``.
    """

    facet: str
    value: str
    rows: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Facet:
    """An attribute that can be asked about.

    Attributes:
        prompt: The question.
        more: The question once some of its values were asked about.
        phrase: How a liked value reads in a profile, with ``{}`` for the value.
        chips: Its values, those of most items first.
    """

    name: str
    prompt: str
    more: str
    phrase: str
    chips: tuple[Chip, ...]


def facets_of(
    catalogue: Catalogue, fields: Fields, vectors: NDArray[np.float32], documents: Sequence[str], *, seed: int
) -> tuple[Facet, ...]:
    """Return what can be asked about a catalogue's items; the same for the same items and seed.

    Args:
        fields: What the names of attributes mean.
        vectors: The items' centred vectors. Shape: ``(items, dimension)``.
        documents: The items' texts.
        seed: Fixes the groups.
    """
    found = [facet for name in catalogue.attribute_names if (facet := _facet(name, catalogue, fields)) is not None]
    return tuple(found) or tuple(_groups(catalogue.kind, vectors, documents, seed))


def distinct_labels(catalogue: Catalogue, fields: Fields) -> dict[int, str]:
    """Return what to call the items whose title others have too, by row: with their maker, or else their year."""
    titles = [tidy_title(item.title) for item in catalogue]
    count = Counter(titles)
    found: dict[int, str] = {}
    for row, (item, title) in enumerate(zip(catalogue, titles, strict=True)):
        if title and count[title] > 1:
            told = {fields.role(name, kind=catalogue.kind): value for name, value in item.attributes.items()}
            said = next((words for role in ("creator", "year") if (words := fields.words(told.get(role, ())))), ())
            if said:
                found[row] = f"{title} ({said[0]})"
    return found


def _facet(name: str, catalogue: Catalogue, fields: Fields) -> Facet | None:
    role = fields.role(name, kind=catalogue.kind)
    if role in _NOT_ASKED:
        return None
    rows_of: dict[str, list[int]] = {}
    several = False
    for row, item in enumerate(catalogue):
        values = list(dict.fromkeys(_values(fields.words(item.attributes.get(name, ())), role)))
        several |= len(values) > 1
        for value in values:
            rows_of.setdefault(value, []).append(row)
    least = max(LEAST_ITEMS, LEAST_SHARE * len(catalogue))
    kept = [value for value, rows in rows_of.items() if least <= len(rows) <= MOST_SHARE * len(catalogue)]
    if len(kept) < 2:
        return None
    kept = sorted(kept, key=lambda value: (-len(rows_of[value]), value))[:MOST_CHIPS]
    chips = tuple(Chip(name, value, np.array(rows_of[value], np.int64)) for value in kept)
    label = fields.label(name, kind=catalogue.kind)
    return Facet(name, *_wording(label, role, catalogue.kind, several=several), chips)


def _values(words: Sequence[str], role: str) -> Iterator[str]:
    """Yield what an attribute says, as labels: years as their decades, and no yes or no and no other numbers."""
    for word in words:
        if role == "year":
            found = _YEAR.search(word)
            if found:
                yield f"{found[1][:3]}0s"
        elif len(word) <= LONGEST_LABEL and word.casefold() not in _VERDICTS and any(map(str.isalpha, word)):
            yield word


def _wording(label: str, role: str, kind: str, *, several: bool) -> tuple[str, str, str]:
    """Return a facet's question, how it is asked again, and how a liked value reads in a profile."""
    named = label if several and label.endswith("s") and plural(label) != label else plural(label)
    if role == "genres":
        return f"What kinds of {plural(kind)} do you like?", "And any of these kinds?", f"{{}} {plural(kind)}"
    if role == "sort":
        return f"Which {named} of {kind} do you like?", f"And any of these {named}?", f"{{}} {plural(kind)}"
    if role == "origin":
        again = f"And any of these {named}?"
        return f"Which {named} do you like your {plural(kind)} from?", again, f"{plural(kind)} from {{}}"
    if role == "year":
        return (
            f"From which years do you like your {plural(kind)}?",
            "And any of these years?",
            f"{plural(kind)} of the {{}}",
        )
    verb = "are" if label.endswith("s") and not label.endswith("ss") else "is"
    whose = f"{plural(kind)} whose {label} {'include' if several else verb} {{}}"
    if several:
        return f"Which {named} do you like?", f"And any of these {named}?", whose
    return f"Which {label} do you like in {with_article(kind)}?", f"And any of these for {label}?", whose


def _groups(kind: str, vectors: NDArray[np.float32], documents: Sequence[str], seed: int) -> Iterator[Facet]:
    """Yield one facet of groups of items with like vectors, each named by its own words; none for few items.

    Names are the two words that tell a group best from the others, by class-based TF-IDF (Grootendorst,
    arXiv:2203.05794): how often the group has them, times ``log(1 + mean words a group / times they occur)``.
    """
    size = int(np.clip(np.sqrt(len(vectors) / 4), 2, MOST_CHIPS / 2))
    if len(vectors) < 4 * LEAST_ITEMS:
        return
    member = _clustered(vectors, size, seed)
    words = [Counter(dict.fromkeys(_WORD.findall(text.casefold()), 1)) for text in documents]
    held = [sum((words[row] for row in np.flatnonzero(member == group)), Counter()) for group in range(size)]
    whole = sum(held, Counter())
    mean = sum(whole.values()) / size
    chips: list[Chip] = []
    taken: set[str] = set(_WORD.findall(kind.casefold()))
    for group in np.argsort(-np.bincount(member, minlength=size), kind="stable"):
        rows = np.flatnonzero(member == group)
        telling = {
            word: count * np.log1p(mean / whole[word])
            for word, count in held[group].items()
            if word not in taken and count > 1 and count / len(rows) > 2 * whole[word] / len(documents)
        }
        best = sorted(telling, key=lambda word: (-telling[word], word))[:2]
        if len(rows) >= LEAST_ITEMS and best:
            taken.update(best)
            chips.append(Chip(GROUPS, capital(", ".join(best)), rows))
    if len(chips) >= 2:
        asked = f"Which {plural(kind)} sound like you?"
        yield Facet(GROUPS, asked, f"And any of these {plural(kind)}?", f"{plural(kind)} about {{}}", tuple(chips))


def _clustered(vectors: NDArray[np.float32], size: int, seed: int) -> NDArray[np.int64]:
    """Return each item's group by spherical k-means, begun with items far from each other. Shape: ``(items,)``."""
    rng = np.random.default_rng(seed)
    sample = vectors[np.sort(rng.permutation(len(vectors))[:_SAMPLE])]
    centres = [sample[rng.integers(len(sample))]]
    for _ in range(size - 1):
        far = np.clip(1.0 - (sample @ np.stack(centres).T).max(1), 1e-6, None).astype(np.float64)
        centres.append(sample[rng.choice(len(sample), p=far / far.sum())])
    middle = np.stack(centres)
    for _ in range(_ROUNDS):
        nearest = (sample @ middle.T).argmax(1)
        sums = np.stack([sample[nearest == group].sum(0) for group in range(size)])
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        middle = np.where(lengths > 1e-9, sums / np.maximum(lengths, 1e-9), middle)
    return np.asarray((vectors @ middle.T).argmax(1), np.int64)
