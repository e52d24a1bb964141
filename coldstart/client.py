"""A client of the service, on the standard library alone: it needs neither the models nor the extra ``service``."""

from __future__ import annotations

import http.client
import json
import threading
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from coldstart.entities import Interaction, Item, Profile, Reason
from coldstart.errors import ColdstartError

_BATCH = 500
_WAITS = frozenset({429, 503})
_LONGEST_WAIT = 10.0


class ServiceError(ColdstartError):
    """A service that can't be reached, or that refused a request.

    Attributes:
        status: The HTTP status; 0 if there was no answer.
        request_id: Under which the service's log tells of it.
        errors: The fields that can't be used, each with ``field``, ``detail`` and ``remedy``.
        wait: After how many seconds the service says to try again; 0 if it says nothing.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        request_id: str = "",
        errors: Sequence[Mapping[str, str]] = (),
        wait: float = 0.0,
    ) -> None:
        super().__init__(message)
        self.status, self.request_id, self.errors, self.wait = status, request_id, tuple(errors), wait


@dataclass(frozen=True, slots=True)
class Part:
    """What one scorer had in an item's place."""

    scorer: str
    contribution: float
    meaning: str


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One item of a list; ``parts`` and ``reasons`` are empty unless asked for."""

    id: str
    title: str
    rank: int
    score: float
    source: str | None
    propensity: float
    parts: tuple[Part, ...] = ()
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class Suggestions(Sequence[Suggestion]):
    """A list, best first, and how it came about: see the service's ``/docs``."""

    recommendation_id: str
    items: tuple[Suggestion, ...]
    total: int
    degraded: bool
    fallback_reason: str
    notes: tuple[str, ...] = ()
    refined: str | None = None
    template_hash: str = ""
    models: Mapping[str, str] = field(default_factory=dict)
    adapter: str | None = None

    def __getitem__(self, place: Any) -> Any:
        return self.items[place]

    def __len__(self) -> int:
        return len(self.items)


