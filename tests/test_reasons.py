"""Laws of reasons: they hold when they are put to the test by another path, and claim nothing beside the evidence."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coldstart.catalogue import Catalogue
from coldstart.entities import Context, Interaction, Item, Profile
from coldstart.reasons import SHOWN
from coldstart.reasons.phrases import phrases
from coldstart.reasons.sentences import FORMS, grounded, said
from coldstart.reasons.traits import Traits
from coldstart.recommender import Recommender

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from reasons import falls

PEOPLE = {
    "nobody": Profile(),
    "words": Profile(text="a smoked tea with honey, nothing grassy"),
    "likes": Profile(likes=["t03", "t04", "Lantern Street", "cocoa and malt"]),
    "past": Profile(history=["t03", "t08", "t13"]),
    "dislikes": Profile(likes=["t03"], dislikes=["t11", "grass and hay"]),
    "age": Profile(attributes={"age": 34, "city": "Kandy"}),
    "everything": Profile(
        text="smoky and malty, for the evening", attributes={"age": 34}, likes=["t03", "malt"], dislikes=["t11"],
        history=["t01", Interaction("u", "t02")],
    ),
}  # fmt: skip


@pytest.fixture(scope="session")
def observed(recommender) -> Any:
    """A recommender that has seen twenty people, each with a sort of their own."""
    made = recommender.unlearned()
    made.observe(
        Interaction(f"u{user}", f"t{item:02d}", value=5.0)
        for user in range(20)
        for item in range(user % 5, 30, 5)
        if (user + item) % 3
    )
    return made


@pytest.fixture(params=["words", "observed"])
def either(request) -> Any:
    """A recommender before and after it has observed anything."""
    return request.getfixturevalue("recommender" if request.param == "words" else "observed")


EVENING = Context({"time": "evening"})


@pytest.mark.parametrize("profile", PEOPLE.values(), ids=PEOPLE)
@pytest.mark.parametrize("context", [None, EVENING], ids=["anywhere", "evening"])
def test_without_its_cause_an_item_falls(either, profile, context):
    found = either.recommend(profile, context=context, k=10, explain=True)
    for one in found:
        for reason in one.reasons:
            assert reason.fall > 0
            assert falls(either, profile, reason, one.id, context=context), (one.title, reason)


@pytest.mark.parametrize("profile", PEOPLE.values(), ids=PEOPLE)
def test_sentences_claim_nothing_but_what_is_known(either, profile):
    catalogue, context = either.catalogue, EVENING
    titles = {item.id: item.title for item in catalogue.items}
    stated = {*profile.likes, *profile.dislikes, *(event.item for event in profile.events)}
    known = {titles.get(value, value) for value in stated} | {phrase.said for phrase in phrases(profile.text)}
    known |= {"evening", "time: evening", ""}
    for one in either.recommend(profile, context=context, k=10, explain=True):
        has = {
            (name, str(member))
            for name, value in one.item.attributes.items()
            for member in (value if isinstance(value, tuple) else (value,))
        }
        for reason in one.reasons:
            assert grounded(reason.sentence, causes=known, having=has), reason


def test_most_recommendations_have_one(recommender):
    profiles = [PEOPLE[name] for name in ("words", "likes", "everything")]
    found = [one for profile in profiles for one in recommender.recommend(profile, k=10, explain=True)]
    assert np.mean([bool(one.reasons) for one in found]) >= 0.8
    assert all(len(one.reasons) <= SHOWN for one in found)
    assert any(one.reasons and one.reasons[0].kind == "like" for one in found)
    assert any(one.reasons and one.reasons[0].kind == "text" for one in found)


def test_reasons_change_nothing_else(either):
    profile = PEOPLE["everything"]
    plain, explained = either.recommend(profile, k=10), either.recommend(profile, k=10, explain=True)
    assert all(one.reasons == () for one in plain)
    assert [replace(one, reasons=()) for one in explained] == list(plain)


def test_a_reread_list_has_the_reasons_of_the_one_it_was_made_of(recommender):
    profile = PEOPLE["likes"]
    before = {one.id: one.reasons for one in recommender.recommend(profile, k=30, explain=True)}
    for one in recommender.recommend(profile, k=5, language=5, explain=True):
        assert one.reasons == before[one.id]


def test_what_others_like_is_said_only_of_what_some_like_together(observed):
    likes = observed.platform.likes.table
    said_so = 0
    for one in observed.recommend(PEOPLE["likes"], k=26, explain=True):
        for reason in one.reasons:
            if "Others who like" in reason.sentence:
                said_so += 1
                pair = [observed.catalogue.row(one.id), observed._reader.find(reason.cause)]
                assert (likes[:, pair].sum(1) == 2).sum() >= 2
    assert said_so


def test_what_is_said_no_to_is_no_reason(recommender):
    found = recommender.recommend(Profile(text="nothing grassy"), k=10, explain=True)
    assert not any("grassy" in reason.sentence for one in found for reason in one.reasons)


@pytest.mark.parametrize(
    "text",
    ["{cause} {{ 7 * 7 }}", "x" * 100_000, "a, " * 50_000, "\ud800 smoke", "]]> <script>alert(1)</script>", "🍵, 🍵"],
    ids=["slots", "one word", "many phrases", "half a character", "markup", "no words"],
)
def test_any_text_and_title_gets_true_reasons_or_none(encoder, text, teas):
    items = [*teas(12), Item("odd", text, {"sort": text[:50], "notes": ("honey", text[:30])})]
    recommender = Recommender.build(Catalogue(items, kind="tea"), encoder=encoder, language_model=None)
    profile = Profile(text=f"{text}, honey", likes=["odd", "t03"])
    for one in recommender.recommend(profile, k=10, explain=True):
        assert all(len(reason.sentence) < 300 and "<script" not in reason.sentence for reason in one.reasons)


# Phrases


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("bold, full-bodied reds for a steak dinner", ["bold", "full-bodied reds", "steak dinner"]),
        ("I don't like sweet wines or rosé; rather dry whites", ["dry whites"]),
        ("Something like Lord of the Rings but not as long", ["Lord of the Rings"]),
        ("without oak, but with fruit", ["fruit"]),
        ("I would like something", []),
        ("", []),
    ],
)
def test_phrases_are_what_is_asked_for(text, asked):
    assert [phrase.said for phrase in phrases(text)] == asked


def test_a_phrase_and_the_rest_make_the_text():
    for phrase in phrases("bold, full-bodied reds for a steak dinner"):
        assert phrase.said not in phrase.rest
    assert [phrase.rest for phrase in phrases("something crisp")] == [""]


# Sentences


@pytest.mark.parametrize("form", FORMS)
def test_a_form_is_grounded_in_its_own_evidence_alone(form):
    sentence = said(form, cause="Barolo", label="grapes", value="Nebbiolo", several=True)
    assert grounded(sentence, causes={"Barolo"}, having={("grapes", "Nebbiolo")})
    if "{cause}" in FORMS[form]:
        assert not grounded(sentence, causes={"Soave"}, having={("grapes", "Nebbiolo")})
    if "{value}" in FORMS[form]:
        assert not grounded(sentence, causes={"Barolo"}, having={("grapes", "Garganega")})
    assert not grounded(sentence + " It is the best.", causes={"Barolo"}, having={("grapes", "Nebbiolo")})


# Traits


def test_a_trait_is_met_where_its_items_fall_further(catalogue, recommender):
    traits = Traits(catalogue, recommender.library.fields)
    green = np.array([item.attributes["sort"] == "green" for item in catalogue.items])
    met = traits.met(np.where(green, 1.0, 0.0), np.arange(len(catalogue)))
    assert traits.traits[max(met, key=lambda place: met[place])].value == "green"
    assert traits.met(np.zeros(len(catalogue)), np.arange(len(catalogue))) == {}


def test_numbers_ids_and_what_one_item_has_are_no_traits(recommender):
    items = [
        Item(
            f"i{place}",
            f"Tea {place}",
            {
                "year": 2000 + place % 2,
                "maker_id": "m1",
                "sort": ("Green", "GREEN"),
                "note": f"n{place}",
                "url": "https://x.test",
                "origin": "Uji" if place % 2 else "Assam",
            },
        )
        for place in range(10)
    ]
    found = Traits(Catalogue(items, kind="tea"), recommender.library.fields)
    assert {(trait.label, trait.value) for trait in found.traits} == {("origin", "Uji"), ("origin", "Assam")}


def test_interactions_of_items_that_went_say_nothing(recommender):
    made = recommender.unlearned()
    made.observe([Interaction("u", "gone", value=5.0), Interaction("v", "t01", value=5.0)])
    assert len(made.recommend(Profile(likes=["t02"]), k=5, explain=True)) == 5
