"""Laws of refining: let through only what ranks better, kept in one step, taken back without a trace."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

from coldstart.catalogue import Catalogue
from coldstart.entities import Interaction, Item, Profile
from coldstart.errors import AdapterError, CatalogueError
from coldstart.interactions import Interactions
from coldstart.recommender import Recommender
from coldstart.refining import distilling, gate, registry
from coldstart.refining.examples import User
from coldstart.refining.lora import Shape
from coldstart.refining.refinement import SCALES
from coldstart.refining.schedule import Schedule, Trained
from coldstart.scoring.naming import Naming

pytestmark = pytest.mark.slow  # each trains

WORDS = ("river", "hill", "cave", "cloud", "lantern", "window")
ITEMS = [Item(f"t{row:02d}", f"{WORDS[row % 6].title()} Tea {'ABCDE'[row // 6]}") for row in range(30)]
QUICK = Schedule(passes=8, batch=32, rate=1e-2, every=5, patience=20)
SHAPE = Shape(rank=8, upper=1.0)


def events(people: int = 80, *, circles: bool = True, seed: int = 0) -> Interactions:
    """Return who likes what: teas of their own circle, which the titles tell, or any."""
    rng = np.random.default_rng(seed)
    return Interactions.from_records(
        Interaction(f"u{person:02d}", f"t{tea:02d}", timestamp=float(time))
        for person in range(people)
        for time, tea in enumerate(
            (rng.permutation(range(person % 2, 30, 2)) if circles else rng.permutation(30))[:8].tolist()
        )
    )


@pytest.fixture(scope="module")
def plain(encoder):
    return Recommender.build(Catalogue(ITEMS, kind="tea"), encoder=encoder, language_model=None)


@pytest.fixture(scope="module")
def both(encoder, language_model):
    """An engine on the same teas that has a language model as well."""
    return Recommender.build(Catalogue(ITEMS, kind="tea"), encoder=encoder, language_model=language_model)


@pytest.fixture(scope="module")
def kept(plain, tmp_path_factory):
    """An index's folder with one promoted adapter, and what came of refining."""
    folder = tmp_path_factory.mktemp("refined") / "index"
    plain.save(folder)
    return folder, plain.refine(events(), path=folder, schedule=QUICK, shape=SHAPE)


@pytest.fixture
def folder(kept, tmp_path):
    shutil.copytree(kept[0], tmp_path / "index")
    return tmp_path / "index"


def scores(recommender) -> np.ndarray:
    profiles = (Profile(likes=["t00", "t02"]), Profile(text="river"), Profile(likes=["t05"], dislikes=["t04"]))
    return np.stack([recommender.score(profile) for profile in profiles])


def test_what_ranks_better_for_those_held_out_is_promoted(plain, kept):
    _, found = kept
    assert found.promoted
    assert found.verdict.better
    assert found.verdict.refined > found.verdict.present
    assert "refined by" in str(found)
    assert found.recommender is not plain
    assert not np.allclose(scores(found.recommender), scores(plain))


def test_the_recommender_that_was_asked_stays_as_it_is(plain, encoder):
    before = scores(plain)
    plain.refine(events(), schedule=replace(QUICK, passes=1), shape=SHAPE)
    assert (scores(plain) == before).all()
    assert plain.encoder is encoder


def test_what_was_promoted_is_what_loads(kept, encoder):
    folder, found = kept
    assert registry.promoted(folder) == found.version
    assert scores(Recommender.load(folder, encoder=encoder)) == pytest.approx(scores(found.recommender), abs=1e-5)


def test_likes_by_chance_change_nothing(plain, tmp_path):
    before = scores(plain)
    plain.save(tmp_path / "index")
    found = plain.refine(events(circles=False), path=tmp_path / "index", schedule=QUICK, shape=SHAPE)
    assert not found.promoted
    assert found.recommender is plain
    assert (scores(found.recommender) == before).all()
    assert registry.listed(tmp_path / "index") == []
    assert "The ranking stays as it is" in str(found)


@pytest.mark.parametrize(("people", "held_out"), [(4, 2), (10, 5)])
def test_few_people_cant_let_anything_through_and_it_says_so(plain, people, held_out):
    found = plain.refine(events(people), schedule=QUICK, shape=SHAPE)
    assert not found.promoted
    assert found.trained is None
    assert f"{held_out} people were held out, and fewer than 8 can't tell" in str(found)