class Client:
    """Talks to a service; threads may share it. Every request may be repeated without harm.

    Args:
        url: Where the service is: "http://127.0.0.1:8000".
        key: Of `coldstart keys create`.
        timeout: Seconds to wait for an answer.
        retries: How often to try again when the service is busy or starting, or the connection breaks.

    Raises:
        ServiceError: Every method: the service can't be reached, or refuses the request and says why.
    """

    def __init__(self, url: str, key: str, *, timeout: float = 30.0, retries: int = 3) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ServiceError(f"the service's address is {url!r}: expected http://HOST:PORT or https://HOST")
        self._parts, self._key, self._timeout, self._retries = parts, key, timeout, retries
        self._local = threading.local()

    def recommend(
        self,
        profile: Profile | None = None,
        *,
        user: str | None = None,
        k: int = 10,
        context: Mapping[str, Any] | None = None,
        where: Mapping[str, Any] | None = None,
        exclude: Iterable[str] = (),
        candidates: Iterable[str] | None = None,
        **options: Any,
    ) -> Suggestions:
        """Rank the catalogue for a stored user, a profile, or both.

        Args:
            profile: What is known; the service never stores it.
            user: The id of a stored user.
            k: How many items.
            context: The circumstances of the request.
            where: Conditions on attributes.
            exclude: Ids that must not come back.
            candidates: Ids to rank; None for all.
            options: ``depth``, ``language``, ``deadline_ms``, ``refine`` and ``explain``, as the service has them.
        """
        body: dict[str, Any] = {"k": k, "exclude": list(exclude), **options}
        given = {"user_id": user, "context": context and _plain(context), "where": where}
        body.update({name: value for name, value in given.items() if value is not None})
        if profile is not None:
            body["profile"] = _profile(profile)
        if candidates is not None:
            body["candidates"] = list(candidates)
        return _suggestions(self._call("POST", "/v1/recommend", body))

    def page(self, recommendation_id: str, *, offset: int = 0, limit: int = 10, explain: bool = False) -> Suggestions:
        """Return a list that was given further down, as deep as its ``depth``."""
        path = f"/v1/recommendations/{_quoted(recommendation_id)}"
        return _suggestions(self._call("GET", f"{path}?offset={offset}&limit={limit}&explain={str(explain).lower()}"))

    def onboard(self, profile: Profile | None = None, *, k: int = 12, explain: bool = False) -> dict[str, Any]:
        """Begin a session with a new user; return it as the service does: ``session_id``, ``question``, ``shelves``."""
        body = {"k": k, "explain": explain, **({} if profile is None else {"profile": _profile(profile)})}
        return dict(self._call("POST", "/v1/onboarding/sessions", body))

    def answer(
        self, session: str, question: str, value: str | Sequence[str] | None, *, k: int = 12, explain: bool = False
    ) -> dict[str, Any]:
        """Answer a session's question, None for "skip"; return the session as it is then."""
        chosen = value if value is None or isinstance(value, str) else list(value)
        body = {"question_id": question, "value": chosen, "k": k, "explain": explain}
        return dict(self._call("POST", f"/v1/onboarding/sessions/{_quoted(session)}/answers", body))

    def suggestions(self, session: str, *, k: int = 12, explain: bool = False) -> dict[str, Any]:
        """Return a session as it is now."""
        path = f"/v1/onboarding/sessions/{_quoted(session)}/suggestions"
        return dict(self._call("POST", path, {"k": k, "explain": explain}))

    def reasons(self, session: str, *, k: int = 12) -> dict[str, list[dict[str, Any]]]:
        """Return why each item of a session's list is there, by its id."""
        path = f"/v1/onboarding/sessions/{_quoted(session)}/reasons"
        return dict(self._call("POST", path, {"k": k})["reasons"])

    def put_items(self, items: Iterable[Item]) -> tuple[int, int]:
        """Create or replace items; return how many were created and how many replaced. 500 at once are all or none."""
        created = replaced = 0
        rows = [{"id": item.id, "title": item.title, "attributes": _plain(item.attributes)} for item in items]
        for start in range(0, len(rows), _BATCH):
            done = self._call("POST", "/v1/items", {"items": rows[start : start + _BATCH]})
            created, replaced = created + done["created"], replaced + done["replaced"]
        return created, replaced

    def item(self, item: str) -> Item:
        """Return an item."""
        return Item(**self._call("GET", f"/v1/items/{_quoted(item)}"))

    def delete_item(self, item: str) -> None:
        """Delete an item."""
        self._call("DELETE", f"/v1/items/{_quoted(item)}")

    def put_user(self, user: str, profile: Profile) -> None:
        """Store what a user stated."""
        self._call("PUT", f"/v1/users/{_quoted(user)}", _profile(profile))

    def user(self, user: str) -> Profile:
        """Return what a user stated."""
        return Profile(**self._call("GET", f"/v1/users/{_quoted(user)}")["profile"])

    def erase_user(self, user: str) -> dict[str, int]:
        """Erase a user and all that was learned from them; return how many rows of each kind there were."""
        return dict(self._call("DELETE", f"/v1/users/{_quoted(user)}"))

    def tell(self, events: Iterable[Interaction], *, ids: Iterable[str] | None = None) -> tuple[int, int]:
        """Tell what users did; return how many events were new and how many known.

        Args:
            events: In any order.
            ids: An id for each, by which it counts once however often it is told; made up if None.
        """
        told = list(events)
        names = [uuid.uuid4().hex for _ in told] if ids is None else list(ids)
        rows = [
            {"event_id": id_, "user_id": e.user, "item_id": e.item, "event_type": e.event_type, "value": e.value,
             "timestamp": e.timestamp}
            for id_, e in zip(names, told, strict=True)
        ]  # fmt: skip
        new = known = 0
        for start in range(0, len(rows), _BATCH):
            done = self._call("POST", "/v1/events", {"events": rows[start : start + _BATCH]})
            new, known = new + done["accepted"], known + done["duplicates"]
        return new, known

    def rerank(self, query: str, documents: Sequence[str], *, top_n: int | None = None) -> list[tuple[int, float]]:
        """Return the places of texts and their cosines with a query, closest first."""
        body = {"query": query, "documents": list(documents), **({} if top_n is None else {"top_n": top_n})}
        return [(one["index"], one["relevance_score"]) for one in self._call("POST", "/v1/rerank", body)["results"]]

    def adapters(self) -> tuple[list[str], str | None]:
        """Return the versions of the adapters there are, oldest first, and the one in use."""
        found = self._call("GET", "/v1/adapters")
        return list(found["adapters"]), found["active"]

    def promote(self, adapter: str) -> None:
        """Use an adapter from now on; the whole catalogue is read with it before this returns."""
        self._call("POST", f"/v1/adapters/{_quoted(adapter)}/promote")

    def roll_back(self) -> None:
        """Use again what was in use before the adapter that is."""
        self._call("POST", "/v1/adapters/rollback")

    def ready(self) -> bool:
        """Return whether the service can answer."""
        try:
            self._once("GET", "/readyz", None)
        except ServiceError:
            return False
        return True

    def close(self) -> None:
        """Close this thread's connection."""
        connection = self._local.__dict__.pop("connection", None)
        if connection is not None:
            connection.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        for attempt in range(self._retries + 1):
            try:
                return self._once(method, path, body)
            except ServiceError as problem:  # noqa: PERF203 - trying again is what the loop is for
                again = problem.status in _WAITS or problem.status == 0
                if not again or attempt == self._retries:
                    raise
                time.sleep(min(problem.wait or 0.1 * 2**attempt, _LONGEST_WAIT))
        raise AssertionError

    def _once(self, method: str, path: str, body: Any) -> Any:
        data = None if body is None else json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        try:
            connection = self._connection()
            connection.request(method, self._parts.path.rstrip("/") + path, data, headers)
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as problem:
            self.close()
            raise ServiceError(
                f"{self._parts.scheme}://{self._parts.netloc} doesn't answer ({problem!r}): is `coldstart serve`"
                " running there?"
            ) from problem
        if answer.status >= 400:
            raise _refused(answer, text)
        return json.loads(text) if text else None

    def _connection(self) -> http.client.HTTPConnection:
        if not hasattr(self._local, "connection"):
            kind = http.client.HTTPSConnection if self._parts.scheme == "https" else http.client.HTTPConnection
            self._local.connection = kind(str(self._parts.hostname), self._parts.port, timeout=self._timeout)
        found: http.client.HTTPConnection = self._local.connection
        return found


