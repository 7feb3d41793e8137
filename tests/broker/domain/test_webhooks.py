"""How messages to webhooks are signed, when they are tried again, and who is told of what."""

from __future__ import annotations

import base64

import pytest
import standardwebhooks
from hypothesis import given
from hypothesis import strategies as st

from broker.db.database import system_clock
from broker.domain.clock import DAY, HOUR, MINUTE, SECOND
from broker.domain.webhooks import (
    FAILURES,
    LADDER,
    State,
    Webhook,
    new_secret,
    next_try,
    signed,
)

NOW = 1_700_000_000 * SECOND


def webhook(*types: str) -> Webhook:
    """One that is sent to."""
    return Webhook(
        id="whk_1",
        project="prj_1",
        url="https://flows.acme.example",
        types=types,
        secret=b"",
        created_by="admin:adm_1",
        created_at=NOW,
        changed_at=NOW,
    )


@given(body=st.text().map(str.encode), id=st.from_regex(r"evt_[0-9A-Z]{26}", fullmatch=True))
def test_the_outside_library_finds_each_signature_good(body: bytes, id: str) -> None:
    """Standard Webhooks 1.0: whatever is sent, `standardwebhooks` makes the same signature, from
    either secret; one changed byte of body, id or time is another message.
    """
    old, new = new_secret(), new_secret()
    now = system_clock()
    headers = signed([new, old], id, now, body)
    for secret in (old, new):
        standardwebhooks.Webhook(secret).verify(body, headers, json_parse=False)
    at = headers["webhook-timestamp"]
    others = ({"webhook-id": id + "x"}, {"webhook-timestamp": str(int(at) - 1)})
    for changed, sent in (*((other, body) for other in others), ({}, body + b"x")):
        with pytest.raises(standardwebhooks.WebhookVerificationError):
            standardwebhooks.Webhook(new).verify(sent, headers | changed, json_parse=False)


def test_a_secret_has_256_bits() -> None:
    """`whsec_` and the base64 of 32 bytes, another each time."""
    made = {new_secret() for _ in range(10)}
    assert len(made) == 10
    assert {len(base64.b64decode(each.removeprefix("whsec_"))) for each in made} == {32}


def test_the_ladder_ends_after_three_days() -> None:
    """5 s, 1 min, 10 min, 1 h, 6 h, then daily; nothing is tried later than three days."""
    at, waits = NOW, []
    for attempt in range(1, 20):
        due = next_try(attempt, NOW, at, 0.0)
        if due is None:
            break
        waits.append(due - at)
        at = due
    assert waits == [5 * SECOND, MINUTE, 10 * MINUTE, HOUR, 6 * HOUR, DAY, DAY]
    assert at - NOW <= 3 * DAY


@given(attempt=st.integers(1, 30), spread=st.floats(0, 1))
def test_jitter_is_a_tenth_at_most(attempt: int, spread: float) -> None:
    """What failed together is spread, never earlier than the ladder says."""
    now = NOW + DAY
    due = next_try(attempt, NOW, now, spread)
    wait = LADDER[min(attempt, len(LADDER)) - 1]
    assert due is not None
    assert wait <= due - now <= wait * 1.1


@given(attempt=st.integers(1, 30))
def test_the_ladder_begins_anew_with_its_days(attempt: int) -> None:
    """Sent again, or enabled after a pause: however often it was tried before, 5 s are the first
    step; and what waited long before its first try begins with them too.
    """
    assert next_try(attempt, NOW, NOW, 0.0) == NOW + 5 * SECOND
    assert next_try(1, NOW, NOW + 2 * DAY, 0.0) == NOW + 2 * DAY + 5 * SECOND


def test_50_failures_pause_and_take_hours() -> None:
    """A receiver is left alone for 5 s, 1 min, then 10 min after each failure: an outage of an hour
    pauses nobody. The fiftieth in a row does; one that is taken begins the count anew.
    """
    stands, now = webhook("*"), NOW
    for count in range(1, FAILURES):
        stands = stands.failed("timeout", now)
        assert (stands.state, stands.failures) == (State.ENABLED, count)
        assert stands.rests_until is not None
        assert not stands.may_be_called(stands.rests_until - 1)
        now = stands.rests_until
        assert stands.may_be_called(now)
    assert now - NOW > 7 * HOUR
    assert stands.taken().failures == 0
    paused = stands.failed("timeout", now)
    assert (paused.state, paused.reason, paused.failures) == (State.PAUSED, "timeout", FAILURES)
    assert not paused.may_be_called(now + DAY)
    again = paused.turned(State.ENABLED, now)
    assert (again.failures, again.reason, again.version) == (0, None, stands.version + 2)


@pytest.mark.parametrize(
    ("types", "type", "listens"),
    [
        (("*",), "user.invited", True),
        (("pause.*", "user.invited"), "user.invited", True),
        (("pause.*",), "user.invited", False),
        (("user",), "user.invited", False),
        (("*.failing",), "connector.failing", True),
        (("user.[a-z]*",), "user.invited", False),
        (("user.invite?",), "user.invited", False),
    ],
)
def test_types_are_patterns(types: tuple[str, ...], type: str, listens: bool) -> None:
    """`*` is any text; nothing else is special."""
    assert webhook(*types).listens(type, {}) is listens


def test_a_ping_has_one_addressee() -> None:
    """`webhook.ping` is for the webhook it names, whatever that listens to."""
    assert webhook("pause.*").listens("webhook.ping", {"webhook": "whk_1"})
    assert not webhook("*").listens("webhook.ping", {"webhook": "whk_2"})
