"""Who a step runs as: the table F on the wall, and a walk over everything it can be asked."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from broker.domain.connectors import Policy
from broker.domain.steps import (
    TABLE,
    WALLS,
    WARNINGS,
    ConnectorUser,
    Decision,
    Facts,
    Identity,
    Outcome,
    Subject,
    Token,
    decide,
    released,
    walk,
)

RUN, ASK, WAIT, PAUSE, ERROR = Outcome
USER, CONNECTOR = Identity
FALLBACK, WITH_WARNING, PAUSING, ENDING = Policy
DEAD, TRANSIENT = Token.NOT_USABLE, Token.TRANSIENT
GONE, AWAY = ConnectorUser.DEAD, ConnectorUser.TRANSIENT

# A person signed in at a connector with user authentication on, in a flow they started: F6.
F6 = Facts(
    connector_available=True,
    user_authentication=True,
    supported=True,
    subject=Subject.ACTIVE,
    user_enabled=True,
    token=Token.USABLE,
    connector_user=ConnectorUser.USABLE,
    interactive=True,
    policy=ENDING,
)


def given(**facts: Any) -> Facts:
    """F6, but for these facts."""
    return replace(F6, **facts)


def unattended(policy: Policy, **facts: Any) -> Facts:
    """A flow nobody watches, of a person whose token is not usable."""
    return replace(F6, **{"interactive": False, "policy": policy, "token": DEAD, **facts})


NOBODY = {"subject": Subject.NONE}
OFF = {"user_authentication": False}
NOT_HERE = {"supported": False}
NOT_ENABLED = {"user_enabled": False}


@dataclass(frozen=True)
class Line:
    """One line of the wall: the question, and everything the answer says."""

    row: str
    facts: Facts
    outcome: Outcome
    identity: Identity | None
    status: str
    reason: str | None = None
    fallback: bool = False
    warns: bool = False


def runs(row: str, facts: Facts, reason: str | None = None, **more: bool) -> Line:
    """A row that runs as the connector user."""
    return Line(row, facts, RUN, CONNECTOR, "resolved", reason, **more)


def stops(row: str, facts: Facts, status: str) -> Line:
    """A row that is an error."""
    return Line(row, facts, ERROR, None, status, status)


BOTH: dict[str, Any] = {"fallback": True, "warns": True}

ROWS = [
    stops("F1", given(connector_available=False), "connector-unavailable"),
    stops("F2", given(subject=Subject.SUSPENDED), "user-not-active"),
    stops("F2", given(subject=Subject.DELETED, **OFF), "user-not-active"),
    stops("F2", given(subject=Subject.INVITED), "user-not-active"),
    stops("F2", given(subject=Subject.QUEUED, **NOT_HERE), "user-not-active"),
    runs("F3", given(**OFF)),
    runs("F3", given(subject=Subject.INVITED, **OFF)),
    runs("F3", given(subject=Subject.QUEUED, **OFF)),
    runs("F3", given(subject=Subject.NONE, **OFF)),
    runs("F3", given(subject=Subject.UNKNOWN, **OFF), "unknown-subject"),
    runs("F4", given(**NOT_HERE), "not-supported-by-step"),
    runs("F4", given(**NOBODY, **NOT_HERE), "not-supported-by-step"),
    runs("F4", given(subject=Subject.UNKNOWN, **NOT_HERE), "unknown-subject"),
    runs("F5", given(**NOT_ENABLED), "user-not-enabled"),
    runs("F5", unattended(FALLBACK, **NOT_ENABLED), "user-not-enabled", fallback=True),
    runs("F5", unattended(WITH_WARNING, **NOT_ENABLED), "user-not-enabled", **BOTH),
    stops("F5", unattended(PAUSING, **NOT_ENABLED), "user-not-enabled"),
    stops("F5", unattended(ENDING, **NOT_ENABLED), "user-auth-required"),
    Line("F6", F6, RUN, USER, "resolved"),
    Line("F6", unattended(FALLBACK, token=Token.USABLE), RUN, USER, "resolved"),
    Line("F7", given(token=TRANSIENT), WAIT, None, "temporarily-unavailable"),
    *[
        Line("F7", unattended(policy, token=TRANSIENT), WAIT, None, "temporarily-unavailable")
        for policy in Policy
    ],
    Line("F8", given(token=DEAD), ASK, None, "authentication-required"),
    runs("F9", unattended(FALLBACK), fallback=True),
    runs("F10", unattended(WITH_WARNING), **BOTH),
    Line("F11", unattended(PAUSING), PAUSE, None, "Authentication needed"),
    stops("F12", unattended(ENDING), "user-auth-required"),
    runs("F13", unattended(FALLBACK, **NOBODY), "no-subject", fallback=True),
    runs("F14", unattended(WITH_WARNING, **NOBODY), "no-subject", **BOTH),
    stops("F15", unattended(PAUSING, **NOBODY), "no-subject"),
    stops("F16", unattended(ENDING, **NOBODY), "user-auth-required"),
    stops("F17", given(**NOBODY), "no-subject"),
    stops("F18a", unattended(FALLBACK, connector_user=GONE), "connector-user-unavailable"),
    Line("F18b", given(connector_user=AWAY, **OFF), WAIT, None, "temporarily-unavailable"),
    stops("F19", given(subject=Subject.UNKNOWN), "unknown-subject"),
    stops("F19", given(subject=Subject.AMBIGUOUS), "unknown-subject"),
    stops("F19", given(subject=Subject.AMBIGUOUS, **OFF), "unknown-subject"),
    stops("F19", given(subject=Subject.AMBIGUOUS, **NOT_HERE), "unknown-subject"),
    stops("F20", unattended(FALLBACK, ran_as_user=True), "user-auth-required"),
    stops("F20", given(ran_as_user=True, **OFF), "user-auth-required"),
]


@pytest.mark.parametrize("line", ROWS, ids=lambda line: line.row)
def test_row(line: Line) -> None:
    """Each row of the table F answers as written on the wall (semantics c.3, building.md)."""
    decision = decide(line.facts)
    assert (
        Line(
            decision.row,
            line.facts,
            decision.outcome,
            decision.identity,
            decision.status,
            decision.reason,
            decision.fallback,
            decision.warning is not None,
        )
        == line
    )


def everything() -> Iterator[Facts]:
    """Every question the table can be asked: 18,432 of them."""
    bools = (False, True)
    product = itertools.product(
        bools, bools, bools, Subject, bools, Token, ConnectorUser, bools, Policy, bools
    )
    return (Facts(*values) for values in product)


SEEN = [(facts, decide(facts)) for facts in everything()]


def test_every_question_is_asked() -> None:
    """Promise 11: the promises below hold for all questions, so that none may be left out."""
    assert len({facts for facts, _ in SEEN}) == len(SEEN) == 18_432


LIVING = {Subject.ACTIVE, Subject.INVITED, Subject.QUEUED, Subject.UNKNOWN, Subject.NONE}
ON: dict[str, set[Any]] = {"connector_available": {True}, "user_authentication": {True}}
ASKABLE: dict[str, set[Any]] = {
    **ON,
    "supported": {True},
    "subject": {Subject.ACTIVE},
    "user_enabled": {True},
}
ALONE: dict[str, set[Any]] = {**ASKABLE, "token": {DEAD}, "interactive": {False}}
NAMELESS: dict[str, set[Any]] = {
    **ON,
    "supported": {True},
    "subject": {Subject.NONE},
    "interactive": {False},
}

# The table of semantics.md c.3 once more, as columns: what a row does not name may be anything.
WALL: list[tuple[str, dict[str, set[Any]]]] = [
    ("F1", {"connector_available": {False}}),
    ("F2", {"connector_available": {True}, "subject": {Subject.SUSPENDED, Subject.DELETED}}),
    ("F2", {**ON, "subject": {Subject.INVITED, Subject.QUEUED}}),
    (
        "F3",
        {"connector_available": {True}, "user_authentication": {False}, "subject": LIVING},
    ),
    (
        "F4",
        {**ON, "supported": {False}, "subject": {Subject.ACTIVE, Subject.UNKNOWN, Subject.NONE}},
    ),
    ("F5", {**ASKABLE, "user_enabled": {False}}),
    ("F6", {**ASKABLE, "token": {Token.USABLE}}),
    ("F7", {**ASKABLE, "token": {TRANSIENT}}),
    ("F8", {**ASKABLE, "token": {DEAD}, "interactive": {True}}),
    ("F9", {**ALONE, "policy": {FALLBACK}}),
    ("F10", {**ALONE, "policy": {WITH_WARNING}}),
    ("F11", {**ALONE, "policy": {PAUSING}}),
    ("F12", {**ALONE, "policy": {ENDING}}),
    ("F13", {**NAMELESS, "policy": {FALLBACK}}),
    ("F14", {**NAMELESS, "policy": {WITH_WARNING}}),
    ("F15", {**NAMELESS, "policy": {PAUSING}}),
    ("F16", {**NAMELESS, "policy": {ENDING}}),
    ("F17", {**NAMELESS, "interactive": {True}}),
    ("F19", {**ON, "supported": {True}, "subject": {Subject.UNKNOWN}}),
    ("F19", {"connector_available": {True}, "subject": {Subject.AMBIGUOUS}}),
]


def test_every_question_has_exactly_one_row() -> None:
    """Promise 11: one row of the wall fits each question; F18 and F20 stand in its place where
    the connector user cannot run, or a person already did."""
    for facts, decision in SEEN:
        fitting = [
            row
            for row, columns in WALL
            if all(getattr(facts, column) in allowed for column, allowed in columns.items())
        ]
        assert len(fitting) == 1, facts
        willing = decide(replace(facts, connector_user=ConnectorUser.USABLE, ran_as_user=False))
        assert [willing.row] == fitting
        if willing.identity is not CONNECTOR:
            assert decision == willing
        elif facts.connector_user is GONE:
            assert decision.row == "F18a"
        elif facts.connector_user is AWAY:
            assert decision.row == "F18b"
        else:
            assert decision.row == ("F20" if facts.ran_as_user else willing.row)


def test_the_walk_is_the_answer() -> None:
    """What explains an answer is what answers: rows in the order of the wall, each asked once, up
    to the one that fits; then the walls before the connector user, where that is whom it says.
    """
    for facts, decision in SEEN:
        walked = list(walk(facts))
        rows = [row for row, _ in walked]
        table = [row for row in rows if row in TABLE]
        assert rows == list(TABLE[: len(table)]) + list(WALLS[: len(rows) - len(table)])
        fitting = [row for row, fits in walked if fits]
        assert fitting[-1].decision == decision
        assert fitting[0] is table[-1]
        assert len(fitting) == 1 + (fitting[-1] in WALLS)
        assert (len(rows) > len(table)) is (fitting[0].decision.identity is CONNECTOR)


def test_each_row_that_warns_has_one_text() -> None:
    """R13: a line that kept its row and the code of its warning can be shown in full."""
    warned = {(decision.row, decision.warning) for _, decision in SEEN if decision.warning}
    assert warned == set(WARNINGS.items())


def test_what_is_not_said_is_none() -> None:
    """F1: facts nobody gave stand for no connector, no person and no token, so nothing runs."""
    assert decide(Facts()).row == "F1"
    assert decide(Facts(connector_available=True)).row == "F18a"


def test_every_row_is_reached() -> None:
    """F1 to F20, F18 as two: none is dead wood, and none is missing from the list above."""
    numbers = [*range(1, 18), "18a", "18b", 19, 20]
    assert {decision.row for _, decision in SEEN} == {f"F{number}" for number in numbers}
    assert {line.row for line in ROWS} == {f"F{number}" for number in numbers}


def test_r18_the_policy_counts_only_unattended() -> None:
    """R18, R33: no policy changes an interactive answer, nor one while the feature is off."""
    for facts, decision in SEEN:
        if facts.interactive or not facts.user_authentication or not facts.supported:
            assert all(decide(replace(facts, policy=policy)) == decision for policy in Policy)


def test_r10_unattended_nobody_is_asked() -> None:
    """R9, R10: a non-interactive run never yields a prompt."""
    assert not any(decision.outcome is ASK for facts, decision in SEEN if not facts.interactive)


def test_an_outage_never_changes_identity() -> None:
    """Where a token fails for the moment, the answer is who it was, or wait."""
    for facts, decision in SEEN:
        if facts.token is TRANSIENT:
            usable = decide(replace(facts, token=Token.USABLE))
            assert decision.outcome is WAIT or decision == usable
        if facts.connector_user is AWAY:
            usable = decide(replace(facts, connector_user=ConnectorUser.USABLE, ran_as_user=False))
            assert decision == usable or decision.row == "F18b"


def test_f2_suspended_and_deleted_people_never_run() -> None:
    """Not even by fallback; invited and queued never while the feature is on."""
    for facts, decision in SEEN:
        gone = facts.subject in (Subject.SUSPENDED, Subject.DELETED)
        early = facts.subject in (Subject.INVITED, Subject.QUEUED) and facts.user_authentication
        if gone or early:
            assert decision.outcome is ERROR


def test_r6_off_is_never_the_user() -> None:
    """R6, R7: while off the person's token, flag, policy and presence change nothing."""
    for facts, decision in SEEN:
        if not facts.user_authentication:
            assert decision.identity is not USER
            plain = replace(facts, token=Token.USABLE, user_enabled=True, interactive=False)
            assert decide(plain) == decision


