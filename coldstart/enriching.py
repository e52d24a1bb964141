"""Enriching: what a language model can add to words that are there, offline, kept, and switchable.

A small model makes things up. So it writes nothing of its own: it *chooses* among phrases that an item, a person or a
template has, by how much readier it is to say each once it has read of them (pointwise mutual information, in nats):

    log p(phrase | of whom it is said) - log p(phrase | of nobody)

=========== =============================================== ==========================================================
purpose     phrases                                         what is written
=========== =============================================== ==========================================================
``summary`` an item's own values, but for its title's       the few that it is known for
``profile`` the values of what a person likes               the few that their likes have in common
``rewrite`` a text in the frames of several templates       the readiest of them, to read beside the text itself
=========== =============================================== ==========================================================

What was chosen is kept by a hash of all that was read and offered, so that a changed item is chosen for anew and an
interrupted run goes on. Nothing that wasn't offered is ever taken from the file.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from coldstart import artefact
from coldstart.catalogue import Catalogue
from coldstart.entities import Item, Profile
from coldstart.errors import BadIndex
from coldstart.prompting import Library, Template, render
from coldstart.rows import Progress, precision

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from coldstart.generation import LanguageModel
    from coldstart.index import Index

Find = Callable[[str], int | None]
"""From an id or a title to a row of the catalogue; None for a phrase."""

Purpose = Literal["summary", "profile", "rewrite"]
PURPOSES: tuple[Purpose, ...] = ("summary", "profile", "rewrite")

MOST = 3
"""How many phrases are chosen."""

SHARE = 0.5
"""How much a summary's vector counts beside that of the item's text."""

OFFERED = 24
"""How many phrases are offered at most: an item's first ones, or what most of a person's likes have."""

FILE = "words.jsonl"
"""What it is kept in, in an index's folder."""

FORMAT = 1
_AT_ONCE = 32  # choices between two writes
_LONGEST = 60

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Choice:
    """What the model chooses from.

    Attributes:
        purpose: What for.
        told: What it has read of the item, the person or the request.
        untold: The same of nobody.
        phrases: What it may say, each once.
    """

    purpose: Purpose
    told: str
    untold: str
    phrases: tuple[str, ...]

    @property
    def key(self) -> str:
        """A hash of all that the model reads."""
        content = json.dumps([self.purpose, self.told, self.untold, self.phrases])
        return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:32]


