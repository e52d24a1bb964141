"""Building an index: what is known is taken over, what is new is computed, and nothing is lost on the way."""

from __future__ import annotations

import itertools
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from coldstart import artefact, search
from coldstart.catalogue import Catalogue
from coldstart.entities import Item
from coldstart.errors import BadIndex
from coldstart.facets import Facets
from coldstart.index import Index, assemble, moved, standing, template_hash
from coldstart.learning.estimating import Expectation, Quality, inputs
from coldstart.prompting import Library, Template, render
from coldstart.rows import Progress, Rows, Store, key, precision

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from coldstart.encoding import Encoder
    from coldstart.generation import LanguageModel

KNOWLEDGE_SAMPLE = 400
"""Items on which the language model's knowledge of a catalogue is measured."""

WORTH_ALL_PROMPTS = 0.04
"""Knowledge from which all appeal prompts are asked; below, the prior weighs so little that the first one will do."""

SAMPLES = (1000, 2000, 4000)
"""Titles of a large catalogue that the language model reads: first so many, and more while that helps the rest."""

WORTH_MORE = 0.01
"""What a larger sample must add to the share of variance that estimates explain for a still larger one to be read."""

_PAIRS_SAMPLE = 20_000
_KNOWN_TOKENS = 32
_SPECIAL_TOKENS = 8  # more than any model puts around a text


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
        artefact.check_target(folder)
    models = {
        "encoder": encoder.provenance,
        "language_model": language_model and language_model.provenance,
    }
    store = Store.open(folder, models)
    if previous is not None:
        previous.check_plain()
        store.take(previous.manifest, previous.vectors, previous.rows, previous.facets, models)
    places = _places(previous, catalogue, library)
    documents = _documents(catalogue, library, encoder, previous, places)
    titles = _titles(catalogue, library, previous, places)
    vectors = store.fill("vectors", documents, encoder.encode, progress, width=encoder.dimension, task="item vectors")

    def encode(texts: Sequence[str]) -> NDArray[np.float32]:
        return store.fill("facets", texts, encoder.encode, progress, width=encoder.dimension, task="facets")

    facets = Facets.found(catalogue, library, encode)
    knowledge, sample = None, None
    prompts: tuple[_Prompt, ...] = ()
    if language_model is not None:
        knowledge = knowledge_of(catalogue, library, titles, language_model, store, progress)
        prompts, _ = _appeal_prompts(catalogue, library)
        prompts = prompts if knowledge >= WORTH_ALL_PROMPTS else prompts[:1]
        if len(set(titles)) > search.EXACT:
            sample = _sample_appeal(prompts, titles, vectors, language_model, store, progress)
        else:
            _fill_appeal(prompts, titles, language_model, store, progress)
    manifest = {
        "format": artefact.FORMAT,
        "kind": catalogue.kind,
        "items": len(catalogue),
        "catalogue": catalogue.hash,
        "dimension": encoder.dimension,
        "templates": template_hash(library),
        "knowledge": knowledge,
        "measured": len(catalogue),
        "appeal": dict(sorted((prompt.name, prompt.section) for prompt in prompts)),
        **({} if sample is None else {"sample": sample}),
        **models,
    }
    rows = store.rows(documents, titles)
    index = assemble(catalogue, vectors.astype(np.float32), rows, facets, manifest)
    if folder is not None:
        index.save(folder)
        store.discard()
    return index


