"""Test and Check: R39, R46 to R52, R55, R56, R58, R59, T6, and what a minute allows."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import respx

from broker.demo.grants import App
from broker.domain.clock import SECOND
from broker.domain.errors import Conflict, Forbidden, Invalid, NotFound, TooMany
from broker.domain.tokens import TokenSet
from broker.service import testing
from broker.service.forms import Said
from broker.service.testing import MOST, Outcome
from broker.service.vault import Vault
from providers import errors
from providers.capabilities import Finding, Report
from providers.egress import Egress
from providers.registry import Registry
from providers.secret import Secret
from tests.broker.service.outside import CLIENT_ID, CLIENT_SECRET, KIM, ROBOT, Outside
from tests.canaries import planted
from tests.clocks import MovableClock
from tests.providers.peers import relay
from tests.watching import Watched

REHEARSAL = {"name": "rehearsal"}
RIGHT, WRONG = planted("right"), planted("wrong")


def of(world: Outside) -> testing.Testing:
    return testing.Testing(world.db, world.vault)


def typed(secret: str | None = CLIENT_SECRET, **more: Any) -> Said:
    """A form as the page sends it."""
    fields = {"client_id": CLIENT_ID, "client_secret": secret}
    return Said(environment=REHEARSAL, fields=fields, **more)


async def tried(world: Outside, said: Said, connector: str | None = None) -> Outcome:
    return await of(world).test(world.administrator, "salesforce", said, connector=connector)


async def everything(world: Outside) -> dict[str, list[dict[str, Any]]]:
    """All rows of the tables a test could have a reason to touch, but the audit's."""
    names = ("connectors", "connector_secrets", "tokens", "links", "events", "jobs", "projects")
    return {name: await world.rows(f"SELECT * FROM {name}") for name in names}


async def acts(world: Outside, action: str) -> list[dict[str, Any]]:
    return await world.rows("SELECT * FROM audit WHERE action = :action ORDER BY n", action=action)


async def test_a_good_pair_passes(world: Outside) -> None:
    """R50: the button asks the program itself, and says what it proved."""
    outcome = (await tried(world, typed())).rendered()
    assert (outcome["passed"], outcome["class"], outcome["opens"]) == (True, "ok", [])
    assert outcome["findings"] == [
        {"level": "ok", "text": "Salesforce knows this client and its secret."}
    ]


async def test_a_wrong_pair_fails_with_its_class(world: Outside) -> None:
    """R55: cause, the program's words and the next step; the typed secret is in none of them."""
    outcome = (await tried(world, typed(WRONG))).rendered()
    assert (outcome["passed"], outcome["class"]) == (False, "client-misconfigured")
    assert "invalid_client" in outcome["message"]
    assert "registration of the app" in outcome["next"]
    assert WRONG not in str(outcome)


async def test_what_is_saved_is_no_part_of_a_test(world: Outside) -> None:
    """R52: the program takes the saved secret and refuses the typed one, or the other way round;
    what was typed alone decides.
    """
    id = await world.connector()
    assert (await tried(world, typed(WRONG), id)).rendered()["passed"] is False
    world.app.client_secret = WRONG
    assert (await tried(world, typed(WRONG), id)).rendered()["passed"] is True
    assert (await tried(world, typed(CLIENT_SECRET), id)).rendered()["passed"] is False


@pytest.mark.parametrize("blank", [None, ""])
async def test_a_saved_field_left_blank_is_named(world: Outside, blank: str | None) -> None:
    """R51: a blank protected field that has a saved value is 422 with its pointer; nobody is
    asked, and not even the audit hears of it.
    """
    id = await world.draft()
    world.programs.salesforce.calls.clear()
    with pytest.raises(Invalid) as refused:
        await tried(world, typed(blank), id)
    [problem] = refused.value.problems
    assert (problem.pointer, problem.code) == ("/fields/client_secret", "enter_again")
    assert refused.value.reason == "protected-fields-needed"
    assert not world.programs.salesforce.calls
    assert await acts(world, "connector.tested") == []


async def test_everything_that_is_missing_is_named(world: Outside) -> None:
    """R55: a form that cannot be tested says all that it lacks, and no answer of the wizard's."""
    with pytest.raises(Invalid) as refused:
        await tried(world, Said())
    pointers = [problem.pointer for problem in refused.value.problems]
    assert pointers == ["/environment", "/fields/client_id", "/fields/client_secret"]
    assert refused.value.reason == "incomplete"


