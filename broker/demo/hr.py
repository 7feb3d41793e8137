"""A pretend directory that is read over SCIM 2.0, by index or by cursor (RFC 9865)."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.demo.people import ENTERPRISE
from broker.demo.staff import DEPARTMENTS, Staff, department_of, manager_of
from broker.demo.world import Answer, Switches, Trouble, answer_of

BASE = "/hr/scim/v2"
MESSAGES = "urn:ietf:params:scim:api:messages:2.0:"
SCHEMAS = "urn:ietf:params:scim:schemas:core:2.0:"
LARGE = 10_000_000
LONGEST_CURSOR = 20

Document = dict[str, Any]


@dataclass
class Hr:
    """What it holds and offers, open to tests and rehearsals; `calls` counts by endpoint.

    No token opens it until one is registered. Its endpoints, for troubles: `page`, `record`,
    `config`.
    """

    base_url: str
    staff: Staff = field(default_factory=Staff)
    switches: Switches = field(default_factory=Switches)
    tokens: set[str] = field(default_factory=set)
    cursors: bool = True
    largest: int = 1000
    calls: Counter[str] = field(default_factory=Counter)

    @property
    def url(self) -> str:
        """The base address a source is told."""
        return self.base_url + BASE

    def routes(self) -> list[Route]:
        return [
            Route(f"{BASE}/ServiceProviderConfig", self._config),
            Route(f"{BASE}/Users", self._users),
            Route(f"{BASE}/Users/{{id}}", self._user),
            Route(f"{BASE}/Groups", self._groups),
            Route(f"{BASE}/Groups/{{id}}", self._group),
        ]

    async def _config(self, request: Request) -> Response:
        if (refused := await self._refused(request, "config")) is not None:
            return refused
        no = {"supported": False}
        return _answer(
            {
                "schemas": [SCHEMAS + "ServiceProviderConfig"],
                **dict.fromkeys(("patch", "bulk", "changePassword", "sort", "etag"), no),
                "filter": no | {"maxResults": self.largest},
                "pagination": {
                    "cursor": self.cursors,
                    "index": True,
                    "defaultPaginationMethod": "index",
                    "maxPageSize": self.largest,
                },
                "authenticationSchemes": [{"type": "oauthbearertoken", "name": "Bearer"}],
            }
        )

    async def _users(self, request: Request) -> Response:
        numbers = self.staff.numbers
        return await self._list(request, len(numbers), lambda n: self._person(numbers[n]))

    async def _groups(self, request: Request) -> Response:
        return await self._list(request, len(DEPARTMENTS), self._department)

    async def _user(self, request: Request) -> Response:
        return await self._one(request, "hr-", lambda n: self._person(self.staff.at(n).number))

    async def _group(self, request: Request) -> Response:
        return await self._one(request, "dep-", lambda n: self._department(n - 1))

    def _person(self, number: int) -> Document:
        document: Document = self.staff.at(number).document()
        employment = dict(document[ENTERPRISE])
        if manager := manager_of(number):
            employment["manager"] = {"value": _id("hr", manager)}
        document[ENTERPRISE] = employment
        document |= {"id": _id("hr", number), "meta": {"resourceType": "User"}}
        document |= self.staff.said.get(number, {})
        return {name: value for name, value in document.items() if value is not None}

    def _department(self, index: int) -> Document:
        members = (number for number in self.staff.numbers if department_of(number) == index)
        return {
            "schemas": [SCHEMAS + "Group"],
            "id": _id("dep", index + 1),
            "displayName": DEPARTMENTS[index],
            "members": [{"value": _id("hr", number), "type": "User"} for number in members],
            "meta": {"resourceType": "Group"},
        }

    async def _list(
        self, request: Request, total: int, made: Callable[[int], Document]
    ) -> Response:
        met = await self._met("page")
        if (refused := self._refusal(request, met)) is not None:
            return refused
        query = request.query_params
        cursor = query.get("cursor") if self.cursors else None
        try:
            start = int(cursor or query.get("startIndex", "1"))
            count = min(max(int(query.get("count", "100")), 0), self.largest)
        except ValueError:
            start = count = 0
        if start < 1:
            return _error(400, "No such cursor.", "invalidCursor")
        if met is Trouble.PLACE_GONE and cursor:
            return _error(400, "This cursor is over.", "expiredCursor")
        if met is Trouble.SAME_PAGE and cursor is None:
            start = 1  # as servers do that never heard of startIndex
        records: list[Any] = [made(n) for n in range(start - 1, min(start - 1 + count, total))]
        return self._page(met, records, start, total, by_cursor=cursor is not None)

    def _page(
        self,
        met: Trouble | Answer | None,
        records: list[Any],
        start: int,
        total: int,
        *,
        by_cursor: bool,
    ) -> Response:
        if met is Trouble.LARGE_RECORD and records:
            records[0]["nickName"] = "x" * LARGE
        if met is Trouble.ODD_ENTRIES:
            records += [None, 7, {"userName": "nobody@acme.example"}]
        said = total * 10 if met is Trouble.WRONG_TOTAL else total
        page: Document = {"schemas": [MESSAGES + "ListResponse"], "totalResults": said}
        page |= {"itemsPerPage": len(records), "Resources": records}
        if not by_cursor:
            page["startIndex"] = start
        elif met is Trouble.SAME_PAGE:
            page["nextCursor"] = f"{start}"
        elif start - 1 + len(records) < total:
            page["nextCursor"] = f"{start + len(records)}"
        return _answer(page, half=met is Trouble.HALF_PAGE)

    async def _one(
        self, request: Request, prefix: str, made: Callable[[int], Document]
    ) -> Response:
        if (refused := await self._refused(request, "record")) is not None:
            return refused
        id = request.path_params["id"]
        try:
            return _answer(made(int(id.removeprefix(prefix))))
        except (ValueError, KeyError, IndexError):
            return _error(404, f"There is no {id} here.")

    async def _refused(self, request: Request, endpoint: str) -> Response | None:
        return self._refusal(request, await self._met(endpoint))

    async def _met(self, endpoint: str) -> Trouble | Answer | None:
        self.calls[endpoint] += 1
        return await self.switches.take(endpoint)

    def _refusal(self, request: Request, met: Trouble | Answer | None) -> Response | None:
        if met is not None and (trouble := answer_of(met)) is not None:
            return trouble
        if met is Trouble.FORBIDDEN:
            return _error(403, "This token may not read here.")
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or token not in self.tokens:
            return _error(401, "No such token.")
        return None


def _id(prefix: str, number: int) -> str:
    return f"{prefix}-{number:06d}"


def _answer(body: Document, status: int = 200, *, half: bool = False) -> Response:
    text = orjson.dumps(body)
    return Response(
        text[: len(text) // 2] if half else text, status, media_type="application/scim+json"
    )


def _error(status: int, detail: str, scim_type: str | None = None) -> Response:
    body: Document = {"schemas": [MESSAGES + "Error"], "status": f"{status}", "detail": detail}
    return _answer(body | ({"scimType": scim_type} if scim_type else {}), status)
