"""The door: Host, request id, access line (safety 32)."""

from __future__ import annotations

from typing import Any

import pytest
import structlog

from broker.web import door
from tests.faces import Faces, faces


async def test_another_host_is_misdirected(service: Faces) -> None:
    """Only the public address's host is served: 421 for another, whatever the route."""
    for path in ("/v1/users", "/scim/v2/dir_x/Users", "/openapi.json", "/"):
        answer = await service.client.get(path, headers={"Host": "evil.example"})
        assert answer.status_code == 421
        assert answer.json()["code"] == "misdirected"


@pytest.mark.parametrize("path", ["/v1/users", "/scim/v2/dir_x/Users", "/healthz"])
@pytest.mark.parametrize("hosts", [("127.0.0.1:8080", "evil.example"), ("127.0.0.1:8080",) * 2])
async def test_two_hosts_are_none(service: Faces, path: str, hosts: tuple[str, ...]) -> None:
    """Safety 32, RFC 9112 §3.2: a second Host is 400, whichever stands last."""
    headers = [(b"Host", host.encode()) for host in hosts]
    for order in (headers, headers[::-1]):
        answer = await service.client.get(path, headers=order)
        assert answer.status_code == 400
        assert answer.json()["code"] == "host-repeated"


@pytest.mark.parametrize(
    ("method", "address", "status"),
    [
        ("GET", "/connect/%00", 404),
        ("GET", "/signin?link=%00", 422),
        ("GET", "/v1/users/%00", 404),
        ("GET", "/v1/users?cursor=%00", 422),
        ("POST", "/v1/users/%00/suspend", 404),
        ("DELETE", "/v1/connectors/a%00b?name=%00", 404),
        ("GET", "/v1/users?cursor=%2500", 200),
    ],
)
async def test_an_address_with_u0000_names_nothing(
    database_url: str, method: str, address: str, status: int
) -> None:
    """api.md "4xx means the question was wrong": on both engines, with and without a key."""
    async with faces(database_url) as at:
        key = await at.key()
        for headers in (key, {}) if status != 200 else (key,):
            answer = await at.client.request(method, address, headers=headers)
            assert answer.status_code == status, answer.text


@pytest.mark.parametrize("address", ["%00/Users", "dir_x/Users/%00", "dir_x/Users?filter=%00"])
async def test_an_identity_provider_reads_scim_errors(database_url: str, address: str) -> None:
    """R103: U+0000 below /scim is answered by the protocol's own error, never a fault of ours."""
    async with faces(database_url) as at:
        made, token = await at.broker.configuring.add(at.project, "Acme", by="test")
        headers = {"Authorization": f"Bearer {token}"}
        url = f"/scim/v2/{address.replace('dir_x', made.id)}"
        answer = await at.client.get(url, headers=headers)
        assert answer.status_code in (400, 401, 404), answer.text
        assert answer.headers["content-type"].startswith("application/scim+json")


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
    worker.woken.clear()
    await service.client.get("/oauth/callback/con_x")  # readies what waits (P2)
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
