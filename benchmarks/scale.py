"""How do search, requests and indexing grow with the catalogue, from a thousand items to a million?

Method: invented wines (``invented.py``) of any size, of which each size holds the smaller ones. Every measurement runs
in a process of its own, which starts with nothing in memory; what it finds is kept, so that a run that was cut short
goes on where it was.

- Search: the 100 rows nearest to each of 100 texts, read by the encoder, among vectors in a file. Ours is
  :class:`coldstart.search.Search` with codes from a second file, in a fresh process: seconds to open, the median and
  95th percentile of a query and memory held after all. Beside it, on the same vectors in memory: one NumPy product with
  all and ``argpartition``, and faiss's ``IndexFlatIP``. Recall is the share of the exact 100 that come back. As a
  yardstick, what a product with all takes at the machine's copying rate, and its rate of a 2048 x 2048 matrix product.
- Adding and deleting: 100 rows come and 100 go, codes of the others stay; and ``Recommender.add`` of ten items.
- Requests: ``recommend(k=10)`` without the language model, five kinds of profile in turn, no two alike, on each
  catalogue and on the smallest one in turn: reported are medians and their ratio, over all and by kind. The vectors are
  composed (``invented.composed``): the encoder reads 6,000 items and each request for real. Lists are compared with the
  ten best when everything is scored.
- Index: ``Recommender.build`` with the default models: seconds, and the peak of memory held.

Command: ``python benchmarks/scale.py [--quick] [--only search requests index] [--seed 0] [--out FILE]``, about 30
minutes; ``--quick`` stops at 50,000 items and takes three.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import coldstart as cs
from cells import Cells
from coldstart import artefact, search
from coldstart.catalogue import Catalogue
from coldstart.encoding import Encoder
from coldstart.facets import Facets
from coldstart.generation import LanguageModel
from coldstart.index import assemble, template_hash
from coldstart.models import DEFAULT_ENCODER, DEFAULT_LANGUAGE_MODEL, resolve
from coldstart.prompting import Library, render
from coldstart.recommender import Recommender
from coldstart.rows import Rows
from coldstart.search import Search
from coldstart.wheels import cache_folder
from coldstart.wording import tidy_title
from invented import composed, wines
from provenance import finish, print_table, provenance

SIZES = (1_000, 10_000, 20_000, 100_000, 1_000_000)
QUICK = (1_000, 10_000, 50_000)
INDEXED, QUICK_INDEXED = 100_000, 2_000

QUERIES, NEAREST = 100, 100
COME, GO = 100, 100
SQUARE = 2048
COPIED = 256_000_000
READ_BY_MODEL = 4000
ROUNDS, REQUESTS, COMPARED = 5, 40, 40
KNOWN = 0.05
"""What the language model is taken to know of invented wines: then appeal counts in every list."""

KINDS = ("text", "likes", "sign-up", "filtered", "nothing")


@dataclass(frozen=True, slots=True)
class Store:
    """Where the data of one seed lies."""

    folder: Path
    seed: int

    def texts(self, size: int) -> tuple[Catalogue, tuple[str, ...], tuple[str, ...]]:
        """Return so many wines, what the encoder reads of each, and what the language model does."""
        catalogue = Catalogue(wines(size, seed=self.seed), kind="wine")
        documents, titles = written(catalogue.items)
        return catalogue, documents, titles

    def vectors(self, size: int) -> NDArray[np.float32]:
        """Return the vectors of so many wines, mapped. Shape: ``(size, dimension)``."""
        mapped: NDArray[np.float32] = np.load(self.folder / "vectors.npy", mmap_mode="r")
        return mapped[:size]

    def compose(self, size: int) -> None:
        """Write the vectors of so many wines, unless they are there."""
        path = self.folder / "vectors.npy"
        if path.exists() and len(np.load(path, mmap_mode="r")) >= size:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp")
        composed(Encoder.load(resolve(DEFAULT_ENCODER)), self.texts(size)[1], temporary, seed=self.seed)
        temporary.replace(path)

    def queries(self) -> NDArray[np.float32]:
        """Return unit vectors of texts that nobody else says. Shape: ``(QUERIES, dimension)``."""
        encoder = Encoder.load(resolve(DEFAULT_ENCODER))
        return encoder.encode([_said(item, row) for row, item in enumerate(_sampled(QUERIES, seed=self.seed))])


def written(items: Sequence[cs.Item]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what the templates make of wines, rendered once for all that share their fields.

    Raises:
        AssertionError: It isn't that, of one of the first ones.
    """
    library = Library.load()
    shared: dict[Any, str] = {}
    documents, titles = [], []
    for item in items:
        told = {name: value for name, value in item.attributes.items() if name != "winery"}
        key = tuple(told.values())
        if key not in shared:
            blank = cs.Item("0", "@title", {**told, "winery": "@winery"})
            shared[key] = library.describe_item(blank, kind="wine").text
        title, winery = tidy_title(item.title), str(item.attributes["winery"])
        documents.append(shared[key].replace("@title", title).replace("@winery", winery))
        titles.append(f" {title} by {winery}")
    for item, document, title in islice(zip(items, documents, titles, strict=True), 100):
        made = library.describe_item(item, kind="wine").text
        named = library.describe_item(item, kind="wine", template="item-title").text
        if (document, title) != (made, f" {named}"):
            raise AssertionError(f"the benchmark says {document!r} and {title!r} where templates say {made!r}")
    return tuple(documents), tuple(titles)


