"""The hostile corpus against a running broker: a SCIM error each, and nothing else happens."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx

from broker.db.database import Database
from tests import pushing
from tests.judges.hostile import BULK_OPERATIONS, Case, bulk, corpus
from tests.judges.live import Live, live
from tests.judges.raw import Said, request, say
from tests.pushing import GROUP, USER

ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"
ROLES = [{"value": f"role {n}"} for n in range(1000)]
MOST_MEMORY_MB = 150
"""By how much the peak of the process may grow over the whole corpus."""


def peak_mb(pid: int) -> int:
    """The most memory that process ever had resident."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) // 1024


def fault(case: Case, said: Said) -> str | None:
    """What is wrong with an answer; None where it is the one the corpus asks for."""
    if said.status != case.status:
        return f"{said.status} {said.body[:200]!r}"
    if case.parser or said.status == 0:
        return None
    if said.status == 200:
        return None if said.json["Resources"] == [] else f"{len(said.body)} bytes of people"
    error = said.json
    if said.headers.get("content-type") != "application/scim+json" or not isinstance(error, dict):
        return f"no SCIM: {said.headers} {said.body[:200]!r}"
    if (error["schemas"], error["status"]) != ([ERROR], str(case.status)) or not error["detail"]:
        return f"no error: {error}"
    if error.get("scimType") != case.scim_type:
        return f"{error.get('scimType')}: {error['detail'][:200]}"
    return None if len(said.body) < 2000 else f"{len(said.body)} bytes of answer"


async def sent(at: Live, case: Case) -> Said:
    """What the broker says to a case."""
    headers = at.headers | {"Content-Type": "application/scim+json"} | case.headers
    parts = request(case.method, at.base_url + case.path, headers, case.body)
    return await say(at.base_url, *parts, hang_up=case.status == 0)


async def made(idp: httpx.AsyncClient, path: str, **body: Any) -> dict[str, Any]:
    """Create something; as answered."""
    answer = await idp.post(path, json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def everything(idp: httpx.AsyncClient) -> list[Any]:
    """Everybody and every group there is."""
    lists = [(await idp.get(path)).json() for path in ("/Users", "/Groups")]
    return [each for found in lists for each in found["Resources"]]


async def test_whatever_is_sent_is_answered_as_an_error(database_url: str, tmp_path: Path) -> None:
    """R132, safety 37: every case of the corpus has its status and scimType, never a 5xx or a
    list; what was there is unchanged, and the process has not grown.
    """
    async with live(tmp_path, database_url) as at, at.client() as idp:
        user = await made(idp, "/Users", schemas=[USER], userName="ada", roles=ROLES)
        group = await made(idp, "/Groups", schemas=[GROUP], displayName="Engineers")
        before, faults = peak_mb(at.broker.pid), {}
        for case in corpus(f"/Users/{user['id']}", f"/Groups/{group['id']}"):
            if (wrong := fault(case, await sent(at, case))) is not None:
                faults[case.name] = wrong
        grown = peak_mb(at.broker.pid) - before
        left = await everything(idp)
    assert not faults, json.dumps(faults, indent=1)
    assert left == [user, group]
    assert grown < MOST_MEMORY_MB
    assert "Traceback" not in at.broker.logs


async def test_a_hostile_operation_fails_alone(db: Database) -> None:
    """RFC 7644 section 3.7: every hostile operation of one bulk is an error of its own, and the
    honest one in their midst is done.
    """
    honest = {"method": "POST", "path": "/Users", "bulkId": "ada", "data": {"userName": "ada"}}
    expected = [(status, kind) for status, kind, _ in BULK_OPERATIONS.values()]
    operations = [operation for _, _, operation in BULK_OPERATIONS.values()]
    async with pushing.pushing(await pushing.house(db)) as push:
        answer = await push("POST", "/Bulk", bulk(Operations=[*operations, honest]).decode())
        assert answer.status_code == 200, answer.text
        *failed, done = answer.json()["Operations"]
        left = (await push.get("/Users"))["Resources"]
    assert [(each["status"], each["response"].get("scimType")) for each in failed] == expected
    assert done["status"] == "201"
    assert [each["userName"] for each in left] == ["ada"]
