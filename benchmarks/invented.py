"""Invented wines, as many as asked for: real wines' words and fields recombined under estates that don't exist."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import coldstart
from coldstart.catalogue import Catalogue
from coldstart.encoding import Encoder
from coldstart.entities import Item

CHUNK = 1000
"""Wines that are drawn together: the first ones are the same however many are asked for."""

READ = 6000
"""Documents that the encoder reads for real; all others' vectors are composed after these."""

_WORDS = 4096
_PENALTY = 0.5
_BLOCK = 20_000
_SYLLABLES = (
    "bach beira cet dal don dra gnac lan let lin mas mont nac nay rac ral ren rey sa stein tal ter tin vel zac",
    "Al Bel Bor Cas Cer Dor Esp Fer Gal Har Kal Lor Mar Mon Nov Or Pal Quin Ros Sal Tor Val Ver Vil Zan",
    "a an ar e el en er i il in o ol on or u ul",
    "al el en il on ul",
)
_HOUSES = "Château Domaine Bodega Casa Weingut Quinta Cantina Tenuta Viña Clos Cellars Maison"
_RANKS = ("Reserva", "Réserve", "Gran Reserva", "Riserva", "Old Vines", "Single Vineyard", "Vieilles Vignes", "Classic")
_PARTS = tuple(syllables.split() for syllables in _SYLLABLES)
_STRIDES = tuple(math.prod(map(len, _PARTS[:place])) for place in range(len(_PARTS)))
_NAMES = math.prod(map(len, _PARTS))


def wines(count: int, *, seed: int) -> Iterator[Item]:
    """Yield so many wines; no two have one title and maker but by chance.

    Of a wine the type, its grapes and the words of its title are one real wine's, and where it comes from may be
    another's of that type. Few estates make many wines and many make few.
    """
    real = Catalogue.read(Path(coldstart.__file__).parent / "data" / "wines.csv", kind="wine").items
    of_type: dict[Any, list[int]] = {}
    for row, item in enumerate(real):
        of_type.setdefault(item.attributes["type"], []).append(row)
    for start in range(0, count, CHUNK):
        random = np.random.default_rng([seed, start // CHUNK])
        chosen = random.integers(len(real), size=CHUNK)
        others, chance = random.random((2, CHUNK))
        estates = (random.pareto(0.6, CHUNK) * 20).astype(np.int64)
        vineyards = random.integers(_NAMES, size=CHUNK)
        ranks = random.integers(len(_RANKS), size=CHUNK)
        for place in range(min(CHUNK, count - start)):
            item = real[int(chosen[place])]
            alike = of_type[item.attributes["type"]]
            from_ = real[alike[int(others[place] * len(alike))]] if chance[place] < 0.5 else item
            words = [_coined(int(vineyards[place]))] if chance[place] > 0.3 else []
            words += [item.title, *([_RANKS[int(ranks[place])]] if chance[place] > 0.7 else [])]
            told = {name: item.attributes[name] for name in ("type", "grapes") if name in item.attributes}
            told |= {"country": from_.attributes["country"], "winery": _estate(int(estates[place]))}
            yield Item(f"w{start + place}", " ".join(words), told)


def _estate(number: int) -> str:
    houses = _HOUSES.split()
    return f"{houses[number % len(houses)]} {_coined(number * 7919)}"


def _coined(number: int) -> str:
    """Return a name that means nothing; another one for each number below :data:`_NAMES`."""
    end, begin, middle, more = (
        syllables[number // each % len(syllables)] for syllables, each in zip(_PARTS, _STRIDES, strict=True)
    )
    return begin + middle + more + end


def composed(encoder: Encoder, documents: Sequence[str], out: Path, *, seed: int) -> NDArray[np.float32]:
    """Write vectors of documents to a file, and return it mapped. Shape: ``(documents, dimension)``.

    The encoder reads :data:`READ` of them. Any other one's vector is what a ridge regression on its words expects, plus
    what that misses on one of those that were read: so that words and vectors belong together, and vectors vary along
    as many directions as the encoder's own.
    """
    from sklearn.feature_extraction.text import CountVectorizer

    random = np.random.default_rng([seed, 1])
    read = np.sort(random.permutation(min(len(documents), READ)))
    told = [documents[row] for row in read]
    counter = CountVectorizer(max_features=_WORDS, binary=True, dtype=np.float32)
    words = counter.fit_transform(told)
    known = encoder.encode(told)
    mean = known.mean(0)
    inner = (words.T @ words).toarray()
    inner[np.diag_indices_from(inner)] += np.float32(_PENALTY)
    weights = np.linalg.solve(inner, words.T @ (known - mean)).astype(np.float32)
    left = known - mean - words @ weights
    found = np.lib.format.open_memmap(out, "w+", np.float32, (len(documents), encoder.dimension))
    for start in range(0, len(documents), _BLOCK):
        part = documents[start : start + _BLOCK]
        vectors = mean + counter.transform(part) @ weights + left[random.integers(len(left), size=len(part))]
        found[start : start + len(part)] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    found[read] = known
    found.flush()
    mapped: NDArray[np.float32] = np.load(out, mmap_mode="r")
    return mapped
