"""How much one key may ask of a process, and how it is told (api-conventions.md 2; ADR 0023)."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.domain.callers import Caller, Kind
from broker.domain.errors import TooMany
from broker.web.rates import MANY, Rates
from tests import engines
from tests.faces import faces


class Wheel:
    """A monotonic clock that a test turns."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def caller(id: str = "key_1") -> Caller:
    """A key."""
    return Caller(Kind.SERVICE, "prj_1", id)


def took(rates: Rates, who: Caller | None = None) -> tuple[bool, dict[bytes, bytes]]:
    """Whether a request was let through, and the headers of its answer."""
    scope: dict[str, list[tuple[bytes, bytes]]] = {"also": []}
    try:
        rates.take(who or caller(), scope)
    except TooMany:
        return False, dict(scope["also"])
    return True, dict(scope["also"])


def test_a_minute_is_told_down_to_nothing() -> None:
    """Each answer says what is left and when all is back; the request too many is refused."""
    wheel = Wheel()
    rates = Rates(3, clock=wheel)
    told = [took(rates) for _ in range(4)]
    assert [let for let, _ in told] == [True, True, True, False]
    assert [headers[b"ratelimit"] for _, headers in told] == [
        b'"minute";r=2;t=20',
        b'"minute";r=1;t=40',
        b'"minute";r=0;t=60',
        b'"minute";r=0;t=60',
    ]
    assert {headers[b"ratelimit-policy"] for _, headers in told} == {b'"minute";q=3;w=60'}


def test_a_refused_request_says_when_to_come_back() -> None:
    """Retry-After is kept: at that second the next one is let through, and only one."""
    wheel = Wheel()
    rates = Rates(3, clock=wheel)
    for _ in range(3):
        took(rates)
    with pytest.raises(TooMany) as refused:
        rates.take(caller(), {})
    assert refused.value.retry_after_s == 20
    wheel.now += 20
    assert [took(rates)[0] for _ in range(2)] == [True, False]


@given(st.lists(st.floats(0, 40), max_size=60), st.integers(1, 50))
def test_never_more_than_the_bucket_and_what_flowed_in(waits: list[float], a_minute: int) -> None:
    """In any stretch of time at most a minute's requests and what that time refills get through."""
    wheel = Wheel()
    rates, let = Rates(a_minute, clock=wheel), list[float]()
    for wait in waits:
        wheel.now += wait
        let += [wheel.now for _ in range(20) if took(rates)[0]]
    for n, first in enumerate(let):
        for m, last in enumerate(let[n:], start=1):
            assert m <= a_minute + (last - first) * a_minute / 60 + 1e-6


def test_callers_do_not_share() -> None:
    """One caller's haste costs nobody else; an administrator's session counts for itself."""
    rates = Rates(1, clock=Wheel())
    admins = [Caller(Kind.ADMINISTRATOR, "prj_1", "setup", session=each) for each in "ab"]
    for who in (caller(), caller("key_2"), *admins):
        assert [took(rates, who)[0] for _ in range(2)] == [True, False]


def test_full_buckets_are_not_remembered() -> None:
    """However many callers come by, those who are quiet again cost no memory."""
    wheel = Wheel()
    rates = Rates(60, clock=wheel)
    for n in range(3 * MANY):
        wheel.now += 0.01
        took(rates, caller(f"key_{n}"))
    assert len(rates._full) <= MANY


async def test_every_answer_of_a_key_says_it(
    sqlite_engine: engines.SqliteEngine, tmp_path: Path
) -> None:
    """BROKER_RATE: successes, refusals and the 429 itself carry both fields; others none."""
    with sqlite_engine.database(tmp_path) as url:
        async with faces(url, rate=3) as at:
            headers = await at.key("users:read")
            told = [
                await at.client.get(path, headers=headers)
                for path in ("/v1/users", "/v1/users/usr_x", "/v1/audit", "/v1/runs", "/v1/users")
            ]
            nobody = await at.client.get("/v1/users")
    assert [answer.status_code for answer in told] == [200, 404, 404, 403, 429]
    assert ["ratelimit" in answer.headers for answer in told] == [True, True, False, True, True]
    assert told[0].headers["ratelimit-policy"] == '"minute";q=3;w=60'
    assert "ratelimit" not in nobody.headers
    refused = told[-1]
    assert (refused.json()["code"], refused.json()["retryable"]) == ("rate-limit", True)
    assert 1 <= int(refused.headers["retry-after"]) <= 20


async def test_no_limit_says_nothing(sqlite_engine: engines.SqliteEngine, tmp_path: Path) -> None:
    """BROKER_RATE=0: nobody is held up, and no answer speaks of a limit."""
    with sqlite_engine.database(tmp_path) as url:
        async with faces(url, rate=0) as at:
            answer = await at.client.get("/v1/users", headers=await at.key())
    assert answer.status_code == 200
    assert "ratelimit" not in answer.headers
