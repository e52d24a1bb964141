"""Loading: the two models of a recommender, given as they are or by name, and loaded when they are first needed."""

from __future__ import annotations

import contextlib
import copy
import os
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coldstart import artefact
from coldstart.encoding import Encoder
from coldstart.errors import BadIndex, IndexMismatch
from coldstart.generation import LanguageModel
from coldstart.index import Index
from coldstart.models import resolve
from coldstart.refining import registry
from coldstart.refining.lora import adapted
from coldstart.rows import precision

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Pair:
    """A bi-encoder and a language model, each loaded once, when it is first asked for.

    Args:
        encoder: The model, or what loads it.
        language_model: The same; None for none.
    """

    def __init__(
        self,
        encoder: Encoder | Callable[[], Encoder],
        language_model: LanguageModel | Callable[[], LanguageModel] | None,
    ) -> None:
        self._encoder, self._language_model = encoder, language_model

    def with_encoder(self, encoder: Encoder) -> Pair:
        """Return a pair of another bi-encoder and the same language model, which isn't loaded for it."""
        made = copy.copy(self)
        made.__dict__.pop("encoder", None)
        made._encoder = encoder
        return made

    @cached_property
    def encoder(self) -> Encoder:
        """The bi-encoder, loaded now if it wasn't."""
        return self._encoder if isinstance(self._encoder, Encoder) else self._encoder()

    @cached_property
    def language_model(self) -> LanguageModel | None:
        """The language model, loaded now if it wasn't; None if there is none."""
        given = self._language_model
        return given if given is None or isinstance(given, LanguageModel) else given()

    def loaded(self, role: str) -> Encoder | LanguageModel | None:
        """Return a model by its role in a manifest, if it was loaded or needn't be."""
        given = self._encoder if role == "encoder" else self._language_model
        found = self.__dict__.get(role, given)
        return found if isinstance(found, Encoder | LanguageModel) else None

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the unit vectors of what people say. Shape: ``(texts, dimension)``."""
        return self.encoder.encode(texts, role="query")


def hash_of(model: str | Encoder | LanguageModel | None) -> str | None:
    """Return the content hash of a model, loaded or by name; fetches one that isn't in the cache, and loads none."""
    if model is None:
        return None
    return (resolve(model) if isinstance(model, str) else model).hash


def dtypes_of(
    path: str | os.PathLike[str] | None, models: Mapping[str, Any], *, dtype: str
) -> tuple[str | None, str | None]:
    """Return in what numbers an encoder and a language model are wanted; None where that is still to be measured.

    Args:
        path: Of an index, which has settled what is left to measurement; if it is one.
        models: By role: a name, a model, whose own holds, or None.
        dtype: As for :meth:`Encoder.load`.
    """

    def of(role: str) -> str | None:
        model = models[role]
        if isinstance(model, Encoder | LanguageModel):
            return model.dtype
        return dtype if dtype != "auto" else told.get(role)

    told: dict[str, str] = {}
    if path is not None and dtype == "auto":
        with contextlib.suppress(BadIndex):
            manifest = artefact.read_manifest(Path(path))
            told = {role: precision(manifest[role]) for role in models if manifest[role]}
    return of("encoder"), of("language_model")


def encoder(given: str | Encoder, *, device: str, dtype: str) -> Encoder:
    """Return the bi-encoder that is given or named."""
    return given if isinstance(given, Encoder) else Encoder.load(resolve(given), device=device, dtype=dtype)


def language_model(given: str | LanguageModel | None, *, device: str, dtype: str) -> LanguageModel | None:
    """Return the language model that is given or named; None for None."""
    return LanguageModel.load(resolve(given), device=device, dtype=dtype) if isinstance(given, str) else given


def models_of(
    index: Index,
    path: str | os.PathLike[str],
    *,
    encoder: str | Encoder | None,
    language_model: str | LanguageModel | None,
    device: str,
    dtype: str | None,
) -> dict[str, Any]:
    """Return the two models of an index that was loaded, or what loads them, by role; None for one it has not.

    Args:
        index: Its manifest names the models.
        path: Where it was, for the error message.
        encoder: The model, if it goes by another name here; None for the manifest's.
        language_model: The same.
        device: A torch device.
        dtype: As for :meth:`Encoder.load`; None for what each was when the index was built.

    Raises:
        IndexMismatch: The index was built with another model.
        ModelError: A model can't be had.
    """

    def lazily(given: Any, role: str, load: Callable[..., Any]) -> Any:
        found: Callable[[], Any]
        expected = index.manifest[role]
        if expected is None:
            return None
        model = given or expected["name"]
        resolved = resolve(model) if isinstance(model, str) else model
        if not isinstance(model, str) and resolved.hash == expected["hash"]:
            return model
        if resolved.hash != expected.get("base", expected["hash"]):
            raise IndexMismatch(
                f"{path} was built with the {role.replace('_', ' ')} {expected['name']!r} ({expected['hash'][:12]}),"
                f" but {resolved.name!r} is {resolved.hash[:12]}: name that model, or run `coldstart index` again with"
                " this one"
            )
        numbers = dtype or precision(expected)
        found = (lambda: load(resolved, device=device, dtype=numbers)) if isinstance(model, str) else lambda: model
        if version := expected.get("adapter"):
            adapter = registry.load(Path(path), version)
            return lambda: adapted(found(), adapter)
        return found if isinstance(model, str) else model

    return {
        "encoder": lazily(encoder, "encoder", Encoder.load),
        "language_model": lazily(language_model, "language_model", LanguageModel.load),
    }
