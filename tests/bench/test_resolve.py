"""What the bench says of resolve: floors in both directions, and steps that nobody asked before."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from bench import idling, resolve
from bench.load import Measured
from bench.resolve import POSTGRESQL, SQLITE
from bench.tables import Outcome
from bench.targets import Known, Target
from tests.house.product import ROOT, text

RUN = Measured(1000, 500.0, 100.0, 1.0, 5.0, 60.0, 0)
PAGE = ROOT / "docs" / "performance.md"


def cost(cpu_us: float, wrong: str = "") -> Outcome:
    return Outcome([replace(RUN, cpu_us=cpu_us, wrong=wrong)])


@pytest.mark.parametrize(
    ("peer", "theirs", "said", "verdict"),
    [
        ("fastify", 25, "4.00 × theirs", "kept"),
        ("fastify", 24, "4.17 × theirs", "**missed**"),
        ("fastify", 200, "2.00 × less", "kept"),
        ("nango-shaped", 600, "6.00 × less", "kept"),
        ("nango-shaped", 599, "5.99 × less", "**missed**"),
    ],
)
def test_a_floor_stands_on_its_side(peer: str, theirs: float, said: str, verdict: str) -> None:
    """At most four times fastify's CPU, at least six times less than Nango's round trips."""
    table = resolve.report({SQLITE: cost(100), peer: cost(theirs)}, "here")
    line = next(line for line in table.splitlines() if line.startswith(f"| {peer} |"))
    assert line.split(" | ")[3:] == [said, f"{verdict} |"]


def test_wrong_answers_keep_no_floor() -> None:
    """A resolve that was not recorded is not fast, it is wrong: the remark says so."""
    table = resolve.report({SQLITE: cost(1, "not recorded"), "fastify": cost(900)}, "here")
    assert "**missed**" in table
    assert "not recorded" in table


def test_a_peer_that_is_not_there_is_not_measured() -> None:
    """Without node the table has ours alone, and says which figures are missing."""
    table = resolve.report({SQLITE: cost(1), POSTGRESQL: cost(2)}, "here")
    assert table.count("not measured") == 2
    assert "kept" not in table


async def test_each_step_is_of_a_new_execution() -> None:
    """Every request names an execution nobody has seen, so that every answer is decided and
    recorded; the people are those who have a grant.
    """
    people = [Known(f"usr_{n}", f"pre{n}") for n in range(3)]
    job = resolve._steps(Target("ours", "http://h", "key", frozenset(), users=people), 0)
    assert job.mode == "unique"
    for (method, path, body), user in zip(job.records, people, strict=True):
        asked = json.loads(body)
        assert (method, path) == ("POST", "/v1/resolve")
        assert "~N~" in asked["execution"]["id"]
        assert asked["subject"] == {"user_name": f"{user.name}@example.com"}


def test_the_page_has_the_place() -> None:
    """`make bench` writes between markers that the page has."""
    said = text(PAGE)
    assert "<!-- resolve -->\n" in said
    assert "<!-- end of resolve -->" in said


def test_the_page_has_a_place_for_what_waiting_costs() -> None:
    """The other half of the same part: idle, and with 1,000 requests held."""
    assert "<!-- idling -->\n" in text(PAGE)
    assert idling.report([("nobody asks", "sqlite", "3.00", "63")], "here").count("| sqlite |") == 1
