"""Laws of vector search: exact where it is small, nearly so where it is large, and the same when rows come and go."""

from __future__ import annotations

import numpy as np
import pytest

from coldstart import artefact
from coldstart.errors import BadIndex
from coldstart.search import Search

ROWS, DIMENSION = 6000, 32


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def clouds(rows, *, seed=0):
    """Return unit vectors in clusters, with near-duplicates, all on one side of the sphere."""
    centres = np.random.default_rng(0).standard_normal((40, DIMENSION))
    random = np.random.default_rng(seed)
    spread = random.choice([0.05, 0.6], rows)[:, None]
    return unit(centres[random.integers(40, size=rows)] + spread * random.standard_normal((rows, DIMENSION)) + 0.7)


@pytest.fixture(scope="module")
def vectors():
    return clouds(ROWS)


@pytest.fixture(scope="module")
def search(vectors):
    return Search.over(vectors, vectors.mean(0), exact=500)


@pytest.fixture(scope="module")
def queries(search):
    random = np.random.default_rng(5)
    some = search[random.integers(ROWS, size=30)]
    return unit(np.concatenate([some + 0.1 * random.standard_normal(some.shape), some[:10] + some[10:20]]))


def exactly(search, query, k, allowed=None):
    products = search[np.arange(len(search))] @ query
    if allowed is not None:
        products, k = np.where(allowed, products, -np.inf), min(k, int(allowed.sum()))
    return np.argsort(-products, kind="stable")[:k]


def recall(search, queries, k, allowed=None):
    found = [
        np.isin(exactly(search, query, k, allowed), search.nearest(query, k, allowed=allowed)[0]) for query in queries
    ]
    return np.mean(found)


def test_a_small_catalogue_is_compared_whole(vectors, queries):
    small = Search.over(vectors[:400], vectors[:400].mean(0), exact=500)
    assert small.cells is None
    for query in queries:
        rows, products = small.nearest(query, 10)
        np.testing.assert_array_equal(rows, exactly(small, query, 10))
        np.testing.assert_allclose(products, small[rows] @ query, atol=1e-5)


def test_a_large_one_finds_nearly_all_best_first_each_once(search, queries):
    assert search.cells is not None
    assert recall(search, queries, 50) >= 0.99
    rows, products = search.nearest(queries[0], 50)
    assert len(set(rows.tolist())) == 50
    assert (np.diff(products) <= 0).all()
    np.testing.assert_allclose(products, search[rows] @ queries[0], atol=1e-5)


def test_the_length_of_a_query_only_scales_what_is_found(search, queries):
    rows, products = search.nearest(queries[0], 20)
    same, scaled = search.nearest(7 * queries[0], 20)
    np.testing.assert_array_equal(rows, same)
    np.testing.assert_allclose(scaled, 7 * products, rtol=1e-4)


@pytest.mark.parametrize("share", [0.3, 0.01, 0.0005])
def test_a_filter_never_empties_what_is_found(search, queries, share):
    allowed = np.random.default_rng(2).random(ROWS) < share
    for query in queries[:10]:
        rows, _ = search.nearest(query, 20, allowed=allowed)
        assert len(rows) == min(20, allowed.sum())
        assert allowed[rows].all()
    assert recall(search, queries, 20, allowed) >= 0.98


def test_a_filter_on_the_far_side_is_met_as_well(search, queries):
    allowed = search[np.arange(ROWS)] @ queries[0] < -0.1
    assert recall(search, queries[:1], 20, allowed) >= 0.95


def test_nothing_allowed_finds_nothing(search, queries):
    rows, products = search.nearest(queries[0], 20, allowed=np.zeros(ROWS, np.bool_))
    assert len(rows) == len(products) == 0


