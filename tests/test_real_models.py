"""Laws that only the real default models can show: words mean what they mean, fame is known, numbers are right."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import numpy as np
import pytest

import coldstart as cs
from coldstart.encoding import Encoder
from coldstart.generation import LanguageModel
from coldstart.models import DEFAULT_ENCODER, DEFAULT_LANGUAGE_MODEL, resolve

pytestmark = pytest.mark.model

WINES = Path(str(resources.files("coldstart") / "data" / "wines.csv"))
FAMOUS = ["The Godfather (1972)", "Star Wars (1977)", "Titanic (1997)", "Pulp Fiction (1994)"]
MADE_UP = [
    "Quiet Ledger of Osmond Vale (1972)",
    "Brannock Tide (1977)",
    "The Seventh Cooper (1997)",
    "Pell Window (1994)",
]


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder.load(resolve(DEFAULT_ENCODER))


@pytest.fixture(scope="module")
def language_model() -> LanguageModel:
    return LanguageModel.load(resolve(DEFAULT_LANGUAGE_MODEL))


@pytest.fixture(scope="module")
def wines(encoder, language_model):
    catalogue = cs.Catalogue(cs.Catalogue.read(WINES).items[:60], kind="wine")
    return cs.Recommender.build(catalogue, encoder=encoder, language_model=language_model)


def sorts(found) -> list[str]:
    return [each.item.attributes["type"] for each in found]


def test_bold_reds_are_red(wines):
    found = wines.recommend(cs.Profile(text="bold reds for a steak dinner"), k=5)
    assert sorts(found).count("Red") >= 4


def test_champagne_and_bubbles_sparkle(wines):
    found = wines.recommend(cs.Profile(text="champagne and bubbles for a birthday party"), k=5)
    assert sorts(found).count("Sparkling") >= 4


@pytest.mark.parametrize("observed", [False, True])
def test_what_is_asked_for_holds_beside_likes_of_another_kind(wines, observed):
    """Someone who likes reds, among people who all like reds, asks for a white wine."""
    reds = [item.id for item in wines.catalogue.items if item.attributes["type"] == "Red"]
    asked = wines.unlearned()
    if observed:
        asked.observe(cs.Interaction(f"u{n % 30}", reds[n % len(reds)], value=5.0) for n in range(400))
    for likes in (reds[:1], reds[:2], reds[:8]):
        found = asked.recommend(cs.Profile(text="white wine for seafood", likes=likes), k=5)
        assert sorts(found).count("White") >= 4
        assert "White" not in sorts(asked.recommend(cs.Profile(likes=likes), k=5))


def test_most_texts_that_say_nothing_cost_nothing(wines):
    """Not all: "just signed up" comes close to appetizers."""
    reds = [item.id for item in wines.catalogue.items if item.attributes["type"] == "Red"][:3]
    silent = {one.id for one in wines.recommend(cs.Profile(likes=reds), k=10)}
    texts = ["what would you suggest to me?", "I have just signed up", "hi there", "show me something", "let's see",
             "my colleague sent me", "I like surprises", "what is this?"]  # fmt: skip
    found = [{one.id for one in wines.recommend(cs.Profile(likes=reds, text=text), k=10)} for text in texts]
    assert sum(len(one & silent) >= 9 for one in found) >= 6


def test_a_dislike_of_nothing_that_items_have_moves_little(wines):
    text = "bold reds for a steak dinner"
    plain = [one.id for one in wines.recommend(cs.Profile(text=text), k=10)]
    found = [one.id for one in wines.recommend(cs.Profile(text=f"{text}, nothing expensive"), k=10)]
    assert len({*found} & {*plain}) >= 5
    assert sorts(wines.recommend(cs.Profile(text=f"{text}, nothing expensive"), k=5)).count("Red") >= 4


def test_a_reread_list_still_adds_up(wines):
    found = wines.recommend(cs.Profile(text="bold reds for a steak dinner"), k=5, language=8)
    for each in found:
        assert each.score == pytest.approx(sum(part.contribution for part in each.parts.values()), abs=1e-9)


def test_the_famous_have_more_appeal_than_the_made_up(encoder, language_model):
    items = [cs.Item(title, title) for title in (*FAMOUS, *MADE_UP)]
    built = cs.Recommender.build(cs.Catalogue(items, kind="movie"), encoder=encoder, language_model=language_model)
    ranked = [each.id for each in built.recommend(k=len(items))]
    assert ranked.index("The Godfather (1972)") < min(ranked.index(title) for title in MADE_UP)


def test_likelihoods_are_those_of_plain_forwards(language_model):
    import torch

    prompt = "Some of the most popular and acclaimed movies of all time:\n1."
    texts = [f" {title}" for title in (*FAMOUS, *MADE_UP)]
    found = language_model.likelihoods(prompt, texts)
    plain = []
    for text in texts:
        start = language_model.tokenizer(prompt)["input_ids"]
        rest = language_model.tokenizer(text, add_special_tokens=False)["input_ids"]
        with torch.inference_mode():
            logits = language_model.model(torch.tensor([start + rest])).logits[0].double()
        chances = torch.log_softmax(logits, -1)
        plain.append(sum(float(chances[len(start) + place - 1, token]) for place, token in enumerate(rest)))
    np.testing.assert_allclose(found.total, plain, atol=1e-3)


def test_the_encoder_is_that_of_sentence_transformers(encoder):
    texts = ["bold reds for a steak dinner", "", "champagne 🥂", "a dry white " * 200]
    plain = encoder.model.encode(texts, normalize_embeddings=True, show_progress_bar=False)
    np.testing.assert_allclose(encoder.encode(texts), plain, atol=1e-5)
