"""Who a step that waited runs as: whoever it waited for, unless an administrator said a word."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from broker.domain.clock import MINUTE, SECOND
from broker.domain.connectors import Connector
from broker.domain.errors import Forbidden
from broker.domain.pauses import State
from broker.domain.users import User
from broker.service.answering import Answer
from broker.service.explaining import Explaining
from tests.clocks import MovableClock
from tests.scene import Scene
from tests.stepping import ANA, DEAD, ENGINE, FALLBACK, KIM, OFF, PAUSE, World, asked
from tests.watching import Watched

SILENT = 5 * MINUTE + SECOND


async def namesake(scene: Scene) -> User:
    """Somebody else, signed in, who has the person's name from now on."""
    profile = replace(scene.user.profile, user_name="kim.before@acme.example")
    await scene.at.change(scene.user, profile=profile)
    other = await scene.at.person(KIM)
    await scene.at.connect(scene.connector, other, as_user=ANA)
    return other


async def renamed(at: World, connector: Connector) -> Connector:
    """The connector is called otherwise now, and another one has its name."""
    sql = "UPDATE connectors SET name = 'Old', name_key = 'old', taken_name = 'old' WHERE id = :id"
    await at.db.write(lambda tx: tx.run(sql, id=connector.id))
    return await at.connector(connector.name, **PAUSE)


async def again(scene: Scene, **more: object) -> Answer:
    """The question of the step, asked once more."""
    return await scene.at.resolving.resolve(scene.engine, asked({"user_name": KIM}, **more))


def runs_as(answer: Answer) -> str:
    """Whose id the step runs as."""
    assert answer.run_as is not None
    assert answer.run_as.user is not None
    return answer.run_as.user.id


async def test_p4_a_claim_is_for_whom_the_step_waited(scene: Scene) -> None:
    """P4, R15, safety 23: a claim runs as the person who signed in, not as whoever has their name
    by now; and what it is asked again, by the same attempt, is about them too.
    """
    pause = await scene.wait()
    await scene.sign_in()
    await namesake(scene)
    claim = await scene.claim(pause)
    assert (claim.answer.decision.row, runs_as(claim.answer)) == ("F6", scene.user.id)


async def test_safety_23_one_decision_is_about_one_person(scene: Scene, at: World) -> None:
    """Safety 23: the same attempt never runs as two people, and `explain` says the same; a later
    attempt is about whoever has the name then; somebody unknown at first is looked up again (F19).
    """
    scene = replace(scene, engine=await at.key(*ENGINE, "explain"))
    early = asked({"user_name": "not.yet@acme.example"}, step="early")
    assert (await at.resolving.resolve(scene.engine, early)).decision.row == "F19"
    await scene.sign_in()
    assert runs_as(await again(scene)) == scene.user.id
    other = await namesake(scene)
    assert runs_as(await again(scene)) == scene.user.id
    assert runs_as(await again(scene, attempt=2)) == other.id
    explained = await Explaining(at.resolving).explain(scene.engine, asked({"user_name": KIM}), {})
    assert explained.sight.user is not None
    assert explained.sight.user.id == scene.user.id
    arrived = await at.person("not.yet@acme.example")
    await at.connect(scene.connector, arrived, as_user=ANA)
    assert runs_as(await at.resolving.resolve(scene.engine, early)) == arrived.id


async def test_safety_23_one_decision_is_about_one_connector(scene: Scene, at: World) -> None:
    """P4, safety 22, 23: a connector that was renamed is still the one the step waited for, for a
    claim and for the same attempt; a key that is not for its present name gets neither.
    """
    limited = await at.key(connectors=["Salesforce"])
    theirs = await at.resolving.resolve(limited, asked({"user_name": KIM}, step="theirs"))
    pause, other = await scene.wait(), await scene.wait(step="other")
    await scene.sign_in()
    await renamed(at, scene.connector)
    claim = await scene.claim(pause)
    assert (claim.answer.decision.row, runs_as(claim.answer)) == ("F6", scene.user.id)
    answer = await again(scene, step="other")
    assert (answer.decision.row, (await scene.now(other)).state) == ("F6", State.CANCELLED)
    assert (await again(scene, step="other", attempt=2)).decision.row == "F11"
    assert theirs.pause is not None
    for refused in (
        at.pausing.claim(limited, theirs.pause.id),
        at.resolving.resolve(limited, asked({"user_name": KIM}, step="theirs")),
    ):
        with pytest.raises(Forbidden):
            await refused


async def test_p1_nobody_is_shown_the_pause_of_another(scene: Scene, at: World) -> None:
    """P1, R7: who asks for a waiting step for another person gets a word and no pause of theirs; a
    later attempt of its own key ends it, and the step waits for that person.
    """
    pause = await scene.wait()
    other = await at.person("other@acme.example")
    request = asked({"user_id": other.id})
    answer = await at.resolving.resolve(await at.key(), request)
    assert (answer.decision.row, answer.pause, answer.credential) == ("P1", None, None)
    later = await at.resolving.resolve(scene.engine, replace(request, attempt=2))
    assert later.pause is not None
    assert (later.decision.row, later.pause.user) == ("F11", other.id)
    assert (await scene.now(pause)).reason == "later-attempt"


