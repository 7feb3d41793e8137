"""The rules a definition keeps: fields in their sections, secrets locked, hosts declared."""

from __future__ import annotations

from collections.abc import Iterator

from providers.definition import Definition, Kind, Section
from providers.places import origin_of_url

AT_HOME = {
    Kind.HOST: Section.GENERAL,
    Kind.ACCOUNT: Section.GENERAL,
    Kind.FEATURE: Section.ADDITIONAL,
}


def lint(definition: Definition) -> list[str]:
    """What is wrong with a definition, one sentence each; nothing for a good one."""
    return [*_form_problems(definition), *_program_problems(definition)]


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
        if place.origin is None and not place.answers:
            yield f"environment {place.name}: it trusts no host of its own answers (safety 19)"
    if not 0 < definition.assumed_lifetime_s < definition.keep_alive_s:
        yield "a token lives shorter than the keep-alive, and longer than no time"


def _twice(what: str, names: list[str]) -> Iterator[str]:
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"{what} {name}: declared twice"
