"""Laws of the page: it works for anyone, in a real browser, and lets nobody do more than hold a session."""

from __future__ import annotations

import shutil
import threading
import time

import pytest
from starlette.testclient import TestClient

from coldstart.executor import Executor
from coldstart.prompting import Library
from coldstart.service.app import application
from coldstart.service.running import Service
from coldstart.service.settings import Settings
from coldstart.service.storage import open_storage
from coldstart.service.tenant import Engine

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SESSIONS = "/v1/onboarding/sessions"


@pytest.fixture
def serving(tmp_path, encoder, language_model, teas):
    def made(**settings):
        told = Settings(data=tmp_path / "data", **settings)
        storage = open_storage(told.url)
        for tenant in ("default", "shop"):
            storage.create_tenant(tenant, kind="tea")
            storage.put_items(tenant, teas())
        return Service(told, storage, Engine(encoder, language_model, Library.load(), Executor()))

    return made


@pytest.fixture
def visiting(serving):
    """From settings to a client that has opened the page."""
    opened = []

    def visited(base="http://127.0.0.1", **settings):
        client = TestClient(application(serving(**settings)), base_url=base)
        client.__enter__()
        opened.append(client)
        while client.get("/readyz").status_code != 200:
            time.sleep(0.01)
        return client, client.get("/")

    yield visited
    for client in opened:
        client.__exit__(None, None, None)


def test_the_page_asks_for_sessions_and_for_nothing_else(visiting):
    client, page = visiting()
    assert page.status_code == 200
    assert "30 teas" in page.text
    assert client.post(SESSIONS, json={}).status_code == 201
    assert client.post("/v1/recommend", json={}).status_code == 401
    assert client.get("/v1/items/t01").status_code == 401
    assert client.post("/v1/events", json={"events": []}).status_code == 401


def test_a_browser_is_told_to_load_nothing_else_and_run_nothing_inline(visiting):
    client, page = visiting()
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    cookie = page.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert "Path=/v1/onboarding" in cookie
    assert cookie.split("=")[1].split(";")[0] not in page.text
    assert page.headers["cache-control"] == "no-store"
    assert "http://" not in page.text
    assert "<script>" not in page.text
    assert " style=" not in page.text
    style = page.text.split('rel="stylesheet" href="')[1].split('"')[0]
    assert client.get(style).headers["cache-control"] == "public, max-age=31536000, immutable"
    assert client.get(style.partition("?")[0]).headers["cache-control"] == "no-cache"


def test_only_this_machine_sees_a_page_that_nobody_asked_for(visiting):
    client, page = visiting(base="http://rebound.example")
    assert page.status_code == 403
    assert "set-cookie" not in page.headers
    assert client.get("/", headers={"Host": "localhost"}).status_code == 200


@pytest.mark.parametrize("settings", [{"host": "0.0.0.0"}, {"page": ""}])  # noqa: S104 - it isn't listened on
def test_no_page_is_shown_to_the_world_unasked(visiting, settings):
    client, page = visiting(**settings)
    assert page.status_code == 404
    assert client.post(SESSIONS, json={}).status_code == 401


def test_a_named_tenants_page_is_shown_anywhere(visiting):
    client, page = visiting(base="https://teas.example", page="shop", host="0.0.0.0")  # noqa: S104
    assert page.status_code == 200
    assert "Secure" in page.headers["set-cookie"]
    assert client.post(SESSIONS, json={}).status_code == 201


def test_a_cookie_of_someone_elses_making_is_no_key(visiting):
    client, _ = visiting()
    client.cookies.clear()
    for value in (b"x", b"", b"\xe9", b'"'):
        headers = {b"Cookie": b"coldstart_page=" + value}
        assert client.post(SESSIONS, json={}, headers=headers).status_code == 401


@pytest.fixture
def browser():
    if CHROMIUM is None:
        pytest.skip("CHROMIUM ISN'T INSTALLED: the page is tested in no browser (apt install chromium)")
    sync_api = pytest.importorskip("playwright.sync_api", reason="PLAYWRIGHT ISN'T INSTALLED: no browser tests")
    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
    with sync_api.sync_playwright() as made:
        chromium = made.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", *quiet])
        yield chromium
        chromium.close()


@pytest.fixture
def address(serving):
    """Where a service of the tiny models listens, in a thread."""
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(application(serving(port=0)), port=0, log_config=None))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    server.should_exit = True
    thread.join(timeout=20)


@pytest.mark.slow
@pytest.mark.enable_socket
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("width", "height"), [(1280, 860), (390, 844)], ids=["desktop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_person_gets_a_list_that_changes_with_each_answer(browser, address, width, height, scheme):
    from axe_playwright_python.sync_playwright import Axe

    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    page = context.new_page()
    told: list[str] = []
    page.on("console", lambda message: told.append(message.text))
    page.on("pageerror", lambda error: told.append(str(error)))

    def settled():
        page.wait_for_selector("#list[aria-busy=false] .card")

    def barriers():
        found = Axe().run(page).response["violations"]
        return [(one["id"], one["impact"]) for one in found if one["impact"] in ("serious", "critical")]

    page.goto(address)
    assert barriers() == []
    page.fill("#sentence", "a smoked black tea with honey")
    page.keyboard.press("Enter")
    settled()
    assert barriers() == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.evaluate("document.activeElement.id") == "prompt"
    page.click("#answer button[aria-pressed] >> nth=0")
    assert page.inner_text("#answer [type=submit]") == "Next"
    page.click("#answer [type=submit]")
    page.wait_for_selector("#count:text-is('Question 2')", state="attached")
    settled()
    first = page.inner_text(".card h3 >> nth=0")
    page.click(f'button[aria-label="Not for me: {first}"]')
    page.wait_for_selector(f'button[aria-label="Not for me: {first}"]', state="detached")
    settled()
    assert told == []
    page.route("**/answers", lambda route: route.abort())
    page.click(".card .small >> nth=0")
    page.wait_for_selector("#retry:visible")
    assert barriers() == []
    assert page.locator(".card").count() > 3
    page.unroute("**/answers")
    page.click("#retry")
    page.wait_for_selector("#notice", state="hidden")
    held = []
    page.route("**/answers", lambda route: held.append(route))
    page.click(".card .small >> nth=0")
    page.wait_for_selector("text=Still reading teas for you")
    [route] = held
    route.continue_()
    page.wait_for_selector("#notice", state="hidden")
    context.close()