@pytest.mark.parametrize("fold", [10_000, 100])
def test_rows_come_and_go_without_coding_the_others_anew(search, vectors, queries, fold):
    random = np.random.default_rng(3)
    kept = np.flatnonzero(random.random(ROWS) < 0.9)
    new = clouds(700, seed=9)
    order = random.permutation(len(kept) + len(new))  # the caller's order is theirs
    now = np.concatenate([vectors[kept], new])[order]
    places = np.concatenate([kept, np.full(len(new), -1)])[order]
    moved = search.moved(now, now.mean(0), places, fold=fold)
    assert moved.cells is search.cells
    assert moved.segments[0].codes is search.segments[0].codes
    assert recall(moved, queries, 50) >= 0.99
    assert recall(moved, moved[np.flatnonzero(places < 0)[:20]], 1) == 1.0
    again = moved.moved(now[::2], now[::2].mean(0), np.arange(len(now))[::2], fold=fold)
    assert recall(again, queries, 50) >= 0.99
    assert len(again.arrays()["codes"]) == len(again)


def test_codes_of_any_rows_tell_nearly_their_products(search, vectors, queries):
    random = np.random.default_rng(3)
    rows = random.permutation(ROWS)[:300]
    told = search.by_code(rows, queries[:3])
    np.testing.assert_allclose(told, search[rows] @ queries[:3].T, atol=0.05)
    small = Search.over(vectors[:400], vectors[:400].mean(0), exact=500)
    np.testing.assert_allclose(
        small.by_code(rows[:9] % 400, queries[:3]), small[rows[:9] % 400] @ queries[:3].T, atol=1e-5
    )
    kept, new = np.arange(0, ROWS, 2), clouds(50, seed=9)
    now = np.concatenate([vectors[kept], new])
    moved = search.moved(now, search.mean, np.concatenate([kept, np.full(50, -1)]), fold=100)
    some = np.arange(len(kept) - 20, len(now))
    np.testing.assert_allclose(moved.by_code(some, queries[:3]), moved[some] @ queries[:3].T, atol=0.05)


def test_around_a_row_most_of_its_nearest_are_read_and_few_others(search):
    for row in (0, 17, 4321):
        rows, products = search.around(row)
        nearest = exactly(search, search[np.array([row])][0], 20)
        assert row in rows
        assert len(rows) < ROWS / 2
        assert np.isin(nearest, rows).mean() >= 0.6
        np.testing.assert_allclose(products, search[rows] @ search[np.array([row])][0], atol=0.1)
    allowed = np.arange(ROWS) % 2 == 0
    assert allowed[search.around(17, allowed=allowed)[0]].all()


def test_a_new_row_is_looked_around_as_well(search, vectors):
    now = np.concatenate([vectors, clouds(30, seed=9)])
    moved = search.moved(now, search.mean, np.concatenate([np.arange(ROWS), np.full(30, -1)]), fold=100)
    assert ROWS + 3 in moved.around(ROWS + 3)[0]


def test_what_was_kept_finds_the_same_from_a_file(search, vectors, queries, tmp_path, monkeypatch):
    monkeypatch.setattr(artefact, "MAPPED", 1000)
    arrays = dict(search.arrays())
    entries = {
        name: artefact.put_array(tmp_path, name, array)
        for name, array in (("codes", arrays["codes"]), ("vectors", vectors))
    }
    files = {"files": entries}
    mapped = artefact.array(tmp_path, files, "vectors")
    assert isinstance(mapped, np.memmap)
    loaded = Search.of(mapped, {**arrays, "codes": artefact.array(tmp_path, files, "codes")})
    for query in queries:
        np.testing.assert_array_equal(loaded.nearest(query, 20)[0], search.nearest(query, 20)[0])
    np.testing.assert_array_equal(loaded[np.array([5, 3, 900])], search[np.array([5, 3, 900])])
    assert loaded[np.empty(0, np.int64)].shape == (0, DIMENSION)


def test_codes_of_other_vectors_are_refused(search, vectors):
    with pytest.raises(BadIndex, match="index again"):
        Search.of(vectors[:-1], search.arrays())


def test_the_same_seed_makes_the_same_codes(search, vectors):
    again = Search.over(vectors, vectors.mean(0), exact=500)
    np.testing.assert_array_equal(again.segments[0].rows, search.segments[0].rows)
