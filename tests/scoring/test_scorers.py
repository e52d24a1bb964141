"""Laws that every scorer inherits, and those of each one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

from coldstart.catalogue import Catalogue
from coldstart.entities import Context, Interaction, Item, Profile
from coldstart.interactions import Interactions
from coldstart.learning.platform import Platform
from coldstart.refining.balance import SHIPPED
from coldstart.scoring.appeal import Appeal, earned_weight, prior
from coldstart.scoring.collaborative import FULL_WEIGHT, Borrowed, Collaborative, weight
from coldstart.scoring.following import Following, Follows
from coldstart.scoring.language import Language
from coldstart.scoring.lexical import Keywords, Lexical, Words
from coldstart.scoring.naming import Naming
from coldstart.scoring.relevance import Disliked, Liked, Said, Taste

FULL = Profile(
    text="smoky and malty, for the evening",
    attributes={"age": 34, "city": "Kandy"},
    likes=["t03", "t07", "cocoa and malt"],
    dislikes=["t11", "grass and hay"],
    history=["t01", "t02", "t05"],
)
NOW = Context({"time": "evening", "place": "garden"})
EVERYTHING = {"text": FULL.text, "attributes": FULL.attributes, "likes": FULL.likes, "dislikes": FULL.dislikes}


def without(*names: str) -> Profile:
    """Return what is known but for some of it."""
    return Profile(**{name: value for name, value in EVERYTHING.items() if name not in names})


class ScorerContract:
    """Laws every scorer obeys. Subclass it and provide ``make``, and the requests on which it must be ``silent``."""

    make: ClassVar[Callable[..., Any]]
    silent: ClassVar[Sequence[tuple[Profile, Context | None]]] = ((Profile(), None),)
    speaks: ClassVar[Profile] = FULL
    close: ClassVar[float] = 1e-5
    may_lack_untitled: ClassVar[bool] = False

    @pytest.fixture
    def scorer(self, world):
        return type(self).make(world)

    @pytest.fixture
    def query(self, world):
        return world.ask(self.speaks, NOW)

    @pytest.fixture
    def rows(self, world):
        return np.arange(len(world.index.catalogue))

    def test_a_score_a_row(self, scorer, query, rows):
        scores = scorer.score(query, rows)
        assert scores.shape == rows.shape
        assert scores.dtype == np.float64
        assert np.isfinite(scores).any()

    def test_scores_follow_their_rows_when_order_changes(self, scorer, query, rows):
        order = np.random.default_rng(0).permutation(rows)
        np.testing.assert_allclose(scorer.score(query, order), scorer.score(query, rows)[order], atol=self.close)

    def test_a_batch_scores_like_its_members(self, scorer, query, rows):
        scores = scorer.score(query, rows)
        alone = np.concatenate([scorer.score(query, rows[place : place + 1]) for place in rows[:8]])
        np.testing.assert_allclose(alone, scores[:8], atol=self.close)

    def test_other_rows_change_no_score(self, scorer, query, rows):
        chosen = np.array([4, 19, 4, 0])
        np.testing.assert_allclose(scorer.score(query, chosen), scorer.score(query, rows)[chosen], atol=self.close)

    def test_the_same_request_scores_the_same(self, scorer, world, query, rows):
        again = type(self).make(world)
        np.testing.assert_array_equal(scorer.score(query, rows), scorer.score(query, rows))
        np.testing.assert_array_equal(scorer.score(query, rows), again.score(query, rows))

    def test_what_was_saved_scores_the_same_when_loaded(self, scorer, reloaded, query, rows):
        asked = reloaded.ask(self.speaks, NOW)
        np.testing.assert_allclose(
            type(self).make(reloaded).score(asked, rows), scorer.score(query, rows), atol=self.close
        )

    def test_it_is_silent_on_all_rows_or_on_none(self, scorer, world, query, rows):
        silent = np.isnan(scorer.score(query, rows))
        assert not np.delete(silent, world.untitled).any()
        assert not silent[world.untitled] or self.may_lack_untitled

    def test_without_evidence_it_abstains(self, scorer, world, rows):
        for profile, context in self.silent:
            assert np.isnan(scorer.score(world.ask(profile, context), rows)).all()

    def test_no_rows_get_no_scores(self, scorer, query):
        assert scorer.score(query, np.array([], np.int64)).shape == (0,)

    def test_a_score_is_finite_or_missing(self, scorer, query, rows):
        assert not np.isinf(scorer.score(query, rows)).any()


class TestLiked(ScorerContract):
    make = staticmethod(lambda world: Liked(world.index))
    silent = ((Profile(), None), (without("likes"), NOW), (Profile(dislikes=["t03"]), None))

    def test_an_item_is_closest_to_itself(self, scorer, world, rows):
        scores = scorer.score(world.ask(Profile(likes=["t07"])), rows)
        assert scores.argmax() == world.index.catalogue.row("t07")
        assert scores.max() == pytest.approx(1, abs=1e-5)

    def test_scores_are_cosines(self, scorer, query, rows):
        assert (np.abs(scorer.score(query, rows)) <= 1 + 1e-5).all()

    def test_the_order_of_likes_does_not_count(self, scorer, world, rows):
        scores = [scorer.score(world.ask(Profile(likes=likes)), rows) for likes in (["t03", "t07"], ["t07", "t03"])]
        np.testing.assert_allclose(*scores, atol=1e-5)

    def test_a_phrase_counts_as_an_item_does(self, scorer, world, rows):
        scores = scorer.score(world.ask(Profile(likes=["honey and malt"])), rows)
        assert np.isfinite(scores).all()
        assert scores.std() > 0


class TestTaste(ScorerContract):
    make = staticmethod(lambda world: Taste(world.index))
    silent = ((Profile(), None), (without("likes"), NOW), (Profile(dislikes=["t03"]), None))

    def test_a_like_raises_its_own_score(self, scorer, world, rows):
        row = world.index.catalogue.row("t07")
        before = scorer.score(world.ask(Profile(likes=["t03"])), rows)
        after = scorer.score(world.ask(Profile(likes=["t03", "t07"])), rows)
        assert after[row] > before[row]

    def test_many_examples_are_solved_like_few(self, scorer, world, rows):
        ids = list(world.index.catalogue.ids)
        phrases = [f"{note} and more {number}" for number in range(6) for note in ("honey", "malt", "smoke")]
        scores = scorer.score(world.ask(Profile(likes=[*ids, *phrases])), rows)
        assert np.isfinite(scores).all()


def follows(world, *, matrix=None, places=(0.0, -1.0, -2.0)) -> Follows:
    """Return what an adapter knows, by default of no turn but of an order."""
    size = world.index.vectors.shape[1]
    matrix = np.zeros((size, size), np.float32) if matrix is None else matrix
    return Follows(matrix, np.array(places, np.float32), SHIPPED)


class TestFollowing(ScorerContract):
    make = staticmethod(lambda world: Following(world.index, follows(world)))
    silent = ((Profile(), None), (without("likes"), NOW), (Profile(dislikes=["t03"]), None))

    def test_a_score_is_the_cosine_with_the_shared_sum_of_turned_vectors(self, world, rows):
        matrix = np.random.default_rng(2).normal(0, 0.1, (world.index.vectors.shape[1],) * 2).astype(np.float32)
        scorer = Following(world.index, follows(world, matrix=matrix, places=(0.0, -1.0)))
        old, new = (world.index.centred[world.index.catalogue.row(id_)] for id_ in ("t03", "t07"))
        turned = [vector + vector @ matrix for vector in (new, old)]
        person = sum(np.exp(-place) * one / np.linalg.norm(one) for place, one in enumerate(turned))
        expected = world.index.centred @ (person / np.linalg.norm(person))
        found = scorer.score(world.ask(Profile(history=["t05", "t03", "t07"])), rows)
        np.testing.assert_allclose(found, expected, atol=1e-5)

    def test_a_large_catalogue_which_holds_no_vectors_is_scored_the_same(self, world, rows, monkeypatch):
        size = world.index.vectors.shape[1]
        turn = np.random.default_rng(3).normal(0, 0.1, (size, size)).astype(np.float32)
        told = replace(follows(world, matrix=turn), change=turn.T.copy())
        query = world.ask(Profile(history=["t05", "t03", "t07"]))
        small = Following(world.index, told)
        monkeypatch.setattr(type(world.index), "is_large", property(lambda _: True))
        large = Following(world.index, told)
        for asked in (rows, rows[3:9]):
            np.testing.assert_allclose(large.score(query, asked), small.score(query, asked), atol=1e-5)
        np.testing.assert_allclose(large.direction(query), small.direction(query), atol=1e-5)
        assert "_all" not in large.__dict__

    def test_the_order_counts_of_past_items_and_not_of_stated_likes(self, scorer, world, rows):
        orders = (["t03", "t07"], ["t07", "t03"])
        past = [scorer.score(world.ask(Profile(history=ids)), rows) for ids in orders]
        stated = [scorer.score(world.ask(Profile(likes=ids)), rows) for ids in orders]
        assert not np.allclose(*past, atol=1e-3)
        np.testing.assert_allclose(*stated, atol=1e-5)
        assert scorer.score(world.ask(Profile(history=orders[0])), rows).argmax() == world.index.catalogue.row("t07")


class TestText(ScorerContract):
    make = staticmethod(lambda world: Said(world.index, "text"))
    silent = ((Profile(), NOW), (without("text"), NOW))

    def test_a_score_is_the_cosine_with_the_text(self, scorer, world, query, rows):
        expected = world.index.centred @ query.vectors[query.texts["text"]]
        np.testing.assert_allclose(scorer.score(query, rows), expected, atol=1e-5)


class TestAbout(ScorerContract):
    make = staticmethod(lambda world: Said(world.index, "about"))
    silent = ((Profile(), NOW), (without("attributes"), NOW))


class TestContext(ScorerContract):
    make = staticmethod(lambda world: Said(world.index, "context"))
    silent = ((Profile(), None), (FULL, None), (FULL, Context()))


class TestDisliked(ScorerContract):
    make = staticmethod(lambda world: Disliked(world.index))
    silent = ((Profile(), None), (without("dislikes"), NOW))

    def test_it_only_ever_lowers(self, scorer, query, rows):
        assert (scorer.score(query, rows) <= 0).all()

    def test_the_disliked_item_is_lowest(self, scorer, world, rows):
        scores = scorer.score(world.ask(Profile(dislikes=["t07"])), rows)
        assert scores.argmin() == world.index.catalogue.row("t07")


class TestLexical(ScorerContract):
    make = staticmethod(lambda world: Lexical(Words(world.index.documents)))
    silent = ((Profile(), NOW), (Profile(attributes={"age": 3}), NOW), (Profile(text="kettle"), NOW))

    def test_items_that_share_words_come_first(self, scorer, world, rows):
        scores = scorer.score(world.ask(Profile(likes=["old kettle or so"])), rows)
        assert world.index.catalogue[int(scores.argmax())].title == "Old Kettle"

    def test_documents_without_a_word_silence_it(self, query):
        assert np.isnan(Lexical(Words(["", "!?", "..."])).score(query, np.arange(3))).all()


class TestKeywords(ScorerContract):
    make = staticmethod(lambda world: Keywords(Words(world.index.documents)))
    silent = ((Profile(), NOW), (Profile(likes=["t01", "t02"]), NOW), (Profile(text="zzz qqq"), NOW))

    def test_items_that_hold_the_words_come_first(self, scorer, world, rows):
        scores = scorer.score(world.ask(Profile(text="kettle")), rows)
        assert world.index.catalogue[int(scores.argmax())].title == "Old Kettle"
        assert (np.delete(scores, scores.argmax()) == 0).all()

    def test_a_word_that_nothing_holds_is_the_rarest(self, scorer):
        kettle, unheard = scorer.rarity(["kettle"]), scorer.rarity(["zzz"])
        assert 0 < kettle <= unheard
        assert scorer.rarity(["kettle", "zzz"]) == pytest.approx(kettle + unheard)


class TestAppeal(ScorerContract):
    make = staticmethod(lambda world: Appeal(world.index.appeal))
    silent = ()
    may_lack_untitled = True

    def test_it_asks_nothing_of_the_user(self, scorer, world, query, rows):
        np.testing.assert_array_equal(scorer.score(world.ask(Profile()), rows), scorer.score(query, rows))

    def test_only_items_without_a_title_are_missing(self, scorer, world, query, rows):
        assert np.flatnonzero(np.isnan(scorer.score(query, rows))).tolist() == [world.untitled]

    def test_the_prior_is_centred(self, world):
        assert np.nanmean(prior(world.index.appeal)) == pytest.approx(0, abs=1e-9)

    def test_what_is_better_known_never_weighs_less(self):
        weights = [earned_weight(knowledge) for knowledge in (-1.0, 0.0, 0.1, 0.5, 1.0, 5.0)]
        assert weights == sorted(weights)
        assert weights[0] >= 0


YESTERDAY, TODAY = 1e9 - 86_400, 1e9
DRUNK = [
    Interaction(f"u{person}", f"t{tea:02d}", timestamp=YESTERDAY)
    for person in range(40)
    for tea in range(23)
    if (person * 7 + tea * 11) % 5 == 0 or (tea in (3, 8, 20) and person % 3 == 0)
]


def learned(world, events=DRUNK, arrived=()) -> Platform:
    """Return the world's platform once some tea was drunk; the last teas and the one without a title by nobody."""
    made = Platform(
        {id_: row for row, id_ in enumerate(world.index.catalogue.ids)},
        world.index.centred,
        prior(world.index.appeal),
        expected=0.5,
        arrivals=dict.fromkeys(arrived, TODAY),
        now=TODAY,
    )
    made.observe(Interactions.from_records(events), now=TODAY)
    return made


