"""What the service counts, for Prometheus; nothing in it names a tenant, a key or a user."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_BUCKETS = (0.005, 0.01, 0.02, 0.04, 0.06, 0.1, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """Counters of one service."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        options = {"registry": self._registry, "namespace": "coldstart"}
        self._requests = Counter("requests", "Requests answered", ["route", "method", "status"], **options)  # type: ignore[arg-type]
        self._seconds = Histogram("request_seconds", "Time to answer", ["route"], buckets=_BUCKETS, **options)  # type: ignore[arg-type]
        self.events = Counter("events", "New events committed", **options)  # type: ignore[arg-type]
        self.degraded = Counter("degraded", "Lists that were degraded by a deadline", **options)  # type: ignore[arg-type]
        self.lost = Counter("unlogged_lists", "Lists that the log of lists had no room for", **options)  # type: ignore[arg-type]
        self.waiting = Gauge("waiting_requests", "Requests that wait for the models", **options)  # type: ignore[arg-type]
        self.items = Gauge("items", "Items of all tenants", **options)  # type: ignore[arg-type]
        self.pending = Gauge("pending_items", "Items that the language model hasn't read yet", **options)  # type: ignore[arg-type]

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request."""
        method = method if method in {"GET", "POST", "PUT", "DELETE"} else "other"
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """Return all in Prometheus's text format."""
        return generate_latest(self._registry)
