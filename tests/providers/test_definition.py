"""What a provider declares: hosts that may be typed, hosts that may be answered, a clean form."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.definition import (
    REHEARSAL,
    Choice,
    Definition,
    Field,
    Integration,
    Kind,
    Method,
    Option,
    Section,
    Source,
    StepType,
)
from providers.egress import Egress
from providers.errors import HostRefused
from providers.places import Environment, origin_of_url
from providers.registry import BUILT_IN, Registry
from providers.salesforce_definition import DEFINITION
from tests.providers.linting import lint


def place(name: str) -> Environment:
    found = DEFINITION.environment(name)
    assert found is not None
    return found


@pytest.mark.parametrize(
    "typed",
    [
        "acme.my.salesforce.com",
        "https://acme.my.salesforce.com",
        "https://acme.my.salesforce.com/",
        " ACME.my.Salesforce.com ",
        "a.my.salesforce.com",
        "acme--uat.sandbox.my.salesforce.com",
        "acme--uat.my.salesforce.com",
        "acme-dev-ed.develop.my.salesforce.com",
        "acme.scratch.my.salesforce.com",
    ],
)
def test_a_my_domain_is_taken(typed: str) -> None:
    """R69: My Domain hosts and their sandbox forms, with or without https, in any case."""
    host = typed.strip().lower().removeprefix("https://").removesuffix("/")
    assert place("custom_domain").origin_of(typed) == f"https://{host}"


REFUSED = [
    "acme.lightning.force.com",
    "acme--uat.sandbox.lightning.force.com",
    "acme.my.salesforce.com.evil.example",
    "acme.my.salesforce.com:443",
    "acme.my.salesforce.com:8443",
    "user@acme.my.salesforce.com",
    "user:pw@acme.my.salesforce.com",
    "https://evil.example@acme.my.salesforce.com",
    "evil.example/acme.my.salesforce.com",
    "acme.my.salesforce.com/services",
    "acme.my.salesforce.com?x=1",
    "acme.my.salesforce.com#x",
    "acme.my.salesforce.com.",
    ".my.salesforce.com",
    "my.salesforce.com",
    "-acme.my.salesforce.com",
    "acme-.my.salesforce.com",
    "a.b.my.salesforce.com",
    "acme.sandbox.my.salesforce.com",
    "acmemy.salesforce.com",
    "acme.my-salesforce.com",
    "acmeXmy.salesforce.com",
    "login.salesforce.com",
    "http://acme.my.salesforce.com",
    "HTTPS://acme.my.salesforce.com",
    "https://https://acme.my.salesforce.com",
    "//acme.my.salesforce.com",
    "127.0.0.1",
    "[::1]",
    "localhost",
    "2130706433",
    "acme\u3002my.salesforce.com",
    "acme.my.sale\u017fforce.com",
    "\u212aim.my.salesforce.com",
    "acme.my.salesforce.com\nevil.example",
    "acme.my.salesforce.com\\@evil.example",
    "x" * 64 + ".my.salesforce.com",
    "*.my.salesforce.com",
    "",
    None,
]


@pytest.mark.parametrize("typed", REFUSED)
def test_another_host_is_refused(typed: str | None) -> None:
    """R69: lightning hosts, addresses, ports, other domains, user information, look-alikes."""
    with pytest.raises(HostRefused):
        place("custom_domain").origin_of(typed)


def test_the_lightning_host_is_explained() -> None:
    """R69: the commonest mistake is told in a sentence that helps."""
    with pytest.raises(HostRefused, match=r"ends in \.my\.salesforce\.com"):
        place("custom_domain").origin_of("acme.lightning.force.com")


def test_fixed_environments_take_no_host() -> None:
    """R68: Production and Test have the hosts of their labels."""
    assert place("production").origin_of() == "https://login.salesforce.com"
    assert place("test").origin_of(None) == "https://test.salesforce.com"
    with pytest.raises(HostRefused):
        place("production").origin_of("acme.my.salesforce.com")


@pytest.mark.parametrize(
    "url",
    [
        "https://acme.my.salesforce.com",
        "https://acme.my.salesforce.com/",
        "https://login.salesforce.com/id/00Dxx0000001gPL/005x00000019aVi",
        "https://acme--uat.sandbox.my.salesforce.com/services",
    ],
)
def test_an_answer_may_name_the_programs_hosts(url: str) -> None:
    """safety 19: what matches the definition's host pattern is handed on as it came."""
    assert place("production").trusted(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://acme.my.salesforce.com",
        "https://acme.my.salesforce.com:8443",
        "https://acme.my.salesforce.com@evil.example",
        "https://evil.example/acme.my.salesforce.com",
        "https://evil.example#acme.my.salesforce.com",
        "https://evil.example\\acme.my.salesforce.com",
        "https://acme.my.salesforce.com.evil.example",
        "https://169.254.169.254/id/x",
        "https://[::1]/",
        "javascript:alert(1)",
        "//acme.my.salesforce.com",
        "acme.my.salesforce.com",
        "https://acme.my.salesforce.com /",
        "https://acme.my.sale\u017fforce.com",
        "https://\u212aim.my.salesforce.com",
        "http://localhost:9300",
        "",
        None,
        7,
    ],
)
def test_an_answer_names_no_other_host(url: object) -> None:
    """safety 19: nothing secret goes to a host that an answer made up."""
    with pytest.raises(HostRefused):
        place("production").trusted(url)


