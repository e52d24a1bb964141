"""A platform's events, kept in an index's folder beside what words alone gave, which they never touch."""

from __future__ import annotations

import gzip
import json
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from coldstart import artefact
from coldstart.entities import Profile
from coldstart.errors import BadIndex, ProfileError
from coldstart.learning.experience import Experience
from coldstart.learning.weighing import Weighing

_NAME = "learned.json"
_STEM = "events"
_PEOPLE = "people"


def save(folder: Path, experience: Experience, state: dict[str, Any]) -> None:
    """Write events and what a platform says of itself, replacing those there in one step."""
    files = {_STEM: _put(folder, _STEM, ([*key, time] for key, time in experience.records()))}
    if experience.said:
        files[_PEOPLE] = _put(folder, _PEOPLE, ([user, dict(said)] for user, said in sorted(experience.said.items())))
    learned = {**state, "format": artefact.FORMAT, "files": files}
    artefact.replace(folder / _NAME, json.dumps(learned, indent=2, sort_keys=True).encode())
    _tidy(folder, keep={entry["name"] for entry in files.values()})


def _put(folder: Path, stem: str, rows: Iterable[Any]) -> dict[str, Any]:
    """Write rows as compressed JSON lines; return what a manifest says of the file."""
    text = "\n".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in rows)
    return artefact.put(folder, stem, ".jsonl.gz", gzip.compress(text.encode("utf-8", "surrogatepass"), mtime=0))


def _tidy(folder: Path, *, keep: Collection[str] = ()) -> None:
    for stem in (_STEM, _PEOPLE):
        for path in folder.glob(f"{stem}-*.jsonl.gz"):
            if path.name not in keep:
                path.unlink(missing_ok=True)


def load(folder: Path) -> tuple[Experience, dict[str, Any]] | None:
    """Return the events and the state that :func:`save` wrote; None if nothing was learned there.

    A save meanwhile takes the events away that a state names; then the new state's are read.

    Raises:
        BadIndex: They are damaged, or of a newer format.
    """
    state = _state(folder)
    if state is None:
        return None
    try:
        return _events(folder, state), state
    except BadIndex:
        if _state(folder) == state:
            raise
    return load(folder)


def _state(folder: Path) -> dict[str, Any] | None:
    path = folder / _NAME
    try:
        state = json.loads(path.read_text("utf-8"))
        if state["format"] > artefact.FORMAT:
            raise BadIndex(
                f"{path} has format {state['format']}, but this version reads up to {artefact.FORMAT}: upgrade"
            )
        _check(state)
        return dict(state)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise BadIndex(f"{path} can't be read ({problem!r}): delete it and observe again") from problem


def _events(folder: Path, state: dict[str, Any]) -> Experience:
    try:
        rows = _rows(folder, state, _STEM)
        said = dict(_rows(folder, state, _PEOPLE)) if _PEOPLE in state["files"] else {}
        profiles = {user: Profile(attributes=mine).attributes for user, mine in said.items()}
        events = (((user, item, kind, value, at), told) for user, item, kind, value, at, told in rows)
        return Experience.of(events, profiles)
    except (BadIndex, ProfileError, OSError, ValueError, TypeError) as problem:
        raise BadIndex(
            f"the events that {folder / _NAME} names are missing or damaged: delete it and observe again"
        ) from problem


def _rows(folder: Path, state: dict[str, Any], stem: str) -> list[Any]:
    text = gzip.decompress(artefact.get(folder, state, stem)).decode("utf-8", "surrogatepass")
    return [json.loads(line) for line in text.split("\n") if line]


def _check(state: dict[str, Any]) -> None:
    """Raise ValueError, KeyError, TypeError or AttributeError unless a state holds what a platform is made of."""
    numbers = [*state["arrivals"].values(), *([] if state["half_life"] is None else [state["half_life"]])]
    if not all(isinstance(number, (int, float)) for number in numbers):
        raise ValueError("half_life and arrivals: expected numbers")
    if not isinstance(state.get("meanings", {}), dict):
        raise ValueError("meanings: expected an object")  # noqa: TRY004 -- as for any other damage
    Weighing.of(state.get("weights"))


def erase(folder: Path) -> None:
    """Take what was learned out of a folder; the index stays."""
    (folder / _NAME).unlink(missing_ok=True)
    _tidy(folder)
