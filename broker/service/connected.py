"""My connections: what one person has connected, what used it lately, and how it ends (K12)."""

from dataclasses import dataclass

import orjson

from broker.db.database import Database, Row, Transaction
from broker.domain.callers import Caller
from broker.domain.clock import DAY
from broker.domain.connectors import Connector
from broker.domain.errors import Conflict, NotFound
from broker.domain.links import Link, Purpose
from broker.domain.tokens import State, TokenSet
from broker.domain.users import User
from broker.service import linking
from broker.service.granting import disconnected
from broker.service.programs import Programs
from broker.store import connectors, decisions, tokens, users

LATELY = 30 * DAY
WORKS = frozenset({State.VALID, State.EXPIRING, State.EXPIRED})
"""An expired token is renewed by the broker; only what a person has to mend is broken."""
NOTHING = frozenset({State.ABSENT, State.REVOKED})


@dataclass(frozen=True, slots=True)
class Use:
    """What one service ran as the person in 30 days, through one connector.

    `flow` is the one it ran last; None where it named none.
    """

    service: str
    flow: str | None
    steps: int
    executions: int
    last: int


@dataclass(frozen=True, slots=True)
class Connection:
    """A connector as one person sees it: their account, how that stands, what used it."""

    connector: Connector
    type: str
    token: TokenSet | None
    standing: State
    is_offered: bool
    uses: tuple[Use, ...]

    @property
    def is_held(self) -> bool:
        """Whether something of the person is kept there."""
        return self.standing not in NOTHING

    @property
    def works(self) -> bool:
        """Whether steps run as the person there, as far as the person goes."""
        return self.standing in WORKS

    @property
    def is_minted(self) -> bool:
        """Whether the broker makes the tokens itself, so that there is nothing to give or take."""
        return self.token is not None and self.token.minted


@dataclass(frozen=True, slots=True)
class Mine:
    """All that one person has to do with, as of `now`."""

    user: User
    connections: list[Connection]
    reminders: bool
    now: int


@dataclass(frozen=True, slots=True)
class Connected:
    """Serves a person's own session, and shows it nothing of anybody else."""

    db: Database
    programs: Programs

    async def mine(self, caller: Caller) -> Mine:
        """What the person has connected and could connect, by name."""
        return await self.db.read(self._mine, caller)

    async def one(self, caller: Caller, connector_id: str) -> Connection:
        """One of them; NotFound where the person has nothing to do with that connector."""
        for found in (await self.mine(caller)).connections:
            if found.connector.id == connector_id:
                return found
        raise NotFound()

    async def link(self, caller: Caller, connector_id: str) -> Link:
        """The person's own link to a connector (K1); fails as `Authorizing.make_link` does."""
        return await self.db.write(self._linking, caller, connector_id)

    async def remove(self, caller: Caller, connector_id: str) -> None:
        """End what the person granted (K12): erased here at once, the program told behind it.

        Done already is done. NotFound where they never granted anything; Conflict where nobody
        signed in, so that there is no grant to end.
        """
        await self.db.write(disconnected, caller, connector_id, caller.user_id or "", "user")

    def _mine(self, tx: Transaction, caller: Caller) -> Mine:
        user = users.get(tx, caller.project, caller.user_id or "")
        held = {token.connector: token for token in tokens.of_user(tx, user.project, user.id)}
        used = _uses(tx, user)
        found = [
            self._seen(tx, each, held.get(each.id), tuple(used.get(each.id, ())))
            for each in connectors.every(tx, user.project)
            if each.was_connected
        ]
        shown = [each for each in found if each.is_offered or each.is_held]
        return Mine(user, shown, users.wants_reminders(tx, user.project, user.id), tx.now)

    def _seen(
        self, tx: Transaction, connector: Connector, token: TokenSet | None, uses: tuple[Use, ...]
    ) -> Connection:
        provider = self.programs.registry.find(connector.type)
        offered = (
            provider is not None
            and connector.user_authentication
            and provider.definition.lets_people(connector.integration)
            and not self.programs.mints_people(connector)
            and self.programs.is_usable(connector)
        )
        title = provider.definition.title if provider else connector.type
        standing = token.standing(tx.now) if token else State.ABSENT
        return Connection(connector, title, token, standing, offered, uses)

    def _linking(self, tx: Transaction, caller: Caller, connector_id: str) -> Link:
        user = users.get(tx, caller.project, caller.user_id or "")
        connector = connectors.get(tx, caller.project, connector_id)
        self.programs.require_sign_in(connector)
        if not user.is_active:  # is here now; a service may link who is yet to be activated
            raise Conflict("This person is not active.", reason="user-not-active")
        return linking.made(
            tx,
            caller.project,
            Purpose.CONNECT,
            caller.actor,
            user=user.id,
            connector=connector.id,
        )


def _uses(tx: Transaction, user: User) -> dict[str, list[Use]]:
    """What ran as the person in 30 days, by connector, the latest first."""
    found: dict[str, list[Use]] = {}
    for row in decisions.used(tx, user.project, user.id, tx.now - LATELY):
        found.setdefault(row["connector_id"], []).append(_use(row))
    return found


def _use(row: Row) -> Use:
    flow = orjson.loads(row["question"])["execution"].get("flow")
    service = row["service"] or row["key_id"]
    return Use(service, flow, row["steps"], row["executions"], row["last"])
