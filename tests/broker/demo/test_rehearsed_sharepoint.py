"""Both kinds of SharePoint against the pretend ones, by our own providers over real HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest

from broker.demo.grants import App
from broker.demo.oauth import Program as Pretend
from broker.demo.sharepoint import REALM, sid
from broker.demo.simulator import Simulator, serving
from providers.capabilities import Registration, TokenResponse
from providers.definition import REHEARSAL
from providers.egress import Egress
from providers.errors import ClientMisconfigured, GrantDead, PersonNeeded, TryLater
from providers.oauth2 import Pkce
from providers.program import Program
from providers.secret import Secret
from providers.sharepoint_online import SharePointOnline
from providers.sharepoint_server import SharePointServer
from tests.broker.demo.stage import CALLBACK, KIM, query_of
from tests.canaries import planted
from tests.farm import CLIENT, ISSUER, signed

SECRET, PASSWORD = planted("secret"), planted("password")


@dataclass
class Rehearsal:
    """The pretend programs, and our providers for them."""

    simulator: Simulator
    online: SharePointOnline
    server: SharePointServer
    browser: httpx.AsyncClient

    def registration(self, program: Program, integration: str, **fields: str) -> Registration:
        """An app that is known to both, whichever way it proves itself."""
        certificate, private = signed()
        place = program.definition.environment(REHEARSAL)
        assert place is not None
        said = {
            "client_id": CLIENT,
            "tenant": self.simulator.entra.tenant,
            "site": "/sites/flows" if program is self.server else "acme.sharepoint.com/sites/flows",
            "issuer_id": ISSUER,
            "certificate": certificate,
            "user_name": KIM,
        }
        secrets = {"client_secret": SECRET, "private_key": private, "password": PASSWORD}
        return Registration(
            environment=place,
            origin=place.origin_of(),
            redirect_uri=CALLBACK,
            fields=said | fields,
            secrets={name: Secret(value) for name, value in secrets.items()},
            integration=integration,
        )

    async def connect(
        self, program: Program, pretend: Pretend, registration: Registration
    ) -> TokenResponse:
        """Consent page, Allow, code, tokens."""
        pkce = Pkce.new()
        url = program.authorize_url(registration, state="s1", challenge=pkce.challenge)
        assert (await self.browser.get(url)).status_code == 200
        back = pretend.decide(query_of(url), KIM)
        return await program.exchange(registration, answer=query_of(back), verifier=pkce.verifier)

    async def ask(self, given: TokenResponse, path: str) -> httpx.Response:
        """What a flow step does with the credential."""
        headers = {"Authorization": f"{given.token_type} {given.access_token.reveal()}"}
        return await self.browser.get(f"{given.base_url}{path}", headers=headers)


@pytest.fixture
async def rehearsal() -> AsyncIterator[Rehearsal]:
    certificate, _ = signed()
    async with serving() as simulator, httpx.AsyncClient(trust_env=False) as browser:
        for state in (simulator.entra.state, simulator.farm.state):
            state.register(App(CLIENT, SECRET, {CALLBACK}, certificate=certificate))
        simulator.farm.trusted[ISSUER] = certificate
        simulator.farm.passwords[KIM] = PASSWORD
        egress = Egress(origins=(simulator.base_url,))
        online = SharePointOnline(egress, simulator=simulator.base_url)
        server = SharePointServer(egress, simulator=simulator.base_url)
        yield Rehearsal(simulator, online, server, browser)
        await egress.aclose()


@pytest.mark.parametrize("way", ["secret", "certificate"])
async def test_a_person_at_sharepoint_online(rehearsal: Rehearsal, way: str) -> None:
    """R22, R41: consent, tokens, the site, refresh; by secret and by certificate."""
    online = rehearsal.online
    registration = rehearsal.registration(online, "delegated", client_authentication=way)
    given = await rehearsal.connect(online, rehearsal.simulator.microsoft, registration)
    assert given.account is not None
    assert given.account.display == KIM
    assert "offline_access" not in given.scopes
    assert (await rehearsal.ask(given, "/me")).json()["userPrincipalName"] == KIM
    checked = await online.check(registration, given.access_token, given.base_url or "")
    assert checked.passed
    assert given.refresh_token is not None
    fresh = await online.refresh(registration, given.refresh_token, scopes=given.scopes)
    assert (await rehearsal.ask(fresh, "/me")).status_code == 200
    assert fresh.refresh_token is not None
    assert (await online.test(registration)).passed


@pytest.mark.parametrize("way", ["secret", "certificate"])
async def test_the_app_alone_at_sharepoint_online(rehearsal: Rehearsal, way: str) -> None:
    """providers.md, app-only: a token of the app opens the site, and there is no `/me`."""
    online = rehearsal.online
    registration = rehearsal.registration(online, "app_only", client_authentication=way)
    given = await online.mint(registration, None)
    assert (await rehearsal.ask(given, "/sites/root")).status_code == 200
    assert (await rehearsal.ask(given, "/me")).status_code == 400
    assert (await online.test(registration)).passed


async def test_a_wrong_registration_is_told_by_test(rehearsal: Rehearsal) -> None:
    """R50, R55: another tenant, app or secret than Entra knows, each with what helps."""
    online = rehearsal.online
    for wrong in ({"tenant": "other.example"}, {"client_id": "nobody"}):
        with pytest.raises(ClientMisconfigured) as caught:
            await online.test(rehearsal.registration(online, "delegated", **wrong))
        assert caught.value.advice
    missing = rehearsal.registration(online, "app_only", site="acme.sharepoint.com/sites/none")
    assert not (await online.test(missing)).passed


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("AADSTS50173", GrantDead),
        ("AADSTS53003", PersonNeeded),
        ("AADSTS7000215", ClientMisconfigured),
        ("AADSTS90002", ClientMisconfigured),
        ("AADSTS90012", TryLater),
        ("AADSTS50196", TryLater),
    ],
)
async def test_entra_refuses_a_refresh(
    rehearsal: Rehearsal, name: str, kind: type[Exception]
) -> None:
    """semantics.md c.2: one of each class, as the pretend Entra words it."""
    online = rehearsal.online
    registration = rehearsal.registration(online, "delegated")
    given = await rehearsal.connect(online, rehearsal.simulator.microsoft, registration)
    assert given.refresh_token is not None
    rehearsal.simulator.entra.state.switches.set(name)
    with pytest.raises(kind):
        await online.refresh(registration, given.refresh_token)


@pytest.mark.parametrize("realm", ["", REALM])
async def test_a_farm_believes_what_is_minted(rehearsal: Rehearsal, realm: str) -> None:
    """R23, S2S: for a person by SID and for the app alone, with the realm typed or asked for."""
    server, kim = rehearsal.server, rehearsal.simulator.farm.state.users[KIM]
    registration = rehearsal.registration(server, "high_trust", realm=realm)
    person = await server.mint(registration, kim.id)
    told = (await rehearsal.ask(person, "/currentuser")).json()
    assert told["Title"] == kim.name
    app = await server.mint(registration, None)
    assert "app" in (await rehearsal.ask(app, "/currentuser")).json()["LoginName"]
    assert (await server.test(registration)).passed
    nobody = await server.mint(registration, sid(999_999))
    assert (await rehearsal.ask(nobody, "/currentuser")).status_code == 401


async def test_a_farm_that_trusts_another_issuer(rehearsal: Rehearsal) -> None:
    """R55: the farm's refusal is a failure that says what to compare."""
    other = rehearsal.registration(rehearsal.server, "high_trust", issuer_id=CLIENT)
    report = await rehearsal.server.test(other)
    assert not report.passed
    assert "issuer ID" in report.findings[0].text


