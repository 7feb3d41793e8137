"""The simulator's switchboard over HTTP, for rehearsals and for tests in another process."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, fields

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from broker.demo.entra import Entra
from broker.demo.grants import App, State
from broker.demo.hr import Hr
from broker.demo.identity import Client, Identity
from broker.demo.staff import Staff
from broker.demo.world import Switches, Trouble

# What GET /control shows: each route with its fields ("?" where they may be left out).
ROUTES = {
    "POST /control/trouble": "program (salesforce, identity, hr, entra), trouble, endpoint?, "
    "user?, times?, seconds?: switch a trouble on; hr has the endpoints page, record, config, "
    "entra has token, users, groups, record",
    "POST /control/calm": "no trouble any more",
    "POST /control/clock": "advance_s: move the simulator's time",
    "POST /control/salesforce/apps": "client_id, client_secret, redirect_uris?, redirect_prefix?, "
    "rotation?, session_s?, idle_s?, approvals?: a connected app",
    "POST /control/salesforce/users": "user, active: switch a user on or off",
    "POST /control/salesforce/revoke": "user: an administrator ends all approvals of this user",
    "POST /control/salesforce/end-sessions": "every access token is over, refresh tokens live on",
    "POST /control/identity/clients": "client_id, client_secret, redirect_uris?, redirect_prefix?, "
    "algorithm?: a relying party",
    "POST /control/identity/id-tokens": "person (externalId), audience, nonce?, algorithm?, "
    "age_s?: an id_token, as evidence for AuthenticateUser",
    "POST /control/identity/rotate-keys": "new signing keys",
    "POST /control/hr": "token?, cursors?, largest?: what opens the SCIM directory below "
    "/hr/scim/v2, whether it pages by cursor, and how many records a page holds at most",
    "POST /control/hr/staff": "people?, leave?, come?, change?: how many people it holds; numbers "
    "of those who leave or come; fields by number in place of theirs (null: none)",
    "POST /control/entra": "client_id?, client_secret?, tenant?, page?, members?: an app that may "
    "read the pretend Microsoft Graph below /entra, its tenant, and how much a page holds",
    "POST /control/entra/staff": "people?, leave?, come?, change?: as for hr",
}

Body = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Control:
    """The switches over HTTP; bodies are JSON, so that no web page can post a form here."""

    salesforce: State
    identity: Identity
    hr: Hr
    entra: Entra

    def routes(self) -> list[Route]:
        posts: dict[str, Callable[[Body], object]] = {
            "trouble": self._trouble,
            "calm": self._calm,
            "clock": self._clock,
            "salesforce/apps": lambda body: _made(self.salesforce.register(_app(body))),
            "salesforce/users": self._users,
            "salesforce/revoke": lambda body: {"ended": self.salesforce.revoke(str(body["user"]))},
            "salesforce/end-sessions": lambda _: self.salesforce.end_sessions(),
            "identity/clients": lambda body: _made(self.identity.register(_client(body))),
            "identity/id-tokens": self._id_tokens,
            "identity/rotate-keys": lambda _: self.identity.rotate(),
            "hr": self._hr,
            "hr/staff": lambda body: _staff(self.hr.staff, body),
            "entra": self._entra,
            "entra/staff": lambda body: _staff(self.entra.staff, body),
        }
        return [
            Route("/control", self._show),
            *(
                Route(f"/control/{path}", _posted(act), methods=["POST"])
                for path, act in posts.items()
            ),
        ]

    async def _show(self, _: Request) -> Response:
        calls = {
            " ".join(what) if isinstance(what, tuple) else what: count
            for what, count in sorted(self.salesforce.calls.items(), key=str)
        }
        switched_on = {name: _shown(program) for name, program in self._switches().items()}
        troubles = [trouble.value for trouble in Trouble]
        return JSONResponse(
            {"routes": ROUTES, "troubles": troubles, "switched_on": switched_on, "calls": calls}
        )

    def _switches(self) -> dict[str, Switches]:
        return {
            "salesforce": self.salesforce.switches,
            "identity": self.identity.switches,
            "hr": self.hr.switches,
            "entra": self.entra.switches,
        }

    def _trouble(self, body: Body) -> None:
        chosen = dict(body)
        switches = self._switches()[str(chosen.pop("program"))]
        trouble = Trouble(str(chosen.pop("trouble")))
        switches.set(trouble, **chosen)  # type: ignore[arg-type]  # a wrong field: TypeError, 400

    def _calm(self, _: Body) -> None:
        for switches in self._switches().values():
            switches.clear()

    def _clock(self, body: Body) -> object:
        self.salesforce.clock.advance(float(str(body["advance_s"])))
        return {"now": self.salesforce.clock.now()}

    def _users(self, body: Body) -> None:
        self.salesforce.users[str(body["user"])].active = body["active"] is True

    def _id_tokens(self, body: Body) -> object:
        chosen = dict(body)
        person = self.identity.people[str(chosen.pop("person"))]
        audience = str(chosen.pop("audience"))
        return {"id_token": self.identity.mint(person, audience, **chosen)}  # type: ignore[arg-type]  # as above

    def _hr(self, body: Body) -> object:
        if "token" in body:
            self.hr.tokens.add(str(body["token"]))
        _set_on(self.hr, body, "cursors", "largest")
        return {"base_url": self.hr.url}

    def _entra(self, body: Body) -> object:
        if "client_id" in body:
            self.entra.apps[str(body["client_id"])] = str(body["client_secret"])
        _set_on(self.entra, body, "tenant", "page", "members")
        return {"tenant": self.entra.tenant}


def _set_on(program: Hr | Entra, body: Body, *names: str) -> None:
    """Take over these settings; TypeError where one is of another type."""
    for name in names:
        if name in body:
            if type(body[name]) is not type(getattr(program, name)):
                raise TypeError(name)
            setattr(program, name, body[name])


def _staff(staff: Staff, body: Body) -> object:
    """Change who is there, in the order of the fields above."""
    if "people" in body:
        staff.hire(int(str(body["people"])))
    for act, name in ((staff.leave, "leave"), (staff.come, "come")):
        if isinstance(numbers := body.get(name), list):
            act(map(int, numbers))
    if isinstance(change := body.get("change"), dict):
        for number, said in change.items():
            staff.change(int(number), dict(said))
    return {"people": len(staff.numbers)}


def _posted(act: Callable[[Body], object]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        if request.headers.get("content-type", "").partition(";")[0] != "application/json":
            return JSONResponse({"error": "send application/json"}, 415)
        try:
            body = orjson.loads(await request.body() or b"{}")
            return JSONResponse(act(body) or {})
        except (KeyError, TypeError, ValueError) as error:
            return JSONResponse({"error": f"{type(error).__name__}: {error}"}, 400)

    return endpoint


def _app(body: Body) -> App:
    return App(**{**body, "redirect_uris": _set(body)})  # type: ignore[arg-type]  # as above


def _client(body: Body) -> Client:
    return Client(**{**body, "redirect_uris": _set(body)})  # type: ignore[arg-type]  # as above


def _set(body: Body) -> set[str]:
    uris = body.get("redirect_uris")
    return {str(uri) for uri in uris} if isinstance(uris, list) else set()


def _made(thing: App | Client) -> dict[str, object]:
    """What was registered, as JSON, without its secret."""
    shown = {one.name: getattr(thing, one.name) for one in fields(thing)}
    shown.pop("client_secret")
    return {**shown, "redirect_uris": sorted(thing.redirect_uris)}


def _shown(switches: Switches) -> list[dict[str, object]]:
    return [
        {"endpoint": endpoint, "trouble": one.trouble, "user": one.user, "times": one.times}
        for endpoint, chosen in switches.on.items()
        for one in chosen
    ]
