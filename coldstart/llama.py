"""Llama's arithmetic on packed tokens: many short texts after one that was read before, without padding or repetition.

The same numbers as transformers' ``LlamaForCausalLM``, up to rounding, at the rate of the matrix products: the three
projections of attention are one product and so are two of the three of the feed-forward part, all texts of a batch
stand behind each other in one matrix, and only attention itself tells them apart.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

_CHUNK = 512
"""A long text is read so many tokens at a time, which bounds the memory that attention takes."""

Product = Callable[[Tensor], Tensor]
"""From tokens to their product with a weight. Shapes: ``(tokens, inputs)`` to ``(tokens, outputs)``."""

GAIN = 1.12
"""How much faster a product with weights that were laid out anew must be to be worth a second copy of them."""

_TRIED = 64  # tokens; so many candidates' titles make up to some hundreds, and a description some dozens

_ROPE = ("default", "linear", "llama3", "yarn")  # those whose angles depend on the position alone


@dataclass(frozen=True, slots=True)
class Group:
    """Texts that go on from the same past.

    Attributes:
        past: Keys and values of what was read. Shape: ``(layers, 2, key heads, tokens, head size)``.
        rows: The texts' tokens; at least one text, each of at least one token.
    """

    past: Tensor
    rows: Sequence[Sequence[int]]


@dataclass(frozen=True, slots=True)
class _Layer:
    before: Tensor
    """The norm's weight before attention. Shape: ``(width,)``."""
    project: Product
    """To queries, keys and values."""
    join: Product
    after: Tensor
    widen: Product
    """To gate and up."""
    narrow: Product


