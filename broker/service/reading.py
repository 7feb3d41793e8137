"""A request's JSON read strictly: every wrong member is named, the nearest right one offered."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, TypeGuard
from urllib.parse import urlsplit

from broker.domain import names
from broker.domain.errors import Invalid, Problem
from broker.domain.subjects import Subject

TEXT_LIMIT = 256
LONG_LIMIT = 16 * 1024
LIST_LIMIT = 50
NUMBER_LIMIT = 2**31 - 1
SCOPE_TOKEN = re.compile(r"[!#-\[\]-~]+")


@dataclass(frozen=True, slots=True)
class Members:
    """The members of one JSON object of a request; problems gather until the `with` ends."""

    said: object
    pointer: str
    problems: list[Problem] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not isinstance(self.said, dict):
            self.wrong("", "not_an_object", "An object is needed here.")
        if not self.pointer:
            refuse(self.problems)  # without a body there is nothing more to say about it

    def close(self, *known: str) -> None:
        """No member but these; each other one is named, with the nearest right name."""
        for name in self._members:
            if name not in known:
                near = get_close_matches(name, known, n=1)
                detail = f"There is no {name} here."
                self.wrong(name, "unknown_field", detail, near[0] if near else None)

    def inner(self, name: str) -> Members:
        """The object behind a member; its problems join these."""
        value = self._members.get(name)
        if value is None:
            self._missing(name)
        return Members({} if value is None else value, f"{self.pointer}/{name}", self.problems)

    def inner_or_none(self, name: str) -> Members | None:
        """The same, or None where it is null or not there."""
        return None if self._members.get(name) is None else self.inner(name)

    def inners(self, name: str, *, limit: int) -> list[Members]:
        """The objects in a list, [] where it is not there; their problems join these."""
        values = self._members.get(name, [])
        if not isinstance(values, list) or len(values) > limit:
            self.wrong(name, "not_a_list", f"{name} must be a list of at most {limit}.")
            return []
        return [
            Members(each, self._at(name, place), self.problems) for place, each in enumerate(values)
        ]

    def has(self, name: str) -> bool:
        """Whether the member is there and not null."""
        return self._members.get(name) is not None

    def says(self, name: str) -> bool:
        """Whether the member is there, null or not."""
        return name in self._members

    def raw(self, name: str) -> dict[str, Any] | None:
        """An object as it was sent, for whoever reads it as strictly; None where there is none."""
        value = self._members.get(name)
        if value is None or isinstance(value, dict):
            return value
        self.wrong(name, "not_an_object", f"{name} must be an object.")
        return None

    def text(self, name: str) -> str:
        """A text that is not empty, holds nothing hidden and is at most 256 characters long."""
        value = self._members.get(name)
        if value is None:
            self._missing(name)
            return ""
        return self._visible(name, value)

    def text_or_none(self, name: str) -> str | None:
        """The same, or None where it is null or not there."""
        value = self._members.get(name)
        return None if value is None else self._visible(name, value)

    def texts(self, name: str, *, limit: int = LIST_LIMIT) -> tuple[str, ...]:
        """A list of such texts, each once, in their order; empty where it is not there."""
        values = self._members.get(name, [])
        if not isinstance(values, list) or len(values) > limit:
            self.wrong(name, "not_a_list", f"{name} must be a list of at most {limit}.")
            return ()
        seen = {self._visible(name, value, n): None for n, value in enumerate(values)}
        return tuple(seen)

    def scopes(self, name: str) -> tuple[str, ...]:
        """A list of scopes, each one scope-token (RFC 6749 §3.3): others no grant ever has."""
        found = self.texts(name)
        for place, value in enumerate(self._members.get(name, ()) if found else ()):
            if value and isinstance(value, str) and SCOPE_TOKEN.fullmatch(value) is None:
                detail = f"{value!r} is no scope: no blank, quote or backslash (RFC 6749 §3.3)."
                self.problems.append(Problem(self._at(name, place), "not_a_scope", detail))
        return found

    def texts_by_name(self, name: str) -> dict[str, str]:
        """An object whose members are texts, empty ones too; {} where it is not there."""
        values = self._members.get(name, {})
        if not isinstance(values, Mapping):
            self.wrong(name, "not_an_object", f"{name} must be an object.")
            return {}
        for key, value in values.items():
            if not isinstance(value, str) or len(value) > TEXT_LIMIT:
                detail = f"A text of at most {TEXT_LIMIT} characters is needed."
                self.problems.append(Problem(self._at(name, key), "not_text", detail))
        return {key: value for key, value in values.items() if isinstance(value, str)}

    def long_text(self, name: str, *, limit: int = LONG_LIMIT) -> str:
        """A text of at most 16 KiB that nobody reads, such as a token; never shown again."""
        value = self._members.get(name)
        if isinstance(value, str) and 0 < len(value) <= limit:
            return value
        self.wrong(name, "not_text", f"{name} must be a text of at most {limit} characters.")
        return ""

    def long_text_or_none(self, name: str) -> str | None:
        """The same, or None where it is null or not there; it may be empty."""
        value = self._members.get(name)
        return value if value in (None, "") else self.long_text(name)

    def url_or_none(self, name: str) -> str | None:
        """An absolute http or https URL without a user; None where it is null or not there."""
        value = self.text_or_none(name)
        if value and not is_url(value):
            self.wrong(name, "not_a_url", f"{name} must be an absolute http or https URL.")
        return value

    def choice(self, name: str, among: Sequence[str], *, default: str | None) -> str | None:
        """One word of a closed list; needed where there is no default."""
        value = self._members.get(name, default)
        if isinstance(value, str) and value in among:
            return value
        near = get_close_matches(value, among, n=1) if isinstance(value, str) else []
        detail = f"{name} must be one of {', '.join(among)}."
        self.wrong(name, "not_a_choice", detail, near[0] if near else None)
        return default

    def number(self, name: str, *, default: int) -> int:
        """A whole number from 1 on."""
        value = self._members.get(name, default)
        if _is_number(value, 1):
            return value
        self.wrong(name, "not_a_number", f"{name} must be a whole number from 1 on.")
        return default

    def number_or_none(self, name: str, *, least: int) -> int | None:
        """A whole number from `least` on; None where it is null or not there."""
        value = self._members.get(name)
        if value is None or _is_number(value, least):
            return value
        limits = f"{least} to {NUMBER_LIMIT}"
        self.wrong(name, "not_a_number", f"{name} must be a whole number, {limits}.")
        return None

    def numbers(self, name: str, *, limit: int) -> list[int]:
        """A list of whole numbers from 1 on; [] where it is not there."""
        values = self._members.get(name, [])
        few = isinstance(values, list) and len(values) <= limit
        if few and all(_is_number(value, 1) for value in values):
            return list(values)
        self.wrong(name, "not_numbers", f"{name} must be a list of at most {limit} whole numbers.")
        return []

    def decided(self, name: str) -> bool:
        """true or false, and one of them is needed."""
        if self._members.get(name) is None:
            self._missing(name)
            return False
        return self.yes(name, default=False)

    def yes(self, name: str, *, default: bool) -> bool:
        """true or false."""
        value = self._members.get(name, default)
        if isinstance(value, bool):
            return value
        self.wrong(name, "not_a_boolean", f"{name} must be true or false.")
        return default

    def subject(self, name: str) -> Subject | None:
        """Who is meant; None where null says nobody."""
        if name not in self._members:
            self._missing(name)
        value = self._members.get(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            self.wrong(name, "not_an_object", "subject must be an object or null.")
            return None
        try:
            return Subject.parse(value, pointer=f"{self.pointer}/{name}")
        except Invalid as error:
            self.problems.extend(error.problems)
            return None

    def wrong(
        self, name: str, code: str, detail: str, near: str | None = None, *place: int
    ) -> None:
        """Note a problem of the member `name` or a value in it; of this object where it is ""."""
        pointer = self._at(name, *place) if name else self.pointer
        self.problems.append(Problem(pointer, code, detail, near))

    def __enter__(self) -> Members:
        """Read them in a `with`: at its end everything that was wrong is told at once."""
        return self

    def __exit__(self, failed: type[BaseException] | None, *_: object) -> None:
        if failed is None:
            refuse(self.problems)

    @property
    def _members(self) -> Mapping[str, Any]:
        return self.said if isinstance(self.said, dict) else {}

    def _missing(self, name: str) -> None:
        if isinstance(self.said, dict):  # else it was noted that there is no object at all
            self.wrong(name, "required", f"{name} is needed.")

    def _at(self, *names: object) -> str:
        """The JSON Pointer of a member, or of what is inside it (RFC 6901 §3)."""
        inside = (str(name).replace("~", "~0").replace("/", "~1") for name in names)
        return "/".join((self.pointer, *inside))

    def _visible(self, name: str, value: object, *place: int) -> str:
        """The text, if it is one that can be kept and read."""
        code, detail = "not_text", f"{name} must be a text."
        if isinstance(value, str):
            try:
                return names.visible(value, what=name, limit=TEXT_LIMIT)
            except Invalid as error:
                code, detail = error.problems[0].code, str(error)
        self.problems.append(Problem(self._at(name, *place), code, detail))
        return ""


def _is_number(value: object, least: int) -> TypeGuard[int]:
    if isinstance(value, bool) or not isinstance(value, int):
        return False
    return least <= value <= NUMBER_LIMIT


def is_url(text: str) -> bool:
    """Whether it is an absolute http or https URL without a user."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    named = parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc
    return bool(named) and not any(character <= " " for character in text)


def refuse(problems: Iterable[Problem]) -> None:
    """Invalid with every problem; nothing where there is none."""
    found = tuple(problems)
    if found:
        count = f"{len(found)} problems in the body." if len(found) > 1 else found[0].detail
        raise Invalid(
            count,
            reason="invalid-request",
            problems=found,
            next="Correct the body and send it again; nothing was stored.",
        )
