"""The simulator's switchboard over HTTP, for rehearsals and for tests in another process."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, fields

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from broker.demo.docusign import DocuSign
from broker.demo.entra import Entra
from broker.demo.grants import App, State
from broker.demo.hr import Hr
from broker.demo.identity import Client, Identity
from broker.demo.oauth import Program
from broker.demo.sharepoint import Farm
from broker.demo.staff import Staff
from broker.demo.world import Switches, Trouble

# What GET /control shows: each route with its fields ("?" where they may be left out).
ROUTES = {
    "POST /control/trouble": "program (salesforce, entra, sharepoint, docusign, tickets, identity, "
    "hr), trouble (of troubles, or of the program's answers), endpoint?, user?, times?, seconds?: "
    "switch a trouble on. Endpoints: token, authorize, revoke, introspect, userinfo, and of "
    "salesforce identity, query; of entra me, site, users, groups, record; of sharepoint "
    "currentuser, web; of docusign account; of tickets tickets; of hr page, record, config",
    "POST /control/calm": "no trouble any more",
    "POST /control/clock": "advance_s: move the simulator's time",
    "POST /control/{program}/apps": "client_id, client_secret, redirect_uris?, redirect_prefix?, "
    "rotation?, session_s?, idle_s?, approvals?, certificate?, lifetime?: an app it knows; "
    "certificate (PEM) checks assertions, lifetime false tells no expires_in",
    "POST /control/{program}/users": "user, active: switch a user on or off",
    "POST /control/{program}/revoke": "user: an administrator ends all approvals of this user",
    "POST /control/{program}/end-sessions": "every access token is over, refresh tokens live on",
    "POST /control/sharepoint": "realm?, trusted? (certificates in PEM by issuer id), passwords? "
    "(by user name): whom the farm lets in without a sign-in",
    "POST /control/docusign": "user, accounts (each with account_id, is_default, account_name): "
    "where somebody has accounts; client_id, user: a consent for the JWT grant",
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

    programs: Mapping[str, Program]
    identity: Identity
    hr: Hr
    entra: Entra
    farm: Farm
    docusign: DocuSign

    def routes(self) -> list[Route]:
        posts: dict[str, Callable[[Body], object]] = {
            "trouble": self._trouble,
            "calm": self._calm,
            "clock": self._clock,
            "identity/clients": lambda body: _made(self.identity.register(_client(body))),
            "identity/id-tokens": self._id_tokens,
            "identity/rotate-keys": lambda _: self.identity.rotate(),
            "hr": self._hr,
            "hr/staff": lambda body: _staff(self.hr.staff, body),
            "entra": self._entra,
            "entra/staff": lambda body: _staff(self.entra.staff, body),
            "sharepoint": self._sharepoint,
            "docusign": self._docusign,
            "{program}/apps": lambda body: _made(self._state(body).register(_app(body))),
            "{program}/users": self._users,
            "{program}/revoke": lambda body: {"ended": self._state(body).revoke(str(body["user"]))},
            "{program}/end-sessions": lambda body: self._state(body).end_sessions(),
        }
        return [
            Route("/control", self._show),
            *(
                Route(f"/control/{path}", _posted(act), methods=["POST"])
                for path, act in posts.items()
            ),
        ]

    async def _show(self, _: Request) -> Response:
        switches = self._switches()
        return JSONResponse(
            {
                "routes": ROUTES,
                "troubles": [trouble.value for trouble in Trouble],
                "answers": {
                    name: {code: {"status": one.status, "body": one.body} for code, one in said}
                    for name, program in switches.items()
                    if (said := program.answers.items())
                },
                "switched_on": {name: _shown(program) for name, program in switches.items()},
                "calls": {name: _counted(one.state.calls) for name, one in self.programs.items()},
            }
        )

    def _switches(self) -> dict[str, Switches]:
        return {name: program.state.switches for name, program in self.programs.items()} | {
            "identity": self.identity.switches,
            "hr": self.hr.switches,
        }

    def _state(self, body: Body) -> State:
        return self.programs[str(body["program"])].state

    def _trouble(self, body: Body) -> None:
        chosen = dict(body)
        switches = self._switches()[str(chosen.pop("program"))]
        trouble = str(chosen.pop("trouble"))
        switches.set(trouble, **chosen)  # type: ignore[arg-type]  # a wrong field: TypeError, 400

    def _calm(self, _: Body) -> None:
        for switches in self._switches().values():
            switches.clear()

    def _clock(self, body: Body) -> object:
        self.identity.clock.advance(float(str(body["advance_s"])))
        return {"now": self.identity.clock.now()}

    def _users(self, body: Body) -> None:
        self._state(body).users[str(body["user"])].active = body["active"] is True

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
            self.entra.register(App(str(body["client_id"]), str(body["client_secret"])))
        _set_on(self.entra, body, "tenant", "page", "members")
        return {"tenant": self.entra.tenant}

    def _sharepoint(self, body: Body) -> object:
        self.farm.trusted.update(_texts(body.get("trusted")))
        self.farm.passwords.update(_texts(body.get("passwords")))
        self.farm.realm = str(body.get("realm", self.farm.realm))
        return {"realm": self.farm.realm, "host": self.farm.host}

    def _docusign(self, body: Body) -> object:
        user = self.docusign.state.users[str(body["user"])]
        if isinstance(accounts := body.get("accounts"), list):
            self.docusign.accounts[user.user_name] = [dict(one) for one in accounts]
        if "client_id" in body:
            self.docusign.consents.add((str(body["client_id"]), user.id))
        return {"user_id": user.id}


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
            return JSONResponse(act(body | request.path_params) or {})
        except (KeyError, TypeError, ValueError) as error:
            return JSONResponse({"error": f"{type(error).__name__}: {error}"}, 400)

    return endpoint


def _app(body: Body) -> App:
    said = {name: one for name, one in body.items() if name != "program"}
    return App(**{**said, "redirect_uris": _set(body)})  # type: ignore[arg-type]  # as above


def _client(body: Body) -> Client:
    return Client(**{**body, "redirect_uris": _set(body)})  # type: ignore[arg-type]  # as above


def _set(body: Body) -> set[str]:
    uris = body.get("redirect_uris")
    return {str(uri) for uri in uris} if isinstance(uris, list) else set()


def _texts(said: object) -> dict[str, str]:
    """Names and texts; TypeError where there are others."""
    named = said if isinstance(said, dict) else {}
    if said not in (None, named) or not all(isinstance(one, str) for one in named.values()):
        raise TypeError("names and texts")
    return named


def _counted(calls: Counter[str | tuple[str, str]]) -> dict[str, int]:
    return {
        " ".join(what) if isinstance(what, tuple) else what: count
        for what, count in sorted(calls.items(), key=str)
    }


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