def test_rehearsal_is_one_further_environment() -> None:
    """building.md: its only host is the simulator's, and no host check elsewhere is loosened."""
    rehearsed = DEFINITION.with_rehearsal("http://localhost:9300/")
    assert rehearsed.environments[:-1] == DEFINITION.environments
    stage = rehearsed.environment(REHEARSAL)
    assert stage is not None
    assert stage.origin_of() == "http://localhost:9300"
    assert stage.trusted("http://localhost:9300/id/a/b") == "http://localhost:9300/id/a/b"
    for other in (
        "http://localhost:9301/",
        "https://acme.my.salesforce.com",
        "http://127.0.0.1:9300",
    ):
        with pytest.raises(HostRefused):
            stage.trusted(other)
    assert lint(rehearsed) == []
    with pytest.raises(ValueError, match="origin"):
        DEFINITION.with_rehearsal("localhost:9300")


def test_salesforce_declares_what_the_owner_wrote() -> None:
    """R21, R63, R68, R70: labels and values, word for word."""
    assert lint(DEFINITION) == []
    assert [each.label for each in DEFINITION.environments] == [
        "Custom Domain",
        "Production (login.salesforce.com)",
        "Test (test.salesforce.com)",
    ]
    assert {step.name: step.user_authentication for step in DEFINITION.step_types} == {
        "retrieve_data": True,
        "create_data": False,
        "update_data": False,
        "delete_data": False,
    }
    assert DEFINITION.step_types[0].label == "Retrieve Data (Salesforce)"
    assert [choice.label for choice in DEFINITION.options[0].choices] == [
        "Install/Update",
        "Uninstall",
        "Skip",
    ]
    assert DEFINITION.single_per_project
    assert DEFINITION.user_authentication
    assert [field.name for field in DEFINITION.fields if field.protected] == ["client_secret"]
    assert DEFINITION.keep_alive_s < 14 * 24 * 3600


def test_the_four_sections_have_their_order() -> None:
    """R37: General, Additional Options, Advanced Options, Relay Options."""
    assert [section.value for section in Section] == [
        "General",
        "Additional Options",
        "Advanced Options",
        "Relay Options",
    ]


PLAIN = Definition(
    kind="plain",
    title="Plain",
    environments=(Environment("only", "Only", "https://plain.example"),),
    fields=(Field("key", "Key", Section.GENERAL, Kind.ACCOUNT),),
    step_types=(StepType("read", "Read", user_authentication=False),),
    test="Asks who we are.",
    assumed_lifetime_s=60,
    keep_alive_s=600,
    warnings=("Use an account of its own.",),
)


