"""Token sets as they are kept: sealed, opened, saved with the time of the next look at them."""

from dataclasses import dataclass, replace

import structlog

from broker.db.database import Database, Transaction
from broker.db.seal import Hasher, Unreadable
from broker.domain.clock import SECOND
from broker.domain.connectors import Connector
from broker.domain.token_states import Event, after
from broker.domain.tokens import Grant, State, TokenSet, lifetime
from broker.service import refreshing
from broker.service.programs import Programs
from broker.store import connectors, logons, tokens
from providers.capabilities import TokenResponse
from providers.definition import Source
from providers.secret import Secret

NO_LOGON = "no-logon"
IDENTITY_CHANGED = "identity-changed"
ACCOUNT_TAKEN = "account-taken"
"""Why nothing is minted for a person (safety 17, 20)."""
log = structlog.get_logger("broker.vault")


@dataclass(frozen=True, slots=True)
class Safe:
    """What of a token set is sealed, and how it comes about; nobody is called here."""

    db: Database
    hasher: Hasher
    programs: Programs

    def opened(self, token: TokenSet) -> Secret:
        """The access token of a set; `seal.Unreadable` where its key is missing (K16)."""
        return self._opened(token, token.access, "access_token")

    def refresh_token(self, token: TokenSet) -> Secret:
        """The refresh token of a set, for its provider alone; fails as `opened` does."""
        return self._opened(token, token.refresh, "refresh_token")

    def legible(self, tx: Transaction, token: TokenSet) -> TokenSet:
        """The same set, unreadable where it no longer opens, back where it does again (K16).

        Nothing sealed is touched: what cannot be read now may be readable tomorrow.
        """
        if self._is_told(token):
            return token
        token = tokens.locked(tx, token)
        if self._is_told(token):
            return token
        event = Event.READABLE if token.state is State.UNREADABLE else Event.UNREADABLE
        log.warning("token set changed", became=event.value, connector=token.connector)
        connector = connectors.get(tx, token.project, token.connector, gone=True)
        return self.save(tx, connector, after(token, event, now=tx.now))

    def begun(
        self, tx: Transaction, connector: Connector, user_id: str | None, token: TokenSet | None
    ) -> TokenSet | None:
        """What a set counts for under the method of its connector; None is a set nobody has.

        Where nobody signs in, a person's begins by being asked for, as one that is expired, and
        again once what blocked it is over; the connector user's begins in the wizard. Nothing is
        written, and nothing is read for a set that is in use.
        """
        is_minted = self.programs.source(connector, user_id) is Source.MINTED
        kept = token if token is not None and token.minted is is_minted else None
        if not is_minted or user_id is None:
            return kept
        if kept is not None and kept.state not in (State.NEEDS_REAUTH, State.REVOKED):
            return kept
        logon = self.logon(tx, connector, user_id)
        if logon is None or (kept is not None and not _may_begin(kept, logon)):
            return kept
        return replace(
            token or tokens.absent(tx, connector.project, connector.id, user_id),
            state=State.EXPIRED,
            reason=None,
            minted=True,
            access=None,
            refresh=None,
            grant_hash=None,
            frozen=False,
            expires_at=None,
            retry_at=None,
            origin=connector.origin,
            account=kept.account if kept else None,
        )

    def logon(self, tx: Transaction, connector: Connector, user_id: str) -> str | None:
        """Whom the program knows this person as: their logon of the suffix an administrator named
        in the connector (safety 20).
        """
        suffix = self.programs.person_suffix(connector)
        return logons.of_suffix(tx, connector.project, user_id, suffix) if suffix else None

    def sealed(self, token: TokenSet, column: str, value: Secret) -> bytes:
        """A token, readable in that column of that set alone (promise 14)."""
        plain = value.reveal().encode()
        return self.programs.seal.seal(plain, token.project, "tokens", token.id, column)

    def sealed_grant(
        self, token: TokenSet, connector: Connector, answer: TokenResponse, now: int
    ) -> Grant:
        """What a provider gave, sealed for this set and bound to the connector's origin."""
        definition = self.programs.definition(connector.type)
        assumed = definition.assumed_lifetime_s * SECOND
        given, idle_s = answer.expires_in_s, answer.grant_expires_in_s or definition.idle_s
        account, refresh = answer.account, answer.refresh_token
        is_minted = self.programs.source(connector, token.user) is Source.MINTED
        return Grant(
            access=self.sealed(token, "access_token", answer.access_token),
            refresh=self.sealed(token, "refresh_token", refresh) if refresh else None,
            expires_at=now + (lifetime(given, assumed=assumed) if given != 0 else 0),
            scopes=answer.scopes,
            origin=connector.origin,
            base_url=answer.base_url,
            account=account.key if account else None,
            account_display=account.display if account else "",
            token_type=answer.token_type,
            ends_at=now + idle_s * SECOND if idle_s and not is_minted else None,
            minted=is_minted,
            grant_hash=self.hasher(refresh.reveal()) if refresh else None,
        )

    def discard(
        self, tx: Transaction, connector: Connector, answer: TokenResponse, place: str | None
    ) -> None:
        """A grant nobody may have: the provider at `place`, which gave it, is told to revoke it
        (safety 14, 18).
        """
        none = tokens.absent(tx, connector.project, connector.id, None)
        sealed = self.sealed(none, "refresh_token", answer.refresh_token or answer.access_token)
        tokens.revoke_later(tx, connector.project, connector.id, place, none.id, sealed)

    def save(self, tx: Transaction, connector: Connector, token: TokenSet) -> TokenSet:
        """Keep a set this unit holds, with the time when the background looks at it again.

        Where a grant has just come, whoever was told of trouble is told that it is over.
        """
        if token.told is not None and token.obtained_at == tx.now:
            refreshing.say(tx, token, "recovered", token.told)
            token = replace(token, told=None)
        tokens.save(tx, token, due_at=self._due_at(connector, token))
        return token

    def given(self, tx: Transaction, connector: Connector, token: TokenSet) -> None:
        """A step is given this version: from now on nobody waits for its end."""
        if token.asked != token.version:
            asked = replace(token, asked=token.version)
            tokens.given(tx, token, due_at=self._due_at(connector, asked))

    def is_idle(self, connector: Connector, token: TokenSet, now: int) -> bool:
        """Whether to refresh a grant though its access token may serve on (T13)."""
        keep_alive = self.programs.definition(connector.type).keep_alive_s * SECOND
        is_asleep = token.state is State.VALID and token.refresh is not None and not token.frozen
        return is_asleep and now >= (token.retry_at or token.idle_at(keep_alive, 1.0))

    def _due_at(self, connector: Connector, token: TokenSet) -> int | None:
        keep_alive_s = self.programs.definition(connector.type).keep_alive_s
        return refreshing.due_at(token, keep_alive_s)

    def _is_told(self, token: TokenSet) -> bool:
        """Whether its state says rightly if it can be read; where nothing has to be, it does."""
        if token.state not in (State.VALID, State.EXPIRED, State.UNREADABLE):
            return True
        kept = (("access_token", token.access), ("refresh_token", token.refresh))
        try:
            for column, sealed in kept:
                if sealed is not None:
                    self._opened(token, sealed, column)
        except Unreadable:
            return token.state is State.UNREADABLE
        return token.state is not State.UNREADABLE

    def _opened(self, token: TokenSet, sealed: bytes | None, column: str) -> Secret:
        if sealed is None:
            raise Unreadable(f"there is no {column}")
        plain = self.programs.seal.open(sealed, token.project, "tokens", token.id, column)
        return Secret(plain.decode())


def _may_begin(token: TokenSet, logon: str) -> bool:
    """Whether what blocked a minted set is over: the logon is there, or is the pinned one again."""
    if token.state is State.REVOKED or token.reason == NO_LOGON:
        return True
    return token.reason == IDENTITY_CHANGED and token.account == logon