class TestCollaborative(ScorerContract):
    make = staticmethod(lambda world: Collaborative(learned(world)))
    silent = ()  # it has the popularity to say

    def test_a_score_is_the_logarithm_of_a_chance(self, scorer, query, rows):
        assert (scorer.score(query, rows) <= 0).all()

    def test_of_whom_nothing_is_known_gets_the_popularity(self, scorer, world, rows):
        scores = scorer.score(world.ask(Profile()), rows)
        np.testing.assert_allclose(scores, np.log(learned(world).popularity.mean))
        np.testing.assert_array_equal(scorer.score(world.ask(Profile(text="honey")), rows), scores)

    def test_what_is_drunk_together_rises(self, scorer, world):
        together = np.array([8, 20])
        before, after = (scorer.score(world.ask(Profile(likes=likes)), together) for likes in ([], ["t03"]))
        assert (after > before).all()

    def test_a_past_item_says_less_than_a_stated_like(self, scorer, world):
        asked = (Profile(), Profile(likes=["t01"], history=["t03"]), Profile(likes=["t01", "t03"]))
        scores = [scorer.score(world.ask(profile), np.array([8, 20])).sum() for profile in asked]
        assert scores[1] < scores[2]

    def test_before_any_event_the_order_is_that_of_appeal(self, world, rows):
        scores = Collaborative(learned(world, events=[])).score(world.ask(Profile()), rows)
        appeal = np.nan_to_num(prior(world.index.appeal))
        assert np.array_equal(np.argsort(scores), np.argsort(appeal))


