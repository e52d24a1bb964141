"""What half precision is judged by: the best that were read again stand at the places of their candidates."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from coldstart.entities import Profile
from precision import rereading

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("left_out", [[], ["alley"], ["alley", "dame", "wig"]])
def test_the_best_stand_first_in_their_order_whichever_items_are_no_candidates(stage, build, left_out):
    class Engine:
        def score(self, _profile, rows):
            return -rows.astype(float)

        def recommend(self, _profile, *, k, language, candidates):
            assert k == language
            return [SimpleNamespace(id=name) for name in ("yodel", "cigar") if name in candidates]

    cases = build({"ann": Profile(likes=left_out)})
    kept = np.array([row for row, name in enumerate(stage.ids) if name not in left_out])
    case = replace(cases.cases[0], candidates=kept if left_out else None)
    (found,) = rereading(Engine(), name="reread").scores(replace(cases, cases=(case,)))
    ids = [name for name in stage.ids if name not in left_out]
    order = [ids[place] for place in np.argsort(-found)]
    assert order == ["yodel", "cigar", *(name for name in ids if name not in ("yodel", "cigar"))]
