"""Laws of the commands around the service: keys are shown once, and what was exported comes back whole."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from coldstart.cli import cli
from coldstart.entities import Item
from coldstart.service import keys
from coldstart.service.keys import Keys
from coldstart.service.storage import Event, Given, open_storage


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a command on a data folder, and return what it prints."""
    monkeypatch.setitem(keys._COST, "n", 2**4)

    def run(*words, data="data", expect=0, given=None):
        done = CliRunner().invoke(cli, [*words, "--data", str(tmp_path / data)], input=given)
        if expect == 0 and done.exception is not None:
            raise done.exception
        return done.output if expect == 0 else str(done.exception) + done.output

    return run


@pytest.fixture
def rows(tmp_path):
    """The rows of a data folder."""
    opened = []

    def rows(data="data"):
        opened.append(open_storage(f"sqlite:///{tmp_path / data / 'coldstart.sqlite'}"))
        return opened[-1]

    yield rows
    for each in opened:
        each.engine.dispose()


def test_a_key_is_shown_once_listed_without_its_secret_and_revoked(run, rows):
    run("tenants", "create", "shop", "--kind", "tea")
    text = run("keys", "create", "--tenant", "shop", "--scope", "read", "--name", "web").strip()
    key = Keys(rows()).check(text)
    assert (key.tenant, key.scopes, key.name) == ("shop", ("read",), "web")
    listed = json.loads(run("keys", "list", "--json"))["keys"]
    assert [one["id"] for one in listed] == [key.id]
    assert text.split("_")[2] not in run("keys", "list")
    assert "revoked" in run("keys", "revoke", key.id)
    assert Keys(rows()).check(text) is None


def test_tenants_are_created_once_and_listed(run):
    assert "created" in run("tenants", "create", "shop", "--kind", "tea")
    assert "already" in run("tenants", "create", "shop")
    assert json.loads(run("tenants", "list", "--json"))["tenants"][0]["kind"] == "tea"
    assert "shop" in run("tenants", "list")


def test_a_key_for_nobody_isnt_made(run):
    assert "'nobody'" in run("keys", "create", "--tenant", "nobody", expect=2)
    assert "keys list" in run("keys", "revoke", "0123", expect=2)


def test_what_was_exported_comes_back_whole(run, rows, tmp_path):
    storage = rows()
    storage.create_tenant("shop", kind="tea")
    key, text = Keys(storage).create("shop")
    storage.put_items("shop", [Item("t", "Tea ✓", {"notes": ["a", "b"]})])
    storage.put_user("shop", "ann", {"text": "likes tea"})
    storage.add_events("shop", [Event(f"e{n}", "ann", "t", "like", None, float(n)) for n in range(2500)])
    storage.add_recommendations([("shop", Given("r", "ann", 1.0, 1, [["t", "Tea", 1.0, {}]], {"notes": []}))])
    backup = tmp_path / "backup.jsonl"
    backup.write_text(run("export"), encoding="utf-8")
    assert text.split("_")[2] not in backup.read_text(encoding="utf-8")
    assert "2500 events" in run("import", str(backup), data="other")
    back = rows("other")
    assert Keys(back).check(text) == key
    assert back.items("shop") == storage.items("shop")
    assert back.person("shop", "ann", most=9) == storage.person("shop", "ann", most=9)
    assert list(back.events("shop")) == list(storage.events("shop"))
    assert back.recommendation("shop", "r") == storage.recommendation("shop", "r")
    assert run("export", data="other") == backup.read_text(encoding="utf-8")
    back.add_events("shop", [Event("later", "ann", "t", "like", None, 1.0)])
    assert [e.event_id for e in back.events("shop")][-1] == "later"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "empty"),
        ("{}\n", "begin like a backup"),
        ('{"coldstart": "export", "format": 99}\n', "upgrade"),
        ('{"coldstart": "export", "format": 1}\n{"table": "items", "row', "line 2 isn't JSON"),
        ('{"coldstart": "export", "format": 1}\n{"table": "spoons", "row": {}}\n', "no row of a known table"),
        ('{"coldstart": "export", "format": 1}\n{"table": "items", "row": {"id": "x"}}\n', "damaged"),
    ],
)
def test_a_damaged_backup_is_refused_whole(run, rows, tmp_path, text, told):
    (tmp_path / "backup.jsonl").write_text(text, encoding="utf-8")
    assert told in run("import", str(tmp_path / "backup.jsonl"), expect=2)
    assert rows().tenants() == []


def test_a_backup_goes_into_an_empty_database_only(run, tmp_path):
    run("tenants", "create", "shop")
    (tmp_path / "backup.jsonl").write_text(run("export"), encoding="utf-8")
    assert "empty one" in run("import", str(tmp_path / "backup.jsonl"), expect=2)


def test_a_folder_is_served_by_one_process(tmp_path):
    from coldstart.service.serving import InUse, locked

    with locked(tmp_path), pytest.raises(InUse, match="in use by process"), locked(tmp_path):
        pass
    with locked(tmp_path):
        pass
