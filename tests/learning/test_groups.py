"""Laws of groups: products of rows are shares of fields in which people agree, whatever they say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldstart.learning.groups import BANDS, MOST_FIELDS, Agreement, Field

VALUES = st.one_of(
    st.text(max_size=5),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.lists(st.sampled_from(["a", "B", " a ", ""]), max_size=4).map(tuple),
)
PEOPLE = st.lists(st.dictionaries(st.sampled_from(["age", "job", "town"]), VALUES, max_size=3), max_size=8)


def agreed(one, other) -> float:
    """Return in what share of fields two agree who say nothing else of anybody."""
    rows = Agreement.of([one, other]).rows([one, other]).toarray()
    return float(rows[0] @ rows[1])


def test_the_share_of_fields_in_which_two_agree():
    one = {"job": "nurse", "town": "Leeds", "smoker": False, "age": 30}
    assert agreed(one, one) == pytest.approx(1.0)
    assert agreed(one, {**one, "town": "York"}) == pytest.approx(3 / 4)
    assert agreed(one, {"town": " leeds"}) == pytest.approx(1 / 2)  # one field of four, and of one: 1 / sqrt(4 * 1)
    assert agreed(one, {"town": "York"}) == agreed(one, {}) == 0.0


def test_of_several_values_some_may_be_shared():
    assert agreed({"likes": ("tea", "milk")}, {"likes": ("tea", "cake")}) == pytest.approx(1 / 2)


def test_a_value_of_one_field_is_not_that_of_another():
    assert agreed({"home": "Leeds"}, {"work": "Leeds"}) == 0.0


def test_many_numbers_are_told_apart_by_bands():
    ages = Field.of(range(80))
    assert len({ages.read(age) for age in range(80)}) == BANDS
    assert ages.read(3) == ages.read("4.5") != ages.read(79) == ages.read(1e9)
    assert Field.of([1, 2, 3]).read(2) == ("2",)


def test_who_says_what_nobody_said_agrees_less_with_others():
    agreement = Agreement.of([{"job": "nurse", "town": "Leeds"}])
    known, partly, strange = agreement.rows(
        [{"job": "nurse", "town": "Leeds"}, {"job": "nurse", "town": "Oslo"}, {"colour": "red"}]
    ).toarray()
    assert known @ known == pytest.approx(1.0)
    assert known @ partly == pytest.approx(1 / 2)
    assert not strange.any()


def test_more_fields_than_are_looked_at_change_nothing():
    many = {f"field {number:03}": "yes" for number in range(MOST_FIELDS + 50)}
    assert Agreement.of([many]).rows([many]).shape == (1, MOST_FIELDS)


@given(PEOPLE)
def test_whatever_is_said_products_are_shares(people):
    rows = Agreement.of(people).rows(people)
    products = (rows @ rows.T).toarray()
    assert rows.shape[0] == len(people)
    assert ((products > -1e-9) & (products < 1 + 1e-9)).all()
    assert (np.diag(products) > 1 - 1e-9).tolist() == [rows[[place]].nnz > 0 for place in range(len(people))]
