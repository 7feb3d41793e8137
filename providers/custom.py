"""Programs that an operator describes: one JSON file becomes definitions and speeches.

Whoever may name a token endpoint may have secrets sent anywhere: hence a file of the operator's,
and every mistake in it ends the start with its place and the remedy.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from providers import clients, custom_rules
from providers.definition import (
    NO_DOTS,
    PRINTABLE,
    Choice,
    Definition,
    Kind,
    Method,
    Section,
    Source,
    StepType,
)
from providers.definition import Field as FormField
from providers.places import Environment
from providers.speech import Speech

DAY_S = 24 * 3600
SECTIONS = {
    "general": (Section.GENERAL, Kind.ACCOUNT),
    "additional": (Section.ADDITIONAL, Kind.FEATURE),
    "advanced": (Section.ADVANCED, Kind.TEXT),
}
DOCS = "docs/programs.md has every key"

Text = Annotated[str, Field(min_length=1, max_length=300)]
Word = Annotated[str, Field(min_length=1, max_length=40)]
Seconds = Annotated[int, Field(gt=0, le=366 * DAY_S)]


class Unusable(ValueError):
    """The file cannot be used; one sentence a problem: where, what, and what to do."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


@dataclass(frozen=True, slots=True)
class Custom:
    """One kind of program out of the file: what a `Program` is made of."""

    definition: Definition
    speech: Speech


class _Part(BaseModel):
    """A JSON object of known keys, each of exactly its type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Place(_Part):
    """An environment: one `origin`, or `hosts` of which the administrator types one."""

    name: Word
    label: Text
    origin: str | None = None
    hosts: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    path: str = ""
    api: str | None = None

    def environment(self) -> Environment:
        """A typed host's answers name hosts of the same patterns, where nothing else is said."""
        return Environment(
            name=self.name,
            label=self.label,
            origin=self.origin,
            typed=self.hosts,
            answers=self.answers or self.hosts,
            path=self.path,
            api=self.api,
        )


class Question(_Part):
    """A field of the form; its section says what kind of field it is (R38, R40)."""

    name: Word
    label: Text
    section: Literal["general", "additional", "advanced"] = "general"
    protected: bool = False
    required: bool = False
    choices: tuple[Choice, ...] = ()
    default: str | None = None
    help: str = ""

    def field(self) -> FormField:
        section, kind = SECTIONS[self.section]
        return FormField(
            name=self.name,
            label=self.label,
            section=section,
            kind=Kind.SECRET if self.protected else kind,
            protected=self.protected,
            required=self.required,
            choices=self.choices,
            default=self.default,
            help=self.help,
            alphabet=PRINTABLE if self.protected else "",
        )


class Lifetimes(_Part):
    """Of an access token whose program tells none; of an unused grant; when to use it meanwhile."""

    access_s: Seconds = 3600
    idle_s: Seconds | None = None
    keep_alive_s: Seconds = 7 * DAY_S


class Description(_Part):
    """One program as the file has it."""

    kind: Word
    title: Text
    environments: Annotated[tuple[Place, ...], Field(min_length=1)]
    grants: Annotated[
        frozenset[Literal["authorization_code", "client_credentials"]], Field(min_length=1)
    ]
    speech: Speech
    step_types: Annotated[tuple[StepType, ...], Field(min_length=1)]
    certificate: bool = False
    fields: tuple[Question, ...] = ()
    lifetimes: Lifetimes = Lifetimes()
    warnings: tuple[Text, ...] = ()
    single_per_project: bool = False
    rehearsal: str = ""

    def custom(self) -> Custom:
        """The definition and the speech; what an address holds is a field that binds."""
        method = Method(
            Source.REFRESH if "authorization_code" in self.grants else None,
            Source.MINTED if "client_credentials" in self.grants else Source.REFRESH,
        )
        named = custom_rules.holes(self.speech)
        fields = (clients.CLIENT_ID, *self._proof(), *(one.field() for one in self.fields))
        definition = Definition(
            kind=self.kind,
            title=self.title,
            environments=tuple(place.environment() for place in self.environments),
            fields=tuple(
                replace(one, binds=True, shape=NO_DOTS) if one.name in named else one
                for one in fields
            ),
            step_types=self.step_types,
            test="Asks the token endpoint whether it knows this client.",
            assumed_lifetime_s=self.lifetimes.access_s,
            keep_alive_s=self.lifetimes.keep_alive_s,
            idle_s=self.lifetimes.idle_s,
            single_per_project=self.single_per_project,
            warnings=self.warnings,
            method=method,
            rehearsal=self.rehearsal,
        )
        return Custom(definition, self.speech)

    def _proof(self) -> tuple[FormField, ...]:
        """What the client proves itself with; a certificate can take a secret's place (R41)."""
        if self.speech.client == "none":
            return ()
        if self.speech.client == "private_key_jwt":
            return clients.CERTIFICATE, clients.PRIVATE_KEY
        return clients.either() if self.certificate else (clients.CLIENT_SECRET,)


class File(_Part):
    """All of the file."""

    programs: tuple[Description, ...]


def load(file: Path, *, taken: Iterable[str] = ()) -> tuple[Custom, ...]:
    """The programs of a file, none of a kind in `taken`; Unusable names every mistake."""
    try:
        text = file.read_bytes()
        found = File.model_validate_json(text)
    except OSError as error:
        raise Unusable([f"{file} cannot be read: {error.strerror}."]) from None
    except ValidationError as error:
        raise Unusable(_mistakes(file, error)) from None
    if twice := [f"{file}, {place}" for place in _repeated(text)]:
        raise Unusable(twice)
    customs = tuple(one.custom() for one in found.programs)
    problems = [
        f"{file}, /programs/{number}{place}: {what}."
        for number, (told, one) in enumerate(zip(found.programs, customs, strict=True))
        for place, what in custom_rules.problems(
            one.definition, one.speech, certificate=told.certificate
        )
    ]
    known = list(taken)
    for number, one in enumerate(customs):
        if one.definition.kind in known:
            kind = one.definition.kind
            problems.append(f"{file}, /programs/{number}/kind: {kind} is taken; choose another.")
        known.append(one.definition.kind)
    if problems:
        raise Unusable(problems)
    return customs


class _Object(dict[str, Any]):
    """A JSON object that remembers which of its keys came twice."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        names = [name for name, _ in pairs]
        self.twice = sorted({name for name in names if names.count(name) > 1})


def _repeated(text: bytes) -> Iterator[str]:
    """Keys that stand twice in one object, of which the last would count unsaid (RFC 8259 §4)."""
    todo: list[tuple[str, Any]] = [("", json.loads(text, object_pairs_hook=_Object))]
    for place, value in todo:
        if isinstance(value, _Object):
            yield from (f"{place}/{name}: it is there twice; keep one." for name in value.twice)
            todo += [(f"{place}/{name}", each) for name, each in value.items()]
        elif isinstance(value, list):
            todo += [(f"{place}/{number}", each) for number, each in enumerate(value)]


def _mistakes(file: Path, error: ValidationError) -> list[str]:
    """What the form of the file lacks, one sentence each."""
    return [
        f"{file}, {''.join(f'/{part}' for part in each['loc']) or 'all of it'}: {each['msg']};"
        f" {DOCS}."
        for each in error.errors(include_url=False, include_input=False)
    ]
