"""Licenses in a storm, through real processes: directory, logins and administrators all at once."""

from __future__ import annotations

import random
from itertools import cycle
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.races.test_licenses import CLIENTS, in_parallel, replicas
from tests.serving import Served
from tests.waiting import until

SCOPES = "logins:write,users:read,users:admin,directories:write,directories:read"
USER = "urn:ietf:params:scim:schemas:core:2.0:User"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
ACTS = ("log in", "log in", "log in", "off", "on", "delete", "push", "activate", "suspend", "size")
REFUSALS = {404, 409}
"""A row of the table that says no, or somebody who is not there any more."""


class Storm:
    """Everybody who calls the brokers, by turns."""

    def __init__(self, brokers: list[Served], http: httpx.AsyncClient, seed: int) -> None:
        self.turns = cycle(broker.base_url for broker in brokers)
        self.http = http
        self.chance = random.Random(seed)
        self.idp: dict[str, str] = {}
        self.admin: dict[str, str] = {}
        self.scim = self.directory = ""
        self.ids: dict[str, str] = {}

    async def prepare(self, broker: Served, people: int, licenses: int) -> None:
        """A directory of which a twelfth may leave in a run, its people, and licenses for half."""
        made = await broker.command("directory", "add", "Acme", "--window-s", "1")
        key = await broker.command("apikey", "add", "everything", "--scope", SCOPES)
        self.idp = {"authorization": f"Bearer {made['scim']['token']}"}
        self.admin = {"authorization": f"Bearer {key['key']}"}
        self.scim, self.directory = urlsplit(made["scim"]["base_url"]).path, made["directory"]
        link = (await broker.command("admin", "link"))["url"]
        path = broker.base_url + urlsplit(link).path
        await self.http.post(path, headers={"sec-fetch-site": "same-origin"})
        said = {"holding": {"count": people // 12, "pushes": True}}
        at = f"/v1/directories/{self.directory}"
        answer = await self.call("PUT", at, said, {"if-match": "*"})
        assert answer.status_code == 200, answer.text
        await self.call("PUT", "/v1/licenses", {"capacity": licenses}, self.admin)
        await in_parallel([lambda n=n: self.push(f"person-{n}") for n in range(people)])

    async def call(
        self, method: str, path: str, body: Any, headers: dict[str, str]
    ) -> httpx.Response:
        """One request to whoever's turn it is; nobody is ever answered with a 5xx."""
        url = next(self.turns) + path
        answer = await self.http.request(method, url, json=body, headers=headers)
        assert answer.status_code < 300 or answer.status_code in REFUSALS, answer.text
        return answer

    async def push(self, name: str) -> httpx.Response:
        """The directory creates somebody."""
        body = {"schemas": [USER], "userName": name, "externalId": name, "active": True}
        answer = await self.call("POST", f"{self.scim}/Users", body, self.idp)
        if answer.status_code == 201:
            self.ids[name] = answer.json()["id"]
        return answer

    async def act(self, licenses: int) -> httpx.Response:
        """Something happens to somebody."""
        name, what = self.chance.choice(list(self.ids)), self.chance.choice(ACTS)
        id = self.ids[name]
        at = f"{self.scim}/Users/{id}"
        match what:
            case "log in":
                return await self.call(
                    "POST", "/v1/logins", {"subject": {"user_id": id}}, self.admin
                )
            case "off" | "on":
                change = {"op": "replace", "path": "active", "value": what == "on"}
                return await self.call(
                    "PATCH", at, {"schemas": [PATCH], "Operations": [change]}, self.idp
                )
            case "delete":
                return await self.call("DELETE", at, None, self.idp)
            case "push":
                return await self.push(name)
            case "size":
                capacity = licenses + self.chance.randint(0, 4)
                return await self.call("PUT", "/v1/licenses", {"capacity": capacity}, self.admin)
        return await self.call("POST", f"/v1/users/{id}/{what}", None, self.admin)

    async def get(self, path: str) -> Any:
        """What is there."""
        answer = await self.http.get(next(self.turns) + path, headers=self.admin)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def people(self) -> list[dict[str, Any]]:
        """Everybody living."""
        found, cursor = [], ""
        while True:
            page = await self.get(f"/v1/users?limit=200{cursor}")
            found += page["items"]
            if page["next_cursor"] is None:
                return found
            cursor = f"&cursor={page['next_cursor']}"

    async def runs(self, state: str) -> list[dict[str, Any]]:
        """The runs of the directory in this state."""
        found = (await self.get(f"/v1/runs?directory={self.directory}&limit=200"))["items"]
        return [run for run in found if run["state"] == state]

    async def decide(self) -> int:
        """An administrator releases about half of what is held and rejects the rest."""
        await until(lambda: self._calm("running"))
        decided = 0
        for run in await self.runs("held"):
            held = await self.get(f"/v1/runs/{run['id']}/records?result=staged&limit=200")
            numbers = [line["n"] for line in held["items"]]
            some = self.chance.sample(numbers, len(numbers) // 2)
            said = {"records": some, "release": "none"} if some else {"release": "none"}
            at = f"/v1/runs/{run['id']}/release"
            assert (await self.call("POST", at, said, {})).status_code == 202
            decided += len(numbers)
        await until(lambda: self._calm("held"))
        return decided

    async def _calm(self, state: str) -> bool:
        return not await self.runs(state)

    async def consistent(self) -> None:
        """The invariants of c.1, as anybody may read them."""
        state, people = await self.get("/v1/licenses"), await self.people()
        licenses = [person["license"] for person in people]
        assert (state["held"], state["withheld"]) == (
            licenses.count("held"),
            licenses.count("withheld"),
        )
        assert state["held"] == [person["status"] for person in people].count("active")
        taken = state["held"] + state["withheld"]
        assert taken <= state["capacity"] or state["free"] == 0
        queue = (await self.get("/v1/licenses/queue?limit=200"))["items"]
        assert [each["place"] for each in queue] == list(range(1, state["queued"] + 1))
        assert not (queue and state["free"])


@pytest.mark.parametrize(
    ("people", "acts"), [(36, 150), pytest.param(180, 3000, marks=pytest.mark.drill)]
)
async def test_in_a_storm_the_numbers_agree(
    database_url: str, tmp_path: Path, people: int, acts: int
) -> None:
    """c.1, R5, R6: whatever comes at once to one process or two, held and withheld licenses are
    those of people, within the capacity, and nobody waits beside a free one; decisions too.
    """
    limits = httpx.Limits(max_connections=CLIENTS)
    async with (
        replicas(tmp_path, database_url) as brokers,
        httpx.AsyncClient(timeout=60, limits=limits) as http,
    ):
        storm, decided = Storm(brokers, http, acts), 0
        await storm.prepare(brokers[0], people, people // 2)
        for _ in range(2):
            await in_parallel([lambda: storm.act(people // 2) for _ in range(acts)])
            await storm.consistent()
            decided += await storm.decide()
            await storm.consistent()
            assert (await storm.get("/v1/licenses"))["withheld"] == 0
        assert decided > 0
