"""R82 to R103, safety 28 to 31, T9 and T10: AuthenticateUser by JSON and by the CCOW form."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from broker.demo.people import USER
from broker.demo.simulator import Simulator
from broker.domain import xpn
from broker.domain.clock import MINUTE, SECOND
from broker.service.signing import canonical
from tests.broker.service import outside
from tests.broker.web.performing import (
    NAME,
    RETURN_URL,
    STATUS,
    Asker,
    asking,
    code_of,
    expected,
    logon,
)
from tests.broker.web.rehearsing import AMARA, BELA, KIM
from tests.clocks import MovableClock
from tests.detached import is_signed
from tests.engines import PostgresEngine
from tests.faces import faces
from tests.waiting import until

EHR, LAB = expected("EHR"), expected("Lab")


@pytest.fixture(scope="module")
def pretend() -> Iterator[Simulator]:
    """The identity provider of all these tests."""
    with outside.running() as simulator:
        yield simulator


@pytest.fixture(params=[("json", "sqlite"), ("form", "postgres")], ids=["json", "form"])
async def asker(
    request: pytest.FixtureRequest, pretend: Simulator, tmp_path: Path, clock: MovableClock
) -> AsyncIterator[Asker]:
    """A program that asks by JSON, and one that asks by the form; below them is one engine of
    actions, and of databases both.
    """
    kind, engine = request.param
    with request.getfixturevalue(f"{engine}_engine").database(tmp_path) as url:
        async with asking(url, kind, pretend, clock) as made:
            yield made


async def rows(asker: Asker, sql: str, **named: str) -> list[dict[str, object]]:
    """What the database holds."""
    broker = asker.rehearsal.service.broker
    return [dict(row) for row in await broker.db.read(lambda tx: tx.all(sql, **named))]


async def test_r82_an_application_can_ask(asker: Asker) -> None:
    """R82: Pass with proof, Fail without it, pending where a person is waited for."""
    await asker.knows(KIM, EHR="ksmith")
    passed = await asker.perform({EHR: "ksmith"}, token=asker.token(KIM))
    assert (passed.status, passed.items[STATUS], passed.reason) == (200, "Pass", None)
    failed = await asker.perform({EHR: "ksmith"})
    assert (failed.status, failed.items[STATUS]) == (200, "Fail")
    assert failed.reason == "not_authenticated"
    waiting = await asker.pending({EHR: "ksmith"})
    assert str(waiting.url).startswith("http://127.0.0.1:8080/connect/lnk_")
    assert (await asker.agree(waiting, KIM)).status_code == 200
    assert (await asker.get(waiting.coupon)).items[STATUS] == "Pass"


async def test_r83_it_may_name_the_expected_logon(asker: Asker) -> None:
    """R83: proven, but not the one who is expected: Fail, with the proven logon."""
    await asker.knows(KIM, EHR="ksmith")
    failed = await asker.perform({EHR: "jdoe"}, token=asker.token(KIM))
    assert failed.items == {STATUS: "Fail", logon("EHR"): "ksmith"}
    assert failed.reason == "expected_user_mismatch"


async def test_r84_nobody_in_particular(asker: Asker) -> None:
    """R84: left out and "" behave alike: any active person passes."""
    await asker.knows(KIM, EHR="ksmith")
    for items in (None, {}, {EHR: ""}):
        passed = await asker.perform(items, token=asker.token(KIM), suffixes=["EHR"])
        assert passed.items == {STATUS: "Pass", logon("EHR"): "ksmith", NAME: "Lee^Kim"}


async def test_r85_the_user_mapping_alone_maps(asker: Asker) -> None:
    """R85: expected in one application, answered in another, by the user-mapping table."""
    await asker.knows(KIM, EHR="ksmith", Lab="k.smith-7")
    passed = await asker.perform({EHR: "ksmith"}, token=asker.token(KIM), suffixes=["Lab"])
    assert passed.items[logon("Lab")] == "k.smith-7"
    assert passed.items[logon("EHR")] == "ksmith"


async def test_r86_r90_r91_discovery(asker: Asker) -> None:
    """R86, R90, R91: label, type Action, no dependencies, no mapping agent, action agent -11; and
    no other subject has to be set for it to be performed, whose coupon is never the agent's.
    """
    client = asker.rehearsal.service.client
    [subject] = (await client.get("/v1/actions", headers=asker.headers)).json()["subjects"]
    assert (subject["label"], subject["type"]) == ("AuthenticateUser", "Action")
    assert (subject["dependencies"], subject["synchronization"]) == ([], False)
    assert (subject["mapping_agent_coupon"], subject["action_agent_coupon"]) == (None, -11)
    assert (await asker.perform(token=asker.token(KIM))).coupon > 0


async def test_r87_nothing_is_kept_as_context(asker: Asker, clock: MovableClock) -> None:
    """R87: no event tells anybody, what was asked is erased with the answer, and after its time
    nothing can be read, by anybody.
    """
    await asker.knows(KIM, EHR="ksmith")
    before = await rows(asker, "SELECT id FROM events")
    done = await asker.perform({EHR: "ksmith"}, token=asker.token(KIM))
    waiting = await asker.pending({EHR: "ksmith"})
    await asker.agree(waiting, KIM)
    assert await rows(asker, "SELECT DISTINCT request FROM actions") == [{"request": "{}"}]
    assert await rows(asker, "SELECT id FROM events") == before
    clock.advance(15 * MINUTE + SECOND)
    assert [(await asker.get(one.coupon)).status for one in (done, waiting)] == [404, 404]
    await asker.rehearsal.service.broker.authenticating.sweep()
    assert await rows(asker, "SELECT * FROM actions") == []
    assert await rows(asker, "SELECT id FROM audit WHERE detail LIKE :it", it="%ksmith%") == []


async def test_r88_asking_needs_a_credential(asker: Asker) -> None:
    """R88: without the key, or with a wrong one, 401 and nothing else; the scope counts too."""
    for credential in ("", "Bearer brk_x_y", f"Bearer {asker.scim_token}", "Basic eDp5"):
        stranger = replace(asker, headers={"Authorization": credential} if credential else {})
        for refused in (await stranger.perform(), await stranger.get(1)):
            assert refused.status == 401
            assert refused.answer.headers["www-authenticate"].startswith("Bearer")
            assert refused.exception == ("AuthenticationFailed" if asker.kind == "form" else None)
    assert (await (await asker.other("resolve")).perform()).status == 403
    client = await asker.rehearsal.service.administrator()
    session = replace(asker, headers={"Sec-Fetch-Site": "same-origin"})
    assert (await session.perform({EHR: "x"}, mode="async")).status == 401  # an action is a key's
    client.cookies.clear()
    assert await rows(asker, "SELECT * FROM actions") == []


async def test_r89_performing_needs_a_credential(asker: Asker) -> None:
    """R89, safety 16: nobody, and nobody whom a program vouched for, answers in a person's name."""
    await asker.knows(KIM, EHR="ksmith")
    waiting = await asker.pending({EHR: "ksmith"})
    link = str(waiting.url)
    async with asker.rehearsal.browser() as browser:
        assert (await browser.post(link)).status_code == 401
        browser.cookies.set("broker", "made-up")
        assert (await browser.post(link)).status_code == 401
    async with asker.rehearsal.browser() as browser:
        asked = {"user_id": asker.rehearsal.id(KIM), "link": link.rpartition("/")[2]}
        made = await asker.rehearsal.post("/v1/connect-sessions", asked)
        assert made.status_code == 404
    assert (await asker.get(waiting.coupon)).status == 202


