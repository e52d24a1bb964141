"""Laws of the language model: its numbers are those of one plain forward a continuation, however they are had."""

from __future__ import annotations

import threading
from itertools import chain

import numpy as np
import pytest
import torch

from coldstart import reading
from coldstart.errors import ModelError
from coldstart.generation import LanguageModel
from coldstart.llama import Llama
from coldstart.models import ResolvedModel
from coldstart.prefixes import Prefixes
from coldstart.threads import spread

pytestmark = pytest.mark.slow

CLOSE = 1e-4  # nats
PROMPTS = ["", "x", "Une forêt 漢字 🍵, a long prompt of the"]
CONTINUATIONS = [
    " Morning Terrace (2004)",
    "",
    "x",
    " the the",
    " Rosé 漢字 🍵",
    " 1",
    " Old Kettle",
    "",
    " " + "long " * 20,
]
MODELS = {
    "llama": {},
    "llama-without-chat": {"architecture": "llama", "chat": False},
    "llama-with-start": {"architecture": "llama", "start": True},
    "gpt2": {"architecture": "gpt2"},
    "sliding": {"architecture": "sliding"},
    "mamba": {"architecture": "mamba"},
    "hybrid": {"architecture": "hybrid"},
}


@pytest.fixture(scope="module")
def models(language_model_folder, resolve_folder):
    loaded: dict[str, LanguageModel] = {}

    def model(name: str) -> LanguageModel:
        if name not in loaded:
            loaded[name] = LanguageModel.load(resolve_folder(language_model_folder(**MODELS[name])))
        return loaded[name]

    return model


@pytest.fixture(params=[name for name in MODELS if name != "llama-without-chat"])
def model(models, request) -> LanguageModel:
    return models(request.param)


def tokens_of(model: LanguageModel, prompt: str, text: str) -> tuple[list[int], list[int]]:
    """Return the ids of a prompt and of what follows; bytes-level pieces never span the two here."""
    start = model.tokenizer(prompt)["input_ids"] or [model.tokenizer.bos_token_id]
    return start, model.tokenizer(text, add_special_tokens=False)["input_ids"]


def plain_logits(model: LanguageModel, ids: list[int]) -> torch.Tensor:
    import torch

    with torch.inference_mode():
        return model.model(torch.tensor([ids]), use_cache=False).logits[0].double()


def plain_likelihood(model: LanguageModel, prompt: str, text: str) -> list[float]:
    import torch

    start, rest = tokens_of(model, prompt, text)
    if not rest:
        return []
    chances = torch.log_softmax(plain_logits(model, start + rest), -1)
    return [float(chances[len(start) + place - 1, token]) for place, token in enumerate(rest)]


@pytest.mark.parametrize("prompt", PROMPTS)
def test_likelihoods_are_those_of_one_plain_forward_each(model, prompt):
    found = model.likelihoods(prompt, CONTINUATIONS)
    plain = [plain_likelihood(model, prompt, text) for text in CONTINUATIONS]
    np.testing.assert_allclose(found.total, [sum(each) for each in plain], atol=CLOSE)
    for row, each in zip(model.log_probabilities(prompt, CONTINUATIONS), plain, strict=True):
        np.testing.assert_allclose(row, each, atol=CLOSE)
    assert found.tokens.tolist() == [len(each) for each in plain]
    assert found.tokens.tolist() == [model.count_tokens(text) for text in CONTINUATIONS]
    means = [sum(each) / len(each) if each else np.nan for each in plain]
    np.testing.assert_allclose(found.mean, means, atol=CLOSE)


def test_several_prompts_are_read_together_as_each_alone(model):
    asked = [(PROMPTS[0], CONTINUATIONS), (PROMPTS[-1], []), ("Teas:", CONTINUATIONS[::-1]), ("Jams:", [""])]
    found = model.likelihoods_of(asked)
    for (prompt, texts), each in zip(asked, found, strict=True):
        alone = model.likelihoods(prompt, texts)
        np.testing.assert_allclose(each.total, alone.total, atol=CLOSE)
        assert each.tokens.tolist() == alone.tokens.tolist()
    assert model.likelihoods_of([]) == []


