"""The endpoints under /v1: each takes a message, asks the rows or the executor, and answers with a message."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections.abc import Callable, Generator, Sequence
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, Path, Query, Request, Response, Security
from fastapi.security import HTTPBearer

from coldstart.encoding import Encoder
from coldstart.entities import Recommendations
from coldstart.errors import AdapterError, ColdstartError
from coldstart.executor import Job
from coldstart.refining.registry import Entry
from coldstart.service import messages as m
from coldstart.service.keys import Key
from coldstart.service.page import SCOPE
from coldstart.service.problems import Refused
from coldstart.service.ranking import Asked, kept, ranked, told, why
from coldstart.service.running import Service
from coldstart.service.storage import Event, Given
from coldstart.service.tenant import Tenant

MOST_EVENTS = 300
"""Events of a user that say what they like: their last ones."""

_RERANKED = 8  # documents that are encoded a slice
_WATCHED = 0.05  # seconds after which it is looked whether a slow request's client is still there

bearer = HTTPBearer(auto_error=False, description="A key of `coldstart keys create`.")


def _problem(description: str) -> dict[str, Any]:
    return {
        "description": description,
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: _problem("The body isn't JSON."),
    401: _problem("No key, or one that is unknown or was revoked."),
    403: _problem("The key hasn't the scope."),
    404: _problem("Nothing of that id."),
    409: _problem("The request doesn't fit the catalogue as it is."),
    413: _problem("The body is too large."),
    415: _problem("The body isn't said to be JSON."),
    422: _problem("A field can't be used."),
    429: _problem("Too many requests: Retry-After says when to come back."),
    503: _problem("Not ready, or stopping: Retry-After says when to come back."),
}

router = APIRouter(prefix="/v1", responses=PROBLEMS)

PathId = Annotated[m.Id, Path(description="The id, percent-encoded.")]


class Caller:
    """Who asks, once it is known that they may."""

    def __init__(self, scope: str, *, page: bool = False) -> None:
        self._scope = scope
        self._allowed = {scope, "admin", *([SCOPE] if page else [])}

    async def __call__(self, request: Request, _: Annotated[Any, Security(bearer)]) -> Tenant:
        """Return the key's tenant; refuse a key without the scope."""
        key: Key = request.scope["coldstart.key"]
        if not self._allowed & set(key.scopes):
            raise Refused(403, f"the key may {' and '.join(key.scopes)}, but this needs {self._scope}: use another key")
        service = service_of(request)
        if not service.ready:
            raise Refused(503, "the service is starting: try again in a few seconds", headers={"Retry-After": "2"})
        return await service.tenant(key.tenant)


Reader = Annotated[Tenant, Depends(Caller("read"))]
Asker = Annotated[Tenant, Depends(Caller("read", page=True))]
Writer = Annotated[Tenant, Depends(Caller("write"))]
Admin = Annotated[Tenant, Depends(Caller("admin"))]


def service_of(request: Request) -> Service:
    """Return the service that a request came to."""
    service: Service = request.app.state.service
    return service


async def awaited(request: Request, job: Job[Any]) -> Any:
    """Wait for a job; cancel it if the client goes away meanwhile."""
    waiting = asyncio.wrap_future(job.future)
    while not (await asyncio.wait([waiting], timeout=_WATCHED))[0]:
        if await request.is_disconnected():
            job.cancel()
            waiting.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody waits for it now
            raise Refused(503, "the client went away")
    return waiting.result()


# Lists ------------------------------------------------------------------------------------------------------


