"""Laws of experience: events count once, in any order, for anyone and until they are taken back."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldstart.entities import Interaction
from coldstart.interactions import Interactions
from coldstart.learning.experience import Experience
from coldstart.learning.scale import Scale

NOW = 1_700_000_000.0
DAY = 86_400.0
ROWS = {"tea": 0, "jam": 1, "oat": 2}
ODD = ("\ud800", "a\nb", "a\u2028b", '"', "\\", "\x00", "🍵", "nan", "null", " ")

laws = settings(max_examples=15, deadline=None)
events = st.lists(
    st.builds(
        Interaction,
        st.sampled_from(["ann", "bob", "cem"]),
        st.sampled_from([*ROWS, "elsewhere"]),
        st.sampled_from(["view", "rate"]),
        st.sampled_from([None, 1.0, 4.0, 5.0]),
        st.sampled_from([None, NOW - 9 * DAY, NOW - DAY, NOW + DAY]),
    ),
    max_size=25,
)


def told(*parts, now=NOW, known=ROWS) -> Experience:
    """Return what was experienced from some lists of events, one after the other."""
    experience = Experience()
    for part in parts:
        experience.observe(Interactions.from_records(part), known=known, now=now)
    return experience


def likes(experience, rows=ROWS, **options):
    return experience.likes(rows, **{"now": NOW, **options})


def same(one, other) -> bool:
    """Whether two accounts of who likes what are equal to the last bit."""
    return (
        one.table.shape == other.table.shape
        and (one.table != other.table).nnz == 0
        and np.array_equal(one.counts, other.counts)
        and np.array_equal(one.people, other.people)
        and one.events == other.events
    )


def one(user, item, value=None, timestamp=NOW - DAY) -> Interaction:
    return Interaction(user, item, value=value, timestamp=timestamp)


# Each once, in any order


@laws
@given(events)
def test_telling_events_again_changes_nothing(some):
    experience = told(some)
    before, count = likes(experience), len(experience)
    again = experience.observe(Interactions.from_records([*some, *some]), known=ROWS, now=NOW + 5 * DAY)
    assert (again.events, again.new, again.unknown, again.future) == (2 * len(some), 0, 0, 0)
    assert len(experience) == count == len(set(some))
    assert same(likes(experience), before)


@laws
@given(events, st.randoms(use_true_random=False), st.sampled_from([None, 3.0]))
def test_the_order_of_events_does_not_count(some, random, half_life):
    shuffled = random.sample(some, len(some))
    cut = random.randint(0, len(some))
    arrivals = {"jam": NOW - 5 * DAY}
    first = likes(told(some), half_life=half_life, arrivals=arrivals)
    assert same(likes(told(shuffled[:cut], shuffled[cut:]), half_life=half_life, arrivals=arrivals), first)
    assert told(some).records() == told(shuffled[:cut], shuffled[cut:]).records()


@laws
@given(events, st.sampled_from([None, 3.0]))
def test_who_is_forgotten_never_came(some, half_life):
    experience = told(some)
    assert experience.forget("ann") == len({event for event in some if event.user == "ann"})
    others = told([event for event in some if event.user != "ann"])
    assert experience.records() == others.records()
    assert same(likes(experience, half_life=half_life), likes(others, half_life=half_life))
    assert experience.forget("ann") == 0


def test_who_was_forgotten_may_come_back():
    experience = told([one("ann", "tea")])
    experience.forget("ann")
    again = experience.observe(Interactions.from_records([one("ann", "tea")]), known=ROWS, now=NOW)
    assert again.new == 1
    assert likes(experience).counts.tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    "other",
    [
        Interaction("bob", "tea", "view", 5.0, 1.0),
        Interaction("ann", "jam", "view", 5.0, 1.0),
        Interaction("ann", "tea", "rate", 5.0, 1.0),
        Interaction("ann", "tea", "view", 4.0, 1.0),
        Interaction("ann", "tea", "view", None, 1.0),
        Interaction("ann", "tea", "view", 5.0, 2.0),
        Interaction("ann", "tea", "view", 5.0, None),
    ],
)
def test_events_that_differ_in_anything_are_two(other):
    assert len(told([Interaction("ann", "tea", "view", 5.0, 1.0), other])) == 2


def test_a_hundred_thousand_repetitions_are_one_event_and_take_no_time():
    many = Interactions.from_records([one("ann", "tea")]).take(np.zeros(100_000, np.int64))
    experience = Experience()
    began = time.process_time()
    observed = experience.observe(many, known=ROWS, now=NOW)
    seconds = time.process_time() - began
    assert (observed.events, observed.new, len(experience), len(experience.records())) == (100_000, 1, 1, 1)
    assert seconds < 5


@laws
@given(events, events)
def test_what_one_of_two_copies_takes_in_or_forgets_leaves_the_other(some, more):
    experience, untouched = told(some), told(some)
    copied = experience.copied()
    copied.observe(Interactions.from_records(more), known=ROWS, now=NOW)
    assert (experience.records(), copied.records()) == (untouched.records(), told(some, more).records())
    experience.forget("ann")
    assert copied.records() == told(some, more).records()
    assert same(likes(copied), likes(told(some, more)))
    assert [experience.met(item) for item in ROWS] == [
        any(event.item == item and event.user != "ann" for event in some) for item in ROWS
    ]


# What counts


def test_liked_twice_is_liked():
    twice = likes(told([one("ann", "tea"), one("ann", "tea", timestamp=NOW), one("bob", "tea")]))
    assert twice.counts.tolist() == [2, 0, 0]
    assert twice.table.toarray().tolist() == [[1, 0, 0], [1, 0, 0]]
    assert twice.people.tolist() == [2, 2, 2]


def test_nothing_told_is_nobody():
    empty = likes(Experience())
    assert (empty.table.shape, empty.events) == ((0, 3), 0)
    assert empty.counts.tolist() == empty.people.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("values", "counted"),
    [
        ([None, None, None], [1, 1, 1]),
        ([3.0, 3.0, 3.0], [1, 1, 1]),
        ([0.0, 0.0, 0.0], [1, 1, 1]),
        ([5.0, 4.0, 3.0], [1, 1, 0]),
        ([1.0, 0.0, None], [1, 0, 0]),
        ([-1.0, 1.0, 1.0], [0, 1, 1]),
    ],
    ids=["no values", "one value", "all zero", "ratings", "one lacks a value", "down and up"],
)
def test_a_value_says_liked_on_the_scale_of_all_values(values, counted):
    experience = told([one("ann", item, value) for item, value in zip(ROWS, values, strict=True)])
    found = likes(experience)
    assert found.counts.tolist() == counted
    assert found.people.tolist() == [1, 1, 1]


def test_amounts_are_no_ratings():
    experience = told([one("ann", "tea", float(amount)) for amount in range(300)])
    assert likes(experience).counts.tolist() == [1, 0, 0]


def test_a_given_scale_overrules_the_values():
    experience = told([one("ann", "tea", 3.0), one("ann", "jam", 5.0)])
    assert likes(experience, scale=Scale(relevant_from=3.0)).counts.tolist() == [1, 1, 0]
    assert likes(experience, scale=Scale(relevant_from=6.0)).counts.tolist() == [0, 0, 0]


def test_a_person_whose_opinion_changed_likes_what_they_once_liked():
    experience = told([one("ann", "tea", 5.0, NOW - 2 * DAY), one("ann", "tea", 1.0, NOW - DAY)])
    assert likes(experience).counts.tolist() == [1, 0, 0]


# Items the catalogue lacks


def test_events_with_unknown_items_are_kept_and_count_once_they_are_known():
    experience = Experience()
    some = [one("ann", "tea"), *(one("bob", item) for item in ("fig", "fig", "nut", "rye", "yam"))]
    observed = experience.observe(Interactions.from_records(some), known=ROWS, now=NOW)
    assert (observed.new, observed.unknown) == (5, 4)
    assert observed.unknown_items == ("fig", "nut", "rye")
    assert "4 with items the catalogue lacks, such as 'fig'" in str(observed)
    found = likes(experience)
    assert (found.events, found.people.tolist()) == (1, [1, 1, 1])
    grown = likes(experience, {**ROWS, "fig": 3})
    assert grown.counts.tolist() == [1, 0, 0, 1]
    assert (grown.events, grown.people.tolist()) == (2, [2, 2, 2, 2])


def test_the_rows_of_items_are_the_callers():
    experience = told([one("ann", "tea"), one("bob", "oat"), one("cem", "oat")])
    assert likes(experience, {"oat": 0, "jam": 1, "tea": 2}).counts.tolist() == [2, 0, 1]


# Time


def test_the_future_is_read_as_now_and_counted():
    experience = Experience()
    some = [one("ann", "tea", timestamp=NOW + 400 * DAY), one("bob", "jam", timestamp=NOW)]
    observed = experience.observe(Interactions.from_records(some), known=ROWS, now=NOW)
    assert (observed.new, observed.future) == (2, 1)
    assert "1 from the future, read as now" in str(observed)
    found = likes(experience, now=NOW + 10 * DAY, half_life=10.0)
    np.testing.assert_allclose(found.counts, [0.5, 0.5, 0])


def test_events_without_a_time_happened_when_first_told():
    experience = told([one("ann", "tea", timestamp=None)], now=NOW - 20 * DAY)
    experience.observe(Interactions.from_records([one("ann", "tea", timestamp=None)]), known=ROWS, now=NOW)
    np.testing.assert_allclose(likes(experience, half_life=10.0).counts, [0.25, 0, 0])


@pytest.mark.parametrize("age", [0, 1, 7, 14, 10_000])
def test_a_like_counts_half_after_each_half_life(age):
    found = likes(told([one("ann", "tea", timestamp=NOW - age * DAY)]), half_life=7.0)
    np.testing.assert_allclose(found.counts, [0.5 ** (age / 7), 0, 0])
    assert found.table.toarray().tolist() == [[1, 0, 0]]


@laws
@given(events, st.sampled_from([1e-3, 1.0, 30.0, np.inf]))
def test_a_fading_like_counts_at_most_once_and_never_less_than_its_latest(some, half_life):
    whole, faded = likes(told(some)), likes(told(some), half_life=half_life)
    assert (faded.counts <= whole.counts + 1e-12).all()
    assert (faded.counts >= 0).all()
    assert np.array_equal(faded.people, whole.people)
    if np.isinf(half_life):
        assert np.array_equal(faded.counts, whole.counts)


def test_of_two_likes_of_one_thing_the_later_one_counts():
    old, new = one("ann", "tea", timestamp=NOW - 30 * DAY), one("ann", "tea", timestamp=NOW - 10 * DAY)
    for some in ([old, new], [new, old]):
        np.testing.assert_allclose(likes(told(some), half_life=10.0).counts, [0.5, 0, 0])


def test_an_item_was_offered_to_those_who_came_after_it_arrived():
    some = [
        *(one("ann", "tea", timestamp=NOW - days * DAY) for days in (9, 1)),
        *(one("bob", "tea", timestamp=NOW - days * DAY) for days in (9, 5)),
        one("cem", "jam", timestamp=NOW - 8 * DAY),
    ]
    arrivals = {"oat": NOW - 4 * DAY, "elsewhere": NOW}
    assert likes(told(some), arrivals=arrivals).people.tolist() == [3, 3, 1]
    assert likes(told(some), arrivals={"oat": NOW}).people.tolist() == [3, 3, 0]
    assert likes(told(some), arrivals={"oat": 0.0}).people.tolist() == [3, 3, 3]


def test_what_was_liked_before_it_arrived_was_offered_from_then_on():
    some = [one(f"u{n}", "jam", timestamp=NOW - n * DAY) for n in range(20)]
    early = [one("u9", "oat", timestamp=NOW - 9 * DAY)]
    found = likes(told(some, early), arrivals={"oat": NOW})
    assert found.counts[2] == 1
    assert found.people[2] == 10  # who came nine days ago or later


def test_nobody_likes_what_they_were_not_offered():
    some = [one(f"u{n}", item, timestamp=NOW - n * DAY) for n in range(9) for item in ("tea", "oat")]
    found = likes(told(some), arrivals={"oat": NOW, "tea": NOW - 3 * DAY})
    assert (found.people >= found.counts).all()


# Kept as text


@laws
@given(events)
def test_what_was_recorded_is_restored(some):
    experience = told(some)
    texts = [json.dumps([*key, at]) for key, at in experience.records()]
    read = [((*key,), at) for *key, at in map(json.loads, texts)]
    for again in (Experience.of(experience.records()), Experience.of(read)):
        assert again.records() == experience.records()
        assert same(likes(again, half_life=3.0), likes(experience, half_life=3.0))
        assert again.observe(Interactions.from_records(some), known=ROWS, now=NOW).new == 0


def test_odd_ids_are_kept_as_they_are():
    kept = [Interaction(f"{odd}u", f"{odd}i", odd.strip() or "view") for odd in ODD if odd.strip()]
    experience = told(kept, known={})
    read = [((*key,), at) for *key, at in json.loads(json.dumps([[*key, at] for key, at in experience.records()]))]
    assert Experience.of(read).records() == experience.records()
    rows = {event.item: row for row, event in enumerate(kept)}
    assert likes(experience, rows).counts.tolist() == [1] * len(kept)
