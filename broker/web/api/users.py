"""People as services and administrators see them: status, license, logons, flags, logins."""

from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.domain.callers import Caller
from broker.domain.users import Status, User
from broker.service.inviting import Inviting, Link
from broker.service.licensing import Licensing
from broker.service.managing import Managing, Person
from broker.web.access import Access
from broker.web.api import body
from broker.web.api.answers import bare, chosen, json, moment, nothing, page, page_of
from broker.web.repeating import Repeat


@dataclass(frozen=True, slots=True)
class UsersFace:
    """People, and what an administrator or a program does to them."""

    managing: Managing
    licensing: Licensing
    inviting: Inviting
    access: Access

    def routes(self) -> list[Route]:
        """What this face serves, and the scope each of it needs."""
        route, of = self.access.route, self.licensing
        return [
            route("GET", "/v1/users", "users:read", self.users),
            route("GET", "/v1/users/{id}", "users:read", self.user),
            route("POST", "/v1/users/{id}/activate", "users:admin", bare(of.activate, shown)),
            route("POST", "/v1/users/{id}/suspend", "users:admin", self.suspend),
            route("POST", "/v1/users/{id}/reinstate", "users:admin", bare(of.reinstate, shown)),
            route(
                "POST",
                "/v1/users/{id}/invite",
                "users:admin",
                bare(self.inviting.invite, invited),
                Repeat.TOLD_ONCE,
            ),
            route("PUT", "/v1/users/{id}/license", None, self.license),
            route("PUT", "/v1/users/{id}/logons", "logons:write", self.logons),
            route("PUT", "/v1/users/{id}/user-authentication", "users:admin", self.flag),
            route("PUT", "/v1/user-authentication", "users:admin", self.flags),
            route("POST", "/v1/logins", "logins:write", self.login),
        ]

    async def users(self, request: Request, caller: Caller) -> Response:
        cursor, limit = page_of(request, "status", "directory")
        found = await self.managing.page(
            caller,
            status=next(iter(chosen(request, "status", Status)), None),
            directory=request.query_params.get("directory"),
            after=cursor or "",
            limit=limit,
        )
        return page(request, found, limit, shown, lambda user: user.id)

    async def user(self, request: Request, caller: Caller) -> Response:
        return json(whole(await self.managing.get(caller, request.path_params["id"])))

    async def suspend(self, request: Request, caller: Caller) -> Response:
        with await body.read_or_empty(request, "reason") as said:
            reason = said.text_or_none("reason")
        return json(shown(await self.licensing.suspend(caller, request.path_params["id"], reason)))

    async def license(self, request: Request, caller: Caller) -> Response:
        with await body.read(request, "licensed") as said:
            licensed = said.decided("licensed")
        id = request.path_params["id"]
        return json(shown(await self.licensing.exempt(caller, id, licensed=licensed)))

    async def logons(self, request: Request, caller: Caller) -> Response:
        with await body.read(request, "logons") as said:
            given = said.texts_by_name("logons")
            if not said.says("logons"):
                said.wrong("logons", "required", "Every logon by its suffix.")
        return json(whole(await self.managing.set_logons(caller, request.path_params["id"], given)))

    async def flag(self, request: Request, caller: Caller) -> Response:
        with await body.read(request, "enabled") as said:
            enabled = said.decided("enabled")
        ids = [request.path_params["id"]]
        await self.managing.set_user_authentication(caller, ids, enabled=enabled)
        return nothing()

    async def flags(self, request: Request, caller: Caller) -> Response:
        with await body.read(request, "enabled", "group", "users") as said:
            enabled, group = said.decided("enabled"), said.text_or_none("group")
            ids = said.texts("users", limit=1000)
            if bool(ids) is (group is not None):
                said.wrong("users", "not_one_way", "Either users or group says who is meant.")
        if group is not None:
            count = await self.managing.set_group_user_authentication(
                caller, group, enabled=enabled
            )
        else:
            count = await self.managing.set_user_authentication(caller, ids, enabled=enabled)
        return json({"changed": count})

    async def login(self, request: Request, caller: Caller) -> Response:
        with await body.read(request, "subject") as said:
            subject = said.subject("subject")
            if subject is None:
                said.wrong("subject", "required", "Somebody logs in: say who.")
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


def invited(again: tuple[User, Link]) -> dict[str, Any]:
    """A person with the link of their new invitation, shown to whoever asked for it."""
    user, link = again
    return shown(user) | {"invitation": {"url": link.url, "expires_at": moment(link.expires_at)}}


def whole(person: Person) -> dict[str, Any]:
    """A person on their own: place, logons, the project's own fields, why they are (not) active
    and the events behind it.
    """
    said = {"place": person.place, "why": person.why, "logons": dict(person.logons)}
    happened = [each._asdict() | {"at": moment(each.at)} for each in person.events]
    fields = dict(person.user.profile.custom)
    return shown(person.user) | said | {"fields": fields, "events": happened}
