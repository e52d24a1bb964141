"""Laws of the short list: of a large catalogue it ranks first what scoring everything ranks first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from coldstart import search, shortlist
from coldstart.catalogue import Catalogue
from coldstart.entities import Interaction, Item
from coldstart.facets import Facets
from coldstart.index import FIXED, AppealEvidence, Index
from coldstart.interactions import Interactions
from coldstart.learning.demographics import Trust
from coldstart.learning.weighing import Weighing
from coldstart.observing import Ground
from coldstart.ranking import Ranker
from coldstart.rows import Rows
from coldstart.scoring import Query

ITEMS, DIMENSION, TOPICS = 6000, 24, 30
EVERYTHING = np.ones(ITEMS, np.bool_)


@pytest.fixture(scope="module")
def index():
    random = np.random.default_rng(0)
    topics = random.integers(TOPICS, size=ITEMS)
    centres = random.standard_normal((TOPICS, DIMENSION))
    vectors = centres[topics] + 0.8 * random.standard_normal((ITEMS, DIMENSION)) + 0.5
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    words = [
        f"w{topic * 40 + word} w{word % 7} r{random.integers(900)}"
        for topic, word in zip(topics, random.integers(40, size=ITEMS), strict=True)
    ]
    facets = Facets.none(ITEMS, DIMENSION)
    told = (vectors[:, 0] * 4 + random.standard_normal(ITEMS))[:, None]
    appeal = AppealEvidence(("a",), told, np.ones(ITEMS, np.int64), 0.06, np.zeros(ITEMS, np.bool_))
    catalogue = Catalogue([Item(f"i{row}", text) for row, text in enumerate(words)])
    return Index(
        catalogue, tuple(words), vectors, appeal, {"language_model": None}, Rows(tuple(words), tuple(words), {}), facets
    )


@pytest.fixture
def ranker(index, monkeypatch):
    monkeypatch.setattr(search, "EXACT", 1000)
    index.__dict__.pop("search", None)
    return Ranker(index, {})


def asked(index, seed, *, likes=0, text=False):
    random = np.random.default_rng(seed)
    liked = np.unique(random.integers(ITEMS, size=likes)).astype(np.int64)
    texts, vectors, said = {}, {}, {}
    if text:
        row = int(random.integers(ITEMS))
        words = index.documents[row]
        vector = index.vectors[row] + 0.05 * random.standard_normal(DIMENSION).astype(np.float32)
        texts, said = {"text": words}, {words: vector}
        vectors = {words: index.centre(vector[None])[0]}
    return Query(liked, np.ones(len(liked)), np.empty(0, np.int64), texts=texts, vectors=vectors, said=said)


def overlap(ranker, query, platform=None, k=10):
    short = ranker.ranked(ranker.shortlisted(query, EVERYTHING, platform), k)
    whole = ranker.ranked(ranker.score(query, np.arange(ITEMS), platform), k)
    return len({one.id for one in short} & {one.id for one in whole}) / k


@pytest.mark.parametrize(("likes", "text"), [(0, False), (1, False), (5, False), (0, True), (3, True)])
def test_it_ranks_first_what_scoring_everything_ranks_first(ranker, index, likes, text):
    found = [overlap(ranker, asked(index, seed, likes=likes, text=text)) for seed in range(6)]
    assert np.mean(found) >= 0.95


def test_so_it_does_once_something_was_observed(ranker, index):
    random = np.random.default_rng(4)
    told = Interactions.from_records(
        Interaction(f"u{user}", f"i{item}") for user in range(60) for item in random.integers(ITEMS // 20, size=12) * 20
    )
    platform = Ground(index, ranker.appeal.prior, weight=1.0).platform(half_life=None, arrivals={}, now=0.0)
    platform.observe(told, now=0.0)
    found = [overlap(ranker, asked(index, seed, likes=likes), platform) for seed in range(4) for likes in (0, 4)]
    assert np.mean(found) >= 0.95


@pytest.fixture
def parted(ranker, index):
    """A platform where people of two cities like different items, none of them popular with all."""
    platform = Ground(index, ranker.appeal.prior, weight=1.0).platform(half_life=None, arrivals={}, now=0.0)
    popular, *of_city = np.split(np.random.default_rng(4).permutation(ITEMS)[:400], [300, 350])
    told = [
        Interaction(f"u{user}", f"i{item}")
        for user in range(200)
        for item in (
            *popular[np.arange(user * 20, user * 20 + 20) % len(popular)],
            *of_city[user % 2][np.arange(user // 2 * 4, user // 2 * 4 + 4) % 50],
        )
    ]
    platform.observe(Interactions.from_records(told), now=0.0)
    platform.describe({f"u{user}": {"city": ("Rome", "Oslo")[user % 2]} for user in range(200)})
    platform.weigh(Weighing(trust=Trust({"city": 1.0}, 1.0), likes=len(told)))
    return platform, of_city


def test_it_holds_what_only_people_who_say_the_same_like(ranker, parted, monkeypatch):
    platform, of_city = parted
    monkeypatch.setattr(shortlist, "BESIDE", 40)
    monkeypatch.setattr(shortlist, "SAMPLE", 200)
    nobody = np.empty(0, np.int64)
    for city, favourites in zip(("Rome", "Oslo"), of_city, strict=True):
        query = Query(nobody, np.empty(0), nobody, attributes={"city": city})
        whole = ranker.best(ranker.score(query, np.arange(ITEMS), platform), 10).rows
        assert len(np.intersect1d(whole, favourites)) >= 5
        assert np.isin(whole, ranker.shortlisted(query, EVERYTHING, platform).rows).all()


def test_it_looks_at_a_part_only_and_scores_it_as_all_would(ranker, index):
    query = asked(index, 3, likes=4)
    short, whole = ranker.shortlisted(query, EVERYTHING, None), ranker.score(query, np.arange(ITEMS), None)
    assert len(short.rows) == len(set(short.rows.tolist())) < ITEMS
    fused = whole.fused[short.rows]
    assert np.corrcoef(short.fused, fused)[0, 1] > 0.999
    assert np.abs(short.fused - fused).max() < 0.1 * fused.std()


@pytest.mark.parametrize("share", [0.5, 0.01])
def test_only_what_is_allowed_comes(ranker, index, share):
    allowed = np.random.default_rng(1).random(ITEMS) < share
    scores = ranker.shortlisted(asked(index, 1, likes=3, text=True), allowed, None)
    assert allowed[scores.rows].all()
    assert len(ranker.ranked(scores, 10)) == 10


def test_requests_with_one_filter_read_the_sample_that_tells_their_scale_once(index, monkeypatch):
    monkeypatch.setattr(search, "EXACT", 1000)
    read, ranker = [], Ranker(index := replace(index), {})
    whole = search.Search._whole
    monkeypatch.setattr(search.Search, "_whole", lambda self, rows: read.append(len(rows)) or whole(self, rows))
    monkeypatch.setattr(shortlist, "SAMPLE", 700)
    monkeypatch.setattr(shortlist, "FEW", 1000)
    allowed = np.random.default_rng(2).random(ITEMS) < 0.5
    for seed in range(3):
        ranker.shortlisted(asked(index, seed, text=True), allowed, None)
    assert read.count(700) == 1
    for _ in range(2 * FIXED):  # others come between, and memory stays bounded
        allowed[np.random.default_rng(len(read)).integers(ITEMS, size=40)] ^= True
        ranker.shortlisted(asked(index, 3, text=True), allowed, None)
    assert len(ranker._samples) == len(index.__dict__["_kept_fixed"]) == FIXED


def test_a_catalogue_that_is_small_is_scored_whole(index):
    ranker = Ranker(index, {})
    query = asked(index, 2, likes=3)
    np.testing.assert_array_equal(ranker.shortlisted(query, EVERYTHING, None).rows, np.arange(ITEMS))
