"""Adapters kept with an index, in a folder each: PEFT's two files, what made them, and the vectors they gave.

Which one is in use is told by the index's own manifest, so that adapter and vectors change in one step.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from coldstart import artefact
from coldstart.errors import AdapterError, BadIndex
from coldstart.refining.lora import Adapter
from coldstart.rows import key

if TYPE_CHECKING:
    from numpy.typing import NDArray

FOLDER = "adapters"
FORMAT = 1
_FILES = {"weights": "adapter_model.safetensors", "config": "adapter_config.json"}
_MANIFEST, _VECTORS = "manifest.json", "vectors.npz"
_OURS = frozenset({"format", "version", "hash", "base", "scale", "files"})
_HISTORY, _LANGUAGE, _SEGMENTS = "history.json", "language.json", "segments.json"
_NAME = re.compile(r"\d{4}-[0-9a-f]{8}")
_WITHOUT = "0000-zeroshot"
"""Where the vectors of the encoder without an adapter are kept."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An adapter as it is kept.

    Attributes:
        version: Its number and the beginning of its hash.
        told: What its manifest says.
        promoted: Whether the index uses it.
        segments: The rules of the segments that it answers.
    """

    version: str
    told: Mapping[str, Any]
    promoted: bool
    segments: tuple[Mapping[str, Any], ...] = ()

    @property
    def language(self) -> bool:
        """Whether it is of the language model, and not of the bi-encoder."""
        return self.told.get("kind") == "language"

    @property
    def measure(self) -> str:
        """By what it was judged, as its manifest spells it."""
        return "auc" if self.language else "ndcg@10"


def language(index: Path) -> str:
    """Return the version of the language model's adapter in use; empty for none, or where there is no index."""
    try:
        told = json.loads((index / FOLDER / _LANGUAGE).read_text("utf-8"))
        return str(told[-1])
    except (OSError, ValueError, TypeError, IndexError):
        return ""


def speak(index: Path, version: str) -> None:
    """Put a language model's adapter to use, in one step, or none."""
    _note(index, _LANGUAGE, [*_noted(index, _LANGUAGE), version])


def hush(index: Path) -> str:
    """Put to use again what the language model had before; return its version, empty for none.

    Raises:
        AdapterError: It never had anything else.
    """
    told = _noted(index, _LANGUAGE)
    if len(told) < 2:
        raise AdapterError(f"{index} has never had another adapter of its language model: nothing to roll back to")
    _note(index, _LANGUAGE, told[:-1])
    return told[-2]


def listed(index: Path) -> list[Entry]:
    """Return an index's adapters, oldest first.

    Raises:
        BadIndex: No index is there.
        AdapterError: One's manifest can't be read.
    """
    current, every = {promoted(index), language(index)}, rules(index)
    found = []
    for path in _folders(index):
        answered = tuple(where for where, version in every if version == path.name)
        found.append(Entry(path.name, _told(path), path.name in current, answered))
    return found


def rules(index: Path) -> list[tuple[dict[str, Any], str]]:
    """Return an index's rules of segments and the versions of the adapters that answer them, in their order.

    Raises:
        AdapterError: They can't be read.
    """
    path = index / FOLDER / _SEGMENTS
    if not path.exists():
        return []
    try:
        return [(dict(each["where"]), str(each["version"])) for each in json.loads(path.read_text("utf-8"))]
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise AdapterError(
            f"{path} can't be read ({problem!r}): delete it and assign the adapters of segments again"
        ) from problem


def rule(index: Path, every: Iterable[tuple[Mapping[str, Any], str]]) -> None:
    """Keep which adapters answer which segments, in one step."""
    kept = [{"where": dict(where), "version": version} for where, version in every]
    (index / FOLDER).mkdir(parents=True, exist_ok=True)
    artefact.replace(index / FOLDER / _SEGMENTS, json.dumps(kept, ensure_ascii=False, indent=2).encode())


def promoted(index: Path) -> str:
    """Return the version in use; empty for none."""
    return str(artefact.read_manifest(index)["encoder"].get("adapter", ""))


def in_use(index: Path, base: str | None) -> tuple[Adapter, str] | None:
    """Return the adapter that an index has, and the hash of the encoder with it; None if it has none of this base.

    Raises:
        AdapterError: It is missing or damaged.
    """
    try:
        provenance = artefact.read_manifest(index)["encoder"]
    except BadIndex:
        return None
    if not provenance.get("adapter") or provenance["base"] != base:
        return None
    return load(index, provenance["adapter"]), str(provenance["hash"])


def found(index: Path, version: str) -> str:
    """Return the full name of a version: its number will do.

    Raises:
        AdapterError: There is none, or several.
    """
    names = [path.name for path in _folders(index)]
    wanted = [name for name in names if version in (name, name[:4], name[:4].lstrip("0"), name[5:])]
    if len(wanted) != 1:
        there = ", ".join(names) or "none"
        raise AdapterError(
            f"{index} has no adapter {version!r}: expected one of {there}; see `coldstart adapters list`"
        )
    return wanted[0]


def entry(index: Path, version: str) -> Entry:
    """Return a version's entry: its number will do.

    Raises:
        AdapterError: There is none, or several.
    """
    name = found(index, version)
    return next(each for each in listed(index) if each.version == name)


