"""Sign-in with the project's identity provider; a sign-in is a login (U3, U4)."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from broker.db.database import Database, Transaction
from broker.db.seal import Seal
from broker.domain.errors import (
    BrokerError,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Unavailable,
    Unknown,
)
from broker.service import recognizing
from broker.service.callers import Callers
from broker.service.licensing import Licensing, Login
from broker.service.projects import secret_place
from broker.store import audit, identities, links, projects, sign_ins
from broker.store.projects import Project
from broker.store.sign_ins import SignIn
from providers.claims import Claims
from providers.errors import Denied, NotProven, ProviderError
from providers.oauth2 import challenge_of
from providers.oidc import Issuers, Party
from providers.secret import Secret

TABLE = "sign_ins"


@dataclass(frozen=True, slots=True)
class Attempt:
    """A sign-in about to be sent on, or back in the browser it left; nothing of it is sealed.

    One for an action is `anew`: the person shows who they are since then (safety 28).
    """

    party: Party
    project: str
    state: str
    nonce: str
    verifier: Secret
    return_to: str
    now: int
    anew_since: int | None


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session that began: its cookie, where the person wanted to go, and how the login went."""

    cookie: str
    return_to: str
    login: Login


@dataclass(frozen=True, slots=True)
class SigningIn:
    """Sends a browser to the project's one issuer and believes what comes back to that browser.

    `public_url` has no slash at its end. Each project has a redirect URI of its own below it: an
    issuer that is made to answer for another is found out by the address it answers at, whether it
    sends `iss` or not (RFC 9700 §4.4.2).
    """

    db: Database
    seal: Seal
    public_url: str
    issuers: Issuers
    callers: Callers
    licensing: Licensing

    async def project(self, id: str | None) -> str:
        """The project a person comes to: the one of that id, or the only one there is.

        NotFound where there is no such project, Invalid where none of several is named.
        """
        found = await self.db.read(projects.every)
        named = [each.id for each in found if id in (None, each.id)]
        if not named:
            raise NotFound()
        if len(named) > 1:
            raise Invalid(
                "There are several projects here.",
                reason="project-needed",
                next="Use the address your administrator gave you: it ends in ?project=prj_….",
            )
        return named[0]

    async def begin(self, project: str, return_to: str, browser: str) -> str:
        """The issuer's address to send the browser to; `browser` is its binding cookie's value.

        Code flow with PKCE, state and nonce. `return_to` is a path of ours; anything else becomes
        "/". Conflict where the project has no issuer, Unavailable where it does not answer.
        """
        begun = await self.db.write(self._beginning, project, _local(return_to), browser)
        try:
            return await self.issuers.authorize_url(
                begun.party,
                state=begun.state,
                nonce=begun.nonce,
                challenge=challenge_of(begun.verifier.reveal()),
                now=begun.now,
                anew=begun.anew_since is not None,
            )
        except ProviderError as error:
            raise _unavailable() from error

    async def complete(self, project: str, params: Mapping[str, str], browser: str) -> SignedIn:
        """Take the callback at a project's address: claim the sign-in, redeem the code, begin the
        person's session.

        Unknown where nothing is claimed or proven; Forbidden where nobody here is that person, or
        their access has ended (safety 5, 12).
        """
        claimed = await self.db.write(self._claiming, project, params.get("state", ""), browser)
        try:
            claims = await self.issuers.sign_in(
                claimed.party,
                answer=params,
                verifier=claimed.verifier,
                nonce=claimed.nonce,
                now=claimed.now,
                since=claimed.anew_since,
            )
        except (Denied, NotProven) as error:
            raise Unknown(
                "The identity provider did not confirm the sign-in.",
                reason="sign-in-refused",
                next="Start again.",
            ) from error
        except ProviderError as error:
            raise _unavailable() from error
        cookie = secrets.token_urlsafe(32)
        found = await self.db.write(self._signing_in, claimed, claims, cookie)
        if isinstance(found, BrokerError):
            raise found
        return SignedIn(cookie, claimed.return_to, found)

    def _beginning(self, tx: Transaction, project: str, return_to: str, browser: str) -> Attempt:
        begun = Attempt(
            party=self._party(projects.find(tx, project)),
            project=project,
            state=secrets.token_urlsafe(32),
            nonce=secrets.token_urlsafe(32),
            verifier=Secret(secrets.token_urlsafe(32)),
            return_to=return_to,
            now=tx.now,
            anew_since=_anew_since(tx, project, return_to, tx.now),
        )
        row, verifier = self.callers.hasher(begun.state), begun.verifier.reveal()
        sealed = SignIn(
            project=project,
            state_hash=row,
            verifier=self.seal.seal(verifier.encode(), project, TABLE, row, "verifier"),
            nonce=self.seal.seal(begun.nonce.encode(), project, TABLE, row, "nonce"),
            return_to=return_to,
            expires_at=tx.now + sign_ins.LIFETIME,
        )
        sign_ins.forget(tx, project)
        sign_ins.insert(tx, sealed, browser_hash=self.callers.hasher(browser))
        return begun

    def _claiming(self, tx: Transaction, project: str, state: str, browser: str) -> Attempt:
        hasher = self.callers.hasher
        found = sign_ins.claim(tx, project, hasher(state), hasher(browser)) if browser else None
        if found is None:
            raise Unknown(
                "This sign-in was used, is over, or began in another browser.",
                reason="sign-in-over",
                next="Start again.",
            )
        row = found.state_hash
        verifier = self.seal.open(found.verifier, project, TABLE, row, "verifier")
        return Attempt(
            party=self._party(projects.find(tx, project)),
            project=project,
            state=state,
            nonce=self.seal.open(found.nonce, project, TABLE, row, "nonce").decode(),
            verifier=Secret(verifier.decode()),
            return_to=found.return_to,
            now=tx.now,
            anew_since=_anew_since(tx, project, found.return_to, found.began_at),
        )

    def _signing_in(
        self, tx: Transaction, claimed: Attempt, claims: Claims, cookie: str
    ) -> Login | BrokerError:
        """The person by (issuer, subject) or the mapped claim; the login; the session."""
        user = recognizing.person_of(tx, claimed.project, claims)
        if user is None or user.detached_at is not None or user.is_gone:
            reason = "unknown-person" if user is None else "user-not-active"
            actor = "browser" if user is None else f"person:{user.id}"
            audit.append(tx, claimed.project, actor, "sign-in.refused", reason=reason)
            return Forbidden(
                "You are not known here, or your access has ended.",
                reason=reason,
                next="Ask your account admin.",
            )
        identities.learn(tx, claimed.project, claims.issuer, claims.subject, user.id)
        login = self.licensing.logging_in(tx, claimed.project, user.id, f"person:{user.id}")
        self.callers.beginning(
            tx,
            claimed.project,
            user.id,
            cookie,
            asserted_by="issuer",
            anew_since=claimed.anew_since,
        )
        return login

    def _party(self, project: Project | None) -> Party:
        """Who we are at the project's one issuer; Conflict where it has none."""
        if project is None or project.oidc_issuer is None or project.oidc_client_id is None:
            raise Conflict(
                "This project has no identity provider to sign in with.",
                reason="no-identity-provider",
                next="An administrator names one: broker project set --oidc-issuer …",
            )
        secret = project.oidc_secret and self.seal.open(
            project.oidc_secret, *secret_place(project.id, project.oidc_issuer)
        )
        return Party(
            issuer=project.oidc_issuer,
            client_id=project.oidc_client_id,
            client_secret=Secret(secret.decode()) if secret else None,
            redirect_uri=self.public_url + callback(project.id),
        )


def callback(project: str) -> str:
    """Where the project's identity provider sends people back to."""
    return f"/signin/callback/{project}"


def _anew_since(tx: Transaction, project: str, return_to: str, began_at: int) -> int | None:
    """When it began, of a sign-in that leads to an action's link; None of any other."""
    link = links.find(tx, project, return_to.removeprefix("/connect/"))
    return began_at if link is not None and link.coupon is not None else None


def _local(return_to: str) -> str:
    """A path of ours, or "/": a sign-in sends nobody elsewhere."""
    harmless = return_to.startswith("/") and not return_to.startswith(("//", "/\\"))
    return return_to if harmless and return_to.isprintable() else "/"


def _unavailable() -> Unavailable:
    return Unavailable(
        "The identity provider does not answer now.",
        reason="issuer-unavailable",
        next="Try again in a moment.",
    )
