"""What an administrator says of a connector, held to what its definition declares."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from broker.domain import names
from broker.domain.connectors import Connector
from broker.domain.errors import Invalid, Problem
from broker.domain.names import Name
from providers.definition import Definition, Field, Section
from providers.errors import HostRefused
from providers.secret import Secret

DESCRIPTION_LIMIT = 1000
VALUE_LIMIT = 4096


@dataclass(frozen=True, slots=True)
class Said:
    """The parts of a connector's form as they were sent; None is not said, so not changed.

    `environment` is `{"name"}`, with `"host"` where the host is typed. `fields` holds protected
    ones too; null or "" empties an open field and leaves a protected one as it is.
    """

    name: str | None = None
    description: str | None = None
    integration: str | None = None
    environment: Mapping[str, Any] | None = None
    options: Mapping[str, Any] | None = None
    fields: Mapping[str, Any] | None = field(default=None, repr=False)
    keep_alive: bool | None = None


@dataclass(frozen=True, slots=True)
class Form:
    """The same, checked: what a connector will say once it is kept."""

    name: Name
    description: str
    integration: str | None
    environment: Mapping[str, object] | None
    origin: str | None
    options: Mapping[str, object]
    fields: Mapping[str, object]
    protected: Mapping[str, Secret]
    keep_alive: bool


def read(definition: Definition, said: Said, before: Connector | None) -> Form:
    """The form after these changes; Invalid names every problem with its pointer."""
    problems: list[Problem] = []
    integration = _integration(definition, said, before, problems)
    environment, origin = _environment(definition, said, before, problems)
    shown = shown_fields(definition, integration)
    opened, protected = _fields(shown, said.fields or {}, before, problems)
    form = Form(
        name=_name(said, before, problems),
        description=_description(said, before, problems),
        integration=integration,
        environment=environment,
        origin=origin,
        options=_options(definition, said, before, problems),
        fields=opened,
        protected=protected,
        keep_alive=_keep_alive(said, before),
    )
    if problems:
        count = f"{len(problems)} problems." if len(problems) > 1 else problems[0].detail
        raise Invalid(count, reason="invalid-connector", problems=tuple(problems))
    return form


def shown_fields(definition: Definition, integration: str | None) -> tuple[Field, ...]:
    """The fields of the four sections under one integration, in their order (R36, R37)."""
    sections = (definition.fields_of(section, integration) for section in Section)
    return tuple(field for fields in sections for field in fields)


def missing(
    definition: Definition, connector: Connector, protected: Iterable[str]
) -> tuple[str, ...]:
    """Pointers to what is still needed before anybody can be sent to authorize (C2, R70).

    `protected` names the protected fields that have a value for the connector's origin.
    """
    held = set(protected)
    lacks = [] if connector.environment else ["/environment"]
    lacks += [f"/options/{one.name}" for one in definition.options if _no(connector, one.name)]
    for one in shown_fields(definition, connector.integration):
        has = one.name in held if one.protected else bool(connector.fields.get(one.name))
        if one.required and not has:
            lacks.append(f"/fields/{one.name}")
    return tuple(lacks)


def changed(before: Connector, now: Connector) -> list[str]:
    """Which parts were changed, by name alone: values stay out of the audit."""
    parts = ("name", "description", "integration", "environment", "options", "keep_alive")
    fields = {*before.fields, *now.fields}
    return [part for part in parts if getattr(before, part) != getattr(now, part)] + [
        f"fields/{name}"
        for name in sorted(fields)
        if before.fields.get(name) != now.fields.get(name)
    ]


def unknown(pointer: str, word: str, known: Iterable[str], what: str) -> Problem:
    """There is no such thing; the nearest that there is."""
    near = get_close_matches(word, list(known), n=1)
    return Problem(pointer, f"unknown_{what}", f"There is no {what} {word}.", *near)


def _no(connector: Connector, option: str) -> bool:
    return connector.options.get(option) is None


def _name(said: Said, before: Connector | None, problems: list[Problem]) -> Name:
    if said.name is None and before is not None:
        return Name(before.name, before.name_key)
    try:
        return names.named(said.name or "")
    except Invalid as error:
        problems.extend(error.problems)
        return Name("", "")


def _description(said: Said, before: Connector | None, problems: list[Problem]) -> str:
    if said.description is None:
        return before.description if before else ""
    if len(said.description) > DESCRIPTION_LIMIT:
        detail = f"The description is longer than {DESCRIPTION_LIMIT} characters."
        problems.append(Problem("/description", "too_long", detail))
    return said.description.strip()


def _keep_alive(said: Said, before: Connector | None) -> bool:
    if said.keep_alive is None:
        return before.keep_alive if before else True
    return said.keep_alive


def _integration(
    definition: Definition, said: Said, before: Connector | None, problems: list[Problem]
) -> str | None:
    if said.integration is None:
        return before.integration if before else None
    known = [one.name for one in definition.integrations]
    if said.integration not in known:
        problems.append(unknown("/integration", said.integration, known, "integration"))
    return said.integration


def _environment(
    definition: Definition, said: Said, before: Connector | None, problems: list[Problem]
) -> tuple[Mapping[str, object] | None, str | None]:
    """The environment that was chosen and its origin: the one place secrets may go (R68, R69)."""
    if said.environment is None:
        return (before.environment, before.origin) if before else (None, None)
    for member in said.environment:
        if member not in ("name", "host"):
            pointer = f"/environment/{member}"
            problems.append(unknown(pointer, member, ("name", "host"), "field"))
    name, host = said.environment.get("name"), said.environment.get("host")
    place = definition.environment(name) if isinstance(name, str) else None
    if place is None:
        known = [one.name for one in definition.environments]
        problems.append(unknown("/environment/name", str(name), known, "environment"))
        return None, None
    try:
        origin = place.origin_of(host if isinstance(host, str) else None)
    except HostRefused as refused:
        detail = f"The host is refused: {refused.provider_text}."
        problems.append(Problem("/environment/host", "host_refused", detail))
        return None, None
    typed = {"host": origin.partition("://")[2]} if place.origin is None else {}
    return {"name": place.name, **typed}, origin


def _options(
    definition: Definition, said: Said, before: Connector | None, problems: list[Problem]
) -> Mapping[str, object]:
    chosen: dict[str, object] = dict(before.options) if before else {}
    declared = {one.name: [choice.value for choice in one.choices] for one in definition.options}
    for name, value in (said.options or {}).items():
        pointer = f"/options/{name}"
        if name not in declared:
            problems.append(unknown(pointer, name, declared, "option"))
        elif value is not None and value not in declared[name]:
            problems.append(unknown(pointer, str(value), declared[name], "choice"))
        chosen[name] = value
    return chosen


def _fields(
    shown: tuple[Field, ...],
    said: Mapping[str, Any],
    before: Connector | None,
    problems: list[Problem],
) -> tuple[dict[str, object], dict[str, Secret]]:
    """Open values and protected ones, apart; nothing a page or a log prints is in the second."""
    declared = {one.name: one for one in shown}
    opened: dict[str, object] = {
        one.name: one.default for one in shown if one.default is not None
    } | (dict(before.fields) if before else {})
    protected: dict[str, Secret] = {}
    for name, value in said.items():
        one = declared.get(name)
        if one is None:
            problems.append(unknown(f"/fields/{name}", name, declared, "field"))
        elif (problem := _wrong(one, value)) is not None:
            problems.append(problem)
        elif one.protected:
            protected |= {name: Secret(value)} if value else {}
        else:
            opened[name] = value.strip() if value else one.default
    return {name: value for name, value in opened.items() if value is not None}, protected


def _wrong(one: Field, value: object) -> Problem | None:
    """What is wrong with a value; its own text is never part of the answer."""
    pointer = f"/fields/{one.name}"
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        return Problem(pointer, "wrong_type", f"{one.label} must be a text.")
    if len(value) > VALUE_LIMIT:
        return Problem(pointer, "too_long", f"{one.label}: at most {VALUE_LIMIT} characters.")
    if any(names.is_hidden(character) for character in value):
        return Problem(pointer, "hidden_character", f"{one.label} holds a hidden character.")
    choices = [choice.value for choice in one.choices]
    if choices and value not in choices:
        near = get_close_matches(value, choices, n=1)
        return Problem(pointer, "not_a_choice", f"One of {', '.join(choices)}.", *near)
    return None