@pytest.mark.parametrize("prompt", PROMPTS)
def test_log_odds_are_those_of_one_plain_forward_each(model, prompt):
    yes, no = model.tokenizer("Yes")["input_ids"][-1], model.tokenizer("No")["input_ids"][-1]
    last = [plain_logits(model, [*chain(*tokens_of(model, prompt, text))]) for text in CONTINUATIONS]
    expected = [float(logits[-1, yes] - logits[-1, no]) for logits in last]
    np.testing.assert_allclose(model.log_odds(prompt, CONTINUATIONS, yes="Yes", no="No"), expected, atol=CLOSE)


def test_likelihoods_follow_their_continuations_whatever_the_order(model):
    order = np.random.default_rng(0).permutation(len(CONTINUATIONS))
    found = model.likelihoods("Teas:", CONTINUATIONS)
    shuffled = model.likelihoods("Teas:", [CONTINUATIONS[place] for place in order])
    np.testing.assert_allclose(shuffled.total, found.total[order], atol=CLOSE)
    assert (shuffled.tokens == found.tokens[order]).all()


def test_log_odds_follow_their_questions_whatever_the_order(model):
    order = np.random.default_rng(1).permutation(len(CONTINUATIONS))
    found = model.log_odds("Teas:", CONTINUATIONS, yes="Yes", no="No")
    shuffled = model.log_odds("Teas:", [CONTINUATIONS[place] for place in order], yes="Yes", no="No")
    np.testing.assert_allclose(shuffled, found[order], atol=CLOSE)


def test_a_prompt_that_was_read_before_gives_the_same_numbers(models, monkeypatch):
    model = models("llama")
    monkeypatch.setattr(model, "_prefixes", Prefixes(20_000))
    first = model.likelihoods("Kept:", CONTINUATIONS)
    odds = model.log_odds("Kept:", CONTINUATIONS, yes="Yes", no="No")
    assert (model.likelihoods("Kept:", CONTINUATIONS).total == first.total).all()
    for number in range(20):
        model.likelihoods(f"{number}, another prompt", [" tea"])
        assert model._prefixes.size <= 20_000
    assert 1 < len(model._prefixes) < 20
    assert (model.likelihoods("Kept:", CONTINUATIONS).total == first.total).all()
    assert (model.log_odds("Kept:", CONTINUATIONS, yes="Yes", no="No") == odds).all()


@pytest.mark.parametrize("budget", [1, 16, 4096])
@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_the_size_of_batches_changes_nothing(models, monkeypatch, name, budget):
    model = models(name)
    expected = model.likelihoods("Teas:", CONTINUATIONS).total
    odds = model.log_odds("Teas:", CONTINUATIONS, yes="Yes", no="No")
    monkeypatch.setattr(model._reader, "most", lambda _vocabulary: budget)
    np.testing.assert_allclose(model.likelihoods("Teas:", CONTINUATIONS).total, expected, atol=CLOSE)
    np.testing.assert_allclose(model.log_odds("Teas:", CONTINUATIONS, yes="Yes", no="No"), odds, atol=CLOSE)


@pytest.mark.parametrize("name", ["llama", "gpt2", "sliding"])
def test_a_model_whose_cache_can_not_branch_gives_the_same_numbers(models, monkeypatch, name):
    model = models(name)
    monkeypatch.setattr(model, "_reader", reading.Whole(model.model))
    monkeypatch.setattr(model, "_prefixes", Prefixes(1))
    branched = model.likelihoods("Teas:", CONTINUATIONS).total
    odds = model.log_odds("Teas:", CONTINUATIONS, yes="Yes", no="No")
    monkeypatch.setattr(reading, "_can_branch", lambda _cache: False)
    np.testing.assert_allclose(model.likelihoods("Teas:", CONTINUATIONS).total, branched, atol=CLOSE)
    np.testing.assert_allclose(model.log_odds("Teas:", CONTINUATIONS, yes="Yes", no="No"), odds, atol=CLOSE)


