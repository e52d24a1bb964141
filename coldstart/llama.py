"""Llama's arithmetic on packed tokens: many short texts after one that was read before, next to no padding.

The same numbers as transformers' ``LlamaForCausalLM``, up to rounding, at the rate of the matrix products: the three
projections of attention are one product and so are two of the three of the feed-forward part, all texts of a batch
stand behind each other in one matrix, and only attention itself tells them apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from coldstart.products import Product, halved, halved_times, halving_pays, packed, packing_pays, padded, plain

_CHUNK = 512
"""A long text is read so many tokens at a time, which bounds the memory that attention takes."""

_BLOCK = 1024  # words of the vocabulary whose logits are had at a time: with some hundreds of states a cache's worth

_PADDED = 32  # columns beside the output weights, so that their number stays a multiple of what a processor takes

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
    before: Tensor | None
    """The norm's weight before attention; None where the products have it in them. Shape: ``(width,)``."""
    project: Product
    """To queries, keys and values."""
    join: Callable[[Tensor, Tensor], Tensor]
    """From what was heard and the tokens to their sum, after a product with what was heard."""
    after: Tensor | None
    gate: Product
    """To what the feed-forward part makes of tokens, before it is narrowed."""
    narrow: Callable[[Tensor, Tensor], Tensor]
    """From that and the tokens to their sum, after a product."""


