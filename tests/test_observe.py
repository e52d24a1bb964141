"""Laws of a recommender that learns: what others like counts, in any order, until it is taken back."""

from __future__ import annotations

import gzip
import math
import re
from functools import cache

import numpy as np
import pytest

from coldstart.entities import Interaction, Item, Profile
from coldstart.errors import BadIndex, CatalogueError, ColdstartError, ProfileError
from coldstart.interactions import Interactions
from coldstart.learning.weighing import SHIPPED, Chosen, Weighing
from coldstart.recommender import Recommender

NOW = 1_700_000_000.0
DAY = 86_400.0
CIRCLES = (("t03", "t08", "t20", "t25"), ("t04", "t09", "t14", "t29"))
LIKES = Profile(likes=["t03"])
PROFILES = {
    "nobody": Profile(),
    "likes": LIKES,
    "words": Profile(text="honey"),
    "everything": Profile("smoky", {"age": 34}, ["t03", "cocoa and malt"], ["t11"], ["t01"]),
}
SLOW_RIVER = Item("new", "Slow River", {"sort": "black", "notes": ("malt", "smoke")})
each_profile = pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)


@cache
def crowd(people: int = 40, seed: int = 0) -> tuple[Interaction, ...]:
    """Return who rated what in the last thirty days: everyone tries some teas, and likes those of their circle."""
    rng = np.random.default_rng(seed)
    found = []
    for person in range(people):
        favourites = CIRCLES[person % 2]
        for tea in (f"t{number:02d}" for number in range(30)):
            if rng.random() < (0.8 if tea in favourites else 0.1):
                rating = 5.0 if tea in favourites else float(rng.integers(1, 6))
                found.append(Interaction(f"u{person:02d}", tea, "rate", rating, NOW - 30 * DAY * float(rng.random())))
    return tuple(found)


def like(user: str, item: str, value: float | None = None, timestamp: float | None = NOW - DAY) -> Interaction:
    return Interaction(user, item, value=value, timestamp=timestamp)


def ids(found) -> list[str]:
    return [each.id for each in found]


def lists(one, k=40, **asked) -> list:
    """Return what each profile is recommended."""
    return [one.recommend(profile, k=k, **asked) for profile in PROFILES.values()]


def scores(one) -> np.ndarray:
    return np.stack([one.score(profile) for profile in PROFILES.values()])