def _refused(answer: http.client.HTTPResponse, text: bytes) -> ServiceError:
    try:
        problem = json.loads(text)
        detail, errors = str(problem["detail"]), problem.get("errors", ())
    except (ValueError, KeyError, TypeError):
        detail, errors = text[:200].decode("utf-8", "replace") or str(answer.reason), ()
    wait = answer.headers.get("Retry-After", "")
    return ServiceError(
        f"the service refused it ({answer.status}): {detail}",
        status=answer.status,
        request_id=answer.headers.get("X-Request-Id", ""),
        errors=errors,
        wait=float(wait) if wait.isdigit() else 0.0,
    )


def _suggestions(answer: Mapping[str, Any]) -> Suggestions:
    items = tuple(
        Suggestion(
            **{
                **one,
                "parts": tuple(Part(**part) for part in one.get("parts") or ()),
                "reasons": tuple(Reason(**reason) for reason in one.get("reasons") or ()),
            }
        )
        for one in answer["items"]
    )
    return Suggestions(**{**answer, "items": items, "notes": tuple(answer["notes"])})


def _profile(profile: Profile) -> dict[str, Any]:
    return {
        "text": profile.text,
        "attributes": _plain(profile.attributes),
        "likes": list(profile.likes),
        "dislikes": list(profile.dislikes),
        "history": [event.item for event in profile.events],
    }


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _quoted(id_: str) -> str:
    return quote(id_, safe="")
