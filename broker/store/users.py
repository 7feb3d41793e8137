"""People, kept: status, license and place in the queue; a deleted one stays as a tombstone."""

from collections.abc import Sequence
from typing import Any

import orjson

from broker.db.database import Row, Transaction
from broker.domain.errors import NotFound
from broker.domain.mapping import Profile
from broker.domain.subjects import Subject
from broker.domain.users import License, Status, SuspendedBy, User
from broker.store import rows
from scim.fold import fold


def get(tx: Transaction, project: str, id: str) -> User:
    """The person of that id, tombstones too; NotFound."""
    user = find(tx, project, id)
    if user is None:
        raise NotFound()
    return user


def find(tx: Transaction, project: str, id: str) -> User | None:
    """The person of that id, tombstones too."""
    row = tx.find(
        "SELECT * FROM users WHERE project_id = :project AND id = :id", project=project, id=id
    )
    return from_row(row) if row else None


def some(tx: Transaction, project: str, ids: Sequence[str]) -> dict[str, User]:
    """The people of these ids, by id."""
    found: dict[str, User] = {}
    for chunk in rows.chunks(ids):
        listed, named = rows.listed(chunk)
        for row in tx.all(
            f"SELECT * FROM users WHERE project_id = :project AND id IN ({listed})",
            project=project,
            **named,
        ):
            found[row["id"]] = from_row(row)
    return found


def lock(tx: Transaction, project: str, id: str) -> User:
    """The person of that id, unchanged until this transaction ends; NotFound."""
    row = tx.find(
        "SELECT * FROM users WHERE project_id = :project AND id = :id" + tx.for_update,
        project=project,
        id=id,
    )
    if row is None:
        raise NotFound()
    return from_row(row)


def by_subject(tx: Transaction, project: str, subject: Subject) -> User | None:
    """The one person a caller names; None where that is nobody, or more than one."""
    people = meant(tx, project, subject)
    return people[0] if len(people) == 1 else None


def meant(tx: Transaction, project: str, subject: Subject) -> list[User]:
    """Everybody living whom a caller may mean, else the last tombstone of that name (safety 6).

    They are several only where they share an externalId, which nothing keeps unique.
    """
    if subject.user_id is not None:
        user = find(tx, project, subject.user_id)
        return [user] if user else []
    found = tx.all(_QUERIES[_way(subject)], project=project, **_parameters(subject))
    living = [row for row in found if row["status"] != Status.DELETED]
    buried = sorted(found, key=lambda each: each["deleted_at"] or 0)
    return [from_row(row) for row in living or buried[-1:]]


def insert(tx: Transaction, user: User) -> None:
    """Keep a new person; Duplicate where a living one has the userName."""
    tx.run(
        f"""
        INSERT INTO users (id, project_id, created_at, {", ".join(_COLUMNS)})
        VALUES (:id, :project, :created_at, {", ".join(f":{name}" for name in _COLUMNS)})
        """,
        created_at=user.created_at,
        **_values(user),
    )


def change(tx: Transaction, user: User) -> None:
    """Keep the person as they are now; Duplicate where another has the userName."""
    tx.run(
        f"""
        UPDATE users SET {", ".join(f"{name} = :{name}" for name in _COLUMNS)}
         WHERE project_id = :project AND id = :id
        """,
        **_values(user),
    )


def describe(
    tx: Transaction, project: str, id: str, profile: Profile, external_id: str | None
) -> None:
    """Keep what the directory says of the person, and nothing of their status; Duplicate."""
    tx.run(
        """
        UPDATE users
           SET external_id = :external, user_name = :name, user_name_key = :key,
               display_name = :display, profile = :profile,
               version = version + 1, changed_at = :now
         WHERE project_id = :project AND id = :id
        """,
        project=project,
        id=id,
        external=external_id,
        name=profile.user_name,
        key=fold(profile.user_name),
        display=profile.label,
        profile=orjson.dumps(profile),
        now=tx.now,
    )


def named(tx: Transaction, project: str, user_name: str) -> User | None:
    """The living person who has this userName, whatever its case."""
    row = tx.find(
        """
        SELECT * FROM users
         WHERE project_id = :project AND user_name_key = :name AND status <> 'deleted'
        """,
        project=project,
        name=fold(user_name),
    )
    return from_row(row) if row else None


