"""Who is calling, and what that lets them ask."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from broker.domain import names
from broker.domain.errors import Forbidden, Problem

SCOPES = frozenset(
    {
        "resolve",
        "credentials:read",
        "credentials:connector",
        "explain",
        "authenticate",
        "links:write",
        "sessions:write",
        "logins:write",
        "logons:write",
        "users:read",
        "users:admin",
        "pauses:read",
        "pauses:write",
        "connectors:read",
        "connectors:write",
        "grants:write",
        "directories:read",
        "directories:write",
        "audit:read",
        "events:read",
    }
)


class Kind(StrEnum):
    """The three kinds of caller of `/v1` and the pages; identity providers are a fourth."""

    SERVICE = "service"
    ADMINISTRATOR = "administrator"
    PERSON = "person"


@dataclass(frozen=True, slots=True)
class Caller:
    """A credential that was checked, as the project it belongs to sees it."""

    kind: Kind
    project: str
    id: str
    name: str = ""
    scopes: frozenset[str] = frozenset()
    connectors: frozenset[str] = frozenset()  # names it is limited to; empty: all
    step_types: frozenset[str] = frozenset()
    evidence: tuple[tuple[str, str], ...] = ()  # (issuer, audience) of id_tokens it may present
    return_urls: tuple[str, ...] = ()
    user_id: str | None = None
    link_id: str | None = None  # a connect session opens this link and no other (safety 16)
    session: str | None = None  # the hash its session is kept under
    asserted_by: str = ""

    @property
    def actor(self) -> str:
        """How audit and events name it: `key:key_…`, `admin:…`, `person:usr_…`."""
        prefix = {Kind.SERVICE: "key", Kind.ADMINISTRATOR: "admin", Kind.PERSON: "person"}
        return f"{prefix[self.kind]}:{self.id}"

    def may(self, scope: str) -> bool:
        """Whether it has the scope; an administrator has every one but credentials."""
        if self.kind is Kind.ADMINISTRATOR:
            return not scope.startswith("credentials:")
        return scope in self.scopes

    def require(self, scope: str) -> Caller:
        """Itself, if it may; Forbidden names the missing scope."""
        if not self.may(scope):
            has = ", ".join(sorted(self.scopes)) or "no scope"
            raise Forbidden(
                f"{scope} is needed; {self.name or self.kind} has {has}.",
                reason="insufficient-scope",
                next=f"Use a key made with --scope {scope}.",
            )
        return self

    def has_signed_in(self, project: str) -> bool:
        """Whether it is a person of the project for whom no program vouched (safety 16, 28)."""
        vouched = self.link_id is not None or self.asserted_by.startswith("key_")
        return self.kind is Kind.PERSON and self.project == project and not vouched

    def is_for(self, connector: str) -> bool:
        """Whether it may come near the connector of that name: keys may be limited (safety 22)."""
        allowed = {names.key(name) for name in self.connectors}
        return not allowed or names.key(connector) in allowed

    def require_connector(self, name: str) -> Caller:
        """Itself, unless it is a key for other connectors only (safety 22).

        The same words whatever exists: a limited key learns nothing of the others (safety 3).
        """
        if not self.is_for(name):
            raise Forbidden(
                f"The key {self.name or self.id} is not for this connector.",
                reason="connector-not-allowed",
                next=f"It is for {', '.join(sorted(self.connectors))}.",
            )
        return self

    def require_return_url(self, url: str | None) -> None:
        """Invalid where people may not be sent back there: not one of the key's (safety 29)."""
        if url is not None and url not in self.return_urls:
            detail = "This return URL is not registered with the key."
            problem = Problem("/return_url", "not_registered", detail)
            raise problem.alone(reason="return-url-not-registered")

    def require_administrator(self) -> Caller:
        """Itself, if an administrator's session; keys never are one (safety 27)."""
        if self.kind is not Kind.ADMINISTRATOR:
            raise Forbidden(
                "This needs an administrator's session.",
                reason="administrator-needed",
                next="Sign in as an administrator: `broker admin link` prints a link.",
            )
        return self
