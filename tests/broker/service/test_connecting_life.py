"""The edges of the wizard, and the life of a connector after it (rows C1, C3, C6 to C11)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from broker.demo.world import Trouble
from broker.domain.clock import DAY, HOUR, MINUTE
from broker.domain.connectors import State
from broker.domain.errors import Conflict, Invalid, NotFound
from broker.domain.tokens import State as TokenState
from broker.service.forms import Said
from broker.service.views import ConnectorView
from tests.broker.service import kinds
from tests.broker.service.outside import KIM, ROBOT, Outside
from tests.clocks import MovableClock
from tests.waiting import until

ACME = {"name": "custom_domain", "host": "acme.my.salesforce.com"}
RENAMED = {"name": "custom_domain", "host": "acme-group.my.salesforce.com"}


async def test_c1_two_administrators_begin_one_name_and_the_first_to_finish_has_it(
    world: Outside,
) -> None:
    """C1, C6, R65: each may begin one of a name; whoever connects second is told, and loses none
    of the work: another name, and it is done.
    """
    said = kinds.docusign(world)
    mine = await kinds.draft(world, said)
    theirs = await kinds.draft(world, said, by=world.key("connectors:write"))
    for id, account in ((mine, ROBOT), (theirs, KIM)):
        link = await world.connecting.authorize(world.administrator, id)
        assert (await world.sign_in(link, world.administrator, account)).ok
    await world.connecting.connect(world.administrator, mine)
    with pytest.raises(Conflict) as refused:
        await world.connecting.connect(world.administrator, theirs)
    assert refused.value.reason == "name-taken"
    assert await state(world, theirs) is State.AUTHORIZED
    await configured(world, theirs, name="Contracts")
    await world.connecting.connect(world.administrator, theirs)
    assert await state(world, theirs) is State.CONNECTED


async def test_c3_back_in_the_browser_after_the_green_check_mark(world: Outside) -> None:
    """C3, C4: authorizing once more begins anew, and ends authorized again by the same account."""
    id = await world.draft()
    for _ in range(2):
        link = await world.connecting.authorize(world.administrator, id)
        assert (await world.sign_in(link, world.administrator, ROBOT)).ok
        assert await state(world, id) is State.AUTHORIZED
    await world.connecting.connect(world.administrator, id)
    assert await state(world, id) is State.CONNECTED


async def test_c1_a_callback_after_the_draft_expired_keeps_nothing(
    world: Outside, clock: MovableClock
) -> None:
    """C1, R81: the grant goes back to where it came from, and no connector comes of it."""
    id = await world.draft()
    clock.advance(DAY - MINUTE)
    link = await world.connecting.authorize(world.administrator, id)
    answer = await world.sent(link, world.administrator, ROBOT)
    clock.advance(2 * MINUTE)
    completed = await world.bring(answer, world.administrator)
    assert (completed.ok, completed.reason) == (False, "connector-unavailable")
    assert await world.rows("SELECT id FROM tokens WHERE access_token IS NOT NULL") == []
    assert len(await world.rows("SELECT id FROM jobs WHERE kind = 'revoke'")) == 1
    assert await world.connecting.sweep() == 1
    with pytest.raises(NotFound):
        await world.connecting.get(world.administrator, id)


@pytest.mark.parametrize(
    ("trouble", "becomes"),
    [(Trouble.GRANT_DEAD, State.NEEDS_REAUTH), (Trouble.CLIENT_REFUSED, State.NEEDS_ADMIN)],
)
async def test_c7_c8_what_ails_it_is_told_and_authorizing_heals_it(
    world: Outside, clock: MovableClock, trouble: Trouble, becomes: State
) -> None:
    """C7, C8: a dead grant needs its account again, a refused client an administrator; authorizing
    anew keeps id, fields and account, and says once that it recovered.
    """
    id = await world.connector()
    clock.advance(3 * HOUR)
    world.programs.salesforce.switches.set(trouble, times=1)
    await world.vault.refreshed(world.project, id, None)
    assert await state(world, id) is becomes
    before = await world.token(id, None)
    view = await reauthorized(world, id, ROBOT)
    assert view.connector.state is State.CONNECTED
    after = await world.token(id, None)
    assert (after.state, after.account) == (TokenState.VALID, before.account)
    assert len(await happened(world, "connector.recovered")) == 1


async def test_c8_another_account_takes_over_only_where_that_was_said(world: Outside) -> None:
    """C8: the account is pinned; another is refused and its grant dropped, until an administrator
    asks for it; then everybody is told that fallbacks run as somebody else.
    """
    id = await world.connector()
    link = await world.connecting.authorize(world.administrator, id)
    completed = await world.sign_in(link, world.administrator, KIM)
    assert (completed.ok, completed.reason) == (False, "other-account")
    assert (await world.token(id, None)).account_display == ROBOT
    assert await happened(world, "connector.account_changed") == []
    link = await world.connecting.authorize(world.administrator, id, other_account=True)
    assert (await world.sign_in(link, world.administrator, KIM)).ok
    assert (await world.token(id, None)).account_display == KIM
    assert len(await happened(world, "connector.account_changed")) == 1


async def test_r73_skip_only_refreshes_the_token(world: Outside) -> None:
    """C8, R73: Skip on a connector in use, then authorized again: no button action is told."""
    id = await world.connector()
    view = await configured(world, id, options={"buttons": "skip"})
    assert "button_object" not in view.rendered()["fields"]
    view = await reauthorized(world, id, ROBOT)
    assert view.connector.state is State.CONNECTED
    assert await happened(world, "connector.buttons") == []
    [connected] = await happened(world, "connector.connected")
    assert '"button_action":"install_update"' in connected, "the one of the wizard, and no further"


@pytest.mark.parametrize("said", [{"options": {"buttons": "install_update"}}, {"name": "SF"}])
async def test_r71_install_update_said_again_is_an_update(
    world: Outside, said: dict[str, Any]
) -> None:
    """R71: an answer to the question of the buttons is handed on; another change is not."""
    id = await world.connector()
    await configured(world, id, **said)
    told = await happened(world, "connector.buttons")
    assert len(told) == len(said.get("options", {}))
    assert all('"button_action":"install_update","button_object":"Account"' in one for one in told)


async def test_r71_another_object_is_told(world: Outside) -> None:
    """R71: the buttons go to another object: the event names it."""
    id = await world.connector()
    await configured(world, id, fields={"button_object": "Opportunity"})
    [told] = await happened(world, "connector.buttons")
    assert '"button_object":"Opportunity"' in told


@pytest.mark.parametrize("objects", ["Account, Contact", "Account;Contact", "Account Contact"])
async def test_r71_one_object_only(world: Outside, objects: str) -> None:
    """R71: a list of objects is refused, and Install/Update needs one."""
    id = await world.draft()
    with pytest.raises(Invalid) as refused:
        await configured(world, id, fields={"button_object": objects})
    assert [one.pointer for one in refused.value.problems] == ["/fields/button_object"]
    view = await configured(world, id, fields={"button_object": None})
    assert view.missing == ("/fields/button_object",)


async def test_r72_uninstall_is_the_same_event(world: Outside) -> None:
    """R72: action uninstall, of no object."""
    id = await world.connector()
    await configured(world, id, options={"buttons": "uninstall"})
    [told] = await happened(world, "connector.buttons")
    assert '"button_action":"uninstall","button_object":null' in told


async def test_r70_next_needs_one_answer(world: Outside) -> None:
    """R70, R75: without an answer about the buttons nobody is sent to authorize."""
    id = await world.draft(options={}, fields={"client_id": "x", "client_secret": "y"})
    assert (await world.connecting.get(world.administrator, id)).missing == ("/options/buttons",)
    with pytest.raises(Invalid):
        await world.connecting.authorize(world.administrator, id)


async def test_c9_my_domain_renamed(world: Outside) -> None:
    """C9, safety 18: Salesforce calls the same org otherwise: the name, the policy and who made it
    stay; secrets are typed again, each time, and no grant goes along.
    """
    id = await world.connector()
    for place in (ACME, RENAMED):
        with pytest.raises(Invalid) as refused:
            await configured(world, id, environment=place)
        assert refused.value.reason == "protected-fields-needed"
        view = await configured(world, id, environment=place, fields={"client_secret": "again"})
        assert view.connector.origin == f"https://{place['host']}"
    assert view.connector.state in (State.AUTHORIZING, State.CONFIGURED)
    assert (view.connector.name, view.connector.was_connected) == ("Salesforce", True)
    assert (await world.token(id, None)).refresh is None
    link = await world.connecting.authorize(world.administrator, id)
    assert not isinstance(link, ConnectorView)
    url = await world.authorizing.begin(link.id, world.administrator, "browser")
    assert url.startswith(f"https://{RENAMED['host']}/services/oauth2/authorize?")


async def test_c10_a_disabled_connector_keeps_everything(world: Outside) -> None:
    """C10: no configuring, no authorizing, no step; then it is what it was, grants and all."""
    id = await world.connector()
    kim = await world.person()
    held = await world.authorized(kim, id)
    await world.connecting.disable(world.administrator, id)
    with pytest.raises(Conflict):
        await configured(world, id, description="x")
    with pytest.raises(Conflict):
        await world.connecting.authorize(world.administrator, id)
    with pytest.raises(Conflict):
        await world.link(kim, id)
    await world.connecting.enable(world.administrator, id)
    assert await state(world, id) is State.CONNECTED
    assert await world.token(id, kim.id) == held


async def test_c11_deleting_while_a_refresh_runs(world: Outside, clock: MovableClock) -> None:
    """C11: the answer that comes late finds nothing to be kept in, and goes back to be revoked."""
    id = await world.connector()
    world.app.rotation = True
    clock.advance(3 * HOUR)
    world.programs.salesforce.switches.set(Trouble.SLOW, times=1, seconds=0.3)
    asking = asyncio.create_task(world.vault.refreshed(world.project, id, None))
    await until(lambda: world.programs.salesforce.calls["token"] == 2)
    await world.connecting.delete(world.administrator, id, "Salesforce")
    await asking
    token = await world.token(id, None)
    assert (token.state, token.access, token.refresh) == (TokenState.REVOKED, None, None)
    assert len(await world.rows("SELECT id FROM jobs WHERE kind = 'revoke'")) == 2


async def test_c11_made_again_the_next_day_it_inherits_nothing(
    world: Outside, clock: MovableClock
) -> None:
    """C11, R63: the name and the one place are free; a new id, and nobody's grant or secret."""
    old = await world.connector()
    kim = await world.person()
    await world.authorized(kim, old)
    await world.connecting.delete(world.administrator, old, "Salesforce")
    clock.advance(DAY)
    new = await world.draft(fields={"client_id": "x", "button_object": "Account"})
    assert new != old
    sql = "SELECT field FROM connector_secrets WHERE connector_id = :new"
    assert await world.rows(sql, new=new) == []
    rows = await world.rows("SELECT connector_id FROM tokens WHERE state <> 'revoked'")
    assert rows == []
    assert (await world.connecting.get(world.administrator, new)).missing == (
        "/fields/client_secret",
    )


