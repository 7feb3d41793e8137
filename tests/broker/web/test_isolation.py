"""Walls (safety 1, 2, 3, 22): each route × each kind of object × a caller of another project.

The routes are read off the running service, so a new one is held to this without a word here.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import count, product
from typing import Any

import httpx
import pytest
import yaml
from starlette.routing import Route

from broker import app
from broker.db.database import Transaction
from broker.demo import simulator
from broker.domain import ids
from tests.broker.web.rehearsing import KIM, Rehearsal
from tests.faces import BROWSER, Faces, faces
from tests.house.product import ROOT

ID = re.compile(
    r"\b(?:[a-z]{3}_[0-9A-Z]{26}|ex-\d+|\d{4}-\d\d-\d\dT[\d:.]+Z|for (?:\d+ (?:s|min)|a moment))\b"
)
"""What differs each time: ids, times, and how long a banner's letters have waited."""
OWN = {
    "decisions": "dec",
    "pauses": "pse",
    "users": "usr",
    "directories": "dir",
    "runs": "run",
    "connectors": "con",
    "webhooks": "whk",
    "actions": "coupon",
}
"""Whose id a path names first, by where it stands."""
SECOND = {"user": "usr", "token": "tok", "n": "n", "coupon": "coupon"}
NAMED = {"user_id": "usr", "connector": "con", "link": "lnk", "directory": "dir", "group": "grp"}
"""Members of bodies, and parameters of queries, that name an object of a project."""
_executions = count()


@cache
def contract() -> Any:
    """openapi/broker.yaml."""
    return yaml.safe_load((ROOT / "openapi" / "broker.yaml").read_text())


@dataclass(frozen=True)
class Operation:
    """A route of `/v1` with a method, and the example of its body that the contract has."""

    method: str
    path: str

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def said(self) -> Any:
        """What the contract says of it."""
        return contract()["paths"][self.path][self.method.lower()]

    @property
    def body(self) -> Any:
        """The example of its body; None where it has none."""
        content = self.said.get("requestBody", {}).get("content", {})
        return content.get("application/json", {}).get("example")

    @property
    def parameters(self) -> list[tuple[str, str]]:
        """What its path names, in order, and the kind of each."""
        names = re.findall(r"\{(\w+)\}", self.path)
        first = OWN.get(self.path.split("/")[2], "")
        return [(name, first if n == 0 else SECOND[name]) for n, name in enumerate(names)]


def operations(service: Faces) -> list[Operation]:
    """Every operation of `/v1` that the service really routes."""
    routes = app.routes(service.broker, lambda: _ready())
    return [
        Operation(method, route.path)
        for route in routes
        if isinstance(route, Route) and route.path.startswith("/v1/")
        for method in sorted((route.methods or set()) - {"HEAD"})
    ]


async def _ready() -> None:
    return None


@dataclass
class Walls:
    """Two projects of one service: whose objects are named, and who names them."""

    service: Faces
    owner: Rehearsal
    objects: Mapping[str, str]
    other: Rehearsal
    own: Mapping[str, str]
    callers: Mapping[str, tuple[httpx.AsyncClient, dict[str, str]]]

    @staticmethod
    def url(path: str, named: Mapping[str, str]) -> str:
        """The address of a route, with what it names."""
        return re.sub(r"\{(\w+)(?::\w+)?\}", lambda found: named[found[1]], path)

    async def ask(
        self, who: str, operation: Operation, named: Mapping[str, str], **more: Any
    ) -> str:
        """The answer as a line: status, type and body, without what differs each time."""
        client, headers = self.callers[who]
        body = more.pop("body", operation.body)
        answer = await client.request(
            operation.method,
            self.url(operation.path, named),
            headers=headers | {"If-Match": "*"},
            params=more.pop("params", {"name": "x"} if operation.method == "DELETE" else None),
            **({} if body is None else {"json": body}),
            **more,
        )
        text = answer.text.replace(answer.headers["x-request-id"], "")
        return f"{answer.status_code} {answer.headers.get('content-type')} {ID.sub('…', text)}"

    async def kept(self) -> dict[str, list[Any]]:
        """Every row of the project whose objects are named, but for when its key was used."""

        def reading(tx: Transaction) -> dict[str, list[Any]]:
            found = {}
            for table in TABLES:
                sql = f"SELECT * FROM {table} WHERE project_id = :project"
                rows = tx.all(sql, project=self.owner.service.project)
                found[table] = sorted(str(dict(row)) for row in rows)
            return found

        return await self.service.broker.db.read(reading)


