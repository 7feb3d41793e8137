"""Tokens nobody signs in for: the connector user's first one, and people an administrator vouches
for once more (safety 20).
"""

from dataclasses import dataclass, replace

from broker.db.database import Transaction
from broker.domain import connectors as rows_c
from broker.domain.callers import Caller
from broker.domain.connectors import Connector
from broker.domain.errors import Conflict, NotFound
from broker.domain.links import Purpose
from broker.domain.token_states import Event, after
from broker.domain.tokens import State
from broker.service import changing, completing
from broker.service.completing import MESSAGES, Completed
from broker.service.vault import Vault
from broker.store import audit, connectors, protected, tokens
from providers.capabilities import CanTest, Registration, TokenResponse
from providers.definition import Source
from providers.errors import ProviderError, Unclassified


@dataclass(frozen=True, slots=True)
class Minting:
    """What administrators do where the broker makes the tokens itself."""

    vault: Vault

    async def connector_user(
        self, caller: Caller, connector_id: str, *, other_account: bool = False
    ) -> Completed:
        """Authorize the connector user where nobody signs in: mint a token and look if it works.

        The connector is authorized then, or connected again (C4, C8). A refusal by the program, or
        another account than before unless `other_account` says so, is a Completed that is not
        `ok`, and the connector keeps its reason (C5). Conflict where somebody has to sign in.
        """
        caller.require("connectors:write")
        db, programs = self.vault.db, self.vault.programs
        connector, registration, basis = await db.write(self._beginning, caller, connector_id)
        try:
            answer = await programs.minter(connector.type).mint(registration, None)
            await _look(programs.provider(connector.type), registration, answer)
        except ProviderError as error:
            reason, message = completing.said_of(error, in_full=True)
            return await db.write(_refused, caller, connector, reason, message)
        return await db.write(self._kept, caller, connector, basis, answer, other_account)

    async def confirm(self, caller: Caller, connector_id: str, user_id: str, logon: str) -> None:
        """Let a person be minted for as `logon`, which is not whom it was before.

        An administrator's act (safety 20). NotFound where nothing is blocked; Conflict where the
        person's logon is another one by now, or somebody else is minted for by it.
        """
        caller.require_administrator()
        await self.vault.db.write(self._confirming, caller, connector_id, user_id, logon)

    def _beginning(
        self, tx: Transaction, caller: Caller, connector_id: str
    ) -> tuple[Connector, Registration, tuple[object, ...]]:
        connector = changing.hold(tx, caller, connector_id, None)
        if self.vault.programs.source(connector, None) is not Source.MINTED:
            raise Conflict("Somebody has to sign in for this connector.", reason="sign-in-needed")
        if connector.state not in rows_c.USED:
            connector = rows_c.after(connector, rows_c.Event.AUTHORIZING, now=tx.now)
            connectors.change(tx, connector)
        registration = self.vault.programs.registration(tx, connector, purpose="authorize")
        return connector, registration, _basis(tx, connector)

    def _kept(
        self,
        tx: Transaction,
        caller: Caller,
        asked: Connector,
        basis: tuple[object, ...],
        answer: TokenResponse,
        other_account: bool,
    ) -> Completed:
        connector = connectors.get(tx, asked.project, asked.id, lock=True, gone=True)
        if _basis(tx, connector) != basis:
            why = "connector-changed"
            return _refused(tx, caller, connector, why, MESSAGES[why])
        before = tokens.read(tx, asked.project, asked.id, None, lock=True)
        before = before or tokens.absent(tx, asked.project, asked.id, None)
        token = before
        if before.state is State.REVOKED or not before.minted or other_account:
            token = replace(before, account=None)  # the pin ended, or it was confirmed
        grant = self.vault.sealed_grant(token, connector, answer, tx.now)
        if (wrong := completing.wrong_account(tx, token, grant.account)) is not None:
            return _refused(tx, caller, connector, wrong, MESSAGES[wrong])
        token = self.vault.save(
            tx, connector, after(token, Event.CONNECTED, now=tx.now, grant=grant)
        )
        about = {"user": None, "token_version": token.version}
        audit.append(tx, asked.project, caller.actor, "authorization.completed", asked.id, **about)
        completing.allowed(tx, connector, before, token, caller.actor)
        return Completed(ok=True, purpose=Purpose.WIZARD, return_url=None)

    def _confirming(
        self, tx: Transaction, caller: Caller, connector_id: str, user_id: str, logon: str
    ) -> None:
        connector = changing.reach(tx, caller, connector_id)
        token = tokens.read(tx, caller.project, connector_id, user_id, lock=True)
        if token is None or not token.minted or token.state is not State.NEEDS_REAUTH:
            raise NotFound()
        if self.vault.logon(tx, connector, user_id) != logon:
            raise Conflict("The person has another logon by now.", reason="logon-changed")
        if tokens.holder(tx, caller.project, connector_id, logon) not in (None, user_id):
            raise Conflict("Somebody else is minted for by this logon.", reason="account-taken")
        vouched = replace(token, state=State.EXPIRED, reason=None, account=logon)
        self.vault.save(tx, connector, vouched)
        about = {"user": user_id}
        audit.append(
            tx, caller.project, caller.actor, "authorization.confirmed", connector_id, **about
        )


def _basis(tx: Transaction, connector: Connector) -> tuple[object, ...]:
    """What a token is minted of and for: one of anything else is not kept.

    The version would not do: who clicks twice changes it, and nothing that matters.
    """
    stage = rows_c.USED if connector.state in rows_c.USED else connector.state
    held = protected.of(tx, connector.project, connector.id)
    return connector.origin, connector.integration, connector.fields, stage, held


async def _look(provider: object, registration: Registration, answer: TokenResponse) -> None:
    """Whether the program takes what was minted; some of it nobody there has seen yet."""
    if not isinstance(provider, CanTest):
        return
    base_url = answer.base_url or registration.base
    report = await provider.check(registration, answer.access_token, base_url)
    failures = [one.text for one in report.findings if one.level == "failure"]
    if failures:
        raise Unclassified("check-failed", " ".join(failures))


def _refused(
    tx: Transaction, caller: Caller, asked: Connector, reason: str, message: str
) -> Completed:
    """Nothing is kept, and the connector says why (C5)."""
    connector = connectors.get(tx, asked.project, asked.id, lock=True, gone=True)
    about = {"user": None, "reason": reason}
    audit.append(tx, asked.project, caller.actor, "authorization.refused", asked.id, **about)
    completing.turned_down(tx, connector, reason)
    return Completed(False, Purpose.WIZARD, None, reason, message)
