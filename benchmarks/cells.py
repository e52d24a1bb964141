"""Parts of a benchmark that are kept once done, and the engines that they measure."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from coldstart.encoding import Encoder
from coldstart.evaluation.datasets import load
from coldstart.generation import LanguageModel
from coldstart.recommender import Recommender
from coldstart.terminal import bars
from coldstart.wheels import cache_folder

WITHOUT_LANGUAGE_MODEL = {"llmrank-games", "tallrec-book"}
"""Data that is measured without the language model; a matter of the clock, not of the defaults."""


@dataclass(frozen=True, slots=True)
class Cells:
    """What a benchmark has measured on this state of the code, on disk, by what was asked."""

    folder: Path

    @classmethod
    def of_this_commit(cls, benchmark: str) -> Cells:
        """Return the cells of the code as it is: of the commit and of what differs from it."""

        def git(*arguments: str) -> bytes:
            command = ["git", "--no-optional-locks", "-C", str(Path(__file__).parent.parent), *arguments]
            return subprocess.run(command, capture_output=True, check=False).stdout

        state = git("rev-parse", "HEAD") + git("diff", "HEAD", "--", "coldstart", "prompts", "benchmarks/*.py")
        return cls(cache_folder() / "benchmarks" / benchmark / hashlib.sha256(state).hexdigest()[:16])

    def get(self, key: Mapping[str, Any], measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return what was measured for a key, measuring it now if it wasn't."""
        name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
        path = self.folder / f"{name}.json"
        if not path.exists():
            found = measure()
            self.folder.mkdir(parents=True, exist_ok=True)
            temporary = path.with_suffix(".tmp")
            temporary.write_text(json.dumps(found), encoding="utf-8")
            temporary.replace(path)
        return dict(json.loads(path.read_text(encoding="utf-8")))


@lru_cache(maxsize=1)
def recommender_of(data: str) -> Recommender:
    """Return the engine on a data set's catalogue; its index is kept in the cache."""
    catalogue = load(data).catalogue
    bare = data in WITHOUT_LANGUAGE_MODEL
    chosen: dict[str, Any] = {"language_model": None} if bare else {}
    name = catalogue.hash[:16] + ("-no-language-model" if bare else "")
    with bars() as progress:
        return Recommender.build(catalogue, path=cache_folder() / "evaluations" / name, progress=progress, **chosen)


@contextmanager
def indexed(data: str, folder: Path | None, encoder: Encoder, model: LanguageModel) -> Iterator[Recommender]:
    """Give the engine on a data set's catalogue as these models read it.

    Args:
        data: A data set's name.
        folder: Its index; None builds one that is gone afterwards.
        encoder: What reads items and requests.
        model: What reads titles.
    """
    with tempfile.TemporaryDirectory() as scratch:
        if folder is None:
            folder = Path(scratch) / "index"
            Recommender.build(load(data).catalogue, encoder=encoder, language_model=model, path=folder)
        yield Recommender.load(folder, encoder=encoder, language_model=model)


def models_of(recommender: Recommender) -> dict[str, str]:
    """Return the hash of each model by its name."""
    found = [recommender.index.manifest[role] for role in ("encoder", "language_model")]
    return {model["name"]: model["hash"] for model in found if model}
