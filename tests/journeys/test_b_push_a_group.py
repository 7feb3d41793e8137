"""Journey B: a group is pushed to a running broker and changed by one member at a time."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.journeys.test_a_push_a_person import both_sides, said
from tests.pushing import GROUP, PATCH_OP, USER
from tests.serving import serve

MEMBERS = 40


async def test_a_group_grows_member_by_member(database_url: str, tmp_path: Path) -> None:
    """Journey B: parallel PATCHes of one member each, a stale If-Match, a leaver; none is lost."""
    async with (
        serve(tmp_path, database_url) as broker,
        both_sides(broker, "directories:read") as (scim, service),
    ):
        people = []
        for n in range(MEMBERS):
            answer = await scim.post("/Users", json={"schemas": [USER], "userName": f"user-{n}"})
            people.append(answer.json()["id"])
        answer = await scim.post("/Groups", json={"schemas": [GROUP], "displayName": "Everyone"})
        group = answer.json()
        path = f"/Groups/{group['id']}"

        def adding(id: str) -> dict[str, object]:
            change = {"op": "Add", "path": "members", "value": [{"value": id}]}
            return {"schemas": [PATCH_OP], "Operations": [change]}

        answers = await asyncio.gather(*(scim.patch(path, json=adding(id)) for id in people))
        assert {answer.status_code for answer in answers} == {200}
        full = await said(scim, path)
        assert sorted(member["value"] for member in full["members"]) == sorted(people)
        assert full["meta"]["version"] == f'W/"{1 + MEMBERS}"'

        stale = await scim.patch(path, json=adding(people[0]), headers={"if-match": 'W/"1"'})
        assert stale.status_code == 412
        assert (await said(scim, f"/Users/{people[0]}"))["groups"][0]["display"] == "Everyone"

        assert (await scim.delete(f"/Users/{people[0]}")).status_code == 204
        left = await said(scim, path)
        assert len(left["members"]) == MEMBERS - 1

        (listed,) = (await said(service, "/v1/runs"))["items"]
        counts = listed["counts"]
        assert (counts["created"], counts["updated"], counts["deleted"], counts["failed"]) == (
            MEMBERS + 1,
            MEMBERS,
            1,
            1,
        )
        assert counts["total"] == 2 * MEMBERS + 3
