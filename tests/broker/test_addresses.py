"""Addresses as an operator writes them into settings."""

from __future__ import annotations

import pytest

from broker import addresses


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("localhost.example.com", False),
    ],
)
def test_loopback_is_this_machine(host: str, is_ours: bool) -> None:
    """What counts as loopback, for the demo and for plain http."""
    assert addresses.is_loopback(host) is is_ours


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("http://10.1.0.9:3128", "name=http"),
        ("Site=http://10.1.0.9:3128", "name=http"),
        ("a=http://10.1.0.9:3128,a=http://10.1.0.8:3128", "a name of its own"),
        ("a=socks5://10.1.0.9", "an origin is needed"),
        ("a=http://user:pw@10.1.0.9:3128", "no user"),
        ("a=http://10.1.0.9:3128/path", "no path"),
        ("a=http://x:99999", "an origin is needed"),
        ("a=http://[x]:1", "an origin is needed"),
    ],
)
def test_a_relay_has_a_name_and_an_origin(text: str, why: str) -> None:
    """safety 20: the operator's list of relays is unambiguous, or refused."""
    with pytest.raises(ValueError, match=why):
        addresses.relays(text)
