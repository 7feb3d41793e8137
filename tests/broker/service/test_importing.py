"""Grants brought along: `POST /v1/connectors/{id}/grants`, d.29, safety 8 and 18."""

from __future__ import annotations

from typing import Any

import pytest

from broker.demo.grants import Code
from broker.domain.clock import HOUR, rfc3339
from broker.domain.errors import Conflict, Forbidden, Invalid
from broker.domain.steps import Token
from broker.domain.tokens import State
from broker.domain.users import License, Status, SuspendedBy
from tests.broker.service.outside import KIM, Outside
from tests.clocks import MovableClock


async def test_a_grant_from_elsewhere_is_refreshed_when_needed(world: Outside) -> None:
    """Imported without an access token: the first one who asks has it refreshed."""
    id, user = await world.connector(), await world.person()
    assert await imported(world, id, {"subject": {"user_name": KIM}, **grant(world)}) == [
        {"user_id": user.id, "result": "imported"}
    ]
    token = await world.token(id, user.id)
    assert (token.state, token.access, token.origin) == (State.VALID, None, world.programs.base_url)
    assert (await world.vault.refreshed(world.project, id, user.id)).token is Token.USABLE
    assert (await world.token(id, user.id)).access is not None


async def test_each_item_has_its_own_result(world: Outside) -> None:
    """A result an item, in order; one bad item spoils no other."""
    id, user = await world.connector(), await world.person()
    gone = await world.person(
        "gone@acme.example",
        status=Status.SUSPENDED,
        suspended_by=SuspendedBy.DIRECTORY,
        license=License.NONE,
    )
    results = await imported(
        world,
        id,
        {"subject": {"user_name": "nobody@acme.example"}, "refresh_token": "r1"},
        {"subject": {"user_id": gone.id}, "refresh_token": "r2"},
        {"subject": {"user_id": user.id}, **grant(world)},
        {"subject": {"user_id": user.id}, "refresh_token": "r3"},
    )
    assert [one["result"] for one in results] == [
        "unknown-subject", "user-not-active", "imported", "kept"
    ]  # fmt: skip


async def test_a_frozen_grant_is_served_and_never_refreshed(
    world: Outside, clock: MovableClock
) -> None:
    """d.29: while the other side still refreshes it, ours is read only; the same item without
    `frozen` cuts over.
    """
    id, user = await world.connector(), await world.person()
    item = {"subject": {"user_id": user.id}, **grant(world), "access_token": "theirs"}
    ends = await world.db.read(lambda tx: rfc3339(tx.now + HOUR))
    await imported(world, id, item | {"frozen": True, "expires_at": ends})
    assert (await world.vault.refreshed(world.project, id, user.id)).token is Token.USABLE
    clock.advance(2 * HOUR)
    assert (await world.vault.refreshed(world.project, id, user.id)).token is Token.TRANSIENT
    assert world.programs.salesforce.calls["refresh"] == 0
    await imported(world, id, item | {"expires_at": ends})
    assert (await world.vault.refreshed(world.project, id, user.id)).token is Token.USABLE


@pytest.mark.parametrize(
    ("said", "pointer", "near"),
    [
        ({"refreshtoken": "r"}, "/0/refreshtoken", "refresh_token"),
        ({"refresh_token": 7}, "/0/refresh_token", None),
        ({"refresh_token": "r" * 20_000}, "/0/refresh_token", None),
        ({"refresh_token": "r", "expires_at": "soon"}, "/0/expires_at", None),
        ({"refresh_token": "r", "frozen": "yes"}, "/0/frozen", None),
    ],
)
async def test_a_wrong_item_is_named_and_nothing_stored(
    world: Outside, said: dict[str, Any], pointer: str, near: str | None
) -> None:
    """422 with a pointer into the list; the token itself is never part of it."""
    id = await world.connector()
    user = await world.person()
    with pytest.raises(Invalid) as refused:
        await imported(world, id, {"subject": {"user_id": user.id}} | said)
    found = {one.pointer: one.did_you_mean for one in refused.value.problems}
    assert found[pointer] == near
    assert await world.rows("SELECT id FROM tokens WHERE user_id <> ''") == []


async def test_importing_needs_its_scope_and_a_connected_connector(world: Outside) -> None:
    """grants:write, and F1's connector: a draft takes no grants."""
    id = await world.connector()
    with pytest.raises(Forbidden):
        await world.connecting.import_grants(world.key("connectors:write"), id, [{}])
    await world.connecting.disable(world.administrator, id)
    with pytest.raises(Conflict):
        await imported(world, id, {"subject": {"user_name": KIM}, "refresh_token": "r"})


async def imported(world: Outside, id: str, *items: dict[str, Any]) -> list[dict[str, Any]]:
    key = world.key("grants:write")
    results = await world.connecting.import_grants(key, id, list(items))
    return [one.rendered() for one in results]


def grant(world: Outside) -> dict[str, Any]:
    """A refresh token that the pretend Salesforce gave somebody else for Kim."""
    state = world.programs.salesforce
    code = Code(world.app, state.users[KIM], "", "", ("api", "refresh_token"), 0.0)
    return {"refresh_token": state.approve(code).refresh_token}
