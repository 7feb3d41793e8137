"""What a provider can do, as small protocols, and the few values that pass between it and us."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from providers.definition import Definition
from providers.places import Environment
from providers.secret import Secret


@dataclass(frozen=True, slots=True)
class Registration:
    """Who we are at one program: a connector's environment, its fields and redirect URI.

    `origin` is what `environment.origin_of(...)` gave for the host the administrator chose; all
    secrets of the registration go there and nowhere else (safety 18). `fields` are the open
    values, `secrets` the protected ones, opened, by name. `relay` names the way out (R42).
    """

    environment: Environment
    origin: str
    redirect_uri: str
    fields: Mapping[str, str]
    secrets: Mapping[str, Secret] = field(default_factory=dict)
    integration: str | None = None
    relay: str | None = None

    @property
    def client_id(self) -> str:
        """Our name at the program's authorization server."""
        return self.fields.get("client_id", "")

    @property
    def client_secret(self) -> Secret | None:
        return self.secrets.get("client_secret")

    @property
    def base(self) -> str:
        """The origin, and the path below which everything of the program is."""
        return self.origin + self.environment.path


@dataclass(frozen=True, slots=True)
class Account:
    """Whose grant it is: a key that never changes at the program, and a name people know."""

    key: str
    display: str


@dataclass(frozen=True, slots=True)
class TokenResponse:
    """One token answer, believed.

    `refresh_token` is None where the program sent none: the one we hold stays good.
    `expires_in_s` is None where nobody said: the definition's `assumed_lifetime_s` counts; 0 where
    the program itself calls the token over. `account` is known after an exchange. `token_type`
    stands before the token in `Authorization` (RFC 9110 §11.4): Bearer, or Basic.
    `grant_expires_in_s` is the life of the refresh token, where the program tells it.
    """

    access_token: Secret
    refresh_token: Secret | None
    expires_in_s: int | None
    scopes: tuple[str, ...]
    base_url: str | None
    account: Account | None
    token_type: str = "Bearer"
    grant_expires_in_s: int | None = None


@dataclass(frozen=True, slots=True)
class Introspection:
    """Is a token alive, and for how many seconds by the program's own clock?"""

    active: bool
    expires_in_s: int | None


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of a test's result."""

    level: Literal["ok", "warning", "failure"]
    text: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a test found; warnings do not fail it (R59)."""

    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        return all(finding.level != "failure" for finding in self.findings)


@runtime_checkable
class CanAuthorize(Protocol):
    """Send a person to the program's own page, and redeem what they come back with."""

    def authorize_url(
        self,
        registration: Registration,
        *,
        state: str,
        challenge: str,
        scopes: tuple[str, ...] = (),
        claims: str | None = None,
    ) -> str:
        """Where the browser goes: code flow, PKCE S256, this state, exactly our redirect URI.

        `scopes` come on top of the program's own. `claims` is what its last answer demanded of the
        person (K7).
        """

    async def exchange(
        self, registration: Registration, *, answer: Mapping[str, str], verifier: Secret
    ) -> TokenResponse:
        """Redeem the callback's query for tokens and the account they are for.

        Denied where the query holds an error, NotProven where it came from somebody else.
        The caller has matched `state` before.
        """


@runtime_checkable
class CanRefresh(Protocol):
    """A new access token without the person."""

    async def refresh(
        self, registration: Registration, refresh_token: Secret, *, scopes: tuple[str, ...] = ()
    ) -> TokenResponse:
        """Ask once; at most 10 seconds; every failure is one of the classes in `errors`."""


@runtime_checkable
class CanMint(Protocol):
    """An access token for which nobody signs in (`Source.MINTED`)."""

    async def mint(self, registration: Registration, person: str | None) -> TokenResponse:
        """A new one, for the person the program knows by that name; None: for the connector user.

        At most 10 seconds; every failure is one of the classes in `errors`; `account` is known.
        """


@runtime_checkable
class CanRevoke(Protocol):
    """Tell the program that a grant is over."""

    async def revoke(self, registration: Registration, token: Secret) -> None:
        """Afterwards the token is dead there; a token that was dead before is fine too.

        A program that knows no revocation of one grant is not asked for anything.
        """


@runtime_checkable
class CanInspect(Protocol):
    """Ask the program itself about an access token (safety 25)."""

    async def introspect(
        self, registration: Registration, access_token: Secret, base_url: str
    ) -> Introspection:
        """What the program says of the token; nothing changes anywhere."""


@runtime_checkable
class HasApi(Protocol):
    """Where the API is, before any answer of the program said so."""

    def api(self, registration: Registration) -> str | None:
        """The same for every grant; None where each answer names its own."""


@runtime_checkable
class CanTest(Protocol):
    """The Test button, and the check of a saved identity (T6)."""

    async def test(self, registration: Registration) -> Report:
        """Try what was typed, and only that; nothing is granted and nothing kept (R52, R56)."""

    async def check(
        self, registration: Registration, access_token: Secret, base_url: str
    ) -> Report:
        """Look at a live identity: who it is, whether the API answers, what it may do."""


class Provider(CanAuthorize, CanRefresh, CanTest, Protocol):
    """The least every kind of program can do; the rest is asked for with isinstance."""

    @property
    def definition(self) -> Definition:
        """What this kind of program declares."""
