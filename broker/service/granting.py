"""What people granted a connector: who did, taken along from elsewhere, and given back (K12)."""

from dataclasses import dataclass
from typing import Any

from broker.db.database import Database, Transaction
from broker.domain.callers import Caller
from broker.domain.clock import rfc3339
from broker.domain.errors import Conflict, NotFound
from broker.domain.token_states import Event
from broker.domain.tokens import TokenSet
from broker.service import changing
from broker.store import audit, tokens


@dataclass(frozen=True, slots=True)
class Authorization:
    """Who has authorized a connector, and how that stands."""

    token: TokenSet
    standing: str

    def rendered(self) -> dict[str, Any]:
        """Ids, states, counters and the account's name; no token.

        `failures` are the tries in a row that brought nothing, the next one at `retry_at`;
        `throttled` is how often the program said 429 (R49); `ends_at` is when the grant itself
        lapses unless it is renewed.
        """
        token = self.token
        return {
            "user_id": token.user,
            "state": self.standing,
            "reason": token.reason,
            "provider_account": token.account_display or token.account,
            "scopes": list(token.scopes),
            "missing_scopes": list(token.missing_scopes),
            "minted": token.minted,
            "frozen": token.frozen,
            "failures": token.failures,
            "throttled": token.throttled,
            **{name: _moment(getattr(token, name)) for name in MOMENTS},
        }


MOMENTS = ("expires_at", "ends_at", "retry_at", "rejected_at", "changed_at")


@dataclass(frozen=True, slots=True)
class Granting:
    """The token sets of people, as an administrator sees and ends them."""

    db: Database

    async def page(
        self, caller: Caller, connector_id: str, *, after: str = "", limit: int = 50
    ) -> list[Authorization]:
        """Who has authorized it, by person's id, those behind `after`."""
        caller.require("connectors:read")

        def reading(tx: Transaction) -> list[Authorization]:
            changing.reach(tx, caller, connector_id)
            found = tokens.of_connector(tx, caller.project, connector_id, after=after, limit=limit)
            return [Authorization(token, token.standing(tx.now).value) for token in found]

        return await self.db.read(reading)

    async def disconnect(self, caller: Caller, connector_id: str, user_id: str) -> None:
        """End what a person granted (K12): erased here at once, the program told in the background.

        Done already is done. NotFound where they never granted anything; Conflict where nobody
        signed in, so that there is no grant to end.
        """
        caller.require("connectors:write")
        await self.db.write(disconnected, caller, connector_id, user_id, "admin")


def disconnected(tx: Transaction, caller: Caller, connector_id: str, user_id: str, by: str) -> None:
    """K12: what the person granted is over; `by` says who ended it, the `user` or an `admin`."""
    changing.reach(tx, caller, connector_id)
    token = tokens.read(tx, caller.project, connector_id, user_id, lock=True)
    if token is None or token.user is None:
        raise NotFound()
    if token.minted:
        raise Conflict(
            "The broker makes this person's tokens itself: there is no grant to end.",
            reason="minted",
            next="Switch user authentication off for the person, or take their logon away.",
        )
    tokens.drop(tx, token, Event.DISCONNECTED, by)
    about = {"user": user_id}
    audit.append(
        tx, caller.project, caller.actor, "authorization.disconnected", connector_id, **about
    )


def _moment(micros: int | None) -> str | None:
    return None if micros is None else rfc3339(micros)
