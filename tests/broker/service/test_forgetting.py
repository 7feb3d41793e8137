"""The protected fields of a deleted connector: C11, K12, RFC 7009 §2.1."""

from __future__ import annotations

import pytest

from broker.domain.clock import DAY
from broker.service.forgetting import Forgetting
from broker.service.revoking import Revoking
from broker.service.working import Later
from broker.store import jobs
from broker.store.jobs import Job
from tests.broker.service.outside import Outside
from tests.clocks import MovableClock

KEPT = "SELECT field FROM connector_secrets"


@pytest.fixture
async def queued(world: Outside) -> list[Job]:
    """What is to be done after a connector was deleted that one grant hung on."""
    id = await world.connector()
    await world.connecting.delete(world.administrator, id, "Salesforce")
    found: list[Job] = []
    while job := await world.db.write(jobs.claim):
        found.append(job)
    assert sorted(job.kind for job in found) == ["forget", "revoke"]
    return sorted(found, key=lambda job: job.kind)


async def test_what_is_protected_goes_after_the_last_revocation(
    world: Outside, queued: list[Job]
) -> None:
    """C11, K12: our secret is there for whoever asks who revokes, and erased behind that."""
    forget, revoke = queued
    with pytest.raises(Later):
        await Forgetting(world.db).forget(forget)
    await Revoking(world.db, world.vault.programs).revoke(revoke)
    sql = "SELECT detail FROM audit WHERE action = 'connector.secret.opened'"
    opened = [row["detail"] for row in await world.rows(sql)]
    assert any('"purpose":"revoke"' in detail for detail in opened)
    assert await world.rows(KEPT)
    await world.db.write(jobs.done, revoke)
    await Forgetting(world.db).forget(forget)
    assert await world.rows(KEPT) == []


async def test_a_day_is_the_most(world: Outside, queued: list[Job], clock: MovableClock) -> None:
    """K12: a program that answers nobody keeps nothing of ours alive for longer than a day."""
    clock.advance(DAY)
    await Forgetting(world.db).forget(queued[0])
    assert await world.rows(KEPT) == []


async def test_where_nothing_is_to_be_revoked_it_goes_at_once(world: Outside) -> None:
    """C11: a connector that nobody was authorized for leaves no secret behind its deletion."""
    id = await world.draft()
    assert await world.rows(KEPT)
    await world.connecting.delete(world.administrator, id, "Salesforce")
    assert await world.rows(KEPT) == []
    assert await world.rows("SELECT id FROM jobs") == []
