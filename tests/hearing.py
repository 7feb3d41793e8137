"""What this process logs, heard for a while, and everything put back as it was."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from broker import logs


@contextmanager
def heard(level: str) -> Iterator[io.StringIO]:
    """The log from that level on, as a service that runs writes it."""
    root, stream = logging.getLogger(), io.StringIO()
    handlers, before = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in logs.QUIET}
    logs.set_up(level, stream)
    try:
        yield stream
    finally:
        structlog.reset_defaults()
        root.handlers[:], root.level = handlers, before
        for name, each in levels.items():
            logging.getLogger(name).setLevel(each)
