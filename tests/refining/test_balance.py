"""Laws of balancing: people's gains move weights, chance hardly does, and what is written is what is read."""

from __future__ import annotations

import numpy as np
import pytest

from coldstart.refining.balance import ALONE, BESIDE, SHIPPED, UNMET, Balance, Shares, chosen, qualities

USUAL = (0.0, 1.0, 1.0)


def quality_of(order, later) -> float:
    """Return NDCG over a whole list, counted one by one."""
    gains = sum(1.0 / np.log2(place + 2.0) for place, row in enumerate(order) if row in later)
    return gains / sum(1.0 / np.log2(place + 2.0) for place in range(len(later)))


def test_quality_is_the_ndcg_of_the_weighted_sum_without_what_is_shown():
    rng = np.random.default_rng(4)
    parts, grid = rng.normal(size=(4, 30)), np.array(ALONE)
    shown, later = [2, 5], [7, 11, 29]
    found = qualities(parts, shown, later, grid)
    for place, weights in enumerate(grid):
        scores = parts[0] + weights @ parts[1:]
        order = [row for row in np.argsort(-scores) if row not in shown]
        assert found[place, 1] == pytest.approx(quality_of(order, later))
        assert found[place, 0] == pytest.approx(quality_of(order[:10], later))


def test_ties_are_worth_what_chance_makes_of_them():
    parts = np.zeros((4, 21))
    parts[0, 20] = 1.0
    tied = qualities(parts, [20], [3], np.array([USUAL]))[0]
    assert tied[1] == pytest.approx(1.0 / np.log2(9.5 + 2.0))  # nineteen others: half of them stand before it
    parts[0, [3, 4]] = 2.0
    assert qualities(parts, [20], [3, 4], np.array([USUAL]))[0] == pytest.approx([1.0, 1.0])


@pytest.mark.parametrize("grid", [ALONE, BESIDE, UNMET])
def test_weights_there_were_are_tried(grid):
    assert USUAL in grid


def test_what_all_gain_by_is_chosen_and_chance_leaves_weights_near_those_there_were():
    rng = np.random.default_rng(6)
    noise = rng.normal(0, 0.1, (200, len(ALONE), 2))
    by_chance = chosen(noise, ALONE, ALONE.index(USUAL))
    best = (2.0, 0.0, 2.0)
    noise[:, ALONE.index(best)] += 0.2
    found = chosen(noise, ALONE, ALONE.index(USUAL))
    assert (found.following, found.near, found.lexical) == pytest.approx(best, abs=0.1)
    assert by_chance.following < 1.5


def test_where_nothing_differs_the_weights_there_were_count_half():
    found = chosen(np.zeros((20, len(ALONE), 2)), ALONE, ALONE.index(USUAL))
    mean = (np.array(ALONE).sum(0) + (len(ALONE) - 1) * np.array(USUAL) + np.array(USUAL) - np.array(USUAL)) / (
        2 * len(ALONE) - 1
    )
    assert (found.following, found.near, found.lexical) == pytest.approx(tuple(mean), abs=1e-3)


def test_what_is_written_is_what_is_read():
    for balance in (
        SHIPPED,
        Balance(Shares(1.5, 0.2, 2.0), Shares(0.3, 0.0, 3.0), Shares(0.7, 0.1, 1.0), Shares(2.0, 1, 0)),
    ):
        assert Balance.of(balance.state()) == balance
    assert Balance.of({"alone": [1.5, 0.2, 2.0], "beside": None}).unmet == Shares()  # as it was written before


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"alone": None, "beside": None},
        {"alone": [1.0, 1.0], "beside": None},
        {"alone": [1, -1, 1], "beside": None},
        {"alone": [1, 1, 1], "beside": None, "unmet": [1]},
    ],
)
def test_what_is_no_balance_is_refused(state):
    with pytest.raises((ValueError, TypeError)):
        Balance.of(state)


def test_beside_what_others_like_the_larger_weight_of_the_two_holds():
    balance = Balance(Shares(2.0, 0.5, 1.0), Shares(0.5, 0.0, 3.0))
    assert balance.at(0.5, 0.0) == (1.0, balance.alone)
    assert balance.at(0.5, 1.0) == (1.0, balance.alone)
    assert balance.at(0.5, 12.0) == (6.0, balance.beside)


def test_for_items_that_were_not_met_shares_of_their_own_hold():
    new, beside = Shares(0.4, 0.0, 1.0), Shares(0.2, 0.5, 1.0)
    balance = Balance(Shares(2.0, 0.5, 1.0), unmet=new, unmet_beside=beside)
    assert balance.at(0.5, 0.0, met=False) == (0.2, new)
    assert balance.at(0.5, 9.0, met=False) == (0.1, beside)
    assert SHIPPED.at(0.5, 9.0, met=False) == (0.0, Shares())
