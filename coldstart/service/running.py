"""The service as it runs: its parts, started and stopped together."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from coldstart.executor import Busy, Closed, Executor
from coldstart.service.keys import Keys
from coldstart.service.lists import GivenLists, Refined
from coldstart.service.metrics import Metrics
from coldstart.service.ranking import Pace
from coldstart.service.sessions import Sessions
from coldstart.service.settings import Settings
from coldstart.service.storage import Storage
from coldstart.service.tenant import Engine, Tenant
from coldstart.service.tenants import Tenants

log = logging.getLogger("coldstart.service")

T = TypeVar("T")

_CHANGES = 4  # tenants whose items change at the same time
_QUEUED = 32  # changes of one tenant that may wait


class Service:
    """All parts of one running service.

    Args:
        settings: What it was told.
        storage: The rows, up to date.
        engine: The models and their executor.

    Attributes:
        ready: Whether all tenants are open.
    """

    def __init__(self, settings: Settings, storage: Storage, engine: Engine) -> None:
        self.settings, self.storage, self.engine = settings, storage, engine
        self.executor: Executor = engine.executor
        self.metrics, self.keys, self.pace, self.refined = Metrics(), Keys(storage), Pace(), Refined()
        self.sessions = Sessions(storage)
        self.lists = GivenLists(storage, keep_days=settings.keep_days, lost=self.metrics.lost.inc)
        self.tenants = Tenants(engine, storage, settings.data / "indexes")
        self.ready, self.trouble = False, ""
        self._changes = ThreadPoolExecutor(_CHANGES, thread_name_prefix="coldstart-change")

    async def start(self) -> None:
        """Open all tenants; requests are told to come back meanwhile."""
        try:
            await asyncio.to_thread(self.tenants.open)
            gc.collect()
            gc.freeze()  # what is there stays: looking through all of it again stops every thread for half a second
            self.ready = True
        except Closed:
            self.trouble = "it was stopped before all tenants were open"
            log.info(self.trouble)
        except Exception as problem:
            self.trouble = str(problem)
            log.exception("the tenants couldn't be opened")

    async def tenant(self, id_: str) -> Tenant:
        """Return a tenant, opened if it is new."""
        found = self.tenants.opened(id_)
        return await asyncio.to_thread(self.tenants.get, id_) if found is None else found

    async def changed(self, tenant: Tenant, change: Callable[..., T], *given: Any) -> T:
        """Run a change of a tenant on a thread of its own; it is done even if the client goes away.

        Raises:
            Busy: Too many of its changes wait already.
        """
        if tenant.waiting >= _QUEUED:
            raise Busy(f"{tenant.waiting} changes of the items wait already: try again in a second", 1.0)
        tenant.waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._changes, change, *given)
        finally:
            tenant.waiting -= 1

    def gauges(self) -> None:
        """Bring what is measured, not counted, up to date."""
        self.metrics.waiting.set(self.executor.waiting)
        tenants = list(self.tenants)
        self.metrics.items.set(sum(len(t.recommender.catalogue) for t in tenants if t.recommender is not None))
        self.metrics.pending.set(sum(tenant.pending for tenant in tenants))

    def close(self) -> None:
        """Finish what was promised and stop."""
        self._changes.shutdown(wait=True)
        self.executor.close()
        self.tenants.close()
        self.lists.close()
        self.storage.engine.dispose()
