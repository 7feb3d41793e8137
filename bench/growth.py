"""What must not grow: the cost of the same request where little is held, and where much is."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from math import nan
from statistics import median

import click

from bench import bodies
from bench.load import Job, Load, Measured, measure
from bench.tables import Growth
from bench.targets import OUTSIDERS, NotMeasured, Target, answer, filtered
from bench.workloads import PAGE, read, some

FEW = 1000
SMALL, MIDDLE = 10, 1000
FLAT = 1.5
PAGE_DEEP = 2.0
BLOCKED = 5.0
QUIET = 0.1
"""The share of a core below which a server is done with what we gave it to do."""
SETTLE_S = 60.0
SAMPLE_S = 0.02
POOL = 20
"""Who goes in and out of a group; so few that a small group stays small."""
SCAN = filtered('title co "held by nobody"') + "&count=1"
"""No index answers this: every user is looked at."""

Make = Callable[[Target], Awaitable[Job]]


@dataclass(frozen=True, slots=True)
class Pair:
    """The same request where little is held and where much is; how much more it may cost."""

    what: str
    small: tuple[str, Make]
    large: tuple[str, Make]
    promise: float = FLAT


async def grow(target: Target, users: int, load: Load) -> AsyncIterator[Growth]:
    """Fill an empty server up to `users` and measure each promise about size on the way."""
    await target.create((f"pre{n}" for n in range(FEW)), in_bulk=PAGE)
    await _settled(target)
    before = {what: await _measured(target, make, load) for what, make in by_user().items()}
    beyond = users + OUTSIDERS + POOL
    seconds = await target.create((f"pre{n}" for n in range(FEW, beyond)), in_bulk=PAGE)
    click.echo(f"{len(target.users)} users; {beyond - FEW} of them in {seconds:.0f} s", err=True)
    for size in (SMALL, MIDDLE, users):
        started = time.monotonic()
        await target.group(size)
        click.echo(f"a group of {size} in {time.monotonic() - started:.0f} s", err=True)
    await _settled(target)
    for what, make in by_user().items():
        yield await _or_why_not(what, _grown(target, what, make, before[what], users, load))
    for pair in pairs(SMALL, MIDDLE, users, deep=users - PAGE):
        yield await _or_why_not(pair.what, _side_by_side(target, pair, load))
    yield await _or_why_not("GET a user, p99", _beside_a_scan(target, load))
    yield await _or_why_not("GET the largest group", whole_group(target, users))


async def _or_why_not(what: str, line: Awaitable[Growth]) -> Growth:
    """The line, or one that says why there is none: minutes of others stand beside it."""
    try:
        return await line
    except NotMeasured as error:
        return Growth(what, "", ("", nan), ("", nan), nan, nan, str(error))


def by_user() -> dict[str, Make]:
    """What depends on how many users there are."""
    filters = {
        "userName": "{user.name}@example.com",
        "externalId": "ext-{user.name}",
        "emails.value": "{user.name}@example.com",
        "displayName": "Barbara Jensen {user.name}",
        "id": "{user.id}",
    }
    return {
        "GET a user": read,
        "the first page of 100": _page("startIndex=1"),
        **{f"filter {name} eq": _equal(name, form) for name, form in filters.items()},
    }


def _equal(attribute: str, form: str) -> Make:
    async def make(target: Target) -> Job:
        values = [form.format(user=user) for user in some(target, 500)]
        paths = [target.path(filtered(f'{attribute} eq "{value}"')) for value in values]
        return Job([("GET", path, "") for path in paths], needle='"totalResults":1', every=5)

    return make


def _page(place: str) -> Make:
    async def make(target: Target) -> Job:
        path = target.path(f"/Users?{place}&count={PAGE}")
        return Job([("GET", path, "")], needle='"itemsPerPage":100', every=5)

    return make


def _without_members(size: int) -> Make:
    async def make(target: Target) -> Job:
        path = target.path(f"/Groups/{await target.group(size)}?excludedAttributes=members")
        return Job([("GET", path, "")], needle='"displayName"', every=20)

    return make


def _membership(size: int) -> Make:
    async def make(target: Target) -> Job:
        path = target.path(f"/Groups/{await target.group(size)}")
        pool = [user.id for user in target.users[:POOL]]
        changes = [bodies.adding(id) for id in pool] + [bodies.removing(id) for id in pool]
        records = [("PATCH", path, json.dumps(change)) for change in changes]
        return Job(records, statuses="200,204")

    return make


def pairs(small: int, middle: int, large: int, *, deep: int) -> Sequence[Pair]:
    """What depends on how large a group is, or on how many users stand before a page."""
    return [
        Pair("±1 member", _in_group(small, _membership), _in_group(middle, _membership)),
        Pair("±1 member", _in_group(small, _membership), _in_group(large, _membership)),
        Pair(
            "GET a group without members",
            _in_group(small, _without_members),
            _in_group(large, _without_members),
        ),
        Pair(
            "page of 100 by startIndex",
            ("the first", _page("startIndex=1")),
            (f"after {deep:,}", _page(f"startIndex={deep + 1}")),
            PAGE_DEEP,
        ),
        Pair(
            "page of 100 by cursor",
            (f"after {PAGE}", _page_after(PAGE)),
            (f"after {deep:,}", _page_after(deep)),
        ),
    ]


def _in_group(size: int, make: Callable[[int], Make]) -> tuple[str, Make]:
    return f"{size:,} members", make(size)


def _page_after(deep: int) -> Make:
    """The page that a client reaches by following cursors (RFC 9865); walked to once a job."""

    async def make(target: Target) -> Job:
        at = ""
        async with target.client() as client:
            for _ in range(0, deep, PAGE):
                path = f"/Users?cursor={at}&count={PAGE}&attributes=id"
                at = (await answer(client, "GET", path)).get("nextCursor")
                if not at:
                    raise NotMeasured("there is no next cursor")
        return await _page(f"cursor={at}")(target)

    return make


async def _measured(target: Target, make: Make, load: Load) -> list[Measured]:
    return [await _once(target, make, load, turn) for turn in range(load.rounds)]


async def _once(target: Target, make: Make, load: Load, turn: int) -> Measured:
    return await measure(target, await make(target), load, "g", turn)


async def _grown(
    target: Target, what: str, make: Make, before: Sequence[Measured], users: int, load: Load
) -> Growth:
    """What was measured with few users, beside the same now."""
    here = f"{FEW:,} users", f"{users:,} users"
    return _compared(what, before, await _measured(target, make, load), here, FLAT)


async def _side_by_side(target: Target, pair: Pair, load: Load) -> Growth:
    """Both by turns; the median of the rounds' ratios."""
    jobs = [await make(target) for _, make in (pair.small, pair.large)]
    small: list[Measured] = []
    large: list[Measured] = []
    for turn in range(load.rounds):
        small.append(await measure(target, jobs[0], load, "g", turn))
        large.append(await measure(target, jobs[1], load, "g", turn))
    line = _compared(pair.what, small, large, (pair.small[0], pair.large[0]), pair.promise)
    times = median(b.cpu_us / a.cpu_us for a, b in zip(small, large, strict=True))
    return replace(line, times=times)


