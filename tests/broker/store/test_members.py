"""Who is in which group, as rows: told by id, read by the batch, never more than is asked for."""

from __future__ import annotations

from broker.db.database import Database
from broker.store import members, nesting, resources
from tests.broker.store.test_resources import ELSEWHERE, GROUPS, PEOPLE, put
from tests.watching import Watched, scans

HERE = ("prj_1", "dir_1")


async def test_members_come_and_go_as_rows(db: Database) -> None:
    """Putting in twice is once; who came and who left is told; safety 1: nobody from elsewhere."""
    group = await db.write(put, "grp_1", "all", GROUPS)
    people = [await db.write(put, f"usr_{n}", f"user-{n}") for n in range(3)]
    ids = [each.id for each in people]
    assert await db.write(members.add, *HERE, group.n, [*ids[:2], "usr_nobody"]) == set(ids[:2])
    assert await db.write(members.add, *HERE, group.n, ids) == {ids[2]}
    for shelf in ELSEWHERE[:2]:
        assert not await db.write(members.add, shelf.project, shelf.directory, group.n, ids)
    assert await db.write(members.remove, "prj_2", group.n, ids) == set()
    assert await db.write(members.remove, "prj_1", group.n, [ids[0], "usr_nobody"]) == {ids[0]}
    found = await db.read(members.of_groups, "prj_1", [group.n], 2)
    assert found is not None
    assert [entry[1:] for entry in found[group.n]] == [
        ("usr_1", "User", "User-1"),
        ("usr_2", "User", "User-2"),
    ]
    assert list(await db.read(members.numbers, "prj_1", group.n)) == [each.n for each in people[1:]]
    assert not await db.read(members.numbers, "prj_2", group.n)


async def test_members_beyond_what_is_held_at_once_are_not_read(db: Database) -> None:
    """None where there are more, over all groups asked for; an empty group is no crowd."""
    watched = Watched(db)
    groups = [(await db.write(put, f"grp_{n}", f"group-{n}", GROUPS)).n for n in range(3)]
    ids = [(await db.write(put, f"usr_{n}", f"user-{n}")).id for n in range(6)]
    for n in groups[:2]:
        await db.write(members.add, *HERE, n, ids)
    assert await watched.read(members.of_groups, "prj_1", groups[2:], 0) == {}
    watched.clear()
    assert await watched.read(members.of_groups, "prj_1", groups, 11) is None
    assert watched.rows == 1
    assert [plan for plan in await watched.plans() if scans(plan)] == []
    found = await watched.read(members.of_groups, "prj_1", groups, 12)
    assert found is not None
    assert {n: len(entries) for n, entries in found.items()} == dict.fromkeys(groups[:2], 6)


async def test_numbers_stand_for_whoever_is_still_there(db: Database) -> None:
    """A batch of a read that began earlier: in order, and without those who are gone."""
    group = await db.write(put, "grp_1", "all", GROUPS)
    people = [await db.write(put, f"usr_{n}", f"user-{n}") for n in range(3)]
    await db.write(members.add, *HERE, group.n, [each.id for each in people])
    numbers = await db.read(members.numbers, "prj_1", group.n)
    assert numbers.itemsize == 8
    await db.write(resources.delete, PEOPLE, people[1].n)
    found = await db.read(members.numbered, "prj_1", numbers)
    assert [entry.id for entry in found] == ["usr_0", "usr_2"]
    assert await db.read(members.numbered, "prj_2", numbers) == []


async def test_a_deleted_resource_is_in_no_group(db: Database) -> None:
    """Safety 7: memberships go with their member and with their group."""
    kim, lee = [await db.write(put, f"usr_{n}", f"user-{n}") for n in range(2)]
    group = await db.write(put, "grp_1", "all", GROUPS)
    await db.write(members.add, *HERE, group.n, [kim.id, lee.id])
    assert await db.write(members.lock_groups, "prj_1", kim.n) == [group]
    await db.write(resources.delete, PEOPLE, kim.n)
    assert list(await db.read(members.numbers, "prj_1", group.n)) == [lee.n]
    await db.write(resources.delete, GROUPS, group.n)
    assert await db.read(nesting.groups_of, "prj_1", [lee.n]) == {}
