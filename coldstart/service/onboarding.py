"""The endpoints under /v1/onboarding: a session's next question, and the list as it is after each answer."""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import Any

from fastapi import APIRouter, Request

from coldstart.entities import Profile
from coldstart.onboarding import Dialogue, Onboarding, Suggestions
from coldstart.service import messages as m
from coldstart.service.problems import Refused
from coldstart.service.ranking import EMPTY, why
from coldstart.service.routes import PROBLEMS, Asker, PathId, awaited, service_of
from coldstart.service.storage import Given
from coldstart.service.tenant import Tenant

router = APIRouter(prefix="/v1/onboarding", responses=PROBLEMS, tags=["onboarding"])


@router.post("/sessions", summary="Begin with a new user: the first question and the first list", status_code=201)
async def start(request: Request, tenant: Asker, body: m.SessionBody) -> m.Session:
    """Keep what is said for a day after the last answer, and answer with what to ask and to show first."""
    service = service_of(request)
    profile = body.profile.profile() if body.profile is not None else Profile()
    if tenant.recommender is None:
        raise Refused(409, EMPTY)
    dialogue = await awaited(request, service.executor.submit(lambda: tenant.onboarding().start(profile)))
    id_, expires = await asyncio.to_thread(service.sessions.start, tenant.id, dialogue)
    return await _told(request, tenant, id_, dialogue, expires, body)


@router.post("/sessions/{session_id}/answers", summary="Answer a question")
async def answer(request: Request, tenant: Asker, session_id: PathId, body: m.AnswerBody) -> m.Session:
    """Take an answer, null for "skip"; the same again changes nothing, another one to the same question replaces it.

    ``item:ID`` with ``like`` or ``dislike`` says so of any item, also where it wasn't asked.
    """
    service = service_of(request)
    if tenant.recommender is None:
        raise Refused(409, EMPTY)
    asking = await awaited(request, service.executor.submit(tenant.onboarding))

    def change(dialogue: Dialogue) -> Dialogue:
        changed: Dialogue = asking.answered(dialogue, body.question_id, body.value)
        return changed

    found = await asyncio.to_thread(service.sessions.change, tenant.id, session_id, change)
    return await _told(request, tenant, session_id, *_there(found, session_id), body)


@router.post("/sessions/{session_id}/suggestions", summary="See a session's list and question again")
async def suggestions(request: Request, tenant: Asker, session_id: PathId, body: m.ShownBody) -> m.Session:
    """Return the list of a session as it is now, and its next question."""
    found = await asyncio.to_thread(service_of(request).sessions.get, tenant.id, session_id)
    return await _told(request, tenant, session_id, *_there(found, session_id), body)


@router.post("/sessions/{session_id}/reasons", summary="Tell why the items of a session's list are there")
async def reasons(request: Request, tenant: Asker, session_id: PathId, body: m.WhyBody) -> m.Why:
    """Return what stood the test, for the list as it is now: a page shows its list first, and asks this behind it."""
    service = service_of(request)
    found = await asyncio.to_thread(service.sessions.get, tenant.id, session_id)
    dialogue, _ = _there(found, session_id)
    if tenant.recommender is None:
        raise Refused(409, EMPTY)

    def work() -> m.Why:
        asking = tenant.onboarding()
        return m.Why(reasons=_reasons(asking, dialogue, asking.suggestions(dialogue, k=body.k)))

    told: m.Why = await awaited(request, service.executor.submit(work))
    return told


def _there(found: tuple[Dialogue, float] | None, id_: str) -> tuple[Dialogue, float]:
    if found is None:
        raise Refused(404, f"no session has the id {id_!r}, or it has expired: POST /v1/onboarding/sessions starts one")
    return found


async def _told(
    request: Request, tenant: Tenant, id_: str, dialogue: Dialogue, expires: float, body: m.ShownBody
) -> m.Session:
    service = service_of(request)
    if tenant.recommender is None:
        raise Refused(409, EMPTY)
    made: tuple[m.Session, Given | None] = await awaited(
        request, service.executor.submit(lambda: _made(tenant, id_, dialogue, expires, body))
    )
    if made[1] is not None:
        service.lists.add(tenant.id, made[1])
    return made[0]


def _made(
    tenant: Tenant, id_: str, dialogue: Dialogue, expires: float, body: m.ShownBody
) -> tuple[m.Session, Given | None]:
    """Plan and rank, on the executor's thread; return the answer and what the log of lists keeps of it."""
    asking = tenant.onboarding()
    question = asking.question(dialogue) if body.question else None
    ending = asking.ending(dialogue) if body.question and question is None else ""
    shelves: list[m.Shelf] = []
    given = None
    if body.k:
        found = asking.suggestions(dialogue, k=body.k)
        shelves = _shelves(found, _reasons(asking, dialogue, found) if body.explain else {})
        given = _given(tenant, found)
    told = m.Session(
        session_id=id_,
        expires=expires,
        answered=len(dialogue.answers),
        question=None if question is None else m.Question(**question.to_dict()),
        ending=ending,
        recommendation_id=None if given is None else given.id,
        shelves=shelves,
    )
    return told, given


def _reasons(asking: Onboarding, dialogue: Dialogue, found: Suggestions) -> dict[str, Any]:
    return {one.id: why(one) for one in asking.explained(dialogue, [one.recommendation for one in found])}


def _shelves(found: Suggestions, reasons: dict[str, Any]) -> list[m.Shelf]:
    return [
        m.Shelf(
            title=shelf.title,
            source=shelf.source,
            items=[
                m.Suggested(
                    **one.to_dict(),
                    attributes={
                        name: list(value) if isinstance(value, tuple) else value
                        for name, value in one.recommendation.item.attributes.items()
                    },
                    reasons=reasons.get(one.recommendation.id),
                )
                for one in shelf.items
            ],
        )
        for shelf in found.shelves
    ]


def _given(tenant: Tenant, found: Suggestions) -> Given:
    """Return a list as the log keeps it, with the chance that each item had to be shown."""
    assert tenant.recommender is not None  # noqa: S101 - it was ranked
    index = tenant.recommender.index
    models = [index.manifest[role] for role in ("encoder", "language_model") if index.manifest.get(role)]
    about = {
        "degraded": False,
        "fallback_reason": "",
        "notes": [],
        "template_hash": index.manifest["templates"],
        "models": {model["name"]: model["hash"] for model in models},
        "adapter": None,
    }
    ranked = [
        [one.recommendation.id, one.recommendation.title, round(one.recommendation.score, 6), {}, one.propensity]
        for one in found
    ]
    return Given(secrets.token_hex(16), None, time.time(), len(ranked), ranked, about)
