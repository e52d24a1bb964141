import doctest
import importlib
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from coldstart.entities import Interaction, Profile
from coldstart.evaluation import Case, evaluate
from coldstart.evaluation.metrics import ndcg
from peers import PEERS, RERANKERS, NotApplicable, as_system
from peers.ease import Ease, item_weights
from peers.evidence import liked, likes
from peers.factors import Als, Bpr
from peers.features import attribute_tokens, by_token
from peers.hybrid import LightFm
from peers.neighbours import AttributeNeighbours, ItemNeighbours
from peers.popularity import DemographicPopularity
from peers.reranking import NUMBERED_LIST, YES_OR_NO, statement, yes_or_no
from peers.ridge import TextRidge
from peers.semantic import SemanticSearch
from peers.words import Bm25, TfIdf, document

NEEDS: Mapping[str, str] = {"ALS": "implicit", "BPR": "implicit", "LightFM": "lightfm", "BM25": "bm25s"}
EVERY_PEER = (*PEERS, *RERANKERS)
FOLDS_IN = (ItemNeighbours(), Ease(), Als(), Bpr(), AttributeNeighbours())
LEARNS_FROM_LIKES = (ItemNeighbours(), Ease(), Als(), Bpr(), LightFm())
NOIR_FAN = Profile(attributes={"age": "old"}, likes=["alley", "blackmail"], history=["alley", "blackmail"])
FARCE_FAN = Profile(attributes={"age": "you"}, likes=["vicar"], text="A good wig makes me laugh.")

pytestmark = pytest.mark.slow


def named(peers):
    return pytest.mark.parametrize("peer", peers, ids=[peer.name for peer in peers])


def ready(peer, shrink=lambda peer: peer):
    if peer.name in NEEDS:
        pytest.importorskip(NEEDS[peer.name])
    return shrink(peer)


def fitted(peer, cases):
    return peer.fit(cases, **peer.grid[0])


def by_title(cases, scores):
    return dict(zip(cases.catalogue.ids, scores, strict=True))


class TestEveryPeer:
    @named(EVERY_PEER)
    def test_scores_do_not_depend_on_what_is_relevant(self, peer, tiny, build):
        peer, asked = ready(peer, tiny), {"ann": NOIR_FAN, "bob": FARCE_FAN}
        truth, lie = {"ann": ["newnoir"], "bob": ["wig"]}, {"ann": ["yodel", "wig"], "bob": ["cigar"]}
        answers = [list(as_system(peer).scores(build(asked, right))) for right in (truth, lie)]
        assert_array_equal(answers[0], answers[1])

    @named([peer for peer in EVERY_PEER if peer is not NUMBERED_LIST])
    def test_scores_follow_the_candidates_when_their_order_changes(self, peer, tiny, build):
        cases = build({"ann": NOIR_FAN})
        score = fitted(ready(peer, tiny), cases)
        whole, rows = score(cases.cases[0]), np.array([9, 2, 5, 8])
        some = [score(replace(cases.cases[0], candidates=order)) for order in (rows, rows[::-1])]
        assert whole.shape == (len(cases.catalogue),)
        assert_allclose(some[0], some[1][::-1], rtol=1e-4, atol=1e-5)
        assert np.isfinite(some[0]).any()

    @named(EVERY_PEER)
    def test_who_has_nothing_to_answer_from_says_so_and_is_refused(self, peer, build):
        cases = build({"ann": Profile()}, events=[])
        assert peer.lacks(cases)
        with pytest.raises(NotApplicable, match=f"{peer.name} can't take part in stage: .*; leave it out"):
            as_system(peer).scores(cases)

    @named(EVERY_PEER)
    def test_settings_have_the_same_names(self, peer):
        assert len({frozenset(setting) for setting in peer.grid}) == 1
        assert all(setting not in peer.grid[:place] for place, setting in enumerate(peer.grid))

    def test_names_are_their_own(self):
        assert len({peer.name for peer in EVERY_PEER}) == len(EVERY_PEER)


class Parrot:
    """Knows the right answer and has to be told to say it."""

    name = "parrot"
    grid = ({"honest": False}, {"honest": True}, {"honest": True, "again": True})

    def __init__(self):
        self.tried, self.asked = [], set()

    def lacks(self, cases):
        return "" if cases.cases[0].profile.likes else "nobody likes anything"

    def fit(self, cases, **setting):
        self.tried.append((len(cases), setting))

        def score(case):
            self.asked.add(case.user)
            right = np.isin(np.arange(len(cases.catalogue)), case.relevant)
            return (right if setting["honest"] else ~right).astype(float)

        return score


