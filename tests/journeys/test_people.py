"""People come in, wait, and leave: licenses first come, first served, through a running broker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.journeys.test_a_push_a_person import both_sides
from tests.pushing import PATCH_OP, USER
from tests.serving import serve

SCOPES = ("users:read", "users:admin", "logins:write", "directories:read")


async def test_from_invited_to_active_by_way_of_the_queue(
    database_url: str, tmp_path: Path
) -> None:
    """R123 to R131: all Invited, two licenses, the third waits; whoever leaves makes room."""
    async with (
        serve(tmp_path, database_url) as broker,
        both_sides(broker, *SCOPES) as (scim, service),
    ):
        people = []
        for n in range(3):
            body = {"schemas": [USER], "userName": f"user-{n}@acme.example", "active": True}
            people.append((await scim.post("/Users", json=body)).json()["id"])

        async def log_in(n: int) -> dict[str, Any]:
            body = {"subject": {"user_name": f"USER-{n}@acme.example"}}
            answer = await service.post("/v1/logins", json=body)
            assert answer.status_code == 200, answer.text
            told: dict[str, Any] = answer.json()
            return told

        async def state() -> tuple[int, int, int]:
            told = (await service.get("/v1/licenses")).json()
            return told["held"], told["queued"], told["over_allocated"]

        assert (await service.put("/v1/licenses", json={"capacity": 2})).status_code == 200
        assert await state() == (0, 0, 0)
        assert [(await log_in(n))["status"] for n in (2, 0, 1)] == ["active", "active", "queued"]
        waiting = await log_in(1)
        assert (waiting["user_id"], waiting["place"]) == (people[1], 1)
        assert "account admin" in waiting["message"]

        refused = await service.post(f"/v1/users/{people[1]}/activate")
        assert refused.status_code == 409
        assert await state() == (2, 1, 0)

        off = {"op": "Replace", "path": "active", "value": "False"}
        body = {"schemas": [PATCH_OP], "Operations": [off]}
        assert (await scim.patch(f"/Users/{people[2]}", json=body)).status_code == 200
        assert await state() == (2, 0, 0)
        shown = (await service.get(f"/v1/users/{people[1]}")).json()
        assert (shown["status"], shown["license"], shown["place"]) == ("active", "held", None)

        assert (await service.put("/v1/licenses", json={"capacity": 1})).status_code == 200
        assert await state() == (2, 0, 1)
        gone = await service.post("/v1/logins", json={"subject": {"user_id": people[2]}})
        assert gone.status_code == 409