def files(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def recommender(recommender, encoder, language_model):
    """One that has read no other tests' texts: what was encoded in another batch differs in the last bit."""
    return Recommender(recommender.index, encoder=encoder, language_model=language_model)


@pytest.fixture
def learner(recommender):
    """From events to a recommender of the thirty teas that observed them."""

    def made(events=(), **options) -> Recommender:
        one = recommender.unlearned()
        one.observe(events, **{"now": NOW, **options})
        return one

    return made


@pytest.fixture
def learned(learner):
    """A recommender that observed the crowd."""
    return learner(crowd())


@pytest.fixture
def load(encoder, language_model):
    def loaded(path) -> Recommender:
        return Recommender.load(path, encoder=encoder, language_model=language_model)

    return loaded


# What others like counts


def test_of_whom_nothing_is_known_gets_what_others_like_and_is_told(learned):
    found = learned.recommend(k=30)
    assert set(ids(found)[:8]) == {*CIRCLES[0], *CIRCLES[1]}
    assert found.degraded
    assert "ranked by what others like" in found.fallback_reason
    assert [set(each.parts) for each in found] == [{"collaborative"}] * 30


@pytest.mark.parametrize("circle", CIRCLES)
def test_who_likes_one_tea_of_a_circle_gets_the_others(learner, recommender, circle):
    one = learner(crowd(200))
    for profile in (Profile(likes=circle[:1]), Profile(history=circle[:1])):
        found = one.recommend(profile, k=29)
        assert set(ids(found)[:3]) == set(circle[1:])
        assert (found.degraded, found.fallback_reason) == (False, "")
        assert set(ids(recommender.recommend(profile, k=29))[:3]) != set(circle[1:])


def test_what_is_said_in_words_is_not_drowned(learned):
    found = learned.recommend(Profile(text="kettle"), k=30)
    assert "Old Kettle" in [each.title for each in found[:10]]
    heaviest = max(part.weight for part in found[0].parts.values())
    assert found[0].parts["collaborative"].weight <= max(1.0, heaviest)


@each_profile
@pytest.mark.parametrize("language", [0, 5])
def test_ranks_count_scores_fall_and_parts_add_up(learned, profile, language, add_up):
    found = learned.recommend(profile, k=8, language=language)
    assert len(found) == 8
    add_up(found)


@each_profile
def test_collaborative_takes_the_place_of_appeal(learned, recommender, profile):
    before, after = recommender.recommend(profile)[0].parts, learned.recommend(profile)[0].parts
    assert set(after) == set(before) - {"appeal"} | {"collaborative"}


def test_scores_without_a_list_are_the_same(learned):
    found = learned.recommend(Profile(text="honey"), k=30)
    alone = learned.score(Profile(text="honey"))
    for each in found:
        assert alone[learned.catalogue.row(each.id)] == pytest.approx(each.score, abs=1e-9)


def test_the_recommender_that_was_asked_learns_and_no_other(recommender, learned):
    assert recommender.platform is None
    again = learned.unlearned()
    assert (again.platform, lists(again)) == (None, lists(recommender))
    assert len(learned.platform) == len(crowd())


def test_few_likes_weigh_less_than_many(learner):
    weights = [
        learner(events).recommend()[0].parts["collaborative"].weight for events in (crowd()[:5], crowd()[:50], crowd())
    ]
    assert weights == sorted(weights)
    assert weights[0] < weights[-1]


# Once, in any order, until taken back


def test_observing_again_changes_nothing(learned):
    before = scores(learned)
    observed = learned.observe(crowd(), now=NOW + DAY)
    assert (observed.events, observed.new) == (len(crowd()), 0)
    np.testing.assert_array_equal(scores(learned), before)


@pytest.mark.parametrize("options", [{}, {"half_life": 7.0}, {"arrivals": {"t05": NOW - DAY}}], ids=str)
def test_the_order_of_events_changes_no_list(learner, options):
    events = crowd()
    shuffled = [events[place] for place in np.random.default_rng(1).permutation(len(events))]
    expected = lists(learner(events, **options))
    assert lists(learner(shuffled, **options)) == expected
    one = learner(shuffled[:90], **options)
    for start in range(90, len(shuffled), 90):
        one.observe(shuffled[start : start + 90], now=NOW)
    assert lists(one) == expected


def test_columns_and_records_teach_the_same(learner):
    assert lists(learner(Interactions.from_records(crowd()))) == lists(learner(iter(crowd())))


@pytest.mark.parametrize("options", [{}, {"half_life": 7.0}], ids=str)
def test_who_is_forgotten_never_came(learner, options):
    one = learner(crowd(), **options)
    assert one.forget("u03", now=NOW) == sum(event.user == "u03" for event in crowd())
    others = [event for event in crowd() if event.user != "u03"]
    assert lists(one) == lists(learner(others, **options))
    assert one.forget("u03", now=NOW) == 0


def test_when_all_are_forgotten_words_rank_as_if_nobody_had_come(learner, recommender):
    one = learner(crowd(4))
    for person in range(4):
        one.forget(f"u{person:02d}")
    assert lists(one) == lists(recommender)
    assert "appeal alone" in one.recommend().fallback_reason


def test_there_is_nobody_to_forget_before_anyone_came(recommender):
    assert recommender.unlearned().forget("u03") == 0


def test_no_events_teach_nothing(learner, recommender):
    one = learner()
    assert lists(one) == lists(recommender)
    assert one.observe([]).events == 0


# Odd events


def test_events_with_unknown_items_only_change_no_list_and_are_told(learner, recommender):
    one = learner()
    observed = one.observe([like("ann", "elsewhere"), like("bob", "elsewhere")], now=NOW)
    assert (observed.new, observed.unknown, observed.unknown_items) == (2, 2, ("elsewhere",))
    assert "2 with items the catalogue lacks, such as 'elsewhere'" in str(observed)
    assert lists(one) == lists(recommender)
    assert "appeal alone" in one.recommend().fallback_reason


TEAS = [f"t{number:02d}" for number in range(30)]
ODD = {
    "one event": [like("ann", "t07")],
    "one event without a time": [like("ann", "t07", timestamp=None)],
    "all like all": [like(f"u{n}", tea) for n in range(9) for tea in TEAS],
    "all rate all best": [like(f"u{n}", tea, 5.0) for n in range(9) for tea in TEAS],
    "all rate all worst": [like(f"u{n}", tea, 0.0) for n in range(9) for tea in TEAS],
    "all dislike all but one": [like(f"u{n}", tea, float(tea == "t07")) for n in range(9) for tea in TEAS],
    "one likes all": [like("ann", tea) for tea in TEAS],
    "all like one": [like(f"u{n}", "t07") for n in range(99)],
    "amounts": [like(f"u{n}", TEAS[n % 30], 1.5**n) for n in range(150)],
    "long ago": [like(f"u{n}", "t07", timestamp=-1e17) for n in range(9)],
    "to come": [like(f"u{n}", "t07", timestamp=1e17) for n in range(9)],
    "odd ids": [like(user, "t07") for user in ("\ud800", "\x00", "a\nb", "🍵", "'; --")],
}


@pytest.mark.parametrize("half_life", [None, 1e-6])
@pytest.mark.parametrize("events", ODD.values(), ids=ODD)
def test_no_events_break_a_list(learner, events, half_life, add_up):
    one = learner(events, half_life=half_life, arrivals={"t02": NOW})
    for profile, count in ((Profile(), 30), (LIKES, 29)):
        found = one.recommend(profile, k=30)
        assert len(found) == count
        add_up(found)


def test_what_the_only_person_likes_comes_first_for_nobody(learner):
    assert ids(learner(ODD["one event"]).recommend())[0] == "t07"


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (Interaction("", "t01"), "has the user ''"),
        (Interaction(" ", "t01"), "has the user ' '"),
        (Interaction("ann", ""), "has the item ''"),
        (Interaction(7, "t01"), "has the user 7"),
        (Interaction("ann", "t01", value=math.nan), "has the value nan: expected a finite number"),
        (Interaction("ann", "t01", value=math.inf), "has the value inf: expected a finite number"),
        (Interaction("ann", "t01", value="5"), "has the value '5': expected a finite number"),
        (Interaction("ann", "t01", timestamp=math.nan), "has the timestamp nan: expected a finite number"),
        (("ann", "t01"), "expected an Interaction"),
    ],
)
def test_a_bad_event_is_named_and_none_of_its_company_is_taken_in(learned, event, message):
    before = learned.score(LIKES)
    with pytest.raises(CatalogueError, match=re.escape(message)) as error:
        learned.observe([like("zoe", "t01"), event])
    assert "event 2" in str(error.value)
    assert len(learned.platform) == len(crowd())
    np.testing.assert_array_equal(learned.score(LIKES), before)


