"""Which file may import which tool: the part of the import law that speaks of files."""

from __future__ import annotations

import ast

import pytest

from tests.house.product import PRODUCT, imports, python, text, tree

ROOMS = {
    "jose": ("providers/jwt.py",),
    "httpx": ("providers/", "broker/demo/", "broker/client/"),
    "httpcore": ("providers/egress.py", "providers/guard.py"),
    "aiosqlite": ("broker/db/sqlite.py",),
    "sqlite3": ("broker/db/", "broker/logs.py"),  # logs: whose messages may be shown
    "psycopg": ("broker/db/postgres.py",),
    "psycopg_pool": ("broker/db/postgres.py",),
    "cryptography": ("broker/db/seal.py", "providers/jwt.py", "broker/demo/"),
    "sqlalchemy": ("broker/db/schema.py", "broker/db/migrate.py", "broker/db/migrations/"),
    "alembic": ("broker/db/migrate.py", "broker/db/migrations/"),
    "scim2_models": ("scim/",),
    "starlette": ("scim/endpoints.py", "broker/web/", "broker/app.py", "broker/demo/"),
    "uvicorn": ("broker/cli.py", "broker/server.py", "broker/demo/"),
    "click": ("broker/cli.py", "broker/commands/"),
    "pydantic_settings": ("broker/config.py",),
    "re2": ("broker/domain/rules.py",),
    "jinja2": ("broker/web/", "broker/demo/", "broker/service/composing.py"),
    "aiosmtplib": ("providers/smtp.py",),
    "broker.db.schema": ("broker/db/migrate.py", "broker/db/migrations/"),
    "broker.db.migrate": ("broker/cli.py", "broker/commands/"),
}
"""Tool -> where it may be imported: a file, or a folder with its slash."""

CLIENTS = {"AsyncClient", "Client", "AsyncHTTPTransport", "HTTPTransport", "get", "post", "request"}
MAKERS = ("providers/egress.py", "broker/demo/", "broker/client/")


def outside(path: str, module: ast.Module) -> list[str]:
    """The tools that `path` imports and may not."""
    return [
        name
        for name in imports(module)
        for tool, rooms in ROOMS.items()
        if (name == tool or name.startswith(tool + ".")) and not path.startswith(rooms)
    ]


def made(module: ast.Module) -> list[str]:
    """The ways in which a module makes an HTTP client: `httpx.AsyncClient(...)`, or its import."""
    called = [
        node.func.attr
        for node in ast.walk(module)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "httpx"
    ]
    imported = [
        alias.name
        for node in ast.walk(module)
        if isinstance(node, ast.ImportFrom) and node.module == "httpx"
        for alias in node.names
    ]
    return [name for name in called + imported if name in CLIENTS]


def test_each_tool_stays_in_its_room() -> None:
    """A tool is imported only where the house's plan lets it (docs/decisions/0001)."""
    strays = {path: outside(path, tree(path)) for path in python(*PRODUCT)}
    assert {path: names for path, names in strays.items() if names} == {}


def test_clients_are_made_in_one_place() -> None:
    """The service makes HTTP clients in `providers/egress.py` alone."""
    makers = {path: made(tree(path)) for path in python(*PRODUCT) if not path.startswith(MAKERS)}
    assert {path: names for path, names in makers.items() if names} == {}


@pytest.mark.parametrize("tool", ROOMS)
def test_a_tool_outside_its_room_is_seen(tool: str) -> None:
    """The rule can fail, also for an import inside a function."""
    module = ast.parse(f"def later():\n    from {tool} import x\n")
    assert outside("broker/domain/users.py", module) == [tool]


@pytest.mark.parametrize("code", ["httpx.AsyncClient()", "from httpx import Client"])
def test_a_client_made_elsewhere_is_seen(code: str) -> None:
    """The rule of one maker can fail."""
    assert made(ast.parse(code))


def test_no_import_hides_behind_type_checking() -> None:
    """A type that may not be imported is a type that should not be known."""
    assert [path for path in python(*PRODUCT) if "TYPE_CHECKING" in text(path)] == []
