"""The program refused a token we gave: it is renewed, or the program is asked about it (K11)."""

from dataclasses import dataclass, replace
from enum import StrEnum

from broker.db.database import Database, Transaction
from broker.db.seal import Unreadable
from broker.domain.callers import Caller
from broker.domain.connectors import Connector
from broker.domain.errors import Conflict, NotFound
from broker.domain.steps import Identity
from broker.domain.token_states import Event, Verdict, after, verdict
from broker.domain.tokens import TokenSet
from broker.service import admitting, refreshing
from broker.service.programs import Unregistered
from broker.service.vault import Vault
from broker.store import audit, connectors, decisions, tokens
from broker.store.decisions import Line
from providers.capabilities import CanInspect, Registration
from providers.errors import GrantDead, ProviderError
from providers.secret import Secret

REASON = "rejected_by_resource"


class Result(StrEnum):
    """What a report came to; the caller asks `resolve` again in any case."""

    IGNORED = "ignored"
    EXPIRED = "expired"
    KEPT = "kept"
    NEEDS_REAUTH = "needs-reauth"


@dataclass(frozen=True, slots=True)
class Doubt:
    """A second refusal within ten minutes: what to ask the program about which token."""

    token: TokenSet
    connector: Connector
    registration: Registration
    access_token: Secret


@dataclass(frozen=True, slots=True)
class Rejecting:
    """Takes the reports of callers; never at their word where a grant would end (safety 25)."""

    db: Database
    vault: Vault

    async def rejected(self, caller: Caller, decision_id: str, line: int | None = None) -> Result:
        """The program answered 401 to the credential of this decision (K11).

        `line` is the `version` of the answer that held it, the newest with one unless said. One
        report counts for each version of a token, and only from the key that was given it: NotFound
        for any other key, Conflict where that line gave no credential. The first makes the token
        count as expired, the second within ten minutes asks the program itself: only where it
        knows the token no more does the person have to sign in again.
        """
        caller.require("resolve")
        found = await self.db.write(self._noting, caller, decision_id, line)
        if isinstance(found, Result):
            return found
        return await self.db.write(self._judging, caller, found, await self._is_alive(found))

    def _noting(
        self, tx: Transaction, caller: Caller, decision_id: str, line: int | None
    ) -> Result | Doubt:
        caller = admitting.still(tx, caller)
        given = _given(tx, caller, decision_id, line)
        user = given.user if given.identity == Identity.USER else None
        token = tokens.read(tx, caller.project, given.connector, user, lock=True)
        connector = connectors.get(tx, caller.project, given.connector, gone=True)
        if token is None or self.vault.programs.place(connector) is None:
            return Result.IGNORED
        match verdict(token, version=given.token_version or 0, now=tx.now):
            case Verdict.IGNORE:
                return Result.IGNORED
            case Verdict.ASK_PROVIDER:
                return self._doubt(tx, caller, token) or self._expired(tx, caller, token)
        return self._expired(tx, caller, token)

    def _doubt(self, tx: Transaction, caller: Caller, token: TokenSet) -> Doubt | None:
        """What to ask; None where nothing can be asked, or what is asked with cannot be read."""
        connector = connectors.get(tx, token.project, token.connector, gone=True)
        programs = self.vault.programs
        if not isinstance(programs.provider(connector.type), CanInspect):
            return None
        try:
            access_token = self.vault.opened(token)
            registration = programs.registration(tx, connector, purpose="rejected")
        except (Unregistered, Unreadable):
            return None
        said = {"purpose": "rejected", "token_version": token.version}
        audit.append(tx, token.project, caller.actor, "token.opened", token.id, **said)
        return Doubt(token, connector, registration, access_token)

    async def _is_alive(self, doubt: Doubt) -> bool | None:
        """What the program says of the token; None where it says nothing now."""
        provider = self.vault.programs.provider(doubt.connector.type)
        assert isinstance(provider, CanInspect)  # or there is no doubt
        base_url = doubt.token.base_url or ""
        try:
            said = await provider.introspect(doubt.registration, doubt.access_token, base_url)
        except ProviderError:
            return None
        return said.active

    def _judging(
        self, tx: Transaction, caller: Caller, doubt: Doubt, is_alive: bool | None
    ) -> Result:
        """Write down what the program said, unless the token is another by now."""
        connector = connectors.get(
            tx, doubt.token.project, doubt.token.connector, lock=True, gone=True
        )
        token = tokens.locked(tx, doubt.token)
        version = doubt.token.version
        if verdict(token, version=version, now=tx.now) is not Verdict.ASK_PROVIDER:
            return Result.IGNORED
        if is_alive is None:
            return self._expired(tx, caller, token)
        if is_alive:
            token = self.vault.save(tx, connector, replace(token, vouched=version))
            return _noted(tx, caller, token, Result.KEPT)
        dead = refreshing.announced(tx, token, after(token, Event.REJECTED_AGAIN, now=tx.now))
        self.vault.save(tx, connector, dead)
        refreshing.troubled(tx, connector, dead, GrantDead(REASON))
        return _noted(tx, caller, dead, Result.NEEDS_REAUTH)

    def _expired(self, tx: Transaction, caller: Caller, token: TokenSet) -> Result:
        """From now on nobody gets this version; the next to ask has it renewed."""
        connector = connectors.get(tx, token.project, token.connector, gone=True)
        token = self.vault.save(tx, connector, after(token, Event.REJECTED, now=tx.now))
        return _noted(tx, caller, token, Result.EXPIRED)


def _given(tx: Transaction, caller: Caller, decision_id: str, line: int | None) -> Line:
    """The line by which this caller was given a credential (safety 25)."""
    decision = decisions.find(tx, caller.project, decision_id)
    if decision is None or decision.key != caller.id:
        raise NotFound()
    for one in reversed(decisions.lines(tx, caller.project, decision_id)):
        if one.credential and line in (None, one.version):
            return one
    raise Conflict(
        "No credential left with that answer, so none was refused.",
        reason="no-credential",
        next="Name the `version` of the answer that held the credential.",
    )


def _noted(tx: Transaction, caller: Caller, token: TokenSet, result: Result) -> Result:
    said = {"user": token.user, "token_version": token.version, "result": result.value}
    audit.append(tx, token.project, caller.actor, "token.rejected", token.connector, **said)
    return result


NEXT = {
    Result.IGNORED: "That token is not the newest one, or was reported before: ask again.",
    Result.EXPIRED: "The token counts as expired: ask again, and it is renewed.",
    Result.KEPT: "The program itself calls the token good: look at what the account may do there.",
    Result.NEEDS_REAUTH: "The program does not know the token: somebody has to sign in again.",
}
"""What to tell whoever reported."""
