"""Steps that wait for a person, and the claim that lets one of them run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from broker.client import answers
from broker.client.answers import Answer, Identity, PauseState
from broker.client.words import moment, moment_or_none


@dataclass(frozen=True, slots=True)
class Pause:
    """A step of an execution that waits, since `since`, for a person to sign in.

    `run_as` is the connector user only by an administrator's word. `expires_at` None is no limit;
    `version` grows with every change.
    """

    id: str
    state: PauseState
    reason: str | None
    execution: str
    step: str
    user_id: str
    connector: str
    decision_id: str
    run_as: Identity
    cycles: int
    since: datetime
    expires_at: datetime | None
    version: int

    @classmethod
    def read(cls, said: Mapping[str, Any]) -> Pause:
        """The pause in a decoded JSON body."""
        return cls(
            id=said["id"],
            state=PauseState(said["state"]),
            reason=said["reason"],
            execution=said["execution"],
            step=said["step"],
            user_id=said["user_id"],
            connector=said["connector"],
            decision_id=said["decision_id"],
            run_as=Identity(said["run_as"]),
            cycles=said["cycles"],
            since=moment(said["since"]),
            expires_at=moment_or_none(said["expires_at"]),
            version=said["version"],
        )


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to run a step once, and the answer that was looked up for it.

    `token` is None where the step still cannot run: the pause waits again, or has failed (P6), or
    is ready still, where the connector needs an administrator (F1, F18a).
    """

    pause: str
    token: str | None = field(repr=False)
    answer: Answer

    @classmethod
    def read(cls, pause: str, said: Mapping[str, Any]) -> Claim:
        """The claim in a decoded JSON body."""
        return cls(pause, said["claim"], answers.read(said["decision"]))
