"""Laws of the index: loading gives what was saved, an update costs what is new, a kill loses nothing that was done."""

from __future__ import annotations

import gzip
import json
import shutil
import threading
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from coldstart import artefact, building, rows
from coldstart.catalogue import Catalogue
from coldstart.encoding import Encoder
from coldstart.entities import Item
from coldstart.errors import BadIndex, IndexMismatch
from coldstart.generation import LanguageModel
from coldstart.index import Index
from coldstart.prompting import Library
from coldstart.recommender import Recommender

pytestmark = pytest.mark.slow

LIBRARY = Library.load()
PROMPTS = len(LIBRARY.of("appeal")) + len(LIBRARY.of("appeal-asked"))


@pytest.fixture
def build(encoder, language_model):
    """Build with the tiny models; options override."""

    def built(items, *, kind="tea", **options) -> Index:
        given = {"encoder": encoder, "language_model": language_model, "library": LIBRARY, **options}
        return building.build(Catalogue(items, kind=kind), **given)

    return built


@pytest.fixture
def asked(monkeypatch):
    """What the models were asked for and answered: counts of texts under "vectors", "facets" and under each prompt."""
    seen: dict[str, Counter[str]] = {}
    encode, likelihoods = Encoder.encode, LanguageModel.likelihoods

    def encoding(self, texts, **options):
        found = encode(self, texts, **options)
        for text in texts:  # an item's is a sentence, and a facet's isn't
            seen.setdefault("vectors" if text.endswith(".") else "facets", Counter())[text] += 1
        return found

    def scoring(self, prompt, texts, **options):
        found = likelihoods(self, prompt, texts, **options)
        seen.setdefault(prompt, Counter()).update(texts)
        return found

    monkeypatch.setattr(Encoder, "encode", encoding)
    monkeypatch.setattr(LanguageModel, "likelihoods", scoring)
    return seen