def test_f20_an_attempt_never_goes_from_a_person_to_the_connector_user() -> None:
    """Safety 23: within one attempt the identity never changes that way."""
    assert not any(decision.identity is CONNECTOR for facts, decision in SEEN if facts.ran_as_user)


def test_the_user_runs_only_with_their_own_usable_token() -> None:
    """R5: E, C and U on, an active person, a usable token; and then whoever watches."""
    for facts, decision in SEEN:
        own = all(
            (
                facts.connector_available,
                facts.user_authentication,
                facts.supported,
                facts.subject is Subject.ACTIVE,
                facts.user_enabled,
                facts.token is Token.USABLE,
            )
        )
        assert (decision.identity is USER) is own


def test_a_fallback_is_marked() -> None:
    """R11, R12: fallback only where the connector user stands in; a warning only then, and only
    under the policy that asks for one."""
    for facts, decision in SEEN:
        assert not decision.fallback or decision.identity is CONNECTOR
        if decision.warning:
            assert decision.fallback
            assert facts.policy is WITH_WARNING
            assert (decision.warning.code, decision.warning.severity) == (
                "user-auth-fallback",
                "warning",
            )
            assert decision.warning.text.startswith("This step ran as the connector user")


def test_r17_every_answer_that_is_no_run_is_readable() -> None:
    """R17: a message where nothing runs, none where something does; an identity only there."""
    for _, decision in SEEN:
        assert (decision.message is None) is (decision.outcome is RUN)
        assert (decision.identity is not None) is (decision.outcome is RUN)
        assert decision.message is None or decision.message.endswith((".", "soon."))


def test_p12_a_released_pause_runs_as_the_connector_user() -> None:
    """P12, P14: whatever the person's token and the policy, recorded as an override."""
    decision = released(unattended(PAUSING))
    assert (decision.row, decision.outcome, decision.identity) == ("P12", RUN, CONNECTOR)
    assert (decision.reason, decision.fallback) == ("released-by-admin", True)
    assert decision.message is None


STANDING = [
    ("F1", {"connector_available": False}),
    ("F2", {"subject": Subject.SUSPENDED}),
    ("F2", {"subject": Subject.INVITED}),
    ("F18a", {"connector_user": GONE}),
    ("F18b", {"connector_user": AWAY}),
    ("F20", {"ran_as_user": True}),
]


@pytest.mark.parametrize(("row", "facts"), STANDING, ids=[row for row, _ in STANDING])
def test_p12_the_same_walls_stand(row: str, facts: dict[str, Any]) -> None:
    """P12: an administrator releases nobody who is suspended, and no connector that is gone."""
    decision: Decision = released(unattended(PAUSING, **facts))
    assert decision.row == row
    assert decision.identity is None
