"""Integrations and what they choose: fields, how tokens come about, where secrets may go."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from broker.domain.connectors import State
from broker.domain.errors import Conflict, Forbidden, Invalid, Unavailable, Unconfirmed
from broker.domain.links import Link
from broker.domain.pauses import Identity, Pause
from broker.domain.pauses import State as PauseState
from broker.domain.tokens import State as TokenState
from broker.service.forms import Said
from broker.service.views import ConnectorView
from broker.store import pauses
from providers.egress import Egress
from providers.places import bound_by
from providers.registry import Registry
from tests.broker.service import kinds
from tests.broker.service.outside import KIM, ROBOT, Outside

OFF = "user-authentication-off"


@pytest.mark.parametrize(
    ("type", "integration", "has", "lacks"),
    [
        ("docusign", "code", "client_secret", "user_id"),
        ("docusign", "jwt", "user_id", "password"),
        ("sharepoint_online", "delegated", "access", "private_key"),
        ("sharepoint_online", "app_only", "tenant", "access"),
        ("sharepoint_server", "password", "user_name", "client_id"),
        ("sharepoint_server", "oidc", "client_id", "user_name"),
        ("sharepoint_server", "high_trust", "person_suffix", "client_secret"),
    ],
)
async def test_r36_an_integration_chooses_which_fields_show(
    world: Outside, type: str, integration: str, has: str, lacks: str
) -> None:
    """R36: one type under two integrations shows, and takes, two sets of fields."""
    said = Said(name="Ours", integration=integration)
    view = await world.connecting.create(world.administrator, type, said)
    shown = view.rendered()["fields"]
    assert has in shown
    assert lacks not in shown
    with pytest.raises(Invalid) as refused:
        await world.connecting.configure(
            world.administrator, view.connector.id, Said(fields={lacks: "x"})
        )
    assert [one.pointer for one in refused.value.problems] == [f"/fields/{lacks}"]


async def test_r36_an_integration_is_needed_where_there_are_several(world: Outside) -> None:
    """R36, C2: a type with integrations has none by default, and says that it lacks one."""
    said = Said(name="Ours", environment={"name": "rehearsal"})
    view = await world.connecting.create(world.administrator, "docusign", said)
    assert "/integration" in view.missing
    with pytest.raises(Invalid) as refused:
        await world.connecting.authorize(world.administrator, view.connector.id)
    assert "/integration" in [one.pointer for one in refused.value.problems]
    with pytest.raises(Invalid) as unknown:
        await world.connecting.configure(
            world.administrator, view.connector.id, Said(integration="cod")
        )
    assert unknown.value.problems[0].did_you_mean == "code"


async def test_r41_another_way_to_authenticate_changes_what_is_required(world: Outside) -> None:
    """R41: a certificate instead of the secret is an Advanced Option, and asks for other fields."""
    said = kinds.sharepoint_online(world)
    del said["fields"]["client_secret"]
    id = await kinds.draft(world, said)
    assert await missing(world, id) == ("/fields/client_secret",)
    await configured(world, id, fields={"client_authentication": "certificate"})
    assert set(await missing(world, id)) == {"/fields/private_key", "/fields/certificate"}
    both = {"private_key": kinds.PRIVATE_KEY, "certificate": "-----BEGIN CERTIFICATE-----\r\nMII"}
    view = await configured(world, id, fields=both)
    assert (view.connector.state, view.missing) == (State.CONFIGURED, ())
    assert "client_secret" not in view.rendered()["fields"]
    view = await configured(world, id, fields={"client_authentication": None})
    assert view.missing == ("/fields/client_secret",), "emptied, it is its default again"


async def test_safety_18_a_tenant_is_where_secrets_go(world: Outside) -> None:
    """C9, safety 18: another tenant demands the protected fields again, and ends every grant."""
    id = await world.connected(await kinds.draft(world, kinds.sharepoint_online(world)))
    with pytest.raises(Invalid) as refused:
        await configured(world, id, fields={"tenant": "other.onmicrosoft.com"})
    assert refused.value.reason == "protected-fields-needed"
    assert [one.pointer for one in refused.value.problems] == ["/fields/client_secret"]
    assert (await world.token(id, None)).state is TokenState.VALID
    moved = {"tenant": "other.onmicrosoft.com", "client_secret": "typed again"}
    view = await configured(world, id, fields=moved)
    assert view.connector.state is State.AUTHORIZING
    assert (await world.token(id, None)).refresh is None
    kept = await world.rows("SELECT origin FROM connector_secrets")
    assert [one["origin"] for one in kept] == [view.connector.origin]
    assert "other.onmicrosoft.com" in (view.connector.origin or "")


async def test_safety_18_a_relay_is_where_secrets_go(world: Outside) -> None:
    """C9, R42, safety 18, 20: one of the operator's relays, and another one or none, is another
    place; one the operator does not list is refused.
    """
    relays = {"site": "http://127.0.0.1:9", "dmz": "http://127.0.0.1:9"}
    egress = Egress(origins=[world.programs.base_url], relays=relays)
    registry = Registry(egress, simulator=world.programs.base_url)
    programs = replace(world.vault.programs, registry=registry)
    connecting = replace(world.connecting, vault=replace(world.vault, programs=programs))
    id = await world.connector()
    for relay in ("site", "dmz", None):
        said = {"relay": relay}
        with pytest.raises(Invalid) as refused:
            await connecting.configure(world.administrator, id, Said(fields=said))
        assert refused.value.reason == "protected-fields-needed"
        view = await connecting.configure(
            world.administrator, id, Said(fields=said | {"client_secret": "typed again"})
        )
        assert bound_by(view.connector.origin or "")[1] == ({"relay": relay} if relay else {})
    with pytest.raises(Invalid) as unknown:
        await connecting.configure(world.administrator, id, Said(fields={"relay": "sites"}))
    assert unknown.value.problems[0].did_you_mean == "site"
    await egress.aclose()


async def test_safety_18_a_first_wizard_asks_again_for_what_was_typed(world: Outside) -> None:
    """Safety 18, R81: on the way, another place forgets what was sealed and lists it as missing."""
    id = await kinds.draft(world, kinds.sharepoint_online(world))
    view = await configured(world, id, fields={"tenant": "other.onmicrosoft.com"})
    assert view.missing == ("/fields/client_secret",)
    assert await world.rows("SELECT field FROM connector_secrets") == []
    with pytest.raises(Invalid):
        await world.connecting.authorize(world.administrator, id)


async def test_a_place_may_be_told_in_steps(world: Outside) -> None:
    """C2: a draft that holds nothing sealed takes environment and tenant one after the other."""
    said = kinds.sharepoint_online(world)
    fields, said["fields"] = said["fields"], {}
    id = await kinds.draft(world, said)
    await configured(world, id, fields={"tenant": fields["tenant"]})
    view = await configured(world, id, fields=fields)
    assert (view.connector.state, view.missing) == (State.CONFIGURED, ())


@pytest.mark.parametrize("kind", ["docusign", "sharepoint_online", "sharepoint_server"])
async def test_c4_where_nobody_signs_in_authorizing_is_asking(world: Outside, kind: str) -> None:
    """C3, C4, C6: the program is asked at once; no link, and steps find it once it is connected."""
    named = {
        "docusign": kinds.docusign(world, "jwt"),
        "sharepoint_online": kinds.sharepoint_online(world, "app_only"),
        "sharepoint_server": kinds.sharepoint_server(world),
    }
    id = await kinds.draft(world, named[kind])
    view = await world.connecting.authorize(world.administrator, id)
    assert isinstance(view, ConnectorView)
    assert view.connector.state is State.AUTHORIZED
    assert view.connector.authorized_by == world.administrator.actor
    token = await world.token(id, None)
    assert (token.state, token.minted, token.refresh) == (TokenState.VALID, True, None)
    assert await world.rows("SELECT id FROM links") == []
    view = await world.connecting.connect(world.administrator, id)
    assert view.connector.state is State.CONNECTED
    assert view.rendered()["connector_user"]["account"]


async def test_c5_a_program_that_refuses_leaves_it_configured(world: Outside) -> None:
    """C5, R78: nothing is stored, the reason is told and kept, and it cannot be connected."""
    said = kinds.docusign(world, "jwt")
    world.programs.docusign.consents.clear()
    id = await kinds.draft(world, said)
    with pytest.raises(Conflict) as refused:
        await world.connecting.authorize(world.administrator, id)
    assert refused.value.reason == "program-refused"
    view = await world.connecting.get(world.administrator, id)
    assert (view.connector.state, view.connector.reason) == (State.CONFIGURED, "consent_required")
    with pytest.raises(Conflict):
        await world.connecting.connect(world.administrator, id)
    assert not isinstance(refused.value, Unavailable)


async def test_safety_21_people_are_let_go_only_where_that_is_confirmed(world: Outside) -> None:
    """Safety 21, R20: a method without people ends user authentication, after its numbers."""
    id = await world.connected(await kinds.draft(world, kinds.sharepoint_online(world)))
    kim = await world.person()
    await world.authorized(kim, id)
    await switched(world, id, on=True)
    with pytest.raises(Unconfirmed) as asked:
        await configured(world, id, integration="app_only")
    with pytest.raises(Forbidden):  # safety 27
        await world.connecting.configure(
            world.key("connectors:write"), id, Said(integration="app_only"), confirmed=OFF
        )
    assert asked.value.more == {"would": {"users": 1, "tokens": 2, "pauses": 0}}
    assert OFF in (asked.value.next or "")
    view = await world.connecting.get(world.administrator, id)
    assert (view.connector.integration, view.connector.user_authentication) == ("delegated", True)
    view = await configured(world, id, integration="app_only", confirmed=OFF)
    assert view.rendered()["user_authentication"]["enabled"] is False
    assert view.connector.state is State.AUTHORIZING, "the connector user comes about anew"
    for whose in (kim.id, None):
        assert (await world.token(id, whose)).state is TokenState.REVOKED
    with pytest.raises(Conflict) as refused:
        await switched(world, id, on=True)
    assert refused.value.reason == "user-auth-not-supported"
    rows = await world.rows(
        "SELECT detail FROM audit WHERE action = 'connector.user-authentication' ORDER BY n"
    )
    assert '"enabled":false,"enabled_before":true' in rows[-1]["detail"]


async def test_p14_what_waits_is_released_with_the_method_once_counted(world: Outside) -> None:
    """P14, safety 21: where nobody can authenticate themselves any more, the confirmation says how
    many steps wait; they may run as the connector user then, as the audit says of each.
    """
    id = await world.connected(await kinds.draft(world, kinds.sharepoint_online(world)))
    await switched(world, id, on=True)
    waiting = Pause(
        id="pse_1",
        project=world.project,
        key="key_1",
        decision="dec_1",
        connector=id,
        user="usr_1",
        execution="r-1",
        step="s1",
        state=PauseState.WAITING,
        created_at=0,
        changed_at=0,
    )
    await world.db.write(pauses.insert, waiting)
    for confirmed in (OFF, f"{OFF}:2"):
        with pytest.raises(Unconfirmed) as asked:
            await configured(world, id, integration="app_only", confirmed=confirmed)
        would = asked.value.more["would"]
        assert isinstance(would, dict)
        assert would["waiting"] == 1
        assert f"?confirm={OFF}:1." in (asked.value.next or "")
    assert await world.db.read(pauses.get, world.project, "pse_1") == waiting
    await configured(world, id, integration="app_only", confirmed=f"{OFF}:1")
    released = await world.db.read(pauses.get, world.project, "pse_1")
    assert (released.state, released.run_as) == (PauseState.READY, Identity.CONNECTOR)
    assert await world.rows("SELECT id FROM audit WHERE action = 'pause.released'")


async def test_people_keep_their_grants_where_they_sign_in_as_before(world: Outside) -> None:
    """R36: another way for the connector user alone leaves everybody else as they are."""
    said = kinds.docusign(world)
    id = await world.connected(await kinds.draft(world, said))
    kim = await world.person()
    held = await world.authorized(kim, id)
    more = {name: kinds.docusign(world, "jwt")["fields"][name] for name in ("user_id",)}
    keyed = more | {"private_key": kinds.PRIVATE_KEY}
    view = await configured(world, id, integration="jwt", fields=keyed)
    assert view.connector.state is State.AUTHORIZING
    assert (await world.token(id, None)).state is TokenState.REVOKED
    assert (await world.token(id, kim.id)).version == held.version
    sent = await world.connecting.authorize(world.administrator, id)
    assert not isinstance(sent, Link)
    view = await world.connecting.connect(world.administrator, id)
    assert view.connector.state is State.CONNECTED
    assert (await world.token(id, None)).minted


async def test_r24_a_password_lets_nobody_authenticate_themselves(world: Outside) -> None:
    """R24, R20: the API refuses to switch it on, and the tab has nothing to offer."""
    id = await kinds.minted(world, kinds.sharepoint_server(world))
    view = await world.connecting.get(world.administrator, id)
    assert view.rendered()["user_authentication"]["supported"] is False
    with pytest.raises(Conflict) as refused:
        await switched(world, id, on=True)
    assert refused.value.reason == "user-auth-not-supported"
    token = await world.token(id, None)
    assert token.token_type == "Basic"


async def test_safety_20_a_key_never_says_by_what_people_are_minted_for(world: Outside) -> None:
    """Safety 20: the suffix of the logons is an administrator's to name."""
    said = Said(name="Farm", integration="high_trust", fields={"person_suffix": "SID"})
    key = world.key("connectors:write")
    with pytest.raises(Forbidden):
        await world.connecting.create(key, "sharepoint_server", said)
    view = await world.connecting.create(world.administrator, "sharepoint_server", said)
    id = view.connector.id
    with pytest.raises(Forbidden):
        await world.connecting.configure(key, id, Said(fields={"person_suffix": "EHR"}))
    view = await world.connecting.configure(key, id, Said(description="the farm"))
    assert view.connector.fields["person_suffix"] == "SID"


