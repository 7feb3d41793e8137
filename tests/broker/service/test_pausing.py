"""Steps that wait for a person, row by row, on both engines."""

from __future__ import annotations

import pytest

from broker.db.database import Transaction
from broker.demo.grants import App
from broker.domain.clock import MINUTE, SECOND
from broker.domain.connectors import Policy
from broker.domain.connectors import State as ConnectorState
from broker.domain.errors import Conflict, Forbidden
from broker.domain.pauses import Pause, State
from broker.service.answering import Wait
from broker.service.pausing import shown
from broker.store import connectors, pauses, rows
from tests.clocks import MovableClock
from tests.scene import Scene
from tests.stepping import CLIENT, DEAD, KIM, LATER, PAUSE, World, asked, on


async def test_waiting_and_resumed(scene: Scene, at: World) -> None:
    """P1, P2, P4, P5 (R14, R15): a step waits, the person signs in, one claim resumes it."""
    pause = await scene.wait()
    assert shown(pause) == {
        "id": pause.id,
        "state": "waiting",
        "status": "Authentication needed",
        "reason": None,
        "execution": "r-88412",
        "step": "s4",
        "user_id": scene.user.id,
        "connector": scene.connector.id,
        "decision_id": pause.decision,
        "run_as": "user",
        "cycles": 0,
        "since": shown(pause)["since"],
        "expires_at": None,
        "version": 1,
    }
    with pytest.raises(Conflict) as refused:
        await scene.claim(pause)
    assert refused.value.reason == "pause-waiting"

    [ready] = await scene.sign_in()
    assert (ready.id, ready.state) == (pause.id, State.READY)
    assert [event["pause"] for event in await scene.told("pause.ready")] == [pause.id]

    claim = (await scene.claim(pause)).rendered()
    assert claim["decision"]["row"] == "F6"
    assert claim["decision"]["decision_id"] == pause.decision
    assert claim["decision"]["version"] == 2
    assert await at.works(claim["decision"]["credential"])
    assert (await scene.now(pause)).state is State.CLAIMED

    done = await at.pausing.result(scene.engine, pause.id, claim["claim"], "ran")
    assert done.state is State.RESUMED
    with pytest.raises(Conflict):
        await scene.claim(pause)


async def test_another_connector_releases_nothing(scene: Scene, at: World) -> None:
    """R16: a sign-in at a second connector leaves the pause waiting."""
    pause = await scene.wait()
    other = await at.connector("Second", **PAUSE)
    assert await scene.sign_in(other, as_user=KIM) == []
    assert (await scene.now(pause)).state is State.WAITING


async def test_one_sign_in_frees_all_who_wait(scene: Scene, at: World) -> None:
    """P2: one sign-in makes every pause of person and connector ready, in order, spread in time."""
    waiting = [await scene.wait(step=f"s{place}") for place in range(12)]
    other = await at.person("other@acme.example")
    answer = await at.resolving.resolve(scene.engine, asked({"user_id": other.id}, step="x"))
    ready = await scene.sign_in()
    assert [pause.id for pause in ready] == [pause.id for pause in waiting]
    seconds = [event["claim_after_s"] for event in await scene.told("pause.ready")]
    assert seconds == [0] * 10 + [1] * 2
    assert answer.pause is not None
    assert (await scene.now(answer.pause)).state is State.WAITING


async def test_wrong_account(scene: Scene, at: World) -> None:
    """P3: signed in with another account, they wait on and show why."""
    pause = await scene.wait()
    await at.db.write(
        pauses.mismatched, at.project, scene.user.id, scene.connector.id, "wrong-account"
    )
    now = await scene.now(pause)
    assert (now.state, now.reason, now.version) == (State.WAITING, "wrong-account", 2)


async def test_ready_is_said_again(scene: Scene, at: World, clock: MovableClock) -> None:
    """P7: not claimed in 10 minutes, the event is sent again, and again 10 minutes later."""
    await scene.wait()
    await scene.sign_in()
    for times in (2, 3):
        clock.advance(10 * MINUTE + SECOND)
        assert await at.pausing.recover() == 1
        assert await at.pausing.recover() == 0
        assert len(await scene.told("pause.ready")) == times