@pytest.mark.parametrize("half_life", [0, -1.0, math.nan, "3"])
def test_a_half_life_that_is_no_time_is_refused(recommender, learned, half_life):
    for one in (recommender.unlearned(), learned):
        before = one.score(LIKES)
        with pytest.raises(ProfileError, match=rf"half_life is {half_life!r}: expected a number of days > 0"):
            one.observe(crowd(), half_life=half_life)
        np.testing.assert_array_equal(one.score(LIKES), before)


@pytest.mark.parametrize("arrival", ["yesterday", None, math.nan])
def test_an_arrival_that_is_no_time_is_refused_and_breaks_nothing(learned, arrival):
    before = ids(learned.recommend(LIKES))
    with pytest.raises(ColdstartError, match="t01"):
        learned.observe([], arrivals={"t01": arrival}, now=NOW)
    learned.observe([], half_life=1e9, now=NOW)
    assert ids(learned.recommend(LIKES)) == before


# Types


def test_types_of_events_are_told_and_kept(learner, load, tmp_path):
    one = learner([Interaction("ann", "t07", "zap"), Interaction("bob", "t09", "dislike")], meanings={"zap": "dislike"})
    assert one.platform.likes.counts.sum() == 0
    one.save(tmp_path)
    assert load(tmp_path).platform.likes.dislikes.nnz == 2
    one.observe([], meanings={"zap": "like"}, now=NOW)
    assert ids(one.recommend())[0] == "t07"