class TestTuning:
    def test_the_setting_that_does_best_on_the_rehearsal_is_taken_the_first_of_equals(self, build):
        rehearsal = build({f"u{n}": NOIR_FAN for n in range(5)})
        system = as_system(Parrot())
        values = evaluate(build({"ann": NOIR_FAN}, rehearse=lambda: rehearsal), system, [ndcg @ 10])
        assert (system.name, system.chosen) == ("parrot", {"honest": True})
        assert values["ndcg@10"].tolist() == [1.0]

    def test_a_real_peer_is_tuned_as_well(self, build, monkeypatch):
        rehearsal = build({"u": Profile(attributes={"age": "old"})}, {"u": ["alley", "dame"]})
        peer = DemographicPopularity()
        monkeypatch.setattr(peer, "grid", ({"strength": 1e9}, {"strength": 1.0}))
        system = as_system(peer)
        system.scores(build({"ann": NOIR_FAN}, rehearse=lambda: rehearsal))
        assert system.chosen == {"strength": 1.0}

    @pytest.mark.parametrize("rehearsed", [None, Profile()])
    def test_the_first_setting_stands_where_nothing_can_be_tuned_on(self, build, rehearsed):
        rehearsal = build({"u": rehearsed}) if rehearsed else None
        peer = Parrot()
        system = as_system(peer)
        list(system.scores(build({"ann": NOIR_FAN}, rehearse=lambda: rehearsal)))
        assert system.chosen == {"honest": False}
        assert peer.tried == [(1, {"honest": False})]

    def test_it_learns_from_the_whole_rehearsal_and_is_judged_on_a_part_of_its_users(self, build):
        rehearsal = build({f"u{n}": NOIR_FAN for n in range(9)})
        peer = Parrot()
        as_system(peer, validation_users=4).scores(build({"ann": NOIR_FAN}, rehearse=lambda: rehearsal))
        assert [size for size, _ in peer.tried] == [9, 9, 9, 1]
        assert len(peer.asked) == 4
        assert peer.asked < {f"u{n}" for n in range(9)}


class TestLearningFromLikes:
    @named(LEARNS_FROM_LIKES)
    def test_what_the_same_people_like_comes_first(self, peer, build):
        cases = build({"ann": replace(NOIR_FAN, attributes={})})
        scores = by_title(cases, fitted(ready(peer), cases)(cases.cases[0]))
        assert min(scores["cigar"], scores["dame"]) > max(
            scores[film] for film in ("umbrella", "vicar", "wig", "yodel")
        )

    @named(FOLDS_IN)
    def test_without_likes_there_is_no_answer(self, peer, build):
        cases = build({"ann": NOIR_FAN, "bob": Profile(text="hello")})
        score = fitted(ready(peer), cases)
        assert [score(case) is None for case in cases] == [False, True]

    @named([peer for peer in FOLDS_IN if not isinstance(peer, AttributeNeighbours)])
    def test_a_film_that_nobody_has_seen_has_no_score(self, peer, build):
        cases = build({"ann": NOIR_FAN})
        scores = by_title(cases, fitted(ready(peer), cases)(cases.cases[0]))
        assert [film for film, score in scores.items() if np.isnan(score)] == ["newnoir", "newfarce"]

    @named([AttributeNeighbours(), LightFm()])
    def test_a_new_film_is_known_by_its_attributes(self, peer, build):
        cases = build({"ann": NOIR_FAN})
        scores = by_title(cases, fitted(ready(peer), cases)(cases.cases[0]))
        assert scores["newnoir"] > scores["newfarce"]

    def test_the_history_counts_where_no_likes_are_stated_but_not_what_is_disliked(self, stage):
        history = [Interaction("ann", film) for film in ("wig", "dame", "wig", "gone")]
        known = partial(Case, "ann", relevant=np.array([0]))
        assert liked(known(profile=Profile(history=history)), stage).tolist() == [6, 3]
        assert liked(known(profile=Profile(history=history, dislikes=["wig"])), stage).tolist() == [3]
        assert liked(known(profile=Profile(history=history, likes=["vicar", "a phrase"])), stage).tolist() == [5]

    def test_a_film_liked_twice_is_liked_once(self, build):
        cases = build({"ann": NOIR_FAN}, events=[Interaction("a", "wig"), Interaction("a", "wig")])
        assert likes(cases).toarray().sum() == 1


