"""How outside attributes become ours: a source document in, a profile and warnings out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from broker.domain import names
from broker.domain.errors import Invalid

# RFC 5321, 4.5.3.1.3: a path of 256 octets, less its angle brackets.
ADDRESS_LIMIT = 254
NO_ADDRESS = "no-address"
CUSTOM, LOGONS = "custom.", "logons."
FIELDS = {
    "userName": "user_name",
    "displayName": "display_name",
    "givenName": "given_name",
    "familyName": "family_name",
    "middleName": "middle_name",
    "prefix": "prefix",
    "suffix": "suffix",
    "email": "email",
}
"""What a mapping fills by the name it has there; beside them the project's own, and logons."""
NOTHING: Mapping[str, Any] = MappingProxyType({})


class Unfit(ValueError):
    """Why something cannot be a value of ours, as a sentence that does not tell the value."""

    def __init__(self, why: str, code: str = "unfit-value") -> None:
        super().__init__(why)
        self.code = code


@dataclass(frozen=True, slots=True)
class Warning:
    """One attribute that did not become ours, and why; the person is provisioned all the same.

    Warnings of one run with the same `code` and `attribute` are shown as one, with a count.
    """

    attribute: str
    text: str
    code: str = "no-equivalent-field"


class Unmatched(StrEnum):
    """What a pull does with somebody whom none of the matching attributes finds here."""

    CREATE = "create"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Profile:
    """What the broker knows of a person; "" where the directory said nothing.

    `email` is where letters go: the primary address, else the first for work, else the first.
    `custom` holds the project's own fields that are not empty.
    """

    user_name: str
    display_name: str = ""
    given_name: str = ""
    family_name: str = ""
    middle_name: str = ""
    prefix: str = ""
    suffix: str = ""
    email: str = ""
    custom: Mapping[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """What pages and answers call this person."""
        return self.display_name or self.user_name

    @property
    def by_target(self) -> dict[str, str]:
        """What is not empty, by the target of a mapping."""
        told = {to: getattr(self, name) for to, name in FIELDS.items()}
        told |= {CUSTOM + name: value for name, value in self.custom.items()}
        return {to: value for to, value in told.items() if value}


@dataclass(frozen=True, slots=True)
class Mapped:
    """A profile, and what of the source document did not fit into it.

    `logons` by suffix, "" where the person is to have none; only suffixes a rule writes are in it.
    """

    profile: Profile
    warnings: tuple[Warning, ...] = ()
    logons: Mapping[str, str] = field(default_factory=dict)


def mapped(document: Mapping[str, Any], made: Mapping[str, str] = NOTHING) -> Mapped:
    """The profile of a validated SCIM user (RFC 7643, 4.1).

    `made` holds what rules made, by target, as `fitted` left it; every other field is the
    identity of what is declared for it. Only a value our field cannot hold is a warning. Invalid
    where userName is missing or hides characters: that record fails (T7). Logons are in `made`
    only where an administrator's mapping writes them (safety 9).
    """
    name: Mapping[str, Any] = document.get("name") or NOTHING
    warnings: tuple[Warning, ...] = ()
    told = {FIELDS[to]: value for to, value in made.items() if to in FIELDS} if made else {}
    if "email" not in told:
        told["email"], warnings = _email(document.get("emails") or ())
    profile = Profile(
        **{
            "user_name": document.get("userName") or "",
            "display_name": _display_name(document, name),
            "given_name": _line(name.get("givenName")),
            "family_name": _line(name.get("familyName")),
            "middle_name": _line(name.get("middleName")),
            "prefix": _line(name.get("honorificPrefix")),
            "suffix": _line(name.get("honorificSuffix")),
            **told,
        },
        custom={to: value for to, value in _below(CUSTOM, made) if value},
    )
    names.user_name(profile.user_name)
    return Mapped(profile, warnings, dict(_below(LOGONS, made)))


def fitted(to: str, text: str) -> str:
    """A text as the target `to` holds it, "" for none; Unfit where it cannot."""
    if to == "userName" or not text:
        return text
    if to.startswith(LOGONS):
        try:
            return names.logon(text)
        except Invalid as error:
            raise Unfit(str(error)) from None
    line = _line(text)
    if to == "email" and line and not _is_address(line):
        raise Unfit("It is no address a letter could reach.", NO_ADDRESS)
    return line


def _below(prefix: str, made: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    return ((to.removeprefix(prefix), value) for to, value in made.items() if to.startswith(prefix))


def _display_name(document: Mapping[str, Any], name: Mapping[str, Any]) -> str:
    """displayName, else the formatted name, else given and family name."""
    return (
        _line(document.get("displayName"))
        or _line(name.get("formatted"))
        or _line(f"{name.get('givenName') or ''} {name.get('familyName') or ''}")
    )


def _email(emails: Sequence[Mapping[str, Any]]) -> tuple[str, tuple[Warning, ...]]:
    """The address for letters, or the warning that there is none among these."""
    if not emails:
        return "", ()
    addresses = [_line(email.get("value")) for email in sorted(emails, key=_preference)]
    if email := next((address for address in addresses if _is_address(address)), ""):
        return email, ()
    return "", (Warning("emails", "No address here is one a letter could reach.", NO_ADDRESS),)


def _preference(email: Mapping[str, Any]) -> tuple[bool, bool]:
    is_work = str(email.get("type") or "").casefold() == "work"
    return (not email.get("primary"), not is_work)


def _is_address(text: str) -> bool:
    """Whether a letter can be tried: one local part, one domain, nothing hidden or blank."""
    local, at, domain = text.rpartition("@")
    return bool(
        local
        and at
        and domain
        and len(text) <= ADDRESS_LIMIT
        and " " not in text  # which is what `_line` makes of all that is blank
        and (names.is_plain(text) or not any(map(names.is_hidden, text)))
    )


def _line(value: str | None) -> str:
    """One line of text: line breaks and runs of blanks become one blank."""
    return " ".join((value or "").split())
