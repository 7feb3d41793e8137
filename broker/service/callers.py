"""Which directory, service, administrator or person is calling."""

import hmac
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from broker.db.database import Database, Transaction
from broker.db.seal import Hasher
from broker.domain import ids
from broker.domain.callers import SCOPES, Caller, Kind
from broker.domain.clock import DAY, HOUR
from broker.domain.directories import Directory
from broker.domain.errors import Invalid, NotFound, Problem, Unknown
from broker.service.knowing import Known, digest
from broker.store import audit, callers

Revoke = Callable[[Transaction, str, str], bool]
KEY_PREFIX = "brk"
TOKEN_PREFIX = "brs"
ADMINISTRATOR_LIFETIME = 12 * HOUR
PERSON_LIFETIME = DAY
CONNECT_SESSION_LIFETIME = HOUR


@dataclass(frozen=True, slots=True)
class Callers:
    """Checks every credential against the database at every call: a revoked one ends at once."""

    db: Database
    hasher: Hasher
    seen: set[str] = field(default_factory=set)
    """Credentials used since the last `flush`, each known to be the right one."""
    known: Known = field(default_factory=Known)
    services: dict[bytes, Caller] = field(default_factory=dict)
    """Services by the digest of their words, for verbs that look again."""

    async def service(self, authorization: str | None) -> Caller:
        """The service behind `Bearer brk_<id>_<secret>`; Unknown otherwise."""
        id, secret = _parts(authorization, KEY_PREFIX)
        hash, caller = await self.db.peek(callers.find_key, f"key_{id}") or (None, None)
        if not self._is(secret, hash) or caller is None:
            raise Unknown("The API key is missing, wrong or revoked.", reason="unknown-key")
        self.seen.add(caller.id)
        return caller

    async def again(self, authorization: str | None) -> Caller:
        """The same for a verb that reads its caller once more in its own transaction (safety 24).

        Words that were a key's once are that key's for good, so they are looked up only once here;
        whether it is revoked, and what it may, is found where it counts.
        """
        words = digest("_".join(_parts(authorization, KEY_PREFIX)))
        known = self.services.get(words) or await self.service(authorization)
        self.services[words] = known
        self.seen.add(known.id)
        return known

    async def directory(self, directory_id: str, authorization: str | None) -> Directory:
        """The directory whose SCIM token this is, as it is now; Unknown otherwise (safety 1)."""
        known = self.known.opened(self.db.version(), authorization)
        if known is not None and known.id == directory_id:
            return known
        id, secret = _parts(authorization, TOKEN_PREFIX)
        hash, directory = await self.db.peek(callers.find_token, f"tok_{id}") or (None, None)
        if not self._is(secret, hash) or directory is None or directory.id != directory_id:
            raise Unknown("The token is missing, wrong or revoked.", reason="unknown-token")
        self.seen.add(f"tok_{id}")
        self.known.remember(self.db.version(), authorization, directory)
        return directory

    async def session(self, cookie: str | None) -> Caller | None:
        """Whom the session cookie stands for, if it is a living one."""
        if not cookie:
            return None
        return await self.db.peek(callers.find_session, self.hasher(cookie))

    async def sign_out(self, caller: Caller) -> None:
        """End the caller's session."""
        if caller.session:
            await self.db.write(callers.end_session, caller.session)

    async def add_key(
        self,
        project: str,
        name: str,
        scopes: Iterable[str],
        *,
        by: str,
        connectors: Iterable[str] = (),
        step_types: Iterable[str] = (),
        evidence: Iterable[tuple[str, str]] = (),
        return_urls: Iterable[str] = (),
    ) -> tuple[str, str]:
        """A new API key: its id, and the key itself, shown this once. Invalid for unknown scopes,
        and for a return URL with a fragment.
        """
        scopes, return_urls = _known(scopes), tuple(map(_without_fragment, return_urls))
        secret = secrets.token_urlsafe(32)
        key = Caller(
            Kind.SERVICE,
            project,
            ids.new("key"),
            name,
            frozenset(scopes),
            frozenset(connectors),
            frozenset(step_types),
            tuple(evidence),
            return_urls,
        )

        def adding(tx: Transaction) -> None:
            callers.insert_key(tx, key, self.hasher(secret))
            audit.append(tx, project, by, "key.added", key.id, scopes=sorted(scopes))

        await self.db.write(adding)
        return key.id, f"{KEY_PREFIX}_{key.id.removeprefix('key_')}_{secret}"

    async def keys(self, project: str) -> list[dict[str, Any]]:
        """Every API key of the project, without what it is recognized by."""
        return await self.db.read(callers.keys, project)

    async def tokens(self, project: str, directory: str) -> list[dict[str, Any]]:
        """Every SCIM token of a directory, without what it is recognized by."""
        return await self.db.read(callers.tokens, project, directory)

    async def revoke_key(self, project: str, id: str, *, by: str) -> None:
        """End an API key at once; NotFound where there is no such living key."""
        await self.db.write(_revoking, callers.revoke_key, project, id, "key.revoked", by)

    async def revoke_token(self, project: str, id: str, *, by: str) -> None:
        """End a SCIM token at once; NotFound where there is no such living token."""
        await self.db.write(
            _revoking, callers.revoke_token, project, id, "directory.token.revoked", by
        )

    def adding_token(self, tx: Transaction, project: str, directory: str, by: str) -> str:
        """A new SCIM token of the directory, in the caller's transaction; shown this once."""
        id, secret = ids.new("tok"), secrets.token_urlsafe(32)
        callers.insert_token(tx, project, directory, id, self.hasher(secret))
        audit.append(tx, project, by, "directory.token.added", id, directory=directory)
        return f"{TOKEN_PREFIX}_{id.removeprefix('tok_')}_{secret}"

    async def setup_link(self, project: str) -> str:
        """The secret of a one-time link that makes whoever opens it an administrator (15 min)."""
        secret = secrets.token_urlsafe(32)
        await self.db.write(
            _ticketing, project, self.hasher(secret), "setup", callers.SETUP_LIFETIME
        )
        return secret

    async def use_setup_link(self, secret: str) -> str:
        """Spend a set-up link; the cookie of an administrator's session. Unknown when spent."""
        cookie = secrets.token_urlsafe(32)

        def using(tx: Transaction) -> None:
            ticket = callers.use_ticket(tx, self.hasher(secret), "setup")
            if ticket is None:
                raise Unknown(
                    "This set-up link was used or is over.",
                    reason="link-over",
                    next="Print another one: broker admin link.",
                )
            callers.insert_session(
                tx,
                ticket["project_id"],
                self.hasher(cookie),
                Kind.ADMINISTRATOR,
                asserted_by="setup",
                lifetime=ADMINISTRATOR_LIFETIME,
            )
            audit.append(tx, ticket["project_id"], "admin:setup", "session.began")

        await self.db.write(using)
        return cookie

    def connect_ticket(
        self, tx: Transaction, caller: Caller, user_id: str, link_id: str
    ) -> tuple[str, int]:
        """The secret that opens one link as one person, vouched for by a key (safety 16)."""
        secret = secrets.token_urlsafe(32)
        expires_at = callers.insert_ticket(
            tx,
            caller.project,
            self.hasher(secret),
            "connect",
            lifetime=callers.CONNECT_LIFETIME,
            user_id=user_id,
            link_id=link_id,
            key_id=caller.id,
        )
        audit.append(tx, caller.project, caller.actor, "connect-session.made", link_id)
        return secret, expires_at

    async def use_connect_ticket(self, secret: str) -> tuple[str, str]:
        """Spend a connect session's secret for (cookie, link id); Unknown when it was spent."""
        cookie = secrets.token_urlsafe(32)

        def using(tx: Transaction) -> str:
            ticket = callers.use_ticket(tx, self.hasher(secret), "connect")
            if ticket is None:
                raise Unknown(
                    "This address was used or is over.",
                    reason="link-over",
                    next="Go back to the program that sent you and start again.",
                )
            self.beginning(
                tx,
                ticket["project_id"],
                ticket["user_id"],
                cookie,
                asserted_by=ticket["key_id"],
                link_id=ticket["link_id"],
                lifetime=CONNECT_SESSION_LIFETIME,
            )
            return str(ticket["link_id"])

        return cookie, await self.db.write(using)

    def beginning(
        self,
        tx: Transaction,
        project: str,
        user_id: str,
        cookie: str,
        *,
        asserted_by: str,
        link_id: str | None = None,
        anew_since: int | None = None,
        lifetime: int = PERSON_LIFETIME,
    ) -> None:
        """Begin a person's session in the caller's transaction; since `anew_since` they have shown
        who they are, None where single sign-on was enough.
        """
        callers.insert_session(
            tx,
            project,
            self.hasher(cookie),
            Kind.PERSON,
            asserted_by=asserted_by,
            lifetime=lifetime,
            user_id=user_id,
            link_id=link_id,
            anew_since=anew_since,
        )
        audit.append(tx, project, f"person:{user_id}", "session.began", by=asserted_by)

    async def flush(self) -> None:
        """Write down when keys and tokens were last used."""
        if self.seen:
            seen = list(self.seen)
            self.seen.clear()
            await self.db.write(callers.used, seen)

    def _is(self, secret: str, hash: str | None) -> bool:
        """Constant time, and the same work where there is nothing to compare with (safety 3)."""
        return hmac.compare_digest(self.hasher(secret), hash or self.hasher(""))


