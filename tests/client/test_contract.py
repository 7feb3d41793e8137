"""What a caller may rely on, held against the service and against the fake alike."""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qs, urlsplit

import pytest

from broker.client import (
    Asked,
    Event,
    Identity,
    Invalid,
    NotEvaluated,
    Parked,
    Pause,
    Paused,
    PauseState,
    Pending,
    Performed,
    Reason,
    Refused,
    Resolved,
    Step,
    Subject,
    Wrong,
)
from tests.broker.web.rehearsing import BELA, KIM
from tests.client.stages import LOGON, RETURN_URL, ROWS, SUFFIX, Stage, step


async def paused(on: Stage, id: str = "s1") -> Pause:
    """A step that waits for Kim."""
    await on.policy("pause")
    answer = await on.broker.resolve(step(id))
    assert isinstance(answer, Paused)
    assert answer.pause is not None
    return await on.broker.pause(answer.pause.id)


async def test_a_step_runs_as_the_person(stage: Stage) -> None:
    """F6: who it is, with which account and which short-lived credential; asking again is the same
    decision, looked at afresh, and the token stands in no `repr`.
    """
    await stage.signs_in()
    answer = await stage.broker.resolve(step())
    again = await stage.broker.resolve(step())
    assert isinstance(answer, Resolved)
    assert (answer.row, answer.run_as.kind, answer.fallback) == ("F6", Identity.USER, False)
    assert (answer.run_as.user_id, answer.run_as.user_name) == (stage.kim, KIM.user_name)
    assert answer.act.on_behalf_of == stage.kim
    assert (again.decision_id, again.version) == (answer.decision_id, answer.version + 1)
    assert answer.credential is not None
    assert answer.credential.expires_at is not None
    assert answer.credential.expires_at.tzinfo is not None
    assert answer.credential.access_token not in repr(answer)
    unnamed = await stage.broker.resolve(step("s2", credential=False))
    assert isinstance(unnamed, Resolved)
    assert unnamed.credential is None


@pytest.mark.parametrize("policy", ROWS)
async def test_nobody_can_be_asked(stage: Stage, policy: str) -> None:
    """F9 to F12: the connector user with a fallback, and its warning; a pause; or the end."""
    await stage.policy(policy)
    answer = await stage.broker.resolve(step())
    assert answer.row == ROWS[policy]
    match answer:
        case Resolved(run_as=who, fallback=True, warning=warning):
            assert (who.kind, who.user_id) == (Identity.CONNECTOR, None)
            assert (warning is None) is (policy == "fallback")
            assert warning is None or (warning.execution_id, warning.step_id) == ("r-1", "s1")
        case Paused(status=status, pause=Parked() as pause):
            assert (policy, status, pause.state) == ("pause", "Authentication needed", "waiting")
        case Refused(reason=reason, word=word, message=message):
            assert policy == "end_with_error"
            assert (reason, word) == (Reason.USER_AUTH_REQUIRED, "user-auth-required")
            assert message
        case _:
            pytest.fail(f"{answer} under {policy}")


async def test_somebody_is_there_to_be_asked(stage: Stage) -> None:
    """F8: the link of the one person; after the sign-in the same question runs."""
    answer = await stage.broker.resolve(step(interactive=True))
    assert isinstance(answer, Asked)
    assert answer.link.url.startswith("http")
    await stage.signs_in()
    assert (await stage.broker.resolve(step(interactive=True))).row == "F6"


async def test_whom_nobody_knows_or_who_is_not_active(stage: Stage) -> None:
    """F2, F15, F19: never somebody else in their place."""
    await stage.policy("pause")
    asked = {
        "F2": Subject(user_name=BELA.user_name),
        "F15": None,
        "F19": Subject(user_name="nobody@acme.example"),
    }
    for row, subject in asked.items():
        answer = await stage.broker.resolve(step(row, subject=subject))
        assert isinstance(answer, Refused)
        assert answer.row == row


async def test_an_attempt_is_one_question(stage: Stage) -> None:
    """Safety 23: another question under the same attempt is refused, in words."""
    await stage.broker.resolve(step())
    with pytest.raises(Wrong) as refused:
        await stage.broker.resolve(step(subject=None))
    assert (refused.value.code, refused.value.problem.status) == ("decision-conflict", 422)
    assert not refused.value.problem.retryable


async def test_a_batch_answers_in_order(stage: Stage) -> None:
    """Answers stand where their questions stood; behind the stop nothing is evaluated."""
    await stage.policy("pause")
    stranger = Subject(user_name="nobody@acme.example")
    steps = [step("s1", subject=stranger), step("s2"), step("s3", attempt=0), step("s4")]
    batch = await stage.broker.batch(steps)
    kinds = [type(item) for item in batch.items]
    assert kinds == [Refused, Paused, Invalid, Paused]
    assert batch.worst == 2
    stopped = await stage.broker.batch(steps[:3], stop="on_pause")
    assert [type(item) for item in stopped.items] == [Refused, Paused, NotEvaluated]