def test_an_integration_chooses_its_fields() -> None:
    """R36: one type under two integrations shows two sets of fields."""
    two = replace(
        PLAIN,
        integrations=(Integration("crm", "CRM"), Integration("erp", "ERP")),
        fields=(
            Field("key", "Key", Section.GENERAL, Kind.ACCOUNT),
            Field("site", "Site", Section.GENERAL, Kind.HOST, integrations=frozenset({"erp"})),
        ),
    )
    assert lint(two) == []
    assert [field.name for field in two.shown("crm", {})] == ["key"]
    assert [field.name for field in two.shown("erp", {})] == ["key", "site"]


def asking(
    *,
    when: tuple[str, str] = ("way", "b"),
    question: frozenset[str] = frozenset(),
    question_when: tuple[str, str] | None = None,
    default: str = "a",
    option: str = "other",
) -> Definition:
    """A question with two answers, and a field that shows beside one of them."""
    choices = (Choice("a", "A"), Choice("b", "B"))
    ways = Field(
        "way",
        "Way",
        Section.ADVANCED,
        Kind.TEXT,
        choices=choices,
        default=default,
        integrations=question,
        when=question_when,
    )
    shown = Field("shown", "Shown", Section.ADVANCED, Kind.TEXT, when=when)
    both = (Integration("i", "I"), Integration("j", "J"))
    return replace(
        PLAIN,
        fields=(ways, replace(shown, integrations=frozenset({"j"}) if question else question)),
        integrations=both,
        options=(Option(option, "Option", choices),),
    )


def test_a_field_shows_beside_one_answer() -> None:
    """R41, R71: an answer, or the default where there is none, shows a field or does not."""
    assert lint(asking()) == []
    for values, names in (({}, ["way"]), ({"way": "b"}, ["way", "shown"]), ({"way": ""}, ["way"])):
        assert [field.name for field in asking().shown("i", values)] == names
    by_default = asking(default="b")
    assert [field.name for field in by_default.shown("i", {})] == ["way", "shown"]


