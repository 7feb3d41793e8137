"""What one person has connected, and what used it, on both engines (K12; safety 2, 3)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from broker.domain.callers import Caller
from broker.domain.errors import Conflict, NotFound
from broker.domain.tokens import State
from broker.domain.users import Status
from broker.service.asking import StepRequest
from broker.service.connected import Connected
from tests.stepping import ANA, KIM, OFF, PAUSE, World, asked


def mine(at: World) -> Connected:
    """The service behind the page."""
    return Connected(at.db, at.programs)


def step(user_id: str, execution: str, step: str, flow: str | None = None) -> StepRequest:
    """A step that runs as that person."""
    request = asked({"user_id": user_id})
    return replace(request, execution=execution, step=step, flow=flow)


async def test_uses_are_counted_by_service(at: World, engine: Caller) -> None:
    """Steps and executions by each key and connector, asked again or not, with the last flow."""
    kim, ana = await at.person(KIM), await at.person(ANA)
    connector = await at.connector(**PAUSE)
    for user in (kim, ana):
        await at.connect(connector, user)
    other = await at.key()
    for key, execution, id, flow in (
        (engine, "r-1", "s1", "first"),
        (engine, "r-1", "s1", "first"),
        (engine, "r-1", "s2", "first"),
        (engine, "r-2", "s1", "last"),
        (other, "r-2", "s1", None),
    ):
        found = await at.resolving.resolve(key, step(kim.id, execution, id, flow))
        assert found.rendered()["row"] == "F6"
    await at.resolving.resolve(engine, step(ana.id, "r-9", "s1"))
    [seen] = (await mine(at).mine(await at.session(kim))).connections
    assert [(use.steps, use.executions, use.flow) for use in seen.uses] == [
        (1, 1, None),
        (3, 2, "last"),
    ]
    assert {use.service for use in seen.uses} == {"engine"}
    assert seen.uses[0].last >= seen.uses[1].last


async def test_what_did_not_run_as_the_person_did_not_use_it(at: World, engine: Caller) -> None:
    """A pause, and a step that ran as the connector user, are no use of the person's account."""
    kim = await at.person(KIM)
    connector = await at.connector(**PAUSE)
    await at.connect(connector, None)
    await at.resolving.resolve(engine, step(kim.id, "r-1", "s1"))
    await at.setting(connector, user_authentication=False)
    await at.resolving.resolve(engine, step(kim.id, "r-2", "s1"))
    await at.setting(connector, **PAUSE)
    [seen] = (await mine(at).mine(await at.session(kim))).connections
    assert (seen.uses, seen.standing, seen.is_offered) == ((), State.ABSENT, True)


async def test_what_is_offered_and_what_is_held_is_shown(at: World) -> None:
    """Where steps run as people a connector is offered; elsewhere only what is held is shown."""
    kim = await at.person(KIM)
    connector = await at.connector(**OFF)
    caller = await at.session(kim)
    assert (await mine(at).mine(caller)).connections == []
    with pytest.raises(NotFound):
        await mine(at).one(caller, connector.id)
    await at.connect(connector, kim)
    seen = await mine(at).one(caller, connector.id)
    assert (seen.is_held, seen.works, seen.is_offered) == (True, True, False)
    await mine(at).remove(caller, connector.id)
    await mine(at).remove(caller, connector.id)  # done already is done
    assert (await mine(at).mine(caller)).connections == []
    assert len(await at.rows("SELECT id FROM jobs WHERE kind = 'revoke'")) == 1


async def test_a_person_asks_for_their_own_link(at: World) -> None:
    """K1: the link is for exactly this person, joined by whoever waits; nobody else's project."""
    kim = await at.person(KIM)
    connector = await at.connector(**PAUSE)
    caller = await at.session(kim)
    link = await mine(at).link(caller, connector.id)
    assert (link.user, link.connector, link.made_by) == (kim.id, connector.id, f"person:{kim.id}")
    assert (await mine(at).link(caller, connector.id)).id == link.id
    elsewhere = await at.elsewhere()
    foreign = await elsewhere.connector(**PAUSE)
    for act in (mine(at).link, mine(at).remove, mine(at).one):
        with pytest.raises(NotFound):
            await act(caller, foreign.id)


async def test_who_is_not_active_gets_no_link(at: World) -> None:
    """Somebody in the queue has a session, and connects nothing until their turn has come."""
    kim = await at.person(KIM, Status.QUEUED)
    connector = await at.connector(**PAUSE)
    with pytest.raises(Conflict) as refused:
        await mine(at).link(await at.session(kim), connector.id)
    assert refused.value.reason == "user-not-active"
