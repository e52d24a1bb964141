"""What people say of themselves tells of taste where it does, and nothing where it doesn't."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from coldstart.learning.demographics import FEWEST, Demographics, Trust
from coldstart.learning.groups import BANDS

ITEMS = 40


@pytest.fixture(scope="module")
def platform():
    """Sixty people: who is young likes the first half of the items more; their city and shoe size tell nothing."""
    rng = np.random.default_rng(3)
    ages = rng.integers(18, 70, 60)
    chances = np.where((ages < 40)[:, None] == (np.arange(ITEMS) < ITEMS // 2), 0.5, 0.1)
    likes = sparse.csr_matrix((rng.random(chances.shape) < chances).astype(float))
    cities = rng.choice(["Rome", "Oslo", "Lima"], 60)
    said = [{"age": int(age), "city": str(city)} for age, city in zip(ages, cities, strict=True)]
    return likes, said


def test_fields_that_tell_of_taste_are_trusted_and_no_others(platform):
    trust = Demographics(*platform).trusted()
    assert set(trust.strengths) == {"age"}
    assert trust.share > 0
    assert trust.gain > trust.error > 0


def test_lifts_follow_those_who_said_the_same(platform):
    made = Demographics(*platform)
    trust = made.trusted()
    young, old = made.lifts({"age": "21"}, trust), made.lifts({"age": 65, "city": "Rome"}, trust)
    assert young[: ITEMS // 2].mean() > 0.1 > -0.1 > young[ITEMS // 2 :].mean()
    assert old[: ITEMS // 2].mean() < -0.1 < 0.1 < old[ITEMS // 2 :].mean()


def test_the_formula(platform):
    likes, said = platform
    made = Demographics(likes, said)
    rome = np.array([one["city"] == "Rome" for one in said])
    seen = np.asarray(likes[rome].sum(0)).ravel()
    expected = seen.sum() * np.asarray(likes.sum(0)).ravel() / likes.sum()
    found = made.lifts({"city": " ROME "}, Trust({"city": 3.0}, share=0.5))
    assert found == pytest.approx(0.5 * np.log((seen + 3.0) / (expected + 3.0)))
    both = made.lifts({"city": ["Rome", "Oslo"]}, Trust({"city": 3.0}, share=1.0))
    oslo = made.lifts({"city": "Oslo"}, Trust({"city": 3.0}, share=1.0))
    assert both == pytest.approx((2 * found + oslo) / 2)


@pytest.mark.parametrize("attributes", [{}, {"city": "Paris"}, {"height": 3}, {"city": ""}])
def test_nothing_is_said_of_what_nobody_said(platform, attributes):
    assert Demographics(*platform).lifts(attributes, Trust({"city": 3.0, "age": 3.0, "height": 1.0}, 1.0)) is None


def test_without_trust_nothing_is_said(platform):
    assert Demographics(*platform).lifts({"age": 20}, Trust()) is None


@pytest.mark.parametrize("seed", range(5))
def test_shuffled_answers_are_hardly_trusted(platform, seed):
    likes, said = platform
    shuffled = [said[place] for place in np.random.default_rng(seed).permutation(len(said))]
    trust = Demographics(likes, shuffled).trusted()
    assert trust.gain < 0.02  # of age, in the right order, it is ten times that


def test_the_right_order_is_worth_ten_times_that(platform):
    assert Demographics(*platform).trusted().gain > 0.1


def test_numbers_fall_into_bands_of_like_size(platform):
    likes, _ = platform
    made = Demographics(likes, [{"age": 10 + place, "kids": place % 3} for place in range(60)])
    sizes = np.asarray(made._fields["age"].members.sum(1)).ravel()
    assert len(sizes) == BANDS
    assert sizes.min() >= 60 // BANDS - 1
    assert sorted(made._fields["kids"].places) == ["0", "1", "2"]


def test_values_that_few_share_say_nothing(platform):
    likes, _ = platform
    said = [{"city": "Oslo" if place < FEWEST - 1 else "Rome" if place < 30 else "Lima"} for place in range(60)]
    made = Demographics(likes, said)
    assert made.lifts({"city": "Oslo"}, Trust({"city": 3.0}, 1.0)) is None
    assert made.lifts({"city": "Rome"}, Trust({"city": 3.0}, 1.0)) is not None


def test_a_few_people_are_no_judges(platform):
    likes, said = platform
    assert Demographics(likes[:5], said[:5]).trusted() == Trust()
    assert Demographics(likes, [{} for _ in said]).trusted() == Trust()


def test_any_values_can_be_said(platform):
    likes, _ = platform
    odd = ["\ud800", "x" * 10_000, float("nan"), -1e308, True, ("a", "b"), "\x00", 10**30]
    said = [{"odd": odd[place % len(odd)], "sure": place % 2 == 0} for place in range(60)]
    made = Demographics(likes, said)
    trust = made.trusted()
    for value in odd:
        found = made.lifts({"odd": value, "sure": True}, Trust({"odd": 1.0, "sure": 1.0}, 1.0))
        assert found is not None
        assert np.isfinite(found).all()
    assert np.isfinite(trust.gain)


def test_trust_comes_back_from_its_state(platform):
    trust = Demographics(*platform).trusted()
    assert Trust.of(trust.state()) == trust
    assert Trust.of(None) == Trust()


@pytest.mark.parametrize(
    "damage",
    [{"strengths": None}, {"strengths": {"age": 0}}, {"share": "much"}, {"gain": float("inf")}, {"people": None}],
)
def test_damage_is_told(platform, damage):
    state = {**Demographics(*platform).trusted().state(), **damage}
    with pytest.raises(ValueError):  # noqa: PT011 - any of our own
        Trust.of(state)
