"""What a provider declares: environments and their hosts, form fields, step types."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from urllib.parse import urlsplit

from providers.errors import HostRefused

REHEARSAL = "rehearsal"
PRINTABLE = " -~"
"""Printable ASCII: VSCHAR of RFC 6749 appendix A, of which client secrets are made."""
VISIBLE = "!-~"
"""The same without the space: what a bearer token in a header may hold (RFC 9110 5.5)."""

_LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"


class Section(StrEnum):
    """The four parts of a connector's form, in their order (R37); empty ones are not shown."""

    GENERAL = "General"
    ADDITIONAL = "Additional Options"
    ADVANCED = "Advanced Options"
    RELAY = "Relay Options"


class Kind(StrEnum):
    """What a field holds, and so in which section it may stand (R38, R40)."""

    HOST = "host"
    ACCOUNT = "account"
    SECRET = "secret"
    FEATURE = "feature"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a closed list: its value on the wire and its words on the page."""

    value: str
    label: str


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the connector's form.

    `protected` fields are write-only and carry the lock (R43). `choices` closes the list of values.
    `integrations` names the variants that show the field (R36); empty means all of them.
    `alphabet` is a range of characters, such as PRINTABLE; a value may hold no other.
    """

    name: str
    label: str
    section: Section
    kind: Kind
    protected: bool = False
    required: bool = False
    choices: tuple[Choice, ...] = ()
    default: str | None = None
    help: str = ""
    integrations: frozenset[str] = frozenset()
    alphabet: str = ""

    def takes(self, value: str) -> bool:
        """Whether a value keeps to the field's alphabet, where it has one."""
        return not self.alphabet or re.fullmatch(f"[{self.alphabet}]+", value) is not None


@dataclass(frozen=True, slots=True)
class Option:
    """A question of the wizard with one answer out of a closed list and no default (R70).

    `{product}` in the label stands for the product's name.
    """

    name: str
    label: str
    choices: tuple[Choice, ...]


@dataclass(frozen=True, slots=True)
class Integration:
    """A named variant that chooses which fields show (R36)."""

    name: str
    label: str


@dataclass(frozen=True, slots=True)
class StepType:
    """One kind of flow step; `user_authentication` says whether it may run as the person."""

    name: str
    label: str
    user_authentication: bool


@dataclass(frozen=True, slots=True)
class Environment:
    """Where a program lives: one fixed origin, or a host the administrator types.

    `typed` patterns say what may be typed, `answers` which hosts the program's own answers may
    name (safety 19); `*` stands for one part of a host name without dots.
    """

    name: str
    label: str
    origin: str | None
    typed: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    misread: tuple[tuple[str, str], ...] = ()

    def origin_of(self, typed: str | None = None) -> str:
        """The origin everything of this connector goes to; HostRefused names what is wrong."""
        if self.origin is not None:
            if typed:
                raise HostRefused("host-not-asked", f"{self.label} has its own host")
            return self.origin
        host = (typed or "").strip().removeprefix("https://").removesuffix("/")
        if host.isascii() and _fits(self.typed, host.lower()):
            return "https://" + host.lower()
        for ending, hint in self.misread:
            if host.lower().endswith(ending):
                raise HostRefused("host-refused", hint)
        wanted = " or ".join(self.typed)
        raise HostRefused("host-refused", f"the host must look like {wanted}, and nothing else")

    def trusted(self, url: object) -> str:
        """A URL out of the program's answer, once its host is known to be theirs (safety 19)."""
        if isinstance(url, str) and (where := origin_of_url(url)) is not None:
            if where == self.origin:
                return url
            scheme, _, host = where.partition("://")
            if scheme == "https" and _fits(self.answers, host):
                return url
        raise HostRefused(
            "answer-host-refused", "the answer names a host that is not the program's"
        )


@dataclass(frozen=True, slots=True)
class Definition:
    """Everything the broker needs to know of a kind of program before it speaks to it.

    `test` says in one sentence what the Test button proves (R50). `assumed_lifetime_s` is the life
    of an access token whose program tells none; a grant unused for `keep_alive_s` is refreshed.
    `warnings` stand on the form for good (R47 to R49).
    """

    kind: str
    title: str
    environments: tuple[Environment, ...]
    fields: tuple[Field, ...]
    step_types: tuple[StepType, ...]
    test: str
    assumed_lifetime_s: int
    keep_alive_s: int
    options: tuple[Option, ...] = ()
    integrations: tuple[Integration, ...] = ()
    single_per_project: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def user_authentication(self) -> bool:
        """Whether any step of this program can run as the person (R20)."""
        return any(step.user_authentication for step in self.step_types)

    def environment(self, name: str) -> Environment | None:
        return next((place for place in self.environments if place.name == name), None)

    def fields_of(self, section: Section, integration: str | None = None) -> tuple[Field, ...]:
        """The fields one section shows under one integration, in the order they were declared."""
        return tuple(
            field
            for field in self.fields
            if field.section is section
            and (not field.integrations or integration in field.integrations)
        )

    def with_rehearsal(self, simulator: str) -> Definition:
        """The same, with a further environment whose only host is the simulator's."""
        origin = origin_of_url(simulator)
        if origin is None:
            raise ValueError("the simulator is named by an http or https origin")
        place = Environment(REHEARSAL, f"Rehearsal ({origin.split('://')[1]})", origin)
        return replace(self, environments=(*self.environments, place))


def origin_of_url(url: str) -> str | None:
    """`scheme://host[:port]` of a web address; None where it is not one or names a user."""
    if not url.isascii() or any(ord(c) <= 32 or c in '\\"<>' for c in url):
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    if port is None or port == {"http": 80, "https": 443}[parts.scheme]:
        return f"{parts.scheme}://{host}"
    return f"{parts.scheme}://{host}:{port}"


def _fits(patterns: tuple[str, ...], host: str) -> bool:
    return len(host) <= 253 and any(_compiled(pattern).fullmatch(host) for pattern in patterns)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """`*` is one stretch of a host name without a dot; everything else stands for itself."""
    return re.compile(_LABEL.join(re.escape(part) for part in pattern.split("*")))
