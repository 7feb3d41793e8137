"""What a service asks: one step of one execution, and who is meant to run it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One person, in one way: by `user_id`; by `user_name`, perhaps with `directory`; by
    `external_id` with `directory`; by `logon` with `suffix`.
    """

    user_id: str | None = None
    user_name: str | None = None
    directory: str | None = None
    external_id: str | None = None
    logon: str | None = None
    suffix: str | None = None

    def rendered(self) -> dict[str, str]:
        """The JSON of the subject."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of an execution at a connector, named or by id.

    `subject` has to be said: None is nobody, a schedule or an API key. `interactive` says that
    somebody is there to be asked, `credential` False that only the name is wanted. The broker knows
    a question by execution, step and attempt: asking again is always safe, and is looked at afresh.
    """

    connector: str
    id: str
    type: str
    execution: str
    subject: Subject | None
    flow: str | None = None
    attempt: int = 1
    scopes: tuple[str, ...] = ()
    interactive: bool = False
    credential: bool = True

    def rendered(self) -> dict[str, Any]:
        """The body of `POST /v1/resolve`."""
        return {
            "connector": self.connector,
            "step": {"id": self.id, "type": self.type, "scopes": list(self.scopes)},
            "execution": {"id": self.execution, "flow": self.flow, "attempt": self.attempt},
            "subject": self.subject and self.subject.rendered(),
            "interactive": self.interactive,
            "credential": self.credential,
        }
