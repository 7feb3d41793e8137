"""What has a name outside has it in the papers: settings and decisions."""

from __future__ import annotations

import re

from broker.config import PREFIX, TESTS, Settings
from tests import engines
from tests.house.product import ROOT, committed, text

SETTINGS = {PREFIX + name.upper() for name in Settings.model_fields}
HOUSE = {engines.SETTING, "BROKER_BENCH"}
"""Of the house's own tools, not of the service."""


def documents() -> str:
    """Everything an operator reads."""
    pages = ["README.md", *(p for p in committed() if p.startswith("docs/") and p.endswith(".md"))]
    return "\n".join(text(page) for page in pages)


def test_every_setting_is_in_the_documents() -> None:
    """An operator finds each `BROKER_…` variable in README.md or docs/."""
    assert {name for name in SETTINGS if not re.search(rf"\b{name}\b", documents())} == set()


def test_the_documents_invent_no_setting() -> None:
    """Each `BROKER_…` variable in the documents exists, secrets also with `_FILE`."""
    written = {
        each.removesuffix("_FILE") for each in re.findall(r"\bBROKER_[A-Z_]+\b", documents())
    }
    assert written - SETTINGS - HOUSE - {PREFIX, TESTS} == set()


def test_settings_are_read_in_one_place() -> None:
    """No product file but config.py reads the environment."""
    readers = {
        path
        for path in committed()
        if path.startswith(("broker/", "scim/", "providers/"))
        and path.endswith(".py")
        and re.search(r"\bos\.(environ|getenv)\b", text(path))
    }
    assert readers <= {"broker/config.py"}


def test_every_decision_that_code_names_is_there() -> None:
    """A `docs/decisions/NNNN` in a source file names a record that exists."""
    named = {
        (path, number)
        for path in committed()
        if path.endswith((".py", ".md", ".toml", ".yaml"))
        for number in re.findall(r"docs/decisions/(\d{4})", text(path))
    }
    there = {page.name[:4] for page in (ROOT / "docs" / "decisions").glob("*.md")}
    assert {(path, number) for path, number in named if number not in there} == set()
