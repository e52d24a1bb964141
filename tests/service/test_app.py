"""Laws of the endpoints: fresh at once, each tenant's own, honest of what was done, and clear of what was wrong."""

from __future__ import annotations

import json
import threading
import time

import pytest
from starlette.testclient import TestClient

from coldstart.encoding import Encoder
from coldstart.entities import Item
from coldstart.executor import Executor
from coldstart.prompting import Library
from coldstart.service import keys
from coldstart.service.app import application
from coldstart.service.running import Service
from coldstart.service.settings import Settings
from coldstart.service.storage import open_storage
from coldstart.service.tenant import Engine

SMOKY = {"text": "a smoked black tea with honey"}


@pytest.fixture(scope="module")
def made(tmp_path_factory, encoder, language_model):
    """A running service with two tenants, "shop" and "other", and a key of each."""
    patch = pytest.MonkeyPatch()
    patch.setitem(keys._COST, "n", 2**4)
    settings = Settings(data=tmp_path_factory.mktemp("data"))
    storage = open_storage(settings.url)
    engine = Engine(encoder, language_model, Library.load(), Executor(capacity=64, batch=8))
    service = Service(settings, storage, engine)
    for tenant in ("shop", "other"):
        storage.create_tenant(tenant, kind="tea")
    texts = {tenant: service.keys.create(tenant, scopes=["read", "write", "admin"])[1] for tenant in ("shop", "other")}
    texts["reader"] = service.keys.create("shop", scopes=["read"])[1]
    with TestClient(application(service)) as client:
        while client.get("/readyz").status_code != 200:
            time.sleep(0.01)
        yield client, texts, service
    patch.undo()


@pytest.fixture
def service(made):
    return made[2]


def test_what_is_asked_to_stop_while_it_opens_stops(tmp_path, encoder, teas):
    begun = threading.Event()

    class Slow(Encoder):
        read = 0

        def encode(self, texts, **options):
            Slow.read += len(texts)
            begun.set()
            time.sleep(0.05)
            return super().encode(texts, **options)

    slow = Slow(encoder.model)
    settings = Settings(data=tmp_path)
    storage = open_storage(settings.url)
    storage.create_tenant("shop", kind="tea")
    many = [Item(f"{tea.id}-{copy}", f"{tea.title} {copy}", tea.attributes) for copy in range(20) for tea in teas()]
    storage.put_items("shop", many)
    service = Service(settings, storage, Engine(slow, None, Library.load(), Executor(capacity=64, batch=8)))
    with TestClient(application(service)) as client:
        assert begun.wait(30)
        assert client.get("/readyz").json()["status"] == "starting"
    assert not service.ready
    assert "stopped before" in service.trouble
    assert 0 < Slow.read < len(many)


@pytest.fixture
def call(made, teas):
    """Make a request with a key: ``call("POST", "/v1/items", {...})``; the shop's thirty teas are there."""
    client, texts, _ = made

    def call(method, path, body=None, *, key="shop", **options):
        headers = {"Authorization": f"Bearer {texts.get(key, key)}", **options.pop("headers", {})}
        return client.request(method, path, json=body, headers=headers, **options)

    if not call("GET", "/v1/items/t29").is_success:
        items = [{"id": t.id, "title": t.title, "attributes": {n: list(v) if isinstance(v, tuple) else v
                  for n, v in t.attributes.items()}} for t in teas()]  # fmt: skip
        assert call("POST", "/v1/items", {"items": items}).json()["created"] == 30
    return call


def ids(answer):
    assert answer.status_code == 200, answer.text
    return [one["id"] for one in answer.json()["items"]]


def problem(answer, status):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found = answer.json()
    assert found["status"] == status
    assert found["request_id"] == answer.headers["x-request-id"]
    assert len(found["detail"]) > 10
    return found


