"""Test, of what was typed and only that; and Check, of the identity that is saved (T6)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from broker.db.database import Database, Transaction
from broker.domain import ids
from broker.domain.callers import Caller
from broker.domain.clock import SECOND
from broker.domain.connectors import Connector, State
from broker.domain.errors import Invalid, Problem, TooMany
from broker.service import changing, forms
from broker.service.forms import Said
from broker.service.programs import Programs
from broker.service.vault import Vault
from broker.service.views import ConnectorView
from broker.store import audit, connectors, protected
from providers.capabilities import Finding, Registration, Report
from providers.definition import Definition, Section
from providers.errors import (
    ClientMisconfigured,
    GrantDead,
    HostRefused,
    NotProven,
    PersonNeeded,
    ProviderError,
    TryLater,
)

MOST = 10  # tests and checks of one caller in a minute
MINUTE = 60 * SECOND
TOTAL_S = 25.0  # of all calls one test makes, each of which ends within 10
MFA = re.compile(r"multi-?\s?factor|\bmfa\b|second factor|two-factor|AADSTS5007[24689]", re.I)
MFA_TEXT = (
    "The program demands multi-factor authentication of this account. An account that a connector"
    " signs in with must have none; exempt it, or use one without."
)


@dataclass(frozen=True, slots=True)
class Text:
    """A failure in words: its class on the wire, what caused it, what to do next (R55)."""

    word: str
    cause: str
    next: str


PASSED = Text("ok", "Everything the test looks at works.", "Go on.")
FAILED = Text(
    "failed", "The program answers, but not as it has to.", "Correct what was typed; test again."
)
UNCHECKED = replace(
    FAILED,
    next="Where the program takes the token no more, authorize the connector again; else correct at"
    " the program what failed.",
)
REFUSALS: Mapping[type[ProviderError], Text] = {
    HostRefused: Text(
        "host-refused",
        "The connector may not talk to this host.",
        "Correct the environment or its host. A host in a private network needs a relay, or the"
        " operator's BROKER_EGRESS_ALLOW.",
    ),
    ClientMisconfigured: Text(
        "client-misconfigured",
        "The program does not know us by this client id, secret or certificate.",
        "Compare them with the registration of the app at the program: copied whole, not expired,"
        " of this very environment.",
    ),
    PersonNeeded: Text(
        "interaction-needed",
        "The program wants a person first: another factor, a consent, or a condition it sets.",
        "Have its administrator give consent or exempt this account from conditional access; or"
        " choose another way to authenticate under Advanced Options.",
    ),
    GrantDead: Text(
        "grant-dead",
        "The program does not accept this account any more: password, approval or account ended.",
        "Correct the account, or authorize the connector again.",
    ),
    TryLater: Text(
        "transient",
        "The program could not be asked now; this says nothing about what was entered.",
        "Test again in a few minutes; if it stays, look at the host and the way to it.",
    ),
    NotProven: Text(
        "not-proven",
        "The program answered for another account or issuer than it was asked about.",
        "Check the account and the host that were entered.",
    ),
    ProviderError: Text(
        "unknown",
        "The program refused for a reason that is not known here.",
        "Show its words to the program's administrator.",
    ),
}
SPECIAL: Mapping[str, Text] = {
    "certificate": Text(
        "transient",
        "The host's certificate is not accepted, so nothing was sent.",
        "Renew the certificate at the host, or correct the host.",
    ),
    "relay-refused": Text(
        "transient",
        "The relay does not let the call through.",
        "Have the relay's operator allow the host, or choose another relay.",
    ),
    "http-429": Text(
        "transient",
        "The program throttles this account: too many requests.",
        "Wait, and give the connector a service account that no other integration uses.",
    ),
}
"""Failures told apart by their code, whatever their class."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a test or a check came to; `opens` names fields that may help (R39)."""

    text: Text
    message: str
    findings: tuple[Finding, ...] = ()
    opens: tuple[str, ...] = ()

    def warned(self, texts: Iterable[str]) -> Outcome:
        """The same with further warnings, which fail nothing."""
        more = (Finding("warning", text) for text in texts)
        return replace(self, findings=(*self.findings, *more))

    def rendered(self) -> dict[str, Any]:
        """`passed`, `class`, `findings`, `message`, `next` and `opens`; no secret in any."""
        return {
            "passed": self.text is PASSED,
            "class": self.text.word,
            "findings": [asdict(one) for one in self.findings],
            "message": self.message,
            "next": self.text.next,
            "opens": list(self.opens),
        }


