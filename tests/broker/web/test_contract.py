"""The faces held to openapi/broker.yaml: scopes, examples, strict bodies.

That each answer has the shape it should is seen by `tests.keeping`, here as everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import yaml

from broker.domain.callers import SCOPES
from tests.broker.web.preparing import UNPREPARED, Stage
from tests.broker.web.rehearsing import Rehearsal
from tests.faces import BROWSER, Faces
from tests.house.product import ROOT
from tests.keeping import METHODS, contract

NOBODY = "xxx_00000000000000000000000000"
LISTS = ("scopes", "users", "suffixes", "fields", "items")
"""Members that may be a list of objects."""


@dataclass(frozen=True)
class Operation:
    """One operation of the contract."""

    method: str
    path: str
    said: Any

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def id(self) -> str:
        """Its name, which stays."""
        return str(self.said["operationId"])

    @property
    def url(self) -> str:
        """The address, with an id that names nothing."""
        return re.sub(r"\{\w+\}", NOBODY, self.path)

    @property
    def scope(self) -> str | None:
        """The scope a key needs."""
        return next(iter(self.said.get("x-scopes", [])), None)

    @property
    def body(self) -> Any:
        """The example of the request, None where there is no body."""
        content = self.said.get("requestBody", {}).get("content", {})
        return content.get("application/json", {}).get("example")

    async def ask(
        self, client: httpx.AsyncClient, *, at: Stage | None = None, **more: Any
    ) -> httpx.Response:
        """Send the example; with the ids of a stage, where there is one."""
        more.setdefault("json", at.body(self.body) if at else self.body)
        if {"$ref": "#/components/parameters/ifMatchNeeded"} in self.said.get("parameters", []):
            more["headers"] = {"If-Match": "*"} | more.get("headers", {})
        if self.method == "delete":
            more["params"] = {"name": at.names.get("?name", "Salesforce") if at else "x"}
        if more["json"] is None:
            del more["json"]
        return await client.request(self.method, at.path(self.path) if at else self.url, **more)


def operations() -> Iterator[Operation]:
    """Every operation of `/v1`."""
    for path, item in contract().document["paths"].items():
        for method in item:
            if method in METHODS and path.startswith("/v1/"):
                yield Operation(method, path, item[method])


ALL = list(operations())
SCOPED = [each for each in ALL if each.scope]
FOR_ADMINISTRATORS = [each for each in ALL if each.said.get("security") == [{"session": []}]]
WITH_BODY = [each for each in ALL if isinstance(each.body, dict)]


def test_every_operation_is_scoped_or_an_administrators() -> None:
    """What a key may call names a scope that exists; everything else needs a session."""
    assert {str(each) for each in ALL} == {str(each) for each in [*SCOPED, *FOR_ADMINISTRATORS]}
    assert {each.scope for each in SCOPED} <= SCOPES


@pytest.mark.parametrize("operation", ALL, ids=str)
async def test_nobody_gets_nothing(service: Faces, operation: Operation) -> None:
    """Without a credential, with a wrong one, and with a SCIM token: 401 before anything else."""
    for headers in ({}, {"Authorization": "Bearer brk_x_y"}, {"Authorization": "Bearer brs_x_y"}):
        answer = await operation.ask(service.client, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("operation", SCOPED, ids=str)
async def test_a_key_needs_the_scope(service: Faces, operation: Operation) -> None:
    """A key with every scope but the one is told which one, and nothing happens."""
    headers = await service.key(*(SCOPES - {operation.scope}))
    answer = await operation.ask(service.client, headers=headers)
    assert answer.status_code == 403
    assert answer.json()["code"] == "insufficient-scope"
    assert str(operation.scope) in answer.json()["next"]


@pytest.mark.parametrize("operation", FOR_ADMINISTRATORS, ids=str)
async def test_a_key_is_no_administrator(service: Faces, operation: Operation) -> None:
    """Safety 27: administrators' acts need a session; a key with every scope gets 403."""
    headers = await service.key()
    answer = await operation.ask(service.client, headers=headers)
    assert answer.status_code == 403
    assert answer.json()["code"] == "administrator-needed"


