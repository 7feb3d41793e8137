"""Each kind of program end to end: a running broker, real HTTP, its pretended other side."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

import broker.demo
from broker.demo.grants import App
from broker.demo.oauth import Program
from tests.broker.demo.visiting import signer
from tests.canaries import HANDED, planted
from tests.engines import connect
from tests.journeys.stage import KIM, ROBOT, Stage, stage
from tests.waiting import until

OWN_PROGRAMS = str(Path(broker.demo.__file__).with_name("programs.json"))
APP_ID = "the-app"
SECRET = planted("program-secret")
PASSWORD = f"password-{HANDED}"
"""What such a connector holds is the credential itself (HTTP Basic): it leaves in an answer."""
ISSUER = "11111111-2222-4333-8444-555555555555"
BY_SECRET = {"client_id": APP_ID, "client_secret": SECRET}
TENANT = {"tenant": "acme.example", "site": "acme.sharepoint.com/sites/flows"}


@dataclass(frozen=True)
class Kind:
    """One integration of one kind of program: its form, one of its steps, where its API is,
    whether it can end one grant, and who the connector user is there.
    """

    type: str
    program: str
    step: str
    api: str
    integration: str | None = None
    fields: Mapping[str, str] = field(default_factory=lambda: BY_SECRET)
    revoked: bool = False
    robot: str = ROBOT


SITE = "/sharepoint/_api/web/currentuser"
SIGNED_IN = (
    Kind(
        "sharepoint_online",
        "entra",
        "retrieve_data",
        "/entra/v1.0/me",
        "delegated",
        {**BY_SECRET, **TENANT},
    ),
    Kind("sharepoint_server", "sharepoint", "retrieve_data", SITE, "oidc"),
    Kind("docusign", "docusign", "send_envelope", "/docusign/oauth/userinfo", "code", revoked=True),
    Kind("tickets", "tickets", "read_tickets", "/tickets/api/tickets", revoked=True, robot=APP_ID),
)


@dataclass(frozen=True)
class Journey:
    """One connector of one kind, at its rehearsal."""

    on: Stage
    kind: Kind
    connector: str
    executions: Any

    @property
    def program(self) -> Program:
        return self.on.simulator.programs[self.kind.program]

    @property
    def app(self) -> App:
        return self.program.state.apps[APP_ID]

    async def decided(self, subject: dict[str, str] | None, **more: Any) -> dict[str, Any]:
        """Who this program's step runs as, each time in an execution of its own."""
        execution = {"id": f"r-{next(self.executions)}", "attempt": 1}
        step = {"id": "s1", "type": self.kind.step}
        body = {"connector": "The program", "step": step, "execution": execution}
        asked = {**body, "subject": subject, **more}
        answer = await self.on.engine.post("/v1/resolve", json=asked)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def sees(self, credential: Mapping[str, str]) -> str:
        """What the program's API says to the bearer of this credential."""
        scheme = credential.get("token_type", "Bearer")
        async with httpx.AsyncClient() as client:
            answer = await client.get(
                self.on.simulator.base_url + self.kind.api,
                headers={"authorization": f"{scheme} {credential['access_token']}"},
            )
        assert answer.status_code == 200, answer.text
        return answer.text

    async def connect(self, link: str) -> None:
        """Kim opens a link, signs in, and allows the connector their own account."""
        browser = self.on.browser()
        await self.on.sign_in(browser, link, KIM)
        done = await self.on.allow(browser, link, KIM.user_name)
        assert done.status_code == 200, done.text

    async def user_authentication(self) -> httpx.Response:
        """Switch it on, as an administrator."""
        path = f"{self.on.broker.base_url}/v1/connectors/{self.connector}/user-authentication"
        body = {"enabled": True, "policy": "end_with_error"}
        return await self.on.admin.client.put(path, json=body, headers={"if-match": "*"})


@asynccontextmanager
async def journey(folder: Path, url: str, kind: Kind) -> AsyncIterator[Journey]:
    """A broker, and a connector of that kind whose form is filled in and saved."""
    async with stage(folder, url, BROKER_PROGRAMS=OWN_PROGRAMS) as on:
        simulator = on.simulator
        prefix = f"{on.broker.base_url}/"
        certificate = signer().certificate
        app = App(APP_ID, SECRET, redirect_prefix=prefix, certificate=certificate)
        simulator.programs[kind.program].state.register(app)
        simulator.farm.trusted[ISSUER] = certificate
        simulator.farm.passwords["ACME\\" + ROBOT] = PASSWORD
        form = {
            "name": "The program",
            "type": kind.type,
            "environment": {"name": "rehearsal"},
            "options": {},
            "fields": dict(kind.fields),
        }
        form |= {"integration": kind.integration} if kind.integration else {}
        made = await on.admin.client.post(f"{on.broker.base_url}/v1/connectors", json=form)
        assert made.status_code == 201, made.text
        yield Journey(on, kind, made.json()["id"], count())


