"""People and programs around a service in one process: who signs in, who allows what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx

from broker.demo.data import CLIENT_ID
from broker.demo.identity import Client
from broker.demo.people import PEOPLE, Person
from broker.demo.simulator import Simulator
from broker.demo.visitor import SALESFORCE, Visitor
from broker.service import signing_in
from broker.service.projects import SignIn
from tests.canaries import planted
from tests.faces import BROWSER, Faces

KIM, AMARA, BELA = PEOPLE[:3]
CLIENT_SECRET = planted("oidc")


def query_of(url: str) -> dict[str, str]:
    """What an address asks."""
    return dict(parse_qsl(urlsplit(url).query))


@dataclass(slots=True)
class Rehearsal:
    """Kim and Amara are active, Bela is invited; nobody has connected anything."""

    service: Faces
    pretend: Simulator
    headers: dict[str, str]
    connector: str
    users: Mapping[str, str]

    @classmethod
    async def set_up(cls, service: Faces, pretend: Simulator) -> Rehearsal:
        """The demo's own steps, for three people."""
        client, broker = service.client, service.broker
        callback = broker.base_url + signing_in.callback(service.project)
        pretend.identity.register(Client(CLIENT_ID, CLIENT_SECRET, {callback}))
        sign_in = SignIn(pretend.identity.issuer, CLIENT_ID, CLIENT_SECRET, "sub=externalId")
        await broker.projects.change(service.project, by="test", sign_in=sign_in)
        headers = await service.key(return_urls=["https://flows.example/back"])
        made, token = await broker.configuring.add(service.project, "Acme", by="test")
        visitor = Visitor(client, pretend, headers["Authorization"].removeprefix("Bearer "))
        scim_url = f"{broker.base_url}/scim/v2/{made.id}"
        await visitor.push(scim_url, token, (KIM, AMARA, BELA))
        await visitor.log_in((KIM, AMARA))
        await visitor.set_up(await broker.callers.setup_link(service.project), [SALESFORCE])
        client.cookies.clear()
        found = (await client.get("/v1/users", headers=headers)).json()["items"]
        connectors = (await client.get("/v1/connectors", headers=headers)).json()["items"]
        users = {each["user_name"]: each["id"] for each in found}
        return cls(service, pretend, headers, connectors[0]["id"], users)

    def id(self, person: Person) -> str:
        """Who they are to us."""
        return self.users[person.user_name]

    def browser(self) -> httpx.AsyncClient:
        """A browser of somebody's own: the same service, an empty jar."""
        transport = self.service.client._transport
        base_url = self.service.broker.base_url
        return httpx.AsyncClient(transport=transport, base_url=base_url, headers=BROWSER)

    async def post(self, path: str, content: Any) -> httpx.Response:
        """What a program of the project asks."""
        return await self.service.client.post(path, json=content, headers=self.headers)

    async def link(self, person: Person, **more: Any) -> str:
        """The path of a link for that person."""
        asked = {"user_id": self.id(person), "connector": self.connector} | more
        return urlsplit(str((await self.post("/v1/links", asked)).json()["url"])).path

    async def sign_in(
        self, browser: httpx.AsyncClient, link: str, person: Person
    ) -> httpx.Response:
        """From the link's page to the identity provider and back, signed in as that person."""
        away = await browser.get("/signin", params={"link": link.rpartition("/")[2]})
        back = self.pretend.identity.decide(query_of(away.headers["location"]), person.external_id)
        return await browser.get(back)

    async def resolve(self, person: Person, execution: str, **more: Any) -> dict[str, Any]:
        """Who a step of this execution runs as."""
        asked = {
            "connector": "Salesforce",
            "step": {"id": "s1", "type": "retrieve_data"},
            "execution": {"id": execution},
            "subject": {"user_id": self.id(person)},
        } | more
        found: dict[str, Any] = (await self.post("/v1/resolve", asked)).json()
        return found
