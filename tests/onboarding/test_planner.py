"""Laws of onboarding: questions are new, answers move the list the way they say, and it ends."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from coldstart.entities import Interaction, Profile
from coldstart.errors import DialogueError
from coldstart.learning.companions import NOISE
from coldstart.onboarding import Onboarding
from coldstart.onboarding.belief import Observation
from coldstart.onboarding.dialogue import Asked
from coldstart.prompting import Library
from coldstart.reasons import standing


def talk(onboarding, choose, profile=None):
    """Answer all questions; return the dialogue and what was asked."""
    dialogue, asked = onboarding.start(profile), []
    while (question := onboarding.question(dialogue)) is not None:
        asked.append(question)
        dialogue = onboarding.answered(dialogue, question.id, choose(question))
    return dialogue, asked


def first(question):
    """Choose the first option, and say something where words are wanted."""
    return "smoky" if question.kind == "text" else [question.options[0].id]


@pytest.mark.parametrize("choose", [first, lambda _: None, lambda question: [] if question.options else None])
def test_nothing_is_asked_twice_and_it_ends_with_a_reason(onboarding, choose):
    dialogue, asked = talk(onboarding, choose)
    told = [
        (each.attribute, name) for one in asked if (each := Asked.parse(one.id)).kind != "text" for name in each.about
    ]
    assert asked
    assert len(set(told)) == len(told)
    assert onboarding.ending(dialogue)


def test_the_same_answers_give_the_same_questions(onboarding):
    (dialogue, asked), (other, again) = talk(onboarding, first), talk(onboarding, first)
    assert (dialogue, asked) == (other, again)
    assert [one.to_dict() for one in asked] == [one.to_dict() for one in again], "gains among them"


def test_a_chosen_chip_raises_its_items(onboarding):
    before = onboarding.start()
    after = onboarding.answered(before, "chips:sort=black|green|white", ["green"])
    moved = onboarding.weighed(after)[1].parts["answers"][1]
    green = onboarding.rows_of("sort", "green")
    black = onboarding.rows_of("sort", "black")
    assert moved[green].mean() > moved[black].mean()


def test_a_chosen_chip_counts_as_an_answer_and_not_as_words_too(onboarding):
    before = onboarding.start(Profile(likes=["t01"]))
    after = onboarding.answered(before, "chips:sort=black|green|white", ["green"])
    parts = [onboarding.weighed(dialogue)[1].parts for dialogue in (before, after)]
    assert set(parts[1]) - set(parts[0]) == {"answers"}
    for name, (raw, _) in parts[0].items():
        np.testing.assert_array_equal(raw, parts[1][name][0])
    assert onboarding.profile(after).likes == ("t01", "green teas")


def test_what_chips_and_items_are_expected_to_add_counts_as_far_as_it_came_true(onboarding):
    start = onboarding.start()
    expected = {question.kind: question.gain for question in onboarding.offered(start)}
    counts = onboarding._realised()
    assert counts["items"] < counts["chips"]
    onboarding_on_hopes = Onboarding(onboarding.recommender)
    onboarding_on_hopes._realised = lambda: {"chips": 1.0, "items": 1.0}
    hoped = {question.kind: question.gain for question in onboarding_on_hopes.offered(start)}
    assert expected == pytest.approx({kind: counts[kind] * gain for kind, gain in hoped.items()})


def test_answers_become_a_profile(onboarding):
    dialogue = onboarding.start(Profile(text="for winter", likes=["t01"]))
    dialogue = onboarding.answered(dialogue, "chips:sort=black|green", ["green"])
    dialogue = onboarding.answered(dialogue, "items:t02|t03", ["t03"])
    dialogue = onboarding.answered(dialogue, "item:t04", "dislike")
    dialogue = onboarding.answered(dialogue, "pair:t05|t06", "t06")
    dialogue = onboarding.answered(dialogue, "text", "smoky")
    found = onboarding.profile(dialogue)
    assert found.text == "for winter smoky"
    assert found.likes == ("t01", "green tea", "t03", "t06") or "t03" in found.likes
    assert found.dislikes == ("t04",)


def test_what_is_not_on_offer_is_refused(onboarding):
    for id_ in ("item:none", "chip:sort=blue", "chips:mood=dark"):
        with pytest.raises(DialogueError):
            onboarding.answered(onboarding.start(), id_, None)


def test_a_question_fits_what_the_recommender_takes(onboarding, recommender):
    dialogue, _ = talk(onboarding, first)
    assert len(recommender.recommend(onboarding.profile(dialogue))) == 10


def test_suggestions_show_each_item_once_and_nothing_that_is_liked(onboarding):
    dialogue, _ = talk(onboarding, first)
    found = onboarding.suggestions(dialogue, k=12)
    ids = [one.recommendation.id for one in found]
    assert len(set(ids)) == len(ids) == 12
    assert not set(onboarding.profile(dialogue).likes) & set(ids)
    for one in found:
        score = sum(part.contribution for part in one.recommendation.parts.values())
        assert one.recommendation.score == pytest.approx(score, abs=1e-9)
        assert 0 < one.propensity <= 1
        assert one.exploration == (one.source == "explored")


def test_the_propensity_is_how_often_an_item_is_drawn():
    from coldstart.onboarding.suggestions import _inclusion

    chances = _inclusion(np.array([8.0, 1.0, 1.0, 1.0, 1.0]), 3)
    assert chances.sum() == pytest.approx(3)
    assert chances[0] == 1.0
    assert (chances <= 1).all()


def test_items_nobody_knows_yet_are_asked_about_less_than_chips(onboarding):
    assert onboarding.recommender.weights["appeal"] < 0.5
    assert onboarding.question(onboarding.start()).kind == "chips"


def test_values_are_read_as_everywhere_and_liked_in_a_sentence():
    from coldstart.catalogue import Catalogue
    from coldstart.entities import Item
    from coldstart.onboarding.facets import facets_of

    values = [("Malbec_Noir", "Full", "yes", 1987), ("Merlot", "Light", "no", 1999)] * 4
    names = ("grapes", "body", "outdoor", "year")
    items = [
        Item(str(row), f"Wine {row}", {"grapes": [grape, "n/a"], **dict(zip(names[1:], rest, strict=True))})
        for row, (grape, *rest) in enumerate(values)
    ]
    catalogue = Catalogue(items, kind="wine")
    found = facets_of(catalogue, Library.load().fields, np.zeros((8, 2), np.float32), [""] * 8, seed=0)
    assert {facet.name: [chip.value for chip in facet.chips] for facet in found} == {
        "grapes": ["Malbec Noir", "Merlot"],
        "body": ["Full", "Light"],
        "year": ["1980s", "1990s"],
    }
    phrases = [facet.phrase for facet in found]
    assert phrases == ["wines whose grapes are {}", "wines whose body is {}", "wines of the {}"]


def test_items_of_one_title_are_told_apart():
    from coldstart.catalogue import Catalogue
    from coldstart.entities import Item
    from coldstart.onboarding.facets import distinct_labels

    items = [Item("1", "Reserva", {"winery": "Aurora"}), Item("2", "Reserva", {"year": 1999}), Item("3", "Barolo")]
    assert distinct_labels(Catalogue(items, kind="wine"), Library.load().fields) == {
        0: "Reserva (Aurora)",
        1: "Reserva (1999)",
    }


def test_what_isnt_chosen_says_more_once_others_were_observed(recommender):
    """The belief in an item that wasn't chosen falls further where people's likes tell what that speaks against."""
    falls = []
    for told in ([], [Interaction(f"u{who}", f"t{who % 30:02d}", value=5.0) for who in range(60)]):
        learned = recommender.unlearned()
        learned.observe(told, now=0.0)
        one = Onboarding(learned)
        state = one._prepared()
        row = int(state.anybody.askable[0])
        before = one._believed(state, [])
        after = one._believed(state, [Observation((row,), (1.0,), 0.0, NOISE * one._faint)])
        falls.append(1.0 - after.mean[row] / before.mean[row])
    assert 0.0 < falls[0] < falls[1]


def test_without_a_platform_an_answer_that_says_little_moves_little(onboarding):
    """Of answers about the same items, none chosen tells far less than two chosen."""
    start, asked = onboarding.start(), "items:t02|t03|t04|t05"
    weights = [
        onboarding.weighed(onboarding.answered(start, asked, chosen))[1].weights["answers"]
        for chosen in ([], ["t02", "t03"])
    ]
    assert 0.0 < weights[0] < 0.3 * weights[1]


REPLIES = (
    ("chips:sort=black|green|white", ["green"]),
    ("items:t01|t02|t03", ["t02"]),
    ("item:t04", "dislike"),
    ("pair:t05|t06", "both"),
    ("text", "smoky"),
)


def told_of(cause):
    """Return what a question has to be about for an answer to it to make the cause."""
    return {"green"} if cause.startswith("green") else {cause}


@pytest.fixture
def told(onboarding):
    dialogue = onboarding.start(Profile(text="strong", attributes={"age": 34}, likes=["t07"]))
    for question, value in REPLIES:
        dialogue = onboarding.answered(dialogue, question, value)
    return dialogue


def test_a_reason_is_put_to_the_test_on_the_very_list_that_was_shown(onboarding, told):
    listed = [one.recommendation for one in onboarding.suggestions(told, k=10)]
    ids = onboarding.recommender.catalogue.ids
    shown = [row for row, name in enumerate(ids) if name not in {"t02", "t04", "t05", "t06", "t07"}]
    before = onboarding.score(told, shown)
    without = {
        "green teas": ("chips:sort=black|white", []),
        "t02": ("items:t01|t03", []),
        "t04": None,
        "t05": ("item:t06", "like"),
        "t06": ("item:t05", "like"),
    }
    seen = set()
    for one in onboarding.explained(told, listed):
        for reason in one.reasons:
            if reason.cause in without:
                kept = [pair for pair in REPLIES if not set(Asked.parse(pair[0]).about) & told_of(reason.cause)]
                instead = without[reason.cause]
                dialogue = onboarding.start(told.profile)
                for question, value in (*kept, *([] if instead is None else [instead])):
                    dialogue = onboarding.answered(dialogue, question, value)
                place = shown.index(onboarding.recommender.catalogue.row(one.id))
                fall = (standing(before) - standing(onboarding.score(dialogue, shown)))[place]
                assert reason.fall == pytest.approx(fall, abs=1e-6)
                seen.add(reason.cause)
    assert {"green teas", "t02"} <= seen


def test_what_others_like_is_taken_out_of_a_session_as_if_it_had_no_weight(recommender):
    """What is asked for counts beside what is left."""
    seen = recommender.unlearned()
    seen.observe(
        Interaction(f"u{user}", f"t{item:02d}", value=5.0)
        for user in range(20)
        for item in range(10)
        if (user + item) % 3
    )
    onboarding = Onboarding(seen)
    dialogue = onboarding.start(Profile(text="strong and smoky", likes=["t07"]))
    before, left = (
        onboarding.weighed(dialogue, without=names)[1] for names in ((), ("collaborative", "borrowed", "appeal"))
    )
    bare = seen.reweighted({"collaborative": 0.0, "borrowed": 0.0, "appeal": 0.0}).weighed(dialogue.profile)[1]
    np.testing.assert_allclose(left.fused, bare.fused)
    listed = [one.recommendation for one in onboarding.suggestions(dialogue, k=8)]
    shown = np.delete(np.arange(len(seen.catalogue)), seen.catalogue.row("t07"))
    falls = dict(zip(shown.tolist(), standing(before.fused[shown]) - standing(left.fused[shown]), strict=True))
    told = [(one.id, reason) for one in onboarding.explained(dialogue, listed) for reason in one.reasons]
    popular = [(name, reason) for name, reason in told if reason.kind == "popularity"]
    assert popular
    for name, reason in popular:
        assert reason.fall == pytest.approx(falls[seen.catalogue.row(name)], abs=1e-6)


def test_nothing_taken_away_leaves_the_same_list(onboarding, told):
    again = onboarding._without(told, onboarding.profile(told))
    np.testing.assert_allclose(onboarding.score(again), onboarding.score(told), atol=1e-9)
    assert onboarding.profile(again) == onboarding.profile(told)


def test_answers_that_say_the_same_twice_are_taken_away_together(onboarding):
    dialogue = onboarding.start()
    for question, value in (("items:t01|t02", ["t01"]), ("items:t02", ["t02"]), ("pair:t01|t03", "t01")):
        dialogue = onboarding.answered(dialogue, question, value)
    left = replace(onboarding.profile(dialogue), likes=["t02"])
    assert [reply.question_id for reply in onboarding._without(dialogue, left).answers] == ["items:t02"]
