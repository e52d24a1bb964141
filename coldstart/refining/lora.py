"""LoRA in a bi-encoder (Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022), by way of PEFT.

Only the upper blocks of the transformer learn, so that what the lower ones make of a text is computed once.
"""

from __future__ import annotations

import copy
import hashlib
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from coldstart.encoding import Encoder
from coldstart.errors import AdapterError
from coldstart.weights import quiet

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import nn

ADAPTER = "coldstart"


@dataclass(frozen=True, slots=True)
class Shape:
    """What learns.

    Attributes:
        rank: Of each weight's change.
        alpha: The change is multiplied by ``alpha / rank``.
        upper: The share of the transformer's blocks that learn, from the top; rounded up.
    """

    rank: int = 16
    alpha: int = 32
    upper: float = 0.5

    def __post_init__(self) -> None:
        if not (self.rank >= 1 and self.alpha > 0 and 0 < self.upper <= 1):
            raise AdapterError(f"{self}: expected a rank >= 1, an alpha > 0 and 0 < upper <= 1")


@dataclass(frozen=True, eq=False, slots=True)
class Adapter:
    """A trained change of an encoder.

    Attributes:
        weights: PEFT's tensors, as a safetensors file.
        config: PEFT's configuration, as a JSON file.
        base: The hash of the encoder it changes.
        scale: How much of the change is applied, from 0 to 1.
        version: What it is called once it is kept; empty before.
        told: What made it, for its manifest.
    """

    weights: bytes
    config: bytes
    base: str
    scale: float = 1.0
    version: str = ""
    told: Mapping[str, Any] = field(default_factory=dict)

    @property
    def hash(self) -> str:
        """Of what it changes, and how much."""
        parts = (self.weights, self.config, self.base.encode(), repr(self.scale).encode())
        return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def blocks(model: nn.Module) -> tuple[str, nn.ModuleList]:
    """Return a transformer's blocks and their name: the longest list of modules of one class.

    Raises:
        AdapterError: There is none.
    """
    from torch import nn

    lists = [
        (name, each)
        for name, each in model.named_modules()
        if isinstance(each, nn.ModuleList) and len({type(block) for block in each}) == 1
    ]
    if not lists:
        raise AdapterError(f"{type(model).__name__} has no list of blocks: it can't be refined; name another encoder")
    return max(lists, key=lambda pair: (len(pair[1]), -len(pair[0])))


def transformer(model: SentenceTransformer) -> nn.Module:
    """Return the transformer in a sentence-transformers model.

    Raises:
        AdapterError: Its first part holds none.
    """
    inner = getattr(model[0], "auto_model", None) or getattr(model[0], "model", None)
    if inner is None:
        raise AdapterError(f"{type(model[0]).__name__} holds no transformer: it can't be refined; name another encoder")
    return inner  # type: ignore[no-any-return]


def first_learning(model: nn.Module, shape: Shape) -> int:
    """Return the place of the lowest block that learns."""
    count = len(blocks(model)[1])
    return count - max(1, min(count, round(count * shape.upper + 0.499)))


def attached(encoder: Encoder, shape: Shape, *, seed: int) -> tuple[SentenceTransformer, Any]:
    """Return a copy of an encoder's model with a fresh adapter, which changes nothing yet, and PEFT's view of it."""
    import torch
    from peft import LoraConfig
    from torch import nn

    model = copy.deepcopy(encoder.model)
    inner = transformer(model)
    name, every = blocks(inner)
    learning = range(first_learning(inner, shape), len(every))
    targets = [
        f"{name}.{place}.{part}"
        for place in learning
        for part, module in every[place].named_modules()
        if isinstance(module, nn.Linear)
    ]
    config = LoraConfig(r=shape.rank, lora_alpha=shape.alpha, target_modules=targets, lora_dropout=0.0)
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(seed)
        wrapped = _wrapped(inner, config)
    return model.eval(), wrapped


def _wrapped(inner: nn.Module, config: Any) -> Any:
    """Return PEFT's view of a transformer; it asks transformers 5 for what is deprecated there, which says so."""
    from peft import get_peft_model

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return get_peft_model(inner, config, adapter_name=ADAPTER)


def taken(wrapped: Any, *, base: str) -> Adapter:
    """Return what an attached adapter has learned.

    Raises:
        AdapterError: Nothing: every change is zero, or one isn't finite.
    """
    import torch
    from peft import get_peft_model_state_dict
    from safetensors.torch import save

    tensors = {name: part.detach().cpu().contiguous() for name, part in _state(get_peft_model_state_dict, wrapped)}
    changes = [part for name, part in tensors.items() if "lora_B" in name]
    if not all(bool(torch.isfinite(part).all()) for part in tensors.values()):
        raise AdapterError("the adapter holds numbers that aren't finite: refine again with a lower learning rate")
    if not any(bool(part.any()) for part in changes):
        raise AdapterError("the adapter is all zeros: it learned nothing; give it more steps or a higher learning rate")
    config = wrapped.peft_config[ADAPTER].to_dict()
    config = {name: sorted(value) if isinstance(value, set) else value for name, value in config.items()}
    return Adapter(save(tensors), json.dumps(config, sort_keys=True, default=str).encode(), base)


def _state(read: Any, wrapped: Any) -> list[tuple[str, Any]]:
    return sorted(read(wrapped, adapter_name=ADAPTER).items())


def adapted(encoder: Encoder, adapter: Adapter) -> Encoder:
    """Return an encoder with an adapter's change worked into its weights: as fast as the one it comes from.

    Raises:
        AdapterError: It was made for another encoder, or doesn't fit.
    """
    import torch
    from peft import LoraConfig, set_peft_model_state_dict
    from peft.tuners.lora import LoraLayer
    from safetensors import SafetensorError
    from safetensors.torch import load

    if adapter.base != encoder.hash:
        raise AdapterError(
            f"the adapter was made for the encoder {adapter.base[:12]}, but {encoder.name!r} is {encoder.hash[:12]}: "
            "refine again with this encoder, or name the one it was made for"
        )
    try:
        config = LoraConfig(**{k: v for k, v in json.loads(adapter.config).items() if k in _KEPT})
        tensors = load(adapter.weights)
    except (ValueError, TypeError, SafetensorError) as problem:
        raise AdapterError(f"the adapter can't be read ({problem}): roll back or refine again") from problem
    model = copy.deepcopy(encoder.model)
    inner = transformer(model)
    with torch.random.fork_rng(devices=[]), quiet():
        wrapped = _wrapped(inner, config)
        try:
            outcome: Any = set_peft_model_state_dict(wrapped, tensors, adapter_name=ADAPTER)
        except RuntimeError as problem:
            raise AdapterError(f"the adapter doesn't fit {encoder.name!r} ({problem}): {_AGAIN}") from problem
        if outcome.unexpected_keys or len(tensors) != len(_names(wrapped)):
            raise AdapterError(f"the adapter doesn't fit {encoder.name!r}: {_AGAIN}")
        for module in wrapped.modules():
            if isinstance(module, LoraLayer):
                module.scaling[ADAPTER] *= adapter.scale
        wrapped.merge_and_unload()
    content = hashlib.sha256(f"{encoder.hash} {adapter.hash}".encode()).hexdigest()
    return Encoder(model, name=encoder.name, content_hash=content, base=encoder, adapter=adapter)


_AGAIN = "refine again with this encoder"
_KEPT = frozenset({"r", "lora_alpha", "target_modules", "lora_dropout", "bias", "use_rslora"})


def _names(wrapped: Any) -> list[str]:
    return [name for name, _ in wrapped.named_parameters() if "lora_" in name]
