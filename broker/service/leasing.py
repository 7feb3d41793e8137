"""The units of a refresh: the lease with its fence and journal, and what the answer does."""

import random
from dataclasses import dataclass, field, replace

import structlog

from broker.db.database import Transaction
from broker.db.seal import Unreadable
from broker.domain import token_states
from broker.domain.clock import SECOND
from broker.domain.connectors import Connector
from broker.domain.steps import Token
from broker.domain.token_states import Event, after
from broker.domain.tokens import TokenSet
from broker.service import refreshing
from broker.service.breaking import Breakers
from broker.service.programs import Unregistered
from broker.service.refreshing import Standing, judged
from broker.service.safe import ACCOUNT_TAKEN, IDENTITY_CHANGED, NO_LOGON, Safe
from broker.store import connectors, pauses, tokens, users
from providers.capabilities import Registration, TokenResponse
from providers.errors import GrantDead, ProviderError, TryLater
from providers.secret import Secret

LEASE = 15 * SECOND  # a provider call ends within 10 seconds: a living holder never loses it
KEEP_ALIVE = "keep-alive"
SPREAD = 10 * SECOND  # what a breaker held back comes spread over this, behind its one probe

Key = tuple[str, str, str]
"""Project, connector, person ("" for the connector user)."""
log = structlog.get_logger("broker.vault")


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to call the provider once: the set as it was before, and what to send.

    Without a refresh token one is minted, for `person` as the program knows them. `place` and
    `taken_at` are for its breaker.
    """

    before: TokenSet
    fence: int
    provider_type: str
    place: str
    taken_at: int
    registration: Registration
    refresh_token: Secret | None
    person: str | None = None

    def is_another(self, answer: TokenResponse | ProviderError) -> bool:
        """Whether what was minted for the connector user is another account than before (T1)."""
        if not isinstance(answer, TokenResponse) or answer.account is None:
            return False
        is_ours = self.before.minted and self.before.user is None
        return is_ours and not self.before.is_right_account(answer.account.key)


@dataclass(frozen=True, slots=True)
class Leasing(Safe):
    """Who may call the provider for a set, and what becomes of the set by its answer (rows K).

    `breakers` hold back calls to a place that fails for everybody.
    """

    breakers: Breakers = field(default_factory=Breakers)

    def leased(self, tx: Transaction, key: Key, purpose: str) -> Lease | Standing | None:
        """Lease the set for one call; how it stands where none is needed; None while others do.

        What the background need not, or cannot, refresh is looked at again a while later.
        """
        found = self._leased(tx, key, purpose)
        if purpose == KEEP_ALIVE and isinstance(found, Standing):
            tokens.look_later(tx, *key, due_at=tx.now + refreshing.SLOW)
        return found

    def _leased(self, tx: Transaction, key: Key, purpose: str) -> Lease | Standing | None:
        project, connector_id, user_id = key
        kept = tokens.read(tx, project, connector_id, user_id, lock=True)
        connector = connectors.find(tx, project, connector_id)  # as whoever held the set left it
        if connector is None:
            return Standing(Token.NOT_USABLE)
        kept = self.legible(tx, kept) if kept else None
        token = self.begun(tx, connector, user_id or None, kept)
        if token is None:
            return Standing(Token.NOT_USABLE)
        standing = judged(token, tx.now)
        is_idle = purpose == KEEP_ALIVE and self.is_idle(connector, token, tx.now)
        if not standing.is_due and not is_idle:
            return standing
        if token.is_leased(tx.now):
            return None
        if token.origin != connector.origin:  # safety 18: never to another origin
            return Standing(Token.NOT_USABLE)
        if not connector.is_available:
            return Standing(Token.TRANSIENT)
        if kept is None:
            token = tokens.begin(tx, token)
            if token.is_leased(tx.now) or not token.minted:  # another began it meanwhile
                return None
        if until := self.breakers.closed_until(token.origin or "", key, tx.now):
            held_back = replace(token, retry_at=until + int(SPREAD * random.random()))
            return judged(self.save(tx, connector, held_back), tx.now)
        return self._taken(tx, connector, token, purpose)

    def _taken(
        self, tx: Transaction, connector: Connector, token: TokenSet, purpose: str
    ) -> Lease | Standing:
        """Take the lease and write the journal, before anybody is called."""
        person = None
        if token.minted and token.user is not None:
            person = self.logon(tx, connector, token.user)
            if why := _why_not(tx, token, person):
                blocked = after(token, Event.GRANT_DEAD, now=tx.now, reason=why)
                blocked = refreshing.announced(tx, token, blocked)
                return judged(self.save(tx, connector, blocked), tx.now)
        try:
            refresh_token = None if token.minted else self.refresh_token(token)
            registration = self.programs.registration(tx, connector, purpose=purpose)
        except (Unregistered, Unreadable) as error:
            log.error("refresh not possible", connector=connector.id, why=str(error))
            return Standing(Token.TRANSIENT)
        journal = self.hasher(refresh_token.reveal()) if refresh_token else None
        held = token_states.leased(token, journal=journal, until=tx.now + LEASE, now=tx.now)
        if token.minted:  # a blocked or dropped one begins again by this
            self.save(tx, connector, held)
        else:
            tokens.lease(tx, held)
        return Lease(
            before=token,
            fence=held.fence,
            provider_type=connector.type,
            place=token.origin or "",
            taken_at=tx.now,
            registration=registration,
            refresh_token=refresh_token,
            person=person,
        )

    def answered(
        self, tx: Transaction, lease: Lease, answer: TokenResponse | ProviderError
    ) -> Standing | None:
        """Write what the provider said, unless another was first: then None, look again (K6)."""
        before = lease.before
        is_gone, is_another = False, lease.is_another(answer)
        answer = GrantDead(IDENTITY_CHANGED) if is_another else answer
        if before.minted and before.user is not None:  # the person before the rest, as everywhere
            is_gone = users.lock(tx, before.project, before.user).is_gone
        says_something = not isinstance(answer, TokenResponse | TryLater)
        connector = connectors.get(
            tx, before.project, before.connector, lock=says_something, gone=True
        )
        token = tokens.read(tx, before.project, before.connector, before.user, lock=True)
        if token is None or not token.accepts(fence=lease.fence, version=before.version):
            outlived = token is not None and token.version != before.version
            if outlived and isinstance(answer, TokenResponse) and answer.refresh_token:
                # dropped or connected anew meanwhile, perhaps elsewhere
                self.discard(tx, connector, answer, before.origin)
            return None
        if is_gone:  # there was no set to drop when it happened (K13)
            tokens.drop(tx, token, Event.DEPROVISIONED)
            return Standing(Token.NOT_USABLE)
        if isinstance(answer, TokenResponse):
            grant = self.sealed_grant(token, connector, answer, tx.now)
            if lease.person is not None:  # the pin of a person nobody asked is their logon
                grant = replace(grant, account=lease.person)
                pauses.readying(tx, before.project, before.user or "", before.connector)
            token = after(token, Event.REFRESHED, now=tx.now, grant=grant)
        else:
            token = refreshing.failed(token, before, answer, tx.now)
            token = replace(token, reason=IDENTITY_CHANGED) if is_another else token
            token = refreshing.announced(tx, before, token)
            refreshing.troubled(tx, connector, token, answer)
        return judged(self.save(tx, connector, token), tx.now)


def _why_not(tx: Transaction, token: TokenSet, logon: str | None) -> str | None:
    """What keeps a token from being minted for a person; None where nothing does (safety 20)."""
    if logon is None:
        return NO_LOGON
    if not token.is_right_account(logon):
        return IDENTITY_CHANGED
    holder = tokens.holder(tx, token.project, token.connector, logon)
    return None if holder in (None, token.user) else ACCOUNT_TAKEN
