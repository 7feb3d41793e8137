"""Who a sign-in is."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from broker.db.database import Database
from broker.domain.users import Status
from broker.store import identities
from tests.stepping import ANA, KIM, World, world

ISSUER = "https://idp.example"


@pytest.fixture
async def at(db: Database) -> AsyncIterator[World]:
    """A project with people."""
    async with world(db) as made:
        yield made


async def test_issuer_and_subject(at: World) -> None:
    """Safety 5: a subject is one person of one issuer, and stays who it was first."""
    kim, ana = await at.person(KIM), await at.person(ANA)
    await at.db.write(identities.learn, at.project, ISSUER, "s-1", kim.id)
    await at.db.write(identities.learn, at.project, ISSUER, "s-1", ana.id)
    found = await at.db.read(identities.find, at.project, ISSUER, "s-1")
    assert found is not None
    assert found.id == kim.id
    for project, issuer, subject in (
        (at.project, "https://other.example", "s-1"),
        (at.project, ISSUER, "S-1"),
        ("prj_2", ISSUER, "s-1"),
    ):
        assert await at.db.read(identities.find, project, issuer, subject) is None


async def test_deleted_person(at: World) -> None:
    """Safety 6: a tombstone is nobody to sign in as, by subject or by claim."""
    kim = await at.person(KIM, Status.DELETED, external_id="x-1")
    await at.db.write(identities.learn, at.project, ISSUER, "s-1", kim.id)
    assert await at.db.read(identities.find, at.project, ISSUER, "s-1") is None
    assert await at.db.read(identities.claimed, at.project, "x-1") is None


async def test_mapped_claim(at: World) -> None:
    """Safety 5: a claim mapped to externalId is exact in case and names one living person."""
    kim = await at.person(KIM, external_id="x-1")
    found = await at.db.read(identities.claimed, at.project, "x-1")
    assert found is not None
    assert found.id == kim.id
    assert await at.db.read(identities.claimed, at.project, "X-1") is None
    assert await at.db.read(identities.claimed, "prj_2", "x-1") is None
    await at.person(ANA, external_id="x-1", directory="dir_2")
    assert await at.db.read(identities.claimed, at.project, "x-1") is None
