"""One journey through all faces at debug level, with secrets planted wherever one can be."""

from __future__ import annotations

import html
import re
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from broker.db.database import Transaction
from broker.db.schema import metadata
from broker.demo.sharepoint import sid
from broker.demo.world import Answer
from tests import canaries, engines, farm
from tests.canaries import CANARY, HANDED, planted, seen
from tests.journeys.stage import ANA, KIM, Stage, stage
from tests.programs import CLIENT, FILE, ROBOT, Way, ways
from tests.waiting import until

REHEARSAL = {"name": "rehearsal"}
LINK = re.compile(r'(?:href|action)="(/admin[^"#]*)"')
MOST_PAGES = 120
LISTS = (
    *("users", "user-authentication", "licenses", "licenses/queue", "directories", "adoptions"),
    *("runs", "connector-types", "connectors", "project", "decisions", "pauses", "actions"),
)


async def test_no_secret_is_seen(database_url: str, tmp_path: Path) -> None:
    """Promises 13, 16, 17; R44, R45: SCIM, API, pages, OAuth with every kind of program, command
    line, metrics and logs at debug: of client secrets, passwords, private keys, refresh tokens,
    codes, API keys and SCIM tokens nothing is in an answer, a page, a log line, the audit, or the
    bytes of the database; access tokens leave in the answer to resolve alone.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = {"BROKER_METRICS_PORT": str(port), "BROKER_PROGRAMS": str(FILE)}
    async with stage(tmp_path, database_url, **settings) as on:
        walk = Walk(on, database_url)
        await walk.people()
        await walk.directory()
        for way in ways(on.simulator, on.broker.base_url):
            await walk.program(way)
        await walk.echoes()
        assert await walk.pages() > 20
        await walk.faces()
        await walk.commands()
        async with httpx.AsyncClient() as client:
            said = await client.get(f"http://127.0.0.1:{port}/metrics")
        assert "broker_requests_total" in said.text
        kept, logs = await dump(database_url), on.broker.logs.encode()
        assert CLIENT.encode() in kept  # what is no secret shows in a dump that reads everything
        assert b"connector.secret.opened" in kept
        assert b"/v1/resolve" in logs
        for text in (kept, logs, said.content):
            assert [mark for mark in walk.secrets() if seen(text, mark)] == []
    assert canaries.found() is None


@dataclass
class Walk:
    """Everybody who hands in a secret, and everywhere somebody could show it."""

    on: Stage
    url: str
    connected: dict[str, str] = field(default_factory=dict)
    kim: str = ""

    def secrets(self) -> list[str]:
        """What must not be anywhere: the marks, part of the private key, our own credentials."""
        key = farm.signed()[1].splitlines()[5]
        headers = (self.on.engine.headers, self.on.scim.headers)
        ours = [str(each["authorization"]).rpartition("_")[2] for each in headers]
        return [CANARY, HANDED, key, *ours, *self.on.admin.client.cookies.values()]

    async def sent(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """What the administrator's browser sends to /v1."""
        url = f"{self.on.broker.base_url}/v1/{path}"
        headers = {"If-Match": "*"}
        return await self.on.admin.client.request(method, url, json=body, headers=headers)

    async def done(self, method: str, path: str, body: Any = None) -> Any:
        """The same, where it has to work."""
        answer = await self.sent(method, path, body)
        assert answer.is_success, f"{method} {path}: {answer.text}"
        return answer.json() if answer.content else None

    async def people(self) -> None:
        """A push brings passwords, and somebody a logon; a filter asks for one."""
        for person in (KIM, ANA):
            pushed = await self.on.scim.post(
                "/Users", json=person.document() | {"password": planted("of-a-person")}
            )
            assert pushed.status_code == 201, pushed.text
        self.kim = await self.id_of(KIM.user_name)
        patch = {"op": "replace", "path": "password", "value": planted("another")}
        body = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [patch]}
        assert (await self.on.scim.patch(f"/Users/{self.kim}", json=body)).is_success
        asked = {"filter": f'password eq "{planted("asked")}"'}
        assert (await self.on.scim.get("/Users", params=asked)).status_code >= 400
        login = {"subject": {"user_name": KIM.user_name}}
        assert (await self.on.engine.post("/v1/logins", json=login)).json()["status"] == "active"
        await self.done("PUT", "project", {"suffixes": [farm.SUFFIX]})
        await self.done(
            "PUT", f"users/{self.kim}/logons", {"logons": {farm.SUFFIX: sid(KIM.number)}}
        )

    async def id_of(self, name: str) -> str:
        """Who somebody is to us."""
        found = await self.on.scim.get("/Users", params={"filter": f'userName eq "{name}"'})
        return str(found.json()["Resources"][0]["id"])

    async def directory(self) -> None:
        """A directory that is read with a token, first with one that nobody knows there."""
        hr = self.on.simulator.hr
        fields = {"base_url": hr.url, "token": planted("hr")}
        said = {"name": "HR", "source": {"kind": "scim", "fields": fields}}
        made = await self.done("POST", "directories", said)
        for known in (False, True):
            if known:
                hr.tokens.add(planted("hr"))
            run = (await self.done("POST", f"directories/{made['id']}/syncs", {}))["id"]

            async def ended(run: str = run) -> bool:
                return bool((await self.done("GET", f"runs/{run}"))["state"] != "running")

            await until(ended, within_s=60)

    async def program(self, way: Way) -> None:
        """The wizard with a wrong secret and the right one, Test, Check, people, a refresh, a 401
        report, what the form says of it all, and a disconnect.
        """
        place = {"type": way.type, "integration": way.integration, "environment": REHEARSAL}
        typed = {name: value for name, value in place.items() if value is not None}
        await self.sent("POST", "connectors/test", typed | {"fields": way.fields})
        wrong = {name: f"wrong-{value}" for name, value in way.fields.items() if marked(value)}
        await self.sent("POST", "connectors/test", typed | {"fields": way.fields | wrong})
        id = (await self.done("POST", "connectors", way.form))["id"]
        answer = await self.sent("POST", f"connectors/{id}/authorize", {})
        assert answer.is_success, f"{way.name}: {answer.text}"
        assert (answer.json()["url"] is None) is way.minted, f"{way.name}: {answer.text}"
        if not way.minted:
            back = await self.on.allow(self.on.admin, answer.json()["url"], ROBOT)
            assert back.is_success, back.text
        connected = await self.done("POST", f"connectors/{id}/connect")
        assert connected["state"] == "connected", connected
        await self.sent("POST", f"connectors/{id}/check")
        self.connected[way.name] = id
        if way.people:
            await self.on.switch(id, enabled=True, policy="pause")
            await self.person(way, id)
        else:
            assert (await self.resolved(way, None))["credential"]["access_token"]
        await self.done("GET", f"connectors/{id}")

    async def person(self, way: Way, id: str) -> None:
        """Kim denies, then allows; a step runs as Kim, before and after a refresh; Kim leaves."""
        subject = {"user_name": KIM.user_name}
        asked = await self.resolved(way, subject, interactive=True)
        browser = self.on.browser()
        await self.on.sign_in(browser, asked["link"]["url"], KIM)
        await self.on.allow(browser, asked["link"]["url"], KIM.user_name, "deny")
        asked = await self.resolved(way, subject, interactive=True, attempt=2)
        await self.on.allow(browser, asked["link"]["url"], KIM.user_name)
        for attempt in range(2):
            answer = await self.resolved(way, subject, attempt=attempt + 3)
            assert answer["credential"]["access_token"], answer
            await written(self.url, "UPDATE tokens SET expires_at = 1")
        await self.sent("GET", f"connectors/{id}/authorizations")
        body = {"subject": {"user_id": self.kim}, "refresh_token": planted("imported")}
        await self.on.engine.post(f"/v1/connectors/{id}/grants", json=[body])
        rejected = f"/v1/decisions/{answer['decision_id']}/rejected"
        await self.on.engine.post(rejected, json={"version": answer.get("version", 1)})

    async def resolved(self, way: Way, subject: Any, **more: Any) -> dict[str, Any]:
        """Who a step runs as."""
        said = {"connector": way.name, "type": way.step, "execution": f"r-{way.name}"}
        return await self.on.decided(subject, **(said | more))

    async def echoes(self) -> None:
        """A program that says back what it was sent: tokens and the client secret."""
        subject, state = {"user_name": KIM.user_name}, self.on.simulator.salesforce
        way = next(way for way in ways(self.on.simulator, self.on.broker.base_url))
        tokens = ", ".join(f"{one.refresh_token} {[*one.access]}" for one in state.living())
        told = f"no {tokens} of {way.fields['client_secret']} here"
        bodies = {"error": "odd_error", "error_description": told, "error_uri": told}
        state.switches.answers = {**state.switches.answers, "echo": Answer(400, bodies)}
        for endpoint in ("token", "userinfo", "introspect", "revoke"):
            state.switches.set("echo", endpoint=endpoint)
        await written(self.url, "UPDATE tokens SET expires_at = 1")
        said = {"connector": way.name, "type": way.step, "execution": "r-echo"}
        await self.on.resolve(subject, **said)
        id = self.connected[way.name]
        await self.sent("POST", f"connectors/{id}/check")
        await self.sent("GET", f"connectors/{id}/authorizations")
        await self.sent("DELETE", f"connectors/{id}/authorizations/{self.kim}")
        assert state.calls["refresh"] or state.calls["token"]

    async def pages(self) -> int:
        """Every page an administrator can get to by following links; how many there are."""
        waiting, found = ["/admin"], set[str]()
        while waiting and len(found) < MOST_PAGES:
            path = waiting.pop()
            if path in found:
                continue
            found.add(path)
            page = await self.on.admin.get(path)
            waiting += [html.unescape(each) for each in LINK.findall(page.text)]
        return len(found)

    async def faces(self) -> None:
        """Every list of the API, each thing in it, what is refused, and both descriptions."""
        for name in LISTS:
            for asker in (self.on.admin.client, self.on.engine):
                answer = await asker.get(f"{self.on.broker.base_url}/v1/{name}")
                for one in answer.json().get("items", []):
                    if isinstance(one, dict) and "id" in one:
                        await asker.get(f"{self.on.broker.base_url}/v1/{name}/{one['id']}")
        form = {"name": planted("name"), "fields": {"client_secret": [planted("typed")]}}
        assert (await self.sent("POST", "connectors", form | {"type": "docusign"})).is_error
        for path in ("/Users", "/Groups", "/Schemas", "/ServiceProviderConfig"):
            await self.on.scim.get(path)
        headers = {"authorization": f"Bearer {planted('key')}"}
        async with httpx.AsyncClient(base_url=self.on.broker.base_url, headers=headers) as stranger:
            for path in ("/v1/users", "/scim/v2/dir_1/Users", f"/setup/{planted('link')}", "/x"):
                assert (await stranger.get(path)).status_code in (401, 404, 405, 200)

    async def commands(self) -> None:
        """The command line, beside the service."""
        for words in ("project list", "apikey list"):
            await self.on.broker.command(*words.split())
        assert (await self.on.broker.command("seal", "rotate"))["left"] == 0


def marked(value: str) -> bool:
    """Whether a field's value is a planted secret."""
    return CANARY in value or HANDED in value


async def written(url: str, sql: str) -> None:
    """Write past the product."""
    db = await engines.connect(url)
    await db.write(lambda tx: tx.run(sql))
    await db.close()


async def dump(url: str) -> bytes:
    """The database as it is kept: SQLite's file with its journal, or every row of every table."""
    if url.startswith("sqlite:///"):
        path = Path(url.removeprefix("sqlite:///"))
        return b"".join(file.read_bytes() for file in path.parent.glob(path.name + "*"))

    def everything(tx: Transaction) -> list[Any]:
        names = sorted(metadata.tables)
        rows = [row for name in names for row in tx.all(f"SELECT * FROM {name}")]
        return [value for row in rows for value in row.values()]

    db = await engines.connect(url)
    values = await db.read(everything)
    await db.close()
    return b"\n".join(v if isinstance(v, bytes) else str(v).encode() for v in values)
