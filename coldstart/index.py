"""The index: a folder that holds a catalogue's vectors, its appeal evidence and a manifest of what made them.

Every row is kept under the hash of the very text that a model read, so that an update, a rebuild after a kill and
a changed template all cost only the rows whose text is new. The manifest is replaced last and in one step: a
reader sees the old index or the new one, never a mixture.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import itertools
import json
import os
import uuid
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from coldstart.catalogue import Catalogue
from coldstart.entities import Item
from coldstart.errors import BadIndex, IndexMismatch
from coldstart.prompting import Library, Template, render

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from coldstart.encoding import Encoder
    from coldstart.generation import LanguageModel

FORMAT = 1
"""Raise it when older code could misread a newer folder."""

KNOWLEDGE_SAMPLE = 400
"""Items on which the language model's knowledge of a catalogue is measured."""

_PAIRS_SAMPLE = 20_000
_KNOWN_TOKENS = 32
_CHUNK = 1024
_FILES = ("catalogue", "vectors", "rows")
_KEYS = frozenset(
    (
        "format",
        "kind",
        "items",
        "catalogue",
        "dimension",
        "templates",
        "knowledge",
        "encoder",
        "language_model",
        "files",
    )
)
_READS = 5
_UNREADABLE = (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile)
_SHRINK_MEAN = 10.0


class Progress(Protocol):
    """Told how far a build is: called with what is being done, how much was just done and how much there is."""

    def __call__(self, task: str, done: int, total: int) -> None:
        """Take note that ``done`` more of ``total`` are done."""
        ...


@dataclass(frozen=True, slots=True)
class AppealEvidence:
    """How likely a language model finds each title after each appeal prompt.

    Attributes:
        prompts: The prompts' names, in the order of the columns.
        total: Log-probability of the title, in nats; NaN where it has no words. Shape: ``(items, prompts)``.
        tokens: Tokens of the title. Shape: ``(items,)``.
        knowledge: How well the model knows the catalogue: see :func:`_knowledge`.
    """

    prompts: tuple[str, ...]
    total: NDArray[np.float64]
    tokens: NDArray[np.int64]
    knowledge: float


@dataclass(frozen=True)
class Index:
    """A catalogue as the models see it. Row i of every array belongs to ``catalogue[i]``.

    Attributes:
        documents: What the encoder read of each item.
        vectors: Unit vectors, float32. Shape: ``(items, dimension)``.
        appeal: None for an index without a language model.
        manifest: What made it: models, templates, catalogue, with their hashes.
    """

    catalogue: Catalogue
    documents: tuple[str, ...]
    vectors: NDArray[np.float32]
    appeal: AppealEvidence | None
    manifest: Mapping[str, Any]
    _rows: _Rows = field(repr=False, compare=False)

    @cached_property
    def mean(self) -> NDArray[np.float32]:
        """The vectors' mean, shrunk to zero for catalogues of a few items. Shape: ``(dimension,)``."""
        total: NDArray[np.float64] = self.vectors.sum(0, dtype=np.float64)
        return (total / (len(self.vectors) + _SHRINK_MEAN)).astype(np.float32)

    @cached_property
    def centred(self) -> NDArray[np.float32]:
        """Unit vectors after the mean is taken off, as :meth:`centre` does for queries."""
        return self.centre(self.vectors)

    def centre(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take the catalogue's mean off vectors and normalise them. Shape: ``(texts, dimension)``.

        All texts of one domain share a direction, which says nothing of their differences and drowns them
        (anisotropy; Mu and Viswanath, "All-but-the-Top", ICLR 2018).
        """
        moved = vectors - self.mean
        lengths = np.linalg.norm(moved, axis=1, keepdims=True)
        result: NDArray[np.float32] = moved / np.maximum(lengths, 1e-9)
        return result

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the index to a folder, replacing the one there in one step.

        Raises:
            BadIndex: The path is a file, or a folder that holds something else than an index.
        """
        folder = Path(path)
        _check_target(folder)
        folder.mkdir(parents=True, exist_ok=True)
        files = {
            "catalogue": _put(folder, "catalogue", ".jsonl.gz", _catalogue_bytes(self.catalogue)),
            "vectors": _put(folder, "vectors", ".npy", _npy(self.vectors)),
            "rows": _put(folder, "rows", ".npz", self._rows.to_bytes()),
        }
        manifest = {**self.manifest, "files": files}
        _replace(folder / "manifest.json", json.dumps(manifest, indent=2, sort_keys=True).encode())
        _sweep(folder, keep={entry["name"] for entry in files.values()})

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, library: Library) -> Index:
        """Read an index that was built with the same templates.

        Raises:
            BadIndex: No index is there, or it is damaged.
            IndexMismatch: It was built with other templates.
        """
        folder = Path(path)
        manifest, files = _read(folder)
        catalogue = _read_catalogue(files["catalogue"], manifest, folder)
        vectors = np.load(io.BytesIO(files["vectors"]), allow_pickle=False)
        rows = _Rows.from_bytes(files["rows"])
        if vectors.shape != (len(catalogue), manifest["dimension"]):
            raise BadIndex(f"{folder} holds vectors of shape {vectors.shape} for {len(catalogue)} items: index again")
        now = template_hash(library)
        if now != manifest["templates"]:
            raise IndexMismatch(
                f"{folder} was built with templates {manifest['templates'][:12]}, but those in use are {now[:12]}:"
                " name the same prompts folder, or run `coldstart index` again (only changed texts are redone)"
            )
        return _assemble(catalogue, vectors, rows, library, manifest)