async def authorize(at: Journey) -> None:
    """The wizard's last two steps: the connector user signs in, or is minted at once."""
    path = f"{at.on.broker.base_url}/v1/connectors/{at.connector}"
    asked = await at.on.admin.client.post(f"{path}/authorize", json={})
    assert asked.status_code == 200, asked.text
    if (url := asked.json()["url"]) is not None:
        await at.on.allow(at.on.admin, url, ROBOT)
    connected = await at.on.admin.client.post(f"{path}/connect")
    assert connected.json()["state"] == "connected", connected.text


@pytest.mark.parametrize("kind", SIGNED_IN, ids=lambda kind: kind.type)
async def test_people_sign_in(database_url: str, tmp_path: Path, kind: Kind) -> None:
    """R22, R23, R25 to R28: wizard, F8, consent, F6 with a credential the program takes for the
    person's own; it expires and is refreshed; the grant dies, F8 again; connected anew, and ended.
    """
    async with journey(tmp_path, database_url, kind) as at:
        await authorize(at)
        kim = {"user_id": await at.on.push(KIM)}
        robot = await at.decided(kim)
        assert (robot["row"], robot["run_as"]["kind"]) == ("F3", "connector")
        assert kind.robot in await at.sees(robot["credential"])
        assert (await at.user_authentication()).status_code == 200

        asked = await at.decided(kim, interactive=True)
        assert (asked["row"], asked["status"]) == ("F8", "authentication-required")
        at.app.session_s = 2  # it is over within the test
        await at.connect(asked["link"]["url"])
        first = await at.decided(kim)
        assert first["row"] == "F6"
        assert KIM.user_name in await at.sees(first["credential"])

        async def refreshed() -> Any:
            now = await at.decided(kim)
            assert now["row"] == "F6"
            another = now["credential"]["access_token"] != first["credential"]["access_token"]
            return now if another else None

        later = await until(refreshed)
        assert KIM.user_name in await at.sees(later["credential"])
        assert at.program.state.calls["exchange", KIM.user_name] == 1
        assert at.program.state.together == 1

        assert at.program.state.revoke(KIM.user_name) == 1

        async def dead() -> Any:
            now = await at.decided(kim, interactive=True)
            return now if now["row"] == "F8" else None

        again = await until(dead)
        at.app.session_s = None
        await at.connect(again["link"]["url"])
        assert KIM.user_name in await at.sees((await at.decided(kim))["credential"])
        await _disconnected(at, kim)


async def _disconnected(at: Journey, kim: dict[str, str]) -> None:
    """K12: gone here at once, and over there where the program knows how to end one grant."""
    path = f"{at.on.broker.base_url}/v1/connectors/{at.connector}/authorizations/{kim['user_id']}"
    ended = await at.on.admin.client.delete(path)
    assert ended.status_code == 204, ended.text
    assert (await at.decided(kim, interactive=True))["row"] == "F8"
    state = at.program.state

    def living() -> int:
        return sum(one.user.user_name == KIM.user_name for one in state.living())

    if at.kind.revoked:
        await until(lambda: not living())
    else:
        assert living() == 1


async def test_deleted_it_ends_at_the_program_too(database_url: str, tmp_path: Path) -> None:
    """C11, K12, RFC 7009 §2.1: a program that asks who revokes is told by our secret, which is
    erased behind that: nobody's token works there any more.
    """
    kind = SIGNED_IN[-1]
    async with journey(tmp_path, database_url, kind) as at:
        await authorize(at)
        kim = {"user_id": await at.on.push(KIM)}
        assert (await at.user_authentication()).status_code == 200
        asked = await at.decided(kim, interactive=True)
        await at.connect(asked["link"]["url"])
        mine = (await at.decided(kim))["credential"]
        assert KIM.user_name in await at.sees(mine)
        path = f"{at.on.broker.base_url}/v1/connectors/{at.connector}"
        deleted = await at.on.admin.client.delete(
            path, params={"name": "The program"}, headers={"if-match": "*"}
        )
        assert deleted.status_code == 204, deleted.text
        await until(lambda: not at.program.state.living())
        with pytest.raises(AssertionError, match="invalid_token"):
            await at.sees(mine)
        async with AsyncExitStack() as stack:
            db = await connect(database_url)
            stack.push_async_callback(db.close)

            async def forgotten() -> bool:
                return not await db.read(lambda tx: tx.all("SELECT field FROM connector_secrets"))

            await until(forgotten)


