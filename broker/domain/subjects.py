"""How a caller names a person: by our id, userName, externalId or an application's logon."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from broker.domain.errors import Invalid, Problem

WAYS = (
    frozenset({"user_id"}),
    frozenset({"user_name"}),
    frozenset({"user_name", "directory"}),
    frozenset({"external_id", "directory"}),
    frozenset({"logon", "suffix"}),
)


@dataclass(frozen=True, slots=True)
class Subject:
    """One of `user_id`; `user_name`, perhaps with `directory`; `external_id` with `directory`;
    `logon` with `suffix`. What is not said is None.
    """

    user_id: str | None = None
    user_name: str | None = None
    directory: str | None = None
    external_id: str | None = None
    logon: str | None = None
    suffix: str | None = None

    @classmethod
    def parse(cls, said: Mapping[str, Any], *, pointer: str = "/subject") -> Subject:
        """The person these members of a request name; Invalid where they name none or two."""
        known = cls.__dataclass_fields__.keys()
        problems = [
            Problem(f"{pointer}/{name}", "unknown_field", f"There is no {name} here.")
            for name in said
            if name not in known
        ]
        problems += [
            Problem(f"{pointer}/{name}", "not_text", f"{name} must be a text that is not empty.")
            for name in known & set(said)
            if not isinstance(said[name], str) or not said[name]
        ]
        if not problems and frozenset(said) not in WAYS:
            problems.append(Problem(pointer, "not_one_person", ONE_WAY))
        if problems:
            raise Invalid(problems[0].detail, reason="invalid-subject", problems=tuple(problems))
        return cls(**said)


ONE_WAY = (
    "Name one person in one way: user_id; user_name, perhaps with directory; "
    "external_id with directory; or logon with suffix."
)
