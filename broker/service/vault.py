"""A usable token, refreshed once, whoever asks; and those kept alive for which nobody does."""

import asyncio
from dataclasses import dataclass, field
from functools import partial

import structlog

from broker.db.database import Transaction
from broker.db.seal import Unreadable
from broker.domain.clock import DAY, SECOND
from broker.domain.errors import Conflict, Unavailable
from broker.domain.steps import Token
from broker.domain.token_states import LEASE_WAIT
from broker.domain.tokens import State, TokenSet
from broker.service import refreshing
from broker.service.leasing import KEEP_ALIVE, Key, Lease, Leasing
from broker.service.refreshing import Standing, judged
from broker.store import connectors, pauses, projects, tokens
from providers.capabilities import TokenResponse
from providers.errors import ProviderError
from providers.secret import Secret

FIRST_LOOK_S = 0.02
LAST_LOOK_S = 0.5
ABREAST = 32  # calls at one time: a queue in front of the provider must not eat the call's time
BEHIND = 8  # of them for the background: whoever waits for an answer goes before it

NOTICE = 3 * DAY

log = structlog.get_logger("broker.vault")


@dataclass(frozen=True, slots=True)
class Flight:
    """A refresh of this process: what serves meanwhile, and how it will stand."""

    meanwhile: Standing
    landing: asyncio.Task[Standing]


