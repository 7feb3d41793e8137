"""Addresses as an operator writes them into settings."""

import re
from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

EXAMPLES = {
    "public_url": "https://broker.example.com",
    "simulator_url": "http://localhost:9300",
    "relays": "site=http://10.1.0.9:3128",
}
_RELAY = re.compile("[a-z0-9-]{1,40}")


def is_loopback(host: str) -> bool:
    """Whether an address or name is this machine's own."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def origin(text: str, *, example: str) -> str:
    """An http or https origin; ValueError with the `example` of that setting."""
    try:
        parts = urlsplit(text)
        known = parts.scheme in ("http", "https") and parts.hostname and parts.username is None
        known = known and parts.port != 0
    except ValueError:  # a port beyond 65535, or brackets around what is no address
        known = False
    if not known or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError(f"an origin is needed, such as {EXAMPLES[example]}: no path, no user")
    return f"{parts.scheme}://{parts.netloc.lower()}"


def relays(text: str) -> Mapping[str, str]:
    """`name=http://host:port`, with commas between: each name's HTTP proxy; ValueError."""
    pairs = [part.strip().partition("=")[::2] for part in text.split(",") if part.strip()]
    if any(not _RELAY.fullmatch(name) for name, _ in pairs) or len(dict(pairs)) < len(pairs):
        raise ValueError("each relay is name=http://host:port, under a name of its own")
    return {name: origin(url, example="relays") for name, url in pairs}