def template_hash(library: Library) -> str:
    """Return the hash of all templates that an index depends on."""
    purposes = ("appeal", "appeal-asked", "appeal-neutral")
    return library.hash(["item", "item-title", *(t.name for purpose in purposes for t in library.of(purpose))])


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


def build(
    catalogue: Catalogue,
    *,
    encoder: Encoder,
    language_model: LanguageModel | None,
    library: Library,
    previous: Index | None = None,
    path: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Index:
    """Compute a catalogue's index, reusing whatever is known.

    Args:
        previous: An index whose rows are taken over, on the same conditions as one at ``path``.
        path: Where it will be saved. Rows of an index there and of an interrupted build are taken over if they
            come from the same models and the same texts; what is computed is kept beside it as it comes.

    Returns:
        The index; already saved if there is a path.
    """
    folder = None if path is None else Path(path)
    if folder is not None:
        _check_target(folder)
    models = {
        "encoder": {"name": encoder.name, "hash": encoder.hash},
        "language_model": language_model and {"name": language_model.name, "hash": language_model.hash},
    }
    store = _Store.open(folder, models)
    if previous is not None:
        store.take(previous.manifest, previous.vectors, previous._rows, models)
    documents = _documents(catalogue, library, encoder.count_tokens, encoder.max_tokens)
    vectors = store.fill("vectors", documents, encoder.encode, progress, width=encoder.dimension, task="item vectors")
    knowledge = None
    if language_model is not None:
        _fill_appeal(catalogue, library, language_model, store, progress)
        knowledge = _knowledge(catalogue, library, language_model, store, progress)
    manifest = {
        "format": FORMAT,
        "kind": catalogue.kind,
        "items": len(catalogue),
        "catalogue": catalogue.hash,
        "dimension": encoder.dimension,
        "templates": template_hash(library),
        "knowledge": knowledge,
        **models,
    }
    rows = store.rows(documents, _titles(catalogue, library))
    index = _assemble(catalogue, vectors.astype(np.float32), rows, library, manifest, documents)
    if folder is not None:
        index.save(folder)
        store.discard()
    return index


def _assemble(
    catalogue: Catalogue,
    vectors: NDArray[np.float32],
    rows: _Rows,
    library: Library,
    manifest: Mapping[str, Any],
    documents: tuple[str, ...] = (),
) -> Index:
    documents = documents or rows.documents
    appeal = None
    if manifest["language_model"] is not None:
        prompts, _ = _appeal_prompts(catalogue, library)
        total = np.stack([rows.likelihoods[prompt.section][:, 0] for prompt in prompts], 1)
        tokens = rows.likelihoods[prompts[0].section][:, 1]
        known = tokens > 0
        appeal = AppealEvidence(
            tuple(prompt.name for prompt in prompts),
            np.where(known[:, None], total, np.nan),
            np.where(known, tokens, 0).astype(np.int64),
            float(manifest["knowledge"]),
        )
    return Index(catalogue, documents, vectors, appeal, manifest, rows)


# Appeal -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Prompt:
    """An appeal prompt: a text to go on with, or a question to a chat and the beginning of its answer."""

    name: str
    text: str
    answer: str | None

    @property
    def section(self) -> str:
        """Where its likelihoods are kept."""
        return f"appeal-{_key(json.dumps([self.text, self.answer])).hex()}"

    def written(self, model: LanguageModel) -> str:
        """Return what the model reads."""
        return self.text if self.answer is None else model.chat(self.text) + self.answer


def _appeal_prompts(catalogue: Catalogue, library: Library) -> tuple[tuple[_Prompt, ...], _Prompt]:
    values = {"kind": catalogue.kind}

    def prompt(template: Template) -> _Prompt:
        answer = render(template, values, part="candidate").text if template.candidate else None
        return _Prompt(template.name, render(template, values).text, answer)

    prompts = tuple(prompt(template) for template in (*library.of("appeal"), *library.of("appeal-asked")))
    return prompts, prompt(library.of("appeal-neutral")[0])


def _titles(catalogue: Catalogue, library: Library) -> list[str]:
    named = [library.describe_item(item, kind=catalogue.kind, template="item-title").text for item in catalogue.items]
    return [f" {title}" if title else "" for title in named]


def _documents(
    catalogue: Catalogue, library: Library, count_tokens: Callable[[str], int], budget: int
) -> tuple[str, ...]:
    def document(item: Item) -> str:
        return library.describe_item(item, kind=catalogue.kind, budget=budget, count_tokens=count_tokens).text

    return tuple(document(item) for item in catalogue.items)


def _fill_appeal(
    catalogue: Catalogue, library: Library, model: LanguageModel, store: _Store, progress: Progress | None
) -> None:
    titles = _titles(catalogue, library)
    prompts, _ = _appeal_prompts(catalogue, library)
    for number, prompt in enumerate(prompts, 1):

        def score(texts: Sequence[str], *, progress: Callable[[int], None], prompt: _Prompt = prompt) -> Any:
            found = model.likelihoods(prompt.written(model), texts, progress=progress)
            return np.stack([found.total, found.tokens.astype(float)], 1)

        store.fill(prompt.section, titles, score, progress, width=2, task=f"appeal {number}/{len(prompts)}")


def _knowledge(
    catalogue: Catalogue, library: Library, model: LanguageModel, store: _Store, progress: Progress | None
) -> float:
    """Return how much more often the model completes titles once it is told what they are titles of.

    The mean gain in probability, from the neutral prompt to the first appeal prompt, of the tokens that only the
    title itself can suggest: those that follow their predecessor nowhere else in the catalogue. The model's command
    of the domain's vocabulary ("Cabernet Sauvignon") and of plain language thus doesn't count as knowledge of the
    items. Measured on a sample that is drawn by hash, so that it hardly changes when items come and go.
    """
    prompts, neutral = _appeal_prompts(catalogue, library)
    before, after = neutral.written(model), prompts[0].written(model)
    titles = sorted(set(_titles(catalogue, library)) - {""}, key=_key)[:_PAIRS_SAMPLE]
    tokens = model.tokenize(after, titles)
    pairs = Counter(pair for row in tokens for pair in itertools.pairwise(row))

    def gain(texts: Sequence[str], *, progress: Callable[[int], None]) -> NDArray[np.float64]:
        gains = np.zeros((len(texts), _KNOWN_TOKENS))
        told = model.log_probabilities(after, texts, progress=progress)
        for row, plain, informed in zip(gains, model.log_probabilities(before, texts), told, strict=True):
            kept = min(len(plain), len(informed), _KNOWN_TOKENS)
            row[:kept] = np.exp(informed[:kept]) - np.exp(plain[:kept])
        return gains

    sample = titles[:KNOWLEDGE_SAMPLE]
    name = f"knowledge-{neutral.section}-{prompts[0].section}"
    gains = store.fill(name, sample, gain, progress, width=_KNOWN_TOKENS, task="knowledge of the catalogue")
    own = [
        gains[row, place]
        for row, ids in enumerate(tokens[: len(sample)])
        for place in range(1, min(len(ids), _KNOWN_TOKENS))
        if pairs[ids[place - 1], ids[place]] == 1
    ]
    return float(np.mean(own)) if own else 0.0


# Rows by the hash of their text -------------------------------------------------------------------------------


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:16]


