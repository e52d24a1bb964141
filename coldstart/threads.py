"""Threads: pieces of work side by side, where each thread's matrix products are its own.

Threads that share a product wait for each other between products: with two of them, a fifth of the time on a machine
that has nothing else to do, and much more on one that has.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TypeVar

import torch

Part = TypeVar("Part")
Done = TypeVar("Done")


def spread(work: Callable[[Part], Done], parts: Sequence[Part], *, least: int = 2) -> Iterator[Done]:
    """Yield what comes of each part, in their order, worked on by as many threads as torch has.

    Args:
        work: Must be safe to call from several threads at once.
        parts: Independent of each other.
        least: Of fewer parts one is done after the other, all threads at each.
    """
    threads = torch.get_num_threads()
    if threads == 1 or len(parts) < least:
        yield from map(work, parts)
        return
    torch.set_num_threads(1)  # also of the matrix products, whichever thread asks for them
    try:
        yield from _pool(threads).map(work, parts)
    finally:
        torch.set_num_threads(threads)


@lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    """Return threads that stay: what products need beside their numbers is had once a thread."""
    return ThreadPoolExecutor(threads, "coldstart", initializer=torch.set_num_threads, initargs=(1,))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # threads don't live on there