class Words:
    """What a language model chose, by what it was asked, kept in a file as it comes.

    Args:
        made_by: The model's provenance and the templates' hash.
        path: Where it is kept; None for nowhere.
        known: From a choice's key to what was chosen.
    """

    def __init__(self, made_by: Mapping[str, Any], path: Path | None, known: Mapping[str, tuple[str, ...]]) -> None:
        self.made_by, self.path = dict(made_by), path
        self._known = dict(known)

    def __len__(self) -> int:
        return len(self._known)

    @classmethod
    def open(cls, folder: str | os.PathLike[str] | None, *, model: Mapping[str, str] | None, library: Library) -> Words:
        """Read what is kept in an index's folder.

        What another model or other templates made is left out, which is logged, and replaced once something is chosen.

        Args:
            folder: None keeps nothing.
            model: The language model's provenance, as the index's manifest has it.
            library: The templates in use.

        Raises:
            BadIndex: The index has no language model.
        """
        if model is None:
            raise BadIndex("an index without a language model can't be enriched: index again with one")
        templates = library.hash([template.name for purpose in PURPOSES for template in library.of(purpose)])
        made_by = {"format": FORMAT, "language_model": model["hash"], "dtype": precision(model), "templates": templates}
        if folder is None:
            return cls(made_by, None, {})
        path = Path(folder) / FILE
        return cls(made_by, path, _read(path, made_by))

    def of(self, choice: Choice) -> tuple[str, ...] | None:
        """Return what was chosen; None if the model wasn't asked yet, or said what isn't on offer."""
        if len(choice.phrases) <= MOST and choice.purpose != "rewrite":
            return choice.phrases  # nothing to choose
        found = self._known.get(choice.key)
        return found if found is not None and set(found) <= set(choice.phrases) else None

    def choose(self, choices: Iterable[Choice], model: LanguageModel, *, progress: Progress | None = None) -> int:
        """Ask the model for what isn't known, and keep it as it comes. Return how many choices that were."""
        missing = list({one.key: one for one in choices if self.of(one) is None}.values())
        usual: dict[str, dict[str, float]] = {}
        for start in range(0, len(missing), _AT_ONCE):
            batch = missing[start : start + _AT_ONCE]
            for one in batch:
                known = usual.setdefault(one.untold, {})
                new = [phrase for phrase in one.phrases if phrase not in known]
                known.update(zip(new, model.likelihoods(one.untold, _spoken(new)).total.tolist(), strict=True))
            told = model.likelihoods_of([(one.told, _spoken(one.phrases)) for one in batch])
            for one, likely in zip(batch, told, strict=True):
                gains = likely.total - np.array([usual[one.untold][phrase] for phrase in one.phrases])
                best = np.argsort(-gains, kind="stable")[:MOST]
                self._known[one.key] = tuple(one.phrases[place] for place in best)
            self._keep(batch)
            if progress is not None:
                progress(f"words: {batch[0].purpose}", len(batch), len(missing))
        return len(missing)

    def _keep(self, batch: Sequence[Choice]) -> None:
        if self.path is None:
            return
        head = json.dumps(self.made_by, sort_keys=True) + "\n"
        lines = [json.dumps([one.key, self._known[one.key]]) + "\n" for one in batch]
        try:
            with self.path.open("r", encoding="utf-8") as file:
                goes_on = file.readline() == head
        except (OSError, ValueError):
            goes_on = False
        if not goes_on:
            artefact.replace(self.path, "".join([head, *lines]).encode())
            return
        with self.path.open("ab") as file:  # a line that a kill cut short is no JSON, and asked for again
            file.write(("\n" + "".join(lines)).encode())
            file.flush()
            os.fsync(file.fileno())


