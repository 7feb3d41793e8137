"""The table F as callers meet it: each row by name, over HTTP, on both engines."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from broker.demo.simulator import Simulator, serving
from broker.domain.connectors import Connector
from broker.domain.connectors import State as ConnectorState
from broker.domain.users import Status
from tests.asking import NAMED, Asking, asking
from tests.clocks import MovableClock
from tests.stepping import DEAD, END, FALLBACK, KIM, LATER, OFF, PAUSE, ROBOT, WARNED

POLICIES = [FALLBACK, WARNED, PAUSE, END]
INTERACTIVE = {"interactive": True}
GONE, EARLY = ("suspended", "deleted"), ("invited", "queued")


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """The pretend programs."""
    async with serving() as programs:
        yield programs


@pytest.fixture
async def engine(
    database_url: str, simulator: Simulator, clock: MovableClock
) -> AsyncIterator[Asking]:
    """A flow engine before the whole service, on each engine of databases."""
    async with asking(database_url, simulator, clock) as found:
        yield found


async def connected(engine: Asking, **said: Any) -> Connector:
    """A connector whose connector user can run."""
    connector = await engine.at.connector(**said)
    await engine.at.connect(connector, None)
    return connector


def is_error(answer: dict[str, Any], row: str, status: str) -> None:
    """The row ends the step: readable, with no credential, no identity, nothing to wait for."""
    assert (answer["row"], answer["outcome"], answer["status"]) == (row, "error", status)
    assert answer["message"].endswith(".")
    assert "credential" not in answer
    assert [answer[each] for each in ("run_as", "link", "pause", "warning")] == [None] * 4


def is_connector(answer: dict[str, Any], row: str, **said: Any) -> None:
    """The row runs as the connector user, with their credential."""
    assert (answer["row"], answer["outcome"], answer["status"]) == (row, "run", "resolved")
    assert answer["run_as"] == {"kind": "connector", "provider_account": ROBOT}
    assert answer["credential"]["access_token"]
    assert "message" not in answer
    assert {name: answer[name] for name in said} == said


async def waits(engine: Asking, subject: dict[str, str] | None, row: str, **more: Any) -> None:
    """The row is 503 with Retry-After, and asking again later is right."""
    answer = await engine.resolve(subject, **more)
    said = answer.json()
    assert (answer.status_code, said["row"], said["code"]) == (503, row, "temporarily-unavailable")
    assert said["retryable"] is True
    assert int(answer.headers["retry-after"]) >= 1


async def test_f1_no_connector(engine: Asking) -> None:
    """F1: unknown, disabled, deleted, or in need of an administrator: connector-unavailable."""
    for state in ("disabled", "needs_admin", "deleted"):
        await engine.at.connector(state, state=ConnectorState(state))
    for name in ("disabled", "needs_admin", "deleted", "missing"):
        answer = await engine.decided(None, connector=name, step=name)
        is_error(answer, "F1", "connector-unavailable")


async def test_f2_not_active(engine: Asking) -> None:
    """F2: who is suspended or deleted never runs; invited and queued not while E is on."""
    connector = await connected(engine)
    gone = [await engine.at.person(f"{one}@acme.example", Status(one)) for one in GONE]
    early = [await engine.at.person(f"{one}@acme.example", Status(one)) for one in EARLY]
    for user in (gone[0], *early):
        await engine.at.connect(connector, user, as_user=KIM)
    for said, people in ((OFF, gone), (FALLBACK, gone + early)):
        connector = await engine.at.setting(connector, **said)
        for user in people:
            for subject in ({"user_name": user.user_name}, {"user_id": user.id}):
                answer = await engine.decided(subject, execution=f"{said}", step=f"{subject}")
                is_error(answer, "F2", "user-not-active")


async def test_f3_off(engine: Asking) -> None:
    """F3, R6: E off: the connector user, whoever asks and whatever they hold."""
    connector = await connected(engine)
    await engine.kim(connector)
    for status in EARLY:
        await engine.at.person(f"{status}@acme.example", Status(status))
    people = [NAMED, None, *({"user_name": f"{status}@acme.example"} for status in EARLY)]
    for place, subject in enumerate(people):
        answer = await engine.decided(subject, step=f"s{place}")
        is_connector(answer, "F3", reason=None, fallback=False, warning=None)
    unknown = {"user_name": "nobody@acme.example"}
    is_connector(await engine.decided(unknown), "F3", reason="unknown-subject")


async def test_f4_not_supported(engine: Asking) -> None:
    """F4, R21, R29: a step that does not support it runs as before and asks nobody."""
    await engine.kim(await connected(engine, **END))
    answer = await engine.decided(NAMED, type="create_data", **INTERACTIVE)
    is_connector(answer, "F4", reason="not-supported-by-step", link=None, fallback=False)
    unknown = {"user_name": "nobody@acme.example"}
    answer = await engine.decided(unknown, type="create_data", step="s5")
    is_connector(answer, "F4", reason="unknown-subject")


async def test_f5_not_enabled(engine: Asking) -> None:
    """F5, R26, T2: the person has it switched off: attended the connector user, else the policy."""
    connector = await connected(engine, **END)
    user = await engine.kim(connector)
    await engine.at.change(user, user_authentication=False)
    answer = await engine.decided(NAMED, **INTERACTIVE)
    is_connector(answer, "F5", reason="user-not-enabled", fallback=False, warning=None)
    outcomes = []
    for place, said in enumerate(POLICIES):
        connector = await engine.at.setting(connector, **said)
        answer = await engine.decided(NAMED, execution=f"r-{place}-alone")
        assert answer["row"] == "F5"
        outcomes.append((answer["outcome"], answer["reason"], bool(answer["warning"])))
    assert outcomes == [
        ("run", "user-not-enabled", False),
        ("run", "user-not-enabled", True),
        ("error", "user-not-enabled", False),
        ("error", "user-auth-required", False),
    ]


async def test_f6_the_user(engine: Asking) -> None:
    """F6, R1, R5: the person themselves, with their own account and their own credential."""
    user = await engine.kim(await connected(engine, **END))
    assert (await engine.decided(NAMED, step="s5", **INTERACTIVE))["row"] == "F6"
    answer = await engine.decided(NAMED)
    assert (answer["row"], answer["outcome"], answer["status"]) == ("F6", "run", "resolved")
    assert answer["run_as"] == {
        "kind": "user",
        "user_id": user.id,
        "user_name": KIM,
        "display_name": "Kim Lee",
        "provider_account": KIM,
    }
    assert answer["act"]["on_behalf_of"] == user.id
    assert await engine.at.works(answer["credential"])


async def test_f7_for_the_moment(engine: Asking) -> None:
    """F7: their token cannot be had right now: wait, the same under all four policies."""
    connector = await connected(engine, **END)
    await engine.kim(connector, **LATER)
    for place, said in enumerate(POLICIES):
        connector = await engine.at.setting(connector, **said)
        await waits(engine, NAMED, "F7", execution=f"r-{place}")
        await waits(engine, NAMED, "F7", execution=f"r-{place}-watched", **INTERACTIVE)


async def test_f8_ask(engine: Asking) -> None:
    """F8, R27: somebody is there: authentication-required, with one link however many ask; be it
    that they never signed in, or that they have to again.
    """
    connector = await connected(engine, **FALLBACK)
    user = await engine.at.person(KIM)
    links = set()
    for step in ("s1", "s2", "s3"):
        if step == "s3":
            await engine.at.connect(connector, user, **DEAD)
        answer = await engine.decided(NAMED, step=step, **INTERACTIVE)
        assert (answer["row"], answer["outcome"]) == ("F8", "ask")
        assert answer["status"] == "authentication-required"
        assert "credential" not in answer
        links.add(answer["link"]["url"])
    assert len(links) == 1


async def test_f9_fall_back(engine: Asking) -> None:
    """F9, R11: the connector user stands in, said so, and nobody is warned."""
    await engine.kim(await connected(engine, **FALLBACK), **DEAD)
    is_connector(await engine.decided(NAMED), "F9", fallback=True, warning=None, reason=None)


async def test_f10_fall_back_and_warn(engine: Asking) -> None:
    """F10, R12, R13: the same, and the Flow Execution Panel is told, in the answer, by event and
    in the list of the execution.
    """
    await engine.kim(await connected(engine, **WARNED), **DEAD)
    answer = await engine.decided(NAMED)
    is_connector(answer, "F10", fallback=True, reason=None)
    warning = answer["warning"]
    assert warning["text"].startswith("This step ran as the connector user")
    assert (warning["code"], warning["severity"]) == ("user-auth-fallback", "warning")
    assert (warning["execution_id"], warning["step_id"]) == ("r-1", "s4")
    [line] = (await engine.get("/v1/decisions", execution="r-1", warning="true"))["items"]
    assert (line["warning"], line["row"]) == (warning, "F10")
    [event] = await engine.at.rows("SELECT type FROM events WHERE type = 'decision.warning'")
    assert event


async def test_f11_pause(engine: Asking) -> None:
    """F11, R14: the flow waits with exactly the status "Authentication needed"; a pause exists."""
    await engine.kim(await connected(engine, **PAUSE), **DEAD)
    answer = await engine.decided(NAMED)
    assert (answer["row"], answer["outcome"]) == ("F11", "pause")
    assert answer["status"] == "Authentication needed"
    assert (answer["link"], answer["run_as"]) == (None, None)
    pause = await engine.get(f"/v1/pauses/{answer['pause']['id']}")
    assert (pause["state"], pause["status"]) == ("waiting", "Authentication needed")


async def test_f12_end(engine: Asking) -> None:
    """F12, R17: the flow ends with a readable error, and no credential leaves."""
    await engine.kim(await connected(engine, **END), **DEAD)
    is_error(await engine.decided(NAMED), "F12", "user-auth-required")


async def test_f13_nobody_falls_back(engine: Asking) -> None:
    """F13, T5: an API key or a schedule, under Fallback: the connector user, without a warning."""
    await connected(engine, **FALLBACK)
    answer = await engine.decided(None)
    is_connector(answer, "F13", fallback=True, warning=None, reason="no-subject")


async def test_f14_nobody_falls_back_and_warns(engine: Asking) -> None:
    """F14, R12, T5: the same, with the warning."""
    await connected(engine, **WARNED)
    answer = await engine.decided(None)
    is_connector(answer, "F14", fallback=True, reason="no-subject")
    assert answer["warning"]["code"] == "user-auth-fallback"


async def test_f15_nobody_to_wait_for(engine: Asking) -> None:
    """F15, T5: a pause without a person is an error; none is opened."""
    await connected(engine, **PAUSE)
    is_error(await engine.decided(None), "F15", "no-subject")
    assert await engine.at.rows("SELECT id FROM pauses") == []


async def test_f16_nobody_ends(engine: Asking) -> None:
    """F16, R17, T5: it has to run as a person, and nobody was named."""
    await connected(engine, **END)
    is_error(await engine.decided(None), "F16", "user-auth-required")


async def test_f17_a_bug_in_the_caller(engine: Asking) -> None:
    """F17: somebody is there and the call does not say who: no policy helps."""
    connector = await connected(engine, **END)
    for place, said in enumerate(POLICIES):
        connector = await engine.at.setting(connector, **said)
        answer = await engine.decided(None, execution=f"r-{place}", **INTERACTIVE)
        is_error(answer, "F17", "no-subject")


async def test_f18a_no_connector_user(engine: Asking) -> None:
    """F18a: where the connector user cannot run nobody else does, whichever row says them."""
    connector = await engine.at.connector()
    await engine.kim(connector)  # usable, and yet nobody's stand-in
    is_error(await engine.decided(NAMED), "F18a", "connector-user-unavailable")
    await engine.at.connect(connector, None, **DEAD)
    is_error(await engine.decided(NAMED, attempt=2), "F18a", "connector-user-unavailable")
    connector = await engine.at.setting(connector, **END)
    answer = await engine.decided(NAMED, step="s5", type="create_data")
    is_error(answer, "F18a", "connector-user-unavailable")
    await engine.at.setting(connector, **FALLBACK)
    is_error(await engine.decided(None, step="s6"), "F18a", "connector-user-unavailable")


async def test_f18b_connector_user_later(engine: Asking) -> None:
    """F18b: the connector user's token cannot be had right now: wait, never somebody else."""
    connector = await engine.at.connector(**FALLBACK)
    await engine.at.connect(connector, None, **LATER)
    await engine.kim(connector, **DEAD)
    await waits(engine, NAMED, "F18b")
    await waits(engine, None, "F18b", step="s5")


async def test_f19_unknown(engine: Asking) -> None:
    """F19: E on, C yes, and nobody of that name: never a fallback."""
    connector = await connected(engine, **END)
    unknown = {"user_name": "nobody@acme.example"}
    for place, said in enumerate(POLICIES):
        connector = await engine.at.setting(connector, **said)
        for more in ({}, INTERACTIVE):
            answer = await engine.decided(unknown, execution=f"r-{place}-{len(more)}", **more)
            is_error(answer, "F19", "unknown-subject")


async def test_f20_never_from_person_to_connector(engine: Asking) -> None:
    """F20, safety 23: this attempt ran as the person, so it does not go on as the connector user;
    the next attempt may.
    """
    connector = await connected(engine, **FALLBACK)
    user = await engine.kim(connector)
    first = await engine.decided(NAMED)
    assert first["row"] == "F6"
    await engine.at.connect(connector, user, **DEAD)
    again = await engine.decided(NAMED)
    is_error(again, "F20", "user-auth-required")
    assert (again["decision_id"], again["version"]) == (first["decision_id"], 2)
    is_connector(await engine.decided(NAMED, attempt=2), "F9", fallback=True)
