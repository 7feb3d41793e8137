"""AuthenticateUser without evidence: a person signs in, and nobody else completes it."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from broker.domain.actions import State
from broker.domain.callers import Caller
from broker.domain.clock import MINUTE, SECOND
from broker.domain.errors import Conflict, Forbidden, Invalid, NotFound, Unknown
from broker.domain.users import Status
from broker.service.acting import ActionAnswer, ActionRequest
from broker.store import actions
from tests.clocks import MovableClock
from tests.proof import NAME, STATUS, known, logon
from tests.stepping import PUBLIC_URL, World

RETURN_URL = "https://engine.example/back?flow=7"
EHR = "AuthenticateUser.In.ExpectedUserLogon.EHR"


@pytest.fixture
async def engine(at: World) -> Caller:
    """A key with one registered return URL."""
    return await at.key(return_urls=(RETURN_URL,))


def asked(expected: str = "ksmith", **more: Any) -> ActionRequest:
    """A request without evidence."""
    body = {"items": {EHR: expected}, "evidence": {"type": "none"}, "suffixes": ["EHR"]}
    return ActionRequest.parse(body | more)


def link_of(answer: ActionAnswer) -> str:
    """The id of the link in a pending answer."""
    assert answer.url is not None
    assert answer.url.startswith(f"{PUBLIC_URL}/connect/lnk_")
    return answer.url.rpartition("/")[2]


async def test_pending_until_the_code_is_brought(at: World, engine: Caller) -> None:
    """R82, T9, safety 29: the person signs in, the browser carries the one-time code to the
    asker's registered return URL, and only the asker's call with that code completes it.
    """
    user = await known(at, held={"EHR": "ksmith"})
    answer = await at.authenticating.perform(engine, asked(return_url=RETURN_URL))
    assert answer.is_pending
    shown = answer.rendered()
    assert shown == {
        "actionCoupon": answer.action.coupon,
        "status": "pending",
        "version": 1,
        "authorization_url": answer.url,
        "expires_at": shown["expires_at"],
    }

    page = await at.authenticating.page(link_of(answer))
    assert (page.asker, page.returns_to, page.expects) == ("engine", "engine.example", ("ksmith",))
    proof = await at.authenticating.prove(link_of(answer), await at.session(user))
    back = urlsplit(proof.return_url or "")
    query = {name: value for name, [value] in parse_qs(back.query).items()}
    assert (back.netloc, query["flow"]) == ("engine.example", "7")
    assert int(query["coupon"]) == answer.action.coupon

    still = await at.authenticating.get(engine, answer.action.coupon)
    assert still.is_pending
    with pytest.raises(Forbidden):
        await at.authenticating.get(engine, answer.action.coupon, "another code")
    done = await at.authenticating.get(engine, answer.action.coupon, query["code"])
    assert done.rendered()["items"] == {
        STATUS: "Pass",
        logon("EHR"): "ksmith",
        NAME: "Lee^Kim",
    }
    again = await at.authenticating.get(engine, answer.action.coupon)
    assert again.rendered()["items"] == done.rendered()["items"]


async def test_without_a_return_url(at: World, engine: Caller) -> None:
    """Safety 29: without a return URL a logon is expected, the page names the asker, and the
    sign-in of that person completes the action.
    """
    user = await known(at, held={"EHR": "ksmith"})
    answer = await at.authenticating.perform(engine, asked())
    page = await at.authenticating.page(link_of(answer))
    assert (page.asker, page.returns_to, page.expects) == ("engine", None, ("ksmith",))
    proof = await at.authenticating.prove(link_of(answer), await at.session(user))
    assert proof.return_url is None
    done = (await at.authenticating.get(engine, answer.action.coupon)).rendered()
    assert done["items"][STATUS] == "Pass"
    assert done["managerSignature"]


async def test_somebody_else_signs_in(at: World, engine: Caller) -> None:
    """R83: another person than the expected one is a Fail that tells the proven logon."""
    user = await known(at, held={"EHR": "jdoe"})
    answer = await at.authenticating.perform(engine, asked())
    await at.authenticating.prove(link_of(answer), await at.session(user))
    done = (await at.authenticating.get(engine, answer.action.coupon)).rendered()
    assert done["items"] == {STATUS: "Fail", logon("EHR"): "jdoe"}
    assert done["reason"] == "expected_user_mismatch"


async def test_queued_person_signs_in(at: World, engine: Caller) -> None:
    """b.2: whoever is not active never passes, though they prove who they are."""
    user = await known(at, Status.QUEUED, held={"EHR": "ksmith"})
    answer = await at.authenticating.perform(engine, asked())
    await at.authenticating.prove(link_of(answer), await at.session(user))
    done = (await at.authenticating.get(engine, answer.action.coupon)).rendered()
    assert (done["items"][STATUS], done["reason"]) == ("Fail", "user_not_active")


async def test_where_a_person_may_be_sent_back(at: World, engine: Caller) -> None:
    """Safety 29: a return URL that is not the key's own is refused, character by character; and
    so is expecting nobody without one.
    """
    refusals = {
        "return-url-not-registered": [
            asked(return_url=RETURN_URL + "&x=1"),
            asked(return_url="https://engine.example.evil.example/back?flow=7"),
        ],
        "expected-logon-needed": [asked(""), asked(items={})],
    }
    for reason, requests in refusals.items():
        for request in requests:
            with pytest.raises(Invalid) as refused:
                await at.authenticating.perform(engine, request)
            assert refused.value.reason == reason
    assert await at.rows("SELECT * FROM actions") + await at.rows("SELECT * FROM links") == []


async def test_a_return_url_has_no_fragment(at: World) -> None:
    """RFC 6749 §3.1.2: the code would be put behind the fragment, where no server sees it."""
    with pytest.raises(Invalid) as refused:
        await at.key(return_urls=(RETURN_URL, f"{RETURN_URL}#top"))
    assert [problem.pointer for problem in refused.value.problems] == ["/return_urls"]


@pytest.mark.parametrize("returns", [True, False], ids=["by the code", "at once"])
async def test_whose_directory_was_deleted_does_not_pass(
    at: World, engine: Caller, returns: bool
) -> None:
    """Safety 12: a detached person cannot sign in through the deleted directory's issuer: their
    session proves nobody, and the answer is that of somebody unknown.
    """
    user = await known(at, held={"EHR": "ksmith"})
    answer = await at.authenticating.perform(
        engine, asked(return_url=RETURN_URL if returns else None)
    )
    session = await at.session(user)
    await at.change(user, detached_at=1, detached_issuer="https://login.acme.example")
    proof = await at.authenticating.prove(link_of(answer), session)
    code = parse_qs(urlsplit(proof.return_url or "").query).get("code", [None])[0]
    done = (await at.authenticating.get(engine, answer.action.coupon, code)).rendered()
    assert done["items"] == {STATUS: "Fail", logon("EHR"): "ksmith"}
    assert (done["reason"], done["user"]) == ("person_unknown", None)


async def test_who_proves_nothing(at: World, engine: Caller) -> None:
    """Safety 16, 28: a session a key vouched for, one that opens a link only, one from before the
    action, an administrator's and another project's complete nothing.
    """
    user = await known(at, held={"EHR": "ksmith"})
    before = await at.session(user)
    answer = await at.authenticating.perform(engine, asked())
    link = link_of(answer)
    other = await at.elsewhere()
    stranger = await other.session(await other.person("kim@other.example"))
    refusals: list[tuple[Caller, type[Exception]]] = [
        (await at.session(user, asserted_by=engine.id), Forbidden),
        (await at.session(user, link_id=link), Forbidden),
        (before, Conflict),
        (await at.administrator(), Unknown),
        (stranger, Unknown),
    ]
    for caller, refusal in refusals:
        with pytest.raises(refusal):
            await at.authenticating.prove(link, caller)
    assert (await at.authenticating.get(engine, answer.action.coupon)).is_pending


async def test_link_counts_once(at: World, engine: Caller) -> None:
    """Safety 29, K3: a link completes its action once; afterwards it says that it is over."""
    user = await known(at, held={"EHR": "ksmith"})
    link = link_of(await at.authenticating.perform(engine, asked()))
    session = await at.session(user)
    await at.authenticating.prove(link, session)
    for attempt in (at.authenticating.prove(link, session), at.authenticating.page(link)):
        with pytest.raises(Conflict) as refused:
            await attempt
        assert refused.value.reason == "link-over"


async def test_only_the_asker_reads_it(at: World, engine: Caller) -> None:
    """Safety 3, 30: another key, another project and a coupon nobody has hear the same."""
    coupon = (await at.authenticating.perform(engine, asked())).action.coupon
    other = await at.elsewhere()
    words = set()
    for caller, place, number in (
        (await at.key(), at, coupon),
        (await other.key(), other, coupon),
        (engine, at, coupon + 1),
    ):
        with pytest.raises(NotFound) as refused:
            await place.authenticating.get(caller, number)
        words.add((str(refused.value), refused.value.reason, refused.value.next))
    assert len(words) == 1


async def test_time_runs_out(at: World, engine: Caller, clock: MovableClock) -> None:
    """R87: an action lives 15 minutes; then it is gone, its link leads nowhere, and nothing is
    kept of what was expected.
    """
    user = await known(at, held={"EHR": "ksmith"})
    answer = await at.authenticating.perform(engine, asked())
    clock.advance(15 * MINUTE + SECOND)
    with pytest.raises(NotFound):
        await at.authenticating.get(engine, answer.action.coupon)
    with pytest.raises(Conflict):
        await at.authenticating.prove(link_of(answer), await at.session(user))
    await at.authenticating.sweep()
    assert await at.rows("SELECT * FROM actions") == []


async def test_nothing_stays_as_context(at: World, engine: Caller) -> None:
    """R87: once it is answered, what was asked is erased, and no event tells anybody."""
    user = await known(at, held={"EHR": "ksmith"})
    answer = await at.authenticating.perform(engine, asked())
    await at.authenticating.prove(link_of(answer), await at.session(user))
    [kept] = await at.rows("SELECT request, code_hash, state FROM actions")
    assert kept == {"request": "{}", "code_hash": None, "state": State.DONE}
    assert await at.rows("SELECT * FROM events") == []
    said = str(await at.rows("SELECT detail FROM audit"))
    assert "ksmith" not in said


async def test_suspended_before_the_code_came(at: World, engine: Caller) -> None:
    """Safety 8, R94, R96: a person who is suspended before the asker brings the code completes
    nothing; the answer is a Fail with what was expected, signed like any other.
    """
    user = await known(at, held={"EHR": "ksmith"})
    answer = await at.authenticating.perform(engine, asked(return_url=RETURN_URL))
    proof = await at.authenticating.prove(link_of(answer), await at.session(user))
    [code] = parse_qs(urlsplit(proof.return_url or "").query)["code"]
    await at.db.write(actions.end_all, at.project, user.id)
    over = await at.authenticating.get(engine, answer.action.coupon, code)
    assert over.rendered()["items"] == {STATUS: "Fail", logon("EHR"): "ksmith"}
    assert over.rendered()["reason"] == "user_not_active"
    assert over.signature


async def test_waits_for_nobody(at: World, engine: Caller) -> None:
    """T9: asked to answer at once and without evidence, it fails at once: never Pass without
    proof, and no link.
    """
    await known(at, held={"EHR": "ksmith"})
    answer = await at.authenticating.perform(engine, asked(mode="sync"))
    assert answer.rendered()["items"] == {STATUS: "Fail", logon("EHR"): "ksmith"}
    assert answer.rendered()["reason"] == "not_authenticated"
    assert await at.rows("SELECT * FROM links") == []
