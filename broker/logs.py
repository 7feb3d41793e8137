"""Logs: one JSON line an event, pretty on a terminal; ids, codes and counts, never values."""

import asyncio
import logging
import re
import sqlite3
import sys
import traceback
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, TextIO

import orjson
import structlog

# Libraries that log what they are handed (SQL parameters, URLs) below WARNING, whatever we ask for.
QUIET = (
    "aiosqlite",
    "httpx",
    "httpcore",
    "asyncio",
    "psycopg",
    "psycopg.pool",
    "alembic",
    "uvicorn",
)
LONGEST_TRACE = 30
GATHERED_S = 0.05
request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Whose request it is that something is said about."""
trace_id: ContextVar[str | None] = ContextVar("trace_id", default=None)
"""The trace that request is part of, where its caller said so (W3C Trace Context)."""

_SECRET_NAME = re.compile(
    r"secret|password|passwd|authorization|cookie|verifier|(^|_)(token|key|code)$", re.IGNORECASE
)
_SECRET_TEXT = re.compile(
    r"br[ks]_[0-9A-Za-z]+_[\w-]+"  # our API keys and SCIM tokens
    r"|(?i:bearer|basic)\s+[\w.~+/=-]{8,}"
    r"|eyJ[\w-]{8,}\.[\w.-]+"  # JWTs
    r"|(?<=//)[^/@\s]+:[^/@\s]+(?=@)"  # a password inside a URL
)
_TELLING = (OSError, sqlite3.Error)  # their messages name files and conditions, never values

Event = MutableMapping[str, Any]


def set_up(level: str, stream: TextIO | None = None) -> None:
    """Send the logs of this process, ours and the libraries', to `stream` (standard error)."""
    stream = stream or sys.stderr
    pretty = stream.isatty()
    shared: list[structlog.typing.Processor] = [
        _named,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        trace,
        redact,
    ]
    least = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = Lines(stream, plain=not pretty and least <= logging.INFO)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.dev.ConsoleRenderer() if pretty else _json,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(least)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


class Lines(logging.StreamHandler[TextIO]):
    """Writes each line as it is said, but access lines gathered: one write for up to 50 ms of
    them, and before any other line, so that the order holds.

    A line a request through structlog and logging costs as much as the request (65 of 230 us).
    """

    def __init__(self, stream: TextIO, *, plain: bool) -> None:
        super().__init__(stream)
        self.plain = plain
        self._waiting: list[bytes] = []

    def access(self, event: Event) -> None:
        """An access line, whose fields are known to be harmless: a template, codes, counts."""
        if not self._waiting:
            asyncio.get_running_loop().call_later(GATHERED_S, self.flush)
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        self._waiting.append(orjson.dumps({**event, "level": "info", "timestamp": now}))

    def emit(self, record: logging.LogRecord) -> None:
        """Another line: those that wait go first."""
        self.flush()
        super().emit(record)

    def flush(self) -> None:
        """Write what waits."""
        with self.lock or nullcontext():
            lines, self._waiting = self._waiting, []
            if lines:
                self.stream.write(b"\n".join([*lines, b""]).decode())
            super().flush()


def access(**fields: Any) -> None:
    """Say that a request was answered: its route's template, never what it named (safety 32)."""
    event = {"event": "request", "request_id": request_id.get(), **fields}
    if (trace := trace_id.get()) is not None:
        event["trace_id"] = trace
    for handler in logging.getLogger().handlers:
        if isinstance(handler, Lines) and handler.plain:
            handler.access(event)
            return
    _access.info(**event)


@contextmanager
def quietly(level: str) -> Iterator[None]:
    """While the block runs only what is wrong is said; afterwards `level` again."""
    set_up("warning")
    try:
        yield
    finally:
        set_up(level)


def trace(_logger: Any, _method: str, event: Event) -> Event:
    """An exception as its type and where it happened; its words only where they cannot be data."""
    given = event.pop("exc_info", None)
    error = given[1] if isinstance(given, tuple) else sys.exc_info()[1] if given is True else given
    if isinstance(error, BaseException):
        event["error"] = type(error).__name__
        if isinstance(error, _TELLING):
            event["why"] = str(error)
        if error.__cause__ is not None:
            event["cause"] = type(error.__cause__).__name__
        frames = traceback.extract_tb(error.__traceback__)[-LONGEST_TRACE:]
        event["at"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    return event


def redact(_logger: Any, _method: str, event: Event) -> Event:
    """The last word before the line is written: nothing that is, or looks like, a secret."""
    for name, value in event.items():
        if _SECRET_NAME.search(name) and value not in (None, ""):
            event[name] = "***"
        elif isinstance(value, str):
            event[name] = _SECRET_TEXT.sub("***", value)
    return event


def _named(_logger: Any, _method: str, event: Event) -> Event:
    if (id := request_id.get()) is not None:
        event["request_id"] = id
    if (trace := trace_id.get()) is not None:
        event["trace_id"] = trace
    return event


_access = structlog.get_logger("broker.access")


def _json(_logger: Any, _method: str, event: Event) -> str:
    return orjson.dumps(event, default=str).decode()
