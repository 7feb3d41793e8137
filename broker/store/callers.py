"""API keys, directory tokens, sessions and one-time tickets: kept as keyed hashes only."""

from collections.abc import Iterable
from typing import Any

from broker.db.database import Row, Transaction
from broker.domain import names
from broker.domain.callers import Caller, Kind
from broker.domain.clock import MINUTE
from broker.domain.directories import Directory
from broker.store import directories
from broker.store.shapes import JSON, Form, Shape


def insert_key(tx: Transaction, key: Caller, hash: str) -> None:
    """Keep a new API key: the caller it stands for."""
    sql = f"""
        INSERT INTO api_keys (project_id, hash, created_at, {_KEY.columns})
        VALUES (:project, :hash, :now, {_KEY.values})
    """
    tx.run(sql, **_KEY.parameters(key), hash=hash, now=tx.now)


def find_key(tx: Transaction, id: str) -> tuple[str, Caller] | None:
    """The hash of a living key, and the caller it stands for."""
    row = tx.find("SELECT * FROM api_keys WHERE id = :id AND revoked_at IS NULL", id=id)
    return (row["hash"], _KEY.read(row, kind=Kind.SERVICE)) if row else None


def keys(tx: Transaction, project: str) -> list[dict[str, Any]]:
    """Every key of the project, without what it is recognized by."""
    sql = """
        SELECT id, name, scopes, created_at, last_used_at, revoked_at
          FROM api_keys WHERE project_id = :project ORDER BY id
    """
    rows = tx.all(sql, project=project)
    return [dict(row) | {"scopes": row["scopes"].split()} for row in rows]


def renamed(tx: Transaction, project: str, before: str, now: str) -> list[str]:
    """Keys limited to a connector stay limited to it under its new name; which keys those are."""
    sql = "SELECT * FROM api_keys WHERE project_id = :project AND connectors <> '' ORDER BY id"
    rows = tx.all(sql + tx.for_update, project=project)
    limited = [_KEY.read(row, kind=Kind.SERVICE) for row in rows]
    those = [key for key in limited if key.is_for(before)]
    sql = "UPDATE api_keys SET connectors = :kept WHERE project_id = :project AND id = :id"
    for key in those:
        others = {name for name in key.connectors if names.key(name) != names.key(before)}
        tx.run(sql, project=project, id=key.id, kept=_LINES.kept(others | {now}))
    return [key.id for key in those]


def revoke_key(tx: Transaction, project: str, id: str) -> bool:
    """End a key; False where there is no such living key."""
    return _revoked(tx, "api_keys", project, id)


def revoke_token(tx: Transaction, project: str, id: str) -> bool:
    """End a SCIM token; False where there is no such living token."""
    return _revoked(tx, "directory_tokens", project, id)


def _revoked(tx: Transaction, table: str, project: str, id: str) -> bool:
    sql = f"""
        UPDATE {table} SET revoked_at = :now
         WHERE project_id = :project AND id = :id AND revoked_at IS NULL RETURNING id
    """
    return tx.find(sql, project=project, id=id, now=tx.now) is not None


def insert_token(tx: Transaction, project: str, directory: str, id: str, hash: str) -> None:
    """Keep a new SCIM token of a directory."""
    sql = """
        INSERT INTO directory_tokens (id, project_id, directory_id, hash, created_at)
        VALUES (:id, :project, :directory, :hash, :now)
    """
    tx.run(sql, id=id, project=project, directory=directory, hash=hash, now=tx.now)


def find_token(tx: Transaction, id: str) -> tuple[str, Directory] | None:
    """The hash of a living SCIM token and the directory it is for, which is not deleted."""
    sql = """
        SELECT directories.*, directory_tokens.hash AS hash
          FROM directory_tokens JOIN directories
            ON directories.id = directory_tokens.directory_id
           AND directories.project_id = directory_tokens.project_id
         WHERE directory_tokens.id = :id AND directory_tokens.revoked_at IS NULL
           AND directories.state <> 'deleted'
    """
    row = tx.find(sql, id=id)
    return (row["hash"], directories.read(row)) if row else None


def tokens(tx: Transaction, project: str, directory: str) -> list[dict[str, Any]]:
    """Every token of a directory, without what it is recognized by."""
    sql = """
        SELECT id, created_at, last_used_at, revoked_at FROM directory_tokens
         WHERE project_id = :project AND directory_id = :directory ORDER BY id
    """
    rows = tx.all(sql, project=project, directory=directory)
    return [dict(row) for row in rows]


def living(tx: Transaction, project: str, directory: str) -> list[dict[str, Any]]:
    """Those of a directory's tokens that are not revoked."""
    return [each for each in tokens(tx, project, directory) if each["revoked_at"] is None]