async def test_a_test_changes_nothing_and_opens_nothing(world: Outside) -> None:
    """R46, R56: before and after are equal but for one audit row, and no secret was opened."""
    id = await world.connector()
    before, opened = await everything(world), await acts(world, "connector.secret.opened")
    await tried(world, typed(), id)
    await tried(world, typed(WRONG), id)
    assert await everything(world) == before
    assert await acts(world, "connector.secret.opened") == opened
    rows = await acts(world, "connector.tested")
    assert [(row["target"], row["actor"]) for row in rows] == [(id, world.administrator.actor)] * 2


async def test_ten_a_minute_and_no_more(world: Outside, clock: MovableClock) -> None:
    """One caller tests ten times a minute; the eleventh hears how long to wait, others go on."""
    for _ in range(MOST):
        await tried(world, typed())
        clock.advance(SECOND)
    with pytest.raises(TooMany) as refused:
        await tried(world, typed())
    assert refused.value.retry_after_s == 60 - MOST
    key = world.key("connectors:write")
    assert await of(world).test(key, "salesforce", typed(), connector=None)
    clock.advance((60 - MOST) * SECOND)
    assert (await tried(world, typed())).rendered()["passed"]


async def test_the_minute_is_counted_by_an_index(watched: Watched, world: Outside) -> None:
    """building.md: counting a caller's tests reads their own rows, not the audit's."""
    id = await world.connector()
    watched.clear()
    await testing.Testing(watched, world.vault).check(world.administrator, id)
    [plan] = [plan for plan in await watched.plans() if "audit" in plan]
    assert "ix_audit_tests" in plan


async def test_who_may_not_configure_may_not_test(world: Outside) -> None:
    """Scope connectors:write, keys limited to other connectors stay out, missing is 404."""
    with pytest.raises(Forbidden):
        await of(world).test(world.key("connectors:read"), "salesforce", typed(), connector=None)
    with pytest.raises(Forbidden):
        await of(world).check(world.key("connectors:read"), "con_none")
    id = await world.draft()
    limited = world.key("connectors:write", connectors=frozenset({"Another"}))
    with pytest.raises(Forbidden, match="not for this connector"):
        await of(world).test(limited, "salesforce", typed(), connector=id)
    with pytest.raises(NotFound):
        await tried(world, typed(), "con_none")
    with pytest.raises(Invalid, match="no type slesforce"):
        await of(world).test(world.administrator, "slesforce", typed(), connector=None)


ANSWERS: dict[str, tuple[httpx.Response, str]] = {
    "client": (httpx.Response(400, json={"error": "invalid_client"}), "client-misconfigured"),
    "401": (httpx.Response(401), "client-misconfigured"),
    "person": (httpx.Response(400, json={"error": "interaction_required"}), "interaction-needed"),
    "known": (httpx.Response(400, json={"error": "invalid_grant"}), "ok"),
    "unknown": (httpx.Response(400, json={"error": "unknown_error"}), "unknown"),
    "429": (httpx.Response(429), "transient"),
    "500": (httpx.Response(500, html="<h1>500</h1>"), "transient"),
    "html": (httpx.Response(200, html="<h1>proxy</h1>"), "transient"),
    "redirect": (httpx.Response(302, headers={"Location": "https://x.example"}), "transient"),
    "a token": (httpx.Response(200, json={"access_token": "t"}), "client-misconfigured"),
}


@pytest.mark.parametrize(("answer", "word"), ANSWERS.values(), ids=ANSWERS)
async def test_every_class_of_failure_is_told(
    world: Outside, answer: httpx.Response, word: str
) -> None:
    """R55: whatever a program answers, the reader learns class, cause and what to do next."""
    said = replace(typed(), environment={"name": "production"})
    with respx.mock as border:
        asked = border.post("https://login.salesforce.com/services/oauth2/token")
        asked.mock(return_value=answer)
        outcome = (await tried(world, said)).rendered()
    assert outcome["class"] == word
    assert outcome["message"]
    assert outcome["next"]


async def test_a_program_that_repeats_the_secret_is_not_quoted(world: Outside) -> None:
    """R44, R55: the program's words reach the reader without what was sent to it."""
    said = replace(typed(WRONG), environment={"name": "production"})
    words = {"error": "invalid_client", "error_description": f"no {WRONG} here"}
    with respx.mock as border:
        asked = border.post("https://login.salesforce.com/services/oauth2/token")
        asked.mock(return_value=httpx.Response(400, json=words))
        outcome = (await tried(world, said)).rendered()
    assert "invalid_client: no *** here" in outcome["message"]
    assert WRONG not in str(outcome)