def wait_for(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it didn't happen"
        time.sleep(0.01)


# Lists ----------------------------------------------------------------------------------------------------------


def test_a_list_says_how_it_came_about(call):
    answer = call("POST", "/v1/recommend", {"profile": SMOKY, "k": 3, "explain": True}).json()
    assert [one["rank"] for one in answer["items"]] == [1, 2, 3]
    assert not answer["degraded"]
    assert answer["models"]
    assert answer["total"] == 3
    first = answer["items"][0]
    assert first["propensity"] == 1.0
    assert first["source"] == first["parts"][0]["scorer"]
    assert all(part["contribution"] > 0 for one in answer["items"] for part in one["parts"])
    assert first["reasons"]
    assert all(reason["fall"] > 0 and reason["sentence"] for one in answer["items"] for reason in one["reasons"])


def test_reasons_are_told_once_and_never_stored(call, service):
    told = call("POST", "/v1/recommend", {"profile": SMOKY, "k": 3, "explain": True}).json()
    again = call("GET", f"/v1/recommendations/{told['recommendation_id']}?explain=true").json()
    assert [one["parts"] for one in again["items"]] == [one["parts"] for one in told["items"]]
    assert [one["reasons"] for one in again["items"]] == [None] * 3
    service.lists.flush()
    stored = service.storage.recommendation("shop", told["recommendation_id"])
    assert "honey" not in json.dumps([stored.ranked, stored.about])


def test_it_is_the_engines_list(call, service):
    from coldstart.entities import Profile

    engine = service.tenants.get("shop").recommender
    assert ids(call("POST", "/v1/recommend", {"profile": SMOKY, "k": 7})) == [
        one.id for one in engine.recommend(Profile(**SMOKY), k=7)
    ]


def test_someone_of_whom_nothing_is_known_gets_a_list_that_says_so(call):
    answer = call("POST", "/v1/recommend", {"user_id": "never-seen", "k": 2}).json()
    assert len(answer["items"]) == 2
    assert answer["degraded"]
    assert "nothing" in answer["fallback_reason"]


def test_conditions_exclusions_and_candidates_hold(call):
    body = {
        "profile": SMOKY,
        "k": 30,
        "where": {"sort": ["smoked", "black"], "year": {"min": 2003}},
        "exclude": ["t04"],
    }
    found = ids(call("POST", "/v1/recommend", body))
    assert found
    assert "t04" not in found
    assert all(int(id_[1:]) % 5 in (1, 4) and int(id_[1:]) % 9 >= 3 for id_ in found)
    assert set(ids(call("POST", "/v1/recommend", {"candidates": ["t01", "t02"]}))) == {"t01", "t02"}


def test_paging_goes_on_with_the_same_list(call):
    first = call("POST", "/v1/recommend", {"profile": SMOKY, "k": 5, "depth": 12}).json()
    path = f"/v1/recommendations/{first['recommendation_id']}"
    second = call("GET", f"{path}?offset=5&limit=5").json()
    last = call("GET", f"{path}?offset=10").json()
    whole = ids(call("POST", "/v1/recommend", {"profile": SMOKY, "k": 12}))
    assert [one["id"] for page in (first, second, last) for one in page["items"]] == whole
    assert [one["rank"] for one in second["items"]] == [6, 7, 8, 9, 10]
    assert first["total"] == 12
    problem(call("GET", "/v1/recommendations/nothing"), 404)
    problem(call("GET", path, key="other"), 404)


def test_paging_goes_on_after_the_list_was_written(call, service):
    given = call("POST", "/v1/recommend", {"profile": SMOKY}).json()
    service.lists.flush()
    again = call("GET", f"/v1/recommendations/{given['recommendation_id']}").json()
    assert again["items"] == given["items"]


def test_an_inline_profile_is_never_stored(call, service):
    call("POST", "/v1/recommend", {"profile": {"text": "unmistakable xylophone words"}, "k": 3})
    service.lists.flush()
    with service.storage.engine.connect() as connection:
        assert "xylophone" not in "\n".join(connection.connection.iterdump())


def test_the_language_model_reads_and_a_deadline_stops_it(call, service):
    body = {"profile": SMOKY, "k": 5, "language": 12, "explain": True}
    whole = call("POST", "/v1/recommend", body).json()
    assert not whole["degraded"]
    service.pace.first = 100.0
    late = call("POST", "/v1/recommend", {**body, "deadline_ms": 200}).json()
    service.pace.first = 0.1
    assert late["degraded"]
    assert "the deadline came" in late["fallback_reason"]
    assert ids(call("POST", "/v1/recommend", {"profile": SMOKY, "k": 5})) == [one["id"] for one in late["items"]]


def test_a_list_refined_behind_the_answer_is_there_the_next_time(call):
    body = {"profile": {"text": "a very special smoky tea"}, "k": 5, "language": 8, "refine": "background"}
    first = call("POST", "/v1/recommend", body).json()
    assert first["refined"] == "pending"
    wait_for(lambda: call("POST", "/v1/recommend", body).json()["refined"] == "ready")
    refined = call("POST", "/v1/recommend", body).json()
    assert [one["id"] for one in refined["items"]] == ids(
        call("POST", "/v1/recommend", {name: value for name, value in body.items() if name != "refine"})
    )


def test_rerank_orders_texts(call):
    documents = ["smoked black tea", {"text": "a red bicycle"}, "smoked black tea"]
    found = call("POST", "/v1/rerank", {"query": "smoked black tea", "documents": documents, "model": "any"}).json()
    assert [one["index"] for one in found["results"]] == [0, 2, 1]
    assert found["results"][0]["relevance_score"] == pytest.approx(1, abs=1e-4)
    assert found["usage"]["total_tokens"] > 6
    one = call(
        "POST", "/v1/rerank", {"query": "x", "documents": documents, "top_n": 1, "return_documents": True}
    ).json()
    assert len(one["results"]) == 1
    assert one["results"][0]["document"]["text"]


# Items ----------------------------------------------------------------------------------------------------------


def test_an_item_is_eligible_once_it_is_acknowledged_and_gone_once_deleted(call):
    item = {"id": "new/item 1".replace(" ", "-"), "title": "Pu-erh from a cellar", "attributes": {"sort": "dark"}}
    done = call("POST", "/v1/items", {"items": [item]}).json()
    assert (done["created"], done["replaced"]) == (1, 0)
    assert done["pending"] >= 1
    assert item["id"] in ids(call("POST", "/v1/recommend", {"profile": {"text": "dark cellar"}, "k": 31}))
    assert call("GET", f"/v1/items/{item['id']}").json() == item
    assert call("POST", "/v1/items", {"items": [{**item, "title": "Another"}]}).json()["replaced"] == 1
    assert call("DELETE", f"/v1/items/{item['id']}").status_code == 204
    assert item["id"] not in ids(call("POST", "/v1/recommend", {"profile": {"text": "dark cellar"}, "k": 31}))
    problem(call("GET", f"/v1/items/{item['id']}"), 404)
    problem(call("DELETE", f"/v1/items/{item['id']}"), 404)


def test_a_tenants_first_and_last_item(call):
    empty = call("POST", "/v1/recommend", {"profile": SMOKY}, key="other").json()
    assert (empty["items"], empty["degraded"]) == ([], True)
    assert "POST /v1/items" in empty["fallback_reason"]
    call("POST", "/v1/items", {"items": [{"id": "only", "title": "Only one"}]}, key="other")
    assert ids(call("POST", "/v1/recommend", {"profile": SMOKY}, key="other")) == ["only"]
    call("DELETE", "/v1/items/only", key="other")
    assert ids(call("POST", "/v1/recommend", {"profile": SMOKY}, key="other")) == []


def test_the_language_model_reads_new_items_behind_the_requests(call, service):
    shop = service.tenants.get("shop")
    shop.changed -= 10
    wait_for(lambda: shop.pending == 0 and shop.saved == shop.version, 60)
    assert shop.recommender.index.appeal is not None
    assert (shop.folder / "manifest.json").exists()
    call("POST", "/v1/items", {"items": [{"id": "late", "title": "Late arrival"}]})
    assert shop.pending == 1
    shop.changed -= 10
    wait_for(lambda: shop.pending == 0)
    call("DELETE", "/v1/items/late")


# Users and events -----------------------------------------------------------------------------------------------


def test_a_stored_user_is_ranked_for_and_comes_back_as_put(call):
    profile = {"text": SMOKY["text"], "attributes": {"age": 34}, "likes": ["t01"], "dislikes": [], "history": []}
    assert call("PUT", "/v1/users/ann", profile).json() == {"id": "ann", "profile": profile}
    assert call("GET", "/v1/users/ann").json()["profile"] == profile
    assert ids(call("POST", "/v1/recommend", {"user_id": "ann", "k": 9})) == ids(
        call("POST", "/v1/recommend", {"profile": profile, "k": 9})
    )
    problem(call("GET", "/v1/users/ann", key="other"), 404)


def test_an_event_changes_that_users_next_list(call):
    def tell(number, **event):
        event = {"event_id": f"change-{number}", "user_id": "eve", "event_type": "like", **event}
        return call("POST", "/v1/events", {"events": [event]}).json()

    before = ids(call("POST", "/v1/recommend", {"user_id": "eve", "k": 30}))
    assert tell(1, item_id="t04") == {"accepted": 1, "duplicates": 0, "types": {"like": "like"}}
    after = ids(call("POST", "/v1/recommend", {"user_id": "eve", "k": 30}))
    assert "t04" not in after
    assert after != [id_ for id_ in before if id_ != "t04"]
    assert tell(1, item_id="t04") == {"accepted": 0, "duplicates": 1, "types": {}}
    assert tell(2, item_id="t09", event_type="impression")["types"] == {"impression": "shown"}
    assert set(ids(call("POST", "/v1/recommend", {"user_id": "eve", "k": 30}))) == set(after)


def test_events_are_counted_behind_the_requests_and_erased_with_their_user(call, service):
    shop = service.tenants.get("shop")
    events = [
        {
            "event_id": f"count-{n}",
            "user_id": f"fan{n % 4}",
            "item_id": f"t{n:02d}",
            "event_type": "like",
            "timestamp": 5.0,
        }
        for n in range(8)
    ]
    known = shop.recommender.learned.get("events", 0) + len(shop._told)
    call("POST", "/v1/events", {"events": events})
    wait_for(lambda: shop.recommender.learned.get("events", 0) >= known + 8)
    call("PUT", "/v1/users/fan1", {"text": "loves tea"})
    given = call("POST", "/v1/recommend", {"user_id": "fan1"}).json()["recommendation_id"]
    gone = call("DELETE", "/v1/users/fan1").json()
    assert (gone["profiles"], gone["events"]) == (1, 2)
    assert all(event.user != "fan1" for event in service.storage.events("shop"))
    assert all(key[0] != "fan1" for key, _ in shop.recommender.platform.experience.records())
    problem(call("GET", "/v1/users/fan1"), 404)
    problem(call("GET", f"/v1/recommendations/{given}"), 404)
    assert call("DELETE", "/v1/users/fan1").json() == {"profiles": 0, "events": 0, "recommendations": 0}


# Who may, and what is refused -----------------------------------------------------------------------------------


def test_nobody_is_answered_without_a_key_or_beyond_its_scope(call, made):
    client = made[0]
    found = problem(client.post("/v1/recommend", json={}), 401)
    assert "Bearer" in found["detail"]
    problem(call("POST", "/v1/recommend", {}, key="cs_000000000000_" + "0" * 64), 401)
    assert call("POST", "/v1/recommend", {"k": 1}, key="reader").status_code == 200
    found = problem(call("POST", "/v1/items", {"items": [{"id": "x", "title": "X"}]}, key="reader"), 403)
    assert "write" in found["detail"]
    problem(call("GET", "/v1/adapters", key="reader"), 403)


def test_adapters_are_told_of_honestly(call):
    assert call("GET", "/v1/adapters").json() == {"adapters": [], "active": None}
    problem(call("POST", "/v1/adapters/any/promote"), 404)
    problem(call("POST", "/v1/adapters/rollback"), 409)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"k": -1}, "k"),
        ({"k": "5"}, "k"),
        ({"colour": "red"}, "colour"),
        ({"profile": {"text": "a\0b"}}, "profile.text"),
        ({"profile": {"text": 5}}, "profile.text"),
        ({"profile": {"attributes": {"a": {"b": 1}}}}, "profile.attributes"),
        ({"user_id": " a"}, "user_id"),
        ({"user_id": ""}, "user_id"),
        ({"where": {"sort": {"min": "x"}}}, "where.sort"),
        ({"deadline_ms": 0}, "deadline_ms"),
        ({"candidates": []}, "candidates"),
    ],
)
def test_a_field_that_cant_be_used_is_named_with_what_to_do(call, body, field):
    found = problem(call("POST", "/v1/recommend", body), 422)
    assert any(error["field"].startswith(field) for error in found["errors"])
    assert all(error["remedy"] for error in found["errors"])


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"{", 400),
        (b'{"profile": {"text": "\xff"}}', 400),
        (b'{"profile": {"attributes": {"a": NaN}}}', 400),
        (b'{"profile": {"attributes": {"a": -Infinity}}}', 400),
        (b'{"profile": {"attributes": {"a": 1e999}}}', 422),
        (b'{"profile": {"attributes": {"a": 1' + b"0" * 5000 + b"}}}", 400),
        (b'{"profile": {"text": "\\ud800"}}', 422),
        (b'{"profile": {"attributes": {"\\ud800": 1}}}', 422),
        (b'{"a":' * 100_000, 400),
        (b"[" * 100_000 + b"]" * 100_000, 400),
        (b"null", 422),
        (b"", 422),
    ],
)
def test_what_isnt_proper_json_is_refused(call, content, status):
    problem(call("POST", "/v1/recommend", content=content, headers={"Content-Type": "application/json"}), status)


