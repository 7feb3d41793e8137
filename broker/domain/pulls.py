"""Where a pull stands: its stage, the page it is at, and what it has learned on the way."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any, Self

import orjson


class Stage(StrEnum):
    """What a pull does, in this order."""

    PAGES = "pages"  # read and take, people before groups
    MEMBERS = "members"  # of groups that came before those in them
    USERS = "absent people"
    GROUPS = "absent groups"
    DECIDING = "deciding"  # carry out what may be, hold the rest

    @property
    def next(self) -> "Stage":
        """What follows."""
        order = list(Stage)
        return order[order.index(self) + 1]


@dataclass(frozen=True, slots=True)
class Place:
    """A place of a pull, kept in the transaction that came so far.

    `at` is the page's place in the words of its source, `after` the last key of another stage.
    `anew`: the reading began at the beginning, `begun` times, and `whole_at` is when the last such
    reading did. `delta` is where the next pull goes on, `unsure` why nobody of a kind counts as
    absent. `tries` counts beginnings since something was done, `why` is what stopped the last.
    """

    stage: Stage = Stage.PAGES
    at: str | None = None
    after: str = ""
    anew: bool = True
    begun: int = 1
    whole_at: int = 0
    delta: str | None = None
    unsure: Mapping[str, str] = field(default_factory=dict)
    tries: int = 0
    why: str = ""

    @classmethod
    def of(cls, text: str) -> Self:
        """As it was kept."""
        said: dict[str, Any] = orjson.loads(text)
        return cls(**{**said, "stage": Stage(said["stage"])})

    def __str__(self) -> str:
        return orjson.dumps(asdict(self)).decode()

    @property
    def onward(self) -> Self:
        """The beginning of the next stage."""
        return replace(self, stage=self.stage.next, at=None, after="")
