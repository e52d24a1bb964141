"""A folder of files that changes in one step: what an index is kept in.

Files are named by their content and the manifest names the files, so that replacing the manifest replaces them all:
a reader sees the old index or the new one, never a mixture, also after a kill or a power cut.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from coldstart.errors import BadIndex

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMAT = 1
"""Raise it when older code could misread a newer folder."""

FILES = ("catalogue", "vectors", "rows", "facets")
"""What a manifest names files for."""

LARGE_FILES = ("codes", "cells")
"""And what it names further ones for where the catalogue is large."""

MAPPED = 64_000_000
"""Arrays of more bytes are mapped into memory and not read; of these the size alone is checked."""

_KEYS = frozenset(
    {
        *("format", "kind", "items", "catalogue", "dimension", "templates", "knowledge", "appeal"),
        *("encoder", "language_model", "files"),
    }
)
_READS = 5
_PART = 16_384  # rows of an array that are written at once


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return what a folder says of itself.

    Raises:
        BadIndex: It is missing, isn't an index, or is of a newer format.
    """
    try:
        manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
        newer = manifest["format"] > FORMAT
    except FileNotFoundError:
        raise BadIndex(f"{folder} holds no index: build one with `coldstart index ITEMS --out {folder}`") from None
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise BadIndex(f"{folder / 'manifest.json'} can't be read ({problem}): index again") from problem
    if newer:
        raise BadIndex(f"{folder} has format {manifest['format']}, but this version reads up to {FORMAT}: upgrade")
    if lacking := sorted(_KEYS - manifest.keys()):
        raise BadIndex(f"{folder / 'manifest.json'} lacks {', '.join(lacking)}: index again")
    return dict(manifest)


def read(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the manifest and its files: arrays from ``.npy`` files, and the bytes of others.

    A save meanwhile may take the files away; then the new manifest's are read.
    """
    for attempt in range(_READS):
        manifest = read_manifest(folder)
        named = [what for what in LARGE_FILES if what in manifest["files"]]
        try:
            return manifest, {what: _opened(folder, manifest, what) for what in (*FILES, *named)}
        except BadIndex:
            if attempt == _READS - 1 or manifest == read_manifest(folder):
                raise
    raise AssertionError


def _opened(folder: Path, manifest: Mapping[str, Any], what: str) -> Any:
    name = str(manifest["files"].get(what, {}).get("name", ""))
    return array(folder, manifest, what) if name.endswith(".npy") else get(folder, manifest, what)


def array(folder: Path, manifest: Mapping[str, Any], what: str) -> NDArray[Any]:
    """Return the array in a file that the manifest names; a large one is mapped.

    Raises:
        BadIndex: It is missing, or isn't what the manifest says.
    """
    try:
        entry = manifest["files"][what]
        path, size = folder / entry["name"], int(entry["bytes"])
        if size <= MAPPED:
            found: NDArray[Any] = np.load(io.BytesIO(get(folder, manifest, what)), allow_pickle=False)
            return found
        if path.stat().st_size == size:
            return np.load(path, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]
    except (OSError, KeyError, TypeError, ValueError) as problem:
        raise BadIndex(f"the {what} of the index in {folder} can't be read ({problem}): index again") from problem
    raise BadIndex(f"{path} is damaged: its size isn't the manifest's; index again")


def get(folder: Path, manifest: Mapping[str, Any], what: str) -> bytes:
    """Return the bytes of a file that the manifest names.

    Raises:
        BadIndex: It is missing, or isn't what the manifest says.
    """
    try:
        entry = manifest["files"][what]
        data: bytes = (folder / entry["name"]).read_bytes()
        whole = hashlib.sha256(data).hexdigest() == entry["sha256"]
    except (OSError, KeyError, TypeError) as problem:
        raise BadIndex(f"the {what} of the index in {folder} can't be read ({problem}): index again") from problem
    if not whole:
        raise BadIndex(f"{folder / entry['name']} is damaged: its SHA-256 isn't the manifest's; index again")
    return data


def check_target(folder: Path) -> None:
    """Raise unless a folder can take an index: it is new, empty, or holds one.

    Raises:
        BadIndex: It is a file, or holds something else.
    """
    if folder.exists() and not folder.is_dir():
        raise BadIndex(f"{folder} is a file: an index is a folder; name another path")
    # Parts of an index without a manifest are what a kill left of the first save.
    foreign = folder.is_dir() and not all(_is_ours(path) or path.name == "adapters" for path in folder.iterdir())
    if foreign and not (folder / "manifest.json").exists():
        raise BadIndex(f"{folder} holds other files and no index: name an empty or a new folder")


def put(folder: Path, stem: str, suffix: str, data: bytes) -> dict[str, Any]:
    """Write a file named by its content; return what the manifest says of it."""
    digest = hashlib.sha256(data).hexdigest()
    name = f"{stem}-{digest[:16]}{suffix}"
    replace(folder / name, data)
    return {"name": name, "sha256": digest, "bytes": len(data)}


def put_array(folder: Path, stem: str, array: NDArray[Any]) -> dict[str, Any]:
    """Write an array in NumPy's format to a file named by its content, a part at a time; see :func:`put`."""
    if array.nbytes <= MAPPED:
        return put(folder, stem, ".npy", b"".join(_parts(array)))
    temporary = folder / f"{stem}-{uuid.uuid4().hex}.tmp"
    digest = hashlib.sha256()
    try:
        with temporary.open("wb") as file:
            for part in _parts(array):
                digest.update(part)
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
        name = f"{stem}-{digest.hexdigest()[:16]}.npy"
        temporary.replace(folder / name)
    finally:
        temporary.unlink(missing_ok=True)
    return {"name": name, "sha256": digest.hexdigest(), "bytes": size}


def _parts(array: NDArray[Any]) -> Iterator[bytes]:
    described = np.lib.format.header_data_from_array_1_0(np.ascontiguousarray(array[:1]))
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {**described, "shape": array.shape})
    yield head.getvalue()
    for start in range(0, len(array), _PART):
        yield np.ascontiguousarray(array[start : start + _PART]).tobytes()


def replace(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all, also after a power cut."""
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def sweep(folder: Path, *, keep: set[str]) -> None:
    """Delete what earlier saves left behind."""
    for path in folder.iterdir():
        if _is_ours(path) and path.name not in keep:
            path.unlink(missing_ok=True)


def _is_ours(path: Path) -> bool:
    """Whether a save wrote this file, apart from the manifest."""
    return path.name.split("-")[0] in (*FILES, *LARGE_FILES) or path.name.startswith("manifest.json.")
