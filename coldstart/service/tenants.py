"""All tenants, and the threads that learn and read for them behind the requests."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from coldstart.service.storage import Storage
from coldstart.service.tenant import Engine, Tenant

log = logging.getLogger("coldstart.service")

QUIET = 2.0
"""Seconds without a change of the items after which the language model reads the new ones."""

_LOOK = 5.0
"""Seconds after which it is looked whether there is enough new data to choose weights by."""

_RETRY = 30.0


class Tenants:
    """All tenants, and the threads that learn and read for them behind the requests.

    Args:
        engine: The models.
        storage: The rows.
        folder: Where their indexes are.
    """

    def __init__(self, engine: Engine, storage: Storage, folder: Path) -> None:
        self.engine = engine
        self._storage, self._folder = storage, folder
        self._all: dict[str, Tenant] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._news = threading.Event()
        self._threads: list[threading.Thread] = []

    def __iter__(self) -> Iterator[Tenant]:
        return iter(list(self._all.values()))

    def opened(self, id_: str) -> Tenant | None:
        """Return a tenant if it is open."""
        return self._all.get(id_)

    def get(self, id_: str) -> Tenant:
        """Return a tenant, opened if it is new.

        Raises:
            UnknownTenant: There is none of that name.
        """
        if id_ in self._all:
            return self._all[id_]
        with self._lock:
            if id_ not in self._all:
                row = self._storage.tenant(id_)
                made = Tenant(
                    id_, row["kind"], engine=self.engine, storage=self._storage, folder=self._folder / _safe(id_)
                )
                made.open()
                self._all[id_] = made
            return self._all[id_]

    def open(self) -> None:
        """Open all tenants, and begin to work behind the requests."""
        for row in self._storage.tenants():
            self.get(row["id"])
        for name, run in (("learning", self._learning), ("weighing", self._weighing), ("reading", self._reading)):
            thread = threading.Thread(target=self._guarded, args=(run,), name=f"coldstart-{name}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def news(self) -> None:
        """Wake the thread that learns."""
        self._news.set()

    def close(self) -> None:
        """Stop working behind the requests, and keep the indexes that changed."""
        self._stopping.set()
        self._news.set()
        for thread in self._threads:
            thread.join(timeout=10)
        for tenant in self:
            tenant.keep()

    def _guarded(self, run: Callable[[], None]) -> None:
        try:
            run()
        except BaseException:
            if not self._stopping.is_set():
                log.exception("work behind the requests has stopped; restart the service")

    def _learning(self) -> None:
        while not self._stopping.is_set():
            self._news.wait()
            self._news.clear()
            start = time.monotonic()
            for tenant in self:
                tenant.learn()
            self._stopping.wait(max(0.05, 4 * (time.monotonic() - start)))  # a fifth of one core at most

    def _weighing(self) -> None:
        pause = _LOOK
        while not self._stopping.wait(pause):
            start = time.monotonic()
            for tenant in self:
                self._weigh(tenant)
            pause = max(_LOOK, 20 * (time.monotonic() - start))  # a twentieth of one core at most

    def _weigh(self, tenant: Tenant) -> None:
        try:
            tenant.weigh()
        except Exception:
            if not self._stopping.is_set():
                log.exception("tenant %s: no weights could be chosen; tried again later", tenant.id)

    def _ahead(self, tenant: Tenant) -> bool:
        try:
            return tenant.read_ahead()
        except Exception:
            if not self._stopping.is_set():
                log.exception("tenant %s: its titles couldn't be read ahead", tenant.id)
            return False

    def _reading(self) -> None:
        ahead = False
        while not self._stopping.wait(0.0 if ahead else 0.5):
            ahead = False
            for tenant in self:
                if self.engine.executor.quiet > QUIET:  # nobody asks: time for what somebody may ask
                    ahead |= self._ahead(tenant)
                quiet = time.time() - tenant.changed > QUIET
                if not (tenant.stale or tenant.saved != tenant.version) or not (quiet or tenant.overdue):
                    continue
                try:
                    tenant.complete()
                except Exception:
                    if self._stopping.is_set():
                        return
                    log.exception("tenant %s: its items couldn't be read; tried again later", tenant.id)
                    tenant.changed = time.time() + _RETRY


def _safe(id_: str) -> str:
    """Return a folder's name for a tenant: names differ where ids do, also where case doesn't count."""
    return id_.encode("utf-8").hex() if not id_.isalnum() or id_ != id_.lower() or not id_.isascii() else f"t-{id_}"