def test_a_history_of_typed_events_is_read_by_type(learned):
    hidden = Profile(
        history=[Interaction("", "t03", "like"), Interaction("", "t04", "hide"), Interaction("", "t09", "skip")]
    )
    stated = Profile(likes=["t03"], dislikes=["t04"])
    np.testing.assert_allclose(learned.score(hidden), learned.score(stated))


# Time


def test_with_a_half_life_what_is_liked_lately_comes_before_what_was(learner):
    old = [like(f"a{n}", "t07", timestamp=NOW - 90 * DAY) for n in range(30)]
    new = [like(f"b{n}", "t12") for n in range(20)]
    assert ids(learner([*old, *new]).recommend())[0] == "t07"
    one = learner([*old, *new], half_life=20.0)
    assert ids(one.recommend())[0] == "t12"
    assert one.observe([], now=NOW).new == 0
    assert ids(one.recommend())[0] == "t12"  # a half-life holds until another is given
    one.observe([], half_life=1e9, now=NOW)
    assert ids(one.recommend())[0] == "t07"


def test_an_item_that_arrives_later_is_not_taken_for_one_that_nobody_likes(learner, add_up):
    events = [event for event in crowd() if event.item != "t11"]
    old, late = (learner(events, arrivals=arrivals) for arrivals in ({}, {"t11": NOW}))
    places = [ids(one.recommend(k=30)).index("t11") for one in (old, late)]
    assert places[1] < places[0]
    assert late.platform.known[11] == 0
    assert (np.delete(late.platform.known, 11) == 1).all()
    for found in lists(late):
        add_up(found)


# Items come


@pytest.fixture
def grown(learned):
    """A recommender to which a tea was added after it observed the crowd."""
    return learned.add([SLOW_RIVER])


def test_a_new_item_is_ranked_though_nobody_knows_it(grown, add_up):
    row = grown.catalogue.row("new")
    assert grown.platform.known[row] == 0
    assert (np.delete(grown.platform.known, row) == 1).all()
    for profile, found in zip(PROFILES.values(), lists(grown), strict=True):
        assert "new" in ids(found)
        add_up(found)
        assert grown.score(profile).shape == (31,)


def test_a_new_item_is_among_the_first_for_who_asks_for_it(grown):
    profiles = {"asks": Profile(text="slow river"), "asks for another": Profile(text="kettle"), "nobody": Profile()}
    suited = grown.reweighted({"facets": 0}).audience("new", profiles)  # an encoder of random weights reads no values
    assert suited[0].name == "asks"
    assert suited[0].rank <= 3 < suited[1].rank


def test_a_new_item_is_explained_by_words_and_the_known_ones_are_not(grown):
    found = {each.id: each for each in grown.recommend(k=31)}
    assert math.isfinite(found["new"].parts["appeal"].raw)
    assert math.isfinite(found["new"].parts["borrowed"].raw)
    for name in ("appeal", "borrowed"):
        assert all(each.parts[name].contribution == 0 for id_, each in found.items() if id_ != "new")


