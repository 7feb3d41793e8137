"""What this server says of itself: ServiceProviderConfig, ResourceTypes, Schemas (RFC 7644 4)."""

from collections.abc import Mapping
from typing import Any

import orjson

from scim.errors import Forbidden, NotFound
from scim.schema import Catalogue, Limits, ResourceType
from scim.wire import listed

BASE = b"{base}"
CORE = "urn:ietf:params:scim:schemas:core:2.0:"
ENDPOINTS = frozenset({"ServiceProviderConfig", "ResourceTypes", "Schemas"})


class Discovery:
    """The discovery documents of one catalogue, written once; only the base URL varies."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.config = orjson.dumps(_config(catalogue.limits))
        self.items: dict[str, dict[str, bytes]] = {
            "ResourceTypes": {t.name: orjson.dumps(_type(t)) for t in catalogue.types},
            "Schemas": {s["id"]: orjson.dumps(_schema(s)) for s in catalogue.schemas},
        }

    def answer(
        self, endpoint: str, name: str | None, parameters: Mapping[str, str], base_url: str
    ) -> bytes:
        """The document of an endpoint, or of one item there; NotFound where there is none.

        Forbidden for a filter (RFC 7644 section 4); other parameters mean nothing here. Schema
        URNs compare without case (RFC 8141 section 3.1).
        """
        if "filter" in parameters:
            raise Forbidden("Discovery endpoints take no filter.")
        return self._document(endpoint, name).replace(BASE, orjson.dumps(base_url)[1:-1])

    def _document(self, endpoint: str, name: str | None) -> bytes:
        if endpoint == "ServiceProviderConfig":
            if name is None:
                return self.config
            raise NotFound("There is no such resource.")
        items = self.items[endpoint]
        if name is None:
            return listed(items.values(), totalResults=len(items), startIndex=1)
        for key, item in items.items():
            if key == name or (endpoint == "Schemas" and key.lower() == name.lower()):
                return item
        raise NotFound(f"There is no such {endpoint.removesuffix('s')}.")


def _meta(kind: str, path: str) -> dict[str, str]:
    return {"resourceType": kind, "location": f"{BASE.decode()}{path}"}


def _type(type: ResourceType) -> dict[str, Any]:
    """A resource type; an extension that nobody provisions is announced by /Schemas alone."""
    shown = ("endpoint", "description", "schema")
    extensions = [
        {"schema": each["schema"], "required": each["required"]}
        for each in type.definition["schemaExtensions"]
        if each.get("announced", True)
    ]
    return {
        "schemas": [CORE + "ResourceType"],
        "id": type.name,
        "name": type.name,
        **{name: type.definition[name] for name in shown},
        "schemaExtensions": extensions,
        "meta": _meta("ResourceType", f"/ResourceTypes/{type.name}"),
    }


def _schema(definition: Mapping[str, Any]) -> dict[str, Any]:
    meta = _meta("Schema", f"/Schemas/{definition['id']}")
    return {"schemas": [CORE + "Schema"], **definition, "meta": meta}


def _config(limits: Limits) -> dict[str, Any]:
    """Only what truly works is announced as supported."""
    return {
        "schemas": [CORE + "ServiceProviderConfig"],
        "patch": {"supported": True},
        "bulk": {
            "supported": True,
            "maxOperations": limits.bulk_operations,
            "maxPayloadSize": limits.body_bytes,
        },
        "filter": {"supported": True, "maxResults": limits.largest_page},
        "changePassword": {"supported": False},
        "sort": {"supported": True},
        "etag": {"supported": True},
        "pagination": {
            "cursor": True,
            "index": True,
            "defaultPaginationMethod": "index",
            "defaultPageSize": limits.default_page,
            "maxPageSize": limits.largest_page,
            "cursorTimeout": limits.cursor_s,
        },
        "authenticationSchemes": [
            {
                "type": "oauthbearertoken",
                "name": "OAuth Bearer Token",
                "description": "The token of this directory, as a bearer token.",
                "specUri": "https://www.rfc-editor.org/info/rfc6750",
                "primary": True,
            }
        ],
        "meta": _meta("ServiceProviderConfig", "/ServiceProviderConfig"),
    }
