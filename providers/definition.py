"""What a provider declares: environments and their hosts, form fields, step types."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from providers.places import Environment, origin_of_url

REHEARSAL = "rehearsal"
RELAY = "relay"
"""The field of Relay Options: the name of one of the operator's relays (R42, safety 20)."""
PRINTABLE = " -~"
"""Printable ASCII: VSCHAR of RFC 6749 appendix A, of which client secrets are made."""
NO_DOTS = (r"(?!\.{1,2}$).*", "it is a part of an address, which dots alone are not")
"""The shape of a value that stands in the path of an address (RFC 3986 §3.3)."""
VISIBLE = "!-~"
"""The same without the space: what a bearer token in a header may hold (RFC 9110 5.5)."""
PEM = "\t\n\r -~"
"""Printable ASCII on several lines: keys and certificates (RFC 7468)."""


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


class Source(StrEnum):
    """How whoever a step runs as comes to an access token."""

    REFRESH = "refresh_token"
    """Somebody signed in at the program once; a refresh token stands for them (RFC 6749 §6)."""
    MINTED = "minted"
    """Made, or asked for, whenever it is needed, out of what the connector holds: client
    credentials, a signed assertion, an account of its own. Nobody signs in."""


@dataclass(frozen=True, slots=True)
class Method:
    """Where the tokens of people and of the connector user come from.

    `people` None: nobody can authenticate themselves there, so user authentication cannot be
    switched on (R20, R24).
    """

    people: Source | None
    connector_user: Source


SIGN_IN = Method(Source.REFRESH, Source.REFRESH)


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
    `shape` is a pattern the whole value keeps to, and the sentence for one that does not.
    `when` shows the field only beside one answer to another field or option: (its name, the value)
    (R41, R71).
    `binds` says that what is sealed goes to the place this value names, as it does to the
    environment's host: another value demands the protected fields again (safety 18).
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
    shape: tuple[str, str] | None = None
    when: tuple[str, str] | None = None
    binds: bool = False

    def is_shown(self, integration: str | None, values: Mapping[str, object]) -> bool:
        """Whether the form has this field, under an integration and with these open values."""
        if self.integrations and integration not in self.integrations:
            return False
        return self.when is None or values.get(self.when[0]) == self.when[1]

    def takes(self, value: str) -> bool:
        """Whether a value keeps to the field's alphabet, where it has one."""
        return not self.alphabet or re.fullmatch(f"[{self.alphabet}]+", value) is not None

    def misshapen(self, value: str) -> str | None:
        """What a value has to look like, where it does not; None where it does."""
        if self.shape is None or re.fullmatch(self.shape[0], value.strip()):
            return None
        return self.shape[1]


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
    """A named variant that chooses which fields show, and how tokens come about (R36)."""

    name: str
    label: str
    method: Method = SIGN_IN


@dataclass(frozen=True, slots=True)
class StepType:
    """One kind of flow step; `user_authentication` says whether it may run as the person."""

    name: str
    label: str
    user_authentication: bool


@dataclass(frozen=True, slots=True)
class Definition:
    """Everything the broker needs to know of a kind of program before it speaks to it.

    `test` says in one sentence what the Test button proves (R50). `assumed_lifetime_s` is the life
    of an access token whose program tells none; a grant unused for `keep_alive_s` is refreshed.
    `warnings` stand on the form for good (R47 to R49). `method` holds where no integration says
    another. `idle_s` is how long the program keeps an unused grant, None for ever. `person_field`
    is the field that names the suffix of the logons people are minted for (safety 20). `rehearsal`
    is the path below which the simulator plays the program.
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
    method: Method = SIGN_IN
    idle_s: int | None = None
    person_field: str | None = None
    rehearsal: str = ""

    @property
    def user_authentication(self) -> bool:
        """Whether any step of this program can run as the person (R20)."""
        return any(step.user_authentication for step in self.step_types)

    def method_of(self, integration: str | None) -> Method:
        """Where tokens come from under one integration."""
        return next(
            (one.method for one in self.integrations if one.name == integration), self.method
        )

    def lets_people(self, integration: str | None) -> bool:
        """Whether people can authenticate themselves under that integration (R20, R24)."""
        return self.user_authentication and self.method_of(integration).people is not None

    def shown(self, integration: str | None, values: Mapping[str, object]) -> tuple[Field, ...]:
        """The fields of a form filled with these open values, section by section (R36, R37).

        A field that has no value counts as filled with its default.
        """
        known: dict[str, object] = {field.name: field.default for field in self.fields}
        known |= {name: value for name, value in values.items() if value}
        return tuple(
            field
            for section in Section
            for field in self.fields
            if field.section is section and field.is_shown(integration, known)
        )

    def environment(self, name: str) -> Environment | None:
        return next((place for place in self.environments if place.name == name), None)

    def twin(self, name: str) -> str | None:
        """The environment's name where an earlier one has the same origin, else None.

        Its path or API is another: what is sealed for one is not for the other (safety 18).
        """
        before: list[str | None] = []
        for place in self.environments:
            if place.name == name:
                return name if place.origin and place.origin in before else None
            before.append(place.origin)
        return None

    def offered(self, simulator: str | None, relays: Iterable[str]) -> Definition:
        """The same as this installation offers it: with Rehearsal where there is a simulator, and
        with the question for a relay where the operator lists any (R42).
        """
        offer = self.with_rehearsal(simulator) if simulator else self
        choices = tuple(Choice(name, name) for name in sorted(relays))
        relay = Field(
            RELAY,
            "Relay",
            Section.RELAY,
            Kind.TEXT,
            choices=choices,
            help="For a program that is not reachable from here: every call goes through it.",
            binds=True,
        )
        return replace(offer, fields=(*offer.fields, relay)) if choices else offer

    def with_rehearsal(self, simulator: str) -> Definition:
        """The same, with a further environment whose only host is the simulator's."""
        origin = origin_of_url(simulator)
        if origin is None:
            raise ValueError("the simulator is named by an http or https origin")
        label = f"Rehearsal ({origin.split('://')[1]})"
        path = self.rehearsal
        place = Environment(REHEARSAL, label, origin, path=path, api=origin + path)
        return replace(self, environments=(*self.environments, place))
