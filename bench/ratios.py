"""Ours beside its peers: every workload, the servers by turns, so that noise meets them alike."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path

import click

from bench import tables
from bench.load import Load, measure
from bench.servers import NotStarted, Peer, ours, running
from bench.tables import Outcome
from bench.targets import NotMeasured, Target
from bench.workloads import WORKLOADS

USERS = 1300
ORDER = ("W2", "W3", "W4", "W4deep", "W5", "W7", "W6-10", "W6-1k", "W1", "W9", "W8")
"""What adds users comes last: the pages before it are of 1,300 users on every server."""

ABOUT = {name: workload.about for name, workload in WORKLOADS.items()}


async def compare(lab: Path, peers: Sequence[Peer], load: Load) -> dict[str, dict[str, Outcome]]:
    """Every workload on ours and on the peers; one that does not start is left out, and said."""
    with ExitStack() as stack:
        targets = [stack.enter_context(ours(lab))]
        await targets[0].create(_names())
        for peer in peers:
            try:
                target = stack.enter_context(running(peer, lab))
                await target.create(_names())
                targets.append(target)
            except (NotStarted, NotMeasured) as error:
                click.echo(f"{peer.name} is left out: {error}", err=True)
        found = {name: await _rounds(targets, name, load) for name in ORDER}
    return {name: found[name] for name in WORKLOADS}


def _names() -> Iterator[str]:
    return (f"pre{n}" for n in range(USERS))


async def _rounds(targets: Sequence[Target], name: str, load: Load) -> dict[str, Outcome]:
    outcomes = {target.name: Outcome() for target in targets}
    load = replace(load, seconds=load.seconds * WORKLOADS[name].times)
    for turn in range(load.rounds):
        for target in targets:
            outcome = outcomes[target.name]
            if outcome.why_not:
                continue
            try:
                job = await WORKLOADS[name].make(target)
                tag = name.lower().replace("-", "")
                outcome.rounds.append(await measure(target, job, load, tag, turn))
            except NotMeasured as error:
                outcome.why_not = str(error)
    said = ", ".join(f"{each} {_said(outcomes[each])}" for each in outcomes)
    click.echo(f"{name} {ABOUT[name]}: {said}", err=True)
    return outcomes


def _said(outcome: Outcome) -> str:
    if not outcome.rounds:
        return "–"
    return f"{outcome.middle('cpu_us'):,.0f} µs" + (" (!)" if outcome.wrong else "")


def report(outcomes: tables.Outcomes, caption: str) -> str:
    """The part of the page that these outcomes fill."""
    return "\n\n".join(
        [
            caption,
            tables.floors(outcomes, ABOUT),
            tables.side_by_side(outcomes, ABOUT),
            tables.latencies(outcomes),
        ]
    )


def save(outcomes: tables.Outcomes, file: Path) -> None:
    """Every round, for whoever wants to look closer."""
    file.write_text(json.dumps(_plain(outcomes), indent=1))


def _plain(outcomes: tables.Outcomes) -> Mapping[str, object]:
    return {
        name: {server: asdict(outcome) for server, outcome in per.items()}
        for name, per in outcomes.items()
    }
