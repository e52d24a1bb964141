"""API keys: shown once, kept as scrypt digests, bound to a tenant and to what they may do."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import sqlalchemy as sa

from coldstart.errors import ColdstartError
from coldstart.service.database import keys
from coldstart.service.storage import Storage

SCOPES = ("read", "write", "admin")
"""What a key may do: ask for lists; change items, users and events; manage adapters."""

_FORM = re.compile(r"cs_([0-9a-f]{12})_([0-9a-f]{64})", re.ASCII)
_COST = {"n": 2**14, "r": 8, "p": 1, "maxmem": 2**26}  # 16 MB and some 30 ms
_TRUSTED = 5.0  # seconds after which a key's row is read again
_KEPT = 10_000


class BadKey(ColdstartError):
    """A key that can't be made or isn't there."""


@dataclass(frozen=True, slots=True)
class Key:
    """What is known of a key; its secret isn't.

    Attributes:
        id: The part of the key that may be shown and logged.
        scopes: Some of :data:`SCOPES`.
        created: Seconds since 1970.
        revoked: Seconds since 1970; None while it is good.
    """

    id: str
    tenant: str
    name: str
    scopes: tuple[str, ...]
    created: float
    revoked: float | None


class Keys:
    """Makes and checks keys.

    What a check found is remembered for :data:`_TRUSTED` seconds under a digest keyed with a secret of this process,
    after which the row is read again: a revoked key is refused within that time, also if another process revoked it.
    """

    def __init__(self, storage: Storage, *, clock: Callable[[], float] = time.time) -> None:
        self._storage = storage
        self._clock = clock
        self._secret = secrets.token_bytes(32)
        self._seen: OrderedDict[bytes, tuple[Key | None, float]] = OrderedDict()
        self._lock = threading.Lock()
        self._deriving = threading.Lock()  # one scrypt at a time: wrong keys can't take the machine

    def create(self, tenant: str, *, name: str = "", scopes: Iterable[str] = ("read", "write")) -> tuple[Key, str]:
        """Make a key; return it and its text, which can't be had again.

        Raises:
            BadKey: A scope that isn't one of :data:`SCOPES`, or none.
            UnknownTenant: There is no such tenant.
        """
        wanted = [scope for scope in SCOPES if scope in set(scopes)]
        if unknown := sorted(set(scopes) - set(SCOPES)):
            raise BadKey(f"no scope is named {unknown[0]!r}: expected some of {', '.join(SCOPES)}")
        if not wanted:
            raise BadKey(f"a key without a scope can do nothing: give it some of {', '.join(SCOPES)}")
        self._storage.tenant(tenant)
        id_, secret, salt = secrets.token_hex(6), secrets.token_hex(32), secrets.token_bytes(16)
        key = Key(id_, tenant, name, tuple(wanted), self._clock(), None)
        row = {
            "id": id_,
            "tenant": tenant,
            "name": name,
            "salt": salt,
            "digest": _derive(secret, salt),
            "scopes": " ".join(wanted),
            "created": key.created,
        }
        with self._storage.write() as connection:
            connection.execute(sa.insert(keys).values(row))
        return key, f"cs_{id_}_{secret}"

    def all(self, tenant: str | None = None) -> list[Key]:
        """Return the keys of a tenant, or of all, oldest first."""
        query = sa.select(*_KEY).order_by(keys.c.created, keys.c.id)
        with self._storage.engine.connect() as connection:
            return [
                _key(row)
                for row in connection.execute(query if tenant is None else query.where(keys.c.tenant == tenant))
            ]

    def revoke(self, id_: str) -> Key:
        """Refuse a key from now on.

        Raises:
            BadKey: There is none of that id.
        """
        id_ = id_.removeprefix("cs_")[:12]
        with self._storage.write() as connection:
            row = connection.execute(sa.select(*_KEY).where(keys.c.id == id_)).first()
            if row is None:
                raise BadKey(f"no key has the id {id_!r}: see `coldstart keys list`")
            change = sa.update(keys).where(keys.c.id == id_, keys.c.revoked.is_(None)).values(revoked=self._clock())
            connection.execute(change)
        with self._lock:
            self._seen.clear()
        return _key(row)

    def remembered(self, text: str) -> tuple[bool, Key | None]:
        """Return whether a check of this text is still good, and what it found; never touches the database."""
        with self._lock:
            found = self._seen.get(self._mark(text))
        if found is None or self._clock() - found[1] > _TRUSTED:
            return False, None
        return True, found[0]

    def check(self, text: str) -> Key | None:
        """Return the key that a request's text is; None if it is no good. Reads the database, and may take 50 ms."""
        match = _FORM.fullmatch(text)
        if match is None:
            return None
        id_, secret = match.groups()
        with self._storage.engine.connect() as connection:
            row = connection.execute(sa.select(*_KEY, keys.c.salt, keys.c.digest).where(keys.c.id == id_)).first()
        mark = self._mark(text)
        with self._lock:
            before = self._seen.get(mark)
        if row is None or row.revoked is not None:
            return self._remember(mark, None)
        if before is not None and before[0] is not None:  # a key's digest never changes
            return self._remember(mark, _key(row[:6]))
        with self._deriving:
            good = hmac.compare_digest(_derive(secret, row.salt), row.digest)
        return self._remember(mark, _key(row[:6]) if good else None)

    def _mark(self, text: str) -> bytes:
        return hmac.digest(self._secret, text.encode("utf-8", "surrogatepass"), "sha256")

    def _remember(self, mark: bytes, key: Key | None) -> Key | None:
        with self._lock:
            self._seen[mark] = key, self._clock()
            self._seen.move_to_end(mark)
            while len(self._seen) > _KEPT:
                self._seen.popitem(last=False)
        return key


_KEY = (keys.c.id, keys.c.tenant, keys.c.name, keys.c.scopes, keys.c.created, keys.c.revoked)


def _key(row: sa.Row[tuple[str, str, str, str, float, float | None]] | tuple[object, ...]) -> Key:
    id_, tenant, name, scopes, created, revoked = row  # type: ignore[misc]
    return Key(id_, tenant, name, tuple(scopes.split()), created, revoked)  # type: ignore[union-attr, arg-type]


def _derive(secret: str, salt: bytes) -> bytes:
    return hashlib.scrypt(secret.encode("ascii"), salt=salt, dklen=32, **_COST)
