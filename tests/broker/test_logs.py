"""Logs: JSON lines without a secret, whoever writes them and however loud (promise 17)."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from tests.hearing import heard


@pytest.fixture
def said() -> Iterator[io.StringIO]:
    """The log of this process at debug level; put back as it was afterwards."""
    with heard("debug") as stream:
        yield stream


def lines(said: io.StringIO) -> list[dict[str, Any]]:
    """What was written, line by line."""
    return [json.loads(line) for line in said.getvalue().splitlines()]


def test_a_line_is_json(said: io.StringIO) -> None:
    """One object an event: what, when, how serious, and the fields."""
    structlog.get_logger("broker.test").info("ready", count=3)
    (line,) = lines(said)
    assert (line["event"], line["level"], line["count"]) == ("ready", "info", 3)
    assert line["timestamp"].endswith("Z")


def test_libraries_write_the_same_lines(said: io.StringIO) -> None:
    """What a library says through the standard library is a line like ours."""
    logging.getLogger("some.library").warning("slow: %s ms", 12)
    assert lines(said)[0]["event"] == "slow: 12 ms"


@pytest.mark.parametrize("name", ["aiosqlite", "httpx", "httpcore.http11", "psycopg", "asyncio"])
def test_drivers_are_quiet_at_any_level(said: io.StringIO, name: str) -> None:
    """They log arguments and addresses below WARNING, so that is never let through."""
    logging.getLogger(name).debug("executing %r", "canary")
    logging.getLogger(name).info("GET https://x/?code=canary")
    assert said.getvalue() == ""


@pytest.mark.parametrize(
    "fields",
    [
        {"access_token": "canary"},
        {"client_secret": "canary"},
        {"Authorization": "canary"},
        {"code": "canary"},
        {"verifier": "canary"},
        {"cookie": "canary"},
        {"key": "canary"},
        {"why": "sent Bearer canary-canary-1"},
        {"why": "brk_01M7ZX13BDZ1MGZP22RW460Z5Y_canary"},
        {"why": "eyJhbGciOiJSUzI1NiJ9.eyJjYW5hcnkifQ.canary"},
        {"why": "postgresql://broker:canary@db/broker"},
    ],
)
def test_a_secret_is_struck_out(said: io.StringIO, fields: dict[str, str]) -> None:
    """By its name or by its looks, last before the line is written."""
    structlog.get_logger("broker.test").info("event", **fields)
    assert "canary" not in said.getvalue()
    assert "***" in said.getvalue()


def test_an_exception_says_where_and_not_what(said: io.StringIO) -> None:
    """Type and places; words and local variables may hold anything."""
    secret = "canary"
    try:
        raise ValueError(f"cannot read {secret}")
    except ValueError as error:
        structlog.get_logger("broker.test").error("broken", exc_info=error)
        logging.getLogger("library").exception("broken")
    for line in lines(said):
        assert line["error"] == "ValueError"
        assert "test_logs.py" in line["at"][-1]
    assert "canary" not in said.getvalue()


def test_an_error_of_the_system_says_why(said: io.StringIO) -> None:
    """Whoever operates has to know that the disk is full."""
    structlog.get_logger("broker.test").error("broken", exc_info=OSError(28, "No space left"))
    assert "No space left" in lines(said)[0]["why"]
