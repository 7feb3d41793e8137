"""Bulk requests for tests: their parts, and random ones sent in one and one by one."""

from __future__ import annotations

import json
import random
import re
from typing import Any, Protocol

import httpx

from tests.scim.calling import GROUP, USER, patch_body

BULK = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"


class Sends(Protocol):
    """A client of one directory."""

    async def __call__(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """One request."""
        ...


def bulk(*operations: Any, **more: Any) -> dict[str, Any]:
    """A BulkRequest."""
    return {"schemas": [BULK], "Operations": list(operations), **more}


def post(path: str, bulk_id: str, data: Any) -> dict[str, Any]:
    """A creation."""
    return {"method": "POST", "path": path, "bulkId": bulk_id, "data": data}


def put(path: str, data: Any) -> dict[str, Any]:
    """A replacement."""
    return {"method": "PUT", "path": path, "data": data}


def patch(path: str, *operations: Any, **more: Any) -> dict[str, Any]:
    """A change."""
    return {"method": "PATCH", "path": path, "data": patch_body(*operations), **more}


def delete(path: str) -> dict[str, Any]:
    """A deletion."""
    return {"method": "DELETE", "path": path}


def user(name: str, **attributes: Any) -> dict[str, Any]:
    """A person's document."""
    return {"schemas": [USER], "userName": name, **attributes}


def group(name: str, *members: str) -> dict[str, Any]:
    """A group's document."""
    held = [{"value": member} for member in members]
    return {"schemas": [GROUP], "displayName": name, "members": held}


def operations(chance: random.Random, prefix: str, held: dict[str, str]) -> list[dict[str, Any]]:
    """Random operations on what is there, by endpoint, and on what they create themselves.

    Few names, so that they are often taken; `prefix` keeps those of two directories apart.
    """
    known = {endpoint: [id] for endpoint, id in held.items()}
    made: list[dict[str, Any]] = []

    def name() -> str:
        return prefix + chance.choice("abcd")

    def someone() -> str:
        return chance.choice(known["/Users"] + known["/Groups"])

    for n in range(chance.randint(1, 12)):
        endpoint = chance.choice(["/Users", "/Groups"])
        method = chance.choice(["POST", "POST", "PUT", "PATCH", "PATCH", "DELETE"])
        is_user = endpoint == "/Users"
        data = user(name(), manager=someone()) if is_user else group(name(), someone(), someone())
        path = f"{endpoint}/{chance.choice(known[endpoint])}"
        attribute = chance.choice(["userName", "title"] if is_user else ["displayName", "members"])
        value = [{"value": someone()}] if attribute == "members" else name()
        changes = {"op": chance.choice(["add", "remove"]), "path": attribute, "value": value}
        match method:
            case "POST":
                made.append(post(endpoint, f"{n}", data))
                known[endpoint].append(f"bulkId:{n}")
            case "PUT":
                made.append(put(path, data))
            case "PATCH":
                made.append(patch(path, changes))
            case "DELETE":
                made.append(delete(path))
    return made


async def both_ways(
    chance: random.Random, one: Sends, other: Sends
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Statuses and final state of random operations: in a bulk to one, singly to the other."""
    state, told = chance.getstate(), []
    for prefix, client, send in (("one.", one, _at_once), ("two.", other, _singly)):
        chance.setstate(state)
        held = {"/Users": user(prefix + "held"), "/Groups": group(prefix + "held")}
        ids = {path: (await client("POST", path, body)).json()["id"] for path, body in held.items()}
        statuses, made = await send(client, operations(chance, prefix, ids))
        told.append((statuses, await _state(client, prefix, ids | made)))
    return told[0], told[1]


async def _at_once(client: Sends, made: list[dict[str, Any]]) -> tuple[list[str], dict[str, str]]:
    answer = await client("POST", "/Bulk", bulk(*made))
    assert answer.status_code == 200, answer.text
    results = answer.json()["Operations"]
    created = [each for each in results if each["status"] == "201"]
    ids = {each["bulkId"]: each["location"].rpartition("/")[2] for each in created}
    return [each["status"] for each in results], ids


async def _singly(client: Sends, made: list[dict[str, Any]]) -> tuple[list[str], dict[str, str]]:
    """Each by itself, with the ids the creations before it were answered."""
    ids: dict[str, str] = {}
    results = []
    for each in made:
        sent = _with_ids([each["path"], each.get("data")], ids)
        if sent is None:  # it names what could not be created
            results.append("409")
            continue
        answer = await client(each["method"], *sent)
        results.append(str(answer.status_code))
        if answer.status_code == 201:
            ids[each["bulkId"]] = answer.json()["id"]
    return results, ids


def _with_ids(node: Any, ids: dict[str, str]) -> Any:
    """The same with ids in place of references; None where one of them has none."""
    if isinstance(node, str):
        found = re.fullmatch(r"(.*)bulkId:(\d+)", node)
        return node if not found else ids.get(found[2]) and found[1] + ids[found[2]]
    if isinstance(node, dict):
        parts = {key: _with_ids(item, ids) for key, item in node.items()}
        return None if None in parts.values() else parts
    if isinstance(node, list):
        items = [item and _with_ids(item, ids) for item in node]
        lost = any(new is None and old is not None for new, old in zip(items, node, strict=True))
        return None if lost else items
    return node


async def _state(client: Sends, prefix: str, ids: dict[str, str]) -> dict[str, Any]:
    """Everybody and every group by what it was created as; without addresses and times."""
    created_as = {id: name for name, id in ids.items()}
    found: dict[str, Any] = {}
    for path in ("/Users", "/Groups"):
        for each in (await client("GET", path)).json()["Resources"]:
            each["meta"] = each["meta"]["version"]
            for name in ("members", "groups"):
                each[name] = sorted(created_as[other["value"]] for other in each.get(name, ()))
            text = json.dumps(each).replace(prefix, "")
            for id, name in created_as.items():
                text = text.replace(id, name)
            found[created_as[each["id"]]] = json.loads(text)
    return found
