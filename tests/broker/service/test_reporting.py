"""Who reads what was decided: a key what it asked, an audit everything that its key is for."""

from __future__ import annotations

import pytest

from broker.domain.callers import Caller
from broker.domain.errors import NotFound
from broker.service.reporting import By, Reporting
from tests.stepping import World, asked

AUDIT = ("resolve", "audit:read")


async def test_a_limited_audit_reads_of_its_connectors(at: World) -> None:
    """Safety 22, 23: a key limited to connectors reads, lists and counts what was asked at one of
    them and what it asked itself; other decisions are missing ones.
    """
    ids = {}
    for name in ("Sales", "My Tickets"):
        connector = await at.connector(name)
        await at.connect(connector, None)
        ids[name] = connector.id
    engine, limited = await at.key(), await at.key(*AUDIT, connectors=["my tickets", "Later"])
    theirs = [await _decided(at, engine, name) for name in (*ids, "Missing")]
    own = await _decided(at, limited, "Later")
    reporting = Reporting(at.db)
    assert len((await reporting.decision(limited, theirs[1]))[1]) == 1
    for id in (theirs[0], theirs[2]):
        with pytest.raises(NotFound):
            await reporting.decision(limited, id)
    assert {ran.decision for ran in await reporting.lines(limited)} == {theirs[1], own}
    counted = await reporting.counts(limited, By.CONNECTOR)
    assert {one.who: one.lines for one in counted} == {"": 1, ids["My Tickets"]: 1}
    everything = await reporting.lines(await at.key(*AUDIT))
    assert {ran.decision for ran in everything} == {*theirs, own}
    assert [ran.decision for ran in await reporting.lines(await at.key())] == []


async def _decided(at: World, caller: Caller, connector: str) -> str:
    request = asked(None, connector=connector, step=connector)
    return (await at.resolving.resolve(caller, request)).decision_id
