import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldstart.errors import EvaluationError
from coldstart.evaluation.splits import digest, generator, hold_out, sample

TEXT = st.text("abé \0", max_size=3)
IDS = st.lists(TEXT, max_size=30)


@settings(max_examples=25)
@given(IDS, st.floats(0, 1), st.integers(0, 9))
def test_a_split_parts_the_ids_in_two_whatever_their_order(ids, share, seed):
    split = hold_out(ids, share=share, seed=seed)
    assert set(split.kept).isdisjoint(split.held)
    assert set(split.kept) | set(split.held) == set(ids)
    assert len(split.held) == round(share * len(set(ids)))
    assert split == hold_out(reversed(ids), share=share, seed=seed)


def test_a_split_is_the_one_written_down_here_on_any_machine():
    split = hold_out([f"i{n}" for n in range(10)], share=0.3, seed=0)
    assert split.held == ("i2", "i4", "i6")
    assert split.hash == "3e7ac91e38459b4803b52264515d4eb6212d7971c76e59740be00d831301ee40"
    assert generator(3, "ann").integers(0, 1_000_000) == 681607


@pytest.mark.slow
def test_python_hashing_plays_no_part():
    code = "from coldstart.evaluation.splits import hold_out\nprint(hold_out(set('abcdef'), share=.5, seed=1).hash)"
    elsewhere = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": "7"}, capture_output=True, check=True
    )
    assert elsewhere.stdout.decode().strip() == hold_out("abcdef", share=0.5, seed=1).hash


def test_splits_with_the_same_ids_in_other_parts_have_other_hashes():
    assert hold_out("abcd", share=0.25, seed=0).hash != hold_out("abcd", share=0.5, seed=0).hash
    assert hold_out("abcd", share=0.5, seed=0).hash == hold_out("dcba", share=0.5, seed=0).hash


@settings(max_examples=25)
@given(IDS, st.integers(1, 20), st.integers(1, 20), st.integers(0, 9))
def test_samples_of_one_seed_are_nested_and_sorted(ids, a, b, seed):
    small, large = sample(ids, min(a, b), seed=seed), sample(ids, max(a, b), seed=seed)
    assert set(small) <= set(large)
    assert list(large) == sorted(large)
    assert len(large) == min(max(a, b), len(set(ids)))


def test_a_sample_of_none_is_everyone():
    assert sample(["b", "a"], None, seed=3) == ("a", "b")


@settings(max_examples=25)
@given(st.lists(TEXT, max_size=5), st.lists(TEXT, max_size=5))
def test_digests_are_equal_only_for_equal_sequences(a, b):
    assert (digest(a) == digest(b)) == (a == b)


@pytest.mark.parametrize(
    "call",
    [
        lambda: hold_out("ab", share=1.5, seed=0),
        lambda: hold_out("ab", share=0.5, seed=0, fold=2),
        lambda: hold_out("ab", share=0.5, seed=0, fold=-1),
        lambda: hold_out("ab", share=0.5, seed=-1),
        lambda: sample("ab", 0, seed=0),
        lambda: generator(-1),
    ],
)
def test_what_cannot_be_drawn_is_refused(call):
    with pytest.raises(EvaluationError, match="expected"):
        call()
