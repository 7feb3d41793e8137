"""`make bench`: measure ours beside its peers and how it grows, and write the tables down."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click
import uvloop

from bench import growth, idling, ratios, resolve, tables, tokens
from bench.load import Load
from bench.servers import PEERS, RESOLVERS, NotStarted, Peer, fresh, ours, postgresql
from bench.targets import NotMeasured
from broker.db import migrate
from tests import engines

HELD, RENEWED = 20_000, 1_000
PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "broker-bench"
NO_LINUX = "The measure is CPU time from /proc, which this system does not have: run it on Linux."
NO_WRK = (
    "wrk is missing, which sends the requests: apt-get install wrk (or build it from its source)."
)
NO_NODE = (
    "node and npm are missing, so ours is measured without {peers}: apt-get install nodejs npm."
)
UNWRITTEN = "Not every peer was there, so {page} keeps the figures it has."


@click.command()
@click.argument(
    "part", type=click.Choice(["ratios", "resolve", "idling", "growth", "tokens"]), required=False
)
@click.option("--seconds", default=2, show_default=True, help="Of one run.")
@click.option("--rounds", default=3, show_default=True, help="Runs of each server by turns.")
@click.option("--connections", default=8, show_default=True, help="Kept open, each with a request.")
@click.option("--users", default=100_000, show_default=True, help="How far growth is measured.")
@click.option("--database-url", help="An empty database to grow in; else SQLite, then PostgreSQL.")
@click.option("--page", type=click.Path(path_type=Path), default=PAGE, help="Where the tables go.")
@click.option("--lab", type=click.Path(path_type=Path), default=CACHE, help="A scratch folder.")
def main(
    part: str | None,
    seconds: int,
    rounds: int,
    connections: int,
    users: int,
    database_url: str | None,
    page: Path,
    lab: Path,
) -> None:
    """Measure the broker, or one PART of it, and write the tables into docs/performance.md."""
    if not sys.platform.startswith("linux"):
        raise click.ClickException(NO_LINUX)
    if part not in ("tokens", "idling") and not shutil.which("wrk"):
        raise click.ClickException(NO_WRK)
    lab = lab.resolve()
    lab.mkdir(parents=True, exist_ok=True)
    load = Load(seconds, rounds, connections)
    started = time.monotonic()
    try:
        if part in (None, "ratios"):
            _beside_peers(lab, page, load)
        if part in (None, "resolve"):
            _resolved(lab, page, load)
        if part in (None, "idling"):
            _idling(lab, page, database_url)
        if part in (None, "tokens"):
            _kept_usable(lab, page, database_url)
        if part in (None, "growth"):
            for engine, url in _databases(database_url):
                asyncio.run(_grown(engine, url, lab, page, load, users))
    except (NotStarted, NotMeasured, engines.NoServer) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{(time.monotonic() - started) / 60:.0f} minutes", err=True)


def _beside_peers(lab: Path, page: Path, load: Load) -> None:
    outcomes = asyncio.run(ratios.compare(lab, _there(PEERS), load))
    ratios.save(outcomes, lab / "ratios.json")
    said = ratios.report(outcomes, f"{ratios.USERS:,} users. {_circumstances(load)}")
    click.echo(said)
    if {peer.name for peer in PEERS} <= outcomes["W2"].keys():
        tables.write(page, "ratios", said)
    else:
        click.echo(UNWRITTEN.format(page=page), err=True)


def _resolved(lab: Path, page: Path, load: Load) -> None:
    with postgresql() as server:
        outcomes = asyncio.run(resolve.compare(lab, _there(RESOLVERS), load, server))
    load = replace(load, connections=resolve.CONNECTIONS)
    said = resolve.report(outcomes, f"{resolve.HELD:,} grants. {_circumstances(load)}")
    click.echo(said)
    if (
        all(outcome.rounds for outcome in outcomes.values())
        and set(resolve.FLOORS) <= outcomes.keys()
    ):
        tables.write(page, "resolve", said)
    else:
        resolve.missing(outcomes)
        click.echo(UNWRITTEN.format(page=page), err=True)


def _idling(lab: Path, page: Path, database_url: str | None) -> None:
    lines = []
    for engine, url in _databases(database_url):
        lines += asyncio.run(idling.measure(lab, engine, url))
    said = idling.report(lines, f"{_where()}; {idling.MEASURED_S:.0f} s each.")
    click.echo(said)
    tables.write(page, "idling", said)


def _there(peers: Sequence[Peer]) -> list[Peer]:
    """Those that can be measured here; the others are named."""
    found = [peer for peer in peers if not peer.on_node or shutil.which("npm")]
    if missing := [peer.name for peer in peers if peer not in found]:
        click.echo(NO_NODE.format(peers=", ".join(missing)), err=True)
    return found


async def _grown(
    engine: str, url: str | None, lab: Path, page: Path, load: Load, users: int
) -> None:
    with ours(lab, url) as target:
        lines = [line async for line in growth.grow(target, users, load)]
    said = f"{_circumstances(load)}\n\n{tables.growth(lines)}"
    click.echo(said)
    tables.write(page, f"growth on {engine}", said)


def _kept_usable(lab: Path, page: Path, database_url: str | None) -> None:
    costs = {}
    for engine, url in _databases(database_url):
        with tempfile.TemporaryDirectory(prefix="tokens-", dir=lab) as scratch:
            at = url or f"sqlite:///{scratch}/broker.db"
            migrate.upgrade(at)
            costs[engine] = uvloop.run(tokens.measure(at, HELD, RENEWED))
    said = tokens.report(costs, f"{_where()}; {HELD:,} people, {RENEWED:,} of them renewed.")
    click.echo(said)
    tables.write(page, "tokens", said)


def _databases(url: str | None) -> Iterator[tuple[str, str | None]]:
    """The engines and where they are: what was named, else SQLite and a PostgreSQL of our own."""
    if url:
        yield ("sqlite" if url.startswith("sqlite") else "postgresql"), url
        return
    yield "sqlite", None
    with postgresql() as server:
        yield "postgresql", fresh(server, "bench")


def _circumstances(load: Load) -> str:
    """On what it was measured, and how."""
    return (
        f"{_where()}; medians of {load.rounds} rounds of {load.seconds} s,"
        f" {load.connections} connections."
    )


def _where() -> str:
    """The day and the machine: nothing that names one."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = [f"Python {platform.python_version()}", f"SQLite {sqlite3.sqlite_version}"]
    if node := shutil.which("node"):
        said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
        versions.append(f"Node {said.stdout.strip().removeprefix('v')}")
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, {memory:.0f} GiB,"
        f" {', '.join(versions)}"
    )


if __name__ == "__main__":
    main()