async def test_five_cycles(scene: Scene, at: World) -> None:
    """P6: a step that cannot run after a sign-in waits again, and fails the fifth time."""
    pause = await scene.wait()
    for cycle in range(1, 6):
        await scene.sign_in()
        claim = await scene.claim(pause)
        assert claim.token is not None
        now = await at.pausing.result(scene.engine, pause.id, claim.token, "failed")
        assert now.cycles == cycle
        assert now.state is (State.FAILED if cycle == 5 else State.WAITING)
    assert now.reason == "too-many-cycles"
    assert await scene.sign_in() == []


async def test_claim_looks_again(scene: Scene, at: World) -> None:
    """P4, P6: the claim asks the table; a token that died meanwhile sends the step back."""
    pause = await scene.wait()
    await scene.sign_in()
    await at.connect(scene.connector, scene.user, **DEAD)
    claim = await scene.claim(pause)
    assert claim.token is None
    assert claim.answer.decision.row == "F11"
    now = await scene.now(pause)
    assert (now.state, now.cycles) == (State.WAITING, 1)
    assert claim.rendered()["decision"]["pause"]["state"] == "waiting"


async def test_claim_while_the_provider_is_away(scene: Scene, at: World) -> None:
    """F7: a claim that finds the provider away is asked again later; the pause stays ready."""
    pause = await scene.wait()
    await scene.sign_in()
    await at.connect(scene.connector, scene.user, **LATER)
    with pytest.raises(Wait):
        await scene.claim(pause)
    assert (await scene.now(pause)).state is State.READY


async def test_policy_of_the_day(scene: Scene, at: World) -> None:
    """P13, R14: another policy leaves who waits waiting, also whoever claims when their sign-in has
    ended: who a step runs as never changes without a word.
    """
    pause = await scene.wait()
    await at.connect(scene.connector, None)
    await at.setting(scene.connector, **on(Policy.FALLBACK))
    assert (await scene.now(pause)).state is State.WAITING
    await scene.sign_in(**DEAD)
    claim = await scene.claim(pause)
    assert (claim.answer.decision.row, claim.token, claim.answer.credential) == ("P1", None, None)
    assert (await scene.now(pause)).state is State.WAITING


async def test_suspension_ends_every_pause(scene: Scene, at: World) -> None:
    """P10, safety 8: waiting, ready or claimed, nothing waits for somebody who is suspended."""
    claimed = await scene.wait(step="claimed")
    await scene.sign_in()
    token = (await scene.claim(claimed)).token
    await at.connect(scene.connector, scene.user, **DEAD)
    waiting = await scene.wait(step="waiting")
    found = await at.db.write(pauses.cancel_all, at.project, scene.user.id, "user-suspended")
    assert {pause.id for pause in found} == {claimed.id, waiting.id}
    assert (await scene.now(waiting)).reason == "user-suspended"
    assert len(await scene.told("pause.cancelled")) == 2
    assert token is not None
    with pytest.raises(Conflict):
        await at.pausing.result(scene.engine, claimed.id, token, "ran")


async def test_connector_ends_its_pauses(scene: Scene, at: World) -> None:
    """P10: disabling a connector cancels what waits for it, and only that."""
    pause = await scene.wait()
    other = await at.connector("Second", **PAUSE)
    answer = await at.resolving.resolve(
        scene.engine, asked({"user_name": KIM}, connector="second", step="x")
    )
    await at.db.write(pauses.cancel_connector, at.project, other.id, "connector-disabled")
    assert answer.pause is not None
    assert (await scene.now(answer.pause)).state is State.CANCELLED
    assert (await scene.now(pause)).state is State.WAITING


async def test_end_and_cancel(scene: Scene, at: World) -> None:
    """P10, P11: the flow's own key, or an administrator, gives a pause up."""
    ended = await at.pausing.end(await at.administrator(), (await scene.wait(step="a")).id)
    cancelled = await at.pausing.cancel(scene.engine, (await scene.wait(step="b")).id)
    assert (ended.state, cancelled.state) == (State.FAILED, State.CANCELLED)
    with pytest.raises(Conflict):
        await at.pausing.cancel(scene.engine, ended.id)


