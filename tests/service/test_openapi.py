"""The service keeps to its own description: schemathesis makes requests of it, proper and improper ones."""

from __future__ import annotations

import pytest

from coldstart.executor import Executor
from coldstart.prompting import Library
from coldstart.service.app import application
from coldstart.service.running import Service
from coldstart.service.settings import Settings
from coldstart.service.storage import open_storage
from coldstart.service.tenant import Engine
from contract import cases_of

pytestmark = pytest.mark.slow


@pytest.mark.filterwarnings("ignore")
def test_answers_are_as_described(tmp_path, encoder, language_model, teas):
    settings = Settings(data=tmp_path, rate=1e6, burst=10**6)
    storage = open_storage(settings.url)
    storage.create_tenant("shop", kind="tea")
    storage.put_items("shop", teas(12))
    engine = Engine(encoder, language_model, Library.load(), Executor())
    service = Service(settings, storage, engine)
    key = service.keys.create("shop", scopes=["read", "write", "admin"])[1]
    found = cases_of(application(service), key, most=15, seed=0)
    assert found.problems == []
    assert found.cases > 300
