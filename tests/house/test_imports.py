"""The import law of this house, and that each of its contracts can fail."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.product import PRODUCT, ROOT, project

CONTRACTS = project()["tool"]["importlinter"]["contracts"]

# Contract, the file that sins, the sin.
SINS = [
    ("floors", "broker/store/__init__.py", "import broker.service"),
    ("floors", "scim/__init__.py", "import providers"),
    ("faces", "broker/web/__init__.py", "import broker.store"),
    ("domain", "broker/domain/ids.py", "import httpx"),
    ("client", "broker/client/questions.py", "import broker.domain"),
    ("tools", "broker/service/__init__.py", "import cryptography"),
    ("cases", "broker/service/grouping.py", "import broker.service.resolving"),
    ("circles", "broker/domain/errors.py", "import broker.domain.mapping"),
]


def judge(folder: Path) -> tuple[int, str]:
    """What import-linter says of the product in `folder`: exit status and report."""
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder), "COLUMNS": "200"},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout + done.stderr


def test_every_import_runs_down() -> None:
    """The import law of layout.md section 2 holds, contract by contract."""
    status, report = judge(ROOT)
    assert status == 0, report
    assert f"{len(CONTRACTS)} kept, 0 broken" in report


@pytest.mark.parametrize(("contract", "sinner", "sin"), SINS)
def test_a_contract_can_fail(contract: str, sinner: str, sin: str, tmp_path: Path) -> None:
    """A planted import against the law breaks the contract that forbids it."""
    for folder in PRODUCT:
        shutil.copytree(ROOT / folder, tmp_path / folder)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / sinner).open("a") as file:
        file.write(f"\n{sin}\n")
    status, report = judge(tmp_path)
    name = next(each["name"] for each in CONTRACTS if each["id"] == contract)
    assert status == 1
    assert f"{name} BROKEN" in report, report


def test_every_room_has_its_floor() -> None:
    """Each module and folder at the top of `broker` is named in the floors, and is there."""
    floors = next(each["layers"] for each in CONTRACTS if each["id"] == "floors")
    placed = set(re.findall(r"broker\.(\w+)", " ".join(floors)))
    there = {
        path.stem
        for path in (ROOT / "broker").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert placed == there - {"__init__"}


def test_every_contract_is_sinned_against() -> None:
    """No contract stands in the law whose failure nobody has seen."""
    assert {sin[0] for sin in SINS} == {contract["id"] for contract in CONTRACTS}