async def test_c8_another_minted_account_is_an_administrators_to_let_in(world: Outside) -> None:
    """C8: pinned where nobody signs in too; refused, then asked for, by an administrator alone."""
    said = kinds.sharepoint_server(world)
    id = await kinds.minted(world, said)
    world.programs.farm.passwords[KIM] = kinds.PASSWORD
    await configured(world, id, fields={"user_name": KIM})
    with pytest.raises(Conflict) as refused:
        await world.connecting.authorize(world.administrator, id)
    assert refused.value.reason == "other-account"
    assert (await world.token(id, None)).account_display == ROBOT
    key = world.key("connectors:write")
    with pytest.raises(Forbidden):
        await world.connecting.authorize(key, id, other_account=True)
    view = await world.connecting.authorize(world.administrator, id, other_account=True)
    assert isinstance(view, ConnectorView)
    assert view.connector.state is State.CONNECTED
    assert (await world.token(id, None)).account_display == KIM
    told = await world.rows("SELECT id FROM events WHERE type = 'connector.account_changed'")
    assert len(told) == 1


async def test_r44_a_key_on_several_lines_is_sealed_as_it_was_typed(world: Outside) -> None:
    """R43 to R45: line breaks belong to a key; a control character elsewhere is refused."""
    id = await kinds.draft(world, kinds.docusign(world, "jwt"))
    connector = (await world.connecting.get(world.administrator, id)).connector
    programs = world.vault.programs
    opened = await world.db.write(programs.registration, connector, purpose="test")
    assert opened.secrets["private_key"].reveal() == kinds.PRIVATE_KEY
    [row] = await world.rows("SELECT sealed FROM connector_secrets WHERE field = 'private_key'")
    assert b"PRIVATE KEY" not in bytes(row["sealed"])
    for field in ("client_id", "private_key"):
        with pytest.raises(Invalid):
            await configured(world, id, fields={field: "one\x00two"})


async def missing(world: Outside, id: str) -> tuple[str, ...]:
    return (await world.connecting.get(world.administrator, id)).missing


async def configured(
    world: Outside, id: str, *, confirmed: str | None = None, **said: Any
) -> ConnectorView:
    """What an administrator changes."""
    return await world.connecting.configure(
        world.administrator, id, Said(**said), confirmed=confirmed
    )


async def switched(world: Outside, id: str, *, on: bool) -> ConnectorView:
    return await world.connecting.user_authentication(
        world.administrator, id, enabled=on, policy="pause"
    )
