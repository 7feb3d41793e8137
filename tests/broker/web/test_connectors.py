"""The wizard and the life of a connector as administrators' programs and pages ask for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from broker.demo import simulator
from broker.demo.grants import App
from broker.demo.simulator import Simulator
from tests import engines
from tests.broker.web.rehearsing import query_of
from tests.canaries import planted
from tests.clocks import MovableClock
from tests.faces import BASE_URL, Faces, faces

APP, SECRET = "3MVG9-the-app", planted("client-secret")
ROBOT = "automation@acme.example"
KEYS = {"client_id": APP, "client_secret": SECRET}
SALESFORCE: dict[str, Any] = {
    "name": "Salesforce",
    "type": "salesforce",
    "environment": {"name": "rehearsal"},
    "options": {"buttons": "install_update"},
    "fields": KEYS | {"button_object": "Account"},
}


@dataclass(slots=True)
class Wizard:
    """An administrator's session, the pretend programs, and a service's key."""

    service: Faces
    pretend: Simulator
    client: httpx.AsyncClient
    key: dict[str, str]

    async def ask(self, method: str, path: str = "", said: object = None) -> httpx.Response:
        """What the administrator sends to the connectors, of whichever version."""
        headers = {"If-Match": "*"}
        return await self.client.request(
            method, f"/v1/connectors{path}", json=said, headers=headers
        )

    async def done(self, method: str, path: str = "", said: object = None) -> dict[str, Any]:
        """The same, where it is meant to work."""
        answer = await self.ask(method, path, said)
        assert answer.is_success, answer.text
        shown: dict[str, Any] = answer.json()
        return shown

    async def draft(self, **more: Any) -> str:
        """The path of a complete draft for Salesforce."""
        return f"/{(await self.done('POST', '', SALESFORCE | more))['id']}"

    async def sent(self, path: str) -> str:
        """Where the browser goes from the window Authorize."""
        link = await self.done("POST", f"{path}/authorize", {})
        assert link["state"] is None, "somebody has to open the link"
        away = await self.client.post(urlsplit(link["url"]).path)
        assert away.status_code == 303, away.text
        return str(away.headers["location"])

    async def allowed(self, path: str, *, allow: bool = True) -> httpx.Response:
        """Through the program's own page, and back."""
        query = query_of(await self.sent(path))
        back = self.pretend.pages.decide(query, ROBOT, allow=allow)
        return await self.client.get(back.removeprefix(BASE_URL))

    async def connected(self, **more: Any) -> str:
        """The path of a connector that went through the wizard."""
        path = await self.draft(**more)
        assert (await self.allowed(path)).status_code == 200
        await self.done("POST", f"{path}/connect")
        return path

    async def types(self) -> dict[str, dict[str, Any]]:
        found = (await self.client.get("/v1/connector-types")).json()["items"]
        return {each["type"]: each for each in found}


@pytest.fixture
async def wizard(
    sqlite_engine: engines.SqliteEngine, tmp_path: Path, clock: MovableClock
) -> AsyncIterator[Wizard]:
    """Nothing is set up; the operator has described the ticket system of the demo."""
    programs = Path(simulator.__file__).with_name("programs.json")
    with sqlite_engine.database(tmp_path) as url:
        async with (
            simulator.serving() as pretend,
            faces(url, clock=clock, simulator_url=pretend.base_url, programs=programs) as found,
        ):
            prefix = f"{BASE_URL}/oauth/callback/"
            for state in (pretend.salesforce, pretend.docusign.state, pretend.farm.state):
                state.register(App(APP, SECRET, redirect_prefix=prefix))
            key = await found.key()
            yield Wizard(found, pretend, await found.administrator(), key)


async def test_r34_a_connector_shows_what_it_stands_for_and_no_secret(wizard: Wizard) -> None:
    """R34, R44: its program, environment and references to credentials; a GET holds no value."""
    answer = await wizard.ask("GET", await wizard.connected())
    shown = answer.json()
    assert (shown["type"], shown["environment"]) == ("salesforce", {"name": "rehearsal"})
    assert shown["connector_user"]["account"] == ROBOT
    assert shown["fields"]["client_id"] == APP
    assert set(shown["fields"]["client_secret"]) == {"has_value", "changed_at"}
    assert SECRET not in answer.text


