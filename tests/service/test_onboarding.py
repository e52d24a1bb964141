"""Laws of onboarding over HTTP: each tenant's own, idempotent, in step with the engine, and gone after a day."""

from __future__ import annotations

import time

import pytest
from starlette.testclient import TestClient

from coldstart.entities import Profile
from coldstart.executor import Executor
from coldstart.onboarding import Onboarding
from coldstart.prompting import Library
from coldstart.service import keys
from coldstart.service.app import application
from coldstart.service.running import Service
from coldstart.service.sessions import LASTS
from coldstart.service.settings import Settings
from coldstart.service.storage import open_storage
from coldstart.service.tenant import Engine

SMOKY = {"text": "a smoked black tea with honey"}


@pytest.fixture(scope="module")
def service(tmp_path_factory, encoder, language_model, teas):
    patch = pytest.MonkeyPatch()
    patch.setitem(keys._COST, "n", 2**4)
    settings = Settings(data=tmp_path_factory.mktemp("data"))
    storage = open_storage(settings.url)
    for tenant in ("shop", "other"):
        storage.create_tenant(tenant, kind="tea")
        storage.put_items(tenant, teas())
    storage.create_tenant("empty", kind="tea")
    yield Service(settings, storage, Engine(encoder, language_model, Library.load(), Executor()))
    patch.undo()


@pytest.fixture(scope="module")
def call(service):
    texts = {name: service.keys.create(name, scopes=["read"])[1] for name in ("shop", "other", "empty")}
    with TestClient(application(service)) as client:
        while client.get("/readyz").status_code != 200:
            time.sleep(0.01)

        def call(path, body, *, key="shop"):
            headers = {"Authorization": f"Bearer {texts.get(key, key)}"}
            return client.post(f"/v1/onboarding/sessions{path}", json=body, headers=headers)

        yield call


def test_a_session_is_the_engines_dialogue(call, service):
    told = call("", {"profile": SMOKY, "k": 8, "explain": True})
    assert told.status_code == 201
    told = told.json()
    asking = Onboarding(service.tenants.get("shop").recommender)
    dialogue = asking.start(Profile(**SMOKY))
    assert told["question"] == asking.question(dialogue).to_dict()
    shown = [one["id"] for shelf in told["shelves"] for one in shelf["items"]]
    assert shown == [one.recommendation.id for one in asking.suggestions(dialogue, k=8)]
    assert any(one["reasons"] for shelf in told["shelves"] for one in shelf["items"])
    assert all(one["attributes"]["sort"] for shelf in told["shelves"] for one in shelf["items"])


def test_a_list_alone_is_the_same_and_its_question_and_reasons_come_behind_it(call):
    whole = call("", {"profile": SMOKY, "k": 8, "explain": True}).json()
    told = call("", {"profile": SMOKY, "k": 8, "question": False}).json()
    assert told["question"] is None
    assert told["ending"] == ""
    shown = [one for shelf in told["shelves"] for one in shelf["items"]]
    expected = [one for shelf in whole["shelves"] for one in shelf["items"]]
    assert [one["id"] for one in shown] == [one["id"] for one in expected]
    path = f"/{told['session_id']}"
    assert call(f"{path}/suggestions", {"k": 0}).json()["question"] == whole["question"]
    reasons = call(f"{path}/reasons", {"k": 8}).json()["reasons"]
    assert reasons == {one["id"]: one["reasons"] for one in expected}
    assert call(f"{path}/reasons", {"k": 0}).status_code == 422


def test_an_answer_told_again_changes_nothing_and_another_replaces_it(call):
    told = call("", {"profile": SMOKY}).json()
    path, question = f"/{told['session_id']}/answers", told["question"]["id"]
    value = "honey" if told["question"]["kind"] == "text" else [told["question"]["options"][0]["id"]]
    first = call(path, {"question_id": question, "value": value}).json()
    again = call(path, {"question_id": question, "value": value}).json()
    assert first["answered"] == again["answered"] == 1
    assert first["shelves"] == again["shelves"]
    assert call(path, {"question_id": question, "value": None}).json()["answered"] == 1
    seen = call(f"/{told['session_id']}/suggestions", {}).json()
    assert seen["shelves"] == call(path, {"question_id": question, "value": None}).json()["shelves"]


def test_what_is_not_for_someone_is_shown_no_more(call):
    told = call("", {"profile": SMOKY, "k": 6}).json()
    first = told["shelves"][0]["items"][0]["id"]
    body = {"question_id": f"item:{first}", "value": "dislike", "k": 30}
    after = call(f"/{told['session_id']}/answers", body).json()
    assert first not in {one["id"] for shelf in after["shelves"] for one in shelf["items"]}


def test_sessions_are_the_tenants_own(call):
    id_ = call("", {}).json()["session_id"]
    for path in ("answers", "suggestions", "reasons"):
        body = {"question_id": "text", "value": "honey"} if path == "answers" else {}
        assert call(f"/{id_}/{path}", body, key="other").status_code == 404
        assert call(f"/{id_}/{path}", body).status_code == 200


@pytest.mark.parametrize("question", ["item:none-such", "nonsense", "chips:sort=", "text"])
def test_an_answer_that_answers_nothing_is_refused(call, question):
    id_ = call("", {}).json()["session_id"]
    answer = call(f"/{id_}/answers", {"question_id": question, "value": ["x"]})
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_tenant_without_items_and_a_bad_key_are_refused(call):
    assert call("", {}, key="empty").status_code == 409
    assert call("", {}, key="nobody").status_code == 401
    assert call("", {"k": -1}).status_code == 422
    assert call("/none/suggestions", {}).status_code == 404


def test_a_session_is_gone_after_a_day(call, service, monkeypatch):
    id_ = call("", {}).json()["session_id"]
    monkeypatch.setattr(service.sessions, "_clock", lambda: time.time() + LASTS + 1)
    assert call(f"/{id_}/suggestions", {}).status_code == 404
    call("", {})
    with service.storage.engine.connect() as connection:
        assert id_ not in "\n".join(connection.connection.iterdump())


def test_the_log_of_lists_holds_the_chance_of_each_item(call, service):
    told = call("", {"k": 12}).json()
    service.lists.flush()
    stored = service.storage.recommendation("shop", told["recommendation_id"])
    shown = [one for shelf in told["shelves"] for one in shelf["items"]]
    assert [entry[4] for entry in stored.ranked] == [one["propensity"] for one in shown]
    assert any(one["propensity"] < 1 for one in shown)