@dataclass(frozen=True)
class _Rows:
    """What the models read of each item and what the language model said, in the catalogue's order."""

    documents: tuple[str, ...]
    titles: tuple[str, ...]
    likelihoods: Mapping[str, NDArray[np.float64]]

    def to_bytes(self) -> bytes:
        arrays: dict[str, Any] = dict(self.likelihoods)
        for name, texts in (("documents", self.documents), ("titles", self.titles)):
            arrays[name] = np.frombuffer(json.dumps(texts).encode(), np.uint8)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> _Rows:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            texts = {name: tuple(json.loads(arrays[name].tobytes())) for name in ("documents", "titles")}
            likelihoods = {name: arrays[name] for name in arrays.files if name not in texts}
        return cls(texts["documents"], texts["titles"], likelihoods)


class _Store:
    """Rows by section and text, from an earlier index and an interrupted build; new ones are kept as they come."""

    def __init__(self, journal: Path | None) -> None:
        self.journal = journal
        self.known: dict[str, dict[bytes, NDArray[Any]]] = {}

    @classmethod
    def open(cls, folder: Path | None, models: Mapping[str, Any]) -> _Store:
        """Collect what ``folder`` and the journal beside it hold from these models."""
        if folder is None:
            return cls(None)
        identity = _key(json.dumps(models, sort_keys=True)).hex()
        store = cls(folder.parent / f".{folder.name}.partial-{identity[:16]}")
        store._take_index(folder, models)
        store._take_journal()
        return store

    def _take_index(self, folder: Path, models: Mapping[str, Any]) -> None:
        try:
            manifest = read_manifest(folder)
            rows = _Rows.from_bytes(_get(folder, manifest, "rows"))
            vectors = np.load(io.BytesIO(_get(folder, manifest, "vectors")), allow_pickle=False)
        except (BadIndex, ValueError, KeyError, OSError):
            return  # nothing to take over; saving will replace what is there
        self.take(manifest, vectors, rows, models)

    def take(
        self, manifest: Mapping[str, Any], vectors: NDArray[np.float32], rows: _Rows, models: Mapping[str, Any]
    ) -> None:
        """Take over the rows of an index that these same models made."""
        if manifest["encoder"]["hash"] == models["encoder"]["hash"]:
            self._add("vectors", rows.documents, vectors)
        old, new = manifest["language_model"], models["language_model"]
        if old and new and old["hash"] == new["hash"]:
            for section, values in rows.likelihoods.items():
                self._add(section, rows.titles, values)

    def _add(self, section: str, texts: Sequence[str], values: NDArray[Any]) -> None:
        known = self.known.setdefault(section, {})
        known.update((_key(text), row) for text, row in zip(texts, values, strict=True) if np.isfinite(row).all())

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
        keys = [_key(text) for text in texts]
        missing = [text for key, text in dict(zip(keys, texts, strict=True)).items() if key not in known]
        missing.sort(key=len, reverse=True)
        for chunk in _chunks(missing):
            tell = None if progress is None else (lambda done: progress(task, done, len(missing)))
            rows = compute(chunk, progress=tell or (lambda _done: None))
            known.update((_key(text), row) for text, row in zip(chunk, rows, strict=True))
            self._keep(section, chunk, rows)
        if not keys:
            return np.zeros((0, width))
        return np.stack([known[key] for key in keys])

    def _keep(self, section: str, texts: Sequence[str], rows: NDArray[Any]) -> None:
        if self.journal is None:
            return
        self.journal.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        np.savez(buffer, keys=np.array([np.frombuffer(_key(text), np.uint8) for text in texts]), rows=rows)
        _replace(self.journal / f"{section}.{uuid.uuid4().hex}.npz", buffer.getvalue())

    def rows(self, documents: Sequence[str], titles: Sequence[str]) -> _Rows:
        """Return what an index keeps; NaN where nothing was computed."""
        keys = [_key(title) for title in titles]
        likelihoods = {}
        for section, known in self.known.items():
            if section != "vectors" and known:
                nothing = np.full(next(iter(known.values())).shape, np.nan)
                likelihoods[section] = np.array([known.get(key, nothing) for key in keys], np.float64)
        return _Rows(tuple(documents), tuple(titles), likelihoods)

    def discard(self) -> None:
        """Delete the journal: its rows are in the saved index."""
        if self.journal is not None and self.journal.is_dir():
            for file in self.journal.iterdir():
                file.unlink()
            self.journal.rmdir()


