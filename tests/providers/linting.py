"""The rules a definition keeps: fields in their sections, secrets locked, hosts declared."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from providers.definition import RELAY, Definition, Kind, Section, Source
from providers.places import origin_of_url

AT_HOME = {
    Kind.HOST: Section.GENERAL,
    Kind.ACCOUNT: Section.GENERAL,
    Kind.FEATURE: Section.ADDITIONAL,
}


def lint(definition: Definition) -> list[str]:
    """What is wrong with a definition, one sentence each; nothing for a good one."""
    return [
        *_form_problems(definition),
        *_when_problems(definition),
        *_program_problems(definition),
        *_method_problems(definition),
    ]


def _form_problems(definition: Definition) -> Iterator[str]:
    known = {integration.name for integration in definition.integrations}
    yield from _twice("field", [field.name for field in definition.fields])
    yield from _twice("option", [option.name for option in definition.options])
    for field in definition.fields:
        home = AT_HOME.get(field.kind)
        if home is not None and field.section is not home:
            yield f"field {field.name}: {field.kind} belongs into {home} (R38, R40)"
        if field.kind is not Kind.FEATURE and field.section is Section.ADDITIONAL:
            yield f"field {field.name}: {field.section} is for features (R40)"
        if (field.kind is Kind.SECRET) is not field.protected:
            yield f"field {field.name}: a secret is protected, and nothing else is (R43)"
        if field.protected and field.default is not None:
            yield f"field {field.name}: a protected field has no default"
        if not field.integrations <= known:
            yield f"field {field.name}: it names an integration that is not declared"
        if not field.label:
            yield f"field {field.name}: it has no label"
    for option in definition.options:
        if len(option.choices) < 2:
            yield f"option {option.name}: there is nothing to choose"


def _when_problems(definition: Definition) -> Iterator[str]:
    """R41: what shows a field is a closed question that is there itself when the field is."""
    fields = {field.name: field for field in definition.fields}
    closed = {one.name: {choice.value for choice in one.choices} for one in definition.options}
    if twice := set(fields) & set(closed):
        yield f"{', '.join(sorted(twice))}: a field and an option share a name"
    closed |= {name: {one.value for one in field.choices} for name, field in fields.items()}
    for field in definition.fields:
        if field.when is None:
            continue
        name, value = field.when
        if value not in closed.get(name, ()):
            yield f"field {field.name}: {name} is never {value}"
        above = fields.get(name)
        if above and above.integrations and not field.integrations <= above.integrations:
            yield f"field {field.name}: it shows where {name} does not"
        if above and above.when is not None:
            yield f"field {field.name}: {name} itself does not always show"
    for field in definition.fields:
        values = {choice.value for choice in field.choices}
        if values and field.default is not None and field.default not in values:
            yield f"field {field.name}: its default is none of its choices"
        if field.protected and field.binds:
            yield f"field {field.name}: where secrets go is no secret (safety 18)"
        if field.section is Section.RELAY and field.name != RELAY:
            yield f"field {field.name}: {Section.RELAY} names one of the operator's (safety 20)"
        if field.name == RELAY and not (field.binds and field.choices):
            yield f"field {field.name}: one of the operator's, and it binds (safety 18, 20)"


def _method_problems(definition: Definition) -> Iterator[str]:
    """R20, R24, R47, R48, safety 20: who can be a person there, and what that asks for."""
    yield from _twice("integration", [one.name for one in definition.integrations])
    people = {definition.method_of(one.name).people for one in definition.integrations}
    people = people or {definition.method.people}
    names = {field.name for field in definition.fields}
    if definition.user_authentication and people == {None}:
        yield "steps that run as a person need a method by which people come in (R20)"
    if (Source.MINTED in people) is not (definition.person_field in names):
        yield "people are minted for by the field that names their logon (safety 20)"
    if definition.idle_s is not None and not definition.keep_alive_s < definition.idle_s:
        yield "keep-alive comes before an unused grant lapses (R74)"
    said = " ".join(definition.warnings)
    if {"user_name", "password"} <= names and "multi-factor" not in said:
        yield "a user name and a password warn of multi-factor authentication (R47)"
    if "of its own" not in said:
        yield "it does not ask for an account of its own (R48)"
    if "Microsoft" in definition.title + said and "throttle" not in said:
        yield "it does not warn that shared accounts are throttled (R49)"


def _program_problems(definition: Definition) -> Iterator[str]:
    yield from _twice("environment", [place.name for place in definition.environments])
    yield from _twice("step type", [step.name for step in definition.step_types])
    if not definition.test:
        yield "it declares no test (R50)"
    if not definition.environments or not definition.step_types:
        yield "it needs an environment and a step type"
    for place in definition.environments:
        if (place.origin is None) is not bool(place.typed):
            yield f"environment {place.name}: either one origin or typed hosts"
        if place.origin is not None and origin_of_url(place.origin) != place.origin:
            yield f"environment {place.name}: {place.origin} is not an origin"
        for pattern in place.answers:
            if "." not in pattern.rpartition("*")[2].strip("."):
                yield f"environment {place.name}: {pattern} trusts anybody's host (safety 19)"
    for one, other in combinations(definition.environments, 2):
        told_apart = one.origin == other.origin and definition.twin(other.name)
        if one.meets(other) and not told_apart:
            yield f"environments {one.name}, {other.name}: they share an origin (safety 18)"
    if not 0 < definition.assumed_lifetime_s < definition.keep_alive_s:
        yield "a token lives shorter than the keep-alive, and longer than no time"


def _twice(what: str, names: list[str]) -> Iterator[str]:
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"{what} {name}: declared twice"
