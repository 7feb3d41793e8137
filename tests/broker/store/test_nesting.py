"""Which groups somebody is in, direct and by nesting."""

from __future__ import annotations

from broker.db.database import Database
from broker.store import members, nesting
from tests.broker.store.test_members import HERE
from tests.broker.store.test_resources import ELSEWHERE, GROUPS, PEOPLE, put


async def test_groups_of_somebody_are_direct_or_by_nesting(db: Database) -> None:
    """RFC 7643 section 4.1.2: one statement finds the direct ones, a circle of groups ends."""
    kim = await db.write(put, "usr_1", "kim")
    inner, outer = [await db.write(put, f"grp_{n}", f"group-{n}", GROUPS) for n in range(2)]
    for group, member in ((inner, kim), (outer, inner), (inner, outer)):
        await db.write(members.add, *HERE, group.n, [member.id])
    found = await db.read(nesting.groups_of, "prj_1", [kim.n])
    assert [(each.group.id, each.direct) for each in found[kim.n]] == [
        ("grp_0", True),
        ("grp_1", False),
    ]
    read = await db.read(nesting.find_with_groups, PEOPLE, "usr_1")
    assert read is not None
    resource, groups, nested = read
    assert (resource, [group.id for group in groups], nested) == (kim, ["grp_0"], True)
    for shelf in ELSEWHERE:
        assert await db.read(nesting.find_with_groups, shelf, "usr_1") is None
