"""LoRA in either model (Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022), by way of PEFT.

Only the upper blocks of the transformer learn, so that what the lower ones make of a text is computed once.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from coldstart.encoding import Encoder
from coldstart.errors import AdapterError
from coldstart.generation import LanguageModel
from coldstart.refining.balance import AFTER, CHANGE, FUSION, HEAD, MARK, MET, Balance
from coldstart.weights import quiet

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import nn

ADAPTER = "coldstart"

TARGETS = ("all", "attention")
"""Which linear layers of a block may learn: all, or those of its attention."""

_ATTENTION = ("attn", "attention")


@dataclass(frozen=True, slots=True)
class Shape:
    """What learns.

    Attributes:
        rank: Of each weight's change.
        alpha: The change is multiplied by ``alpha / rank``.
        upper: The share of the transformer's blocks that learn, from the top; rounded up.
        targets: Which of their linear layers, one of :data:`TARGETS`.
    """

    rank: int = 16
    alpha: int = 32
    upper: float = 0.5
    targets: str = "all"

    def __post_init__(self) -> None:
        if self.targets not in TARGETS:
            raise AdapterError(f"{self.targets!r} can't learn: expected one of {', '.join(TARGETS)}")
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

    def balanced(self, balance: Balance) -> Adapter:
        """Return the same adapter with these weights in its configuration."""
        config = {**json.loads(self.config), FUSION: balance.state()}
        return replace(self, config=json.dumps(config, sort_keys=True).encode())

    def having_met(self, documents: Iterable[bytes]) -> Adapter:
        """Return the same adapter with the keys of the documents it learned of in its configuration.

        Args:
            documents: Keys of :func:`coldstart.rows.key`.
        """
        keys = base64.b64encode(b"".join(sorted(each[:MARK] for each in documents))).decode()
        config = {**json.loads(self.config), MET: keys}
        return replace(self, config=json.dumps(config, sort_keys=True).encode())

    @property
    def hash(self) -> str:
        """Of what it changes, how much, and of its weights."""
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
    model = copy.deepcopy(encoder.model)
    return model.eval(), _fresh(transformer(model), shape, seed=seed)


def attached_to(model: nn.Module, shape: Shape, *, seed: int) -> Any:
    """Return PEFT's view of a copy of a language model with a fresh adapter, which changes nothing yet."""
    return _fresh(copy.deepcopy(model), shape, seed=seed).eval()


def _fresh(inner: nn.Module, shape: Shape, *, seed: int) -> Any:
    import torch
    from peft import LoraConfig
    from torch import nn

    name, every = blocks(inner)
    learning = range(first_learning(inner, shape), len(every))
    targets = [
        f"{name}.{place}.{part}"
        for place in learning
        for part, module in every[place].named_modules()
        if isinstance(module, nn.Linear)
        and (shape.targets == "all" or any(mark in part.casefold() for mark in _ATTENTION))
    ]
    if not targets:
        of = "" if shape.targets == "all" else f" of {shape.targets}"
        raise AdapterError(f"{type(inner).__name__} has no linear layers{of} in its blocks: it can't be refined")
    config = LoraConfig(r=shape.rank, lora_alpha=shape.alpha, target_modules=targets, lora_dropout=0.0)
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(seed)
        return _wrapped(inner, config)


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

    One that is matrices of what follows what changes no vector, and shares the model.

    Raises:
        AdapterError: It was made for another encoder, or doesn't fit.
    """
    _check_base(adapter, encoder)
    # An index whose vectors a head once changed is of another hash, and so isn't taken for one whose it left alone.
    beside = _is_head(adapter, encoder)
    parts = (encoder.hash, "beside", adapter.hash) if beside else (encoder.hash, adapter.hash)
    content = hashlib.sha256(" ".join(parts).encode()).hexdigest()
    model = encoder.model if beside else copy.deepcopy(encoder.model)
    if not beside:
        _merge(transformer(model), adapter, encoder.name)
    told: dict[str, Any] = {"name": encoder.name, "content_hash": content, "base": encoder, "adapter": adapter}
    return Encoder(model, **told, half=encoder.dtype == "bfloat16")


def _is_head(adapter: Adapter, encoder: Encoder) -> bool:
    """Return whether an adapter is matrices behind the encoder, which leave its vectors as they are.

    Raises:
        AdapterError: They can't be read, or don't fit.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        if not json.loads(adapter.config).get(HEAD):
            return False
        shapes = {name: part.shape for name, part in load(adapter.weights).items() if name in (CHANGE, AFTER)}
    except (ValueError, AttributeError, SafetensorError) as problem:
        raise AdapterError(f"the adapter can't be read ({problem}): roll back or refine again") from problem
    if AFTER not in shapes or any(shape != (encoder.dimension, encoder.dimension) for shape in shapes.values()):
        raise AdapterError(f"the adapter's matrices {shapes} don't fit {encoder.name!r}: {_AGAIN}")
    return True


def spoken(model: LanguageModel, adapter: Adapter) -> LanguageModel:
    """Return a language model with an adapter's change worked into its weights: as fast as the one it comes from.

    Raises:
        AdapterError: It was made for another model, or doesn't fit.
    """
    _check_base(adapter, model)
    inner = copy.deepcopy(model.model)
    content = hashlib.sha256(f"{model.hash} {adapter.hash}".encode()).hexdigest()
    merged, half = _merge(inner, adapter, model.name), model.dtype == "bfloat16"
    return LanguageModel(merged, model.tokenizer, name=model.name, content_hash=content, half=half)


def _check_base(adapter: Adapter, model: Encoder | LanguageModel) -> None:
    if adapter.base != model.hash:
        raise AdapterError(
            f"the adapter was made for the model {adapter.base[:12]}, but {model.name!r} is {model.hash[:12]}: "
            "refine again with this model, or name the one it was made for"
        )


def _merge(inner: nn.Module, adapter: Adapter, name: str) -> Any:
    """Work an adapter's change into a model's weights, in place, and return it."""
    import torch
    from peft import LoraConfig, set_peft_model_state_dict
    from peft.tuners.lora import LoraLayer
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        config = LoraConfig(**{k: v for k, v in json.loads(adapter.config).items() if k in _KEPT})
        tensors = load(adapter.weights)
    except (ValueError, TypeError, SafetensorError) as problem:
        raise AdapterError(f"the adapter can't be read ({problem}): roll back or refine again") from problem
    with torch.random.fork_rng(devices=[]), quiet():
        wrapped = _wrapped(inner, config)
        try:
            outcome: Any = set_peft_model_state_dict(wrapped, tensors, adapter_name=ADAPTER)
        except RuntimeError as problem:
            raise AdapterError(f"the adapter doesn't fit {name!r} ({problem}): {_AGAIN}") from problem
        if outcome.unexpected_keys or len(tensors) != len(_names(wrapped)):
            raise AdapterError(f"the adapter doesn't fit {name!r}: {_AGAIN}")
        for module in wrapped.modules():
            if isinstance(module, LoraLayer):
                module.scaling[ADAPTER] *= adapter.scale
        return wrapped.merge_and_unload()


_AGAIN = "refine again with this model"
_KEPT = frozenset({"r", "lora_alpha", "target_modules", "lora_dropout", "bias", "use_rslora"})


def _names(wrapped: Any) -> list[str]:
    return [name for name, _ in wrapped.named_parameters() if "lora_" in name]
