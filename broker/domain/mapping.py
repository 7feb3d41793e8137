"""How outside attributes become ours: a source document in, a profile and warnings out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from broker.domain import names

# RFC 5321, 4.5.3.1.3: a path of 256 octets, less its angle brackets.
ADDRESS_LIMIT = 254


@dataclass(frozen=True, slots=True)
class Warning:
    """One attribute that did not become ours, and why; the person is provisioned all the same.

    Warnings of one run with the same `code` and `attribute` are shown as one, with a count.
    """

    attribute: str
    text: str
    code: str = "no-equivalent-field"


@dataclass(frozen=True, slots=True)
class Profile:
    """What the broker knows of a person; "" where the directory said nothing.

    `email` is where letters go: the primary address, else the first for work, else the first.
    """

    user_name: str
    display_name: str = ""
    given_name: str = ""
    family_name: str = ""
    middle_name: str = ""
    prefix: str = ""
    suffix: str = ""
    email: str = ""

    @property
    def label(self) -> str:
        """What pages and answers call this person."""
        return self.display_name or self.user_name


@dataclass(frozen=True, slots=True)
class Mapped:
    """A profile, and what of the source document did not fit into it."""

    profile: Profile
    warnings: tuple[Warning, ...] = ()


def mapped(document: Mapping[str, Any]) -> Mapped:
    """The profile of a validated SCIM user (RFC 7643, 4.1) under the default mapping.

    The default mapping is the identity for declared attributes, so only a value our field cannot
    hold is a warning. Invalid where userName is missing or hides characters: that record fails
    (T7). Logons are never written: an administrator has to allow it first (safety 9).
    """
    name: Mapping[str, Any] = document.get("name") or {}
    email, warnings = _email(document.get("emails") or ())
    profile = Profile(
        user_name=names.user_name(document.get("userName") or ""),
        display_name=_display_name(document, name),
        given_name=_line(name.get("givenName")),
        family_name=_line(name.get("familyName")),
        middle_name=_line(name.get("middleName")),
        prefix=_line(name.get("honorificPrefix")),
        suffix=_line(name.get("honorificSuffix")),
        email=email,
    )
    return Mapped(profile, warnings)


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
    return "", (Warning("emails", "No address here is one a letter could reach.", "no-address"),)


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
