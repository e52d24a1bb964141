"""Laws of what is remembered of prompts: never more than there is room for, the last used last to go."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from coldstart.prefixes import Prefix, Prefixes, shared

prompts = st.lists(st.tuples(st.lists(st.integers(0, 2), max_size=4).map(tuple), st.integers(0, 50)), max_size=20)


@given(prompts)
def test_they_take_no_more_than_there_is_room_for(kept):
    prefixes = Prefixes(60)
    for ids, size in kept:
        prefixes.keep(Prefix(ids, None, None, size))
        found = prefixes.get(ids)
        assert found is not None
        assert found.size == size
        assert prefixes.size <= 60 or len(prefixes) == 1
    prefixes.clear()
    assert prefixes.size == len(prefixes) == 0


@given(prompts, st.lists(st.integers(0, 2), max_size=4).map(tuple))
def test_the_nearest_begins_alike_for_longest(kept, wanted):
    prefixes = Prefixes(10**6)
    for ids, size in kept:
        prefixes.keep(Prefix(ids, None, None, size))
    found, length = prefixes.nearest(wanted)
    assert length == max([shared(ids, wanted) for ids, _ in kept], default=0)
    assert (found is None) == (length == 0)
    assert found is None or found.ids[:length] == wanted[:length]


def test_the_one_that_was_used_least_recently_goes_first():
    prefixes = Prefixes(100)
    for name in (1, 2, 3):
        prefixes.keep(Prefix((name,), None, None, 33))
    prefixes.get((1,))
    prefixes.keep(Prefix((4,), None, None, 33))
    assert prefixes.get((2,)) is None
    assert all(prefixes.get((name,)) is not None for name in (1, 3, 4))