async def test_high_trust(database_url: str, tmp_path: Path) -> None:
    """R23: nobody signs in; the token is made for the SID of the person's logon, and the farm
    believes it. A person without such a logon is not acted for.
    """
    fields = {
        "client_id": ISSUER,
        "issuer_id": ISSUER,
        "certificate": signer().certificate,
        "private_key": signer().private_key,
        "person_suffix": "SharePoint",
    }
    kind = Kind("sharepoint_server", "sharepoint", "retrieve_data", SITE, "high_trust", fields)
    async with journey(tmp_path, database_url, kind) as at:
        await _with_suffix(at, "SharePoint")
        await authorize(at)
        kim = {"user_id": await at.on.push(KIM)}
        assert "SharePoint App" in await at.sees((await at.decided(kim))["credential"])
        assert (await at.user_authentication()).status_code == 200
        assert (await at.decided(kim))["row"] != "F6"
        sid = at.program.state.users[KIM.user_name].id
        given = await at.on.admin.client.put(
            f"{at.on.broker.base_url}/v1/users/{kim['user_id']}/logons",
            json={"logons": {"SharePoint": sid}},
            headers={"if-match": "*"},
        )
        assert given.status_code == 200, given.text

        async def acted_for() -> Any:
            now = await at.decided(kim)
            return now if now["row"] == "F6" else None

        mine = await until(acted_for)
        assert KIM.user_name in await at.sees(mine["credential"])


async def _with_suffix(at: Journey, suffix: str) -> None:
    """The administrator declares a suffix of logons (safety 9)."""
    path = f"{at.on.broker.base_url}/v1/project"
    body = {"suffixes": [suffix]}
    answer = await at.on.admin.client.put(path, json=body, headers={"if-match": "*"})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        (
            Kind(
                "sharepoint_server",
                "sharepoint",
                "retrieve_data",
                SITE,
                "password",
                {"user_name": "ACME\\" + ROBOT, "password": PASSWORD},
            ),
            ROBOT,
        ),
        (
            Kind(
                "sharepoint_online",
                "entra",
                "retrieve_data",
                "/entra/v1.0/sites/root",
                "app_only",
                {**BY_SECRET, **TENANT},
            ),
            "Acme",
        ),
    ],
    ids=["password", "app_only"],
)
async def test_where_nobody_can_sign_in(
    database_url: str, tmp_path: Path, kind: Kind, shown: str
) -> None:
    """R20, R24: user authentication cannot be switched on, and every step runs as the connector."""
    async with journey(tmp_path, database_url, kind) as at:
        await authorize(at)
        kim = {"user_id": await at.on.push(KIM)}
        refused = await at.user_authentication()
        assert (refused.status_code, refused.json()["code"]) == (409, "user-auth-not-supported")
        decided = await at.decided(kim)
        assert decided["run_as"]["kind"] == "connector"
        assert shown in await at.sees(decided["credential"])


async def test_docusign_by_assertion(database_url: str, tmp_path: Path) -> None:
    """R25: the connector user by JWT grant, once consented; people sign in themselves."""
    robot_id = "d0c05160-0000-4000-8000-000000000900"
    fields = {**BY_SECRET, "user_id": robot_id, "private_key": signer().private_key}
    api = "/docusign/oauth/userinfo"
    kind = Kind("docusign", "docusign", "send_envelope", api, "jwt", fields)
    async with journey(tmp_path, database_url, kind) as at:
        path = f"{at.on.broker.base_url}/v1/connectors/{at.connector}"
        refused = await at.on.admin.client.post(f"{path}/authorize", json={})
        assert refused.status_code == 409, refused.text
        assert refused.json()["code"] == "program-refused"
        at.on.simulator.docusign.consents.add((APP_ID, robot_id))
        await authorize(at)
        kim = {"user_id": await at.on.push(KIM)}
        assert ROBOT in await at.sees((await at.decided(kim))["credential"])
        assert (await at.user_authentication()).status_code == 200
        asked = await at.decided(kim, interactive=True)
        await at.connect(asked["link"]["url"])
        assert KIM.user_name in await at.sees((await at.decided(kim))["credential"])