def _revoking(tx: Transaction, revoke: Revoke, project: str, id: str, act: str, by: str) -> None:
    if not revoke(tx, project, id):
        raise NotFound()
    audit.append(tx, project, by, act, id)


def _known(scopes: Iterable[str]) -> set[str]:
    if unknown := sorted(set(scopes) - SCOPES):
        raise Invalid(
            f"There is no scope {', '.join(unknown)}.",
            reason="unknown-scope",
            problems=tuple(Problem("/scopes", "unknown_scope", each) for each in unknown),
            next=f"Scopes are {', '.join(sorted(SCOPES))}.",
        )
    return set(scopes)


def _without_fragment(url: str) -> str:
    """A return URL that what the person carries can be put into (RFC 6749 §3.1.2)."""
    if "#" in url:
        raise Problem("/return_urls", "url_refused", "A return URL has no fragment.").alone()
    return url


def _ticketing(tx: Transaction, project: str, hash: str, purpose: str, lifetime: int) -> None:
    callers.insert_ticket(tx, project, hash, purpose, lifetime=lifetime)
    audit.append(tx, project, "operator", f"{purpose}-link.made")


def _parts(authorization: str | None, prefix: str) -> tuple[str, str]:
    """The id and the secret of `Bearer <prefix>_<id>_<secret>`; ("", "") where it is none."""
    scheme, _, credential = (authorization or "").partition(" ")
    kind, _, rest = credential.strip().partition("_")
    id, _, secret = rest.partition("_")
    return (id, secret) if scheme.lower() == "bearer" and kind == prefix else ("", "")
