"""People, kept: status, license and place in the queue; a deleted one stays as a tombstone."""

from collections.abc import Sequence
from typing import Any

import orjson

from broker.db.database import Row, Transaction
from broker.domain.errors import NotFound
from broker.domain.mapping import Profile
from broker.domain.subjects import Subject
from broker.domain.users import Status, User
from broker.store import rows
from broker.store.shapes import Form, Shape
from scim.fold import fold


def get(tx: Transaction, project: str, id: str) -> User:
    """The person of that id, tombstones too; NotFound."""
    user = find(tx, project, id)
    if user is None:
        raise NotFound()
    return user


def find(tx: Transaction, project: str, id: str) -> User | None:
    """The person of that id, tombstones too."""
    sql = "SELECT * FROM users WHERE project_id = :project AND id = :id"
    return _SHAPE.one(tx.find(sql, project=project, id=id))


def some(tx: Transaction, project: str, ids: Sequence[str]) -> dict[str, User]:
    """The people of these ids, by id."""
    found: dict[str, User] = {}
    for chunk in rows.chunks(ids):
        listed, named = rows.listed(chunk)
        # In words that SQLite does not take for a way in: see `store.members`.
        sql = f"SELECT * FROM users WHERE {_OURS} AND id IN ({listed})"
        for row in tx.all(sql, project=project, **named):
            found[row["id"]] = from_row(row)
    return found


def lock(tx: Transaction, project: str, id: str) -> User:
    """The person of that id, unchanged until this transaction ends; NotFound."""
    sql = "SELECT * FROM users WHERE project_id = :project AND id = :id"
    row = tx.find(sql + tx.for_update, project=project, id=id)
    if row is None:
        raise NotFound()
    return from_row(row)


def stir(tx: Transaction, project: str, id: str) -> None:
    """Held as `lock` does, and changed for whoever looks on one snapshot from before: they begin
    again instead of missing what this transaction brings.
    """
    sql = "UPDATE users SET changed_at = changed_at WHERE project_id = :project AND id = :id"
    tx.run(sql, project=project, id=id)


def wants_reminders(tx: Transaction, project: str, id: str) -> bool:
    """Whether the person is reminded of what waits for them; everybody is who did not opt out."""
    sql = "SELECT reminders FROM users WHERE project_id = :project AND id = :id"
    row = tx.find(sql, project=project, id=id)
    return row is not None and bool(row["reminders"])


def set_reminders(tx: Transaction, project: str, id: str, on: bool) -> None:
    """Remind the person of what waits for them, or do not."""
    sql = "UPDATE users SET reminders = :on WHERE project_id = :project AND id = :id"
    tx.run(sql, project=project, id=id, on=int(on))


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
    found = tx.all(_QUERIES[_way(subject)], project=project, **_meaning(subject))
    living = [row for row in found if row["status"] != Status.DELETED]
    return _SHAPE.each(living or sorted(found, key=lambda each: each["deleted_at"] or 0)[-1:])


def insert(tx: Transaction, user: User) -> None:
    """Keep a new person; Duplicate where a living one has the userName."""
    sql = f"""
        INSERT INTO users (project_id, user_name, user_name_key, display_name, {_SHAPE.columns})
        VALUES (:project, :user_name, :user_name_key, :display_name, {_SHAPE.values})
    """
    tx.run(sql, **_parameters(user))


def change(tx: Transaction, user: User) -> None:
    """Keep the person as they are now; Duplicate where another has the userName."""
    sql = f"""
        UPDATE users
           SET user_name = :user_name, user_name_key = :user_name_key,
               display_name = :display_name, {_SHAPE.changes}
         WHERE project_id = :project AND id = :id
    """
    tx.run(sql, **_parameters(user))


def describe(
    tx: Transaction, project: str, id: str, profile: Profile, external_id: str | None
) -> None:
    """Keep what the directory says of the person, and nothing of their status; Duplicate."""
    sql = """
        UPDATE users
           SET external_id = :external, user_name = :name, user_name_key = :key,
               display_name = :display, profile = :profile,
               version = version + 1, changed_at = :now
         WHERE project_id = :project AND id = :id
    """
    tx.run(
        sql,
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
    sql = """
        SELECT * FROM users
         WHERE project_id = :project AND user_name_key = :name AND status <> 'deleted'
    """
    return _SHAPE.one(tx.find(sql, project=project, name=fold(user_name)))


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
    sql = f"""
        SELECT * FROM users
         WHERE project_id = :project AND id > :after
           AND {"status = :status" if status else "status <> 'deleted'"}
           {"AND directory_id = :directory" if directory else ""}
         ORDER BY id
         LIMIT :limit
    """
    found = tx.all(
        sql, project=project, after=after, limit=limit, status=status, directory=directory
    )
    return _SHAPE.each(found)


def exempt(tx: Transaction, project: str) -> int:
    """How many active people need no license (safety 10)."""
    sql = """
        SELECT count(*) AS people FROM users
         WHERE project_id = :project AND status = 'active' AND licensed = 0
    """
    row = tx.find(sql, project=project)
    return int(row["people"]) if row else 0


_OURS = "CAST(project_id AS text) = (:project)"
_PROFILE = Form(orjson.dumps, lambda kept: Profile(**orjson.loads(kept)))
_SHAPE = Shape(User, forms={"profile": _PROFILE})

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


def _meaning(subject: Subject) -> dict[str, Any]:
    return {
        "name": fold(subject.user_name or ""),
        "directory": subject.directory,
        "external": subject.external_id,
        "logon": subject.logon,
        "suffix": (subject.suffix or "").casefold(),
    }


def _parameters(user: User) -> dict[str, Any]:
    """The columns of a person, with those that the profile tells."""
    return _SHAPE.parameters(user) | {
        "user_name": user.user_name,
        "user_name_key": fold(user.user_name),
        "display_name": user.display_name,
    }


def from_row(row: Row) -> User:
    """The person of a row of `users`."""
    return _SHAPE.read(row)