@pytest.fixture(scope="module", autouse=True)
def known_enough():
    """Let the tiny model, which knows nothing, be asked all prompts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(building, "WORTH_ALL_PROMPTS", -1.0)
        yield


@pytest.fixture(scope="module")
def twelve(tmp_path_factory, encoder, language_model, teas) -> Path:
    path = tmp_path_factory.mktemp("twelve") / "index"
    catalogue = Catalogue(teas(12), kind="tea")
    building.build(catalogue, encoder=encoder, language_model=language_model, library=LIBRARY, path=path)
    return path


@pytest.fixture
def folder(tmp_path, twelve) -> Path:
    """A fresh copy of an index of twelve teas."""
    return Path(shutil.copytree(twelve, tmp_path / "index"))


def load(path) -> Index:
    return Index.load(path, library=LIBRARY)


def same(one: Index, other: Index) -> bool:
    """Whether two indexes hold the same."""
    assert (one.appeal is None) == (other.appeal is None)
    if one.appeal is not None and other.appeal is not None:
        np.testing.assert_array_equal(one.appeal.total, other.appeal.total)
        np.testing.assert_array_equal(one.appeal.tokens, other.appeal.tokens)
        assert one.appeal.prompts == other.appeal.prompts
        assert one.appeal.knowledge == other.appeal.knowledge
    np.testing.assert_array_equal(one.vectors, other.vectors)
    unsaved = {key: value for key, value in one.manifest.items() if key != "files"}
    assert unsaved == {key: value for key, value in other.manifest.items() if key != "files"}
    return (one.catalogue, one.documents) == (other.catalogue, other.documents)


def close(one: Index, other: Index) -> None:
    """Assert that two indexes are the same but for rounding."""
    assert one.catalogue == other.catalogue
    np.testing.assert_allclose(one.vectors, other.vectors, atol=1e-5)
    np.testing.assert_allclose(one.appeal.total, other.appeal.total, atol=1e-3)
    assert one.appeal.knowledge == pytest.approx(other.appeal.knowledge, abs=1e-5)


def contents(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.iterdir()}


# Saving and loading


def test_what_was_saved_is_loaded(tmp_path, build, teas):
    built = build(teas(12), path=tmp_path / "index")
    assert same(load(tmp_path / "index"), built)
    built.save(tmp_path / "again")
    assert same(load(tmp_path / "again"), built)


def test_an_index_without_a_language_model_has_no_appeal(tmp_path, build, teas):
    built = build(teas(12), language_model=None, path=tmp_path / "index")
    assert built.appeal is None
    assert same(load(tmp_path / "index"), built)


def test_row_i_belongs_to_item_i(build, teas, encoder, language_model):
    built = build(teas(12))
    np.testing.assert_allclose(built.vectors, encoder.encode(built.documents), atol=1e-5)
    assert all(item.title in document for item, document in zip(built.catalogue, built.documents, strict=True))
    item = LIBRARY.describe_item(built.catalogue[3], kind="tea", template="item-title").text
    prompt = "Some of the most popular and acclaimed teas of all time:\n1."
    found = language_model.likelihoods(prompt, [f" {item}"])
    column = built.appeal.prompts.index("appeal-acclaimed")
    assert built.appeal.total[3, column] == pytest.approx(found.total[0], abs=1e-3)
    assert built.appeal.tokens[3] == found.tokens[0]


def test_items_without_a_title_have_no_appeal_but_a_vector(build, teas):
    built = build([*teas(5), Item("blank", "", {"sort": "green"})])
    assert np.isnan(built.appeal.total[-1]).all()
    assert np.isfinite(built.appeal.total[:-1]).all()
    assert np.isfinite(built.centred).all()
    assert np.linalg.norm(built.vectors[-1]) == pytest.approx(1, abs=1e-5)


def test_saving_is_deterministic_to_the_byte(tmp_path, build, teas):
    build(teas(12), path=tmp_path / "one")
    build(teas(12), path=tmp_path / "two")
    load(tmp_path / "one").save(tmp_path / "three")
    before = contents(tmp_path / "one")
    build(teas(12), path=tmp_path / "one")
    assert contents(tmp_path / "one") == before == contents(tmp_path / "two") == contents(tmp_path / "three")


def test_only_the_index_is_left_of_a_build(folder):
    assert [path.name for path in folder.parent.iterdir()] == ["index"]
    assert sorted(path.name.split("-")[0] for path in folder.iterdir()) == [
        "catalogue",
        "facets",
        "manifest.json",
        "rows",
        "vectors",
    ]


def test_files_that_no_manifest_names_are_swept(folder, build, teas):
    (folder / "vectors-0123456789abcdef.npy").write_bytes(b"old")
    (folder / "manifest.json.0123.tmp").write_bytes(b"cut")
    (folder / "notes.txt").write_text("mine")
    build(teas(13), path=folder)
    assert len(list(folder.iterdir())) == 6
    assert (folder / "notes.txt").read_text() == "mine"


# Updates


def test_adding_items_computes_those_items_alone(folder, build, teas, asked):
    new = teas(22)[12:]
    build([*teas(12), *new], path=folder)
    assert len(asked) == 1 + PROMPTS
    for texts in asked.values():
        assert texts.total() == len(new)
        assert all(any(item.title in text for text in texts) for item in new)


def test_a_catalogue_that_the_model_does_not_know_is_asked_one_prompt(build, teas, asked, monkeypatch):
    monkeypatch.setattr(building, "WORTH_ALL_PROMPTS", 1.1)
    built = build(teas(12))
    assert len(asked.keys() - {"facets"}) == 1 + 1
    assert built.appeal.prompts == ("appeal-acclaimed",)


def test_an_update_equals_a_fresh_build(folder, build, teas, monkeypatch):
    monkeypatch.setattr(building, "KNOWLEDGE_SAMPLE", 5)
    updated = build(teas(22), path=folder)
    close(updated, build(teas(22)))
    close(build(teas(22), previous=load(folder)), updated)
    close(build(teas(12), path=folder), build(teas(12)))


def test_nothing_new_computes_nothing(folder, build, teas, asked):
    before = contents(folder)
    build(teas(12), path=folder)
    assert asked == {}
    build(reversed(teas(12)), path=folder)
    assert asked == {}
    assert contents(folder) != before


def test_a_changed_item_is_computed_again_alone(folder, build, teas, asked):
    items = teas(12)
    build([*items[:11], Item("t11", items[11].title, {"sort": "earthy"})], path=folder)
    assert asked["vectors"].total() == 1
    assert all(texts.total() <= 1 for texts in asked.values())


def test_another_model_computes_its_own_part_again(folder, build, teas, asked, encoder):
    other = Encoder(encoder.model, name="other", content_hash="1" * 64)
    build(teas(12), path=folder, encoder=other)
    assert asked["vectors"].total() == 12
    assert set(asked) == {"vectors", "facets"}


def test_equal_texts_are_computed_once(build, teas, asked):
    twins = [Item("a", "Twin", {"sort": "green"}), Item("b", "Twin", {"sort": "green"}), *teas(3)]
    built = build(twins)
    assert asked["vectors"].total() == 4
    assert (built.vectors[0] == built.vectors[1]).all()


# Kills


class Kill:
    """A progress callback that interrupts its nth call about one task."""

    def __init__(self, task: str, call: int) -> None:
        self.task, self.left = task, call

    def __call__(self, task: str, done: int, total: int) -> None:
        assert 0 < done <= total
        if task.startswith(self.task):
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt


@pytest.mark.parametrize(("task", "call"), [("item vectors", 1), ("item vectors", 3), ("appeal 1", 3), ("appeal 2", 1)])
def test_an_interrupted_build_leaves_no_index_and_is_taken_up_where_it_stopped(
    tmp_path, build, teas, asked, monkeypatch, task, call
):
    monkeypatch.setattr(rows, "_CHUNK", 4)
    with pytest.raises(KeyboardInterrupt):
        build(teas(12), path=tmp_path / "index", progress=Kill(task, call))
    assert not (tmp_path / "index").exists()
    done = {section: set(texts) for section, texts in asked.items() if section != "facets"}
    facets = asked.pop("facets", Counter())
    asked.clear()
    built = build(teas(12), path=tmp_path / "index")
    assert (facets + asked.pop("facets", Counter())).total() == len(built.facets)
    assert len(asked) == 1 + PROMPTS - sum(len(texts) == 12 for texts in done.values())
    for section, texts in asked.items():
        assert not done.get(section, set()) & set(texts)
        assert len(texts) + len(done.get(section, ())) == 12
    assert [path.name for path in tmp_path.iterdir()] == ["index"]
    close(built, build(teas(12)))
    assert same(load(tmp_path / "index"), built)


def test_an_interrupted_update_leaves_the_old_index(folder, build, teas, monkeypatch):
    monkeypatch.setattr(rows, "_CHUNK", 4)
    before = contents(folder)
    with pytest.raises(KeyboardInterrupt):
        build(teas(22), path=folder, progress=Kill("item vectors", 2))
    assert contents(folder) == before


def test_a_damaged_journal_is_passed_over(tmp_path, build, teas, monkeypatch):
    monkeypatch.setattr(rows, "_CHUNK", 4)
    with pytest.raises(KeyboardInterrupt):
        build(teas(12), path=tmp_path / "index", progress=Kill("appeal 1", 3))
    first, second, third, *_ = sorted(next(tmp_path.glob(".index.partial-*")).glob("*.npz"))
    first.write_bytes(first.read_bytes()[:-60])
    second.write_bytes(b"")
    third.write_bytes(b"PK\x03\x04 nonsense")
    close(build(teas(12), path=tmp_path / "index"), build(teas(12)))


@pytest.mark.parametrize("at", ["catalogue", "vectors", "rows", "facets", "manifest"])
def test_a_kill_between_files_leaves_the_old_index_readable(folder, build, teas, monkeypatch, at):
    old, replace = load(folder), artefact.replace

    def cut(path, data):
        if path.name.startswith(at) and path.parent == folder:
            raise KeyboardInterrupt
        replace(path, data)

    monkeypatch.setattr(artefact, "replace", cut)
    with pytest.raises(KeyboardInterrupt):
        build(teas(22), path=folder)
    assert same(load(folder), old)
    monkeypatch.setattr(artefact, "replace", replace)
    assert len(build(teas(22), path=folder).catalogue) == 22
    assert len(load(folder).catalogue) == 22
    assert len(list(folder.iterdir())) == 5


def test_a_first_save_that_was_killed_can_be_done_again(tmp_path, build, teas, monkeypatch):
    replace = artefact.replace

    def cut(path, data):
        if path.name == "manifest.json":
            raise KeyboardInterrupt
        replace(path, data)

    monkeypatch.setattr(artefact, "replace", cut)
    with pytest.raises(KeyboardInterrupt):
        build(teas(12), path=tmp_path / "index")
    with pytest.raises(BadIndex, match="holds no index"):
        load(tmp_path / "index")
    monkeypatch.setattr(artefact, "replace", replace)
    built = build(teas(12), path=tmp_path / "index")
    assert same(load(tmp_path / "index"), built)


def test_a_reader_during_saves_sees_the_old_index_or_the_new(tmp_path, build, teas):
    path = tmp_path / "index"
    versions = {len(items): build(items) for items in (teas(12), teas(22))}
    versions[12].save(path)
    stop, seen, problems = threading.Event(), Counter(), []

    @contextmanager
    def noted():
        try:
            yield
        except Exception as problem:
            problems.append(problem)

    def read() -> None:
        while not stop.is_set():
            with noted():
                found = load(path)
                assert same(found, versions[len(found.catalogue)])
                seen[len(found.catalogue)] += 1

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for _ in range(8):
        versions[22].save(path)
        versions[12].save(path)
    stop.set()
    for reader in readers:
        reader.join()
    assert problems == []
    assert seen.total() > 0


# What is refused


@pytest.mark.parametrize("what", ["catalogue", "vectors", "rows"])
@pytest.mark.parametrize("harm", ["changed", "cut", "emptied", "deleted"])
def test_a_damaged_file_is_named_with_the_remedy(folder, what, harm):
    (file,) = folder.glob(f"{what}-*")
    data = file.read_bytes()
    if harm == "deleted":
        file.unlink()
    else:
        middle = len(data) // 2
        damaged = {"cut": data[:middle], "emptied": b"", "changed": data[:middle] + b"?!?" + data[middle + 3 :]}
        file.write_bytes(damaged[harm])
    with pytest.raises(BadIndex, match="index again") as error:
        load(folder)
    assert str(file) in str(error.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '"index"', "null", "{}", '{"format": "one"}', '{"format": 1}'])
def test_a_damaged_manifest_is_named_with_the_remedy(folder, text):
    (folder / "manifest.json").write_text(text)
    with pytest.raises(BadIndex, match=r"index again") as error:
        load(folder)
    assert str(folder) in str(error.value)


def test_a_manifest_that_lacks_anything_is_damaged(folder):
    whole = json.loads((folder / "manifest.json").read_text())
    for key in whole.keys() - {"measured"}:  # older indexes don't say on how many items knowledge was measured
        kept = {name: value for name, value in whole.items() if name != key}
        (folder / "manifest.json").write_text(json.dumps(kept))
        with pytest.raises(BadIndex, match="again"):
            load(folder)


def test_a_damaged_index_can_be_built_again_in_place(folder, build, teas):
    (folder / "manifest.json").write_text("{")
    build(teas(12), path=folder)
    assert len(load(folder).catalogue) == 12


def test_a_catalogue_that_the_manifest_does_not_name_is_refused(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["catalogue"] = "0" * 64
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BadIndex, match="isn't the one its manifest names"):
        load(folder)


def test_a_newer_format_asks_for_an_upgrade(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "format": artefact.FORMAT + 1}))
    with pytest.raises(BadIndex, match="upgrade"):
        load(folder)


def test_where_no_index_is_none_is_loaded(tmp_path):
    (tmp_path / "file").write_bytes(gzip.compress(b"x"))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    for path in (tmp_path / "nowhere", tmp_path / "file", tmp_path / "other"):
        with pytest.raises(BadIndex, match=r"index") as error:
            load(path)
        assert str(path) in str(error.value)


def test_nothing_else_is_overwritten(tmp_path, build, teas, asked):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    for path, why in ((tmp_path / "file", "is a file"), (tmp_path / "other", "holds other files")):
        with pytest.raises(BadIndex, match=why):
            build(teas(3), path=path)
    assert asked == {}
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["notes.txt"]


def test_an_empty_folder_takes_an_index(tmp_path, build, teas):
    (tmp_path / "index").mkdir()
    build(teas(3), path=tmp_path / "index")
    assert len(load(tmp_path / "index").catalogue) == 3


def test_other_templates_do_not_fit(folder, tmp_path):
    (tmp_path / "prompts").mkdir()
    template = 'name = "item"\npurpose = "item"\nversion = 2\ndescription = "d"\ntext = "{{ title }}"\n'
    (tmp_path / "prompts" / "item.toml").write_text(template)
    with pytest.raises(IndexMismatch, match=r"templates.*prompts folder"):
        Index.load(folder, library=Library.load([tmp_path / "prompts"]))
    with pytest.raises(IndexMismatch, match="templates"):
        Recommender.load(folder, prompts=[tmp_path / "prompts"])


def test_other_models_do_not_fit(folder, encoder, language_model):
    other_encoder = Encoder(encoder.model, name="other", content_hash="1" * 64)
    other_model = LanguageModel(language_model.model, language_model.tokenizer, name="other", content_hash="2" * 64)
    with pytest.raises(IndexMismatch, match=r"encoder.*'other' is 1{12}: name that model"):
        Recommender.load(folder, encoder=other_encoder, language_model=language_model)
    with pytest.raises(IndexMismatch, match=r"language model.*'other' is 2{12}: name that model"):
        Recommender.load(folder, encoder=encoder, language_model=other_model)


def test_other_words_for_the_same_models_fit(folder, encoder, language_model):
    renamed = Encoder(encoder.model, name="another path", content_hash=encoder.hash)
    assert Recommender.load(folder, encoder=renamed, language_model=language_model).encoder is renamed


def test_models_are_loaded_by_name_when_first_needed(folder, workshop, monkeypatch, encoder):
    monkeypatch.setenv("COLDSTART_CACHE", str(workshop / "cache"))
    loaded = Recommender.load(folder)
    assert len(loaded.recommend(k=3)) == 3
    assert not {"encoder", "language_model"} & vars(loaded._models).keys()
    np.testing.assert_allclose(loaded.encoder.encode(["tea"]), encoder.encode(["tea"]), atol=1e-5)
    assert isinstance(loaded.language_model, LanguageModel)