async def test_why_an_answer_would_be(stage: Stage) -> None:
    """Explain names the row that resolve would answer with, and keeps nothing."""
    await stage.policy("pause")
    why = await stage.broker.explain(step())
    assert (why.row, why.outcome) == ("F11", "pause")
    assert why.trace
    assert [pause async for pause in stage.broker.pauses()] == []


async def test_a_pause_ends_with_the_sign_in(stage: Stage) -> None:
    """P1, P2, P4, P5: held until the person signs in; claimed by one of many, run, resumed."""
    pause = await paused(stage)
    assert (pause.state, pause.step, pause.user_id) == (PauseState.WAITING, "s1", stage.kim)
    with pytest.raises(Wrong) as early:
        await stage.broker.claim(pause.id)
    assert early.value.code == "pause-waiting"
    held = asyncio.create_task(stage.broker.wait(pause, 30))
    await stage.signs_in()
    assert (await held).state is PauseState.READY
    claims = await asyncio.gather(
        *(stage.broker.claim(pause.id) for _ in range(4)), return_exceptions=True
    )
    [claim] = [one for one in claims if not isinstance(one, BaseException)]
    assert all(isinstance(one, Wrong) for one in claims if one is not claim)
    assert isinstance(claim.answer, Resolved)
    assert (claim.answer.row, claim.answer.decision_id) == ("F6", pause.decision_id)
    await stage.broker.result(claim, "ran")
    assert (await stage.broker.pause(pause.id)).state is PauseState.RESUMED
    with pytest.raises(Wrong) as late:
        await stage.broker.result(claim, "ran")
    assert late.value.code == "claim-outdated"


async def test_a_step_that_failed_waits_again(stage: Stage) -> None:
    """P6: `failed` sends it back, and it counts."""
    pause = await paused(stage)
    await stage.signs_in()
    await stage.broker.result(await stage.broker.claim(pause.id), "failed")
    now = await stage.broker.pause(pause.id)
    assert (now.state, now.reason, now.cycles) == (PauseState.WAITING, "step-failed", 1)


async def test_a_wait_that_ends(stage: Stage) -> None:
    """After its time a wait answers with the pause as it stands."""
    pause = await paused(stage)
    assert await stage.broker.wait(pause, 0.2) == pause


async def test_ends_of_a_pause(stage: Stage) -> None:
    """P10, P11: ended, cancelled, and over with the person; each found by its state."""
    ended, cancelled, lost = [await paused(stage, id) for id in ("s1", "s2", "s3")]
    assert (await stage.broker.end(ended.id)).state is PauseState.FAILED
    assert (await stage.broker.cancel(cancelled.id)).state is PauseState.CANCELLED
    await stage.suspends()
    assert (await stage.broker.pause(lost.id)).state is PauseState.CANCELLED
    found = [one.id async for one in stage.broker.pauses(PauseState.CANCELLED, user_id=stage.kim)]
    assert found == [cancelled.id, lost.id]
    assert [one async for one in stage.broker.pauses(PauseState.WAITING)] == []


async def test_what_is_missing_is_missing(stage: Stage) -> None:
    """Safety 3: one answer for what is not there; also behind an id that is no id."""
    for id in ("pse_MISSING", "../../healthz", "a/b?c#d"):
        with pytest.raises(Wrong) as missing:
            await stage.broker.pause(id)
        assert missing.value.problem.status == 404


async def test_the_feed_goes_on_where_it_stopped(stage: Stage) -> None:
    """Events in order without a gap; who keeps one number gets the rest, also what comes later."""
    pause = await paused(stage)
    seen: list[Event] = []

    async def follow(after: int, count: int) -> None:
        async for event in stage.broker.events("pause.*", after=after):
            seen.append(event)
            if len(seen) == count:
                return

    await asyncio.wait_for(follow(0, 1), 10)
    later = asyncio.create_task(follow(seen[0].sequence, 2))
    await stage.signs_in()
    await asyncio.wait_for(later, 10)
    assert [event.type for event in seen] == ["pause.waiting", "pause.ready"]
    assert seen[0].sequence < seen[1].sequence
    assert {event.data["pause"] for event in seen} == {pause.id}


