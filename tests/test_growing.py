"""Laws of a catalogue that changes while it is asked: fresh at once, the language model later, the same in the end."""

from __future__ import annotations

import numpy as np
import pytest

from coldstart import building, search
from coldstart.catalogue import Catalogue
from coldstart.entities import Item, Profile
from coldstart.errors import CatalogueError, UnknownItem
from coldstart.recommender import Recommender

PROFILE = Profile(text="a smoked black tea with honey")


@pytest.fixture(scope="module")
def half(teas, encoder, language_model):
    return Recommender.build(Catalogue(teas(20), kind="tea"), encoder=encoder, language_model=language_model)


@pytest.fixture(scope="module")
def grown(half, teas):
    return half.add(teas(30)[20:], appeal="later")


def same(one, other):
    assert one.catalogue == other.catalogue
    assert one.index.documents == other.index.documents
    np.testing.assert_allclose(one.index.vectors, other.index.vectors, atol=1e-5)
    found, expected = one.recommend(PROFILE, k=30), other.recommend(PROFILE, k=30)
    assert [r.id for r in found] == [r.id for r in expected]
    np.testing.assert_allclose([r.score for r in found], [r.score for r in expected], atol=1e-4)


def test_items_are_there_at_once_and_the_language_model_is_not_asked(half, teas, encoder):
    lone = Recommender(half.index, encoder=encoder, language_model=lambda: pytest.fail("it was asked"))
    grown = lone.add(teas(30)[20:], appeal="later")
    assert grown.pending == 10
    assert len(grown.recommend(PROFILE, k=30)) == 30
    assert half.pending == 0


def test_appeal_that_is_pending_is_estimated(grown):
    prior = grown._ranker.appeal.prior
    assert np.isfinite(prior).all()
    assert grown.index.appeal.pending.tolist() == [False] * 20 + [True] * 10
    assert len(set(prior[20:].tolist())) > 5


def test_completing_gives_what_building_would_have_given(grown, teas, encoder, language_model):
    whole = Recommender.build(Catalogue(teas(30), kind="tea"), encoder=encoder, language_model=language_model)
    done = grown.complete()
    assert done.pending == 0
    assert done.index.manifest["knowledge"] == pytest.approx(whole.index.manifest["knowledge"])
    same(done, whole)


def test_an_index_without_a_language_model_can_get_one(teas, encoder, language_model):
    catalogue = Catalogue(teas(8), kind="tea")
    without = Recommender.build(catalogue, encoder=encoder, language_model=None)
    same(
        without.complete(language_model=language_model),
        Recommender.build(catalogue, encoder=encoder, language_model=language_model),
    )


def test_what_is_saved_while_pending_is_pending_when_loaded(grown, tmp_path, encoder, language_model):
    grown.save(tmp_path / "index")
    loaded = Recommender.load(tmp_path / "index", encoder=encoder, language_model=language_model)
    assert loaded.pending == 10
    same(loaded, grown)
    rebuilt = Recommender.build(
        grown.catalogue, encoder=encoder, language_model=language_model, path=tmp_path / "index"
    )
    assert rebuilt.pending == 0


def test_a_changed_item_is_read_again_and_the_others_are_not(half, encoder, monkeypatch):
    read = []
    encode = type(encoder).encode
    monkeypatch.setattr(
        type(encoder), "encode", lambda self, texts, **how: (read.extend(texts), encode(self, texts, **how))[1]
    )
    changed = half.add([Item("t03", "Quite another tea", {"sort": "green"})], appeal="later")
    assert len(read) == 1
    assert changed.catalogue.ids == half.catalogue.ids
    assert changed.pending == 1
    same(changed, half.add([Item("t03", "Quite another tea", {"sort": "green"})], appeal="later"))


def test_removed_items_are_gone_and_the_rest_is_as_it_was(grown, teas, encoder, language_model):
    gone = [f"t{n:02d}" for n in range(5, 30)]
    left = grown.remove(gone)
    assert left.catalogue.ids == tuple(f"t{n:02d}" for n in range(5))
    assert left.pending == 0
    same(
        left.complete(),
        Recommender.build(Catalogue(teas(5), kind="tea"), encoder=encoder, language_model=language_model),
    )


def test_an_item_removed_and_added_again_is_as_if_nothing_had_been(half, teas):
    back = half.remove(["t19"]).add(teas(20)[19:], appeal="later").complete()
    same(back, half)


