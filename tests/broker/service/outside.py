"""The services that talk to outside programs, beside the pretend ones, over real loopback HTTP."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

from broker.db.database import Database, Transaction
from broker.db.seal import Hasher, Seal
from broker.demo import grants, simulator
from broker.demo.grants import App
from broker.demo.simulator import Simulator
from broker.domain import ids
from broker.domain.callers import Caller, Kind
from broker.domain.links import Link
from broker.domain.mapping import Profile
from broker.domain.token_states import Event, after
from broker.domain.tokens import Grant, TokenSet
from broker.domain.users import License, Status, User
from broker.service.authorizing import Authorizing
from broker.service.callers import Callers
from broker.service.completing import Completed
from broker.service.connecting import Connecting
from broker.service.forms import Said
from broker.service.programs import Programs
from broker.service.vault import Vault
from broker.service.views import ConnectorView
from broker.store import projects, tokens, users
from providers.egress import Egress
from providers.registry import Registry
from providers.secret import Secret
from tests.canaries import planted

PUBLIC_URL = "http://127.0.0.1:8080"
CLIENT_ID = "3MVG9-the-app"
CLIENT_SECRET = planted("client-secret")
ROBOT = "automation@acme.example"
KIM = "kim.lee@acme.example"
KEYS = {"k1": b"1" * 32}
HASH_KEY = b"h" * 32


@dataclass
class Outside:
    """One project's broker and the programs around it."""

    db: Database
    project: str
    programs: Simulator
    seal: Seal
    callers: Callers
    vault: Vault
    authorizing: Authorizing
    connecting: Connecting
    administrator: Caller
    app: App
    browsers: dict[str, str] = field(default_factory=dict)

    async def draft(self, name: str = "Salesforce", **more: Any) -> str:
        """A complete draft of a Salesforce connector, in rehearsal."""
        said = Said(name=name, **(complete() | more))
        view = await self.connecting.create(self.administrator, "salesforce", said)
        return view.connector.id

    async def connector(self, name: str = "Salesforce", *, account: str = ROBOT) -> str:
        """A connector that went through the whole wizard."""
        return await self.connected(await self.draft(name), account=account)

    async def connected(self, id: str, *, account: str = ROBOT) -> str:
        """A complete draft, led through the rest of the wizard."""
        link = await self.connecting.authorize(self.administrator, id)
        completed = await self.sign_in(link, self.administrator, account)
        assert completed.ok, completed
        await self.connecting.connect(self.administrator, id)
        return id

    async def person(self, name: str = "kim.lee@acme.example", **more: Any) -> User:
        """Somebody who is active."""
        user = User(
            id=ids.new("usr"),
            project=self.project,
            directory=None,
            external_id=more.pop("external_id", None),
            profile=Profile(user_name=name, display_name=name.partition("@")[0]),
            status=more.pop("status", Status.ACTIVE),
            created_at=0,
            changed_at=0,
            license=more.pop("license", License.HELD),
            **more,
        )
        await self.db.write(users.insert, user)
        return user

    async def session(self, user: User, *, link_id: str | None = None) -> Caller:
        """A session as that person."""
        cookie = secrets.token_urlsafe(8)

        def beginning(tx: Transaction) -> None:
            self.callers.beginning(
                tx, self.project, user.id, cookie, asserted_by="issuer", link_id=link_id
            )

        await self.db.write(beginning)
        caller = await self.callers.session(cookie)
        assert caller is not None
        return caller

    def browser(self, caller: Caller) -> str:
        """The binding cookie of that caller's browser."""
        return self.browsers.setdefault(caller.session or "", secrets.token_urlsafe(8))

    async def link(self, user: User, connector_id: str, **more: Any) -> Link:
        """A link for that person."""
        key = self.key("links:write")
        return await self.authorizing.make_link(key, user.id, connector_id, **more)

    async def sent(
        self,
        link: Link | ConnectorView,
        caller: Caller,
        account: str,
        *,
        allow: bool = True,
        grants: str | None = None,
    ) -> Answer:
        """Go on to the program and decide there, perhaps on fewer scopes; what comes back."""
        assert isinstance(link, Link), "nobody signs in for this connector"
        url = await self.authorizing.begin(link.id, caller, self.browser(caller))
        query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        if grants is not None:
            query["scope"] = grants
        asked = next(
            program
            for program in reversed(self.programs.programs.values())
            if urlsplit(url).path.startswith(program.at.partition("{")[0])
        )
        back = urlsplit(asked.decide(query, account, allow=allow))
        params = {name: values[0] for name, values in parse_qs(back.query).items()}
        return Answer(back.path.rpartition("/")[2], params)

    async def sign_in(
        self, link: Link | ConnectorView, caller: Caller, account: str, *, allow: bool = True
    ) -> Completed:
        """The whole way of one person through one link."""
        answer = await self.sent(link, caller, account, allow=allow)
        return await self.bring(answer, caller)

    async def bring(self, answer: Answer, caller: Caller | None) -> Completed:
        """Open the callback with what the program answered."""
        browser = self.browser(caller) if caller else "another"
        return await self.authorizing.complete(answer.connector, answer.params, browser, caller)

    async def authorized(self, user: User, connector_id: str, account: str = KIM) -> TokenSet:
        """What a person holds after connecting their account."""
        caller = await self.session(user)
        link = await self.link(user, connector_id)
        completed = await self.sign_in(link, caller, account)
        assert completed.ok, completed
        return await self.token(connector_id, user.id)

    async def granted(self, connector_id: str, number: int) -> str:
        """A person whose grant has expired, made without the walk through the pages; their id."""
        name = f"crowd-{number}@acme.example"
        state = self.programs.salesforce
        state.users[name] = grants.User(f"005Dm1{number:09d}", name, name)
        code = grants.Code(self.app, state.users[name], "", "", ("api", "refresh_token"), 0.0)
        refresh_token = Secret(state.approve(code).refresh_token)
        user = await self.person(name)

        def granting(tx: Transaction) -> None:
            token = tokens.absent(tx, self.project, connector_id, user.id)
            grant = Grant(
                access=self.vault.sealed(token, "access_token", Secret("over")),
                refresh=self.vault.sealed(token, "refresh_token", refresh_token),
                expires_at=tx.now,
                origin=self.programs.base_url,
            )
            connected = after(token, Event.CONNECTED, now=tx.now, grant=grant)
            tokens.save(tx, connected, due_at=None)

        await self.db.write(granting)
        return user.id

    async def token(self, connector_id: str, user_id: str | None) -> TokenSet:
        found = await self.db.read(tokens.read, self.project, connector_id, user_id)
        assert found is not None
        return found

    async def rows(self, sql: str, **params: Any) -> list[dict[str, Any]]:
        """What the database holds."""
        return await self.db.read(lambda tx: [dict(row) for row in tx.all(sql, **params)])

    def key(self, *scopes: str, **more: Any) -> Caller:
        """A service's API key with these scopes."""
        return Caller(
            kind=Kind.SERVICE,
            project=self.project,
            id="key_test",
            name="flow engine",
            scopes=frozenset(scopes),
            **more,
        )


