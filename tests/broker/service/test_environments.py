"""Environments that are gone, that share an origin, and values nobody could be sent with."""

from __future__ import annotations

from typing import Any

import pytest

from broker.domain.connectors import State
from broker.domain.errors import Conflict, Invalid
from broker.domain.steps import Token
from broker.service.forms import Said
from broker.service.refreshing import Standing
from providers.places import bound_by
from tests.broker.service.outside import Outside

ONLINE = {"tenant": "acme.example", "client_id": "x", "site": "acme.sharepoint.com/sites/a"}


async def without_environment(world: Outside, id: str) -> None:
    """As after a start without BROKER_SIMULATOR_URL."""
    sql = """UPDATE connectors SET environment = '{"name":"gone"}' WHERE id = :id RETURNING id"""
    await world.db.write(lambda tx: tx.find(sql, id=id))


async def test_an_environment_that_is_gone_calls_nobody(world: Outside) -> None:
    """F1, K6: no refresh, the connector stays as it is, and its page says what is missing."""
    id, kim = await world.connector(), await world.person()
    await world.authorized(kim, id)
    await without_environment(world, id)
    due = "UPDATE tokens SET expires_at = 0 RETURNING id"
    await world.db.write(lambda tx: tx.all(due))
    key = (world.project, id, kim.id)
    found = await world.db.write(lambda tx: world.vault.leased(tx, key, "test"))
    assert found == Standing(Token.TRANSIENT)
    view = await world.connecting.get(world.administrator, id)
    assert view.connector.state is State.CONNECTED
    assert [one.code for one in view.cautions] == ["environment-gone"]


async def test_two_clouds_of_one_login_host_are_two_places(world: Outside) -> None:
    """Safety 18: what was typed for GCC High does not go to the DoD's, whose login host it is."""
    secret = {"client_secret": "x"}
    said = Said(
        name="Online",
        integration="delegated",
        environment={"name": "usgov"},
        fields=ONLINE | secret,
    )
    view = await world.connecting.create(world.administrator, "sharepoint_online", said)
    moved = await world.connecting.configure(
        world.administrator, view.connector.id, Said(environment={"name": "usgov-dod"})
    )
    origins = [one.connector.origin or "" for one in (view, moved)]
    assert len({bound_by(origin)[0] for origin in origins}) == 1
    assert origins[0] != origins[1]
    assert await world.rows("SELECT field FROM connector_secrets") == []
    places = [world.vault.programs.at(view.connector, origin) for origin in origins]
    assert [one and one.environment.name for one in places] == ["usgov", "usgov-dod"]


@pytest.mark.parametrize(
    ("type", "integration", "place", "name", "value"),
    [
        ("sharepoint_online", "delegated", {"name": "global"}, "site", "acme"),
        ("sharepoint_online", "delegated", {"name": "global"}, "tenant", ".."),
        ("sharepoint_server", "oidc", {"name": "server", "host": "sp.x"}, "adfs", "http://sts.x"),
        ("sharepoint_server", "oidc", {"name": "server", "host": "sp.x"}, "site", "a/../b"),
    ],
)
async def test_a_value_nobody_can_be_sent_with_is_refused_when_saved(
    world: Outside, type: str, integration: str, place: dict[str, Any], name: str, value: str
) -> None:
    """R55: 422 at the field, in the field's own words, before anybody meets it on a link."""
    said = Said("Site", integration=integration, environment=place, fields={name: value})
    with pytest.raises(Invalid) as refused:
        await world.connecting.create(world.administrator, type, said)
    [problem] = refused.value.problems
    assert (problem.pointer, problem.code) == (f"/fields/{name}", "wrong_shape")


async def test_what_was_saved_before_says_so_on_the_link(world: Outside) -> None:
    """K1: a connector nobody can be sent with is a conflict with its sentence, and no failure."""
    said = Said(
        name="Online",
        integration="delegated",
        environment={"name": "rehearsal"},
        fields=ONLINE | {"client_secret": "x"},
    )
    view = await world.connecting.create(world.administrator, "sharepoint_online", said)
    link = await world.connecting.authorize(world.administrator, view.connector.id)
    fields = '{"tenant":"acme.example","client_id":"x","site":"acme"}'
    sql = "UPDATE connectors SET fields = :fields RETURNING id"
    await world.db.write(lambda tx: tx.find(sql, fields=fields))
    with pytest.raises(Conflict) as refused:
        await world.sent(link, world.administrator, "nobody")
    assert refused.value.reason == "misconfigured"
    assert "acme.sharepoint.com/sites/sales" in str(refused.value.next)


async def test_disabled_and_enabled_it_says_why_it_waits(world: Outside) -> None:
    """C10: a connector that needs its administrator comes back with the reason it had."""
    id = await world.connector()
    sql = "UPDATE connectors SET state = 'needs_admin', reason = 'invalid_client' RETURNING id"
    await world.db.write(lambda tx: tx.find(sql))
    await world.connecting.disable(world.administrator, id)
    view = await world.connecting.enable(world.administrator, id)
    assert (view.connector.state, view.connector.reason) == (State.NEEDS_ADMIN, "invalid_client")