def is_current(
    path: str | os.PathLike[str],
    catalogue: Catalogue,
    library: Library,
    models: Sequence[str | None],
    dtypes: Sequence[str | None] = (None, None),
) -> bool:
    """Whether the index there is what a build would make; told from its manifest, so that no model is loaded.

    Args:
        path: An index's folder, if it is one.
        catalogue: What would be indexed, in whatever order.
        library: The templates in use.
        models: The hashes of the encoder and of the language model; None for none.
        dtypes: Their precisions; None for whatever it has.
    """
    try:
        manifest = artefact.read_manifest(Path(path))
    except BadIndex:
        return False
    roles = [manifest[role] for role in ("encoder", "language_model")]
    built = [told and told["hash"] for told in roles]
    if any(told and dtype not in (None, precision(told)) for told, dtype in zip(roles, dtypes, strict=True)):
        return False
    same = (manifest["catalogue"], manifest["templates"]) == (catalogue.hash, template_hash(library))
    same &= not manifest.get("pending")
    return same and built == list(models)


def _fill_appeal(
    prompts: Sequence[_Prompt],
    titles: Sequence[str],
    model: LanguageModel,
    store: Store,
    progress: Progress | None,
) -> None:
    for number, prompt in enumerate(prompts, 1):

        def score(texts: Sequence[str], *, progress: Callable[[int], None], prompt: _Prompt = prompt) -> Any:
            found = model.likelihoods(prompt.written(model), texts, progress=progress)
            return np.stack([found.total, found.tokens.astype(float)], 1)

        store.fill(prompt.section, titles, score, progress, width=2, task=f"appeal {number}/{len(prompts)}")


def _sample_appeal(
    prompts: Sequence[_Prompt],
    titles: Sequence[str],
    vectors: NDArray[np.float32],
    model: LanguageModel,
    store: Store,
    progress: Progress | None,
) -> dict[str, float]:
    """Let the model read a sample of the titles, and return how well the others' appeal can be expected from that.

    The sample is drawn by hash, so that it hardly changes when items come and go. It is doubled as long as that made
    expectations better; how good they are is told by titles that are left out.
    """
    rows_of = {title: row for row, title in enumerate(titles) if title}
    drawn = sorted(rows_of, key=key)
    mean = vectors.mean(0, dtype=np.float64).astype(np.float32)
    quality: Quality | None = None
    for count in SAMPLES:
        sample = drawn[:count]
        _fill_appeal(prompts, sample, model, store, progress)
        told = np.stack([[store.known[prompt.section][key(title)] for title in sample] for prompt in prompts])
        moved = vectors[[rows_of[title] for title in sample]] - mean
        moved /= np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-9)
        values = standing(told[..., 0].T, told[0, :, 1].astype(np.int64))
        before, quality = quality, Expectation.of(inputs(moved, sample), values).quality
        if len(sample) < count or (before is not None and quality.share < before.share + WORTH_MORE):
            break
    assert quality is not None  # noqa: S101 - there are sizes
    return {"titles": len(sample), "share": round(quality.share, 4), "order": round(quality.order, 4)}


def knowledge_of(
    catalogue: Catalogue,
    library: Library,
    titles: Sequence[str],
    model: LanguageModel,
    store: Store,
    progress: Progress | None,
) -> float:
    """Return how much more often the model completes titles once it is told what they are titles of.

    The mean gain in probability, from the neutral prompt to the first appeal prompt, of the tokens that only the
    title itself can suggest: those that follow their predecessor nowhere else in the catalogue. The model's command
    of the domain's vocabulary ("Cabernet Sauvignon") and of plain language thus doesn't count as knowledge of the
    items. Measured on a sample that is drawn by hash, so that it hardly changes when items come and go.
    """
    prompts, neutral = _appeal_prompts(catalogue, library)
    before, after = neutral.written(model), prompts[0].written(model)
    titles = sorted(set(titles) - {""}, key=key)[:_PAIRS_SAMPLE]
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


@dataclass(frozen=True, slots=True)
class _Prompt:
    """An appeal prompt: a text to go on with, or a question to a chat and the beginning of its answer."""

    name: str
    text: str
    answer: str | None

    @property
    def section(self) -> str:
        """Where its likelihoods are kept."""
        return f"appeal-{key(json.dumps([self.text, self.answer])).hex()}"

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


