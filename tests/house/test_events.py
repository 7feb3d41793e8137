"""Types of events: the code that writes them, the table and docs/events.md say the same."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from broker.domain.events import KINDS
from broker.store import events
from tests import happenings
from tests.house.product import functions, python, text, tree
from tests.house.test_sql import HOLE, Names, assigned, texts

LINE = re.compile(r"^\| `([a-z_.]+)` \| (.+?) \| (.*) \|$", re.MULTILINE)
APPEND = "events.append"


def apart(names: Names, function: ast.AST) -> Names:
    """Names with those that stand in a list on the left: `type, said = …, …`."""
    found = {name: list(given) for name, given in names.items()}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple):
            for target in node.targets:
                if isinstance(target, ast.Tuple):
                    for left, right in zip(target.elts, node.value.elts, strict=True):
                        found.setdefault(ast.unparse(left), []).append(right)
    return found


def written(module: ast.Module) -> Iterator[str]:
    """What the third argument of every `events.append` can be; what is not known is a hole."""
    constants = assigned(iter(module.body))
    for function in functions(module):
        names = apart(constants | assigned(ast.walk(function)), function)
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == APPEND:
                yield from texts(node.args[2], names)


def meant(said: str) -> set[str]:
    """The types a text can be."""
    pattern = re.compile("[a-z_]+".join(map(re.escape, said.split(HOLE))))
    return {type for type in KINDS if pattern.fullmatch(type)}


ALL = {said for path in python("broker") for said in written(tree(path)) if said != HOLE}


@pytest.mark.parametrize("said", sorted(ALL))
def test_what_is_written_is_in_the_table(said: str) -> None:
    """Every type that code writes is in the table; the suite looks at each as it is written."""
    assert meant(said), said


def test_what_is_in_the_table_is_written() -> None:
    """No type is promised that nothing ever writes."""
    assert {type for said in ALL for type in meant(said)} == set(KINDS)


def test_the_documentation_has_every_type() -> None:
    """docs/events.md lists each type with its meaning and its members, and no other."""
    told = {
        type: (meaning, tuple(re.findall("`([a-z_]+)`", members)))
        for type, meaning, members in LINE.findall(text("docs/events.md"))
    }
    assert told == {type: (kind.meaning, kind.members) for type, kind in KINDS.items()}


@pytest.mark.parametrize(
    ("type", "data"), [("user.vanished", {}), ("user.invited", {"name": "Kim"})]
)
def test_the_suite_sees_what_is_not_in_the_table(type: str, data: dict[str, str]) -> None:
    """A type, or a member, that the table does not have is found whoever wrote it, so that its test
    fails; what the table has is not.
    """
    tx: Any = SimpleNamespace(now=0, run=lambda *_, **__: None)
    events.append(tx, "prj_1", "user.invited", user_id="usr_1")
    assert happenings.found() is None
    events.append(tx, "prj_1", type, user_id="usr_1", **data)
    told = happenings.found()
    assert told is not None
    assert type in told
    assert happenings.found() is None
