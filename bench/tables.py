"""What was measured, as tables: each floor kept or missed, each promise kept or broken."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isnan
from pathlib import Path
from statistics import median

from bench.load import Measured

FLOORS: Mapping[str, Mapping[str, float]] = {
    "W1": {"scim2-server": 4, "scimmy-sqlite": 7},
    "W2": {"polis": 3, "scimmy-sqlite": 8},
    "W3": {"polis": 4, "scimmy-sqlite": 6},
    "W4": {"polis": 10, "scim2-server": 200},
    "W5": {"scim2-server": 6, "polis": 6},
    "W6-10": {"polis": 12, "scim2-server": 15},
    "W6-1k": {"scim2-server": 300},
    "W7": {"polis": 6},
    "W8": {"scim2-server": 12},
    "W9": {"scim2-server": 6},
}
"""Workload -> peer -> how many times less CPU an operation takes us, at least."""

NOT_MEASURED = "not measured"


@dataclass(slots=True)
class Outcome:
    """All rounds of one workload on one server, or why there is none."""

    rounds: list[Measured] = field(default_factory=list)
    why_not: str = ""

    @property
    def wrong(self) -> str:
        """What makes its figures not to be quoted; '' where all was right."""
        errors = sum(each.errors for each in self.rounds)
        said = [each.wrong for each in self.rounds if each.wrong]
        return said[0] if said else f"{errors} errors" if errors else ""

    def middle(self, name: str) -> float:
        """The median over the rounds of one figure."""
        return float(median(getattr(each, name) for each in self.rounds))


Outcomes = Mapping[str, Mapping[str, Outcome]]
"""Workload -> server -> outcome."""


def ratio(ours: Outcome, theirs: Outcome) -> float | None:
    """How many times our CPU theirs is: the median over the rounds, each with its own neighbor."""
    pairs = [(a.cpu_us, b.cpu_us) for a, b in zip(ours.rounds, theirs.rounds, strict=False)]
    return median(b / a for a, b in pairs) if pairs and all(a for a, _ in pairs) else None


def floors(outcomes: Outcomes, about: Mapping[str, str]) -> str:
    """Each floor with what was measured against it."""
    lines = []
    for workload, per in FLOORS.items():
        for peer, floor in per.items():
            measured = outcomes.get(workload, {})
            ours, theirs = measured.get("ours", Outcome()), measured.get(peer, Outcome())
            times, verdict = _verdict(ours, theirs, floor)
            what = f"{workload} {about.get(workload, '')}"
            lines.append((what, peer, f"{floor:g} ×", times, verdict, _remark(ours, theirs)))
    head = ("workload", "against", "floor", "measured", "so it is", "remark")
    return table(head, lines, numbers=(2, 3))


def _verdict(ours: Outcome, theirs: Outcome, floor: float) -> tuple[str, str]:
    times = ratio(ours, theirs)
    if times is None:
        return "–", NOT_MEASURED
    return _times(times), "kept" if times >= floor and not ours.wrong else "**missed**"


def _remark(ours: Outcome, theirs: Outcome) -> str:
    """Why a figure is missing, or not to be trusted."""
    remarks = [("ours", ours.why_not or ours.wrong), ("theirs", theirs.why_not or theirs.wrong)]
    return "; ".join(f"{who}: {what[:90]}" for who, what in remarks if what)


def side_by_side(outcomes: Outcomes, about: Mapping[str, str]) -> str:
    """CPU µs an operation of every server in every workload, and operations a second."""
    servers = list(next(iter(outcomes.values())))
    lines = []
    for workload, per in outcomes.items():
        cells = [_cell(per["ours"], per[server]) for server in servers]
        lines.append((f"{workload} {about.get(workload, '')}", *cells))
    return table(("CPU µs (a second)", *servers), lines, numbers=range(1, len(servers) + 1))


def _cell(ours: Outcome, server: Outcome) -> str:
    if not server.rounds:
        return "–"
    times = ratio(ours, server)
    more = f" **{_times(times)}**" if times and server is not ours else ""
    wrong = " (!)" if server.wrong else ""
    return f"{server.middle('cpu_us'):,.0f} ({server.middle('per_s'):,.0f}){more}{wrong}"


def latencies(outcomes: Outcomes) -> str:
    """Milliseconds that half and all but a hundredth of our answers took, and memory."""
    lines = [
        (
            workload,
            figure(ours.middle("p50_ms")),
            figure(ours.middle("p99_ms")),
            f"{ours.middle('memory_mb'):.0f}",
        )
        for workload, per in outcomes.items()
        if (ours := per["ours"]).rounds
    ]
    return table(("ours", "p50 ms", "p99 ms", "memory MB"), lines, numbers=(1, 2, 3))


@dataclass(frozen=True, slots=True)
class Growth:
    """One thing that must not grow with size: its cost where little is held, and where much is."""

    what: str
    unit: str
    small: tuple[str, float]
    """Where, and the figure there."""
    large: tuple[str, float]
    times: float
    promise: float
    wrong: str = ""


def growth(lines: Iterable[Growth]) -> str:
    """Each promise about size with what was measured for it."""
    return table(
        ("what", "in", "at", "takes", "at", "takes", "grows", "promise", "so it is", "remark"),
        [
            (
                line.what,
                line.unit,
                line.small[0],
                figure(line.small[1]),
                line.large[0],
                figure(line.large[1]),
                _times(line.times),
                "–" if isnan(line.promise) else f"≤ {line.promise:g} ×",
                "kept" if line.times <= line.promise and not line.wrong else "**missed**",
                line.wrong[:90],
            )
            for line in lines
        ],
        numbers=(3, 5, 6, 7),
    )


def table(head: Sequence[str], lines: Iterable[Sequence[str]], numbers: Iterable[int] = ()) -> str:
    """Markdown; columns of `numbers` stand on the right."""
    right = set(numbers)
    rule = ["--:" if n in right else "---" for n in range(len(head))]
    every = [head, rule, *lines]
    return "\n".join("| " + " | ".join(_cell_text(cell) for cell in line) + " |" for line in every)


def _cell_text(text: str) -> str:
    return " ".join(text.replace("|", "/").split())


def _times(value: float) -> str:
    return f"{figure(value)} ×"


def figure(value: float) -> str:
    """Two or three digits that mean something; a dash for what is no number."""
    if isnan(value):
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


class NoPlace(Exception):
    """The page has no markers for this table."""


def write(page: Path, name: str, text: str) -> None:
    """Put `text` between `<!-- name -->` and `<!-- end of name -->`; NoPlace without those."""
    opened, closed = f"<!-- {name} -->", f"<!-- end of {name} -->"
    place = re.compile(f"(?<={re.escape(opened)}\n).*?(?={re.escape(closed)})", re.DOTALL)
    said = page.read_text()
    if not place.search(said):
        raise NoPlace(f"{page} has no line {opened} with a line {closed} below it")
    page.write_text(place.sub(lambda _: f"\n{text}\n\n", said, count=1))
