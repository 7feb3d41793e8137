"""Where a directory is read from, set up: what was typed is held to what its kind declares."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from broker.db.database import Transaction
from broker.domain.clock import rfc3339
from broker.domain.directories import Directory, Source
from broker.domain.errors import Invalid, Problem
from broker.service import forms
from broker.service.programs import secret_row
from broker.service.sources import SECRETS, Sources
from broker.store import audit, protected
from broker.store.protected import Protected
from providers.sources.reading import SourceKind

AT = "/source/fields"


@dataclass(frozen=True, slots=True)
class SourceSaid:
    """A source as it was typed; `fields` holds protected ones too.

    Null or "" empties an open field and leaves a protected one as it is.
    """

    kind: str
    fields: Mapping[str, Any] = field(default_factory=dict, repr=False)


def settled(
    tx: Transaction, sources: Sources, directory: Directory, said: SourceSaid, by: str
) -> Source:
    """The source that was typed, its protected fields sealed; Invalid names each problem.

    Another host, or another kind, drops the protected fields there were and demands them again:
    none that was typed for one origin ever goes to another (safety 18).
    """
    kind, project, id = _kind(sources, said.kind), directory.project, directory.id
    before = directory.source or Source(said.kind, {})
    held = before.settings if before.kind == said.kind else {}
    problems: list[Problem] = []
    opened, secrets = forms.values(kind.fields, held, said.fields, problems, AT)
    settings = {name: str(value) for name, value in opened.items()}
    problems += [Problem(f"{AT}/{at.field}", "invalid", at.text) for at in kind.check(settings)]
    _refuse(problems, "invalid-source")
    origin = kind.origin(settings)
    kept = protected.of(tx, project, id)
    moved = before.kind != said.kind or any(one.origin != origin for one in kept.values())
    _refuse(_needed(kind, {*secrets, *(() if moved else kept)}), "protected-fields-needed")
    if moved:
        protected.erase(tx, project, id)
    for name, value in secrets.items():
        place = project, SECRETS, secret_row(id, name), "sealed"
        sealed = sources.seal.seal(value.reveal().encode(), *place)
        protected.keep(tx, project, id, name, sealed, origin=origin, by=by)
    changed = {"kind": said.kind, "protected": [*secrets], "moved": moved}
    audit.append(tx, project, by, "directory.source.changed", id, **changed)
    return Source(said.kind, settings)


def shown(
    sources: Sources, directory: Directory, kept: Mapping[str, Protected]
) -> dict[str, Any] | None:
    """The source as JSON, None where there is none; a protected field says only that it is there:
    `{"has_value", "changed_at"}`.
    """
    if directory.source is None:
        return None
    fields: dict[str, Any] = {}
    for one in sources.kind(directory).fields:
        value: object = directory.source.settings.get(one.name)
        if one.protected:
            at = kept[one.name].changed_at if one.name in kept else None
            value = {"has_value": at is not None, "changed_at": rfc3339(at) if at else None}
        fields[one.name] = value
    return {"kind": directory.source.kind, "fields": fields}


def _kind(sources: Sources, word: str) -> SourceKind:
    kind = sources.kinds.find(word)
    if kind is None:
        known = [one.kind for one in sources.kinds.kinds]
        raise forms.unknown("/source/kind", word, known, "kind").alone(reason="unknown-source")
    return kind


def _needed(kind: SourceKind, has: Iterable[str]) -> list[Problem]:
    """Protected fields that have to be typed: for the first time, or for another host."""
    held = set(has)
    return [
        Problem(f"{AT}/{one.name}", "required", f"{one.label} is needed for this host.")
        for one in kind.fields
        if one.protected and one.required and one.name not in held
    ]


def _refuse(problems: list[Problem], reason: str) -> None:
    if problems:
        told = problems[0].detail if len(problems) == 1 else f"{len(problems)} problems."
        raise Invalid(told, reason=reason, problems=tuple(problems))
