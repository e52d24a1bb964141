"""Laws of the belief: what a chip tells of an item comes from a person's other likes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from coldstart.onboarding.belief import _chosen


def test_a_like_has_no_part_in_what_a_chip_tells_of_the_same_item():
    rng = np.random.default_rng(0)
    likes = sparse.csr_matrix((rng.random((60, 12)) < 0.4).astype(np.float64))
    member = sparse.csr_matrix((rng.random((12, 3)) < 0.5).astype(np.float64))
    share = np.array([0.3, 0.5, 0.7])
    chosen, own = _chosen(likes, member, share)
    for item in range(12):
        others = likes.tolil()
        others[:, item] = 0.0
        without = _chosen(others.tocsr(), member, share)[0]
        expected = (likes[:, [item]].T @ without).toarray().ravel()
        assert (likes.T @ chosen).toarray()[item] - own[item] == pytest.approx(expected)
