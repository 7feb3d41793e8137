"""How one program speaks OAuth 2, as data: where it listens, whose account, what no means."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal
from urllib.parse import quote

from providers import oauth2
from providers.capabilities import Account, Registration, TokenResponse
from providers.errors import FieldWrong, HostRefused, NotProven
from providers.oauth2 import PLAIN, Dialect
from providers.reading import member

Client = Literal["post", "basic", "private_key_jwt", "none"]
"""How a client proves itself: RFC 6749 §2.3.1, RFC 7523 §2.2; `none` is a public one with PKCE."""
Mint = Literal["client_credentials", "jwt_bearer"]
"""How a token comes about for which nobody signs in: RFC 6749 §4.4, RFC 7523 §2.1."""

HOLE = re.compile(r"\{([a-z][a-z0-9_]*)\}")


@dataclass(frozen=True, slots=True)
class Who:
    """Whose a token is: where to ask, and which members of the answer say so.

    `url` "" reads the token answer itself. `a.b` is the member `b` of the object `a`. The members
    of `key` together never change at the program; the first of `display` that has a text is the
    name people know.
    """

    key: tuple[str, ...]
    display: tuple[str, ...] = ()
    url: str = ""

    def account(self, told: Mapping[str, object]) -> Account:
        """The account in an answer; NotProven where a part of its key is missing."""
        parts = [member(told, name) for name in self.key]
        if not all(isinstance(part, str | int) and str(part) for part in parts):
            raise NotProven("identity", "the answer does not say whose account this is")
        key = ":".join(map(str, parts))
        names = (member(told, name) for name in self.display)
        return Account(key, next((name for name in names if isinstance(name, str) and name), key))


@dataclass(frozen=True, slots=True)
class Probe:
    """One GET of the check, and the two sentences for an answer and a refusal."""

    url: str
    ok: str
    failure: str


@dataclass(frozen=True, slots=True)
class Speech:
    """One program's OAuth 2; what a program does not have stays empty.

    Addresses are templates: `{base}` is the environment's origin and path, `{host}` the host in
    it, `{api}` where its API is, `{base_url}` (in probes) the API of one grant; any open field
    stands by its name.

    `scopes` are always asked for, `mint_scopes` when nobody signs in; `separator` stands between
    them. `more` are constant parameters of the authorization request. `audience` is the `aud` of
    assertions, the token endpoint by default; `subject` the `sub` of a bearer assertion for the
    connector user. `client` holds unless the connector's field `client_authentication` says
    `certificate`. `refusals` of a refresh may differ from the others: `refresh_refusals`.
    `tokens_at` and `base_url_at` name members of the token answer; a base URL found there has to
    be at a host of the program's own (safety 19). `issuer` is compared with `iss` (RFC 9207).
    `scheme` stands before an access token, `accept` is the kind of JSON that is wanted.
    """

    token: str
    authorize: str = ""
    scopes: tuple[str, ...] = ()
    mint_scopes: tuple[str, ...] = ()
    separator: str = " "
    scope_on_refresh: bool = False
    more: Mapping[str, str] = field(default_factory=dict)
    client: Client = "post"
    mint: Mint = "client_credentials"
    audience: str = ""
    subject: str = ""
    refusals: Dialect = PLAIN
    refresh_refusals: Dialect | None = None
    tokens_at: str = ""
    base_url: str = ""
    base_url_at: str = ""
    who: Who | None = None
    issuer: str = ""
    issuer_promised: bool = False
    revoke: str = ""
    introspect: str = ""
    probes: tuple[Probe, ...] = ()
    scheme: str = "Bearer"
    accept: str = "application/json"

    def wanted(self, scopes: tuple[str, ...]) -> tuple[str, ...]:
        """The program's own scopes and these, each once."""
        return tuple(dict.fromkeys((*self.scopes, *scopes)))


def filled(template: str, registration: Registration, **known: str) -> str:
    """The address a template gives for one connector; `known` is taken as it comes.

    A field's value is quoted, so that it stays one part of the path whatever it holds.
    FieldWrong where it is empty or a dot path.
    """
    place = registration.environment
    host = registration.origin.partition("://")[2]
    api = place.api or registration.base
    known = {"base": registration.base, "host": host, "api": api, **known}

    def value(hole: re.Match[str]) -> str:
        name = hole[1]
        if name in known:
            return known[name]
        text = registration.fields.get(name, "")
        if text in ("", ".", ".."):
            raise FieldWrong("field-missing", f"the field {name} has no usable value")
        return quote(text, safe="")

    return HOLE.sub(value, template)


def believed(
    registration: Registration,
    speech: Speech,
    body: Mapping[str, object],
    asked: tuple[str, ...],
) -> TokenResponse:
    """The tokens of an answer and where its API is; `asked` are the scopes where it names none."""
    held = member(body, speech.tokens_at) if speech.tokens_at else body
    given = oauth2.tokens(held if isinstance(held, Mapping) else {}, asked=asked)
    if speech.separator != " ":
        scopes = tuple(part for one in given.scopes for part in one.split(speech.separator) if part)
        given = replace(given, scopes=scopes)
    base = filled(speech.base_url, registration) or None
    if speech.base_url_at and (named := member(body, speech.base_url_at)) is not None:
        base = registration.environment.trusted(named).rstrip("/")
    return replace(given, base_url=base)


def is_issuer(registration: Registration, speech: Speech, sent: str) -> bool:
    """RFC 9207 §2.4: the issuer we asked; where nobody told us its name, one at its hosts."""
    if speech.issuer:
        return sent == filled(speech.issuer, registration)
    try:
        registration.environment.trusted(sent)
    except HostRefused:
        return False
    return True
