"""Webhooks of the broker, checked as Standard Webhooks says."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Iterable, Mapping
from hashlib import sha256

from broker.client.happenings import Event
from broker.client.problems import BrokerError

PREFIX = "whsec_"
SHORTEST = 24
"""Bytes of a secret (Standard Webhooks 1.0)."""
TOLERANCE_S = 5 * 60


class Forged(BrokerError):
    """A request to a webhook is not the broker's, or is too old; answer it with 401."""


def verify_webhook(
    headers: Mapping[str, str],
    body: bytes,
    secrets: Iterable[str],
    *,
    now: float | None = None,
) -> Event:
    """The event in a webhook's request; Forged where no secret signed these very bytes, ValueError
    for a secret that is none: base64 of 24 bytes or more.

    `secrets` are the ones alive, two during a rotation. A request is good for five minutes on
    either side of `now` (seconds since 1970); keep the event's id to know a repetition.
    """
    said = {name.lower(): value for name, value in headers.items()}
    id, stamp = said.get("webhook-id", ""), said.get("webhook-timestamp", "")
    if not (stamp.isascii() and stamp.isdigit()):
        raise Forged("There is no time in it.")
    if abs((time.time() if now is None else now) - int(stamp[:15])) > TOLERANCE_S:
        raise Forged("It is too old, or a clock is off.")
    given = [one[3:] for one in said.get("webhook-signature", "").split() if one.startswith("v1,")]
    signed = b"%s.%s.%s" % (id.encode(), stamp.encode(), body)
    wanted = [_signature(secret, signed) for secret in secrets]
    # Every pair is compared, so that the time says nothing about which one fits.
    if not sum(hmac.compare_digest(one.encode(), each) for one in given for each in wanted):
        raise Forged("No secret of this webhook signed it.")
    return Event.read(json.loads(body))


def _signature(secret: str, signed: bytes) -> bytes:
    key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    if len(key) < SHORTEST:  # anybody can sign with the key of an empty setting
        raise ValueError("This is not the secret of a webhook.")
    return base64.b64encode(hmac.digest(key, signed, sha256))
