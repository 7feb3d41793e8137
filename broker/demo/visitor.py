"""Whoever fills the demo: it uses the service's own doors, as programs and people would."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx

from broker.demo.grants import App
from broker.demo.people import Person
from broker.demo.simulator import Simulator

CONNECTOR = "Salesforce"
APP = App(client_id="broker-demo-app", client_secret="pretend-app-secret")
ROBOT = "automation@acme.example"
FORM = {
    "name": CONNECTOR,
    "description": "The pretend Salesforce of the demo.",
    "environment": {"name": "rehearsal"},
    "options": {"buttons": "skip"},
    "fields": {"client_id": APP.client_id, "client_secret": APP.client_secret},
}
POLICY = {"enabled": True, "policy": "pause"}


class Visitor:
    """`key` has every scope; `client` reaches the broker, `pretend` is the other side."""

    def __init__(self, client: httpx.AsyncClient, pretend: Simulator, key: str) -> None:
        self._client = client
        self._pretend = pretend
        self._bearer = {"Authorization": f"Bearer {key}"}

    async def push(self, scim_url: str, token: str, people: Iterable[Person]) -> None:
        """What an identity provider does at its first cycle; nothing where it was done before."""
        bearer = {"Authorization": f"Bearer {token}"}
        here = await self._client.get(f"{scim_url}/Users", params={"count": 1}, headers=bearer)
        if here.json()["totalResults"]:
            return
        headers = bearer | {"Content-Type": "application/scim+json"}
        for person in people:
            url, document = f"{scim_url}/Users", person.document()
            (await self._client.post(url, json=document, headers=headers)).raise_for_status()

    async def log_in(self, people: Iterable[Person]) -> None:
        """They sign in and become active, first come, first served."""
        for person in people:
            await self._post("/v1/logins", {"subject": {"user_name": person.user_name}})

    async def set_up_connector(self, setup_secret: str) -> None:
        """The wizard from its first page to its last, by an administrator."""
        app = App(
            APP.client_id,
            APP.client_secret,
            redirect_prefix=f"{self._client.base_url}".rstrip("/") + "/oauth/callback/",
        )
        self._pretend.salesforce.register(app)
        await self._client.post(f"/setup/{setup_secret}")
        path = f"/v1/connectors/{await self._configured()}"
        link = await self._post(f"{path}/authorize", {})
        await self._allow(link["url"], ROBOT)
        if (await self._get(path))["state"] == "authorized":
            await self._post(f"{path}/connect", {})
        answer = await self._client.put(f"{path}/user-authentication", json=POLICY)
        answer.raise_for_status()
        await self._client.post("/signout")

    async def connect(self, person: Person) -> None:
        """A person allows the connector their own account, by a link that a program vouches for."""
        found = await self._get("/v1/users", limit="1")
        user = found["items"][0]["id"]
        connector = await self._connector()
        link = await self._post("/v1/links", {"user_id": user, "connector": connector})
        asked = {"user_id": user, "link": link["id"]}
        session = await self._post("/v1/connect-sessions", asked)
        await self._client.get(session["url"])
        await self._allow(link["url"], person.user_name)
        await self._client.post("/signout")

    async def _configured(self) -> str:
        """The demo's connector, its form filled in for where the pretend programs are now."""
        if (found := await self._connector()) is None:
            return str((await self._post("/v1/connectors", FORM | {"type": "salesforce"}))["id"])
        path = f"/v1/connectors/{found}"
        (await self._client.patch(path, json=FORM, headers=self._bearer)).raise_for_status()
        return found

    async def _connector(self) -> str | None:
        for connector in (await self._get("/v1/connectors"))["items"]:
            if connector["name"] == CONNECTOR:
                return str(connector["id"])
        return None

    async def _allow(self, link: str, user_name: str) -> None:
        """Open the link, go on, press Allow over there, come back."""
        away = (await self._client.post(link)).headers["location"]
        query = dict(parse_qsl(urlsplit(away).query))
        back = self._pretend.pages.decide(query, user_name)
        (await self._client.get(back)).raise_for_status()

    async def _get(self, path: str, **params: str) -> Any:
        answer = await self._client.get(path, params=params, headers=self._bearer)
        answer.raise_for_status()
        return answer.json()

    async def _post(self, path: str, content: Mapping[str, Any]) -> Any:
        answer = await self._client.post(path, json=content, headers=self._bearer)
        answer.raise_for_status()
        return answer.json()
