"""BERT's arithmetic on packed tokens: some short texts behind each other, hardly any padding, no masks or hooks.

The same vectors as sentence-transformers', up to rounding, at the rate of the matrix products: attention's three
projections are one product, all texts stand in one matrix, and only attention itself tells them apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from coldstart.products import Product, halved, halving_pays, packed, packing_pays, padded, plain

_POOLED = ("mean", "cls")


@dataclass(frozen=True, slots=True)
class _Layer:
    project: Product
    """To queries, keys and values."""
    join: Product
    first: Any
    """The norm after attention."""
    widen: Product
    """With the activation function."""
    narrow: Product
    second: Any


class Bert:
    """A forward pass over the weights of a sentence-transformers model whose transformer is a ``BertModel``.

    The projections' weights are held a second time, side by side; all others are read where the model has them, or
    held a second time as well where oneDNN's layout of them is faster on this machine. With half precision all are held
    a second time as bfloat16, and so is what is multiplied with them; sums, norms and the tokens' running state are
    32-bit floats all the same.

    Args:
        model: The model. Its weights must not change in place.
        half: Whether to multiply in half precision.
        laid_out: Whether to lay the weights out for oneDNN; None measures which is faster.
    """

    def __init__(self, model: Any, *, half: bool = False, laid_out: bool | None = None) -> None:
        inner, self._pooling = model[0].auto_model, model[1].pooling_mode
        self._embeddings = inner.embeddings
        self._heads = int(inner.config.num_attention_heads)
        self._epsilon = float(inner.config.layer_norm_eps)
        self.half = half
        self.packed = half or (packing_pays(_widening(model)) if laid_out is None else laid_out)
        made = halved if half else packed if self.packed else plain
        self._layers = [_layer(layer, made=made) for layer in inner.encoder.layer]

    @staticmethod
    def better_halved(model: Any) -> bool:
        """Whether products with a model's weights are a good deal faster in half precision, on this machine."""
        return halving_pays(_widening(model))

    @classmethod
    def of(cls, model: Any, *, half: bool = False) -> Bert | None:
        """Return the forward pass of a model; None for one that isn't plainly BERT's, or not in 32-bit floats."""
        from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
        from transformers import BertModel

        modules = list(model)
        if [type(each) for each in modules[:2]] != [Transformer, Pooling]:
            return None
        inner, pooling = getattr(modules[0], "auto_model", None), modules[1]
        if type(inner) is not BertModel or any(type(each) is not Normalize for each in modules[2:]):
            return None
        config = inner.config
        fits = (
            config.hidden_act == "gelu"
            and not config.is_decoder
            and getattr(config, "position_embedding_type", "absolute") == "absolute"
            and pooling.pooling_mode in _POOLED
            and pooling.include_prompt
            and all(type(each) is torch.nn.Linear and each.bias is not None for each in _linears(inner))
            and all(each.dtype == torch.float32 for each in inner.parameters())
        )
        return cls(model, half=half) if fits else None

    def vectors(self, features: Mapping[str, Any]) -> Tensor:
        """Return the pooled vectors of texts, not normalised. Shape: ``(texts, dimension)``.

        Args:
            features: As the model's own ``preprocess`` gives them.
        """
        mask = features["attention_mask"].bool()
        lengths = mask.sum(1)
        order = torch.argsort(lengths, stable=True)
        mask, sizes = mask[order], lengths[order].tolist()
        types = features.get("token_type_ids")
        tokens = features["input_ids"][order][mask]
        beyond = 0, padded(len(tokens)) - len(tokens)
        state = self._embedded(
            functional.pad(tokens, beyond),
            functional.pad(torch.cat([torch.arange(size, device=mask.device) for size in sizes]), beyond),
            None if types is None else functional.pad(types[order][mask], beyond),
        )
        groups = list(_groups(sizes))
        for layer in self._layers:
            state = self._block(state, groups, layer)
        pooled = [self._pooled(state[there].view(count, size, -1)) for there, count, size in groups]
        found = torch.empty(len(sizes), state.shape[1], device=state.device)
        found[order] = torch.cat(pooled)
        return found

    def _embedded(self, ids: Tensor, places: Tensor, types: Tensor | None) -> Tensor:
        said = self._embeddings
        kinds = said.token_type_embeddings.weight
        state = said.word_embeddings.weight[ids] + (kinds[0] if types is None else kinds[types])
        state += said.position_embeddings.weight[places]
        return self._normed(state, said.LayerNorm)

    def _block(self, state: Tensor, groups: list[tuple[slice, int, int]], layer: _Layer) -> Tensor:
        width = state.shape[1]
        projected = layer.project(state)
        seen = projected.new_empty(state.shape)
        seen[groups[-1][0].stop :] = 0  # what only fills up sees nothing
        for there, count, size in groups:
            parts = projected[there].view(count, size, 3, self._heads, width // self._heads).permute(2, 0, 3, 1, 4)
            found = functional.scaled_dot_product_attention(parts[0], parts[1], parts[2])
            seen[there] = found.transpose(1, 2).reshape(count * size, width)
        state = self._normed(layer.join(seen) + state, layer.first)
        return self._normed(layer.narrow(layer.widen(state)) + state, layer.second)

    def _normed(self, state: Tensor, norm: Any) -> Tensor:
        return functional.layer_norm(state, (state.shape[1],), norm.weight, norm.bias, self._epsilon)

    def _pooled(self, states: Tensor) -> Tensor:
        """Return one vector a text. Shapes: ``(texts, tokens, width)`` to ``(texts, width)``."""
        return states.mean(1) if self._pooling == "mean" else states[:, 0]


def _groups(sizes: list[int]) -> Iterator[tuple[slice, int, int]]:
    """Yield where texts of one length stand among all tokens, how many they are and how long; lengths rise."""
    start = 0
    for size, same in groupby(sizes):
        count = sum(1 for _ in same)
        yield slice(start, start + count * size), count, size
        start += count * size


def _layer(layer: Any, *, made: Callable[..., Product]) -> _Layer:
    """Return a layer with its products made in one of the ways of :mod:`coldstart.products`."""
    weight, bias = _joined(layer.attention.self)
    out, wide, narrow = layer.attention.output, layer.intermediate.dense, layer.output
    return _Layer(
        made(weight.t(), bias),
        made(out.dense.weight.data, out.dense.bias.data),
        out.LayerNorm,
        made(wide.weight.data, wide.bias.data, then="gelu"),
        made(narrow.dense.weight.data, narrow.dense.bias.data),
        narrow.LayerNorm,
    )


def _joined(attention: Any) -> tuple[Tensor, Tensor]:
    """Return the projections to queries, keys and values as one. Shapes: ``(width, 3 x width)``, ``(3 x width,)``."""
    parts = (attention.query, attention.key, attention.value)
    with torch.no_grad():
        weight = torch.cat([part.weight for part in parts]).t().contiguous()
        return weight, torch.cat([part.bias for part in parts])


def _widening(model: Any) -> list[Tensor]:
    """Return the largest weight of each layer."""
    return [layer.intermediate.dense.weight.data for layer in model[0].auto_model.encoder.layer]


def _linears(model: Any) -> list[Any]:
    parts = ("query", "key", "value", "dense")
    return [part for name, part in model.encoder.named_modules() if name.rpartition(".")[2] in parts]
