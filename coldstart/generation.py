"""The language model: prompts and continuations in, log-probabilities out. Nothing it says is ever parsed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from coldstart.errors import ModelError
from coldstart.models import ResolvedModel
from coldstart.prefixes import Ids, Prefix, Prefixes
from coldstart.weights import quiet

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from coldstart.reading import Reader
    from coldstart.trie import Look, Tokens

Progress = Callable[[int], None]
"""Called with the number of continuations just done."""

Asked = tuple[str, Sequence[str]]
"""A prompt, and the questions that follow it."""

Done = TypeVar("Done")

_WORTH_A_THREAD = 48
"""Tokens that a thread must have to read to do so by itself: of fewer the weights take longer to fetch than to use."""

PREFIX_BYTES = 192 * 2**20
"""What remembered prompts may take in memory; of SmolLM2-135M some 4,000 tokens."""


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


class LanguageModel:
    """A causal language model that scores continuations.

    A prompt is read once, as far as it doesn't begin like one that was read before, and its attention cache is
    shared by all its continuations, which are sorted by length and batched by a budget of tokens. Scores equal those
    of one plain forward per continuation, up to rounding. Models of Llama's architecture are read by
    :mod:`coldstart.llama`, others, and a model that PEFT has wrapped, by transformers: merge an adapter
    (``merge_and_unload``) to have the faster way.

    Args:
        model: A causal language model of transformers. Its weights must not change in place.
        tokenizer: That belongs to it.
        name: What it is called.
        content_hash: Of its weights.
        half: Whether to read in half precision, where the model is of Llama's kind and of 32-bit floats.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        name: str = "language model",
        content_hash: str = "",
        half: bool = False,
    ) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.name = name
        self.hash = content_hash
        self._prefixes = Prefixes(PREFIX_BYTES)
        self._half = half
        self._others: dict[str, LanguageModel] = {}
        self._reader = _reader_of(model, half=half)

    @classmethod
    def load(cls, resolved: ResolvedModel, *, device: str = "cpu", dtype: str = "float32") -> LanguageModel:
        """Load the weights.

        Args:
            resolved: Where they are.
            device: A torch device, such as "cpu" or "cuda:0".
            dtype: "float32", "bfloat16" or "float16", or "auto": "bfloat16" if that is a good deal faster, by a
                measurement, else "float32". On a CPU, bfloat16 needs a processor with matrix units for it, and
                keeps sums and logarithms in 32-bit floats; see :mod:`coldstart.products`.

        Raises:
            ModelError: The folder holds no causal language model that transformers can load.
        """
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        from coldstart.llama import Llama

        folder = str(resolved.path)
        here = device == "cpu" and dtype in ("auto", "bfloat16")
        stored = torch.float32 if here or dtype == "auto" else getattr(torch, dtype)
        try:
            with quiet():
                tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
                loaded: Any = AutoModelForCausalLM.from_pretrained(
                    folder, dtype=stored, local_files_only=True, output_loading_info=True
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
        half = here and Llama.fits(model) and (dtype == "bfloat16" or Llama.better_halved(model))
        if dtype == "bfloat16" and not half:
            model = model.to(torch.bfloat16)
        return cls(model.to(device), tokenizer, name=resolved.name, content_hash=resolved.hash, half=half)

    @property
    def dtype(self) -> str:
        """What numbers it multiplies, by torch's name of them: "float32", "bfloat16" or "float16"."""
        return self._reader.dtype

    @property
    def provenance(self) -> dict[str, str]:
        """What an index's manifest says of it."""
        return {"name": self.name, "hash": self.hash, "dtype": self.dtype}

    def at(self, dtype: str) -> LanguageModel:
        """Return the same model reading in another precision; itself if it does already.

        Raises:
            ModelError: This model can't be read so as it was loaded.
        """
        if dtype == self.dtype:
            return self
        if dtype not in self._others:
            made = LanguageModel(
                self.model, self.tokenizer, name=self.name, content_hash=self.hash, half=dtype == "bfloat16"
            )
            if made.dtype != dtype:
                raise ModelError(f"{self.name} was loaded in {self.dtype}, {dtype} is wanted: load it with that dtype")
            self._others[dtype] = made
        return self._others[dtype]

    @property
    def way(self) -> str:
        """Which of the ways to read this model was taken, for records."""
        return self._reader.way

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
        return self.told(prompt, self.tokenize(prompt, continuations), progress=progress)

    def told(
        self, prompt: str, rows: Sequence[Sequence[int]], *, progress: Progress | None = None
    ) -> list[NDArray[np.float64]]:
        """Return what :meth:`log_probabilities` does of rows of tokens, which may be empty."""
        prefix = self._read(self._prompt_ids(prompt))
        found = [np.zeros(len(row)) for row in rows]

        def read(batch: list[int]) -> list[NDArray[np.float64]]:
            kept = [rows[row] for row in batch if rows[row]]
            return self._reader.log_probabilities(prefix, kept) if kept else []

        for batch, values in self._each([len(row) for row in rows], read):
            for row, each in zip((row for row in batch if rows[row]), values, strict=True):
                found[row] = each
            if progress is not None:
                progress(len(batch))
        return found

    def likelihoods_of(self, asked: Sequence[Asked]) -> list[Likelihoods]:
        """Return :meth:`likelihoods` of several prompts with continuations, read together; each as if it were alone."""
        if not asked:
            return []
        prefixes = [self._read(self._prompt_ids(prompt)) for prompt, _ in asked]
        rows = [(place, row) for place, each in enumerate(asked) for row in self.tokenize(*each)]
        lengths = np.array([len(row) for _, row in rows], np.int64)
        totals = np.zeros(len(rows))

        def read(batch: list[int]) -> tuple[list[int], list[NDArray[np.float64]]]:
            kept = sorted(at for at in batch if lengths[at])  # rows of the same prompt stand together
            groups = [
                (prefixes[place], [rows[at][1] for at in kept if rows[at][0] == place])
                for place in dict.fromkeys(rows[at][0] for at in kept)
            ]
            return kept, self._reader.log_probabilities_of(groups)

        for _, (kept, found) in self._each(lengths.tolist(), read):
            for at, values in zip(kept, found, strict=True):
                totals[at] = values.sum()
        cuts = np.cumsum([len(texts) for _, texts in asked])[:-1]
        return [Likelihoods(*each) for each in zip(np.split(totals, cuts), np.split(lengths, cuts), strict=True)]

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
        return self.log_odds_of([(prompt, questions)], yes=yes, no=no)[0]

    def log_odds_of(self, asked: Sequence[Asked], *, yes: str, no: str) -> list[NDArray[np.float64]]:
        """Return :meth:`log_odds` of several prompts with questions, read together; each as if it were alone.

        Raises:
            ModelError: The tokenizer begins both answers with the same token.
        """
        odds = self.preferences(asked, [yes, no])
        return [each[:, 0] - each[:, 1] for each in odds]

    def preferences(self, asked: Sequence[Asked], answers: Sequence[str]) -> list[NDArray[np.float64]]:
        """Return what the model gives each answer after each question, by its first token, in nats.

        A row's numbers compare with each other: they are log-probabilities up to a constant.

        Returns:
            For each prompt, shape: ``(questions, answers)``.

        Raises:
            ModelError: The tokenizer begins two answers with the same token.
        """
        tokens = [self._ids(answer)[:1] for answer in answers]
        if not all(tokens) or len({token[0] for token in tokens}) < len(tokens):
            raise ModelError(
                f"{self.name} begins two of the answers {', '.join(map(repr, answers))} with the same token: name"
                " answers that differ in their first token"
            )
        if not asked:
            return []
        prefixes = [self._read(self._prompt_ids(prompt)) for prompt, _ in asked]
        rows = [(place, row) for place, each in enumerate(asked) for row in self.tokenize(*each)]
        found = np.zeros((len(rows), len(answers)))

        def read(batch: list[int]) -> NDArray[np.float64]:
            batch.sort()  # rows of the same prompt stand together
            groups = [
                (prefixes[place], [rows[at][1] for at in batch if rows[at][0] == place])
                for place in dict.fromkeys(rows[at][0] for at in batch)
            ]
            logits = self._reader.next_logits(groups, [token[0] for token in tokens])
            return np.asarray(logits.double().cpu().numpy())

        for batch, logits in self._each([len(row) for _, row in rows], read):
            found[batch] = logits
        return np.split(found, np.cumsum([len(questions) for _, questions in asked])[:-1])

    def next_log_probabilities(
        self, prompt: str, rows: Sequence[Sequence[int]], firsts: Sequence[int] | None = None
    ) -> Tensor:
        """Return how likely each token of the vocabulary is after a prompt and some tokens more, in nats.

        Args:
            prompt: Read once.
            rows: Tokens as :meth:`tokenize` has them; none for the prompt alone. They are read in one batch.
            firsts: Asks after each beginning of a row that has at least so many tokens, and not after the row alone.

        Returns:
            Row by row, shorter beginnings first. On the model's device, 32-bit. Shape: ``(beginnings, vocabulary)``.
        """
        return self._reader.next_log_probabilities(self._read(self._prompt_ids(prompt)), rows, firsts)

    def look(self, prompt: str) -> Look:
        """Return what tells a :class:`coldstart.trie.Trie` how its beginnings go on after a prompt."""

        def look(
            rows: Sequence[Tokens], firsts: Sequence[int], asked: Sequence[NDArray[np.int32]]
        ) -> list[NDArray[np.float64]]:
            picked = self._reader.chosen(self._read(self._prompt_ids(prompt)), rows, firsts, asked)
            return np.split(picked, np.cumsum([len(each) for each in asked])[:-1])

        return look

    def ending(self) -> int:
        """Return the token that a line break after a text begins with: what tells that a title is over."""
        return self._continuation_ids("1", "\n")[0]

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

    def _prompt_ids(self, prompt: str) -> Ids:
        ids = tuple(self.tokenizer(prompt, verbose=False)["input_ids"])
        if ids:
            return ids
        start = self.tokenizer.bos_token_id
        ends = (start, self.tokenizer.pad_token_id, self.tokenizer.eos_token_id, 0)
        return (next(each for each in ends if each is not None),)

    def _continuation_ids(self, prompt: str, text: str) -> list[int]:
        """Tokenize a text as it stands after the prompt where the tokenizer keeps the prompt's own tokens.

        Tokenizers of the SentencePiece family write a lone leading space otherwise than one after a word.
        """
        if not prompt:
            return self._ids(text)
        tail = prompt[-16:]
        joint, alone = self._ids(tail + text), self._ids(tail)
        return joint[len(alone) :] if joint[: len(alone)] == alone else self._ids(text)

    def _read(self, ids: Ids) -> Prefix:
        """Return what the model knows after a prompt, from what it remembers as far as that goes."""
        if not self._reader.current:  # the model was given other weights
            self._reader = _reader_of(self.model, half=self._half)
            self._others.clear()
            self._prefixes.clear()
        found = self._prefixes.get(ids)
        if found is None:
            found = self._reader.read(ids, *self._prefixes.nearest(ids))
            self._prefixes.keep(found)
        return found

    def _each(self, lengths: Sequence[int], read: Callable[[list[int]], Done]) -> Iterator[tuple[list[int], Done]]:
        """Yield batches of rows, and what comes of reading each; threads read one each where there is enough to read.

        Args:
            lengths: Of the rows, in tokens.
            read: From a batch to what comes of it; called from several threads at once.
        """
        import torch

        from coldstart.threads import spread

        total, threads = sum(lengths), torch.get_num_threads()
        apart = self._reader.packs and self.model.device.type == "cpu" and total >= _WORTH_A_THREAD * threads
        batches = self._batches(lengths, -(-total // threads) + max(lengths, default=0) if apart else None)
        yield from zip(batches, spread(read, batches, least=2 if apart else len(batches) + 1), strict=True)

    def _batches(self, lengths: Sequence[int], most: int | None = None) -> list[list[int]]:
        """Split rows, longest first, under a budget of tokens, which may be lowered to so many."""
        budget = self._reader.most(int(self.model.config.get_text_config().vocab_size))
        budget = budget if most is None else min(budget, most)
        batches: list[list[int]] = []
        room = 0
        for row in np.argsort(-np.asarray(lengths, np.int64), kind="stable"):
            cost = max(1, lengths[row] if self._reader.packs or not batches else lengths[batches[-1][0]])
            if room < cost:
                batches.append([])
                room, cost = budget, max(1, lengths[row])
            batches[-1].append(int(row))
            room -= cost
        return batches


def _reader_of(model: Any, *, half: bool) -> Reader:
    from coldstart.reading import reader_of

    return reader_of(model, half=half)


def model_hashes(*models: Any) -> Mapping[str, str]:
    """Return name to content hash of the models given, leaving out None."""
    return {model.name: model.hash for model in models if model is not None}
