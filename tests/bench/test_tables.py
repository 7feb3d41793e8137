"""What the bench writes: floors kept and missed, promises about size, and only between markers."""

from __future__ import annotations

from dataclasses import replace
from math import nan
from pathlib import Path

import pytest

from bench import tables
from bench.load import Measured
from bench.tables import FLOORS, Growth, NoPlace, Outcome
from bench.workloads import WORKLOADS
from tests.house.product import ROOT, text

RUN = Measured(1000, 500.0, 100.0, 1.0, 5.0, 60.0, 0)
PAGE = ROOT / "docs" / "performance.md"
ABOUT = {"W2": "GET a user"}


def cost(*cpu_us: float, errors: int = 0, wrong: str = "") -> Outcome:
    return Outcome([replace(RUN, cpu_us=each, errors=errors, wrong=wrong) for each in cpu_us])


def row(table: str, *starts: str) -> str:
    """The line of a table that begins with these cells."""
    head = "| " + " | ".join(starts)
    return next(line for line in table.splitlines() if line.startswith(head))


def test_a_ratio_compares_neighbors() -> None:
    """Each round of ours meets the peer's round that ran beside it; the median of those counts."""
    assert tables.ratio(cost(100, 200, 100), cost(300, 500, 900)) == 3


@pytest.mark.parametrize(("theirs", "verdict"), [(300, "kept"), (299, "**missed**")])
def test_a_floor_is_kept_from_its_number_on(theirs: float, verdict: str) -> None:
    """GET against Polis has a floor of three times less CPU, which itself is enough."""
    said = tables.floors({"W2": {"ours": cost(100), "polis": cost(theirs)}}, ABOUT)
    assert row(said, "W2 GET a user", "polis").split(" | ")[4] == verdict


@pytest.mark.parametrize("wrong", [{"errors": 1}, {"wrong": "500 oh no"}])
def test_wrong_answers_keep_no_floor(wrong: dict[str, object]) -> None:
    """However fast, an operation that errs or lies has missed its floor, and the remark says so."""
    ours = cost(1, **wrong)  # type: ignore[arg-type]  # either of two types, by its name
    said = row(tables.floors({"W2": {"ours": ours, "polis": cost(900)}}, {}), "W2", "polis")
    assert "**missed**" in said
    assert "ours: " in said


def test_what_was_not_measured_is_no_success() -> None:
    """A floor without figures is shown as not measured, with the reason where there is one."""
    outcomes = {"W8": {"ours": Outcome(why_not="no bulk"), "scim2-server": cost(1000)}}
    said = tables.floors(outcomes, {})
    assert tables.NOT_MEASURED in row(said, "W8", "scim2-server")
    assert "no bulk" in row(said, "W8", "scim2-server")
    assert tables.NOT_MEASURED in row(said, "W2", "polis")


def test_every_floor_has_its_workload() -> None:
    """What has a floor is measured; the last page has none, being promised by growth."""
    assert FLOORS.keys() == WORKLOADS.keys() - {"W4deep"}


def test_servers_stand_side_by_side() -> None:
    """A cell is CPU, operations a second and the ratio; wrong answers are marked, none a dash."""
    outcomes = {"W2": {"ours": cost(100), "polis": cost(550, wrong="x"), "other": Outcome()}}
    said = row(tables.side_by_side(outcomes, ABOUT), "W2 GET a user")
    assert said == "| W2 GET a user | 100 (500) | 550 (500) **5.50 ×** (!) | – |"


def test_a_sentence_of_a_server_stays_in_its_cell() -> None:
    """Whatever a peer complains of, lines and bars included, breaks no table."""
    assert tables.table(("a",), [("x | y\nz",)]).splitlines()[-1] == "| x / y z |"


GROWN = Growth("±1 member", "CPU µs", ("10", 100.0), ("100,000", 150.0), 1.5, 1.5)


@pytest.mark.parametrize(
    ("line", "verdict"),
    [
        (GROWN, "kept"),
        (replace(GROWN, times=1.51), "**missed**"),
        (replace(GROWN, wrong="404"), "**missed**"),
        (replace(GROWN, times=nan, promise=nan, wrong="there is no next cursor"), "**missed**"),
    ],
)
def test_a_promise_is_kept_up_to_its_number(line: Growth, verdict: str) -> None:
    """Growing by as much as was promised keeps it; more, an error, or no figure does not."""
    assert tables.growth([line]).splitlines()[-1].split(" | ")[8] == verdict


def test_a_table_goes_between_its_markers(tmp_path: Path) -> None:
    """Writing replaces what stood there, leaves the rest, and can be repeated."""
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- a -->\nold\n<!-- end of a -->\n<!-- b -->\n<!-- end of b -->\n")
    for _ in range(2):
        tables.write(page, "a", r"new \1")
    assert page.read_text() == (
        "before\n<!-- a -->\n\nnew \\1\n\n<!-- end of a -->\n<!-- b -->\n<!-- end of b -->\n"
    )
    with pytest.raises(NoPlace, match="<!-- c -->"):
        tables.write(page, "c", "lost")


def test_the_page_has_a_place_for_each_table() -> None:
    """docs/performance.md holds the markers that `make bench` looks for."""
    for name in ("ratios", "growth on sqlite", "growth on postgresql"):
        assert f"<!-- {name} -->\n" in text("docs/performance.md")
        assert f"<!-- end of {name} -->\n" in text("docs/performance.md")
