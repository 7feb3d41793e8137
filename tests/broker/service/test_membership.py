"""Sequences of membership changes in every dialect, held to a Python set."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from broker.db.database import Database
from tests import pushing
from tests.pushing import GROUP, House, Pusher

Held: TypeAlias = frozenset[str]
Step: TypeAlias = tuple[dict[str, Any], Callable[[Held], Held]]
"""An operation, and what becomes of who is in the group."""

PEOPLE = tuple(f"P{n}" for n in range(7))
NESTED = "G0"
STRANGERS = ("usr_nobody", "Foreigner")
"""An id nobody has, and one of another directory: accepted, a warning, and never in."""
KNOWN = frozenset({*PEOPLE, NESTED})

whom = some.lists(some.sampled_from([*PEOPLE, NESTED, *STRANGERS]), max_size=5)
somebody = whom.filter(bool)


def plain(ids: list[str]) -> list[Any]:
    return [{"value": id} for id in ids]


def entra(ids: list[str]) -> list[Any]:
    return [{"$ref": None, "value": id, "display": None} for id in ids]


def typed(ids: list[str]) -> list[Any]:
    return [{"value": id, "type": "User", "$ref": f"../Users/{id}"} for id in ids]


def bare(ids: list[str]) -> list[Any]:
    return list(ids)


def come(ids: list[str]) -> Callable[[Held], Held]:
    return lambda held: held | KNOWN.intersection(ids)


def leave(ids: list[str]) -> Callable[[Held], Held]:
    return lambda held: held - set(ids)


def become(ids: list[str]) -> Callable[[Held], Held]:
    return lambda _: KNOWN.intersection(ids)


def op(name: str, path: str | None, value: Any = ...) -> dict[str, Any]:
    said = {"op": name, "path": path, "value": value}
    return {key: part for key, part in said.items() if part is not None and part is not ...}


def chosen(ids: list[str]) -> str:
    return "members[" + " or ".join(f'value eq "{id}"' for id in ids) + "]"


spelled = some.sampled_from([plain, entra, typed, bare])
steps: some.SearchStrategy[Step] = some.one_of(
    some.builds(lambda w, s: (op("add", "members", s(w)), come(w)), whom, spelled),
    some.builds(lambda w, s: (op("Add", None, {"members": s(w)}), come(w)), whom, spelled),
    some.builds(lambda w: (op("Remove", chosen(w)), leave(w)), somebody),
    some.builds(lambda w: (op("Remove", "members", entra(w)), leave(w)), whom),
    some.builds(lambda w, s: (op("replace", "members", s(w)), become(w)), whom, spelled),
    some.builds(lambda w: (op("replace", None, {"members": plain(w)}), become(w)), whom),
    some.just((op("remove", "members"), become([]))),
    some.just((op("remove", 'members[type eq "Group"]'), leave([NESTED]))),
    some.just((op("remove", 'members[display sw "p"]'), leave([*PEOPLE]))),
    some.just((op("replace", "displayName", "Everyone"), lambda held: held)),
)
requests = some.one_of(some.lists(steps, min_size=1, max_size=4), whom)
"""A PATCH of some steps, or a PUT of whom a list names."""


@pytest.fixture
async def house(db: Database) -> House:
    """A project on each engine."""
    return await pushing.house(db)


@pytest.fixture
async def push(house: House) -> AsyncIterator[Pusher]:
    """An identity provider's side of a directory."""
    async with pushing.calling(house) as push:
        yield push


@pytest.fixture
async def ids(house: House, push: Pusher) -> dict[str, str]:
    """The id behind each name."""
    found = {name: (await push.user(name))["id"] for name in PEOPLE}
    found[NESTED] = (await push.group(NESTED))["id"]
    async with pushing.calling(house, "Elsewhere") as elsewhere:
        found["Foreigner"] = (await elsewhere.user("foreigner"))["id"]
    return found


def translated(said: Any, ids: dict[str, str]) -> Any:
    """The same with ids in place of names."""
    if isinstance(said, dict):
        return {key: translated(part, ids) for key, part in said.items()}
    if isinstance(said, list):
        return [translated(each, ids) for each in said]
    if isinstance(said, str) and '"' in said:
        return '"'.join(ids.get(part, part) for part in said.split('"'))
    return ids.get(said, said) if isinstance(said, str) else said


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(begun=whom, sequence=some.lists(requests, max_size=5))
async def test_any_sequence_of_changes_ends_as_a_set_would(
    push: Pusher, ids: dict[str, str], begun: list[str], sequence: list[Any]
) -> None:
    """RFC 7644 section 3.5.2, Entra's and Okta's ways: who is in the group is who would be in a
    set, each once; the version counts the requests that changed something, and only those.
    """
    names = {id: name for name, id in ids.items()}
    held, version = KNOWN.intersection(begun), 1
    group = await push.group("All", *(ids.get(name, name) for name in begun))
    path, title = f"/Groups/{group['id']}", "All"
    for request in sequence:
        before = held, title
        if all(isinstance(each, str) for each in request):
            held = KNOWN.intersection(request)
            body = {"schemas": [GROUP], "displayName": title, "members": plain(request)}
            answer = await push("PUT", path, translated(body, ids))
        else:
            for said, change in request:
                held = change(held)
                title = "Everyone" if said.get("path") == "displayName" else title
            answer = await push.patch(path, *(translated(said, ids) for said, _ in request))
        assert answer.status_code == 200, answer.text
        version += (held, title) != before
        shown = await push.get(path)
        found = [names[member["value"]] for member in shown.get("members", ())]
        assert (len(found), frozenset(found)) == (len(held), held)
        assert shown["meta"]["version"] == f'W/"{version}"'
        assert answer.json() == shown
