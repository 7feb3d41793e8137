"""The door: Host, request id, access line (safety 32)."""

from __future__ import annotations

from typing import Any

import pytest
import structlog

from broker.web import door
from tests.faces import Faces


async def test_another_host_is_misdirected(service: Faces) -> None:
    """Only the public address's host is served: 421 for another, whatever the route."""
    for path in ("/v1/users", "/scim/v2/dir_x/Users", "/openapi.json", "/"):
        answer = await service.client.get(path, headers={"Host": "evil.example"})
        assert answer.status_code == 421
        assert answer.json()["code"] == "misdirected"


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_probes_come_by_address(service: Faces, path: str) -> None:
    """Health and readiness answer under any name."""
    answer = await service.client.get(path, headers={"Host": "10.1.2.3:8080"})
    assert answer.status_code == 200


@pytest.mark.parametrize("given", ["a" * 8, "0123.abc:DEF_-", "x" * 128])
async def test_a_safe_request_id_is_kept(service: Faces, given: str) -> None:
    """The caller's X-Request-Id comes back, in the header and in a problem."""
    answer = await service.client.get("/v1/users", headers={"X-Request-Id": given})
    assert answer.headers["x-request-id"] == given
    assert answer.json()["request_id"] == given


@pytest.mark.parametrize(
    "given", ["short", "x" * 129, "two words here", "naïve-request", "a\tb-----"]
)
async def test_another_one_is_replaced(service: Faces, given: str) -> None:
    """What is too short, too long or unsafe is replaced by an id of ours."""
    headers = [(b"Host", b"127.0.0.1:8080"), (b"X-Request-Id", given.encode())]
    answer = await service.client.get("/v1/users", headers=headers)
    assert answer.headers["x-request-id"].startswith("req_")


async def test_the_access_line_holds_the_template_and_no_query(service: Faces) -> None:
    """Route template, method, status, milliseconds; never what the address named or asked."""
    with structlog.testing.capture_logs() as lines:
        await service.client.get("/v1/users/usr_canary?limit=canary")
        await service.client.get("/scim/v2/canary/Users/canary?filter=canary")
        await service.client.get("/canary")
    told = [line for line in lines if line["event"] == "request"]
    assert [line["route"] for line in told] == [
        "/v1/users/{id}",
        "/scim/v2/{directory}/Users/{id}",
        "-",
    ]
    assert "canary" not in str(told)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/scim/v2/dir_1/Users", "/scim/v2/{directory}/Users"),
        ("/scim/v2/dir_1/Users/usr_1", "/scim/v2/{directory}/Users/{id}"),
        ("/scim/v2/dir_1/Users/.search", "/scim/v2/{directory}/Users/.search"),
        ("/scim/v2/dir_1/.search", "/scim/v2/{directory}/.search"),
        ("/scim/v2/dir_1/Secrets", "/scim/v2/{directory}/{type}"),
        ("/scim/v2/dir_1", "/scim/v2/{directory}"),
        ("/scim/v2/dir_1/Users/a/b", "-"),
    ],
)
def test_a_scim_address_has_a_closed_template(path: str, expected: str) -> None:
    """Safety 39: no id and no name of a caller becomes a label."""
    assert door.template({"path": path}) == expected


async def test_a_change_wakes_the_worker(service: Faces) -> None:
    """After a request that may have left work behind the worker looks at once."""
    worker = service.broker.worker
    worker.woken.clear()
    await service.client.get("/v1/users")
    assert not worker.woken.is_set()
    await service.client.post("/v1/resolve")
    assert worker.woken.is_set()


async def test_an_error_after_the_answer_began_is_told_once() -> None:
    """A fault in the middle of an answer is logged, and no second answer begins."""
    sent: list[dict[str, Any]] = []

    async def inside(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("canary")

    async def send(message: Any) -> None:
        sent.append(dict(message))

    async def receive() -> Any:
        return {"type": "http.request"}

    at = door.Door(inside, host="a", seen=lambda *_: None, changed=lambda: None)
    scope = {"type": "http", "path": "/x", "method": "GET", "headers": [(b"host", b"a")]}
    with structlog.testing.capture_logs() as lines:
        await at(scope, receive, send)
    assert [message["type"] for message in sent] == ["http.response.start"]
    assert [line["event"] for line in lines] == ["unexpected", "request"]
