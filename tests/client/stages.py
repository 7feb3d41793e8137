"""Two brokers with one contract: the service, answering more than it says, and the fake."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx
import orjson

from broker.client import Broker, Pending, Step, Subject
from broker.client.fake import FakeBroker
from broker.demo import simulator
from broker.domain import ids
from tests import engines, keeping
from tests.broker.web.rehearsing import BELA, KIM, Rehearsal, query_of
from tests.faces import faces

AUDIENCE = "flow-engine"
RETURN_URL = "https://flows.example/back"
SUFFIX, LOGON = "SmartFlows", "klee"
MAPS = ("items", "facts", "wants", "assumed")
"""Members of answers whose own members are data."""
ROWS = {
    "fallback": "F9",
    "fallback_with_warning": "F10",
    "pause": "F11",
    "end_with_error": "F12",
}
"""Policy -> the row of a person who is not signed in."""


class Stage(Protocol):
    """A connector named Salesforce where nobody is signed in; Kim, active, whose logon is known;
    and Bela, who is only invited.
    """

    @property
    def broker(self) -> Broker:
        """The broker as its callers have it."""

    @property
    def kim(self) -> str:
        """Kim's id."""

    async def policy(self, word: str) -> None:
        """What happens where nobody can be asked."""

    async def signs_in(self) -> None:
        """Kim connects their account."""

    async def suspends(self) -> None:
        """Kim is suspended."""

    async def id_token(self) -> str:
        """Evidence of Kim."""

    async def proves(self, pending: Pending) -> str | None:
        """Kim opens the link of an action and agrees; where the browser goes then."""


@dataclass(frozen=True, slots=True)
class Faked:
    """The fake, told what the rehearsal is."""

    broker: FakeBroker
    kim: str

    async def policy(self, word: str) -> None:
        self.broker.answers(ROWS[word], connector="Salesforce")

    async def signs_in(self) -> None:
        self.broker.signs_in(KIM.user_name, "Salesforce")

    async def suspends(self) -> None:
        self.broker.suspends(KIM.user_name)

    async def id_token(self) -> str:
        return self.broker.id_token(KIM.user_name)

    async def proves(self, pending: Pending) -> str | None:
        return self.broker.proves(pending.coupon, KIM.user_name)


@dataclass(frozen=True, slots=True)
class Served:
    """The service with all its faces, and the pretend programs around it."""

    broker: Broker
    kim: str
    rehearsal: Rehearsal

    async def policy(self, word: str) -> None:
        browser = await self.rehearsal.service.administrator()
        answer = await browser.put(
            f"/v1/connectors/{self.rehearsal.connector}/user-authentication",
            json={"enabled": True, "policy": word},
            headers={"if-match": "*"},
        )
        assert answer.status_code == 200, answer.text

    async def signs_in(self) -> None:
        link = await self.rehearsal.link(KIM)
        async with self.rehearsal.browser() as browser:
            await self.rehearsal.sign_in(browser, link, KIM)
            away = (await browser.post(link)).headers["location"]
            back = self.rehearsal.pretend.pages.decide(query_of(away), KIM.user_name)
            done = await browser.get(back)
        assert done.status_code == 200, done.text

    async def suspends(self) -> None:
        answer = await self.rehearsal.post(f"/v1/users/{self.kim}/suspend", {})
        assert answer.status_code == 200, answer.text

    async def id_token(self) -> str:
        # One of its own each time: two of the same second would be the same evidence.
        return self.rehearsal.pretend.identity.mint(KIM, AUDIENCE, more={"jti": ids.new("jti")})

    async def proves(self, pending: Pending) -> str | None:
        link = urlsplit(pending.url or "").path
        async with self.rehearsal.browser() as browser:
            await self.rehearsal.sign_in(browser, link, KIM)
            answer = await browser.post(link)
        to: str | None = answer.headers.get("location")
        return to


class Later(httpx.AsyncBaseTransport):
    """A later version of the service: its answers say more than today's client knows."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await self._inner.handle_async_request(request)
        content = await answer.aread()
        if "json" not in answer.headers.get("content-type", ""):
            return answer
        headers = {name: text for name, text in answer.headers.items() if name != "content-length"}
        said = orjson.dumps(_more(orjson.loads(content)))
        return httpx.Response(answer.status_code, headers=headers, content=said)


def _more(said: Any) -> Any:
    """The same, and a member nobody knows in every object but those whose members are data."""
    if isinstance(said, list):
        return [_more(each) for each in said]
    if not isinstance(said, dict):
        return said
    known = {
        name: value if name in MAPS and isinstance(value, dict) else _more(value)
        for name, value in said.items()
    }
    return known | {"since_2031": {"nobody": ["knows"]}}


@asynccontextmanager
async def faked() -> AsyncIterator[Faked]:
    """The fake on the stage."""
    async with FakeBroker() as broker:
        broker._calls.http.event_hooks["response"] = [_kept]
        logons = {SUFFIX: LOGON}
        kim = broker.person(
            KIM.user_name, display_name=KIM.display_name, logons=logons, name="Lee^Kim"
        )
        broker.person(BELA.user_name, active=False)
        yield Faked(broker, kim)


async def _kept(answer: httpx.Response) -> None:
    """Hold an answer of the fake to the contract of the service."""
    await answer.aread()
    asked = answer.request
    url = asked.url.copy_with(scheme="http", host="127.0.0.1")
    answer.request = httpx.Request(asked.method, url)
    keeping.answered(answer)


@asynccontextmanager
async def served(engine: engines.SqliteEngine, folder: Path) -> AsyncIterator[Served]:
    """The service on the stage; its feed is published as the worker would."""
    with engine.database(folder) as url:
        async with (
            simulator.serving() as pretend,
            faces(url, simulator_url=pretend.base_url) as service,
        ):
            at = await Rehearsal.set_up(service, pretend)
            kim = at.id(KIM)
            await service.broker.projects.change(service.project, by="test", suffixes=(SUFFIX,))
            put = await service.client.put(
                f"/v1/users/{kim}/logons", json={"logons": {SUFFIX: LOGON}}, headers=at.headers
            )
            assert put.status_code == 200, put.text
            key = await service.key(
                return_urls=[RETURN_URL], evidence=[(pretend.identity.issuer, AUDIENCE)]
            )
            publishing = asyncio.create_task(_published(service.broker.publishing.publish))
            text = key["Authorization"].removeprefix("Bearer ")
            transport = Later(service.client._transport)
            base_url = service.broker.base_url
            async with Broker(base_url, text, deadline_s=5, transport=transport) as broker:
                yield Served(broker, kim, at)
            publishing.cancel()
            with suppress(asyncio.CancelledError):
                await publishing


async def _published(publish: Any) -> None:
    while True:
        await publish()
        await asyncio.sleep(0.02)


def step(id: str = "s1", **more: Any) -> Step:
    """A question about Kim's step, with some things changed."""
    said: dict[str, Any] = {
        "connector": "Salesforce",
        "id": id,
        "type": "retrieve_data",
        "execution": "r-1",
        "subject": Subject(user_name=KIM.user_name),
    }
    return Step(**said | more)
