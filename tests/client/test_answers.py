"""Words that a later broker brings are met, never guessed at (api-conventions.md 9)."""

from __future__ import annotations

import pytest

from broker.client import Identity, Pause, PauseState, Performed, Reason, Refused, Resolved, answers
from broker.client.acting import read as read_action
from broker.domain import actions, pauses, steps
from broker.domain.connectors import Policy
from tests.client.test_calling import PAUSE, REFUSED

RAN = REFUSED | {
    "outcome": "run",
    "run_as": {"kind": "user", "provider_account": "kim"},
    "reason": None,
}


def test_a_reason_nobody_knows_yet() -> None:
    """A new reason is UNKNOWN, and the word is kept as it was sent."""
    answer = answers.read(REFUSED | {"reason": "moon-in-the-wrong-house"})
    assert isinstance(answer, Refused)
    assert (answer.reason, answer.word) == (Reason.UNKNOWN, "moon-in-the-wrong-house")


def test_an_outcome_nobody_knows_yet() -> None:
    """Closed by default: an outcome this client does not know runs nothing."""
    assert isinstance(answers.read(RAN | {"outcome": "run-twice"}), Refused)


def test_other_words_nobody_knows_yet() -> None:
    """A new state and a new kind of identity are UNKNOWN too, and no state it knows."""
    assert Pause.read(PAUSE | {"state": "dreaming"}).state is PauseState.UNKNOWN
    answer = answers.read(RAN | {"run_as": {"kind": "robot", "provider_account": "x"}})
    assert isinstance(answer, Resolved)
    assert answer.run_as.kind is Identity.UNKNOWN


@pytest.mark.parametrize("wrong", [None, 7, ["waiting"]])
def test_a_word_is_a_text(wrong: object) -> None:
    """What is no text at all is no word that is new."""
    with pytest.raises(ValueError):
        PauseState(wrong)  # type: ignore[arg-type]  # what a proxy may make of it


def test_the_words_of_today_are_known() -> None:
    """Every state, identity and reason that the service has today is a word of the client."""
    assert {state.value for state in PauseState} - {"unknown"} == {*pauses.State}
    assert {kind.value for kind in Identity} - {"unknown"} == {*steps.Identity}
    said = {status for status in _reasons() if status is not None}
    assert said - {"Authentication needed", "authentication-required", "resolved"} <= {*Reason}


def _reasons() -> set[str | None]:
    facts = [
        steps.Facts(
            connector_available=True,
            user_authentication=True,
            supported=supported,
            subject=subject,
            user_enabled=enabled,
            connector_user=connector_user,
            interactive=interactive,
            policy=policy,
        )
        for supported in (True, False)
        for subject in steps.Subject
        for enabled in (True, False)
        for connector_user in steps.ConnectorUser
        for interactive in (True, False)
        for policy in Policy
    ]
    found = [steps.decide(one) for one in [*facts, steps.Facts()]]
    return {one.reason for one in found} | {one.status for one in found}


@pytest.mark.parametrize("word", ["Pass", "pass", "PASS"])
def test_a_status_in_any_case(word: str) -> None:
    """R95, R101: Pass is read without regard to case, and so are the names of items."""
    said = {
        "actionCoupon": 1,
        "items": {actions.STATUS.upper(): word, actions.LOGON.lower() + ".EHR": "KSMITH"},
        "reason": None,
        "unmapped": [],
    }
    found = read_action(said)
    assert isinstance(found, Performed)
    assert found.passed
    assert found.logons == {"EHR": "KSMITH"}
    assert found.name == ""
