"""The command that lets an index learn, from files."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from coldstart.catalogue import Catalogue
from coldstart.cli import cli
from coldstart.entities import Item
from coldstart.recommender import Recommender

pytestmark = pytest.mark.slow  # each loads what it uses

ITEMS = [Item(f"t{row:02d}", f"Number {row} Tea") for row in range(12)]


@pytest.fixture
def files(tmp_path, encoder):
    """An index of teas, who liked what, and when they drink tea."""
    index = tmp_path / "index"
    Recommender.build(Catalogue(ITEMS, kind="tea"), encoder=encoder, language_model=None, path=index)
    likes, users = tmp_path / "likes.csv", tmp_path / "users.csv"
    told = (f"u{who:02d},t{(who * 5 + step) % 6 + who % 2 * 6:02d},5" for who in range(60) for step in range(2))
    likes.write_text("\n".join(["user_id,item_id,event_value", *told]))
    said = (f"u{who:02d},{('morning', 'evening')[who % 2]}" for who in range(60))
    users.write_text("\n".join(["user_id,drinks", *said]))
    return index, likes, users


def run(*arguments):
    return CliRunner().invoke(cli, [str(argument) for argument in arguments], catch_exceptions=False)


def test_it_learns_what_fields_tell_of_taste(files):
    index, likes, users = files
    assert "what people say" not in run("observe", index, "--interactions", likes).output
    told = run("observe", index, "--users", users).output
    assert "what people say of themselves tells of taste: drinks (" in told
    for drinks, teas in (("morning", range(6)), ("evening", range(6, 12))):
        found = json.loads(run("recommend", index, "-a", f"drinks={drinks}", "-k", "6", "--json").output)
        assert {one["id"] for one in found["items"]} == {f"t{tea:02d}" for tea in teas}
    state = json.loads(run("observe", index, "--forget", "u00", "--json").output)["learned"]
    assert state["described"] == 59


def test_it_wants_to_be_told_something(files):
    assert CliRunner().invoke(cli, ["observe", str(files[0])]).exit_code == 2
