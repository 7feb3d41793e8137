"""Revocation at the provider: K12, K13; building.md "Disconnect"; safety 18."""

from __future__ import annotations

from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from broker.db.seal import Seal, Unreadable
from broker.demo.world import Trouble
from broker.domain.clock import DAY, SECOND
from broker.service.programs import Programs
from broker.service.revoking import Revoking
from broker.service.working import Later
from broker.store import jobs, tokens
from broker.store.jobs import Job
from providers.capabilities import Registration
from providers.salesforce import Salesforce
from providers.secret import Secret
from tests.broker.service.outside import Outside
from tests.clocks import MovableClock


@pytest.fixture
async def job(world: Outside) -> Job:
    """The revoke job of a person who was deprovisioned."""
    id, user = await world.connector(), await world.person()
    await world.authorized(user, id)
    await world.db.write(tokens.drop_all, world.project, user.id, "deprovision")
    claimed = await world.db.write(jobs.claim)
    assert claimed is not None
    assert claimed.kind == "revoke"
    return claimed


async def test_the_grant_ends_at_the_provider(world: Outside, job: Job) -> None:
    """K13: the provider is told; its refresh and access tokens work no more."""
    before = len(world.programs.salesforce.living())
    await revoking(world).revoke(job)
    assert len(world.programs.salesforce.living()) == before - 1
    await world.db.write(jobs.done, job)
    assert await world.rows("SELECT secret FROM jobs WHERE secret IS NOT NULL") == []


async def test_our_secret_goes_along_where_it_was_given(
    world: Outside, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DocuSign revokes for a client that proves itself (b.1): the secret is opened for that, noted
    with its purpose (R46); for another place than the connector's, nothing is (safety 18).
    """
    seen: list[Registration] = []

    async def noted(_: Salesforce, registration: Registration, __: Secret) -> None:
        seen.append(registration)

    monkeypatch.setattr(Salesforce, "revoke", noted)
    await revoking(world).revoke(job)
    sql = "UPDATE connectors SET origin = 'http://localhost:1' RETURNING id"
    await world.db.write(lambda tx: tx.find(sql))
    await revoking(world).revoke(job)
    assert [one.client_secret is not None for one in seen] == [True, False]
    assert {one.origin for one in seen} == {world.programs.base_url}
    sql = "SELECT detail FROM audit WHERE action = 'connector.secret.opened'"
    opened = [row["detail"] for row in await world.rows(sql)]
    assert sum('"purpose":"revoke"' in detail for detail in opened) == 1


async def test_a_disturbed_provider_is_told_later(world: Outside, job: Job) -> None:
    """K12: queued and retried, when the provider wishes; after a day it is left at that."""
    world.programs.salesforce.switches.set(Trouble.RATE_LIMITED, endpoint="revoke", times=1)
    with pytest.raises(Later) as later:
        await revoking(world).revoke(job)
    assert later.value.after == 7 * SECOND
    await revoking(world).revoke(job)


async def test_after_a_day_it_is_left_at_that(
    world: Outside, job: Job, clock: MovableClock
) -> None:
    """building.md: the secret lives until the job ends or 24 hours."""
    clock.advance(DAY)
    calls = world.programs.salesforce.calls["revoke"]
    await revoking(world).revoke(job)
    assert world.programs.salesforce.calls["revoke"] == calls


async def test_the_secret_opens_for_this_job_alone(world: Outside, job: Job) -> None:
    """K12: own associated data: put back into the set it came from, it opens no more."""
    assert job.secret is not None
    [row] = await world.rows("SELECT * FROM tokens WHERE user_id <> ''")
    token = await world.token(row["connector_id"], row["user_id"])
    with pytest.raises(Unreadable):
        world.vault.opened(replace(token, access=job.secret))
    with pytest.raises(Unreadable):
        world.seal.open(job.secret, world.project, "tokens", token.id, "refresh_token")


async def test_a_missing_key_ends_the_job(world: Outside, job: Job) -> None:
    """K16: what nobody can read cannot be revoked; the log says so, the job is over."""
    programs = world.vault.programs
    blind = Programs(programs.registry, Seal({"k2": b"2" * 32}), programs.public_url)
    calls = world.programs.salesforce.calls["revoke"]
    with capture_logs() as lines:
        await Revoking(world.db, blind).revoke(job)
    assert [(line["event"], line["connector"]) for line in lines] == [
        ("grant not revoked", job.data["connector"])
    ]
    assert world.programs.salesforce.calls["revoke"] == calls


async def test_it_goes_to_the_origin_it_was_given_at(world: Outside, job: Job) -> None:
    """Safety 18: an origin the definition does not know is called by nobody."""
    calls = world.programs.salesforce.calls["revoke"]
    moved = replace(job, data=job.data | {"origin": "https://evil.example"})
    await revoking(world).revoke(moved)
    assert world.programs.salesforce.calls["revoke"] == calls


def revoking(world: Outside) -> Revoking:
    return Revoking(world.db, world.vault.programs)
