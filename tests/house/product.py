"""What the house tests read: the repository's files, and the Python in them as trees."""

from __future__ import annotations

import ast
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("broker", "scim", "providers")
DECISIONS = ROOT / "docs" / "decisions"


def python(*folders: str) -> list[str]:
    """Every Python file below `folders`, as paths from the root."""
    return sorted(
        str(path.relative_to(ROOT)) for folder in folders for path in (ROOT / folder).rglob("*.py")
    )


@cache
def text(path: str) -> str:
    """What a file says."""
    return (ROOT / path).read_text()


@cache
def tree(path: str) -> ast.Module:
    """A Python file as a tree."""
    return ast.parse(text(path), path)


def functions(module: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method, nested ones too."""
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def imports(module: ast.Module) -> Iterator[str]:
    """The dotted name of every module that is imported, wherever the import stands."""
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


@cache
def committed() -> list[str]:
    """Every file that is, or is about to be, in the repository."""
    return listed(ROOT)


def listed(folder: Path) -> list[str]:
    """What git counts among the files of a checkout; fails in one sentence where it is none."""
    try:
        done = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
            cwd=folder,
            check=True,
            capture_output=True,
            text=True,
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.fail(f"The tests about the repository's files need a git checkout: {folder} is none")
    names = done.stdout.split("\0")
    return sorted(name for name in set(names) if name and (folder / name).is_file())


@cache
def project() -> dict[str, Any]:
    """`pyproject.toml`."""
    return tomllib.loads(text("pyproject.toml"))


def decided(name: str) -> str:
    """The text of a decision record, such as `0001-….md`; FileNotFoundError where there is none."""
    return (DECISIONS / name).read_text()