def _chunks(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(texts), _CHUNK):
        yield texts[start : start + _CHUNK]


# Files --------------------------------------------------------------------------------------------------------


def _npy(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _catalogue_bytes(catalogue: Catalogue) -> bytes:
    lines = (
        json.dumps([item.id, item.title, dict(item.attributes)], ensure_ascii=False, separators=(",", ":"))
        for item in catalogue.items
    )
    return gzip.compress("\n".join(lines).encode("utf-8", "surrogatepass"), mtime=0)


def _read_catalogue(data: bytes, manifest: Mapping[str, Any], folder: Path) -> Catalogue:
    try:
        lines = gzip.decompress(data).decode("utf-8", "surrogatepass").split("\n")
        catalogue = Catalogue((Item(*json.loads(line)) for line in lines), kind=manifest["kind"])
    except (ValueError, TypeError, OSError) as problem:
        raise BadIndex(f"the catalogue in {folder} can't be read ({problem}): index again") from problem
    if catalogue.hash != manifest["catalogue"]:
        raise BadIndex(f"the catalogue in {folder} isn't the one its manifest names: index again")
    return catalogue


def _check_target(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise BadIndex(f"{folder} is a file: an index is a folder; name another path")
    # Parts of an index without a manifest are what a kill left of the first save.
    foreign = folder.is_dir() and not all(_is_ours(path) for path in folder.iterdir())
    if foreign and not (folder / "manifest.json").exists():
        raise BadIndex(f"{folder} holds other files and no index: name an empty or a new folder")


def _put(folder: Path, stem: str, suffix: str, data: bytes) -> dict[str, Any]:
    digest = hashlib.sha256(data).hexdigest()
    name = f"{stem}-{digest[:16]}{suffix}"
    _replace(folder / name, data)
    return {"name": name, "sha256": digest, "bytes": len(data)}


def _get(folder: Path, manifest: Mapping[str, Any], what: str) -> bytes:
    try:
        entry = manifest["files"][what]
        data: bytes = (folder / entry["name"]).read_bytes()
        whole = hashlib.sha256(data).hexdigest() == entry["sha256"]
    except (OSError, KeyError, TypeError) as problem:
        raise BadIndex(f"the {what} of the index in {folder} can't be read ({problem}): index again") from problem
    if not whole:
        raise BadIndex(f"{folder / entry['name']} is damaged: its SHA-256 isn't the manifest's; index again")
    return data


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return the manifest and its files. A save meanwhile may take the files away; then the new manifest's are read."""
    for attempt in range(_READS):
        manifest = read_manifest(folder)
        try:
            return manifest, {what: _get(folder, manifest, what) for what in _FILES}
        except BadIndex:
            if attempt == _READS - 1 or manifest == read_manifest(folder):
                raise
    raise AssertionError


def _replace(path: Path, data: bytes) -> None:
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


def _sweep(folder: Path, *, keep: set[str]) -> None:
    for path in folder.iterdir():
        if _is_ours(path) and path.name not in keep:
            path.unlink(missing_ok=True)


def _is_ours(path: Path) -> bool:
    """Whether a save wrote this file, apart from the manifest."""
    return path.name.split("-")[0] in _FILES or path.name.startswith("manifest.json.")