def _compared(
    what: str,
    small: Sequence[Measured],
    large: Sequence[Measured],
    where: tuple[str, str],
    promise: float,
) -> Growth:
    a, b = (median(each.cpu_us for each in some) for some in (small, large))
    return Growth(
        what, "CPU µs", (where[0], a), (where[1], b), b / a, promise, _wrong(small, large)
    )


def _wrong(*runs: Iterable[Measured]) -> str:
    every = [each for some in runs for each in some]
    said = [each.wrong for each in every if each.wrong]
    return said[0] if said else "errors" if any(each.errors for each in every) else ""


async def _beside_a_scan(target: Target, load: Load) -> Growth:
    """The 99th percentile of reading a user while somebody looks at every user, again and again."""
    quiet: list[Measured] = []
    beside: list[Measured] = []
    for turn in range(load.rounds):
        quiet.append(await _once(target, read, load, turn))
        async with _scanning(target) as scans:
            beside.append(await _once(target, read, load, turn))
        click.echo(f"scans of {median(scans):.1f} s", err=True)
    a, b = (median(each.p99_ms for each in some) for some in (quiet, beside))
    return Growth(
        "GET a user, p99",
        "ms",
        ("quiet", a),
        ("beside a scan", b),
        median(y.p99_ms / x.p99_ms for x, y in zip(quiet, beside, strict=True)),
        BLOCKED,
        _wrong(quiet, beside),
    )


@asynccontextmanager
async def _scanning(target: Target) -> AsyncIterator[list[float]]:
    """One scan after the other meanwhile; the seconds each took, the last one waited for."""
    seconds: list[float] = []
    done = asyncio.Event()

    async def scan() -> None:
        while not done.is_set():
            started = time.monotonic()
            await target.json("GET", SCAN)
            seconds.append(time.monotonic() - started)

    task = asyncio.create_task(scan())
    try:
        yield seconds
    finally:
        done.set()
        await task


async def whole_group(target: Target, size: int) -> Growth:
    """The memory that reading the whole of a large group takes, beside the size of the answer."""
    path = f"/Groups/{await target.group(size)}"
    before = peak = target.usage.memory
    received, started = 0, time.monotonic()
    done = asyncio.Event()

    async def watch() -> None:
        nonlocal peak
        while not done.is_set():
            peak = max(peak, target.usage.memory)
            await asyncio.sleep(SAMPLE_S)

    watching = asyncio.create_task(watch())
    async with target.client() as client, client.stream("GET", path) as got:
        last = b""
        async for chunk in got.aiter_bytes():
            received, last = received + len(chunk), chunk
    seconds = time.monotonic() - started
    done.set()
    await watching
    return Growth(
        f"GET the group of {size:,}: {seconds:.1f} s",
        "MB",
        ("the answer", received / 1e6),
        ("its memory", (peak - before) / 1e6),
        (peak - before) / received,
        1.0,
        "" if got.status_code == 200 and last.endswith(b"}") else f"{got.status_code}",
    )


async def _settled(target: Target) -> None:
    """Wait until it no longer works on what it was given; a while at most."""
    deadline = time.monotonic() + SETTLE_S
    while time.monotonic() < deadline:
        before = target.usage.cpu_s
        await asyncio.sleep(1)
        if target.usage.cpu_s - before < QUIET:
            return
    click.echo("it never became quiet", err=True)
