"""The models as background threads see them: every forward pass goes through the executor, a small slice at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from coldstart.encoding import Encoder
from coldstart.executor import Executor
from coldstart.generation import LanguageModel, Likelihoods

if TYPE_CHECKING:
    from numpy.typing import NDArray

T = TypeVar("T")

TEXTS, TITLES = 8, 2
"""Texts that are encoded, and titles that are read, a slice: some tens of milliseconds."""

QUIET, FASTER = 2.0, 8
"""Where no request has come for so many seconds, slices are so many times larger."""

BUSY, SHARE = 0.5, 0.2
"""Where a request has come within so many seconds, work behind the requests gets so much of one core."""

_TOKENIZED = 64
_SPECIAL = 8  # tokens that an encoder may put around a text


class GivingWay:
    """Called between slices of work behind the requests, pauses so long that these keep most of the processor.

    Args:
        executor: Tells whether requests come.
        clock: In seconds.
        sleep: Waits for some.
    """

    def __init__(
        self,
        executor: Executor,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._executor, self._clock, self._sleep = executor, clock, sleep
        self._since = clock()

    def __call__(self) -> None:
        """Pause after a slice, if requests come."""
        if self._executor.quiet < BUSY:
            self._sleep((self._clock() - self._since) * (1.0 / SHARE - 1.0))
        self._since = self._clock()


class SlicedEncoder(Encoder):
    """A bi-encoder that works through an executor; for threads that aren't the executor's.

    Args:
        encoder: The encoder itself.
        executor: What owns it.
        urgent: Whether somebody waits for it: slices then queue with the requests, else in the background.
        hurrying: Gives the models all threads for a while, where no request is there to share them with.
    """

    def __init__(
        self,
        encoder: Encoder,
        executor: Executor,
        *,
        urgent: bool,
        hurrying: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.__dict__.update(encoder.__dict__)
        self._hurrying = hurrying
        self._encoder = encoder
        self._executor = executor
        self._run = _runner(executor, urgent=urgent)

    def count_tokens(self, text: str) -> int:
        """Return how many tokens the model reads for this text, or at most reads if that is few anyway."""
        most = len(text.encode("utf-8", "replace")) + _SPECIAL
        return most if most <= self.max_tokens else self._run(lambda: self._encoder.count_tokens(text))

    def encode(
        self,
        texts: Sequence[str],
        *,
        role: Literal["query", "document"] = "document",
        progress: Callable[[int], None] | None = None,
    ) -> NDArray[np.float32]:
        """Return the unit vectors of texts, as :meth:`Encoder.encode` does. Shape: ``(texts, dimension)``."""

        def read(part: Sequence[str], hurrying: AbstractContextManager[None]) -> NDArray[np.float32]:
            with hurrying:
                return self._encoder.encode(part, role=role)

        found = [np.zeros((0, self.dimension), np.float32)]
        for slice_ in _slices(texts, TEXTS, self._executor):
            hurrying = self._hurrying() if self._executor.quiet > QUIET else nullcontext()
            found.append(self._run(partial(read, slice_, hurrying)))
            if progress is not None:
                progress(len(slice_))
        return np.concatenate(found)


class SlicedLanguageModel(LanguageModel):
    """A language model that works through an executor, in the background; for threads that aren't the executor's."""

    def __init__(self, model: LanguageModel, executor: Executor) -> None:
        self.__dict__.update(model.__dict__)
        self._lm = model
        self._executor = executor
        self._run = _runner(executor, urgent=False)

    def chat(self, text: str) -> str:
        """Return a user's turn as this model's chat template writes it."""
        return self._run(lambda: self._lm.chat(text))

    def count_tokens(self, text: str) -> int:
        """Return how many tokens a text has as a continuation."""
        return self._run(lambda: self._lm.count_tokens(text))

    def tokenize(self, prompt: str, continuations: Sequence[str]) -> list[list[int]]:
        """Return the tokens of each continuation as it stands after the prompt."""
        return [row for part in self._sliced(self._lm.tokenize, prompt, continuations, _TOKENIZED) for row in part]

    def log_probabilities(
        self, prompt: str, continuations: Sequence[str], *, progress: Callable[[int], None] | None = None
    ) -> list[NDArray[np.float64]]:
        """Return the log-probability of each token of each continuation, as the model itself does."""
        found: list[NDArray[np.float64]] = []
        for part in self._sliced(self._lm.log_probabilities, prompt, continuations, TITLES):
            found.extend(part)
            if progress is not None:
                progress(len(part))
        return found

    def likelihoods(
        self, prompt: str, continuations: Sequence[str], *, progress: Callable[[int], None] | None = None
    ) -> Likelihoods:
        """Return how likely each continuation is after a prompt, as the model itself does."""
        rows = self.log_probabilities(prompt, continuations, progress=progress)
        return Likelihoods(np.array([row.sum() for row in rows]), np.array([len(row) for row in rows], np.int64))

    def _sliced(self, call: Callable[..., list[T]], prompt: str, texts: Sequence[str], size: int) -> Any:
        for slice_ in _slices(texts, size, self._executor):
            yield self._run(lambda slice_=slice_: call(prompt, slice_))  # type: ignore[misc]


def _slices(texts: Sequence[str], size: int, executor: Executor) -> Iterator[Sequence[str]]:
    start = 0
    while start < len(texts):
        end = start + size * (FASTER if executor.quiet > QUIET else 1)
        yield texts[start:end]
        start = end


def _runner(executor: Executor, *, urgent: bool) -> Callable[[Callable[[], T]], T]:
    """Return what runs work on the executor and waits for it."""

    def run(work: Callable[[], T]) -> T:
        job = executor.submit(work, always=True) if urgent else executor.background(work)
        found: T = job.future.result()
        return found

    return run