def reencoded(
    index: Index, encoder: Encoder, *, known: Mapping[bytes, NDArray[np.float32]], progress: Progress | None
) -> Index:
    """Return the same index with the vectors of another encoder that reads the same documents.

    Args:
        known: Vectors that the encoder gave before, by the document's :func:`coldstart.rows.key`.
        progress: Called as documents are encoded.
    """
    documents = index.documents
    new = [text for text in dict.fromkeys(documents) if key(text) not in known]

    def told(done: int) -> None:
        if progress is not None:
            progress("item vectors", done, len(new))

    vectors_of = {**known, **dict(zip(map(key, new), encoder.encode(new, progress=told), strict=True))}
    vectors = np.stack([vectors_of[key(text)] for text in documents])
    facets = replace(index.facets, vectors=encoder.encode(index.facets.texts)) if len(index.facets) else index.facets
    manifest = {**index.manifest, "encoder": encoder.provenance, "dimension": encoder.dimension}
    return assemble(index.catalogue, vectors.astype(np.float32), index.rows, facets, manifest)


def extended(index: Index, items: Iterable[Item], *, encoder: Encoder, library: Library) -> Index:
    """Return an index that also holds these items, at the cost of reading their texts with the encoder.

    What the language model says of them is left open: :attr:`AppealEvidence.pending` tells of which, and
    :func:`build` with this index as ``previous`` asks for it, unless a sample is all that it reads.
    """
    given = list(items)
    catalogue = index.catalogue.with_items(given)
    places = _places_after(index, catalogue, given, library)
    documents = _documents(catalogue, library, encoder, index, places)
    titles = _titles(catalogue, library, index, places)
    changed = np.flatnonzero(places < 0)
    before = np.maximum(places, 0)
    vectors = np.empty((len(catalogue), index.vectors.shape[1]), np.float32)
    vectors[: len(index.vectors)] = index.vectors  # rows stay where they are
    vectors[changed] = encoder.encode([documents[row] for row in changed])
    said = {title: row for row, title in enumerate(index.rows.titles)}
    likelihoods = {}
    for section, known in index.rows.likelihoods.items():
        values = known[before]
        for row in changed:
            values[row] = known[said[titles[row]]] if titles[row] in said else np.nan
        likelihoods[section] = values
    facets = index.facets.of(catalogue, library, places)
    return _updated(index, catalogue, vectors, Rows(documents, tuple(titles), likelihoods), facets, places)


def read(index: Index, *, language_model: LanguageModel, library: Library) -> Index:
    """Return an index whose pending items the language model has read; its knowledge is taken as measured."""
    prompts = {prompt.name: prompt for prompt in _appeal_prompts(index.catalogue, library)[0]}
    likelihoods = dict(index.rows.likelihoods)
    for name, section in index.manifest["appeal"].items():
        values = likelihoods[section].copy()
        unread = np.flatnonzero(np.isnan(values).any(1))
        titles = [index.rows.titles[row] for row in unread]
        found = language_model.likelihoods(prompts[name].written(language_model), titles)
        values[unread] = np.stack([found.total, found.tokens.astype(float)], 1)
        likelihoods[section] = values
    rows, same = replace(index.rows, likelihoods=likelihoods), np.arange(len(index.catalogue))
    return _updated(index, index.catalogue, index.vectors, rows, index.facets, same)


def reduced(index: Index, ids: Iterable[str]) -> Index:
    """Return an index without some items.

    Raises:
        UnknownItem: An id that it doesn't hold.
        CatalogueError: No item would be left.
    """
    catalogue = index.catalogue.without(ids)
    kept = index.catalogue.rows(catalogue.ids)
    rows = Rows(
        tuple(index.rows.documents[row] for row in kept),
        tuple(index.rows.titles[row] for row in kept),
        {section: values[kept] for section, values in index.rows.likelihoods.items()},
    )
    facets = replace(index.facets, table=index.facets.table[kept])
    return _updated(index, catalogue, index.vectors[kept], rows, facets, kept)


