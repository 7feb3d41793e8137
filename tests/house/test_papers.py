"""What the papers beside the code must say: changelog, decisions, pins, and no machine's name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.house.product import DECISIONS, ROOT, committed, decided, listed, project, text

PINNED = re.compile(r"^([a-z0-9-]+)(?:\[.*\])?==(\S+) \\$", re.MULTILINE)
LOCKS = (
    "requirements.txt",
    "requirements-dev.txt",
    "requirements-build.txt",
    "requirements-uv.txt",
)
# Spelled in two halves, so that this file does not hold what it looks for.
MIRROR = re.compile(
    r"(py" + r"pi|python" + r"hosted|npm" + r"js)\.(org|com)|--(extra-)?index" + r"-url"
)
# A home of somebody, or a scratch folder. `/Users/u1` alone is SCIM; a home has a file in it.
MACHINE = re.compile(
    r"(?<![\w.$}{)-])/((hom" + r"e|roo" + r"t|(var/)?tm" + r"p|scratc" + r"h|mn" + r"t)/\w"
    r"|wor" + r"k(spaces?)?/\w|User" + r"s/[a-z][a-z.-]{2,}/\w)"
)


def pins(path: str) -> dict[str, str]:
    """Every package that a requirements file pins, with its version."""
    return dict(PINNED.findall(text(path)))


def direct() -> list[Requirement]:
    """What the service itself asks for, the PostgreSQL extra counted."""
    tables = project()["project"]
    return [
        Requirement(line)
        for line in tables["dependencies"] + tables["optional-dependencies"]["postgres"]
    ]


def test_every_run_time_package_has_its_reason() -> None:
    """A run-time dependency has one line of reason in docs/decisions, and only those do."""
    table = decided("0004-run-time-dependencies.md")
    reasons = re.findall(r"^\| ([a-z0-9-]+) \| \S.+ \|$", table, re.MULTILINE)
    assert sorted(set(reasons) - {"package"}) == sorted(each.name for each in direct())


@pytest.mark.parametrize("path", LOCKS)
def test_every_pin_has_its_hashes(path: str) -> None:
    """Each line of a requirements file is a pin, one of its hashes, or a remark on it."""
    odd = [
        line
        for line in text(path).splitlines()
        if not PINNED.match(line)
        and not re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?|    #.*", line)
    ]
    assert odd == []
    assert pins(path)
    assert len(re.findall(r"==\S+ \\\n    --hash=", text(path))) == len(pins(path))


def test_what_is_wanted_is_what_is_pinned() -> None:
    """Every direct dependency is pinned at a version it allows."""
    pinned = pins("requirements.txt")
    off = {
        str(each)
        for each in direct()
        if not each.specifier.contains(pinned.get(canonicalize_name(each.name), "0"))
    }
    assert off == set()


def test_tests_run_on_what_the_service_runs_on() -> None:
    """The development pins hold every run-time pin, at the same version."""
    development = pins("requirements-dev.txt")
    off = {
        name: (version, development.get(name))
        for name, version in (pins("requirements.txt") | pins("requirements-build.txt")).items()
        if development.get(name) != version
    }
    assert off == {}


@pytest.mark.parametrize("pattern", [MIRROR, MACHINE], ids=["mirror", "machine"])
def test_no_file_knows_where_it_was_written(pattern: re.Pattern[str]) -> None:
    """No committed file holds a package registry's address or a path that one machine has."""
    told = {
        path
        for path in committed()
        if pattern.search((ROOT / path).read_bytes().decode("utf-8", "ignore"))
    }
    assert told == set()


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        (MIRROR, "see https://py" + "pi.org/simple"),
        (MIRROR, "--index" + "-url somewhere"),
        (MACHINE, "cd /wor" + "k/main"),
        (MACHINE, '"/hom' + 'e/someone/x"'),
        (MACHINE, "# see /roo" + "t/notes"),
        (MACHINE, "open('/User" + "s/someone/x')"),
        (MACHINE, "> /tm" + "p/out"),
        (MACHINE, "TMPDIR=/var/tm" + "p/x"),
        (MACHINE, "in /scratc" + "h/me"),
        (MACHINE, "in /wor" + "kspace/broker"),
    ],
)
def test_such_an_address_is_seen(pattern: re.Pattern[str], line: str) -> None:
    """The patterns find what they look for."""
    assert pattern.search(line)


@pytest.mark.parametrize(
    "line",
    ["GET /Users/2819c223", '"/scim/v2/dir_1/Users/usr_1/x"', "below/work/x", "--tmpfs /tmp"],
)
def test_an_address_of_ours_is_no_machines(line: str) -> None:
    """What the product itself serves or is given under such a name is left alone."""
    assert not MACHINE.search(line)


def test_outside_a_checkout_one_sentence_says_so(tmp_path: Path) -> None:
    """A copy without its git folder fails with what is missing, not with a traceback of git."""
    with pytest.raises(pytest.fail.Exception, match="need a git checkout") as caught:
        listed(tmp_path)
    assert "\n" not in str(caught.value)


def test_the_changelog_has_a_place_for_the_next_change() -> None:
    """CHANGELOG.md keeps an Unreleased section on top, in the form of Keep a Changelog."""
    sections = re.findall(r"^## (.+)$", text("CHANGELOG.md"), re.MULTILINE)
    assert sections[0] == "[Unreleased]"
    kinds = set(re.findall(r"^### (.+)$", text("CHANGELOG.md"), re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_a_decision_is_one_page_of_three_parts() -> None:
    """Each decision record is numbered, unique, at most 60 lines, and has context, choice, cost."""
    records = sorted(path.name for path in DECISIONS.glob("*.md"))
    numbers = [name[:4] for name in records]
    assert len(set(numbers)) == len(numbers)
    for name in records:
        page = decided(name)
        assert re.match(r"\d{4}-[a-z0-9-]+\.md", name)
        assert page.startswith(f"# {int(name[:4])}. "), name
        assert page.count("\n") <= 60, name
        assert all(f"**{part}.**" in page for part in ("Context", "Choice", "Cost")), name
