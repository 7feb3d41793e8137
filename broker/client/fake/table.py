"""The rows a FakeBroker can answer with: those of the broker's own table (F1 to F20)."""

from __future__ import annotations

from typing import Any, NamedTuple


class Row(NamedTuple):
    """What a row answers; `identity` is who runs."""

    outcome: str
    status: str
    identity: str | None = None
    reason: str | None = None
    fallback: bool = False
    warns: bool = False


def _error(status: str) -> Row:
    return Row("error", status, reason=status)


RESOLVED, BUSY = "resolved", "temporarily-unavailable"
ROWS = {
    "F1": _error("connector-unavailable"),
    "F2": _error("user-not-active"),
    "F3": Row("run", RESOLVED, "connector"),
    "F4": Row("run", RESOLVED, "connector", "not-supported-by-step"),
    "F5": Row("run", RESOLVED, "connector", "user-not-enabled"),
    "F6": Row("run", RESOLVED, "user"),
    "F7": Row("wait", BUSY),
    "F8": Row("ask", "authentication-required"),
    "F9": Row("run", RESOLVED, "connector", fallback=True),
    "F10": Row("run", RESOLVED, "connector", fallback=True, warns=True),
    "F11": Row("pause", "Authentication needed"),
    "F12": _error("user-auth-required"),
    "F13": Row("run", RESOLVED, "connector", "no-subject", fallback=True),
    "F14": Row("run", RESOLVED, "connector", "no-subject", fallback=True, warns=True),
    "F15": _error("no-subject"),
    "F16": _error("user-auth-required"),
    "F17": _error("no-subject"),
    "F18a": _error("connector-user-unavailable"),
    "F18b": Row("wait", BUSY),
    "F19": _error("unknown-subject"),
    "F20": _error("user-auth-required"),
    "P1": Row("pause", "Authentication needed", reason="pause-open"),
    "P4": Row("pause", "Authentication needed", reason="pause-claimed"),
    "P12": Row("run", RESOLVED, "connector", "released-by-admin", fallback=True),
}
WITHOUT_PERSON = {"F8": "F17", "F9": "F13", "F10": "F14", "F11": "F15", "F12": "F16"}
"""Rows for a person who is not signed in, which a sign-in makes F6, and what nobody gets there."""


def answered(row: str, question: dict[str, Any], decision: dict[str, Any]) -> dict[str, Any]:
    """The members of an answer that the row alone decides."""
    of = ROWS[row]
    warning = {
        "code": "user-auth-fallback",
        "severity": "warning",
        "text": "This step ran as the connector user.",
        "execution_id": question["execution"]["id"],
        "step_id": question["step"]["id"],
    }
    return {
        "decision_id": decision["id"],
        "version": decision["version"],
        "row": row,
        "outcome": of.outcome,
        "status": of.status,
        "run_as": None,
        "act": {"sub": "key_fake", "on_behalf_of": None},
        "fallback": of.fallback,
        "warning": warning if of.warns else None,
        "pause": None,
        "link": None,
        "reason": of.reason,
        **({} if of.outcome == "run" else {"message": message(row)}),
    }


def message(row: str) -> str | None:
    """What a person reads where a step does not run."""
    of = ROWS[row]
    return None if of.outcome == "run" else f"{of.status} ({row})"
