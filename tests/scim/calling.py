"""A client for tests: the application called in process, no socket between."""

from __future__ import annotations

from typing import Any

import httpx

from scim.tolerance import STANDARD, Tolerance
from tests.scim.memory import MemoryDirectory, MemoryService

NAME = "dir_a"
ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"
PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
BROKER = "urn:ietf:params:scim:schemas:extension:broker:2.0:User"


class Client:
    """One directory in memory and its client, with the directory's token unless told otherwise."""

    def __init__(self, tolerance: Tolerance = STANDARD) -> None:
        self.service = MemoryService("http://broker.example")
        self.directory: MemoryDirectory = self.service.add(NAME, tolerance)
        self.app = self.service.app()

    async def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: dict[str, str] | None = None,
        content: bytes | None = None,
        token: str | None = f"token-of-{NAME}",
        directory: str = NAME,
    ) -> httpx.Response:
        """Send one request below the directory's base URL."""
        sent = {"Authorization": f"Bearer {token}"} if token else {}
        if body is not None or content is not None:
            sent["Content-Type"] = "application/scim+json"
        sent |= headers or {}
        transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
        base = self.service.base_url(directory)
        async with httpx.AsyncClient(transport=transport) as client:
            request = client.build_request(method, base + path, headers=sent, content=content)
            if body is not None:
                request = client.build_request(method, base + path, headers=sent, json=body)
            return await client.send(request)

    async def user(self, name: str = "ada@example.com", **attributes: Any) -> dict[str, Any]:
        """A new user, as answered."""
        answer = await self("POST", "/Users", {"schemas": [USER], "userName": name} | attributes)
        assert answer.status_code == 201, answer.text
        created: dict[str, Any] = answer.json()
        return created

    async def group(self, name: str = "Engineers", *members: str) -> dict[str, Any]:
        """A new group with these members, as answered."""
        named = [{"value": member} for member in members]
        body = {"schemas": [GROUP], "displayName": name, "members": named}
        answer = await self("POST", "/Groups", body)
        assert answer.status_code == 201, answer.text
        created: dict[str, Any] = answer.json()
        return created

    async def patch(self, path: str, *operations: Any, **options: Any) -> httpx.Response:
        """A PATCH with these operations."""
        return await self("PATCH", path, patch_body(*operations), **options)


def patch_body(*operations: Any) -> dict[str, Any]:
    """A PatchOp message."""
    return {"schemas": [PATCH_OP], "Operations": list(operations)}


def problem(answer: httpx.Response) -> tuple[int, str | None, str]:
    """Status, scimType and detail of a SCIM error; fails for anything else."""
    assert answer.headers["content-type"] == "application/scim+json", answer.text
    body = answer.json()
    assert body["schemas"] == [ERROR], body
    assert body["status"] == str(answer.status_code), body
    assert body["detail"], body
    return answer.status_code, body.get("scimType"), body["detail"]
