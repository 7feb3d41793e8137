"""A record and its row: which column keeps which field, said once for reading and for writing."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import fields
from enum import StrEnum
from functools import lru_cache
from operator import itemgetter
from types import MappingProxyType, NoneType, UnionType
from typing import Any, Generic, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

import orjson

from broker.db.database import Row

T = TypeVar("T")
REFERENCES = frozenset(
    {"project", "directory", "user", "key", "connector", "decision", "pause", "link"}
)
"""What a record names by its id; the column is `user_id` for the field `user`."""


class Form(NamedTuple):
    """How a value stands in its column, and how it is read back."""

    kept: Callable[[Any], Any]
    read: Callable[[Any], Any]


FLAG = Form(int, bool)
WORDS = Form(" ".join, lambda text: tuple(text.split()))
SET = Form(lambda words: " ".join(sorted(words)), lambda text: frozenset(text.split()))
JSON = Form(lambda value: orjson.dumps(value).decode(), orjson.loads)
OR_EMPTY = Form(lambda text: text or "", lambda text: text or None)
"""For a column that is part of a key, and so never NULL."""
FEW = 512
"""Records of a shape that are kept beside their rows."""
BY_TYPE: Mapping[Any, Form] = {bool: FLAG, tuple: WORDS, frozenset: SET, Mapping: JSON, dict: JSON}


class Shape(Generic[T]):
    """The columns of a record; statements stay SQL and take their long lists from here.

    A field stands in the column of its name, in the form of its type, unless `named` and `forms`
    say otherwise; those in `apart` are kept elsewhere. `changes` leaves out what never changes,
    `fixed`. A project's statements name `project_id` themselves, so no list holds it (safety 2).
    """

    def __init__(
        self,
        record: Callable[..., T],
        *,
        named: Mapping[str, str] = MappingProxyType({}),
        forms: Mapping[str, Form] = MappingProxyType({}),
        apart: Collection[str] = (),
        fixed: Collection[str] = ("id", "created_at"),
        few: bool = False,
    ) -> None:
        """`few`: there are not many of them, so the record of a row that has not changed since it
        was last read is the same one; the row is read all the same.
        """
        hints = get_type_hints(record)
        kept = [each.name for each in fields(record) if each.name not in apart]  # type: ignore[arg-type]  # every record is a dataclass
        self._record = record
        self._columns = {each: f"{each}_id" if each in REFERENCES else each for each in kept}
        self._columns.update(named)
        self._forms = {each: form for each in kept if (form := _form(hints[each]))} | dict(forms)
        listed = {each: column for each, column in self._columns.items() if each != "project"}
        self.columns = ", ".join(listed.values())
        self.values = ", ".join(f":{each}" for each in listed)
        self.changes = ", ".join(
            f"{column} = :{each}" for each, column in listed.items() if each not in fixed
        )
        self._picked = itemgetter(*self._columns.values())
        self._is_whole = not apart
        self._reads = [(kept.index(each), form.read) for each, form in self._forms.items()]
        self._read = lru_cache(FEW)(self._made) if few else self._made

    def parameters(self, record: T) -> dict[str, Any]:
        """What the columns will hold, by the names of the fields."""
        held = {name: getattr(record, name) for name in self._columns}
        for name, form in self._forms.items():
            held[name] = form.kept(held[name])
        return held

    def read(self, row: Row, **apart: Any) -> T:
        """The record of a row, with what is kept elsewhere."""
        return self._read(self._picked(row), **apart)

    def _made(self, values: tuple[Any, ...], **apart: Any) -> T:
        held = list(values)
        for place, read in self._reads:
            held[place] = read(held[place])
        if self._is_whole:
            return self._record(*held)
        return self._record(**dict(zip(self._columns, held, strict=True)), **apart)

    def one(self, row: Row | None) -> T | None:
        """The record of a row, where one was found."""
        return None if row is None else self.read(row)

    def each(self, rows: Iterable[Row]) -> list[T]:
        """The records of these rows."""
        return [self.read(row) for row in rows]


def record_form(record: Callable[..., Any]) -> Form:
    """A record in a column of its own, as JSON; NULL is none."""

    def read(text: str | None) -> Any:
        return None if text is None else record(**orjson.loads(text))

    return Form(lambda held: None if held is None else orjson.dumps(held).decode(), read)


def _form(hint: Any) -> Form | None:
    """The form of a type, None where the value stands in the column as it is."""
    kinds = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    kind = next(each for each in kinds if each is not NoneType)
    form = BY_TYPE.get(get_origin(kind) or kind)
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        form = Form(str, {word.value: word for word in kind}.__getitem__)
    return form and (Form(*map(_or_none, form)) if NoneType in kinds else form)


def _or_none(turn: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else turn(value)
