"""W3C Trace Context: in by `traceparent`, out the same way, and in every line of the log."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import orjson
import pytest

from broker.web.traces import joined
from tests.faces import Faces
from tests.hearing import heard

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GIVEN = f"00-{TRACE}-{PARENT}-01"


@pytest.fixture
def said() -> Iterator[io.StringIO]:
    """What this process logs, as it does in production."""
    with heard("info") as stream:
        yield stream


async def test_a_trace_goes_on_through_us(service: Faces, said: io.StringIO) -> None:
    """The trace stays, the span is ours, and differs each time; the access line names it."""
    headers = await service.key() | {"traceparent": GIVEN}
    spans = set()
    for _ in range(2):
        answer = await service.client.get("/v1/users", headers=headers)
        version, trace, span, flags = answer.headers["traceparent"].split("-")
        assert (version, trace, flags) == ("00", TRACE, "01")
        spans.add(span)
    assert len(spans) == 2
    assert PARENT not in spans
    for handler in logging.getLogger().handlers:
        handler.flush()
    lines = [orjson.loads(line) for line in said.getvalue().splitlines()]
    assert [line["trace_id"] for line in lines if line["event"] == "request"] == [TRACE] * 2


async def test_without_a_trace_there_is_none(service: Faces, said: io.StringIO) -> None:
    """Nobody asked: no header, no member; `X-Request-Id` is enough."""
    answer = await service.client.get("/v1/users", headers=await service.key())
    assert "traceparent" not in answer.headers
    for handler in logging.getLogger().handlers:
        handler.flush()
    assert "trace_id" not in said.getvalue()


async def test_two_are_none(service: Faces) -> None:
    """A second `traceparent` makes both worthless (§3.2: it is a single field)."""
    headers = [(b"traceparent", GIVEN.encode())] * 2
    answer = await service.client.get("/healthz", headers=headers)
    assert "traceparent" not in answer.headers


@pytest.mark.parametrize(
    ("given", "flags"),
    [
        (GIVEN, "01"),
        (f"00-{TRACE}-{PARENT}-00", "00"),
        (f"00-{TRACE}-{PARENT}-ff", "01"),  # flags we do not know are not passed on
        (f"01-{TRACE}-{PARENT}-01-what-comes-later", "01"),
        (f"cc-{TRACE}-{PARENT}-01", "01"),
    ],
)
def test_what_is_a_trace(given: str, flags: str) -> None:
    """Version 00, and whatever a later one keeps of it (§4.3)."""
    found = joined(given.encode())
    assert found is not None
    trace, answer = found
    assert trace == TRACE
    assert answer.decode().split("-")[::3] == ["00", flags]


@pytest.mark.parametrize(
    "given",
    [
        "",
        "00",
        GIVEN.upper(),
        f"{GIVEN}-more",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}-{PARENT}-01",
        f"01-{TRACE}-{PARENT}-01.what",
        f" {GIVEN}",
    ],
)
def test_what_is_none(given: str) -> None:
    """Anything else begins no trace and breaks nothing (§3.2.2.3)."""
    assert joined(given.encode()) is None