def used(tx: Transaction, ids: Iterable[str]) -> None:
    """Write down that keys and tokens were used: gathered in memory, flushed now and then."""
    for id in sorted(ids):  # the order in which `renamed` holds keys
        table = "api_keys" if id.startswith("key_") else "directory_tokens"
        tx.run(f"UPDATE {table} SET last_used_at = :now WHERE id = :id", id=id, now=tx.now)


def insert_ticket(
    tx: Transaction,
    project: str,
    hash: str,
    purpose: str,
    *,
    lifetime: int,
    user_id: str | None = None,
    link_id: str | None = None,
    key_id: str | None = None,
) -> int:
    """Keep a one-time secret; when it ends."""
    expires_at = tx.now + lifetime
    sql = """
        INSERT INTO tickets (hash, project_id, purpose, user_id, link_id, key_id, expires_at)
        VALUES (:hash, :project, :purpose, :user_id, :link_id, :key_id, :expires_at)
    """
    tx.run(
        sql,
        hash=hash,
        project=project,
        purpose=purpose,
        user_id=user_id,
        link_id=link_id,
        key_id=key_id,
        expires_at=expires_at,
    )
    return expires_at


def use_ticket(tx: Transaction, hash: str, purpose: str) -> Row | None:
    """Spend a one-time secret; None where it is unknown, spent or over. One UPDATE: one winner."""
    sql = """
        UPDATE tickets SET used_at = :now
         WHERE hash = :hash AND purpose = :purpose AND used_at IS NULL AND expires_at > :now
        RETURNING project_id, user_id, link_id, key_id
    """
    return tx.find(sql, hash=hash, purpose=purpose, now=tx.now)


def insert_session(
    tx: Transaction,
    project: str,
    hash: str,
    kind: Kind,
    *,
    asserted_by: str,
    lifetime: int,
    user_id: str | None = None,
    link_id: str | None = None,
    anew_since: int | None = None,
) -> None:
    """Begin a session; its cookie is kept as a hash."""
    sql = """
        INSERT INTO sessions (hash, project_id, kind, user_id, link_id, asserted_by, anew_since,
                              created_at, expires_at)
        VALUES (:hash, :project, :kind, :user_id, :link_id, :asserted_by, :anew_since,
                :now, :expires_at)
    """
    tx.run(
        sql,
        hash=hash,
        project=project,
        kind=kind,
        user_id=user_id,
        link_id=link_id,
        asserted_by=asserted_by,
        anew_since=anew_since,
        now=tx.now,
        expires_at=tx.now + lifetime,
    )


def find_session(tx: Transaction, hash: str) -> Caller | None:
    """Whom a living session stands for."""
    sql = """
        SELECT * FROM sessions WHERE hash = :hash AND ended_at IS NULL AND expires_at > :now
    """
    row = tx.find(sql, hash=hash, now=tx.now)
    if row is None:
        return None
    return Caller(
        kind=Kind(row["kind"]),
        project=row["project_id"],
        id=row["user_id"] or row["asserted_by"],
        user_id=row["user_id"],
        link_id=row["link_id"],
        session=row["hash"],
        asserted_by=row["asserted_by"],
    )


def end_session(tx: Transaction, hash: str) -> None:
    """Sign out."""
    tx.run("UPDATE sessions SET ended_at = :now WHERE hash = :hash", hash=hash, now=tx.now)


def end_all(tx: Transaction, project: str, user_id: str) -> None:
    """End a person's sessions and tickets (safety 8)."""
    sql = """
        UPDATE sessions SET ended_at = :now
         WHERE project_id = :project AND user_id = :user_id AND ended_at IS NULL
    """
    tx.run(sql, project=project, user_id=user_id, now=tx.now)
    sql = """
        UPDATE tickets SET used_at = :now
         WHERE project_id = :project AND user_id = :user_id AND used_at IS NULL
    """
    tx.run(sql, project=project, user_id=user_id, now=tx.now)


_LINES = Form(lambda names: "\n".join(sorted(names)), lambda text: frozenset(text.splitlines()))
_KEY = Shape(
    Caller,
    forms={
        "connectors": _LINES,
        "evidence": Form(JSON.kept, lambda text: tuple(map(tuple, JSON.read(text)))),
        "return_urls": Form(JSON.kept, lambda text: tuple(JSON.read(text))),
    },
    apart=("kind", "user_id", "link_id", "session", "asserted_by"),
    few=True,
)
SETUP_LIFETIME = 15 * MINUTE
CONNECT_LIFETIME = 5 * MINUTE
