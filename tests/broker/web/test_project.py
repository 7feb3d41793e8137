"""The project's face: what is not said stays, and no secret follows to another issuer."""

from __future__ import annotations

from typing import Any

from tests.faces import Faces

ISSUER = {"issuer": "https://login.example", "client_id": "broker"}
ANY = {"If-Match": "*"}
WHOLE = ISSUER | {"client_secret": "canary", "claim": "oid=externalId"}


async def put(service: Faces, oidc: dict[str, Any]) -> dict[str, Any]:
    """What the project says of its issuer after that change."""
    browser = await service.administrator()
    answer = await browser.put("/v1/project", json={"oidc": oidc}, headers=ANY)
    assert answer.status_code == 200, answer.text
    assert "canary" not in answer.text
    said: dict[str, Any] = answer.json()["oidc"]
    return said


async def test_what_is_not_said_of_the_issuer_stays(service: Faces) -> None:
    """building.md, "Sign-in": secret and claim stay unsaid; an explicit null clears the claim."""
    await put(service, WHOLE)
    kept = await put(service, ISSUER)
    assert (kept["client_secret"], kept["claim"]) == ({"has_value": True}, "oid=externalId")
    cleared = await put(service, ISSUER | {"claim": None})
    assert (cleared["client_secret"], cleared["claim"]) == ({"has_value": True}, None)


async def test_the_answer_says_that_a_secret_was_dropped(service: Faces) -> None:
    """Safety 18: another issuer does not get the secret of the one before."""
    await put(service, WHOLE)
    moved = await put(service, ISSUER | {"issuer": "https://other.example"})
    assert (moved["client_secret"], moved["claim"]) == ({"has_value": False}, None)


async def test_a_plain_issuer_is_refused_where_it_is_said(service: Faces) -> None:
    """Safety 18: 422 with the place and what to do, instead of a 503 at each sign-in."""
    browser = await service.administrator()
    oidc = ISSUER | {"issuer": "http://login.example"}
    answer = await browser.put("/v1/project", json={"oidc": oidc}, headers=ANY)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "issuer-refused")
    assert [each["pointer"] for each in problem["errors"]] == ["/oidc/issuer"]
    assert problem["next"]
    assert (await browser.get("/v1/project")).json()["oidc"] is None


async def test_a_change_names_the_version_it_was_made_for(service: Faces) -> None:
    """api.md "If-Match required on configuration writes": of two administrators who read the same
    project one is told 412, and reads again; whatever is said of it is a further version.
    """
    browser = await service.administrator()
    seen = (await browser.get("/v1/project")).headers["etag"]
    first = await browser.put("/v1/project", json={"suffixes": ["EHR"]}, headers={"If-Match": seen})
    assert first.headers["etag"] != seen
    second = await browser.put("/v1/project", json={"oidc": WHOLE}, headers={"If-Match": seen})
    assert (second.status_code, second.json()["code"]) == (412, "project-changed")
    now = await browser.get("/v1/project")
    assert (now.headers["etag"], now.json()["oidc"]) == (first.headers["etag"], None)
