"""Two ways to read continuations with a causal language model: packed, for Llama's kind, and transformers', for any."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor

from coldstart.llama import Group, Llama
from coldstart.prefixes import Ids, Prefix

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = Sequence[Sequence[int]]

_ALL_LOGITS = 40_000_000
"""Numbers of logits that transformers may give at once: 160 MB."""


class Reader(Protocol):
    """Reads prompts, and continuations of prompts that were read."""

    packs: bool
    """Whether a batch costs the sum of its rows' tokens; else its longest row times its rows."""

    @property
    def way(self) -> str:
        """What it is, in a word or two."""
        ...

    @property
    def dtype(self) -> str:
        """What numbers it multiplies, by torch's name of them."""
        ...

    @property
    def current(self) -> bool:
        """Whether the model's weights are those that were read at first."""
        ...

    def most(self, vocabulary: int) -> int:
        """Return how many tokens a batch may have at most."""
        ...

    def read(self, ids: Ids, start: Prefix | None, length: int) -> Prefix:
        """Read a prompt, of which ``length`` tokens may be had from ``start``."""
        ...

    def log_probabilities(self, prefix: Prefix, rows: Rows) -> list[NDArray[np.float64]]:
        """Return each token's log-probability in rows of at least one token, in nats."""
        ...

    def log_probabilities_of(self, groups: Sequence[tuple[Prefix, Rows]]) -> list[NDArray[np.float64]]:
        """Return the same for rows of several prompts, row by row."""
        ...

    def next_logits(self, groups: Sequence[tuple[Prefix, Rows]], tokens: Sequence[int]) -> Tensor:
        """Return the logits of a few tokens after each row. Rows may be empty. Shape: ``(all rows, tokens)``."""
        ...

    def next_log_probabilities(self, prefix: Prefix, rows: Rows, firsts: Sequence[int] | None = None) -> Tensor:
        """Return the log-probability of every token after each beginning of the rows, in nats.

        Args:
            prefix: What all rows continue.
            rows: May be empty.
            firsts: How long each row's first beginning is, from 0; the last is the row. The rows alone if None.

        Returns:
            Row by row, the shortest first. Shape: ``(beginnings, vocabulary)``.
        """
        ...

    def chosen(self, prefix: Prefix, rows: Rows, firsts: Sequence[int], asked: Asked) -> NDArray[np.float64]:
        """Return the same of some tokens after each beginning, one after the other. Shape: ``(tokens asked,)``."""
        ...


def reader_of(model: Any, *, half: bool = False) -> Reader:
    """Return the fastest reader of a model of transformers; in half precision where that can be chosen, if asked."""
    llama = Llama.of(model, half=half)
    return Whole(model) if llama is None else Packed(llama)


Asked = Sequence["NDArray[np.int32]"]
"""For each beginning, tokens; a batch's beginnings stand row by row, the shortest first."""


