"""Projects: made and listed, and told which identity provider's sign-ins to believe."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit

from broker.addresses import is_loopback
from broker.db.database import Database, Transaction
from broker.db.seal import Seal
from broker.domain import names
from broker.domain.clock import DAY, HOUR, SECOND
from broker.domain.errors import Conflict, NotFound, Problem, Stale
from broker.store import audit, logons, projects
from broker.store.projects import Project
from providers.places import origin_of_url

FIELD = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}", re.ASCII)
MOST_FIELDS = 50
SHORTEST_PAUSE_S, LONGEST_PAUSE_S = HOUR // SECOND, 90 * DAY // SECOND  # P9


class Unsaid(Enum):
    """Neither a value nor None: what was there stays."""

    UNSAID = "unsaid"


UNSAID = Unsaid.UNSAID


@dataclass(frozen=True, slots=True)
class SignIn:
    """The one issuer a project believes (safety 5).

    Without a `secret` the one there is stays at its issuer's origin and client id, and is dropped
    elsewhere (safety 18). A `claim` unsaid stays with its issuer; None clears it.
    """

    issuer: str
    client_id: str
    secret: str | None = None
    claim: str | Unsaid | None = UNSAID


@dataclass(frozen=True, slots=True)
class Projects:
    """Each public verb is one transaction; `simulator` is the pretend programs' origin, if any."""

    db: Database
    seal: Seal
    simulator: str | None = None

    async def add(self, name: str, *, by: str = "operator") -> Project:
        """A new project with unlimited capacity; Conflict where the name is taken."""
        return await self.db.write(self._adding, name, by)

    async def every(self) -> list[Project]:
        """All projects, by name; the default one is among them."""
        return await self.db.write(_founded)

    async def named(self, name: str) -> Project:
        """The project of that name; the default one is made when it is first asked for."""
        if name == projects.DEFAULT:
            await self.db.write(_founded)
        found = await self.db.read(projects.named, name)
        if found is None:
            raise NotFound(f"There is no project {name}.", next="`broker project list` shows them.")
        return found

    async def get(self, project: str) -> Project:
        """The project of that id; NotFound."""
        return await self.db.read(projects.get, project)

    async def suffixes(self, project: str) -> list[str]:
        """The declared suffixes, as they are spelt."""
        return list((await self.db.read(logons.declared, project)).values())

    async def change(
        self,
        project: str,
        *,
        by: str,
        sign_in: SignIn | None = None,
        suffixes: Sequence[str] = (),
        fields: Sequence[str] = (),
        pause_limit_s: int | Unsaid | None = UNSAID,
        version: int | None = None,
    ) -> Project:
        """Name the issuer, declare further suffixes (safety 9) and fields; what is not said stays.

        `pause_limit_s` is how long pauses wait that are opened from then on: an hour to 90 days,
        or None, as long as it takes (P9, T4).

        A secret that is not said again for another origin or client id is dropped, and the audit
        says so. Invalid for an issuer that no sign-in could reach, and where a claim that may
        change would say who somebody is. Stale where `version` is not the one there is.
        """
        limit = _limit(pause_limit_s)
        return await self.db.write(
            self._changing, project, by, sign_in, suffixes, fields, limit, version
        )

    def _adding(self, tx: Transaction, name: str, by: str) -> Project:
        made = projects.insert(tx, names.named(name).text)
        if made is None:
            raise Conflict(f"There is a project {name} already.", reason="name-taken")
        audit.append(tx, made.id, by, "project.added", made.id)
        return made

    def _changing(
        self,
        tx: Transaction,
        project: str,
        by: str,
        sign_in: SignIn | None,
        said: Sequence[str],
        fields: Sequence[str],
        limit_s: int | Unsaid | None,
        version: int | None,
    ) -> Project:
        before = projects.next_version(tx, project, version)
        if before is None:
            projects.get(tx, project)
            raise Stale(reason="project-changed", next="Read the project again.")
        if sign_in is not None:
            issuer = _issuer(sign_in.issuer, self.simulator)
            sealed, fate = self._secret(before, sign_in)
            claim = _claim(before, sign_in)
            projects.set_oidc(tx, project, issuer, sign_in.client_id, sealed, claim)
            audit.append(tx, project, by, "project.sign-in.changed", project, secret=fate)
        for place_in_list, suffix in enumerate(said):
            spelt = names.suffix(suffix, pointer=f"/suffixes/{place_in_list}")
            logons.declare(tx, project, spelt)
        if said:
            audit.append(tx, project, by, "suffixes.declared", count=len(said))
        if fields:
            projects.set_fields(tx, project, _declared(before.fields, fields))
            audit.append(tx, project, by, "fields.declared", count=len(fields))
        if not isinstance(limit_s, Unsaid):
            projects.set_pause_limit(tx, project, limit_s)
            audit.append(tx, project, by, "project.pause-limit.changed", project, seconds=limit_s)
        return projects.get(tx, project)

    def _secret(self, before: Project, said: SignIn) -> tuple[bytes | None, str]:
        """What is kept sealed for the issuer that was said, and the audit's word for it."""
        if said.secret is not None:
            place = secret_place(before.id, said.issuer)
            return self.seal.seal(said.secret.encode(), *place), "given"
        if before.oidc_secret is None:
            return None, "none"
        was = (origin_of_url(before.oidc_issuer or ""), before.oidc_client_id)
        if was != (origin_of_url(said.issuer), said.client_id):
            return None, "dropped"
        return before.oidc_secret, "kept"