async def test_r92_r97_suffixes_are_kept(asker: Asker) -> None:
    """R92, R93, R97: the input's suffix is the output's, and case matters in what it holds."""
    suffixes = ("A", "a_b", "Ünï")
    await asker.knows(KIM, **dict.fromkeys(suffixes, "kSmith"))
    for suffix in suffixes:
        passed = await asker.perform({expected(suffix): "kSmith"}, token=asker.token(KIM))
        assert passed.items == {STATUS: "Pass", logon(suffix): "kSmith", NAME: "Lee^Kim"}
        failed = await asker.perform({expected(suffix): "ksmith"}, token=asker.token(KIM))
        assert failed.items == {STATUS: "Fail", logon(suffix): "kSmith"}


async def test_r93_ksmith_is_not_ksmith_in_capitals(asker: Asker) -> None:
    """R93: two people whose logons differ in case alone are two people."""
    await asker.knows(KIM, EHR="ksmith")
    await asker.knows(AMARA, EHR="Ksmith")
    for person, said in ((KIM, "ksmith"), (AMARA, "Ksmith")):
        passed = await asker.perform({EHR: said}, token=asker.token(person))
        assert (passed.items[STATUS], passed.items[logon("EHR")]) == ("Pass", said)
    crossed = await asker.perform({EHR: "Ksmith"}, token=asker.token(KIM))
    assert crossed.items == {STATUS: "Fail", logon("EHR"): "ksmith"}


