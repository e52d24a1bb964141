"""Laws of the packed forward pass: sentence-transformers' own vectors, or none where the model isn't plainly BERT's."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from coldstart.bert import Bert

TEXTS = ["a smoky black tea", "", "green", "hay and honey, with a little malt. " * 20, "a smoky pink tea", "漢字", "x"]


@pytest.fixture
def model(encoder):
    return copy.deepcopy(encoder.model)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("texts", [TEXTS, TEXTS[:1], [TEXTS[0]] * 3])
def test_vectors_are_those_of_sentence_transformers(model, pooling, texts):
    model[1].pooling_mode = pooling
    packed = Bert.of(model)
    assert packed is not None
    with torch.inference_mode():
        found = torch.nn.functional.normalize(packed.vectors(model.preprocess(texts)), dim=1)
    plain = model.encode(texts, normalize_embeddings=True, show_progress_bar=False)
    np.testing.assert_allclose(found.numpy(), plain, atol=1e-5)


def test_weights_in_another_layout_give_the_same_vectors(model):
    ways = [Bert(model, laid_out=laid_out) for laid_out in (False, True)]
    assert [way.packed for way in ways] == [False, True]
    with torch.inference_mode():
        one, other = (way.vectors(model.preprocess(TEXTS)).numpy() for way in ways)
    np.testing.assert_allclose(other, one, atol=1e-5)


def _leave_the_prompt_out(model):
    model[1].include_prompt = False


def _pool_by_the_maximum(model):
    model[1].pooling_mode = "max"


def _wrap_a_layer(model):
    attention = model[0].auto_model.encoder.layer[0].attention.self
    attention.query = torch.nn.Sequential(attention.query)


def _halve(model):
    model.half()


@pytest.mark.parametrize("change", [_leave_the_prompt_out, _pool_by_the_maximum, _wrap_a_layer, _halve])
def test_what_isnt_plainly_bert_is_left_to_sentence_transformers(model, change):
    change(model)
    assert Bert.of(model) is None
