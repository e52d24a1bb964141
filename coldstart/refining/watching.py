"""Watching training: a progress bar, the log, and curves in a folder that TensorBoard shows."""

from __future__ import annotations

import logging
import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coldstart.errors import AdapterError

if TYPE_CHECKING:
    from coldstart.rows import Progress

log = logging.getLogger(__name__)


class Watch:
    """Hears how each step went.

    Args:
        task: What the progress is of.
        every: After how many steps what was held out is asked.
        progress: Called as steps are taken.
        board: Takes the curves; see :func:`board`.
    """

    def __init__(self, task: str, every: int, *, progress: Progress | None, board: Any = None) -> None:
        self._task, self._every, self._progress, self._board = task, every, progress, board
        self._before = 0

    def __call__(self, step: int, steps: int, loss: float, check: float) -> None:
        """Take note of a step: how many are done, how many there are, its loss and the last one held out."""
        if self._progress is not None:
            self._progress(self._task, step - self._before, steps)
        self._before = step
        if self._board is not None:
            self._board.add_scalar(f"{self._task}/loss", loss, step)
        if step % self._every == 0:
            log.info("step %d of %d: loss %.4f, on what is held out %.4f", step, steps, loss, check)
            if self._board is not None:
                self._board.add_scalar(f"{self._task}/held out", check, step)


def board(folder: str | os.PathLike[str] | None) -> AbstractContextManager[Any]:
    """Open what writes curves to a folder, for TensorBoard; with None, nothing is opened, and None given.

    Raises:
        AdapterError: TensorBoard isn't installed, or the folder can't be written.
    """
    if folder is None:
        return nullcontext()
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as problem:
        raise AdapterError("curves need TensorBoard: pip install 'coldstart[tensorboard]'") from problem
    try:
        writer: AbstractContextManager[Any] = SummaryWriter(str(Path(folder)))
    except OSError as problem:
        raise AdapterError(f"curves can't be written to {folder} ({problem}): name another folder") from problem
    return writer
