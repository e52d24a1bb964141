"""Laws of the threads of numpy's products: one while anyone is inside, and what they were before afterwards."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController

from coldstart.blas import undivided
from coldstart.entities import Profile
from coldstart.recommender import Recommender

pytestmark = pytest.mark.usefixtures("divided")


@pytest.fixture
def divided() -> Iterator[None]:
    """Let numpy divide products among two threads, whatever the environment says."""
    with ThreadpoolController().limit(limits=2, user_api="blas"):
        yield


def threads() -> set[int]:
    """Return how many threads products have now, by those libraries that have threads of their own."""
    found = {
        each.get_num_threads()
        for each in ThreadpoolController().lib_controllers
        if getattr(each, "threading_layer", "") == "pthreads"
    }
    if not found:
        pytest.skip("numpy's products have no threads of their own here")
    return found


def test_products_have_one_thread_inside_and_as_many_as_before_outside() -> None:
    assert threads() == {2}
    with undivided():
        assert threads() == {1}
        with undivided():
            assert threads() == {1}
        assert threads() == {1}
    assert threads() == {2}


def test_an_error_inside_leaves_what_was_before() -> None:
    with suppress(KeyError), undivided():
        raise KeyError
    assert threads() == {2}


@contextmanager
def another_inside() -> Iterator[Callable[[], None]]:
    """Let another thread stay inside, and give what makes it leave."""
    entered, leave = threading.Event(), threading.Event()

    def stay() -> None:
        with undivided():
            entered.set()
            assert leave.wait(10)

    def let_go() -> None:
        leave.set()
        other.join()

    other = threading.Thread(target=stay)
    other.start()
    try:
        assert entered.wait(10)
        yield let_go
    finally:
        let_go()


def test_the_last_of_several_threads_to_leave_restores() -> None:
    with ExitStack() as others:
        with undivided():
            let_go = others.enter_context(another_inside())
        assert threads() == {1}, "another is inside still"
        let_go()
        assert threads() == {2}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_counts_only_the_thread_that_lives_on() -> None:
    assert threads() == {2}
    with another_inside():
        child = os.fork()
        if not child:  # the other thread never leaves here, and nothing may lead back into the tests
            failed = 1
            try:
                at_once = threads()
                with undivided():
                    inside = threads()
                failed = int((at_once, inside, threads()) != ({2}, {1}, {2}))
            finally:
                os._exit(failed)
        _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def test_requests_are_scored_inside(recommender: Recommender, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[set[int]] = []
    before = np.einsum

    def watched(*args: object, **named: object) -> object:
        seen.append(threads())
        return before(*args, **named)  # type: ignore[call-overload]

    monkeypatch.setattr(np, "einsum", watched)
    recommender.recommend(Profile(text="something about the sea"))  # loads all of scipy that is used
    seen.clear()
    recommender.recommend(Profile(text="something about the mountains"))
    assert seen
    assert set.union(*seen) == {1}
    assert threads() == {2}
