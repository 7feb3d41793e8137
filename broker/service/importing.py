"""Grants brought along from elsewhere: one result an item, frozen until the other side is off."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from broker.db.database import Database, Duplicate, Transaction
from broker.domain import clock
from broker.domain.callers import Caller
from broker.domain.clock import DAY, SECOND
from broker.domain.connectors import Connector
from broker.domain.errors import Problem
from broker.domain.subjects import Subject
from broker.domain.token_states import Event, after
from broker.domain.tokens import LONGEST_LIFETIME, Grant, State, TokenSet
from broker.service.reading import LONG_LIMIT, Members, refuse
from broker.service.vault import Vault
from broker.store import audit, connectors, tokens, users
from providers.capabilities import HasApi
from providers.secret import Secret

LIMIT = 1000
EARLIEST = clock.micros("2000-01-01T00:00:00Z")  # an end before that is a mistake
LATEST = clock.LATEST - DAY  # what any offset can still name
TOKENS_LIMIT = 1024 * 1024  # as much as all items together may have


@dataclass(frozen=True, slots=True)
class Item:
    """One grant as it was sent; `expires_at` in microseconds, None where nobody says."""

    subject: Subject
    refresh_token: Secret
    access_token: Secret | None = None
    expires_at: int | None = None
    frozen: bool = False

    @property
    def is_too_long(self) -> bool:
        """Whether a token is longer than any that can be kept."""
        access_token = self.access_token.reveal() if self.access_token else ""
        return max(len(self.refresh_token.reveal()), len(access_token)) > LONG_LIMIT


@dataclass(frozen=True, slots=True)
class Result:
    """What became of an item: a word of `RESULTS`, which say the rest; `why` is one of its own."""

    user_id: str | None
    result: str
    why: str | None = None

    def rendered(self) -> dict[str, str | None]:
        """`detail` says what happened, `next` what to do about it, None where nothing is."""
        detail, next = RESULTS[self.why or self.result]
        return {"user_id": self.user_id, "result": self.result, "detail": detail, "next": next}


RESULTS: Mapping[str, tuple[str, str | None]] = {
    "imported": ("The grant is kept, and renewed when it is needed.", None),
    "frozen": (
        "The grant is kept, used while its access token lives, and not renewed.",
        "Send the item again without `frozen` once the other side renews it no more.",
    ),
    "kept": ("The person has a living grant here, which stays.", None),
    "unreadable": (
        "The person has a grant here whose key is missing; it stays.",
        "Bring the key back; or disconnect the person, and send the item again.",
    ),
    "unknown-subject": ("Nobody here is meant by this subject.", "Push the person first."),
    "user-not-active": ("The person is suspended or deleted.", "Reinstate the person first."),
    "token-too-long": (
        f"A token is longer than {LONG_LIMIT} characters.",
        "Let the person sign in instead.",
    ),
    "duplicate-grant": (
        "Another person has the same refresh token, here or in an item before this one.",
        "Send it for the one person whose it is.",
    ),
}


@dataclass(frozen=True, slots=True)
class Importing:
    """Takes the grants of people; never the connector user's, who is authorized in the wizard."""

    db: Database
    vault: Vault

    async def grants(self, caller: Caller, connector_id: str, said: object) -> list[Result]:
        """Import up to 1,000 grants, a transaction each, in order (POST …/grants).

        A living grant is kept as it is; a frozen or dead one is replaced, so that sending the same
        item again without `frozen` cuts over. Invalid, and nothing stored, where the list is not
        as it should be; Conflict where people cannot connect there.
        """
        caller.require("grants:write")
        items = parse(said)
        await self.db.read(self._ready, caller, connector_id)
        owners: dict[str, str] = {}
        return [await self._imported(caller, connector_id, owners, item) for item in items]

    async def _imported(
        self, caller: Caller, connector_id: str, owners: dict[str, str], item: Item
    ) -> Result:
        try:
            return await self.db.write(self._importing, caller, connector_id, owners, item)
        except Duplicate:  # somebody else brought the same one in the same moment
            return await self.db.write(self._importing, caller, connector_id, owners, item)

    def _ready(self, tx: Transaction, caller: Caller, connector_id: str) -> Connector:
        connector = connectors.get(tx, caller.project, connector_id)
        caller.require_connector(connector.name)
        self.vault.programs.require_sign_in(connector)
        return connector

    def _importing(
        self,
        tx: Transaction,
        caller: Caller,
        connector_id: str,
        owners: dict[str, str],
        item: Item,
    ) -> Result:
        """One item; `owners` are the people whose refresh tokens the items before it were."""
        user = users.by_subject(tx, caller.project, item.subject)
        if user is None:
            return Result(None, "unknown-subject")
        if users.lock(tx, caller.project, user.id).is_gone:
            return Result(user.id, "user-not-active")
        if item.is_too_long:
            return Result(user.id, "token-too-long")
        if owners.setdefault(item.refresh_token.reveal(), user.id) != user.id:
            return Result(user.id, "duplicate-grant")
        connector = self._ready(tx, caller, connector_id)
        token = tokens.read(tx, caller.project, connector_id, user.id, lock=True)
        token = self.vault.legible(tx, token) if token else None
        if token is not None and token.state is State.UNREADABLE:
            return Result(user.id, "kept", why="unreadable")
        if token is not None and not token.frozen and not token.is_dead(tx.now):
            return Result(user.id, "kept")
        brought = self.vault.hasher(item.refresh_token.reveal())
        if tokens.brought_by(tx, caller.project, connector_id, brought) not in (None, user.id):
            return Result(user.id, "duplicate-grant")
        token = token or tokens.absent(tx, caller.project, connector_id, user.id)
        token = self._holding(token, connector, item, tx.now)
        self.vault.save(tx, connector, token)
        about = {"user": user.id, "frozen": item.frozen, "token_version": token.version}
        audit.append(tx, caller.project, caller.actor, "grant.imported", connector_id, **about)
        return Result(user.id, "frozen" if item.frozen else "imported")

    def _holding(self, token: TokenSet, connector: Connector, item: Item, now: int) -> TokenSet:
        """The set with the item's tokens; without an access token it has to be refreshed first."""
        programs = self.vault.programs
        provider, definition = (
            programs.provider(connector.type),
            programs.definition(connector.type),
        )
        has_access = item.access_token is not None
        assumed = now + definition.assumed_lifetime_s * SECOND
        ends = min(item.expires_at or assumed, now + LONGEST_LIFETIME)
        grant = Grant(
            access=self.vault.sealed(token, "access_token", item.access_token or Secret("")),
            refresh=self.vault.sealed(token, "refresh_token", item.refresh_token),
            expires_at=ends if has_access else now,
            origin=connector.origin,
            base_url=provider.api(programs.public(connector))
            if isinstance(provider, HasApi)
            else None,
            ends_at=now + definition.idle_s * SECOND if definition.idle_s else None,
            grant_hash=self.vault.hasher(item.refresh_token.reveal()),
        )
        if token.state is State.REVOKED:
            token = replace(token, account=None)  # the pin ended with the grant
        held = after(token, Event.CONNECTED, now=now, grant=grant)
        return replace(held, frozen=item.frozen, access=held.access if has_access else None)


