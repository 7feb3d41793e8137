"""Inviting: a link lets one person in, once; what it is good for, and what it came to (D2)."""

from dataclasses import dataclass

from broker.db.database import Database, Transaction
from broker.db.seal import Hasher
from broker.domain.callers import Caller, Kind
from broker.domain.errors import BrokerError, Conflict, Forbidden, NotFound, Unknown
from broker.domain.invitations import Invitation, Standing
from broker.domain.letters import salutation
from broker.domain.user_states import Unadopted
from broker.domain.users import Status, User
from broker.service.licensing import Licensing, Login
from broker.store import audit, invitations, licenses, projects, users

ASK = "Ask your account admin for a new one."


@dataclass(frozen=True, slots=True)
class Link:
    """The link of somebody's invitation, for an administrator to hand over."""

    url: str
    expires_at: int


@dataclass(frozen=True, slots=True)
class Opened:
    """An invitation that can be accepted; `must_sign_in` first, as the person it was made for."""

    id: str
    project: str
    project_name: str
    name: str
    expires_at: int
    must_sign_in: bool


@dataclass(frozen=True, slots=True)
class Inviting:
    """Each public verb is one transaction, but `invite`: an invitation again, then its link."""

    db: Database
    hasher: Hasher
    licensing: Licensing
    base_url: str

    async def page(self, secret: str, caller: Caller | None) -> Opened:
        """What `GET /invitations/{secret}` shows; nothing changes by looking (mail scanners do).

        NotFound for no link of ours; Conflict where it was used, has expired or was withdrawn.
        """
        return await self.db.read(self._opening, secret, caller)

    async def accept(self, secret: str, caller: Caller | None) -> Login:
        """The person comes in, as by a login (U3, U4); fails as `page` does.

        Unknown where the project has an identity provider, and `caller` is not this person as it
        says (safety 13).
        """
        return await self.db.write(self._accepting, secret, caller)

    async def came(self, id: str, caller: Caller) -> User:
        """Whoever signed in to accept this invitation; Forbidden where it is somebody else's."""
        return await self.db.read(_came, id, caller)

    async def invite(self, caller: Caller, user_id: str) -> tuple[User, Link]:
        """Invite again, with a new letter and link; those of before are dead (U18)."""
        user = await self.licensing.invite(caller, user_id)
        return user, await self.link(caller, user_id)

    async def link(self, caller: Caller, user_id: str) -> Link:
        """The link of the person's open invitation, to be handed over by an administrator.

        Conflict where there is none that works: it expired, or the person has come in, gone or
        lost their directory (safety 12).
        """
        caller.require("users:admin")
        return await self.db.write(self._showing, caller, user_id)

    def _opening(self, tx: Transaction, secret: str, caller: Caller | None) -> Opened:
        found, user = self._open(tx, secret)
        project = projects.get(tx, found.project)
        return Opened(
            id=found.id,
            project=project.id,
            project_name=project.name,
            name=salutation(user.profile.label),
            expires_at=found.expires_at,
            must_sign_in=project.oidc_issuer is not None and not _is(caller, user),
        )

    def _accepting(self, tx: Transaction, secret: str, caller: Caller | None) -> Login:
        found, _ = self._open(tx, secret)
        licenses.lock(tx, found.project)  # before anything else, as everywhere
        found, user = self._open(tx, secret)
        if projects.get(tx, found.project).oidc_issuer is not None and not _is(caller, user):
            raise Unknown("Sign in as the person this invitation is for.", reason="sign-in-needed")
        login = self.licensing.logging_in(tx, found.project, user.id, f"person:{user.id}")
        audit.append(
            tx, found.project, f"person:{user.id}", "invitation.accepted", user.id, id=found.id
        )
        return login

    def _open(self, tx: Transaction, secret: str) -> tuple[Invitation, User]:
        """The invitation of this link and its person; NotFound, or Conflict where it is over."""
        found = invitations.by_link(tx, self.hasher(secret))
        if found is None:
            raise NotFound()
        user = users.get(tx, found.project, found.user)
        if (over := _over(found, user, tx.now)) is not None:
            raise over
        return found, user

    def _showing(self, tx: Transaction, caller: Caller, user_id: str) -> Link:
        user = users.get(tx, caller.project, user_id)
        if user.is_detached and not user.is_gone:
            raise Unadopted()
        found = invitations.of(tx, user)
        if found is None or not user.awaits_acceptance:
            raise Conflict(
                f"This person is {user.status} and has no invitation to accept.",
                reason="no-invitation",
            )
        if (over := _over(found, user, tx.now)) is not None:
            raise over
        audit.append(
            tx, caller.project, caller.actor, "invitation.link-shown", user_id, id=found.id
        )
        if found.hash is not None:  # it has left before, and its days are counted from then
            return Link(_url(self.hasher, self.base_url, found), found.expires_at)
        return Link(*link(tx, self.hasher, self.base_url, found))


def link(tx: Transaction, hasher: Hasher, base_url: str, found: Invitation) -> tuple[str, int]:
    """The link of an invitation as it leaves now, and when it ends.

    Its secret is derived from the invitation's id: a letter that is tried again holds the same
    link, so that no try kills one that was delivered.
    """
    left = invitations.leave(tx, found, hasher(hasher.secret(found.id)))
    return _url(hasher, base_url, found), left.expires_at


def _url(hasher: Hasher, base_url: str, found: Invitation) -> str:
    return f"{base_url}/invitations/{hasher.secret(found.id)}"


def _came(tx: Transaction, id: str, caller: Caller) -> User:
    found = invitations.find(tx, caller.project, id)
    if found is None:
        raise NotFound()
    user = users.get(tx, caller.project, found.user)
    if not _is(caller, user):
        raise Forbidden(
            "This invitation was made for somebody else.",
            reason="wrong-person",
            next="Sign in as the person it was made for.",
        )
    return user


def _is(caller: Caller | None, user: User) -> bool:
    """Whether this is the person, as their own identity provider says (safety 5, 16)."""
    return (
        caller is not None
        and caller.kind is Kind.PERSON
        and (caller.project, caller.user_id) == (user.project, user.id)
        and caller.asserted_by == "issuer"
        and caller.link_id is None
    )


def _over(found: Invitation, user: User, now: int) -> BrokerError | None:
    """Why this link lets nobody in; None where it does."""
    match found.standing(now):
        case Standing.USED:
            return _closed("used", "This link was used.", "Sign in as usual: it works once.")
        case Standing.EXPIRED:
            return _closed("expired", "This link has expired.", ASK)
        case Standing.WITHDRAWN if user.status is Status.INVITED and not user.is_detached:
            newest = "Use the newest letter you have."
            return _closed("replaced", "There is a newer invitation.", newest)
        case Standing.OPEN if not (user.is_gone or user.is_detached):
            return None
        case _:
            return _closed("withdrawn", "This invitation was withdrawn.", ASK)


def _closed(how: str, text: str, next: str) -> Conflict:
    return Conflict(text, reason=f"invitation-{how}", next=next)