def _sampled(count: int, *, seed: int) -> list[cs.Item]:
    """Return wines of another seed, so that their estates and vineyards are no catalogue's."""
    return list(wines(count, seed=seed + 1000))


def _said(item: cs.Item, number: int) -> str:
    grapes = item.attributes["grapes"]
    grape = grapes[0] if isinstance(grapes, tuple) else grapes
    kind, country = str(item.attributes["type"]).lower(), item.attributes["country"]
    return f"a {kind} wine from {country} such as a good {grape}, for evening {number}"


# Search -----------------------------------------------------------------------------------------------------


def measure_search(store: Store, size: int) -> dict[str, Any]:
    """Return what searching so many vectors takes; see the module."""
    with tempfile.TemporaryDirectory(dir=store.folder) as scratch:
        folder = Path(scratch)
        found = alone(_coded, store, size, folder)
        found |= alone(_opened, store, size, folder)
        found |= alone(_brute, store, size, folder)
        try:
            found |= alone(_faiss, store, size, folder)
        except ModuleNotFoundError:
            print("faiss isn't installed, and left out: pip install 'coldstart[bench]'", file=sys.stderr)
        ours, exact = np.load(folder / "ours.npy"), np.load(folder / "exact.npy")
    shared = [len(np.intersect1d(mine, theirs)) for mine, theirs in zip(ours, exact, strict=True)]
    found["recall"] = round(float(np.mean(shared)) / ours.shape[1], 4)
    found["worst_recall"] = round(min(shared) / ours.shape[1], 4)
    return found


def _coded(store: Store, size: int, folder: Path) -> dict[str, Any]:
    """Write queries, codes and the like, and return what that took and what rows that come and go do."""
    vectors = store.vectors(size)
    total: NDArray[np.float64] = vectors.sum(0, dtype=np.float64)
    mean = (total / size).astype(np.float32)
    start = time.perf_counter()
    found = Search.over(vectors, mean, seed=store.seed)
    took = time.perf_counter() - start
    arrays: dict[str, Any] = dict(found.arrays() or {})
    np.save(folder / "mean.npy", mean)
    if arrays:
        np.save(folder / "codes.npy", arrays.pop("codes"))
        np.savez(folder / "cells.npz", **arrays)
    queries = store.queries() - mean
    np.save(folder / "queries.npy", queries / np.linalg.norm(queries, axis=1, keepdims=True))
    kept = np.sort(np.random.default_rng(store.seed).permutation(size)[GO:])
    now = vectors[kept]
    start = time.perf_counter()
    gone = found.moved(now, mean, kept)
    _ = gone.nearest(now[0], 1)
    went = time.perf_counter() - start
    grown = np.concatenate([now, vectors[:COME]])
    start = time.perf_counter()
    _ = gone.moved(grown, mean, np.concatenate([np.arange(len(now)), np.full(COME, -1)])).nearest(now[0], 1)
    came = time.perf_counter() - start
    return {"code_s": round(took, 2), "delete_ms": round(1000 * went, 1), "add_ms": round(1000 * came, 1)}


