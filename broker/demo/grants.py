"""What a pretend program remembers: apps, users, codes, approvals and their tokens."""

import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from starlette.responses import Response

from broker.demo.people import PEOPLE
from broker.demo.world import Clock, Switches, answer_of

ORGANIZATION = "00DDm0000000001"
CODE_S = 15 * 60
ROBOT = "automation@acme.example"
PERMISSIONS = (
    "PermissionsModifyAllData",
    "PermissionsModifyMetadata",
    "PermissionsApiEnabled",
    "PermissionsAuthorApex",
    "PermissionsCustomizeApplication",
)


@dataclass(frozen=True, slots=True)
class Rules:
    """How a program treats its tokens, where an app says nothing else.

    `session_s` is the life of an access token; `idle_s` how long an unused approval is kept, None
    for ever; `approvals` how many one user may have of one app; `renews` whether a refresh answer
    brings a new refresh token, the old one staying good; `marks` how refresh and access tokens
    begin.
    """

    session_s: int = 3600
    idle_s: int | None = None
    approvals: int | None = None
    renews: bool = False
    marks: tuple[str, str] = ("rt-", "at-")


SALESFORCE = Rules(session_s=7200, approvals=5, marks=("5Aep", f"{ORGANIZATION}!AQ"))


@dataclass
class App:
    """An app that a program knows. `redirect_prefix` accepts every URI that starts with it (the
    demo's wizard makes new ones); `rotation` renews the refresh token at each use and takes an old
    one that comes again for theft; `idle_s` is the policy "expire if unused for"; what is None is
    as the program's rules say. `certificate` (PEM, also of a bare public key) checks assertions.
    Without `lifetime` no answer tells `expires_in`.
    """

    client_id: str
    client_secret: str
    redirect_uris: set[str] = field(default_factory=set)
    redirect_prefix: str | None = None
    rotation: bool = False
    session_s: int | None = None
    idle_s: int | None = None
    approvals: int | None = None
    certificate: str = ""
    lifetime: bool = True

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
    """One person's consent to one app: the current refresh token, and the access tokens' ends.

    An app that acts for itself has one too, as the user that its client id names, without a refresh
    token. `older` tokens are still good, `spent` ones not. `rolls` says whether use prolongs it.
    """

    app: App
    user: User
    scopes: tuple[str, ...]
    refresh_token: str
    used_at: float
    spent: set[str] = field(default_factory=set)
    older: set[str] = field(default_factory=set)
    access: dict[str, float] = field(default_factory=dict)
    rolls: bool = True
    refreshing: int = 0

    @property
    def app_only(self) -> bool:
        """Whether the app acts for itself, not for a person."""
        return self.user.id == self.app.client_id

    def end(self) -> None:
        """Revoked: nothing of it works any more."""
        self.spent |= {self.refresh_token} | self.older
        self.refresh_token = ""
        self.older.clear()
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


def users_as(identify: Callable[[int], str]) -> dict[str, User]:
    """The people of Acme and their robot, number 900, by user name, with a program's own ids."""
    people = [User(identify(one.number), one.user_name, one.display_name) for one in PEOPLE]
    robot = User(identify(900), ROBOT, "Acme Automation")
    return {user.user_name: user for user in (robot, *people)}


def _salesforce_users() -> dict[str, User]:
    return users_as(lambda number: f"005Dm{number:010d}")


@dataclass
class State:
    """Everything a pretend program knows, open to tests and rehearsals.

    `calls` counts what was asked for, by endpoint and by (endpoint, user name). `together` is how
    many refreshes of one approval were ever under way at the same time.
    """

    base_url: str
    clock: Clock = field(default_factory=Clock)
    switches: Switches = field(default_factory=Switches)
    apps: dict[str, App] = field(default_factory=dict)
    users: dict[str, User] = field(default_factory=_salesforce_users)
    codes: dict[str, Code] = field(default_factory=dict)
    approvals: list[Approval] = field(default_factory=list)
    calls: Counter[str | tuple[str, str]] = field(default_factory=Counter)
    rules: Rules = SALESFORCE
    together: int = 0

    def register(self, app: App) -> App:
        """An app, new or in place of the one with its client id."""
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
        """A new approval; the oldest beyond the app's limit ends silently (Salesforce help)."""
        token = self.token(0)
        approval = Approval(code.app, code.user, code.scopes, token, used_at=self.clock.now())
        limit = code.app.approvals or self.rules.approvals
        same = [a for a in self.living() if a.app is code.app and a.user is code.user]
        for old in same[: max(0, len(same) + 1 - limit)] if limit else ():
            old.end()
        self.approvals.append(approval)
        return approval

    def living(self) -> list[Approval]:
        return [approval for approval in self.approvals if approval.refresh_token]

    def length(self, app: App) -> int:
        """The life of an app's access tokens in seconds."""
        return app.session_s or self.rules.session_s

    def session(self, approval: Approval) -> str:
        """A new access token."""
        token = self.token(1)
        if approval.rolls:
            approval.used_at = self.clock.now()
        approval.access[token] = self.clock.now() + self.length(approval.app)
        return token

    def alone(self, app: App, scopes: tuple[str, ...], user: User | None = None) -> Approval:
        """Access without a refresh token: an app's own, or for a user in whose name it speaks."""
        who = user or User(app.client_id, app.client_id, app.client_id)
        approval = Approval(app, who, scopes, "", used_at=self.clock.now())
        self.approvals.append(approval)
        return approval

    def by_refresh_token(self, token: str) -> Approval | None:
        """The approval a refresh token belongs or belonged to.

        A token that was rotated away and comes again ends the whole approval (Salesforce's refresh
        token rotation takes it for theft).
        """
        for approval in self.approvals:
            if token and (approval.refresh_token == token or token in approval.older):
                idle = approval.app.idle_s or self.rules.idle_s
                if idle is not None and self.clock.now() - approval.used_at > idle:
                    approval.end()
                return approval
            if token and token in approval.spent:
                approval.end()
                return approval
        return None

    def by_access_token(self, token: str) -> Approval | None:
        """The approval of a living access token of an active user."""
        for approval in self.approvals:
            if approval.access.get(token, 0.0) > self.clock.now() and approval.user.active:
                return approval
        return None

    def end(self, token: str, app: App) -> None:
        """An app gives one of its tokens back: a refresh token ends its approval (RFC 7009)."""
        for approval in self.approvals:
            if approval.app is app and token:
                approval.access.pop(token, None)
                if token == approval.refresh_token or token in approval.older:
                    approval.end()

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

    def renewed(self, approval: Approval) -> str | None:
        """The refresh token of a refresh answer, None where the old one is all there is."""
        if not approval.app.rotation and not self.rules.renews:
            return None
        kept = approval.spent if approval.app.rotation else approval.older
        kept.add(approval.refresh_token)
        approval.refresh_token = self.token(0)
        return approval.refresh_token

    @contextmanager
    def refreshing(self, approval: Approval | None) -> Iterator[None]:
        """One refresh under way, counted among those of its approval."""
        if approval is None:
            yield
            return
        approval.refreshing += 1
        self.together = max(self.together, approval.refreshing)
        try:
            yield
        finally:
            approval.refreshing -= 1

    def token(self, mark: int) -> str:
        """A new refresh (0) or access token (1)."""
        return self.rules.marks[mark] + secrets.token_urlsafe(40)
