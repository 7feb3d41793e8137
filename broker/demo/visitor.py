"""Whoever fills the demo: it uses the service's own doors, as programs and people would."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx

from broker.demo.grants import ROBOT, App
from broker.demo.people import Person
from broker.demo.simulator import Simulator

ENVIRONMENT = "rehearsal"
CLIENT_ID = "broker-demo-app"
SECRET = "pretend-app-secret"
BY_SECRET = {"client_id": CLIENT_ID, "client_secret": SECRET}
FARM_USER = "ACME\\" + ROBOT


@dataclass(frozen=True, slots=True)
class Connected:
    """One connector of the demo: its form, and the pretend program it leads to."""

    name: str
    type: str
    program: str
    integration: str | None = None
    fields: Mapping[str, str] = field(default_factory=lambda: BY_SECRET)
    options: Mapping[str, str] = field(default_factory=dict)
    lets_people: bool = True

    def form(self, name: str) -> dict[str, object]:
        """What the wizard is told, under the name the connector has by now."""
        return {
            "name": name,
            "description": f"The pretend {self.name} of the demo.",
            "environment": {"name": ENVIRONMENT},
            "integration": self.integration,
            "options": dict(self.options),
            "fields": dict(self.fields),
        }


SALESFORCE = Connected("Salesforce", "salesforce", "salesforce", options={"buttons": "skip"})
DOCUSIGN = Connected("DocuSign", "docusign", "docusign", "code")
CONNECTORS = (
    SALESFORCE,
    Connected(
        "SharePoint",
        "sharepoint_online",
        "entra",
        "delegated",
        {**BY_SECRET, "tenant": "acme.example", "site": "acme.sharepoint.com/sites/flows"},
    ),
    Connected(
        "SharePoint farm",
        "sharepoint_server",
        "sharepoint",
        "password",
        {"user_name": FARM_USER, "password": SECRET},
        lets_people=False,
    ),
    DOCUSIGN,
    Connected("Tickets", "tickets", "tickets"),
)
POLICY = {"enabled": True, "policy": "pause"}
PAGE = "200"
LEFT_SO = (httpx.codes.NOT_FOUND, httpx.codes.CONFLICT)
"""How the service answers what no longer goes, since somebody changed the demo meanwhile."""
ANY_VERSION = {"If-Match": "*"}


class Visitor:
    """`key` has every scope; `client` reaches the broker, `pretend` is the other side.

    Whom somebody suspended, and what they renamed or deleted, stays so at later starts: that step
    is left out. At the first start every answer has to be the expected one.
    """

    def __init__(self, client: httpx.AsyncClient, pretend: Simulator, key: str) -> None:
        self._client = client
        self._pretend = pretend
        self._bearer = {"Authorization": f"Bearer {key}"}
        self._was_here = False

    async def push(self, scim_url: str, token: str, people: Iterable[Person]) -> None:
        """What an identity provider does at its first cycle; nothing where it was done before."""
        bearer = {"Authorization": f"Bearer {token}"}
        here = await self._client.get(f"{scim_url}/Users", params={"count": 1}, headers=bearer)
        if here.json()["totalResults"]:
            self._was_here = True
            return
        headers = bearer | {"Content-Type": "application/scim+json"}
        for person in people:
            url, document = f"{scim_url}/Users", person.document()
            (await self._client.post(url, json=document, headers=headers)).raise_for_status()

    async def log_in(self, people: Iterable[Person]) -> None:
        """They sign in and become active, first come, first served."""
        for person in people:
            with self._leaving_changes():
                await self._post("/v1/logins", {"subject": {"user_name": person.user_name}})

    async def set_up(self, setup_secret: str, connectors: Iterable[Connected]) -> None:
        """The wizard from its first page to its last for each of them, by an administrator."""
        await self._client.post(f"/setup/{setup_secret}")
        prefix = f"{self._client.base_url}".rstrip("/") + "/oauth/callback/"
        self._pretend.farm.passwords[FARM_USER] = SECRET
        for one in connectors:
            app = App(CLIENT_ID, SECRET, redirect_prefix=prefix)
            self._pretend.programs[one.program].state.register(app)
            with self._leaving_changes():
                await self._set_up(one)
        await self._client.post("/signout")

    async def _set_up(self, one: Connected) -> None:
        path = f"/v1/connectors/{await self._configured(one)}"
        link = await self._post(f"{path}/authorize", {})
        if link["url"] is not None:  # else the token was made, and nobody signs in
            await self._allow(one, link["url"], ROBOT)
        if (await self._get(path))["state"] == "authorized":
            await self._post(f"{path}/connect", {})
        if one.lets_people:
            path = f"{path}/user-authentication"
            answer = await self._client.put(path, json=POLICY, headers=ANY_VERSION)
            answer.raise_for_status()

    async def connect(self, person: Person, one: Connected) -> None:
        """A person allows a connector their own account, by a link that a program vouches for."""
        user, connector = await self._user(person), await self._connector(one)
        if user is None or connector is None:  # renamed or deleted
            return
        with self._leaving_changes():
            link = await self._post("/v1/links", {"user_id": user, "connector": connector["id"]})
            asked = {"user_id": user, "link": link["id"]}
            session = await self._post("/v1/connect-sessions", asked)
            await self._client.get(session["url"])
            await self._allow(one, link["url"], person.user_name)
        await self._client.post("/signout")

    async def _configured(self, one: Connected) -> str:
        """A connector, its form filled in for where the pretend programs are now."""
        if (found := await self._connector(one)) is None:
            made = await self._post("/v1/connectors", one.form(one.name) | {"type": one.type})
            return str(made["id"])
        path, headers = f"/v1/connectors/{found['id']}", self._bearer | ANY_VERSION
        answer = await self._client.patch(path, json=one.form(found["name"]), headers=headers)
        answer.raise_for_status()
        return str(found["id"])

    async def _connector(self, one: Connected) -> dict[str, Any] | None:
        """The one that leads to that pretend program, whatever it is called now."""
        for connector in (await self._get("/v1/connectors"))["items"]:
            place = connector["environment"] or {}
            if connector["type"] == one.type and place.get("name") == ENVIRONMENT:
                return dict(connector)
        return None

    async def _user(self, person: Person) -> str | None:
        """Who somebody is to the broker; None where nobody has that user name any more."""
        cursor: dict[str, str] = {}
        while True:
            page = await self._get("/v1/users", limit=PAGE, **cursor)
            for user in page["items"]:
                if user["user_name"] == person.user_name:
                    return str(user["id"])
            if page["next_cursor"] is None:
                return None
            cursor = {"cursor": page["next_cursor"]}

    @contextmanager
    def _leaving_changes(self) -> Iterator[None]:
        """At a later start, end the step where the service says that it no longer goes."""
        try:
            yield
        except httpx.HTTPStatusError as error:
            if not self._was_here or error.response.status_code not in LEFT_SO:
                raise

    async def _allow(self, one: Connected, link: str, user_name: str) -> None:
        """Open the link, go on, press Allow over there, come back."""
        away = await self._client.post(link)
        if away.is_error:
            away.raise_for_status()
        query = dict(parse_qsl(urlsplit(away.headers["location"]).query))
        back = self._pretend.programs[one.program].decide(query, user_name)
        (await self._client.get(back)).raise_for_status()

    async def _get(self, path: str, **params: str) -> Any:
        answer = await self._client.get(path, params=params, headers=self._bearer)
        answer.raise_for_status()
        return answer.json()

    async def _post(self, path: str, content: Mapping[str, Any]) -> Any:
        answer = await self._client.post(path, json=content, headers=self._bearer)
        answer.raise_for_status()
        return answer.json()