def _opened(store: Store, size: int, folder: Path) -> dict[str, Any]:
    """Open what was written, answer all queries, and return how long that took and the memory held."""
    queries = np.load(folder / "queries.npy")
    before, start = resident(), time.perf_counter()
    vectors, mean = store.vectors(size), np.load(folder / "mean.npy")
    vectors = vectors if vectors.nbytes > artefact.MAPPED else np.array(vectors)  # as an index's are opened
    if (folder / "codes.npy").exists():
        codes = np.load(folder / "codes.npy", mmap_mode="r")
        with np.load(folder / "cells.npz") as cells:
            opened = Search.of(vectors, {**cells, "codes": codes})
    else:
        opened = Search(vectors, mean)
    loaded = time.perf_counter() - start
    _ = opened.nearest(queries[0], NEAREST)
    first = time.perf_counter() - start
    found, seconds = _asked(queries, lambda query: opened.nearest(query, NEAREST)[0])
    np.save(folder / "ours.npy", found)
    return {
        "load_s": round(loaded, 3),
        "first_s": round(first, 3),
        **_percentiles(seconds),
        "resident_mb": round(resident()),
        "before_mb": round(before),
    }


def _brute(store: Store, size: int, folder: Path) -> dict[str, Any]:
    """Return what comparing all takes NumPy, and what the machine does at its best."""
    queries, mean = np.load(folder / "queries.npy"), np.load(folder / "mean.npy")
    centred = _centred(store.vectors(size), mean)

    def best(query: NDArray[np.float32]) -> NDArray[np.int64]:
        products = centred @ query
        rows = np.argpartition(-products, NEAREST - 1)[:NEAREST]
        return rows[np.argsort(-products[rows])]

    found, seconds = _asked(queries, best)
    np.save(folder / "exact.npy", found)
    square = np.random.default_rng(0).standard_normal((SQUARE, SQUARE), np.float32)
    source, target = np.ones(COPIED // 4, np.float32), np.zeros(COPIED // 4, np.float32)
    product = min(_seconds(lambda: square @ square) for _ in range(5))
    copy = min(_seconds(lambda: np.copyto(target, source)) for _ in range(5))
    read = 2 * COPIED / copy  # a copy reads and writes
    return {
        "numpy_ms": _percentiles(seconds)["p50_ms"],
        "sgemm_gflops": round(2 * SQUARE**3 / product / 1e9, 1),
        "copy_gb_per_s": round(read / 1e9, 2),
        "copied_ms": round(1000 * centred.nbytes / read, 3),
    }


def _faiss(store: Store, size: int, folder: Path) -> dict[str, Any]:
    """Return what comparing all takes faiss."""
    import faiss

    queries, mean = np.load(folder / "queries.npy"), np.load(folder / "mean.npy")
    index = faiss.IndexFlatIP(queries.shape[1])
    index.add(_centred(store.vectors(size), mean))
    _, seconds = _asked(queries, lambda query: index.search(query[None], NEAREST)[1][0])
    return {"faiss_ms": _percentiles(seconds)["p50_ms"], "faiss_resident_mb": round(resident())}


def _centred(vectors: NDArray[np.float32], mean: NDArray[np.float32]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = np.array(vectors)
    found -= mean
    for start in range(0, len(found), 16_384):
        part = found[start : start + 16_384]
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    return found


def _asked(
    queries: NDArray[np.float32], answer: Callable[[NDArray[np.float32]], NDArray[np.int64]]
) -> tuple[NDArray[np.int64], list[float]]:
    """Return the rows found for each query, and the seconds that each took."""
    found, seconds = [], []
    for query in queries:
        start = time.perf_counter()
        found.append(answer(query))
        seconds.append(time.perf_counter() - start)
    return np.stack(found), seconds


# Requests ---------------------------------------------------------------------------------------------------


def measure_requests(store: Store, size: int) -> dict[str, Any]:
    """Return what requests to a catalogue of so many items take; see the module."""
    return alone(_requests, store, size)


def _requests(store: Store, size: int) -> dict[str, Any]:
    encoder = Encoder.load(resolve(DEFAULT_ENCODER))
    start, before = time.perf_counter(), resident()
    large = assembled(store, size, encoder)
    built, held = time.perf_counter() - start, resident() - before
    small = assembled(store, SIZES[0], encoder)
    people = _people(store, large.catalogue)
    for recommender in (large, small):
        recommender.warm()
        for _ in range(3):
            for _, request in islice(people, len(KINDS)):
                recommender.recommend(**request)
    gc.freeze()
    times: dict[str, dict[str, list[float]]] = {of: {kind: [] for kind in KINDS} for of in ("large", "small")}
    for kind, request in islice(people, ROUNDS * REQUESTS):
        for of, recommender in (("large", large), ("small", small)):
            seconds = _seconds(partial(recommender.recommend, **request))
            times[of][kind].append(seconds)
    new = [cs.Item(f"new-{item.id}", item.title, item.attributes) for item in _sampled(10, seed=store.seed)]
    added = _seconds(lambda: large.add(new, appeal="later").recommend())
    held_after = resident()
    overlaps = _same_ten(large, [request for _, request in islice(people, COMPARED)])
    pooled = {of: [one for kind in KINDS for one in times[of][kind]] for of in times}
    return {
        **_percentiles(pooled["large"]),
        "ratio": _ratio(pooled),
        "kinds": {
            kind: {
                **_percentiles(times["large"][kind]),
                "ratio": _ratio({of: times[of][kind] for of in times}),
            }
            for kind in KINDS
        },
        "requests": len(pooled["large"]),
        "same_ten": round(float(np.mean(overlaps)), 4),
        "compared": len(overlaps),
        "add_ten_ms": round(1000 * added),
        "assemble_s": round(built, 1),
        "held_mb": round(held),
        "resident_mb": round(held_after),
    }


def assembled(store: Store, size: int, encoder: Encoder) -> Recommender:
    """Return an engine on so many items with composed vectors, and the appeal that the store holds."""
    catalogue, documents, titles = store.texts(size)
    library = Library.load()
    facets = Facets.found(catalogue, library, encoder.encode)
    with np.load(store.folder / "appeal.npz") as kept:
        told = np.full((size, 2), np.nan)
        told[: len(kept["values"])] = kept["values"][:size]
        models = json.loads(str(kept["models"]))
    manifest = {
        "dimension": encoder.dimension,
        "templates": template_hash(library),
        "knowledge": KNOWN,
        "appeal": {"invented": "invented"},
        "encoder": encoder.provenance,
        "language_model": models,
    }
    rows = Rows(documents, titles, {"invented": told})
    vectors = store.vectors(size)
    index = assemble(catalogue, np.array(vectors) if size <= 20_000 else vectors, rows, facets, manifest)
    return Recommender(index, encoder=encoder, library=library)


def _people(store: Store, catalogue: Catalogue) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield kinds of request and requests in turn, without end; the smallest catalogue holds what they like."""
    random = np.random.default_rng([store.seed, 2])
    said = _sampled(100_000, seed=store.seed)
    ids = catalogue.ids[: SIZES[0]]
    for number, item in enumerate(said):
        text = _said(item, number)
        likes = [ids[row] for row in random.choice(len(ids), 5, replace=False)]
        about: dict[str, Any] = {"age": 18 + number % 60, "occupation": "technician"}
        country = catalogue[int(random.integers(SIZES[0]))].attributes["country"]
        yield "text", {"profile": cs.Profile(text=text)}
        yield "likes", {"profile": cs.Profile(likes=likes)}
        yield "sign-up", {"profile": cs.Profile(text=text + " please", likes=likes[:1], attributes=about)}
        yield "filtered", {"profile": cs.Profile(text=text + " now"), "where": {"country": country}}
        yield "nothing", {}


def _same_ten(recommender: Recommender, requests: Sequence[dict[str, Any]]) -> list[float]:
    """Return the share of each list that is also in the one from scoring everything."""
    found = [{one.id for one in recommender.recommend(**request)} for request in requests]
    exact, search.EXACT = search.EXACT, len(recommender.catalogue)
    try:
        whole = [{one.id for one in recommender.recommend(**request)} for request in requests]
    finally:
        search.EXACT = exact
    return [len(ours & theirs) / max(len(theirs), 1) for ours, theirs in zip(found, whole, strict=True)]


def _ratio(times: dict[str, list[float]]) -> float:
    return round(float(np.median(times["large"]) / np.median(times["small"])), 3)


# Index ------------------------------------------------------------------------------------------------------


def measure_index(store: Store, size: int) -> dict[str, Any]:
    """Return what indexing so many items takes; see the module."""
    with tempfile.TemporaryDirectory(dir=store.folder) as scratch:
        return alone(_indexed, store, size, Path(scratch) / "index")


def _indexed(store: Store, size: int, folder: Path) -> dict[str, Any]:
    catalogue = Catalogue(wines(size, seed=store.seed), kind="wine")
    encoder, model = Encoder.load(resolve(DEFAULT_ENCODER)), LanguageModel.load(resolve(DEFAULT_LANGUAGE_MODEL))
    tokens = [encoder.count_tokens(text) for text in written(catalogue.items[:1000])[0]]
    before = resident()
    start = time.perf_counter()
    made = Recommender.build(catalogue, encoder=encoder, language_model=model, path=folder)
    took = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found = {
        "build_s": round(took, 1),
        "peak_mb": round(peak),
        "before_mb": round(before),
        "tokens_an_item": round(float(np.mean(tokens)), 1),
        "read_by_model": int(made.index.manifest.get("sample", {}).get("titles", size)),
        "bytes": sum(path.stat().st_size for path in folder.iterdir() if path.is_file()),
    }
    del made
    start = time.perf_counter()
    opened = Recommender.load(folder, encoder=encoder, language_model=model)
    loaded = time.perf_counter() - start
    opened.recommend(cs.Profile(text="a light red from Chile"))
    return {**found, "load_s": round(loaded, 2), "first_s": round(time.perf_counter() - start, 2)}


# Running ----------------------------------------------------------------------------------------------------


def alone(work: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """Do some work in a fresh process and return what it found."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def prepare(store: Store, size: int) -> dict[str, Any]:
    """Write what all measurements need: vectors, and what the language model says of the first titles."""
    store.compose(size)
    path = store.folder / "appeal.npz"
    if not path.exists():
        model = LanguageModel.load(resolve(DEFAULT_LANGUAGE_MODEL))
        titles = store.texts(READ_BY_MODEL)[2]
        prompt = render(Library.load().of("appeal")[0], {"kind": "wine"}).text
        found = model.likelihoods(prompt, list(titles))
        told = np.stack([found.total, found.tokens.astype(float)], 1)
        np.savez(path, values=told, models=json.dumps({"name": model.name, "hash": model.hash}))
    return {"done": True}


def resident() -> float:
    """Return the memory that this process holds, in MB."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS:"))


def _seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _percentiles(seconds: Sequence[float]) -> dict[str, float]:
    middle, late = 1000 * np.percentile(seconds, [50, 95])
    return {"p50_ms": round(float(middle), 3), "p95_ms": round(float(late), 3)}


PARTS: dict[str, Callable[[Store, int], dict[str, Any]]] = {
    "search": measure_search,
    "requests": measure_requests,
    "index": measure_index,
}


def main() -> None:
    """Measure what is asked for, print the tables and the record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help=f"stop at {QUICK[-1]:,} items")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS), help="measure only these")
    parser.add_argument("--seed", type=int, default=0, help="draws the wines, the queries and the people (default: 0)")
    parser.add_argument("--out", type=Path, help="also write the last line, JSON, to this file")
    given = parser.parse_args()
    sizes = QUICK if given.quick else SIZES
    indexed = QUICK_INDEXED if given.quick else INDEXED
    store = Store(cache_folder() / "benchmarks" / "scale-data" / str(given.seed), given.seed)
    alone(prepare, store, sizes[-1])
    cells = Cells.of_this_commit("scale")
    results: dict[str, dict[str, Any]] = {}
    for part in given.only:
        for size in (indexed,) if part == "index" else sizes:
            key = {"part": part, "size": size, "seed": given.seed}
            print(f"{part}, {size:,} items", file=sys.stderr)
            found = cells.get(key, partial(PARTS[part], store, size))
            results.setdefault(part, {})[str(size)] = found
    print_tables(results)
    encoder, model = (resolve(name) for name in (DEFAULT_ENCODER, DEFAULT_LANGUAGE_MODEL))
    made = provenance({one.name: one.hash for one in (encoder, model)})
    finish({"benchmark": "scale", "seed": given.seed, **made, "results": results}, given.out)


def print_tables(results: dict[str, dict[str, Any]]) -> None:
    """Print what was found, a table a part."""
    for part, by_size in results.items():
        names = [name for name, value in next(iter(by_size.values())).items() if not isinstance(value, dict)]
        print_table(
            [
                [part, *names],
                *([f"{int(size):,}", *(str(found.get(name, "")) for name in names)] for size, found in by_size.items()),
            ]
        )
        for size, found in by_size.items():
            for kind, told in found.get("kinds", {}).items():
                print(f"  {int(size):,} items, {kind}: " + ", ".join(f"{name} {value}" for name, value in told.items()))
        print()


if __name__ == "__main__":
    main()