def test_what_isnt_there_cant_be_removed_nor_can_all(half):
    with pytest.raises(UnknownItem, match="nothing"):
        half.remove(["nothing"])
    with pytest.raises(CatalogueError, match="at least one item"):
        half.remove(half.catalogue.ids)


def test_what_was_observed_stays_when_items_come_and_go(half, teas):
    from coldstart.entities import Interaction

    made = half.unlearned()
    made.observe([Interaction("ann", "t01"), Interaction("bob", "t02")], now=10.0)
    assert made.add(teas(22)[20:], appeal="later").learned["events"] == 2
    assert made.remove(["t05"]).learned["events"] == 2


def test_the_last_slice_is_the_whole_list_and_the_first_has_no_language(recommender):
    lists = list(recommender.recommending(PROFILE, k=5, language=10, size=4))
    whole = recommender.recommend(PROFILE, k=5, language=10)
    assert [one.degraded for one in lists] == [True] * (len(lists) - 1) + [False]
    assert len(lists) == 2 + 3  # without, the description, and ten candidates by fours
    assert "0 of 10" in lists[1].fallback_reason
    assert "4 of 10" in lists[2].fallback_reason
    assert [r.id for r in lists[0]] == [r.id for r in recommender.recommend(PROFILE, k=5)]
    assert [r.id for r in lists[-1]] == [r.id for r in whole]
    np.testing.assert_allclose([r.score for r in lists[-1]], [r.score for r in whole], atol=1e-4)


def test_one_list_comes_where_the_language_model_has_nothing_to_say(recommender):
    assert len(list(recommender.recommending(Profile(), k=5, language=10))) == 1
    assert len(list(recommender.recommending(PROFILE, k=5))) == 1


def test_what_was_prepared_isnt_encoded_again(half, encoder, monkeypatch):
    made = half.remove(["t00"])
    people = [Profile(text=f"tea number {n}", likes=["quite smoky things"]) for n in range(5)]
    made.prepare([(person, None) for person in people] + [(Profile(likes=["nosuchword"]), None)])
    alone = [[r.score for r in half.remove(["t00"]).recommend(person, k=5)] for person in people]
    monkeypatch.setattr(type(encoder), "encode", lambda *_, **__: pytest.fail("it was encoded again"))
    np.testing.assert_allclose([[r.score for r in made.recommend(person, k=5)] for person in people], alone, atol=1e-4)


@pytest.fixture
def sampling(monkeypatch):
    """Catalogues of more than ten titles are large, of which twelve at most are read."""
    monkeypatch.setattr(search, "EXACT", 10)
    monkeypatch.setattr(building, "SAMPLES", (6, 12))
    monkeypatch.setattr(building, "WORTH_MORE", -np.inf)


@pytest.mark.usefixtures("sampling")
def test_of_a_large_catalogue_a_sample_is_read_and_nothing_is_pending(teas, encoder, language_model):
    built = Recommender.build(Catalogue(teas(30), kind="tea"), encoder=encoder, language_model=language_model)
    assert built.index.manifest["sample"]["titles"] == 12
    assert built.index.appeal.pending.sum() == 18
    assert np.isfinite(built._ranker.appeal.prior).all()
    assert len(set(built._ranker.appeal.prior.tolist())) == 30
    assert built.pending == 0
    new = [Item("new", "Harbour Light", {"sort": "green"})]
    grown = built.add(new, appeal="later")
    assert grown.pending == 0
    assert np.isfinite(grown._ranker.appeal.prior).all()
    smaller = built.remove([built.catalogue.ids[0]])
    assert smaller.pending == 0


@pytest.mark.usefixtures("sampling")
def test_the_sample_is_the_same_whatever_the_order_of_items(teas, encoder, language_model):
    models = {"encoder": encoder, "language_model": language_model}
    one = Recommender.build(Catalogue(teas(24), kind="tea"), **models)
    other = Recommender.build(Catalogue(teas(24)[::-1], kind="tea"), **models)
    assert one.index.appeal.pending.tolist() == other.index.appeal.pending[::-1].tolist()
    assert other._ranker.appeal.prior[::-1] == pytest.approx(one._ranker.appeal.prior, abs=1e-4)
    assert one.index.manifest["sample"] == pytest.approx(other.index.manifest["sample"], abs=2e-3)
