"""Licenses over any history, on both engines: whatever happens, alone or at once, c.1 holds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from itertools import count
from typing import Any

import orjson
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from broker.db.database import Database, Transaction
from broker.domain.clock import DAY
from broker.domain.errors import Conflict
from broker.domain.licenses import Promotion
from broker.domain.users import License, Status, User
from broker.service.withholding import Withholding
from broker.store import held, records, users
from tests import engines, pushing
from tests.clocks import MovableClock
from tests.pushing import House, Pusher

NAMES = [f"user-{n}" for n in range(6)]
who = st.sampled_from(NAMES)
EVERYBODY = "SELECT * FROM users WHERE project_id = :project"
DOUBLED = """
    SELECT user_id FROM invitations WHERE project_id = :project
     GROUP BY user_id, epoch HAVING count(*) > 1
"""
BYPASSED = "SELECT detail FROM audit WHERE project_id = :project AND action = 'user.activated'"


class History(RuleBasedStateMachine):
    """A project of six names, its directory, its people and its administrator."""

    db: Database
    clock: MovableClock
    runner: asyncio.Runner
    projects = count()

    @initialize(most=st.sampled_from([0, 1, 2, None]), promotion=st.sampled_from(Promotion))
    def begin(self, most: int | None, promotion: Promotion) -> None:
        """A project of its own on the shared database: two are active, two wait, two have not
        signed in; so many may leave in a push run without a decision.
        """
        self.stack = AsyncExitStack()
        self.house, self.push = self.runner.run(self._begin())
        self.lowered = False
        self.people: dict[str, User] = {}
        for name in NAMES:
            self.pushed(name, True)
        self.resized(2, promotion, False)
        for name in reversed(NAMES[:4]):  # not in the order in which they came
            self.logged_in(name)
        self.limited(most)

    async def _begin(self) -> tuple[House, Pusher]:
        house = await pushing.house(self.db, f"history-{next(self.projects)}")
        return house, await self.stack.enter_async_context(pushing.calling(house))

    def teardown(self) -> None:
        """The client is closed; the database is everybody's."""
        if hasattr(self, "stack"):
            self.runner.run(self.stack.aclose())

    @rule(name=who, active=st.booleans())
    def pushed(self, name: str, active: bool) -> None:
        """The directory creates somebody, anew or again, or says what it says of them."""
        self.do(self._pushed(name, active))

    @rule(which=st.integers(0, 9), deleted=st.booleans())
    def left(self, which: int, deleted: bool) -> None:
        """The directory deletes somebody who is in or waits, or calls them inactive."""
        living = [user.user_name for user in self.people.values() if not user.is_gone]
        if living:
            name = living[which % len(living)]
            self.do(self._deleted(name) if deleted else self._pushed(name, False))

    @rule(name=who)
    def logged_in(self, name: str) -> None:
        """Somebody signs in."""
        self.do(self._logged_in(name))

    @rule(name=who, act=st.sampled_from(["suspend", "reinstate", "invite"]))
    def administrated(self, name: str, act: str) -> None:
        """An administrator acts upon somebody."""
        self.do(self._administrated(name, act))

    @rule(name=who, licensed=st.booleans())
    def exempted(self, name: str, licensed: bool) -> None:
        """Somebody needs no license, or one again (D3)."""
        self.do(self._administrated(name, "exempt", licensed=licensed), passing=True)

    @rule(name=who)
    def activated(self, name: str) -> None:
        """An administrator lets somebody in, past others where the project allows it (U7)."""
        self.do(self._administrated(name, "activate"), passing=not self.licenses.strict)

    @rule(
        capacity=st.one_of(st.none(), st.integers(0, 4)),
        promotion=st.sampled_from(Promotion),
        strict=st.booleans(),
    )
    def resized(self, capacity: int | None, promotion: Promotion, strict: bool) -> None:
        """An administrator changes how many there are and who gives them (U17, T3)."""
        licensing, admin = self.house.licensing, self.house.administrator
        taken = sum(user.is_held or user.is_withheld for user in self.people.values())
        self.lowered |= capacity is not None and taken > capacity
        self.do(licensing.capacity(admin, capacity, promotion=promotion, strict=strict))

    def limited(self, most: int | None) -> None:
        """How many may leave by a push run without a decision; None: as many as it likes."""
        holding = orjson.dumps({"count": most, "pushes": most is not None}).decode()
        self.do(self.house.db.write(self._limiting, holding))

    @rule()
    def fell_silent(self) -> None:
        """The push window closes; the run ends, or waits for a decision (R5)."""
        self.clock.advance(DAY)
        self.do(self.house.syncing.close_due())

    @rule(which=st.integers(0, 9), release=st.booleans())
    def decided(self, which: int, release: bool) -> None:
        """An administrator decides about something that is held (R6)."""
        self.do(self.house.db.write(self._deciding, which, release))

    @rule(many=st.lists(st.tuples(st.integers(0, 5), who), min_size=1, max_size=6))
    def at_once(self, many: list[tuple[int, str]]) -> None:
        """Several of all this at the same time."""
        acts: list[Callable[[str], Awaitable[object]]] = [
            self._logged_in,
            self._deleted,
            lambda name: self._pushed(name, True),
            lambda name: self._pushed(name, False),
            lambda name: self._administrated(name, "suspend"),
            self._renamed,
        ]
        self.do(*(acts[act](name) for act, name in many))

    @invariant()
    def the_rows_agree(self) -> None:
        """Held, withheld and queued are what the people say (R131); suspended ones are held."""
        of = [user.license for user in self.people.values()]
        assert (self.licenses.held, self.licenses.withheld) == (
            of.count(License.HELD),
            of.count(License.WITHHELD),
        )
        active = [user for user in self.people.values() if user.is_active and user.licensed]
        assert len(active) == self.licenses.held
        assert self.licenses.queued == len(queue(self.people))
        assert self.licenses.warned == self.licenses.warning

    @invariant()
    def capacity_is_kept(self) -> None:
        """held + withheld ≤ capacity at every commit unless it was lowered (promise 8)."""
        within = self.licenses.capacity is None or self.licenses.taken <= self.licenses.capacity
        self.lowered = self.lowered and not within
        assert within or self.lowered

    @invariant()
    def nobody_waits_beside_a_free_license(self) -> None:
        """U6: unless administrators give them (T3)."""
        assert self.licenses.promotion is Promotion.MANUAL or not self.licenses.is_idle

    @invariant()
    def one_invitation_an_epoch(self) -> None:
        """U1: whatever is said however often."""
        assert self.runner.run(self.house.rows(DOUBLED)) == []

    @invariant()
    def what_is_withheld_waits_for_one_decision(self) -> None:
        """R5: a license is withheld, an erasure is held, because of one record, not two or none."""
        waiting = [line.resource_id for _, line in self.runner.run(self._staged())]
        assert len(waiting) == len(set(waiting))
        undecided = [user for user in self.people.values() if user.is_withheld]
        undecided += [user for user in self.people.values() if user.deletion_is_held]
        assert {user.id for user in undecided} <= set(waiting)

    def do(self, *acts: Awaitable[Any], passing: bool = False) -> None:
        """These at once; then everybody is looked at. Nobody passes another, unless by `passing`
        or because they need no license.
        """
        before, bypassed = self.people, self.bypassed()
        self.runner.run(together(*acts))
        found = self.runner.run(self.house.rows(EVERYBODY))
        self.people = {row["id"]: users.from_row(row) for row in found}
        self.licenses = self.runner.run(self.house.licensing.state(self.house.project))
        for passed, other in overtakings(before, self.people):
            assert passing or other.is_exempt, f"{other.id} got a license before {passed.id}"
            assert other.is_exempt or self.bypassed() > bypassed
        if not passing:
            assert_nobody_is_active_by_a_push(before, self.people)

    def bypassed(self) -> int:
        """How many activations are on record that passed somebody."""
        found = self.runner.run(self.house.rows(BYPASSED))
        return sum(orjson.loads(row["detail"]).get("queue_bypass", 0) > 0 for row in found)

    async def _pushed(self, name: str, active: bool) -> None:
        if (id := await self._known(name)) is None:
            body = {"schemas": [pushing.USER], "userName": name, "active": active}
            answer = await self.push("POST", "/Users", body)
            assert answer.status_code in (201, 409), answer.text
        else:
            change = {"op": "replace", "path": "active", "value": active}
            answer = await self.push.patch(f"/Users/{id}", change)
            assert answer.status_code in (200, 404), answer.text

    async def _deleted(self, name: str) -> None:
        if (id := await self._known(name)) is not None:
            assert (await self.push("DELETE", f"/Users/{id}")).status_code in (204, 404)

    async def _renamed(self, name: str) -> None:
        """To a name that another had, may have, or may have had."""
        if (id := await self._known(name)) is not None:
            value = NAMES[(NAMES.index(name) + 1) % len(NAMES)]
            change = {"op": "replace", "path": "userName", "value": value}
            assert (await self.push.patch(f"/Users/{id}", change)).status_code in (200, 404, 409)

    async def _logged_in(self, name: str) -> None:
        if (id := self._of(name)) is not None:
            await self.house.log_in(id)

    async def _administrated(self, name: str, act: str, **said: Any) -> None:
        if (id := self._of(name)) is not None:
            await getattr(self.house.licensing, act)(self.house.administrator, id, **said)

    def _limiting(self, tx: Transaction, holding: str) -> None:
        sql = "UPDATE directories SET holding = :holding WHERE project_id = :project AND id = :id"
        project, id = self.house.project, self.push.directory.id
        tx.run(sql, project=project, id=id, holding=holding)

    def _deciding(self, tx: Transaction, which: int, release: bool) -> None:
        found = self._waiting(tx)
        if found:
            n, line = found[which % len(found)]
            withholding = Withholding(self.house.licensing)
            decide = withholding.released if release else withholding.rejected
            result = decide(tx, self.house.project, line, "admin:setup")
            held.settle(tx, self.house.project, n, result)

    def _waiting(self, tx: Transaction) -> list[tuple[int, Any]]:
        sql = "SELECT * FROM records WHERE project_id = :project AND result = 'staged' ORDER BY n"
        project = self.house.project
        return records.read(tx, project, tx.all(sql, project=project))

    async def _staged(self) -> list[tuple[int, Any]]:
        return await self.house.db.read(self._waiting)

    async def _known(self, name: str) -> str | None:
        """The id the directory finds under this name."""
        said = {"filter": f'userName eq "{name}"', "attributes": "id"}
        found = await self.push.get("/Users", **said)
        return found["Resources"][0]["id"] if found["totalResults"] else None

    def _of(self, name: str) -> str | None:
        """Whoever living had this name when somebody last looked."""
        living = (u for u in self.people.values() if u.status is not Status.DELETED)
        return next((user.id for user in living if user.user_name == name), None)


