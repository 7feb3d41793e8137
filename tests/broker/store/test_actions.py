"""Actions, kept for their time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from broker.db.database import Database
from broker.domain.actions import (
    FAIL,
    LOGON,
    NAME,
    PASS,
    STATUS,
    USER_NOT_ACTIVE,
    Action,
    Event,
    Expected,
    State,
    Verdict,
    after,
)
from broker.domain.errors import NotFound
from broker.store import actions

PROJECT = "prj_1"


def action(coupon: int = 1) -> Action:
    """A pending action."""
    return Action(
        project=PROJECT,
        coupon=coupon,
        key="key_1",
        state=State.PENDING,
        expected=(Expected("EHR", "ksmith"), Expected("Lab", "")),
        suffixes=("EHR",),
        created_at=1,
        expires_at=2**60,
        return_url="https://engine.example/back",
    )


async def test_comes_back_as_it_was(db: Database) -> None:
    """R82: a pending action is kept whole, for its project alone."""
    await db.write(actions.insert, action())
    assert await db.read(actions.get, PROJECT, 1) == action()
    assert await db.read(actions.find, "prj_2", 1) is None


async def test_answered(db: Database) -> None:
    """R87: once it is answered the verdict is kept, and what was asked is erased."""
    await db.write(actions.insert, action())
    verdict = Verdict({"AuthenticateUser.Ou.Status": "Fail"}, "reason", "usr_1", ("Lab",))
    await db.write(actions.change, after(action(), Event.ANSWERED, verdict=verdict))
    found = await db.read(actions.get, PROJECT, 1)
    assert (found.state, found.verdict) == (State.DONE, verdict)
    assert (found.expected, found.suffixes) == ((), ())


async def test_over(db: Database) -> None:
    """R87: an action whose time is over is a missing one, and is swept away."""
    await db.write(actions.insert, replace(action(), expires_at=1))
    await db.write(actions.insert, action(2))
    with pytest.raises(NotFound):
        await db.read(actions.get, PROJECT, 1)
    await db.write(actions.sweep)
    assert await db.read(actions.find, PROJECT, 1) is None
    assert await db.read(actions.find, PROJECT, 2) is not None


async def test_end_all(db: Database) -> None:
    """Safety 8: what a person proved ends, answered or not, and is no Pass any more; what somebody
    else proved stays.
    """
    proven = after(action(), Event.PROVEN, user="usr_1", code_hash="hash")
    other = after(action(2), Event.PROVEN, user="usr_2", code_hash="hash")
    passed = Verdict({STATUS: PASS, f"{LOGON}.EHR": "ksmith", NAME: "Smith^Kevin"}, user="usr_1")
    done = after(replace(action(3), user="usr_1"), Event.ANSWERED, verdict=passed)
    for one in (proven, other, done):
        await db.write(actions.insert, one)
    await db.write(actions.end_all, PROJECT, "usr_1")
    found = [await db.read(actions.get, PROJECT, coupon) for coupon in (1, 2, 3)]
    assert [one.state for one in found] == [State.EXPIRED, State.PROVEN, State.EXPIRED]
    assert [one.version for one in found] == [3, 2, 3]
    assert [one.code_hash for one in found] == [None, "hash", None]
    items = {STATUS: FAIL, f"{LOGON}.EHR": "ksmith"}
    assert found[0].answer == Verdict(items, USER_NOT_ACTIVE)
    assert found[2].answer == Verdict(items, USER_NOT_ACTIVE, "usr_1")
