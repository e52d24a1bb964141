"""Tiny models with random weights, built from a config and a seed: no network, no files from a hub."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np
import pytest
from hypothesis import settings

from coldstart.catalogue import Catalogue
from coldstart.entities import Item, Recommendations
from coldstart.models import Models, ResolvedModel

if TYPE_CHECKING:
    from coldstart.evaluation import Cases, System

settings.register_profile("unhurried", deadline=None)  # how fast a machine is is no law
settings.load_profile("unhurried")

CHAT = (
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
ENDS = ("bos_token", "eos_token")
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
# What a file speaks of that uses the tiny models.
WITH_MODELS = re.compile(r"\b(encoder|language_model|recommender|world)\b")
SPREAD = 0.4  # initial weights far enough from zero for texts to differ

Builder = Callable[..., Path]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With ``--dist loadgroup``, leave the tests with models to half of the workers.

    Loading torch and its company takes every worker that does ten seconds, more than most files of tests.
    """
    if config.getoption("dist") != "loadgroup":
        return None
    from xdist.scheduler import LoadScopeScheduling

    groups = max(1, len(config.getoption("tx")) // 2)

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.partition("::")[0]
            return f"models {crc32(path.encode()) % groups}" if _uses_models(config.rootpath / path) else path

    return Scheduling(config, log)


@cache
def _uses_models(path: Path) -> bool:
    return bool(WITH_MODELS.search(path.read_text(encoding="utf-8")))


@pytest.fixture(scope="session")
def workshop(tmp_path_factory) -> Path:
    """Where the tiny models are written."""
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def resolve_folder(workshop) -> Callable[[Path], ResolvedModel]:
    """Resolve a folder with a model cache of the tests' own."""
    return Models(folder=workshop / "cache", progress=False).resolve


@pytest.fixture(scope="session")
def encoder_folder(workshop) -> Builder:
    """From a seed to a folder with a 2-layer BERT, mean pooling and normalisation."""

    def build(seed: int = 0, *, prompts: dict[str, str] | None = None, include_prompt: bool = True) -> Path:
        import torch
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
        from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
        from transformers import BertConfig, BertModel, BertTokenizerFast

        target = workshop / f"encoder-{seed}-{'-'.join(prompts or ())}-{include_prompt}"
        if target.exists():
            return target
        pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *(f"##{c}" for c in LETTERS), *".,:;()'!?-"]
        vocabulary = {piece: place for place, piece in enumerate(pieces)}
        tokenizer = Tokenizer(models.WordPiece(vocabulary, max_input_chars_per_word=200))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
        torch.manual_seed(seed)
        config = BertConfig(
            vocab_size=len(pieces),
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=64,
            initializer_range=SPREAD,
        )
        backbone = workshop / f"{target.name}-backbone"
        BertModel(config).save_pretrained(backbone)
        BertTokenizerFast(tokenizer_object=tokenizer, model_max_length=64).save_pretrained(backbone)
        modules = [
            Transformer(str(backbone), max_seq_length=64),
            Pooling(32, pooling_mode="mean", include_prompt=include_prompt),
            Normalize(),
        ]
        SentenceTransformer(modules=modules, prompts=prompts, device="cpu").save(str(target))
        return target

    return build


@pytest.fixture(scope="session")
def language_model_folder(workshop) -> Builder:
    """From an architecture to a folder with a causal language model that reads bytes."""

    def build(architecture: str = "llama", *, seed: int = 0, chat: bool = True, start: bool = False) -> Path:
        import torch
        from transformers import AutoModelForCausalLM

        target = workshop / f"{architecture}-{seed}-{chat}-{start}"
        if target.exists():
            return target
        tokenizer = _byte_tokenizer(chat=chat, start=start)
        torch.manual_seed(seed)
        config = _config(architecture, vocabulary=len(tokenizer))
        AutoModelForCausalLM.from_config(config).save_pretrained(target)
        tokenizer.save_pretrained(target)
        return target

    return build


def _byte_tokenizer(*, chat: bool, start: bool) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["<s>", "</s>"]
    merges = [("h", "e"), ("Ġ", "t"), ("Ġt", "he"), ("e", "s"), ("Y", "es"), ("N", "o"), ("Ġ", "1")]
    pieces = [*special, *sorted(pre_tokenizers.ByteLevel.alphabet()), *("".join(pair) for pair in merges)]
    vocabulary = {piece: place for place, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    if start:
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **dict(zip(ENDS, special, strict=True)))
    if chat:
        wrapped.chat_template = CHAT
    return wrapped