class Llama:
    """A forward pass over the weights of a ``LlamaForCausalLM`` of 32-bit floats.

    Weights that are multiplied together are laid side by side in memory, once; the model's own parameters become
    views of them, and the model works on. On a processor where oneDNN's own layout of the weights is faster, by a
    measurement at the start, they are held a second time in that.

    With half precision, weights are held a second time as bfloat16, and so is what is multiplied with them; sums,
    norms, the tokens' running state and logarithms of probabilities are 32-bit floats all the same.

    Args:
        model: The model.
        laid_out: Whether to lay the weights out for oneDNN; None to measure it. With half precision they always are.
        half: Whether to multiply in half precision.
    """

    def __init__(self, model: Any, *, laid_out: bool | None = None, half: bool = False) -> None:
        config = model.config
        self._model, self.half = model, half
        self._epsilon = float(config.rms_norm_eps)
        self._heads, self._keys = int(config.num_attention_heads), int(config.num_key_value_heads)
        self._size = int(getattr(config, "head_dim", None) or config.hidden_size // self._heads)
        layers = model.model.layers[: config.num_hidden_layers]
        joined = [_side_by_side(each.mlp.gate_proj, each.mlp.up_proj) for each in layers]
        self.packed = half or (packing_pays(joined) if laid_out is None else laid_out)
        made = _halved if half else partial(_whole, made=packed if self.packed else plain)
        self._layers = [made(each, wide) for each, wide in zip(layers, joined, strict=True)]
        self._given = [(each, each.data_ptr()) for each in model.parameters()]

    @classmethod
    def of(cls, model: Any, *, half: bool = False) -> Llama | None:
        """Return the forward pass of a model; None for one that isn't plainly Llama's, or not in 32-bit floats."""
        return cls(model, half=half) if cls.fits(model) else None

    @staticmethod
    def fits(model: Any) -> bool:
        """Whether a model is plainly Llama's, in 32-bit floats."""
        from transformers import LlamaForCausalLM

        if type(model) is not LlamaForCausalLM:
            return False
        config = model.config
        return (
            config.hidden_act == "silu"
            and (config.rope_parameters or {}).get("rope_type", "default") in _ROPE
            and all(type(each) is torch.nn.Linear and each.bias is None for each in _linears(model))
            and all(each.dtype == torch.float32 for each in model.parameters())
        )

    @staticmethod
    def better_halved(model: Any) -> bool:
        """Whether products with a model's weights are a good deal faster in half precision, on this machine."""
        return halving_pays([layer.mlp.gate_proj.weight.data for layer in model.model.layers])

    @property
    def current(self) -> bool:
        """Whether the model still has the weights that this pass was made of (changes in place are seen)."""
        return all(each.data_ptr() == there for each, there in self._given)

    @property
    def empty(self) -> Tensor:
        """The past before anything was read."""
        shape = (len(self._layers), 2, self._keys, 0, self._size)
        return self.head.new_zeros(shape, dtype=torch.bfloat16 if self.half else None)

    def read(self, ids: Sequence[int], past: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Read a text after a past.

        Args:
            ids: At least one token.
            past: What was read before; nothing if None.

        Returns:
            The longer past, and what the model makes of its last token. Shape of that: ``(width,)``.
        """
        known = self.empty if past is None else past
        state = self.head.new_empty(0)
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
    def log_probabilities(self, states: Tensor, targets: Tensor) -> Tensor:
        """Return how likely one token is after each state, in nats. Shapes: ``(states, width)``, twice ``(states,)``.

        Returns:
            64-bit. At most 0, up to rounding.
        """
        near = self.logits(states, targets)
        return near.double() - self.normalisers(states, near).double()

    @torch.inference_mode()
    def logits(self, states: Tensor, tokens: Tensor) -> Tensor:
        """Return the logit of one token after each state. Shapes: ``(states, width)``, twice ``(states,)``."""
        found = torch.empty(len(states), device=states.device)
        for start in range(0, len(states), _BLOCK):
            part = slice(start, start + _BLOCK)
            found[part] = torch.linalg.vecdot(self._rounded(states[part]), self._rounded(self.head[tokens[part]]))
        return found

    @torch.inference_mode()
    def normalisers(self, states: Tensor, near: Tensor) -> Tensor:
        """Return the logarithm of the sum of what all words have after each state.

        Args:
            states: Shape: ``(states, width)``.
            near: A logit of any word after each; sums are taken in relation to it. Shape: ``(states,)``.

        Returns:
            Shape: ``(states,)``.
        """
        total = torch.zeros_like(near)
        if self.half:
            # What is taken off first is small then where a word is likely, which is where rounding would tell.
            high = near.bfloat16()
            room = states.new_zeros((len(states), _PADDED - 2), dtype=torch.bfloat16)
            off = torch.stack([-high, (high.float() - near).bfloat16()], 1)
            wider = torch.cat([states.bfloat16(), off, room], 1)
            wider = functional.pad(wider, (0, 0, 0, padded(len(states)) - len(states)))
            for multiply in self._blocks:
                total += multiply(wider)[: len(states)].exp_().sum(1, dtype=torch.float32)
        else:
            for start in range(0, len(self.head), _BLOCK):
                logits = states @ self.head[start : start + _BLOCK].T
                total += logits.sub_(near[:, None]).exp_().sum(1)
        found = near + total.log()
        lost = ~found.isfinite()
        if lost.any():
            found[lost] = (self._rounded(states[lost]) @ self.head.T).logsumexp(1)
        return found

    def _rounded(self, x: Tensor) -> Tensor:
        return x.bfloat16().float() if self.half else x

    @cached_property
    def _blocks(self) -> list[Product]:
        """Products with some hundreds of words' output weights at a time, and with 1 for what stands behind them."""
        ones = self.head.new_tensor([1.0, 1.0, *[0.0] * (_PADDED - 2)])
        parts = torch.split(self.head, _BLOCK)
        return [halved(torch.cat([part, ones.expand(len(part), -1)], 1)) for part in parts]

    @torch.inference_mode()
    def _run(self, groups: Sequence[Group], wanted: Tensor, *, keep: bool) -> tuple[Tensor, Tensor]:
        device = self.head.device
        told = [one for group in groups for row in group.rows for one in row]
        places = [group.past.shape[3] + at for group in groups for row in group.rows for at in range(len(row))]
        count, beyond = len(told), [0] * (padded(len(told)) - len(told))
        ids, places = torch.tensor(told + beyond, device=device), places + beyond
        x = functional.embedding(ids, self._model.model.embed_tokens.weight)
        cos, sin = self._model.model.rotary_emb(x, torch.tensor([places], device=device))
        half = self._size // 2
        cos, sin = cos[0, :, None, :half].contiguous(), sin[0, :, None, :half].contiguous()
        packing = _Packing.of(groups, self._heads, self._keys, device, count=len(ids))
        asked = len(wanted)
        wanted = functional.pad(wanted, (0, padded(asked) - asked)).to(device)
        kept: list[Tensor] = []
        last = len(self._layers) - 1
        for number, layer in enumerate(self._layers):
            mixed = layer.project(self._norm(x, layer.before)).view(len(x), -1, self._size)
            turned = self._turned(mixed[:, : self._heads + self._keys], cos, sin)
            if keep:
                own = turned[:count, self._heads :], mixed[:count, self._heads + self._keys :]
                kept.append(torch.stack([part.transpose(0, 1) for part in own]))
            heard = packing.attended(turned, mixed, [group.past[number] for group in groups])
            if number == last:
                x, heard = x[wanted], heard[wanted]
            x = layer.join(heard, x)
            x = layer.narrow(layer.gate(self._norm(x, layer.after)), x)
        normed = self._norm(x[:asked], self._model.model.norm.weight)
        return normed, torch.stack(kept) if keep else normed

    def _norm(self, x: Tensor, weight: Tensor | None) -> Tensor:
        """Return tokens of length one, times a weight (RMSNorm; Zhang and Sennrich, 2019)."""
        scale = torch.linalg.vector_norm(x, dim=1, keepdim=True).square_().div_(x.shape[1]).add_(self._epsilon).rsqrt_()
        if weight is not None:
            return x.mul(scale).mul_(weight)
        return torch.mul(x, scale, out=torch.empty_like(x, dtype=torch.bfloat16))

    def _turned(self, mixed: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Rotate queries and keys by their places (RoPE; Su et al., 2021, equation 34).

        Returns:
            Shape: that of ``mixed``: ``(tokens, query heads + key heads, head size)``.
        """
        turned = torch.empty_like(mixed, memory_format=torch.contiguous_format)
        one, two = mixed.float().chunk(2, 2)
        half = self._size // 2
        turned[..., :half] = torch.mul(one, cos).addcmul_(two, sin, value=-1)
        turned[..., half:] = torch.mul(two, cos).addcmul_(one, sin)
        return turned


@dataclass(frozen=True, slots=True)
class _Group:
    """Where a group stands among all padded rows, in heads.

    Attributes:
        queries: Those of its queries. Shape when taken: ``(key heads * rows, heads a key * longest, head size)``.
        keys: Those of its keys and of its values. Shape when taken: ``(key heads * rows, longest, head size)``.
        rows: Texts.
        hidden: What is added to a text's attention to itself: minus infinity for what is still to come.
            Shape: ``(heads a key * longest, longest)``.
    """

    queries: slice
    keys: slice
    rows: int
    hidden: Tensor


@dataclass(frozen=True, slots=True)
class _Packing:
    """Where the heads of packed tokens stand when each text has a row of its own, padded on the right.

    Attributes:
        there: For each head of each place of each padded row that of the packed token, first all queries, then all
            keys. Shape: ``(padded query heads + padded key heads,)``.
        values: The same for values, among queries, keys and values. Shape: ``(padded key heads,)``.
        back: For each query head of each packed token its padded place; the first for tokens that only fill up.
            Shape: ``(tokens * query heads,)``.
        groups: Where each group is among them.
    """

    there: Tensor
    values: Tensor
    back: Tensor
    groups: tuple[_Group, ...]

    @classmethod
    def of(cls, groups: Sequence[Group], heads: int, keys: int, device: torch.device, *, count: int) -> _Packing:
        """Return where the tokens of groups stand, of which there are ``count`` with those that only fill up."""
        share, start = heads // keys, 0
        queries, others, back, found = [], [], [], []
        asked = told = 0
        by_query = torch.arange(heads).view(keys, 1, share, 1)
        by_key = torch.arange(keys).view(keys, 1, 1)
        for group in groups:
            sizes = torch.tensor([len(row) for row in group.rows])
            rows, longest = len(sizes), int(sizes.max())
            first = (start + sizes.cumsum(0) - sizes)[:, None]
            at = torch.arange(longest)[None, :]
            real = at < sizes[:, None]
            tokens = torch.where(real, first + at, first)
            queries.append((tokens.view(1, rows, 1, longest) * (heads + keys) + by_query).flatten())
            others.append((tokens.view(1, rows, longest), by_key))
            place = torch.arange(keys * rows * share * longest).view(keys, rows, share, longest) + asked
            back.append(place.permute(1, 3, 0, 2)[real].flatten())
            later = torch.full((longest, longest), -torch.inf).triu(1).repeat(share, 1)
            counts = queries[-1].numel(), keys * rows * longest
            found.append(_Group(slice(asked, asked + counts[0]), slice(told, told + counts[1]), rows, later.to(device)))
            asked, told, start = asked + counts[0], told + counts[1], start + int(sizes.sum())
        keyed = [(tokens * (heads + keys) + heads + by).flatten() for tokens, by in others]
        valued = [(tokens * (heads + 2 * keys) + heads + keys + by).flatten() for tokens, by in others]
        there = torch.cat([*queries, *keyed]).to(device)
        back.append(torch.zeros((count - start) * heads, dtype=torch.int64))
        return cls(there, torch.cat(valued).to(device), torch.cat(back).to(device), tuple(found))

    def attended(self, turned: Tensor, mixed: Tensor, pasts: Sequence[Tensor]) -> Tensor:
        """Return what each token hears of its past and of its own text so far. Shape: ``(tokens, query width)``.

        Args:
            turned: Queries and keys. Shape: ``(tokens, query heads + key heads, head size)``.
            mixed: Queries, keys and values, of which the values are taken.
            pasts: By group. Shape of each: ``(2, key heads, tokens, head size)``.
        """
        size = turned.shape[2]
        apart = turned.view(-1, size).index_select(0, self.there)
        values = mixed.reshape(-1, size).index_select(0, self.values)
        keys = apart[self.groups[-1].queries.stop :]
        heard = []
        for group, past in zip(self.groups, pasts, strict=True):
            batch = past.shape[1] * group.rows
            asked = apart[group.queries].view(batch, -1, size)
            own = keys[group.keys].view(batch, -1, size), values[group.keys].view(batch, -1, size)
            heard.append(_attention(asked, *own, past, group.hidden).view(-1, size))
        together = heard[0] if len(heard) == 1 else torch.cat(heard)
        return together.index_select(0, self.back).view(len(turned), -1)


def _attention(queries: Tensor, keys: Tensor, values: Tensor, past: Tensor, hidden: Tensor) -> Tensor:
    """Attend to a shared past and to each text's own tokens at once.

    Args:
        queries: Shape: ``(key heads * rows, heads a key * longest, head size)``.
        keys: Shape: ``(key heads * rows, longest, head size)``.
        values: Likewise.
        past: Shape: ``(2, key heads, tokens, head size)``.
        hidden: See :class:`_Group`.

    Returns:
        Shape: that of ``queries``.
    """
    heads, read = past.shape[1], past.shape[2]
    scale = queries.shape[-1] ** -0.5
    hidden = hidden.to(queries.dtype).expand(len(queries), -1, -1)
    own = torch.baddbmm(hidden, queries, keys.transpose(1, 2), alpha=scale)
    if not read:
        return torch.bmm(own.softmax(-1), values)
    together = queries.view(heads, -1, queries.shape[-1])
    before = torch.bmm(together, past[0].transpose(1, 2)).mul_(scale).view(*own.shape[:2], read)
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


def _whole(layer: Any, wide: Tensor, *, made: Callable[[Tensor], Product]) -> _Layer:
    """Return a layer in 32-bit floats."""
    attention, feed = layer.self_attn, layer.mlp
    widen = made(wide)

    def gate(x: Tensor) -> Tensor:
        gate, up = widen(x).chunk(2, 1)
        return functional.silu(gate).mul_(up)

    return _Layer(
        layer.input_layernorm.weight.data,
        made(_side_by_side(attention.q_proj, attention.k_proj, attention.v_proj)),
        _added(made(attention.o_proj.weight.data)),
        layer.post_attention_layernorm.weight.data,
        gate,
        _added(made(feed.down_proj.weight.data)),
    )


def _halved(layer: Any, wide: Tensor) -> _Layer:
    """Return a layer whose products are of bfloat16, the norms' weights in them."""
    attention, feed = layer.self_attn, layer.mlp
    before, after = layer.input_layernorm.weight.data, layer.post_attention_layernorm.weight.data
    gate, up = (part * after for part in wide.chunk(2))
    open_, widen = halved(gate, then="swish"), halved_times(up)
    mixed = _side_by_side(attention.q_proj, attention.k_proj, attention.v_proj)
    return _Layer(
        None,
        halved(mixed * before),
        _added(halved(attention.o_proj.weight.data)),
        None,
        lambda x: widen(x, open_(x)),
        _added(halved(feed.down_proj.weight.data)),
    )


def _added(product: Product) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda x, to: to + product(x)


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