async def test_r94_r95_every_answer_has_its_status(asker: Asker) -> None:
    """R94, R95: whatever is asked and proven, one output at least is set, and Status is exactly
    Pass or Fail.
    """
    await asker.knows(KIM, EHR="ksmith")
    used = asker.token(KIM)
    answers = [
        await asker.perform({EHR: "ksmith"}, token=used),
        await asker.perform({EHR: "ksmith"}, token=used),
        await asker.perform(token="a.b.c"),
        await asker.perform(token=asker.token(BELA)),
        await asker.perform(),
        await asker.perform({EHR: "ksmith"}, token=asker.token(KIM, age_s=600)),
    ]
    assert [one.items[STATUS] for one in answers] == ["Pass", *["Fail"] * 5]
    assert [one.reason for one in answers] == [
        *(None, "evidence_used", "evidence_issuer", "user_not_active"),
        *("not_authenticated", "evidence_expired"),
    ]


async def test_r96_the_logon_is_given_on_a_fail_too(asker: Asker) -> None:
    """R96: the proven logon where somebody was proven, else what was expected, as it was sent."""
    await asker.knows(KIM, EHR="ksmith")
    proven = await asker.perform({EHR: "jdoe"}, token=asker.token(KIM), suffixes=["EHR"])
    assert proven.items[logon("EHR")] == "ksmith"
    assert (await asker.perform({EHR: "jDoe"})).items[logon("EHR")] == "jDoe"
    await asker.knows(BELA, EHR="bszabo")
    invited = await asker.perform({EHR: "bszabo"}, token=asker.token(BELA))
    assert invited.items == {STATUS: "Fail", logon("EHR"): "bszabo"}


async def test_r98_r99_r100_the_name(asker: Asker) -> None:
    """R98 to R100: an XPN whose delimiters are escaped, on both routes the same; "" for a person
    without a name; compared without case.
    """
    named = {"familyName": "O|Neil^Smith", "givenName": "Kim&Co", "honorificPrefix": "Dr"}
    await renamed(asker, named)
    passed = await asker.perform(token=asker.token(KIM))
    assert passed.items[NAME] == "O\\F\\Neil\\S\\Smith^Kim\\T\\Co^^^Dr"
    assert xpn.same(passed.items[NAME], passed.items[NAME].upper())
    await renamed(asker, {})
    assert (await asker.perform(token=asker.token(KIM))).items == {STATUS: "Pass", NAME: ""}


async def renamed(asker: Asker, name: Mapping[str, str]) -> None:
    """The directory's next push of Kim has this name alone."""
    document = {"schemas": [USER], "userName": KIM.user_name, "externalId": KIM.external_id}
    answer = await asker.rehearsal.service.client.put(
        f"{asker.scim}/Users/{asker.rehearsal.id(KIM)}",
        json=document | {"name": dict(name)},
        headers={
            "Authorization": f"Bearer {asker.scim_token}",
            "Content-Type": "application/scim+json",
        },
    )
    assert answer.status_code == 200, answer.text


async def test_r101_item_names_in_any_case(asker: Asker) -> None:
    """R101: understood whatever their case, answered in the standard's own; LogOn as well."""
    await asker.knows(KIM, EHR="ksmith")
    stem = EHR.removesuffix("EHR")
    for name in (stem.lower(), stem.upper(), "AuthenticateUser.In.ExpectedUserLogOn."):
        passed = await asker.perform({f"{name}EHR": "ksmith"}, token=asker.token(KIM))
        assert passed.items == {STATUS: "Pass", logon("EHR"): "ksmith", NAME: "Lee^Kim"}


async def test_r102_unknown_items_are_refused(asker: Asker) -> None:
    """R102: UnknownItemName on both routes, for one item under two spellings too; nothing is
    performed, and the evidence is good for another call.
    """
    token = asker.token(KIM)
    for item in (STATUS, "AuthenticateUser.In.Password.EHR", "User.id.logon.EHR", "x", EHR.lower()):
        refused = await asker.perform({EHR: "ksmith", item: "x"}, token=token)
        assert refused.exception == "UnknownItemName"
        assert refused.status == (422 if asker.kind == "json" else 200)
    assert (await asker.perform(token=token)).items[STATUS] == "Pass"
    assert len(await rows(asker, "SELECT * FROM actions")) == 1