async def test_r35_a_program_of_ones_own_has_fields_of_its_own(wizard: Wizard) -> None:
    """R35: whatever else a definition declares is shown, taken, kept and given back."""
    declared = (await wizard.types())["tickets"]
    own = [
        field
        for section in declared["sections"]
        for field in section["fields"]
        if section["title"] == "Additional Options"
    ]
    assert own, "the ticket system has a field for the client's workflow"
    value = own[0]["choices"][-1]["value"] if own[0]["choices"] else "renewals"
    said = {"name": "Tickets", "type": "tickets", "fields": {own[0]["name"]: value}}
    made = await wizard.done("POST", "", said)
    assert (await wizard.done("GET", f"/{made['id']}"))["fields"][own[0]["name"]] == value


async def test_r36_r37_the_form_of_a_type(wizard: Wizard) -> None:
    """R36, R37, R41, R43, R50: sections in their order, empty ones left out; each field says its
    lock, its integrations and what shows it; each type what its test proves.
    """
    types = await wizard.types()
    order = ["General", "Additional Options", "Advanced Options", "Relay Options"]
    for each in types.values():
        titles = [section["title"] for section in each["sections"]]
        assert titles == [title for title in order if title in titles]
        assert all(section["fields"] for section in each["sections"])
        assert each["test"]
    assert len(types["salesforce"]["sections"]) == 3, "no relay here, so no section for it"
    farm = types["sharepoint_server"]
    assert [one["method"]["people"] for one in farm["integrations"]] == [
        "minted", "refresh_token", None
    ]  # fmt: skip
    fields = {one["name"]: one for one in farm["sections"][0]["fields"]}
    assert fields["password"]["protected"] is True
    assert fields["password"]["integrations"] == ["password"]
    online = [field for part in types["sharepoint_online"]["sections"] for field in part["fields"]]
    shows = {one["name"]: one["when"] for one in online}
    assert shows["private_key"] == ["client_authentication", "certificate"]
    assert [one["name"] for one in online if one["binds"]] == ["tenant"]


async def test_r36_the_same_type_under_two_integrations(wizard: Wizard) -> None:
    """R36: two connectors of one type show two sets of fields, in the order of the sections."""
    shown = [
        [*(await wizard.done("POST", "", {"name": n, "type": "sharepoint_server", "integration": n}
        ))["fields"]]
        for n in ("password", "oidc")
    ]  # fmt: skip
    assert shown == [
        ["site", "user_name", "password"],
        ["site", "client_id", "adfs", "client_secret", "resource"],
    ]


async def test_r42_without_a_relay_nothing_names_one(wizard: Wizard) -> None:
    """R42, safety 20: a relay is the operator's; nobody can type one into a form."""
    said = SALESFORCE | {"fields": KEYS | {"relay": "http://10.0.0.1:3128"}}
    answer = await wizard.ask("POST", "", said)
    assert answer.status_code == 422
    assert [one["pointer"] for one in answer.json()["errors"]] == ["/fields/relay"]


async def test_r57_before_there_is_one_no_step_runs(wizard: Wizard) -> None:
    """R57, R81, F1: neither without a connector nor beside a draft."""
    asked = {
        "connector": "Salesforce",
        "step": {"id": "s1", "type": "retrieve_data"},
        "execution": {"id": "r-1"},
        "subject": None,
    }
    for execution in ("r-1", "r-2"):
        asked["execution"] = {"id": execution}
        answer = await wizard.service.client.post("/v1/resolve", json=asked, headers=wizard.key)
        assert (answer.json()["row"], answer.json()["status"]) == ("F1", "connector-unavailable")
        await wizard.ask("POST", "", SALESFORCE)


async def test_r63_r64_one_salesforce_a_project(wizard: Wizard) -> None:
    """R63, R64: a second is 409, and the advice is another project, which may have one."""
    await wizard.connected()
    second = await wizard.ask("POST", "", SALESFORCE | {"name": "Second"})
    assert (second.status_code, second.json()["code"]) == (409, "one-connector-per-project")
    assert "another project" in second.json()["next"]
    elsewhere = await wizard.service.key(project=await wizard.service.other_project())
    wizard.client.cookies.clear()
    other = await wizard.client.post("/v1/connectors", json=SALESFORCE, headers=elsewhere)
    assert other.status_code == 201, other.text