async def together(*acts: Awaitable[Any]) -> None:
    """All of them, at once; a row of the table may say no."""
    for came in await asyncio.gather(*acts, return_exceptions=True):
        if isinstance(came, BaseException) and not isinstance(came, Conflict):
            raise came


def queue(people: dict[str, User]) -> list[User]:
    """Those who wait, the longest first."""
    waiting = [user for user in people.values() if user.queue_seq is not None]
    return sorted(waiting, key=lambda user: user.queue_seq or 0)


def overtakings(before: dict[str, User], after: dict[str, User]) -> list[tuple[User, User]]:
    """Who still waits at the same place, and who came after them and is active now."""
    waiting = [user for user in queue(before) if user.queue_seq == after[user.id].queue_seq]
    found = []
    for id, user in after.items():
        was = before.get(id)
        if user.is_active and not (was and was.is_active):
            place = was.queue_seq if was and was.queue_seq else None
            passed = [each for each in waiting if place is None or (each.queue_seq or 0) < place]
            found += [(each, user) for each in passed]
    return found


def assert_nobody_is_active_by_a_push(before: dict[str, User], after: dict[str, User]) -> None:
    """R123: who was not there, or was suspended, is not active by anything but a login."""
    for id, user in after.items():
        if id not in before:
            assert not user.is_active


def histories(url: str, examples: int) -> None:
    """So many histories on the database."""
    clock = MovableClock()
    with asyncio.Runner() as runner:
        db = runner.run(engines.connect(url, clock=clock))
        try:
            machine = type("Here", (History,), {"db": db, "clock": clock, "runner": runner})
            size = settings(max_examples=examples, stateful_step_count=25, deadline=None)
            run_state_machine_as_test(machine, settings=size)
        finally:
            runner.run(db.close())


@pytest.mark.parametrize("examples", [40, pytest.param(300, marks=pytest.mark.drill)])
def test_any_history_keeps_the_invariants(database_url: str, examples: int) -> None:
    """c.1, R5, R6: pushes, logins, administrators, capacities, holds and decisions in any order."""
    histories(database_url, examples)
