"""What the models said of texts, kept under the hash of the very text that was read.

An update, a rebuild after a kill and a changed template thus all cost only the rows whose text is new.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import uuid
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from coldstart import artefact
from coldstart.errors import BadIndex
from coldstart.facets import Facets

if TYPE_CHECKING:
    from numpy.typing import NDArray

ENCODED = ("vectors", "facets")
"""Sections that hold what the encoder made of texts."""

_CHUNK = 2048
_UNREADABLE = (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile)


class Progress(Protocol):
    """Told how far a build is: called with what is being done, how much was just done and how much there is."""

    def __call__(self, task: str, done: int, total: int) -> None:
        """Take note that ``done`` more of ``total`` are done."""
        ...


def key(text: str) -> bytes:
    """Return what a text's rows are kept under."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:16]


@dataclass(frozen=True)
class Rows:
    """What the models read of each item and what the language model said, in the catalogue's order."""

    documents: tuple[str, ...]
    titles: tuple[str, ...]
    likelihoods: Mapping[str, NDArray[np.float64]]

    def to_bytes(self) -> bytes:
        """Return the rows as one compressed file."""
        arrays: dict[str, Any] = dict(self.likelihoods)
        for name, texts in (("documents", self.documents), ("titles", self.titles)):
            arrays[name] = np.frombuffer(json.dumps(texts).encode(), np.uint8)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Rows:
        """Read what :meth:`to_bytes` wrote."""
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            texts = {name: tuple(json.loads(arrays[name].tobytes())) for name in ("documents", "titles")}
            likelihoods = {name: arrays[name] for name in arrays.files if name not in texts}
        return cls(texts["documents"], texts["titles"], likelihoods)


class Store:
    """Rows by section and text, from an earlier index and an interrupted build; new ones are kept as they come."""

    def __init__(self, journal: Path | None) -> None:
        self.journal = journal
        self.known: dict[str, dict[bytes, NDArray[Any]]] = {}

    @classmethod
    def open(cls, folder: Path | None, models: Mapping[str, Any]) -> Store:
        """Collect what ``folder`` and the journal beside it hold from these models."""
        if folder is None:
            return cls(None)
        identity = key(json.dumps(models, sort_keys=True)).hex()
        store = cls(folder.parent / f".{folder.name}.partial-{identity[:16]}")
        store._take_index(folder, models)
        store._take_journal()
        return store

    def _take_index(self, folder: Path, models: Mapping[str, Any]) -> None:
        try:
            manifest = artefact.read_manifest(folder)
            rows = Rows.from_bytes(artefact.get(folder, manifest, "rows"))
            vectors = np.load(io.BytesIO(artefact.get(folder, manifest, "vectors")), allow_pickle=False)
            facets = Facets.from_bytes(artefact.get(folder, manifest, "facets"))
        except (BadIndex, ValueError, KeyError, OSError):
            return  # nothing to take over; saving will replace what is there
        self.take(manifest, vectors, rows, facets, models)

    def take(
        self,
        manifest: Mapping[str, Any],
        vectors: NDArray[np.float32],
        rows: Rows,
        facets: Facets,
        models: Mapping[str, Any],
    ) -> None:
        """Take over the rows of an index that these same models made."""
        if _same(manifest["encoder"], models["encoder"]):
            self._add("vectors", rows.documents, vectors)
            self._add("facets", facets.texts, facets.vectors)
        old, new = manifest["language_model"], models["language_model"]
        if old and new and _same(old, new):
            for section, values in rows.likelihoods.items():
                self._add(section, rows.titles, values)

    def _add(self, section: str, texts: Sequence[str], values: NDArray[Any]) -> None:
        known = self.known.setdefault(section, {})
        known.update((key(text), row) for text, row in zip(texts, values, strict=True) if np.isfinite(row).all())

    def _take_journal(self) -> None:
        if self.journal is None or not self.journal.is_dir():
            return
        for file in sorted(self.journal.glob("*.npz")):
            data = io.BytesIO(file.read_bytes())
            with contextlib.suppress(*_UNREADABLE), np.load(data, allow_pickle=False) as chunk:
                known = self.known.setdefault(file.name.rsplit(".", 2)[0], {})
                known.update((key.tobytes(), row) for key, row in zip(chunk["keys"], chunk["rows"], strict=True))

    def fill(
        self,
        section: str,
        texts: Sequence[str],
        compute: Callable[..., NDArray[Any]],
        progress: Progress | None,
        *,
        width: int,
        task: str,
    ) -> NDArray[Any]:
        """Return the rows of texts, computing only those that aren't known. Shape: ``(texts, width)``."""
        known = self.known.setdefault(section, {})
        keys = [key(text) for text in texts]
        missing = [text for key, text in dict(zip(keys, texts, strict=True)).items() if key not in known]
        missing.sort(key=len, reverse=True)
        for chunk in _chunks(missing):
            tell = None if progress is None else (lambda done: progress(task, done, len(missing)))
            rows = compute(chunk, progress=tell or (lambda _done: None))
            known.update((key(text), row) for text, row in zip(chunk, rows, strict=True))
            self._keep(section, chunk, rows)
        if not keys:
            return np.zeros((0, width))
        return np.stack([known[key] for key in keys])

    def _keep(self, section: str, texts: Sequence[str], rows: NDArray[Any]) -> None:
        if self.journal is None:
            return
        self.journal.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        np.savez(buffer, keys=np.array([np.frombuffer(key(text), np.uint8) for text in texts]), rows=rows)
        artefact.replace(self.journal / f"{section}.{uuid.uuid4().hex}.npz", buffer.getvalue())

    def rows(self, documents: Sequence[str], titles: Sequence[str]) -> Rows:
        """Return what an index keeps; NaN where nothing was computed."""
        keys = [key(title) for title in titles]
        likelihoods = {}
        for section, known in self.known.items():
            if section not in ENCODED and known:
                nothing = np.full(next(iter(known.values())).shape, np.nan)
                likelihoods[section] = np.array([known.get(key, nothing) for key in keys], np.float64)
        return Rows(tuple(documents), tuple(titles), likelihoods)

    def discard(self) -> None:
        """Delete the journal: its rows are in the saved index."""
        if self.journal is not None and self.journal.is_dir():
            for file in self.journal.iterdir():
                file.unlink()
            self.journal.rmdir()


def _same(old: Mapping[str, str], new: Mapping[str, str]) -> bool:
    """Whether two models' provenances tell of the same numbers."""
    return old["hash"] == new["hash"] and precision(old) == precision(new)


def precision(provenance: Mapping[str, str]) -> str:
    """Return in what numbers a model multiplied, as a manifest tells."""
    return provenance.get("dtype", "float32")  # older ones say nothing


def _chunks(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(texts), _CHUNK):
        yield texts[start : start + _CHUNK]