def page(
    tx: Transaction,
    project: str,
    *,
    after: str = "",
    limit: int = 100,
    status: Status | None = None,
    directory: str | None = None,
) -> list[User]:
    """People by id, from the first id above `after`; without tombstones unless asked for."""
    found = tx.all(
        f"""
        SELECT * FROM users
         WHERE project_id = :project AND id > :after
           AND {"status = :status" if status else "status <> 'deleted'"}
           {"AND directory_id = :directory" if directory else ""}
         ORDER BY id
         LIMIT :limit
        """,
        project=project,
        after=after,
        limit=limit,
        status=status,
        directory=directory,
    )
    return [from_row(row) for row in found]


def exempt(tx: Transaction, project: str) -> int:
    """How many active people need no license (safety 10)."""
    row = tx.find(
        """
        SELECT count(*) AS people FROM users
         WHERE project_id = :project AND status = 'active' AND licensed = 0
        """,
        project=project,
    )
    return int(row["people"]) if row else 0


_COLUMNS = (
    "directory_id",
    "external_id",
    "user_name",
    "user_name_key",
    "display_name",
    "profile",
    "idp_active",
    "status",
    "suspended_by",
    "status_reason",
    "license",
    "licensed",
    "queue_seq",
    "user_authentication",
    "invite_epoch",
    "accepted",
    "invited_at",
    "activated_at",
    "deleted_at",
    "detached_at",
    "adoptable",
    "version",
    "changed_at",
)

_BY_NAME = "SELECT * FROM users WHERE project_id = :project AND user_name_key = :name"
_QUERIES = {
    "name": _BY_NAME,
    "name in directory": _BY_NAME + " AND directory_id = :directory",
    "external id": """
        SELECT * FROM users
         WHERE project_id = :project AND external_id = :external AND directory_id = :directory
    """,
    "logon": """
        SELECT users.* FROM logons
          JOIN suffixes ON suffixes.project_id = logons.project_id
                       AND suffixes.suffix = logons.suffix
          JOIN users ON users.project_id = logons.project_id AND users.id = logons.user_id
         WHERE logons.project_id = :project AND logons.value = :logon
           AND suffixes.suffix_key = :suffix
    """,
}


def _way(subject: Subject) -> str:
    if subject.logon is not None:
        return "logon"
    if subject.external_id is not None:
        return "external id"
    return "name" if subject.directory is None else "name in directory"


def _parameters(subject: Subject) -> dict[str, Any]:
    return {
        "name": fold(subject.user_name or ""),
        "directory": subject.directory,
        "external": subject.external_id,
        "logon": subject.logon,
        "suffix": (subject.suffix or "").casefold(),
    }


def _values(user: User) -> dict[str, Any]:
    return {
        "id": user.id,
        "project": user.project,
        "directory_id": user.directory,
        "external_id": user.external_id,
        "user_name": user.user_name,
        "user_name_key": fold(user.user_name),
        "display_name": user.display_name,
        "profile": orjson.dumps(user.profile),
        "idp_active": int(user.idp_active),
        "status": user.status.value,
        "suspended_by": user.suspended_by.value if user.suspended_by else None,
        "status_reason": user.status_reason,
        "license": user.license.value,
        "licensed": int(user.licensed),
        "queue_seq": user.queue_seq,
        "user_authentication": int(user.user_authentication),
        "invite_epoch": user.invite_epoch,
        "accepted": int(user.accepted),
        "invited_at": user.invited_at,
        "activated_at": user.activated_at,
        "deleted_at": user.deleted_at,
        "detached_at": user.detached_at,
        "adoptable": int(user.adoptable),
        "version": user.version,
        "changed_at": user.changed_at,
    }


def from_row(row: Row) -> User:
    """The person of a row of `users`."""
    return User(
        id=row["id"],
        project=row["project_id"],
        directory=row["directory_id"],
        external_id=row["external_id"],
        profile=Profile(**orjson.loads(row["profile"])),
        status=Status(row["status"]),
        created_at=row["created_at"],
        changed_at=row["changed_at"],
        version=row["version"],
        suspended_by=SuspendedBy(row["suspended_by"]) if row["suspended_by"] else None,
        status_reason=row["status_reason"],
        idp_active=bool(row["idp_active"]),
        license=License(row["license"]),
        licensed=bool(row["licensed"]),
        queue_seq=row["queue_seq"],
        user_authentication=bool(row["user_authentication"]),
        invite_epoch=row["invite_epoch"],
        accepted=bool(row["accepted"]),
        invited_at=row["invited_at"],
        activated_at=row["activated_at"],
        deleted_at=row["deleted_at"],
        detached_at=row["detached_at"],
        adoptable=bool(row["adoptable"]),
    )
