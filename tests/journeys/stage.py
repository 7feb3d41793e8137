"""The stage of the journeys that run steps: a broker, an engine, an administrator, people."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urljoin, urlsplit

import httpx

from broker.demo.grants import App
from broker.demo.identity import Client
from broker.demo.people import PEOPLE, Person
from broker.demo.simulator import Simulator, serving
from tests.canaries import planted
from tests.serving import Served, serve

CLIENT = "consumer-key"
CLIENT_SECRET, OIDC_SECRET = planted("consumer"), planted("oidc")
ROBOT = "automation@acme.example"
AUDIENCE = "flow-engine"
RETURN_URL = "https://engine.example/back"
SCOPES = (
    *("resolve", "credentials:read", "credentials:connector", "links:write", "logins:write"),
    *("pauses:read", "pauses:write", "authenticate", "users:read", "users:admin", "logons:write"),
    *("connectors:read", "connectors:write", "sessions:write", "directories:read"),
)
HIDDEN = re.compile(r'<input type="hidden" name="([^"]*)" value="([^"]*)"')


class Browser:
    """One person's browser: keeps cookies, follows redirects as far as it is told."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.client = httpx.AsyncClient(follow_redirects=False)

    async def get(self, url: str) -> httpx.Response:
        """Open an address, and follow it inside the place it leads to."""
        return await self._followed(await self.client.get(urljoin(self.base_url, url)))

    async def post(self, url: str, form: dict[str, str] | None = None) -> httpx.Response:
        """Press a button."""
        answer = await self.client.post(urljoin(self.base_url, url), data=form or {})
        return await self._followed(answer)

    async def press(self, page: httpx.Response, **pressed: str) -> httpx.Response:
        """Press a button of a pretend program's page, its hidden fields sent along."""
        assert page.status_code == 200, page.text
        hidden = {name: html.unescape(value) for name, value in HIDDEN.findall(page.text)}
        return await self.post(str(page.url), hidden | pressed)

    async def _followed(self, answer: httpx.Response) -> httpx.Response:
        """Where a redirect leads, unless that is outside of this stage."""
        while answer.is_redirect:
            to = urljoin(str(answer.url), answer.headers["location"])
            if urlsplit(to).hostname not in ("127.0.0.1", "localhost"):
                return answer
            answer = await self.client.get(to)
        return answer


