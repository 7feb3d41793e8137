"""A project in which steps run: a connected Salesforce, people, tokens that really work."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx

from broker.db import seal
from broker.db.database import Database, Transaction
from broker.db.seal import Hasher, Seal
from broker.demo.grants import App, Code
from broker.demo.people import PEOPLE
from broker.demo.simulator import Simulator, serving
from broker.domain import ids, names
from broker.domain.callers import Caller, Kind
from broker.domain.clock import HOUR
from broker.domain.connectors import Connector, Policy, State
from broker.domain.mapping import Profile
from broker.domain.token_states import Event, after
from broker.domain.tokens import State as TokenState
from broker.domain.tokens import TokenSet
from broker.domain.users import License, Status, SuspendedBy, User
from broker.service.asking import StepRequest
from broker.service.authenticating import Authenticating
from broker.service.authorizing import Authorizing
from broker.service.callers import Callers
from broker.service.holding import Holding
from broker.service.pausing import Pausing
from broker.service.programs import Programs
from broker.service.recognizing import Recognizing
from broker.service.resolving import Resolving
from broker.service.signing import Signing
from broker.service.vault import Vault
from broker.store import callers as caller_rows
from broker.store import connectors, projects, tokens, users
from providers.capabilities import Account, TokenResponse
from providers.egress import Egress
from providers.oidc import Issuers
from providers.registry import Registry
from providers.secret import Secret
from tests.canaries import planted

PUBLIC_URL = "http://127.0.0.1:8080"
CLIENT = "consumer-key"
CLIENT_SECRET = planted("consumer")
KIM, ANA, BO = (person.user_name for person in PEOPLE[:3])
"""People who have an account at the pretend Salesforce."""
ROBOT = "automation@acme.example"
CREDENTIALS = ("credentials:read", "credentials:connector")
ENGINE = ("resolve", *CREDENTIALS, "pauses:read", "pauses:write", "authenticate", "links:write")


@dataclass(frozen=True, slots=True)
class World:
    """The services over one database and one simulator, and one project."""

    db: Database
    simulator: Simulator
    egress: Egress
    project: str
    seal: Seal
    hasher: Hasher
    programs: Programs
    vault: Vault
    authorizing: Authorizing
    resolving: Resolving
    pausing: Pausing
    authenticating: Authenticating

    async def elsewhere(self) -> World:
        """The same installation, seen from another project."""
        return await _made(self.db, self.simulator, self.egress, "another")

    async def key(self, *scopes: str, **limits: Any) -> Caller:
        """A new API key as the service behind it is seen."""
        callers = Callers(self.db, self.hasher)
        _, text = await callers.add_key(
            self.project, "engine", scopes or ENGINE, by="operator", **limits
        )
        return await callers.service(f"Bearer {text}")

    async def revoke(self, caller: Caller) -> None:
        """End a key."""
        await Callers(self.db, self.hasher).revoke_key(self.project, caller.id, by="operator")

    async def administrator(self) -> Caller:
        """An administrator's living session."""
        return await self._begun(Kind.ADMINISTRATOR, asserted_by="setup")

    async def session(
        self, user: User, *, asserted_by: str = "issuer", link_id: str | None = None
    ) -> Caller:
        """A person's living session, begun now; at the issuer they were asked anew."""
        return await self._begun(
            Kind.PERSON, asserted_by=asserted_by, user_id=user.id, link_id=link_id
        )

    async def _begun(self, kind: Kind, **more: Any) -> Caller:
        hash = self.hasher(ids.new("cookie"))

        def beginning(tx: Transaction) -> Caller | None:
            said = {"lifetime": HOUR, "anew_since": tx.now} | more
            caller_rows.insert_session(tx, self.project, hash, kind, **said)
            return caller_rows.find_session(tx, hash)

        caller = await self.db.write(beginning)
        assert caller is not None
        return caller

    async def person(self, user_name: str, status: Status = Status.ACTIVE, **more: Any) -> User:
        """Somebody of the project, in any status."""
        return await self.db.write(self._inserting, user_name, status, more)

    def _inserting(
        self, tx: Transaction, user_name: str, status: Status, more: dict[str, Any]
    ) -> User:
        active, queued = status is Status.ACTIVE, status is Status.QUEUED
        profile = Profile(user_name, "Kim Lee", given_name="Kim", family_name="Lee")
        user = User(
            id=ids.new("usr"),
            project=self.project,
            directory="dir_1",
            external_id=None,
            profile=profile,
            status=status,
            created_at=tx.now,
            changed_at=tx.now,
            suspended_by=SuspendedBy.ADMIN if status is Status.SUSPENDED else None,
            license=License.HELD if active else License.NONE,
            queue_seq=tx.now if queued else None,
        )
        user = replace(user, **more)
        users.insert(tx, user)
        return user

    async def change(self, user: User, **more: Any) -> User:
        """The person with some things changed, as they are kept now."""
        changed = replace(user, **more)
        await self.db.write(users.change, changed)
        return changed

    async def connector(
        self, name: str = "Salesforce", state: State = State.CONNECTED, **more: Any
    ) -> Connector:
        """A connector of the pretend Salesforce that went through the wizard."""
        return await self.db.write(self._connecting, name, state, more)

    def _connecting(
        self, tx: Transaction, name: str, state: State, more: dict[str, Any]
    ) -> Connector:
        connector = Connector(
            id=ids.new("con"),
            project=self.project,
            name=name,
            name_key=names.key(name),
            type="salesforce",
            state=state,
            created_by="admin:setup",
            created_at=tx.now,
            changed_at=tx.now,
            environment={"name": "rehearsal"},
            fields={"client_id": CLIENT},
            origin=self.simulator.base_url,
        )
        connector = replace(connector, **more)
        connectors.insert(tx, connector)
        connectors.take(tx, connector, only_one=False)
        self.programs.protect(
            tx, connector, "client_secret", Secret(CLIENT_SECRET), by="admin:setup"
        )
        self.simulator.salesforce.apps[CLIENT].redirect_uris.add(
            self.programs.redirect_uri(connector.id)
        )
        return connector

    async def setting(self, connector: Connector, **more: Any) -> Connector:
        """The connector with some things changed, as it is kept now."""
        changed = replace(connector, **more)
        await self.db.write(connectors.change, changed)
        return changed

    async def connect(
        self, connector: Connector, user: User | None, *, as_user: str | None = None, **more: Any
    ) -> TokenSet:
        """A grant the pretend Salesforce really gave: the person's, or the connector user's."""
        answer = self.approved(as_user or (user.user_name if user else ROBOT))
        return await self.db.write(self.granting, connector, user, answer, more)

    def approved(self, user_name: str) -> TokenResponse:
        """What the pretend Salesforce answers once this account allowed access."""
        state = self.simulator.salesforce
        who = state.users[user_name]
        code = Code(state.apps[CLIENT], who, "", "", ("api", "refresh_token"), state.clock.now())
        approval = state.approve(code)
        return TokenResponse(
            access_token=Secret(state.session(approval)),
            refresh_token=Secret(approval.refresh_token),
            expires_in_s=7200,
            scopes=code.scopes,
            base_url=self.simulator.base_url,
            account=Account(ids.new("account"), who.user_name),
        )

    def granting(
        self,
        tx: Transaction,
        connector: Connector,
        user: User | None,
        answer: TokenResponse,
        more: dict[str, Any],
    ) -> TokenSet:
        """Keep a grant in the caller's transaction, with some things changed."""
        user_id = user.id if user else None
        token = tokens.read(tx, self.project, connector.id, user_id) or tokens.absent(
            tx, self.project, connector.id, user_id
        )
        grant = self.vault.sealed_grant(token, connector, answer, tx.now)
        token = after(token, Event.CONNECTED, now=tx.now, grant=grant)
        return self.vault.save(tx, connector, replace(token, **more))

    async def works(self, credential: dict[str, Any]) -> bool:
        """Whether the pretend Salesforce's API takes a credential out of an answer."""
        async with httpx.AsyncClient() as client:
            answer = await client.get(
                f"{credential['base_url']}/services/data/v61.0/query",
                headers={"Authorization": f"Bearer {credential['access_token']}"},
            )
        return answer.status_code == 200

    async def rows(self, sql: str, **params: Any) -> list[dict[str, Any]]:
        """What the database holds."""
        found = await self.db.read(lambda tx: tx.all(sql, **params))
        return [dict(row) for row in found]


