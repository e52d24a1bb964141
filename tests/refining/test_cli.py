"""The commands that refine an index and choose among its adapters."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from coldstart.catalogue import Catalogue
from coldstart.cli import cli
from coldstart.entities import Item
from coldstart.errors import AdapterError
from coldstart.recommender import Recommender

pytestmark = pytest.mark.slow  # each trains

WORDS = ("river", "hill", "cave", "cloud", "lantern", "window")
ITEMS = [Item(f"t{row:02d}", f"{WORDS[row % 6].title()} Tea {'ABCDE'[row // 6]}") for row in range(30)]
QUICK = ["--rate", "0.01", "--batch", "32", "--passes", "6", "--rank", "8"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, encoder):
    path = tmp_path_factory.mktemp("cli") / "index"
    Recommender.build(Catalogue(ITEMS, kind="tea"), encoder=encoder, language_model=None, path=path)
    return path


@pytest.fixture(scope="module")
def events(folder):
    lines = ["user_id,item_id,timestamp"]
    for person in range(80):
        teas = list(range(person % 2, 30, 2))
        lines += [f"u{person},t{teas[(person * 7 + step * 4) % 15]:02d},{step}" for step in range(8)]
    path = folder.parent / "events.csv"
    path.write_text("\n".join(lines))
    return path


def run(*arguments):
    return CliRunner().invoke(cli, [str(argument) for argument in arguments], catch_exceptions=False)


def test_refine_list_show_rollback_promote_remove(folder, events):
    assert "has no adapters" in run("adapters", "list", folder).output
    told = json.loads(run("refine", folder, "--interactions", events, *QUICK, "--json").output.splitlines()[-1])
    assert told["promoted"], told
    assert told["refined_ndcg@10"] > told["present_ndcg@10"]
    listed = run("adapters", "list", folder).output
    assert told["version"] in listed
    assert "in use" in listed
    shown = json.loads(run("adapters", "show", folder, "1").output)
    assert (shown["pairs"], shown["promoted"]) == (told["pairs"], True)
    with pytest.raises(AdapterError, match="is in use"):
        run("adapters", "remove", folder, "1")
    assert "now uses no adapter" in run("adapters", "rollback", folder).output
    assert told["version"] in run("adapters", "promote", folder, "1").output
    run("adapters", "rollback", folder)
    assert "is gone" in run("adapters", "remove", folder, "1").output
    assert json.loads(run("adapters", "list", folder, "--json").output) == []


def test_distil_says_what_was_learned_of_the_language_model_and_how_it_did(encoder, language_model, tmp_path, events):
    folder = tmp_path / "index"
    Recommender.build(Catalogue(ITEMS, kind="tea"), encoder=encoder, language_model=language_model, path=folder)
    how = ["distil", folder, "--interactions", events, "--people", "8"]
    told = json.loads(run(*how, "--json").output.splitlines()[-1])
    assert told["users"] == 8
    assert told["teacher"]["hash"] == language_model.hash
    assert -1 <= told["agreement"]["before"] <= 1
    assert "order agrees with the language model's" in run(*how, "--hold").output
    assert ("in use" in run("adapters", "list", folder).output) == told["promoted"]


def test_the_language_models_adapter_is_promoted_and_taken_back_apart_from_the_encoders(
    encoder, language_model, tmp_path, events
):
    folder = tmp_path / "index"
    Recommender.build(Catalogue(ITEMS, kind="tea"), encoder=encoder, language_model=language_model, path=folder)
    how = ["--model", "language", "--rate", "0.02", "--passes", "3", "--json"]
    told = json.loads(run("refine", folder, "--interactions", events, *how).output.splitlines()[-1])
    assert told["kind"] == "language"
    assert told["present_auc"] >= 0
    if told["promoted"]:
        assert "language model" in run("adapters", "list", folder).output
        back = run("adapters", "rollback", folder, "--model", "language").output
        assert "now uses no adapter" in " ".join(back.split())
        assert told["version"] in run("adapters", "promote", folder, "1").output
    else:
        with pytest.raises(AdapterError, match="nothing to roll back to"):
            run("adapters", "rollback", folder, "--model", "language")


def test_what_cant_be_used_says_so(folder):
    with pytest.raises(AdapterError, match="no adapter '7'"):
        run("adapters", "promote", folder, "7")
    found = run("refine", folder)
    assert found.exit_code == 2
    assert "--interactions" in found.output


def test_a_search_is_of_the_encoder(folder, events):
    with pytest.raises(AdapterError, match="leave it out"):
        run("refine", folder, "--interactions", events, "--model", "language", "--search", "2")


def test_an_objective_is_of_the_language_model(folder, events):
    with pytest.raises(AdapterError, match="--objective is of the language model"):
        run("refine", folder, "--interactions", events, "--objective", "lists")


def test_the_language_model_learns_order_where_it_is_told_to(encoder, language_model, tmp_path, events):
    folder = tmp_path / "index"
    Recommender.build(Catalogue(ITEMS, kind="tea"), encoder=encoder, language_model=language_model, path=folder)
    how = ["--model", "language", "--objective", "lists", "--passes", "1", "--json"]
    told = json.loads(run("refine", folder, "--interactions", events, *how).output.splitlines()[-1])
    assert told["objective"] == "lists"
    assert told["present_gauc"] >= 0
