"""Whoever fills the demo: it uses the service's own doors, as programs and people would."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx

from broker.demo.grants import App
from broker.demo.people import Person
from broker.demo.simulator import Simulator

CONNECTOR = "Salesforce"
APP = App(client_id="broker-demo-app", client_secret="pretend-app-secret")
ROBOT = "automation@acme.example"
TYPE = "salesforce"
ENVIRONMENT = "rehearsal"
FORM = {
    "name": CONNECTOR,
    "description": "The pretend Salesforce of the demo.",
    "environment": {"name": ENVIRONMENT},
    "options": {"buttons": "skip"},
    "fields": {"client_id": APP.client_id, "client_secret": APP.client_secret},
}
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

    async def set_up_connector(self, setup_secret: str) -> None:
        """The wizard from its first page to its last, by an administrator."""
        app = App(
            APP.client_id,
            APP.client_secret,
            redirect_prefix=f"{self._client.base_url}".rstrip("/") + "/oauth/callback/",
        )
        self._pretend.salesforce.register(app)
        await self._client.post(f"/setup/{setup_secret}")
        with self._leaving_changes():
            path = f"/v1/connectors/{await self._configured()}"
            link = await self._post(f"{path}/authorize", {})
            await self._allow(link["url"], ROBOT)
            if (await self._get(path))["state"] == "authorized":
                await self._post(f"{path}/connect", {})
            path = f"{path}/user-authentication"
            answer = await self._client.put(path, json=POLICY, headers=ANY_VERSION)
            answer.raise_for_status()
        await self._client.post("/signout")

    async def connect(self, person: Person) -> None:
        """A person allows the connector their own account, by a link that a program vouches for."""
        user, connector = await self._user(person), await self._connector()
        if user is None or connector is None:  # renamed or deleted
            return
        with self._leaving_changes():
            link = await self._post("/v1/links", {"user_id": user, "connector": connector["id"]})
            asked = {"user_id": user, "link": link["id"]}
            session = await self._post("/v1/connect-sessions", asked)
            await self._client.get(session["url"])
            await self._allow(link["url"], person.user_name)
        await self._client.post("/signout")

    async def _configured(self) -> str:
        """The demo's connector, its form filled in for where the pretend programs are now."""
        if (found := await self._connector()) is None:
            return str((await self._post("/v1/connectors", FORM | {"type": TYPE}))["id"])
        path, form = f"/v1/connectors/{found['id']}", FORM | {"name": found["name"]}
        headers = self._bearer | ANY_VERSION
        (await self._client.patch(path, json=form, headers=headers)).raise_for_status()
        return str(found["id"])

    async def _connector(self) -> dict[str, Any] | None:
        """The one that leads to the pretend Salesforce, whatever it is called now."""
        for connector in (await self._get("/v1/connectors"))["items"]:
            place = connector["environment"] or {}
            if connector["type"] == TYPE and place.get("name") == ENVIRONMENT:
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

    async def _allow(self, link: str, user_name: str) -> None:
        """Open the link, go on, press Allow over there, come back."""
        away = await self._client.post(link)
        if away.is_error:
            away.raise_for_status()
        query = dict(parse_qsl(urlsplit(away.headers["location"]).query))
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
