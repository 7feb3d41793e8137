"""Safety 22: a key limited to connectors comes near no other one, whichever verb it asks for."""

from collections.abc import Awaitable, Callable

import pytest

from broker.domain.callers import Caller, Kind
from broker.domain.errors import Forbidden
from broker.service.forms import Said
from broker.service.granting import Granting
from broker.service.importing import Importing
from tests.broker.service.outside import Outside

SCOPES = frozenset({"connectors:read", "connectors:write", "links:write", "grants:write"})


def limited(world: Outside, *names: str) -> Caller:
    return Caller(
        kind=Kind.SERVICE,
        project=world.administrator.project,
        id="key_limited",
        name="limited",
        scopes=SCOPES,
        connectors=frozenset(names),
    )


Verb = Callable[[Outside, Caller, str], Awaitable[object]]
VERBS: dict[str, Verb] = {
    "get": lambda world, caller, id: world.connecting.get(caller, id),
    "authorizations": lambda world, caller, id: Granting(world.db).page(caller, id),
    "configure": lambda world, caller, id: world.connecting.configure(
        caller, id, Said(description="mine")
    ),
    "authorize": lambda world, caller, id: world.connecting.authorize(caller, id),
    "disable": lambda world, caller, id: world.connecting.disable(caller, id),
    "enable": lambda world, caller, id: world.connecting.enable(caller, id),
    "affected": lambda world, caller, id: world.connecting.affected(caller, id),
    "delete": lambda world, caller, id: world.connecting.delete(caller, id, "Salesforce"),
    "disconnect": lambda world, caller, id: Granting(world.db).disconnect(caller, id, "usr_any"),
    "import": lambda world, caller, id: Importing(world.db, world.vault).grants(
        caller, id, [{"subject": {"user_name": "kim"}, "refresh_token": "r"}]
    ),
    "link": lambda world, caller, id: world.authorizing.make_link(caller, "usr_any", id),
}


async def test_a_limited_key_reaches_its_own_connector_whatever_the_case(world: Outside) -> None:
    """The limit compares names as names are compared everywhere: trimmed, case aside."""
    id = await world.connector()
    caller = limited(world, " salesForce ")
    view = await world.connecting.get(caller, id)
    assert view.connector.id == id
    assert len(await world.connecting.every(caller)) == 1


async def test_a_limited_key_reaches_no_other_connector(world: Outside) -> None:
    """Every verb that takes a connector refuses with one reason; the list leaves it out."""
    id = await world.connector()
    caller = limited(world, "Other")
    assert await world.connecting.every(caller) == []
    for name, verb in VERBS.items():
        with pytest.raises(Forbidden) as refused:
            await verb(world, caller, id)
        assert refused.value.reason == "connector-not-allowed", name


async def test_a_limited_key_makes_no_other_connector(world: Outside) -> None:
    """A key for one connector cannot add a second one under another name."""
    with pytest.raises(Forbidden):
        await world.connecting.create(limited(world, "Other"), "salesforce", Said(name="Mine"))


async def test_a_limited_key_goes_with_a_connector_that_is_renamed(world: Outside) -> None:
    """Safety 22: a limit is to a connector, not to whatever has its name: one that is renamed
    keeps its keys, who are for no later one of the old name; the audit names each of them.
    """
    id = await world.connector("My Sales")
    limits = {"both": ["my sales ", "Other"], "other": ["Other", "My", "Sales"], "all": []}
    keys = {}
    for name, limit in limits.items():
        _, text = await world.callers.add_key(
            world.project, name, SCOPES, by="test", connectors=limit
        )
        keys[name] = f"Bearer {text}"
    await world.connecting.configure(world.administrator, id, Said(name="Service Cloud"))
    now = {name: await world.callers.service(text) for name, text in keys.items()}
    assert {name: set(key.connectors) for name, key in now.items()} == {
        "both": {"Service Cloud", "Other"},
        "other": {"Other", "My", "Sales"},
        "all": set(),
    }
    assert (await world.connecting.get(now["both"], id)).connector.id == id
    told = await world.rows("SELECT target FROM audit WHERE action = 'key.connector_renamed'")
    assert [row["target"] for row in told] == [now["both"].id]