@router.post(
    "/recommend",
    tags=["lists"],
    summary="Rank the catalogue for a stored user or a profile",
)
async def recommend(request: Request, tenant: Reader, body: m.RecommendBody) -> m.Recommended:
    """Answer at once, also for someone of whom nothing is known; an inline profile is never stored."""
    service, start = service_of(request), time.monotonic()
    stated: dict[str, Any] | None = None
    did: list[Event] = []
    if body.user_id is not None:
        stated, did = await asyncio.to_thread(service.storage.person, tenant.id, body.user_id, most=MOST_EVENTS)
    depth = max(body.k, body.depth or 0)
    asked = Asked(
        stated if stated is not None or body.user_id is None else {},
        did,
        None if body.profile is None else body.profile.profile(),
        body.circumstances(),
        {
            "k": depth,
            "where": body.conditions() or None,
            "exclude": body.exclude,
            "candidates": body.candidates,
            "language": body.language,
            "explain": body.explain,
        },
    )
    deadline = None if body.deadline_ms is None else start + body.deadline_ms / 1000
    refined = None
    if body.refine:
        version, request_hash = tenant.version, _fingerprint(tenant, body, stated, did)
        found = service.refined.get(request_hash, version)
        refined = "pending" if found is None else "ready"
        if found is None:
            found = await _ranked(request, tenant, _without_language(asked), deadline)
            if body.language or tenant.can_read:
                _refine(service, tenant, asked, body.user_id, request_hash, version)
            else:
                refined = None
    else:
        found = await _ranked(request, tenant, asked, deadline)
    if body.deadline_ms is not None and found.fallback_reason.startswith("the deadline"):
        service.metrics.degraded.inc()
    about = {
        "degraded": found.degraded,
        "fallback_reason": found.fallback_reason,
        "notes": list(found.notes),
        "template_hash": found.template_hash,
        "models": dict(found.models),
        "adapter": found.adapter or None,
    }
    given = Given(secrets.token_hex(16), body.user_id, time.time(), body.k, [kept(one) for one in found], about)
    service.lists.add(tenant.id, given)
    reasons = [why(one) for one in found] if body.explain else []
    return _answer(given, 0, body.k, explain=body.explain, refined=refined, reasons=reasons)


def _answer(
    given: Given, offset: int, limit: int, *, explain: bool, refined: Any = None, reasons: Sequence[Any] = ()
) -> m.Recommended:
    shown = [
        m.Ranked(
            **told(entry, offset + place + 1, explain=explain), reasons=reasons[place] if place < len(reasons) else None
        )
        for place, entry in enumerate(given.ranked[offset : offset + limit])
    ]
    return m.Recommended(
        recommendation_id=given.id, items=shown, total=len(given.ranked), refined=refined, **given.about
    )


async def _ranked(request: Request, tenant: Tenant, asked: Asked, deadline: float | None) -> Recommendations:
    service = service_of(request)
    try:
        need = (asked.profile(tenant), asked.context)
    except ColdstartError:
        need = None  # the work says why
    job = service.executor.submit(
        lambda: ranked(tenant, asked, service.pace, deadline=deadline),
        gather=tenant.prepare if need else None,
        need=need,
    )
    found: Recommendations = await awaited(request, job)
    return found


def _without_language(asked: Asked) -> Asked:
    return Asked(asked.stated, asked.did, asked.besides, asked.context, {**asked.options, "language": 0})


def _refine(service: Service, tenant: Tenant, asked: Asked, user: str | None, fingerprint: bytes, version: int) -> None:
    """Let the language model refine a list in the background, unless that was begun already."""
    if not service.refined.begin(fingerprint, tenant.id, user, version):
        return
    options = {**asked.options, "language": asked.options["language"] or 20}
    slower = Asked(asked.stated, asked.did, asked.besides, asked.context, options)
    job = service.executor.background(lambda: ranked(tenant, slower, service.pace))

    def keep(_: Any) -> None:
        failed = job.future.cancelled() or job.future.exception() is not None
        service.refined.put(fingerprint, None if failed else job.future.result(), version)

    job.future.add_done_callback(keep)


def _fingerprint(tenant: Tenant, body: m.RecommendBody, stated: Any, did: list[Event]) -> bytes:
    asked = body.model_dump_json(exclude={"deadline_ms", "refine"})
    known = repr((tenant.id, asked, stated, [(e.event_id, e.item, e.event_type, e.value) for e in did]))
    return hashlib.sha256(known.encode("utf-8", "surrogatepass")).digest()