async def test_override(scene: Scene, at: World) -> None:
    """P12, safety 27: an administrator lets a waiting step run as the connector user."""
    await at.connect(scene.connector, None)
    pause = await scene.wait()
    with pytest.raises(Forbidden):
        await at.pausing.override(scene.engine, pause.id, "on leave")
    ready = await at.pausing.override(await at.administrator(), pause.id, "on leave")
    assert ready.state is State.READY
    claim = await scene.claim(pause)
    assert (claim.answer.decision.row, claim.answer.decision.identity) == ("P12", "connector")
    assert await at.works(claim.rendered()["decision"]["credential"])
    [told] = await at.rows("SELECT detail FROM audit WHERE action = 'pause.overridden'")
    assert "on leave" in told["detail"]


async def test_a_connector_in_trouble_is_nobodys_fault(scene: Scene, at: World) -> None:
    """P4, K8: while only an administrator can help, a claim is told so and the pause stays ready;
    nobody is asked to sign in again, and no cycle is counted (P6).
    """
    pause = await scene.wait()
    await scene.sign_in()
    await at.setting(scene.connector, state=ConnectorState.NEEDS_ADMIN)
    claim = await scene.claim(pause)
    assert (claim.token, claim.answer.decision.status) == (None, "connector-unavailable")
    now = await scene.now(pause)
    assert (now.state, now.cycles, now.version) == (State.READY, 0, 2)
    await at.setting(scene.connector, state=ConnectorState.CONNECTED)
    assert (await scene.claim(pause)).answer.decision.row == "F6"


async def test_an_override_outlasts_the_connector_users_trouble(scene: Scene, at: World) -> None:
    """P12, F18a: released while the connector user is dead, it waits for them, still released."""
    await at.connect(scene.connector, None, **DEAD)
    pause = await scene.wait()
    await at.pausing.override(await at.administrator(), pause.id, "on leave")
    claim = await scene.claim(pause)
    assert (claim.token, claim.answer.decision.status) == (None, "connector-user-unavailable")
    await at.connect(scene.connector, None)
    assert (await scene.claim(pause)).answer.decision.row == "P12"


async def test_ten_thousand_wait_through_a_rotation(scene: Scene, at: World) -> None:
    """c.4, K8: a secret that was rotated at the program moves none of those who wait; one sign-in
    later readies its own person's alone.
    """
    mine = await scene.wait()
    await at.db.write(crowd, mine, 10_000)
    versions = "SELECT count(*) AS waiting FROM pauses WHERE state = 'waiting' AND version = 1"
    await at.connect(scene.connector, scene.user, expires_at=0)
    at.simulator.salesforce.apps[CLIENT] = App(CLIENT, "another secret")
    answer = await at.resolving.resolve(scene.engine, asked({"user_name": KIM}, step="next"))
    assert answer.decision.row == "F1"
    now = await at.db.read(connectors.get, at.project, scene.connector.id)
    assert now.state is ConnectorState.NEEDS_ADMIN
    assert await at.pausing.recover() == 0
    assert await at.rows(versions) == [{"waiting": 10_001}]
    assert [pause.id for pause in await scene.sign_in()] == [mine.id]
    assert await at.rows(versions) == [{"waiting": 10_000}]


def crowd(tx: Transaction, like: Pause, many: int) -> None:
    """So many steps of as many people wait beside this one."""
    for batch in rows.chunks(range(many)):
        values = [{"id": f"pse_{n:06}", "user": f"usr_{n:06}", "step": f"x{n}"} for n in batch]
        lines, named = rows.valued(
            "({id}, :project, :key, :decision, :connector, {user}, 'r-0', {step}, 'waiting',"
            " 'user', 0, 1, :at, :at)",
            values,
        )
        tx.run(
            f"""
            INSERT INTO pauses (id, project_id, key_id, decision_id, connector_id, user_id,
                                execution, step, state, run_as, cycles, version, created_at,
                                changed_at)
            VALUES {lines}
            """,
            project=like.project,
            key=like.key,
            decision=like.decision,
            connector=like.connector,
            at=like.created_at,
            **named,
        )
