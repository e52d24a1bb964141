"""Laws of the executor: one thread, first come first served, together what can be, nothing held up or lost."""

from __future__ import annotations

import threading
import time
from concurrent.futures import CancelledError

import pytest

from coldstart.executor import Busy, Closed, Executor


class Gate:
    """Work that holds the executor until it is opened."""

    def __init__(self):
        self._open, self.entered = threading.Event(), threading.Event()

    def __call__(self):
        self.entered.set()
        assert self._open.wait(5)

    def open(self):
        self._open.set()


@pytest.fixture
def executor():
    with Executor(capacity=4, batch=3) as made:
        yield made


@pytest.fixture
def gate(executor):
    made = Gate()
    executor.submit(made)
    assert made.entered.wait(5)
    yield made
    made.open()


def test_all_work_is_done_on_one_thread(executor):
    threads = {executor.submit(threading.get_ident).future.result(5) for _ in range(4)}
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_requests_are_begun_in_the_order_they_came(executor, gate):
    done = []
    jobs = [executor.submit(lambda n=n: done.append(n)) for n in range(4)]
    gate.open()
    for job in jobs:
        job.future.result(5)
    assert done == [0, 1, 2, 3]


def test_what_waits_is_gathered_once_a_batch(executor, gate):
    calls = []
    jobs = [executor.submit(lambda: None, gather=calls.append, need=n) for n in range(4)]
    gate.open()
    for job in jobs:
        job.future.result(5)
    assert len(calls) == 4 or calls == [[0, 1, 2], [3]]  # a bound method of a list equals itself
    assert [need for call in calls for need in call] == [0, 1, 2, 3]


def test_what_cant_be_gathered_goes_on_alone(executor, caplog):
    def gather(needs):
        raise ValueError(needs)

    assert executor.submit(lambda: "done", gather=gather, need=1).future.result(5) == "done"
    assert "go on alone" in caplog.text


@pytest.mark.usefixtures("gate")
def test_a_full_queue_says_when_to_come_back(executor):
    for _ in range(4):
        executor.submit(lambda: None)
    with pytest.raises(Busy, match="try again") as caught:
        executor.submit(lambda: None)
    assert caught.value.retry_after > 0


def test_what_work_raises_is_its_result(executor):
    def fail():
        raise KeyError("x")

    with pytest.raises(KeyError):
        executor.submit(fail).future.result(5)
    assert executor.submit(lambda: 1).future.result(5) == 1


def test_a_request_neednt_wait_for_anothers_slices(executor):
    done, started, free = [], threading.Event(), threading.Event()

    def slices():
        started.set()
        assert free.wait(5)
        for n in range(3):
            done.append(f"slice {n}")
            yield
        return "whole"

    long = executor.submit(slices)
    assert started.wait(5)
    short = executor.submit(lambda: done.append("short"))
    free.set()
    assert long.future.result(5) == "whole"
    short.future.result(5)
    assert done.index("short") <= 2


def test_background_work_waits_for_requests_and_isnt_starved(executor, gate):
    order = []
    behind = executor.background(lambda: order.append("background"))
    jobs = [executor.submit(lambda n=n: order.append(n)) for n in range(3)]
    gate.open()
    for job in (*jobs, behind):
        job.future.result(5)
    assert order == [0, 1, 2, "background"]


def test_background_work_gets_a_slice_also_under_load():
    now = [0.0]
    with Executor(clock=lambda: now[0]) as executor:
        held = threading.Event()

        def endless():
            while not held.is_set():
                now[0] += 0.1
                yield

        long = executor.submit(endless)
        executor.background(held.set).future.result(5)
        long.future.result(5)


def test_cancelled_work_never_begins(executor, gate):
    done = []
    job = executor.submit(lambda: done.append(1))
    job.cancel()
    gate.open()
    executor.submit(lambda: None).future.result(5)
    assert done == []
    with pytest.raises(CancelledError):
        job.future.result(5)


def test_cancelled_slices_stop_at_the_next(executor):
    closed, begun = threading.Event(), threading.Event()

    def slices():
        try:
            while True:
                begun.set()
                time.sleep(0.001)
                yield
        finally:
            closed.set()

    job = executor.submit(slices)
    assert begun.wait(5)
    job.cancel()
    assert closed.wait(5)
    with pytest.raises(CancelledError):
        job.future.result(5)


def test_background_work_may_come_in_slices(executor):
    def slices():
        for _ in range(3):
            yield
        return "whole"

    assert executor.background(slices).future.result(5) == "whole"


def test_closing_drops_background_slices():
    executor, begun = Executor(), threading.Event()

    def endless():
        while True:
            begun.set()
            yield

    behind = executor.background(endless)
    assert begun.wait(5)
    executor.close(timeout=5)
    with pytest.raises(CancelledError):
        behind.future.result(5)


def test_what_was_promised_is_taken_by_a_full_queue_too(executor, gate):
    for _ in range(4):
        executor.submit(lambda: None)
    promised = executor.submit(lambda: "done", always=True)
    gate.open()
    assert promised.future.result(5) == "done"


def test_closing_finishes_requests_and_takes_no_more():
    executor, gate = Executor(), Gate()
    executor.submit(gate)
    assert gate.entered.wait(5)
    last = executor.submit(lambda: "last")
    behind = executor.background(lambda: None)
    closing = threading.Thread(target=executor.close)
    closing.start()
    with pytest.raises(CancelledError):
        behind.future.result(5)
    gate.open()
    closing.join(5)
    assert last.future.result(0) == "last"
    with pytest.raises(Closed):
        executor.submit(lambda: None)