async def test_check_looks_at_the_saved_identity(world: Outside) -> None:
    """T6, R58, R59: Check says who is connected, with which profile, and which permissions are
    missing, as warnings; it is audited under a name of its own.
    """
    id = await world.connector()
    world.programs.salesforce.users[ROBOT].permissions -= {"PermissionsAuthorApex"}
    outcome = (await of(world).check(world.administrator, id)).rendered()
    said = {(one["level"], one["text"]) for one in outcome["findings"]}
    assert outcome["passed"] is True
    assert ("ok", f"Connected as {ROBOT}.") in said
    assert ("ok", "Profile: System Administrator.") in said
    assert ("ok", "Modify All Data: present.") in said
    assert ("warning", "Author Apex: missing.") in said
    [row] = await acts(world, "connector.checked")
    assert row["target"] == id


async def test_a_user_for_the_api_alone_passes(world: Outside) -> None:
    """R60: an account that may not sign in by itself, and has the API only, is no failure; R59:
    what else is missing warns.
    """
    id = await world.connector()
    only = {"PermissionsApiEnabled", "PermissionsApiUserOnly"}
    world.programs.salesforce.users[ROBOT].permissions = only
    outcome = (await of(world).check(world.administrator, id)).rendered()
    missing = [one["text"] for one in outcome["findings"] if one["level"] == "warning"]
    assert outcome["passed"] is True
    assert missing == [
        "Modify All Data: missing.",
        "Modify Metadata Through Metadata API Functions: missing.",
        "Author Apex: missing.",
        "Customize Application: missing.",
    ]


def test_the_form_says_what_the_account_needs(world: Outside) -> None:
    """R59 to R61: permissions, objects and fields that need more stand on Salesforce's form."""
    said = " ".join(world.vault.programs.definition("salesforce").warnings)
    pieces = ("Modify All Data", "object permissions", "API Only User", "NumberOfFailedLogins")
    assert [piece for piece in pieces if piece not in said] == []


async def test_send_email_counts_only_where_it_is_used(world: Outside) -> None:
    """R59: Send Email is asked for only when the option is on."""
    id = await world.connector()
    plain = (await of(world).check(world.administrator, id)).rendered()
    assert "Send Email" not in str(plain)
    said = Said(fields={"send_email": "yes"})
    await world.connecting.configure(world.administrator, id, said)
    emails = (await of(world).check(world.administrator, id)).rendered()
    assert "Send Email: missing." in str(emails)


async def test_a_connector_without_a_grant_cannot_be_checked(world: Outside) -> None:
    """T6: a draft has no identity yet; the answer says what is needed."""
    id = await world.draft()
    with pytest.raises(Conflict) as refused:
        await of(world).check(world.administrator, id)
    assert refused.value.reason == "authorization-needed"


@pytest.mark.parametrize("moved", [False, True])
async def test_a_token_is_shown_to_no_other_place(world: Outside, moved: bool) -> None:
    """Safety 18: changed while its token was fetched, or a token of another place: nobody is asked
    with what does not belong together.
    """

    class Overtaken(Vault):
        async def usable(
            self, project: str, connector_id: str, user_id: str | None
        ) -> tuple[TokenSet, Secret]:
            token, access = await Vault.usable(self, project, connector_id, user_id)
            if moved:
                return replace(token, origin="https://elsewhere.example"), access
            said = Said(description="changed")
            await world.connecting.configure(world.administrator, connector_id, said)
            return token, access

    id = await world.connector()
    vault = Overtaken(world.db, world.vault.hasher, world.vault.programs)
    calls = dict(world.programs.salesforce.calls)
    with pytest.raises(Conflict) as refused:
        await testing.Testing(world.db, vault).check(world.administrator, id)
    assert refused.value.reason == "connector-changed"
    assert dict(world.programs.salesforce.calls) == calls


async def test_a_check_that_fails_changes_no_state(world: Outside) -> None:
    """T6: a check only looks: a dead session at the program is told, and nothing is judged."""
    id = await world.connector()
    before = await everything(world)
    for approval in world.programs.salesforce.approvals:
        approval.access.clear()
    outcome = (await of(world).check(world.administrator, id)).rendered()
    assert (outcome["passed"], outcome["class"]) == (False, "failed")
    assert "does not accept the access token" in outcome["message"]
    assert "authorize the connector again" in outcome["next"]
    assert await everything(world) == before


async def test_a_test_that_fails_speaks_of_what_was_typed(world: Outside) -> None:
    """R55: nobody has to authorize anything because of a test, which looks at the form alone."""

    async def trying() -> Report:
        return Report((Finding("failure", "The site cannot be read."),))

    definition = world.vault.programs.definition("salesforce")
    outcome = await testing._tried(trying(), definition, None)
    assert outcome.text.next == "Correct what was typed; test again."


