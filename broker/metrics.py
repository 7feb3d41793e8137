"""Metrics: counted by route template and status class, on a port of their own (safety 39)."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """What is counted; every label comes from a closed set, never from a request."""

    def __init__(self) -> None:
        self._of = cache(self._labelled)  # looking labels up takes longer than counting
        self.registry = CollectorRegistry()
        self._seconds = Histogram(
            "broker_request_seconds",
            "Time to answer a request.",
            ("route", "method"),
            registry=self.registry,
            buckets=BUCKETS,
        )
        self._answers = Counter(
            "broker_requests",
            "Requests answered.",
            ("route", "method", "status"),
            registry=self.registry,
        )

    def seen(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one answer; `route` is a template and `status` becomes its class."""
        took, answered = self._of(route, method if method in METHODS else "other", status // 100)
        took.observe(seconds)
        answered.inc()

    def _labelled(self, route: str, method: str, hundreds: int) -> tuple[Histogram, Counter]:
        return (
            self._seconds.labels(route, method),
            self._answers.labels(route, method, f"{hundreds}xx"),
        )

    @contextmanager
    def serving(self, host: str, port: int) -> Iterator[int]:
        """Answer /metrics in a thread of its own while the block runs; the port it has."""
        server, thread = start_http_server(port, host, self.registry)
        try:
            yield server.server_port
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
