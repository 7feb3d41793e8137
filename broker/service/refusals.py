"""Why a push failed: a sentence for the identity provider, one for the administrator, a remedy."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import orjson

from broker.db.database import Duplicate, Transaction, Unavailable, Unstorable
from broker.domain.directories import Directory
from broker.domain.errors import BrokerError, Conflict, Invalid
from broker.domain.errors import NotFound as NoSuchThing
from broker.store import users
from scim import errors
from scim.document import Accepted
from scim.errors import Busy, InvalidValue, NotFound, ScimError, Uniqueness

PUSH_AGAIN = "Correct it in the identity provider or in its attribute mapping; it pushes again."
REMEDIES = {
    "uniqueness": "Give one of the two another value in the identity provider; it pushes again.",
    "not-found": (
        "The identity provider knows an id that is gone here; restart its provisioning, "
        "so that it matches people anew."
    ),
    "precondition-failed": "The identity provider read an older version; it reads and tries again.",
    "internal": "The broker's log has the cause.",
}
MAY_HEAL = (Duplicate, Uniqueness, Conflict, Invalid)
"""What another try may not meet again: a name comes free, a mapping is corrected."""
RETRY_AFTER_S = 2
MATCH = "Match this person with the one who has the userName, or give one of them another."
ADOPT = "Tick this person for adoption under Detached people; the next push takes them over."


@dataclass(frozen=True, slots=True)
class Attempted:
    """What a push named, as far as it can be told: `id` None for a create.

    `meant` is the whole resource it asks for, None where that cannot be told.
    """

    kind: str
    id: str | None = None
    external_id: str | None = None
    name: str = ""
    meant: Callable[[Transaction], Accepted | None] = lambda _: None

    @classmethod
    def of(cls, kind: str, id: str | None, body: Mapping[str, Any], *, named: str) -> Self:
        """What can be told from a body nobody has checked; `named` is the attribute of its name."""
        external_id, name = body.get("externalId"), body.get(named)
        return cls(
            kind,
            id,
            external_id if isinstance(external_id, str) else None,
            name if isinstance(name, str) else "",
        )

    def kept(self, tx: Transaction, error: Exception) -> tuple[Self, bytes | None]:
        """What a person was to be, for another try where `error` may heal; and, from that, who it
        was about. A group that failed is pushed again, with members nobody has to keep.
        """
        accepted = None
        if self.kind == "User" and isinstance(error, MAY_HEAL):
            accepted = self.meant(tx)
        if accepted is None:
            return self, None
        document = accepted.document
        known = replace(
            self, external_id=document.get("externalId"), name=document.get("userName", "")
        )
        said = {"document": document, "extras": accepted.extras, "warnings": accepted.warnings}
        return known, orjson.dumps(said)


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the identity provider is told, and what the record of the failure says."""

    problem: ScimError
    code: str
    message: str
    next: str


class when_unavailable:
    """A database that cannot do it now is Busy (503, Retry-After); nothing was done.

    A class, for every request passes here and a generator costs ten times as much.
    """

    __slots__ = ()

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, Unavailable):
            raise Busy(RETRY_AFTER_S) from error


def explained(
    tx: Transaction, directory: Directory, attempted: Attempted, error: Exception
) -> Refusal:
    """The refusal that an error is; ours to explain where it is none of SCIM's."""
    match error:
        case Duplicate():
            return _taken(tx, directory, attempted)
        case ScimError():
            return _said(error)
        case Unstorable():
            return _said(InvalidValue("A value is too long, or holds what cannot be kept."))
        case NoSuchThing():
            return _said(NotFound())
        case Invalid():
            return _said(InvalidValue(str(error)), error)
        case Conflict():
            return _said(errors.Conflict(str(error)), error)
        case BrokerError():
            return _said(ScimError(), error)
    return _said(ScimError())


def _said(problem: ScimError, cause: BrokerError | None = None) -> Refusal:
    code = problem.scim_type or _CODES.get(type(problem), "internal")
    remedy = cause.next if cause else None
    return Refusal(problem, code, problem.detail, remedy or REMEDIES.get(code, PUSH_AGAIN))


def _taken(tx: Transaction, directory: Directory, attempted: Attempted) -> Refusal:
    """userName is taken (one a project, whatever its case).

    The identity provider hears no more than that; the administrator hears by whom.
    """
    problem = Uniqueness("userName is taken by another person.")
    holder = users.named(tx, directory.project, attempted.name)
    if holder is None:  # gone again since: the next push gets through
        return _said(problem)
    if holder.directory is None:
        message = f"userName is taken by {holder.id}, whose directory was deleted."
        return Refusal(problem, "uniqueness", message, ADOPT)
    where = "this directory" if holder.directory == directory.id else "another directory"
    message = f"userName is taken by {holder.id} of {where}."
    return Refusal(problem, "uniqueness", message, MATCH)


_CODES: dict[type[ScimError], str] = {
    errors.NotFound: "not-found",
    errors.PreconditionFailed: "precondition-failed",
    errors.Conflict: "conflict",
    errors.Forbidden: "forbidden",
}
