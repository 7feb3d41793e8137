"""What has to stand in a service so that an example of the contract can be sent and succeed."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from broker.demo.grants import ROBOT
from broker.demo.visitor import SALESFORCE
from tests.broker.web.rehearsing import AMARA, BELA, KIM, Rehearsal, query_of
from tests.canaries import planted
from tests.faces import BROWSER

ANY = {"If-Match": "*"}
ID = re.compile(r"\b(usr|con|dir|run|lnk|pse|dec|whk|evt)_[0-9A-Z]{26}\b")
OF = {
    "/v1/users/": "usr",
    "/v1/connectors/": "con",
    "/v1/directories/": "dir",
    "/v1/runs/": "run",
    "/v1/pauses/": "pse",
    "/v1/decisions/": "dec",
    "/v1/webhooks/": "whk",
}
"""Whose id `{id}` is, by where it stands."""
Named = Mapping[str, Any]
"""The real ids by their prefix, and whatever else a path or a body of an example has to say."""


class Stage:
    """A service with Kim, Amara and Bela, a connector, a directory and its run; and who asks."""

    def __init__(self, rehearsal: Rehearsal) -> None:
        self.rehearsal = rehearsal
        self.client = rehearsal.service.client
        self.names: dict[str, Any] = {"usr": rehearsal.id(KIM), "con": rehearsal.connector}

    async def set(self, operation: str) -> None:
        """Prepare what the example of this operation needs."""
        for kind, path in (("dir", "/v1/directories"), ("run", "/v1/runs")):
            self.names[kind] = (await self.get(path))["items"][0]["id"]
        if operation in PREPARED:
            self.names |= await PREPARED[operation](self)

    def path(self, template: str) -> str:
        """The address, with ids that name something."""
        kind = next((kind for start, kind in OF.items() if template.startswith(start)), "")
        names = self.names | {"id": self.names.get(kind, ""), "user": self.names["usr"]}
        return re.sub(r"\{(\w+)\}", lambda found: names[found[1]], template)

    def body(self, example: Any) -> Any:
        """The example, with ids that name something, and what the preparation says otherwise."""
        if isinstance(example, dict):
            return {
                name: self.names[f"={name}"] if f"={name}" in self.names else self.body(value)
                for name, value in example.items()
            }
        if isinstance(example, list):
            return [self.body(each) for each in example]
        if isinstance(example, str):
            return ID.sub(lambda found: self.names.get(found[1], found[0]), example)
        return example

    async def get(self, path: str) -> Any:
        answer = await self.client.get(path, headers=self.rehearsal.headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def send(self, method: str, path: str, body: Any = None) -> Any:
        """A step of the way there, by the project's key; for an administrator where it must be."""
        for headers in (self.rehearsal.headers | ANY, await self._administrator()):
            answer = await self.client.request(method, path, json=body, headers=headers)
            if answer.status_code != 403:
                break
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    async def _administrator(self) -> dict[str, str]:
        await self.rehearsal.service.administrator()
        return BROWSER | ANY | {"Accept": "application/json"}

    async def connected(self) -> None:
        """Kim has a token that can be used."""
        grant = {
            "subject": {"user_id": self.names["usr"]},
            "refresh_token": planted("brought"),
            "access_token": "brought along",
            "expires_at": "2099-01-01T00:00:00Z",
        }
        done = await self.send("POST", f"/v1/connectors/{self.names['con']}/grants", [grant])
        assert done[0]["result"] == "imported", done

    async def push(self, method: str, path: str, **said: Any) -> None:
        """What the identity provider of the directory says."""
        at = self.names["dir"]
        if "scim" not in self.names:
            self.names["scim"] = (await self.send("POST", f"/v1/directories/{at}/tokens"))["token"]
        url = f"/scim/v2/{at}{path}"
        headers = {"Authorization": f"Bearer {self.names['scim']}"}
        headers["Content-Type"] = "application/scim+json"
        body = {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"]} | said if said else None
        await self.client.request(method, url, json=body, headers=headers)

    async def authorized(self) -> None:
        """The connector user of the connector signs in."""
        link = await self.send("POST", f"/v1/connectors/{self.names['con']}/authorize", {})
        await self._administrator()
        away = await self.client.post(link["url"], headers=BROWSER)
        program = self.rehearsal.pretend.programs[SALESFORCE.program]
        back = program.decide(query_of(away.headers["location"]), ROBOT)
        assert (await self.client.get(back, headers=BROWSER)).is_success


async def _decided(stage: Stage) -> Named:
    await stage.connected()
    return {"dec": (await stage.rehearsal.resolve(KIM, "r-1"))["decision_id"]}


async def _waiting(stage: Stage) -> Named:
    found = await stage.rehearsal.resolve(KIM, "r-1")
    return {"pse": found["pause"]["id"], "=count": 1}


async def _ready(stage: Stage) -> Named:
    named = await _waiting(stage)
    await stage.send("POST", f"/v1/pauses/{named['pse']}/override", {"reason": "away"})
    return named


async def _claimed(stage: Stage) -> Named:
    named = await _ready(stage)
    claim = await stage.send("POST", f"/v1/pauses/{named['pse']}/claim")
    return {**named, "=claim": claim["claim"]}


async def _asked(stage: Stage) -> Named:
    await _declared(stage)
    asked = {"items": {"AuthenticateUser.In.ExpectedUserLogon.EHR": "KLEE"}, "suffixes": ["EHR"]}
    action = await stage.send("POST", "/v1/actions/AuthenticateUser", asked)
    return {"coupon": str(action["actionCoupon"])}


async def _linked(stage: Stage) -> Named:
    return {"lnk": (await stage.rehearsal.link(KIM)).rpartition("/")[2]}


async def _invited(stage: Stage) -> Named:
    return {"usr": stage.rehearsal.id(BELA)}


async def _suspended(stage: Stage) -> Named:
    await stage.send("POST", f"/v1/users/{stage.names['usr']}/suspend")
    return {}


async def _declared(stage: Stage) -> Named:
    await stage.send("PUT", "/v1/project", {"suffixes": ["EHR", "SmartFlows"]})
    return {}


async def _with_token(stage: Stage) -> Named:
    found = await stage.get(f"/v1/directories/{stage.names['dir']}")
    return {"token": found["tokens"][0]["id"], "?name": found["name"]}


async def _quiet(stage: Stage) -> Named:
    await stage.send("POST", f"/v1/runs/{stage.names['run']}/stop")
    return {}


async def _failed(stage: Stage) -> Named:
    await stage.push("POST", "/Users", userName=KIM.user_name, externalId="somebody-else")
    return await _quiet(stage)


async def _held(stage: Stage) -> Named:
    await _quiet(stage)
    holding = {"holding": {"percent": 10, "least": 1, "pushes": True}}
    await stage.send("PUT", f"/v1/directories/{stage.names['dir']}", holding)
    for person in (KIM, AMARA, BELA):
        await stage.push("DELETE", f"/Users/{stage.rehearsal.id(person)}")
    run = (await stage.get("/v1/runs"))["items"][0]["id"]
    await stage.send("POST", f"/v1/runs/{run}/stop")
    staged = await stage.get(f"/v1/runs/{run}/records?result=staged")
    return {"run": run, "=records": [staged["items"][0]["n"]]}


async def _gone(stage: Stage) -> Named:
    await stage.send("DELETE", f"/v1/connectors/{stage.names['con']}?name=Salesforce")
    return {}


async def _typed(_: Stage) -> Named:
    return {"=environment": SALESFORCE.form("")["environment"]}


async def _unfinished(stage: Stage) -> Named:
    await _gone(stage)
    made = await stage.send(
        "POST", "/v1/connectors", SALESFORCE.form("New") | {"type": "salesforce"}
    )
    stage.names["con"] = made["id"]
    await stage.authorized()
    return {}


async def _disabled(stage: Stage) -> Named:
    await stage.send("POST", f"/v1/connectors/{stage.names['con']}/disable")
    return {}


async def _granted(stage: Stage) -> Named:
    await stage.connected()
    return {}


async def _listening(stage: Stage) -> Named:
    asked = {"url": "https://flows.acme.example/hooks/broker", "types": ["*"]}
    made = await stage.send("POST", "/v1/webhooks", asked)
    await stage.send("POST", f"/v1/webhooks/{made['id']}/ping")
    await stage.rehearsal.service.broker.publishing.publish()
    found = await stage.get(f"/v1/webhooks/{made['id']}/deliveries")
    return {"whk": made["id"], "n": str(found["items"][0]["n"])}


PREPARED: Mapping[str, Callable[[Stage], Awaitable[Named]]] = {
    "getDecision": _decided,
    "rejectCredential": _decided,
    "getPause": _waiting,
    "claimPause": _ready,
    "reportPause": _claimed,
    "endPause": _waiting,
    "cancelPause": _waiting,
    "overridePause": _waiting,
    "endPauses": _waiting,
    "overridePauses": _waiting,
    "getAction": _asked,
    "authenticateUser": _declared,
    "makeConnectSession": _linked,
    "activateUser": _invited,
    "inviteUser": _invited,
    "reinstateUser": _suspended,
    "setLogons": _declared,
    "deleteDirectory": _with_token,
    "revokeDirectoryToken": _with_token,
    "retryRun": _failed,
    "releaseRun": _held,
    "createConnector": _gone,
    "testConnector": _typed,
    "connectConnector": _unfinished,
    "enableConnector": _disabled,
    "disconnectAuthorization": _granted,
    "getWebhook": _listening,
    "changeWebhook": _listening,
    "deleteWebhook": _listening,
    "pingWebhook": _listening,
    "rotateWebhook": _listening,
    "enableWebhook": _listening,
    "listDeliveries": _listening,
    "redeliver": _listening,
}
"""By `operationId`, what is done before its example is sent."""
UNPREPARED = {
    "confirmAuthorization": (
        404,
        "takes a program that mints, and a logon that changed over there",
    ),
}
"""What no service in one process can be led to: the answer its example gets, and why."""
