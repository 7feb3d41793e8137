"""People as services and administrators see them: status, license, logons, flags, logins."""

from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.domain.errors import Invalid, Problem
from broker.domain.users import Status, User
from broker.service.licensing import Licensing
from broker.service.managing import Managing, Person
from broker.web.access import Access
from broker.web.api import body
from broker.web.api.answers import json, moment, nothing, page_of


@dataclass(frozen=True, slots=True)
class UsersFace:
    """People, and what an administrator or a program does to them."""

    managing: Managing
    licensing: Licensing
    access: Access

    def routes(self) -> list[Route]:
        """What this face serves."""
        return [
            Route("/v1/users", self.users, methods=["GET"]),
            Route("/v1/users/{id}", self.user, methods=["GET"]),
            Route("/v1/users/{id}/activate", self.activate, methods=["POST"]),
            Route("/v1/users/{id}/suspend", self.suspend, methods=["POST"]),
            Route("/v1/users/{id}/reinstate", self.reinstate, methods=["POST"]),
            Route("/v1/users/{id}/invite", self.invite, methods=["POST"]),
            Route("/v1/users/{id}/logons", self.logons, methods=["PUT"]),
            Route("/v1/users/{id}/user-authentication", self.flag, methods=["PUT"]),
            Route("/v1/user-authentication", self.flags, methods=["PUT"]),
            Route("/v1/logins", self.login, methods=["POST"]),
        ]

    async def users(self, request: Request) -> Response:
        caller = await self.access.require(request, "users:read")
        cursor, limit = page_of(request, "status", "directory")
        found = await self.managing.page(
            caller,
            status=_status(request.query_params.get("status")),
            directory=request.query_params.get("directory"),
            after=cursor or "",
            limit=limit,
        )
        more = found[-1].id if len(found) == limit else None
        return json({"items": [shown(user) for user in found], "next_cursor": more})

    async def user(self, request: Request) -> Response:
        caller = await self.access.require(request, "users:read")
        return json(whole(await self.managing.get(caller, request.path_params["id"])))

    async def activate(self, request: Request) -> Response:
        caller = await self.access.require(request, "users:admin")
        await body.nothing(request)
        return json(shown(await self.licensing.activate(caller, request.path_params["id"])))

    async def suspend(self, request: Request) -> Response:
        caller = await self.access.require(request, "users:admin")
        said = await body.read_or_empty(request, "reason")
        reason = said.text_or_none("reason")
        said.settle()
        return json(shown(await self.licensing.suspend(caller, request.path_params["id"], reason)))

    async def reinstate(self, request: Request) -> Response:
        caller = await self.access.require(request, "users:admin")
        await body.nothing(request)
        return json(shown(await self.licensing.reinstate(caller, request.path_params["id"])))

    async def invite(self, request: Request) -> Response:
        caller = await self.access.require(request, "users:admin")
        await body.nothing(request)
        return json(shown(await self.licensing.invite(caller, request.path_params["id"])))

    async def logons(self, request: Request) -> Response:
        caller = await self.access.require(request, "logons:write")
        said = await body.read(request, "logons")
        given = said.texts_by_name("logons")
        if not said.says("logons"):
            said.wrong("logons", "required", "Every logon by its suffix.")
        said.settle()
        return json(whole(await self.managing.set_logons(caller, request.path_params["id"], given)))

    async def flag(self, request: Request) -> Response:
        caller = await self.access.require(request, "users:admin")
        said = await body.read(request, "enabled")
        enabled = said.decided("enabled")
        said.settle()
        ids = [request.path_params["id"]]
        await self.managing.set_user_authentication(caller, ids, enabled=enabled)
        return nothing()

    async def flags(self, request: Request) -> Response:
        caller = await self.access.require(request, "users:admin")
        said = await body.read(request, "enabled", "group", "users")
        enabled, group = said.decided("enabled"), said.text_or_none("group")
        ids = said.texts("users", limit=1000)
        if bool(ids) is (group is not None):
            said.wrong("users", "not_one_way", "Either users or group says who is meant.")
        said.settle()
        if group is not None:
            count = await self.managing.set_group_user_authentication(
                caller, group, enabled=enabled
            )
        else:
            count = await self.managing.set_user_authentication(caller, ids, enabled=enabled)
        return json({"changed": count})

    async def login(self, request: Request) -> Response:
        caller = await self.access.require(request, "logins:write")
        said = await body.read(request, "subject")
        subject = said.subject("subject")
        if subject is None:
            said.wrong("subject", "required", "Somebody logs in: say who.")
        said.settle()
        assert subject is not None
        came = await self.licensing.log_in(caller.project, subject, caller.actor)
        return json(
            {
                "user_id": came.user.id,
                "status": came.user.status,
                "place": came.place,
                "message": came.message,
            }
        )


def shown(user: User) -> dict[str, Any]:
    """A person in a list."""
    return {
        "id": user.id,
        "user_name": user.user_name,
        "display_name": user.display_name,
        "status": user.status,
        "status_reason": user.status_reason,
        "suspended_by": user.suspended_by,
        "license": user.license,
        "licensed": user.licensed,
        "user_authentication": user.user_authentication,
        "directory": user.directory,
        "external_id": user.external_id,
        "invited_at": moment(user.invited_at),
        "activated_at": moment(user.activated_at),
    }


def whole(person: Person) -> dict[str, Any]:
    """A person on their own: with their place, their logons and why they are (not) active."""
    said = {"place": person.place, "why": person.why, "logons": dict(person.logons)}
    return shown(person.user) | said


def _status(word: str | None) -> Status | None:
    if word is None:
        return None
    try:
        return Status(word)
    except ValueError:
        among = ", ".join(Status)
        problem = Problem("", "not_a_choice", f"status is one of {among}.")
        raise Invalid(problem.detail, reason="unknown-status", problems=(problem,)) from None
