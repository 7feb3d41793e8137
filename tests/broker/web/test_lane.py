"""The busiest address has a way of its own: nobody can tell, and nobody gets further by it."""

from __future__ import annotations

import pytest

from broker import app
from broker.db.database import Unavailable
from tests.faces import BASE_URL, Faces, faces

HEADERS = {"Content-Type": "application/json", "X-Request-Id": "same-for-all"}
OTHER = "POST", "/v1/resolve/explain"
ASKED = (
    b'{"connector": "None", "step": {"id": "s", "type": "t"}, "execution": {"id": "e"},'
    b' "subject": null}'
)


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (ASKED, {}, 200),
        (b"{}", {}, 422),
        (b"no json", {}, 400),
        (b'{"a": 1, "a": 2}', {}, 400),
        (b"[" * 100_000, {}, 400),
        (ASKED, {"Content-Type": "text/plain"}, 415),
        (ASKED, {"Content-Encoding": "gzip"}, 415),
        (ASKED, {"Authorization": "Bearer brk_none_none"}, 401),
        (b" " * 300_000, {}, 413),
    ],
)
async def test_its_answers_are_the_router_s(
    body: bytes,
    headers: dict[str, str],
    status: int,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Resolve is answered by the same endpoint and its refusals by the same tellers, whether it
    comes by the lane or, the lane leading elsewhere, by the router: status, headers, body.
    """
    answers = []
    for busiest in (app.BUSIEST, OTHER):
        monkeypatch.setattr(app, "BUSIEST", busiest)
        async with faces(database_url) as service:
            sent = HEADERS | await service.key("resolve") | headers
            answer = await service.client.post("/v1/resolve", content=body, headers=sent)
            assert answer.status_code == status, answer.text
            said = {k: v for k, v in answer.json().items() if k not in ("decision_id", "act")}
            answers.append((said, sorted(set(answer.headers) - {"content-length"})))
            assert service.seen[-1] == ("/v1/resolve", "POST", status)
    assert answers[0] == answers[1]


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


@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD"])
async def test_only_the_post_goes_there(method: str, service: Faces) -> None:
    """Every other method meets the router, which says what is allowed."""
    answer = await service.client.request(method, f"{BASE_URL}/v1/resolve")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"


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