def refused(error: errors.ProviderError, world: Outside) -> Outcome:
    definition = world.vault.programs.definition("salesforce")
    return testing._refused(error, definition, None)


FAILURES = {
    "host-refused": errors.HostRefused("address-refused", "x is at an address we do not call"),
    "client-misconfigured": errors.ClientMisconfigured("invalid_client", "AADSTS7000215"),
    "interaction-needed": errors.PersonNeeded("interaction_required", "AADSTS53003"),
    "grant-dead": errors.GrantDead("invalid_grant", "expired"),
    "transient": errors.TryLater("timeout", "no complete answer within 10 seconds"),
    "not-proven": errors.NotProven("identity", "somebody else"),
    "unknown": errors.Unclassified("odd", "odd"),
}


@pytest.mark.parametrize(("word", "error"), FAILURES.items())
def test_each_class_has_reason_cause_and_next_step(
    world: Outside, word: str, error: errors.ProviderError
) -> None:
    """R55: the program's reason, what it means, and what to do, each different by class."""
    outcome = refused(error, world)
    assert outcome.text.word == word
    assert str(error) in outcome.message
    assert outcome.text.next != testing.REFUSALS[errors.ProviderError].next or word == "unknown"


@pytest.mark.parametrize(
    "words",
    [
        "AADSTS50076: you must use multi-factor authentication to access",
        "AADSTS50079: the user is required to use multi factor authentication",
        "MFA is required",
        "a second factor is needed",
    ],
)
def test_an_mfa_answer_says_so_by_name(world: Outside, words: str) -> None:
    """R47: where the program demands another factor, the result names multi-factor
    authentication as the cause.
    """
    outcome = refused(errors.PersonNeeded("interaction_required", words), world)
    [finding] = outcome.findings
    assert finding.level == "warning"
    assert "multi-factor authentication" in finding.text


@pytest.mark.parametrize(
    ("code", "piece"),
    [
        ("certificate", "certificate"),
        ("relay-refused", "relay"),
        ("http-429", "no other integration uses"),
    ],
)
def test_some_failures_have_a_remedy_of_their_own(world: Outside, code: str, piece: str) -> None:
    """R49, R55: throttling names the shared account; certificate and relay name their owner."""
    outcome = refused(errors.TryLater(code), world)
    assert outcome.text.word == "transient"
    assert piece in outcome.text.next + outcome.text.cause


TENANT = "3f0c2a6e-0000-4000-8000-0000000ac3e0"
MICROSOFT = {"tenant": TENANT, "client_id": "ms-app", "site": "acme.sharepoint.com/sites/flows"}
SERVICE = {"site": "/sites/flows", "user_name": KIM}
TYPES: dict[str, tuple[str, str, dict[str, str], str]] = {
    "SharePoint Online, people": ("sharepoint_online", "delegated", MICROSOFT, "client_secret"),
    "SharePoint Online, app": ("sharepoint_online", "app_only", MICROSOFT, "client_secret"),
    "SharePoint Server, password": ("sharepoint_server", "password", SERVICE, "password"),
    "DocuSign": ("docusign", "code", {"client_id": "ds-key"}, "client_secret"),
}


@pytest.fixture
def apps(world: Outside) -> Outside:
    """Every pretend program knows our app, and the farm Kim's password."""
    world.programs.microsoft.state.register(App("ms-app", RIGHT))
    world.programs.docusign.state.register(App("ds-key", RIGHT))
    world.programs.farm.passwords[KIM] = RIGHT
    return world


def filled(integration: str, fields: dict[str, str], **secret: str) -> Said:
    return Said(integration=integration, environment=REHEARSAL, fields=fields | secret)


@pytest.mark.parametrize(
    ("type", "integration", "fields", "secret"), TYPES.values(), ids=TYPES.keys()
)
async def test_each_program_is_tested_by_what_was_typed(
    apps: Outside, type: str, integration: str, fields: dict[str, str], secret: str
) -> None:
    """R50, R52: every type's button tells the right secret from a wrong one, at its program."""
    for value, passes in ((RIGHT, True), (WRONG, False)):
        said = filled(integration, fields, **{secret: value})
        outcome = await of(apps).test(apps.administrator, type, said, connector=None)
        assert outcome.rendered()["passed"] is passes, outcome
        assert outcome.text.next
        assert WRONG not in str(outcome)


