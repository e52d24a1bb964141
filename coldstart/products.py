"""Products: tokens times a weight, laid out for this processor, in 32-bit floats or in half precision.

Half precision is bfloat16: what goes into a product and what comes out of it is rounded to eight bits, what is added up
inside isn't. Processors with matrix units for it (AMX) are several times faster that way, others are slower.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Product = Callable[[Tensor], Tensor]
"""From tokens to their product with a weight. Shapes: ``(tokens, inputs)`` to ``(tokens, outputs)``."""

Then = Literal["none", "swish", "gelu"]

GAIN = 1.12
"""How much faster a product with weights that were laid out anew must be to be worth a second copy of them."""

HALF_GAIN = 1.5
"""How much faster products must be in half precision for a processor to be one for it."""

_TRIED = 64  # tokens; so many candidates' titles make up to some hundreds, and a description some dozens
_MEASURED = 4  # weights
_LARGE = 2**18  # numbers in a weight that is worth it


def padded(count: int) -> int:
    """Return how many tokens are read in place of so many: the next multiple of eight, and up to a 32nd more.

    oneDNN makes and keeps a kernel for each number of rows, and memory that was freed serves only what is no larger:
    of all numbers, an encoder that reads 100,000 texts holds a gigabyte more than of these few.

    >>> padded(1), padded(60), padded(513), padded(2240)
    (8, 64, 528, 2240)
    """
    step = max(8, 1 << max(count.bit_length() - 6, 0))
    return -(-count // step) * step


def plain(weight: Tensor, bias: Tensor | None = None, *, then: Then = "none") -> Product:
    """Return the product with a weight that stays where it is, and a function of it.

    Shapes: ``(outputs, inputs)``, ``(outputs,)``.
    """
    product = partial(functional.linear, weight=weight, bias=bias)
    if then == "none":
        return product
    function = functional.silu if then == "swish" else functional.gelu
    return lambda x: function(product(x))


def packed(weight: Tensor, bias: Tensor | None = None, *, then: Then = "none") -> Product:
    """Return the product with a copy of the weight in the layout that oneDNN's kernels read, and a function of it."""
    return _laid_out(weight, bias, then=then)


def halved(weight: Tensor, bias: Tensor | None = None, *, then: Then = "none") -> Product:
    """Return the product in half precision, and a function of it, with a copy of the weight.

    It takes 32-bit floats as well, and gives bfloat16.
    """
    weight, bias = weight.bfloat16(), None if bias is None else bias.bfloat16()
    product = (_laid_out if _has_halves(weight) else plain)(weight, bias, then=then)
    return lambda x: product(x.bfloat16())


def halved_times(weight: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the product in half precision, times what else is given in half precision, element by element."""
    weight = weight.bfloat16().contiguous()
    if not _has_halves(weight):
        return lambda x, other: functional.linear(x, weight).mul_(other)
    copy = torch.ops.mkldnn._reorder_linear_weight(weight, _TRIED)
    multiply = torch.ops.mkldnn._linear_pointwise.binary

    def product(x: Tensor, other: Tensor) -> Tensor:
        found: Tensor = multiply(x, other, copy, None, "mul")
        return found

    return product


def packing_pays(weights: Sequence[Tensor]) -> bool:
    """Whether products are faster by oneDNN's layout on this machine, as it is now; some tens of milliseconds."""
    return _worth_measuring(weights) and _can_pack() and _faster(weights, plain, packed) > GAIN


def halving_pays(weights: Sequence[Tensor]) -> bool:
    """Whether products are a good deal faster in half precision; some tens of milliseconds."""
    return _worth_measuring(weights) and _has_halves(weights[0]) and _faster(weights, plain, halved) > HALF_GAIN


def _laid_out(weight: Tensor, bias: Tensor | None = None, *, then: Then = "none") -> Product:
    copy = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), _TRIED)
    multiply, how = torch.ops.mkldnn._linear_pointwise, "none" if then == "gelu" else ""

    def product(x: Tensor) -> Tensor:
        found: Tensor = multiply(x, copy, bias, then, [], how)
        return found

    return product


def _can_pack() -> bool:
    return hasattr(torch.ops.mkldnn, "_linear_pointwise") and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]


def _has_halves(weight: Tensor) -> bool:
    """Whether oneDNN multiplies bfloat16 here."""
    return weight.device.type == "cpu" and _can_pack() and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _worth_measuring(weights: Sequence[Tensor]) -> bool:
    return bool(weights) and weights[0].device.type == "cpu" and weights[0].numel() >= _LARGE


def _faster(weights: Sequence[Tensor], one: Callable[[Tensor], Product], other: Callable[[Tensor], Product]) -> float:
    """Return how many times as fast products are the other way as the one, on this machine, as it is now."""
    x = torch.randn(_TRIED, weights[0].shape[1], generator=torch.Generator().manual_seed(0))
    ways = [[made(weight) for weight in weights[:_MEASURED]] for made in (one, other)]
    taken: list[list[float]] = [[], []]
    with torch.inference_mode():
        for _ in range(7):
            for way, seconds in zip(ways, taken, strict=True):
                start = time.perf_counter()
                for product in way:
                    product(x)
                seconds.append(time.perf_counter() - start)
    first, second = map(min, taken)
    return first / second