def test_a_body_that_is_too_large_is_refused_while_it_comes(call, service):
    sent = 0

    def endless():
        nonlocal sent
        while sent < 100:
            sent += 1
            yield b" " * 2**20

    problem(call("POST", "/v1/recommend", content=endless(), headers={"Content-Type": "application/json"}), 413)
    problem(call("POST", "/v1/recommend", content=b" " * (service.settings.max_body + 1)), 413)


def test_other_media_types_methods_and_paths_are_refused(call):
    problem(call("POST", "/v1/recommend", content=b"k=1", headers={"Content-Type": "text/plain"}), 415)
    assert "POST" in call("GET", "/v1/recommend").headers["allow"]
    problem(call("GET", "/v1/recommend"), 405)
    problem(call("GET", "/v1/nothing"), 404)
    problem(call("GET", "/nothing"), 404)


def test_what_doesnt_fit_the_catalogue_is_refused(call):
    assert "'nothing'" in problem(call("POST", "/v1/recommend", {"candidates": ["nothing"]}), 404)["detail"]
    assert "sort" in problem(call("POST", "/v1/recommend", {"where": {"colour": "red"}}), 409)["detail"]
    twice = {"items": [{"id": "a", "title": "one"}, {"id": "a", "title": "two"}]}
    assert "other content" in problem(call("POST", "/v1/items", twice), 409)["detail"]


