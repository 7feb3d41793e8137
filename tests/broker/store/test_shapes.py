"""Records and rows: what is written comes back, in the columns the tables declare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

import pytest

from broker import store
from broker.db.schema import metadata
from broker.store.shapes import JSON, OR_EMPTY, Form, Shape


class Mood(StrEnum):
    """A closed list."""

    GAY = "gay"
    GRAVE = "grave"


@dataclass(frozen=True, slots=True)
class Thing:
    """Something of each form."""

    id: str
    project: str
    user: str | None
    created_at: int
    mood: Mood = Mood.GAY
    before: Mood | None = None
    is_new: bool = False
    words: tuple[str, ...] = ()
    scopes: frozenset[str] = frozenset()
    options: Mapping[str, Any] = field(default_factory=dict)
    place: Mapping[str, Any] | None = None
    text: bytes = b""
    seen: int = 0


SHAPE = Shape(
    Thing,
    named={"text": "sealed_text"},
    forms={"user": OR_EMPTY, "text": Form(bytes.decode, str.encode)},
    apart=("seen",),
)
EMPTY = Thing("t1", "p1", None, 7)
FULL = Thing(
    id="t2",
    project="p1",
    user="u1",
    created_at=7,
    mood=Mood.GRAVE,
    before=Mood.GAY,
    is_new=True,
    words=("b", "a"),
    scopes=frozenset({"y", "x"}),
    options={"a": [1]},
    place={"name": "here"},
    text=b"plain",
)


@pytest.mark.parametrize("thing", [EMPTY, FULL])
def test_what_is_written_comes_back(thing: Thing) -> None:
    """Decision 0007: one list says how a record is kept, and reading is the inverse of writing."""
    kept = SHAPE.parameters(thing)
    names = {"project": "project_id", "user": "user_id", "text": "sealed_text"}
    row = {names.get(name, name): value for name, value in kept.items()}
    assert SHAPE.read(row, seen=thing.seen) == thing
    assert (SHAPE.one(row), SHAPE.one(None), SHAPE.each([row])) == (thing, None, [thing])


def test_columns_hold_what_both_engines_can() -> None:
    """building.md, "One SQL text": booleans are 0 and 1, words and JSON are text."""
    assert SHAPE.parameters(FULL) == {
        "id": "t2",
        "project": "p1",
        "user": "u1",
        "created_at": 7,
        "mood": "grave",
        "before": "gay",
        "is_new": 1,
        "words": "b a",
        "scopes": "x y",
        "options": '{"a":[1]}',
        "place": '{"name":"here"}',
        "text": "plain",
    }
    assert type(SHAPE.parameters(FULL)["mood"]) is str
    assert SHAPE.parameters(EMPTY)["user"] == ""
    assert SHAPE.parameters(EMPTY)["place"] is None


def test_the_lists_of_a_statement() -> None:
    """Safety 2: no list holds the project, so that each statement has to name it itself; what
    never changes is in no list of changes.
    """
    small = Shape(Thing, apart=("mood", "before", "is_new", "words", "scopes", "options", "place"))
    assert small.columns == "id, user_id, created_at, text, seen"
    assert small.values == ":id, :user, :created_at, :text, :seen"
    assert small.changes == "user_id = :user, text = :text, seen = :seen"


def modules() -> list[ModuleType]:
    """Every module of the store."""
    return [import_module(f"broker.store.{each.name}") for each in iter_modules(store.__path__)]


def test_every_shape_fits_a_table() -> None:
    """Each list of columns is a declared table's, or a table's and what is selected beside it."""
    tables = [set(table.columns.keys()) for table in metadata.tables.values()]
    selected = {"last_at", "key_id", "execution", "step", "attempt"}
    shapes = [each for mod in modules() for each in vars(mod).values() if isinstance(each, Shape)]
    assert len(shapes) > 12
    for shape in shapes:
        columns = set(shape.columns.split(", "))
        assert any(columns - selected <= table for table in tables), columns


def test_json_is_text() -> None:
    """A JSON column is text on both engines."""
    assert JSON.read(JSON.kept({"ä": 1})) == {"ä": 1}


def test_a_record_of_few_is_made_once_for_each_row_it_had() -> None:
    """Where there are few, a row that did not change is the same record, and one that did is
    another: what is decided rests on the row as it was read (safety 24).
    """
    shape = Shape(Thing, forms={"user": OR_EMPTY}, apart=("seen",), few=True)
    kept = shape.parameters(FULL)
    row = {column: kept[name] for name, column in shape._columns.items()}
    first, again = shape.read(row, seen=FULL.seen), shape.read(dict(row), seen=FULL.seen)
    assert first is again
    assert first == FULL
    assert shape.read(row | {"mood": "gay"}, seen=FULL.seen).mood is Mood.GAY
    assert shape.read(row, seen=8).seen == 8