def _config(architecture: str, *, vocabulary: int) -> Any:
    from transformers import GPT2Config, Lfm2Config, LlamaConfig, MambaConfig, MistralConfig

    small = {"vocab_size": vocabulary, "hidden_size": 32, "num_hidden_layers": 2, "initializer_range": SPREAD}
    attention = {"num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 64}
    ends = {"bos_token_id": 0, "eos_token_id": 1}
    if architecture == "gpt2":
        return GPT2Config(vocab_size=vocabulary, n_embd=32, n_layer=2, n_head=4, initializer_range=SPREAD, **ends)
    if architecture == "sliding":
        return MistralConfig(**small, **attention, sliding_window=8, **ends)
    if architecture == "hybrid":
        return Lfm2Config(**small, **attention, layer_types=["conv", "full_attention"], **ends)
    if architecture == "mamba":
        return MambaConfig(**small, state_size=4, **ends)
    return LlamaConfig(**small, **attention, **ends)


@pytest.fixture(scope="session")
def encoder(encoder_folder, resolve_folder) -> Any:
    """A tiny bi-encoder, 32 dimensions."""
    from coldstart.encoding import Encoder

    return Encoder.load(resolve_folder(encoder_folder()))


@pytest.fixture(scope="session")
def language_model(language_model_folder, resolve_folder) -> Any:
    """A tiny Llama with a chat template."""
    from coldstart.generation import LanguageModel

    return LanguageModel.load(resolve_folder(language_model_folder()))


PLACES = ("Uji", "Assam", "Kandy", "Yunnan", "Nuwara")
SORTS = ("green", "black", "white", "oolong", "smoked")
NOTES = ("grass", "honey", "malt", "smoke", "citrus", "hay", "cocoa")
NAMES = (
    *("Morning Terrace", "Old Kettle", "Rain on Slate", "The Quiet Hill", "Copper Leaf", "Lantern Street"),
    *("Third Harvest", "Moth and Moon", "Salt Road", "Winter Orchard", "Pale Harbour", "Ember Room"),
    *("North Window", "Paper Boat", "Velvet Ash", "Silver Spoon", "Long Afternoon", "Blue Gate"),
    *("Fox Garden", "Stone Bridge", "Amber Hour", "Cloud Ferry", "Last Train", "Green Letter"),
    *("Tiger Bell", "Sunday Porch", "Cedar Box", "River Clerk", "High Meadow", "Plain Sailing"),
)


def _teas(count: int = len(NAMES)) -> list[Item]:
    """Return made-up teas ``t00``, ``t01``, ... with a sort, an origin, notes and a year."""
    return [
        Item(
            f"t{place:02d}",
            NAMES[place],
            {
                "sort": SORTS[place % 5],
                "origin": PLACES[place * 3 % 5],
                "notes": (NOTES[place % 7], NOTES[(place * 2 + 1) % 7]),
                "year": 2000 + place % 9,
            },
        )
        for place in range(count)
    ]


@pytest.fixture(scope="session")
def teas() -> Callable[..., list[Item]]:
    """From a number, at most thirty, to that many made-up teas."""
    return _teas


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    """Thirty made-up teas."""
    return Catalogue(_teas(), kind="tea")


@pytest.fixture(scope="session")
def recommender(catalogue, encoder, language_model) -> Any:
    """The catalogue indexed by both tiny models."""
    from coldstart.recommender import Recommender

    return Recommender.build(catalogue, encoder=encoder, language_model=language_model)


@pytest.fixture(scope="session")
def add_up() -> Callable[[Recommendations], None]:
    """From a list to the assertion that ranks count from 1, scores fall, and each is the sum of its parts."""

    def check(found: Recommendations) -> None:
        assert [each.rank for each in found] == list(range(1, len(found) + 1))
        assert all(one.score >= other.score for one, other in pairwise(found))
        for each in found:
            assert each.score == pytest.approx(sum(part.contribution for part in each.parts.values()), abs=1e-9)
            assert math.isfinite(each.score)

    return check


@pytest.fixture(scope="session")
def leaning() -> Callable[[float, str], Any]:
    """From a strength and a name to a system that knows what is right so many deviations above its noise."""
    from coldstart.evaluation import System

    def system(strength: float, name: str) -> System:
        def scores(cases: Cases) -> Iterator[np.ndarray]:
            rng = np.random.default_rng(0)
            for case in cases:
                rows = np.arange(len(cases.catalogue)) if case.candidates is None else case.candidates
                yield rng.normal(size=rows.size) + strength * np.isin(rows, case.relevant)

        return System(name, scores)

    return system