@router.get(
    "/recommendations/{recommendation_id}",
    tags=["lists"],
    summary="Page through a list that was given",
)
async def page(
    request: Request,
    tenant: Reader,
    recommendation_id: PathId,
    offset: Annotated[int, Query(ge=0, le=m.MOST)] = 0,
    limit: Annotated[int, Query(ge=1, le=m.MOST)] = 10,
    explain: bool = False,
) -> m.Recommended:
    """Return the same list further down; it has as many ranks as the first request's ``depth``."""
    given = await asyncio.to_thread(service_of(request).lists.get, tenant.id, recommendation_id)
    if given is None:
        raise Refused(404, f"no list has the id {recommendation_id!r}: ask POST /v1/recommend for one")
    return _answer(given, offset, limit, explain=explain)


@router.post("/rerank", tags=["lists"], summary="Order texts by how close they are to a query")
async def rerank(request: Request, tenant: Reader, body: m.RerankBody) -> m.Reranked:
    """Take and give what Jina's reranker does."""
    service = service_of(request)
    texts = [one.text if isinstance(one, m.Document) else one for one in body.documents]
    job = service.executor.submit(lambda: _cosines(service.engine.encoder, body.query, texts))
    cosines, tokens = await awaited(request, job)
    order = np.argsort(-cosines, kind="stable")[: body.top_n]
    results = [
        m.RerankResult(
            index=int(place),
            relevance_score=round(float(cosines[place]), 6),
            document=m.Document(text=texts[place]) if body.return_documents else None,
        )
        for place in order
    ]
    del tenant
    return m.Reranked(model=service.engine.encoder.name, results=results, usage=m.Usage(total_tokens=tokens))


def _cosines(encoder: Encoder, query: str, texts: list[str]) -> Generator[None, None, tuple[Any, int]]:
    asked = encoder.encode([query], role="query")[0]
    tokens, found = encoder.count_tokens(query), []
    for start in range(0, len(texts), _RERANKED):
        yield
        part = texts[start : start + _RERANKED]
        tokens += sum(min(encoder.count_tokens(text), encoder.max_tokens) for text in part)
        found.append(encoder.encode(part) @ asked)
    return np.concatenate(found), tokens


# Items ------------------------------------------------------------------------------------------------------


@router.post("/items", tags=["items"], summary="Create or replace items")
async def put_items(request: Request, tenant: Writer, body: m.ItemsBody) -> m.ItemsDone:
    """Commit items, all or none; once this answers, each can be recommended."""
    items = [one.item() for one in body.items]
    created, replaced = await service_of(request).changed(tenant, tenant.put_items, items)
    return m.ItemsDone(created=created, replaced=replaced, pending=tenant.pending)


@router.get("/items/{item_id:path}", tags=["items"], summary="Read an item")
async def get_item(request: Request, tenant: Reader, item_id: PathId) -> m.ItemBody:
    """Return an item as it was put."""
    found = await asyncio.to_thread(service_of(request).storage.item, tenant.id, item_id)
    if found is None:
        raise Refused(404, f"no item has the id {item_id!r}: POST /v1/items creates one")
    attributes = {name: list(value) if isinstance(value, tuple) else value for name, value in found.attributes.items()}
    return m.ItemBody.model_construct(id=found.id, title=found.title, attributes=attributes)


@router.delete("/items/{item_id:path}", tags=["items"], summary="Delete an item", status_code=204)
async def delete_item(request: Request, tenant: Writer, item_id: PathId) -> Response:
    """Commit that an item is gone; once this answers, it is in no list."""
    gone = await service_of(request).changed(tenant, tenant.delete_items, [item_id])
    if not gone:
        raise Refused(404, f"no item has the id {item_id!r}: nothing was deleted")
    return Response(status_code=204)


# Users ------------------------------------------------------------------------------------------------------


@router.put("/users/{user_id:path}", tags=["users"], summary="Store what a user stated")
async def put_user(request: Request, tenant: Writer, user_id: PathId, body: m.ProfileBody) -> m.UserBody:
    """Create or replace a user's profile; what they did stays."""
    profile = body.profile()
    stored: dict[str, Any] = {
        "text": profile.text,
        "attributes": {name: list(v) if isinstance(v, tuple) else v for name, v in profile.attributes.items()},
        "likes": list(profile.likes),
        "dislikes": list(profile.dislikes),
        "history": [event.item for event in profile.events],
    }
    await asyncio.to_thread(service_of(request).storage.put_user, tenant.id, user_id, stored)
    return m.UserBody(id=user_id, profile=m.ProfileBody.model_construct(**stored))