def test_a_new_item_leaves_what_others_like_first_for_whom_nothing_is_known(grown, learned):
    found = grown.recommend(k=31)
    assert found.degraded
    assert "ranked by what others like" in found.fallback_reason
    assert [id_ for id_ in ids(found) if id_ != "new"] == ids(learned.recommend(k=30))


def test_a_new_item_is_known_by_degrees(grown):
    row = grown.catalogue.row("new")
    later = grown.platform.arrivals["new"] + DAY
    for person in range(30):
        grown.observe([like(f"n{person}", "new", 5.0, later)], now=later + DAY)
    grown.platform.refresh(now=later + DAY)
    assert 0 < grown.platform.known[row] < 1
    assert grown.platform.popularity.mean[row] > 0.5


def test_what_was_observed_of_an_item_before_it_came_counts_by_the_people_of_its_time(learned):
    learned.observe([like(f"u{n:02d}", "new", 5.0, NOW - 20 * DAY) for n in range(3)], now=NOW)
    one = learned.add([SLOW_RIVER])
    row = one.catalogue.row("new")
    assert one.platform.likes.counts[row] == 3
    assert one.platform.popularity.mean[row] < 0.2  # three of forty, not three of three


def test_an_arrival_that_was_told_beforehand_holds(learner):
    one = learner(crowd(), arrivals={"new": NOW - 15 * DAY}).add([SLOW_RIVER])
    assert one.platform.arrivals["new"] == NOW - 15 * DAY


def test_replacing_an_item_keeps_what_is_known_of_it(learned):
    one = learned.add([Item("t03", "Lantern Street, first flush", {"sort": "oolong"})])
    np.testing.assert_array_equal(one.platform.likes.counts, learned.platform.likes.counts)
    assert (one.platform.known == 1).all()


def test_what_the_grown_one_learns_or_forgets_leaves_this_one(learned, grown):
    before = lists(learned)
    grown.observe([like(f"n{n}", "t00", 5.0) for n in range(50)], now=NOW)
    grown.forget("u03", now=NOW)
    assert len(learned.platform) == len(crowd())
    learned.platform.refresh(now=NOW)
    assert lists(learned) == before


def test_who_is_forgotten_by_one_can_be_forgotten_by_the_grown_one(learned, grown):
    assert learned.forget("u03", now=NOW) == grown.forget("u03", now=NOW) > 0
    assert grown.platform.likes.table.shape[0] == learned.platform.likes.table.shape[0] == 39


# Weights


@each_profile
def test_a_weight_of_zero_leaves_the_order_to_words(learned, recommender, profile, add_up):
    silent = {"collaborative": 0.0, "appeal": 0.0}
    one, other = learned.reweighted(silent), recommender.unlearned().reweighted(silent)
    np.testing.assert_array_equal(one.score(profile), other.score(profile))
    add_up(one.recommend(profile, k=30))


def test_a_weight_of_zero_leaves_the_order_to_words_for_new_items_too(grown):
    silent = {"collaborative": 0.0, "appeal": 0.0}
    for profile in PROFILES.values():
        one, other = (each.reweighted(silent).score(profile) for each in (grown, grown.unlearned()))
        np.testing.assert_array_equal(one, other)


def test_what_weighs_nothing_is_not_said_to_rank(learned):
    found = learned.reweighted({"collaborative": 0.0}).recommend()
    assert found.degraded
    assert "what others like" not in found.fallback_reason


def test_a_given_weight_holds_for_every_request(learned):
    one = learned.reweighted({"collaborative": 2.5})
    assert {found[0].parts["collaborative"].weight for found in lists(one)} == {2.5}


# Kept with the index


