"""The language model: prompts and continuations in, log-probabilities out. Nothing it says is ever parsed."""

from __future__ import annotations

import copy
import inspect
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from coldstart.errors import ModelError
from coldstart.models import ResolvedModel
from coldstart.weights import quiet

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

Progress = Callable[[int], None]
"""Called with the number of continuations just done."""

_BATCH_TOKENS = 512
_LOGIT_FLOATS = 40_000_000  # 160 MB of float32 logits a batch at most, whatever the vocabulary
_PREFIXES_KEPT = 8


@dataclass(frozen=True, slots=True)
class Likelihoods:
    """How likely a language model finds continuations of one prompt. Shapes: ``(continuations,)``.

    Attributes:
        total: Log-probability of the whole continuation, in nats.
        tokens: Its number of tokens; 0 for an empty one, whose ``total`` is 0.
    """

    total: NDArray[np.float64]
    tokens: NDArray[np.int64]

    @property
    def mean(self) -> NDArray[np.float64]:
        """Log-probability per token, in nats; NaN for an empty continuation."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(self.tokens > 0, self.total / self.tokens, np.nan)


@dataclass(frozen=True, slots=True)
class _Prefix:
    """A prompt that was read once: its tokens, its attention cache and what it expects next."""

    ids: tuple[int, ...]
    cache: Any
    next_log_probabilities: Tensor


class LanguageModel:
    """A causal language model that scores continuations.

    A prompt is read once and its attention cache shared by all its continuations, which are sorted by length
    and batched by a budget of tokens. Scores equal those of one plain forward per continuation, up to rounding.
    """

    def __init__(self, model: Any, tokenizer: Any, *, name: str = "language model", content_hash: str = "") -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.name = name
        self.hash = content_hash
        self._prefixes: OrderedDict[tuple[int, ...], _Prefix] = OrderedDict()
        self._pad = next(i for i in (tokenizer.pad_token_id, tokenizer.eos_token_id, 0) if i is not None)

    @classmethod
    def load(cls, resolved: ResolvedModel, *, device: str = "cpu", dtype: str = "float32") -> LanguageModel:
        """Load the weights.

        Args:
            resolved: Where they are.
            device: A torch device, such as "cpu" or "cuda:0".
            dtype: "float32", "bfloat16" or "float16"; half precision on a CPU is often far slower.

        Raises:
            ModelError: The folder holds no causal language model that transformers can load.
        """
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        folder = str(resolved.path)
        try:
            with quiet():
                tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
                loaded: Any = AutoModelForCausalLM.from_pretrained(
                    folder, dtype=getattr(torch, dtype), local_files_only=True, output_loading_info=True
                )
        except (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError) as problem:
            raise ModelError(
                f"{folder} can't be loaded as a language model ({problem}): expected a causal language model of"
                f" transformers with its tokenizer; pull {resolved.name!r} again or name another model"
            ) from problem
        model, found = loaded
        if lacking := sorted(found["missing_keys"]):  # transformers fills them with random numbers
            raise ModelError(
                f"{folder} can't be loaded as a language model (it has no weights for {lacking[0]} and"
                f" {len(lacking) - 1} more): expected a causal language model; name another model"
            )
        return cls(model.to(device), tokenizer, name=resolved.name, content_hash=resolved.hash)

    def count_tokens(self, text: str) -> int:
        """Return how many tokens a text has as a continuation (no special tokens)."""
        return len(self._ids(text))

    def likelihoods(
        self, prompt: str, continuations: Sequence[str], *, progress: Progress | None = None
    ) -> Likelihoods:
        """Return how likely each continuation is after a prompt.

        Args:
            prompt: Read once. Empty stands for the beginning of a text.
            continuations: As they follow the prompt, usually with a leading space.
            progress: Called after each batch with the number of continuations done.
        """
        rows = self.log_probabilities(prompt, continuations, progress=progress)
        return Likelihoods(np.array([row.sum() for row in rows]), np.array([len(row) for row in rows], np.int64))

    def log_probabilities(
        self, prompt: str, continuations: Sequence[str], *, progress: Progress | None = None
    ) -> list[NDArray[np.float64]]:
        """Return the log-probability of each token of each continuation, in nats. Shapes: ``(tokens,)``.

        Arguments as for :meth:`likelihoods`; the tokens are those of :meth:`tokenize`.
        """
        prefix = self._read(self._prompt_ids(prompt))
        rows = self.tokenize(prompt, continuations)
        found = [np.zeros(len(row)) for row in rows]
        for batch in self._batches([len(row) for row in rows]):
            kept = [row for row in batch if rows[row]]
            if kept:
                for row, values in zip(kept, self._score(prefix, [rows[row] for row in kept]), strict=True):
                    found[row] = values
            if progress is not None:
                progress(len(batch))
        return found

    def tokenize(self, prompt: str, continuations: Sequence[str]) -> list[list[int]]:
        """Return the tokens of each continuation as it stands after the prompt."""
        return [self._continuation_ids(prompt, text) for text in continuations]

    def log_odds(self, prompt: str, questions: Sequence[str], *, yes: str, no: str) -> NDArray[np.float64]:
        """Return how much the model prefers ``yes`` to ``no`` after each question, in nats; 0 means undecided.

        Args:
            prompt: What the questions share; read once.
            questions: What follows the prompt, one a candidate.
            yes: Compared by its first token.
            no: Compared by its first token, which must differ from that of ``yes``.

        Returns:
            Shape: ``(questions,)``.

        Raises:
            ModelError: The tokenizer begins both answers with the same token.
        """
        yes_id, no_id = self._ids(yes)[:1], self._ids(no)[:1]
        if yes_id == no_id or not yes_id or not no_id:
            raise ModelError(
                f"{self.name} begins the answers {yes!r} and {no!r} with the same token: name two answers that differ"
                " in their first token"
            )
        prefix = self._read(self._prompt_ids(prompt))
        rows = self.tokenize(prompt, questions)
        undecided = prefix.next_log_probabilities
        odds = np.full(len(rows), float(undecided[yes_id[0]] - undecided[no_id[0]]))
        for batch in self._batches([len(row) for row in rows]):
            kept = [row for row in batch if rows[row]]
            if kept:
                ends = [len(rows[row]) - 1 for row in kept]
                wanted = sorted(set(ends))
                logits = self._forward(prefix, [rows[row] for row in kept], after=wanted)
                last = logits[range(len(kept)), [wanted.index(end) for end in ends]]
                odds[kept] = (last[:, yes_id[0]] - last[:, no_id[0]]).double().cpu().numpy()
        return odds

    def chat(self, text: str) -> str:
        """Return a user's turn as this model's chat template writes it, ready for the answer.

        For a model without a chat template, the text and a line break.
        """
        if not getattr(self.tokenizer, "chat_template", None):
            return f"{text}\n"
        written = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": text}], tokenize=False, add_generation_prompt=True
        )
        return str(written)

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        return ids

    def _prompt_ids(self, prompt: str) -> tuple[int, ...]:
        ids = tuple(self.tokenizer(prompt, verbose=False)["input_ids"])
        if ids:
            return ids
        start = self.tokenizer.bos_token_id
        return (self._pad if start is None else start,)

    def _continuation_ids(self, prompt: str, text: str) -> list[int]:
        """Tokenize a text as it stands after the prompt where the tokenizer keeps the prompt's own tokens.

        Tokenizers of the SentencePiece family write a lone leading space otherwise than one after a word.
        """
        if not prompt:
            return self._ids(text)
        tail = prompt[-16:]
        joint, alone = self._ids(tail + text), self._ids(tail)
        return joint[len(alone) :] if joint[: len(alone)] == alone else self._ids(text)

    def _read(self, ids: tuple[int, ...]) -> _Prefix:
        """Return what the model knows after a prompt, from the few most recently used if it is there."""
        import torch

        if ids in self._prefixes:
            self._prefixes.move_to_end(ids)
            return self._prefixes[ids]
        with torch.inference_mode():
            out = self.model(torch.tensor([ids], device=self.model.device), use_cache=True)
            prefix = _Prefix(
                ids, getattr(out, "past_key_values", None), torch.log_softmax(out.logits[0, -1].float(), -1)
            )
        self._prefixes[ids] = prefix
        while len(self._prefixes) > _PREFIXES_KEPT:
            self._prefixes.popitem(last=False)
        return prefix

    def _score(self, prefix: _Prefix, rows: Sequence[Sequence[int]]) -> list[NDArray[np.float64]]:
        """Return each token's log-probability for rows of at least one token, the longest first."""
        import torch

        longest = len(rows[0])
        found = torch.zeros((len(rows), longest), dtype=torch.float64)
        first = torch.tensor([row[0] for row in rows], device=prefix.next_log_probabilities.device)
        found[:, 0] = prefix.next_log_probabilities[first].double().cpu()
        if longest > 1:
            logits = self._forward(prefix, [row[:-1] for row in rows])
            targets = torch.zeros((len(rows), longest - 1), dtype=torch.long)
            for place, row in enumerate(rows):
                targets[place, : len(row) - 1] = torch.tensor(row[1:], dtype=torch.long)
            chosen = logits.gather(2, targets.to(logits.device)[..., None])[..., 0]
            found[:, 1:] = (chosen - logits.logsumexp(-1)).double().cpu()
        return [values[: len(row)].numpy() for values, row in zip(found, rows, strict=True)]

    def _forward(self, prefix: _Prefix, rows: Sequence[Sequence[int]], *, after: Sequence[int] | None = None) -> Tensor:
        """Return the logits after tokens of rows that continue a prefix, padded on the right.

        Args:
            prefix: What all rows continue.
            rows: Tokens, at least one row.
            after: After which tokens, counted from 0, rising; after each if None.

        Returns:
            Shape: ``(rows, after, vocabulary)``, float32.
        """
        import torch

        longest = max(1, max(len(row) for row in rows))
        inputs = torch.full((len(rows), longest), self._pad)
        for place, row in enumerate(rows):
            inputs[place, : len(row)] = torch.tensor(row, dtype=torch.long)
        inputs = inputs.to(self.model.device)
        with torch.inference_mode():
            if _can_branch(prefix.cache):
                cache = copy.deepcopy(prefix.cache)
                cache.batch_repeat_interleave(len(rows))
                if after is not None and self._can_choose:
                    kept = {"logits_to_keep": torch.tensor(after, device=inputs.device)}
                    return self.model(inputs, past_key_values=cache, use_cache=True, **kept).logits.float()  # type: ignore[no-any-return]
                logits = self.model(inputs, past_key_values=cache, use_cache=True).logits
            else:
                start = torch.tensor([prefix.ids], device=inputs.device).expand(len(rows), -1)
                logits = self.model(torch.cat([start, inputs], 1)).logits[:, len(prefix.ids) :]
        result: Tensor = (logits if after is None else logits[:, list(after)]).float()
        return result

    @cached_property
    def _can_choose(self) -> bool:
        """Whether the model computes logits only where they are wanted."""
        return "logits_to_keep" in inspect.signature(self.model.forward).parameters

    def _batches(self, lengths: Sequence[int] | NDArray[np.int64]) -> list[list[int]]:
        """Split rows, longest first, under a budget of tokens and of logits."""
        budget = max(1, min(_BATCH_TOKENS, _LOGIT_FLOATS // int(self.model.config.get_text_config().vocab_size)))
        batches: list[list[int]] = []
        room = 0
        for row in np.argsort(-np.asarray(lengths, np.int64), kind="stable"):
            if room == 0:
                room = max(1, budget // max(1, int(lengths[row])))
                batches.append([])
            batches[-1].append(int(row))
            room -= 1
        return batches


def _can_branch(cache: Any) -> bool:
    """Whether one read prompt's cache can be shared by many continuations (attention caches; not state spaces)."""
    from transformers import DynamicCache

    # A state space's layers sit in a DynamicCache too; they can't be repeated, nor go on with several tokens at once.
    return isinstance(cache, DynamicCache) and not any(hasattr(layer, "recurrent_states") for layer in cache.layers)


def model_hashes(*models: Any) -> Mapping[str, str]:
    """Return name to content hash of the models given, leaving out None."""
    return {model.name: model.hash for model in models if model is not None}