async def test_a_condition_opens_further_fields(apps: Outside) -> None:
    """R39: where Microsoft's conditional access stops the app, the result says so and names the
    fields of the other way to authenticate, which Advanced Options then show.
    """
    apps.programs.microsoft.state.switches.set("AADSTS53003", times=1)
    said = filled("delegated", MICROSOFT, client_secret=RIGHT)
    outcome = await of(apps).test(apps.administrator, "sharepoint_online", said, connector=None)
    assert outcome.rendered()["class"] == "interaction-needed"
    assert outcome.opens == ("client_authentication", "private_key", "certificate")
    assert "Conditional Access" in outcome.text.next
    assert "Advanced Options" in outcome.text.next


async def test_an_account_that_two_connectors_share_is_named(apps: Outside) -> None:
    """R48: Test warns where another connector signs in with the same account on the same host."""
    said = replace(filled("password", SERVICE, password=RIGHT), name="The farm")
    create = apps.connecting.create
    made = await create(apps.administrator, "sharepoint_server", said)
    await apps.connecting.authorize(apps.administrator, made.connector.id)
    outcome = await of(apps).test(apps.administrator, "sharepoint_server", said, connector=None)
    [warning] = [one for one in outcome.findings if one.level == "warning"]
    assert warning.text.startswith("The farm signs in with this account too.")
    assert outcome.rendered()["passed"] is True


async def test_a_host_of_ours_is_refused_with_its_remedy(world: Outside) -> None:
    """R42, promise 18: a host that an administrator typed and that leads inside is not spoken to;
    the result says what opens the way.
    """
    said = filled("password", SERVICE, password=RIGHT)
    said = replace(said, environment={"name": "server", "host": "localhost"})
    outcome = await of(world).test(world.administrator, "sharepoint_server", said, connector=None)
    assert outcome.text.word == "host-refused"
    assert "address-refused" in outcome.message
    assert "relay" in outcome.text.next


async def test_the_typed_relay_is_the_way(world: Outside) -> None:
    """R42: a test goes through the relay that was typed; one that is not the operator's is 422."""
    there = world.programs.base_url
    async with relay(to=urlsplit(there).port) as way:
        egress = Egress(origins=[there], relays={"site": way.origin})
        registry = Registry(egress, simulator=there)
        programs = replace(world.vault.programs, registry=registry)
        tests = testing.Testing(world.db, replace(world.vault, programs=programs))
        said = typed()
        fields = {**(said.fields or {}), "relay": "site"}
        outcome = await tests.test(
            world.administrator, "salesforce", replace(said, fields=fields), connector=None
        )
        with pytest.raises(Invalid) as refused:
            fields["relay"] = way.origin
            await tests.test(
                world.administrator, "salesforce", replace(said, fields=fields), connector=None
            )
        await egress.aclose()
    assert outcome.rendered()["passed"] is True
    assert [head.split()[1] for head in way.heads] == [f"{there}/services/oauth2/token"]
    assert [one.pointer for one in refused.value.problems] == ["/fields/relay"]


async def test_tests_at_one_time_are_counted_in_turn(world: Outside) -> None:
    """The minute's limit holds for twice as many who ask at once, on every engine."""
    every = [tried(world, typed()) for _ in range(2 * MOST)]
    found = await asyncio.gather(*every, return_exceptions=True)
    assert sum(isinstance(one, Outcome) for one in found) == MOST
    assert sum(isinstance(one, TooMany) for one in found) == MOST


@pytest.mark.parametrize("name", ["SharePoint Server, password", "SharePoint Online, app"])
async def test_an_identity_nobody_signed_in_for_is_checked_too(apps: Outside, name: str) -> None:
    """T6, R24: Check mints what the connector user needs, and looks at the site with it."""
    type, integration, fields, secret = TYPES[name]
    said = replace(filled(integration, fields, **{secret: RIGHT}), name=name)
    made = await apps.connecting.create(apps.administrator, type, said)
    await apps.connecting.authorize(apps.administrator, made.connector.id)
    outcome = await of(apps).check(apps.administrator, made.connector.id)
    assert outcome.rendered()["passed"] is True, outcome
    assert outcome.findings


async def test_check_tells_how_often_the_account_was_throttled(world: Outside) -> None:
    """R49: the 429s that the connector user met stand in the result, as a warning."""
    id = await world.connector()
    sql = "UPDATE tokens SET throttled = 3 WHERE project_id = :project"
    await world.db.write(lambda tx: tx.run(sql, project=world.project))
    outcome = await of(world).check(world.administrator, id)
    assert outcome.rendered()["passed"] is True
    [warning] = [one.text for one in outcome.findings if "429" in one.text]
    assert "3 ×" in warning
