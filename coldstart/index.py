"""The index: a catalogue as the models see it, with its vectors, its appeal evidence and what made them."""

from __future__ import annotations

import gzip
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from coldstart import artefact, search
from coldstart.catalogue import Catalogue
from coldstart.entities import Item
from coldstart.errors import BadIndex, IndexMismatch
from coldstart.facets import Facets
from coldstart.prompting import Library
from coldstart.rows import Rows
from coldstart.search import Search

if TYPE_CHECKING:
    from numpy.typing import NDArray

LENGTH_POWER = 0.7
"""Log-probabilities are divided by tokens to this power: 1 favours long familiar phrases, 0 favours short titles."""

FIXED = 8
"""Arrays of rows that can't be written to, such as samples, of which what was worked out last is kept."""

_SHRINK_MEAN = 10.0
_MANY = 200  # rows that don't take the place of few


@dataclass(frozen=True, slots=True)
class AppealEvidence:
    """How likely a language model finds each title after each appeal prompt.

    Attributes:
        prompts: The prompts' names, in the order of the columns.
        total: Log-probability of the title, in nats; NaN where it has no words. Shape: ``(items, prompts)``.
        tokens: Tokens of the title. Shape: ``(items,)``.
        knowledge: How well the model knows the catalogue: see :func:`coldstart.building.knowledge_of`.
        pending: Which items the model hasn't read, yet or since a sample of a large catalogue was enough; their
            ``total`` is NaN. Shape: ``(items,)``.
    """

    prompts: tuple[str, ...]
    total: NDArray[np.float64]
    tokens: NDArray[np.int64]
    knowledge: float
    pending: NDArray[np.bool_]


