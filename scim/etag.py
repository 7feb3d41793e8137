"""Versions as weak entity tags, and what If-Match and If-None-Match ask of them (RFC 9110)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from scim.errors import PreconditionFailed

TAG = re.compile(r'(?:W/)?"([^"]*)"')


def tag(version: int) -> str:
    """The entity tag of a version, as ETag and meta.version show it: `W/"3"`."""
    return f'W/"{version}"'


@dataclass(frozen=True, slots=True)
class IfMatch:
    """The versions a client is willing to change; None means any."""

    versions: frozenset[str] | None = None
    unless: str | None = None
    """The If-None-Match header of a change: the versions it must not meet."""

    @classmethod
    def parse(cls, header: str | None, unless: str | None = None) -> IfMatch:
        """What an If-Match header says; tags compare weakly, as RFC 7644 section 3.14 uses them."""
        if header is None or header.strip() == "*":
            return cls(unless=unless)
        return cls(frozenset(TAG.findall(header)), unless)

    def check(self, version: int) -> None:
        """Refuse (PreconditionFailed) unless `version` is one the client means.

        The host asks inside the transaction that changes the resource.
        """
        stale = self.versions is not None and str(version) not in self.versions
        if stale or is_known(self.unless, version):
            raise PreconditionFailed


def is_known(header: str | None, version: int) -> bool:
    """Whether If-None-Match names this version: 304 says enough, and a change is refused (412)."""
    if header is None:
        return False
    return header.strip() == "*" or str(version) in TAG.findall(header)