WRONG = {
    "an account beside General (R38)": replace(
        PLAIN, fields=(Field("key", "Key", Section.ADVANCED, Kind.ACCOUNT),)
    ),
    "a feature outside Additional (R40)": replace(
        PLAIN, fields=(Field("f", "F", Section.GENERAL, Kind.FEATURE),)
    ),
    "no feature in Additional (R40)": replace(
        PLAIN, fields=(Field("t", "T", Section.ADDITIONAL, Kind.TEXT),)
    ),
    "a secret without its lock (R43)": replace(
        PLAIN, fields=(Field("s", "S", Section.GENERAL, Kind.SECRET),)
    ),
    "a lock on what is no secret": replace(
        PLAIN, fields=(Field("t", "T", Section.GENERAL, Kind.TEXT, protected=True),)
    ),
    "a secret with a default": replace(
        PLAIN,
        fields=(Field("s", "S", Section.GENERAL, Kind.SECRET, protected=True, default="x"),),
    ),
    "a field without a label": replace(PLAIN, fields=(Field("t", "", Section.GENERAL, Kind.TEXT),)),
    "a field twice": replace(PLAIN, fields=PLAIN.fields * 2),
    "an unknown integration": replace(
        PLAIN,
        fields=(Field("t", "T", Section.GENERAL, Kind.TEXT, integrations=frozenset({"x"})),),
    ),
    "an option with one choice": replace(PLAIN, options=(Option("o", "O", (Choice("a", "A"),)),)),
    "an option twice": replace(PLAIN, options=DEFINITION.options * 2),
    "no test (R50)": replace(PLAIN, test=""),
    "no environment": replace(PLAIN, environments=()),
    "no step": replace(PLAIN, step_types=()),
    "a step twice": replace(PLAIN, step_types=PLAIN.step_types * 2),
    "an environment twice": replace(PLAIN, environments=PLAIN.environments * 2),
    "neither origin nor hosts": replace(PLAIN, environments=(Environment("e", "E", None),)),
    "origin and hosts": replace(
        PLAIN, environments=(Environment("e", "E", "https://a.example", typed=("*.b",)),)
    ),
    "an origin with a path": replace(
        PLAIN, environments=(Environment("e", "E", "https://a.example/x"),)
    ),
    "answers that may name anybody's host (safety 19)": replace(
        PLAIN,
        environments=(Environment("e", "E", None, typed=("*.b.example",), answers=("*.*",)),),
    ),
    "a token outliving its keep-alive": replace(PLAIN, assumed_lifetime_s=600),
    "a token without a life": replace(PLAIN, assumed_lifetime_s=0),
    "a field shown by nothing (R41)": asking(when=("way", "c")),
    "a field shown where its question is not (R41)": asking(question=frozenset({"i"})),
    "a field shown by one that hides (R41)": asking(question_when=("way", "a")),
    "a default that is no choice": asking(default="c"),
    "an option called like a field": asking(option="way"),
    "a secret that binds (safety 18)": replace(
        PLAIN,
        fields=(Field("s", "S", Section.GENERAL, Kind.SECRET, protected=True, binds=True),),
    ),
    "a relay that is typed (safety 20)": replace(
        PLAIN, fields=(Field("relay", "Relay", Section.RELAY, Kind.TEXT, binds=True),)
    ),
    "a further relay field (safety 20)": replace(
        PLAIN, fields=(Field("proxy", "Proxy", Section.RELAY, Kind.TEXT),)
    ),
    "steps for people who cannot come in (R20)": replace(
        PLAIN,
        step_types=(StepType("read", "Read", user_authentication=True),),
        method=Method(None, Source.MINTED),
    ),
    "people minted by no logon (safety 20)": replace(
        PLAIN, method=Method(Source.MINTED, Source.MINTED)
    ),
    "a grant that lapses before its keep-alive (R74)": replace(PLAIN, idle_s=600),
    "an integration twice": replace(PLAIN, integrations=(Integration("i", "I"),) * 2),
    "a password without the warning (R47)": replace(
        PLAIN,
        fields=(
            Field("user_name", "Name", Section.GENERAL, Kind.ACCOUNT),
            Field("password", "Password", Section.GENERAL, Kind.SECRET, protected=True),
        ),
    ),
    "no word on shared accounts (R48)": replace(PLAIN, warnings=()),
    "no word on throttling at Microsoft (R49)": replace(PLAIN, title="Microsoft Plain"),
}


@pytest.mark.parametrize("definition", WRONG.values(), ids=WRONG.keys())
def test_lint_sees_it(definition: Definition) -> None:
    """Every rule for definitions can fail, and a clean one has no problem."""
    assert lint(PLAIN) == []
    assert len(lint(definition)) >= 1


@given(st.text(max_size=60))
def test_an_origin_is_read_or_refused(url: str) -> None:
    """Whatever the text, the answer is an origin that reads back as itself, or None."""
    origin = origin_of_url(url)
    assert origin is None or origin_of_url(origin) == origin


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://A.example:443/x?y#z", "https://a.example"),
        ("http://a.example:80", "http://a.example"),
        ("http://a.example:443", "http://a.example:443"),
        ("https://[2001:db8::1]:8443/", "https://[2001:db8::1]:8443"),
        ("https://a@b.example", None),
        ("https://", None),
        ("https://a.example:x", None),
        ("ftp://a.example", None),
    ],
)
def test_origins(url: str, origin: str | None) -> None:
    """An origin is scheme, host and, where it is not the usual one, port."""
    assert origin_of_url(url) == origin


def test_every_definition_keeps_the_rules() -> None:
    """R35 to R43, R47 to R50: all that ship, in rehearsal too, have no problem."""
    registry = Registry(Egress(), simulator="http://localhost:9300")
    assert {one.kind for one in registry.definitions} == set(BUILT_IN)
    assert {one.kind: lint(one) for one in registry.definitions if lint(one)} == {}
