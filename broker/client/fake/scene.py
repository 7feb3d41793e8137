"""What a FakeBroker knows: people, who is signed in where, rules, and what happened."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any


class Refusal(Exception):
    """A problem of the fake's: status, code, and further members."""

    def __init__(self, status: int, code: str, **more: Any) -> None:
        super().__init__(code)
        self.status = status
        self.said = {
            "type": f"/problems/{code}",
            "title": code,
            "status": status,
            "code": code,
            "detail": code,
            "retryable": False,
            "request_id": "req_fake",
            **more,
        }


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody; `logons` by suffix, `name` as XPN."""

    id: str
    user_name: str
    display_name: str
    logons: Mapping[str, str]
    name: str
    active: bool


@dataclass(frozen=True, slots=True)
class Rule:
    """Questions like these get this row; None fits any."""

    row: str
    connector: str | None
    step: str | None
    user_name: str | None

    def fits(self, connector: str, step: str, person: Person | None) -> bool:
        """Whether a question is meant."""
        return (
            self.connector in (None, connector)
            and self.step in (None, step)
            and (
                self.user_name is None
                or (person is not None and person.user_name == self.user_name)
            )
        )


@dataclass(slots=True)
class Scene:
    """The whole memory of one fake; `news` is set, and made anew, at every change."""

    people: dict[str, Person] = field(default_factory=dict)
    rules: list[Rule] = field(default_factory=list)
    signed_in: set[tuple[str, str]] = field(default_factory=set)
    events: list[dict[str, Any]] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    numbers: count[int] = field(default_factory=lambda: count(1))

    def new(self, prefix: str) -> str:
        """An id nobody has yet."""
        return f"{prefix}_{next(self.numbers):026}"

    def named(self, subject: Mapping[str, str] | None) -> Person | None:
        """The person a subject means; None where it means nobody here."""
        said = subject or {}
        for person in self.people.values():
            if said.get("user_id") == person.id or said.get("user_name") == person.user_name:
                return person
            if "logon" in said and person.logons.get(said["suffix"]) == said["logon"]:
                return person
        return None

    def happens(self, type: str, data: Mapping[str, Any]) -> None:
        """Put an event into the feed and wake whoever waits."""
        event = {"id": self.new("evt"), "sequence": len(self.events) + 1, "type": type}
        self.events.append(
            event | {"timestamp": moment(), "project": "prj_fake", "data": dict(data)}
        )
        self.changed()

    def changed(self) -> None:
        """Wake whoever waits for news."""
        told, self.news = self.news, asyncio.Event()
        told.set()


def moment(in_s: float = 0) -> str:
    """An instant as answers have it."""
    return f"{datetime.now(UTC) + timedelta(seconds=in_s):%Y-%m-%dT%H:%M:%S.%fZ}"