async def test_r48_an_account_in_two_connectors_is_warned_of(world: Outside) -> None:
    """R48: one account on one host behind two connectors shows on both, by name."""
    ids = {}
    for name in ("One", "Two"):
        ids[name] = await kinds.minted(world, kinds.sharepoint_server(world) | {"name": name})
    for name, other in (("One", "Two"), ("Two", "One")):
        warned = await warnings(world, ids[name])
        assert f"{other} too" in warned["shared-account"]
    limited = world.key("connectors:read", connectors=frozenset({"One"}))
    view = await world.connecting.get(limited, ids["One"])
    assert view.cautions == (), "safety 22: a limited key learns nothing of the others"
    await world.connecting.delete(world.administrator, ids["Two"], "Two")
    assert await warnings(world, ids["One"]) == {}


async def test_r49_how_often_the_program_said_429_is_shown(
    world: Outside, clock: MovableClock
) -> None:
    """R49: counted for each account, and a warning that says why."""
    id = await world.connector()
    clock.advance(3 * HOUR)
    world.programs.salesforce.switches.set(Trouble.RATE_LIMITED, times=1)
    await world.vault.refreshed(world.project, id, None)
    view = await world.connecting.get(world.administrator, id)
    assert view.rendered()["connector_user"]["throttled"] == 1
    assert f"429 to {ROBOT}, so far 1" in (await warnings(world, id))["throttled"]


