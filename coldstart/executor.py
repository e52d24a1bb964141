"""One thread that owns the models: work waits in a bounded queue, and what can be read together is read together.

Torch models and the recommenders' caches aren't made for several threads at once, and on a processor two forward
passes side by side are slower than one after the other. So everything that touches them goes through one executor.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Hashable, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from coldstart.errors import ColdstartError

log = logging.getLogger(__name__)

T = TypeVar("T")

Steps = Generator[Any, None, T]
"""Work in slices: others may be served wherever it yields, and what it returns is its result."""

PATIENCE = 0.25
"""Seconds after which background work gets one slice even while requests wait."""


class Busy(ColdstartError):
    """The queue is full; the work wasn't taken.

    Attributes:
        retry_after: After how many seconds to try again, from how long recent work took.
    """

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Closed(ColdstartError):
    """The executor takes no more work."""


@dataclass(eq=False)
class Job(Generic[T]):
    """Work that was taken.

    Attributes:
        future: Its result. Cancelling it before it begins takes it out of the queue.
    """

    work: Callable[[], Steps[T] | T]
    future: Future[T] = field(default_factory=Future)
    gather: Callable[[Sequence[Any]], None] | None = None
    need: Any = None
    steps: Steps[T] | None = None
    cancelled: bool = False

    def cancel(self) -> None:
        """Stop the work: at once if it waits, else where it next yields. Its future raises CancelledError."""
        self.cancelled = True
        self.future.cancel()


class Executor:
    """One thread, three kinds of work: requests first come first served, the later slices of requests, the background.

    Requests that begin together and name the same ``gather`` have their needs gathered first, in one call. Between two
    slices of long work, requests that came meanwhile are begun; long works take turns. Background work gets the time
    that is left, and a slice every :data:`PATIENCE` seconds in any case.

    Args:
        capacity: Requests that may wait at most.
        batch: Requests that begin together at most.
    """

    def __init__(
        self, *, capacity: int = 64, batch: int = 16, clock: Callable[[], float] = time.monotonic, name: str = "models"
    ) -> None:
        self._capacity, self._batch, self._clock = capacity, batch, clock
        self._fresh: deque[Job[Any]] = deque()
        self._going: deque[Job[Any]] = deque()
        self._background: deque[Job[Any]] = deque()
        self._change = threading.Condition()
        self._closed = False
        self._pace = 0.01  # seconds a request has taken of late
        self._last_background = clock()
        self._last_request = clock() - PATIENCE
        self._thread = threading.Thread(target=self._run, name=f"coldstart-{name}", daemon=True)
        self._thread.start()

    def __enter__(self) -> Executor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def waiting(self) -> int:
        """How many requests haven't begun."""
        return len(self._fresh)

    @property
    def running(self) -> int:
        """How many requests have begun and aren't done."""
        return len(self._going)

    @property
    def quiet(self) -> float:
        """For how many seconds no request has come."""
        return self._clock() - self._last_request

    def submit(
        self,
        work: Callable[[], Any],
        *,
        gather: Callable[[Sequence[Any]], None] | None = None,
        need: Any = None,
        always: bool = False,
    ) -> Job[Any]:
        """Queue a request.

        Args:
            work: Called on the executor's thread. If it returns a generator, that is run slice by slice.
            gather: Called first, with the needs of all requests that begin together and name the same one. What it
                raises is logged, and the works go on alone.
            need: What this one adds to them.
            always: Take it also if the queue is full: for what was promised already.

        Raises:
            Busy: As many requests wait as may.
            Closed: The executor was closed.
        """
        job: Job[Any] = Job(work, gather=gather, need=need)
        with self._change:
            self._check_open()
            if len(self._fresh) >= self._capacity and not always:
                wait = max(0.1, self._pace * len(self._fresh))
                raise Busy(
                    f"{len(self._fresh)} requests wait for the models already: try again in {wait:.1f} seconds", wait
                )
            self._fresh.append(job)
            self._last_request = self._last_request if always else self._clock()
            self._change.notify()
        return job

    def background(self, work: Callable[[], Any]) -> Job[Any]:
        """Queue background work: one slice of some tens of milliseconds, or a generator of such.

        Raises:
            Closed: The executor was closed.
        """
        job: Job[Any] = Job(work)
        with self._change:
            self._check_open()
            self._background.append(job)
            self._change.notify()
        return job

    def close(self, *, timeout: float | None = None) -> None:
        """Take no more work, finish the requests that were taken, drop the background's, and end the thread."""
        with self._change:
            self._closed = True
            dropped = list(self._background)
            self._background.clear()
            self._change.notify()
        for job in dropped:
            job.cancel()
            if not job.future.done():  # it had begun
                job.future.set_exception(CancelledError())
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout)

    def _check_open(self) -> None:
        if self._closed:
            raise Closed("the executor is closed: it takes no more work")

    # On the executor's own thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._change:
                while not (self._fresh or self._going or self._background or self._closed):
                    self._change.wait()
                begun = [self._fresh.popleft() for _ in range(min(self._batch, len(self._fresh)))]
                idle = not begun and not self._going
                if idle and not self._background:
                    return  # closed, and all is done
                impatient = self._clock() - self._last_background > PATIENCE
                behind = self._background.popleft() if self._background and (idle or impatient) else None
            self._begin(begun)
            if self._going:
                self._step(self._going.popleft(), self._going)
            if behind is not None:
                self._step(behind, self._background) if behind.steps else self._call(behind, self._background)
                self._last_background = self._clock()

    def _begin(self, jobs: list[Job[Any]]) -> None:
        start = self._clock()
        alive = [job for job in jobs if job.future.set_running_or_notify_cancel()]
        groups: dict[Hashable, list[Any]] = {}
        for job in alive:
            if job.gather is not None:
                groups.setdefault(job.gather, []).append(job.need)
        for gather, needs in groups.items():
            try:
                gather(needs)  # type: ignore[operator]
            except Exception:  # noqa: PERF203 - one group's trouble is no other's
                log.exception("what %d requests need together couldn't be read; they go on alone", len(needs))
        for job in alive:
            self._call(job, self._going, begun=True)
        if alive:
            self._pace += 0.1 * ((self._clock() - start) / len(alive) - self._pace)

    def _call(self, job: Job[Any], queue: deque[Job[Any]], *, begun: bool = False) -> None:
        if not begun and not job.future.set_running_or_notify_cancel():
            return
        try:
            found = job.work()
        except BaseException as problem:
            job.future.set_exception(problem)
            return
        if isinstance(found, Generator):
            job.steps = found
            self._step(job, queue)
        else:
            job.future.set_result(found)

    def _step(self, job: Job[Any], queue: deque[Job[Any]]) -> None:
        assert job.steps is not None  # noqa: S101 - a job without steps is done
        if job.cancelled:
            job.steps.close()
            job.future.set_exception(CancelledError())
            return
        try:
            next(job.steps)
        except StopIteration as done:
            job.future.set_result(done.value)
        except BaseException as problem:
            job.future.set_exception(problem)
        else:
            if queue is self._background and self._closed:
                job.steps.close()
                job.future.set_exception(CancelledError())
                return
            queue.append(job)
