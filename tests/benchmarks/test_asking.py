"""Who asks for something in words: what is stated and what is relevant never meet, and each says what they should."""

from __future__ import annotations

import numpy as np
import pytest

import reading
from asking import KEPT, NOTHING, SITUATIONS, Situation, asked_by, judged
from coldstart.catalogue import Catalogue, Interactions
from coldstart.entities import Item, Profile
from coldstart.evaluation import Case, Cases, System
from coldstart.learning.scale import Scale
from coldstart.scoring.blank import BLANK, CHATTER

CATALOGUE = Catalogue([Item(f"i{n:02d}", f"The Long Title {n}") for n in range(40)], kind="thing")
MET = np.array([[row % 2 == 0 for row in range(40)], [False] * 40])
LIKED = np.random.default_rng(0).permutation(40)[:24]


@pytest.mark.parametrize("situation", SITUATIONS, ids=str)
@pytest.mark.parametrize("user", ["a", "b", "c"])
def test_what_is_relevant_is_liked_and_not_stated(situation, user):
    wish, text, stated, relevant = asked_by(user, LIKED, situation, CATALOGUE, MET, seed=0)
    assert len(relevant)
    assert {*stated} | {*relevant} <= {*LIKED}
    assert not {*stated} & {*relevant}
    assert len(stated) == situation.likes
    assert not {*relevant} & {*LIKED[:KEPT]}
    if situation.said == "a request":
        assert wish == 0
        assert MET[0][relevant].all()
        assert not (situation.other and MET[0][stated].any())
    else:
        assert wish == -1
        assert text


def test_a_title_lacks_its_last_word_and_is_of_what_is_relevant():
    _, text, _, relevant = asked_by("a", LIKED, Situation("a title", 0), CATALOGUE, MET, seed=0)
    assert len(relevant) == 1
    assert text == "The Long Title" != CATALOGUE[int(relevant[0])].title


def test_nobody_asks_for_what_they_do_not_like():
    assert asked_by("a", np.arange(1, 40, 2), Situation("a request", 0), CATALOGUE, MET, seed=0) is None


def test_what_says_nothing_was_not_chosen_on():
    assert not {text.lower() for text in NOTHING} & {text.lower() for text in (*BLANK, *CHATTER)}
    assert len({*NOTHING}) == len(NOTHING)


def test_the_best_of_the_others_stands_beside_ours():
    cases = Cases(
        protocol="new-user(5)",
        catalogue=CATALOGUE,
        cases=tuple(Case(f"u{n}", Profile(text="even"), np.array([0])) for n in range(10)),
        training=Interactions.from_records([]),
        scale=Scale(None, None),
        profiles={},
        counts=np.zeros(40, np.int64),
        oracle=False,
        eligible=10,
        seed=0,
    )

    def ranking(first: int) -> System:
        scores = -np.abs(np.arange(40.0) - first)
        names = {0: "coldstart observed", 1: "coldstart", 2: "semantic search", 20: "popularity"}
        return System(names[first], lambda asked: (scores for _ in asked))

    found = judged(cases, np.tile(MET[0], (10, 1)), [ranking(first) for first in (0, 1, 2, 20)], seed=0)
    assert found["against"]["coldstart observed"]["best"] == "semantic search"
    assert found["against"]["coldstart"]["best"] == "semantic search"
    assert found["against"]["coldstart observed"]["low"] > 0
    assert found["systems"]["popularity"]["ndcg@10"] == 0
    (rows,) = reading.asked({"situations": {"a request, no likes": found}})
    assert len({len(row) for row in rows}) == 1
    assert rows[1][:2] == ["a request, no likes", "10"]
    assert "1.000" in rows[1][4]
