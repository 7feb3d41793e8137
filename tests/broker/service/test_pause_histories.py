"""Pauses over any history, on both engines: nothing is lost, doubled, or told wrongly (c.4)."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable
from itertools import count, pairwise
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

from broker.db.database import Database
from broker.demo.grants import App
from broker.demo.simulator import Simulator, serving
from broker.domain.clock import HOUR, MINUTE, SECOND
from broker.domain.errors import Conflict
from broker.domain.pauses import CYCLES, NEXT, State
from broker.domain.steps import Identity
from broker.service.pausing import Claim
from broker.store import pauses, projects
from providers.egress import Egress
from tests import engines, stepping
from tests.clocks import MovableClock
from tests.scene import Scene
from tests.stepping import CLIENT, CLIENT_SECRET, DEAD, KIM, asked

STEPS = [f"s{place}" for place in range(3)]
step = st.sampled_from(STEPS)
OPEN = (State.WAITING, State.READY, State.CLAIMED)
FOLLOWS = {(before, after) for (before, _), after in NEXT.items()} | {
    (State.CLAIMED, State.FAILED)  # P6, the fifth time
}
TOLD = "SELECT type, data FROM events WHERE project_id = :project AND type LIKE :type ORDER BY n"


class History(RuleBasedStateMachine):
    """One person, three steps, an engine and an administrator who do things in any order."""

    db: Database
    clock: MovableClock
    runner: asyncio.Runner
    simulator: Simulator
    egress: Egress
    names = count()

    @initialize(limit=st.sampled_from([None, HOUR // SECOND]))
    def begin(self, limit: int | None) -> None:
        self.run(self._begin(limit))
        self.tokens: dict[str, list[str]] = defaultdict(list)
        self.ran: list[str] = []

    async def _begin(self, limit: int | None) -> None:
        name = f"history-{next(self.names)}"
        world = await stepping._made(self.db, self.simulator, self.egress, name)
        await self.db.write(projects.set_pause_limit, world.project, limit)
        self.scene = await Scene.made(world)
        await world.connect(self.scene.connector, None)

    def run(self, doing: Awaitable[Any]) -> Any:
        async def done() -> Any:
            return await doing

        return self.runner.run(done())

    def attempt(self, doing: Awaitable[Any]) -> Any:
        """What came of it; None where the state of things did not allow it."""
        try:
            return self.run(doing)
        except Conflict:
            return None

    def of(self, step: str) -> str | None:
        """The newest pause of a step."""
        mine = [pause for pause in self.kept() if pause.step == step]
        return mine[-1].id if mine else None

    def kept(self) -> list[Any]:
        found: list[Any] = self.run(self.db.read(pauses.page, self.scene.at.project, limit=200))
        return found

    def told(self) -> Awaitable[list[dict[str, Any]]]:
        """The events of pauses, in order."""
        return self.scene.at.rows(TOLD, project=self.scene.at.project, type="pause.%")

    @rule(step=step, attempt=st.integers(1, 3))
    def ask(self, step: str, attempt: int) -> None:
        """The engine asks for a step, for the first time or again."""
        request = asked({"user_name": KIM}, step=step, attempt=attempt)
        answer = self.run(self.scene.at.resolving.resolve(self.scene.engine, request))
        waits = answer.decision.row in ("F11", "P1", "P4")
        assert waits or answer.decision.row in ("F6", "F20")
        assert (answer.credential is None) is (answer.decision.row != "F6")

    @rule()
    def sign_in(self) -> None:
        """The person signs in: whoever waited is ready, in order."""
        waiting = [pause.id for pause in self.kept() if pause.state is State.WAITING]
        assert [pause.id for pause in self.run(self.scene.sign_in())] == waiting

    @rule()
    def die(self) -> None:
        """The person's grant ends."""
        self.run(self.scene.at.connect(self.scene.connector, self.scene.user, **DEAD))

    @rule(step=step)
    def claim(self, step: str) -> None:
        """The engine claims: only what is ready, as whom it was released for, and once."""
        if (id := self.of(step)) is None:
            return
        before = {pause.id: pause for pause in self.kept()}[id]
        claim: Claim | None = self.attempt(self.scene.at.pausing.claim(self.scene.engine, id))
        assert (claim is not None) is (before.state is State.READY)
        if claim is not None and claim.token is not None:
            wanted = Identity.CONNECTOR if before.run_as is Identity.CONNECTOR else Identity.USER
            assert claim.answer.decision.identity is wanted
            self.tokens[id].append(claim.token)

    @rule(step=step, result=st.sampled_from(["ran", "failed"]), newest=st.booleans())
    def report(self, step: str, result: Any, newest: bool) -> None:
        """The engine says how it went: the newest claim counts, and any other does not."""
        id = self.of(step)
        if id is None or not self.tokens[id]:
            return
        token = self.tokens[id][-1 if newest else 0]
        was = {pause.id: pause for pause in self.kept()}[id]
        told = self.attempt(self.scene.at.pausing.result(self.scene.engine, id, token, result))
        if told is not None:
            assert (was.state, token) == (State.CLAIMED, self.tokens[id][-1])
            self.ran += [id] if result == "ran" else []

    @rule(step=step, how=st.sampled_from(["end", "cancel", "override"]))
    def decide(self, step: str, how: str) -> None:
        """An administrator ends it or lets it go; the flow is cancelled."""
        if (id := self.of(step)) is None:
            return
        pausing = self.scene.at.pausing
        by = self.scene.engine if how == "cancel" else self.run(self.scene.at.administrator())
        reason = ("on leave",) if how == "override" else ()
        self.attempt(getattr(pausing, how)(by, id, *reason))

    @rule()
    def gone(self) -> None:
        """The person is suspended, and back: what waited for them is over."""
        user = self.scene.user.id
        self.run(self.db.write(pauses.cancel_all, self.scene.at.project, user, "user-suspended"))
        assert not [pause for pause in self.kept() if pause.state in OPEN]

    @rule(minutes=st.sampled_from([3, 6, 11, 70]))
    def later(self, minutes: int) -> None:
        """Time passes, and the worker looks after what it brings about: nothing is left over."""
        self.clock.advance(minutes * MINUTE)
        self.run(self.scene.at.pausing.recover())
        assert self.run(self.scene.at.pausing.recover()) == 0

    @invariant()
    def one_open_a_step(self) -> None:
        """P1: one open pause a step; those that are over stay as they are."""
        steps = [pause.step for pause in self.kept() if pause.state in OPEN]
        assert len(steps) == len(set(steps))

    @invariant()
    def every_version_was_told(self) -> None:
        """The feed has each version of each pause once, in order, and no way but the table's."""
        told: dict[str, list[tuple[int, State]]] = defaultdict(list)
        for row in self.run(self.told()):
            data = orjson.loads(row["data"])
            told[data["pause"]].append((data["version"], State(row["type"].partition(".")[2])))
        for pause in self.kept():
            versions = [version for version, _ in told[pause.id]]
            states = [state for _, state in told[pause.id]]
            assert versions == list(range(1, pause.version + 1))
            assert (states[0], states[-1]) == (State.WAITING, pause.state)
            assert set(pairwise(states)) <= FOLLOWS

    @invariant()
    def a_pause_is_whole(self) -> None:
        """P5, P6, P12: it ran once at most; its fields fit its state."""
        assert len(self.ran) == len(set(self.ran))
        for pause in self.kept():
            assert (pause.claim_hash is not None) is (pause.state is State.CLAIMED)
            assert (pause.state is State.RESUMED) is (pause.id in self.ran)
            assert pause.cycles < CYCLES or pause.state is State.FAILED
            if pause.state is State.WAITING:
                assert pause.run_as is Identity.USER
                assert pause.remind_at is not None


@pytest.mark.parametrize("examples", [12, pytest.param(150, marks=pytest.mark.drill)])
def test_any_history(database_url: str, clock: MovableClock, examples: int) -> None:
    """c.4: whatever the engine, the person, the administrator and time do, in any order."""
    with asyncio.Runner() as runner:

        async def opened() -> tuple[Database, Any, Simulator]:
            db, serves = await engines.connect(database_url, clock=clock), serving()
            return db, serves, await serves.__aenter__()

        db, serves, simulator = runner.run(opened())
        simulator.salesforce.register(App(CLIENT, CLIENT_SECRET))
        egress = Egress(origins=(simulator.base_url,))
        about = {"db": db, "clock": clock, "runner": runner}
        here = type("Here", (History,), about | {"simulator": simulator, "egress": egress})
        try:
            run_state_machine_as_test(
                here, settings=settings(max_examples=examples, stateful_step_count=25)
            )
        finally:
            runner.run(egress.aclose())
            runner.run(serves.__aexit__(None, None, None))
            runner.run(db.close())
