"""Test and Check over `/v1` (R50 to R56, T6)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from broker.demo.data import CLIENT_ID
from broker.service.testing import MOST
from tests import engines
from tests.broker.web.rehearsing import Rehearsal
from tests.canaries import planted
from tests.faces import faces

TYPED = planted("typed")


def form(secret: str | None, **more: Any) -> dict[str, Any]:
    """What the page sends."""
    fields = {"client_id": CLIENT_ID, "client_secret": secret}
    return {"type": "salesforce", "environment": {"name": "rehearsal"}, "fields": fields} | more


async def test_a_test_is_answered_whatever_came_of_it(rehearsal: Rehearsal) -> None:
    """R55: a bad result is an answer, 200, with its class; the typed secret is not in it."""
    answer = await rehearsal.post("/v1/connectors/test", form(TYPED))
    said = answer.json()
    assert (answer.status_code, said["passed"], said["class"]) == (
        200, False, "client-misconfigured"
    )  # fmt: skip
    assert TYPED not in answer.text


async def test_a_blank_field_that_is_saved_is_422(rehearsal: Rehearsal) -> None:
    """R51: the pointer names the field."""
    said = form(None, connector=rehearsal.connector)
    answer = await rehearsal.post("/v1/connectors/test", said)
    assert (answer.status_code, answer.json()["code"]) == (422, "protected-fields-needed")
    assert [one["pointer"] for one in answer.json()["errors"]] == ["/fields/client_secret"]


async def test_the_eleventh_of_a_minute_is_429(rehearsal: Rehearsal) -> None:
    """stack.md: 429 says when to come back; Test and Check count together."""
    for _ in range(MOST):
        checked = await rehearsal.post(f"/v1/connectors/{rehearsal.connector}/check", {})
        assert (checked.status_code, checked.json()["passed"]) == (200, True)
    late = await rehearsal.post("/v1/connectors/test", form(TYPED))
    assert (late.status_code, late.json()["code"]) == (429, "too-many-tests")
    assert late.json()["retryable"] is True
    assert 1 <= int(late.headers["retry-after"]) <= 60


async def test_the_operators_relays_are_offered(
    sqlite_engine: engines.SqliteEngine, tmp_path: Path
) -> None:
    """R37, R42: BROKER_RELAYS fills Relay Options of every type; without it there are none."""
    for relays in ({"site": "http://10.1.0.9:3128"}, {}):
        with sqlite_engine.database(tmp_path) as url:
            async with faces(url, relays=relays) as service:
                key = await service.key()
                answer = await service.client.get("/v1/connector-types", headers=key)
        for type in answer.json()["items"]:
            [section] = [one for one in type["sections"] if one["title"] == "Relay Options"] or [{}]
            fields = section.get("fields", [])
            assert [one["name"] for one in fields] == (["relay"] if relays else [])
