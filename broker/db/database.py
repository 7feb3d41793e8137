"""What a database offers this house: units of work, and the transaction they take."""

import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

Row = Mapping[str, Any]
Clock = Callable[[], int]
P = ParamSpec("P")
T = TypeVar("T")

PARAMETER = re.compile(r"(?<![:\w]):([a-z_][a-z_0-9]*)")
"""A `:name` in a statement."""


class Duplicate(Exception):
    """A unique constraint refused a row; the whole unit of work is undone."""


class Unavailable(Exception):
    """The database could not do it now; nothing of the unit was kept, asking again is safe."""


class Unstorable(ValueError):
    """A value that the database has no place for, such as U+0000 in a text; nothing was kept."""


class Transaction(Protocol):
    """One transaction, as a unit of work sees it: plain calls, no await, no network.

    SQL carries `:name` parameters and is one text for both engines. `%` and `?` stand only inside
    parameters. An error ends the unit on both engines, so what may collide is written with
    ON CONFLICT and asked for with RETURNING.
    """

    now: int
    """The database's time: microseconds since 1970, UTC."""
    for_update: str
    """Closes a SELECT whose rows stay locked until the end; empty where writers stand in line."""
    skip_locked: str
    """The same for a queue of jobs, passing over rows that another holds. Never for people."""

    def find(self, sql: str, **params: Any) -> Row | None:
        """The first row, or None."""
        ...

    def all(self, sql: str, **params: Any) -> list[Row]:
        """Every row."""
        ...

    def run(self, sql: str, **params: Any) -> None:
        """Do it; nothing comes back."""
        ...


Unit = Callable[Concatenate[Transaction, P], T]


class Database(Protocol):
    """Runs units of work: all of one, or nothing of it."""

    async def write(self, unit: Unit[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `unit` in a transaction; answer once it is durable.

        A caller that goes away does not undo its unit. Raises what the unit raises, `Duplicate`,
        or `Unavailable` when nothing could be written.
        """
        ...

    async def write_on_snapshot(self, unit: Unit[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `unit` as `write` does, on one snapshot: all it reads is as of one moment.

        Where another transaction changed meanwhile what it writes or locks, it begins again.
        """
        ...

    async def read(self, unit: Unit[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `unit` on one snapshot, off the event loop."""
        ...

    async def peek(self, unit: Unit[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a `unit` known to touch a handful of rows the cheapest way the engine has."""
        ...

    def version(self) -> int | None:
        """A number that stays only while nobody commits anything, in this process or another, as
        `peek` sees it; None where asking for it costs as much as a look.
        """
        ...

    async def close(self) -> None:
        """Finish what was handed over and let go of every connection."""
        ...


def system_clock() -> int:
    """The process clock: microseconds since 1970, UTC."""
    return time.time_ns() // 1000
