"""The bi-encoder: text in, unit vectors out, in the order given and the same every time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from coldstart.errors import ModelError
from coldstart.models import ResolvedModel
from coldstart.weights import quiet

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from sentence_transformers import SentenceTransformer

    from coldstart.bert import Bert

Progress = Callable[[int], None]
"""Called with the number of texts just done."""

_ROLES: Mapping[str, tuple[str, ...]] = {"query": ("query",), "document": ("document", "passage", "corpus")}
"""Under which names models keep the prompt of a role, as sentence-transformers looks for it."""

_BATCH_TOKENS = 4096
_BATCH_TEXTS = 64
_MANY_BATCHES = 4  # for each thread: fewer are read one after another, all threads at each


class Encoder:
    """A sentence-transformers model that maps texts to unit vectors.

    Texts are sorted by length and batched by a budget of tokens, so that little is spent on padding; equal
    texts are encoded once. Models that tell queries from documents (E5, BGE) get their own prefixes. Models of BERT's
    architecture are read by :mod:`coldstart.bert`, others, and those that PEFT has wrapped, by sentence-transformers.

    Attributes:
        hash: Of the weights, an adapter's change included.
        base: The encoder that an adapter was worked into; itself without one.
        adapter: What was worked into it; None for nothing.
        dtype: What numbers it multiplies, by torch's name of them: "float32", "bfloat16" or "float16".
    """

    def __init__(
        self,
        model: SentenceTransformer,
        *,
        name: str = "encoder",
        content_hash: str = "",
        base: Encoder | None = None,
        adapter: Any = None,
        half: bool = False,
    ) -> None:
        self.model = model.eval()
        self.name = name
        self.hash = content_hash
        self.base = base or self
        self.adapter = adapter
        self._prompts = {role: _prompt(model.prompts or {}, names) for role, names in _ROLES.items()}
        self._packed = _packed(self.model, half=half)
        self._others: dict[str, Encoder] = {}
        self.dtype = "bfloat16" if self._packed is not None and half else str(model.dtype).removeprefix("torch.")

    @classmethod
    def load(cls, resolved: ResolvedModel, *, device: str = "cpu", dtype: str = "float32") -> Encoder:
        """Load the weights.

        Args:
            resolved: Where they are.
            device: A torch device, such as "cpu" or "cuda:0".
            dtype: "float32", "bfloat16" or "float16", or "auto": "bfloat16" if that is a good deal faster, by a
                measurement, else "float32". See :mod:`coldstart.products`.

        Raises:
            ModelError: The folder holds no encoder that sentence-transformers can load.
        """
        import torch
        from sentence_transformers import SentenceTransformer

        from coldstart.bert import Bert

        here = device == "cpu" and dtype in ("auto", "bfloat16")
        stored = torch.float32 if here or dtype == "auto" else getattr(torch, dtype)
        try:
            with quiet():
                model = SentenceTransformer(
                    str(resolved.path),
                    device=device,
                    local_files_only=True,
                    model_kwargs={"dtype": stored},
                )
        except (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError) as problem:
            raise ModelError(
                f"{resolved.path} can't be loaded as an encoder ({problem}): expected a sentence-transformers or"
                f" transformers encoder; pull {resolved.name!r} again or name another model"
            ) from problem
        half = here and Bert.of(model) is not None and (dtype == "bfloat16" or Bert.better_halved(model))
        if dtype == "bfloat16" and not half:
            model = model.to(torch.bfloat16)
        return cls(model, name=resolved.name, content_hash=resolved.hash, half=half)

    def at(self, dtype: str) -> Encoder:
        """Return the same encoder in another precision; itself if it is so already.

        Raises:
            ModelError: This one can't be read so as it was loaded.
        """
        if dtype == self.dtype:
            return self
        if dtype not in self._others:
            base = None if self.base is self else self.base
            named: Any = {"name": self.name, "content_hash": self.hash}
            made = Encoder(self.model, **named, base=base, adapter=self.adapter, half=dtype == "bfloat16")
            if made.dtype != dtype:
                raise ModelError(f"{self.name} was loaded in {self.dtype}, {dtype} is wanted: load it with that dtype")
            self._others[dtype] = made
        return self._others[dtype]

    @property
    def provenance(self) -> dict[str, str]:
        """What an index's manifest says of it."""
        told = {"name": self.name, "hash": self.hash, "dtype": self.dtype}
        return told if self.adapter is None else {**told, "base": self.base.hash, "adapter": self.adapter.version}

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return int(self.model.get_embedding_dimension() or 0)

    @property
    def max_tokens(self) -> int:
        """Longest text that is read in full; what is beyond is cut."""
        return int(self.model.max_seq_length or 512)

    def prompt(self, role: Literal["query", "document"]) -> str | None:
        """Return what the model wants before each text of a role; None for nothing."""
        return self._prompts[role]

    def count_tokens(self, text: str) -> int:
        """Return how many tokens the model reads for this text, its special tokens included."""
        return len(self.model.tokenizer(text, truncation=False, verbose=False)["input_ids"])

    def encode(
        self,
        texts: Sequence[str],
        *,
        role: Literal["query", "document"] = "document",
        progress: Progress | None = None,
    ) -> NDArray[np.float32]:
        """Return the unit vectors of texts. Shape: ``(texts, dimension)``; row i belongs to text i.

        Args:
            texts: Any number, also none. An empty text gets a vector like any other.
            role: What the texts are to a model that tells queries from documents.
            progress: Called after each batch with the number of texts done.
        """
        import torch

        from coldstart.threads import spread

        unique = list(dict.fromkeys(texts))
        place = {text: row for row, text in enumerate(unique)}
        vectors = np.zeros((len(unique), self.dimension), np.float32)
        order = sorted(range(len(unique)), key=lambda row: len(unique[row]), reverse=True)
        batches = self._batches(unique, order)

        def forward(rows: list[int]) -> NDArray[np.float32]:
            return self._forward([unique[row] for row in rows], self._prompts[role])

        many = _MANY_BATCHES * torch.get_num_threads() if self.model.device.type == "cpu" else len(batches) + 1
        for rows, read in zip(batches, spread(forward, batches, least=many), strict=True):
            vectors[rows] = read
            if progress is not None:
                progress(len(rows))
        if progress is not None and len(texts) > len(unique):
            progress(len(texts) - len(unique))
        return vectors[[place[text] for text in texts]]

    def _batches(self, texts: Sequence[str], order: Sequence[int]) -> list[list[int]]:
        """Split rows, longest first, so that a batch stays under the token budget (about 4 characters a token)."""
        batches: list[list[int]] = []
        room = 0
        for row in order:
            if room == 0:
                longest = min(len(texts[row]) // 4 + 3, self.max_tokens)
                room = max(1, min(_BATCH_TEXTS, _BATCH_TOKENS // longest))
                batches.append([])
            batches[-1].append(row)
            room -= 1
        return batches

    def _forward(self, texts: list[str], prompt: str | None) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            features: dict[str, Any] = self.model.preprocess(texts, prompt=prompt)
            features = {k: v.to(self.model.device) if hasattr(v, "to") else v for k, v in features.items()}
            if self._packed is not None:
                embeddings = self._packed.vectors(features)
            else:
                embeddings = self.model(features)["sentence_embedding"].float()
            unit = torch.nn.functional.normalize(embeddings, dim=1)
        result: NDArray[np.float32] = unit.cpu().numpy()
        return result


def _packed(model: SentenceTransformer, *, half: bool) -> Bert | None:
    from coldstart.bert import Bert  # which needs torch

    return Bert.of(model, half=half)


def _prompt(prompts: Mapping[str, str | None], names: Sequence[str]) -> str | None:
    """Return the first of the named prompts that a model has; None for one without, or with an empty one."""
    return next((prompts[name] for name in names if prompts.get(name)), None)
