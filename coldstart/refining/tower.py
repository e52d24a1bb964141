"""The encoder as it is trained: what its frozen lower blocks make of a text is computed once and kept."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from coldstart.refining.lora import blocks, transformer

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from sentence_transformers import SentenceTransformer

MOST_KEPT = 1 << 30
"""Bytes of lower blocks' output that are kept at most; with more texts they are run again each time."""

_BATCH = 64
_CLOSE = 1e-4


class Tower(nn.Module):
    """Maps numbers of texts to unit vectors, with gradients for what learns.

    Args:
        model: The encoder's, with an adapter attached.
        rows: The numbers of the texts, rising. Shape: ``(texts,)``.
        texts: What may be asked for.
        learning: The place of the lowest block that learns.
        prompt: What the model wants before each text, if anything.
    """

    def __init__(
        self,
        model: SentenceTransformer,
        rows: NDArray[np.int64],
        texts: Sequence[str],
        *,
        learning: int,
        prompt: str | None,
    ) -> None:
        super().__init__()
        self.model, self._rows = model, rows
        self._features = _tokenized(model, texts, prompt)
        self._lengths = np.array([len(features["input_ids"]) for features in self._features])
        self._name, self._blocks = blocks(transformer(model))
        self._lower: list[Tensor] | None = None
        size = int(self._lengths.sum()) * int(model.get_embedding_dimension() or 0) * 4
        if learning > 0 and size <= MOST_KEPT and len(texts):
            self._keep(learning)

    @property
    def keeps(self) -> bool:
        """Whether the lower blocks' output is kept."""
        return self._lower is not None

    def _keep(self, learning: int) -> None:
        """Run the lower blocks once; undo it unless the whole then gives what it gave before."""
        probe = np.arange(min(len(self._features), 8))
        with torch.no_grad():
            before = self._encoded(probe)
        kept: list[Tensor | None] = [None] * len(self._features)
        caught: dict[str, Tensor] = {}

        def catch(_: nn.Module, given: tuple[Tensor, ...], named: dict[str, Tensor]) -> None:
            caught["hidden"] = given[0] if given else named["hidden_states"]
            raise _Caught

        hook = self._blocks[learning].register_forward_pre_hook(catch, with_kwargs=True)
        try:
            order = np.argsort(self._lengths, kind="stable")
            for start in range(0, len(order), _BATCH):
                places = order[start : start + _BATCH]
                with torch.inference_mode(), contextlib.suppress(_Caught):
                    self.model(self._padded(places))
                for row, place in enumerate(places.tolist()):
                    kept[place] = caught["hidden"][row, : self._lengths[place]].clone()
        except (KeyError, RuntimeError, TypeError, AttributeError):
            return  # an architecture whose blocks aren't called like others': it is run in full
        finally:
            hook.remove()
        parent = transformer(self.model).get_submodule(self._name.rpartition(".")[0])
        ours = nn.ModuleList([_Given(), *(_Pass() for _ in range(learning - 1)), *self._blocks[learning:]])
        attribute = self._name.rpartition(".")[2]
        setattr(parent, attribute, ours)
        self._lower = [hidden.clone() for hidden in kept if hidden is not None]
        try:
            with torch.no_grad():
                after = self._encoded(probe)
            same = bool((before - after).abs().max() < _CLOSE)
        except (RuntimeError, TypeError, AttributeError, IndexError, ValueError):
            same = False
        if not same:
            setattr(parent, attribute, self._blocks)
            self._lower = None

    def restore(self) -> None:
        """Give the model its lower blocks back."""
        if self._lower is not None:
            parent = transformer(self.model).get_submodule(self._name.rpartition(".")[0])
            setattr(parent, self._name.rpartition(".")[2], self._blocks)
            self._lower = None

    def _padded(self, places: NDArray[np.int64]) -> dict[str, Any]:
        """Return the texts' features as one batch; the tokenizer pads as the model wants."""
        rows = [self._features[place] for place in places.tolist()]
        batch = self.model.tokenizer.pad({name: [row[name] for row in rows] for name in rows[0]}, return_tensors="pt")
        return {name: part.to(self.model.device) for name, part in batch.items()}

    def forward(self, rows: NDArray[np.int64]) -> Tensor:
        """Return the unit vectors of texts, by their numbers. Shape: ``(rows, dimension)``.

        Texts of like length are encoded together, so that little is spent on padding.
        """
        places = np.searchsorted(self._rows, rows)
        order = np.argsort(self._lengths[places], kind="stable")
        parts = [self._encoded(places[order[start : start + _BATCH]]) for start in range(0, len(order), _BATCH)]
        back = torch.from_numpy(np.argsort(order)).to(parts[0].device)
        return torch.cat(parts)[back]

    def _encoded(self, places: NDArray[np.int64]) -> Tensor:
        features = self._padded(places)
        if self._lower is not None:
            hidden = nn.utils.rnn.pad_sequence([self._lower[place] for place in places.tolist()], batch_first=True)
            wide = features["input_ids"].shape[1]
            hidden = nn.functional.pad(hidden, (0, 0, 0, wide - hidden.shape[1]))
            first = getattr(transformer(self.model).get_submodule(self._name), "0")
            first.hidden = hidden.to(self.model.device)
        found: Tensor = self.model(features)["sentence_embedding"].float()
        return nn.functional.normalize(found, dim=1)


class _Caught(Exception):
    pass


class _Given(nn.Module):
    """Stands in for the first block and gives what all the lower ones made of the texts."""

    hidden: Tensor

    def forward(self, *_: Any, **__: Any) -> Tensor:
        return self.hidden


class _Pass(nn.Module):
    def forward(self, hidden_states: Tensor, *_: Any, **__: Any) -> Tensor:
        return hidden_states


def _tokenized(model: SentenceTransformer, texts: Sequence[str], prompt: str | None) -> list[dict[str, list[int]]]:
    if not texts:
        return []
    wanted = [f"{prompt or ''}{text}" for text in texts]
    found = model.tokenizer(wanted, truncation=True, max_length=int(model.max_seq_length or 512), padding=False)
    return [{name: found[name][row] for name in found if name != "token_type_ids"} for row in range(len(texts))]