@router.get("/users/{user_id:path}", tags=["users"], summary="Read what a user stated")
async def get_user(request: Request, tenant: Reader, user_id: PathId) -> m.UserBody:
    """Return a user's profile as it was put."""
    found = await asyncio.to_thread(service_of(request).storage.user, tenant.id, user_id)
    if found is None:
        raise Refused(404, f"no user of the id {user_id!r} stated anything: PUT /v1/users/ID stores a profile")
    return m.UserBody(id=user_id, profile=m.ProfileBody.model_construct(**found))


@router.delete("/users/{user_id:path}", tags=["users"], summary="Erase a user")
async def erase_user(request: Request, tenant: Writer, user_id: PathId) -> m.Erased:
    """Erase a user with all they stated, did and were given, and all that was learned from it."""
    service = service_of(request)

    def erase(user: str) -> dict[str, int]:
        service.lists.forget(tenant.id, user)
        service.refined.forget(tenant.id, user)
        return tenant.erase(user)

    return m.Erased(**await service.changed(tenant, erase, user_id))


# Events -----------------------------------------------------------------------------------------------------


@router.post("/events", tags=["events"], summary="Tell what users did")
async def add_events(request: Request, tenant: Writer, body: m.EventsBody) -> m.EventsDone:
    """Commit events in one transaction; a known ``event_id`` changes nothing."""
    service, now = service_of(request), time.time()
    events = [
        Event(
            one.event_id, one.user_id, one.item_id, one.event_type, one.value,
            now if one.timestamp is None else one.timestamp, one.recommendation_id,
        )
        for one in body.events
    ]  # fmt: skip
    new = await asyncio.to_thread(service.storage.add_events, tenant.id, events)
    tenant.tell(new)
    service.tenants.news()
    service.metrics.events.inc(len(new))
    types = {one.event_type: service.engine.meanings.of(one.event_type) for one in new}
    return m.EventsDone(accepted=len(new), duplicates=len(events) - len(new), types=types)


# Adapters ---------------------------------------------------------------------------------------------------


@router.get("/adapters", tags=["adapters"], summary="List the refinements of the models")
async def adapters(tenant: Admin) -> m.Adapters:
    """Return the adapters that `coldstart refine` kept with this tenant's index, oldest first."""
    return _told_of(await asyncio.to_thread(tenant.adapters), tenant)


@router.post("/adapters/{adapter_id}/promote", tags=["adapters"], summary="Use a refinement")
async def promote(request: Request, tenant: Admin, adapter_id: PathId) -> m.Adapters:
    """Use an adapter from now on: requests see the one before until the whole catalogue is read with it."""
    there = await asyncio.to_thread(tenant.adapters)
    if not any(adapter_id in (entry.version, entry.version[:4].lstrip("0")) for entry in there):
        raise Refused(
            404, f"tenant {tenant.id!r} has no adapter {adapter_id!r}: GET /v1/adapters lists those there are"
        )
    return await _used(request, tenant, lambda: tenant.promote(adapter_id))


@router.post("/adapters/rollback", tags=["adapters"], summary="Go back to the refinement before")
async def rollback(request: Request, tenant: Admin) -> m.Adapters:
    """Go back to the adapter that was in use before, or to none."""
    return await _used(request, tenant, tenant.roll_back)


async def _used(request: Request, tenant: Tenant, change: Callable[[], None]) -> m.Adapters:
    try:
        await service_of(request).changed(tenant, change)
    except AdapterError as problem:
        raise Refused(409, str(problem)) from problem
    return _told_of(await asyncio.to_thread(tenant.adapters), tenant)


def _told_of(entries: Sequence[Entry], tenant: Tenant) -> m.Adapters:
    return m.Adapters(adapters=[entry.version for entry in entries], active=tenant.adapter or None)
