"""Connectors: rows C1 to C11, R3, R4, R8, R20, R33, R57 to R81, safety 18 and 27."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from broker.db.database import Database
from broker.domain.clock import HOUR
from broker.domain.connectors import Policy, State
from broker.domain.errors import Conflict, Forbidden, Invalid, NotFound, Stale
from broker.service.forms import Said
from broker.store import connectors
from tests.broker.service import outside
from tests.broker.service.outside import CLIENT_SECRET, KIM, ROBOT, Outside
from tests.clocks import MovableClock


async def test_the_wizard_leads_from_draft_to_connected(world: Outside) -> None:
    """C1 to C6, R62: draft, configured, authorizing, authorized, connected, in that order."""
    create = world.connecting.create
    view = await create(world.administrator, "salesforce", Said(name="Salesforce"))
    id = view.connector.id
    assert view.connector.state is State.DRAFT
    assert view.missing == (
        "/environment", "/options/buttons", "/fields/client_id", "/fields/client_secret"
    )  # fmt: skip
    said = Said(**outside.complete())
    view = await world.connecting.configure(world.administrator, id, said)
    assert (view.connector.state, view.missing) == (State.CONFIGURED, ())
    link = await world.connecting.authorize(world.administrator, id)
    answer = await world.sent(link, world.administrator, ROBOT)
    assert (await state(world, id)) is State.AUTHORIZING
    assert (await world.bring(answer, world.administrator)).ok
    assert (await state(world, id)) is State.AUTHORIZED
    view = await world.connecting.connect(world.administrator, id)
    assert view.connector.state is State.CONNECTED
    assert view.rendered()["connector_user"] == {
        "account": ROBOT,
        "authorized_by": world.administrator.actor,
        "created_by": world.administrator.actor,
        "throttled": 0,
    }


async def test_connected_tells_the_button_action(world: Outside) -> None:
    """C6, R71: the event carries the action and its one object; Skip carries none (R73)."""
    await world.connector()
    [event] = await world.rows("SELECT data FROM events WHERE type = 'connector.connected'")
    assert '"button_action":"install_update","button_object":"Account"' in event["data"]


async def test_protected_fields_are_write_only(world: Outside) -> None:
    """R44: a view says that there is a value and since when; the value is nowhere in it."""
    id = await world.draft()
    shown = (await world.connecting.get(world.administrator, id)).rendered()
    secret = shown["fields"]["client_secret"]
    assert secret["has_value"] is True
    assert secret["changed_at"].endswith("Z")
    assert CLIENT_SECRET not in repr(shown)


async def test_each_opening_of_a_protected_field_is_in_the_audit(world: Outside) -> None:
    """R46: listing, reading and changing other fields open nothing; authorizing says so."""
    id = await world.draft()
    await world.connecting.get(world.administrator, id)
    await world.connecting.every(world.administrator)
    await world.connecting.configure(world.administrator, id, Said(description="ours"))
    assert await opened(world) == []
    link = await world.connecting.authorize(world.administrator, id)
    await world.sign_in(link, world.administrator, ROBOT)
    assert await opened(world) == ['{"fields":["client_secret"],"purpose":"authorize"}']


@pytest.mark.parametrize(
    ("said", "pointer", "near"),
    [
        ({"fields": {"client_di": "x"}}, "/fields/client_di", "client_id"),
        ({"options": {"button": "skip"}}, "/options/button", "buttons"),
        ({"options": {"buttons": "skipp"}}, "/options/buttons", "skip"),
        ({"environment": {"name": "produktion"}}, "/environment/name", "production"),
        ({"environment": {"name": "production", "hots": "x"}}, "/environment/hots", "host"),
        ({"fields": {"api_version": "62"}}, "/fields/api_version", "62.0"),
    ],
)
async def test_an_unknown_name_is_refused_with_the_nearest(
    world: Outside, said: dict[str, Any], pointer: str, near: str
) -> None:
    """A field, option or choice nobody declared is 422 with its pointer and a did-you-mean."""
    with pytest.raises(Invalid) as refused:
        await world.connecting.create(world.administrator, "salesforce", Said(name="S", **said))
    [problem] = refused.value.problems
    assert (problem.pointer, problem.did_you_mean) == (pointer, near)


async def test_an_unknown_type_is_refused(world: Outside) -> None:
    """R67: the type is one of the list."""
    with pytest.raises(Invalid) as refused:
        await world.connecting.create(world.administrator, "salesfroce", Said(name="S"))
    assert refused.value.problems[0].did_you_mean == "salesforce"


@pytest.mark.parametrize("host", ["acme.lightning.force.com", "127.0.0.1", "evil.example", ""])
async def test_a_custom_domain_is_held_to_its_pattern(world: Outside, host: str) -> None:
    """R69: only My Domain hosts; lightning hosts, addresses and others are refused."""
    said = Said(name="S", environment={"name": "custom_domain", "host": host})
    with pytest.raises(Invalid) as refused:
        await world.connecting.create(world.administrator, "salesforce", said)
    assert refused.value.problems[0].pointer == "/environment/host"


@pytest.mark.parametrize("again", ["Salesforce", "  salesforce ", "SALESFORCE"])
async def test_a_name_is_unique_whatever_its_case(world: Outside, again: str) -> None:
    """R65: the same name in another case or with spaces around it is 409, drafts included."""
    await world.draft("Salesforce")
    with pytest.raises(Conflict) as refused:
        await world.draft(again)
    assert refused.value.reason == "name-taken"


async def test_a_project_has_one_salesforce_connector(world: Outside) -> None:
    """R63, R64: the second is 409, and its advice names another project."""
    await world.connector("First")
    with pytest.raises(Conflict) as refused:
        await world.draft("Second")
    assert refused.value.reason == "one-connector-per-project"
    assert "another project" in (refused.value.next or "")


async def test_two_wizards_at_once_leave_one_connector(world: Outside) -> None:
    """R63: of two administrators who finish at the same time one wins, the other is told."""
    ids = [await world.draft(name) for name in ("First", "Second")]
    for id, account in zip(ids, (ROBOT, KIM), strict=True):
        link = await world.connecting.authorize(world.administrator, id)
        assert (await world.sign_in(link, world.administrator, account)).ok
    ends = await asyncio.gather(
        *(world.connecting.connect(world.administrator, id) for id in ids), return_exceptions=True
    )
    [lost] = [end for end in ends if isinstance(end, Conflict)]
    assert lost.reason == "one-connector-per-project"
    assert sorted([await state(world, id) for id in ids]) == [State.AUTHORIZED, State.CONNECTED]


async def test_a_draft_is_gone_after_a_day(world: Outside, clock: MovableClock) -> None:
    """C1, R81: a wizard nobody took up again leaves nothing that can be found or resolved."""
    id = await world.draft()
    clock.advance(25 * HOUR)
    with pytest.raises(NotFound):
        await world.connecting.get(world.administrator, id)
    assert await world.connecting.every(world.administrator) == []
    assert await world.connecting.sweep() == 1
    assert await world.rows("SELECT field FROM connector_secrets") == []
    assert await world.draft() != id


async def test_a_draft_is_invisible_to_resolve(world: Outside) -> None:
    """R57, R81: only what went through C6 is found by its name."""
    await world.draft("Salesforce")
    assert await world.db.read(connectors.named, world.project, "salesforce") is None


async def test_user_authentication_is_off_by_default(world: Outside) -> None:
    """R3: off, and the policy it would have is "End flow with error"."""
    view = await world.connecting.get(world.administrator, await world.connector())
    assert view.rendered()["user_authentication"] == {
        "enabled": False, "policy": "end_with_error", "supported": True
    }  # fmt: skip


@pytest.mark.parametrize("policy", list(Policy))
async def test_an_administrator_switches_it_on_with_one_of_four_policies(
    world: Outside, policy: Policy
) -> None:
    """R4, R8: 200 for an administrator, kept, and in the audit with what it was before."""
    id = await world.connector()
    view = await switched(world, id, True, policy)
    assert (view["enabled"], view["policy"]) == (True, policy)
    [row] = await world.rows(
        "SELECT actor, detail FROM audit WHERE action = 'connector.user-authentication'"
    )
    assert row["actor"] == world.administrator.actor
    assert '"enabled_before":false' in row["detail"]


async def test_a_key_never_switches_user_authentication(world: Outside) -> None:
    """Safety 27, R4: an API key gets 403 whatever its scopes are."""
    id = await world.connector()
    with pytest.raises(Forbidden):
        await world.connecting.user_authentication(
            world.key("connectors:write"), id, enabled=True, policy="pause"
        )
    assert (await world.connecting.get(world.administrator, id)).connector.version


async def test_an_unknown_policy_is_refused(world: Outside) -> None:
    """R8: exactly four values; the nearest is named."""
    id = await world.connector()
    with pytest.raises(Invalid) as refused:
        await switched(world, id, True, "fall_back")
    assert refused.value.problems[0].did_you_mean == "fallback"


async def test_the_policy_is_kept_while_it_is_off(world: Outside) -> None:
    """R33: off and on again finds the policy as it was."""
    id = await world.connector()
    await switched(world, id, True, "pause")
    assert (await switched(world, id, False, None))["policy"] == "pause"
    assert (await switched(world, id, True, None))["policy"] == "pause"


async def test_a_connector_that_changed_meanwhile_is_not_overwritten(world: Outside) -> None:
    """If-Match: a change of what somebody else changed is 412."""
    id = await world.draft()
    with pytest.raises(Stale):
        await world.connecting.configure(
            world.administrator, id, Said(description="mine"), version=99
        )


async def test_disabled_and_back(world: Outside) -> None:
    """C10: disabled is not available to steps; enabled is what it was before."""
    id = await world.connector()
    view = await world.connecting.disable(world.administrator, id)
    assert not view.connector.is_available
    view = await world.connecting.enable(world.administrator, id)
    assert view.connector.state is State.CONNECTED


async def test_deleting_needs_the_name_and_ends_everything(world: Outside) -> None:
    """C11: the name is typed; tokens are revoked and erased, the name free again."""
    id = await world.connector()
    user = await world.person()
    await world.authorized(user, id)
    assert await world.connecting.affected(world.administrator, id) == {
        "users": 1, "tokens": 2, "pauses": 0
    }  # fmt: skip
    with pytest.raises(Invalid):
        await world.connecting.delete(world.administrator, id, "Sales")
    await world.connecting.delete(world.administrator, id, " salesforce ")
    with pytest.raises(NotFound):
        await world.connecting.get(world.administrator, id)
    rows = await world.rows("SELECT state, access_token, refresh_token FROM tokens")
    assert [list(row.values()) for row in rows] == [["revoked", None, None]] * 2
    assert len(await world.rows("SELECT id FROM jobs WHERE kind = 'revoke'")) == 2
    assert await world.connector() != id


async def test_another_host_asks_for_the_protected_fields_again(world: Outside) -> None:
    """C9, safety 18: without them nothing changes; with them every old grant is dropped."""
    id = await world.connector()
    user = await world.person()
    await world.authorized(user, id)
    moved = {"name": "custom_domain", "host": "acme.my.salesforce.com"}
    with pytest.raises(Invalid) as refused:
        await world.connecting.configure(world.administrator, id, Said(environment=moved))
    assert [one.pointer for one in refused.value.problems] == ["/fields/client_secret"]
    assert (await world.token(id, user.id)).access is not None
    view = await world.connecting.configure(
        world.administrator, id, Said(environment=moved, fields={"client_secret": "new"})
    )
    assert view.connector.state is State.AUTHORIZING
    token = await world.token(id, user.id)
    assert (token.state, token.reason, token.refresh) == ("revoked", "connector-changed", None)
    [job] = await world.rows("SELECT data FROM jobs WHERE kind = 'revoke' LIMIT 1")
    assert world.programs.base_url in job["data"], "the old grant goes back to the old origin"


async def test_every_change_is_in_the_audit(world: Outside) -> None:
    """R108's habit for connectors: who did what, with names of fields and never a value."""
    id = await world.connector()
    await world.connecting.configure(
        world.administrator, id, Said(description="d", fields={"client_secret": "canary-2"})
    )
    await world.connecting.disable(world.administrator, id)
    rows = await world.rows("SELECT action, detail FROM audit WHERE target = :id ORDER BY n", id=id)
    acts = [row["action"] for row in rows]
    for act in ("created", "configured", "connected", "disabled", "secret.changed"):
        assert f"connector.{act}" in acts
    assert "canary" not in repr(rows)


async def test_another_project_sees_nothing(world: Outside, db: Database) -> None:
    """Safety 3, promise 20: a connector of another project is a missing one."""
    id = await world.connector()
    async with outside.opened(db, world.programs, project="other") as other:
        with pytest.raises(NotFound):
            await other.connecting.get(other.administrator, id)
        assert await other.connector("Salesforce") != id, "R64: one in each project"


async def state(world: Outside, id: str) -> State:
    return (await world.connecting.get(world.administrator, id)).connector.state


async def opened(world: Outside) -> list[str]:
    rows = await world.rows("SELECT detail FROM audit WHERE action = 'connector.secret.opened'")
    return [row["detail"] for row in rows]


async def switched(world: Outside, id: str, on: bool, policy: str | None) -> dict[str, Any]:
    view = await world.connecting.user_authentication(
        world.administrator, id, enabled=on, policy=policy
    )
    shown: dict[str, Any] = view.rendered()["user_authentication"]
    return shown
