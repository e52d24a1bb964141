"""The rows: everything that is acknowledged is committed here first, and everything else is derived from it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from coldstart.entities import Item
from coldstart.errors import ColdstartError
from coldstart.service import database
from coldstart.service.database import events, items, recommendations, tenants, users

IMPRESSION = "impression"
"""The type of events that say an item was shown; they say of the item whom it was offered to, and nothing else."""

_CHUNK = 500


class UnknownTenant(ColdstartError):
    """A tenant that the database doesn't hold."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing a user did, or was shown.

    Attributes:
        event_id: The same id again is the same event.
        timestamp: When it happened, in seconds since 1970.
        recommendation: The list it came from; None for none.
    """

    event_id: str
    user: str
    item: str
    event_type: str
    value: float | None
    timestamp: float
    recommendation: str | None = None


@dataclass(frozen=True, slots=True)
class Given:
    """A list that was given to someone, without what was said of them.

    Attributes:
        ranked: Id, score and parts by scorer of each item, best first, beyond what was shown.
        shown: How many of them the first answer held.
        about: What the answer said of its making.
    """

    id: str
    user: str | None
    created: float
    shown: int
    ranked: Sequence[Any]
    about: Mapping[str, Any]


class Storage:
    """The tables of one database. Every method but those on tenants acts within one tenant.

    Threads share it; each call is one transaction, committed when the call returns.
    """

    def __init__(self, engine: sa.Engine, *, clock: Callable[[], float] = time.time) -> None:
        self.engine = engine
        self._clock = clock
        self._insert: Any = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert
        self._writing = threading.Lock() if engine.dialect.name == "sqlite" else None

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """Open a transaction that writes; it is committed at the end. SQLite takes one at a time."""
        if self._writing is not None:
            self._writing.acquire()
        try:
            with self.engine.connect().execution_options(writes=True) as connection, connection.begin():
                yield connection
        finally:
            if self._writing is not None:
                self._writing.release()

    def ping(self) -> None:
        """Raise unless the database answers."""
        with self.engine.connect() as connection:
            connection.execute(sa.select(sa.literal(1)))

    # Tenants ------------------------------------------------------------------------------------------------

    def create_tenant(self, tenant: str, *, kind: str = "item") -> bool:
        """Create a tenant unless it is there; return whether it is new."""
        row = {"id": tenant, "kind": kind, "created": self._clock()}
        with self.write() as connection:
            insert = self._insert(tenants).on_conflict_do_nothing().returning(tenants.c.id)
            return connection.execute(insert, row).first() is not None

    def tenants(self) -> list[dict[str, Any]]:
        """Return all tenants, oldest first."""
        with self.engine.connect() as connection:
            found = connection.execute(sa.select(tenants).order_by(tenants.c.created, tenants.c.id))
            return [dict(row) for row in found.mappings()]

    def tenant(self, tenant: str) -> dict[str, Any]:
        """Return one tenant's row.

        Raises:
            UnknownTenant: There is none of that name.
        """
        with self.engine.connect() as connection:
            row = connection.execute(sa.select(tenants).where(tenants.c.id == tenant)).mappings().first()
        if row is None:
            raise UnknownTenant(
                f"no tenant is named {tenant!r}: create it with `coldstart tenants create`, or see `coldstart tenants"
                " list`"
            )
        return dict(row)

    def set_kind(self, tenant: str, kind: str) -> None:
        """Say what a tenant's items are, in the singular."""
        with self.write() as connection:
            connection.execute(sa.update(tenants).where(tenants.c.id == tenant).values(kind=kind))

    # Items --------------------------------------------------------------------------------------------------

    def put_items(self, tenant: str, given: Sequence[Item]) -> tuple[int, int]:
        """Create or replace items, all or none; return how many were created and how many replaced."""
        now = self._clock()
        rows = [
            {
                "tenant": tenant,
                "id": item.id,
                "title": item.title,
                "attributes": json.dumps(dict(item.attributes), ensure_ascii=False),
                "created": now,
                "updated": now,
            }
            for item in given
        ]
        if not rows:
            return 0, 0
        insert = self._insert(items)
        changed = {name: insert.excluded[name] for name in ("title", "attributes", "updated")}
        insert = insert.on_conflict_do_update(index_elements=["tenant", "id"], set_=changed)
        with self.write() as connection:
            known = len(_present(connection, tenant, [item.id for item in given]))
            connection.execute(insert, rows)
        return len(rows) - known, known

    def item(self, tenant: str, item: str) -> Item | None:
        """Return an item; None if there is none of that id."""
        query = sa.select(items.c.id, items.c.title, items.c.attributes)
        with self.engine.connect() as connection:
            row = connection.execute(query.where(items.c.tenant == tenant, items.c.id == item)).first()
        return None if row is None else _item(row)

    def items(self, tenant: str) -> list[Item]:
        """Return all items, oldest first."""
        query = sa.select(items.c.id, items.c.title, items.c.attributes).where(items.c.tenant == tenant)
        with self.engine.connect() as connection:
            return [_item(row) for row in connection.execute(query.order_by(items.c.created, items.c.id))]

    def delete_items(self, tenant: str, ids: Sequence[str]) -> list[str]:
        """Delete items; return the ids of those that were there."""
        with self.write() as connection:
            gone = _present(connection, tenant, ids)
            for chunk in _chunks(gone):
                connection.execute(sa.delete(items).where(items.c.tenant == tenant, items.c.id.in_(chunk)))
        return gone

    # Users --------------------------------------------------------------------------------------------------

    def put_user(self, tenant: str, user: str, profile: Mapping[str, Any]) -> bool:
        """Create or replace what a user stated; return whether they are new."""
        row = {
            "tenant": tenant,
            "id": user,
            "profile": json.dumps(profile, ensure_ascii=False),
            "updated": self._clock(),
        }
        insert = self._insert(users)
        changed = {name: insert.excluded[name] for name in ("profile", "updated")}
        with self.write() as connection:
            there = sa.select(users.c.id).where(users.c.tenant == tenant, users.c.id == user)
            known = connection.execute(there).first() is not None
            connection.execute(insert.on_conflict_do_update(index_elements=["tenant", "id"], set_=changed), row)
        return not known

    def user(self, tenant: str, user: str) -> dict[str, Any] | None:
        """Return what a user stated; None if they stated nothing here."""
        query = sa.select(users.c.profile).where(users.c.tenant == tenant, users.c.id == user)
        with self.engine.connect() as connection:
            found = connection.execute(query).scalar()
        return None if found is None else json.loads(found)

    def profiles(self, tenant: str, among: Iterable[str] | None = None) -> dict[str, dict[str, Any]]:
        """Return what users stated, by user; of all, or of some."""
        query = sa.select(users.c.id, users.c.profile).where(users.c.tenant == tenant)
        asked = [query]
        if among is not None:
            asked = [query.where(users.c.id.in_(chunk)) for chunk in _chunks(sorted(set(among)))]
        with self.engine.connect() as connection:
            return {row.id: json.loads(row.profile) for one in asked for row in connection.execute(one)}

    def person(self, tenant: str, user: str, *, most: int) -> tuple[dict[str, Any] | None, list[Event]]:
        """Return what a user stated and the last things they did, oldest first, without impressions."""
        did = (
            sa.select(*_EVENT)
            .where(events.c.tenant == tenant, events.c.user == user, events.c.event_type != IMPRESSION)
            .order_by(events.c.number.desc())
            .limit(most)
        )
        stated = sa.select(users.c.profile).where(users.c.tenant == tenant, users.c.id == user)
        with self.engine.connect() as connection:
            profile = connection.execute(stated).scalar()
            found = [Event(*row) for row in connection.execute(did)]
        return None if profile is None else json.loads(profile), found[::-1]

    def erase_user(self, tenant: str, user: str) -> dict[str, int]:
        """Delete all rows about a user; return how many of each kind there were."""
        gone = {}
        with self.write() as connection:
            for name, table, column in (
                ("profiles", users, users.c.id),
                ("events", events, events.c.user),
                ("recommendations", recommendations, recommendations.c.user),
            ):
                done = connection.execute(sa.delete(table).where(table.c.tenant == tenant, column == user))
                gone[name] = done.rowcount
        return gone

    # Events -------------------------------------------------------------------------------------------------

    def add_events(self, tenant: str, given: Sequence[Event]) -> list[Event]:
        """Keep events in one transaction; return those that are new by their id, the first of each id."""
        now = self._clock()
        first: dict[str, Event] = {}
        for event in given:
            first.setdefault(event.event_id, event)
        rows = [
            {
                "tenant": tenant,
                "event_id": event.event_id,
                "user": event.user,
                "item": event.item,
                "event_type": event.event_type,
                "value": event.value,
                "timestamp": event.timestamp,
                "received": now,
                "recommendation": event.recommendation,
            }
            for event in first.values()
        ]
        if not rows:
            return []
        insert = self._insert(events).on_conflict_do_nothing().returning(events.c.event_id)
        with self.write() as connection:
            new = set(connection.execute(insert, rows).scalars())
        return [event for event in first.values() if event.event_id in new]

    def events(self, tenant: str) -> Iterator[Event]:
        """Return all events, in the order in which they came."""
        query = sa.select(*_EVENT).where(events.c.tenant == tenant)
        with self.engine.connect().execution_options(yield_per=10_000) as connection:
            for row in connection.execute(query.order_by(events.c.number)):
                yield Event(*row)

    def arrivals(self, tenant: str) -> dict[str, float]:
        """Return when items arrived, of those that came after the first event; the others were always there."""
        first = sa.select(sa.func.min(events.c.received)).where(events.c.tenant == tenant).scalar_subquery()
        query = sa.select(items.c.id, items.c.created).where(items.c.tenant == tenant, items.c.created > first)
        with self.engine.connect() as connection:
            return {row.id: row.created for row in connection.execute(query)}

    # Lists that were given ----------------------------------------------------------------------------------

    def add_recommendations(self, given: Sequence[tuple[str, Given]]) -> None:
        """Keep lists with their tenants."""
        rows = [
            {
                "tenant": tenant,
                "id": one.id,
                "user": one.user,
                "created": one.created,
                "shown": one.shown,
                "ranked": json.dumps(one.ranked, ensure_ascii=False, separators=(",", ":")),
                "about": json.dumps(one.about, ensure_ascii=False, separators=(",", ":")),
            }
            for tenant, one in given
        ]
        if rows:
            with self.write() as connection:
                connection.execute(self._insert(recommendations).on_conflict_do_nothing(), rows)

    def recommendation(self, tenant: str, id_: str) -> Given | None:
        """Return a list that was given; None if there is none of that id."""
        table = recommendations.c
        query = sa.select(table.id, table.user, table.created, table.shown, table.ranked, table.about)
        with self.engine.connect() as connection:
            row = connection.execute(query.where(table.tenant == tenant, table.id == id_)).first()
        return None if row is None else Given(*row[:4], json.loads(row[4]), json.loads(row[5]))

    def drop_recommendations(self, *, before: float) -> int:
        """Delete the lists of all tenants that were given before a time; return how many."""
        with self.write() as connection:
            return connection.execute(sa.delete(recommendations).where(recommendations.c.created < before)).rowcount


_EVENT = tuple(
    events.c[name] for name in ("event_id", "user", "item", "event_type", "value", "timestamp", "recommendation")
)


def _item(row: Sequence[Any]) -> Item:
    return Item(row[0], row[1], json.loads(row[2]))


def _present(connection: sa.Connection, tenant: str, ids: Sequence[str]) -> list[str]:
    found: list[str] = []
    for chunk in _chunks(list(dict.fromkeys(ids))):
        query = sa.select(items.c.id).where(items.c.tenant == tenant, items.c.id.in_(chunk))
        found.extend(connection.execute(query).scalars())
    return found


def _chunks(values: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(values), _CHUNK):
        yield values[start : start + _CHUNK]


def open_storage(url: str, *, clock: Callable[[], float] = time.time) -> Storage:
    """Open a database and bring its tables up to date.

    Raises:
        DatabaseError: It can't be reached, or its tables are of a newer version.
    """
    engine = database.connect(url)
    database.migrate(engine)
    return Storage(engine, clock=clock)
