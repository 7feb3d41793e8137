"""The contracts in openapi/ and the routes in the code: each in both, or in neither."""

from __future__ import annotations

import ast
import re
from functools import cache
from typing import Any

import pytest
import yaml

from scim.schema import Catalogue
from tests.house.product import python, text, tree

METHODS = {"get", "put", "post", "patch", "delete"}
PAGES = ("broker/web/pages/",)
"""For people: HTML that no contract describes."""
PREFIX = "/scim/v2/{directory}"
GUARDED = "Route(path, guarded, methods=[method])"
"""What `Access.route` makes of a line of a face's list; the line itself is read."""
Operation = tuple[str, str]


@cache
def contract(name: str) -> dict[str, Any]:
    """An OpenAPI document."""
    document: dict[str, Any] = yaml.safe_load(text(f"openapi/{name}.yaml"))
    return document


def described(name: str) -> set[Operation]:
    """Every operation of a contract: method and path, below the path of its server."""
    return {
        (method.upper(), path)
        for path, item in contract(name)["paths"].items()
        for method in item
        if method in METHODS
    }


def routed(module: ast.Module) -> set[Operation]:
    """Every `Route("/path", endpoint, methods=[...])` of a module, as method and path; and every
    `route("METHOD", "/path", scope, endpoint)` of a face.

    ValueError where path or methods are not written out: a route list is to be read.
    """
    found: set[Operation] = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "route":
            method, path = ast.literal_eval(node.args[0]), ast.literal_eval(node.args[1])
            found.add((method, path))
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "Route":
            given = {word.arg: word.value for word in node.keywords}
            if ast.unparse(node) == GUARDED:
                continue
            path = ast.literal_eval(node.args[0])
            methods = ast.literal_eval(given["methods"]) if "methods" in given else ["GET"]
            bare = re.sub(r"\{(\w+):\w+\}", r"{\1}", path)
            found |= {(method, bare) for method in methods if method != "HEAD"}
    return found


def test_every_route_is_in_the_contract_and_every_path_has_a_route() -> None:
    """openapi/broker.yaml describes exactly what the JSON faces serve."""
    served = {
        operation
        for path in python("broker")
        if not path.startswith((*PAGES, "broker/demo/"))
        for operation in routed(tree(path))
    }
    assert served == described("broker")


def test_the_scim_contract_is_the_catalogue() -> None:
    """openapi/scim.yaml describes the endpoints of RFC 7644 section 3.2 for each resource type."""
    expected = {"", "/.search", "/Bulk", "/Me", "/ServiceProviderConfig"}
    for endpoint in ("/ResourceTypes", "/Schemas"):
        expected |= {endpoint, endpoint + "/{}"}
    for type in Catalogue.standard().types:
        expected |= {type.endpoint, type.endpoint + "/{}", type.endpoint + "/.search"}
    paths = {re.sub(r"\{\w+\}", "{}", path.removeprefix(PREFIX)) for _, path in described("scim")}
    assert paths == expected


@pytest.mark.parametrize(
    ("code", "operation"),
    [
        ('Route("/v1/users/{id}", one, methods=["GET"])', ("GET", "/v1/users/{id}")),
        ('Route("/v1/x/{rest:path}", one, methods=["PUT"])', ("PUT", "/v1/x/{rest}")),
        ('Route("/healthz", one)', ("GET", "/healthz")),
        ('route("PUT", "/v1/x/{id}", "x:write", one)', ("PUT", "/v1/x/{id}")),
    ],
)
def test_a_route_is_read_off_the_code(code: str, operation: Operation) -> None:
    """The reader sees a route's method and path as the server would."""
    assert routed(ast.parse(code)) == {operation}


def test_a_route_that_hides_its_path_is_refused() -> None:
    """A computed path cannot be held to a contract."""
    for hidden in ("Route(PREFIX + name, one)", 'route("GET", PREFIX + name, None, one)'):
        with pytest.raises(ValueError, match="malformed"):
            routed(ast.parse(hidden))