def test_threads_that_read_rows_of_their_own_give_the_same_numbers(models, monkeypatch):
    model, busy = models("llama"), set()
    questions = [f"{text} {number}" for number in range(6) for text in CONTINUATIONS]
    asked = [(prompt, questions) for prompt in PROMPTS]

    def numbers():
        likelihoods = [each.total for each in model.likelihoods_of(asked)]
        preferences = model.preferences(asked, ["a", "b"])
        return np.concatenate(
            [*likelihoods, model.likelihoods(PROMPTS[2], questions).total, *map(np.ravel, preferences)]
        )

    expected = numbers()
    run = Llama._run
    monkeypatch.setattr(Llama, "_run", lambda *given, **how: busy.add(threading.get_ident()) or run(*given, **how))
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        np.testing.assert_allclose(numbers(), expected, atol=CLOSE)
        assert busy - {threading.get_ident()}
        assert torch.get_num_threads() == 2
        busy.clear()
        model.likelihoods(PROMPTS[1], [" x"])  # too little to part
        assert busy <= {threading.get_ident()}
    finally:
        torch.set_num_threads(before)


def test_what_goes_wrong_in_a_thread_is_told_and_leaves_torch_as_it_was():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(ZeroDivisionError):
            list(spread(lambda part: 1 / part, [1, 0, 2]))
        assert torch.get_num_threads() == 2
        assert list(spread(lambda part: part * part, range(20))) == [part * part for part in range(20)]
    finally:
        torch.set_num_threads(before)


def test_questions_read_together_are_answered_as_if_alone(model):
    asked = [(prompt, CONTINUATIONS[place : place + 4]) for place, prompt in enumerate([*PROMPTS, "Teas:"])]
    together = model.log_odds_of([*asked, ("none", [])], yes="Yes", no="No")
    assert together[-1].shape == (0,)
    for (prompt, questions), odds in zip(asked, together, strict=False):
        np.testing.assert_allclose(odds, model.log_odds(prompt, questions, yes="Yes", no="No"), atol=CLOSE)
    assert model.log_odds_of([], yes="Yes", no="No") == []


def test_preferences_compare_any_answers(model):
    found = model.preferences([("Teas:", CONTINUATIONS)], ["Yes", "No", "x"])[0]
    assert found.shape == (len(CONTINUATIONS), 3)
    odds = model.log_odds("Teas:", CONTINUATIONS, yes="x", no="Yes")
    np.testing.assert_allclose(found[:, 2] - found[:, 0], odds, atol=CLOSE)


def test_what_may_come_next_is_what_a_plain_forward_expects(model):
    rows = [[], *(ids for ids in model.tokenize("Teas:", CONTINUATIONS[:4]) if ids)]
    found = model.next_log_probabilities("Teas:", rows).double().numpy()
    start = model.tokenizer("Teas:")["input_ids"]
    for row, each in zip(rows, found, strict=True):
        plain = plain_logits(model, [*start, *row])[-1].log_softmax(-1).numpy()
        np.testing.assert_allclose(each, plain, atol=CLOSE)


def test_a_prompt_that_begins_like_another_gives_the_same_numbers(models, monkeypatch):
    model = models("llama")
    expected = {}
    for prompt in ("A long prompt of teas", "A long prompt", "A long prompt of coffees:", "A long prompt of teas:"):
        monkeypatch.setattr(model, "_prefixes", Prefixes(10**9))
        expected[prompt] = model.likelihoods(prompt, CONTINUATIONS).total
    monkeypatch.setattr(model, "_prefixes", Prefixes(10**9))
    for prompt, total in expected.items():
        np.testing.assert_allclose(model.likelihoods(prompt, CONTINUATIONS).total, total, atol=CLOSE)


