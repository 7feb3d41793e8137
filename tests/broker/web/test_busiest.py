"""The busiest address: what it says when something is away, and to whom it says nothing more."""

from __future__ import annotations

import pytest

from broker.db.database import Unavailable
from tests.faces import Faces, faces

HEADERS = {"Content-Type": "application/json", "X-Request-Id": "same-for-all"}
ASKED = (
    b'{"connector": "None", "step": {"id": "s", "type": "t"}, "execution": {"id": "e"},'
    b' "subject": null}'
)


async def test_what_nobody_knows_is_told_by_the_door(
    service: Faces, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error no teller knows is a 500 with its request's id; a database that is away, 503."""
    headers = HEADERS | await service.key("resolve")
    for error, status in ((RuntimeError("boom"), 500), (Unavailable("gone"), 503)):

        async def failing(*_: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(type(service.broker.db), "write", failing)
        answer = await service.client.post("/v1/resolve", content=ASKED, headers=headers)
        assert answer.status_code == status
        assert answer.json()["request_id"] == HEADERS["X-Request-Id"]
        assert "boom" not in answer.text


async def test_a_key_revoked_elsewhere_resolves_nothing_more(database_url: str) -> None:
    """Safety 24: a key this process knows well is read again in the transaction of each resolve,
    so one that another process revoked gets 401 at its very next question.
    """
    async with faces(database_url) as here, faces(database_url) as elsewhere:
        headers = HEADERS | await here.key("resolve")
        for _ in range(3):
            answer = await here.client.post("/v1/resolve", content=ASKED, headers=headers)
            assert answer.status_code == 200, answer.text
        (known,) = await here.broker.callers.keys(here.project)
        await elsewhere.broker.callers.revoke_key(here.project, known["id"], by="test")
        answer = await here.client.post("/v1/resolve", content=ASKED, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "unknown-key")
