"""The kinds of source, and what each has to be told."""

from __future__ import annotations

import pytest

from providers.definition import Kind as Holds
from providers.definition import Section
from providers.egress import Egress
from providers.errors import ClientMisconfigured
from providers.sources.reading import SourceKind
from providers.sources.registry import Sources

SETTINGS = {
    "scim": {"base_url": "https://hr.example.com/scim/v2"},
    "entra": {"environment": "global", "tenant": "acme.example", "client_id": "app"},
}


async def kinds() -> tuple[SourceKind, ...]:
    egress = Egress()
    try:
        return Sources(egress, simulator="http://localhost:9300").kinds
    finally:
        await egress.aclose()


async def test_each_kind_is_found_by_its_word() -> None:
    """R105: any SCIM 2.0 server and Microsoft Entra ID can be read, and nothing else."""
    egress = Egress()
    sources = Sources(egress)
    assert [kind.kind for kind in sources.kinds] == ["scim", "entra"]
    assert all(sources.find(kind.kind) is kind for kind in sources.kinds)
    assert sources.find("okta") is None
    await egress.aclose()


async def test_the_forms_are_in_order() -> None:
    """R40, R43: secrets are protected and nothing else is; no field is declared twice."""
    for kind in await kinds():
        names = [field.name for field in kind.fields]
        assert len(names) == len(set(names))
        for field in kind.fields:
            assert (field.kind is Holds.SECRET) is field.protected
            assert field.section in (Section.GENERAL, Section.ADVANCED)
            assert field.label
            assert field.default is None or not field.protected


async def test_a_missing_secret_opens_nothing() -> None:
    """R4: a source whose secret has to be given again says so, as refused credentials do."""
    for kind in await kinds():
        assert kind.check(SETTINGS[kind.kind]) == ()
        assert kind.origin(SETTINGS[kind.kind]).startswith("https://")
        with pytest.raises(ClientMisconfigured, match="has to be given"):
            kind.open(SETTINGS[kind.kind], {})


async def test_nothing_typed_is_a_problem_of_each_required_field() -> None:
    """An empty form names every field that has to be filled in, but the protected ones."""
    for kind in await kinds():
        wanted = {field.name for field in kind.fields if field.required and not field.protected}
        assert {problem.field for problem in kind.check({})} == wanted
        with pytest.raises(ClientMisconfigured):
            kind.origin({})


async def test_a_rehearsal_is_over_without_its_simulator() -> None:
    """building.md, Rehearsal: settings that name the simulator are refused where there is none."""
    rehearsing = {
        "scim": {"base_url": "http://localhost:9300/hr/scim/v2"},
        "entra": SETTINGS["entra"] | {"environment": "rehearsal"},
    }
    for kind in await kinds():
        assert kind.origin(rehearsing[kind.kind]) == "http://localhost:9300"
    egress = Egress()
    for kind in Sources(egress).kinds:
        with pytest.raises(ClientMisconfigured):
            kind.origin(rehearsing[kind.kind])
    await egress.aclose()