class TestItemNeighbours:
    def test_similarity_is_the_shrunk_cosine_of_the_users_who_like_both(self, build):
        events = [
            Interaction(*pair) for pair in (("a", "wig"), ("a", "dame"), ("b", "wig"), ("b", "dame"), ("c", "wig"))
        ]
        cases = build({"ann": Profile(likes=["dame"])}, events=events)
        scores = by_title(cases, ItemNeighbours().fit(cases, neighbours=9, shrinkage=1.0)(cases.cases[0]))
        assert scores["wig"] == pytest.approx(2 / (np.sqrt(3 * 2) + 1))
        assert scores["dame"] == 0

    def test_neighbours_beyond_the_nearest_do_not_count_and_equals_stay_together(self, build):
        pairs = [
            ("a", "wig"),
            ("b", "wig"),
            *((user, film) for user in "ab" for film in ("dame", "cigar")),
            ("a", "alley"),
        ]
        cases = build({"ann": Profile(likes=["wig"])}, events=[Interaction(*pair) for pair in pairs])
        scores = by_title(cases, ItemNeighbours().fit(cases, neighbours=1, shrinkage=0.0)(cases.cases[0]))
        assert scores["dame"] == scores["cigar"] == pytest.approx(1.0)
        assert scores["alley"] == 0


class TestEase:
    def test_each_column_is_the_ridge_regression_of_an_item_on_all_others(self):
        matrix = (np.random.default_rng(3).random((30, 6)) < 0.4).astype(float)
        weights = item_weights(matrix.T @ matrix, l2=2.5)
        for item in range(6):
            others = np.delete(np.arange(6), item)
            gram = matrix[:, others].T @ matrix[:, others] + 2.5 * np.eye(5)
            assert_allclose(weights[others, item], np.linalg.solve(gram, matrix[:, others].T @ matrix[:, item]))
            assert weights[item, item] == 0

    def test_too_many_items_are_refused_before_memory_is(self, build, monkeypatch):
        monkeypatch.setattr("peers.ease.MOST_ITEMS", 7)
        assert Ease().lacks(build({"ann": NOIR_FAN})) == "8 items are liked by somebody, and its matrix holds 7 at most"


class TestDemographicPopularity:
    def test_people_get_what_their_group_likes(self, build):
        cases = build({"ann": replace(NOIR_FAN, likes=[]), "bob": FARCE_FAN})
        score = fitted(DemographicPopularity(), cases)
        for case, (own, other) in zip(cases, (("alley", "wig"), ("wig", "alley")), strict=True):
            found = by_title(cases, score(case))
            assert found[own] > found[other]

    def test_the_stronger_the_shrinkage_the_closer_to_what_everybody_likes(self, build):
        cases = build({"ann": NOIR_FAN, "eve": Profile()})
        everybody = np.asarray(likes(cases).mean(axis=0)).ravel()
        apart = []
        for strength in (1.0, 10.0, 1e6):
            ann, eve = map(DemographicPopularity().fit(cases, strength=strength), cases)
            assert_allclose(eve, everybody)
            apart.append(np.abs(ann - everybody).max())
        assert apart[0] > apart[1] > apart[2]
        assert apart[2] < 1e-4

    def test_users_without_any_like_belong_to_no_group(self, build):
        silent = {f"old-{n}": Profile(attributes={"age": "old"}) for n in range(9)}
        cases = build({"ann": NOIR_FAN})
        more = replace(cases, profiles={**cases.profiles, **silent})
        assert_array_equal(*(fitted(DemographicPopularity(), c)(c.cases[0]) for c in (cases, more)))


class TestWords:
    @named([TfIdf(), Bm25()])
    def test_a_film_whose_words_are_said_comes_first_and_the_others_tie(self, peer, build):
        cases = build({"bob": replace(FARCE_FAN, likes=[])})
        scores = by_title(cases, fitted(ready(peer), cases)(cases.cases[0]))
        assert scores.pop("wig") > 0
        assert set(scores.values()) == {0.0}

    @named([TfIdf(), Bm25()])
    def test_the_latest_so_many_likes_are_the_query(self, peer, build):
        peer = ready(peer)
        cases = build({"bob": Profile(likes=["wig", "dame"]), "eve": Profile(likes=["dame"])})
        bob, eve = (peer.fit(cases, **{**peer.grid[0], "recent": 1})(case) for case in cases)
        assert_array_equal(bob, eve)
        assert not np.array_equal(fitted(peer, cases)(cases.cases[0]), eve)