@pytest.mark.parametrize(
    "text", ["'; DROP TABLE items; --", "{{ 7 * 7 }}", "{% for x in y %}", "<|im_start|>", "\\u0000", "../../etc"]
)
def test_hostile_text_is_only_text(call, text):
    item = {"id": "hostile", "title": text, "attributes": {"note": text}}
    assert call("POST", "/v1/items", {"items": [item]}).status_code == 200
    assert call("GET", "/v1/items/hostile").json() == item
    answer = call(
        "POST",
        "/v1/recommend",
        {"profile": {"text": text, "attributes": {"name": text}}, "context": {"at": text}, "k": 31},
    )
    assert "hostile" in ids(answer)
    call("PUT", "/v1/users/hostile", {"text": text})
    assert call("GET", "/v1/users/hostile").json()["profile"]["text"] == text.strip()
    call("DELETE", "/v1/items/hostile")


def test_a_key_that_asks_too_often_is_told_when_to_come_back(made, monkeypatch, call):
    gate = made[0].app
    monkeypatch.setattr(gate, "_rate", 0.5)
    monkeypatch.setattr(gate, "_burst", 2)
    monkeypatch.setattr(gate, "_buckets", type(gate._buckets)())
    answers = [call("GET", "/v1/items/t00") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    problem(answers[-1], 429)
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 3


def test_a_full_queue_is_told_when_to_come_back(call, service, monkeypatch):
    monkeypatch.setattr(service.executor, "_capacity", 0)
    answer = call("POST", "/v1/recommend", {"profile": SMOKY})
    problem(answer, 429)
    assert int(answer.headers["retry-after"]) >= 1


def test_a_fault_of_ours_says_nothing_of_itself(made, call, service, monkeypatch):
    monkeypatch.setattr(service.storage, "item", lambda *_: 1 / 0)
    client = made[0]
    client._transport.raise_server_exceptions = False
    found = problem(call("GET", "/v1/items/t00"), 500)
    assert "division" not in json.dumps(found)


# Beside the endpoints -------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("call")
def test_health_metrics_and_documentation(made):
    client = made[0]
    assert client.get("/healthz").json()["status"] == "ok"
    assert client.get("/readyz").json()["status"] == "ok"
    text = client.get("/metrics").text
    assert 'coldstart_requests_total{method="POST",route="/v1/recommend",status="200"}' in text
    assert "shop" not in text
    page = client.get("/docs")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "://" not in page.text
    schema = client.get("/openapi.json").json()
    assert schema["openapi"].startswith("3.")
    assert set(schema["components"]["securitySchemes"]) == {"HTTPBearer"}
    assert schema["paths"]["/v1/items/{item_id}"]


def test_request_ids_are_taken_over_or_made(call):
    assert call("GET", "/v1/items/t00", headers={"X-Request-Id": "abc-1"}).headers["x-request-id"] == "abc-1"
    made = call("GET", "/v1/items/t00", headers={"X-Request-Id": "bad id\t"}).headers["x-request-id"]
    assert made != "bad id\t"
    assert len(made) == 16


def test_no_log_holds_a_key_or_what_is_said_of_anyone(call, made, caplog):
    with caplog.at_level("DEBUG"):
        call("POST", "/v1/recommend", {"profile": {"text": "secret xylophone wish"}, "user_id": "private-person"})
        call("GET", "/v1/users/private-person")
    logged = "\n".join(
        f"{record.getMessage()} {record.__dict__}" for record in caplog.records if "httpx" not in record.name
    )
    assert "/v1/recommend" in logged
    for secret in ("xylophone", made[1]["shop"], made[1]["shop"].split("_")[2], "private-person"):
        assert secret not in logged
