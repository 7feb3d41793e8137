"""Projects: the default one exists, names are unique, one issuer each (safety 5)."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from broker.db.database import Database
from broker.db.seal import Seal, Unreadable
from broker.domain.errors import Conflict, Invalid, NotFound
from broker.service.projects import Projects, SignIn, secret_place

SEAL = Seal({"k1": b"1" * 32})
ISSUER = SignIn("https://login.example", "broker", "canary", "oid=externalId")


@pytest.fixture
def projects(db: Database) -> Projects:
    """The service on each engine."""
    return Projects(db, SEAL)


async def fates(db: Database) -> list[str]:
    """What the audit says became of the secret, change by change."""
    sql = "SELECT detail FROM audit WHERE action = 'project.sign-in.changed' ORDER BY at, id"
    rows = await db.read(lambda tx: tx.all(sql))
    return [orjson.loads(row["detail"])["secret"] for row in rows]


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
    again = await projects.change(project.id, by="test", sign_in=replace(ISSUER, secret=None))
    assert again.oidc_secret == kept.oidc_secret
    assert SEAL.open(kept.oidc_secret, *secret_place(project.id, ISSUER.issuer)) == b"canary"


async def test_a_secret_opens_for_the_origin_it_was_given_for(projects: Projects) -> None:
    """Safety 18: another path or spelling of one origin opens it, another origin does not."""
    project = await projects.named("default")
    kept = (await projects.change(project.id, by="test", sign_in=ISSUER)).oidc_secret
    assert kept is not None
    same = secret_place(project.id, "https://LOGIN.example:443/tenant")
    assert SEAL.open(kept, *same) == b"canary"
    for other in ("https://other.example", "https://login.example:8443", "http://login.example"):
        with pytest.raises(Unreadable):
            SEAL.open(kept, *secret_place(project.id, other))


@pytest.mark.parametrize(
    ("issuer", "client_id", "fate"),
    [
        ("https://login.example/tenant", "broker", "kept"),
        ("https://other.example", "broker", "dropped"),
        ("https://login.example:8443", "broker", "dropped"),
        ("https://login.example", "other", "dropped"),
    ],
)
async def test_a_secret_never_goes_to_another_issuer_or_client(
    db: Database, projects: Projects, issuer: str, client_id: str, fate: str
) -> None:
    """Safety 18: it is kept for the same origin and client alone; the audit says what became."""
    project = await projects.named("default")
    await projects.change(project.id, by="test", sign_in=ISSUER)
    moved = await projects.change(project.id, by="test", sign_in=SignIn(issuer, client_id))
    assert (moved.oidc_issuer, moved.oidc_client_id) == (issuer, client_id)
    assert (moved.oidc_secret is not None) is (fate == "kept")
    assert await fates(db) == ["given", fate]


async def test_a_new_issuer_takes_a_new_secret(db: Database, projects: Projects) -> None:
    """Safety 18: a secret that comes along is sealed for the new origin; none is none."""
    project = await projects.named("default")
    await projects.change(project.id, by="test", sign_in=SignIn("https://public.example", "broker"))
    moved = SignIn("https://other.example", "broker", "second")
    await projects.change(project.id, by="test", sign_in=ISSUER)
    sealed = (await projects.change(project.id, by="test", sign_in=moved)).oidc_secret
    assert sealed is not None
    assert SEAL.open(sealed, *secret_place(project.id, moved.issuer)) == b"second"
    assert await fates(db) == ["none", "given", "given"]


async def test_a_claim_stays_with_its_issuer(projects: Projects) -> None:
    """Safety 5: unsaid it stays, None clears it, and another issuer does not inherit it."""
    project = await projects.named("default")

    async def claim_after(sign_in: SignIn) -> str | None:
        return (await projects.change(project.id, by="test", sign_in=sign_in)).oidc_claim

    unsaid = SignIn(ISSUER.issuer, "broker")
    assert await claim_after(ISSUER) == "oid=externalId"
    assert await claim_after(unsaid) == "oid=externalId"
    assert await claim_after(replace(unsaid, claim=None)) is None
    assert await claim_after(ISSUER) == "oid=externalId"
    assert await claim_after(SignIn("https://other.example", "broker")) is None


@pytest.mark.parametrize(
    "issuer",
    [
        "http://login.example",
        "http://localhost:9301",
        "http://127.0.0.1:9300",
        "http://simulator.example:9300",
        "https://login.example?tenant=a",
        "https://login.example#a",
        "https://kim@login.example",
        "login.example",
        "https://[",
        "",
    ],
)
async def test_an_issuer_no_sign_in_could_reach_is_refused(db: Database, issuer: str) -> None:
    """Safety 18: only https leaves, so it is refused when it is said, with where and what next."""
    projects = Projects(db, SEAL, "http://localhost:9300")
    project = await projects.named("default")
    with pytest.raises(Invalid) as refused:
        await projects.change(project.id, by="test", sign_in=SignIn(issuer, "broker", "canary"))
    assert [problem.pointer for problem in refused.value.problems] == ["/oidc/issuer"]
    assert refused.value.next is not None
    assert (await projects.get(project.id)).oidc_issuer is None


async def test_plain_http_is_for_the_simulator_on_this_machine(db: Database) -> None:
    """Safety 18: its exact origin on loopback; a simulator elsewhere needs https too."""
    said = SignIn("http://localhost:9300/identity", "broker")
    projects = Projects(db, SEAL, "http://localhost:9300")
    project = await projects.named("default")
    assert (await projects.change(project.id, by="test", sign_in=said)).oidc_issuer == said.issuer
    elsewhere = "http://simulator.example:9300"
    with pytest.raises(Invalid):
        sign_in = SignIn(f"{elsewhere}/identity", "broker")
        await Projects(db, SEAL, elsewhere).change(project.id, by="test", sign_in=sign_in)
    with pytest.raises(Invalid):
        await Projects(db, SEAL).change(project.id, by="test", sign_in=said)


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
