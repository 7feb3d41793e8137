"""Connectors and their protected fields, kept: a name and a type are taken once, from C6 on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from broker.db.database import Database, Duplicate, Transaction
from broker.domain.clock import DAY
from broker.domain.connectors import Connector, Policy, State
from broker.domain.errors import NotFound
from broker.store import connectors, protected
from tests.clocks import MovableClock

ACME, OTHER = "prj_acme", "prj_other"


def made(tx: Transaction, /, id: str = "con_1", **more: Any) -> Connector:
    """A draft, kept."""
    draft = Connector(
        id=id,
        project=ACME,
        name="Sales",
        name_key="sales",
        type="salesforce",
        state=State.DRAFT,
        created_by="admin:setup",
        created_at=tx.now,
        changed_at=tx.now,
        expires_at=tx.now + DAY,
    )
    draft = replace(draft, **more)
    connectors.insert(tx, draft)
    return draft


async def test_what_is_kept_comes_back(db: Database) -> None:
    """Every field of a connector survives an insert and a change."""
    draft = await db.write(
        made, description="ours", integration="crm", environment={"name": "production"},
        options={"buttons": "skip"}, fields={"client_id": "x"}, origin="https://x.example",
        keep_alive=False,
    )  # fmt: skip
    assert await db.read(connectors.get, ACME, "con_1") == draft
    changed = replace(
        draft, state=State.DISABLED, reason="why", disabled_from=State.CONNECTED, version=2,
        user_authentication=True, policy=Policy.PAUSE, authorized_by="admin:a", expires_at=None,
    )  # fmt: skip
    await db.write(connectors.change, changed)
    assert await db.read(connectors.get, ACME, "con_1") == changed


async def test_a_name_is_taken_from_c6_on(db: Database) -> None:
    """R65, R81: drafts share a name; the first that connects has it, and steps find it."""
    first, second = await db.write(made), await db.write(made, "con_2", type="custom")
    assert await db.read(connectors.named, ACME, "sales") is None
    await db.write(connectors.take, first, only_one=True)
    with pytest.raises(Duplicate):
        await db.write(connectors.take, second, only_one=False)
    found = await db.read(connectors.named, ACME, "sales")
    assert found is not None
    assert found.id == "con_1"
    assert await db.read(connectors.named, OTHER, "sales") is None


async def test_a_type_is_taken_once_where_one_is_allowed(db: Database) -> None:
    """R63: the database itself refuses the second; a deleted one gives its place back."""
    first = await db.write(made)
    second = await db.write(made, "con_2", name_key="second")
    await db.write(connectors.take, first, only_one=True)
    with pytest.raises(Duplicate):
        await db.write(connectors.take, second, only_one=True)
    await db.write(connectors.change, replace(first, state=State.DELETED))
    await db.write(connectors.take, second, only_one=True)
    assert await db.read(connectors.only, ACME, "salesforce") == second


async def test_an_abandoned_draft_is_not_there(db: Database, clock: MovableClock) -> None:
    """C1: after a day it is found no more, and swept once somebody looks."""
    draft = await db.write(made)
    assert await db.read(connectors.drafts, ACME, "sales", "admin:setup") == [draft]
    clock.advance(DAY)
    with pytest.raises(NotFound):
        await db.read(connectors.get, ACME, "con_1")
    assert await db.read(connectors.every, ACME) == []
    assert await db.read(connectors.drafts, ACME, "sales", "admin:setup") == []
    assert [one.id for one in await db.write(connectors.overdue, ACME)] == ["con_1"]
    assert await db.write(connectors.overdue, OTHER) == []


async def test_a_protected_field_keeps_the_origin_it_was_typed_for(db: Database) -> None:
    """Safety 18: the last value counts, with its origin; erased means gone."""
    connector = await db.write(made)
    for value, origin in ((b"one", "https://a.example"), (b"two", "https://b.example")):

        def keeping(tx: Transaction, value: bytes = value, origin: str = origin) -> None:
            protected.keep(
                tx, ACME, connector.id, "client_secret", value, origin=origin, by="admin:a"
            )

        await db.write(keeping)
    kept = (await db.read(protected.of, ACME, "con_1"))["client_secret"]
    assert (kept.sealed, kept.origin) == (b"two", "https://b.example")
    assert await db.read(protected.of, OTHER, "con_1") == {}
    await db.write(protected.erase, OTHER, "con_1")
    assert await db.read(protected.of, ACME, "con_1")
    await db.write(protected.erase, ACME, "con_1")
    assert await db.read(protected.of, ACME, "con_1") == {}


async def test_a_resolve_is_noted_once_a_day(db: Database, clock: MovableClock) -> None:
    """T13: thousands of resolves cost one small write a day."""
    await db.write(made)
    moments = []
    for wait in (0, DAY // 2, DAY):
        clock.advance(wait)
        known = await db.read(connectors.find, ACME, "con_1")
        assert known is not None
        await db.write(connectors.resolved, known)
        [row] = await db.read(lambda tx: tx.all("SELECT resolved_at FROM connectors"))
        moments.append(row["resolved_at"])
    assert moments[0] == moments[1] < moments[2]
    assert known is not None
    await db.write(connectors.resolved, known)  # as another replica may still know it
    now = await db.read(connectors.find, ACME, "con_1")
    assert now is not None
    assert now.resolved_at == moments[2]
