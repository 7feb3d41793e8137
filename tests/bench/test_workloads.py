"""The bench against ours: every request it would send is answered right, no stopwatch needed."""

from __future__ import annotations

from pathlib import Path

from bench import growth
from bench.load import Job
from bench.servers import ours
from bench.targets import OUTSIDERS, Target
from bench.workloads import WORKLOADS

USERS = OUTSIDERS + 31
SMALL = WORKLOADS.keys() - {"W6-1k"}
"""A group of 1,000 is W6-10 with more people."""


async def answered(target: Target, job: Job) -> None:
    """Sends what wrk would send first, and asks of the answer what the script asks."""
    method, path, body = job.records[0]
    async with target.client() as client:
        url = client.base_url.copy_with(raw_path=path.replace("~U~", "nobody").encode())
        got = await client.request(method, url, content=body.replace("~N~", "fresh").encode())
    assert str(got.status_code) in job.statuses.split(","), got.text
    assert job.needle in got.text
    if job.check is not None:
        assert await job.check(1) == ""


async def test_ours_answers_what_the_bench_sends(tmp_path: Path) -> None:
    """`make bench` measures right answers: of each workload, and of each promise about size."""
    with ours(tmp_path) as target:
        await target.create((f"pre{n}" for n in range(USERS)), in_bulk=100)
        assert len(target.users) == await target.total() == USERS
        for make in growth.by_user().values():
            await answered(target, await make(target))
        for pair in growth.pairs(small=10, middle=20, large=30, deep=100):
            await answered(target, await pair.small[1](target))
            await answered(target, await pair.large[1](target))
        assert (await target.json("GET", growth.SCAN))["totalResults"] == 0
        line = await growth.whole_group(target, 30)
        assert line.wrong == ""
        for name in sorted(SMALL):  # these change what they find
            await answered(target, await WORKLOADS[name].make(target))
        assert target.usage.cpu_s > 0
