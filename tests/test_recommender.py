"""Laws of the recommender: what is asked holds, scores add up, and nothing but the evidence orders the list."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from coldstart.catalogue import Catalogue
from coldstart.entities import Context, Interaction, Item, Profile
from coldstart.errors import ProfileError, UnknownItem
from coldstart.fusion import LEAST
from coldstart.recommender import Recommender, Suitability

SMOKY = Profile(
    text="smoky and malty, for the evening",
    attributes={"age": 34, "city": "Kandy"},
    likes=["t03", "Lantern Street", "cocoa and malt"],
    dislikes=["t11", "grass and hay"],
    history=["t01", Interaction("u", "t02")],
)
EVENING = Context({"time": "evening"})
PROFILES = {
    "nobody": Profile(),
    "words": Profile(text="honey"),
    "likes": Profile(likes=["t03", "t04"]),
    "dislikes": Profile(dislikes=["t03"]),
    "history": Profile(history=["t03"]),
    "age": Profile(attributes={"age": 34}),
    "everything": SMOKY,
}
HOSTILE = {
    "a megabyte": "smoke and malt " * 70_000,
    "a megabyte without a space": "x" * 1_000_000,
    "control characters": "\x00\x01\x1b[31m\x1e\x7f\x85 \u2028\u2029 smoke",
    "template syntax": "{{ ''.__class__ }} {% for x in y %} {# no #} }} %}",
    "chat markers": "<|user|>hi<|end|><|assistant|> Yes</s> [INST] <|im_end|>",
    "lone surrogates": "\ud800 smoke \udfff and \ud83c malt",
    "emoji": "🍵👩‍👩‍👧‍👦🏴󠁧󠁢󠁥󠁮󠁧󠁿 tea",
    "right to left": "שלום \u202e smoke \u200f مرحبا",
    "special tokens": "[CLS] [SEP] [PAD] [MASK] <s> </s>",
    "line breaks": "a\r\nb\n\n\n\tc",
}


@pytest.fixture
def build(encoder, language_model):
    def built(items, *, kind="tea", **options) -> Recommender:
        given = {"encoder": encoder, "language_model": language_model, **options}
        return Recommender.build(Catalogue(items, kind=kind), **given)

    return built


@pytest.fixture(scope="module")
def silent(catalogue, encoder):
    """A recommender without a language model."""
    return Recommender.build(catalogue, encoder=encoder, language_model=None)


def ids(found) -> list[str]:
    return [each.id for each in found]


# The list


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
@pytest.mark.parametrize("language", [0, 5])
def test_ranks_count_scores_fall_and_parts_add_up(recommender, profile, language, add_up):
    found = recommender.recommend(profile, context=EVENING, k=8, language=language)
    assert len(found) == 8
    assert len(set(ids(found))) == 8
    add_up(found)
    assert ("language" in found[0].parts) == bool(language and found.description)


@pytest.mark.parametrize("language", [0, 5])
def test_the_same_request_gets_the_same_list_also_of_another_build(recommender, build, teas, language):
    other = build(teas())
    for profile in PROFILES.values():
        first = recommender.recommend(profile, k=8, language=language)
        assert recommender.recommend(profile, k=8, language=language) == first
        again = other.recommend(profile, k=8, language=language)
        assert ids(again) == ids(first)
        np.testing.assert_allclose([r.score for r in again], [r.score for r in first], atol=1e-5)


@pytest.fixture(scope="module")
def shuffled(teas, encoder, language_model):
    """A recommender of the same teas in another order."""
    items = [teas()[place] for place in np.random.default_rng(3).permutation(30)]
    return Recommender.build(Catalogue(items, kind="tea"), encoder=encoder, language_model=language_model)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_the_order_of_the_catalogue_changes_no_ranking(recommender, shuffled, profile):
    assert ids(shuffled.recommend(profile, k=30)) == ids(recommender.recommend(profile, k=30))


def test_a_shorter_list_is_the_beginning_of_a_longer_one(recommender):
    long = ids(recommender.recommend(SMOKY, k=30))
    assert all(ids(recommender.recommend(SMOKY, k=k)) == long[:k] for k in (1, 7, 25))


def test_more_than_there_is_gives_all_there_is(recommender):
    assert sorted(ids(recommender.recommend(k=1000))) == sorted(recommender.catalogue.ids)
    assert len(recommender.recommend(Profile(likes=["t03"]), k=1000)) == 29


@pytest.mark.parametrize("k", [0, -1, 1.5, True, None, "3", math.nan])
def test_a_k_that_is_no_count_is_an_error(recommender, k):
    with pytest.raises(ProfileError, match=re.escape(f"k is {k!r}: expected a whole number >= 1")):
        recommender.recommend(k=k)


@pytest.mark.parametrize("language", [-1, 1.5, True, None])
def test_a_number_of_rereadings_that_is_no_count_is_an_error(recommender, language):
    with pytest.raises(ProfileError, match=re.escape(f"language is {language!r}: expected a whole number >= 0")):
        recommender.recommend(language=language)


def test_a_count_of_numpy_is_a_count(recommender):
    assert len(recommender.recommend(k=np.int64(3))) == 3


def test_scores_without_a_list_are_the_same(recommender):
    scores = recommender.score(Profile(text="honey"))
    found = recommender.recommend(Profile(text="honey"), k=30)
    assert scores.shape == (30,)
    for each in found:
        assert scores[recommender.catalogue.row(each.id)] == pytest.approx(each.score, abs=1e-5)


def test_everything_that_took_part_is_named(recommender, encoder, language_model):
    found = recommender.recommend(SMOKY)
    assert found.models == {encoder.name: encoder.hash, language_model.name: language_model.hash}
    assert found.template_hash == recommender.library.hash()
    assert "smoky and malty" in found.description
    assert found[0].item == recommender.catalogue[recommender.catalogue.row(found[0].id)]


# What is known


def test_nobody_gets_the_ranking_by_appeal_and_is_told(recommender):
    found = recommender.recommend(k=30)
    assert recommender.recommend(Profile(), k=30) == found
    assert found.degraded
    assert "appeal alone" in found.fallback_reason
    assert found.description == ""
    assert [set(each.parts) for each in found] == [{"appeal"}] * 30
    priors = [each.parts["appeal"].raw for each in found]
    assert priors == sorted(priors, reverse=True)


@pytest.mark.parametrize("name", [name for name in PROFILES if name != "nobody"])
def test_a_personal_list_is_not_degraded(recommender, name):
    found = recommender.recommend(PROFILES[name])
    assert (found.degraded, found.fallback_reason) == (False, "")
    assert set(found[0].parts) > {"appeal"}


def test_what_is_liked_disliked_or_past_does_not_come_back(recommender):
    named = {"t03", "t05", "t11", "t01", "t02"}
    assert set(ids(recommender.recommend(SMOKY, k=30))) == set(recommender.catalogue.ids) - named
    asked = ["t03", "t11", "t01", "t20"]
    assert sorted(ids(recommender.recommend(SMOKY, candidates=asked))) == sorted(asked)


def test_a_title_and_an_id_are_the_same_like(recommender):
    lists = [recommender.recommend(Profile(likes=[like])) for like in ("t05", "Lantern Street", " lantern street ")]
    assert ids(lists[0]) == ids(lists[1]) == ids(lists[2])
    assert lists[1].notes == ()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("something like Lantern Street", True),
        ("similar to lantern street, but milder", True),
        ("Lantern Street", False),
        ("I like Lantern Street", False),
        ("something like Lantern Street at Night", False),
    ],
)
def test_an_item_that_is_an_example_does_not_come_back_and_one_that_is_looked_for_does(recommender, text, named):
    found = recommender.recommend(Profile(text=text), k=30)
    assert ("t05" not in ids(found)) == named
    assert any("example" in note for note in found.notes) == named


def test_a_phrase_is_noted(recommender):
    found = recommender.recommend(Profile(likes=["cocoa and malt"], dislikes=["honey"]))
    assert len(found.notes) == 2
    assert re.search(r"likes names 'cocoa and malt'.*read as a phrase", found.notes[0])
    assert re.search(r"dislikes names 'honey'.*read as a phrase", found.notes[1])


def test_a_like_moves_its_likeness_up(recommender):
    before = recommender.score(Profile(likes=["t03"]))
    row = recommender.catalogue.row("t20")
    after = recommender.score(Profile(likes=["t03", "t20"]))
    assert (after > after[row]).sum() < (before > before[row]).sum()


# What is asked


def test_conditions_exclusions_and_candidates_hold_together(recommender, add_up):
    green = [item.id for item in recommender.catalogue if item.attributes["sort"] == "green"]
    found = recommender.recommend(where={"sort": "green"}, k=30)
    assert sorted(ids(found)) == green
    found = recommender.recommend(where={"sort": "green"}, exclude=green[:2], k=30)
    assert sorted(ids(found)) == green[2:]
    found = recommender.recommend(where={"sort": "green"}, exclude=green[:2], candidates=[*green[:4], "t01"], k=30)
    assert sorted(ids(found)) == green[2:4]
    add_up(found)


@pytest.mark.parametrize(
    "asked",
    [
        {"where": {"sort": "green", "origin": "Nowhere"}},
        {"candidates": []},
        {"candidates": ["t01"], "exclude": ["t01"]},
        {"where": {"year": {"min": 3000}}},
    ],
)
@pytest.mark.parametrize("language", [0, 5])
def test_when_nothing_is_left_the_list_is_empty_and_says_why(recommender, asked, language):
    found = recommender.recommend(SMOKY, language=language, **asked)
    assert len(found) == 0
    assert found.degraded
    assert "no item is eligible" in found.fallback_reason


@pytest.mark.parametrize("place", ["likes", "dislikes", "history", "exclude", "candidates"])
def test_an_unknown_id_is_named_with_what_may_be_meant(recommender, place):
    profile = Profile(**{place: ["t999"]}) if place in ("likes", "dislikes", "history") else Profile()
    asked = {place: ["t999"]} if place in ("exclude", "candidates") else {}
    with pytest.raises(UnknownItem, match=r"'t999'.*(did you mean|ids look like)"):
        recommender.recommend(profile, **asked)


@pytest.mark.parametrize("place", ["exclude", "candidates"])
def test_ids_given_as_text_are_an_error_that_shows_the_list(recommender, place):
    with pytest.raises(ProfileError, match=rf"{place} is the text 't03': expected a list of item ids; write \['t03'\]"):
        recommender.recommend(**{place: "t03"})


def test_a_condition_on_an_unknown_attribute_is_an_error(recommender):
    with pytest.raises(ProfileError, match="colour"):
        recommender.recommend(where={"colour": "red"})


@pytest.mark.parametrize("weights", [{"luck": 1.0}, {"text": -1}, {"text": math.nan}, {"text": "1"}])
def test_a_weight_that_can_not_be_used_is_an_error(recommender, weights):
    with pytest.raises(ProfileError, match=r"expected (one of|a number)"):
        recommender.reweighted(weights)


def test_a_scorer_of_weight_zero_leaves_the_order_to_the_others(recommender, add_up):
    found = recommender.reweighted({"appeal": 0.0}).recommend(Profile(text="honey"), k=30)
    assert all(each.parts["appeal"].contribution == 0 for each in found)
    add_up(found)


# Items come


def test_adding_returns_another_recommender_and_leaves_this_one(build, teas):
    old = build(teas(20), weights={"text": 0.3})
    before = old.recommend(SMOKY, k=30)
    new = old.add(teas()[20:])
    assert (len(old.catalogue), len(new.catalogue)) == (20, 30)
    assert old.recommend(SMOKY, k=30) == before
    assert new.weights["text"] == 0.3
    assert len(new.recommend(k=30)) == 30


def test_adding_ranks_like_building_with_all(recommender, build, teas):
    grown = build(teas(20)).add(teas()[20:25]).add(teas()[25:])
    for profile in PROFILES.values():
        assert ids(grown.recommend(profile, k=30)) == ids(recommender.recommend(profile, k=30))


def test_adding_a_known_id_replaces_the_item(build, teas):
    new = build(teas(5)).add([Item("t02", "Blue Gate", {"sort": "white"})])
    assert len(new.catalogue) == 5
    assert new.catalogue[2].title == "Blue Gate"


def test_an_audience_is_ranked_by_where_the_item_stands_in_each_list(recommender):
    profiles = {"b": Profile(text="honey"), "a": Profile(text="honey"), "c": Profile(likes=["t20"])}
    found = recommender.audience("t20", profiles)
    assert [suit.rank for suit in found] == sorted(suit.rank for suit in found)
    assert {suit.of for suit in found} == {30}
    by_name = {suit.name: suit for suit in found}
    assert isinstance(found[0], Suitability)
    assert by_name["a"].rank == by_name["b"].rank
    assert ids_of(found).index("a") < ids_of(found).index("b")
    lists = recommender.recommend(profiles["a"], k=30)
    assert next(each.rank for each in lists if each.id == "t20") == by_name["a"].rank
    with pytest.raises(UnknownItem, match="t999"):
        recommender.audience("t999", profiles)


def ids_of(found) -> list[str]:
    return [suit.name for suit in found]


# Without a language model


def test_without_a_language_model_nobody_gets_an_arbitrary_order_and_is_told(silent):
    found = silent.recommend(k=30)
    assert len(found) == 30
    assert found.degraded
    assert "order is arbitrary" in found.fallback_reason
    assert ids(silent.recommend(k=30)) == ids(found) != sorted(ids(found))
    assert all(each.parts == {} and each.score == 0 for each in found)


def test_without_a_language_model_rereading_is_declined_in_words(silent, encoder):
    found = silent.recommend(Profile(text="honey"), language=5)
    assert len(found) == 10
    assert found.degraded
    assert "no language model" in found.fallback_reason
    assert found.models == {encoder.name: encoder.hash}
    assert ids(found) == ids(silent.recommend(Profile(text="honey")))


# Hostile input


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_profile_breaks_a_request(recommender, text, add_up):
    profile = Profile(text, {"city": text, "hobby": [text, "tea"]}, likes=[f"{text} a"], dislikes=[f"{text} b"])
    found = recommender.recommend(profile, context=Context({"place": text}), k=5, language=2)
    assert len(found) == 5
    add_up(found)
    for note in found.notes:
        assert len(note) < 300


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_item_breaks_a_catalogue(build, teas, text, tmp_path, encoder, language_model, add_up):
    hostile = Item("hostile", text, {"sort": text, "notes": (text, "hay"), "description": text})
    built = build([*teas(3), hostile], path=tmp_path / "index")
    loaded = Recommender.load(tmp_path / "index", encoder=encoder, language_model=language_model)
    for profile in (Profile(), Profile("hay", likes=["hostile"])):
        found = built.recommend(profile, candidates=built.catalogue.ids, language=2)
        assert len(found) == 4
        add_up(found)
        assert ids(loaded.recommend(profile, candidates=built.catalogue.ids, language=2)) == ids(found)
    calm = [each.score for each in built.recommend(Profile("hay"), k=4)]
    assert np.isfinite(calm).all()


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_id_breaks_a_catalogue(build, teas, text, tmp_path):
    built = build([*teas(3), Item(text, "Tea")], path=tmp_path / "index")
    assert text in ids(built.recommend(k=4))
    assert text not in ids(built.recommend(exclude=[text], k=4))


def test_an_unknown_id_of_a_megabyte_is_answered_in_a_few_words(recommender):
    for profile in (Profile(likes=["x" * 10**6]), Profile(history=["x" * 10**6])):
        with pytest.raises(UnknownItem) as error:
            recommender.recommend(profile)
        assert len(str(error.value)) < 1000


# Odd catalogues


def test_a_catalogue_of_one_item(build, teas, add_up):
    built = build(teas(1))
    for profile in (Profile(), Profile(text="honey", attributes={"age": 3}), Profile(dislikes=["grass and hay"])):
        found = built.recommend(profile, k=3, language=1)
        assert ids(found) == ["t00"]
        add_up(found)
    assert "no item is eligible" in built.recommend(Profile(likes=["t00"])).fallback_reason
    assert ids(built.recommend(Profile(likes=["t00"]), candidates=["t00"])) == ["t00"]


def test_items_with_equal_titles_are_told_apart_by_id_alone(build, add_up):
    twins = [Item(f"i{n}", "Twin", {"sort": "green"}) for n in range(9)]
    forward, backward = build(twins), build(reversed(twins))
    for profile in (Profile(), Profile(text="honey"), Profile(likes=["i3"], text="green")):
        found = forward.recommend(profile, k=9)
        add_up(found)
        assert ids(found) == ids(backward.recommend(profile, k=9))
    assert "read as a phrase" in forward.recommend(Profile(likes=["twin"])).notes[0]


def test_twins_stand_together_among_others(build, teas):
    twins = [Item(f"i{n}", "Twin", {"sort": "green"}) for n in range(5)]
    forward, backward = build([*twins, *teas(20)]), build([*reversed(teas(20)), *reversed(twins)])
    for profile in PROFILES.values():
        lists = [ids(each.recommend(profile, k=30)) for each in (forward, backward)]
        # Among themselves they may change places: equal rows of a matrix product differ in the last bit.
        assert [re.sub(r"i\d", "i", name) for name in lists[0]] == [re.sub(r"i\d", "i", name) for name in lists[1]]
        assert "i,i,i,i,i" in re.sub(r"i\d", "i", ",".join(lists[0]))


def test_items_without_titles(build, add_up):
    built = build([Item(f"i{n}", "", {"sort": sort}) for n, sort in enumerate(("green", "black", "white"))])
    for profile in (Profile(), Profile(text="green"), Profile(likes=["i0"])):
        found = built.recommend(profile, candidates=built.catalogue.ids, language=2)
        assert len(found) == 3
        add_up(found)
    assert built.recommend().degraded


def test_items_that_share_every_word(build):
    built = build([Item(f"i{n}", "Tea") for n in range(3)])
    found = built.recommend(Profile(text="tea", likes=["i0"]))
    assert len(found) == 2
    assert all(each.score == 0 for each in found) or len({round(each.score, 9) for each in found}) == 1


# Building again


def test_an_unchanged_catalogue_is_opened_without_asking_a_model(build, catalogue, tmp_path, monkeypatch):
    first = build(catalogue.items, path=tmp_path / "index")
    monkeypatch.setattr("coldstart.building.build", None)
    again = build(catalogue.items, path=tmp_path / "index")
    assert again.catalogue.ids == first.catalogue.ids
    assert [one.id for one in again.recommend()] == [one.id for one in first.recommend()]


def test_rows_stand_in_the_order_that_was_asked_for(build, catalogue, tmp_path):
    build(catalogue.items, path=tmp_path / "index")
    turned = build(catalogue.items[::-1], path=tmp_path / "index")
    assert turned.catalogue.ids == catalogue.ids[::-1]


def test_what_was_added_is_kept_where_asked(recommender, tmp_path, monkeypatch):
    new = [Item("new", "Slow River (2011)", {"sort": "black"})]
    grown = recommender.add(new, path=tmp_path / "grown")
    monkeypatch.setattr("coldstart.building.build", None)
    again = recommender.add(new, path=tmp_path / "grown")
    assert again.catalogue.ids == grown.catalogue.ids
    assert (again.score(Profile()) == grown.score(Profile())).all()


@pytest.mark.parametrize("year", [1995, "1995", "1995-11-22"])
def test_a_title_with_its_year_names_the_item_that_tells_the_year_apart(encoder, year):
    items = [Item("a", "Toy Story", {"released": year}), Item("b", "Heat", {"released": 1986}), Item("c", "Casino")]
    found = Recommender.build(Catalogue(items), encoder=encoder, language_model=None)
    told = found.recommend(Profile(likes=["Toy Story (1995)"]))
    assert "a" not in {one.id for one in told}
    assert not told.notes
    for other in ("Heat (1995)", "Casino (1995)"):  # another year's, or nobody knows
        assert "read as a phrase" in found.recommend(Profile(likes=[other])).notes[0]


def test_all_named_by_the_language_model_are_read_like_all_of_the_best(recommender, monkeypatch):
    monkeypatch.setattr("coldstart.recommender.NAMING_READS", 10**6)
    asked = Profile(text="smoky, for the evening")
    every = len(recommender.catalogue)
    named = recommender.recommend(asked, k=5, language=5, named=every)
    best = recommender.recommend(asked, k=5, language=every)
    assert [each.id for each in named] == [each.id for each in best]
    assert [each.score for each in named] == pytest.approx([each.score for each in best], abs=1e-4)


def test_only_what_may_come_back_is_named(recommender):
    asked = Profile(text="smoky, for the evening")
    few = recommender.catalogue.ids[:6]
    found = recommender.recommend(asked, k=10, language=1, named=10, candidates=few, exclude=few[:1])
    assert {each.id for each in found} == set(few[1:])


def test_who_leaves_the_choice_gets_the_list_of_someone_who_said_nothing(recommender):
    found, nobody = recommender.recommend(Profile(text="not sure, surprise me")), recommender.recommend()
    assert [one.id for one in found] == [one.id for one in nobody]
    assert "leaves the choice" in found.notes[0]


def test_what_is_asked_for_weighs_as_much_as_all_the_rest_tells_apart(recommender):
    """However much appeal tells items apart, what a request says holds beside it."""
    profile = Profile(text="smoky and malty")
    asked = {}
    for appeal in (0.0, 1.0, 10.0):
        found = recommender.reweighted({"appeal": appeal}).recommend(profile, k=30)
        asked[appeal] = found[0].parts["text"].weight
        rest = [sum(p.contribution for name, p in one.parts.items() if name in ("appeal", "language")) for one in found]
        assert found[0].parts["text"].weight == pytest.approx(asked[0.0] * max(1.0, np.std(rest) / LEAST), rel=0.3)
    assert asked[0.0] < asked[1.0] < asked[10.0]


def test_a_ranker_without_scorers_ranks_as_one_with_no_weight_on_them(recommender):
    profile = Profile(text="smoky and malty", likes=["t03", "t04"], dislikes=["hay"])
    query, rows = recommender.query(profile), recommender.ranker.rows
    for names in (["text"], ["appeal"], ["liked", "taste", "lexical"], []):
        left = recommender.ranker.without(names).score(query, rows, None)
        plain = recommender.reweighted(dict.fromkeys(names, 0.0)).weighed(profile)[1]
        np.testing.assert_allclose(left.fused, plain.fused)
    assert recommender.ranker.weights["text"] > 0