@pytest.mark.parametrize("operation", ALL, ids=str)
async def test_every_example_succeeds(rehearsal: Rehearsal, operation: Operation) -> None:
    """api-conventions.md 10: each example is really sent, with the ids of a service that is
    prepared for it, and gets the answer that the contract begins with.
    """
    stage = Stage(rehearsal)
    await stage.set(operation.id)
    client, headers = rehearsal.service.client, dict(rehearsal.headers)
    if operation in FOR_ADMINISTRATORS:
        client, headers = await rehearsal.service.administrator(), dict(BROWSER)
        headers["Accept"] = "application/json"
    answer = await operation.ask(client, headers=headers, at=stage)
    promised = [int(status) for status in operation.said["responses"] if status < "300"]
    if operation.id in UNPREPARED:
        promised = [UNPREPARED[operation.id][0]]
    assert answer.status_code in promised, answer.text


@pytest.mark.parametrize("operation", WITH_BODY, ids=str)
async def test_an_unknown_member_is_refused(service: Faces, operation: Operation) -> None:
    """Unknown request fields are 422 with a pointer to them, whatever else is asked."""
    if operation in FOR_ADMINISTRATORS:
        client, headers = await service.administrator(), {"Sec-Fetch-Site": "same-origin"}
    else:
        client, headers = service.client, await service.key()
    body = operation.body | {"canary": 1}
    answer = await operation.ask(client, headers=headers, json=body)
    assert answer.status_code == 422
    assert "/canary" in [problem["pointer"] for problem in answer.json()["errors"]]


@pytest.mark.parametrize("operation", WITH_BODY, ids=str)
async def test_wrong_types_are_refused(service: Faces, operation: Operation) -> None:
    """A list where a value belongs is 422 with a pointer, never a fault of ours."""
    if operation in FOR_ADMINISTRATORS:
        client, headers = await service.administrator(), {"Sec-Fetch-Site": "same-origin"}
    else:
        client, headers = service.client, await service.key()
    for name in operation.body:
        wrong = [{"deep": 1}] if name not in LISTS else 7
        answer = await operation.ask(client, headers=headers, json=operation.body | {name: wrong})
        assert answer.status_code == 422, f"{name}: {answer.text}"
        pointers = [problem["pointer"] for problem in answer.json()["errors"]]
        assert any(pointer.startswith(f"/{name}") for pointer in pointers), pointers


CONFIGURED = ["patch", "delete", "put"]
CONFIGURATION = ("/v1/connectors/", "/v1/project", "/v1/webhooks/")
GRANTED = "/authorizations/"
"""What a person granted is nobody's configuration."""


@pytest.mark.parametrize(
    "operation",
    [
        each
        for each in ALL
        if each.method in CONFIGURED
        and each.path.startswith(CONFIGURATION)
        and GRANTED not in each.path
    ],
    ids=str,
)
async def test_a_configuration_write_names_its_version(
    service: Faces, operation: Operation
) -> None:
    """api.md "If-Match required on configuration writes": 428 without one, whatever else is sent
    (RFC 6585 §3); the contract marks the header as required.
    """
    client = await service.administrator()
    headers = {"Sec-Fetch-Site": "same-origin"}
    answer = await client.request(
        operation.method, operation.url, json=operation.body, headers=headers
    )
    assert answer.status_code == 428
    assert answer.json()["code"] == "if-match-needed"


async def test_no_answer_of_v1_is_kept(service: Faces) -> None:
    """Nothing on the way may store an answer: it may hold a secret (api-conventions.md 2)."""
    headers = await service.key()
    for path in ("/v1/users", "/v1/nothing", "/v1/licenses", "/v1/connector-types"):
        answer = await service.client.get(path, headers=headers)
        assert answer.headers["cache-control"] == "no-store"


async def test_the_contracts_are_served(service: Faces) -> None:
    """/openapi.json and /scim/openapi.json are the YAML files, as JSON."""
    for path, name in (("/openapi.json", "broker.yaml"), ("/scim/openapi.json", "scim.yaml")):
        answer = await service.client.get(path)
        assert answer.headers["content-type"] == "application/json"
        assert answer.json() == yaml.safe_load((ROOT / "openapi" / name).read_text())