class TestBorrowed(ScorerContract):
    make = staticmethod(lambda world: Borrowed(Collaborative(learned(world, arrived=("t23", "blank")))))
    silent = ()

    def test_where_no_item_is_known_it_abstains(self, world, query, rows):
        nothing = SimpleNamespace(known=np.full(len(rows), 0.01), vectors=world.index.centred, telling=slice(None))
        assert np.isnan(Borrowed(Collaborative(nothing)).score(query, rows)).all()

    def test_it_is_the_ridge_regression_of_chances_on_vectors(self, world, query, rows):
        platform = learned(world, arrived=("t23", "blank"))
        chances = np.exp(Collaborative(platform).score(query, rows))
        known, vectors = platform.known, world.index.centred.astype(np.float64)
        aims = known * (chances - np.average(chances, weights=known))
        slopes = np.linalg.solve(
            vectors.T @ (vectors * known[:, None]) + 5.0 * np.eye(vectors.shape[1]), vectors.T @ aims
        )
        np.testing.assert_allclose(Borrowed(Collaborative(platform)).score(query, rows), vectors @ slopes, atol=1e-5)


class TestTheWeightOfLikes:
    """Laws of :func:`coldstart.scoring.collaborative.weight`."""

    @pytest.mark.parametrize("appeal", [0.0, 0.02, 1.5])
    def test_it_starts_from_that_of_appeal_and_never_falls_with_likes(self, appeal):
        for items in (1, 30, 20_000):
            weights = [weight(likes, items, appeal=appeal) for likes in (0, 1, 10, 1000, 10**5, 10**9)]
            assert weights[0] == appeal
            assert weights == sorted(weights)
            assert weights[-1] <= appeal + FULL_WEIGHT

    def test_the_same_likes_on_more_items_weigh_less(self):
        weights = [weight(1000, items, appeal=0.1) for items in (10, 100, 1000, 10_000)]
        assert weights == sorted(weights, reverse=True)
        assert weights[0] > weights[-1]


