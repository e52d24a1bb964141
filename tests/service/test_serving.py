"""Laws of the process: what was acknowledged outlives any kill, and a stop finishes what runs."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import re
import subprocess
import threading
import time
from pathlib import Path

import pytest

from coldstart.client import Client, ServiceError
from coldstart.entities import Interaction, Item, Profile
from kills import Killed

pytestmark = [pytest.mark.slow, pytest.mark.enable_socket]


only_sqlite = pytest.mark.parametrize("running", ["sqlite"], indirect=True)


@pytest.fixture
def client(running):
    if running.pid == 0:
        running.start()
    with running.client() as made:
        yield made


@only_sqlite
def test_the_client_does_what_the_service_does(client, running, teas):
    assert client.put_items(teas(12)) == (12, 0)
    assert client.item("t03") == teas(4)[3]
    found = client.recommend(
        Profile(text="a smoked black tea"), k=3, depth=7, explain=True, where={"year": {"min": 2001}}
    )
    assert [one.rank for one in found] == [1, 2, 3]
    assert found[0].reasons
    assert client.page(found.recommendation_id, offset=3)[0].rank == 4
    client.put_user("ann/1", Profile(text="likes smoke", attributes={"age": 3}, likes=["t01"]))
    assert client.user("ann/1").likes == ("t01",)
    assert client.tell([Interaction("ann/1", "t02", "like")] * 2, ids=["x", "x"]) == (1, 1)
    assert "t02" not in [one.id for one in client.recommend(user="ann/1", k=12)]
    assert client.erase_user("ann/1")["events"] == 1
    assert client.rerank("smoked tea", ["smoked tea", "xyz"], top_n=1)[0][0] == 0
    client.delete_item("t03")
    with pytest.raises(ServiceError, match="t03") as refused:
        client.item("t03")
    assert refused.value.status == 404
    assert refused.value.request_id
    with pytest.raises(ServiceError, match="k: ") as refused:
        client.recommend(k=0)
    assert refused.value.errors[0]["field"] == "k"
    with Client(running.url, "cs_0") as stranger, pytest.raises(ServiceError, match="unknown or was revoked"):
        stranger.recommend()


HUGE = 100 * 2**20


@only_sqlite
@pytest.mark.usefixtures("client")
@pytest.mark.parametrize(
    ("body", "statuses"),
    [
        (b" " * HUGE, {413}),
        (iter([b" " * 2**20] * 100), {413}),
        (b'{"a":' * 100_000, {400}),
        (b"[" * 200_000 + b"]" * 200_000, {400}),
        (b'{"profile": {"text": "a\\u0000b"}}', {422}),
        (b'{"profile": {"text": "a\0b"}}', {400}),
        (b'{"profile": {"text": "\\ud800"}}', {422}),
        (b'{"profile": {"attributes": {"a": NaN}}}', {400}),
        (b'{"profile": {"attributes": {"a": -Infinity}}}', {400}),
        (b'{"k": -1}', {422}),
        (b'{"k": 1e308}', {422}),
        (b'{"user_id": "\'; DROP TABLE items; --", "context": {"{{ 7 * 7 }}": "{% x %}"}}', {200, 422}),
    ],
    ids=["100 MB", "100 MB in parts", "deep objects", "deep lists", "NUL", "raw NUL", "surrogate", "NaN", "infinity",
         "negative", "k beyond", "SQL and templates"],
)  # fmt: skip
def test_bad_bodies_are_refused_over_the_wire_and_it_goes_on(running, body, statuses):
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=60)
    headers = {"Authorization": f"Bearer {running.key}", "Content-Type": "application/json"}
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it needn't read all of what it refuses
        connection.request("POST", "/v1/recommend", body, headers)
    answer = connection.getresponse()
    told = json.loads(answer.read())
    connection.close()
    assert answer.status in statuses
    assert answer.status == 200 or told["detail"]
    with running.client() as client:
        assert client.ready()


@only_sqlite
@pytest.mark.usefixtures("client")
def test_what_the_readme_asks_is_answered(running):
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    block = next(text for text in re.findall(r"```sh\n(.*?)```", readme, re.DOTALL) if "curl " in text)
    asked = block.replace("http://127.0.0.1:8000", running.url).replace("curl -s ", "curl -sf ")
    for command in asked.strip().split("\n\n"):
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            capture_output=True,
            text=True,
            env={**os.environ, "KEY": running.key},
            check=False,
        )
        assert done.returncode == 0, command
        assert json.loads(done.stdout), command


def test_a_service_that_isnt_there_is_named():
    with pytest.raises(ServiceError, match="coldstart serve"):
        Client("http://127.0.0.1:9", "cs_0", retries=0).recommend()
    with pytest.raises(ServiceError, match="http://HOST"):
        Client("localhost", "cs_0")


def test_what_was_acknowledged_outlives_kills(running):
    if running.pid:
        running.kill()
    killed = Killed(running, seed=0)
    for _ in range(5):
        killed.once()
    assert killed.problems() == []
    assert killed.acknowledged > 100


@only_sqlite
def test_a_stop_finishes_what_runs_and_keeps_the_lists(running, client, teas):
    client.put_items(teas(30))
    given, answers = client.recommend(k=3), []

    def ask():
        with running.client(retries=0) as mine:
            answers.append(mine.recommend(Profile(text="slow and smoky"), k=5, language=30))

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(0.03)
    running.stop()
    asking.join(20)
    assert len(answers) == 1
    running.start()
    assert [one.id for one in client.page(given.recommendation_id)] == [one.id for one in given]


@only_sqlite
def test_no_tenant_sees_anothers_rows(running, client):
    storage = running.storage()
    from coldstart.service.keys import Keys

    makers = {}
    for name in ("red", "blue"):
        storage.create_tenant(name, kind="tea")
        makers[name] = Keys(storage).create(name)[1]
    assert client.ready()
    leaks, rounds = [], 12

    def act(name, seed):
        rng, other = random.Random(seed), "blue" if name == "red" else "red"  # noqa: S311 - no secrets
        with Client(running.url, makers[name]) as mine:
            for n in range(rounds):
                id_ = f"shared-{seed // 2}-{rng.randrange(3)}"
                mine.put_items([Item(id_, f"{name} tea {n}", {"owner": name})])
                mine.put_user(id_, Profile(text=f"{name} words", likes=[id_]))
                mine.tell([Interaction(id_, id_, "view")], ids=[f"{seed}-{n}"])
                found = mine.recommend(Profile(text=f"{other} tea"), user=id_, k=9, refine="background")
                seen = json.dumps([str(found), str(mine.item(id_)), str(mine.user(id_))])
                seen = seen.replace(f"{other} tea'", "")
                if f"{other} tea " in seen or f"{other} words" in seen:
                    leaks.append(seen)
                if rng.random() < 0.3:
                    mine.erase_user(id_)

    threads = [threading.Thread(target=act, args=(("red", "blue")[n % 2], n)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert leaks == []
    for name in ("red", "blue"):
        assert all(item.attributes["owner"] == name for item in storage.items(name))
    storage.engine.dispose()


@only_sqlite
def test_each_line_of_the_log_is_json_and_says_nothing_of_anyone(running, client):
    client.put_items([Item("a", "A tea")])
    client.recommend(Profile(text="a very private wish"), user="private-person")
    running.stop()
    lines = [json.loads(line) for line in running.log().splitlines()]
    assert any(line.get("route") == "/v1/recommend" and line["status"] == 200 for line in lines)
    for secret in ("private", running.key.split("_")[2]):
        assert secret not in running.log()
