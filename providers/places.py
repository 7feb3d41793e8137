"""Where programs live: environments and their hosts, and what a sealed value is bound to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from urllib.parse import parse_qsl, urlencode, urlsplit

from providers.errors import HostRefused

TWIN = "@"
"""Beside the fields that bind: the name of an environment whose origin an earlier one has too."""
_LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"


@dataclass(frozen=True, slots=True)
class Environment:
    """Where a program lives: one fixed origin, or a host the administrator types.

    `path` stands between the origin and whatever is asked for there. `api` is the base of a program
    whose API lives elsewhere than its token endpoint.

    `typed` patterns say what may be typed, `answers` which hosts the program's own answers may
    name (safety 19); `*` stands for one part of a host name without dots.
    """

    name: str
    label: str
    origin: str | None
    typed: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    misread: tuple[tuple[str, str], ...] = ()
    path: str = ""
    api: str | None = None

    def origin_of(self, typed: str | None = None) -> str:
        """The origin everything of this connector goes to; HostRefused names what is wrong."""
        if self.origin is not None:
            if typed:
                raise HostRefused("host-not-asked", f"{self.label} has its own host")
            return self.origin
        host = (typed or "").strip().removeprefix("https://").removesuffix("/")
        if ":" in host:
            raise HostRefused("host-refused", "write a host name without port")
        if host.isascii() and _fits(self.typed, host.lower()):
            return "https://" + host.lower()
        for ending, hint in self.misread:
            if host.lower().endswith(ending):
                raise HostRefused("host-refused", hint)
        if "*" in self.typed:
            raise HostRefused("host-refused", "write a host name, such as flows.example.com")
        wanted = " or ".join(self.typed)
        raise HostRefused("host-refused", f"the host must look like {wanted}, and nothing else")

    def meets(self, other: Environment) -> bool:
        """Whether both can have one origin, which then does not tell which of them is meant."""
        return any(
            one == two or _fits((one,), two) or _fits((two,), one)
            for one in self._hosts()
            for two in other._hosts()
        )

    def _hosts(self) -> tuple[str, ...]:
        return (self.origin.partition("://")[2],) if self.origin else self.typed

    def trusted(self, url: object) -> str:
        """A URL out of the program's answer, once its host is known to be theirs (safety 19)."""
        if isinstance(url, str) and (where := origin_of_url(url)) is not None:
            if where == self.origin:
                return url
            scheme, _, host = where.partition("://")
            if scheme == "https" and _fits(self.answers, host):
                return url
        raise HostRefused(
            "answer-host-refused", "the answer names a host that is not the program's"
        )


def binding_of(origin: str, names: Iterable[str], values: Mapping[str, object]) -> str:
    """Where everything sealed for a connector may go: the origin, and the values that bind."""
    bound = {name: str(values[name]) for name in names if values.get(name)}
    return f"{origin}?{urlencode(sorted(bound.items()))}" if bound else origin


def bound_by(binding: str) -> tuple[str, dict[str, str]]:
    """The origin and the values that a binding was made of."""
    origin, _, query = binding.partition("?")
    return origin, dict(parse_qsl(query))


def origin_of_url(url: str) -> str | None:
    """`scheme://host[:port]` of a web address; None where it is not one or names a user.

    Two parsers might read a percent sign in a host differently, so there is none.
    """
    if not url.isascii() or any(ord(c) <= 32 or c in '\\"<>' for c in url):
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname or {*"@%"} & {*parts.netloc}:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    if port is None or port == {"http": 80, "https": 443}[parts.scheme]:
        return f"{parts.scheme}://{host}"
    return f"{parts.scheme}://{host}:{port}"


def _fits(patterns: tuple[str, ...], host: str) -> bool:
    return len(host) <= 253 and any(_compiled(pattern).fullmatch(host) for pattern in patterns)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """`*` is one stretch of a host name without a dot; everything else stands for itself."""
    return re.compile(_LABEL.join(re.escape(part) for part in pattern.split("*")))