def test_a_prompt_that_is_read_in_pieces_gives_the_same_numbers(models, monkeypatch):
    model, prompt = models("llama"), "tea, " * 40
    expected = model.likelihoods(prompt, CONTINUATIONS).total
    monkeypatch.setattr("coldstart.llama._CHUNK", 7)
    monkeypatch.setattr(model, "_prefixes", Prefixes(1))
    np.testing.assert_allclose(model.likelihoods(prompt, CONTINUATIONS).total, expected, atol=CLOSE)


def test_llamas_are_read_packed_and_others_by_transformers(models):
    ways = {name: type(models(name)._reader).__name__ for name in MODELS}
    assert {name for name, way in ways.items() if way == "Packed"} == {
        "llama",
        "llama-without-chat",
        "llama-with-start",
    }


def test_a_model_that_was_given_other_weights_is_read_anew(language_model_folder, resolve_folder):
    import torch

    model = LanguageModel.load(resolve_folder(language_model_folder()))
    before = model.likelihoods("Teas:", CONTINUATIONS).total
    layer = model.model.model.layers[0].self_attn.k_proj
    layer.weight.data = layer.weight.data + torch.randn_like(layer.weight)
    after = model.likelihoods("Teas:", CONTINUATIONS).total
    plain = [sum(plain_likelihood(model, "Teas:", text)) for text in CONTINUATIONS]
    assert np.abs(after - before).max() > 0.01
    np.testing.assert_allclose(after, plain, atol=CLOSE)


def test_weights_in_another_layout_give_the_same_numbers(models, monkeypatch):
    model = models("llama")
    expected = model.likelihoods("Teas:", CONTINUATIONS).total
    llama = Llama(model.model, laid_out=True)
    assert llama.packed
    assert not model._reader._llama.packed  # such small ones aren't worth it
    monkeypatch.setattr(model, "_reader", reading.Packed(llama))
    monkeypatch.setattr(model, "_prefixes", Prefixes(1))
    np.testing.assert_allclose(model.likelihoods("Teas:", CONTINUATIONS).total, expected, atol=CLOSE)


def test_two_that_share_weights_hold_them_once(language_model_folder, resolve_folder):
    model = LanguageModel.load(resolve_folder(language_model_folder()))
    other = LanguageModel(model.model, model.tokenizer)
    assert model._reader.current
    assert other._reader.current


def test_no_continuations_give_no_numbers(models):
    found = models("llama").likelihoods("Teas:", [])
    assert found.total.shape == found.tokens.shape == found.mean.shape == (0,)
    assert models("llama").log_odds("Teas:", [], yes="Yes", no="No").shape == (0,)


def test_progress_counts_to_the_number_of_continuations(models, monkeypatch):
    monkeypatch.setattr(models("llama")._reader, "most", lambda _vocabulary: 16)
    done: list[int] = []
    models("llama").likelihoods("Teas:", CONTINUATIONS, progress=done.append)
    assert sum(done) == len(CONTINUATIONS)
    assert len(done) > 2


@pytest.mark.parametrize(("yes", "no"), [("Yes", "Yesterday"), ("x", "x"), ("", "No"), ("Yes", "")])
def test_answers_that_begin_with_the_same_token_are_an_error(models, yes, no):
    with pytest.raises(ModelError, match="first token"):
        models("llama").log_odds("Teas:", ["a"], yes=yes, no=no)


def test_a_chat_is_written_as_the_models_template_writes_it(models):
    assert models("llama").chat("Hi {{ there }}") == "<|user|>Hi {{ there }}<|end|><|assistant|>"
    assert models("llama-without-chat").chat("Hi {{ there }}") == "Hi {{ there }}\n"


def test_a_folder_that_holds_no_language_model_is_an_error_that_names_it(tmp_path, encoder_folder):
    (tmp_path / "config.json").write_text('{"model_type": "toaster"}')
    for folder in (tmp_path, encoder_folder()):
        with pytest.raises(ModelError, match=r"(?s)can't be loaded as a language model.*name another model") as error:
            LanguageModel.load(ResolvedModel("toaster", folder, "0" * 64, "language model"))
        assert str(folder) in str(error.value)
