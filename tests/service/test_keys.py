"""Laws of keys: shown once, never kept, good for what they say until they are revoked."""

import pytest
import sqlalchemy as sa

from coldstart.service import database, keys
from coldstart.service.keys import BadKey, Keys
from coldstart.service.storage import UnknownTenant, open_storage


@pytest.fixture
def storage(tmp_path, monkeypatch):
    monkeypatch.setitem(keys._COST, "n", 2**4)  # what a digest costs is no law
    made = open_storage(f"sqlite:///{tmp_path / 'keys.sqlite'}")
    made.create_tenant("shop")
    yield made
    made.engine.dispose()


def test_a_key_is_good_for_its_tenant_and_scopes(storage):
    made, text = Keys(storage).create("shop", name="web", scopes=["write", "read"])
    assert Keys(storage).check(text) == made
    assert (made.tenant, made.scopes) == ("shop", ("read", "write"))


def test_no_row_holds_what_a_key_is(storage):
    _, text = Keys(storage).create("shop")
    with storage.engine.connect() as connection:
        row = connection.execute(sa.select(database.keys)).first()
    secret = text.split("_")[2]
    assert not any(secret in str(cell) or bytes.fromhex(secret) == cell for cell in row)


@pytest.mark.parametrize("change", [lambda t: t[:-1] + ("0" if t[-1] != "0" else "1"), str.upper, lambda t: t + "0",
                                    lambda t: t[3:], lambda _: "", lambda t: "cs_" + "0" * 12 + t[15:]])  # fmt: skip
def test_any_other_text_is_no_key(storage, change):
    checking = Keys(storage)
    _, text = checking.create("shop")
    assert checking.check(change(text)) is None
    assert checking.check(text) is not None


def test_a_key_that_another_process_revoked_is_refused_within_seconds(storage):
    now = [0.0]
    checking = Keys(storage, clock=lambda: now[0])
    made, text = checking.create("shop")
    checking.check(text)
    Keys(storage).revoke(made.id)
    assert checking.remembered(text) == (True, made)
    now[0] += 6
    assert checking.remembered(text) == (False, None)
    assert checking.check(text) is None


def test_a_key_revoked_here_is_refused_at_once(storage):
    checking = Keys(storage)
    made, text = checking.create("shop")
    checking.check(text)
    checking.revoke(made.id)
    assert checking.remembered(text) == (False, None)
    assert checking.check(text) is None
    assert [key.revoked is not None for key in checking.all()] == [True]


def test_what_can_do_nothing_isnt_made(storage):
    with pytest.raises(BadKey, match="'root'"):
        Keys(storage).create("shop", scopes=["root"])
    with pytest.raises(BadKey, match="without a scope"):
        Keys(storage).create("shop", scopes=[])
    with pytest.raises(UnknownTenant):
        Keys(storage).create("nobody")
    with pytest.raises(BadKey, match="keys list"):
        Keys(storage).revoke("cs_123")