def test_what_brings_nothing_says_that_and_not_that_nobody_was_asked(plain, monkeypatch):
    from coldstart.refining import head, refinement

    nothing = Trained(5, 0, (1.0,) * 5, (1.0, 1.1), 3.0, 10.0)
    monkeypatch.setattr(refinement, "trained", lambda *_, **__: (None, nothing))
    monkeypatch.setattr(head, "learned", lambda *_, **__: None)
    found = plain.refine(events(), schedule=QUICK, shape=SHAPE)
    assert not found.promoted
    assert "5 steps" in str(found)
    assert "no step brought" in str(found)
    assert "can't tell" not in str(found)


def test_what_is_promoted_is_encoded_once_for_each_scale_that_is_tried(plain, tmp_path):
    told = []
    plain.save(tmp_path / "index")
    plain.refine(
        events(), path=tmp_path / "index", schedule=QUICK, shape=SHAPE, progress=lambda *args: told.append(args)
    )
    assert sum(done for task, done, _ in told if task == "item vectors") == len(SCALES) * len(ITEMS)


def test_the_best_trial_of_a_search_is_what_is_judged_and_told(plain, tmp_path):
    plain.save(tmp_path / "index")
    found = plain.refine(events(90), path=tmp_path / "index", schedule=QUICK, shape=SHAPE, search=2)
    assert found.promoted
    assert len(found.told["search"]["qualities"]) == 2
    kept = registry.entry(tmp_path / "index", found.version).told
    assert (kept["search"], kept["shape"]) == (found.told["search"], found.told["shape"])
    assert not (tmp_path / "index" / "adapters" / "training.pt").exists()