class Packed:
    """All rows of a batch behind each other, their prompts' attention cache shared, logits only where wanted."""

    packs = True

    def __init__(self, llama: Llama) -> None:
        self._llama = llama

    @property
    def way(self) -> str:
        """Packed, and whose products."""
        if self._llama.half:
            return "packed, half precision"
        return "packed, oneDNN" if self._llama.packed else "packed"

    @property
    def dtype(self) -> str:
        """What is multiplied."""
        return "bfloat16" if self._llama.half else "float32"

    @property
    def current(self) -> bool:
        """Whether the model's weights are those that were read at first."""
        return self._llama.current

    def most(self, vocabulary: int) -> int:  # noqa: ARG002 - logits are had a few at a time
        """Return how many tokens a batch may have at most; more would gain nothing."""
        return 512

    def read(self, ids: Ids, start: Prefix | None, length: int) -> Prefix:
        """Read a prompt; what it shares with another isn't read again."""
        length = min(length, len(ids) - 1)  # the last token's state is wanted
        past = None if start is None or length <= 0 else start.past[:, :, :, :length]
        past, state = self._llama.read(ids[max(length, 0) :], past)
        return Prefix(ids, past, state, past.numel() * past.element_size() + state.numel() * state.element_size())

    def log_probabilities(self, prefix: Prefix, rows: Rows) -> list[NDArray[np.float64]]:
        """Return each token's log-probability in rows of at least one token, in nats."""
        return self.log_probabilities_of([(prefix, rows)])

    def log_probabilities_of(self, groups: Sequence[tuple[Prefix, Rows]]) -> list[NDArray[np.float64]]:
        """Return the same for rows of several prompts, row by row, in one pass over the weights."""
        rows = [row for _, some in groups for row in some]
        if not rows:
            return []
        rest = [(prefix, [row[:-1] for row in some if len(row) > 1]) for prefix, some in groups]
        longer = [Group(prefix.past, some) for prefix, some in rest if some]
        count = sum(len(row) - 1 for row in rows)
        firsts = [[row[0] for row in some] for _, some in groups]
        new = {id(prefix): at for at, (prefix, some) in enumerate(groups) if some and "normaliser" not in prefix.known}
        asked = [(groups[at][0], firsts[at][0]) for at in new.values()]  # prompts' normalisers are had with the others
        states = [prefix.state[None] for prefix, _ in asked]
        if longer:
            states.append(self._llama.states(longer, torch.arange(count)))
        targets = [*(first for _, first in asked), *(one for row in rows for one in row[1:])]
        found = np.empty(0)
        if states:
            found = self._llama.log_probabilities(torch.cat(states), self._tokens(targets)).cpu().numpy()
        begun = []
        for (prefix, _), some in zip(groups, firsts, strict=True):
            logits = self._llama.logits(prefix.state.expand(len(some), -1), self._tokens(some)).double().cpu().numpy()
            if some and "normaliser" not in prefix.known:
                prefix.known["normaliser"] = float(logits[0] - found[list(new).index(id(prefix))])
            begun.append(logits - prefix.known.get("normaliser", 0.0))
        values, found = np.concatenate(begun), found[len(asked) :]
        starts = np.cumsum([0, *(len(row) - 1 for row in rows)])
        return [
            np.concatenate([values[place : place + 1], found[starts[place] : starts[place + 1]]])
            for place in range(len(rows))
        ]

    def next_logits(self, groups: Sequence[tuple[Prefix, Rows]], tokens: Sequence[int]) -> Tensor:
        """Return the logits of a few tokens after each row. Shape: ``(all rows, tokens)``."""
        return self._ends(groups) @ self._llama.head[list(tokens)].T

    def next_log_probabilities(self, prefix: Prefix, rows: Rows, firsts: Sequence[int] | None = None) -> Tensor:
        """Return the log-probability of every token after each beginning. Shape: ``(beginnings, vocabulary)``."""
        states = self._ends([(prefix, rows)]) if firsts is None else self._beginnings(prefix, rows, firsts)
        return torch.log_softmax(states @ self._llama.head.T, -1)

    def chosen(self, prefix: Prefix, rows: Rows, firsts: Sequence[int], asked: Asked) -> NDArray[np.float64]:
        """Return how likely some tokens are after each beginning, one after the other. Shape: ``(tokens asked,)``."""
        states, counts = self._beginnings(prefix, rows, firsts), [len(each) for each in asked]
        places = torch.from_numpy(np.repeat(np.arange(len(asked)), counts)).to(states.device)
        logits = self._llama.logits(states[places], self._tokens(np.concatenate(asked).tolist()))
        likeliest = states.new_full((len(asked),), -torch.inf).scatter_reduce_(0, places, logits, "amax")
        found = logits.double() - self._llama.normalisers(states, likeliest).double()[places]
        return found.cpu().numpy()

    def _beginnings(self, prefix: Prefix, rows: Rows, firsts: Sequence[int]) -> Tensor:
        """Return what the model makes of each beginning of rows, row by row. Shape: ``(beginnings, width)``."""
        wanted, at = [], 1  # the prompt's state stands before those of the rows' tokens
        for row, first in zip(rows, firsts, strict=True):
            wanted += [0] * (first == 0) + [at + place for place in range(max(first - 1, 0), len(row))]
            at += len(row)
        inner = torch.tensor([place - 1 for place in wanted if place], dtype=torch.long)
        states: Tensor = prefix.state.expand(len(wanted), -1).clone()
        if len(inner):
            read = self._llama.states([Group(prefix.past, [row for row in rows if row])], inner)
            states[[place > 0 for place in wanted]] = read
        return states

    def _ends(self, groups: Sequence[tuple[Prefix, Rows]]) -> Tensor:
        """Return what the model makes of each row's last token: of its prompt's where the row is empty."""
        full = [(prefix, [row for row in rows if row]) for prefix, rows in groups if any(rows)]
        read = iter(self._read(full) if full else ())
        return torch.stack([next(read) if row else prefix.state for prefix, rows in groups for row in rows])

    def _read(self, groups: Sequence[tuple[Prefix, Rows]]) -> Tensor:
        ends = np.cumsum([len(row) for _, rows in groups for row in rows]) - 1
        return self._llama.states([Group(prefix.past, rows) for prefix, rows in groups], torch.from_numpy(ends))

    def _tokens(self, ids: Sequence[int]) -> Tensor:
        return torch.tensor(ids, dtype=torch.long, device=self._llama.head.device)


