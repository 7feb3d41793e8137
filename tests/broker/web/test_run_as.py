"""R1 to R18, R29, R32, R33: user authentication as the owner asked for it, each by its number."""

from __future__ import annotations

import itertools
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from broker.db.database import Transaction
from broker.demo.simulator import serving
from broker.domain.clock import HOUR, SECOND, rfc3339
from broker.domain.connectors import Connector, Policy
from broker.domain.users import Status, User
from broker.store import pauses
from tests.asking import NAMED, Asking, asking, question
from tests.clocks import MovableClock
from tests.engines import SqliteEngine
from tests.faces import BROWSER
from tests.stepping import ANA, DEAD, END, FALLBACK, KIM, OFF, PAUSE, ROBOT, WARNED

GOLDEN = Path(__file__).with_name("golden") / "off.json"
ASKED = {"user_name": ANA}
MASKED = re.compile(r"(dec|key|usr|con)_[0-9A-Z]{26}|\d{4}-\d\d-\d\dT[\d:.]+Z|00D[^\"]+|:\d{4,5}")
POLICIES = {policy.value for policy in Policy}


@pytest.fixture
async def engine(
    sqlite_engine: SqliteEngine, tmp_path: Path, clock: MovableClock
) -> AsyncIterator[Asking]:
    """A flow engine before the whole service."""
    with sqlite_engine.database(tmp_path) as url:
        async with serving() as simulator, asking(url, simulator, clock) as found:
            yield found


async def crm(engine: Asking, **said: Any) -> Connector:
    """A connector whose connector user is signed in."""
    connector = await engine.at.connector(**said)
    await engine.at.connect(connector, None)
    return connector


async def saved(engine: Asking, connector: Connector, said: Any, status: int = 200) -> Any:
    """What an administrator is answered who saves the tab User authentications."""
    admin = await engine.on.administrator()
    path = f"/v1/connectors/{connector.id}/user-authentication"
    answer = await admin.put(path, json=said, headers=BROWSER | {"If-Match": "*"})
    assert answer.status_code == status, answer.text
    return answer.json()


async def read(engine: Asking, connector: Connector) -> Any:
    """The setting as it is kept."""
    return (await engine.get(f"/v1/connectors/{connector.id}"))["user_authentication"]


async def sign_in(engine: Asking, connector: Connector, user: User) -> None:
    """The person signs in at a connector, and what waited for that is ready."""
    answer = engine.at.approved(user.user_name)

    def signing_in(tx: Transaction) -> None:
        engine.at.granting(tx, connector, user, answer, {})
        pauses.readying(tx, engine.at.project, user.id, connector.id)

    await engine.at.db.write(signing_in)


async def test_r1_two_people_run_as_two(engine: Asking) -> None:
    """R1: two users of one connector: two different `run_as`, two different credentials."""
    connector = await crm(engine, **END)
    for name in (KIM, ANA):
        await engine.at.connect(connector, await engine.at.person(name))
    one, two = [await engine.decided(who, step=str(who)) for who in (NAMED, ASKED)]
    assert (one["run_as"]["user_name"], two["run_as"]["user_name"]) == (KIM, ANA)
    assert one["run_as"]["provider_account"] != two["run_as"]["provider_account"]
    assert one["credential"]["access_token"] != two["credential"]["access_token"]


