"""Laws of `coldstart onboard`: it talks over a pipe, and says what it made of it."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from coldstart.cli import cli
from coldstart.cli.onboard import _read
from coldstart.onboarding import Dialogue, Option, Question

pytestmark = pytest.mark.slow

SEVERAL = Question("items:1|2", "items", "Which?", (Option("1", "One"), Option("2", "Two")), 0.1)
ONE = Question("item:1", "item", "Do you like One?", (Option("like", "Yes"), Option("dislike", "No")), 0.1)
WORDS = Question("text", "text", "What?", (), float("nan"))


@pytest.mark.parametrize(
    ("question", "said", "value"),
    [
        (SEVERAL, "", None),
        (SEVERAL, "0", []),
        (SEVERAL, "2, 1", ["2", "1"]),
        (SEVERAL, "3", ...),
        (SEVERAL, "one", ...),
        (ONE, "2", "dislike"),
        (ONE, "1 2", ...),
        (WORDS, "smoky", "smoky"),
        (WORDS, "", None),
    ],
)
def test_what_is_typed_is_read(question, said, value):
    assert _read(question, said) == value


def test_it_talks_over_a_pipe(recommender, tmp_path, monkeypatch):
    from coldstart.recommender import Recommender

    monkeypatch.setattr(Recommender, "load", classmethod(lambda *_, **__: recommender))
    done = CliRunner().invoke(cli, ["onboard", str(tmp_path), "--json", "-k", "5"], input="1\n\ndone\n")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout.strip().splitlines()[-1])
    assert sum(len(shelf["items"]) for shelf in found["shelves"]) == 5
    assert len(Dialogue.from_dict(found["dialogue"]).answers) == 2
