"""Webhooks are verified as Standard Webhooks says; the standard's own package signs here."""

from __future__ import annotations

import base64
import hmac
from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from broker.client import Event, Forged, verify_webhook
from tests.canaries import planted

NOW = 1_800_000_000
OLD = "whsec_" + base64.b64encode(planted("webhook-old").encode()).decode()
NEW = "whsec_" + base64.b64encode(planted("webhook-new").encode()).decode()
SHORT = "whsec_" + base64.b64encode(b"s" * 23).decode()
EVENT = {
    "id": "evt_1",
    "sequence": 7,
    "type": "pause.ready",
    "timestamp": "2026-11-21T20:46:16.000000Z",
    "project": "prj_1",
    "data": {"pause": "pse_1"},
    "since_2031": True,
}
BODY = orjson.dumps(EVENT)


def signed(*secrets: str, body: bytes = BODY, at: int = NOW) -> dict[str, str]:
    """The headers of a webhook's request, signed with each of these."""
    when = datetime.fromtimestamp(at, UTC)
    signatures = [Webhook(secret).sign("evt_1", when, body.decode()) for secret in secrets]
    return {
        "Webhook-Id": "evt_1",
        "Webhook-Timestamp": str(at),
        "Webhook-Signature": " ".join(signatures),
    }


@pytest.mark.parametrize("secrets", [[OLD], [OLD, NEW], [NEW, OLD]])
def test_any_living_secret_is_good(secrets: list[str]) -> None:
    """During a rotation both secrets sign, and either is enough; header names have any case."""
    event = verify_webhook(signed(OLD), BODY, secrets, now=NOW)
    assert (event.id, event.sequence, event.type) == ("evt_1", 7, "pause.ready")
    assert event.data == {"pause": "pse_1"}
    both = signed(NEW, OLD)
    lower = {name.lower(): value for name, value in both.items()}
    assert verify_webhook(lower, BODY, [OLD], now=NOW) == event


@pytest.mark.parametrize("off_s", [-300, 300])
def test_five_minutes_on_either_side(off_s: int) -> None:
    """A request is good for five minutes, before and after, and not a second longer."""
    headers = signed(OLD, at=NOW + off_s)
    assert isinstance(verify_webhook(headers, BODY, [OLD], now=NOW), Event)
    with pytest.raises(Forged):
        verify_webhook(headers, BODY, [OLD], now=NOW - (1 if off_s > 0 else -1))


@pytest.mark.parametrize(
    "change",
    [
        {"Webhook-Signature": ""},
        {"Webhook-Signature": "v1,"},
        {"Webhook-Signature": "v1a,ee v2,ee é"},
        {"Webhook-Signature": signed(NEW)["Webhook-Signature"]},
        {"Webhook-Signature": signed(OLD)["Webhook-Signature"].replace("v1,", "v2,")},
        {"Webhook-Id": "evt_2"},
        {"Webhook-Id": ""},
        {"Webhook-Timestamp": str(NOW + 1)},
        {"Webhook-Timestamp": ""},
        {"Webhook-Timestamp": "now"},
        {"Webhook-Timestamp": "9" * 5000},
    ],
)
def test_a_forged_request_is_refused(change: dict[str, str]) -> None:
    """Another signature, version, id or time, or none of them, is nobody's webhook."""
    with pytest.raises(Forged):
        verify_webhook(signed(OLD) | change, BODY, [OLD], now=NOW)


@given(st.integers(0, len(BODY) - 1), st.integers(1, 255))
def test_no_byte_of_the_body_may_change(place: int, by: int) -> None:
    """The signature is over the very bytes."""
    body = bytearray(BODY)
    body[place] ^= by
    with pytest.raises(Forged):
        verify_webhook(signed(OLD), bytes(body), [OLD], now=NOW)


def test_without_a_secret_nothing_is_good() -> None:
    """A receiver that has no secret takes nothing for the broker's."""
    with pytest.raises(Forged):
        verify_webhook(signed(OLD), BODY, [], now=NOW)


@pytest.mark.parametrize("secret", ["", "whsec_", "????", "whsec_YWJj", "whsec_é", SHORT])
def test_what_is_no_secret_checks_nothing(secret: str) -> None:
    """Standard Webhooks 1.0: less than 24 bytes of base64, such as an empty setting, is no secret:
    anybody could sign with it. It is refused, also beside one that is good.
    """
    by_nobody = base64.b64encode(hmac.digest(b"", b"evt_1.%d.%s" % (NOW, BODY), "sha256")).decode()
    for secrets, said in (([secret], f"v1,{by_nobody}"), ([OLD, secret], None)):
        headers = signed(OLD) | ({"Webhook-Signature": said} if said else {})
        with pytest.raises(ValueError, match=r"secret|base64|ASCII|padding"):
            verify_webhook(headers, BODY, secrets, now=NOW)
