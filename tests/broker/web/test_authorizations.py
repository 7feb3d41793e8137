"""Refused credentials and grants that end, through the doors: rows K11 and K12, safety 25."""

from __future__ import annotations

from tests.broker.web.rehearsing import KIM, Rehearsal, query_of


async def test_a_refused_token_is_renewed_and_a_grant_ended(rehearsal: Rehearsal) -> None:
    """K11, K12: reported, renewed, listed, disconnected; then the step asks for the person."""
    client, headers, id = rehearsal.service.client, rehearsal.headers, rehearsal.connector
    await connected(rehearsal)
    first = await rehearsal.resolve(KIM, "r-1")
    told = await rehearsal.post(f"/v1/decisions/{first['decision_id']}/rejected", {"version": 1})
    assert (told.status_code, told.json()["result"]) == (200, "expired")
    again = await rehearsal.resolve(KIM, "r-2")
    assert again["row"] == "F6"
    assert again["credential"]["access_token"] != first["credential"]["access_token"]
    listed = await client.get(f"/v1/connectors/{id}/authorizations", headers=headers)
    kim = next(one for one in listed.json()["items"] if one["user_id"] == rehearsal.id(KIM))
    assert (kim["state"], kim["rejected_at"] is None) == ("valid", False)
    where = f"/v1/connectors/{id}/authorizations/{rehearsal.id(KIM)}"
    assert (await client.delete(where, headers=headers)).status_code == 204
    assert (await client.delete(where, headers=headers)).status_code == 204
    assert (await rehearsal.resolve(KIM, "r-3", interactive=True))["row"] == "F8"
    wrong = await rehearsal.post(f"/v1/decisions/{first['decision_id']}/rejected", {"version": 0})
    assert wrong.json()["errors"][0]["pointer"] == "/version"


async def connected(rehearsal: Rehearsal) -> None:
    """Kim signs in and allows access."""
    link = await rehearsal.link(KIM)
    async with rehearsal.browser() as browser:
        await rehearsal.sign_in(browser, link, KIM)
        away = await browser.post(link)
        back = rehearsal.pretend.pages.decide(query_of(away.headers["location"]), KIM.user_name)
        await browser.get(back)