@pytest.mark.parametrize("options", [{}, {"arrivals": {"t05": NOW - DAY, "elsewhere": 5.0}}], ids=str)
def test_what_was_learned_is_kept_to_the_last_bit(learner, load, tmp_path, options):
    one = learner(crowd(), **options)
    one.save(tmp_path / "index")
    again = load(tmp_path / "index")
    np.testing.assert_array_equal(scores(again), scores(one))
    assert lists(again) == lists(one)
    assert again.platform.state() == one.platform.state()
    assert again.observe(crowd(), now=NOW).new == 0
    again.save(tmp_path / "again")
    assert files(tmp_path / "again") == files(tmp_path / "index")


def test_the_last_few_events_are_kept_and_counted_too(learned, load, tmp_path):
    learned.observe([like("zoe", "t05", 5.0)], now=NOW)  # less than a hundredth of what was seen before
    learned.save(tmp_path / "index")
    np.testing.assert_array_equal(scores(load(tmp_path / "index")), scores(learned))
    assert learned.platform.state() == load(tmp_path / "index").platform.state()


def test_a_half_life_is_kept(learner, load, tmp_path):
    learner(crowd(), half_life=7.0).save(tmp_path / "index")
    assert load(tmp_path / "index").platform.half_life == 7.0


@pytest.mark.parametrize("number", [int, np.int64, np.float32])
def test_times_of_any_type_of_number_are_kept(learner, load, tmp_path, number):
    learner(crowd(), half_life=number(7), arrivals={"t05": number(10**9)}).save(tmp_path / "index")
    again = load(tmp_path / "index").platform
    assert (again.half_life, again.arrivals) == (7, {"t05": 10**9})


def test_learning_changes_no_byte_of_the_index(recommender, learned, tmp_path):
    recommender.unlearned().save(tmp_path / "words")
    learned.save(tmp_path / "learned")
    words, both = files(tmp_path / "words"), files(tmp_path / "learned")
    assert {name: data for name, data in both.items() if name in words} == words
    assert sorted(name.split("-")[0] for name in both.keys() - words.keys()) == ["events", "learned.json"]


def test_what_is_remembered_in_an_index_is_what_saving_keeps(recommender, learned, tmp_path):
    learned.save(tmp_path / "saved")
    recommender.unlearned().save(tmp_path / "remembered")
    learned.remember(tmp_path / "remembered")
    assert files(tmp_path / "remembered") == files(tmp_path / "saved")
    learned.unlearned().remember(tmp_path / "remembered")
    assert "learned.json" not in files(tmp_path / "remembered")


def test_saving_one_that_learned_nothing_leaves_no_memory(recommender, learned, load, tmp_path):
    learned.save(tmp_path / "index")
    learned.unlearned().save(tmp_path / "index")
    recommender.unlearned().save(tmp_path / "words")
    assert files(tmp_path / "index") == files(tmp_path / "words")
    assert load(tmp_path / "index").platform is None


def test_of_who_was_forgotten_no_file_knows(learned, tmp_path):
    learned.save(tmp_path)
    learned.forget("u03")
    learned.save(tmp_path)
    (kept,) = [gzip.decompress(data) for name, data in files(tmp_path).items() if name.startswith("events-")]
    assert b"u03" not in kept
    assert b"u04" in kept


def test_one_that_forgot_everyone_is_kept(learner, recommender, load, tmp_path):
    one = learner([like("ann", "t07")])
    one.forget("ann")
    one.save(tmp_path)
    again = load(tmp_path)
    assert len(again.platform) == 0
    assert lists(again) == lists(recommender)


def test_building_again_takes_up_what_was_learned(learned, catalogue, encoder, language_model, tmp_path):
    learned.save(tmp_path / "index")
    models = {"encoder": encoder, "language_model": language_model}
    again = Recommender.build(catalogue, **models, path=tmp_path / "index")
    np.testing.assert_array_equal(scores(again), scores(learned))


def test_what_was_learned_is_kept_with_what_is_added(learned, load, tmp_path):
    grown = learned.add([SLOW_RIVER], path=tmp_path / "grown")
    np.testing.assert_array_equal(scores(load(tmp_path / "grown")), scores(grown))


