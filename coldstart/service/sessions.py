"""Onboarding sessions: dialogues by tenant, kept for a day after their last answer and then deleted."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from coldstart.onboarding import Dialogue
from coldstart.service.database import sessions
from coldstart.service.storage import Storage

LASTS = 86_400.0
"""Seconds for which a session is kept after its last answer."""


class Sessions:
    """The dialogues that go on. Threads share it; each call is one transaction."""

    def __init__(self, storage: Storage, *, clock: Callable[[], float] = time.time) -> None:
        self._storage, self._clock = storage, clock

    def start(self, tenant: str, dialogue: Dialogue) -> tuple[str, float]:
        """Keep a new dialogue; return its id and when it expires. Those that have expired are deleted."""
        now, id_ = self._clock(), secrets.token_hex(16)
        row = {"tenant": tenant, "id": id_, "dialogue": _text(dialogue), "expires": now + LASTS}
        with self._storage.write() as connection:
            connection.execute(sa.delete(sessions).where(sessions.c.expires < now))
            connection.execute(sa.insert(sessions).values(row))
        return id_, now + LASTS

    def get(self, tenant: str, id_: str) -> tuple[Dialogue, float] | None:
        """Return a dialogue and when it expires; None if there is none of that id, or no longer."""
        with self._storage.engine.connect() as connection:
            row = connection.execute(self._found(tenant, id_)).first()
        return None if row is None else (Dialogue.from_dict(json.loads(row[0])), row[1])

    def change(self, tenant: str, id_: str, change: Callable[[Dialogue], Dialogue]) -> tuple[Dialogue, float] | None:
        """Replace a dialogue by what a change makes of it, whole; None if there is none of that id."""
        expires = self._clock() + LASTS
        with self._storage.write() as connection:
            row = connection.execute(self._found(tenant, id_).with_for_update()).first()
            if row is None:
                return None
            changed = change(Dialogue.from_dict(json.loads(row[0])))
            mine = (sessions.c.tenant == tenant, sessions.c.id == id_)
            connection.execute(sa.update(sessions).where(*mine).values(dialogue=_text(changed), expires=expires))
        return changed, expires

    def _found(self, tenant: str, id_: str) -> sa.Select[Any]:
        query = sa.select(sessions.c.dialogue, sessions.c.expires).where(sessions.c.expires >= self._clock())
        return query.where(sessions.c.tenant == tenant, sessions.c.id == id_)


def _text(dialogue: Dialogue) -> str:
    return json.dumps(dialogue.to_dict(), ensure_ascii=False)
