"""What an administrator says of a connector, held to what its definition declares."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any

from broker.domain import names
from broker.domain.connectors import Connector
from broker.domain.errors import Invalid, Problem
from broker.domain.names import Name
from providers.definition import PRINTABLE, VISIBLE, Definition, Field
from providers.errors import HostRefused
from providers.places import TWIN, binding_of, bound_by
from providers.secret import Secret

DESCRIPTION_LIMIT = 1000
VALUE_LIMIT = 4096
AGAIN = "alone can be sent. Copy it from the source again"
ALPHABETS = {
    PRINTABLE: f"printable ASCII {AGAIN}",
    VISIBLE: f"printable ASCII without spaces {AGAIN}",
}
OF_ITS_OWN = "it holds a character that has no place there"


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


def filled(
    definition: Definition, before: Connector, said: Said
) -> tuple[Connector, Mapping[str, Secret]]:
    """The connector with what was said of it, and the protected values to seal.

    Invalid names every problem with its pointer.
    """
    problems: list[Problem] = []
    name = _name(before, said.name, problems)
    environment, origin = _environment(definition, before, said.environment, problems)
    integration = before.integration if said.integration is None else said.integration
    known = [one.name for one in definition.integrations]
    if said.integration is not None and integration not in known:
        problems.append(unknown("/integration", said.integration, known, "integration"))
    description = before.description if said.description is None else said.description.strip()
    if len(said.description or "") > DESCRIPTION_LIMIT:
        detail = f"The description is longer than {DESCRIPTION_LIMIT} characters."
        problems.append(Problem("/description", "too_long", detail))
    options = _options(definition, before.options, said.options or {}, problems)
    answers = {**options, **before.fields, **_readable(said.fields or {})}
    shown = definition.shown(integration, answers)
    fields, protected = values(shown, before.fields, said.fields or {}, problems)
    after = replace(
        before,
        name=name.text,
        name_key=name.key,
        description=description,
        integration=integration,
        environment=environment,
        origin=_binding(definition, environment, origin, shown, fields),
        options=options,
        fields=fields,
        keep_alive=before.keep_alive if said.keep_alive is None else said.keep_alive,
    )
    if problems:
        count = f"{len(problems)} problems." if len(problems) > 1 else problems[0].detail
        raise Invalid(count, reason="invalid-connector", problems=tuple(problems))
    return after, protected


def _binding(
    definition: Definition,
    environment: Mapping[str, object] | None,
    origin: str | None,
    shown: tuple[Field, ...],
    fields: Mapping[str, object],
) -> str | None:
    """What is sealed goes nowhere else: origin, fields that bind, which of two environments."""
    if not origin:
        return None
    twin = definition.twin(str((environment or {}).get("name", "")))
    names = [one.name for one in shown if one.binds]
    return binding_of(origin, [*names, TWIN], {**fields, TWIN: twin})


def missing(
    definition: Definition, connector: Connector, protected: Iterable[str]
) -> tuple[str, ...]:
    """Pointers to what is still needed before anybody can be sent to authorize (C2, R70).

    `protected` names the protected fields that have a value for the connector's origin.
    """
    held = set(protected)
    lacks = [] if connector.environment else ["/environment"]
    known = [one.name for one in definition.integrations]
    if known and connector.integration not in known:
        lacks.append("/integration")
    chosen = connector.options
    lacks += [f"/options/{one.name}" for one in definition.options if chosen.get(one.name) is None]
    for one in definition.shown(connector.integration, connector.answers):
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


def _name(before: Connector, said: str | None, problems: list[Problem]) -> Name:
    """The name that was said; only a new connector has to be given one."""
    if said is None and before.name:
        return Name(before.name, before.name_key)
    try:
        return names.named(said or "")
    except Invalid as error:
        problems.extend(error.problems)
        return Name("", "")


def _environment(
    definition: Definition,
    before: Connector,
    said: Mapping[str, Any] | None,
    problems: list[Problem],
) -> tuple[Mapping[str, object] | None, str | None]:
    """The environment that was chosen and its origin: the one place secrets may go (R68, R69)."""
    if said is None:
        return before.environment, bound_by(before.origin)[0] if before.origin else None
    for member in said:
        if member not in ("name", "host"):
            pointer = f"/environment/{member}"
            problems.append(unknown(pointer, member, ("name", "host"), "field"))
    name, host = said.get("name"), said.get("host")
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
    definition: Definition,
    before: Mapping[str, object],
    said: Mapping[str, Any],
    problems: list[Problem],
) -> Mapping[str, object]:
    declared = {one.name: [choice.value for choice in one.choices] for one in definition.options}
    for name, value in said.items():
        pointer = f"/options/{name}"
        if name not in declared:
            problems.append(unknown(pointer, name, declared, "option"))
        elif value is not None and value not in declared[name]:
            problems.append(unknown(pointer, str(value), declared[name], "choice"))
    return {**before, **said}


def values(
    shown: tuple[Field, ...],
    before: Mapping[str, object],
    said: Mapping[str, Any],
    problems: list[Problem],
    at: str = "/fields",
) -> tuple[dict[str, object], dict[str, Secret]]:
    """Open values and protected ones, apart; nothing a page or a log prints is in the second.

    `said` stood at the pointer `at`; what is wrong with it joins the `problems`.
    """
    declared = {one.name: one for one in shown}
    opened: dict[str, object] = {one.name: before.get(one.name, one.default) for one in shown}
    protected: dict[str, Secret] = {}
    for name, value in said.items():
        one = declared.get(name)
        if one is None:
            problems.append(unknown(f"{at}/{name}", name, declared, "field"))
        elif (problem := _wrong(one, value, f"{at}/{name}")) is not None:
            problems.append(problem)
        elif one.protected:
            protected |= {name: Secret(value)} if value else {}
        else:
            opened[name] = value.strip() if value else one.default
    return {name: value for name, value in opened.items() if value is not None}, protected


def _readable(said: Mapping[str, Any]) -> dict[str, object]:
    """The values that can choose which fields show (R41); the rest is refused where it stands."""
    return {name: value for name, value in said.items() if value is None or isinstance(value, str)}


def _wrong(one: Field, value: object, pointer: str) -> Problem | None:
    """What is wrong with a value; its own text is never part of the answer."""
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        return Problem(pointer, "wrong_type", f"{one.label} must be a text.")
    if len(value) > VALUE_LIMIT:
        return Problem(pointer, "too_long", f"{one.label}: at most {VALUE_LIMIT} characters.")
    hidden = "".join(character for character in value if names.is_hidden(character))
    if hidden and not (one.alphabet and one.takes(hidden)):
        return Problem(pointer, "hidden_character", f"{one.label} holds a hidden character.")
    if not one.takes(value):
        detail = f"{one.label}: {ALPHABETS.get(one.alphabet, OF_ITS_OWN)}."
        return Problem(pointer, "wrong_character", detail)
    if (wanted := one.misshapen(value)) is not None:
        return Problem(pointer, "wrong_shape", f"{one.label}: {wanted}.")
    choices = [choice.value for choice in one.choices]
    if choices and value not in choices:
        near = get_close_matches(value, choices, n=1)
        return Problem(pointer, "not_a_choice", f"One of {', '.join(choices)}.", *near)
    return None
