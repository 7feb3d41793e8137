"""Request bodies as Entra ID and Okta send them; a user is about 1.2 kB."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Any

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
BULK = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"

Body = dict[str, Any]


def user(name: str, *, shown: str | None = None) -> Body:
    """An enterprise user called `name@example.com`."""
    return {
        "schemas": [USER, ENTERPRISE],
        "externalId": f"ext-{name}",
        "userName": f"{name}@example.com",
        "name": {
            "formatted": "Barbara Jane Jensen",
            "familyName": "Jensen",
            "givenName": "Barbara",
            "middleName": "Jane",
        },
        "displayName": shown or f"Barbara Jensen {name}",
        "nickName": "Babs",
        "title": "Tour Guide",
        "userType": "Employee",
        "preferredLanguage": "en-US",
        "locale": "en-US",
        "timezone": "America/Los_Angeles",
        "active": True,
        "emails": [
            {"value": f"{name}@example.com", "type": "work", "primary": True},
            {"value": f"{name}.home@example.org", "type": "home"},
        ],
        "phoneNumbers": [{"value": "555-555-5555", "type": "work"}],
        "addresses": [
            {
                "type": "work",
                "streetAddress": "100 Universal City Plaza",
                "locality": "Hollywood",
                "region": "CA",
                "postalCode": "91608",
                "country": "US",
                "formatted": "100 Universal City Plaza, Hollywood, CA 91608 US",
            }
        ],
        ENTERPRISE: {
            "employeeNumber": f"7{zlib.crc32(name.encode()) % 10**6}",
            "costCenter": "4130",
            "organization": "Universal Studios",
            "division": "Theme Park",
            "department": "Tour Operations",
        },
    }


def group(name: str, members: Iterable[str] = ()) -> Body:
    """A group with these members."""
    return {
        "schemas": [GROUP],
        "displayName": name,
        "externalId": f"ext-{name}",
        "members": [{"value": member} for member in members],
    }


def patch(*operations: Body) -> Body:
    """A PATCH of these operations."""
    return {"schemas": [PATCH], "Operations": list(operations)}


def replacing(shown: str, *, active: bool) -> Body:
    """The PATCH of a user that a sync sends: `active` and the shown name."""
    return patch(
        {"op": "replace", "path": "active", "value": active},
        {"op": "replace", "path": "displayName", "value": shown},
    )


def adding(*members: str) -> Body:
    """A PATCH that puts these into a group."""
    value = [{"value": member} for member in members]
    return patch({"op": "add", "path": "members", "value": value})


def removing(member: str) -> Body:
    """A PATCH that takes one out of a group."""
    return patch({"op": "remove", "path": f'members[value eq "{member}"]'})


def bulk(names: Iterable[str]) -> Body:
    """A Bulk that creates these users."""
    operations = [
        {"method": "POST", "path": "/Users", "bulkId": f"b{n}", "data": user(name)}
        for n, name in enumerate(names)
    ]
    return {"schemas": [BULK], "failOnErrors": 1000, "Operations": operations}
