"""The rows P1 to P14, each through the doors of the service, on both engines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from broker.domain.clock import DAY, HOUR, MINUTE, SECOND
from tests.broker.web.parking import Parking, parking
from tests.broker.web.rehearsing import AMARA, KIM
from tests.clocks import MovableClock

LETTERS = "SELECT id FROM letters WHERE template = 'needed'"


@pytest.fixture
async def at(database_url: str, clock: MovableClock) -> AsyncIterator[Parking]:
    """A flow engine whose steps wait."""
    async with parking(database_url, clock) as made:
        yield made


async def test_p1_a_step_waits_and_its_person_hears_of_it(at: Parking, clock: MovableClock) -> None:
    """P1 (R14): the status in the owner's words, one open pause a step, one letter a day."""
    pause = await at.wait()
    shown = await at.now(pause)
    assert (shown["state"], shown["status"]) == ("waiting", "Authentication needed")
    assert (shown["version"], shown["run_as"], shown["expires_at"]) == (1, "user", None)
    assert await at.wait() == pause
    assert await at.wait("s2") != pause
    assert len(await at.rows(LETTERS)) == 1
    clock.advance(DAY)
    await at.wait("s3")
    assert len(await at.rows(LETTERS)) == 2
    assert len(await at.told("pause.waiting")) == 3


async def test_p2_one_sign_in_makes_all_of_them_ready(at: Parking) -> None:
    """P2 (R15, c.4): every step of this person is ready, in order of creation and spread over
    time, so that the provider is not hammered; nobody else's is.
    """
    waiting = [await at.wait(f"s{place}") for place in range(12)]
    other = await at.wait("another's", AMARA)
    assert (await at.sign_in()).status_code == 200
    told = await at.told("pause.ready")
    assert [each["pause"] for each in told] == waiting
    assert [each["claim_after_s"] for each in told] == [0] * 10 + [1] * 2
    assert (await at.now(other))["state"] == "waiting"


async def test_p3_another_account_or_fewer_scopes_release_nothing(at: Parking) -> None:
    """P3 (R15): the step waits on, and shows why; each change is a version and an event."""
    await at.sign_in(AMARA)
    pause, modest = await at.wait(scopes=["chatter_api"]), await at.wait("s2")
    assert (await at.sign_in(KIM, AMARA.user_name)).status_code == 409
    shown = await at.now(pause)
    assert (shown["state"], shown["reason"], shown["version"]) == ("waiting", "account-taken", 2)
    await at.sign_in(KIM, grants="api refresh_token")
    shown = await at.now(pause)
    assert (shown["state"], shown["reason"], shown["version"]) == ("waiting", "scopes-missing", 3)
    assert (await at.now(modest))["state"] == "ready"
    await at.sign_in(KIM)  # nobody named scopes for this link: the consent asks for what waits
    assert (await at.now(pause))["state"] == "ready"
    assert (await at.claimed(pause))["decision"]["row"] == "F6"
    assert await at.versions(pause) == [1, 2, 3, 4, 5]