async def test_who_proves_to_be_whom(stage: Stage) -> None:
    """R82, R93, R95, R97, R98: evidence of the expected person passes, exactly in case, once."""
    token = await stage.id_token()
    passed = await stage.broker.authenticate(expected={SUFFIX: LOGON}, id_token=token)
    assert isinstance(passed, Performed)
    assert (passed.passed, passed.logons) == (True, {SUFFIX: LOGON})
    assert (passed.name, passed.user_id, passed.unmapped) == ("Lee^Kim", stage.kim, ())
    assert passed.signature
    failed = await stage.broker.authenticate(
        expected={SUFFIX: LOGON.upper()}, id_token=await stage.id_token()
    )
    assert isinstance(failed, Performed)
    assert (failed.passed, failed.reason) == (False, "expected_user_mismatch")
    used = await stage.broker.authenticate(expected={SUFFIX: LOGON}, id_token=token)
    assert isinstance(used, Performed)
    assert (used.passed, used.reason, used.logons) == (False, "evidence_used", {SUFFIX: LOGON})


async def test_a_person_signs_in_for_an_action(stage: Stage) -> None:
    """R82: pending with a link, held until the person signed in, read again by its coupon."""
    pending = await stage.broker.authenticate(expected={SUFFIX: LOGON})
    assert isinstance(pending, Pending)
    assert await stage.broker.action(pending.coupon, timeout_s=0.2) != pending  # without its link
    held = asyncio.create_task(stage.broker.action(pending.coupon, timeout_s=20))
    assert await stage.proves(pending) is None
    done = await held
    assert isinstance(done, Performed)
    assert (done.passed, done.coupon) == (True, pending.coupon)
    with pytest.raises(Wrong) as unknown:
        await stage.broker.action(pending.coupon + 1000)
    assert unknown.value.problem.status == 404


async def test_the_code_comes_back_with_the_browser(stage: Stage) -> None:
    """Safety 29: without an expected logon an action ends with the code at the return URL."""
    pending = await stage.broker.authenticate(suffixes=[SUFFIX], return_url=RETURN_URL)
    assert isinstance(pending, Pending)
    back = await stage.proves(pending)
    assert back is not None
    assert back.startswith(f"{RETURN_URL}?")
    carried = {name: values[0] for name, values in parse_qs(urlsplit(back).query).items()}
    assert carried["coupon"] == str(pending.coupon)
    assert isinstance(await stage.broker.action(pending.coupon), Pending)
    with pytest.raises(Wrong) as refused:
        await stage.broker.action(pending.coupon, code="another")
    assert refused.value.code == "wrong-code"
    done = await stage.broker.action(pending.coupon, code=carried["code"])
    assert isinstance(done, Performed)
    assert done.logons == {SUFFIX: LOGON}


async def test_nobody_passes_once_they_are_suspended(stage: Stage) -> None:
    """Safety 8, R94: neither by evidence from before, nor by a sign-in, nor by the code it brought;
    and a Pass that was told is a Fail from then on.
    """
    told = await stage.broker.authenticate(id_token=await stage.id_token())
    assert isinstance(told, Performed)
    assert told.passed
    token, pending = await stage.id_token(), await stage.broker.authenticate(return_url=RETURN_URL)
    assert isinstance(pending, Pending)
    carried = parse_qs(urlsplit(await stage.proves(pending) or "").query)
    await stage.suspends()
    for answer in (
        await stage.broker.action(told.coupon),
        await stage.broker.action(pending.coupon, code=carried["code"][0]),
        await stage.broker.authenticate(id_token=token),
    ):
        assert isinstance(answer, Performed)
        assert (answer.passed, answer.reason, answer.name) == (False, "user_not_active", "")


async def test_somebody_is_expected_or_there_is_a_way_back(stage: Stage) -> None:
    """Safety 29: a link that anybody could complete, for anybody, is not made."""
    for expected in (None, {SUFFIX: ""}):
        with pytest.raises(Wrong) as refused:
            await stage.broker.authenticate(expected=expected)
        assert (refused.value.problem.status, refused.value.code) == (422, "expected-logon-needed")


async def test_links_and_sessions(stage: Stage) -> None:
    """A link for one person, and a one-time address for their browser (safety 16)."""
    link = await stage.broker.link(stage.kim, "Salesforce", scopes=["api"])
    assert link.url.endswith(link.id)
    session = await stage.broker.connect_session(stage.kim, link.id)
    assert session.startswith("http")
    assert session != link.url


async def test_a_refused_credential_is_reported(stage: Stage) -> None:
    """K11: a report says what came of it; of a decision that is not there it is refused."""
    await stage.signs_in()
    answer = await stage.broker.resolve(step())
    assert await stage.broker.rejected(answer.decision_id, answer.version) == "expired"
    with pytest.raises(Wrong):
        await stage.broker.rejected("dec_MISSING")


async def test_every_question_is_one_the_service_reads(stage: Stage) -> None:
    """A step with everything said is a question like any other."""
    full = Step(
        connector="Salesforce",
        id="s1",
        type="retrieve_data",
        execution="r-1",
        subject=Subject(user_id=stage.kim),
        flow="close-contract",
        attempt=2,
        scopes=("api",),
        interactive=True,
        credential=False,
    )
    assert isinstance(await stage.broker.resolve(full), Asked)
