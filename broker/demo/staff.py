"""The employees a pretend directory holds: as many as wanted, each made when they are asked for."""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from broker.demo.people import HEADCOUNT, WORK, Person, person


class Event(StrEnum):
    """What can happen to an employee."""

    CAME = "came"
    CHANGED = "changed"
    WENT = "went"


@dataclass
class Staff:
    """Who is there, by number, what is said of them in place of what was invented, and a log.

    `said` is in the directory's own names; a value None means that there is none. `log` tells what
    happened to whom, in order: whoever remembers a length of it can ask what came after.
    """

    numbers: list[int] = field(default_factory=lambda: list(range(1, HEADCOUNT + 1)))
    said: dict[int, dict[str, object]] = field(default_factory=dict)
    log: list[tuple[Event, int]] = field(default_factory=list)

    def hire(self, people: int) -> None:
        """From now on there are exactly the first so many."""
        before, self.numbers = set(self.numbers), list(range(1, people + 1))
        self.log += ((Event.WENT, number) for number in sorted(before.difference(self.numbers)))
        self.log += ((Event.CAME, number) for number in self.numbers if number not in before)

    def change(self, number: int, fields: dict[str, object]) -> None:
        """Say these fields of somebody from now on."""
        self.said.setdefault(number, {}).update(fields)
        self.log.append((Event.CHANGED, number))

    def leave(self, numbers: Iterable[int]) -> None:
        """They are gone."""
        left = set(numbers)
        self.numbers = [number for number in self.numbers if number not in left]
        self.log += ((Event.WENT, number) for number in sorted(left))

    def come(self, numbers: Iterable[int]) -> None:
        """They are there, again or for the first time."""
        new = set(numbers).difference(self.numbers)
        self.numbers = sorted(new.union(self.numbers))
        self.log += ((Event.CAME, number) for number in sorted(new))

    def since(self, length: int) -> dict[int, set[Event]]:
        """What happened to whom after the log was so long."""
        happened: dict[int, set[Event]] = {}
        for event, number in self.log[length:]:
            happened.setdefault(number, set()).add(event)
        return happened

    def at(self, number: int) -> Person:
        """An employee; KeyError where nobody there has this number."""
        place = bisect_left(self.numbers, number)
        if self.numbers[place : place + 1] != [number]:
            raise KeyError(number)
        return person(number)


DEPARTMENTS = tuple(department for department, _ in WORK)


def department_of(number: int) -> int:
    """The index of the department somebody works in, which is their one group."""
    return (number - 1) % len(DEPARTMENTS)


def manager_of(number: int) -> int | None:
    """The number of somebody's manager; the first employee has none."""
    return None if number == 1 else (number - 2) // 10 + 1
