"""What Microsoft Graph says of people and groups, in SCIM's words.

The pairs are those of Microsoft's own attribute mapping for SCIM applications ("Tutorial: Develop
and plan provisioning for a SCIM endpoint in Microsoft Entra ID", its table of user attributes; the
names at Graph from "user resource type"), but for externalId: that is the object id, which is the
immutable `oid` of a sign-in (safety 5), and not the mailNickname.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from providers.sources.asking import key_of
from providers.sources.reading import Found, Kind, Members

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"

PLAIN = {
    "userPrincipalName": "userName",
    "accountEnabled": "active",
    "displayName": "displayName",
    "jobTitle": "title",
    "preferredLanguage": "preferredLanguage",
    "userType": "userType",
}
NAME = {"givenName": "givenName", "surname": "familyName"}
ADDRESS = {
    "streetAddress": "streetAddress",
    "city": "locality",
    "state": "region",
    "postalCode": "postalCode",
    "country": "country",
}
PHONES = {"businessPhones": "work", "mobilePhone": "mobile", "faxNumber": "fax"}
EMPLOYMENT = {"employeeId": "employeeNumber", "department": "department"}

TRANSLATED = frozenset({*PLAIN, *NAME, *ADDRESS, *PHONES, *EMPLOYMENT, "mail", "officeLocation"})
"""Every field a body says in SCIM's words; `id` and `manager` are said so too."""

SELECTED = ("id", *sorted(TRANSLATED))

MEMBER_TYPES = frozenset({None, "#microsoft.graph.user", "#microsoft.graph.group"})
"""Members we could know; devices, contacts and service principals are none of them."""


def user(record: Mapping[str, Any]) -> dict[str, Any]:
    """A SCIM user (RFC 7643 section 4.1), with the fields under their own names beside it."""
    said = {name: value for name, value in record.items() if value is not None and "@" not in name}
    body: dict[str, Any] = {"schemas": [USER, ENTERPRISE], "externalId": said.pop("id")}
    body |= _renamed(said, PLAIN)
    if name := _renamed(said, NAME):
        body["name"] = name
    if mail := said.get("mail"):
        body["emails"] = [{"value": mail, "type": "work", "primary": True}]
    if phones := _phones(said):
        body["phoneNumbers"] = phones
    if addresses := _addresses(said):
        body["addresses"] = addresses
    employment = _renamed(said, EMPLOYMENT)
    if manager := _manager(record):
        employment["manager"] = {"value": manager}
    if employment:
        body[ENTERPRISE] = employment
    # What SCIM calls by the same name stands there already.
    taken = {name.lower() for name in body} | {"manager", *map(str.lower, EMPLOYMENT.values())}
    return body | {name: value for name, value in said.items() if name.lower() not in taken}


def group(record: Mapping[str, Any]) -> dict[str, Any]:
    """A SCIM group (RFC 7643 section 4.2) without its members."""
    body = {"schemas": [GROUP], "externalId": record["id"]}
    return body | _renamed(record, {"displayName": "displayName"})


def members(record: Mapping[str, Any], *, whole: bool) -> Members | None:
    """What `members@delta` changes ("Get incremental changes for groups").

    A group without it has no members on a `whole` reading; later its members are as they were.
    """
    said = record.get("members@delta")
    if not isinstance(said, list):
        return Members() if whole else None
    # One page may take somebody out and in again; the last word counts.
    out = {
        one["id"]: "@removed" in one
        for one in said
        if isinstance(one, dict)
        and isinstance(one.get("id"), str)
        and one.get("@odata.type") in MEMBER_TYPES
    }
    added = tuple(key for key, removed in out.items() if not removed)
    return Members(added, tuple(key for key, removed in out.items() if removed))


def found(kind: Kind, record: Mapping[str, Any], *, whole: bool) -> Found:
    """A record of a page; Unreadable where its id or its size forbids it.

    `@removed` is a deletion; with the reason `changed` its administrators can still undo it ("Use
    delta query to track changes in Microsoft Graph data").
    """
    key = key_of(kind, record)
    removed = record.get("@removed")
    if removed is not None:
        restorable = isinstance(removed, dict) and removed.get("reason") == "changed"
        return Found(kind, key, gone=True, restorable=restorable)
    if kind == "User":
        return Found(kind, key, user(record))
    return Found(kind, key, group(record), members=members(record, whole=whole))


def _renamed(record: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {theirs: record[ours] for ours, theirs in names.items() if record.get(ours) is not None}


def _phones(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """businessPhones is a list of at most one number, the others are single ones."""
    phones = []
    for name, type in PHONES.items():
        said = record.get(name)
        numbers = said if isinstance(said, list) else [said]
        phones += [{"value": number, "type": type} for number in numbers if number]
    return phones


def _addresses(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    work = _renamed(record, ADDRESS)
    office = record.get("officeLocation")
    addresses = [work | {"type": "work"}] if work else []
    return addresses + ([{"formatted": office, "type": "other"}] if office else [])


def _manager(record: Mapping[str, Any]) -> str | None:
    """The manager's id: expanded, or as a change in a page of a delta query."""
    said = record.get("manager@delta")
    for one in (record.get("manager"), *(said if isinstance(said, list) else ())):
        if isinstance(one, dict) and "@removed" not in one and isinstance(one.get("id"), str):
            return str(one["id"])
    return None