async def test_safety_21_somebody_suspended_behind_the_connector_user(world: Outside) -> None:
    """Safety 21: the person whose account it is was suspended: 30 days to authorize another."""
    id = await world.connector(account=KIM)
    assert await warnings(world, id) == {}
    await world.person(KIM, status="suspended", suspended_by="admin", license="none")
    said = (await warnings(world, id))["suspended-person"]
    assert KIM in said
    assert "until " in said


async def test_promise_12_a_missing_key_is_said_and_healed(world: Outside) -> None:
    """Promise 12, K16: what cannot be read is named; nothing is touched until the key is back."""
    id = await world.connector()
    keys = world.seal._ciphers
    kept = dict(keys)
    keys.clear()
    said = (await warnings(world, id))["unreadable"]
    assert "Consumer secret" in said
    assert "the token of the connector user" in said
    keys.update(kept)
    assert await warnings(world, id) == {}


async def test_k16_what_is_no_sealed_value_is_said_too(world: Outside) -> None:
    """K16: a damaged row is named like one whose key is missing; the rest can be read."""
    id = await world.connector()
    sql = "UPDATE connector_secrets SET sealed = :junk WHERE project_id = :project"
    await world.db.write(lambda tx: tx.run(sql, junk=b"junk", project=world.project))
    assert [*await warnings(world, id)] == ["unreadable"]


async def warnings(world: Outside, id: str) -> dict[str, str]:
    """What an administrator is warned of, by its word."""
    view = await world.connecting.get(world.administrator, id)
    return {one["code"]: one["text"] for one in view.rendered()["warnings"]}


async def reauthorized(world: Outside, id: str, account: str) -> ConnectorView:
    """C8."""
    link = await world.connecting.authorize(world.administrator, id)
    assert (await world.sign_in(link, world.administrator, account)).ok
    return await world.connecting.get(world.administrator, id)


async def configured(world: Outside, id: str, **said: Any) -> ConnectorView:
    return await world.connecting.configure(world.administrator, id, Said(**said))


async def happened(world: Outside, type: str) -> list[str]:
    """What the events of a type say."""
    sql = "SELECT data FROM events WHERE type = :type ORDER BY n"
    return [row["data"] for row in await world.rows(sql, type=type)]


async def state(world: Outside, id: str) -> State:
    return (await world.connecting.get(world.administrator, id)).connector.state
