"""AuthenticateUser through a running broker: with an id_token, and with a person who signs in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from broker.demo.people import Person
from broker.service.signing import canonical
from tests.detached import is_signed
from tests.journeys.stage import ANA, AUDIENCE, KIM, RETURN_URL, Stage, query_of, stage

STATUS, NAME = "AuthenticateUser.Ou.Status", "AuthenticateUser.Ou.Name"
EXPECTED = "AuthenticateUser.In.ExpectedUserLogon.EHR"
LOGON = "AuthenticateUser.Ou.Logon.EHR"


async def known(on: Stage, person: Person, logon: str) -> None:
    """The directory pushes somebody, and the mapping table names their logon."""
    user = await on.push(person)
    declared = f"{on.broker.base_url}/v1/project"
    said: dict[str, Any] = {"json": {"suffixes": ["EHR"]}, "headers": {"If-Match": "*"}}
    assert (await on.admin.client.put(declared, **said)).status_code == 200
    answer = await on.engine.put(f"/v1/users/{user}/logons", json={"logons": {"EHR": logon}})
    assert answer.status_code == 200, answer.text


async def perform(on: Stage, **body: Any) -> httpx.Response:
    """The action, asked by the engine."""
    return await on.engine.post("/v1/actions/AuthenticateUser", json=body)


async def test_authenticate_user(database_url: str, tmp_path: Path) -> None:
    """R82 to R98, T9: with an id_token by JSON and by the form, and with a person who signs in."""
    async with stage(tmp_path, database_url, BROKER_CCOW="1") as on:
        await known(on, KIM, "ksmith")
        await known(on, ANA, "acosta")
        await _with_an_id_token(on)
        await _brings_the_code_back(on)
        await _ends_on_our_page(on)


async def _with_an_id_token(on: Stage) -> None:
    """Pass, Fail and refusals, each as the standard's binding says; the signature checks out with
    the key of the discovery document.
    """
    token = on.simulator.identity.mint(KIM, AUDIENCE)
    proof = {"type": "id_token", "value": token}
    passed = await perform(on, items={EXPECTED: "ksmith"}, evidence=proof, suffixes=["EHR"])
    assert passed.status_code == 200, passed.text
    answer = passed.json()
    assert (answer["items"][STATUS], answer["items"][LOGON]) == ("Pass", "ksmith")
    assert answer["items"][NAME] == f"{KIM.family}^{KIM.given}"
    assert answer["user"]["state"] == "active"

    discovery = (await on.engine.get("/v1/actions")).json()
    assert discovery["subjects"][0]["action_agent_coupon"] == -11
    said = {"actionCoupon": answer["actionCoupon"], "items": answer["items"]}
    assert is_signed(canonical(said), answer["managerSignature"], discovery["keys"])

    replayed = (await perform(on, items={EXPECTED: "ksmith"}, evidence=proof)).json()
    assert replayed["items"] == {STATUS: "Fail", LOGON: "ksmith"}
    assert replayed["reason"] == "evidence_used"

    later = on.simulator.identity.mint(KIM, AUDIENCE, nonce="another sign-in")
    fresh = {"type": "id_token", "value": later}
    other = (await perform(on, items={EXPECTED: "Ksmith"}, evidence=fresh)).json()
    assert (other["items"][STATUS], other["reason"]) == ("Fail", "expected_user_mismatch")

    unknown = await perform(on, items={"AuthenticateUser.In.Password.EHR": "x"})
    assert unknown.status_code == 422
    assert unknown.json()["ccowException"] == "UnknownItemName"

    form = {"interface": "ContextAction", "method": "Perform", "suffixes": "EHR"}
    form["idToken"] = on.simulator.identity.mint(KIM, AUDIENCE, nonce="by the form")
    said = query_of("?" + (await on.engine.post("/ccow", data=form)).text)
    assert said["outputNames"] == f"{STATUS}|{LOGON}|{NAME}"
    assert said["outputValues"] == f"Pass|ksmith|{KIM.family}^{KIM.given}"

    nobody = httpx.AsyncClient(base_url=on.broker.base_url)
    async with nobody:
        refused = await nobody.post("/v1/actions/AuthenticateUser", json={})
    assert refused.status_code == 401
    assert token not in on.broker.logs


async def _brings_the_code_back(on: Stage) -> None:
    """The code reaches the registered return URL; the asker's call with it completes."""
    pending = await perform(on, items={EXPECTED: "ksmith"}, suffixes=["EHR"], return_url=RETURN_URL)
    assert pending.status_code == 202, pending.text
    coupon, link = pending.json()["actionCoupon"], pending.json()["authorization_url"]
    browser = on.browser()
    page = await on.sign_in(browser, link, KIM)
    assert "engine" in page.text
    back = await browser.post(link)
    assert back.is_redirect
    assert back.headers["location"].startswith(RETURN_URL)
    brought = query_of(back.headers["location"])
    assert brought["coupon"] == str(coupon)

    assert (await on.engine.get(f"/v1/actions/{coupon}")).status_code == 202
    wrong = await on.engine.get(f"/v1/actions/{coupon}", params={"code": "wrong"})
    assert wrong.status_code == 403
    done = await on.engine.get(f"/v1/actions/{coupon}", params={"code": brought["code"]})
    assert (done.status_code, done.json()["items"][STATUS]) == (200, "Pass")
    stranger = await on.key()
    assert (await stranger.get(f"/v1/actions/{coupon}")).status_code == 404


async def _ends_on_our_page(on: Stage) -> None:
    """The page names who asks and for whom; whoever else signs in is a Fail with their logon."""
    refused = await perform(on, items={})
    assert (refused.status_code, refused.json()["code"]) == (422, "expected-logon-needed")
    pending = (await perform(on, items={EXPECTED: "ksmith"}, suffixes=["EHR"])).json()
    browser = on.browser()
    page = await on.sign_in(browser, pending["authorization_url"], ANA)
    assert "engine" in page.text
    assert "ksmith" in page.text
    assert (await browser.post(pending["authorization_url"])).status_code == 200
    done = (await on.engine.get(f"/v1/actions/{pending['actionCoupon']}")).json()
    assert done["items"] == {STATUS: "Fail", LOGON: "acosta"}
    assert done["reason"] == "expected_user_mismatch"
