"""SCIM resources on their shelf: kept, found, counted, and nothing beyond it."""

from __future__ import annotations

from broker.db.database import Database, Transaction
from broker.store import members, pages, resources
from broker.store.pages import Order, Where
from broker.store.resources import Keys, Resource, Shelf

PEOPLE = Shelf("prj_1", "dir_1", "User")
GROUPS = Shelf("prj_1", "dir_1", "Group")
ELSEWHERE = (Shelf("prj_2", "dir_1", "User"), Shelf("prj_1", "dir_2", "User"), GROUPS)


def keys(name: str) -> Keys:
    """What a resource of this name is found by."""
    return Keys(name, f"e-{name}", name.title(), f"d-{name}", (f"{name}@acme", f"{name}@home"))


def put(tx: Transaction, id: str, name: str, shelf: Shelf = PEOPLE) -> Resource:
    """Keep a resource of this id and name."""
    document = f'{{"id":"{id}"}}'.encode()
    n = resources.insert(tx, shelf, id, keys(name), document, b"{}")
    return Resource(n, id, document, 1, tx.now, tx.now)


async def test_what_is_kept_is_what_comes_back(db: Database) -> None:
    """The stored bytes are the answer: they come back as they were, under their version."""
    made = await db.write(put, "usr_1", "kim")
    assert await db.read(resources.find, PEOPLE, "usr_1") == made
    assert await db.write(resources.lock, PEOPLE, "usr_1") == (made, b"{}")
    after = made._replace(document=b'{"id":"usr_1","title":"x"}', version=2, changed_at=9)
    await db.write(resources.change, PEOPLE, after, keys("lee"), b'{"a":1}', was=keys("kim"))
    assert await db.write(resources.lock, PEOPLE, "usr_1") == (after, b'{"a":1}')
    for name, held in (("kim", 0), ("lee", 1)):
        for where in (
            Where(name=name),
            Where(external=f"e-{name}"),
            Where(display=f"d-{name}"),
            Where(email=f"{name}@acme"),
            Where(email=f"{name}@home"),
        ):
            assert await db.read(pages.count, PEOPLE, where) == held
    await db.write(resources.delete, PEOPLE, made.n)
    assert await db.read(resources.find, PEOPLE, "usr_1") is None
    assert await db.read(pages.count, PEOPLE, Where(email="lee@home")) == 0


async def test_nothing_reaches_beyond_its_shelf(db: Database) -> None:
    """Safety 1, 2: another project, directory or type finds, counts, locks and deletes nothing."""
    made = await db.write(put, "usr_1", "kim")
    for shelf in ELSEWHERE:
        assert await db.read(resources.find, shelf, "usr_1") is None
        assert await db.write(resources.lock, shelf, "usr_1") is None
        for where in (
            Where(),
            Where(id="usr_1"),
            Where(name="kim"),
            Where(external="e-kim"),
            Where(display="d-kim"),
            Where(email="kim@acme"),
            Where(email="kim@home"),
        ):
            assert await db.read(pages.count, shelf, where) == 0
            assert await db.read(pages.page, shelf, where, Order(), limit=9) == []
        assert await db.read(pages.numbered, shelf, [made.n]) == {}
    for shelf in ELSEWHERE:
        await db.write(resources.delete, shelf, made.n)
        assert await db.read(pages.count, shelf, Where()) == 0
    for shelf in ELSEWHERE[:2]:
        known = await db.read(members.known, shelf.project, shelf.directory, ["usr_1"])
        assert not known
    assert await db.read(resources.find, PEOPLE, "usr_1") == made