async def test_t9_never_pass_without_proof(asker: Asker) -> None:
    """T9, safety 28: no cookie, no session and no other key's evidence is proof."""
    await asker.knows(KIM, EHR="ksmith")
    client = asker.rehearsal.service.client
    async with asker.rehearsal.browser() as browser:
        waiting = await asker.pending({EHR: "ksmith"})
        link = str(waiting.url)
        await asker.rehearsal.sign_in(browser, f"/connect/{link.rpartition('/')[2]}", KIM)
        client.cookies.update(browser.cookies)
        assert (await asker.perform({EHR: "ksmith"})).items[STATUS] == "Fail"
        client.cookies.clear()
    bare = await asker.other("authenticate")
    refused = await bare.perform({EHR: "ksmith"}, token=asker.token(KIM))
    assert (refused.items[STATUS], refused.reason) == ("Fail", "evidence_issuer")


async def test_t10_safety_30_the_same_for_any_value(asker: Asker) -> None:
    """T10, safety 30: without proof, logons that exist and logons that do not are answered with the
    same bytes but for the value itself (the statements: tests/broker/service).
    """
    await asker.knows(KIM, EHR="ksmith")
    said = set()
    for value in ("ksmith", "nobody", "Ksmith"):
        found = await asker.perform({EHR: value}, suffixes=["EHR", "Lab"])
        assert found.items == {STATUS: "Fail", logon("EHR"): value}
        text = found.answer.text.replace(value, "").replace(found.signature, "")
        said.add((text.replace(str(found.coupon), "", 1), *found.answer.headers))
    assert len(said) == 1


async def test_safety_28_evidence_counts_once(asker: Asker) -> None:
    """Safety 28: two requests at once with one id_token: one Pass."""
    token = asker.token(KIM)
    both = await asyncio.gather(*(asker.perform(token=token) for _ in range(4)))
    assert sorted(one.items[STATUS] for one in both) == ["Fail", "Fail", "Fail", "Pass"]


async def test_safety_29_the_code_completes_it(asker: Asker) -> None:
    """Safety 29: the one-time code goes to the registered return URL; only the asker's call with it
    completes the action, once; without a return URL a logon has to be expected.
    """
    await asker.knows(KIM, EHR="ksmith")
    waiting = await asker.pending({EHR: "ksmith"}, return_url=RETURN_URL)
    back = await asker.agree(waiting, KIM)
    assert back.headers["location"].startswith(RETURN_URL + "&coupon=")
    assert (await asker.get(waiting.coupon)).status == 202
    assert (await asker.get(waiting.coupon, "guessed")).status == 403
    done = await asker.get(waiting.coupon, code_of(back))
    assert (done.status, done.items[STATUS]) == (200, "Pass")
    assert (await asker.get(waiting.coupon)).items == done.items
    for refused in (
        await asker.perform({}, mode="async"),
        await asker.perform({EHR: ""}, mode="async"),
        await asker.perform({EHR: "x"}, mode="async", return_url=RETURN_URL + "&x=1"),
        await asker.perform(token=asker.token(KIM), return_url=RETURN_URL + "&x=1"),
    ):
        assert refused.status == (422 if asker.kind == "json" else 200)
        assert (refused.exception == "GeneralFailure") is (asker.kind == "form")


async def test_safety_8_a_pass_ends_with_the_person(asker: Asker) -> None:
    """Safety 8: once the person is suspended neither their proof nor a Pass they had counts."""
    user = await asker.knows(KIM, EHR="ksmith")
    passed = await asker.perform({EHR: "ksmith"}, token=asker.token(KIM), suffixes=["EHR"])
    waiting = await asker.pending({EHR: "ksmith"}, return_url=RETURN_URL)
    code = code_of(await asker.agree(waiting, KIM))
    ended = await asker.rehearsal.post(f"/v1/users/{user}/suspend", {})
    assert ended.status_code == 200, ended.text
    for found in (await asker.get(passed.coupon), await asker.get(waiting.coupon, code)):
        assert found.items == {STATUS: "Fail", logon("EHR"): "ksmith"}
        assert found.reason == "user_not_active"
        assert found.signature


async def test_safety_30_only_the_asker_reads_it(asker: Asker) -> None:
    """Safety 3, 30: another key of the project, one of another project and a coupon nobody has hear
    the same.
    """
    coupon = (await asker.pending({EHR: "ksmith"})).coupon
    elsewhere = await asker.rehearsal.service.other_project()
    strangers = [await asker.other(), await asker.other(project=elsewhere)]
    refused = [await one.get(coupon) for one in strangers] + [await asker.get(coupon + 1)]
    assert {one.status for one in refused} == {404}
    assert len({one.answer.text.partition('"request_id"')[0] for one in refused}) == 1


