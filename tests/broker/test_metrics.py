"""Metrics: on their own port, labels from closed sets (safety 39)."""

from __future__ import annotations

import urllib.request

from broker.metrics import Metrics


def read(port: int) -> str:
    """What /metrics says."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        return str(answer.read().decode())


def test_answers_are_counted_by_template_and_class() -> None:
    """Route template, method and status class; a method nobody knows is `other`."""
    metrics = Metrics()
    metrics.seen("/v1/users/{id}", "GET", 200, 0.01)
    metrics.seen("/v1/users/{id}", "GET", 404, 0.01)
    metrics.seen("-", "CANARY", 405, 0.01)
    with metrics.serving("127.0.0.1", 0) as port:
        said = read(port)
    assert 'broker_requests_total{method="GET",route="/v1/users/{id}",status="2xx"} 1.0' in said
    assert 'broker_requests_total{method="GET",route="/v1/users/{id}",status="4xx"} 1.0' in said
    assert 'broker_request_seconds_count{method="GET",route="/v1/users/{id}"} 2.0' in said
    assert 'method="other"' in said
    assert "CANARY" not in said


def test_each_process_counts_for_itself() -> None:
    """Two services in one process share no number."""
    one, other = Metrics(), Metrics()
    one.seen("/healthz", "GET", 200, 0.01)
    with other.serving("127.0.0.1", 0) as port:
        assert "/healthz" not in read(port)
