"""The question of resolve: one step of one execution, and who is meant to run it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import orjson

from broker.domain.subjects import Subject
from broker.service.reading import Members

Attempt = tuple[str, str, int]
"""Execution, step and attempt: with the key that asks, a question's natural key."""


@dataclass(frozen=True, slots=True)
class StepRequest:
    """One step of one execution, and who is meant to run it."""

    connector: str
    step: str
    step_type: str
    execution: str
    subject: Subject | None
    attempt: int = 1
    flow: str | None = None
    scopes: tuple[str, ...] = ()
    interactive: bool = False
    credential: bool = True

    @classmethod
    def parse(cls, said: object) -> StepRequest:
        """The question in a decoded JSON body; Invalid lists everything that is wrong with it.

        `subject` must be said, if only as null: nobody runs as the connector user by omission.
        """
        with Members(said, "") as body:
            body.close("connector", "step", "execution", "subject", "interactive", "credential")
            step = body.inner("step")
            step.close("id", "type", "scopes")
            execution = body.inner("execution")
            execution.close("id", "flow", "attempt")
            return cls(
                connector=body.text("connector"),
                step=step.text("id"),
                step_type=step.text("type"),
                scopes=step.scopes("scopes"),
                execution=execution.text("id"),
                flow=execution.text_or_none("flow"),
                attempt=execution.number("attempt", default=1),
                subject=body.subject("subject"),
                interactive=body.yes("interactive", default=False),
                credential=body.yes("credential", default=True),
            )

    def about(self, connector: str | None, user: str | None) -> StepRequest:
        """The same question by the ids its connector and its person were found to have, if any:
        a name may be another's by now.
        """
        subject = Subject(user_id=user) if user else self.subject
        return replace(self, connector=connector or self.connector, subject=subject)

    @property
    def attempted(self) -> Attempt:
        """What this is one attempt of."""
        return self.execution, self.step, self.attempt

    @property
    def question(self) -> dict[str, Any]:
        """The request as `parse` reads it, without what is no part of the question."""
        subject = self.subject and {
            name: value
            for name in Subject.__dataclass_fields__
            if (value := getattr(self.subject, name)) is not None
        }
        return {
            "connector": self.connector,
            "step": {"id": self.step, "type": self.step_type, "scopes": sorted(self.scopes)},
            "execution": {"id": self.execution, "flow": self.flow, "attempt": self.attempt},
            "subject": subject,
            "interactive": self.interactive,
        }

    @property
    def document(self) -> bytes:
        """The question as canonical JSON."""
        return orjson.dumps(self.question, option=orjson.OPT_SORT_KEYS)


def digest(document: bytes) -> str:
    """What two equal questions have in common (safety 23)."""
    return hashlib.sha256(document).hexdigest()