def secret_place(project: str, issuer: str) -> tuple[str, str, str, str]:
    """Where an issuer's client secret is sealed: it opens for no other origin (safety 18)."""
    return project, "projects", project, f"oidc_secret@{origin_of_url(issuer)}"


def _declared(before: Sequence[str], said: Sequence[str]) -> list[str]:
    """The fields there are and the new ones, each in its first spelling; Invalid."""
    known = {field.casefold(): field for field in before}
    for place, field in enumerate(said):
        if FIELD.fullmatch(field) is None:
            detail = "A field is a letter and then letters, digits or _, 64 at most."
            raise Problem(f"/fields/{place}", "not_a_name", detail).alone()
        known.setdefault(field.casefold(), field)
    if len(known) > MOST_FIELDS:
        raise Problem("/fields", "too_many", f"A project has {MOST_FIELDS} at most.").alone()
    return list(known.values())


def _limit(seconds: int | Unsaid | None) -> int | Unsaid | None:
    if isinstance(seconds, int) and not SHORTEST_PAUSE_S <= seconds <= LONGEST_PAUSE_S:
        detail = f"A step waits {SHORTEST_PAUSE_S} to {LONGEST_PAUSE_S} seconds, or null: no limit."
        raise Problem("/pause_limit_s", "out_of_range", detail).alone()
    return seconds


def _founded(tx: Transaction) -> list[Project]:
    """Every project, after making sure that the default one is there."""
    if projects.named(tx, projects.DEFAULT) is None:
        projects.insert(tx, projects.DEFAULT)
    return projects.every(tx)


def _issuer(url: str, simulator: str | None) -> str:
    """An address that sign-ins can be sent to: https, or the pretend programs on this machine.

    Without query and fragment (OpenID Connect Discovery §3). Invalid otherwise.
    """
    origin = origin_of_url(url)
    if origin is None or "?" in url or "#" in url:
        detail = "An issuer is an https address without user, query and fragment."
    elif not (origin.startswith("https://") or _is_pretend(origin, simulator)):
        detail = "An issuer is reached by https; plain http is for the simulator on this machine."
    else:
        return url
    raise Problem("/oidc/issuer", "issuer_refused", detail).alone(
        next="Name the issuer as its own discovery document does, such as https://login.example."
    )


def _is_pretend(origin: str, simulator: str | None) -> bool:
    own = simulator is not None and origin == origin_of_url(simulator)
    return own and is_loopback(urlsplit(origin).hostname or "")


def _claim(before: Project, said: SignIn) -> str | None:
    """The claim that was said; unsaid, the one there is, as long as the issuer is the same."""
    if not isinstance(said.claim, Unsaid):
        return _mapped(said.claim)
    return before.oidc_claim if before.oidc_issuer == said.issuer else None


def _mapped(claim: str | None) -> str | None:
    """`oid=externalId`: an immutable claim may stand for externalId, and for nothing else."""
    name, _, field = (claim or "").partition("=")
    if claim and (not name or field != "externalId" or name in MUTABLE):
        detail = "A claim that never changes may be mapped to externalId, such as oid=externalId."
        raise Problem("/oidc/claim", "claim_refused", detail).alone()
    return claim


MUTABLE = frozenset({"email", "preferred_username", "upn"})  # safety 5
