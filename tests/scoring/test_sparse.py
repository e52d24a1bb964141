"""Laws of sparse tables: a few rows or columns give what the whole table would."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from coldstart.scoring.sparse import Taken, summed

TABLE = sparse.random(200, 30, density=0.1, format="csr", random_state=0)


def test_summed_columns_are_the_product_with_all_others_left_out():
    columns, weights = np.array([3, 7, 19]), np.array([2.0, 0.5, 1.0])
    rows, sums = summed(TABLE.tocsc(), columns, weights)
    whole = np.asarray(TABLE[:, columns] @ weights)
    np.testing.assert_array_equal(rows, np.flatnonzero(whole))
    np.testing.assert_allclose(sums, whole[rows])


def test_no_columns_and_empty_ones_have_no_rows():
    empty = sparse.csc_matrix((200, 30))
    for table, columns in ((TABLE.tocsc(), []), (empty, [1, 2])):
        rows, sums = summed(table, np.array(columns, np.int64), np.ones(len(columns)))
        assert len(rows) == len(sums) == 0


def test_rows_that_were_just_taken_are_not_taken_again():
    taken, rows, others = Taken(TABLE), np.array([5, 2, 2]), np.array([9])
    first = taken(rows)
    np.testing.assert_array_equal(first.toarray(), TABLE.toarray()[rows])
    taken(others)
    assert taken(rows) is first
    assert taken(rows.copy()) is not first