class TestLanguage(ScorerContract):
    make = staticmethod(lambda world: Language(world.model, world.index.catalogue, world.library))
    silent = ((Profile(), None),)
    close = 1e-3

    def test_it_is_the_difference_that_the_person_makes(self, scorer, world, query):
        rows = np.arange(3)
        model, library = world.model, world.library
        kind = world.index.catalogue.kind
        head, tail = model.chat("\x1e").split("\x1e")
        odds = []
        for description in (f"{query.description}\n", ""):
            titles = [
                library.describe_item(world.index.catalogue[row], kind=kind, template="item-title").text for row in rows
            ]
            asked = [f'Would this person enjoy the tea "{title}"? Answer yes or no.{tail}' for title in titles]
            odds.append(model.log_odds(head + description, asked, yes="Yes", no="No"))
        np.testing.assert_allclose(scorer.score(query, rows), odds[0] - odds[1], atol=self.close)


class TestNaming(ScorerContract):
    make = staticmethod(lambda world: Naming(world.model, world.index.catalogue, world.library))
    silent = ((Profile(), None),)
    close = 1e-3

    def test_it_is_the_difference_that_the_person_makes(self, scorer, world, query):
        rows = np.arange(3)
        kind = world.index.catalogue.kind
        items = [world.index.catalogue[row] for row in rows]
        titles = [f" {world.library.describe_item(item, kind=kind, template='item-name').text}" for item in items]
        opening = "Some of the teas that this person loves:\n1."
        given = world.model.likelihoods(f"{query.description}\n{opening}", titles).mean
        nobody = world.model.likelihoods(opening, titles).mean
        np.testing.assert_allclose(scorer.score(query, rows), given - nobody, atol=self.close)

    def test_slices_come_to_the_same_as_the_whole(self, scorer, query):
        rows = np.arange(7)
        found = list(scorer.slices(query, rows, size=3))
        assert [int(np.isfinite(each).sum()) for each in found] == [0, 3, 6, 7]
        np.testing.assert_allclose(found[-1], scorer.score(query, rows), atol=self.close)

    def test_a_year_changes_nothing_and_an_item_without_a_title_counts_nothing(self, world, query):
        items = [
            Item("a", "Lapsang", {"year": 1999}),
            Item("b", "Lapsang", {"year": 1950}),
            Item("c", "", {"sort": "green"}),
        ]
        first, second, nameless = Naming(world.model, Catalogue(items, kind="tea"), world.library).score(
            query, np.arange(3)
        )
        assert first == second != 0.0
        assert nameless == 0.0

    def test_titles_that_were_read_ahead_are_read_once_more_for_the_person_alone(self, world, query, monkeypatch):
        rows, read = np.arange(7), []
        expected = self.make(world).score(query, rows)
        every, ahead = len(world.index.catalogue), self.make(world)
        assert ahead.read_ahead(world.model, most=5)
        assert ahead.read_ahead(world.model, most=every)
        assert not ahead.read_ahead(world.model, most=every)
        plain = type(world.model).likelihoods

        def spy(self, prompt, texts):
            read.extend([len(texts)] if texts else [])
            return plain(self, prompt, texts)

        monkeypatch.setattr(type(world.model), "likelihoods", spy)
        np.testing.assert_allclose(ahead.score(query, rows), expected, atol=self.close)
        assert read == [7]
