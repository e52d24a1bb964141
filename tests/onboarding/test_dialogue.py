"""Laws of dialogues: what is answered comes back from JSON, and nothing else gets in."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldstart.entities import Interaction, Profile
from coldstart.errors import DialogueError
from coldstart.onboarding.dialogue import MOST_ANSWERS, Asked, Dialogue

names = st.lists(st.text(min_size=1, max_size=8).filter(str.strip), min_size=1, max_size=5, unique=True).map(tuple)


@given(st.text(min_size=1, max_size=8), names)
def test_an_id_says_what_was_asked_whatever_the_words(attribute, about):
    for asked in (Asked("chips", attribute, about), Asked("items", "", about), Asked("item", "", about[:1])):
        assert Asked.parse(asked.id) == asked


@given(names, st.data())
def test_a_dialogue_comes_back_from_json(about, data):
    chosen = data.draw(st.lists(st.sampled_from(about), unique=True))
    who = Profile("bold reds", {"age": 34, "tags": ("a", "b")}, ["1"], ["2"], [Interaction("u", "3", value=2.0)])
    dialogue = Dialogue(who).with_answer(Asked("items", "", about).id, chosen).with_answer("text", None)
    assert Dialogue.from_dict(json.loads(json.dumps(dialogue.to_dict()))) == dialogue


def test_an_answer_given_again_takes_the_earlier_ones_place():
    dialogue = Dialogue(Profile()).with_answer("item:1", "like").with_answer("text", "hay").with_answer("item:1", None)
    assert [(one.question_id, one.value) for one in dialogue.answers] == [("item:1", None), ("text", "hay")]


def test_what_was_chosen_is_kept_in_the_questions_order():
    dialogue = Dialogue(Profile()).with_answer("items:1|2|3", ["3", "1", "3"])
    assert dialogue.answers[0].value == ("1", "3")


@pytest.mark.parametrize(
    "id_",
    ["", "text:1", "chips", "chips:grapes", "chips:=Malbec", "chip:grapes=A|B", "item:1|2", "pair:1", "pair:1|1",
     "items:", "items:1||2", "mood:1", None, 7, "items:" + "|".join(map(str, range(101)))],
)  # fmt: skip
def test_an_id_that_asks_nothing_is_refused(id_):
    with pytest.raises(DialogueError):
        Dialogue(Profile()).with_answer(id_, None)


@pytest.mark.parametrize(
    ("id_", "value"),
    [("item:1", "maybe"), ("item:1", ["like", "dislike"]), ("item:1", []), ("pair:1|2", "3"), ("items:1|2", ["3"]),
     ("items:1|2", 1), ("chips:a=b", {"b": 1}), ("text", ["a"]), ("text", "x" * 3000), ("chip:a=b", "b")],
)  # fmt: skip
def test_an_answer_to_another_question_is_refused(id_, value):
    with pytest.raises(DialogueError):
        Dialogue(Profile()).with_answer(id_, value)


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {"answer": []},
        {"answers": "text"},
        {"answers": [1]},
        {"answers": [{"question_id": "text"}]},
        {"profile": {"name": "Ann"}},
        {"profile": {"history": [{"user": "u"}]}},
        {"profile": {"history": [{"item": 3}]}},
        {"answers": [{"question_id": f"item:{place}", "value": None} for place in range(MOST_ANSWERS + 1)]},
    ],
)
def test_what_is_no_dialogue_is_refused(data):
    with pytest.raises(DialogueError):
        Dialogue.from_dict(data)