async def test_safety_22_what_waits_elsewhere_is_in_nobodys_way(scene: Scene, at: World) -> None:
    """P1, safety 22: what another key opened at another connector is shown to nobody here, and
    keeps no step from running.
    """
    await at.connector("Second", **PAUSE)
    limited = await at.key(connectors=["Second"])
    theirs = await at.resolving.resolve(limited, asked({"user_name": KIM}, connector="second"))
    assert theirs.decision.row == "F11"
    answer = await again(scene)
    assert (answer.decision.row, answer.decision.reason, answer.pause) == ("P1", "pause-open", None)
    await scene.sign_in()
    assert (await again(scene)).decision.row == "F6"
    assert theirs.pause is not None
    assert (await scene.now(theirs.pause)).state is State.WAITING


@pytest.mark.parametrize("claimed", [False, True])
async def test_p8_a_revoked_key_strands_no_step(
    scene: Scene, at: World, clock: MovableClock, claimed: bool
) -> None:
    """P1, P8, safety 24, 26: what a revoked key waits for gives way to a living key that asks; what
    it had claimed once the claim is taken back. The audit says so.
    """
    pause = await scene.wait()
    await scene.sign_in()
    if claimed:
        await scene.claim(pause)
    await at.revoke(scene.engine)
    successor = replace(scene, engine=await at.key())
    if claimed:
        assert (await again(successor)).decision.row == "P4"
        clock.advance(SILENT)
        await at.pausing.recover()
    assert (await again(successor)).decision.row == "F6"
    assert (await scene.now(pause)).reason == "key-revoked"
    [line] = await at.rows("SELECT actor, target FROM audit WHERE action = 'pause.cancelled'")
    assert line == {"actor": f"key:{successor.engine.id}", "target": pause.id}


@pytest.mark.parametrize("robot", [{}, DEAD], ids=["usable", "dead"])
async def test_p13_no_policy_moves_who_waits(
    scene: Scene, at: World, robot: dict[str, Any]
) -> None:
    """P13, R14, R15: while the step waits the same question is answered with its pause, whatever
    the policy and the connector user are by now; a later attempt is looked at afresh.
    """
    await at.connect(scene.connector, None, **robot)
    pause = await scene.wait()
    await at.setting(scene.connector, **FALLBACK)
    answer = await again(scene)
    assert (answer.decision.row, answer.decision.outcome, answer.run_as) == ("P1", "pause", None)
    assert (answer.pause, answer.credential) == (pause, None)
    assert (await scene.now(pause)).state is State.WAITING
    assert (await again(scene, attempt=2)).decision.row == ("F18a" if robot else "F9")


async def test_p12_a_switched_off_person_waits_for_a_word(scene: Scene, at: World) -> None:
    """P12, P13: ready, and then the person was switched off: the step becomes nobody else's; its
    pause stays ready and says why, until an administrator lets it go.
    """
    await at.connect(scene.connector, None)
    pause = await scene.wait()
    await scene.sign_in()
    await at.setting(scene.connector, **FALLBACK)
    await at.change(scene.user, user_authentication=False)
    claim = await scene.claim(pause)
    assert (claim.token, claim.answer.decision.row) == (None, "P1")
    assert claim.answer.decision.reason == "user-not-enabled"
    assert (await scene.now(pause)).state is State.READY
    await at.pausing.override(await at.administrator(), pause.id, "left the team")
    assert (await scene.claim(pause)).answer.decision.row == "P12"


async def test_p14_nobody_waits_where_nobody_can_sign_in(scene: Scene, at: World) -> None:
    """P6, P14: a step that failed after user authentication was switched off ends; it neither waits
    for a sign-in that cannot come nor becomes the connector user's.
    """
    pause = await scene.wait()
    await scene.sign_in()
    token = (await scene.claim(pause)).token
    await at.setting(scene.connector, **OFF | {"user_authentication": False})
    assert token is not None
    now = await at.pausing.result(scene.engine, pause.id, token, "failed")
    assert (now.state, now.reason) == (State.FAILED, "user-authentication-off")


async def test_p12_a_release_is_for_one_claim(scene: Scene, at: World, clock: MovableClock) -> None:
    """P8, P12: a released step whose claim fell silent counts on its person again."""
    await at.connect(scene.connector, None)
    pause = await scene.wait()
    await at.pausing.override(await at.administrator(), pause.id, "on leave")
    assert (await scene.claim(pause)).answer.decision.row == "P12"
    clock.advance(SILENT)
    await at.pausing.recover()
    claim = await scene.claim(pause)
    assert (claim.answer.decision.row, claim.token) == ("F11", None)
    assert (await scene.now(pause)).state is State.WAITING


async def test_p4_a_claim_asks_for_the_identity_alone(scene: Scene) -> None:
    """P4, safety 22: a claim that wants no credential gets none, and its line says so."""
    pause = await scene.wait()
    await scene.sign_in()
    claim = await scene.at.pausing.claim(scene.engine, pause.id, credential=False)
    assert claim.token is not None
    assert (runs_as(claim.answer), claim.answer.credential) == (scene.user.id, None)
    assert not await scene.at.rows("SELECT * FROM decision_lines WHERE credential = 1")


async def test_p4_a_claim_takes_the_decision_first(scene: Scene, at: World) -> None:
    """P4: a claim locks as a question does, the decision, then the person, then the pause, so that
    neither waits for the other in a ring.
    """
    pause = await scene.wait()
    await scene.sign_in()
    watched = Watched(at.db)
    await replace(at.pausing, db=watched).claim(scene.engine, pause.id)
    found = [next(word for word in each.sql.split() if word in TABLES) for each in watched.asked]
    assert (
        found.index("decisions") < found.index("users") < len(found) - found[::-1].index("pauses")
    )


TABLES = {
    *("decisions", "decision_lines", "users", "pauses", "tokens", "connectors"),
    *("api_keys", "events", "audit", "protected_fields"),
}
