"""Journey C: who does this step run as, asked of a running broker."""

from __future__ import annotations

from itertools import count
from pathlib import Path

from broker.demo.world import Trouble
from tests.journeys.stage import ANA, CLIENT, KIM, ROBOT, Stage, stage
from tests.waiting import until


async def test_from_the_first_question_to_the_own_credential(
    database_url: str, tmp_path: Path
) -> None:
    """F1, F3, F8, F6, F12, F7 (R1, R5, R6, R27 to R29, R57): one story over HTTP, ended by a
    credential the program takes for the person's own.
    """
    async with stage(tmp_path, database_url) as on:
        kim = {"user_id": await on.push(KIM)}
        assert (await on.decided(kim, execution="early"))["row"] == "F1"

        connector = await on.connector()
        before = await on.decided(kim, execution="before")
        assert (before["row"], before["run_as"]["kind"]) == ("F3", "connector")
        assert await on.runs_as(before["credential"]) == ROBOT

        await on.switch(connector, enabled=True, policy="end_with_error")
        assert (await on.decided(kim, execution="alone"))["row"] == "F12"
        asked = await on.decided(kim, interactive=True)
        assert (asked["row"], asked["status"]) == ("F8", "authentication-required")
        unrelated = await on.decided(kim, execution="unrelated", type="create_data")
        assert (unrelated["row"], unrelated["link"]) == ("F4", None)

        browser = on.browser()
        await on.sign_in(browser, asked["link"]["url"], KIM)
        done = await on.allow(browser, asked["link"]["url"], KIM.user_name)
        assert done.status_code == 200, done.text

        again = await on.decided(kim, interactive=True)
        assert (again["row"], again["decision_id"]) == ("F6", asked["decision_id"])
        assert again["run_as"]["provider_account"] == KIM.user_name
        assert await on.runs_as(again["credential"]) == KIM.user_name

        lines = (await on.engine.get(f"/v1/decisions/{asked['decision_id']}")).json()["lines"]
        assert [line["row"] for line in lines] == ["F8", "F6"]
        report = (await on.engine.get("/v1/decisions", params=kim)).json()["items"]
        assert len(report) == 6  # as many lines as questions (R2)
        await _refuses_wrong_questions(on)


async def test_provider_away(database_url: str, tmp_path: Path) -> None:
    """F7: while the provider is away the answer is 503 with the row and Retry-After, under every
    policy; afterwards the same question is answered as the person.
    """
    async with stage(tmp_path, database_url) as on:
        connector = await on.connector()
        await on.switch(connector, enabled=True, policy="fallback")
        ana = {"user_id": await on.push(ANA)}
        link = (await on.decided(ana, interactive=True, execution="first"))["link"]["url"]
        browser, app = on.browser(), on.simulator.salesforce.apps[CLIENT]
        app.session_s = 2  # the shortest session: it is over within the test
        await on.sign_in(browser, link, ANA)
        await on.allow(browser, link, ANA.user_name)
        app.session_s = 7200
        on.simulator.salesforce.switches.set(Trouble.BROKEN, endpoint="token", user=ANA.user_name)
        executions = (f"poll-{n}" for n in count())

        async def is_away() -> bool:
            return (await on.resolve(ana, execution=next(executions))).status_code == 503

        await until(is_away)
        for policy in ("fallback", "fallback_with_warning", "pause", "end_with_error"):
            await on.switch(connector, enabled=True, policy=policy)
            away = await on.resolve(ana, execution=policy)
            assert away.status_code == 503, away.text
            assert (away.json()["row"], away.json()["retryable"]) == ("F7", True)
            assert int(away.headers["retry-after"]) >= 1

        on.simulator.salesforce.switches.clear()

        async def is_back() -> bool:
            return (await on.resolve(ana, execution=next(executions))).status_code == 200

        await until(is_back)
        back = await on.decided(ana, execution="end_with_error")
        assert (back["row"], await on.runs_as(back["credential"])) == ("F6", ANA.user_name)


async def _refuses_wrong_questions(on: Stage) -> None:
    """A wrong question is a problem with pointers (api.md); nothing is decided or kept of it."""
    wrong = await on.resolve(None, conector="x", interactive="no")
    assert wrong.status_code == 422
    assert wrong.headers["content-type"] == "application/problem+json"
    found = [
        (one["pointer"], one["code"], one.get("did_you_mean")) for one in wrong.json()["errors"]
    ]
    assert found == [
        ("/conector", "unknown_field", "connector"),
        ("/interactive", "not_a_boolean", None),
    ]
    unknown = await on.resolve(None, type="retrieve", execution="wrong")
    assert (unknown.status_code, unknown.json()["code"]) == (422, "unknown-step-type")
    conflict = await on.resolve(None)
    assert (conflict.status_code, conflict.json()["code"]) == (422, "decision-conflict")
    wrong = await (await on.key("--connector", "Another")).post(
        "/v1/resolve", json=allowed_elsewhere()
    )
    assert (wrong.status_code, wrong.json()["code"]) == (403, "connector-not-allowed")
    assert len((await on.engine.get("/v1/decisions")).json()["items"]) == 6


def allowed_elsewhere() -> dict[str, object]:
    """A right question, were it asked by a key for this connector."""
    return {
        "connector": "salesforce",
        "step": {"id": "s", "type": "retrieve_data"},
        "execution": {"id": "r"},
        "subject": None,
    }
