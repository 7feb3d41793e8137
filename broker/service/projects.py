"""Projects: made and listed, and told which identity provider's sign-ins to believe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from broker.db.database import Database, Transaction
from broker.db.seal import Seal
from broker.domain import names
from broker.domain.errors import Conflict, Invalid, NotFound, Problem
from broker.store import audit, logons, projects
from broker.store.projects import Project


@dataclass(frozen=True, slots=True)
class SignIn:
    """The one issuer a project believes (safety 5); `secret` None keeps the one there is."""

    issuer: str
    client_id: str
    secret: str | None = None
    claim: str | None = None


@dataclass(frozen=True, slots=True)
class Projects:
    """Each public verb is one transaction."""

    db: Database
    seal: Seal

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
        return await self.db.read(_get, project)

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
    ) -> Project:
        """Name the issuer, declare further suffixes (safety 9); what is not said stays.

        Invalid where a claim that may change would say who somebody is.
        """
        return await self.db.write(self._changing, project, by, sign_in, suffixes)

    def _adding(self, tx: Transaction, name: str, by: str) -> Project:
        made = projects.insert(tx, names.named(name).text)
        if made is None:
            raise Conflict(f"There is a project {name} already.", reason="name-taken")
        audit.append(tx, made.id, by, "project.added", made.id)
        return made

    def _changing(
        self, tx: Transaction, project: str, by: str, sign_in: SignIn | None, said: Sequence[str]
    ) -> Project:
        if sign_in is not None:
            sealed = _get(tx, project).oidc_secret
            if sign_in.secret is not None:
                place = (project, "projects", project, "oidc_secret")
                sealed = self.seal.seal(sign_in.secret.encode(), *place)
            claim = _mapped(sign_in.claim)
            projects.set_oidc(tx, project, sign_in.issuer, sign_in.client_id, sealed, claim)
            audit.append(tx, project, by, "project.sign-in.changed", project)
        for place_in_list, suffix in enumerate(said):
            spelt = names.suffix(suffix, pointer=f"/suffixes/{place_in_list}")
            logons.declare(tx, project, spelt)
        if said:
            audit.append(tx, project, by, "suffixes.declared", count=len(said))
        return _get(tx, project)


def _founded(tx: Transaction) -> list[Project]:
    """Every project, after making sure that the default one is there."""
    if projects.named(tx, projects.DEFAULT) is None:
        projects.insert(tx, projects.DEFAULT)
    return projects.every(tx)


def _get(tx: Transaction, project: str) -> Project:
    found = projects.find(tx, project)
    if found is None:
        raise NotFound()
    return found


def _mapped(claim: str | None) -> str | None:
    """`oid=externalId`: an immutable claim may stand for externalId, and for nothing else."""
    name, _, field = (claim or "").partition("=")
    if claim and (not name or field != "externalId" or name in MUTABLE):
        raise Invalid(
            "A claim that never changes may be mapped to externalId, such as oid=externalId.",
            reason="claim-refused",
            problems=(Problem("/oidc/claim", "claim_refused", "Such as oid=externalId."),),
        )
    return claim


MUTABLE = frozenset({"email", "preferred_username", "upn"})  # safety 5
