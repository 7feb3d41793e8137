"""What the pretend Salesforce remembers: apps, users, codes, approvals and their tokens."""

import secrets
from collections import Counter
from dataclasses import dataclass, field

from starlette.responses import Response

from broker.demo.people import PEOPLE, Person
from broker.demo.world import Clock, Switches, answer_of

ORGANIZATION = "00DDm0000000001"
CODE_S = 15 * 60
PERMISSIONS = (
    "PermissionsModifyAllData",
    "PermissionsModifyMetadata",
    "PermissionsApiEnabled",
    "PermissionsAuthorApex",
    "PermissionsCustomizeApplication",
)


@dataclass
class App:
    """A connected app. `redirect_prefix` accepts every URI that starts with it (the demo's wizard
    makes new ones); `rotation` renews the refresh token at each use; `idle_s` is the policy
    "expire if unused for"."""

    client_id: str
    client_secret: str
    redirect_uris: set[str] = field(default_factory=set)
    redirect_prefix: str | None = None
    rotation: bool = False
    session_s: int = 7200
    idle_s: int | None = None
    approvals: int = 5

    def takes(self, redirect_uri: str) -> bool:
        prefix = self.redirect_prefix
        return redirect_uri in self.redirect_uris or bool(
            prefix and redirect_uri.startswith(prefix)
        )


@dataclass
class User:
    """Someone with an account here."""

    id: str
    user_name: str
    name: str
    active: bool = True
    permissions: set[str] = field(default_factory=lambda: set(PERMISSIONS))


@dataclass(eq=False)
class Approval:
    """One person's consent to one app: the current refresh token, and the access tokens' ends."""

    app: App
    user: User
    scopes: tuple[str, ...]
    refresh_token: str
    used_at: float
    spent: set[str] = field(default_factory=set)
    access: dict[str, float] = field(default_factory=dict)

    def end(self) -> None:
        """Revoked: nothing of it works any more."""
        self.spent.add(self.refresh_token)
        self.refresh_token = ""
        self.access.clear()


@dataclass
class Code:
    """One authorization code and what it was given for."""

    app: App
    user: User
    redirect_uri: str
    challenge: str
    scopes: tuple[str, ...]
    ends_at: float


def _users() -> dict[str, User]:
    people = [_user(person) for person in PEOPLE]
    robot = User("005Dm0000000900", "automation@acme.example", "Acme Automation")
    return {user.user_name: user for user in (robot, *people)}


def _user(person: Person) -> User:
    return User(f"005Dm{person.number:010d}", person.user_name, person.display_name)


@dataclass
class State:
    """Everything the pretend Salesforce knows, open to tests and rehearsals.

    `calls` counts what was asked for, by endpoint and by (endpoint, user name).
    """

    base_url: str
    clock: Clock = field(default_factory=Clock)
    switches: Switches = field(default_factory=Switches)
    apps: dict[str, App] = field(default_factory=dict)
    users: dict[str, User] = field(default_factory=_users)
    codes: dict[str, Code] = field(default_factory=dict)
    approvals: list[Approval] = field(default_factory=list)
    calls: Counter[str | tuple[str, str]] = field(default_factory=Counter)

    def register(self, app: App) -> App:
        """A connected app, new or in place of the one with its client id."""
        self.apps[app.client_id] = app
        return app

    def count(self, endpoint: str, user: User | None = None) -> None:
        self.calls[endpoint] += 1
        if user is not None:
            self.calls[endpoint, user.user_name] += 1

    async def trouble(self, endpoint: str, user: User | None = None) -> Response | None:
        """What this call is told instead of an answer, None where all is well."""
        met = await self.switches.take(endpoint, user.user_name if user else None)
        return answer_of(met) if met else None

    def issue(self, code: Code) -> str:
        """A code for this consent."""
        text = "aPrx" + secrets.token_urlsafe(24)
        self.codes[text] = code
        return text

    def approve(self, code: Code) -> Approval:
        """A new approval; the oldest beyond the app's limit ends without a word [L3]."""
        approval = Approval(
            code.app, code.user, code.scopes, _token("5Aep"), used_at=self.clock.now()
        )
        same = [a for a in self.living() if a.app is code.app and a.user is code.user]
        for old in same[: max(0, len(same) + 1 - code.app.approvals)]:
            old.end()
        self.approvals.append(approval)
        return approval

    def living(self) -> list[Approval]:
        return [approval for approval in self.approvals if approval.refresh_token]

    def session(self, approval: Approval) -> str:
        """A new access token."""
        token = f"{ORGANIZATION}!{_token('AQ')}"
        approval.used_at = self.clock.now()
        approval.access[token] = self.clock.now() + approval.app.session_s
        return token

    def by_refresh_token(self, token: str) -> Approval | None:
        """The approval a refresh token belongs or belonged to.

        A token that was rotated away and comes again ends the whole approval (Salesforce's refresh
        token rotation takes it for theft).
        """
        for approval in self.approvals:
            if token and approval.refresh_token == token:
                idle = approval.app.idle_s
                if idle is not None and self.clock.now() - approval.used_at > idle:
                    approval.end()
                return approval
            if token in approval.spent:
                approval.end()
                return approval
        return None

    def by_access_token(self, token: str) -> Approval | None:
        """The approval of a living access token of an active user."""
        for approval in self.approvals:
            if approval.access.get(token, 0.0) > self.clock.now() and approval.user.active:
                return approval
        return None

    def revoke(self, user_name: str) -> int:
        """An administrator ends every approval of a user; how many there were."""
        mine = [approval for approval in self.living() if approval.user.user_name == user_name]
        for approval in mine:
            approval.end()
        return len(mine)

    def end_sessions(self) -> None:
        """Every access token is over; refresh tokens live on."""
        for approval in self.approvals:
            approval.access.clear()


def rotate(approval: Approval) -> str:
    """A new refresh token in place of the old one."""
    approval.spent.add(approval.refresh_token)
    approval.refresh_token = _token("5Aep")
    return approval.refresh_token


def _token(prefix: str) -> str:
    return prefix + secrets.token_urlsafe(40)
