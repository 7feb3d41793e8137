"""Every error on demand, and the switchboard of the programs with a consent page."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from broker.demo import answers
from broker.demo.simulator import Simulator, serving
from broker.demo.world import Answer
from tests.broker.demo.stage import CALLBACK, KIM
from tests.broker.demo.visiting import API, SCOPES, SECRET, Visit, signer

BY_PROGRAM = {
    "salesforce": answers.SALESFORCE,
    "entra": answers.ENTRA,
    "sharepoint": answers.SHAREPOINT,
    "docusign": answers.DOCUSIGN,
    "tickets": answers.TICKETS,
}
# providers.md's table of Entra's numbers, class by class
DOCUMENTED = (
    *("50173", "700082", "70008", "70043", "70000", "50057", "50089", "54005"),
    *("50076", "50079", "50072", "50074", "50078", "50158", "53000", "53003", "65001", "65004"),
    *("50105", "7000215", "70002", "7000222", "700027", "700016", "700011", "70001", "90002"),
    *("50011", "90006", "90012", "50087", "40010", "80002", "50196", "50194", "90009"),
)


@pytest.fixture
async def at() -> AsyncIterator[tuple[Simulator, httpx.AsyncClient]]:
    async with serving() as simulator, httpx.AsyncClient(trust_env=False) as browser:
        yield simulator, browser


def test_all_numbers_of_entra_are_there() -> None:
    """Each number Microsoft's clients meet can be rehearsed (E4)."""
    assert {f"AADSTS{number}" for number in DOCUMENTED} <= set(answers.ENTRA)
    for name, one in answers.ENTRA.items():
        if name.startswith("AADSTS"):
            assert isinstance(one.body, dict)
            assert one.body["error_codes"] == [int(name.removeprefix("AADSTS"))]


@pytest.mark.parametrize("program", BY_PROGRAM)
async def test_each_error_once(at: tuple[Simulator, httpx.AsyncClient], program: str) -> None:
    """Switched on by its name, an error answers the next call with its status and its body."""
    simulator, browser = at
    visit = Visit(simulator, browser, program)
    given = await visit.connect()
    control = f"{simulator.base_url}/control"
    told = (await browser.get(control)).json()["answers"][program]
    assert set(told) == set(BY_PROGRAM[program])
    for name, one in BY_PROGRAM[program].items():
        body = {"program": program, "trouble": name, "times": 1}
        assert (await browser.post(f"{control}/trouble", json=body)).status_code == 200
        answer = await visit.refresh(given["refresh_token"])
        assert answer.status_code == one.status == told[name]["status"]
        assert answer.json() == one.body == told[name]["body"]
        assert {**answer.headers} | {k.lower(): v for k, v in one.headers.items()} == {
            **answer.headers
        }
    assert (await visit.refresh(given["refresh_token"])).status_code == 200


@pytest.mark.parametrize(
    ("program", "name", "endpoint"),
    [
        ("entra", "activityLimitReached", "me"),
        ("sharepoint", "throttled", "currentuser"),
        ("docusign", "HOURLY_APIINVOCATION_LIMIT_EXCEEDED", "userinfo"),
        ("tickets", "ok-false-busy", "tickets"),
        ("salesforce", "INVALID_SESSION_ID", "identity"),
    ],
)
async def test_errors_of_the_api(
    at: tuple[Simulator, httpx.AsyncClient], program: str, name: str, endpoint: str
) -> None:
    """An API can be told to fail too, for one user and a few times."""
    visit = Visit(*at, program)
    token = (await visit.connect())["access_token"]
    visit.program.state.switches.set(name, endpoint=endpoint, user=KIM, times=1)
    assert (await visit.ask(token)).status_code == BY_PROGRAM[program][name].status
    assert (await visit.ask(token)).status_code == 200


async def test_a_program_of_which_nothing_is_known(
    at: tuple[Simulator, httpx.AsyncClient],
) -> None:
    """Another program's error, or a program that is none, is refused loudly."""
    simulator, browser = at
    for path, body in (
        ("trouble", {"program": "docusign", "trouble": "AADSTS50173"}),
        ("trouble", {"program": "another", "trouble": "500"}),
        ("another/apps", {"client_id": "a", "client_secret": "b"}),
        ("sharepoint", {"trusted": ["x"]}),
        ("sharepoint", {"passwords": {"a": 7}}),
        ("docusign", {"user": "nobody"}),
    ):
        answer = await browser.post(f"{simulator.base_url}/control/{path}", json=body)
        assert answer.status_code == 400


@pytest.mark.parametrize("program", API)
async def test_apps_users_and_grants_over_http(
    at: tuple[Simulator, httpx.AsyncClient], program: str
) -> None:
    """What a rehearsal in another process needs: an app, a user off, grants and sessions over."""
    simulator, browser = at
    visit = Visit(simulator, browser, program)

    async def control(path: str, **body: object) -> httpx.Response:
        url = f"{simulator.base_url}/control/{program}/{path}"
        answer = await browser.post(url, json=body)
        assert answer.status_code == 200
        return answer

    made = await control(
        "apps", client_id="the-app", client_secret=SECRET, redirect_uris=[CALLBACK], rotation=True
    )
    assert SECRET not in made.text
    visit.app = visit.program.state.apps["the-app"]
    assert visit.app.rotation
    given = await visit.connect()
    await control("end-sessions")
    assert (await visit.ask(given["access_token"])).status_code in (401, 403)
    await control("users", user=KIM, active=False)
    assert (await visit.refresh(given["refresh_token"])).status_code == 400
    await control("users", user=KIM, active=True)
    assert (await control("revoke", user=KIM)).json() == {"ended": 1}
    counted = (await browser.get(f"{simulator.base_url}/control")).json()["calls"]
    assert counted[program]["refresh"] == 1


async def test_whom_the_farm_trusts_over_http(at: tuple[Simulator, httpx.AsyncClient]) -> None:
    """A certificate and a password, given to the pretend farm from another process."""
    simulator, browser = at
    body = {"trusted": {"i": signer().certificate}, "passwords": {"a": "b"}, "realm": "r"}
    answer = await browser.post(f"{simulator.base_url}/control/sharepoint", json=body)
    assert answer.json() == {"realm": "r", "host": simulator.farm.host}
    assert simulator.farm.trusted == {"i": signer().certificate}
    assert simulator.farm.passwords == {"a": "b"}


async def test_accounts_and_consents_over_http(at: tuple[Simulator, httpx.AsyncClient]) -> None:
    """Several accounts without a default one, and a consent for the JWT grant."""
    simulator, browser = at
    accounts = [{"account_id": "a", "is_default": False, "account_name": "A"}]
    body = {"user": KIM, "accounts": accounts, "client_id": "the-app"}
    answer = await browser.post(f"{simulator.base_url}/control/docusign", json=body)
    assert ("the-app", answer.json()["user_id"]) in simulator.docusign.consents
    assert simulator.docusign.accounts[KIM] == accounts


def test_answers_are_data() -> None:
    """Each is a status, a body and headers, so that another is one more line."""
    assert all(isinstance(one, Answer) for table in BY_PROGRAM.values() for one in table.values())
    assert set(SCOPES) == set(BY_PROGRAM)
