"""Laws of the platform: counts follow the events, whoever is forgotten is gone, and late items are known by degrees."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest

from coldstart.entities import Interaction
from coldstart.interactions import Interactions
from coldstart.learning.experience import Experience
from coldstart.learning.platform import REFRESH, Platform
from coldstart.learning.weighing import Chosen, Weighing

NOW = 1_700_000_000.0
DAY = 86_400.0
ITEMS = 20
ROWS = {f"i{row:02d}": row for row in range(ITEMS)}
WORDS = np.random.default_rng(9).normal(size=ITEMS)
WORDS[4] = np.nan


def vectors(dimension: int = 6) -> np.ndarray:
    found = np.random.default_rng(5).normal(size=(ITEMS, dimension))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def platform(*, told=(), now=NOW, space=None, **options) -> Platform:
    """Return a platform that observed some events; its items lie in a space of six dimensions if none is given."""
    space = vectors() if space is None else space
    made = Platform(ROWS, space, WORDS, **{"expected": 0.5, "now": now, **options})
    made.observe(Interactions.from_records(told), now=now)
    return made


@cache
def crowd(people: int = 60, seed: int = 0) -> tuple[Interaction, ...]:
    """Return who of two circles liked what in the last thirty days: the first ten items belong to one of them."""
    rng = np.random.default_rng(seed)
    return tuple(
        Interaction(f"u{person:03d}", item, timestamp=float(NOW - 30 * DAY * rng.random()))
        for person in range(people)
        for item, row in ROWS.items()
        if rng.random() < (0.5 if (row < 10) == (2 * person < people) else 0.05)
    )


def chances(one: Platform, *liked: int, **options) -> np.ndarray:
    return one.expected(np.array(liked, np.int64), np.ones(len(liked)), **options)


def observe(one: Platform, *events: Interaction):
    return one.observe(Interactions.from_records(events), now=NOW)


def alike(one: Platform, other: Platform) -> bool:
    """Whether two platforms say the same of every item, to the last bit."""
    return np.array_equal(one.popularity.mean, other.popularity.mean) and np.array_equal(
        chances(one, 0, 12), chances(other, 0, 12)
    )


# The catalogue grows


def grown(one: Platform, *, more: int = 2, now=NOW + DAY) -> Platform | None:
    """Return a platform with more items at the end, named n0, n1, ..., all vectors turned a little."""
    rows = {**ROWS, **{f"n{place}": ITEMS + place for place in range(more)}}
    space = np.vstack([vectors(), vectors()[:more]]) + np.float32(0.01)
    return one.grown(rows, space, np.append(WORDS, np.zeros(more)), expected=0.5, now=now)


@pytest.mark.parametrize("linear", [False, True])
def test_a_platform_that_grew_is_as_if_all_were_counted_anew(linear):
    told = [*crowd(), Interaction("u001", "i03", "hide"), Interaction("u002", "i04", "impression")]
    weighing = Weighing((Chosen(1, (0.0, 0.5, 1.0), 9, 0.0, 0.0, 1.0),), 9, 100.0) if linear else None
    before = platform(told=told, weighing=weighing)
    found = grown(before)
    arrivals = {"n0": NOW + DAY, "n1": NOW + DAY}
    anew = Platform(
        found._row_of, found.vectors, found._words, expected=0.5, now=NOW + DAY, arrivals=arrivals,
        experience=before.experience, weighing=weighing,
    )  # fmt: skip
    assert found.arrivals == anew.arrivals
    assert alike(found, anew)
    assert np.array_equal(found.known, anew.known)
    assert (found.likes.table != anew.likes.table).nnz == (found.likes.dislikes != anew.likes.dislikes).nnz == 0
    assert np.array_equal(found.likes.exposed, anew.likes.exposed)
    assert np.array_equal(found.inverse(5.0), anew.inverse(5.0))
    liked = np.array([0, 12])
    assert np.array_equal(found.linear.score(liked), anew.linear.score(liked), equal_nan=True)


def test_what_a_platform_observes_after_it_grew_leaves_the_one_before():
    before = platform(told=crowd())
    found, count = grown(before), len(before)
    observe(found, *(Interaction(f"new{n}", "n0") for n in range(50)))
    assert (len(before), len(found)) == (count, count + 50)
    assert before.likes.counts.shape == (ITEMS,)
    assert found.likes.counts[ITEMS] == 50


@pytest.mark.parametrize(
    "one",
    [
        lambda: platform(told=[*crowd(), Interaction("ann", "n1")]),
        lambda: platform(told=crowd(), arrivals={"n0": NOW - DAY}),
        lambda: platform(told=crowd(), half_life=9.0),
        lambda: platform(told=[*crowd(), Interaction("ann", "i01", timestamp=NOW + 2 * DAY)], now=NOW + 3 * DAY),
    ],
    ids=["an event came before the item", "an item came before", "likes fade", "the clock went back"],
)
def test_events_are_counted_anew_where_they_must_be(one):
    assert grown(one()) is None


def test_events_are_counted_anew_where_an_item_went():
    one = platform(told=crowd())
    rows = {name: row for row, name in enumerate([*list(ROWS)[1:], "n0", "n1"])}
    assert one.grown(rows, vectors(), WORDS, expected=0.5, now=NOW) is None


# Events come and go


def test_before_any_event_words_decide():
    empty = platform()
    assert len(empty) == 0
    known = np.delete(np.arange(ITEMS), 4)
    assert np.array_equal(np.argsort(chances(empty)[known]), np.argsort(WORDS[known]))
    assert (empty.known == 1).all()


def test_events_move_the_chances():
    full = platform(told=crowd(), space=np.eye(ITEMS, dtype=np.float32))
    assert chances(full).mean() > 2 * chances(platform()).mean()
    assert (chances(full, 0, 1)[2:10] > chances(full)[2:10]).all()


def test_telling_again_changes_nothing():
    one = platform(told=crowd())
    popularity, table = one.popularity, one.likes.table
    assert observe(one, *crowd()).new == 0
    assert one.popularity is popularity
    assert one.likes.table is table


@pytest.mark.parametrize("half_life", [None, 10.0])
def test_the_order_of_events_does_not_count(half_life):
    events = crowd()
    shuffled = [events[place] for place in np.random.default_rng(1).permutation(len(events))]
    assert alike(platform(told=events, half_life=half_life), platform(told=shuffled, half_life=half_life))


def test_small_platforms_count_every_event_at_once():
    one = platform(told=crowd()[:80])
    for count, event in enumerate(crowd()[80:99], 81):
        observe(one, event)
        assert one.likes.events == count


def test_counts_are_made_anew_once_a_hundredth_of_the_events_is_new():
    events = crowd(120)
    start = 300
    one = platform(told=events[:start])
    for event in events[start : start + 3]:  # three are no more than a hundredth of three hundred
        assert observe(one, event).new == 1
        assert one.likes.events == start
    assert len(one) == start + 3
    observe(one, events[start + 3])
    assert one.likes.events == start + 4
    assert start * REFRESH == 3
    assert alike(one, platform(told=events[: start + 4]))


def test_a_refresh_counts_all():
    one = platform(told=crowd(120))
    observe(one, Interaction("late", "i03", timestamp=NOW))
    before = one.likes.counts[3]
    one.refresh(now=NOW)
    assert one.likes.counts[3] == before + 1


@pytest.mark.parametrize("half_life", [None, 10.0])
def test_who_is_forgotten_never_came(half_life):
    events = crowd(120)
    one = platform(told=events, half_life=half_life)
    assert one.forget("u007", now=NOW) == sum(event.user == "u007" for event in events)
    others = [event for event in events if event.user != "u007"]
    assert alike(one, platform(told=others, half_life=half_life))
    assert one.forget("u007", now=NOW) == 0


def test_who_came_lately_is_forgotten_too():
    one = platform(told=crowd(120))
    observe(one, Interaction("late", "i03", timestamp=NOW))
    one.forget("late", now=NOW)
    assert alike(one, platform(told=crowd(120)))


def test_when_all_are_forgotten_words_decide_again():
    one = platform(told=crowd(5))
    for person in range(5):
        one.forget(f"u{person:03d}", now=NOW)
    assert len(one) == 0
    assert alike(one, platform())


def test_what_was_experienced_before_counts_from_the_start():
    experience = Experience()
    experience.observe(Interactions.from_records(crowd()), known=ROWS, now=NOW)
    again = Platform(ROWS, vectors(), WORDS, expected=0.5, experience=experience, now=NOW)
    assert alike(again, platform(told=crowd()))


def test_events_with_unknown_items_only_leave_words_to_decide():
    one = platform()
    assert observe(one, Interaction("ann", "elsewhere")).unknown == 1
    assert (len(one), one.likes.events) == (1, 0)
    assert alike(one, platform())


# One person left out


def test_leaving_one_out_without_likes_lowers_what_they_like():
    one = platform(told=crowd())
    own = one.likes.table[[3]].toarray().ravel() > 0
    found = chances(one, without=3)
    assert (found[own] < chances(one)[own]).all()
    assert (found[~own] > chances(one)[~own]).all()


@pytest.mark.parametrize("half_life", [None, 10.0, 1.0, 1e-3])
def test_leaving_one_out_is_nearly_as_if_they_had_never_come(half_life):
    events = crowd(200)
    one = platform(told=events, half_life=half_life)
    found = chances(one, without=3)
    assert ((found > 0) & (found < 1)).all()
    one.forget("u003", now=NOW)
    assert np.abs(np.log(found) - np.log(chances(one))).mean() < 0.1


# Old likes


@pytest.mark.parametrize("half_life", [10.0, 1.0])
@pytest.mark.parametrize("liked", [[0], [0, 1, 2, 3, 4]])
def test_faded_likes_promise_no_more_than_fresh_ones(half_life, liked):
    options = {"told": crowd(200), "space": np.eye(ITEMS, dtype=np.float32)}
    fresh = chances(platform(**options), *liked)[5:10]
    faded = chances(platform(**options, half_life=half_life), *liked)[5:10]
    assert (faded <= fresh + 0.1).all()


def test_with_a_half_life_what_is_liked_lately_is_popular():
    old = [Interaction(f"a{n}", "i00", timestamp=NOW - 60 * DAY) for n in range(30)]
    new = [Interaction(f"b{n}", "i01", timestamp=NOW - DAY) for n in range(20)]
    assert chances(platform(told=[*old, *new]))[0] > chances(platform(told=[*old, *new]))[1]
    fading = chances(platform(told=[*old, *new], half_life=20.0))
    assert fading[0] < fading[1]


@pytest.mark.parametrize("half_life", [1e-3, 1e-9, 1e9, np.inf])
def test_no_half_life_breaks_the_chances(half_life):
    one = platform(told=crowd(), half_life=half_life, arrivals={"i01": NOW})
    for liked in ((), (0,), (0, 1, 12)):
        found = chances(one, *liked)
        assert np.isfinite(found).all()
        assert (found >= 0).all()


# Items that arrive late


def test_all_that_did_not_arrive_late_is_known():
    one = platform(told=crowd(), arrivals={"i03": NOW - 365 * DAY, "elsewhere": NOW})
    assert (one.known == 1).all()


def test_a_late_item_is_known_the_better_the_more_were_offered_it():
    others = [event for event in crowd() if event.item != "i03"]
    known = []
    for days in (0, 1, 5, 20):
        one = platform(told=others, arrivals={"i03": NOW - days * DAY})
        assert (np.delete(one.known, 3) == 1).all()
        known.append(one.known[3])
    assert known[0] == 0
    assert known == sorted(known)
    assert 0 < known[1] < known[-1] <= 1


def test_nobody_dislikes_what_they_were_not_offered():
    others = [event for event in crowd() if event.item != "i03"]
    old, late = platform(told=others), platform(told=others, arrivals={"i03": NOW})
    assert chances(late)[3] > chances(old)[3]
    assert chances(late)[3] == pytest.approx(late.popularity.prior[3])


def test_likes_from_before_an_item_arrived_do_not_make_everyone_like_it():
    one = platform(told=crowd(), arrivals={"i03": NOW})
    assert 0.5 < chances(one)[3] / chances(platform(told=crowd()))[3] < 2


@pytest.mark.parametrize("ridge", [0.5, 5.0])
@pytest.mark.parametrize("arrivals", [{}, {"i03": NOW, "i05": NOW - 3 * DAY}])
def test_the_inverse_is_that_of_the_known_items(ridge, arrivals):
    events = [event for event in crowd() if event.item not in ("i03", "i05")]
    one = platform(told=events, arrivals=arrivals)
    wide = vectors().astype(np.float64)
    expected = np.linalg.inv(wide.T @ np.diag(one.known) @ wide + ridge * np.eye(6))
    np.testing.assert_allclose(one.inverse(ridge), expected, rtol=1e-3, atol=1e-5)


def test_the_inverse_follows_the_events():
    one = platform(told=[event for event in crowd() if event.item != "i03"], arrivals={"i03": NOW - DAY})
    before = one.inverse(5.0)
    observe(one, *(Interaction(f"n{n}", "i03", timestamp=NOW) for n in range(50)))
    assert np.abs(one.inverse(5.0) - before).max() > 1e-4


# What is said of it


def test_the_state_says_what_was_seen_and_is_plain():
    one = platform(told=crowd(), half_life=30.0, arrivals={"i03": NOW})
    state = one.state()
    assert json.loads(json.dumps(state)) == state
    assert (state["events"], state["people"]) == (len(crowd()), len({event.user for event in crowd()}))
    assert state["likes"] == len({(event.user, event.item) for event in crowd()})
    assert (state["half_life"], state["arrivals"]) == (30.0, {"i03": NOW})