def test_what_is_added_to_an_index_that_is_there_already_is_kept_with_it_too(learned, recommender, load, tmp_path):
    recommender.add([SLOW_RIVER], path=tmp_path / "grown")
    grown = learned.add([SLOW_RIVER], path=tmp_path / "grown")  # nothing is left to compute
    np.testing.assert_array_equal(scores(load(tmp_path / "grown")), scores(grown))


def test_who_learned_nothing_takes_up_what_an_index_learned_that_it_adds_to(learned, recommender, tmp_path):
    grown = learned.add([SLOW_RIVER], path=tmp_path / "grown")
    np.testing.assert_array_equal(scores(recommender.add([SLOW_RIVER], path=tmp_path / "grown")), scores(grown))


@pytest.mark.parametrize("name", ["learned.json", "events-"])
def test_a_damaged_memory_is_named_with_its_remedy_and_the_remedy_helps(learned, recommender, load, tmp_path, name):
    learned.save(tmp_path)
    next(path for path in tmp_path.iterdir() if path.name.startswith(name)).write_bytes(b"{")
    with pytest.raises(BadIndex, match=r"learned\.json .*delete it and observe again"):
        load(tmp_path)
    (tmp_path / "learned.json").unlink()
    assert lists(load(tmp_path)) == lists(recommender)


# Weights


def test_weights_are_kept_with_what_was_observed_and_go_with_whom_they_were_chosen_by(learner, load, tmp_path, add_up):
    one = learner(crowd(80))
    chosen = one.weigh(people=40)
    assert {each.likes for each in chosen.chosen} <= {1, 5, 15}
    assert chosen == one.weigh(people=40)  # nothing new was told
    pauses = []
    assert chosen == one.weigh(people=40, force=True, pause=lambda: pauses.append(1))
    assert len(pauses) > 40
    one.save(tmp_path / "index")
    again = load(tmp_path / "index")
    assert again.platform.weighing == chosen
    np.testing.assert_allclose(scores(again), scores(one), atol=1e-5)
    for found in lists(one):
        add_up(found)
    assert one.forget("u00")
    assert one.platform.weighing.chosen == ()


def test_words_count_as_chosen_in_short_lists_and_as_usual_in_the_whole_catalogue(learned, add_up):
    profile = Profile(likes=["t00", "t01", "t02", "t03", "t04"])
    few = [f"t{number:02d}" for number in range(10, 20)]
    usual, usual_short = (learned.recommend(profile, k=1, candidates=ids)[0].parts for ids in (None, few))
    chosen = Chosen(5, SHIPPED, 40, 0.01, 0.001, 1.0, times=4.0)
    learned.platform.weigh(Weighing((chosen,), likes=100))
    whole, short = (learned.recommend(profile, k=1, candidates=ids) for ids in (learned.catalogue.ids, few))
    assert {name: part.weight for name, part in whole[0].parts.items()} == pytest.approx(
        {name: part.weight for name, part in usual.items()}
    )
    words = {"liked", "taste", "lexical"}
    for name, part in short[0].parts.items():
        assert part.weight == pytest.approx(usual_short[name].weight * (4.0 if name in words else 1.0))
    add_up(short)


def test_items_that_nobody_met_are_ordered_alike_in_short_lists_and_long_ones(learner):
    new = [f"t{number:02d}" for number in range(20, 30)]
    seen = [event for event in crowd() if event.item not in new]
    one = learner(seen, arrivals=dict.fromkeys(new, NOW + DAY))
    one.platform.weigh(Weighing((Chosen(5, SHIPPED, 40, 0.01, 0.001, 1.0, times=8.0),), likes=100))
    profile = Profile(likes=["t00", "t01", "t02", "t03", "t04"])
    short = [found.id for found in one.recommend(profile, k=10, candidates=new)]
    one.platform.weigh(Weighing((Chosen(5, SHIPPED, 40, 0.01, 0.001, 1.0, times=1.0),), likes=100))
    assert [found.id for found in one.recommend(profile, k=10, candidates=new)] == short