class TestVectors:
    @pytest.mark.parametrize("mean", [False, True])
    def test_the_film_that_is_described_is_the_closest(self, build, tiny, stage, mean):
        cases = build({"ann": Profile(text=document(stage[5]))})
        scores = tiny(SemanticSearch()).fit(cases, mean=mean)(cases.cases[0])
        assert scores.argmax() == 5
        assert scores[5] == pytest.approx(1.0, abs=1e-5)

    @pytest.mark.parametrize("centred", [False, True])
    def test_ridge_finds_a_new_film_popular_that_reads_like_a_popular_one(self, build, tiny, centred):
        events = [Interaction(f"u{n}", film) for n in range(9) for film in ("alley", "blackmail", "cigar", "dame")]
        events += [Interaction("u0", film) for film in ("umbrella", "vicar", "wig", "yodel")]
        cases = build({"eve": Profile()}, events=events)
        scores = by_title(cases, tiny(TextRidge()).fit(cases, alpha=0.01, taste=0.5, centred=centred)(cases.cases[0]))
        assert scores["newnoir"] > scores["newfarce"]
        assert np.mean(list(scores.values())) == pytest.approx(0.0, abs=1e-6)


class TestRerankers:
    @named([YES_OR_NO, NUMBERED_LIST])
    def test_more_users_than_it_has_time_for_are_too_many(self, peer, build):
        cases = build({"ann": NOIR_FAN, "bob": FARCE_FAN})
        assert replace(peer, most_users=1).lacks(cases).startswith("2 users are asked")
        assert replace(peer, most_users=2).lacks(cases) == ""

    def test_the_model_ranks_the_best_of_semantic_search_and_the_others_come_after(self, build, tiny):
        cases = build({"ann": NOIR_FAN})
        shown = []

        def ask(*asked):
            shown.extend(asked[-1])
            return -np.arange(3.0)

        peer = replace(tiny(YES_OR_NO), ask=ask, most_candidates=3)
        scores = peer.fit(cases)(cases.cases[0])
        found = SemanticSearch(peer.encoder).fit(cases, mean=False)(cases.cases[0])
        best = np.argsort(-found)[:3]
        assert shown == [cases.catalogue[row].title for row in best]
        assert scores[best].tolist() == [0, -1, -2]
        assert np.isnan(scores).sum() == len(cases.catalogue) - 3

    def test_yes_or_no_is_the_odds_of_the_answers_after_the_whole_prompt(self, build, language_model):
        cases = build({"ann": NOIR_FAN})
        said = statement(cases.cases[0], cases.catalogue)
        prompts = [
            language_model.chat(f'{said}\nWould I like the film "{t}"? Answer Yes or No.') for t in ("Gun", "Wig")
        ]
        expected = [language_model.log_odds(prompt, [""], yes="Yes", no="No")[0] for prompt in prompts]
        assert_allclose(yes_or_no(language_model, said, "film", ["Gun", "Wig"]), expected, rtol=1e-4)

    def test_the_prompt_says_who_the_user_is_and_what_they_like(self, build):
        cases = build({"bob": FARCE_FAN, "eve": Profile(likes=["slow films", "dame"])})
        bob, eve = (statement(case, cases.catalogue) for case in cases)
        assert bob == "age: you\nA good wig makes me laugh.\nI like: Vicar."
        assert eve == "I like: slow films; Dame."


class TestFeatures:
    def test_numbers_are_cut_into_bins_of_about_equal_size_and_codes_are_not(self):
        ages = [{"age": str(age), "job": job} for age, job in zip(range(80), "ab" * 40, strict=True)]
        tokens = [
            {name: value for name, _, value in (token.partition("=") for token in row)}
            for row in attribute_tokens(ages)
        ]
        _, sizes = np.unique([row["age"] for row in tokens], return_counts=True)
        assert sizes.tolist() == [10] * 8
        assert {row["job"] for row in tokens} == {"a", "b"}
        assert attribute_tokens([{"stars": n % 5} for n in range(9)])[7] == ["stars=2"]

    def test_texts_are_read_as_words(self):
        assert attribute_tokens([{"plot": "A man, a plan, a canal"}]) == [
            ["plot=a", "plot=man", "plot=plan", "plot=canal"]
        ]

    def test_rare_tokens_are_left_out(self):
        matrix, column_of = by_token([["x", "y"], ["x"], []], least=2)
        assert (matrix.toarray().tolist(), column_of) == ([[1], [1], [0]], {"x": 0})


@pytest.mark.parametrize("module", ["features", "reranking", "words"])
def test_the_examples_in_the_docstrings_hold(module):
    outcome = doctest.testmod(importlib.import_module(f"peers.{module}"))
    assert outcome.attempted > 0
    assert outcome.failed == 0