def asked(subject: dict[str, Any] | None = None, **more: Any) -> StepRequest:
    """A question as a flow engine asks it; `more` names members of StepRequest."""
    request = StepRequest.parse(
        {
            "connector": "salesforce",
            "step": {"id": "s4", "type": "retrieve_data"},
            "execution": {"id": "r-88412", "flow": "close-contract", "attempt": 1},
            "subject": subject,
        }
    )
    return replace(request, **more)


def on(policy: Policy) -> dict[str, Any]:
    """A connector where people sign in themselves, with this policy."""
    return {"user_authentication": True, "policy": policy}


OFF: dict[str, Any] = {}
END, PAUSE = on(Policy.END_WITH_ERROR), on(Policy.PAUSE)
FALLBACK, WARNED = on(Policy.FALLBACK), on(Policy.FALLBACK_WITH_WARNING)
EXPIRED: dict[str, Any] = {"expires_at": 0}
DEAD: dict[str, Any] = {"state": TokenState.NEEDS_REAUTH, "reason": "grant_dead"}
LATER: dict[str, Any] = {"expires_at": 0, "retry_at": 2**53}
"""Over, and the provider may not be asked again yet: a transient failure (K9)."""


@asynccontextmanager
async def world(db: Database) -> AsyncIterator[World]:
    """The services on this database, and a simulator that answers, while the block runs."""
    async with serving() as simulator:
        simulator.salesforce.register(App(CLIENT, CLIENT_SECRET))
        egress = Egress(origins=(simulator.base_url,))
        try:
            yield await _made(db, simulator, egress)
        finally:
            await egress.aclose()


async def _made(db: Database, simulator: Simulator, egress: Egress, name: str = "default") -> World:
    project = await db.write(projects.insert, name)
    assert project is not None
    ring = Seal(seal.keys_from(seal.new_key("test")))
    hasher = Hasher(b"k" * 32)
    programs = Programs(Registry(egress, simulator=simulator.base_url), ring, PUBLIC_URL)
    vault = Vault(db, hasher, programs)
    authorizing = Authorizing(db, hasher, vault)
    resolving = Resolving(db, vault)
    return World(
        db=db,
        simulator=simulator,
        egress=egress,
        project=project.id,
        seal=ring,
        hasher=hasher,
        programs=programs,
        vault=vault,
        authorizing=authorizing,
        resolving=resolving,
        pausing=Pausing(db, hasher, resolving),
        authenticating=Authenticating(
            db, hasher, Recognizing(Issuers(egress)), Signing(db, ring), PUBLIC_URL, Holding(db)
        ),
    )
