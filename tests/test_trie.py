"""Laws of the trie: it finds what looking at every sequence finds, and changing it is making it anew."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldstart.trie import Trie

END, WORDS = 9, 6

sequences = st.sets(st.lists(st.integers(0, WORDS - 1), max_size=5).map(lambda row: (*row, END)), min_size=1)


def chances(seed: int):
    """Return how likely each token is after each beginning, made up but always the same."""

    def after(row):
        drawn = np.random.default_rng([seed, len(row), *row]).standard_normal(END + 1) * 2
        return drawn - np.logaddexp.reduce(drawn)

    return after


def looking(after):
    """Return what a trie asks, and how often it was asked of each beginning."""
    seen = []

    def look(rows, firsts, asked):
        beginnings = [row[:end] for row, first in zip(rows, firsts, strict=True) for end in range(first, len(row) + 1)]
        seen.extend(beginnings)
        return [after(row)[tokens] for row, tokens in zip(beginnings, asked, strict=True)]

    return look, seen


def exhaustive(trie, after):
    return np.array([sum(after(row[:at])[row[at]] for at in range(len(row))) for row in trie.sequences])


@given(sequences, st.integers(1, 12), st.integers(0, 99))
@settings(max_examples=60)
def test_the_best_are_those_of_an_exhaustive_search(rows, k, seed):
    trie, after = Trie.of(rows), chances(seed)
    found = trie.best(looking(after)[0], k)
    every = exhaustive(trie, after)
    assert found.certain
    assert found.totals == pytest.approx(np.sort(every)[::-1][:k])
    assert found.totals == pytest.approx(every[found.places])
    assert len(set(found.places.tolist())) == min(k, len(trie))


@given(sequences, st.integers(1, 5), st.integers(0, 99), st.randoms(use_true_random=False))
@settings(max_examples=40)
def test_only_what_is_allowed_is_found_and_all_of_it(rows, k, seed, random):
    trie, after = Trie.of(rows), chances(seed)
    allowed = np.array([random.random() < 0.5 for _ in trie.sequences], np.bool_)
    found = trie.best(looking(after)[0], k, allowed=allowed)
    assert allowed[found.places].all()
    assert found.totals == pytest.approx(np.sort(exhaustive(trie, after)[allowed])[::-1][:k])


@given(sequences, sequences, sequences)
@settings(max_examples=60)
def test_a_changed_trie_is_one_made_anew(rows, gone, new):
    changed = Trie.of(rows).changed(gone=gone, new=new)
    assert changed.sequences == Trie.of((rows - gone) | new).sequences
    assert Trie.of(sorted(rows, reverse=True)).sequences == Trie.of(rows).sequences


def test_most_beginnings_are_never_looked_at():
    random = np.random.default_rng(0)
    trie = Trie.of((*row, END) for row in random.integers(0, WORDS, (3000, 5)).tolist())
    look, seen = looking(chances(1))
    assert trie.best(look, 5).certain
    assert len(seen) < len(trie) / 5


def test_what_is_known_of_tokens_ahead_saves_looks_and_loses_nothing():
    random = np.random.default_rng(0)
    trie, after = Trie.of((*row, END) for row in random.integers(0, WORDS, (1500, 5)).tolist()), chances(1)
    values = [np.array([after(row[:at])[row[at]] for at in range(len(row))]) for row in trie.sequences]
    ahead = np.array([0.0, *(max(row[-count:].sum() for row in values) for count in range(1, 7))])
    plain = trie.best(looking(after)[0], 5)
    found = trie.best(looking(after)[0], 5, ahead=ahead)
    assert found.certain
    assert found.read < plain.read
    assert found.places.tolist() == plain.places.tolist()


def test_a_search_that_is_stopped_says_so_and_gives_what_it_has():
    random = np.random.default_rng(0)
    trie = Trie.of((*row, END) for row in random.integers(0, WORDS, (3000, 5)).tolist())
    found = trie.best(looking(chances(1))[0], 500, most=400)
    assert not found.certain
    assert 0 < len(found.places) < 500
    assert found.totals == pytest.approx(exhaustive(trie, chances(1))[found.places])


def test_nothing_is_found_where_nothing_is_sought():
    trie = Trie.of([(1, END)])
    for found in (
        Trie.of([]).best(looking(chances(0))[0], 3),
        trie.best(looking(chances(0))[0], 0),
        trie.best(looking(chances(0))[0], 3, allowed=np.zeros(1, np.bool_)),
    ):
        assert found.certain
        assert not len(found.places)


@given(sequences, st.integers(1, 12), st.integers(0, 99), st.floats(0.0, 3.0))
@settings(max_examples=60)
def test_bounds_that_hold_of_each_end_change_nothing_but_how_much_is_looked_at(rows, k, seed, slack):
    trie, after = Trie.of(rows), chances(seed)
    told = [np.array([after(row[:at])[row[at]] for at in range(len(row))]) for row in trie.sequences]
    left = [np.minimum(np.cumsum(each[::-1])[::-1] + slack, 0.0) for each in told]
    found, plain = trie.best(looking(after)[0], k, left=left), trie.best(looking(after)[0], k)
    assert found.certain
    assert found.totals == pytest.approx(plain.totals)
    assert found.read <= plain.read


def test_tight_bounds_look_at_little_else_than_the_best(monkeypatch):
    monkeypatch.setattr("coldstart.trie.TOGETHER", 1)
    rows = [(a, b, c, d, END) for a in range(WORDS) for b in range(WORDS) for c in range(WORDS) for d in range(3)]
    trie, after = Trie.of(rows), chances(1)
    told = [np.array([after(row[:at])[row[at]] for at in range(len(row))]) for row in trie.sequences]
    left = [np.cumsum(each[::-1])[::-1] for each in told]
    assert trie.best(looking(after)[0], 3, left=left).read < trie.best(looking(after)[0], 3).read / 2
