"""Programs an operator describes: a good file becomes a kind of program, any mistake is told."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from broker.bootstrap import programs_of
from broker.config import Misconfigured, Settings
from providers import custom
from providers.custom import Unusable
from providers.definition import REHEARSAL, Choice, Kind, Section, Source, StepType
from providers.egress import Egress
from providers.errors import HostRefused
from providers.oauth2 import Dialect
from providers.places import binding_of
from providers.registry import BUILT_IN, Registry
from providers.speech import Probe, Speech, Who
from tests.providers.bordering import FILE, TICKETS
from tests.providers.linting import lint

GOOD: dict[str, Any] = orjson.loads(FILE.read_bytes())
SPOKEN = (Speech, Who, Probe, Dialect, StepType, Choice)
DOCS = Path(__file__).parents[2] / "docs" / "programs.md"


def written(folder: Path, body: object) -> Path:
    file = folder / "programs.json"
    file.write_bytes(body if isinstance(body, bytes) else orjson.dumps(body))
    return file


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """The good file with one change to its program."""
    body = copy.deepcopy(GOOD)
    change(body["programs"][0])
    return body


def problems(file: Path) -> tuple[str, ...]:
    with pytest.raises(Unusable) as refused:
        custom.load(file, taken=BUILT_IN)
    return refused.value.problems


def test_a_described_program_is_a_kind_like_any_other() -> None:
    """R35, R36: form, step types, lifetimes and methods come out of the file."""
    definition = TICKETS.definition
    assert lint(definition) == []
    assert (definition.kind, definition.title) == ("tickets", "Tickets")
    assert definition.method.people is Source.REFRESH
    assert definition.method.connector_user is Source.MINTED
    assert [step.user_authentication for step in definition.step_types] == [True, True, False]
    assert definition.idle_s == 60 * 24 * 3600
    notify = next(one for one in definition.fields if one.name == "notify")
    assert (notify.section, notify.kind) == (Section.ADDITIONAL, Kind.FEATURE)


async def test_the_list_of_types_has_it_beside_our_own() -> None:
    """Decision 0021: a type of its own in the list; ours keep their names."""
    egress = Egress()
    registry = Registry(egress, simulator="http://localhost:9300", programs=[TICKETS])
    assert tuple(one.kind for one in registry.definitions) == (*BUILT_IN, "tickets")
    provider = registry.find("tickets")
    assert provider is not None
    stage = provider.definition.environment(REHEARSAL)
    assert stage is not None
    assert (stage.origin, stage.path) == ("http://localhost:9300", "/tickets")
    await egress.aclose()


@pytest.mark.parametrize(
    ("grants", "people", "connector_user"),
    [
        (["authorization_code"], Source.REFRESH, Source.REFRESH),
        (["client_credentials"], None, Source.MINTED),
    ],
)
def test_the_grants_say_where_tokens_come_from(
    tmp_path: Path, grants: list[str], people: Source | None, connector_user: Source
) -> None:
    """R20: a program nobody signs in to has no user authentication."""
    file = written(tmp_path, changed(lambda one: one.update(grants=grants)))
    definition = custom.load(file)[0].definition
    assert definition.method.people is people
    assert definition.method.connector_user is connector_user
    assert definition.lets_people(None) is (people is not None)


@pytest.mark.parametrize(
    ("client", "certificate", "names"),
    [
        ("none", False, []),
        ("post", False, ["client_secret"]),
        ("basic", True, ["client_secret", "client_authentication", "certificate", "private_key"]),
        ("private_key_jwt", False, ["certificate", "private_key"]),
    ],
)
def test_a_client_is_asked_for_its_proof(
    tmp_path: Path, client: str, certificate: bool, names: list[str]
) -> None:
    """R41: a secret, a certificate, the choice of both, or nothing for a public client."""

    def proving(one: dict[str, Any]) -> None:
        one |= {"grants": ["authorization_code"], "certificate": certificate}
        one["speech"]["client"] = client

    fields = custom.load(written(tmp_path, changed(proving)))[0].definition.fields
    assert [field.name for field in fields] == ["client_id", *names, "notify"]


def test_what_an_address_holds_binds(tmp_path: Path) -> None:
    """safety 18: another tenant is another place, and what was sealed is entered again."""

    def tenants(one: dict[str, Any]) -> None:
        one["speech"] |= {"token": "{base}/{tenant}/token", "revoke": "{base}/{client_id}/revoke"}
        one["fields"] = [{"name": "tenant", "label": "Tenant", "required": True}]

    fields = custom.load(written(tmp_path, changed(tenants)))[0].definition.fields
    names = [one.name for one in fields if one.binds]
    assert names == ["client_id", "tenant"]
    places = {binding_of("https://a.example", names, {"tenant": each}) for each in ("a", "b")}
    assert len(places) == 2


def test_what_an_audience_holds_binds(tmp_path: Path) -> None:
    """safety 18: whom an assertion is for decides where a key counts, as an address does."""

    def tenants(one: dict[str, Any]) -> None:
        one["fields"].append({"name": "tenant", "label": "Tenant", "required": True})
        one["speech"]["audience"] = "urn:acme:{tenant}"

    fields = custom.load(written(tmp_path, changed(tenants)))[0].definition.fields
    assert [one.name for one in fields if one.binds] == ["tenant"]


def test_a_typed_host_and_its_answers_are_the_programs() -> None:
    """R69, safety 19: hosts an administrator may type, and hosts an answer may name."""
    own = TICKETS.definition.environment("own")
    assert own is not None
    assert own.origin_of("acme.tickets.example.com") == "https://acme.tickets.example.com"
    assert own.trusted("https://acme.tickets.example.com/x")
    for host in ("tickets.example.com.evil.example", "10.0.0.1", "a.b.tickets.example.com"):
        with pytest.raises(HostRefused):
            own.origin_of(host)
        with pytest.raises(HostRefused):
            own.trusted(f"https://{host}/")


def _speech(**said: object) -> Callable[[dict[str, Any]], object]:
    return lambda one: one["speech"].update(said)


def _place(**said: object) -> Callable[[dict[str, Any]], object]:
    return lambda one: one["environments"].__setitem__(0, {"name": "x", "label": "X", **said})


def _field(**said: object) -> Callable[[dict[str, Any]], object]:
    return lambda one: one["fields"].append({"name": "x", "label": "X", **said})


WRONG: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "a key nobody knows": (_speech(tokn="x"), "/programs/0/speech/tokn"),
    "no token endpoint": (lambda one: one["speech"].pop("token"), "/programs/0/speech/token"),
    "a number for a text": (_speech(scopes=[1]), "/programs/0/speech/scopes/0"),
    "an unknown grant": (
        lambda one: one.update(grants=["password"]),
        "/programs/0/grants",
    ),
    "no environment": (lambda one: one.update(environments=[]), "/programs/0/environments"),
    "a kind of ours": (lambda one: one.update(kind="docusign"), "/programs/0/kind"),
    "a kind with a blank": (lambda one: one.update(kind="a b"), "/programs/0/kind"),
    "no page to sign in at": (_speech(authorize=""), "authorize"),
    "nobody's account": (_speech(who=None), "who"),
    "an account without a key": (_speech(who={"key": []}), "who"),
    "an address without TLS": (_speech(token="http://a.example/t"), "/programs/0/speech/token"),
    "a host in a hole": (_speech(token="https://{client_id}.example/t"), "/speech/token"),
    "a host without a dot": (_speech(token="https://localhost/t"), "/speech/token"),
    "a user in an address": (_speech(token="https://a@b.example/t"), "/speech/token"),
    "a query in an endpoint": (_speech(token="{base}/t?x=1"), "/speech/token"),
    "an API where secrets go": (_speech(token="{base_url}/t"), "/speech/token"),
    "a hole nobody fills": (_speech(revoke="{base}/{tenant}/r"), "{tenant}"),
    "a hole for a secret": (_speech(revoke="{base}/{client_secret}/r"), "{client_secret}"),
    "a hole that may be empty": (
        lambda one: [
            one["fields"].append({"name": "t", "label": "T"}),
            _speech(token="{base}/{t}")(one),
        ],
        "{t}",
    ),
    "an audience nobody fills": (_speech(audience="{tenant}"), "/programs/0/speech/audience"),
    "an audience with a secret": (
        _speech(audience="{client_secret}"),
        "/programs/0/speech/audience",
    ),
    "an audience of one grant": (_speech(audience="{base_url}"), "/programs/0/speech/audience"),
    **{
        f"our own {name} in more": (_speech(more={name: "x"}), f"/programs/0/speech/more: {name}")
        for name in (
            "state",
            "redirect_uri",
            "response_type",
            "client_id",
            "code_challenge",
            "code_challenge_method",
            "scope",
        )
    },
    "a text that is never found": (
        _speech(refusals={"transient_texts": ["Try Later"]}),
        "/programs/0/speech/refusals",
    ),
    "a text no refresh finds": (
        _speech(refresh_refusals={"misconfigured_texts": ["Unknown Client"]}),
        "/programs/0/speech/refresh_refusals",
    ),
    "a public client's certificate": (
        lambda one: [one.update(grants=["authorization_code"]), _speech(client="none")(one)],
        "/programs/0/certificate",
    ),
    "a backslash in a probe": (
        _speech(probes=[{"url": "{base_url}/a\\b?c", "ok": "x", "failure": "x"}]),
        "/programs/0/speech/probes/0/url",
    ),
    "a fragment in a probe": (
        _speech(probes=[{"url": "{base_url}/a#b", "ok": "x", "failure": "x"}]),
        "/programs/0/speech/probes/0/url",
    ),
    "our own words": (_speech(mint="jwt_bearer"), "mint"),
    "nothing to ask": (_speech(introspect="", probes=[]), "introspect or probes"),
    "a secretless app": (_speech(client="none"), "/programs/0/grants"),
    "neither origin nor hosts": (_place(), "/programs/0/environments/0"),
    "origin and hosts": (
        _place(origin="https://a.example", hosts=["*.b.example"]),
        "/programs/0/environments/0",
    ),
    "an origin without TLS": (_place(origin="http://a.example"), "/programs/0/environments/0"),
    "an origin with a path": (_place(origin="https://a.example/x"), '"path"'),
    "a path that is none": (_place(origin="https://a.example", path="x?"), "no path"),
    "an API without TLS": (
        _place(origin="https://a.example", api="http://b.example"),
        "/programs/0/environments/0",
    ),
    "two environments share an origin": (
        lambda one: one["environments"].extend(
            {"name": name, "label": name, "origin": "https://a.example", "path": f"/{name}"}
            for name in ("x", "y")
        ),
        "/programs/0/environments: x and y share",
    ),
    "an origin among typed hosts": (
        lambda one: one.update(
            environments=[
                {"name": "x", "label": "X", "origin": "https://a.b.example"},
                {"name": "y", "label": "Y", "hosts": ["*.b.example"], "api": "https://c.example"},
            ]
        ),
        "/programs/0/environments: x and y share",
    ),
    "scopes without a separator": (_speech(separator=""), "/programs/0/speech/separator"),
    "a scheme that is two words": (_speech(scheme="Bearer x"), "/programs/0/speech/scheme"),
    "a scheme that breaks a header": (_speech(scheme="A\r\nB"), "/programs/0/speech/scheme"),
    "any host at all": (_place(hosts=["*"]), "too wide"),
    "a whole top-level domain": (_place(hosts=["*.com"]), "too wide"),
    "any answer at all": (_place(origin="https://a.example", answers=["*.*"]), "too wide"),
    "the simulator's environment": (
        _place(name=REHEARSAL, origin="https://a.example"),
        "/programs/0/environments/0",
    ),
    "a field twice": (_field(name="client_id"), "/programs/0/fields"),
    **{
        f"a field like the hole {name}": (_field(name=name), f"/programs/0/fields: {name}")
        for name in ("base", "host", "api", "base_url")
    },
    "the operator's own field": (_field(name="relay"), "/programs/0/fields"),
    "a field with a blank": (_field(name="a b"), "/programs/0/fields"),
    "a field in no section": (_field(section="relay"), "/programs/0/fields/1/section"),
    "a default for a secret": (_field(protected=True, default="x"), "/programs/0/fields"),
    "a secret among features": (_field(protected=True, section="additional"), "/programs/0/fields"),
    "a step twice": (lambda one: one.update(step_types=one["step_types"] * 2), "/step_types"),
    "lives that do not grow": (
        lambda one: one.update(lifetimes={"access_s": 9, "keep_alive_s": 9}),
        "/programs/0/lifetimes",
    ),
    "a rehearsal that is no path": (lambda one: one.update(rehearsal="x"), "/rehearsal"),
    "a default that is no choice": (
        _field(choices=[{"value": "a", "label": "A"}], default="b"),
        "/programs/0/fields",
    ),
}


@pytest.mark.parametrize(("change", "place"), WRONG.values(), ids=WRONG.keys())
def test_a_mistake_is_told_with_its_place(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], place: str
) -> None:
    """stack.md 2.3: one sentence a problem with the file, the place, and what to do."""
    file = written(tmp_path, changed(change))
    told = problems(file)
    assert any(place in each for each in told), told
    for each in told:
        assert each.startswith(f"{file}, ")
        assert each.endswith(".")
        assert ";" in each


def test_a_key_stands_once_in_an_object(tmp_path: Path) -> None:
    """RFC 8259 §4: of two values for one key, neither is taken for what was meant."""
    text = orjson.dumps(GOOD).replace(b'"token":', b'"token":"https://evil.example/t","token":', 1)
    [told] = problems(written(tmp_path, text))
    assert told.endswith("/programs/0/speech/token: it is there twice; keep one.")


def test_what_stands_in_a_path_is_no_dots(tmp_path: Path) -> None:
    """RFC 3986 §3.3: dots alone would climb; the form refuses them before an address is made."""

    def tenants(one: dict[str, Any]) -> None:
        one["speech"]["authorize"] = "{base}/{tenant}/authorize"
        one["fields"] = [{"name": "tenant", "label": "Tenant", "required": True}]

    fields = custom.load(written(tmp_path, changed(tenants)))[0].definition.fields
    tenant = next(one for one in fields if one.name == "tenant")
    assert [tenant.misshapen(each) is None for each in ("acme", "..", ".", "a..", "...")] == [
        True, False, False, True, True
    ]  # fmt: skip


def test_two_programs_are_two_kinds(tmp_path: Path) -> None:
    """Decision 0021: a connector's type names one kind of program."""
    told = problems(written(tmp_path, {"programs": GOOD["programs"] * 2}))
    assert [each.rpartition(", ")[2] for each in told] == [
        "/programs/1/kind: tickets is taken; choose another."
    ]


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"programs": {}}', b"\xff"])
def test_a_file_that_is_none_is_told(tmp_path: Path, body: bytes) -> None:
    """stack.md 2.3: what cannot be read ends the start in one line."""
    assert len(problems(written(tmp_path, body))) == 1
    assert "cannot be read" in problems(tmp_path / "missing.json")[0]


def test_a_wrong_file_ends_the_start(tmp_path: Path) -> None:
    """BROKER_PROGRAMS: no service starts with a program nobody can vouch for."""
    said = Settings.model_validate({"programs": written(tmp_path, b"{")})
    with pytest.raises(Misconfigured, match="BROKER_PROGRAMS: "):
        programs_of(said)
    assert programs_of(Settings.model_validate({})) == ()
    assert programs_of(Settings.model_validate({"programs": FILE})) == (TICKETS,)


def test_the_page_shows_the_example_and_every_key() -> None:
    """docs/programs.md: the example is the demo's file, and each key of the file is explained."""
    page = DOCS.read_text()
    blocks = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    assert orjson.loads(blocks[0]) == GOOD
    models = (custom.Description, custom.Place, custom.Question, custom.Lifetimes)
    keys = {name for model in models for name in model.model_fields}
    keys |= {name for kept in SPOKEN for name in kept.__dataclass_fields__}
    assert {name for name in keys if f"`{name}`" not in page} == set()
