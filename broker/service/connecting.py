"""Connectors: the wizard from draft to connected, and the life that follows (rows C1 to C11)."""

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from broker.db.database import Database, Duplicate, Transaction
from broker.domain.callers import Caller
from broker.domain.connectors import USED, WIZARD, Event, Policy, State, after
from broker.domain.errors import BrokerError, Conflict, Invalid, Problem, Unavailable
from broker.domain.links import Link, Purpose
from broker.service import changing, completing, linking, views
from broker.service.forms import Said
from broker.service.minting import Minting
from broker.service.programs import Programs
from broker.service.vault import Vault
from broker.service.views import ConnectorView
from broker.store import connectors, projects
from providers.definition import Source


@dataclass(frozen=True, slots=True)
class Connecting:
    """Everything an administrator does with connectors; each act is in the audit.

    Writing verbs take the `version` the caller has seen, or None: Stale where it has moved on.
    """

    db: Database
    vault: Vault

    @property
    def programs(self) -> Programs:
        """What connectors can be made for."""
        return self.vault.programs

    def types(self, caller: Caller) -> list[dict[str, Any]]:
        """Every type of connector with its form (GET /v1/connector-types)."""
        caller.require("connectors:read")
        return [views.type_shown(one) for one in self.programs.registry.definitions]

    async def create(self, caller: Caller, type: str, said: Said) -> ConnectorView:
        """A draft (C1): invisible to steps, gone after a day, user authentication off (R3).

        Conflict where the name is taken, the caller has begun one of that name, or the project
        has its one connector of the type (R63, R65).
        """
        caller.require("connectors:write")
        return await self.db.write(changing.create, self.programs, caller, type, said)

    async def configure(
        self,
        caller: Caller,
        id: str,
        said: Said,
        *,
        version: int | None = None,
        confirmed: str | None = None,
    ) -> ConnectorView:
        """Change what is said, and go on to `configured` once nothing is missing (C2).

        Another place on one that was connected is C9: all its tokens and protected fields are
        dropped, it is authorized anew; Invalid where the protected fields do not come along.
        Another integration has it authorized anew too; Unconfirmed where nobody can authenticate
        themselves there, until `confirmed` says so in the words it names (safety 21, P14).
        """
        caller.require("connectors:write")
        said_so = (said, version, confirmed)
        try:
            return await self.db.write(changing.configure, self.programs, caller, id, *said_so)
        except Duplicate:
            raise changing.name_taken() from None

    async def authorize(
        self, caller: Caller, id: str, *, other_account: bool = False
    ) -> Link | ConnectorView:
        """The link by which an administrator authorizes the connector user (C3, C8).

        Only an administrator's session opens it. Where nobody signs in, the connector as it is
        once that is done (C4); Conflict with the program's words where it refuses (C5),
        Unavailable where it does not answer. With `other_account` the connector user may be
        another account than before: whom fallbacks run as changes, an administrator lets it, and
        that is announced.
        """
        caller.require("connectors:write")
        link = await self.db.write(self._authorizing, caller, id, other_account)
        if link is not None:
            return link
        if other_account:
            caller.require_administrator()
        done = await Minting(self.vault).connector_user(caller, id, other_account=other_account)
        if done.ok:
            return await self.db.read(self._getting, caller, id)
        refusal = Unavailable if done.reason == "provider-unavailable" else Conflict
        other = "Say other_account to let it." if done.reason == "other-account" else None
        why = done.reason if done.reason in completing.MESSAGES else "program-refused"
        raise refusal(done.message, reason=why, next=other)

    async def connect(
        self, caller: Caller, id: str, *, version: int | None = None
    ) -> ConnectorView:
        """Finish the wizard (C6): from now on steps find it; says which button action to do.

        Conflict where another took the name or the type's one place meanwhile: the first wins.
        """
        caller.require("connectors:write")
        try:
            return await self.db.write(changing.connect, self.programs, caller, id, version)
        except Duplicate:
            raise await self.db.read(self._why_taken, caller.project, id) from None

    async def user_authentication(
        self,
        caller: Caller,
        id: str,
        *,
        enabled: bool,
        policy: str | None = None,
        version: int | None = None,
        confirmed: int | None = None,
    ) -> ConnectorView:
        """Switch user authentication and choose the policy, which is kept while off (R33).

        Forbidden without an administrator's session (safety 27); Conflict
        `user-auth-not-supported` where the type knows none (R20); Invalid: no such policy (R8).
        Switched off while steps wait for people: Unconfirmed until `confirmed` is how many do;
        then they may run as the connector user (P14).
        """
        caller.require_administrator()
        chosen = None if policy is None else _policy(policy)
        return await self.db.write(
            changing.switch, self.programs, caller, id, enabled, chosen, version, confirmed
        )

    async def disable(
        self, caller: Caller, id: str, *, version: int | None = None
    ) -> ConnectorView:
        """Steps find it no more, its pauses are cancelled; everything else stays (C10)."""
        caller.require("connectors:write")
        return await self.db.write(
            changing.turn, self.programs, caller, id, Event.DISABLED, version
        )

    async def enable(self, caller: Caller, id: str, *, version: int | None = None) -> ConnectorView:
        """Back to where it was before (C10)."""
        caller.require("connectors:write")
        return await self.db.write(changing.turn, self.programs, caller, id, Event.ENABLED, version)

    async def affected(self, caller: Caller, id: str) -> dict[str, int]:
        """What deleting it would end: `{"users", "tokens", "pauses"}` (C11)."""
        caller.require("connectors:read")
        return await self.db.read(_affected, caller, id)

    async def delete(
        self, caller: Caller, id: str, name: str, *, version: int | None = None
    ) -> None:
        """Delete it for good (C11): tokens revoked, pauses cancelled, links ended.

        `name` is its name, typed once more; Invalid where it differs.
        """
        caller.require("connectors:write")
        await self.db.write(changing.delete, caller, id, name, version)

    async def get(self, caller: Caller, id: str) -> ConnectorView:
        """One connector or living draft; NotFound."""
        caller.require("connectors:read")
        return await self.db.read(self._getting, caller, id)

    async def every(self, caller: Caller) -> list[ConnectorView]:
        """All connectors and living drafts of the project, by name."""
        caller.require("connectors:read")
        return await self.db.read(self._listing, caller)

    async def sweep(self) -> int:
        """Throw away drafts nobody finished within a day (C1, R81); how many."""
        swept = 0
        for project in await self.db.read(projects.every):
            swept += await self.db.write(_sweeping, project.id)
        return swept

    def _authorizing(
        self, tx: Transaction, caller: Caller, id: str, other_account: bool
    ) -> Link | None:
        """None where nobody signs in."""
        connector = changing.hold(tx, caller, id, None)
        lacking = changing.seen(tx, self.programs, caller, connector).missing
        problems = tuple(Problem(at, "required", f"{at[1:]} is needed.") for at in lacking)
        if problems:
            raise Invalid("The connector is not complete.", problems=problems)
        if connector.state is State.DRAFT:
            connector = after(connector, Event.CONFIGURED, now=tx.now)
            connectors.change(tx, connector)
        elif connector.state not in (*USED, *WIZARD):
            raise Conflict("The connector is disabled.", reason="connector-disabled")
        if self.programs.source(connector, None) is Source.MINTED:
            return None
        return linking.made(
            tx,
            caller.project,
            Purpose.WIZARD,
            caller.actor,
            connector=id,
            other_account=other_account,
        )

    def _why_taken(self, tx: Transaction, project: str, id: str) -> BrokerError:
        connector = connectors.get(tx, project, id)
        if connectors.named(tx, project, connector.name_key):
            return changing.name_taken()
        return changing.only_one(self.programs.definition(connector.type))

    def _getting(self, tx: Transaction, caller: Caller, id: str) -> ConnectorView:
        return changing.seen(tx, self.programs, caller, changing.reach(tx, caller, id))

    def _listing(self, tx: Transaction, caller: Caller) -> list[ConnectorView]:
        found = connectors.every(tx, caller.project)
        mine = [one for one in found if caller.is_for(one.name)]
        return [changing.seen(tx, self.programs, caller, one) for one in mine]


def _policy(word: str) -> Policy:
    """One of the four (R8); Invalid names the nearest."""
    known = [policy.value for policy in Policy]
    if word in known:
        return Policy(word)
    near = get_close_matches(word, known, n=1)
    detail = f"The policy is one of {', '.join(known)}."
    raise Problem("/policy", "not_a_choice", detail, *near).alone(reason="unknown-policy")


def _affected(tx: Transaction, caller: Caller, id: str) -> dict[str, int]:
    changing.reach(tx, caller, id)
    return connectors.affected(tx, caller.project, id)


def _sweeping(tx: Transaction, project: str) -> int:
    drafts = connectors.overdue(tx, project)
    for draft in drafts:
        changing.end(tx, after(draft, Event.EXPIRED, now=tx.now), "broker")
    return len(drafts)
