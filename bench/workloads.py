"""The workloads: what is sent, which answers are right, what is read back afterwards."""

from __future__ import annotations

import json
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bench import bodies
from bench.load import Job
from bench.targets import OUTSIDERS, Known, Target, named

FRESH = "~N~"
PAGE = 100
IN_FLIGHT = 64
"""Requests that a run may cut off after their effect and before their answer."""

Make = Callable[[Target], Awaitable[Job]]


@dataclass(frozen=True, slots=True)
class Workload:
    """What it is, in a few words, and how its requests are made for a target."""

    about: str
    make: Make
    times: int = 1
    """How many times as long it runs as others: few of its requests are answered in a second."""


def some(target: Target, n: int) -> list[Known]:
    """The same users on every server."""
    return random.Random(7).sample(target.users, min(n, len(target.users)))


async def create(target: Target) -> Job:
    """Users that nobody has pushed before."""
    before = await target.total()

    async def check(good: int) -> str:
        return _grown(before, await target.total(), good)

    body = json.dumps(bodies.user(f"w1{FRESH}"))
    path = target.path("/Users")
    return Job([("POST", path, body)], "unique", "201", '"id"', 20, check=check)


async def read(target: Target) -> Job:
    """Users one by one, by their id."""
    paths = [target.path(f"/Users/{user.id}") for user in some(target, 1000)]
    return Job([("GET", path, "") for path in paths], needle='"userName"', every=20)


async def find(target: Target) -> Job:
    """Users by their name, as an identity provider looks whether it must create or patch."""

    async def check(_good: int) -> str:
        for user in some(target, 5):
            said = await target.json("GET", named(f"{user.name}@example.com"))
            if said["totalResults"] != 1 or said["Resources"][0]["id"] != user.id:
                return f"the filter for {user.name} found {str(said)[:120]}"
        return ""

    paths = [target.path(named(f"{user.name}@example.com")) for user in some(target, 1000)]
    records = [("GET", path, "") for path in paths]
    return Job(records, needle='"userName"', every=20, check=check)


async def first_page(target: Target) -> Job:
    """The first hundred."""
    return _pages(target, [1])


async def last_page(target: Target) -> Job:
    """A hundred near the end."""
    total = await target.total()
    return _pages(target, [max(1, total - 150 - 7 * k) for k in range(10)])


def _pages(target: Target, starts: list[int]) -> Job:
    async def check(_good: int) -> str:
        said = await target.json("GET", f"/Users?startIndex={starts[0]}&count={PAGE}")
        got = len(said.get("Resources") or [])
        return "" if got == PAGE else f"asked for {PAGE} users, got {got}"

    paths = [target.path(f"/Users?startIndex={start}&count={PAGE}") for start in starts]
    records = [("GET", path, "") for path in paths]
    return Job(records, needle='"userName"', every=10, check=check)


async def patch(target: Target) -> Job:
    """`active` and the shown name of users that are there."""

    async def check(_good: int) -> str:
        path = f"/Users/{some(target, 1)[0].id}"
        await target.json("PATCH", path, bodies.replacing("Checked Name", active=False))
        said = await target.json("GET", path)
        kept = said.get("active"), said.get("displayName")
        return "" if kept == (False, "Checked Name") else f"after the PATCH: {kept}"

    chosen = random.Random(3)
    records = [
        (
            "PATCH",
            target.path(f"/Users/{user.id}"),
            json.dumps(bodies.replacing(f"D {FRESH}", active=chosen.random() < 0.5)),
        )
        for user in some(target, 500)
    ]
    return Job(records, "unique", "200,204", check=check)


def membership(size: int) -> Make:
    """One member more, one member less, in a group of that size."""

    async def make(target: Target) -> Job:
        group = await target.group(size)
        path = target.path(f"/Groups/{group}")
        pool = [user.id for user in target.users[:OUTSIDERS]]
        changes = [bodies.adding(id) for id in pool] + [bodies.removing(id) for id in pool]
        records = [("PATCH", path, json.dumps(change)) for change in changes]

        async def check(_good: int) -> str:
            return await _follows(target, group, size, target.users[-1].id)

        return Job(records, statuses="200,204", check=check)

    return make


async def _follows(target: Target, group: str, size: int, probe: str) -> str:
    """Whether the count of members follows somebody who is put in and taken out again."""
    counts = []
    for change in (None, bodies.adding(probe), bodies.removing(probe)):
        if change:
            await target.json("PATCH", f"/Groups/{group}", change)
        said = await target.json("GET", f"/Groups/{group}")
        counts.append(len(said.get("members") or []))
    was, more, again = counts
    if size <= was <= size + OUTSIDERS and more == was + 1 and again == was:
        return ""
    return f"{was} members after the run, {more} with one more, {again} without it again"


async def replace(target: Target) -> Job:
    """Whole users that are there, with another shown name."""

    def put(user: Known, shown: str) -> dict[str, Any]:
        return bodies.user(user.name, shown=shown) | {"id": user.id}

    async def check(_good: int) -> str:
        user = some(target, 1)[0]
        body = put(user, "Put Checked")
        body["name"]["familyName"] = "Checked"
        await target.json("PUT", f"/Users/{user.id}", body)
        kept = (await target.json("GET", f"/Users/{user.id}"))["name"].get("familyName")
        return "" if kept == "Checked" else f"name.familyName after the PUT: {kept}"

    records = [
        ("PUT", target.path(f"/Users/{user.id}"), json.dumps(put(user, f"Put {FRESH}")))
        for user in some(target, 500)
    ]
    return Job(records, "unique", "200", '"userName"', 20, check=check)


async def bulk(target: Target) -> Job:
    """A hundred new users a request."""
    before = await target.total()

    async def check(good: int) -> str:
        return _grown(before, await target.total(), good, each=PAGE)

    body = json.dumps(bodies.bulk(f"w8{FRESH}b{k}" for k in range(PAGE)))
    record = ("POST", target.path("/Bulk"), body)
    return Job([record], "unique", "200", per_request=PAGE, check=check)


async def sync(target: Target) -> Job:
    """For each user the filter, then a create (half of them) or a patch."""
    patched = json.dumps(bodies.replacing(f"Sync {FRESH}", active=True))
    records = [
        ("GET", target.path(named("NAME@example.com").replace("NAME", "~U~")), ""),
        ("POST", target.path("/Users"), json.dumps(bodies.user(FRESH))),
        ("PATCH", target.path("/Users/~I~"), patched),
        *((user.name, "", "") for user in some(target, 1000)),
    ]
    return Job(records, "sync", "200,201,204")


def _grown(before: int, after: int, good: int, each: int = 1) -> str:
    if good * each <= after - before <= (good + IN_FLIGHT) * each:
        return ""
    return f"{good * each} creates were answered, totalResults grew by {after - before}"


WORKLOADS: Mapping[str, Workload] = {
    "W1": Workload("POST a user", create),
    "W2": Workload("GET a user", read),
    "W3": Workload('filter userName eq "…"', find),
    "W4": Workload("page of 100, the first", first_page),
    "W4deep": Workload("page of 100, the last", last_page),
    "W5": Workload("PATCH a user, two replaces", patch),
    "W6-10": Workload("±1 member, group of 10", membership(10)),
    "W6-1k": Workload("±1 member, group of 1,000", membership(1000)),
    "W7": Workload("PUT a user", replace),
    "W8": Workload("Bulk of 100 creates, each", bulk, times=3),
    "W9": Workload("full sync, each user: filter, then create or patch", sync),
}
