"""A pretend Microsoft Entra ID: tokens for apps, and Microsoft Graph's delta queries."""

import base64
import secrets
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from broker.demo import answers
from broker.demo.grants import App, Rules, State, users_as
from broker.demo.staff import DEPARTMENTS, Event, Staff, department_of, manager_of
from broker.demo.world import Answer, Clock, Switches, Trouble, answer_of

BASE = "/entra"
RULES = Rules(session_s=3599, idle_s=90 * 24 * 3600, renews=True, marks=("1.AX", "eyJ0"))
LARGE = 10_000_000
FIRST_GROUP = 900_000_000_000
USER_TYPE = "#microsoft.graph.user"

Document = dict[str, Any]
Round = dict[str, Any]
"""What a skip or delta token holds: `select`, `since` (None on a first round), `until`, `at`."""


@dataclass
class Entra:
    """One tenant: what it holds and how it answers, open to tests and rehearsals.

    No app may read it until one is registered. `state` is who may come in; its `calls` counts by
    endpoint: `token`, `users`, `groups`, `record`, `me`, `site`, which are also the names for
    troubles. `page` and `members` are how many people and how many members of a group one page
    holds.
    """

    base_url: str
    clock: Clock = field(default_factory=Clock)
    staff: Staff = field(default_factory=Staff)
    tenant: str = "acme.example"
    page: int = 100
    members: int = 500
    state: State = field(init=False)

    def __post_init__(self) -> None:
        switches = Switches(answers=answers.ENTRA)
        users = users_as(_id)
        self.state = State(self.base_url, self.clock, switches, users=users, rules=RULES)

    @property
    def switches(self) -> Switches:
        return self.state.switches

    @property
    def calls(self) -> Counter[str | tuple[str, str]]:
        return self.state.calls

    def register(self, app: App) -> App:
        """An app registration, new or in place of the one with its client id."""
        return self.state.register(app)

    @property
    def graph(self) -> str:
        """The address of both its hosts, which a real tenant has apart."""
        return self.base_url + BASE

    def routes(self) -> list[Route]:
        return [
            Route(f"{BASE}/v1.0/users/delta", self._users),
            Route(f"{BASE}/v1.0/groups/delta", self._groups),
            Route(f"{BASE}/v1.0/users/{{id}}", self._user),
            Route(f"{BASE}/v1.0/groups/{{id}}", self._group),
        ]

    async def _users(self, request: Request) -> Response:
        return await self._delta(request, "users", self._some_users)

    async def _groups(self, request: Request) -> Response:
        return await self._delta(request, "groups", self._some_groups)

    async def _user(self, request: Request) -> Response:
        select = request.query_params.get("$select", "id").split(",")

        def made(number: int) -> Document:
            shown = _selected(self._person(number), select)
            manager = manager_of(number)
            wanted = "manager" in request.query_params.get("$expand", "")
            return shown | ({"manager": {"id": _id(manager)}} if manager and wanted else {})

        return await self._one(request, made)

    async def _group(self, request: Request) -> Response:
        return await self._one(request, lambda number: self._department(number - FIRST_GROUP))

    async def _one(self, request: Request, made: Callable[[int], Document]) -> Response:
        if (refused := self._refusal(request, await self._met("record"))) is not None:
            return refused
        try:
            return JSONResponse(made(int(request.path_params["id"][-12:])))
        except (ValueError, KeyError, IndexError):
            return _error(404, "Request_ResourceNotFound", "Resource does not exist.")

    async def _delta(
        self,
        request: Request,
        endpoint: str,
        some: Callable[[Round], tuple[list[Any], int | None]],
    ) -> Response:
        """One page of a round; it ends with a link from which the next round begins."""
        met = await self._met(endpoint)
        if (refused := self._refusal(request, met)) is not None:
            return refused
        query = request.query_params
        told = query.get("$skiptoken") or query.get("$deltatoken")
        if met is Trouble.PLACE_GONE and told:
            return _error(410, "resyncRequired", "Resync is required.")
        try:
            now = _read(told) if told else {"select": query.get("$select", "").split(",")}
        except ValueError:
            return _error(400, "Directory_ResultSetInvalid", "The token is not valid.")
        begun = {"since": None, "until": len(self.staff.log), "at": 0} | now
        if query.get("$deltatoken"):
            begun |= {"since": now["until"], "until": len(self.staff.log), "at": 0}
        records, at = some(begun)
        return self._paged(met, f"{self.graph}/v1.0/{endpoint}/delta", begun, records, at)

    def _paged(
        self, met: Trouble | Answer | None, url: str, now: Round, records: list[Any], at: int | None
    ) -> Response:
        if met is Trouble.LARGE_RECORD and records:
            records[0]["jobTitle"] = "x" * LARGE
        if met is Trouble.ODD_ENTRIES:
            records += [None, 7, {"displayName": "Nobody"}]
        name, link = "@odata.deltaLink", f"{url}?$deltatoken={_written(now)}"
        if at is not None or met is Trouble.SAME_PAGE:
            on = now["at"] if met is Trouble.SAME_PAGE else at
            name, link = "@odata.nextLink", f"{url}?$skiptoken={_written(now | {'at': on})}"
        text = orjson.dumps({"@odata.context": f"{url}/$metadata", name: link, "value": records})
        half = text[: len(text) // 2] if met is Trouble.HALF_PAGE else text
        return Response(half, media_type="application/json")

    def _some_users(self, now: Round) -> tuple[list[Any], int | None]:
        """People from a place on: all of them, or those to whom something happened."""
        if now["since"] is None:
            happened = dict[int, set[Event]]()
            numbers: list[int] = self.staff.numbers
        else:
            happened = self.staff.since(now["since"])
            numbers = sorted(happened)
        first, last = now["at"], now["at"] + self.page
        some = numbers[first:last]
        records = [self._told(number, now["select"], happened.get(number)) for number in some]
        return records, last if last < len(numbers) else None

    def _told(self, number: int, select: list[str], happened: set[Event] | None) -> Document:
        """Somebody in a page. A manager is only told where it is new, as relationships are."""
        try:
            shown = _selected(self._person(number), select)
        except KeyError:
            return _removed(number)
        if happened is None:
            # "If the property has never been set before it will not be included."
            shown = {name: value for name, value in shown.items() if value is not None}
        is_new = happened is None or Event.CAME in happened
        if is_new and "manager" in select and (manager := manager_of(number)):
            shown["manager@delta"] = [{"@odata.type": USER_TYPE, "id": _id(manager)}]
        return shown

    def _some_groups(self, now: Round) -> tuple[list[Any], int | None]:
        """One group with some of its members; it comes again until all of them were told."""
        there = set(self.staff.numbers)
        pieces: list[tuple[int, list[int]]] = []
        for index in range(len(DEPARTMENTS)):
            told = self._membership(index, now["since"])
            cuts = range(0, len(told), self.members) if told else ()
            pieces += ((index, told[cut : cut + self.members]) for cut in cuts)
            if not told and now["since"] is None:
                pieces.append((index, []))
        if not pieces:
            return [], None
        index, some = pieces[now["at"]]
        group = self._department(index + 1)
        if some:
            group["members@delta"] = [
                {"@odata.type": USER_TYPE, **({"id": _id(n)} if n in there else _removed(n))}
                for n in some
            ]
        return [group], now["at"] + 1 if now["at"] + 1 < len(pieces) else None

    def _membership(self, index: int, since: int | None) -> list[int]:
        """Who is in a department, or came into it or left it."""
        if since is None:
            return [number for number in self.staff.numbers if department_of(number) == index]
        return [
            number
            for number, happened in sorted(self.staff.since(since).items())
            if department_of(number) == index and happened != {Event.CHANGED}
        ]

    def _person(self, number: int) -> Document:
        """A user of Graph's, by the names of "user resource type"."""
        employee = self.staff.at(number)
        return {
            "id": _id(number),
            "userPrincipalName": employee.user_name,
            "accountEnabled": True,
            "displayName": employee.display_name,
            "givenName": employee.given,
            "surname": employee.family,
            "mail": employee.user_name,
            "jobTitle": employee.title,
            "department": employee.department,
            "employeeId": f"{number}",
            "businessPhones": [],
            "mobilePhone": None,
            "userType": "Member",
        } | self.staff.said.get(number, {})

    def _department(self, number: int) -> Document:
        return {"id": _id(FIRST_GROUP + number), "displayName": DEPARTMENTS[number - 1]}

    async def _met(self, endpoint: str) -> Trouble | Answer | None:
        self.state.count(endpoint)
        return await self.switches.take(endpoint)

    def _refusal(self, request: Request, met: Trouble | Answer | None) -> Response | None:
        if met is Trouble.RATE_LIMITED:
            return _error(429, "TooManyRequests", "Too many requests.", {"Retry-After": "7"})
        if met is Trouble.FORBIDDEN:
            words = "Insufficient privileges to complete the operation."
            return _error(403, "Authorization_RequestDenied", words)
        if met is not None and (trouble := answer_of(met)) is not None:
            return trouble
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or self.state.by_access_token(token) is None:
            words = "Lifetime validation failed, the token is expired."
            return _error(401, "InvalidAuthenticationToken", words)
        return None


def _selected(person: Document, select: list[str]) -> Document:
    return {name: value for name, value in person.items() if name == "id" or name in select}


def _removed(number: int) -> Document:
    return {"id": _id(number), "@removed": {"reason": "changed"}}


def _id(number: int) -> str:
    return f"3f0c2a6e-5b1d-4c7e-9a42-{number:012d}"


def _written(now: Round) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(now)).decode().rstrip("=")


def _read(token: str) -> Round:
    said = orjson.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    return dict(said)


def _error(
    status: int, code: str, message: str, headers: Mapping[str, str] | None = None
) -> Response:
    inner = {"request-id": secrets.token_hex(8)}
    error = {"code": code, "message": message, "innerError": inner}
    return JSONResponse({"error": error}, status, headers)