def _updated(
    index: Index,
    catalogue: Catalogue,
    vectors: NDArray[np.float32],
    rows: Rows,
    facets: Facets,
    places: Sequence[int] | NDArray[np.int64],
) -> Index:
    pending = sum(
        np.isnan(rows.likelihoods[section]).any(1).astype(np.int64) for section in index.manifest["appeal"].values()
    )
    manifest = {
        **{name: value for name, value in index.manifest.items() if name not in ("files", "catalogue")},
        "items": len(catalogue),
        "pending": 0 if index.manifest.get("sample") else int(np.count_nonzero(pending)),
    }
    return moved(index, catalogue, vectors, rows, facets, manifest, places)


def _places(previous: Index | None, catalogue: Catalogue, library: Library) -> list[int]:
    """Return the row in ``previous`` of each item that it holds as it is, and was described alike; -1 of others."""
    if previous is None or previous.manifest["templates"] != template_hash(library):
        return [-1] * len(catalogue)
    if previous.catalogue.kind != catalogue.kind:
        return [-1] * len(catalogue)
    there = {item.id: (row, item) for row, item in enumerate(previous.catalogue.items)}
    found = (there.get(item.id, (-1, None)) for item in catalogue.items)
    return [row if old is new or old == new else -1 for (row, old), new in zip(found, catalogue.items, strict=True)]


def _places_after(index: Index, catalogue: Catalogue, items: Sequence[Item], library: Library) -> NDArray[np.int64]:
    """Return what :func:`_places` does for the catalogue that some items make of an index's."""
    if index.manifest["templates"] != template_hash(library):
        return np.full(len(catalogue), -1)
    places = np.where(np.arange(len(catalogue)) < len(index.catalogue), np.arange(len(catalogue)), -1)
    for item in items:
        row = catalogue.row(item.id)
        if places[row] >= 0 and index.catalogue[row] != item:
            places[row] = -1
    return places


def _titles(
    catalogue: Catalogue,
    library: Library,
    previous: Index | None = None,
    places: Sequence[int] | NDArray[np.int64] | None = None,
) -> list[str]:
    """Return what the language model reads of each item, after a space."""

    def title(item: Item) -> str:
        text = library.describe_item(item, kind=catalogue.kind, template="item-title").text
        return f" {text}" if text else ""

    if previous is None or places is None:
        return [title(item) for item in catalogue.items]
    return _kept(previous.rows.titles, title, catalogue, places)


def _documents(
    catalogue: Catalogue,
    library: Library,
    encoder: Encoder,
    previous: Index | None,
    places: Sequence[int] | NDArray[np.int64],
) -> tuple[str, ...]:
    """Return what the encoder reads of each item."""
    budget = encoder.max_tokens

    def count(text: str) -> int:
        most = len(text.encode("utf-8", "surrogatepass")) + _SPECIAL_TOKENS  # no token is less than a byte
        return most if most <= budget else encoder.count_tokens(text)

    def document(item: Item) -> str:
        return library.describe_item(item, kind=catalogue.kind, budget=budget, count_tokens=count).text

    if previous is None or previous.manifest["encoder"]["hash"] != encoder.hash:
        return tuple(document(item) for item in catalogue.items)
    return tuple(_kept(previous.documents, document, catalogue, places))


def _kept(
    known: Sequence[str], make: Callable[[Item], str], catalogue: Catalogue, places: Sequence[int] | NDArray[np.int64]
) -> list[str]:
    """Return the texts that are known, from their rows before, and those of other items, made now."""
    rows = np.asarray(places, np.int64)
    found = list(np.array(known, object)[np.maximum(rows, 0)]) if len(known) else [""] * len(rows)
    for row in np.flatnonzero(rows < 0):
        found[row] = make(catalogue[int(row)])
    return found
