"""AuthenticateUser asked by either route, JSON or the CCOW form, and told in one shape."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

import httpx

from broker.demo.data import CLIENT_ID
from broker.demo.identity import Client
from broker.demo.people import Person
from broker.demo.simulator import Simulator
from broker.demo.visitor import Visitor
from broker.service import signing_in
from broker.service.projects import SignIn
from tests.broker.web.rehearsing import AMARA, BELA, CLIENT_SECRET, KIM, Rehearsal, query_of
from tests.clocks import MovableClock
from tests.faces import faces

AUDIENCE = "flow-engine"
RETURN_URL = "https://engine.example/back?flow=7"
STATUS = "AuthenticateUser.Ou.Status"
NAME = "AuthenticateUser.Ou.Name"
FORM = "application/x-www-form-urlencoded"
PERFORM = {"interface": "ContextAction", "method": "Perform", "participantCoupon": "7"}
Kind = Literal["json", "form"]
_minted = count()


def expected(suffix: str) -> str:
    """The name of an input."""
    return f"AuthenticateUser.In.ExpectedUserLogon.{suffix}"


def logon(suffix: str) -> str:
    """The name of an output."""
    return f"AuthenticateUser.Ou.Logon.{suffix}"


@dataclass(frozen=True, slots=True)
class Told:
    """An answer of either route."""

    status: int
    coupon: int
    items: Mapping[str, str]
    signature: str
    reason: str | None
    exception: str | None
    url: str | None
    answer: httpx.Response


@dataclass(frozen=True, slots=True)
class Asker:
    """A program with a key that may present id_tokens, and the one route it asks by."""

    kind: Kind
    rehearsal: Rehearsal
    headers: dict[str, str]
    scim: str
    scim_token: str

    async def knows(self, person: Person, **logons: str) -> str:
        """The user-mapping table names this person's logons: who they are to us."""
        client, user = self.rehearsal.service.client, self.rehearsal.id(person)
        await self.declare(*logons)
        answer = await client.put(
            f"/v1/users/{user}/logons", json={"logons": logons}, headers=self.rehearsal.headers
        )
        assert answer.status_code == 200, answer.text
        return user

    async def declare(self, *suffixes: str) -> None:
        """The project has these applications."""
        service = self.rehearsal.service
        admin = await service.administrator()
        same = {"If-Match": "*", "Sec-Fetch-Site": "same-origin"}
        answer = await admin.put("/v1/project", json={"suffixes": suffixes}, headers=same)
        assert answer.status_code == 200, answer.text
        service.client.cookies.clear()

    def token(self, person: Person, **changed: Any) -> str:
        """A fresh id_token of this person."""
        minted: dict[str, Any] = {"audience": AUDIENCE, "nonce": f"n{next(_minted)}"} | changed
        return self.rehearsal.pretend.identity.mint(person, minted.pop("audience"), **minted)

    async def perform(
        self,
        items: Mapping[str, str] | None = None,
        *,
        token: str | None = None,
        suffixes: Sequence[str] = (),
        mode: str = "sync",
        return_url: str | None = None,
        **headers: str,
    ) -> Told:
        """The action; `items` None leaves them out altogether."""
        client, sent = self.rehearsal.service.client, self.headers | headers
        if self.kind == "form":
            said = dict(PERFORM)
            if items is not None:
                said |= {"inputNames": "|".join(items), "inputValues": "|".join(items.values())}
            said |= {"suffixes": "|".join(suffixes), "mode": mode}
            said |= {"idToken": token or "", "returnURL": return_url or ""}
            return told(await client.post("/ccow", data=said, headers=sent))
        body: dict[str, Any] = {"mode": mode, "suffixes": list(suffixes), "return_url": return_url}
        if items is not None:
            body["items"] = dict(items)
        if token is not None:
            body["evidence"] = {"type": "id_token", "value": token}
        return told(await client.post("/v1/actions/AuthenticateUser", json=body, headers=sent))

    async def get(self, coupon: int | str, code: str | None = None, **headers: str) -> Told:
        """Where that action stands, with the code that the person brought."""
        client, sent = self.rehearsal.service.client, self.headers | headers
        if self.kind == "form":
            said = PERFORM | {"actionCoupon": str(coupon), "code": code or ""}
            return told(await client.post("/ccow", data=said, headers=sent))
        params = {} if code is None else {"code": code}
        return told(await client.get(f"/v1/actions/{coupon}", params=params, headers=sent))

    async def pending(self, items: Mapping[str, str], **more: Any) -> Told:
        """An action that waits for a person."""
        found = await self.perform(items, mode="async", **more)
        assert (found.status, found.items, found.signature) == (202, {}, ""), found.answer.text
        return found

    async def agree(self, found: Told, person: Person) -> httpx.Response:
        """The person signs in for it and says yes."""
        link = urlsplit(str(found.url)).path
        async with self.rehearsal.browser() as browser:
            await self.rehearsal.sign_in(browser, link, person)
            return await browser.post(link)

    async def other(self, *scopes: str, **limits: Any) -> Asker:
        """The same route with a key of its own."""
        made = await self.rehearsal.service.key(*(scopes or ("authenticate",)), **limits)
        return replace(self, headers=made)


