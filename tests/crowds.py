"""Crowds put into the tables by a few statements: no test waits for 5,000 requests."""

from __future__ import annotations

from broker.db.database import Database, Transaction
from broker.store import members, resources, rows
from scim.document import render
from tests.pushing import CATALOGUE, Pusher

USER = CATALOGUE.by_name["User"]


async def people(db: Database, push: Pusher, count: int, *, prefix: str = "usr") -> list[str]:
    """So many people of the directory, as far as SCIM sees them; their ids, in order."""
    ids = [f"{prefix}_{n:08}" for n in range(count)]

    def kept(tx: Transaction) -> None:
        of = push.directory
        for some in rows.chunks(ids):
            lines, named = rows.valued(
                "({id}, :project, :directory, 'User', {document}, :extras, {name}, {name}, 1, 1)",
                [{"id": id, "name": id, "document": _document(id)} for id in some],
            )
            tx.run(
                f"""
                INSERT INTO resources (id, project_id, directory_id, type, document, extras,
                                       name_key, display, created_at, changed_at)
                VALUES {lines}
                """,
                project=of.project,
                directory=of.id,
                extras=b"{}",
                **named,
            )

    await db.write(kept)
    return ids


async def join(db: Database, push: Pusher, group: str, ids: list[str]) -> int:
    """Put these into a group, without a push that says so; the group's number."""
    of = push.directory

    def joined(tx: Transaction) -> int:
        found = resources.find(tx, resources.Shelf(of.project, of.id, "Group"), group)
        assert found is not None
        members.add(tx, of.project, of.id, found.n, ids)
        if tx.for_update:  # PostgreSQL's autovacuum would, were it not off for tests
            tx.run("ANALYZE members")
            tx.run("ANALYZE resources")
        return found.n

    return await db.write(joined)


def _document(id: str) -> bytes:
    return render(USER, {"userName": id}, id=id, version=1, created=1, changed=1)