def test_a_segment_teaches_judges_and_is_answered_and_nobody_else(plain, encoder, tmp_path):
    people = {
        f"u{number:02d}": Profile(attributes={"country": ("Brazil", "Chile")[number // 80]}) for number in range(160)
    }
    others = [Interaction(f"u{80 + number}", f"t{number % 30:02d}") for number in range(80)]
    plain.save(tmp_path / "index")
    how = {"schedule": QUICK, "shape": SHAPE, "segment": {"country": "Brazil"}, "path": tmp_path / "index"}
    found = plain.refine([*events(80), *others], profiles=people, **how)
    assert found.promoted
    assert found.told["users"] + found.told["judges"] == 80
    assert 'for country = "Brazil"' in str(found)
    assert registry.promoted(tmp_path / "index") == ""
    loaded = Recommender.load(tmp_path / "index", encoder=encoder)
    for country, same in (("Chile", True), ("Brazil", False)):
        who = Profile(likes=["t00", "t02"], attributes={"country": country})
        assert np.allclose(loaded.score(who), plain.score(who), atol=1e-5) == same
        assert loaded.score(who) == pytest.approx(found.recommender.score(who), abs=1e-5)


def test_too_few_to_choose_settings_and_others_to_judge_them_are_refused(plain):
    with pytest.raises(CatalogueError, match="a search needs 32"):
        plain.refine(events(30), schedule=QUICK, shape=SHAPE, search=2)


def test_too_little_to_learn_from_is_refused(plain):
    with pytest.raises(CatalogueError, match="at least 4"):
        plain.refine([Interaction("ann", "t01"), Interaction("ann", "t02")], schedule=QUICK)


def test_rolled_back_it_is_as_if_nothing_had_been(plain, encoder, folder):
    refined = Recommender.load(folder, encoder=encoder)
    back = refined.rolled_back(folder)
    assert (scores(back) == scores(plain)).all()
    assert (scores(Recommender.load(folder, encoder=encoder)) == scores(plain)).all()
    assert registry.promoted(folder) == ""
    with pytest.raises(AdapterError, match="nothing to roll back to"):
        back.rolled_back(folder)
    again = back.promoted(folder, "1")
    assert scores(again) == pytest.approx(scores(refined), abs=1e-5)
    assert registry.history(folder) == ["", registry.promoted(folder)]


def test_items_that_come_later_are_read_with_the_adapter(encoder, folder):
    refined = Recommender.load(folder, encoder=encoder)
    grown = refined.add([Item("new", "River Tea F")], path=folder)
    assert grown.encoder.hash == refined.encoder.hash
    loaded = Recommender.load(folder, encoder=encoder)
    assert scores(loaded) == pytest.approx(scores(grown), abs=1e-5)
    assert registry.promoted(folder) != ""
    back = loaded.rolled_back(folder)
    assert "new" in back.catalogue


def test_an_index_that_is_built_again_keeps_its_adapter(encoder, folder, kept):
    built = Recommender.build(Catalogue(ITEMS, kind="tea"), encoder=encoder, language_model=None, path=folder)
    assert registry.promoted(folder) == kept[1].version
    assert scores(built) == pytest.approx(scores(kept[1].recommender), abs=1e-5)


def test_saved_elsewhere_the_adapter_goes_along(encoder, kept, tmp_path):
    kept[1].recommender.save(tmp_path / "other")
    loaded = Recommender.load(tmp_path / "other", encoder=encoder)
    assert scores(loaded) == pytest.approx(scores(kept[1].recommender), abs=1e-5)


def test_a_refined_index_whose_adapter_is_gone_or_damaged_says_so(encoder, folder, kept):
    path = folder / "adapters" / kept[1].version / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(AdapterError, match="isn't what was written"):
        Recommender.load(folder, encoder=encoder)
    shutil.rmtree(folder / "adapters")
    with pytest.raises(AdapterError, match="holds no adapter"):
        Recommender.load(folder, encoder=encoder)


def test_what_was_observed_counts_but_for_those_held_out(plain):
    observed = plain.reweighted({})
    observed.observe(events())
    without = observed._without(["u00", "u02"])
    assert without.learned["people"] == observed.learned["people"] - 2
    assert observed.learned["people"] == 80


def test_killed_at_any_write_the_index_loads_and_is_the_one_or_the_other(plain, encoder, kept, tmp_path, monkeypatch):
    """A promotion writes and renames; after a kill at any of these the folder holds an index, old or new."""
    from coldstart import artefact

    class Killed(BaseException):
        pass

    writes, replace_file = [], artefact.replace
    adapter = registry.load(kept[0], kept[1].version)
    old, new = scores(plain), scores(kept[1].recommender)
    seen = set()
    for moment in range(30):
        folder = tmp_path / f"index-{moment}"
        plain.save(folder)
        writes.clear()

        def killed(path, data, moment=moment):
            writes.append(path)
            if len(writes) > moment:
                raise Killed
            replace_file(path, data)

        monkeypatch.setattr(artefact, "replace", killed)
        try:
            registry.keep(folder, adapter)
            plain.promoted(folder, "1")
        except Killed:
            pass
        else:
            break
        finally:
            monkeypatch.setattr(artefact, "replace", replace_file)
        found = scores(Recommender.load(folder, encoder=encoder))
        seen.add("new" if np.allclose(found, new, atol=1e-5) else "old" if np.allclose(found, old, atol=1e-5) else "?")
        again = Recommender.load(folder, encoder=encoder)
        kept_there = registry.keep(folder, adapter)
        assert scores(again.promoted(folder, kept_there.version)) == pytest.approx(new, abs=1e-5)
    else:
        raise AssertionError("a promotion never came to its end")
    assert seen == {"old", "new"}


class TestGate:
    """How two rankings are compared."""

    class Fixed:
        def __init__(self, order):
            self.scores = -np.argsort(np.argsort(order)).astype(float)
            self.scores = np.empty(len(order))
            self.scores[list(order)] = -np.arange(len(order), dtype=float)

        def score(self, _):
            return self.scores

    def test_a_judge_is_shown_what_they_have_not_stated(self):
        ids = [str(row) for row in range(30)]
        judge = User("ann", (0, 1, 2, 3))
        best = gate.quality(self.Fixed([0, 1, 2, 3, *range(4, 30)]), [judge], ids)
        assert best == pytest.approx([1.0])  # 0 and 1 are stated; 2 and 3 lead the rest
        worst = gate.quality(self.Fixed([*range(4, 30), 0, 1, 2, 3]), [judge], ids)
        assert worst == pytest.approx([0.0])

    def test_a_gain_by_chance_is_not_let_through_more_often_than_it_may(self):
        rng = np.random.default_rng(0)
        let_through = [gate.compared(rng.random(40), rng.random(40), seed=seed).better for seed in range(200)]
        assert np.mean(let_through) < 0.09

    def test_a_gain_for_nearly_all_is_let_through_and_a_loss_never(self):
        rng = np.random.default_rng(1)
        present = rng.random(40)
        assert gate.compared(present, present + 0.1, seed=0).better
        assert not gate.compared(present, present - 0.1, seed=0).better
        assert not gate.compared(present, present, seed=0).better
        assert not gate.compared(present[:7], present[:7] + 0.1, seed=0).better


def test_a_head_is_kept_promoted_and_loaded_like_any_adapter(plain, encoder, tmp_path, monkeypatch):
    from coldstart.refining import head, refinement

    nothing = Trained(5, 0, (1.0,) * 5, (1.0, 1.1), 3.0, 10.0)
    monkeypatch.setattr(refinement, "trained", lambda *_, **__: (None, nothing))
    monkeypatch.setattr(head, "RATE", 3e-2)
    plain.save(tmp_path / "index")
    found = plain.refine(events(), path=tmp_path / "index", schedule=QUICK, shape=SHAPE)
    assert found.promoted
    assert found.verdict.better
    assert "refined by" in str(found)
    loaded = Recommender.load(tmp_path / "index", encoder=encoder)
    assert scores(loaded) == pytest.approx(scores(found.recommender), abs=1e-5)
    assert not np.allclose(scores(loaded), scores(plain))
    assert (scores(loaded.rolled_back(tmp_path / "index")) == scores(plain)).all()
    tasks = []
    again = plain.adapted(loaded.encoder.adapter, progress=lambda task, *_: tasks.append(task))
    assert scores(again) == pytest.approx(scores(loaded), abs=1e-5)
    assert tasks == []  # no text was read again


class TestDistil:
    @pytest.fixture
    def teacher(self, monkeypatch):
        """Let the language model be readier to name teas of the circle that a person's likes are of, or any."""

        def use(*, sees=True):
            def score(_namer, query, rows):
                assert query.description
                circle = round(np.mean(query.liked % 2))
                told = np.random.default_rng(rows.sum()).normal(size=len(rows))
                return told + (4.0 * (rows % 2 == circle) if sees else 0.0)

            monkeypatch.setattr(Naming, "score", score)
            monkeypatch.setattr(distilling, "RATE", 3e-2)

        return use

    def test_what_the_language_model_sees_ranks_without_it_once_it_is_let_through(
        self, both, teacher, encoder, language_model, tmp_path
    ):
        teacher()
        found = both.distil(events(200), people=40, path=tmp_path / "index")
        assert found.promoted, str(found)
        assert found.told["agreement"]["after"] > found.told["agreement"]["before"] + 0.2
        assert found.told["teacher"] == language_model.provenance
        assert "readings of" in str(found)
        loaded = Recommender.load(tmp_path / "index", encoder=encoder, language_model=language_model)
        assert scores(loaded) == pytest.approx(scores(found.recommender), abs=1e-5)
        assert "following" in loaded.recommend(Profile(likes=["t00", "t02"]), k=1)[0].parts
        assert [each.told["teacher"] for each in registry.listed(tmp_path / "index")] == [language_model.provenance]

    def test_a_teacher_who_sees_nothing_changes_nothing(self, both, teacher):
        teacher(sees=False)
        before = scores(both)
        found = both.distil(events(circles=False), people=20)
        assert not found.promoted
        assert found.recommender is both
        assert (scores(both) == before).all()
        assert "The ranking stays as it is" in str(found)

    def test_few_people_cant_let_anything_through_and_nothing_is_read(self, both, monkeypatch):
        monkeypatch.setattr(Naming, "score", lambda *_: pytest.fail("the language model was asked"))
        found = both.distil(events(10))
        assert not found.promoted
        assert found.trained is None

    def test_without_a_language_model_there_is_nothing_to_learn_from(self, plain):
        with pytest.raises(AdapterError, match="no language model"):
            plain.distil(events())