def standing(total: NDArray[np.float64], tokens: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean over prompts of titles' standardised, length-normalised log-probabilities. Shape: ``(items,)``.

    Args:
        total: See :class:`AppealEvidence`; NaN of those that aren't known, which then stand nowhere, NaN.
        tokens: Likewise.
    """
    normalised = total / np.maximum(tokens, 1)[:, None] ** LENGTH_POWER
    if not np.isfinite(normalised).any():
        return np.full(len(normalised), np.nan)
    spread = np.nanstd(normalised, 0)
    centred = normalised - np.nanmean(normalised, 0)
    result: NDArray[np.float64] = (centred / np.where(spread > 0, spread, 1.0)).mean(1)
    return result


@dataclass(frozen=True)
class Index:
    """A catalogue as the models see it. Row i of every array belongs to ``catalogue[i]``.

    Attributes:
        documents: What the encoder read of each item.
        vectors: Unit vectors, float32. Shape: ``(items, dimension)``.
        appeal: None for an index without a language model.
        manifest: What made it: models, templates, with their hashes; and once it is saved, the catalogue.
        rows: What the models said of each text, for the next build.
        facets: The values that items share, as the encoder reads them.
        coded: What was worked out already for :attr:`search`; None for nothing.
    """

    catalogue: Catalogue
    documents: tuple[str, ...]
    vectors: NDArray[np.float32]
    appeal: AppealEvidence | None
    manifest: Mapping[str, Any]
    rows: Rows
    facets: Facets
    coded: Search | None = None

    @cached_property
    def mean(self) -> NDArray[np.float32]:
        """The vectors' mean, shrunk to zero for catalogues of a few items. Shape: ``(dimension,)``."""
        return _mean(self.vectors) if self.coded is None else self.coded.mean

    @cached_property
    def search(self) -> Search:
        """Finds the items nearest to a vector, and gives the centred vectors of some without those of all."""
        return self.coded or Search.over(self.vectors, self.mean)

    @property
    def points(self) -> Search | NDArray[np.float32]:
        """The centred vectors, to take some of by row."""
        return self.search if self.is_large else self.centred

    @property
    def is_large(self) -> bool:
        """Whether a request looks at some items only, by what is found nearest first."""
        return len(self.vectors) > search.EXACT

    def at(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the centred vectors of some rows. Shape: ``(rows, dimension)``.

        Those of the last arrays of rows are kept, two of many rows and two of few, since every scorer asks for them;
        and those of the last :data:`FIXED` arrays that can't be written to, such as samples: later requests want them.
        """
        if not self.is_large or "centred" in self.__dict__:
            return self.centred[rows]
        fixed = not rows.flags.writeable
        name = "_kept_fixed" if fixed else "_kept_many" if len(rows) > _MANY else "_kept_few"
        kept: tuple[tuple[Any, NDArray[np.float32]], ...] = self.__dict__.get(name, ())
        found = next((vectors for asked, vectors in kept if asked is rows), None)
        if found is None:
            found = self.search[rows]
        self.__dict__[name] = ((rows, found), *(one for one in kept if one[0] is not rows))[: FIXED if fixed else 2]
        return found

    @cached_property
    def centred(self) -> NDArray[np.float32]:
        """Unit vectors after the mean is taken off, as :meth:`centre` does for queries."""
        return self.centre(self.vectors)

    def near(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the cosine of each text with each item, centred. Shape: ``(texts, items)``.

        Args:
            vectors: Of texts, not centred. Shape: ``(texts, dimension)``.
        """
        found: NDArray[np.float32] = self.centre(vectors) @ self.centred.T
        return found

    def centre(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take the catalogue's mean off vectors and normalise them. Shape: ``(texts, dimension)``.

        All texts of one domain share a direction, which says nothing of their differences and drowns them
        (anisotropy; Mu and Viswanath, "All-but-the-Top", ICLR 2018).
        """
        moved: NDArray[np.float32] = vectors - self.mean
        lengths = np.sqrt(np.einsum("ij,ij->i", moved, moved))
        moved /= np.maximum(lengths, 1e-9)[:, None]
        return moved

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the index to a folder, replacing the one there in one step.

        Raises:
            BadIndex: The path is a file, or a folder that holds something else than an index; or this one is enriched.
        """
        self.check_plain()
        folder = Path(path)
        artefact.check_target(folder)
        folder.mkdir(parents=True, exist_ok=True)
        files = {
            "catalogue": artefact.put(folder, "catalogue", ".jsonl.gz", _catalogue_bytes(self.catalogue)),
            "vectors": artefact.put_array(folder, "vectors", self.vectors),
            "rows": artefact.put(folder, "rows", ".npz", self.rows.to_bytes()),
            "facets": artefact.put(folder, "facets", ".npz", self.facets.to_bytes()),
        }
        if self.is_large and (arrays := self.search.arrays()) is not None:
            cells = io.BytesIO()
            few: dict[str, Any] = {name: array for name, array in arrays.items() if name != "codes"}
            np.savez(cells, **few)
            files["codes"] = artefact.put_array(folder, "codes", arrays["codes"])
            files["cells"] = artefact.put(folder, "cells", ".npz", cells.getvalue())
        manifest = {**self.manifest, "catalogue": self.catalogue.hash, "files": files}
        artefact.replace(folder / "manifest.json", json.dumps(manifest, indent=2, sort_keys=True).encode())
        artefact.sweep(folder, keep={entry["name"] for entry in files.values()})

    def check_plain(self) -> None:
        """Raise if vectors were mixed with those of summaries.

        Raises:
            BadIndex: They were.
        """
        if self.manifest.get("enriched"):
            raise BadIndex(
                "an enriched index is for answering, its vectors are no texts' own: change and save the one that it was"
                " made from, and enrich that"
            )

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, library: Library) -> Index:
        """Read an index that was built with the same templates.

        Raises:
            BadIndex: No index is there, or it is damaged.
            IndexMismatch: It was built with other templates.
        """
        folder = Path(path)
        manifest, files = artefact.read(folder)
        catalogue = _read_catalogue(files["catalogue"], manifest, folder)
        vectors = files["vectors"]
        rows = Rows.from_bytes(files["rows"])
        facets = Facets.from_bytes(files["facets"])
        if vectors.shape != (len(catalogue), manifest["dimension"]):
            raise BadIndex(f"{folder} holds vectors of shape {vectors.shape} for {len(catalogue)} items: index again")
        now = template_hash(library)
        if now != manifest["templates"]:
            raise IndexMismatch(
                f"{folder} was built with templates {manifest['templates'][:12]}, but those in use are {now[:12]}:"
                " name the same prompts folder, or run `coldstart index` again (only changed texts are redone)"
            )
        coded = None
        if "codes" in files and "cells" in files:
            with np.load(io.BytesIO(files["cells"]), allow_pickle=False) as arrays:
                coded = Search.of(vectors, {**arrays, "codes": files["codes"]})
        return assemble(catalogue, vectors, rows, facets, manifest, coded)


def template_hash(library: Library) -> str:
    """Return the hash of all templates that an index depends on."""
    purposes = ("appeal", "appeal-asked", "appeal-neutral")
    return library.hash(["item", "item-title", "facet", *(t.name for purpose in purposes for t in library.of(purpose))])


def assemble(
    catalogue: Catalogue,
    vectors: NDArray[np.float32],
    rows: Rows,
    facets: Facets,
    manifest: Mapping[str, Any],
    coded: Search | None = None,
) -> Index:
    """Put an index together from what a build computed or a folder holds."""
    appeal = None
    if manifest["language_model"] is not None:
        columns = [rows.likelihoods[section] for section in manifest["appeal"].values()]
        tokens = columns[0][:, 1]
        known = tokens > 0
        unread: NDArray[np.bool_] = np.logical_or.reduce(np.isnan(np.concatenate(columns, 1)), axis=1)
        appeal = AppealEvidence(
            tuple(manifest["appeal"]),
            np.where(known[:, None], np.stack([column[:, 0] for column in columns], 1), np.nan),
            np.where(known, tokens, 0).astype(np.int64),
            float(manifest["knowledge"]),
            unread,
        )
    return Index(catalogue, rows.documents, vectors, appeal, manifest, rows, facets, coded)


def moved(
    index: Index,
    catalogue: Catalogue,
    vectors: NDArray[np.float32],
    rows: Rows,
    facets: Facets,
    manifest: Mapping[str, Any],
    places: Sequence[int] | NDArray[np.int64],
) -> Index:
    """Return the index of a catalogue to which items came or from which some went; what is coded stays so.

    Args:
        places: Each item's row in ``index``; -1 for a new or changed one. Shape: ``(items,)``.
    """
    coded = None
    if len(vectors) > search.EXACT and "search" in index.__dict__:
        coded = index.search.moved(vectors, _mean(vectors), np.asarray(places, np.int64))
    return assemble(catalogue, vectors, rows, facets, manifest, coded)


def _mean(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    total: NDArray[np.float64] = vectors.sum(0, dtype=np.float64)
    return (total / (len(vectors) + _SHRINK_MEAN)).astype(np.float32)


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
