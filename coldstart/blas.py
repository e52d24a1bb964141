"""The threads that numpy's and scipy's matrix products have beside torch's."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any


@contextmanager
def undivided() -> Iterator[None]:
    """Let numpy and scipy do each product with the thread that asks, until all who are in here are out again.

    OpenBLAS keeps threads of its own, which look out for more work for some tens of milliseconds after a product, and
    take the cores from torch's meanwhile: on two cores a language model reads at half its speed, and a text is
    encoded at a fifth, after a product of numpy's that took a tenth of a millisecond. It holds for the whole process.
    """
    if _own.inside:
        yield
        return
    _enter()
    _own.inside = True
    try:
        yield
    finally:
        _own.inside = False
        _leave()


class _Blas:
    """How many threads are in :func:`undivided`, and what threads libraries had before that had more than one."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.inside = 0
        self.before: list[tuple[Any, int]] = []


class _Own(threading.local):
    """Whether the thread that asks is inside."""

    inside = False


_blas = _Blas()
_own = _Own()


def _enter() -> None:
    with _blas.lock:
        if not _blas.inside:
            loaded = _own_threads("scipy.linalg" in sys.modules)
            _blas.before = [(each, threads) for each in loaded if (threads := each.get_num_threads()) > 1]
            for library, _ in _blas.before:
                _set(library, 1)
        _blas.inside += 1


def _leave() -> None:
    with _blas.lock:
        _blas.inside -= 1
        if not _blas.inside:
            _restore()


def _restore() -> None:
    for library, threads in _blas.before:
        _set(library, threads)
    _blas.before = []


def _set(library: Any, threads: int) -> None:
    release = getattr(library, "clear_controlling_thread", None)
    if release is not None:  # else what another thread than the first sets is passed over, from threadpoolctl 3.8 on
        release(force=True)
    library.set_num_threads(threads)
    if release is not None:
        release(force=True)


@lru_cache
def _own_threads(_with_scipy: bool) -> tuple[Any, ...]:
    """Return the libraries of matrix products that are loaded and have threads of their own: scipy brings another."""
    from threadpoolctl import ThreadpoolController

    found = ThreadpoolController().lib_controllers
    return tuple(each for each in found if getattr(each, "threading_layer", "") == "pthreads")


def _forked() -> None:
    """Count only the thread that lives on."""
    _blas.lock = threading.Lock()
    _blas.inside = int(_own.inside)
    if not _blas.inside:
        _restore()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
