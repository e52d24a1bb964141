"""Killing a service under load, again and again, and asking afterwards what became of what it had acknowledged."""

from __future__ import annotations

import random
import threading
import time

import sqlalchemy as sa

from coldstart.client import ServiceError
from coldstart.entities import Interaction, Item
from coldstart.service import database
from processes import Running

WRITERS = 3
MOST_SECONDS = 0.8
"""From the first acknowledgement to the kill, at most."""

_ITEMS = 6
_PATIENCE = 20.0


class Killed:
    """Rounds of start, load and kill on one service.

    Attributes:
        acknowledged: How many events were.
        starts: How many seconds each start took.
    """

    def __init__(self, running: Running, *, seed: int) -> None:
        self._running, self._rng = running, random.Random(seed)  # noqa: S311 - no secrets
        self._events: set[str] = set()
        self._items: dict[str, str] = {}  # what was acknowledged last
        self._tried: dict[str, set[str]] = {}  # what was sent since, and may be there
        self._lock = threading.Lock()
        self._round = 0
        self.starts: list[float] = []

    @property
    def acknowledged(self) -> int:
        """How many events were acknowledged."""
        return len(self._events)

    def once(self) -> None:
        """Start it, load it, and kill it at a random moment."""
        self.starts.append(self._running.start())
        self._round += 1
        stop = threading.Event()
        threads = [threading.Thread(target=self._write, args=(n, stop)) for n in range(WRITERS)]
        for thread in threads:
            thread.start()
        before, end = self.acknowledged, time.monotonic() + _PATIENCE
        while self.acknowledged == before and time.monotonic() < end:
            time.sleep(0.005)
        time.sleep(self._rng.uniform(0.0, MOST_SECONDS))
        self._running.kill()
        stop.set()
        for thread in threads:
            thread.join()

    def _write(self, writer: int, stop: threading.Event) -> None:
        n = 0
        with self._running.client(retries=0, timeout=10) as client:
            while not stop.is_set():
                n += 1
                mark = f"{self._round}-{writer}-{n}"
                ids = [f"{mark}-{place}" for place in range(20)]
                events = [Interaction(f"u{place % 7}", f"item-{place % _ITEMS}", "like") for place in range(20)]
                item = f"item-{writer}-{n % _ITEMS}"
                try:
                    client.tell(events, ids=ids)
                    with self._lock:
                        self._events.update(ids)
                        self._tried.setdefault(item, set()).add(mark)
                    client.put_items([Item(item, f"Item {mark}", {"mark": mark})])
                    with self._lock:
                        self._items[item], self._tried[item] = mark, set()
                except ServiceError:
                    return

    def problems(self) -> list[str]:
        """Start it once more and return what was lost, doubled or left behind, in words."""
        self.starts.append(self._running.start())
        storage = self._running.storage()
        with storage.engine.connect() as connection:
            kept = list(connection.execute(sa.select(database.events.c.event_id)).scalars())
        found = []
        if lost := self._events - set(kept):
            found.append(f"{len(lost)} acknowledged events were lost, such as {min(lost)}")
        if len(kept) != len(set(kept)):
            found.append(f"{len(kept) - len(set(kept))} events are there twice")
        every = {item.id: item for item in storage.items("default")}
        items = {id_: str(item.attributes["mark"]) for id_, item in every.items() if "mark" in item.attributes}
        for id_, mark in self._items.items():
            if items.get(id_) not in {mark, *self._tried[id_]}:
                found.append(f"{id_} is {items.get(id_)}, but {mark} was acknowledged")
        storage.engine.dispose()
        with self._running.client() as client:
            again = sorted(self._events)[:5000]
            new, _ = client.tell([Interaction("u", "i", "like")] * len(again), ids=again)
            if new:
                found.append(f"{new} acknowledged events were taken as new when told again")
            listed = {one.id for one in client.recommend(k=1000)}
            if every and listed != every.keys():
                found.append(f"{len(listed ^ every.keys())} items are in the rows or in lists, but not in both")
        self._running.kill()
        return found
