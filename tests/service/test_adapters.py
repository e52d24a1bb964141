"""Laws of adapters in a service: swapped whole under load, kept over a restart, and refused without a trace."""

from __future__ import annotations

import functools
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from starlette.testclient import TestClient

from coldstart.entities import Item, Profile
from coldstart.errors import AdapterError
from coldstart.executor import Executor
from coldstart.prompting import Library
from coldstart.refining import lora, registry
from coldstart.refining.lora import Shape
from coldstart.service import keys
from coldstart.service.app import application
from coldstart.service.ranking import Asked, Pace, ranked
from coldstart.service.running import Service
from coldstart.service.settings import Settings
from coldstart.service.storage import open_storage
from coldstart.service.tenant import Engine, Tenant

pytestmark = pytest.mark.slow  # PEFT takes seconds to import

PROFILES = [Profile(text=text) for text in ("a smoked black tea", "green", "spring leaves", "honey and malt")]


def adapter(encoder, seed):
    """Return an adapter that changes an encoder by chance, and much."""
    import torch

    _, wrapped = lora.attached(encoder, Shape(rank=4), seed=seed)
    with torch.no_grad():
        for name, part in wrapped.named_parameters():
            if "lora_B" in name:
                part.copy_(torch.randn(part.shape, generator=torch.Generator().manual_seed(seed)))
    return lora.taken(wrapped, base=encoder.hash)


@pytest.fixture(scope="module")
def adapters(encoder):
    return [adapter(encoder, seed) for seed in (1, 2)]


@pytest.fixture
def start(tmp_path, teas, encoder):
    """Start a tenant afresh, as a process does."""
    storage = open_storage(f"sqlite:///{tmp_path / 'rows.sqlite'}")
    storage.create_tenant("shop", kind="tea")
    storage.put_items("shop", teas(20))
    with Executor() as executor:
        engine = Engine(encoder, None, Library.load(), executor)

        def start():
            made = Tenant("shop", "tea", engine=engine, storage=storage, folder=tmp_path / "index")
            made.open()
            return made

        yield start
    storage.engine.dispose()


@pytest.fixture
def tenant(start, adapters):
    made = start()
    made.keep()
    for each in adapters:
        registry.keep(made.folder, each)
    return made


def scores(tenant):
    return np.stack([tenant.recommender.score(profile) for profile in PROFILES])


def test_what_was_promoted_is_there_after_a_restart_and_gone_when_rolled_back(tenant, start):
    before = scores(tenant)
    tenant.promote("1")
    with_one = scores(tenant)
    assert not np.allclose(with_one, before)
    assert tenant.adapter.startswith("0001-")
    again = start()
    assert again.adapter == tenant.adapter
    assert scores(again) == pytest.approx(with_one, abs=1e-5)
    again.promote("2")
    assert not np.allclose(scores(again), with_one)
    again.roll_back()
    assert scores(again) == pytest.approx(with_one, abs=1e-5)
    again.roll_back()
    assert again.adapter == ""
    assert scores(again) == pytest.approx(before, abs=1e-5)
    with pytest.raises(AdapterError, match="nothing to go back to"):
        again.roll_back()


def test_items_that_come_later_are_read_with_the_adapter(tenant, start, adapters, encoder):
    tenant.promote("1")
    tenant.put_items([Item("new", "A Smoked Newcomer")])
    refined = lora.adapted(encoder, adapters[0])
    row = tenant.recommender.catalogue.row("new")
    index = tenant.recommender.index
    assert index.vectors[row] == pytest.approx(refined.encode([index.documents[row]])[0], abs=1e-5)
    tenant.keep()
    assert scores(start()) == pytest.approx(scores(tenant), abs=1e-5)


def test_what_cant_be_promoted_changes_nothing(tenant):
    before, version = scores(tenant), tenant.version
    with pytest.raises(AdapterError, match="has no adapter '7'"):
        tenant.promote("7")
    path = tenant.folder / "adapters" / registry.found(tenant.folder, "1") / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(AdapterError, match="isn't what was written"):
        tenant.promote("1")
    assert (scores(tenant) == before).all()
    assert (tenant.version, tenant.adapter) == (version, "")


def test_an_adapter_that_was_damaged_while_it_was_down_is_left_out(tenant, start):
    before = scores(tenant)
    tenant.promote("1")
    path = tenant.folder / "adapters" / tenant.adapter / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-3])
    again = start()
    assert again.adapter == ""
    assert scores(again) == pytest.approx(before, abs=1e-5)


def test_no_answer_under_eight_threads_mixes_two_adapters(tenant):
    """Each list is exactly what the adapter that it names gives, whatever is swapped meanwhile."""
    expected = {}
    for version in (None, "1", "2"):
        tenant.promote(version)
        for who, profile in enumerate(PROFILES):
            found = tenant.recommender.recommend(profile, k=20)
            expected[tenant.adapter, who] = [(one.id, pytest.approx(one.score, abs=1e-4)) for one in found]
    executor, done, answers = tenant.engine.executor, threading.Event(), []

    def swap():
        """Every adapter answers some requests before the next takes its place."""
        for version in (None, "1", "2") * 6:
            tenant.promote(version)
            enough = len(answers) + 10
            while len(answers) < enough and not failed():
                time.sleep(0.001)
        done.set()

    def ask(number):
        while not done.is_set():
            who = number % len(PROFILES)
            asked = Asked({}, [], PROFILES[who], None, {"k": 20, "language": 0})
            job = executor.submit(
                functools.partial(ranked, tenant, asked, Pace()),
                gather=tenant.prepare,
                need=(PROFILES[who], None),
                always=True,
            )
            found = job.future.result(timeout=60)
            answers.append(((found.adapter, who), [(one.id, one.score) for one in found]))
            number += 1

    def failed():
        return any(one.done() for one in asking)

    with ThreadPoolExecutor(9) as pool:
        asking = [pool.submit(ask, number) for number in range(8)]
        try:
            pool.submit(swap).result(timeout=120)
        finally:
            done.set()
        for one in asking:
            one.result()
    assert {version for (version, _), _ in answers} == {version for version, _ in expected}
    assert all(answer == expected[which] for which, answer in answers)


def test_over_http(tmp_path, encoder, teas, adapters, monkeypatch):
    monkeypatch.setitem(keys._COST, "n", 2**4)
    storage = open_storage(f"sqlite:///{tmp_path / 'rows.sqlite'}")
    storage.create_tenant("shop", kind="tea")
    storage.put_items("shop", teas(8))
    service = Service(Settings(data=tmp_path), storage, Engine(encoder, None, Library.load(), Executor()))
    key = service.keys.create("shop", scopes=["admin"])[1]
    with TestClient(application(service), headers={"Authorization": f"Bearer {key}"}) as client:
        while client.get("/readyz").status_code != 200:
            time.sleep(0.01)
        tenant = service.tenants.get("shop")
        tenant.keep()
        name = registry.keep(tenant.folder, adapters[0]).version
        assert client.get("/v1/adapters").json() == {"adapters": [name], "active": None}
        assert client.post("/v1/adapters/9/promote").status_code == 404
        assert client.post("/v1/adapters/rollback").status_code == 409
        assert client.post(f"/v1/adapters/{name}/promote").json()["active"] == name
        answer = client.post("/v1/recommend", json={"profile": {"text": "smoke"}}).json()
        assert answer["adapter"] == name
        assert client.post("/v1/adapters/rollback").json() == {"adapters": [name], "active": None}
        assert client.post("/v1/recommend", json={}).json()["adapter"] is None
