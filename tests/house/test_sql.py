"""Safety rule 2, read off the source: every statement on a project's table names the project."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import product as combinations

import pytest

from broker.db.schema import metadata
from tests.house.product import PRODUCT, functions, python, tree

PROJECTS = {table.name for table in metadata.tables.values() if "project_id" in table.columns}
TABLES = set(metadata.tables) | {"alembic_version"}

WORKER = "the worker serves every project; the id is the one it has just claimed"
UNNAMED = {
    "callers.py:find_key": "the key id is all a caller shows; the row says whose it is",
    "callers.py:find_token": "the token id is all an IdP shows; the row says whose it is",
    "callers.py:find_session": "the cookie's keyed hash is all a browser shows",
    "callers.py:end_session": "by the keyed hash of the cookie in hand",
    "callers.py:use_ticket": "by the keyed hash of the one-time secret in hand",
    "connectors.py:in_use": "the programs are the installation's, over all projects",
    "directories.py:by_id": "a request without a valid token names a directory and no project",
    "directories.py:is_due": "the worker begins what is due in every project",
    "directories.py:claim_due": "the worker begins what is due in every project",
    "links.py:project_of": "the link's id is all a browser shows before somebody signs in",
    "callers.py:used": "last-used times of ids just authenticated, of all projects at once",
    "runs.py:running": "the worker closes the push windows of every project",
    "events.py:unpublished": "the worker publishes the events of every project",
    "deliveries.py:due": "the worker calls the receivers of every project",
    "pauses.py:overdue": "the worker looks after the pauses of every project",
    "pauses.py:unreminded": "the worker reminds the people of every project",
    "actions.py:sweep": "the worker erases what is over, of every project",
    "evidence.py:sweep": "the worker erases what is over, of every project",
    "chain.py:unchained": "the audit's chain is the installation's, over all projects",
    "invitations.py:by_link": "the keyed hash of its secret is all a link shows",
    "sealed.py:page": "the keys are the installation's, over all projects",
    "sealed.py:replace": "the keys are the installation's, over all projects",
    "letters.py:is_due": WORKER,
    "letters.py:claim": WORKER,
    "jobs.py:is_due": WORKER,
    "jobs.py:claim": WORKER,
    "jobs.py:extend": WORKER,
    "jobs.py:done": WORKER,
    "jobs.py:later": WORKER,
    "jobs.py:dead": WORKER,
}
"""Statements that need not name the project -> why. `file:function` in broker/store."""

HOLE = "\N{OBJECT REPLACEMENT CHARACTER}"
VERB = re.compile(r"\s*(WITH|SELECT|INSERT|UPDATE|DELETE)\b")
TOUCHED = re.compile(rf"\b(?:FROM|JOIN|INTO|UPDATE)\s+([a-z_]+|{HOLE})")
INSERTED = re.compile(r"\bINSERT INTO [a-z_]+\s*\([^)]*\bproject_id\b")
CONDITION = re.compile(
    r"\b(?:WHERE|ON)\b.*?\bproject_id(?:\s*=\s*:|[^()]*\)\s*(?:=|IN|<|>)\s*\(+:)", re.DOTALL
)
ANSWER = re.compile(r"\bRETURNING\b.*", re.DOTALL)
CALLS = {"find", "all", "run"}

Function = ast.FunctionDef | ast.AsyncFunctionDef
Names = dict[str, list[ast.expr]]


def assigned(nodes: Iterator[ast.AST]) -> Names:
    """Every expression that a name is given. What is appended to it later can only narrow it."""
    given: Names = {}
    for node in nodes:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                if isinstance(target, ast.Name):
                    given.setdefault(target.id, []).append(node.value)
    return given


def texts(node: ast.expr, names: Names) -> list[str]:
    """Every text the expression can be; what cannot be known is a hole."""
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.JoinedStr(values=parts):
            return joined(parts, names)
        case ast.FormattedValue(value=value):
            return texts(value, names)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return joined([left, right], names)
        case ast.IfExp(body=body, orelse=orelse):
            return texts(body, names) + texts(orelse, names)
        case ast.Dict(values=values):
            return [text for value in values for text in texts(value, names)]
        case ast.Subscript(value=ast.Name() as table):
            return texts(table, names)
        case ast.Name(id=name) if name in names:
            rest = {other: given for other, given in names.items() if other != name}
            return [text for value in names[name] for text in texts(value, rest)]
        case _:
            return [HOLE]


def joined(parts: list[ast.expr], names: Names) -> list[str]:
    return ["".join(choice) for choice in combinations(*(texts(part, names) for part in parts))]


def statements(module: ast.Module) -> Iterator[tuple[str, str]]:
    """The function and the text of every statement handed to a transaction."""
    constants = assigned(iter(module.body))
    for function in functions(module):
        names = constants | assigned(ast.walk(function))
        for node in ast.walk(function):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in CALLS
                and ast.unparse(node.func.value) == "tx"
            ):
                for text in texts(node.args[0], names):
                    yield function.name, text


def names_project(statement: str) -> bool:
    """Whether it says whose rows it means, or touches no row that is a project's.

    A table that cannot be known from the source counts as a project's.
    """
    tables = set(TOUCHED.findall(statement))
    if tables and tables.isdisjoint(PROJECTS | {HOLE}):
        return True
    if "INSERT INTO" in statement:
        return bool(INSERTED.search(statement))
    return bool(CONDITION.search(ANSWER.sub("", statement)))


def unnamed() -> set[str]:
    return {
        f"{path.removeprefix('broker/store/')}:{function}"
        for path in python("broker/store")
        for function, statement in statements(tree(path))
        if not names_project(statement)
    }


def test_every_statement_names_its_project() -> None:
    """Safety 2: a statement on a project's table names project_id, or is on the list with a reason.

    The list holds nothing that is no longer needed.
    """
    assert unnamed() == set(UNNAMED)


def test_every_table_is_known() -> None:
    """A statement speaks of declared tables, or of its own WITH names."""
    strangers = {
        f"{path}:{function}: {table}"
        for path in python("broker/store")
        for function, statement in statements(tree(path))
        for table in TOUCHED.findall(statement)
        if table not in TABLES | {HOLE} and not re.search(rf"\b{table}\b[^()]* AS \(", statement)
    }
    assert strangers == set()


def test_sql_lives_in_the_store() -> None:
    """No statement stands outside broker/store and broker/db, where this rule would not see it."""
    strays = {
        f"{path}:{node.lineno}"
        for path in python(*PRODUCT)
        if not path.startswith(("broker/store/", "broker/db/"))
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and VERB.match(node.value)
        and TOUCHED.search(node.value)
    }
    assert strays == set()


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT id FROM users WHERE id = :id",
        "SELECT project_id FROM users WHERE id = :id",
        "UPDATE users SET status = 'active' WHERE id = :id",
        "UPDATE users SET project_id = :project",
        "UPDATE users SET status = 'active' WHERE id = :id RETURNING project_id",
        "SELECT id FROM users WHERE id = :id ORDER BY project_id",
        "SELECT 1 FROM users JOIN logons ON logons.project_id = users.project_id WHERE value = :v",
        "SELECT id FROM users WHERE project_id <> '' AND id = :id",
        "DELETE FROM users",
        "INSERT INTO users (id) VALUES (:id)",
        f"DELETE FROM {HOLE} WHERE id = :id",
    ],
)
def test_a_statement_that_forgets_is_seen(statement: str) -> None:
    """Reading a project's row, writing it or changing it without its project is caught."""
    assert not names_project(statement)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ('tx.find("a " + "b")', ["a b"]),
        ('tx.run(f"a {COLUMNS}")', ["a id"]),
        ('tx.all("a " + ("b" if more else "c"))', ["a b", "a c"]),
        ('sql = "a"\n    sql += " b"\n    tx.run(sql)', ["a"]),
        ('sql = "a"\n    if more:\n        sql = "b"\n    tx.run(sql)', ["a", "b"]),
        ("tx.find(QUERIES[more])", ["a b", "c"]),
        ("tx.run(unknown)", [HOLE]),
    ],
)
def test_statements_are_read_as_they_will_run(code: str, expected: list[str]) -> None:
    """The reader follows constants, sums, tables and choices, and takes nothing for granted."""
    tables = 'COLUMNS = "id"\nA = "a"\nQUERIES = {"x": A + " b", "y": "c"}\n'
    module = ast.parse(f"{tables}def f(tx, more, unknown):\n    {code}\n")
    assert [text for _, text in statements(module)] == expected
