"""The wall around the test session: nothing leaves this machine, and whoever tries is named."""

from __future__ import annotations

import ipaddress
import socket
import sys
from typing import Any

attempts: list[str] = []
"""Every refused address since the list was last emptied, so that a caught error still fails."""


class Outside(RuntimeError):
    """A test reached for an address that is not loopback. Not an OSError: nobody retries it."""


def wall() -> None:
    """Refuse every connection, datagram and look-up beyond loopback; holds until the process ends.

    An audit hook (PEP 578) sits below every library that uses Python's sockets.
    """
    sys.addaudithook(_hook)


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.sendto"):
        handle, address = args
        if handle.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(address[0]):
            _refuse(address[0])
    elif event in ("socket.getaddrinfo", "socket.gethostbyname") and not _is_loopback(args[0]):
        _refuse(args[0])


def _is_loopback(host: str | bytes | None) -> bool:
    if host is None:  # a listener's own address
        return True
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    try:
        return ipaddress.ip_address(name.partition("%")[0]).is_loopback
    except ValueError:
        return name in ("localhost", "")


def _refuse(host: str | bytes) -> None:
    attempts.append(str(host))
    raise Outside(f"a test reached for {host!r}; tests talk to loopback alone")
