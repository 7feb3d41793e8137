"""Projects: the default one exists, names are unique, one issuer each (safety 5)."""

from __future__ import annotations

import pytest

from broker.db.database import Database
from broker.db.seal import Seal
from broker.domain.errors import Conflict, Invalid, NotFound
from broker.service.projects import Projects, SignIn

SEAL = Seal({"k1": b"1" * 32})
ISSUER = SignIn("https://login.example", "broker", "canary", "oid=externalId")


@pytest.fixture
def projects(db: Database) -> Projects:
    """The service on each engine."""
    return Projects(db, SEAL)


async def test_the_default_project_is_always_there(projects: Projects) -> None:
    """It is made when somebody first asks, and only once."""
    first = await projects.named("default")
    assert (await projects.named("default")).id == first.id
    assert [each.name for each in await projects.every()] == ["default"]


async def test_a_name_is_taken_once(projects: Projects) -> None:
    """Conflict for the second of a name, NotFound for one that is none."""
    made = await projects.add("second", by="test")
    assert (await projects.named("second")).id == made.id
    with pytest.raises(Conflict):
        await projects.add("second", by="test")
    with pytest.raises(NotFound):
        await projects.named("third")


async def test_the_issuers_secret_is_sealed_in_its_place(projects: Projects) -> None:
    """Nothing readable is kept; without a new secret the old one stays (R45)."""
    project = await projects.named("default")
    kept = await projects.change(project.id, by="test", sign_in=ISSUER)
    assert kept.oidc_secret is not None
    assert b"canary" not in kept.oidc_secret
    place = (project.id, "projects", project.id, "oidc_secret")
    assert SEAL.open(kept.oidc_secret, *place) == b"canary"
    moved = SignIn("https://other.example", "broker")
    again = await projects.change(project.id, by="test", sign_in=moved)
    assert (again.oidc_issuer, again.oidc_secret) == ("https://other.example", kept.oidc_secret)


@pytest.mark.parametrize(
    "claim", ["email=externalId", "upn=externalId", "oid=userName", "oid", "=externalId"]
)
async def test_a_claim_that_may_change_is_refused(projects: Projects, claim: str) -> None:
    """Safety 5: only an immutable claim stands for externalId, and nothing is kept otherwise."""
    project = await projects.named("default")
    with pytest.raises(Invalid):
        sign_in = SignIn("https://login.example", "broker", claim=claim)
        await projects.change(project.id, by="test", sign_in=sign_in, suffixes=["EHR"])
    assert (await projects.get(project.id)).oidc_issuer is None
    assert await projects.suffixes(project.id) == []


async def test_suffixes_are_declared_once_whatever_their_case(projects: Projects) -> None:
    """Safety 9: the first spelling stays; hidden characters are refused, and nothing is kept."""
    project = await projects.named("default")
    await projects.change(project.id, by="test", suffixes=["EHR", "SmartFlows"])
    await projects.change(project.id, by="test", suffixes=["ehr"])
    assert await projects.suffixes(project.id) == ["EHR", "SmartFlows"]
    with pytest.raises(Invalid):
        await projects.change(project.id, by="test", suffixes=["Good", "b\u200bad"])
    assert await projects.suffixes(project.id) == ["EHR", "SmartFlows"]


async def test_a_project_that_is_none_is_not_found(projects: Projects) -> None:
    """NotFound to read and to change."""
    with pytest.raises(NotFound):
        await projects.get("prj_x")
    with pytest.raises(NotFound):
        await projects.change("prj_x", by="test", sign_in=ISSUER)
