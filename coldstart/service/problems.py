"""Errors as RFC 9457 problem details: what is wrong, where, and what to do about it."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from coldstart.errors import ColdstartError, UnknownItem
from coldstart.executor import Busy, Closed

log = logging.getLogger("coldstart.service")

MEDIA_TYPE = "application/problem+json"

_REMEDIES = {
    "missing": "add it",
    "extra_forbidden": "remove it, or check its spelling",
    "json_invalid": "send valid JSON",
    "finite_number": "send a finite number",
    "string_unicode": "send text without lone surrogates",
}
_KINDS = {
    "string": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "list": "a list",
    "dict": "an object",
    "model": "an object",
}
_HINTS = {
    400: "send valid JSON, not nested deeply, and no numbers of thousands of digits",
    401: "send a key as `Authorization: Bearer KEY`",
    403: "use a key with that scope: coldstart keys create --scope ...",
    404: "check the path and the id",
    405: "use one of the methods that the Allow header names",
    413: "send less at once",
    415: "send JSON with Content-Type: application/json",
}


class Refused(Exception):
    """A request that is answered with a problem.

    Args:
        status: The HTTP status.
        detail: What is wrong and what to do, for people.
        headers: Of the answer.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        errors: Sequence[Mapping[str, str]] = (),
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers, self.errors = status, detail, dict(headers or {}), list(errors)


def body(
    status: int, detail: str, *, request_id: str, errors: Sequence[Mapping[str, str]] = (), kind: str = "about:blank"
) -> bytes:
    """Return a problem as JSON."""
    found: dict[str, Any] = {
        "type": kind,
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "request_id": request_id,
        "errors": list(errors),
    }
    return json.dumps(found, ensure_ascii=True).encode()


def answer(request: Request, problem: Exception) -> Response:
    """Return the answer to a request that raised this."""
    request_id = str(request.scope.get("coldstart.request_id", ""))
    status, detail, headers, errors = _read(problem)
    if status == 500:
        log.error("a fault of ours", exc_info=problem, extra={"request_id": request_id})
    if request_id:
        headers["X-Request-Id"] = request_id
    return Response(
        body(status, detail, request_id=request_id, errors=errors), status, headers=headers, media_type=MEDIA_TYPE
    )


def _read(problem: Exception) -> tuple[int, str, dict[str, str], Sequence[Mapping[str, str]]]:
    if isinstance(problem, Refused):
        return problem.status, problem.detail, problem.headers, problem.errors
    if isinstance(problem, RequestValidationError):
        errors = [_field(error) for error in problem.errors()]
        if any(error["type"] == "json_invalid" for error in problem.errors()):
            return 400, f"the body isn't JSON: {errors[0]['detail']}", {}, errors
        return 422, f"{errors[0]['field']}: {errors[0]['detail']}; {errors[0]['remedy']}", {}, errors[:20]
    if isinstance(problem, HTTPException):
        hint = _HINTS.get(problem.status_code, "")
        detail = "; ".join(filter(None, (str(problem.detail), hint)))
        return problem.status_code, detail, dict(problem.headers or {}), ()
    if isinstance(problem, Busy):
        wait = str(max(1, round(problem.retry_after + 0.5)))
        return 429, str(problem), {"Retry-After": wait}, ()
    if isinstance(problem, Closed):
        return 503, "the service is stopping: try again in a few seconds", {"Retry-After": "5"}, ()
    if isinstance(problem, UnknownItem):
        return 404, str(problem), {}, ()
    if isinstance(problem, ColdstartError):  # the request is well formed, but doesn't fit the catalogue as it is
        return 409, str(problem), {}, ()
    return 500, "a fault of ours; its details are in the log under the request id", {}, ()


def _field(error: Mapping[str, Any]) -> dict[str, str]:
    place, *path = (str(part) for part in error["loc"])
    name = ".".join(path) if place == "body" and path else f"{place} {'.'.join(path)}".strip()
    kind, said = error["type"], str(error["msg"])
    if kind == "json_invalid":
        return {"field": "body", "detail": str(error.get("ctx", {}).get("error", said)), "remedy": _REMEDIES[kind]}
    remedy = _REMEDIES.get(kind)
    if remedy is None and kind.endswith("_type"):
        remedy = f"send {_KINDS.get(kind.removesuffix('_type'), 'another type')}"
    limits = {name: value for name, value in (error.get("ctx") or {}).items() if isinstance(value, (int, float, str))}
    expected = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in limits.items())
    return {"field": name, "detail": said, "remedy": remedy or (f"expected {expected}" if expected else "change it")}