async def test_r2_actions_are_traced_to_people(engine: Asking, clock: MovableClock) -> None:
    """R2: each line names who asked, the subject and the identity used; counted by person and by
    connector, in any window, the sums are the number of answers, over pages too.
    """
    connector = await crm(engine, **WARNED)
    kim = await engine.kim(connector)
    ana = await engine.at.person(ANA)
    asked: list[tuple[dict[str, str] | None, dict[str, Any]]]
    asked = [(NAMED, {}), (NAMED, {"type": "create_data"}), (ASKED, {}), (None, {})]
    asked += [(ASKED, {"interactive": True}), ({"user_name": "nobody"}, {})]
    for place, (subject, more) in enumerate(asked):
        await engine.decided(subject, step=f"s{place}", **more)
    begin = await engine.at.db.read(lambda tx: tx.now)
    clock.advance(HOUR)
    await engine.at.connect(connector, kim, **DEAD)
    await engine.decided(NAMED, step="s0")
    await engine.decided(None, connector="missing", step="s9")
    found = (await engine.get("/v1/decisions/report", by="user"))["items"]
    names = ("run_as_user", "run_as_connector", "asked", "paused", "waited", "errors", "lines")
    assert {each["user_id"]: tuple(each[name] for name in names) for each in found} == {
        None: (0, 1, 0, 0, 0, 2, 3),
        kim.id: (1, 1, 0, 0, 0, 1, 3),
        ana.id: (0, 1, 1, 0, 0, 0, 2),
    }
    by_connector = (await engine.get("/v1/decisions/report", by="connector"))["items"]
    assert [(each["connector"], each["lines"]) for each in by_connector] == [
        (None, 1), (connector.id, 7)
    ]  # fmt: skip
    pages: list[Any] = []
    cursor: dict[str, str] | None = {}
    while cursor is not None:
        page = await engine.get("/v1/decisions/report", by="user", limit="1", **cursor)
        pages += page["items"]
        cursor = page["next_cursor"] and {"cursor": page["next_cursor"]}
    assert pages == found
    at = rfc3339(begin + SECOND)
    halves = [
        (await engine.get("/v1/decisions/report", **{name: at}))["items"] for name in ("to", "from")
    ]
    assert [sum(each["lines"] for each in half) for half in halves] == [6, 2]
    lines = (await engine.get("/v1/decisions", user_id=kim.id))["items"]
    assert [(line["row"], line["identity"]) for line in lines] == [
        ("F20", None), ("F4", "connector"), ("F6", "user")
    ]  # fmt: skip
    assert {line["key"] for line in lines} == {(await engine.decided(None, step="x"))["act"]["sub"]}


async def test_r3_off_by_default(engine: Asking) -> None:
    """R3: a new connector has it off, whoever made it; the wizard's is in journeys/test_wizard."""
    assert (await read(engine, await crm(engine)))["enabled"] is False


