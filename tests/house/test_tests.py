"""What this house asks of its tests."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.house.product import functions, python, tree

FILES = [path for path in python("tests") if Path(path).name.startswith("test_")]
STOPWATCHES = {"time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns"}
WORDS = 5


def written(module: ast.Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """The tests of a file."""
    return [function for function in functions(module) if function.name.startswith("test")]


def timed(module: ast.Module) -> list[int]:
    """The lines that read a stopwatch or sleep for a while; `asyncio.sleep(0)` only yields."""
    return [
        node.lineno
        for node in ast.walk(module)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and (
            (node.func.value.id == "time" and node.func.attr in STOPWATCHES | {"sleep"})
            or (ast.unparse(node.func) == "asyncio.sleep" and ast.unparse(node.args[0]) != "0")
        )
    ]


def test_every_test_states_its_promise() -> None:
    """A test's docstring is the promise it keeps, in a sentence."""
    mute = {
        f"{path}:{test.name}"
        for path in FILES
        for test in written(tree(path))
        if len((ast.get_docstring(test) or "").split()) < WORDS
    }
    assert mute == set()


def test_no_test_is_timed() -> None:
    """The suite asserts plans, counts and outcomes, never times; nothing sleeps and hopes."""
    stopwatches = {path: timed(tree(path)) for path in FILES}
    assert {path: lines for path, lines in stopwatches.items() if lines} == {}


def test_every_test_file_tests() -> None:
    """A file named as tests holds at least one."""
    assert [path for path in FILES if not written(tree(path))] == []


@pytest.mark.parametrize(
    "code", ["time.sleep(1)", "started = time.perf_counter()", "await asyncio.sleep(0.1)"]
)
def test_a_timed_test_is_seen(code: str) -> None:
    """The rule against stopwatches and sleeps can fail."""
    assert timed(ast.parse(code)) == [1]
