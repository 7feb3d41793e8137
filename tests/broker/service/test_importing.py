"""Grants brought along: `POST /v1/connectors/{id}/grants`, d.29, safety 8 and 18."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from broker.db.seal import Seal
from broker.demo.grants import Code
from broker.domain.clock import DAY, HOUR, SECOND, rfc3339
from broker.domain.errors import Conflict, Forbidden, Invalid
from broker.domain.steps import Token
from broker.domain.tokens import State
from broker.domain.users import License, Status, SuspendedBy
from broker.service.granting import Granting
from broker.service.importing import Importing
from broker.service.vault import Vault
from tests.broker.service import kinds
from tests.broker.service.outside import KIM, Outside
from tests.clocks import MovableClock


async def test_a_grant_from_elsewhere_is_refreshed_when_needed(world: Outside) -> None:
    """Imported without an access token: the first one who asks has it refreshed."""
    id, user = await world.connector(), await world.person()
    assert await imported(world, id, {"subject": {"user_name": KIM}, **grant(world)}) == [
        {
            "user_id": user.id,
            "result": "imported",
            "detail": "The grant is kept, and renewed when it is needed.",
            "next": None,
        }
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
    """d.29: while the other side still refreshes it, ours is read only, and no good once it is over
    (F8: the person may sign in); the same item without `frozen` cuts over.
    """
    id, user = await world.connector(), await world.person()
    item = {"subject": {"user_id": user.id}, **grant(world), "access_token": "theirs"}
    ends = await world.db.read(lambda tx: rfc3339(tx.now + HOUR))
    await imported(world, id, item | {"frozen": True, "expires_at": ends})
    assert (await world.vault.refreshed(world.project, id, user.id)).token is Token.USABLE
    clock.advance(2 * HOUR)
    assert (await world.vault.refreshed(world.project, id, user.id)).token is Token.NOT_USABLE
    assert world.programs.salesforce.calls["refresh"] == 0
    await imported(world, id, item | {"expires_at": ends})
    assert (await world.vault.refreshed(world.project, id, user.id)).token is Token.USABLE


async def test_a_token_that_is_too_long_is_one_items_affair(world: Outside) -> None:
    """b.1 "16 KiB per token": that item says so and what to do, the next one is imported."""
    id, user = await world.connector(), await world.person()
    amara = await world.person("amara.okafor@acme.example")
    long = {"subject": {"user_id": amara.id}, "refresh_token": "r" * (16 * 1024 + 1)}
    results = await imported(world, id, long, {"subject": {"user_id": user.id}, **grant(world)})
    assert [one["result"] for one in results] == ["token-too-long", "imported"]
    assert results[0]["next"] == "Let the person sign in instead."


async def test_one_refresh_token_is_one_persons(world: Outside) -> None:
    """Safety 17: the same grant sent for two people is refused for the second; sent twice for
    one, the first is kept.
    """
    id, user = await world.connector(), await world.person()
    amara = await world.person("amara.okafor@acme.example")
    same = grant(world)
    items = [{"subject": {"user_id": one}, **same} for one in (user.id, amara.id, user.id)]
    results = await imported(world, id, *items)
    assert [one["result"] for one in results] == ["imported", "duplicate-grant", "kept"]
    assert await world.rows("SELECT user_id FROM tokens WHERE user_id <> ''") == [
        {"user_id": user.id}
    ]


async def test_a_grant_of_one_request_is_known_in_the_next(world: Outside) -> None:
    """Safety 17: the same refresh token sent for somebody else in another request, also in the same
    moment, is refused; sent for whose it is, it is kept.
    """
    id, user = await world.connector(), await world.person()
    amara = await world.person("amara.okafor@acme.example")
    same = grant(world)
    both = [{"subject": {"user_id": one.id}, **same} for one in (user, amara)]
    results = await asyncio.gather(*(imported(world, id, item) for item in both))
    assert sorted(one["result"] for [one] in results) == ["duplicate-grant", "imported"]
    again = [(await imported(world, id, item))[0]["result"] for item in both]
    assert sorted(again) == ["duplicate-grant", "kept"]


async def test_what_cannot_be_read_now_is_not_replaced(world: Outside) -> None:
    """K16, promise 12: the key is missing, so nobody knows what there is: it stays, and the result
    says what to do.
    """
    id, user = await world.connector(), await world.person()
    before = await world.authorized(user, id)
    programs = replace(world.vault.programs, seal=Seal({"k2": b"2" * 32}))
    blind = Vault(world.db, world.vault.hasher, programs)
    item = {"subject": {"user_id": user.id}, **grant(world)}
    importing = Importing(world.db, blind)
    [result] = await importing.grants(world.key("grants:write"), id, [item])
    said = result.rendered()
    assert (said["result"], "whose key is missing" in str(said["detail"])) == ("kept", True)
    token = await world.token(id, user.id)
    assert (token.state, token.refresh) == (State.UNREADABLE, before.refresh)


async def test_a_sign_in_takes_nothing_of_a_frozen_grant(world: Outside) -> None:
    """d.29, K2: nobody knows whose the frozen one is: signed in without a refresh token, none is
    kept, and nothing is frozen any more. The other side has the old one still: it is not revoked.
    """
    id, user = await world.connector(), await world.person()
    item = {"subject": {"user_id": user.id}, **grant(world), "access_token": "theirs"}
    await imported(world, id, item | {"frozen": True})
    caller = await world.session(user)
    answer = await world.sent(
        await world.link(user, id), caller, "amara.okafor@acme.example", grants="api id"
    )
    assert (await world.bring(answer, caller)).ok
    token = await world.token(id, user.id)
    assert (token.state, token.refresh, token.frozen) == (State.VALID, None, False)
    assert await world.rows("SELECT id FROM jobs WHERE kind = 'revoke'") == []


async def test_what_is_brought_along_knows_where_its_api_is(world: Outside) -> None:
    """F6: where the program's definition says where the API is, the first step is told so, though
    no answer of the program has come yet.
    """
    id = await world.connected(await kinds.draft(world, kinds.sharepoint_online(world)))
    user = await world.person()
    [result] = await imported(world, id, {"subject": {"user_id": user.id}, "refresh_token": "r"})
    assert result["result"] == "imported"
    token, own = await world.token(id, user.id), await world.token(id, None)
    assert own.base_url is not None
    assert token.base_url == own.base_url


async def test_a_pin_that_ended_does_not_stand_in_the_way(world: Outside) -> None:
    """Safety 17, K12: a person disconnected, somebody else connected that account: what is brought
    along for the first is kept, with no account pinned yet.
    """
    id, user = await world.connector(), await world.person()
    amara = await world.person("amara.okafor@acme.example")
    await world.authorized(user, id)
    await Granting(world.db).disconnect(world.administrator, id, user.id)
    await world.authorized(amara, id)
    [result] = await imported(world, id, {"subject": {"user_id": user.id}, **grant(world)})
    assert result["result"] == "imported"
    assert (await world.token(id, user.id)).account is None


@pytest.mark.parametrize(
    ("ends", "is_usable"), [(timedelta(hours=-1), False), (timedelta(days=4000), True)]
)
async def test_an_end_is_believed_within_reason(
    world: Outside, ends: timedelta, is_usable: bool
) -> None:
    """c.2 "import with expires_at in the past": it is renewed before anybody uses it; "> 1 year"
    is a year. A frozen one that is over is no good until the cut-over.
    """
    id, user = await world.connector(), await world.person()
    now = await world.db.read(lambda tx: tx.now)
    said = rfc3339(now + int(ends.total_seconds()) * SECOND)
    item = {"subject": {"user_id": user.id}, **grant(world), "access_token": "theirs"}
    [result] = await imported(world, id, item | {"expires_at": said, "frozen": True})
    assert (result["result"], "without `frozen`" in result["next"]) == ("frozen", True)
    token = await world.token(id, user.id)
    assert token.is_usable(now) is is_usable
    assert token.is_dead(now) is not is_usable
    assert token.expires_at is not None
    assert token.expires_at <= now + 366 * DAY
    await imported(world, id, item | {"expires_at": said})
    assert (await world.vault.refreshed(world.project, id, user.id)).token is Token.USABLE
    assert world.programs.salesforce.calls["refresh", KIM] == (0 if is_usable else 1)


@pytest.mark.parametrize(
    ("said", "pointer", "near"),
    [
        ({"refreshtoken": "r"}, "/0/refreshtoken", "refresh_token"),
        ({"refresh_token": 7}, "/0/refresh_token", None),
        ({"refresh_token": ""}, "/0/refresh_token", None),
        ({"refresh_token": "r", "expires_at": "soon"}, "/0/expires_at", None),
        ({"refresh_token": "r", "expires_at": "0001-01-01T00:00:00+14:00"}, "/0/expires_at", None),
        ({"refresh_token": "r", "expires_at": "1999-12-31T23:59:59Z"}, "/0/expires_at", None),
        ({"refresh_token": "r", "expires_at": "9999-12-31T23:59:59-14:00"}, "/0/expires_at", None),
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
        await Importing(world.db, world.vault).grants(world.key("connectors:write"), id, [{}])
    await world.connecting.disable(world.administrator, id)
    with pytest.raises(Conflict):
        await imported(world, id, {"subject": {"user_name": KIM}, "refresh_token": "r"})


async def test_nobody_signs_in_where_tokens_are_made_here(world: Outside) -> None:
    """R23, b.1 "we mint": no grant of people is taken there, and no link sends them away."""
    id, user = await world.connector(), await world.person()
    sql = """
        UPDATE connectors SET type = 'sharepoint_server', integration = 'high_trust'
        RETURNING id
    """
    await world.db.write(lambda tx: tx.find(sql))
    with pytest.raises(Conflict) as refused:
        await imported(world, id, {"subject": {"user_id": user.id}, "refresh_token": "r"})
    assert refused.value.reason == "minted"
    with pytest.raises(Conflict) as refused:
        await world.link(user, id)
    assert refused.value.reason == "minted"


async def imported(world: Outside, id: str, *items: dict[str, Any]) -> list[dict[str, Any]]:
    key = world.key("grants:write")
    results = await Importing(world.db, world.vault).grants(key, id, list(items))
    return [one.rendered() for one in results]


def grant(world: Outside) -> dict[str, Any]:
    """A refresh token that the pretend Salesforce gave somebody else for Kim."""
    state = world.programs.salesforce
    code = Code(world.app, state.users[KIM], "", "", ("api", "refresh_token"), 0.0)
    return {"refresh_token": state.approve(code).refresh_token}
