"""The onboarding page at /: plain HTML, CSS and JavaScript, and what lets it ask for one tenant's lists.

A page in a browser can keep no secret, so it gets no key of the database's. A random token of this process, in a cookie
that scripts can't read and other sites can't send (HttpOnly, SameSite=Strict, for /v1/onboarding only), may do one
thing: hold onboarding sessions with the page's tenant. It can read no item, list or user otherwise, and write nothing.
The page is there where a tenant is named for it, or unasked for the default tenant on a loopback address, where only
requests to that very address are answered, so that no name that was rebound to it can.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import html
import ipaddress
import json
import secrets
from collections.abc import Mapping
from functools import cache
from http.cookies import CookieError, SimpleCookie
from importlib.resources import files

from fastapi import APIRouter, Request
from fastapi.responses import Response

from coldstart.service.keys import Key
from coldstart.service.problems import Refused
from coldstart.service.running import Service
from coldstart.terminal import telling_attributes
from coldstart.wording import plural

SCOPE = "page"
"""What the page may do: hold onboarding sessions."""

COOKIE = "coldstart_page"

_PATH = "/v1/onboarding"
_KINDS = {"app.css": "text/css", "app.js": "text/javascript", "icon.svg": "image/svg+xml"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)

router = APIRouter(include_in_schema=False)


def is_loopback(host: str) -> bool:
    """Whether an address is of this machine alone.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0"), is_loopback("shop.example")
    (True, True, False, False)
    """
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Pass:
    """The page's right to hold sessions with a tenant, for as long as this process runs.

    Args:
        tenant: Whose page it is.
    """

    def __init__(self, tenant: str) -> None:
        self.tenant = tenant
        self._token = secrets.token_urlsafe(32)
        self._key = Key("page", tenant, "the onboarding page", (SCOPE,), 0.0, None)

    def cookie(self, *, secure: bool) -> str:
        """Return the header that hands it to a browser."""
        attributes = f"Path={_PATH}; HttpOnly; SameSite=Strict" + ("; Secure" if secure else "")
        return f"{COOKIE}={self._token}; {attributes}"

    def key(self, path: str, headers: Mapping[bytes, bytes]) -> Key | None:
        """Return what a request with the cookie may do; None for any other request."""
        if not path.startswith(f"{_PATH}/") or b"authorization" in headers:
            return None
        try:
            sent = SimpleCookie(headers.get(b"cookie", b"").decode("latin-1")).get(COOKIE)
        except CookieError:
            return None
        given = "" if sent is None else sent.value
        return self._key if hmac.compare_digest(given.encode(), self._token.encode()) else None


@router.get("/")
async def page(request: Request) -> Response:
    """Return the page."""
    service: Service = request.app.state.service
    shown: Pass | None = request.app.state.page
    if shown is None:
        raise Refused(404, "no page is shown here: `coldstart serve --page TENANT` shows a tenant's")
    if is_loopback(service.settings.host) and not is_loopback(request.url.hostname or ""):
        raise Refused(403, f"the page isn't shown under {request.url.hostname!r}: open http://127.0.0.1 instead")
    tenant = service.tenants.opened(shown.tenant)
    recommender = None if tenant is None else tenant.recommender
    if tenant is not None and recommender is not None:
        service.executor.background(lambda: tenant.onboarding().warm())
    catalogue = None if recommender is None else recommender.catalogue
    kind = (await asyncio.to_thread(service.storage.tenant, shown.tenant))["kind"]
    words = {
        "kinds": plural(kind),
        "size": "" if catalogue is None else f"{len(catalogue):,} {plural(kind)}",
        "facts": json.dumps([] if catalogue is None else telling_attributes(catalogue, most=3)),
        **{name: _version(name) for name in _KINDS},
    }
    text = _asset("index.html").decode()
    for name, value in words.items():
        text = text.replace("{{" + name + "}}", html.escape(value))
    headers = {
        "Content-Security-Policy": _POLICY,
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
        "Set-Cookie": shown.cookie(secure=request.url.scheme == "https"),
    }
    return Response(text, headers=headers, media_type="text/html")


@router.get("/page/{name}")
async def asset(request: Request, name: str) -> Response:
    """Return a part of the page. Its address holds its hash, so that browsers keep it for good."""
    if request.app.state.page is None or name not in _KINDS:
        raise Refused(404, "no part of a page has this name")
    current = request.query_params.get("v") == _version(name)
    kept = "public, max-age=31536000, immutable" if current else "no-cache"
    return Response(_asset(name), headers={"Cache-Control": kept}, media_type=_KINDS[name])


@cache
def _asset(name: str) -> bytes:
    return (files("coldstart.service") / "assets" / name).read_bytes()


@cache
def _version(name: str) -> str:
    return hashlib.sha256(_asset(name)).hexdigest()[:12]