def told(answer: httpx.Response) -> Told:
    """What the answer says, whichever route it came by."""
    if answer.headers["content-type"].startswith(FORM):
        pairs = parse_qsl(answer.text, keep_blank_values=True, strict_parsing=True)
        said: dict[str, Any] = dict(pairs)
        assert len(said) == len(pairs)
        names, values = said.get("outputNames", ""), said.get("outputValues", "")
        zipped = zip(names.split("|"), values.split("|"), strict=True)
        items = dict(zipped) if names else {}
        exception, url = said.get("exception"), said.get("authorizationURL")
    else:
        said = answer.json()
        items, url = said.get("items", {}), said.get("authorization_url")
        exception = said.get("ccowException") if answer.is_error else None
    if answer.status_code == 200 and exception is None:  # R94, R95: in every answer there is
        assert items[STATUS] in ("Pass", "Fail"), answer.text
        assert said["managerSignature"], answer.text
    coupon, signature = int(said.get("actionCoupon", 0)), said.get("managerSignature", "")
    return Told(
        answer.status_code, coupon, items, signature, said.get("reason"), exception, url, answer
    )


def code_of(answer: httpx.Response) -> str:
    """The one-time code that the browser carries back."""
    assert answer.status_code == 303, answer.text
    return query_of(answer.headers["location"])["code"]


@asynccontextmanager
async def asking(
    url: str, kind: Kind, pretend: Simulator, clock: MovableClock
) -> AsyncIterator[Asker]:
    """A service with the form route on, three people, and a program that asks.

    Kim and Amara are active, Bela is invited.
    """
    async with faces(url, clock=clock, simulator_url=pretend.base_url, ccow=True) as service:
        broker, issuer = service.broker, pretend.identity.issuer
        pretend.identity.register(
            Client(
                CLIENT_ID, CLIENT_SECRET, {broker.base_url + signing_in.callback(service.project)}
            )
        )
        sign_in = SignIn(issuer, CLIENT_ID, CLIENT_SECRET, "sub=externalId")
        await broker.projects.change(service.project, by="test", sign_in=sign_in)
        everything = await service.key()
        visitor = Visitor(service.client, pretend, everything["Authorization"].split()[1])
        made, token = await broker.configuring.add(service.project, "Acme", by="test")
        scim = f"{broker.base_url}/scim/v2/{made.id}"
        await visitor.push(scim, token, (KIM, AMARA, BELA))
        await visitor.log_in((KIM, AMARA))
        found = (await service.client.get("/v1/users", headers=everything)).json()["items"]
        users = {each["user_name"]: each["id"] for each in found}
        headers = await service.key(
            "authenticate", evidence=[(issuer, AUDIENCE)], return_urls=[RETURN_URL]
        )
        rehearsal = Rehearsal(service, pretend, everything, made.id, users)
        yield Asker(kind, rehearsal, headers, scim, token)
