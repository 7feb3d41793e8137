"""What reading a directory gives: pages of people and groups, each with the place of the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from providers.definition import Field
from providers.secret import Secret

Kind = Literal["User", "Group"]


@dataclass(frozen=True, slots=True)
class Members:
    """Who is in a group, by their keys at the source.

    `whole`: `added` are all of them, and whoever is not among them is out. Otherwise it is a
    change. A list may come in pieces, one Found after the other (Microsoft Graph): on a reading
    from None the first piece of a group replaces what was known, the others add to it.
    """

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """One record of the source; `key` is its id there, for ever the same.

    `body` is a SCIM resource (RFC 7643) without `members`; a manager is named by their key there,
    and fields of the source's own may stand beside as unknown attributes. `gone`: the source says
    that it was deleted, and `body` is empty; `restorable`: its administrators can still bring it
    back. `members` is None for people, and where the record does not speak of them. A key may come
    again, also on a later page: the later record is the truer one.
    """

    kind: Kind
    key: str
    body: Mapping[str, Any] = field(default_factory=dict)
    gone: bool = False
    restorable: bool = False
    members: Members | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """What stands at one place of a source; people come before groups.

    `next` is the place of the next page as JSON text, None at the end. `expected` is how many
    records the source announced so far, None where it does not say. `delta`, on the last page, is
    the place from which the next reading finds only what changed since this one began; None where
    the source cannot. `refused` are records that could not be read: their key, None where they
    show none, and why, for an administrator; one with a key is there, not absent. `unsure`, on the
    last page, says for a kind why a record that was not seen may be there all the same, so that
    nobody of that kind counts as absent.
    """

    found: Sequence[Found]
    next: str | None = None
    expected: int | None = None
    delta: str | None = None
    refused: Sequence[tuple[str | None, str]] = ()
    unsure: Mapping[Kind, str] = field(default_factory=dict)


class CanReadDirectory(Protocol):
    """A directory that can be read, page by page.

    Each request has its deadline; trying again is the caller's. ProviderError: ClientMisconfigured
    (credentials or settings are refused), TryLater (network, certificate, 429, 5xx, an answer cut
    off or of some proxy; `retry_after_s` as the source wishes), SourceBroken (what answers does not
    speak the protocol), PlaceGone (begin anew, from None).
    """

    @property
    def translated(self) -> frozenset[str]:
        """Fields of the source's own in a body that need no rule: SCIM attributes say the same."""
        ...

    @property
    def whole(self) -> bool:
        """Whether a reading from None shows everybody, so that whoever it misses is absent."""
        ...

    async def page(self, place: str | None) -> Page:
        """The page at a place a former page told; None is the first."""
        ...

    async def one(self, kind: Kind, key: str) -> Found | None:
        """One record as it is now; None where the source has none with this key."""
        ...


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a setting, in a sentence for the administrator who typed it."""

    field: str
    text: str


class SourceKind(Protocol):
    """One kind of source: what has to be told, and how it is opened.

    The values of protected fields are secrets, all others settings.
    """

    @property
    def kind(self) -> str:
        """Its word in the database and on the wire."""
        ...

    @property
    def title(self) -> str:
        """Its name on a page."""
        ...

    @property
    def fields(self) -> tuple[Field, ...]:
        """The form, in its order."""
        ...

    def check(self, settings: Mapping[str, str]) -> tuple[Problem, ...]:
        """All that is wrong with these settings; empty where they can be opened."""
        ...

    def origin(self, settings: Mapping[str, str]) -> str:
        """Where the secrets go and nowhere else (safety 18); ClientMisconfigured where a setting
        is wrong.
        """
        ...

    def open(self, settings: Mapping[str, str], secrets: Mapping[str, Secret]) -> CanReadDirectory:
        """A reader; ClientMisconfigured where a setting or a secret is missing or wrong."""
        ...
