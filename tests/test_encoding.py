"""Laws of the encoder: unit rows that follow their texts, alone or together, as sentence-transformers has them."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from coldstart.encoding import Encoder
from coldstart.errors import ModelError
from coldstart.models import ResolvedModel

CLOSE = 1e-5
TEXTS = [
    "a smoky black tea",
    "",
    "green",
    "hay and honey, with a little malt. " * 20,
    "a smoky black tea",
    "Rosé 漢字 🍵",
    " ",
    "x",
]


@pytest.fixture
def prompted(encoder_folder, resolve_folder):
    def load(prompts: dict[str, str], *, include_prompt: bool = True) -> Encoder:
        return Encoder.load(resolve_folder(encoder_folder(1, prompts=prompts, include_prompt=include_prompt)))

    return load


def test_rows_follow_their_texts_whatever_the_order(encoder):
    vectors = encoder.encode(TEXTS)
    order = np.random.default_rng(0).permutation(len(TEXTS))
    shuffled = encoder.encode([TEXTS[place] for place in order])
    np.testing.assert_allclose(shuffled, vectors[order], atol=CLOSE)


def test_a_batch_reads_like_its_members(encoder):
    vectors = encoder.encode(TEXTS)
    alone = np.concatenate([encoder.encode([text]) for text in TEXTS])
    np.testing.assert_allclose(vectors, alone, atol=CLOSE)


def test_equal_texts_get_equal_rows_and_others_do_not(encoder):
    vectors = encoder.encode(TEXTS)
    assert (vectors[0] == vectors[4]).all()
    assert np.abs(vectors[0] - vectors[2]).max() > 0.01


def test_every_row_has_unit_length_also_of_an_empty_text(encoder):
    vectors = encoder.encode(TEXTS)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=CLOSE)


def test_no_texts_give_no_rows(encoder):
    assert encoder.encode([]).shape == (0, encoder.dimension) == (0, 32)


@pytest.mark.parametrize("role", ["query", "document"])
def test_vectors_are_those_of_sentence_transformers(encoder, role):
    plain = encoder.model.encode(TEXTS, normalize_embeddings=True, show_progress_bar=False)
    np.testing.assert_allclose(encoder.encode(TEXTS, role=role), plain, atol=CLOSE)


@pytest.mark.parametrize("batch", [64, 3, 1])
def test_the_size_of_batches_changes_nothing(encoder, monkeypatch, batch):
    expected = encoder.encode(TEXTS)
    monkeypatch.setattr("coldstart.encoding._BATCH_TEXTS", batch)
    monkeypatch.setattr("coldstart.encoding._BATCH_TOKENS", batch * 8)
    np.testing.assert_allclose(encoder.encode(TEXTS), expected, atol=CLOSE)


def test_threads_that_each_read_batches_of_their_own_change_nothing(encoder, monkeypatch):
    texts = [f"{text} {number}" for number in range(8) for text in TEXTS]
    expected = encoder.encode(texts)
    before, busy = torch.get_num_threads(), set()
    forward = encoder._forward
    monkeypatch.setattr("coldstart.encoding._BATCH_TEXTS", 4)
    monkeypatch.setattr(encoder, "_forward", lambda *given: busy.add(threading.get_ident()) or forward(*given))
    torch.set_num_threads(2)
    try:
        done = []
        np.testing.assert_allclose(encoder.encode(texts, progress=done.append), expected, atol=CLOSE)
        assert sum(done) == len(texts)
        assert threading.get_ident() not in busy
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_progress_counts_to_the_number_of_texts(encoder, monkeypatch):
    monkeypatch.setattr("coldstart.encoding._BATCH_TEXTS", 2)
    done: list[int] = []
    encoder.encode(TEXTS, progress=done.append)
    assert sum(done) == len(TEXTS)
    assert len(done) > 2
    encoder.encode([], progress=done.append)
    assert sum(done) == len(TEXTS)


def test_what_is_beyond_the_longest_text_is_cut(encoder):
    assert encoder.max_tokens == 64
    long = "honey " * 500
    assert encoder.count_tokens("tea") == 5
    assert encoder.count_tokens(long) > 500
    np.testing.assert_allclose(encoder.encode([long]), encoder.encode([long + "and malt"]), atol=CLOSE)


@pytest.mark.parametrize(
    ("prompts", "query", "document"),
    [
        ({"query": "query: ", "document": "passage: "}, "query: ", "passage: "),
        ({"query": "query: ", "passage": "passage: "}, "query: ", "passage: "),
        ({"query": "for: ", "other": "no: "}, "for: ", ""),
    ],
)
def test_a_model_that_tells_queries_from_documents_gets_its_own_prompts(prompted, prompts, query, document):
    loaded = prompted(prompts)
    for role, prompt in (("query", query), ("document", document)):
        plain = loaded.model.encode(TEXTS, prompt=prompt, normalize_embeddings=True, show_progress_bar=False)
        np.testing.assert_allclose(loaded.encode(TEXTS, role=role), plain, atol=CLOSE)
    assert np.abs(loaded.encode(TEXTS, role="query") - loaded.encode(TEXTS, role="document")).max() > 0.01


def test_a_model_that_leaves_its_prompt_out_of_the_mean_does_so(prompted):
    loaded = prompted({"query": "query: ", "document": "passage: "}, include_prompt=False)
    plain = loaded.model.encode_query(TEXTS, normalize_embeddings=True, show_progress_bar=False)
    np.testing.assert_allclose(loaded.encode(TEXTS, role="query"), plain, atol=CLOSE)


def test_a_folder_that_holds_no_encoder_is_an_error_that_names_it(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "toaster"}')
    with pytest.raises(ModelError, match=r"(?s)can't be loaded as an encoder.*name another model") as error:
        Encoder.load(ResolvedModel("toaster", tmp_path, "0" * 64, "encoder"))
    assert str(tmp_path) in str(error.value)
