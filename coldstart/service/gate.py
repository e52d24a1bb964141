"""What every request passes first: an id, a key, limits on rate, size and shape, one line of log, and the counts."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from coldstart.service import problems
from coldstart.service.keys import Key, Keys
from coldstart.service.metrics import Metrics
from coldstart.service.page import Pass
from coldstart.service.problems import Refused

log = logging.getLogger("coldstart.access")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_BUCKETS = 10_000
_TAKES_BODY = frozenset({"POST", "PUT", "PATCH"})


class Gate:
    """ASGI middleware in front of the application.

    Args:
        app: What answers.
        keys: Who may ask.
        metrics: What is counted.
        max_body: Bytes of a body at most; more are refused while they come in.
        rate: Requests a second that a key may go on making.
        burst: Requests that it may make at once.
        page: What the onboarding page may do; None where there is none.
    """

    def __init__(
        self, app: Any, *, keys: Keys, metrics: Metrics, max_body: int, rate: float, burst: int,
        page: Pass | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._app, self._keys, self._metrics, self._page = app, keys, metrics, page
        self._max_body, self._rate, self._burst, self._clock = max_body, rate, burst, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = self._clock(), 500
        headers = dict(scope["headers"])
        asked = headers.get(b"x-request-id", b"")
        request_id = asked.decode() if _REQUEST_ID.fullmatch(asked) else secrets.token_hex(8)
        scope["coldstart.request_id"] = request_id

        async def sending(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                kept = [pair for pair in message["headers"] if pair[0].lower() != b"x-request-id"]
                said = {name.lower() for name, _ in kept}
                safety = [pair for pair in _SAFETY if pair[0] not in said]
                message["headers"] = [*kept, (b"x-request-id", request_id.encode()), *safety]
            await send(message)

        try:
            if scope["path"].startswith("/v1/"):
                scope["coldstart.key"] = await self._admitted(scope["path"], headers)
            await self._app(scope, await self._received(scope, headers, receive), sending)
        except Refused as refused:
            await _refuse(refused, request_id, sending)
        finally:
            seconds = self._clock() - start
            route = scope.get("route")
            path = getattr(route, "path", None) or "(none)"
            self._metrics.request(path, scope["method"], status, seconds)
            key: Key | None = scope.get("coldstart.key")
            log.info(
                "%s %s %d", scope["method"], path, status,
                extra={
                    "request_id": request_id, "method": scope["method"], "route": path, "status": status,
                    "ms": round(seconds * 1000, 1), "key": key and key.id, "tenant": key and key.tenant,
                },
            )  # fmt: skip

    async def _admitted(self, path: str, headers: dict[bytes, bytes]) -> Key:
        shown = None if self._page is None else self._page.key(path, headers)
        if shown is not None:
            self._take(shown.id)
            return shown
        given = headers.get(b"authorization", b"").decode("latin-1")
        scheme, _, text = given.partition(" ")
        if scheme.lower() != "bearer" or not text.strip():
            raise Refused(
                401,
                "no key was sent: send one as `Authorization: Bearer KEY`; `coldstart keys create` makes one",
                headers={"WWW-Authenticate": "Bearer"},
            )
        text = text.strip()
        known, key = self._keys.remembered(text)
        if not known:
            key = await asyncio.to_thread(self._keys.check, text)
        if key is None:
            raise Refused(
                401,
                "the key is unknown or was revoked: use another; `coldstart keys create` makes one",
                headers={"WWW-Authenticate": 'Bearer error="invalid_token"'},
            )
        self._take(key.id)
        return key

    def _take(self, id_: str) -> None:
        """Take one from a key's bucket, which fills at the rate and holds the burst."""
        now = self._clock()
        left, then = self._buckets.pop(id_, (float(self._burst), now))
        left = min(float(self._burst), left + (now - then) * self._rate)
        self._buckets[id_] = (left - 1 if left >= 1 else left), now
        while len(self._buckets) > _BUCKETS:
            self._buckets.popitem(last=False)
        if left < 1:
            wait = (1 - left) / self._rate
            raise Refused(
                429,
                f"the key makes more than {self._rate:g} requests a second: wait {wait:.1f} seconds",
                headers={"Retry-After": str(max(1, round(wait + 0.5)))},
            )

    async def _received(self, scope: Scope, headers: dict[bytes, bytes], receive: Receive) -> Receive:
        """Read the body within the limits, and return what hands it to the application."""
        length = headers.get(b"content-length", b"0")
        too_large = Refused(
            413, f"the body is larger than {self._max_body} bytes: send less at once", headers={"Connection": "close"}
        )
        if length.isdigit() and int(length) > self._max_body:
            raise too_large
        data, more = bytearray(), b"content-length" in headers or b"transfer-encoding" in headers
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return receive
            data += message.get("body", b"")
            if len(data) > self._max_body:
                raise too_large
            more = message.get("more_body", False)
        if data and scope["method"] in _TAKES_BODY:
            _check_body(bytes(data), headers.get(b"content-type", b""))
        handed = False

        async def receiving() -> MutableMapping[str, Any]:
            nonlocal handed
            if handed:
                return await receive()
            handed = True
            return {"type": "http.request", "body": bytes(data), "more_body": False}

        return receiving


_SAFETY = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))


def _check_body(data: bytes, content_type: bytes) -> None:
    kind = content_type.split(b";")[0].strip().lower()
    if kind != b"application/json":
        shown = kind.decode("latin-1") or "nothing"
        raise Refused(415, f"the body is said to be {shown!r}: send JSON with Content-Type: application/json")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as problem:
        raise Refused(400, f"the body isn't UTF-8 at byte {problem.start}: send JSON in UTF-8") from problem
    if b"NaN" in data or b"Infinity" in data:
        _check_numbers(data)


def _check_numbers(data: bytes) -> None:
    def refuse(name: str) -> None:
        raise Refused(400, f"the body holds {name}, which isn't JSON: leave the field out, or send a finite number")

    try:
        json.loads(data, parse_constant=refuse)
    except (ValueError, RecursionError):
        return  # the application says what is wrong


async def _refuse(refused: Refused, request_id: str, send: Send) -> None:
    data = problems.body(refused.status, refused.detail, request_id=request_id, errors=refused.errors)
    headers = [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in refused.headers.items()]
    headers += [(b"content-type", problems.MEDIA_TYPE.encode()), (b"content-length", str(len(data)).encode())]
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": data})