def parse(said: object) -> list[Item]:
    """The items of a decoded body; Invalid names every problem, and never a token."""
    if not isinstance(said, list) or not 1 <= len(said) <= LIMIT:
        detail = f"A list of 1 to {LIMIT} grants is needed."
        raise Problem("", "not_a_list", detail).alone(reason="invalid-request")
    problems: list[Problem] = []
    items = [_item(Members(one, f"/{place}", problems)) for place, one in enumerate(said)]
    refuse(problems)
    return items


def _item(body: Members) -> Item:
    body.close("subject", "refresh_token", "access_token", "expires_at", "frozen")
    subject = body.subject("subject")
    if subject is None:
        body.wrong("subject", "required", "A grant is somebody's.")
    return Item(
        subject=subject or Subject(),
        refresh_token=_token(body, "refresh_token"),
        access_token=_token(body, "access_token") if body.has("access_token") else None,
        expires_at=_moment(body, "expires_at"),
        frozen=body.yes("frozen", default=False),
    )


def _token(body: Members, name: str) -> Secret:
    """A token of any length: one too long is that item's own affair, and no other's."""
    return Secret(body.long_text(name, limit=TOKENS_LIMIT))


def _moment(body: Members, name: str) -> int | None:
    text = body.text_or_none(name)
    try:
        moment = clock.micros(text) if text else None
    except (ValueError, OverflowError):
        body.wrong(name, "not_a_time", f"{name} must be a time such as 2026-11-21T14:07:40Z.")
        return None
    if moment is not None and not EARLIEST <= moment <= LATEST:
        body.wrong(name, "out_of_range", f"{name} must be a time between 2000 and 9999.")
        return None
    return moment