TABLES = (
    *("users", "tokens", "connectors", "connector_secrets", "links", "pauses", "decisions"),
    *("decision_lines", "actions", "directories", "directory_tokens", "runs", "records"),
    *("mappings", "licenses", "letters", "jobs", "tickets", "sessions", "webhooks", "deliveries"),
    *("resources", "logons", "invitations"),
)


async def objects(at: Rehearsal) -> dict[str, str]:
    """One object of every kind there is, by the prefix of its id."""
    post, get = at.post, at.service.client.get
    paused = await at.resolve(KIM, f"ex-{next(_executions):05}")
    directory = (await get("/v1/directories", headers=at.headers)).json()["items"][0]
    token = await post(f"/v1/directories/{directory['id']}/tokens", {})
    scim = {"Authorization": f"Bearer {token.json()['token']}"}
    grouped = await at.service.client.post(
        f"/scim/v2/{directory['id']}/Groups",
        json={"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "All"},
        headers=scim | {"Content-Type": "application/scim+json"},
    )
    action = {"items": {}, "evidence": {"type": "none"}, "suffixes": []}
    coupon = (await post("/v1/actions/AuthenticateUser", action)).json().get("actionCoupon")
    browser = await administrator(at)
    hook = {"url": "https://flows.acme.example/hook", "types": ["pause.*"]}
    made = await browser.post("/v1/webhooks", json=hook, headers={"Accept": "application/json"})
    await browser.aclose()
    runs = (await get("/v1/runs", headers=at.headers)).json()["items"]
    return {
        "dec": paused["decision_id"],
        "pse": paused["pause"]["id"],
        "usr": at.id(KIM),
        "con": at.connector,
        "lnk": (await at.link(KIM)).rpartition("/")[2],
        "dir": directory["id"],
        "tok": token.json()["id"],
        "grp": grouped.json()["id"],
        "run": runs[0]["id"],
        "whk": made.json()["id"],
        "coupon": str(coupon or 1),
        "n": "1",
    }


async def administrator(at: Rehearsal) -> httpx.AsyncClient:
    """A browser of its own with an administrator's session of that project."""
    browser = at.browser()
    secret = await at.service.broker.callers.setup_link(at.service.project)
    assert (await browser.post(f"/setup/{secret}")).status_code == 303
    return browser


def missing(kind: str) -> str:
    """An id of that kind that names nothing."""
    return "999999" if kind in ("coupon", "n") else ids.new(kind)


@pytest.fixture
async def walls(database_url: str) -> AsyncIterator[Walls]:
    """Each project has all that the other has, and its own people and connector by their names."""
    async with (
        simulator.serving() as pretend,
        faces(database_url, simulator_url=pretend.base_url) as service,
    ):
        owner = await Rehearsal.set_up(service, pretend)
        elsewhere = Faces(service.broker, service.client, await service.other_project())
        other = await Rehearsal.set_up(elsewhere, pretend)
        first = await objects(owner)
        second = await objects(other) | {"coupon": missing("coupon"), "n": missing("n")}
        browser = await administrator(other)
        as_admin = BROWSER | {"Accept": "application/json"}
        callers = {"key": (service.client, other.headers), "administrator": (browser, as_admin)}
        yield Walls(service, owner, first, other, second, callers)
        await browser.aclose()


async def test_another_projects_object_is_a_missing_one_in_every_path(walls: Walls) -> None:
    """Safety 3: 404 with the bytes of a thing that never was (request_id aside), for a key and an
    administrator's session of another project, whatever kind of thing is named in each place of
    the path, the other places with the caller's own; and nothing of the owner's has changed.
    """
    before, tried = await walls.kept(), 0
    for operation in operations(walls.service):
        own = {name: walls.own[kind] for name, kind in operation.parameters}
        for (name, expected), who in product(operation.parameters, walls.callers):
            never = await walls.ask(who, operation, own | {name: missing(expected)})
            refused = "administrator-needed" in never
            assert refused or never.startswith("404 "), f"{who}: {operation}: {never}"
            for kind, id in walls.objects.items():
                answer = await walls.ask(who, operation, own | {name: id})
                assert answer == never, f"{who}: {operation} with {kind} for {name}"
                tried += 1
    assert tried > 1_000
    assert await walls.kept() == before


async def test_another_projects_object_is_a_missing_one_on_every_page(walls: Walls) -> None:
    """Safety 3: the pages of administrators too: what another project has is not there, the bytes
    of the page aside from its request_id, whether they look or press a button.
    """
    browser, _ = walls.callers["administrator"]
    before, looked = await walls.kept(), 0
    for route in app.routes(walls.service.broker, lambda: _ready()):
        if not isinstance(route, Route) or not re.match(r"/admin/[a-z]+/\{id\}", route.path):
            continue
        kinds = {"people": "usr"} | OWN
        kind = kinds[route.path.split("/")[2]]
        for method in sorted((route.methods or set()) - {"HEAD"}):
            told = []
            for id in (walls.objects[kind], missing(kind)):
                named = {"id": id, "token": walls.objects["tok"], "number": "1"}
                path = walls.url(route.path, named)
                answer = await browser.request(method, path, headers=BROWSER)
                text = answer.text.replace(answer.headers["x-request-id"], "").replace(id, "…")
                told.append((answer.status_code, ID.sub("…", text)))
            assert told[0] == told[1], f"{method} {route.path}"
            assert told[0][0] in ((404,) if method == "GET" else (404, 422)), f"{method} {path}"
            looked += 1
    assert looked >= 15
    assert await walls.kept() == before


def in_bodies(operation: Operation) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Where the example of a body names an object, and its kind."""

    def walk(said: Any, at: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
        if isinstance(said, dict):
            for name, value in said.items():
                if name in NAMED and isinstance(value, str):
                    yield (*at, name), NAMED[name]
                elif name == "subject":
                    yield (*at, name), "subject"
                elif name == "users" and isinstance(value, list):
                    yield (*at, name, 0), "usr"
                else:
                    yield from walk(value, (*at, name))
        elif isinstance(said, list):
            for n, value in enumerate(said):
                yield from walk(value, (*at, n))

    yield from walk(operation.body, ())


def said_with(body: Any, at: tuple[str | int, ...], value: Any, execution: str) -> Any:
    """The body with another value there, and an execution of its own."""
    changed = json.loads(json.dumps(body))
    inner = changed
    for step in at[:-1]:
        inner = inner[step]
    inner[at[-1]] = value
    for each in (changed, changed.get("defaults", {})) if isinstance(changed, dict) else ():
        if "execution" in each:
            each["execution"]["id"] = execution
    return changed


async def test_another_projects_object_is_a_missing_one_in_every_body(walls: Walls) -> None:
    """Safety 3: the same where a body names it: links, sessions, subjects, flags, bulk changes."""
    before, tried = await walls.kept(), set[str]()
    for operation in operations(walls.service):
        path = {name: walls.own[kind] for name, kind in operation.parameters}
        for at, kind in in_bodies(operation):
            told = []
            of = "usr" if kind == "subject" else kind
            for id in (walls.objects[of], missing(of)):
                value = {"user_id": id} if kind == "subject" else id
                body = said_with(operation.body, at, value, f"ex-{next(_executions):05}")
                for who in walls.callers:
                    told.append((who, await walls.ask(who, operation, path, body=body)))
            half = len(told) // 2
            assert told[:half] == told[half:], f"{operation} with {kind} at {at}"
            tried.add(str(operation))
    assert {"POST /v1/links", "POST /v1/connect-sessions", "POST /v1/resolve"} <= tried
    assert len(tried) >= 10
    assert await walls.kept() == before


async def test_another_projects_object_is_a_missing_one_in_every_query(walls: Walls) -> None:
    """Safety 3: a list that is narrowed to it is as empty as one narrowed to nothing."""
    tried = 0
    for operation in operations(walls.service):
        path = {name: walls.own[kind] for name, kind in operation.parameters}
        for parameter in operation.said.get("parameters", []):
            kind = NAMED.get(parameter.get("name", ""))
            if kind is None or parameter["in"] != "query":
                continue
            for who in walls.callers:
                answers = [
                    await walls.ask(who, operation, path, params={parameter["name"]: id})
                    for id in (walls.objects[kind], missing(kind))
                ]
                assert answers[0] == answers[1], f"{operation} by {parameter['name']}"
                tried += 1
    assert tried >= 6


async def test_no_list_shows_another_projects_object(walls: Walls) -> None:
    """Safety 2: whatever a route lists, no id of the other project is in it."""
    lists = [each for each in operations(walls.service) if each.method == "GET"]
    for operation in lists:
        path = {name: walls.own[kind] for name, kind in operation.parameters}
        client, headers = walls.callers["key"]
        answer = await client.get(walls.url(operation.path, path), headers=headers)
        for kind, id in walls.objects.items():
            if kind not in ("coupon", "n"):
                assert id not in answer.text, f"{operation} shows {kind}"


async def test_a_limited_key_learns_nothing_of_other_connectors(walls: Walls) -> None:
    """Safety 3, 22: where a connector is named, one that it is not for and one that is not there
    answer alike; where it is meant by its id, nothing is done and nothing of it is told.
    """
    service, mine = walls.service, walls.other.service
    limited = await mine.key(connectors=["Another"])
    client = service.client
    for operation in operations(service):
        path = {name: walls.own[kind] for name, kind in operation.parameters}
        for at, kind in in_bodies(operation):
            if kind != "con":
                continue
            told = []
            for name in ("Salesforce", "Nothingsuch"):
                body = said_with(operation.body, at, name, f"ex-{next(_executions):05}")
                url = walls.url(operation.path, path)
                answer = await client.request(operation.method, url, json=body, headers=limited)
                text = answer.text.replace(answer.headers["x-request-id"], "")
                told.append((answer.status_code, ID.sub("…", text).replace(name, "…")))
            assert told[0] == told[1], f"{operation}: {told}"
        if operation.path.startswith("/v1/connectors/{id}"):
            answer = await client.request(
                operation.method,
                walls.url(operation.path, path),
                headers=limited | {"If-Match": "*"},
                **({} if operation.body is None else {"json": operation.body}),
            )
            assert answer.status_code == 403, f"{operation}: {answer.text}"
            assert "Salesforce" not in answer.text


SCIM: dict[str, dict[str, Any]] = {
    "GET": {},
    "DELETE": {},
    "PUT": {"userName": "kim", "displayName": "All"},
    "PATCH": {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": "replace", "path": "externalId", "value": "x"}],
    },
}
"""What is sent by each method."""


async def test_a_directorys_token_meets_missing_things_elsewhere(walls: Walls) -> None:
    """Safety 1: an id of another project, or of another directory of the project, is a missing
    id in its bytes, whatever is done to it; another directory's address is 401 like one that is
    none. What was tried stands in the trying directory's own run, and nowhere else.
    """
    broker, client = walls.service.broker, walls.service.client
    made, token = await broker.configuring.add(walls.owner.service.project, "Second", by="test")
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/scim+json"}
    before = await walls.kept()

    async def ask(method: str, type: str, directory: str, id: str) -> str:
        core = [f"urn:ietf:params:scim:schemas:core:2.0:{type}"]
        body: dict[str, Any] = {"schemas": core} | SCIM[method]
        answer = await client.request(
            method, f"/scim/v2/{directory}/{type}s/{id}", headers=headers, json=body
        )
        text = answer.text.replace(answer.headers["x-request-id"], "").replace(id, "…")
        return f"{answer.status_code} {answer.headers['content-type']} {ID.sub('…', text)}"

    for method, (type, kind) in product(SCIM, (("User", "usr"), ("Group", "grp"))):
        for theirs in (walls.objects[kind], walls.own[kind]):
            answer = await ask(method, type, made.id, theirs)
            assert answer == await ask(method, type, made.id, ids.new(kind))
            assert answer.startswith("404 ")
            for directory in (walls.objects["dir"], walls.own["dir"]):
                answer = await ask(method, type, directory, theirs)
                assert answer == await ask(method, type, ids.new("dir"), ids.new(kind))
                assert answer.startswith("401 ")
    after = await walls.kept()
    for table in before.keys() - {"runs", "records"}:
        assert after[table] == before[table], table