@pytest.mark.parametrize("again", ["SALESFORCE", "  salesforce ", "salesforce"])
async def test_r65_a_name_is_unique(wizard: Wizard, again: str) -> None:
    """R65: another case, or spaces around it, are the same name; none at all is refused."""
    await wizard.connected()
    taken = {"name": again, "type": "docusign"}
    answer = await wizard.ask("POST", "", taken)
    assert (answer.status_code, answer.json()["code"]) == (409, "name-taken")
    assert (await wizard.ask("POST", "", taken | {"name": "  "})).status_code == 422


@pytest.mark.parametrize("description", [None, "", "For the renewals."])
async def test_r66_a_description_is_optional(wizard: Wizard, description: str | None) -> None:
    """R66: none, an empty one and one are taken."""
    made = await wizard.done("POST", "", SALESFORCE | {"description": description})
    assert made["description"] == (description or "")


async def test_r67_the_type_is_of_the_list(wizard: Wizard) -> None:
    """R67: what the list has can be made; what it has not is named with the nearest."""
    assert {"salesforce", "sharepoint_online", "sharepoint_server", "docusign", "tickets"} == set(
        await wizard.types()
    )
    answer = await wizard.ask("POST", "", SALESFORCE | {"type": "salesfroce"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["did_you_mean"] == "salesforce"
    path = await wizard.draft()
    fixed = await wizard.ask("PATCH", path, {"type": "docusign"})
    assert fixed.status_code == 422, "the type is fixed after C1"


@pytest.mark.parametrize(
    ("environment", "host"),
    [
        ({"name": "production"}, "login.salesforce.com"),
        ({"name": "test"}, "test.salesforce.com"),
        ({"name": "custom_domain", "host": "acme.my.salesforce.com"}, "acme.my.salesforce.com"),
    ],
)
async def test_r68_the_environment_is_where_authorize_leads(
    wizard: Wizard, environment: dict[str, str], host: str
) -> None:
    """R68, R76: 302 to the chosen host, with state, PKCE S256 and exactly our redirect URI."""
    path = await wizard.draft(environment=environment)
    url = await wizard.sent(path)
    asked = query_of(url)
    assert (urlsplit(url).scheme, urlsplit(url).netloc) == ("https", host)
    assert (asked["code_challenge_method"], len(asked["code_challenge"])) == ("S256", 43)
    assert asked["redirect_uri"] == f"{BASE_URL}/oauth/callback{path}"
    assert (await wizard.done("GET", path))["redirect_uri"] == asked["redirect_uri"]
    assert len(asked["state"]) >= 32
    assert SECRET not in url


@pytest.mark.parametrize(
    "host",
    ["acme.lightning.force.com", "127.0.0.1", "acme.my.salesforce.com:8443", "evil.example",
     "a@acme.my.salesforce.com"],
)  # fmt: skip
async def test_r69_a_custom_domain_is_safe(wizard: Wizard, host: str) -> None:
    """R69: lightning hosts, addresses, ports, other domains and user names are 422."""
    said = SALESFORCE | {"environment": {"name": "custom_domain", "host": host}}
    answer = await wizard.ask("POST", "", said)
    assert answer.status_code == 422
    assert [one["pointer"] for one in answer.json()["errors"]] == ["/environment/host"]


async def test_r70_the_buttons_are_answered_once(wizard: Wizard) -> None:
    """R70, R71: one of three, none by default; Install/Update asks for its object."""
    option = (await wizard.types())["salesforce"]["options"][0]
    assert [one["label"] for one in option["choices"]] == ["Install/Update", "Uninstall", "Skip"]
    made = await wizard.done("POST", "", SALESFORCE | {"options": {}, "fields": KEYS})
    path = f"/{made['id']}"
    assert made["missing"] == ["/options/buttons"]
    shown = await wizard.done("PATCH", path, {"options": {"buttons": "install_update"}})
    assert shown["missing"] == ["/fields/button_object"]
    shown = await wizard.done("PATCH", path, {"options": {"buttons": "skip"}})
    assert (shown["state"], shown["missing"]) == ("configured", [])
    both = await wizard.ask("PATCH", path, {"options": {"buttons": "skip,uninstall"}})
    assert both.status_code == 422


async def test_r75_no_step_of_the_wizard_is_skipped(wizard: Wizard) -> None:
    """R75: an incomplete one is not authorized, an unauthorized one not connected."""
    made = await wizard.done("POST", "", {"name": "Salesforce", "type": "salesforce"})
    early = await wizard.ask("POST", f"/{made['id']}/authorize", {})
    assert early.status_code == 422
    await wizard.done("PATCH", f"/{made['id']}", {n: SALESFORCE[n] for n in ("environment",
        "options", "fields")})  # fmt: skip
    assert (await wizard.ask("POST", f"/{made['id']}/connect")).status_code == 409


async def test_r77_allow_and_r78_deny(wizard: Wizard) -> None:
    """R77, R78, R80, C4 to C6: Deny stores nothing and says why; Allow leads on to Connected."""
    path = await wizard.draft()
    denied = await wizard.allowed(path, allow=False)
    assert denied.status_code == 409
    shown = await wizard.done("GET", path)
    assert (shown["state"], shown["reason"]) == ("configured", "access_denied")
    assert (await wizard.ask("POST", f"{path}/connect")).status_code == 409
    assert (await wizard.allowed(path)).status_code == 200
    assert (await wizard.done("GET", path))["state"] == "authorized"
    assert (await wizard.done("POST", f"{path}/connect"))["state"] == "connected"
    listed = (await wizard.client.get("/v1/connectors")).json()["items"]
    assert [(each["name"], each["state"]) for each in listed] == [("Salesforce", "connected")]


async def test_r81_a_wizard_is_left_and_taken_up_again(wizard: Wizard, clock: MovableClock) -> None:
    """R81, C1: the draft stands where it was left for a day, and is gone after it."""
    path = await wizard.draft()
    clock.advance(23 * 3600 * 1_000_000)
    wizard.client.cookies.clear()
    await wizard.service.administrator()
    assert (await wizard.done("GET", path))["missing"] == []
    clock.advance(2 * 3600 * 1_000_000)
    assert (await wizard.ask("GET", path)).status_code == 404


async def test_safety_21_letting_people_go_is_confirmed(wizard: Wizard) -> None:
    """Safety 21: 409 with its numbers; confirmed, it is switched off and authorized anew."""
    said = {
        "name": "Farm",
        "type": "sharepoint_server",
        "integration": "oidc",
        "environment": {"name": "rehearsal"},
        "fields": KEYS,
    }
    path = f"/{(await wizard.done('POST', '', said))['id']}"
    query = query_of(await wizard.sent(path))
    back = wizard.pretend.farm.decide(query, ROBOT)
    assert (await wizard.client.get(back.removeprefix(BASE_URL))).status_code == 200
    await wizard.done("POST", f"{path}/connect")
    await wizard.done("PUT", f"{path}/user-authentication", {"enabled": True, "policy": "pause"})
    wizard.pretend.farm.passwords[ROBOT] = SECRET
    turned = {"integration": "password", "fields": {"user_name": ROBOT, "password": SECRET}}
    asked = await wizard.ask("PATCH", path, turned)
    assert (asked.status_code, asked.json()["code"]) == (409, "confirmation-needed")
    assert asked.json()["would"] == {"users": 0, "tokens": 1, "pauses": 0}
    shown = await wizard.done("PATCH", f"{path}?confirm=user-authentication-off", turned)
    assert shown["user_authentication"] == {
        "enabled": False, "policy": "pause", "supported": False
    }  # fmt: skip
    done = await wizard.done("POST", f"{path}/authorize", {})
    assert done == {"id": None, "url": None, "expires_at": None, "state": "authorized"}
    assert (await wizard.done("POST", f"{path}/connect"))["state"] == "connected"


async def test_c11_deleting_shows_its_numbers_first(wizard: Wizard) -> None:
    """C11: without the name nothing happens but an answer of what would end."""
    path = await wizard.connected()
    asked = await wizard.ask("DELETE", path)
    assert (asked.status_code, asked.json()["code"]) == (409, "confirmation-needed")
    assert asked.json()["would"] == {"users": 0, "tokens": 1, "pauses": 0}
    assert (await wizard.ask("DELETE", f"{path}?name=Sales")).status_code == 422
    assert (await wizard.ask("DELETE", f"{path}?name=salesforce")).status_code == 204
    assert (await wizard.ask("GET", path)).status_code == 404
