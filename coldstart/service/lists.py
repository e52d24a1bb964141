"""Lists that were given, kept for paging and for the log, and lists that were refined for the next time."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable

from coldstart.entities import Recommendations
from coldstart.service.storage import Given, Storage

log = logging.getLogger("coldstart.service")

_ROOM = 10_000
_EVERY = 0.25
_DAY = 86_400.0


class GivenLists:
    """The log of lists. It is written a moment after the answer, by a thread of its own.

    A list can be paged through at once. A crash may lose the last quarter second of this log, and nothing else.

    Args:
        storage: Where they go.
        keep_days: After how many days they are deleted.
        lost: Called when there is no room for one.
    """

    def __init__(
        self, storage: Storage, *, keep_days: float, lost: Callable[[], None], clock: Callable[[], float] = time.time
    ) -> None:
        self._storage, self._keep, self._lost, self._clock = storage, keep_days * _DAY, lost, clock
        self._new: OrderedDict[tuple[str, str], Given] = OrderedDict()
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._stopping = threading.Event()
        self._swept = 0.0
        self._thread = threading.Thread(target=self._run, name="coldstart-lists", daemon=True)
        self._thread.start()

    def add(self, tenant: str, given: Given) -> None:
        """Keep a list."""
        with self._lock:
            if len(self._new) >= _ROOM:
                self._lost()
                return
            self._new[tenant, given.id] = given

    def get(self, tenant: str, id_: str) -> Given | None:
        """Return a list; None if there is none of that id, or no longer."""
        with self._lock:
            found = self._new.get((tenant, id_))
        return found or self._storage.recommendation(tenant, id_)

    def forget(self, tenant: str, user: str) -> None:
        """Drop what isn't written yet of a user's lists, and let what is being written be done."""
        with self._lock:
            for key in [key for key, one in self._new.items() if key[0] == tenant and one.user == user]:
                del self._new[key]
        with self._writing:
            pass

    def flush(self) -> None:
        """Write what there is."""
        with self._writing:
            with self._lock:
                written = [(tenant, given) for (tenant, _), given in self._new.items()]
            self._storage.add_recommendations(written)
            with self._lock:
                for tenant, given in written:
                    self._new.pop((tenant, given.id), None)

    def close(self) -> None:
        """Write what there is, and stop."""
        self._stopping.set()
        self._thread.join(timeout=10)
        self.flush()

    def _run(self) -> None:
        while not self._stopping.wait(_EVERY):
            try:
                self.flush()
                if self._clock() - self._swept > 3600:
                    self._swept = self._clock()
                    self._storage.drop_recommendations(before=self._swept - self._keep)
            except Exception:  # noqa: PERF203 - what fails once may work the next time
                log.exception("lists couldn't be kept; tried again in a second")
                self._stopping.wait(1.0)


class Refined:
    """Lists that the language model refined in the background, by request; the oldest go first."""

    def __init__(self, *, most: int = 1000) -> None:
        self._most = most
        self._lists: OrderedDict[Hashable, tuple[str, str | None, int, Recommendations | None]] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, request: Hashable, tenant: str, user: str | None, version: int) -> bool:
        """Return whether a list is to be made: nobody has begun to, for the items as they are."""
        with self._lock:
            known = self._lists.get(request)
            if known is not None and known[2] == version:
                return False
            self._lists[request] = tenant, user, version, None
            while len(self._lists) > self._most:
                self._lists.popitem(last=False)
            return True

    def put(self, request: Hashable, found: Recommendations | None, version: int) -> None:
        """Keep what became of it; None if nothing did."""
        with self._lock:
            known = self._lists.get(request)
            if known is None or known[2] != version:
                return
            if found is None:
                del self._lists[request]
            else:
                self._lists[request] = *known[:3], found

    def get(self, request: Hashable, version: int) -> Recommendations | None:
        """Return the list for a request, if it is there and of the items as they are."""
        with self._lock:
            known = self._lists.get(request)
            return None if known is None or known[2] != version else known[3]

    def forget(self, tenant: str, user: str) -> None:
        """Drop the lists of a user."""
        with self._lock:
            for request in [key for key, known in self._lists.items() if known[:2] == (tenant, user)]:
                del self._lists[request]
