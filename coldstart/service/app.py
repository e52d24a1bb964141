"""The application: the endpoints, the gate before them, and what is there beside them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.exceptions import HTTPException

from coldstart import __version__
from coldstart.errors import ColdstartError
from coldstart.service import messages, onboarding, page, problems
from coldstart.service.gate import Gate
from coldstart.service.problems import Refused
from coldstart.service.routes import PROBLEMS, router
from coldstart.service.running import Service
from coldstart.service.settings import DEFAULT

_THREADS = 16  # for reading and writing rows

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>coldstart {version}</title>
<style>body{{font:16px/1.5 system-ui;max-width:46rem;margin:2rem auto;padding:0 1rem}}td{{padding:.1rem 1rem .1rem 0}}
code{{font-size:.95em}}</style><h1>coldstart {version}</h1><p>The whole description, with examples, is
<a href="openapi.json">openapi.json</a>. Send a key as <code>Authorization: Bearer KEY</code>.</p>
<table>{rows}</table>"""


class Application(FastAPI):
    """FastAPI, with the schema of problems in the description."""

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI description."""
        if self.openapi_schema is None:
            found = super().openapi()
            schema = messages.Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            found["components"]["schemas"].update(schema.pop("$defs", {}))
            found["components"]["schemas"]["Problem"] = schema
            for unused in ("HTTPValidationError", "ValidationError"):
                found["components"]["schemas"].pop(unused, None)
            self.openapi_schema = found
        return self.openapi_schema


def application(service: Service) -> Any:
    """Return the ASGI application of a service; its lifespan opens and closes it."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        asyncio.get_running_loop().set_default_executor(
            ThreadPoolExecutor(_THREADS, thread_name_prefix="coldstart-rows")
        )
        opening = asyncio.create_task(service.start())
        yield
        if not service.ready:  # asked to stop before all is open: its next slice of work ends the opening
            await asyncio.to_thread(service.executor.close)
        await opening
        await asyncio.to_thread(service.close)

    app = Application(
        title="coldstart",
        version=__version__,
        summary="Recommendations for people of whom little or nothing is known.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.service = service
    app.include_router(router)
    app.include_router(onboarding.router)
    app.include_router(page.router)
    app.state.page = _pass(service)
    for kind in (Refused, ColdstartError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, _answer)

    @app.get("/healthz", tags=["service"], summary="Whether the process runs")
    async def healthz() -> messages.Health:
        return messages.Health(status="ok")

    @app.get("/readyz", tags=["service"], summary="Whether it can answer", responses={503: {"model": messages.Health}})
    async def readyz() -> JSONResponse:
        health = await _health(service)
        return JSONResponse(health.model_dump(), 200 if health.status == "ok" else 503)

    @app.get("/metrics", tags=["service"], summary="Counters for Prometheus", response_class=Response,
             responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}})  # fmt: skip
    async def metrics() -> Response:
        service.gauges()
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        rows = "".join(
            f"<tr><td><code>{method.upper()} {path}</code><td>{operation['summary']}"
            for path, methods in app.openapi()["paths"].items()
            for method, operation in methods.items()
        )
        page = _PAGE.format(version=__version__, rows=rows)
        return HTMLResponse(page, headers={"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"})

    settings = service.settings
    return Gate(
        app,
        keys=service.keys,
        metrics=service.metrics,
        max_body=settings.max_body,
        rate=settings.rate,
        burst=settings.burst,
        page=app.state.page,
    )


def _pass(service: Service) -> page.Pass | None:
    """Return the page's right: of the tenant that the settings name, or the default one's where only we can come."""
    settings = service.settings
    if settings.page is not None:
        return page.Pass(service.storage.tenant(settings.page)["id"]) if settings.page else None
    there = {row["id"] for row in service.storage.tenants()}
    return page.Pass(DEFAULT) if page.is_loopback(settings.host) and DEFAULT in there else None


async def _answer(request: Request, problem: Exception) -> Response:
    return problems.answer(request, problem)


async def _health(service: Service) -> messages.Health:
    if not service.ready:
        return messages.Health(status="unavailable" if service.trouble else "starting", detail=service.trouble)
    try:
        await asyncio.to_thread(service.storage.ping)
    except Exception as problem:
        return messages.Health(status="unavailable", detail=f"the database doesn't answer ({type(problem).__name__})")
    return messages.Health(status="ok")


__all__ = ["PROBLEMS", "application"]