@dataclass(frozen=True, slots=True)
class Vault(Leasing):
    """Refreshes and mints what the safe keeps; a refresh token leaves it to its provider alone.

    `flights` are the refreshes of this process: whoever asks meanwhile waits for the same one.
    `slots` bounds how many call a provider at one time, before their leases begin, `behind` how
    many of them nobody waits for; `rounds` are those of the background under way, one at most.
    """

    flights: dict[Key, Flight] = field(default_factory=dict)
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(ABREAST))
    behind: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(BEHIND))
    rounds: set[asyncio.Task[int]] = field(default_factory=set)

    async def usable(
        self, project: str, connector_id: str, user_id: str | None
    ) -> tuple[TokenSet, Secret]:
        """A set that serves now with its access token, opened, after at most one refresh.

        Whoever asks writes down why (R46). Conflict `authorization-needed` where only a person or
        an administrator can help, Unavailable where waiting may.
        """
        key = (project, connector_id, user_id or tokens.CONNECTOR_USER)
        found = await self.db.peek(self._serving, key)
        if found is None or found[2]:
            standing = await self.refreshed(project, connector_id, user_id)
            if found is None and standing.token is Token.TRANSIENT:
                raise Unavailable("The program gives no token now.", reason="token-unavailable")
            found = found or await self.db.peek(self._serving, key)
        if found is None:
            raise Conflict(
                "Nothing that is held there can be used.",
                reason="authorization-needed",
                next="Authorize the connector again." if user_id is None else "Sign in there.",
            )
        return found[:2]

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

    async def begin(self) -> None:
        """Keep alive beside the worker, which a slow provider must not hold up."""
        if not self.rounds:
            task = asyncio.create_task(self.keep_alive())
            self.rounds.add(task)
            task.add_done_callback(self._ended)

    async def keep_alive(self) -> int:
        """Refresh what is due though nobody waits: failed tries, what a step was given and is
        about to end, and grants long unused (K9, T13). How many were looked at.

        Any number of replicas may do it at once (K5).
        """
        due: set[Key] = set()
        for project in await self.db.read(projects.every):
            due |= await self.db.read(self._due, project.id)
        await asyncio.gather(*map(self._kept_alive, due))
        return len(due)

    async def warn(self) -> int:
        """Tell once, three days before, that a grant ends which nobody refreshes; how many.

        It is the connector's switch, or nobody asked for the connector in 180 days (T13).
        """
        told = 0
        for project in await self.db.read(projects.every):
            while batch := await self.db.write(_warning, project.id):
                told += batch
        return told

    async def _kept_alive(self, key: Key) -> None:
        async with self.behind:
            meanwhile = await self.db.peek(self._standing, key)
            flight = self._flight(key, meanwhile, purpose=KEEP_ALIVE)
            await asyncio.wait({flight.landing})

    async def landed(self) -> None:
        """Begin no more and wait for the refreshes under way, before the process ends."""
        for task in self.rounds:
            task.cancel()
        landings = [flight.landing for flight in self.flights.values()]
        await asyncio.gather(*landings, return_exceptions=True)

    def _flight(self, key: Key, meanwhile: Standing, *, purpose: str = "refresh") -> Flight:
        """The refresh of a set in this process: the one under way, or a new one."""
        flight = self.flights.get(key)
        if flight is None:
            flight = Flight(meanwhile, asyncio.create_task(self._flown(key, purpose)))
            self.flights[key] = flight
            flight.landing.add_done_callback(partial(self._landed, key))
        return flight

    def _ended(self, task: asyncio.Task[int]) -> None:
        self.rounds.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("keeping alive failed", exc_info=error)

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
                found = await self.db.write(self.leased, key, purpose)
                if isinstance(found, Lease):
                    found = await self._asked(found)
            if found is not None:
                return found
            await asyncio.sleep(look)
            look = min(look * 1.5, LAST_LOOK_S)
        return Standing(Token.TRANSIENT)

    async def _asked(self, lease: Lease) -> Standing | None:
        """Call the provider under a lease, and write down what it said."""
        loop = asyncio.get_running_loop()
        began, answer = loop.time(), await self._answer(lease)
        error = answer if isinstance(answer, ProviderError) else None
        took = int((loop.time() - began) * SECOND)
        self.breakers.heard(lease.place, error, lease.taken_at + took)
        return await self.db.write(self.answered, lease, answer)

    async def _answer(self, lease: Lease) -> TokenResponse | ProviderError:
        programs, type = self.programs, lease.provider_type
        try:
            if lease.refresh_token is None:
                return await programs.minter(type).mint(lease.registration, lease.person)
            return await programs.provider(type).refresh(
                lease.registration, lease.refresh_token, scopes=lease.before.scopes
            )
        except ProviderError as error:
            return error

    def _due(self, tx: Transaction, project: str) -> set[Key]:
        """What to refresh; and people for whom steps wait where nobody signs in, so that only a
        token that can be minted now ends their pause (P2).
        """
        due = {(project, connector, user) for connector, user in tokens.due(tx, project)}
        for connector in connectors.every(tx, project):
            if connector.is_available and self.programs.mints_people(connector):
                waiting = pauses.awaited(tx, project, connector.id)
                due |= {(project, connector.id, user) for user in waiting}
        return due

    def _serving(self, tx: Transaction, key: Key) -> tuple[TokenSet, Secret, bool] | None:
        """The set with its token, and whether to refresh it behind; None where none serves."""
        token = tokens.read(tx, *key)
        if token is None or not token.is_usable(tx.now):
            return None
        try:
            return token, self.opened(token), judged(token, tx.now).is_due
        except Unreadable:
            return None

    def _standing(self, tx: Transaction, key: Key) -> Standing:
        """How the set stands as it is kept; due where a flight could change that."""
        project, connector_id, user_id = key
        token = tokens.read(tx, *key)
        if token is None or token.state is not State.VALID:
            connector = connectors.find(tx, project, connector_id)
            token = self.begun(tx, connector, user_id or None, token) if connector else None
        if token is None:
            return Standing(Token.NOT_USABLE)
        if not self._is_told(token):
            return Standing(Token.NOT_USABLE, is_due=True)
        return judged(token, tx.now)


def _warning(tx: Transaction, project: str) -> int:
    lapsing = tokens.lapsing(tx, project, by=tx.now + NOTICE)
    for token in lapsing:
        refreshing.say(tx, token, refreshing.EXPIRING, "unused")
        tokens.told(tx, token, refreshing.EXPIRING)
    return len(lapsing)
