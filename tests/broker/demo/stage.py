"""A whole rehearsal on loopback: the simulator, our providers, and a browser."""

from __future__ import annotations

import time
from dataclasses import dataclass
from html.parser import HTMLParser
from urllib.parse import parse_qsl, urlsplit

import httpx

from broker.demo.grants import App
from broker.demo.identity import Client
from broker.demo.simulator import Simulator
from providers.capabilities import Registration, TokenResponse
from providers.definition import REHEARSAL
from providers.egress import Egress
from providers.oauth2 import Pkce
from providers.oidc import Issuers, Party
from providers.salesforce import Salesforce
from providers.secret import Secret

CALLBACK = "http://127.0.0.1:9/oauth/callback/con_1"
SIGNED_IN = "http://127.0.0.1:9/signed-in"
KIM = "kim.lee@acme.example"
ROBOT = "automation@acme.example"


class Form(HTMLParser):
    """The fields, choices and buttons of the one form on a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}
        self.choices: dict[str, str] = {}
        self.buttons: list[str] = []
        self.selected: str | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        if tag == "input":
            self.fields[said["name"]] = said["value"]
        if tag == "option" and "selected" in said:
            self.selected = said["value"]
        if tag == "button":
            self.buttons.append(said["value"])


def query_of(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


@dataclass
class Stage:
    """Everything a journey needs."""

    simulator: Simulator
    egress: Egress
    browser: httpx.AsyncClient
    app: App
    client: Client

    @property
    def salesforce(self) -> Salesforce:
        return Salesforce(self.egress, simulator=self.simulator.base_url)

    @property
    def issuers(self) -> Issuers:
        return Issuers(self.egress)

    @property
    def party(self) -> Party:
        secret = Secret(self.client.client_secret)
        return Party(self.simulator.identity.issuer, self.client.client_id, secret, SIGNED_IN)

    def registration(self, **changed: str) -> Registration:
        place = self.salesforce.definition.environment(REHEARSAL)
        assert place is not None
        return Registration(
            environment=place,
            origin=place.origin_of(),
            redirect_uri=changed.get("redirect_uri", CALLBACK),
            fields={"client_id": self.app.client_id} | changed,
            secrets={"client_secret": Secret(changed.get("client_secret", self.app.client_secret))},
        )

    async def press(self, url: str, user: str, decision: str = "allow") -> dict[str, str]:
        """Open Salesforce's page, press a button, and read where the browser is sent."""
        form = Form((await self.browser.get(url)).text)
        assert form.buttons == ["deny", "allow"]
        sent = {**form.fields, "signed_in_as": user, "decision": decision}
        answer = await self.browser.post(url, data=sent)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith(CALLBACK + "?")
        return query_of(answer.headers["location"])

    async def connect(self, user: str = KIM) -> TokenResponse:
        """The whole way of one person: page, Allow, code, tokens."""
        pkce = Pkce.new()
        url = self.salesforce.authorize_url(
            self.registration(), state="s1", challenge=pkce.challenge
        )
        answer = await self.press(url, user)
        assert answer["state"] == "s1"
        return await self.salesforce.exchange(
            self.registration(), answer=answer, verifier=pkce.verifier
        )

    async def ask(self, given: TokenResponse) -> httpx.Response:
        """What a flow step does with the credential: one query."""
        return await self.browser.get(
            f"{given.base_url}/services/data/v62.0/query",
            params={"q": "SELECT Id FROM User"},
            headers={"Authorization": f"Bearer {given.access_token.reveal()}"},
        )

    def now(self) -> int:
        return time.time_ns() // 1000
