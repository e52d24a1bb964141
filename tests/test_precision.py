"""Laws of half precision: nearly the same numbers, the same ones again, one precision an index, and it is told."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
import torch

from coldstart import products
from coldstart.bert import Bert
from coldstart.encoding import Encoder
from coldstart.entities import Item, Profile
from coldstart.errors import ModelError
from coldstart.generation import LanguageModel
from coldstart.llama import Llama
from coldstart.loading import dtypes_of
from coldstart.recommender import Recommender

HALF = "bfloat16"
TITLES = [" Morning Terrace", " Old Kettle (2004)", " x", "", " Rain on Slate, a tea of " + "hay " * 30]
ASKED = [("A person who loves tea loves:", TITLES), ("", TITLES[::-1]), ("Teas:", [])]


@pytest.fixture(params=[True, False], ids=["oneDNN", "without oneDNN"])
def load_half(request, monkeypatch, resolve_folder):
    """Load a folder in half precision: with oneDNN's products, where there are any, and without."""
    if not request.param:
        monkeypatch.setattr(products, "_has_halves", lambda _weight: False)
    return lambda kind, folder: kind.load(resolve_folder(folder), dtype=HALF)


@pytest.fixture
def half_language_model(load_half, language_model_folder) -> LanguageModel:
    return load_half(LanguageModel, language_model_folder())


@pytest.fixture
def half_encoder(load_half, encoder_folder) -> Encoder:
    return load_half(Encoder, encoder_folder())


def totals(model: LanguageModel) -> np.ndarray:
    return np.concatenate([each.total for each in model.likelihoods_of(ASKED)])


def test_likelihoods_in_half_precision_are_about_as_near_the_true_ones_as_transformers_own(
    language_model, half_language_model
):
    assert half_language_model.dtype == HALF
    exact, found = totals(language_model), totals(half_language_model)
    theirs = totals(LanguageModel(copy.deepcopy(language_model.model).to(torch.bfloat16), language_model.tokenizer))
    assert 0 < np.abs(found - exact).mean() < 1.5 * np.abs(theirs - exact).mean()
    assert (totals(half_language_model) == found).all()


def test_no_token_is_likelier_than_certain_in_half_precision(half_language_model):
    for row in half_language_model.log_probabilities("Teas:", TITLES):
        assert (row < 1e-3).all()


def test_sums_of_probabilities_hold_where_one_word_towers_above_another(language_model):
    llama = Llama.of(language_model.model, half=True)
    states = 50 * torch.randn(3, llama.head.shape[1], generator=torch.Generator().manual_seed(0))
    logits = states.bfloat16().float() @ llama.head.bfloat16().float().T
    assert float((logits.amax(1) - logits.amin(1)).min()) > 100  # nats: exp() of that overflows
    for word in (logits.argmin(1), logits.argmax(1)):
        near = llama.logits(states, word)
        assert torch.allclose(llama.normalisers(states, near), logits.logsumexp(1), rtol=1e-2)


def test_vectors_in_half_precision_are_as_near_the_true_ones_as_sentence_transformers_own(encoder, half_encoder):
    texts = ["a smoky black tea", "", "green", "hay and honey, with a little malt. " * 20, "x"]
    exact, found = encoder.encode(texts), half_encoder.encode(texts)
    model = copy.deepcopy(encoder.model).to(torch.bfloat16)
    theirs = Encoder(model).encode(texts)
    assert 0 < np.abs(found - exact).mean() < 1.5 * np.abs(theirs - exact).mean()
    assert (half_encoder.encode(texts) == found).all()


def test_models_that_are_read_by_transformers_are_of_half_precision_themselves(language_model_folder, resolve_folder):
    model = LanguageModel.load(resolve_folder(language_model_folder("gpt2")), dtype=HALF)
    assert model.dtype == HALF
    assert model.model.dtype == torch.bfloat16
    with pytest.raises(ModelError, match="was loaded in bfloat16, float32 is wanted: load it with that dtype"):
        model.at("float32")


def test_small_models_arent_worth_half_precision(language_model_folder, encoder_folder, resolve_folder):
    for load, folder in ((LanguageModel.load, language_model_folder()), (Encoder.load, encoder_folder())):
        assert load(resolve_folder(folder), dtype="auto").dtype == "float32"