class Llama:
    """A forward pass over the weights of a ``LlamaForCausalLM`` of 32-bit floats.

    Weights that are multiplied together are laid side by side in memory, once; the model's own parameters become
    views of them, and the model works on. On a processor where oneDNN's own layout of the weights is faster, by a
    measurement at the start, they are held a second time in that.

    Args:
        model: The model.
        packed: Whether to lay the weights out for oneDNN; None to measure it.
    """

    def __init__(self, model: Any, *, packed: bool | None = None) -> None:
        config = model.config
        self._model = model
        self._epsilon = float(config.rms_norm_eps)
        self._heads, self._keys = int(config.num_attention_heads), int(config.num_key_value_heads)
        self._size = int(getattr(config, "head_dim", None) or config.hidden_size // self._heads)
        layers = model.model.layers[: config.num_hidden_layers]
        joined = [_side_by_side(each.mlp.gate_proj, each.mlp.up_proj) for each in layers]
        self.packed = _packing_pays(joined) if packed is None else packed
        made = _packed if self.packed else _plain
        self._layers = [_layer(each, wide, made) for each, wide in zip(layers, joined, strict=True)]
        self._given = [(each, each.data_ptr()) for each in model.parameters()]

    @classmethod
    def of(cls, model: Any) -> Llama | None:
        """Return the forward pass of a model; None for one that isn't plainly Llama's, or not in 32-bit floats."""
        from transformers import LlamaForCausalLM

        if type(model) is not LlamaForCausalLM:
            return None
        config = model.config
        plain = (
            config.hidden_act == "silu"
            and (config.rope_parameters or {}).get("rope_type", "default") in _ROPE
            and all(type(each) is torch.nn.Linear and each.bias is None for each in _linears(model))
            and all(each.dtype == torch.float32 for each in model.parameters())
        )
        return cls(model) if plain else None

    @property
    def current(self) -> bool:
        """Whether the model still has the weights that this pass was made of (changes in place are seen)."""
        return all(each.data_ptr() == there for each, there in self._given)

    @property
    def empty(self) -> Tensor:
        """The past before anything was read."""
        return self.head.new_zeros((len(self._layers), 2, self._keys, 0, self._size))

    def read(self, ids: Sequence[int], past: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Read a text after a past.

        Args:
            ids: At least one token.
            past: What was read before; nothing if None.

        Returns:
            The longer past, and what the model makes of its last token. Shape of that: ``(width,)``.
        """
        known = self.empty if past is None else past
        state = known.new_empty(0)
        for start in range(0, len(ids), _CHUNK):
            group = Group(known, [ids[start : start + _CHUNK]])
            states, new = self._run([group], torch.tensor([len(group.rows[0]) - 1]), keep=True)
            known, state = torch.cat([known, new], 3), states[0]
        return known, state

    def states(self, groups: Sequence[Group], wanted: Tensor) -> Tensor:
        """Return what the model makes of some of the tokens, to be multiplied by :attr:`head`.

        Args:
            groups: All texts, in order.
            wanted: Places of tokens, counted through all texts of all groups. Shape: ``(wanted,)``.

        Returns:
            Shape: ``(wanted, width)``.
        """
        return self._run(groups, wanted, keep=False)[0]

    @property
    def head(self) -> Tensor:
        """The output layer's weights. Shape: ``(vocabulary, width)``."""
        return self._model.lm_head.weight.data  # type: ignore[no-any-return]

    @torch.inference_mode()
    def _run(self, groups: Sequence[Group], wanted: Tensor, *, keep: bool) -> tuple[Tensor, Tensor]:
        device = self.head.device
        ids = torch.tensor([one for group in groups for row in group.rows for one in row], device=device)
        places = [group.past.shape[3] + at for group in groups for row in group.rows for at in range(len(row))]
        x = functional.embedding(ids, self._model.model.embed_tokens.weight)
        cos, sin = self._model.model.rotary_emb(x, torch.tensor([places], device=device))
        half = self._size // 2
        cos, sin = cos[0, :, None, :half].contiguous(), sin[0, :, None, :half].contiguous()
        packings = _packings(groups, self._heads // self._keys, x)
        wanted = wanted.to(device)
        kept: list[Tensor] = []
        last = len(self._layers) - 1
        for number, layer in enumerate(self._layers):
            mixed = layer.project(self._norm(x, layer.before))
            turned, values = self._turned(mixed, cos, sin)
            if keep:
                kept.append(torch.stack([turned[:, self._heads :].transpose(0, 1), values.transpose(0, 1)]))
            heard = self._attended(turned, values, groups, packings, number)
            if number == last:
                x, heard = x[wanted], heard[wanted]
            x = x + layer.join(heard)
            gate, up = layer.widen(self._norm(x, layer.after)).chunk(2, 1)
            x = x + layer.narrow(functional.silu(gate).mul_(up))
        return self._norm(x, self._model.model.norm.weight), torch.stack(kept) if keep else x

    def _norm(self, x: Tensor, weight: Tensor) -> Tensor:
        return functional.rms_norm(x, (x.shape[1],), weight, self._epsilon)

    def _turned(self, mixed: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
        """Split a product into rotated queries and keys, and values (RoPE; Su et al., 2021, equation 34).

        Returns:
            Shapes: ``(tokens, query heads + key heads, head size)``, ``(tokens, key heads, head size)``.
        """
        heads = mixed.view(len(mixed), -1, self._size)
        both, values = heads[:, : self._heads + self._keys], heads[:, self._heads + self._keys :]
        one, two = both.chunk(2, 2)
        turned = torch.empty_like(both, memory_format=torch.contiguous_format)
        half = self._size // 2
        torch.sub(one * cos, two * sin, out=turned[..., :half])
        torch.add(two * cos, one * sin, out=turned[..., half:])
        return turned, values

    def _attended(
        self, turned: Tensor, values: Tensor, groups: Sequence[Group], packings: Sequence[_Packing], layer: int
    ) -> Tensor:
        """Return what each token hears of the past and of its own text so far. Shape: ``(tokens, query width)``."""
        found = []
        for group, packing in zip(groups, packings, strict=True):
            queries = packing.padded(turned[:, : self._heads], self._keys)
            keys = packing.padded(turned[:, self._heads :], self._keys)
            own = packing.padded(values, self._keys)
            found.append(packing.packed(_attention(queries, keys, own, group.past[layer], packing.hidden)))
        return found[0] if len(found) == 1 else torch.cat(found)


@dataclass(frozen=True, slots=True)
class _Packing:
    """Where the tokens of a group stand: behind each other, or each text in a row of its own, padded on the right.

    Attributes:
        gather: For each place of each padded row the packed token. Shape: ``(rows * longest,)``.
        scatter: For each packed token its place in the padded rows. Shape: ``(tokens,)``.
        rows: How many texts.
        hidden: What is added to a text's attention to itself: minus infinity for what is still to come.
            Shape: ``(heads a key * longest, longest)``.
    """

    gather: Tensor
    scatter: Tensor
    rows: int
    hidden: Tensor

    def padded(self, heads: Tensor, keys: int) -> Tensor:
        """Return packed heads by key and text. Shape: ``(keys * rows, heads a key * longest, head size)``."""
        _, count, size = heads.shape
        apart = heads[self.gather].view(self.rows, -1, keys, count // keys, size)
        return apart.permute(2, 0, 3, 1, 4).reshape(keys * self.rows, -1, size)

    def packed(self, heard: Tensor) -> Tensor:
        """Return padded heads as one row a token. Shape: ``(tokens, query heads * head size)``."""
        keys, longest = len(heard) // self.rows, self.hidden.shape[1]
        apart = heard.view(keys, self.rows, -1, longest, heard.shape[-1])
        return apart.permute(1, 3, 0, 2, 4).reshape(self.rows * longest, -1)[self.scatter]


def _packings(groups: Sequence[Group], share: int, like: Tensor) -> list[_Packing]:
    found, start = [], 0
    for group in groups:
        longest = max(len(row) for row in group.rows)
        gather = torch.zeros((len(group.rows), longest), dtype=torch.long)
        scatter = []
        for place, row in enumerate(group.rows):
            gather[place, : len(row)] = torch.arange(start, start + len(row))
            gather[place, len(row) :] = start
            scatter.append(torch.arange(len(row)) + place * longest)
            start += len(row)
        later = torch.full((longest, longest), -torch.inf).triu(1).repeat(share, 1)
        there, back = gather.flatten().to(like.device), torch.cat(scatter).to(like.device)
        found.append(_Packing(there, back, len(group.rows), later.to(like.device)))
    return found


def _attention(queries: Tensor, keys: Tensor, values: Tensor, past: Tensor, hidden: Tensor) -> Tensor:
    """Attend to a shared past and to each text's own tokens at once.

    Args:
        queries: Shape: ``(key heads * rows, heads a key * longest, head size)``.
        keys: Shape: ``(key heads * rows, longest, head size)``.
        values: Likewise.
        past: Shape: ``(2, key heads, tokens, head size)``.
        hidden: See :class:`_Packing`.

    Returns:
        Shape: that of ``queries``.
    """
    heads, read = past.shape[1], past.shape[2]
    queries = queries * queries.shape[-1] ** -0.5
    together = queries.view(heads, -1, queries.shape[-1])
    own = torch.baddbmm(hidden.expand(len(queries), -1, -1), queries, keys.transpose(1, 2))
    if not read:
        return torch.bmm(own.softmax(-1), values)
    before = torch.bmm(together, past[0].transpose(1, 2)).view(*own.shape[:2], read)
    weights = torch.cat([before, own], 2).softmax(-1)
    heard = torch.bmm(weights[..., :read].reshape(heads, -1, read), past[1]).view(queries.shape)
    return heard.baddbmm_(weights[..., read:], values)


def _linears(model: Any) -> list[Any]:
    inner = [
        getattr(part, name)
        for layer in model.model.layers
        for part, names in (
            (layer.self_attn, ("q_proj", "k_proj", "v_proj", "o_proj")),
            (layer.mlp, ("gate_proj", "up_proj", "down_proj")),
        )
        for name in names
    ]
    return [*inner, model.lm_head]


def _layer(layer: Any, wide: Tensor, product: Callable[[Tensor], Product]) -> _Layer:
    attention, feed = layer.self_attn, layer.mlp
    return _Layer(
        layer.input_layernorm.weight.data,
        product(_side_by_side(attention.q_proj, attention.k_proj, attention.v_proj)),
        product(attention.o_proj.weight.data),
        layer.post_attention_layernorm.weight.data,
        product(wide),
        product(feed.down_proj.weight.data),
    )


def _plain(weight: Tensor) -> Product:
    return partial(functional.linear, weight=weight)


def _packed(weight: Tensor) -> Product:
    """Return the product with a copy of the weight in the layout that oneDNN's kernels read."""
    copy = torch.ops.mkldnn._reorder_linear_weight(weight, _TRIED)
    multiply = torch.ops.mkldnn._linear_pointwise

    def product(x: Tensor) -> Tensor:
        found: Tensor = multiply(x, copy, None, "none", [], "")
        return found

    return product


def _packing_pays(weights: Sequence[Tensor]) -> bool:
    """Whether products are faster by oneDNN on this machine, as it is now; some tens of milliseconds."""
    there = hasattr(torch.ops.mkldnn, "_linear_pointwise") and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if not weights or weights[0].device.type != "cpu" or weights[0].numel() < 2**18 or not there:
        return False
    tried = weights[:4]
    x = torch.randn(_TRIED, tried[0].shape[1])
    ways = [[made(weight) for weight in tried] for made in (_plain, _packed)]
    taken: list[list[float]] = [[], []]
    with torch.inference_mode():
        for _ in range(7):
            for way, seconds in zip(ways, taken, strict=True):
                start = time.perf_counter()
                for product in way:
                    product(x)
                seconds.append(time.perf_counter() - start)
    plain, packed = (min(seconds) for seconds in taken)
    return plain > GAIN * packed


def _side_by_side(*linears: Any) -> Tensor:
    """Return the weights of linear layers as one matrix, of which theirs become views if they aren't yet."""
    weights: list[Tensor] = [each.weight.data for each in linears]
    first, rows = weights[0], sum(len(each) for each in weights)
    ends = [each.data_ptr() + each.numel() * each.element_size() for each in weights]
    alike = all(each.untyped_storage().data_ptr() == first.untyped_storage().data_ptr() for each in weights)
    if alike and ends[:-1] == [each.data_ptr() for each in weights[1:]]:
        return first.as_strided((rows, first.shape[1]), (first.shape[1], 1))
    joined = torch.cat(weights)
    for each, part in zip(linears, torch.split(joined, [len(each) for each in weights]), strict=True):
        each.weight.data = part
    return joined