def _read(path: Path, made_by: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    try:
        head, *lines = path.read_text("utf-8", errors="replace").split("\n")
    except FileNotFoundError:
        return {}
    except OSError as problem:
        raise BadIndex(f"{path} can't be read ({problem}): mend or delete it") from problem
    try:
        before = json.loads(head)
    except ValueError:
        before = None
    if before != dict(made_by):
        told = before if isinstance(before, dict) else {}
        other = [name for name in ("language_model", "dtype", "templates", "format") if told.get(name) != made_by[name]]
        log.warning("%s was made with another %s: left out; run `coldstart enrich` again", path, " and ".join(other))
        return {}
    return dict(filter(None, map(_line, lines)))


def _line(line: str) -> tuple[str, tuple[str, ...]] | None:
    """Return a choice's key and what was chosen; None for a line that a kill cut short."""
    try:
        key, chosen = json.loads(line)
    except (ValueError, TypeError):
        return None
    fits = isinstance(key, str) and isinstance(chosen, list) and all(isinstance(phrase, str) for phrase in chosen)
    return (key, tuple(chosen)) if fits else None


def _spoken(phrases: Sequence[str]) -> list[str]:
    return [f" {phrase}" for phrase in phrases]


# What is chosen from -----------------------------------------------------------------------------------------


def summary_of(item: Item, *, kind: str, library: Library) -> Choice | None:
    """Return the choice of what an item is known for beside its title; None for one without values."""
    template = _only(library, "summary")
    values = {**library.fields.of_item(item, kind=kind), "kind": kind}
    told, untold = render(template, values).text, render(template, {"kind": kind}).text
    # What the model has just read it says again: that tells nothing.
    phrases = tuple(phrase for phrase in _values([item], kind, library) if phrase.casefold() not in told.casefold())
    return Choice("summary", told, untold, phrases) if phrases else None


def profile_of(profile: Profile, *, catalogue: Catalogue, find: Find, library: Library) -> Choice | None:
    """Return the choice of what the things that a person likes have in common; None where nothing is known of any."""
    past = [event.item for event in profile.events]
    rows = [row for name in dict.fromkeys((*profile.likes, *past)) if (row := find(name)) is not None]
    items = [catalogue[row] for row in rows]
    phrases = _values(items, catalogue.kind, library)
    if not phrases:
        return None
    template, kind = _only(library, "profile"), catalogue.kind
    titled = Profile(likes=[item.title for item in items if item.title])
    description = library.describe_profile(titled, kind=kind, budget=256).text
    told = render(template, {"kind": kind, "description": description}).text
    return Choice("profile", told, render(template, {"kind": kind}).text, phrases)


def rewrite_of(text: str, *, kind: str, library: Library) -> Choice:
    """Return the choice of how to say a description otherwise: whole in each template's frame, nothing left out."""
    frames = (render(template, {"kind": kind, "description": text}).text for template in library.of("rewrite"))
    return Choice("rewrite", f"{text}\n", "\n", tuple(dict.fromkeys(frames)))


def _values(items: Sequence[Item], kind: str, library: Library) -> tuple[str, ...]:
    """Return the values of items, those of most items first, as phrases."""
    found = Counter(
        value or label
        for item in items
        for label, value in dict.fromkeys(library.fields.facets_of(item, kind=kind))
        if 0 < len(value or label) <= _LONGEST
    )
    return tuple(phrase for phrase, _ in found.most_common(OFFERED))


def _only(library: Library, purpose: Purpose) -> Template:
    """Return the purpose's template: the last by name where a folder adds another."""
    return library.of(purpose)[-1]


def sentence(purpose: Purpose, chosen: Sequence[str], *, kind: str, library: Library) -> str:
    """Return what is written of phrases that were chosen for a summary or a profile."""
    return render(_only(library, purpose), {"kind": kind, "values": chosen}, part="candidate").text


# What is written ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Enrichment:
    """What was chosen, as requests and items read it: nothing here asks a language model.

    Attributes:
        uses: Purposes that count; others are as if nothing had been chosen.
    """

    words: Words
    library: Library
    uses: frozenset[str]

    def summaries(self, catalogue: Catalogue) -> tuple[str, ...]:
        """Return a sentence on each item; empty where there is none. Shape: ``(items,)``."""
        if "summary" not in self.uses:
            return ("",) * len(catalogue)
        choices = (summary_of(item, kind=catalogue.kind, library=self.library) for item in catalogue.items)
        return tuple(self._sentence(choice, catalogue.kind) for choice in choices)

    def profile(self, profile: Profile, catalogue: Catalogue, find: Find) -> str:
        """Return a phrase on what a person's likes have in common; empty where there is none."""
        if "profile" not in self.uses:
            return ""
        choice = profile_of(profile, catalogue=catalogue, find=find, library=self.library)
        return self._sentence(choice, catalogue.kind)

    def rewrites(self, text: str, *, kind: str) -> tuple[str, ...]:
        """Return other ways to say a text; none where none were chosen."""
        if "rewrite" not in self.uses or not text:
            return ()
        return self.words.of(rewrite_of(text, kind=kind, library=self.library)) or ()

    def _sentence(self, choice: Choice | None, kind: str) -> str:
        chosen = None if choice is None else self.words.of(choice)
        return sentence(choice.purpose, chosen, kind=kind, library=self.library) if choice and chosen else ""


def mixed(index: Index, summaries: Sequence[str], encode: Callable[[Sequence[str]], NDArray[np.float32]]) -> Index:
    """Return an index whose vectors are between those of the items' texts and those of sentences on them.

    It is for answering alone: :meth:`Index.save` refuses it, since its vectors are no text's.

    Args:
        summaries: See :meth:`Enrichment.summaries`; an empty one leaves the item's vector as it is.
        encode: From texts to unit vectors. Shape: ``(texts, dimension)``.
    """
    rows = [row for row, text in enumerate(summaries) if text]
    vectors = np.array(index.vectors, np.float32)
    if rows:
        moved = vectors[rows] + SHARE * encode([summaries[row] for row in rows])
        vectors[rows] = moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-9)
    return replace(index, vectors=vectors, coded=None, manifest={**index.manifest, "enriched": len(rows)})