def test_too_few_people_choose_nothing(learner, recommender):
    assert learner(crowd(5)).weigh().chosen == ()
    assert recommender.unlearned().weigh().chosen == ()


def said(people: int, *, seed: int = 0) -> dict[str, Profile]:
    """Return what a crowd says of itself: in which circle they are, and a number that tells nothing."""
    rng = np.random.default_rng(seed)
    circles = ("morning", "evening")
    told = ({"drinks": circles[person % 2], "lucky": int(rng.integers(1, 90))} for person in range(people))
    return {f"u{person:02d}": Profile(attributes=one) for person, one in enumerate(told)}


@pytest.fixture
def described(learner):
    """A recommender that knows what its people said of themselves, and what that tells of their taste."""
    one = learner(())
    one.observe(crowd(80), profiles=said(80), now=NOW)
    one.weigh(people=40)
    return one


def test_what_people_say_of_themselves_moves_the_list_of_those_who_say_the_same(described, add_up):
    assert set(described.platform.weighing.trust.strengths) == {"drinks"}
    for circle, favourites in zip(("morning", "evening"), CIRCLES, strict=True):
        found = described.recommend(Profile(attributes={"drinks": circle}), k=4)
        assert set(ids(found)) == set(favourites)
        assert found[0].parts["demographic"].raw > 0
        add_up(found)
    assert "demographic" not in described.recommend(Profile(attributes={"lucky": 7, "drinks": "never"}))[0].parts


def test_ones_own_likes_tell_more(described):
    lifted = [
        described.recommend(Profile(attributes={"drinks": "evening"}, likes=CIRCLES[0][:many]))[0].parts["demographic"]
        for many in range(3)
    ]
    assert [one.weight / lifted[0].weight for one in lifted] == pytest.approx([1.0, 0.5, 1 / 3], rel=0.01)


def test_what_was_said_is_kept_and_taken_back(described, load, tmp_path):
    described.save(tmp_path / "index")
    again = load(tmp_path / "index")
    assert again.platform.experience.said == described.platform.experience.said
    who = Profile(attributes={"drinks": "morning", "lucky": 3})
    np.testing.assert_allclose(again.score(who), described.score(who), atol=1e-5)
    again.forget("u00")
    again.save(tmp_path / "index")
    text = b"".join(gzip.decompress(path.read_bytes()) for path in (tmp_path / "index").glob("*.jsonl.gz"))
    assert b'"u01"' in text
    assert b'"u00"' not in text
    assert again.platform.weighing.trust.share == 0
    assert "u00" not in load(tmp_path / "index").platform.experience.said


def test_what_one_says_last_holds_and_nothing_said_takes_it_back(described):
    described.observe([], profiles={"u00": Profile(attributes={"drinks": "evening"}), "u01": Profile()}, now=NOW)
    assert described.platform.experience.said["u00"] == {"drinks": "evening"}
    assert "u01" not in described.platform.experience.said


def test_people_who_say_something_late_are_weighed_then(learner):
    one = learner(crowd(80))
    one.weigh(people=40)
    assert not one.platform.unweighed
    one.observe([], profiles=said(80), now=NOW)
    assert one.platform.unweighed
    assert one.weigh(people=40).trust.share > 0


def test_new_items_have_no_lift(described):
    wider = described.add([SLOW_RIVER])
    who = Profile(attributes={"drinks": "morning"})
    lifts = wider.platform.lifts(who.attributes)
    assert len(lifts) == len(wider.catalogue)
    assert lifts[wider.catalogue.row("new")] == 0
    assert ids(wider.recommend(who, k=4)) == ids(described.recommend(who, k=4))
    narrower = wider.remove(["t03"])
    assert len(narrower.score(who)) == len(wider.catalogue) - 1