async def test_p4_a_claim_asks_the_table_again(at: Parking) -> None:
    """P4 (R15, safety 26): refused before the sign-in and to any other key; of eight at once one
    wins, and its decision is the same one, looked at afresh.
    """
    pause = await at.wait()
    early = await at.claim(pause)
    assert (early.status_code, early.json()["code"]) == (409, "pause-waiting")
    await at.sign_in()
    other = await at.service.key()
    path = f"/v1/pauses/{pause}/claim"
    assert (await at.service.client.post(path, headers=other)).status_code == 403
    answers = await asyncio.gather(*(at.claim(pause) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7
    [won] = [answer.json() for answer in answers if answer.status_code == 200]
    assert (won["decision"]["row"], won["decision"]["version"]) == ("F6", 2)
    assert won["decision"]["credential"]["access_token"]
    assert [each["version"] for each in await at.told("pause.claimed")] == [3]


async def test_p5_the_step_ran(at: Parking) -> None:
    """P5: the flow goes on; the pause is over, and each of its versions was told once."""
    pause = await at.wait()
    await at.sign_in()
    claim = (await at.claimed(pause))["claim"]
    assert (await at.result(pause, claim, "ran")).status_code == 204
    assert (await at.now(pause))["state"] == "resumed"
    assert (await at.result(pause, claim, "ran")).json()["code"] == "claim-outdated"
    assert await at.versions(pause) == [1, 2, 3, 4]


async def test_p6_sent_back_and_failed_the_fifth_time(at: Parking) -> None:
    """P6: not usable again, it waits for the next sign-in; the fifth time the flow fails."""
    pause = await at.wait()
    for cycle in range(1, 6):
        await at.sign_in()
        if cycle == 1:  # the grant died between the sign-in and the claim: no token, no credential
            await at.disconnect()
            sent_back = await at.claimed(pause)
            assert (sent_back["claim"], sent_back["decision"]["row"]) == (None, "F11")
            assert "credential" not in sent_back["decision"]
        else:
            claim = (await at.claimed(pause))["claim"]
            assert (await at.result(pause, claim, "failed")).status_code == 204
            await at.disconnect()
        shown = await at.now(pause)
        assert (shown["state"], shown["cycles"]) == ("failed" if cycle == 5 else "waiting", cycle)
    assert shown["reason"] == "too-many-cycles"
    assert await at.versions(pause) == list(range(1, shown["version"] + 1))


async def test_p7_ready_is_said_again(at: Parking, clock: MovableClock) -> None:
    """P7: unclaimed for 10 minutes, it is announced again, and again; one claim wins."""
    pause = await at.wait()
    await at.sign_in()
    for times in (2, 3):
        clock.advance(10 * MINUTE + SECOND)
        assert await at.service.broker.pausing.recover() == 1
        assert await at.service.broker.pausing.recover() == 0
        assert len(await at.told("pause.ready")) == times
    assert (await at.claimed(pause))["claim"]
    assert (await at.claim(pause)).status_code == 409


async def test_p8_a_silent_claim_goes_back(at: Parking, clock: MovableClock) -> None:
    """P8, safety 26: after five silent minutes it is ready; the older claim no longer counts."""
    pause = await at.wait()
    await at.sign_in()
    first = (await at.claimed(pause))["claim"]
    clock.advance(5 * MINUTE - SECOND)
    assert await at.service.broker.pausing.recover() == 0
    clock.advance(2 * SECOND)
    assert await at.service.broker.pausing.recover() == 1
    assert (await at.now(pause))["state"] == "ready"
    second = (await at.claimed(pause))["claim"]
    assert (await at.result(pause, first, "ran")).json()["code"] == "claim-outdated"
    assert (await at.result(pause, second, "ran")).status_code == 204


async def test_p9_a_limit_ends_what_waits_too_long(at: Parking, clock: MovableClock) -> None:
    """P9, T4: none by default; once set it counts for what is paused from then on, an hour to 90
    days; the engine is told, and nothing is left to claim. Shortened, it ends nothing earlier.
    """
    endless = await at.wait("endless")
    for wrong in (3599, 90 * 86400 + 1, "soon"):
        refused = await at.decide("/v1/project", {"pause_limit_s": wrong}, method="PUT")
        assert refused.status_code == 422, refused.text
    for limit, step in ((7200, "two hours"), (3600, "one hour")):
        said = await at.decide("/v1/project", {"pause_limit_s": limit}, method="PUT")
        assert said.json()["pause_limit_s"] == limit
        await at.wait(step)
    again = await at.decide("/v1/project", {"fields": ["costCenter"]}, method="PUT")
    assert again.json()["pause_limit_s"] == 3600
    cleared = await at.decide("/v1/project", {"pause_limit_s": None}, method="PUT")
    assert cleared.json()["pause_limit_s"] is None
    expired = []
    for _ in range(2):
        clock.advance(HOUR + SECOND)
        assert await at.service.broker.pausing.recover() == 1
        expired = await at.told("pause.expired")
    assert [each["step"] for each in expired] == ["one hour", "two hours"]
    assert (await at.claim(expired[0]["pause"])).json()["code"] == "pause-expired"
    assert (await at.now(endless))["state"] == "waiting"


@pytest.mark.parametrize("end", ["suspended", "deleted", "disabled", "removed", "flow"])
async def test_p10_what_it_waits_for_is_gone(at: Parking, end: str) -> None:
    """P10, safety 8: the person is suspended or deleted, the connector disabled or deleted, the
    flow cancelled: waiting and ready pauses are cancelled with the reason, none can be claimed.
    """
    ready, kim = await at.wait("ready"), at.on.id(KIM)
    await at.sign_in()
    await at.disconnect()
    waiting = await at.wait("waiting")
    if end == "suspended":
        answers = [await at.decide(f"/v1/users/{kim}/suspend", {})]
    elif end == "deleted":
        answers = [await delete(at, kim)]
    elif end == "disabled":
        answers = [await at.decide(f"/v1/connectors/{at.on.connector}/disable", {})]
    elif end == "removed":
        path = f"/v1/connectors/{at.on.connector}?name=Salesforce"
        answers = [await at.admin.delete(path, headers={"If-Match": "*"})]
    else:
        paths = (f"/v1/pauses/{pause}/cancel" for pause in (ready, waiting))
        answers = [await at.on.post(path, {}) for path in paths]
    assert {answer.status_code for answer in answers} <= {200, 204}, answers[0].text
    reason = {
        "suspended": "user-suspended",
        "deleted": "user-deleted",
        "disabled": "connector-disabled",
        "removed": "connector-deleted",
        "flow": "flow-cancelled",
    }[end]
    for pause in (ready, waiting):
        shown = await at.now(pause)
        assert (shown["state"], shown["reason"]) == ("cancelled", reason)
        assert (await at.claim(pause)).json()["code"] == "pause-cancelled"
    assert {each["pause"] for each in await at.told("pause.cancelled")} == {ready, waiting}


async def test_p11_an_administrator_ends_it(at: Parking) -> None:
    """P11: ended by name, or all of a connector at once, with the reason in the audit; the count
    has to be what waits, and a key ends nothing in bulk (safety 27).
    """
    one, *rest = [await at.wait(f"s{place}") for place in range(4)]
    ended = await at.decide(f"/v1/pauses/{one}/end", {})
    assert (ended.json()["state"], ended.json()["reason"]) == ("failed", "ended")
    said = {"connector": at.on.connector, "reason": "quarter over"}
    assert (await at.on.post("/v1/pauses/end", said | {"count": 3})).status_code == 403
    await needs_the_count(at, "/v1/pauses/end", said, 3)
    done = await at.decide("/v1/pauses/end", said | {"count": 3})
    assert (done.status_code, done.json()) == (200, {"changed": 3})
    for pause in rest:
        shown = await at.now(pause)
        assert (shown["state"], shown["reason"]) == ("failed", "quarter over")
    audit = await at.rows("SELECT target, detail FROM audit WHERE action = 'pause.ended'")
    assert {row["target"] for row in audit} == {one, *rest}
    assert sum("quarter over" in row["detail"] for row in audit) == 3


async def test_p12_an_administrator_lets_it_run_as_the_connector_user(at: Parking) -> None:
    """P12, safety 27: with role and reason; recorded as an override; for the next go alone. In bulk
    for named pauses: those that wait, whose count was seen.
    """
    one, two, three = [await at.wait(f"s{place}") for place in range(3)]
    path = f"/v1/pauses/{one}/override"
    assert (await at.on.post(path, {"reason": "on leave"})).status_code == 403
    assert (await at.decide(path, {})).status_code == 422
    shown = (await at.decide(path, {"reason": "on leave"})).json()
    assert (shown["state"], shown["run_as"], shown["reason"]) == ("ready", "connector", "on leave")
    decision = (await at.claimed(one))["decision"]
    assert (decision["row"], decision["run_as"]["kind"]) == ("P12", "connector")
    assert decision["fallback"]
    chosen = {"pauses": [one, two, three], "reason": "on leave"}
    await needs_the_count(at, "/v1/pauses/override", chosen, 2)
    done = await at.decide("/v1/pauses/override", chosen | {"count": 2})
    assert done.json() == {"changed": 2}
    missing = {"pauses": ["pse_MISSING"], "count": 0, "reason": "x"}
    assert (await at.decide("/v1/pauses/override", missing)).status_code == 404
    for neither in ({}, {"connector": at.on.connector, "pauses": [one]}):
        refused = await at.decide("/v1/pauses/override", {"count": 0, "reason": "x"} | neither)
        assert refused.status_code == 422
    [*_, last] = await at.rows("SELECT actor, target, detail FROM audit ORDER BY n")
    assert (last["actor"].partition(":")[0], last["target"]) == ("admin", three)
    assert "on leave" in last["detail"]


async def test_p13_another_policy_moves_nothing(at: Parking) -> None:
    """P13: who waits goes on waiting; the list shows what no policy holds any more, for an
    administrator to end or release in bulk; a sign-in still lets a step go on.
    """
    pause, other = await at.wait(), await at.wait("s2")
    assert (await at.read("/v1/pauses?policy_changed=true"))["items"] == []
    assert (await at.switch(policy="end_with_error")).status_code == 200
    assert (await at.now(pause))["state"] == (await at.now(other))["state"] == "waiting"
    listed = await at.read("/v1/pauses?state=waiting&policy_changed=true")
    assert [each["id"] for each in listed["items"]] == [pause, other]
    said = {"pauses": [other], "count": 1, "reason": "no longer wanted"}
    assert (await at.decide("/v1/pauses/end", said)).json() == {"changed": 1}
    await at.sign_in()
    assert (await at.claimed(pause))["decision"]["row"] == "F6"
    wrong = await at.service.client.get("/v1/pauses?policy_changed=1", headers=at.on.headers)
    assert wrong.status_code == 422


async def test_p14_switched_off_it_runs_as_the_connector_user_once_confirmed(at: Parking) -> None:
    """P14: user authentication goes off only with the number of steps that wait, and they become
    ready as the connector user, and so does what is ready since its person signed in; switched
    off again, it moves nothing.
    """
    ready = await at.wait("signed in")
    await at.sign_in()
    await at.disconnect()
    waiting = [await at.wait(f"s{place}") for place in range(2)]
    for confirm in (None, 2, 4):
        refused = await at.switch(confirm, enabled=False)
        problem = refused.json()
        assert (refused.status_code, problem["code"]) == (409, "confirmation-needed")
        assert (problem["would"], "?confirm=3" in problem["next"]) == ({"pauses": 3}, True)
    assert (await at.now(waiting[0]))["state"] == "waiting"
    done = await at.switch(3, enabled=False)
    assert done.json()["user_authentication"]["enabled"] is False
    for pause in (ready, *waiting):
        shown = await at.now(pause)
        assert (shown["state"], shown["run_as"]) == ("ready", "connector")
    decision = (await at.claimed(waiting[0]))["decision"]
    assert decision["run_as"]["kind"] == "connector"
    assert decision["act"]["on_behalf_of"] is None  # R7: off, an answer holds no user data
    assert (await at.claimed(ready))["decision"]["row"] == "P12"
    assert (await at.switch(enabled=False)).status_code == 200


async def needs_the_count(at: Parking, path: str, said: dict[str, Any], count: int) -> None:
    """Without the number, or with another, nothing moves and the answer names it."""
    for wrong in ({}, {"count": count - 1}, {"count": count + 1}):
        refused = await at.decide(path, said | wrong)
        assert (refused.status_code, refused.json()["would"]) == (409, {"pauses": count})


async def delete(at: Parking, user: str) -> httpx.Response:
    """The directory deletes somebody."""
    [row] = await at.rows("SELECT id FROM directories")
    adding = at.service.broker.configuring.add_token
    token = await adding(at.service.project, row["id"], by="test")
    headers = {"Authorization": f"Bearer {token}"}
    return await at.service.client.delete(f"/scim/v2/{row['id']}/Users/{user}", headers=headers)