def keep(index: Path, adapter: Adapter) -> Adapter:
    """Write an adapter beside the others, whole or not at all; return it with its version.

    One that is there already keeps its version.
    """
    folder = index / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    same = next((path.name for path in _folders(index) if path.name.endswith(adapter.hash[:8])), None)
    if same is not None:
        return replace(adapter, version=same)
    number = max((int(path.name[:4]) for path in _folders(index)), default=0) + 1
    version = f"{number:04d}-{adapter.hash[:8]}"
    parts = {"weights": adapter.weights, "config": adapter.config}
    manifest = {
        **adapter.told,
        "format": FORMAT,
        "version": version,
        "hash": adapter.hash,
        "base": adapter.base,
        "scale": adapter.scale,
        "files": {_FILES[name]: hashlib.sha256(data).hexdigest() for name, data in parts.items()},
    }
    temporary = folder / f".{version}.{uuid.uuid4().hex}.tmp"
    temporary.mkdir()
    try:
        for name, data in parts.items():
            artefact.replace(temporary / _FILES[name], data)
        artefact.replace(temporary / _MANIFEST, json.dumps(manifest, indent=2, sort_keys=True).encode())
        temporary.rename(folder / version)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return replace(adapter, version=version)


def load(index: Path, version: str) -> Adapter:
    """Return an adapter.

    Raises:
        AdapterError: It is missing or damaged, or its manifest isn't the one that was written.
    """
    folder = index / FOLDER / version
    told = _told(folder)
    try:
        parts = {name: (folder / file).read_bytes() for name, file in _FILES.items()}
        whole = all(hashlib.sha256(data).hexdigest() == told["files"][_FILES[name]] for name, data in parts.items())
        about = {name: value for name, value in told.items() if name not in _OURS}
        adapter = Adapter(**parts, base=told["base"], scale=float(told["scale"]), version=version, told=about)
        whole = whole and adapter.hash == told["hash"] and version.endswith(adapter.hash[:8])
    except (OSError, KeyError, TypeError, ValueError) as problem:
        raise AdapterError(f"the adapter in {folder} can't be read ({problem!r}): {_REMEDY}") from problem
    if not whole:
        raise AdapterError(f"the adapter in {folder} isn't what was written: {_REMEDY}")
    return adapter


_REMEDY = "roll back with `coldstart adapters rollback`, or refine again"


def history(index: Path) -> list[str]:
    """Return the versions that were promoted, in that order, the one in use last; empty names are none at all."""
    told, current = _noted(index, _HISTORY), promoted(index)
    return told if told and told[-1] == current else [*told, current]


def note(index: Path, versions: Sequence[str]) -> None:
    """Keep which versions were promoted."""
    _note(index, _HISTORY, versions)


def remove(index: Path, version: str) -> None:
    """Delete an adapter that isn't in use.

    Raises:
        AdapterError: It is in use, or isn't there.
    """
    version = found(index, version)
    if version in (promoted(index), language(index)):
        raise AdapterError(f"{version} is in use: promote another or `coldstart adapters rollback` first")
    if any(version == name for _, name in rules(index)):
        raise AdapterError(f"{version} answers a segment: `coldstart adapters withdraw` it first")
    shutil.rmtree(index / FOLDER / version)
    note(index, [name for name in history(index) if name != version])
    if version in (spoken := _noted(index, _LANGUAGE)):
        _note(index, _LANGUAGE, [name for name in spoken if name != version])


def keep_vectors(index: Path, version: str, documents: Sequence[str], vectors: NDArray[np.float32]) -> None:
    """Keep the vectors that an adapter gave, or the encoder without one, so that going back costs nothing."""
    folder = index / FOLDER / (version or _WITHOUT)
    folder.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    np.savez(buffer, keys=np.array([np.frombuffer(key(text), np.uint8) for text in documents]), vectors=vectors)
    artefact.replace(folder / _VECTORS, buffer.getvalue())


def known_vectors(index: Path, version: str) -> dict[bytes, NDArray[np.float32]]:
    """Return the vectors that were kept, by document; none if none were, or if they can't be read."""
    try:
        with np.load(index / FOLDER / (version or _WITHOUT) / _VECTORS, allow_pickle=False) as kept:
            return {name.tobytes(): row for name, row in zip(kept["keys"], kept["vectors"], strict=True)}
    except (OSError, ValueError, KeyError, EOFError):
        return {}


def _noted(index: Path, name: str) -> list[str]:
    try:
        return [str(version) for version in json.loads((index / FOLDER / name).read_text("utf-8"))] or [""]
    except (OSError, ValueError, TypeError):
        return [""]


def _note(index: Path, name: str, versions: Sequence[str]) -> None:
    (index / FOLDER).mkdir(parents=True, exist_ok=True)
    artefact.replace(index / FOLDER / name, json.dumps(list(versions)).encode())


def _folders(index: Path) -> Iterator[Path]:
    folder = index / FOLDER
    if folder.is_dir():
        yield from sorted(path for path in folder.iterdir() if path.is_dir() and _NAME.fullmatch(path.name))


def _told(folder: Path) -> dict[str, Any]:
    try:
        told = json.loads((folder / _MANIFEST).read_text("utf-8"))
        newer = told["format"] > FORMAT
    except FileNotFoundError:
        raise AdapterError(f"{folder} holds no adapter: see `coldstart adapters list`") from None
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise AdapterError(f"{folder / _MANIFEST} can't be read ({problem!r}): {_REMEDY}") from problem
    if newer:
        raise AdapterError(f"{folder} has format {told['format']}, but this version reads up to {FORMAT}: upgrade")
    return dict(told)
