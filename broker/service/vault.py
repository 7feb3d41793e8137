"""A usable token, refreshed once, whoever asks: lease, fence and journal in the row (rows K)."""

import asyncio
from dataclasses import dataclass, field
from functools import partial

import structlog

from broker.db.database import Database, Transaction
from broker.db.seal import Hasher, Unreadable
from broker.domain.clock import SECOND
from broker.domain.connectors import Connector
from broker.domain.steps import Token
from broker.domain.token_states import LEASE_WAIT, Event, after, leased
from broker.domain.tokens import Grant, State, TokenSet, lifetime
from broker.service import refreshing
from broker.service.programs import MustEnterAgain, Programs
from broker.service.refreshing import Standing, judged
from broker.store import connectors, projects, tokens
from providers.capabilities import Registration, TokenResponse
from providers.errors import ProviderError, TryLater
from providers.secret import Secret

LEASE = 15 * SECOND  # a provider call ends within 10 seconds: a living holder never loses it
FIRST_LOOK_S = 0.02
LAST_LOOK_S = 0.5
ABREAST = 32  # calls at one time: a queue in front of the provider must not eat the call's time

Key = tuple[str, str, str]
"""Project, connector, person ("" for the connector user)."""
log = structlog.get_logger("broker.vault")


@dataclass(frozen=True, slots=True)
class Flight:
    """A refresh of this process: what serves meanwhile, and how it will stand."""

    meanwhile: Standing
    landing: asyncio.Task[Standing]


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to call the provider once: the set as it was before, and what to send."""

    before: TokenSet
    fence: int
    provider_type: str
    registration: Registration
    refresh_token: Secret


@dataclass(frozen=True, slots=True)
class Vault:
    """Opens and refreshes token sets; a refresh token leaves it to its provider alone.

    `flights` are the refreshes of this process: whoever asks meanwhile waits for the same one.
    `slots` bounds how many call a provider at one time, before their leases begin.
    """

    db: Database
    hasher: Hasher
    programs: Programs
    flights: dict[Key, Flight] = field(default_factory=dict)
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(ABREAST))

    async def refreshed(self, project: str, connector_id: str, user_id: str | None) -> Standing:
        """How a person (None: the connector user) stands there, after at most one refresh.

        A token that is merely expiring is served while it is refreshed behind. Otherwise waits at
        most 12 seconds for whoever refreshes (K5). No failure is raised: the row keeps what
        happened, and the next one to look finds it.
        """
        key = (project, connector_id, user_id or tokens.CONNECTOR_USER)
        flight = self.flights.get(key)
        if flight is None:
            standing = await self.db.peek(self._standing, key)
            if not standing.is_due:
                return standing
            flight = self._flight(key, standing)
        if flight.meanwhile.token is Token.USABLE:
            return flight.meanwhile
        landed, _ = await asyncio.wait({flight.landing}, timeout=LEASE_WAIT / SECOND)
        return flight.landing.result() if landed else Standing(Token.TRANSIENT)

    async def keep_alive(self) -> int:
        """Refresh what is due though nobody asks: failed tries, and grants long unused (T13).

        Answers how many were looked at; any number of replicas may do it at once (K5).
        """
        due: list[Key] = []
        for project in await self.db.read(projects.every):
            found = await self.db.read(tokens.due, project.id)
            due += [(project.id, connector_id, user_id) for connector_id, user_id in found]
        meanwhile = Standing(Token.TRANSIENT)
        flights = [self._flight(key, meanwhile, purpose="keep-alive") for key in due]
        await asyncio.gather(*(flight.landing for flight in flights))
        return len(due)

    async def landed(self) -> None:
        """Wait for the refreshes under way, before the process ends."""
        landings = [flight.landing for flight in self.flights.values()]
        await asyncio.gather(*landings, return_exceptions=True)

    def opened(self, token: TokenSet) -> Secret:
        """The access token of a set; `seal.Unreadable` where its key is missing (K16)."""
        return self._opened(token, token.access, "access_token")

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
        given = answer.expires_in_s
        account, refresh = answer.account, answer.refresh_token
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
        )

    def discard(self, tx: Transaction, connector: Connector, answer: TokenResponse) -> None:
        """A grant nobody may have: the provider is told to revoke it (safety 14)."""
        none = tokens.absent(tx, connector.project, connector.id, None)
        sealed = self.sealed(none, "refresh_token", answer.refresh_token or answer.access_token)
        tokens.revoke_later(tx, connector.project, connector.id, connector.origin, none.id, sealed)

    def save(self, tx: Transaction, connector: Connector, token: TokenSet) -> TokenSet:
        """Keep a set this unit holds, with the time when the background looks at it again."""
        keep_alive_s = self.programs.definition(connector.type).keep_alive_s
        tokens.save(tx, token, due_at=refreshing.due_at(token, keep_alive_s))
        return token

    def _flight(self, key: Key, meanwhile: Standing, *, purpose: str = "refresh") -> Flight:
        """The refresh of a set in this process: the one under way, or a new one."""
        flight = self.flights.get(key)
        if flight is None:
            flight = Flight(meanwhile, asyncio.create_task(self._flown(key, purpose)))
            self.flights[key] = flight
            flight.landing.add_done_callback(partial(self._landed, key))
        return flight

    def _landed(self, key: Key, landing: asyncio.Task[Standing]) -> None:
        self.flights.pop(key, None)
        if not landing.cancelled() and (error := landing.exception()) is not None:
            log.error("refresh failed", connector=key[1], exc_info=error)

    async def _flown(self, key: Key, purpose: str) -> Standing:
        """Win the lease and refresh, or wait for whoever has it and look again (K4, K5)."""
        loop = asyncio.get_running_loop()
        until, look = loop.time() + LEASE_WAIT / SECOND, FIRST_LOOK_S
        while loop.time() < until:
            async with self.slots:
                found = await self.db.write(self._leasing, key, purpose)
                if isinstance(found, Lease):
                    found = await self._asked(found)
            if found is not None:
                return found
            await asyncio.sleep(look)
            look = min(look * 1.5, LAST_LOOK_S)
        return Standing(Token.TRANSIENT)

    async def _asked(self, lease: Lease) -> Standing | None:
        """Call the provider under a lease, and write down what it said."""
        provider = self.programs.provider(lease.provider_type)
        scopes = lease.before.scopes
        answer: TokenResponse | ProviderError
        try:
            answer = await provider.refresh(lease.registration, lease.refresh_token, scopes=scopes)
        except ProviderError as error:
            answer = error
        return await self.db.write(self._answered, lease, answer)

    def _standing(self, tx: Transaction, key: Key) -> Standing:
        """How the set stands as it is kept; due where a flight could change that."""
        token = tokens.read(tx, *key)
        if token is None:
            return Standing(Token.NOT_USABLE)
        if not self._is_told(token):
            return Standing(Token.NOT_USABLE, is_due=True)
        return judged(token, tx.now)

    def _leasing(self, tx: Transaction, key: Key, purpose: str) -> Lease | Standing | None:
        """Lease the set for one call; how it stands where none is needed; None while others do."""
        project, connector_id, user_id = key
        connector = connectors.find(tx, project, connector_id)
        token = tokens.read(tx, project, connector_id, user_id, lock=True)
        if connector is None or token is None:
            return Standing(Token.NOT_USABLE)
        token = self.legible(tx, token)
        standing = judged(token, tx.now)
        if not standing.is_due:
            return standing
        if token.is_leased(tx.now):
            return None
        if token.origin != connector.origin:  # safety 18: never to another origin
            return Standing(Token.NOT_USABLE)
        if not connector.is_available:
            return Standing(Token.TRANSIENT)
        return self._leased(tx, connector, token, purpose)

    def _leased(
        self, tx: Transaction, connector: Connector, token: TokenSet, purpose: str
    ) -> Lease | Standing:
        """Take the lease and write the journal, before anybody is called."""
        try:
            registration = self.programs.registration(tx, connector, purpose=purpose)
            refresh_token = self._opened(token, token.refresh, "refresh_token")
        except (MustEnterAgain, Unreadable) as error:
            log.error("refresh not possible", connector=connector.id, why=str(error))
            return Standing(Token.TRANSIENT)
        journal = self.hasher(refresh_token.reveal())
        held = leased(token, journal=journal, until=tx.now + LEASE, now=tx.now)
        tokens.lease(tx, held)
        return Lease(token, held.fence, connector.type, registration, refresh_token)

    def _answered(
        self, tx: Transaction, lease: Lease, answer: TokenResponse | ProviderError
    ) -> Standing | None:
        """Write what the provider said, unless another was first: then None, look again (K6)."""
        project, connector_id, user = (
            lease.before.project,
            lease.before.connector,
            lease.before.user,
        )
        says_something = not isinstance(answer, TokenResponse | TryLater)
        connector = connectors.get(tx, project, connector_id, lock=says_something, gone=True)
        token = tokens.read(tx, project, connector_id, user, lock=True)
        if token is None or not token.accepts(fence=lease.fence, version=lease.before.version):
            outlived = token is not None and token.version != lease.before.version
            if outlived and isinstance(answer, TokenResponse) and answer.refresh_token:
                self.discard(tx, connector, answer)  # dropped or connected anew meanwhile
            return None
        if isinstance(answer, TokenResponse):
            grant = self.sealed_grant(token, connector, answer, tx.now)
            token = after(token, Event.REFRESHED, now=tx.now, grant=grant)
        else:
            token = refreshing.failed(token, lease.before, answer, tx.now)
            refreshing.announced(tx, lease.before, token)
            refreshing.troubled(tx, connector, token, answer)
        return judged(self.save(tx, connector, token), tx.now)

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
