"""SCIM resources on their shelf, and who is in which group."""

from __future__ import annotations

from dataclasses import replace

from broker.db.database import Database, Transaction
from broker.store import members, resources
from broker.store.resources import Keys, Resource, Shelf, Where

PEOPLE = Shelf("prj_1", "dir_1", "User")
GROUPS = Shelf("prj_1", "dir_1", "Group")
ELSEWHERE = (Shelf("prj_2", "dir_1", "User"), Shelf("prj_1", "dir_2", "User"), GROUPS)


def put(tx: Transaction, id: str, name: str, shelf: Shelf = PEOPLE) -> Resource:
    """Keep a resource of this id and name."""
    document = f'{{"id":"{id}"}}'.encode()
    n = resources.insert(tx, shelf, id, Keys(name, f"e-{name}", name.title()), document, b"{}")
    return Resource(n, id, document, 1, tx.now, tx.now)


async def test_what_is_kept_is_what_comes_back(db: Database) -> None:
    """The stored bytes are the answer: they come back as they were, under their version."""
    made = await db.write(put, "usr_1", "kim")
    assert await db.read(resources.find, PEOPLE, "usr_1") == made
    assert await db.write(resources.lock, PEOPLE, "usr_1") == (made, b"{}")
    after = replace(made, document=b'{"id":"usr_1","title":"x"}', version=2, changed_at=9)
    await db.write(resources.change, PEOPLE, after, Keys("lee", None, "Lee"), b'{"a":1}')
    assert await db.write(resources.lock, PEOPLE, "usr_1") == (after, b'{"a":1}')
    assert await db.read(resources.count, PEOPLE, Where(name="kim")) == 0
    assert await db.read(resources.count, PEOPLE, Where(name="lee")) == 1
    await db.write(resources.delete, PEOPLE, made.n)
    assert await db.read(resources.find, PEOPLE, "usr_1") is None


async def test_nothing_reaches_beyond_its_shelf(db: Database) -> None:
    """Safety 1, 2: another project, directory or type finds, counts, locks and deletes nothing."""
    made = await db.write(put, "usr_1", "kim")
    for shelf in ELSEWHERE:
        assert await db.read(resources.find, shelf, "usr_1") is None
        assert await db.write(resources.lock, shelf, "usr_1") is None
        for where in (Where(), Where(id="usr_1"), Where(name="kim"), Where(external="e-kim")):
            assert await db.read(resources.count, shelf, where) == 0
            page = await db.read(resources.page, shelf, where, offset=0, limit=9)
            assert page == []
        assert await db.read(resources.numbered, shelf, [made.n]) == {}
    for shelf in ELSEWHERE[:2]:
        await db.write(resources.delete, shelf, made.n)
        known = await db.read(members.known, shelf.project, shelf.directory, ["usr_1"])
        assert known == {}
    assert await db.read(resources.find, PEOPLE, "usr_1") == made


async def test_pages_are_in_the_order_of_arrival_or_by_name(db: Database) -> None:
    """Equal pages on both engines: by number, or by folded name in the order of its bytes."""
    made = [await db.write(put, f"usr_{n}", name) for n, name in enumerate("bäaZ")]
    ids = [each.id for each in made]
    page = await db.read(resources.page, PEOPLE, Where(), offset=1, limit=2)
    assert [each.id for each in page] == ids[1:3]
    for descending in (False, True):
        page = await db.read(
            resources.page, PEOPLE, Where(), offset=0, limit=9, by_name=True, descending=descending
        )
        in_order = ["usr_3", "usr_2", "usr_0", "usr_1"]
        assert [each.id for each in page] == (in_order[::-1] if descending else in_order)
    after = await db.read(resources.batch, PEOPLE, Where(), after=made[1].n, limit=9)
    assert [each.id for each in after] == ids[2:]


async def test_members_come_and_go_as_rows(db: Database) -> None:
    """Putting in twice is once; what came and what left is told; the type and name are joined."""
    group = await db.write(put, "grp_1", "all", GROUPS)
    people = [(await db.write(put, f"usr_{n}", f"user-{n}")).n for n in range(3)]
    assert await db.write(members.add, "prj_1", group.n, people[:2]) == set(people[:2])
    assert await db.write(members.add, "prj_1", group.n, people) == {people[2]}
    assert await db.write(members.remove, "prj_1", group.n, [people[0], 999]) == {people[0]}
    assert await db.write(members.remove, "prj_2", group.n, people) == set()
    found = await db.read(members.of_groups, "prj_1", [group.n])
    assert [(entry.id, entry.type, entry.display) for entry in found[group.n]] == [
        ("usr_1", "User", "User-1"),
        ("usr_2", "User", "User-2"),
    ]
    some = await db.read(members.of_groups, "prj_1", [group.n], at_most=1)
    assert len(some[group.n]) == 1
    assert await db.read(members.numbers, "prj_2", group.n) == []


async def test_groups_of_somebody_are_direct_or_by_nesting(db: Database) -> None:
    """RFC 7643 section 4.1.2: one statement finds the direct ones, a circle of groups ends."""
    kim = await db.write(put, "usr_1", "kim")
    inner, outer = [await db.write(put, f"grp_{n}", f"group-{n}", GROUPS) for n in range(2)]
    for group, member in ((inner, kim), (outer, inner), (inner, outer)):
        await db.write(members.add, "prj_1", group.n, [member.n])
    found = await db.read(members.groups_of, "prj_1", [kim.n])
    assert [(each.group.id, each.direct) for each in found[kim.n]] == [
        ("grp_0", True),
        ("grp_1", False),
    ]
    read = await db.read(members.find_with_groups, PEOPLE, "usr_1")
    assert read is not None
    resource, groups, nested = read
    assert (resource, [group.id for group in groups], nested) == (kim, ["grp_0"], True)
    for shelf in ELSEWHERE:
        assert await db.read(members.find_with_groups, shelf, "usr_1") is None


async def test_a_deleted_resource_is_in_no_group(db: Database) -> None:
    """Safety 7: memberships go with their member and with their group."""
    kim, lee = [await db.write(put, f"usr_{n}", f"user-{n}") for n in range(2)]
    group = await db.write(put, "grp_1", "all", GROUPS)
    await db.write(members.add, "prj_1", group.n, [kim.n, lee.n])
    assert await db.write(members.lock_groups, "prj_1", kim.n) == [group]
    await db.write(resources.delete, PEOPLE, kim.n)
    assert await db.read(members.numbers, "prj_1", group.n) == [lee.n]
    await db.write(resources.delete, GROUPS, group.n)
    assert await db.read(members.groups_of, "prj_1", [lee.n]) == {}
