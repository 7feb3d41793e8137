"""A flow engine over HTTP whose steps wait for people, and whoever lets them go on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from broker.demo import simulator
from broker.demo.people import Person
from tests.broker.web.rehearsing import KIM, Rehearsal, query_of
from tests.clocks import MovableClock
from tests.faces import Faces, faces

ANY = {"If-Match": "*"}
CRM = "Salesforce"


@dataclass(slots=True)
class Parking:
    """The policy is pause: whoever is not signed in is waited for."""

    on: Rehearsal
    admin: httpx.AsyncClient

    @property
    def service(self) -> Faces:
        return self.on.service

    async def wait(self, step: str = "s1", person: Person = KIM, **more: Any) -> str:
        """A step that waits for that person: its pause."""
        said = {"step": {"id": step, "type": "retrieve_data", **more}}
        answer = await self.on.resolve(person, "r-1", **said)
        assert (answer["row"], answer["status"]) == ("F11", "Authentication needed"), answer
        return str(answer["pause"]["id"])

    async def now(self, pause: str) -> dict[str, Any]:
        """The pause as the engine sees it."""
        return await self.read(f"/v1/pauses/{pause}")

    async def read(self, path: str) -> dict[str, Any]:
        """What the engine reads there."""
        answer = await self.service.client.get(path, headers=self.on.headers)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def sign_in(
        self, person: Person = KIM, account: str | None = None, grants: str | None = None
    ) -> httpx.Response:
        """The person opens their link, signs in, and allows it: the last page."""
        link = await self.on.link(person)
        async with self.on.browser() as browser:
            await self.on.sign_in(browser, link, person)
            query = query_of((await browser.post(link)).headers["location"])
            query |= {} if grants is None else {"scope": grants}
            back = self.on.pretend.pages.decide(query, account or person.user_name)
            return await browser.get(back)

    async def release(self) -> None:
        """Everybody who waits is released, whoever asked."""
        done = await self.decide(
            "/v1/pauses/override",
            {"connector": self.on.connector, "count": 1, "reason": "the engine is gone"},
        )
        assert done.status_code == 200, done.text
        await self.service.broker.publishing.publish()

    async def disconnect(self, person: Person = KIM) -> None:
        """The person's grant ends at the program, and the broker hears of it."""
        state = self.on.pretend.salesforce
        state.approvals = [one for one in state.approvals if one.user.user_name != person.user_name]

        def ending(tx: Any) -> None:
            tx.run(
                "UPDATE tokens SET state = 'needs_reauth' WHERE project_id = :p AND user_id = :u",
                p=self.service.project,
                u=self.on.id(person),
            )

        await self.service.broker.db.write(ending)

    async def claim(self, pause: str) -> httpx.Response:
        """What the engine gets for its claim."""
        return await self.on.post(f"/v1/pauses/{pause}/claim", {})

    async def claimed(self, pause: str) -> dict[str, Any]:
        """A claim that won."""
        answer = await self.claim(pause)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def result(self, pause: str, claim: str, result: str) -> httpx.Response:
        """How the claimed step went."""
        return await self.on.post(f"/v1/pauses/{pause}/result", {"claim": claim, "result": result})

    async def decide(self, path: str, said: Any, *, method: str = "POST") -> httpx.Response:
        """What an administrator does."""
        return await self.admin.request(method, path, json=said, headers=ANY)

    async def switch(self, confirm: int | None = None, **said: Any) -> httpx.Response:
        """The administrator saves the tab User authentications."""
        path = f"/v1/connectors/{self.on.connector}/user-authentication"
        path += "" if confirm is None else f"?confirm={confirm}"
        return await self.decide(path, {"enabled": True, "policy": "pause"} | said, method="PUT")

    async def told(self, *types: str) -> list[dict[str, Any]]:
        """The data of the events of these types, in the order of the feed."""
        await self.service.broker.publishing.publish()
        page = await self.read(f"/v1/events?limit=200&types={','.join(types)}")
        return [event["data"] for event in page["items"]]

    async def versions(self, pause: str) -> list[int]:
        """The versions of a pause that the feed told of."""
        return [each["version"] for each in await self.told("pause.*") if each["pause"] == pause]

    async def rows(self, sql: str, **params: Any) -> list[dict[str, Any]]:
        """What the database holds."""
        found = await self.service.broker.db.read(lambda tx: tx.all(sql, **params))
        return [dict(row) for row in found]


@asynccontextmanager
async def parking(url: str, clock: MovableClock) -> AsyncIterator[Parking]:
    """The service on this database, the pretend programs, three people, an administrator."""
    async with (
        simulator.serving() as pretend,
        faces(url, clock=clock, simulator_url=pretend.base_url) as service,
    ):
        on = await Rehearsal.set_up(service, pretend)
        secret = await service.broker.callers.setup_link(service.project)
        async with on.browser() as admin:
            assert (await admin.post(f"/setup/{secret}")).status_code == 303
            yield Parking(on, admin)