async def test_r4_only_an_administrator_switches_it_on(engine: Asking) -> None:
    """R4, safety 27: a key with every scope gets 403; the administrator's act is audited."""
    connector = await crm(engine)
    said = {"enabled": True, "policy": "pause"}
    path = f"/v1/connectors/{connector.id}/user-authentication"
    headers = engine.headers | {"If-Match": "*"}
    refused = await engine.on.client.put(path, json=said, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (403, "administrator-needed")
    shown = await saved(engine, connector, said)
    assert shown["user_authentication"]["enabled"] is True
    rows = await engine.at.rows("SELECT actor, action FROM audit ORDER BY n DESC LIMIT 1")
    assert rows[0]["actor"].startswith("admin:")


async def test_r5_on_the_own_credential(engine: Asking) -> None:
    """R5: on, the step runs with the user's own credential and never the connector's."""
    connector = await crm(engine, **END)
    await engine.kim(connector)
    own = await engine.decided(NAMED)
    other = await engine.decided(NAMED, step="s5", type="create_data")
    assert [await account(each["credential"]) for each in (own, other)] == [KIM, ROBOT]


async def account(credential: dict[str, Any]) -> str:
    """Whom Salesforce's API takes the bearer of this credential for."""
    async with httpx.AsyncClient() as client:
        answer = await client.get(
            f"{credential['base_url']}/services/data/v61.0/query?q=SELECT+Id+FROM+User",
            headers={"authorization": f"Bearer {credential['access_token']}"},
        )
    return str(answer.json()["records"][0]["Username"])


async def test_r6_off_the_service_user(engine: Asking) -> None:
    """R6: off, everything runs under the service user of the set-up, whatever a person holds."""
    await engine.kim(await crm(engine))
    answers = [await engine.decided(NAMED, step=kind, type=kind) for kind in
               ("retrieve_data", "create_data", "update_data")]  # fmt: skip
    assert [answer["run_as"]["provider_account"] for answer in answers] == [ROBOT] * 3


async def test_r7_off_is_exactly_as_before(engine: Asking) -> None:
    """R7: the golden file: no user data, no links, no warnings; switched on and off again the bytes
    are the same but for ids and times.
    """
    connector = await crm(engine)
    await engine.kim(connector)
    await engine.at.person(ANA, Status.INVITED)
    assert await off_answers(engine, "before") == GOLDEN.read_bytes()
    await saved(engine, connector, {"enabled": True, "policy": "fallback_with_warning"})
    assert (await engine.decided(NAMED, execution="between"))["row"] == "F6"
    await saved(engine, connector, {"enabled": False})
    assert await off_answers(engine, "after") == GOLDEN.read_bytes()


async def off_answers(engine: Asking, execution: str) -> bytes:
    """The answers to every kind of question, ids, times and tokens left out."""
    subjects = (NAMED, ASKED, {"user_name": "nobody"}, None)
    kinds = ("retrieve_data", "create_data")
    answers = []
    for place, (subject, type, interactive) in enumerate(
        itertools.product(subjects, kinds, (False, True))
    ):
        said = question(subject, type=type, step=f"s{place}", execution=execution)
        answer = await engine.post("/v1/resolve", said | {"interactive": interactive})
        answers.append(answer.json())
    text = orjson.dumps(answers, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode()
    return (MASKED.sub("…", text) + "\n").encode()


async def test_r8_exactly_four_policies(engine: Asking) -> None:
    """R8, labels.md: four wire values; any other is 422 and changes nothing."""
    connector = await crm(engine)
    assert {"fallback", "fallback_with_warning", "pause", "end_with_error"} == POLICIES
    for policy in sorted(POLICIES):
        shown = await saved(engine, connector, {"enabled": True, "policy": policy})
        assert shown["user_authentication"]["policy"] == policy
    refused = await saved(engine, connector, {"enabled": True, "policy": "wait"}, status=422)
    assert refused["errors"][0]["pointer"] == "/policy"
    assert (await read(engine, connector))["policy"] == "pause"


@pytest.mark.parametrize("said", [FALLBACK, WARNED, PAUSE, END], ids=lambda said: said["policy"])
async def test_r9_r10_unattended_nobody_is_asked(engine: Asking, said: dict[str, Any]) -> None:
    """R9, R10: a run nobody watches never gets a link, a prompt or a redirect."""
    await engine.kim(await crm(engine, **said), **DEAD)
    answer = await engine.resolve(NAMED)
    assert answer.status_code == 200
    assert answer.json()["link"] is None
    assert answer.json()["status"] != "authentication-required"
    assert b"/connect/" not in answer.content
    assert await engine.at.rows("SELECT id FROM links") == []


async def test_r11_falls_back_silently(engine: Asking) -> None:
    """R11: as the connector user, `fallback` said, without a warning."""
    await engine.kim(await crm(engine, **FALLBACK), **DEAD)
    for place, subject in enumerate((NAMED, None)):
        answer = await engine.decided(subject, step=f"s{place}")
        assert (answer["run_as"]["kind"], answer["fallback"]) == ("connector", True)
        assert answer["warning"] is None
    assert (await engine.get("/v1/decisions", warning="true"))["items"] == []


async def test_r12_r13_the_panel_is_warned(engine: Asking) -> None:
    """R12, R13: answer, event and the list by execution carry the same object, to the letter:
    execution, step, severity, code and text.
    """
    await engine.kim(await crm(engine, **WARNED), **DEAD)
    warnings = [
        (await engine.decided(subject, step=step))["warning"]
        for subject, step in ((NAMED, "s1"), (None, "s2"))
    ]
    await engine.decided(None, step="s3", type="create_data")
    await engine.decided(None, step="s1", execution="another")
    for warning, step in zip(warnings, ("s1", "s2"), strict=True):
        assert set(warning) == {"code", "severity", "text", "execution_id", "step_id"}
        assert (warning["execution_id"], warning["step_id"]) == ("r-1", step)
    listed = (await engine.get("/v1/decisions", execution="r-1", warning="true"))["items"]
    assert [line["warning"] for line in listed] == warnings[::-1]
    events = await engine.at.rows(
        "SELECT data FROM events WHERE type = 'decision.warning' ORDER BY n"
    )
    told = [orjson.loads(event["data"]) for event in events][:2]
    assert [{name: each[name] for name in warnings[0]} for each in told] == warnings
    refused = await engine.on.client.get("/v1/decisions?warning=maybe", headers=engine.headers)
    assert refused.status_code == 422


async def test_r14_r15_r16_it_waits_for_that_sign_in(engine: Asking) -> None:
    """R14, R15, R16: "Authentication needed" until the person signs in at that connector: before
    it no claim, by a sign-in elsewhere neither; then the step runs as the person.
    """
    connector, other = await crm(engine, **PAUSE), await engine.at.connector("Other", **PAUSE)
    kim = await engine.at.person(KIM)
    paused = await engine.decided(NAMED)
    assert paused["status"] == "Authentication needed"
    claim = f"/v1/pauses/{paused['pause']['id']}/claim"
    await sign_in(engine, other, kim)
    assert (await engine.post(claim, {})).status_code == 409
    await sign_in(engine, connector, kim)
    claimed = (await engine.post(claim, {})).json()
    assert claimed["decision"]["run_as"]["user_id"] == kim.id


async def test_r17_ends_with_an_error_message(engine: Asking) -> None:
    """R17: 200, the outcome `error`, a readable message, and no credential."""
    await engine.kim(await crm(engine, **END), **DEAD)
    for place, subject in enumerate((NAMED, None)):
        answer = await engine.decided(subject, step=f"s{place}")
        assert (answer["outcome"], "credential" in answer) == ("error", False)
        assert re.fullmatch(r"[A-Z][^.]+\.", answer["message"])


async def test_r18_the_policy_counts_where_nothing_else_is_there(engine: Asking) -> None:
    """R18: with a usable sign-in, with somebody there, at a step that supports none, or while off,
    the policy changes nothing.
    """
    connector = await crm(engine)
    await engine.kim(connector)
    await engine.at.person(ANA)
    asked: list[tuple[Any, dict[str, Any], dict[str, Any]]] = [
        (NAMED, {}, END), (ASKED, {"interactive": True}, END),
        (ASKED, {"type": "create_data"}, END), (ASKED, {}, OFF | {"user_authentication": False}),
    ]  # fmt: skip
    for place, (subject, more, said) in enumerate(asked):
        rows = set()
        for policy in Policy:
            connector = await engine.at.setting(connector, **{**said, "policy": policy})
            step = f"s{place}-{policy}"
            rows.add((await engine.decided(subject, step=step, **more))["row"])
        assert len(rows) == 1


async def test_r29_other_steps_do_not_prompt(engine: Asking) -> None:
    """R29: a step that does not depend on such a connector runs as before and asks nobody."""
    await crm(engine, **END)
    await engine.at.connect(await engine.at.connector("Other"), None)
    await engine.at.person(KIM)
    for more in ({"type": "create_data"}, {"connector": "other"}):
        answer = await engine.decided(NAMED, step=str(more), interactive=True, **more)
        assert (answer["outcome"], answer["link"]) == ("run", None)
        assert answer["run_as"]["kind"] == "connector"


async def test_r32_saving_makes_it_so(engine: Asking) -> None:
    """R32: what was not saved has no effect: a refused save leaves the setting and the next answer
    as they were; a save counts for the very next resolve.
    """
    connector = await crm(engine)
    await engine.at.person(KIM)
    before = await read(engine, connector)
    await saved(engine, connector, {"enabled": True, "policy": "nonsense"}, status=422)
    assert (await read(engine, connector), (await engine.decided(NAMED))["row"]) == (before, "F3")
    await saved(engine, connector, {"enabled": True, "policy": "pause"})
    assert (await engine.decided(NAMED, step="s5"))["row"] == "F11"


async def test_r33_the_policy_is_kept_while_off(engine: Asking) -> None:
    """R33: off it has no effect; on again it is still there."""
    connector = await crm(engine)
    await engine.at.person(KIM)
    await saved(engine, connector, {"enabled": True, "policy": "fallback"})
    await saved(engine, connector, {"enabled": False})
    assert (await engine.decided(NAMED))["row"] == "F3"
    assert (await read(engine, connector))["policy"] == "fallback"
    await saved(engine, connector, {"enabled": True})
    assert (await engine.decided(NAMED, step="s5"))["row"] == "F9"