@dataclass(frozen=True, slots=True)
class Stage:
    """Everybody of a journey."""

    broker: Served
    simulator: Simulator
    engine: httpx.AsyncClient
    admin: Browser
    scim: httpx.AsyncClient
    stack: AsyncExitStack

    def browser(self) -> Browser:
        """A fresh browser of somebody."""
        browser = Browser(self.broker.base_url)
        self.stack.push_async_callback(browser.client.aclose)
        return browser

    async def key(self, *more: str) -> httpx.AsyncClient:
        """A service with a key of its own; `more` are options of `broker apikey add`."""
        made = await self.broker.command(
            "apikey", "add", "engine", "--scope", ",".join(SCOPES), *more
        )
        service = httpx.AsyncClient(
            base_url=self.broker.base_url, headers={"authorization": f"Bearer {made['key']}"}
        )
        return await self.stack.enter_async_context(service)

    async def push(self, person: Person) -> str:
        """The directory pushes somebody, who logs in and is active: their id."""
        pushed = await self.scim.post("/Users", json=person.document())
        assert pushed.status_code == 201, pushed.text
        body = {"subject": {"user_name": person.user_name}}
        login = await self.engine.post("/v1/logins", json=body)
        assert login.json()["status"] == "active", login.text
        return str(pushed.json()["id"])

    async def connector(self) -> str:
        """The administrator walks through the wizard, as Salesforce's automation user: its id."""
        form = {
            "name": "Salesforce",
            "type": "salesforce",
            "environment": {"name": "rehearsal"},
            "options": {"buttons": "skip"},
            "fields": {"client_id": CLIENT, "client_secret": CLIENT_SECRET},
        }
        made = await self.admin.client.post(f"{self.broker.base_url}/v1/connectors", json=form)
        assert made.status_code == 201, made.text
        path = f"{self.broker.base_url}/v1/connectors/{made.json()['id']}"
        link = (await self.admin.client.post(f"{path}/authorize", json={})).json()
        await self.allow(self.admin, link["url"], ROBOT)
        connected = await self.admin.client.post(f"{path}/connect")
        assert connected.json()["state"] == "connected", connected.text
        return str(made.json()["id"])

    async def switch(self, connector: str, *, enabled: bool, policy: str) -> None:
        """The administrator saves the tab User authentications."""
        path = f"{self.broker.base_url}/v1/connectors/{connector}/user-authentication"
        body = {"enabled": enabled, "policy": policy}
        answer = await self.admin.client.put(path, json=body, headers={"if-match": "*"})
        assert answer.status_code == 200, answer.text

    async def sign_in(self, browser: Browser, link: str, person: Person) -> httpx.Response:
        """Open a link and sign in with the project's identity provider: the link's own page."""
        page = await browser.get(link)
        to = re.search(r'href="(/signin\?[^"]*)"', page.text)
        assert to is not None, page.text
        chosen = await browser.get(html.unescape(to.group(1)))
        return await browser.press(chosen, person=person.external_id)

    async def allow(
        self, browser: Browser, link: str, account: str, decision: str = "allow"
    ) -> httpx.Response:
        """Go on from the link's page to Salesforce, and press Allow there, or Deny."""
        consent = await browser.post(link)
        return await browser.press(consent, signed_in_as=account, decision=decision)

    async def resolve(self, subject: dict[str, str] | None, **more: Any) -> httpx.Response:
        """The engine's one question; `more` changes step, execution, attempt, interactive …"""
        body = {
            "connector": "salesforce",
            "step": {"id": more.pop("step", "s4"), "type": more.pop("type", "retrieve_data")},
            "execution": {"id": more.pop("execution", "r-1"), "attempt": more.pop("attempt", 1)},
            "subject": subject,
        }
        return await self.engine.post("/v1/resolve", json=body | more)

    async def decided(self, subject: dict[str, str] | None, **more: Any) -> dict[str, Any]:
        """The answer to that question, once it is one."""
        answer = await self.resolve(subject, **more)
        assert answer.status_code == 200, answer.text
        decision: dict[str, Any] = answer.json()
        return decision

    async def runs_as(self, credential: dict[str, Any]) -> str:
        """Whom Salesforce's API takes the bearer of this credential for."""
        async with httpx.AsyncClient() as client:
            answer = await client.get(
                f"{credential['base_url']}/services/data/v61.0/query?q=SELECT+Id+FROM+User",
                headers={"authorization": f"Bearer {credential['access_token']}"},
            )
        assert answer.status_code == 200, answer.text
        return str(answer.json()["records"][0]["Username"])


@asynccontextmanager
async def stage(folder: Path, url: str, **settings: str) -> AsyncIterator[Stage]:
    """A running broker beside the pretend programs; its project believes the pretend issuer."""
    async with AsyncExitStack() as stack:
        simulator = await stack.enter_async_context(serving())
        broker = await stack.enter_async_context(
            serve(folder, url, demo=False, BROKER_SIMULATOR_URL=simulator.base_url, **settings)
        )
        prefix, issuer = f"{broker.base_url}/", simulator.identity.issuer
        simulator.salesforce.register(App(CLIENT, CLIENT_SECRET, redirect_prefix=prefix))
        simulator.identity.register(Client("broker", OIDC_SECRET, redirect_prefix=prefix))
        (folder / "oidc").write_text(OIDC_SECRET)
        await broker.command(
            *("project", "set", "--oidc-issuer", issuer, "--oidc-client-id", "broker"),
            *("--oidc-secret-file", str(folder / "oidc"), "--oidc-claim", "sub=externalId"),
        )
        directory = (await broker.command("directory", "add", "Acme"))["scim"]
        headers = {
            "authorization": f"Bearer {directory['token']}",
            "content-type": "application/scim+json",
        }
        scim = httpx.AsyncClient(base_url=directory["base_url"], headers=headers)
        await stack.enter_async_context(scim)
        admin = Browser(broker.base_url)
        stack.push_async_callback(admin.client.aclose)
        made = Stage(broker, simulator, scim, admin, scim, stack)
        engine = await made.key("--evidence", issuer, AUDIENCE, "--return-url", RETURN_URL)
        link = await broker.command("admin", "link")
        assert (await admin.post(link["url"])).status_code == 200
        yield Stage(broker, simulator, engine, admin, scim, stack)


def query_of(url: str) -> dict[str, str]:
    """What an address carries."""
    return dict(parse_qsl(urlsplit(url).query))


KIM, ANA = PEOPLE[0], PEOPLE[1]