class Whole:
    """Transformers' own forward pass of any causal language model; the prompt's cache is shared where it can be."""

    packs, current, way = False, True, "transformers"

    def __init__(self, model: Any) -> None:
        self._model = model
        ends = (model.config.get_text_config().pad_token_id, model.config.get_text_config().eos_token_id)
        self._pad = next((each for each in ends if isinstance(each, int)), 0)

    @property
    def dtype(self) -> str:
        """What numbers the model is of."""
        return str(self._model.dtype).removeprefix("torch.")

    def most(self, vocabulary: int) -> int:
        """Return how many tokens a batch may have at most, so that its logits find room."""
        return max(1, min(512, _ALL_LOGITS // vocabulary))

    def read(self, ids: Ids, start: Prefix | None, length: int) -> Prefix:  # noqa: ARG002 - not every cache can be cut
        """Read a prompt."""
        with torch.inference_mode():
            out = self._model(torch.tensor([ids], device=self._model.device), use_cache=True)
            past = getattr(out, "past_key_values", None)
            state = torch.log_softmax(out.logits[0, -1].float(), -1)
        return Prefix(ids, past, state, _bytes(past) + state.numel() * state.element_size())

    def log_probabilities(self, prefix: Prefix, rows: Rows) -> list[NDArray[np.float64]]:
        """Return each token's log-probability in rows of at least one token, in nats."""
        longest = max(map(len, rows))
        found = torch.zeros((len(rows), longest), dtype=torch.float64)
        first = torch.tensor([row[0] for row in rows], device=prefix.state.device)
        found[:, 0] = prefix.state[first].double().cpu()
        if longest > 1:
            logits = self._forward(prefix, [row[:-1] for row in rows])
            targets = torch.zeros((len(rows), longest - 1), dtype=torch.long)
            for place, row in enumerate(rows):
                targets[place, : len(row) - 1] = torch.tensor(row[1:], dtype=torch.long)
            chosen = logits.gather(2, targets.to(logits.device)[..., None])[..., 0]
            found[:, 1:] = (chosen - logits.logsumexp(-1)).double().cpu()
        return [values[: len(row)].numpy() for values, row in zip(found, rows, strict=True)]

    def log_probabilities_of(self, groups: Sequence[tuple[Prefix, Rows]]) -> list[NDArray[np.float64]]:
        """Return the same for rows of several prompts, row by row; each prompt's are read by themselves."""
        return [values for prefix, rows in groups for values in self.log_probabilities(prefix, rows)]

    def next_logits(self, groups: Sequence[tuple[Prefix, Rows]], tokens: Sequence[int]) -> Tensor:
        """Return the logits of a few tokens after each row, up to a constant a row. Shape: ``(all rows, tokens)``."""
        return torch.cat([self.next_log_probabilities(prefix, rows)[:, list(tokens)] for prefix, rows in groups])

    def next_log_probabilities(self, prefix: Prefix, rows: Rows, firsts: Sequence[int] | None = None) -> Tensor:
        """Return the log-probability of every token after each beginning. Shape: ``(beginnings, vocabulary)``."""
        if firsts is not None:
            rows = [row[:end] for row, first in zip(rows, firsts, strict=True) for end in range(first, len(row) + 1)]
        found: Tensor = prefix.state.expand(len(rows), -1).clone()
        places = [place for place, row in enumerate(rows) if row]
        if places:
            ends = [len(rows[place]) - 1 for place in places]
            wanted = sorted(set(ends))
            logits = self._forward(prefix, [rows[place] for place in places], after=wanted)
            last = logits[range(len(places)), [wanted.index(end) for end in ends]]
            found[places] = torch.log_softmax(last, -1)
        return found

    def chosen(self, prefix: Prefix, rows: Rows, firsts: Sequence[int], asked: Asked) -> NDArray[np.float64]:
        """Return how likely some tokens are after each beginning, one after the other. Shape: ``(tokens asked,)``."""
        found = self.next_log_probabilities(prefix, rows, firsts)
        places = np.repeat(np.arange(len(asked)), [len(each) for each in asked])
        return found[places, np.concatenate(asked).astype(np.int64)].double().cpu().numpy()

    def _forward(self, prefix: Prefix, rows: Rows, *, after: Sequence[int] | None = None) -> Tensor:
        """Return the logits after tokens of rows that continue a prefix, padded on the right.

        Args:
            prefix: What all rows continue.
            rows: Tokens, at least one row.
            after: After which tokens, counted from 0, rising; after each if None.

        Returns:
            Shape: ``(rows, after, vocabulary)``, float32.
        """
        longest = max(1, max(len(row) for row in rows))
        inputs = torch.full((len(rows), longest), self._pad)
        for place, row in enumerate(rows):
            inputs[place, : len(row)] = torch.tensor(row, dtype=torch.long)
        inputs = inputs.to(self._model.device)
        with torch.inference_mode():
            if _can_branch(prefix.past):
                cache = copy.deepcopy(prefix.past)
                cache.batch_repeat_interleave(len(rows))
                if after is not None and self._can_choose:
                    kept = {"logits_to_keep": torch.tensor(after, device=inputs.device)}
                    return self._model(inputs, past_key_values=cache, use_cache=True, **kept).logits.float()  # type: ignore[no-any-return]
                logits = self._model(inputs, past_key_values=cache, use_cache=True).logits
            else:
                start = torch.tensor([prefix.ids], device=inputs.device).expand(len(rows), -1)
                logits = self._model(torch.cat([start, inputs], 1)).logits[:, len(prefix.ids) :]
        result: Tensor = (logits if after is None else logits[:, list(after)]).float()
        return result

    @cached_property
    def _can_choose(self) -> bool:
        """Whether the model computes logits only where they are wanted."""
        return "logits_to_keep" in inspect.signature(self._model.forward).parameters


def _can_branch(cache: Any) -> bool:
    """Whether one read prompt's cache can be shared by many continuations (attention caches; not state spaces)."""
    from transformers import DynamicCache

    # A state space's layers sit in a DynamicCache too; they can't be repeated, nor go on with several tokens at once.
    return isinstance(cache, DynamicCache) and not any(hasattr(layer, "recurrent_states") for layer in cache.layers)


def _bytes(cache: Any) -> int:
    """Return the bytes of the tensors that a cache of transformers holds."""
    layers = getattr(cache, "layers", [])
    held = [each for layer in layers for each in vars(layer).values() if isinstance(each, Tensor)]
    return sum(each.numel() * each.element_size() for each in held)
