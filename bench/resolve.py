"""W11: who a step runs as, and the token, where 20,000 people have one; ours beside peers."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import click

from bench import tables
from bench.load import RUN, Job, Load, measure
from bench.servers import Peer, fresh, running, served
from bench.tables import NOT_MEASURED, Outcome, figure
from bench.targets import Known, NotMeasured, Target
from bench.workloads import FRESH
from broker.db.database import Transaction, system_clock
from broker.domain import ids
from broker.domain.clock import DAY, rfc3339
from broker.domain.connectors import Connector, State
from broker.domain.mapping import Profile
from broker.domain.users import License, Status, User
from broker.store import connectors, projects, users
from tests import engines

HELD, ASKED, CONNECTIONS = 20_000, 1_000, 16
ACCESS, REFRESH = 2_048, 1_024
"""Characters of a token."""
BATCH = 250
SAMPLES = 5
PROGRAM = "http://127.0.0.1:9"  # where tokens would be refreshed; they live for weeks
SCOPES = "resolve,credentials:read,grants:write"
SQLITE, POSTGRESQL = "ours on SQLite", "ours on PostgreSQL"
FLOORS: Mapping[str, tuple[float, float]] = {"fastify": (1 / 4, 1 / 1.5), "nango-shaped": (6, 15)}
"""Peer -> how many times our CPU theirs is: at least, and hoped for."""
Outcomes = Mapping[str, Outcome]


async def compare(lab: Path, peers: Sequence[Peer], load: Load, server: str) -> Outcomes:
    """Ours on both engines and the peers, by turns; `server` is a PostgreSQL of ours."""
    load = replace(load, connections=CONNECTIONS)
    with ExitStack() as stack:
        targets = {
            SQLITE: await _ours(stack, lab, SQLITE, None),
            POSTGRESQL: await _ours(stack, lab, POSTGRESQL, fresh(server, "bench")),
        }
        for peer in peers:
            there = fresh(server, "peers") if peer.on_postgresql else None
            targets[peer.name] = stack.enter_context(running(peer, lab, there))
        outcomes = {name: Outcome() for name in targets}
        for turn in range(load.rounds):
            for name, target in targets.items():
                job = _steps(target, turn) if target.users else _plain()
                try:
                    outcomes[name].rounds.append(await measure(target, job, load, "w11", turn))
                except NotMeasured as error:
                    outcomes[name].why_not = str(error)
    return outcomes


async def _ours(stack: ExitStack, lab: Path, name: str, url: str | None) -> Target:
    """`broker serve` where 20,000 people gave their grants to one connector."""
    service = stack.enter_context(served(lab, url, BROKER_SIMULATOR_URL=PROGRAM, BROKER_RATE="0"))
    key = service.made("apikey", "add", "bench", "--scope", SCOPES)["key"]
    target = Target(name, service.url, key, service.pids, media_type="application/json")
    db = await engines.connect(service.environment["BROKER_DATABASE_URL"])
    try:
        connector, people = await db.write(_peopled)
    finally:
        await db.close()
    ends = rfc3339(system_clock() + 60 * DAY)
    for start in range(0, HELD, BATCH):
        grants = [_grant(each, ends) for each in people[start : start + BATCH]]
        given = await target.json("POST", f"/v1/connectors/{connector}/grants", grants)
        if any(each["result"] != "imported" for each in given):
            raise NotMeasured(f"{name}: a grant was not imported: {given[0]}")
    target.users = random.Random(7).sample(people, ASKED)
    return target


def _peopled(tx: Transaction) -> tuple[str, list[Known]]:
    """A connector that people sign in at, and people who are active, put there beside the wizard
    and the directory.
    """
    project = projects.named(tx, "default")
    assert project is not None
    connector = Connector(
        id=ids.new("con"),
        project=project.id,
        name="Salesforce",
        name_key="salesforce",
        type="salesforce",
        state=State.CONNECTED,
        created_by="bench",
        created_at=tx.now,
        changed_at=tx.now,
        environment={"name": "rehearsal"},
        origin=PROGRAM,
        user_authentication=True,
    )
    connectors.insert(tx, connector)
    connectors.take(tx, connector, only_one=True)
    people = []
    for number in range(HELD):
        user = User(
            id=ids.new("usr"),
            project=project.id,
            directory=None,
            external_id=f"ext-pre{number}",
            profile=Profile(user_name=f"pre{number}@example.com"),
            status=Status.ACTIVE,
            created_at=tx.now,
            changed_at=tx.now,
            license=License.HELD,
        )
        users.insert(tx, user)
        people.append(Known(user.id, f"pre{number}"))
    return connector.id, people


def _grant(user: Known, ends: str) -> dict[str, object]:
    return {
        "subject": {"user_id": user.id},
        "refresh_token": f"rt-{user.name}-".ljust(REFRESH, "y"),
        "access_token": f"at-{user.name}-".ljust(ACCESS, "x"),
        "expires_at": ends,
    }


def _steps(target: Target, turn: int) -> Job:
    """One step of a new execution in each request, for one person after another."""
    bodies = [
        {
            "connector": "Salesforce",
            "step": {"id": "s1", "type": "retrieve_data"},
            "execution": {"id": f"exec-{FRESH}"},
            "subject": {"user_name": f"{user.name}@example.com"},
        }
        for user in target.users
    ]

    async def check(good: int) -> str:
        """What was answered is in the ran-as report, once each."""
        for number in random.Random(turn).sample(range(1, good - CONNECTIONS), SAMPLES):
            execution = f"exec-{RUN}w11r{turn}t1n{number}"
            said = await target.json("GET", f"/v1/decisions?execution={execution}")
            if [(each["row"], each["credential"]) for each in said["items"]] != [("F6", True)]:
                return f"{execution} is recorded as {said['items']}"
        return ""

    records = [("POST", target.path("/v1/resolve"), json.dumps(body)) for body in bodies]
    return Job(records, "unique", "200", '"access_token":"at-pre', 20, check=check)


def _plain() -> Job:
    """The same question as the peers take it: whose token, for which connector."""
    numbers = random.Random(7).sample(range(HELD), ASKED)
    paths = [f"/resolve?connector=c{n % 20}&user=u{n}&flow=f1" for n in numbers]
    return Job([("GET", path, "") for path in paths], "cycle", "200", '"access_token":"at-u', 20)


def report(outcomes: Outcomes, circumstances: str) -> str:
    """Each floor with what was measured, and every target beside the others."""
    return "\n\n".join((circumstances, _floors(outcomes), _side_by_side(outcomes)))


def _floors(outcomes: Outcomes) -> str:
    lines = []
    for peer, (floor, goal) in FLOORS.items():
        times = tables.ratio(outcomes[SQLITE], outcomes.get(peer, Outcome()))
        lines.append(
            (
                peer,
                _asked(floor),
                _asked(goal),
                NOT_MEASURED if times is None else _asked(times),
                _verdict(outcomes[SQLITE], times, floor),
            )
        )
    head = ("ours on SQLite takes, against", "floor", "goal", "measured", "so it is")
    return tables.table(head, lines, numbers=(1, 2, 3))


def _verdict(ours: Outcome, times: float | None, floor: float) -> str:
    if times is None:
        return "–"
    return "kept" if times >= floor and not ours.wrong else "**missed**"


def _asked(times: float) -> str:
    """0.25 is four times their CPU, 6 a sixth of it."""
    return f"{figure(1 / times)} × theirs" if times < 1 else f"{figure(times)} × less"


def _side_by_side(outcomes: Outcomes) -> str:
    fields = ("cpu_us", "per_s", "p50_ms", "p99_ms", "memory_mb")
    lines = [
        (name, *(figure(each.middle(field)) for field in fields), each.wrong)
        for name, each in outcomes.items()
        if each.rounds
    ]
    head = ("resolve", "CPU µs", "a second", "p50 ms", "p99 ms", "memory MB", "remark")
    return tables.table(head, lines, numbers=range(1, 6))


def missing(outcomes: Outcomes) -> None:
    """Say who was not measured, and why."""
    for name, outcome in outcomes.items():
        if not outcome.rounds:
            click.echo(f"{name} is left out: {outcome.why_not}", err=True)
