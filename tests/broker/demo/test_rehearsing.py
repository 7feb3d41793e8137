"""`docs/rehearsing.md` is true: what it names is there; tests/journeys types what it shows."""

from __future__ import annotations

import asyncio
import re
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import httpx

from broker.demo.control import ROUTES
from broker.demo.simulator import Simulator
from broker.demo.visitor import CONNECTORS
from broker.demo.world import Trouble

PAGE = (Path(__file__).parents[3] / "docs" / "rehearsing.md").read_text()


def test_what_the_page_names_is_there() -> None:
    """Each trouble and error in its tables can be switched on; each route below /control is one."""
    simulator = Simulator("http://localhost:1")
    known = {trouble.value for trouble in Trouble}
    for program in simulator.programs.values():
        known |= set(program.state.switches.answers)
    tables = PAGE.partition("## Trouble")[2].partition("## Time")[0]
    rows = [line.split("|") for line in tables.splitlines() if line.startswith("| `")]
    said = {name for row in rows for name in re.findall(r"`([^`]+)`", row[1])}
    troubles = said - set(simulator.programs)
    assert troubles <= known
    assert set(simulator.programs) <= said
    programs = [row for row in rows if row[1].strip(" `") in simulator.programs]
    errors = {name for row in programs for name in re.findall(r"`([^`]+)`", row[2])}
    assert errors <= known
    routes = {route.removeprefix("POST ").replace("{program}", "PROGRAM") for route in ROUTES}
    named = "|".join(simulator.programs)
    for path in re.findall(r"/control/[a-z/-]*[a-z]\b(?!/)", PAGE):
        general = re.sub(rf"/control/({named})/", "/control/PROGRAM/", path)
        assert {path, general} & routes or path == "/control/identity", path


def test_every_type_of_the_page_is_in_the_demo() -> None:
    """The demo has a connector of each kind the page lists."""
    assert {one.program for one in CONNECTORS} == set(Simulator("http://localhost:1").programs)


async def test_they_start_alone() -> None:
    """`python -m broker.demo` says where it is in the words the broker wants, and answers there."""
    words = (sys.executable, "-m", "broker.demo", "--port", "0")
    process = await asyncio.create_subprocess_exec(*words, stdout=PIPE)
    try:
        assert process.stdout is not None
        line = (await asyncio.wait_for(process.stdout.readline(), 30)).decode().strip()
        name, _, origin = line.partition("=")
        assert name == "BROKER_SIMULATOR_URL"
        async with httpx.AsyncClient(trust_env=False) as client:
            shown = await client.get(f"{origin}/control")
        assert set(shown.json()["routes"]) == set(ROUTES)
    finally:
        process.terminate()
        await process.wait()