async def test_answers_are_signed(asker: Asker) -> None:
    """b.2: Pass and Fail carry a detached JWS over coupon and items that a verifier of another make
    accepts with the published key, the same on both routes.
    """
    client = asker.rehearsal.service.client
    keys = (await client.get("/v1/actions", headers=asker.headers)).json()["keys"]
    for found in (await asker.perform(token=asker.token(KIM)), await asker.perform({EHR: "x"})):
        said = {"actionCoupon": found.coupon, "items": dict(found.items)}
        assert is_signed(canonical(said), found.signature, keys)
        forged = said | {"items": {**found.items, STATUS: "pass"}}
        assert not is_signed(canonical(forged), found.signature, keys)


async def test_waiting_for_a_person(asker: Asker) -> None:
    """api-conventions 2: with `Prefer: wait` an answer is held until the person has signed in; by
    JSON beside If-None-Match, which otherwise is a 304.
    """
    await asker.knows(KIM, EHR="ksmith")
    waiting = await asker.pending({EHR: "ksmith"})
    known = {"If-None-Match": waiting.answer.headers["etag"]} if asker.kind == "json" else {}
    held = asyncio.create_task(asker.get(waiting.coupon, **known, Prefer="wait=30"))
    holding = asker.rehearsal.service.broker.holding
    await until(lambda: holding._waiting)
    await asker.agree(waiting, KIM)
    done = await asyncio.wait_for(held, 15)
    assert done.answer.headers["preference-applied"] == "wait=30"
    assert done.items[STATUS] == "Pass"


async def test_waiting_at_another_replica(
    postgres_engine: PostgresEngine, pretend: Simulator, tmp_path: Path, clock: MovableClock
) -> None:
    """R87: an action has no event that could tell another process, so one that holds a request
    looks for itself.
    """
    with postgres_engine.database(tmp_path) as url:
        async with asking(url, "json", pretend, clock) as asker, faces(url, clock=clock) as other:
            await asker.knows(KIM, EHR="ksmith")
            waiting = await asker.pending({EHR: "ksmith"})
            known = {"If-None-Match": '"1"', "Prefer": "wait=30"}
            path = f"/v1/actions/{waiting.coupon}"
            held = asyncio.create_task(other.client.get(path, headers=asker.headers | known))
            await until(lambda: other.broker.holding._waiting)
            await asker.agree(waiting, KIM)
            answer = await asyncio.wait_for(held, 15)
            assert (answer.status_code, answer.headers["etag"]) == (200, '"2"')
            assert answer.json()["items"][STATUS] == "Pass"


async def test_the_code_is_brought_twice_at_once(asker: Asker) -> None:
    """Safety 29: whoever asks at the same moment hears one verdict, and it is judged once."""
    await asker.knows(KIM, EHR="ksmith")
    waiting = await asker.pending({EHR: "ksmith"}, return_url=RETURN_URL)
    code = code_of(await asker.agree(waiting, KIM))
    found = await asyncio.gather(*(asker.get(waiting.coupon, code) for _ in range(4)))
    assert {tuple(one.items.items()) for one in found} == {
        ((STATUS, "Pass"), (logon("EHR"), "ksmith"), (NAME, "Lee^Kim"))
    }
    sql = "SELECT id FROM audit WHERE action = 'action.performed'"
    assert len(await rows(asker, sql)) == 1


async def test_nothing_new(asker: Asker) -> None:
    """RFC 9110 §13: an action that is as the caller knows it is a 304 without a body."""
    waiting = await asker.pending({EHR: "ksmith"})
    client, url = asker.rehearsal.service.client, f"/v1/actions/{waiting.coupon}"
    known = asker.headers | {"If-None-Match": '"1"', "Prefer": "wait=0"}
    answer = await client.get(url, headers=known)
    assert (answer.status_code, answer.content) == (304, b"")


@pytest.mark.parametrize("coupon", ["0" * 20 + "9" * 24, "9" * 19, "0" * 40 + "1"])
async def test_a_coupon_nobody_can_have(asker: Asker, coupon: str) -> None:
    """Safety 3: a number that no column holds is a missing action, on both routes."""
    assert (await asker.get(coupon)).status == 404
