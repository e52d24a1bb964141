"""Does the service keep to its own OpenAPI description? schemathesis makes up requests, proper and improper ones.

Every check that schemathesis has is made: no server error; only statuses, media types, headers and bodies that are
described; improper requests refused; proper ones taken; nothing answered without a key; what was deleted is gone.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.core.failures import FailureGroup
from starlette.testclient import TestClient

_SHOWN = 600


@dataclass
class Found:
    """How many requests were made, and what was wrong with answers, in words."""

    cases: int
    problems: list[str]


def cases_of(app: Any, key: str, *, most: int, seed: int) -> Found:
    """Ask an ASGI application; return what was found.

    Args:
        app: With a lifespan; it is opened and closed.
        key: That may do everything.
        most: Requests of each kind to each operation at most.
        seed: Of what is made up.
    """
    found = Found(0, [])
    with TestClient(app, raise_server_exceptions=False) as client:
        while client.get("/readyz").status_code != 200:
            time.sleep(0.01)
        schema = schemathesis.openapi.from_asgi("/openapi.json", app)
        for result in schema.get_all_operations():
            operation: Any = result.ok()  # type: ignore[union-attr]
            for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):
                _ask(operation, key, mode, found, most, seed)
    return found


def _ask(operation: Any, key: str, mode: Any, found: Found, most: int, number: int) -> None:
    try:
        strategy = operation.as_strategy(generation_mode=mode)
    except Exception as problem:
        if "negative" in str(mode).lower():
            return
        found.problems.append(f"{operation.label}: {problem}")
        return

    @seed(number)
    @settings(
        max_examples=most,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategy)
    def ask(case: Any) -> None:
        headers = {"Authorization": f"Bearer {key}"}
        found.cases += 1
        try:
            case.call_and_validate(headers=headers)
        except FailureGroup as problems:
            found.problems.append(f"{operation.label}: {str(problems)[:_SHOWN]}")

    try:
        ask()
    except Exception as problem:
        if "negative" not in str(mode).lower():
            found.problems.append(f"{operation.label}: {type(problem).__name__}: {str(problem)[:_SHOWN]}")