@dataclass(frozen=True, slots=True)
class Testing:
    """Asks programs about connectors; at most ten times a minute for one caller, else TooMany."""

    db: Database
    vault: Vault

    async def test(
        self, caller: Caller, type: str, said: Said, *, connector: str | None
    ) -> Outcome:
        """Try what was typed, and nothing that is saved (R50 to R52).

        `connector` names the one whose form it is. Stores one audit row, opens nothing (R46, R56).
        Invalid names each field that is missing, and each protected one that has a saved value and
        was not typed again.
        """
        caller.require("connectors:write")
        registration, others = await self.db.write(self._typed, caller, type, said, connector)
        provider = self._programs.provider(type)
        trying = provider.test(registration)
        outcome = await _tried(trying, provider.definition, registration.integration)
        return outcome.warned(
            f"{name} signs in with this account too. Give each an account of its own."
            for name in others
        )

    async def check(self, caller: Caller, id: str) -> Outcome:
        """Look at the saved connector user: who it is, whether the API answers, what it may do.

        Conflict `authorization-needed` where it has no grant, Unavailable where it has none now.
        """
        caller.require("connectors:write")
        view = await self.db.write(self._seen, caller, id)
        token, access = await self.vault.usable(caller.project, id, None)
        connector = await self.db.read(changing.unchanged, view.connector, token.origin)
        registration = self._programs.public(connector)
        provider = self._programs.provider(connector.type)
        trying = provider.check(registration, access, token.base_url or registration.base)
        outcome = await _tried(trying, view.definition, registration.integration, UNCHECKED)
        return outcome.warned([one.text for one in view.cautions])

    @property
    def _programs(self) -> Programs:
        return self.vault.programs

    def _typed(
        self, tx: Transaction, caller: Caller, type: str, said: Said, id: str | None
    ) -> tuple[Registration, list[str]]:
        """The registration that was typed, admitted and audited, and who else has its account."""
        definition = changing.typed(self._programs, type)
        saved = changing.reach(tx, caller, id) if id else None
        if saved is not None and saved.type != type:
            detail = f"That connector is of the type {saved.type}."
            raise Problem("/type", "wrong_type", detail).alone()
        blank = Connector(
            id=id or ids.new("con"),
            project=caller.project,
            name=definition.title,
            name_key=type,
            type=type,
            state=State.DRAFT,
            created_by=caller.actor,
            created_at=tx.now,
            changed_at=tx.now,
        )
        typed, secrets = forms.filled(definition, blank, said)
        kept = protected.of(tx, caller.project, id) if id else {}
        if problems := _lacking(definition, typed, {*secrets}, {*kept}):
            reason = "protected-fields-needed" if kept else "incomplete"
            raise Invalid("The test needs every field typed.", reason=reason, problems=problems)
        _admit(tx, caller, "connector.tested", id, type=type)
        account = str(typed.fields.get("user_name", "")).casefold()  # R48
        others = connectors.sharing(tx, typed, account) if account else []
        return self._programs.registered(typed, secrets), [one.name for one in others]

    def _seen(self, tx: Transaction, caller: Caller, id: str) -> ConnectorView:
        connector = changing.reach(tx, caller, id)
        _admit(tx, caller, "connector.checked", id)
        return changing.seen(tx, self._programs, caller, connector)


def _lacking(
    definition: Definition, typed: Connector, secrets: set[str], kept: set[str]
) -> tuple[Problem, ...]:
    """What a test cannot do without: required fields, and whatever protected one is saved (R51)."""
    asked = [at for at in forms.missing(definition, typed, secrets) if "/options/" not in at]
    shown = definition.shown(typed.integration, typed.answers)
    again = {f"/fields/{one.name}": one.label for one in shown if one.name in kept - secrets}
    said = [
        Problem(at, "enter_again", f"Enter {label} again: saved values are no part of a test.")
        for at, label in again.items()
    ]
    return (
        *said,
        *(Problem(at, "required", f"{at[1:]} is needed.") for at in asked if at not in again),
    )


def _admit(tx: Transaction, caller: Caller, act: str, id: str | None, **detail: str) -> None:
    """Write the audit row, which is also what the minute's limit counts: nothing else is stored."""
    lately = audit.tried(tx, caller.project, caller.actor, since=tx.now - MINUTE)
    if len(lately) >= MOST:
        wait = lately[-MOST] + MINUTE - tx.now
        raise TooMany(
            f"At most {MOST} tests and checks a minute.",
            reason="too-many-tests",
            retry_after_s=-(-wait // SECOND),
        )
    audit.append(tx, caller.project, caller.actor, act, id, **detail)


async def _tried(
    trying: Awaitable[Report],
    definition: Definition,
    integration: str | None,
    failed: Text = FAILED,
) -> Outcome:
    """What came of it, in words (R55); `failed` where the program answered not as it has to."""
    try:
        async with asyncio.timeout(TOTAL_S):
            report = await trying
    except TimeoutError:
        return _refused(
            TryLater("timeout", f"no result within {TOTAL_S:g} seconds"), definition, integration
        )
    except ProviderError as error:
        return _refused(error, definition, integration)
    failures = [one.text for one in report.findings if one.level == "failure"]
    text = failed if failures else PASSED
    return Outcome(text, " ".join(failures) or text.cause, report.findings)


def _refused(error: ProviderError, definition: Definition, integration: str | None) -> Outcome:
    """A refusal with its class, its cause and the program's own words, which are redacted."""
    of_class = next(REFUSALS[kind] for kind in type(error).__mro__ if kind in REFUSALS)
    text = SPECIAL.get(error.provider_code, of_class)
    text = replace(text, next=error.advice) if error.advice else text
    if not isinstance(error, PersonNeeded):
        return Outcome(text, f"{text.cause} ({error})")
    findings = (Finding("warning", MFA_TEXT),) if MFA.search(str(error)) else ()
    ways = {one.when[0] for one in definition.fields if one.when}
    opens = tuple(
        one.name
        for one in definition.fields
        if one.section is Section.ADVANCED
        and (one.when or one.name in ways)
        and (not one.integrations or integration in one.integrations)
    )
    return Outcome(text, f"{text.cause} ({error})", findings, opens)