def test_half_precision_is_taken_where_it_is_measured_to_pay(
    language_model_folder, encoder_folder, resolve_folder, monkeypatch
):
    monkeypatch.setattr(Llama, "better_halved", staticmethod(lambda _model: True))
    monkeypatch.setattr(Bert, "better_halved", staticmethod(lambda _model: True))
    for load, folder in ((LanguageModel.load, language_model_folder()), (Encoder.load, encoder_folder())):
        assert load(resolve_folder(folder), dtype="auto").dtype == HALF


@pytest.mark.parametrize("factor", [0.5, 1.4, 1.6, 4.0])
def test_a_measurement_decides_by_how_much_faster_it_is(monkeypatch, factor):
    monkeypatch.setattr(products, "_has_halves", lambda _weight: True)
    monkeypatch.setattr(products, "_faster", lambda *_: factor)
    weights = [torch.zeros(600, 600)] * 2
    assert products.halving_pays(weights) == (factor > products.HALF_GAIN)
    assert not products.halving_pays([torch.zeros(8, 8)])


def test_a_model_in_another_precision_is_made_once_and_shares_its_weights(language_model, encoder):
    for model in (language_model, encoder):
        other = model.at(HALF)
        assert other.dtype == HALF
        assert other.hash == model.hash
        assert model.at(HALF) is other
        assert other.at(HALF) is other
        assert other.model is model.model


class TestAnIndex:
    @pytest.fixture
    def half(self, half_language_model, half_encoder, catalogue, tmp_path):
        models = {"encoder": half_encoder, "language_model": half_language_model}
        Recommender.build(catalogue, **models, path=tmp_path / "index")
        return Recommender.load(tmp_path / "index", **models)

    def test_tells_in_its_manifest_and_with_every_list(self, half, half_encoder, half_language_model):
        for role in ("encoder", "language_model"):
            assert half.index.manifest[role]["dtype"] == HALF
        found = half.recommend(Profile(text="something smoky"), language=3)
        assert set(found.models) == {f"{model.name} ({HALF})" for model in (half_encoder, half_language_model)}

    def test_gives_new_items_the_precision_of_the_others(self, half, encoder, language_model, monkeypatch):
        for model in (encoder, language_model):
            monkeypatch.setattr(model, "_others", {})
        reread = Recommender(half.index, encoder=encoder, language_model=language_model)
        new = Item("n", "A New Kettle", {"sort": "green"})
        grown = reread.add([new])
        assert grown.index.manifest["encoder"]["dtype"] == HALF
        for later in (reread.add([new], appeal="later").complete(), half.add([new])):
            assert (later.index.vectors == grown.index.vectors).all()
            for section, values in grown.index.rows.likelihoods.items():
                assert (later.index.rows.likelihoods[section] == values).all()

    @pytest.mark.usefixtures("half")
    def test_is_built_anew_in_another_precision(self, catalogue, encoder, language_model, tmp_path):
        models = {"encoder": encoder, "language_model": language_model}
        again = Recommender.build(catalogue, **models, path=tmp_path / "index")
        fresh = Recommender.build(catalogue, **models)
        assert again.index.manifest["language_model"]["dtype"] == "float32"
        assert (again.index.vectors == fresh.index.vectors).all()
        for section, values in fresh.index.rows.likelihoods.items():
            assert (again.index.rows.likelihoods[section] == values).all()

    @pytest.mark.usefixtures("half")
    def test_settles_what_is_left_to_measurement(self, tmp_path):
        names = {"encoder": "a", "language_model": "b"}
        assert dtypes_of(tmp_path / "index", names, dtype="auto") == (HALF, HALF)
        assert dtypes_of(tmp_path / "index", names, dtype="float32") == ("float32", "float32")
        assert dtypes_of(tmp_path / "elsewhere", names, dtype="auto") == (None, None)
        assert dtypes_of(None, names, dtype="auto") == (None, None)

    def test_of_before_there_was_a_choice_is_of_full_precision(self, catalogue, encoder, language_model, tmp_path):
        models = {"encoder": encoder, "language_model": language_model}
        Recommender.build(catalogue, **models, path=tmp_path / "index")
        file = tmp_path / "index" / "manifest.json"
        manifest = json.loads(file.read_text())
        for role in models:
            del manifest[role]["dtype"]
        file.write_text(json.dumps(manifest))
        before = Recommender.load(tmp_path / "index", **models)
        assert (before.add([Item("n", "New")]).index.vectors[:-1] == before.index.vectors).all()
        assert before.recommend(k=1).models == {model.name: model.hash for model in models.values()}
