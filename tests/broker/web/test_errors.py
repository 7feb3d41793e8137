"""Problems as callers read them (RFC 9457, api-conventions.md section 8)."""

from __future__ import annotations

import pytest

from broker.db.database import Unavailable
from broker.domain import errors as ours
from broker.domain.errors import Unconfirmed
from broker.service.answering import Wait
from broker.service.occupied import Occupied
from broker.web import errors
from tests.faces import BROWSER, Faces

TELLING = {Wait, Occupied, Unconfirmed}
"""Made of what they tell: each is answered in a test of its own route."""


def every(kind: type[ours.BrokerError]) -> set[type[ours.BrokerError]]:
    """An error and all that specialize it."""
    return {kind}.union(*map(every, kind.__subclasses__()))


def test_every_code_has_its_status() -> None:
    """One table code → status, and no error of ours is missing in it."""
    assert Wait in every(ours.BrokerError)
    assert {error.code for error in every(ours.BrokerError)} == set(errors.STATUS)


@pytest.mark.parametrize("error", sorted(every(ours.BrokerError) - TELLING, key=str))
def test_a_problem_is_complete(error: type[ours.BrokerError]) -> None:
    """type, title, status, detail, code, retryable and request_id are in every problem."""
    said = errors.document(error(), "req_1")
    assert {"type", "title", "status", "detail", "code", "retryable", "request_id"} <= set(said)
    assert said["type"] == f"/problems/{said['code']}"
    assert "_" not in said["code"]


async def test_another_projects_thing_is_a_missing_thing(service: Faces) -> None:
    """Safety 3: the id of another project's person answers, byte for byte, like no id at all."""
    ids = await service.push(["kim@acme.example"])
    stranger = await service.key(project=await service.other_project())
    asked = stranger | {"X-Request-Id": "same-request"}
    theirs = await service.client.get(f"/v1/users/{ids['kim@acme.example']}", headers=asked)
    nobodys = await service.client.get("/v1/users/usr_00000000000000000000000000", headers=asked)
    assert theirs.status_code == nobodys.status_code == 404
    assert theirs.content == nobodys.content
    assert theirs.headers == nobodys.headers


async def test_a_wrong_method_says_which_are_right(service: Faces) -> None:
    """405 is a problem like any other, and carries every method of the address (RFC 9110 §15.5.6),
    also where each has a route of its own, or another route would take the word for an id.
    """
    for path, methods in {
        "/v1/resolve": "POST",
        "/v1/licenses": "GET, HEAD, PUT",
        "/v1/connectors/con_1": "DELETE, GET, HEAD, PATCH",
        "/v1/pauses/end": "POST",
    }.items():
        answer = await service.client.request("OPTIONS", path)
        assert answer.status_code == 405
        assert answer.headers["allow"] == methods
        assert answer.json()["code"] == "wrong-method"


async def test_an_unknown_address_is_a_problem(service: Faces) -> None:
    """404 for an address that leads nowhere; a slash too many is another address."""
    for path in ("/v1/nothing", "/v1/users/", "/v2/resolve"):
        answer = await service.client.get(path)
        assert answer.status_code == 404
        assert answer.json()["code"] == "no-route"


async def test_an_unknown_fault_says_nothing(
    service: Faces, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What nobody foresaw is `internal` with the request's id, and none of its own words."""

    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("canary-in-an-exception")

    headers = await service.key("users:read")
    monkeypatch.setattr(type(service.broker.licensing), "state", broken)
    answer = await service.client.get("/v1/licenses", headers=headers)
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal"
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert "canary" not in answer.text


async def test_a_database_that_is_away_says_when_to_come_back(
    service: Faces, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database's Unavailable is 503 with Retry-After, and the caller may ask again."""

    async def away(*_: object, **__: object) -> None:
        raise Unavailable("canary: disk full")

    headers = await service.key("users:read")
    monkeypatch.setattr(type(service.broker.licensing), "state", away)
    answer = await service.client.get("/v1/licenses", headers=headers)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["retryable"] is True
    assert "canary" not in answer.text


async def test_a_person_gets_a_page(service: Faces) -> None:
    """Where a browser asks, the same problem is a page with what to do."""
    answer = await service.client.get("/admin/directories", headers=BROWSER)
    assert answer.status_code == 401
    assert answer.headers["content-type"].startswith("text/html")
    assert "broker admin link" in answer.text