@dataclass(frozen=True)
class Answer:
    """A callback: the connector in its address, and its query."""

    connector: str
    params: dict[str, str]


def complete() -> dict[str, Any]:
    """All that a Salesforce connector needs before somebody is sent to authorize."""
    return {
        "environment": {"name": "rehearsal"},
        "options": {"buttons": "install_update"},
        "fields": {
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "button_object": "Account",
        },
    }


@contextmanager
def running() -> Iterator[Simulator]:
    """The pretend programs on a port of their own, in a thread, for all tests of a module."""
    started: SimpleQueue[tuple[Simulator, asyncio.AbstractEventLoop, asyncio.Event]] = SimpleQueue()

    async def serving() -> None:
        async with simulator.serving() as programs:
            stopped = asyncio.Event()
            started.put((programs, asyncio.get_running_loop(), stopped))
            await stopped.wait()

    thread = Thread(target=lambda: asyncio.run(serving()), name="programs")
    thread.start()
    programs, loop, stopped = started.get(timeout=30)
    yield programs
    loop.call_soon_threadsafe(stopped.set)
    thread.join()


@asynccontextmanager
async def opened(
    db: Database,
    programs: Simulator,
    *,
    project: str = "acme",
    relays: Mapping[str, str] | None = None,
) -> AsyncIterator[Outside]:
    """A project, an administrator, and the pretend programs as if nobody had been there."""
    programs.clock.advance(time.time() - programs.clock.now())
    fresh = grants.State(programs.base_url)
    for name in ("switches", "apps", "users", "codes", "approvals", "calls"):
        setattr(programs.salesforce, name, getattr(fresh, name))
    for state in (one.state for one in programs.programs.values()):
        state.apps, state.codes, state.approvals = {}, {}, []
        state.calls.clear()
    egress = Egress(origins=[programs.base_url], relays=relays)
    try:
        yield await _built(db, programs, egress, project)
    finally:
        await egress.aclose()


async def _built(db: Database, programs: Simulator, egress: Egress, name: str) -> Outside:
    seal, hasher = Seal(KEYS), Hasher(HASH_KEY)
    callers = Callers(db, hasher)
    made = await db.write(projects.insert, name)
    assert made is not None
    cookie = await callers.use_setup_link(await callers.setup_link(made.id))
    administrator = await callers.session(cookie)
    assert administrator is not None
    app = App(CLIENT_ID, CLIENT_SECRET, redirect_prefix=PUBLIC_URL + "/oauth/callback/")
    programs.salesforce.register(app)
    registry = Registry(egress, simulator=programs.base_url)
    vault = Vault(db, hasher, Programs(registry, seal, PUBLIC_URL))
    authorizing = Authorizing(db, hasher, vault)
    return Outside(
        db=db,
        project=made.id,
        programs=programs,
        seal=seal,
        callers=callers,
        vault=vault,
        authorizing=authorizing,
        connecting=Connecting(db, vault),
        administrator=administrator,
        app=app,
    )
