"""Who a sign-in is."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from broker.db.database import Database
from broker.domain.directories import Directory, State
from broker.domain.users import Status
from broker.store import directories, identities
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
    await at.person(ANA, external_id="x-1")
    assert await at.db.read(identities.claimed, at.project, "x-1") is None


async def test_claim_of_several_directories(at: World) -> None:
    """Safety 5: a directory that came later neither takes nor blocks what an older one's person
    signs in as; two of the oldest one are nobody, whoever else there is (decision 0015).
    """
    for id, created in (("dir_b", 1), ("dir_a", 2)):
        directory = Directory(id, at.project, id, id, State.ENABLED, created)
        await at.db.write(directories.insert, directory)

    async def claimed() -> str | None:
        found = await at.db.read(identities.claimed, at.project, "x-1")
        return found.id if found else None

    late = await at.person(ANA, external_id="x-1", directory="dir_a")
    assert await claimed() == late.id
    first = await at.person(KIM, external_id="x-1", directory="dir_b")
    assert await claimed() == first.id
    await at.person("a3@acme.example", external_id="x-1", directory="dir_a")
    assert await claimed() == first.id
    await at.person("b2@acme.example", external_id="x-1", directory="dir_b")
    assert await claimed() is None
