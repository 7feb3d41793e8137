"""Links: send one person to one provider, and take the callback of exactly that one (K1-K3)."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from broker.db.database import Database, Duplicate, Transaction
from broker.db.seal import Hasher
from broker.domain import connectors as rows_c
from broker.domain.callers import Caller
from broker.domain.connectors import Connector
from broker.domain.errors import BrokerError, Conflict, NotFound
from broker.domain.links import Link, Purpose, State
from broker.domain.tokens import State as TokenState
from broker.domain.tokens import TokenSet
from broker.service import completing, linking
from broker.service.completing import Claimed, Completed
from broker.service.programs import Programs, not_now
from broker.service.vault import Vault
from broker.store import connectors, links, pauses, projects, tokens, users
from providers.errors import ClientMisconfigured, ProviderError
from providers.oauth2 import Pkce
from providers.secret import Secret


@dataclass(frozen=True, slots=True)
class Opened:
    """A link as its page shows it to the one person who may see it."""

    link: Link
    connector: str
    type: str


@dataclass(frozen=True, slots=True)
class Authorizing:
    """Makes links, sends their person on, claims the callback, has the grant kept."""

    db: Database
    hasher: Hasher
    vault: Vault

    @property
    def programs(self) -> Programs:
        """The programs people are sent to."""
        return self.vault.programs

    async def make_link(
        self,
        caller: Caller,
        user_id: str,
        connector: str,
        *,
        return_url: str | None = None,
        scopes: tuple[str, ...] = (),
    ) -> Link:
        """The open link of a person and connector, made where there is none (POST /v1/links).

        `connector` is its name or its id.

        NotFound: no such person or connector. Conflict: not active, not connected, or
        `user-auth-not-supported` (R20). Invalid where `return_url` is not registered (safety 29).
        """
        caller.require("links:write")
        caller.require_return_url(return_url)
        return await self.db.write(self._making, caller, user_id, connector, return_url, scopes)

    async def page(self, link_id: str, caller: Caller | None) -> Opened:
        """What `GET /connect/{link}` shows; nothing changes by looking.

        Unknown without a session; Forbidden, and a security event, for anybody else (safety 16).
        """
        found = await self.db.write(self._opening, link_id, caller)
        if isinstance(found, BrokerError):
            raise found
        return found

    async def begin(self, link_id: str, caller: Caller | None, browser: str) -> str:
        """The provider's address for the person to go on to; fails as `page` does.

        `browser` is the value of the browser-binding cookie; it has to come back (safety 14).
        """
        found = await self.db.write(self._beginning, link_id, caller, browser)
        if isinstance(found, BrokerError):
            raise found
        return found

    async def complete(
        self, connector_id: str, params: Mapping[str, str], browser: str, caller: Caller | None
    ) -> Completed:
        """Take a callback: claim its link, redeem the code, keep the grant; three steps.

        The claim is one UPDATE that matches state, browser, session and connector before the code
        is redeemed (safety 14, 15); the provider is called outside of any transaction. Unknown,
        Forbidden or Conflict where nothing is claimed; a refusal by the provider, another
        account or a link that ended meanwhile is a Completed that is not `ok` (K3, C5).
        """
        state = params.get("state", "")
        claimed = await self.db.write(self._claiming, connector_id, state, browser, caller)
        if isinstance(claimed, BrokerError):
            raise claimed
        provider = self.programs.provider(claimed.connector.type)
        try:
            answer = await provider.exchange(
                claimed.registration, answer=params, verifier=claimed.verifier
            )
        except ProviderError as error:
            return await self.db.write(completing.refused, claimed, error)
        try:
            return await self.db.write(completing.kept, self.vault, claimed, answer)
        except Duplicate:  # another person connected this account in the same moment (safety 17)
            return await self.db.write(completing.taken, self.vault, claimed, answer)

    async def sweep(self) -> int:
        """End links nobody completed in time (K3); how many."""
        swept = 0
        for project in await self.db.read(projects.every):
            swept += await self.db.write(completing.expire, project.id)
        return swept

    def _making(
        self,
        tx: Transaction,
        caller: Caller,
        user_id: str,
        called: str,
        return_url: str | None,
        scopes: tuple[str, ...],
    ) -> Link:
        connector = connectors.meant(tx, caller.project, called)
        caller.require_connector(connector.name if connector else called)
        if connector is None:
            raise NotFound()
        self.programs.require_sign_in(connector)
        user = users.get(tx, caller.project, user_id)
        if user.is_gone:
            raise Conflict("This person is not active.", reason="user-not-active")
        return linking.made(
            tx,
            caller.project,
            Purpose.CONNECT,
            caller.actor,
            user=user.id,
            connector=connector.id,
            return_url=return_url,
            scopes=scopes,
        )

    def _opening(
        self, tx: Transaction, link_id: str, caller: Caller | None
    ) -> Opened | BrokerError:
        link = self._admitted(tx, link_id, caller)
        if isinstance(link, BrokerError):
            return link
        connector = connectors.get(tx, link.project, link.connector or "")
        return Opened(link, connector.name, connector.type)

    def _beginning(
        self, tx: Transaction, link_id: str, caller: Caller | None, browser: str
    ) -> str | BrokerError:
        link = self._admitted(tx, link_id, caller)
        if isinstance(link, BrokerError):
            return link
        if caller is None or caller.session is None or not browser:
            return linking.sign_in()
        connector = connectors.get(tx, link.project, link.connector or "", lock=True)
        if link.purpose is Purpose.WIZARD:
            _sent(tx, connector)
        elif not connector.is_available:
            return not_now(connector)
        state, pkce = secrets.token_urlsafe(32), Pkce.new()
        links.follow(
            tx,
            link,
            state_hash=self.hasher(state),
            browser_hash=self.hasher(browser),
            session_hash=caller.session,
            verifier=self.programs.seal.seal(
                pkce.verifier.reveal().encode(), link.project, "links", link.id, "verifier"
            ),
        )
        held = tokens.read(tx, link.project, connector.id, link.user)
        try:
            return self.programs.provider(connector.type).authorize_url(
                self.programs.public(connector),
                state=state,
                challenge=pkce.challenge,
                scopes=_wanted(tx, link, held),
                claims=held.claims if held else None,
            )
        except ClientMisconfigured as error:
            raise _misconfigured(error) from error

    def _admitted(self, tx: Transaction, link_id: str, caller: Caller | None) -> Link | BrokerError:
        link = linking.admitted(tx, link_id, caller)
        return link if isinstance(link, BrokerError) else self._current(tx, link)

    def _current(self, tx: Transaction, link: Link) -> Link | BrokerError:
        """The link itself, or the one that takes its place after a try that failed (K3)."""
        if link.state is State.OPEN and tx.now < link.expires_at:
            return link
        failed = link.state is State.FAILED and tx.now < link.expires_at
        if link.purpose is Purpose.CONNECT and failed:
            return linking.made(
                tx,
                link.project,
                link.purpose,
                link.made_by,
                user=link.user,
                connector=link.connector,
                return_url=link.return_url,
                scopes=link.scopes,
            )
        return linking.over()

    def _claiming(
        self, tx: Transaction, connector_id: str, state: str, browser: str, caller: Caller | None
    ) -> Claimed | BrokerError:
        if caller is None:
            return linking.sign_in()
        project = caller.project
        connector = connectors.find(tx, project, connector_id)
        if connector is None:
            return NotFound()
        proof = (self.hasher(state), self.hasher(browser), caller.session)
        link = links.claim(tx, project, connector_id, *proof)
        if link is None:
            return linking.unclaimed(tx, connector, proof, caller)
        seal = self.programs.seal
        verifier = seal.open(link.verifier or b"", project, "links", link.id, "verifier")
        registration = self.programs.registration(tx, connector, purpose="authorize")
        return Claimed(link, connector, registration, Secret(verifier.decode()), caller.actor)


def _wanted(tx: Transaction, link: Link, held: TokenSet | None) -> tuple[str, ...]:
    """What one consent has to cover: what is granted, what was missing, what is wanted (K15)."""
    wanted = link.scopes
    if link.user and link.connector:
        wanted += pauses.scopes(tx, link.project, link.user, link.connector)
    if held is not None and held.state is not TokenState.REVOKED:
        wanted = (*held.scopes, *held.missing_scopes, *wanted)
    return tuple(dict.fromkeys(wanted))


def _misconfigured(error: ClientMisconfigured) -> Conflict:
    return Conflict(
        f"The connector is set up so that nobody can sign in: {error.provider_text}.",
        reason="misconfigured",
        next=error.advice or "An administrator has to correct the connector.",
    )


def _sent(tx: Transaction, connector: Connector) -> None:
    """The wizard goes on to the provider (C3); a connector in use stays as it is (C8)."""
    if connector.state not in rows_c.USED:
        connectors.change(tx, rows_c.after(connector, rows_c.Event.AUTHORIZING, now=tx.now))
