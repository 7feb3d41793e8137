"""Who a step runs as: every row of the table with real rows, and what an answer may hold."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from broker.domain.connectors import State as ConnectorState
from broker.domain.errors import Invalid
from broker.domain.users import License, Status, SuspendedBy
from broker.service.answering import Wait
from tests.stepping import DEAD, END, FALLBACK, KIM, LATER, OFF, PAUSE, WARNED, World, asked


@dataclass(frozen=True, slots=True)
class Given:
    """The rows a line of the table is about; None of a person is nobody at all."""

    connector: dict[str, Any] = field(default_factory=dict)
    status: Status | None = Status.ACTIVE
    enabled: bool = True
    token: dict[str, Any] | None = field(default_factory=dict)
    connector_user: dict[str, Any] | None = field(default_factory=dict)
    step: str = "retrieve_data"
    interactive: bool = False
    subject: str = "named"


ROWS = [
    # row, given, outcome, identity, status, reason, fallback, warning
    ("F1", Given({"state": ConnectorState.DISABLED}), "error", None, "connector-unavailable"),
    ("F1", Given({"state": ConnectorState.NEEDS_ADMIN}), "error", None, "connector-unavailable"),
    ("F2", Given(OFF, Status.SUSPENDED), "error", None, "user-not-active"),
    ("F2", Given(OFF, Status.DELETED), "error", None, "user-not-active"),
    ("F2", Given(END, Status.INVITED), "error", None, "user-not-active"),
    ("F2", Given(FALLBACK, Status.QUEUED), "error", None, "user-not-active"),
    ("F3", Given(OFF), "run", "connector", "resolved"),
    ("F3", Given(OFF, Status.INVITED), "run", "connector", "resolved"),
    ("F3", Given(OFF, Status.QUEUED), "run", "connector", "resolved"),
    ("F3", Given(OFF, None), "run", "connector", "resolved"),
    ("F3", Given(OFF, subject="unknown"), "run", "connector", "resolved"),
    ("F4", Given(END, step="create_data"), "run", "connector", "resolved"),
    ("F4", Given(END, None, step="create_data"), "run", "connector", "resolved"),
    ("F5", Given(END, enabled=False, interactive=True), "run", "connector", "resolved"),
    ("F5", Given(FALLBACK, enabled=False), "run", "connector", "resolved"),
    ("F5", Given(WARNED, enabled=False), "run", "connector", "resolved"),
    ("F5", Given(PAUSE, enabled=False), "error", None, "user-not-enabled"),
    ("F5", Given(END, enabled=False), "error", None, "user-auth-required"),
    ("F6", Given(END), "run", "user", "resolved"),
    ("F6", Given(PAUSE, interactive=True), "run", "user", "resolved"),
    ("F7", Given(END, token=LATER), "wait", None, "temporarily-unavailable"),
    ("F7", Given(FALLBACK, token=LATER), "wait", None, "temporarily-unavailable"),
    ("F7", Given(WARNED, token=LATER), "wait", None, "temporarily-unavailable"),
    ("F7", Given(PAUSE, token=LATER), "wait", None, "temporarily-unavailable"),
    ("F8", Given(END, token=None, interactive=True), "ask", None, "authentication-required"),
    ("F8", Given(END, token=DEAD, interactive=True), "ask", None, "authentication-required"),
    ("F9", Given(FALLBACK, token=None), "run", "connector", "resolved"),
    ("F9", Given(FALLBACK, token=DEAD), "run", "connector", "resolved"),
    ("F10", Given(WARNED, token=None), "run", "connector", "resolved"),
    ("F11", Given(PAUSE, token=None), "pause", None, "Authentication needed"),
    ("F12", Given(END, token=DEAD), "error", None, "user-auth-required"),
    ("F13", Given(FALLBACK, None), "run", "connector", "resolved"),
    ("F14", Given(WARNED, None), "run", "connector", "resolved"),
    ("F15", Given(PAUSE, None), "error", None, "no-subject"),
    ("F16", Given(END, None), "error", None, "user-auth-required"),
    ("F17", Given(END, None, interactive=True), "error", None, "no-subject"),
    ("F18a", Given(OFF, connector_user=None), "error", None, "connector-user-unavailable"),
    ("F18a", Given(OFF, connector_user=DEAD), "error", None, "connector-user-unavailable"),
    (
        "F18a",
        Given(FALLBACK, token=None, connector_user=DEAD),
        "error",
        None,
        "connector-user-unavailable",
    ),
    ("F18b", Given(OFF, connector_user=LATER), "wait", None, "temporarily-unavailable"),
    ("F19", Given(END, subject="unknown"), "error", None, "unknown-subject"),
    ("F19", Given(FALLBACK, subject="unknown"), "error", None, "unknown-subject"),
]


@pytest.mark.parametrize(
    ("row", "given", "outcome", "identity", "status"),
    ROWS,
    ids=[f"{place:02}-{line[0]}" for place, line in enumerate(ROWS)],
)
async def test_row(
    at: World, row: str, given: Given, outcome: str, identity: str | None, status: str
) -> None:
    """F1 to F19: each row answers as written on the wall, on both engines, and leaves its line."""
    subject = await _made(at, given)
    caller = await at.key()
    request = asked(subject, step_type=given.step, interactive=given.interactive)
    if outcome == "wait":
        with pytest.raises(Wait) as refused:
            await at.resolving.resolve(caller, request)
        assert refused.value.more["row"] == row
        assert refused.value.reason == status
        assert (refused.value.retry_after_s or 0) >= 1
    else:
        answer = (await at.resolving.resolve(caller, request)).rendered()
        assert (answer["row"], answer["outcome"]) == (row, outcome)
        assert answer["status"] == status
        assert (answer["run_as"] or {"kind": None})["kind"] == identity
        assert ("credential" in answer) == (outcome == "run")
        assert (answer["link"] is not None) == (outcome == "ask")
        assert (answer["pause"] is not None) == (outcome == "pause")
        assert (answer["warning"] is not None) == ((row == "F10") or (given.connector == WARNED))
        assert ("message" in answer) == (outcome != "run")
        if "credential" in answer:
            assert await at.works(answer["credential"])
    [line] = await at.rows("SELECT * FROM decision_lines")
    assert (line["row"], line["outcome"], line["identity"]) == (row, outcome, identity)


async def _made(at: World, given: Given) -> dict[str, Any] | None:
    """The rows of a line; how its caller names the person."""
    connector = await at.connector(**given.connector)
    if given.connector_user is not None:
        await at.connect(connector, None, **given.connector_user)
    if given.subject == "unknown":
        return {"user_name": "nobody@acme.example"}
    if given.status is None:
        return None
    user = await at.person("kim.lee@acme.example", given.status, user_authentication=given.enabled)
    if given.token is not None and given.status is not Status.DELETED:
        await at.connect(connector, user, **given.token)
    return {"user_name": KIM}


async def test_never_from_person_to_connector(at: World) -> None:
    """F20, safety 23: what ran as a person in this attempt never goes on as the connector user."""
    connector = await at.connector(**FALLBACK)
    await at.connect(connector, None)
    user = await at.person(KIM)
    await at.connect(connector, user)
    caller = await at.key()
    assert (await at.resolving.resolve(caller, asked({"user_id": user.id}))).decision.row == "F6"

    await at.connect(connector, user, **DEAD)
    again = await at.resolving.resolve(caller, asked({"user_id": user.id}))
    assert (again.decision.row, again.decision.status) == ("F20", "user-auth-required")
    assert again.credential is None

    connector = await at.setting(connector, user_authentication=False)
    assert (await at.resolving.resolve(caller, asked({"user_id": user.id}))).decision.row == "F20"
    next_attempt = asked({"user_id": user.id}, attempt=2)
    assert (await at.resolving.resolve(caller, next_attempt)).decision.row == "F3"


async def test_asked_again(at: World) -> None:
    """Safety 23, 24: the same attempt is the same decision, looked at afresh each time."""
    connector = await at.connector(**END)
    await at.connect(connector, None)
    user = await at.person(KIM)
    caller, request = await at.key(), asked({"user_name": KIM})
    rows, decisions = [], set()

    async def look() -> None:
        answer = await at.resolving.resolve(caller, request)
        rows.append((answer.version, answer.decision.row))
        decisions.add(answer.decision_id)

    await look()
    await at.connect(connector, user)
    await look()
    await at.change(user, user_authentication=False)
    await look()
    await at.change(
        user,
        status=Status.SUSPENDED,
        license=License.NONE,
        suspended_by=SuspendedBy.ADMIN,
    )
    await look()
    assert rows == [(1, "F12"), (2, "F6"), (3, "F5"), (4, "F2")]
    assert len(decisions) == 1
    lines = await at.rows("SELECT version, row, at FROM decision_lines ORDER BY n")
    assert [(line["version"], line["row"]) for line in lines] == rows


async def test_another_body_of_one_attempt(at: World) -> None:
    """Safety 23: an attempt that was asked something else before is 422 and leaves no line."""
    await at.connect(await at.connector(), None)
    caller = await at.key()
    await at.resolving.resolve(caller, asked(None))
    for other in (
        asked(None, interactive=True),
        asked({"user_name": KIM}),
        asked(None, step_type="create_data"),
        asked(None, flow="another"),
    ):
        with pytest.raises(Invalid) as refused:
            await at.resolving.resolve(caller, other)
        assert refused.value.reason == "decision-conflict"
    assert len(await at.rows("SELECT * FROM decision_lines")) == 1
    await at.resolving.resolve(caller, asked(None, credential=False))  # no part of the question


async def test_natural_key(at: World) -> None:
    """Safety 23: key, execution, step and attempt tell decisions apart."""
    await at.connect(await at.connector(), None)
    caller, other = await at.key(), await at.key()
    found = {
        (await at.resolving.resolve(who, asked(None, **more))).decision_id
        for who in (caller, other)
        for more in ({}, {"execution": "r-2"}, {"step": "s5"}, {"attempt": 2})
    }
    assert len(found) == 8


async def test_many_ask_one_question(at: World) -> None:
    """Safety 23: however many ask at once, one decision with a line for each of them."""
    await at.connect(await at.connector(), None)
    caller = await at.key()
    answers = await asyncio.gather(*(at.resolving.resolve(caller, asked(None)) for _ in range(12)))
    assert len({answer.decision_id for answer in answers}) == 1
    assert sorted(answer.version for answer in answers) == list(range(1, 13))