async def test_a_person_signs_in_at_adfs(rehearsal: Rehearsal) -> None:
    """R23, OIDC: AD FS's consent page, the site's login name, refresh, the client by Test."""
    server = rehearsal.server
    registration = rehearsal.registration(server, "oidc")
    given = await rehearsal.connect(server, rehearsal.simulator.farm, registration)
    assert given.account is not None
    assert KIM in given.account.key
    assert given.grant_expires_in_s == 7 * 24 * 3600
    assert (await rehearsal.ask(given, "/currentuser")).status_code == 200
    assert given.refresh_token is not None
    fresh = await server.refresh(registration, given.refresh_token)
    assert (await server.check(registration, fresh.access_token, fresh.base_url or "")).passed
    alive = await server.introspect(registration, fresh.access_token, fresh.base_url or "")
    assert alive.active
    assert (await server.test(registration)).passed


async def test_a_password_opens_the_site(rehearsal: Rehearsal) -> None:
    """R24: the account's own credential, tried by Test; a wrong one fails."""
    server = rehearsal.server
    registration = rehearsal.registration(server, "password")
    given = await server.mint(registration, None)
    assert (await rehearsal.ask(given, "?$select=Title")).json()["Title"] == "Flows"
    assert (await server.test(registration)).passed
    rehearsal.simulator.farm.passwords[KIM] = "changed"
    assert not (await server.test(registration)).passed
