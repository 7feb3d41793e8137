"""Why, and what would be if: the walk through the table, leaving no trace."""

from __future__ import annotations

from typing import Any

import pytest

from broker.domain.callers import Caller
from broker.domain.errors import Forbidden, Invalid
from broker.domain.steps import Facts
from broker.service import explaining
from broker.service.explaining import Explaining
from tests.stepping import DEAD, END, EXPIRED, FALLBACK, KIM, LATER, PAUSE, WARNED, World

QUESTION: dict[str, Any] = {
    "connector": "salesforce",
    "step": {"id": "s4", "type": "retrieve_data"},
    "execution": {"id": "r-1"},
    "subject": {"user_name": KIM},
}
TABLES = ("decisions", "decision_lines", "audit", "events", "links", "pauses", "letters", "jobs")


@pytest.fixture
async def support(at: World) -> Caller:
    """A key that may have things explained, and nothing else."""
    return await at.key("explain")


async def explained(at: World, caller: Caller, **more: Any) -> dict[str, Any]:
    """The explanation of the question; `more` are members of it, `assume` among them."""
    asked, assumed = explaining.parse(QUESTION | more)
    return (await Explaining(at.resolving).explain(caller, asked, assumed)).rendered()


async def kept(at: World) -> dict[str, list[Any]]:
    """Everything a question could have left behind."""
    rows = {table: await at.rows(f"SELECT * FROM {table}") for table in TABLES}
    return rows | {"tokens": await at.rows("SELECT * FROM tokens ORDER BY id")}


async def test_every_check_on_the_way(at: World, support: Caller) -> None:
    """api-conventions 11: each row that is asked, in the order of the table, with what it looks at,
    what it wants, and whether it fits; the last that fits is the answer.
    """
    connector = await at.connector(**WARNED)
    await at.connect(connector, None)
    await at.connect(connector, await at.person(KIM), **DEAD)
    found = await explained(at, support)
    rows = [each["row"] for each in found["trace"]]
    assert rows == [
        *("F1", "F2", "F2", "F19", "F3", "F3", "F4", "F4", "F19"),
        *("F17", "F13", "F14", "F15", "F16", "F5", "F5", "F5", "F5", "F5"),
        *("F6", "F7", "F8", "F9", "F10", "F18a", "F18b", "F20"),
    ]
    assert [each["row"] for each in found["trace"] if each["fits"]] == ["F10"]
    seen = {name: value for each in found["trace"] for name, value in each["facts"].items()}
    assert seen == {
        "connector_available": True,
        "subject": "active",
        "user_authentication": True,
        "supported": True,
        "user_enabled": True,
        "interactive": False,
        "policy": "fallback_with_warning",
        "token": "not_usable",
        "connector_user": "usable",
        "ran_as_user": False,
    }
    assert found["trace"][-4] == {
        "row": "F10",
        "facts": {"policy": "fallback_with_warning"},
        "wants": {"policy": ["fallback_with_warning"]},
        "fits": True,
    }
    assert (found["row"], found["identity"], found["fallback"]) == ("F10", "connector", True)
    assert found["now"] == {"row": "F10", "outcome": "run", "status": "resolved"}


WHAT_IF: list[tuple[dict[str, Any], str]] = [
    ({}, "F12"),
    ({"policy": "fallback"}, "F9"),
    ({"policy": "pause"}, "F11"),
    ({"interactive": True}, "F8"),
    ({"token": "usable"}, "F6"),
    ({"token": "transient"}, "F7"),
    ({"user_enabled": False}, "F5"),
    ({"user_authentication": False}, "F3"),
    ({"user_authentication": False, "connector_user": "dead"}, "F18a"),
    ({"user_authentication": False, "connector_user": "transient"}, "F18b"),
    ({"subject": "queued"}, "F2"),
    ({"subject": "none"}, "F16"),
    ({"supported": False}, "F4"),
    ({"connector_available": False}, "F1"),
]


async def test_what_if(at: World, support: Caller) -> None:
    """api.md: `assume` stands in for what was found; the row of a real answer is told beside it,
    and nothing at all is written: no line, link, pause, letter, event or audit entry.
    """
    connector = await at.connector(**END)
    await at.connect(connector, None)
    await at.connect(connector, await at.person(KIM), **DEAD)
    before = await kept(at)
    for assume, row in WHAT_IF:
        found = await explained(at, support, assume=assume)
        assert (found["row"], found["now"]["row"], found["assumed"]) == (row, "F12", assume)
    assert await kept(at) == before


async def test_no_token_is_opened_or_refreshed(at: World, support: Caller) -> None:
    """No provider is called and nothing is opened, be the set sealed with a lost key; that a
    refresh would come first is said.
    """
    connector = await at.connector(**END)
    token = await at.connect(connector, await at.person(KIM), **EXPIRED)

    def losing(tx: Any) -> None:
        tx.run(
            "UPDATE tokens SET access_token = :none WHERE project_id = :project AND id = :id",
            none=b"not to be opened",
            project=at.project,
            id=token.id,
        )

    await at.db.write(losing)
    before = await kept(at)
    found = await explained(at, support)
    assert (found["row"], found["refresh_due"]) == ("F7", True)
    assert at.simulator.salesforce.calls["refresh"] == 0
    assert await kept(at) == before


async def test_nothing_to_refresh_yet(at: World, support: Caller) -> None:
    """F7, K9: a token whose next try lies ahead waits, and no refresh comes first."""
    connector = await at.connector(**END)
    await at.connect(connector, await at.person(KIM), **LATER)
    found = await explained(at, support)
    assert (found["row"], found["refresh_due"]) == ("F7", False)


async def test_what_the_attempt_did_before(at: World) -> None:
    """F20, safety 23: the attempt's own past counts, as it would in an answer."""
    connector = await at.connector(**FALLBACK)
    await at.connect(connector, None)
    kim = await at.person(KIM)
    await at.connect(connector, kim)
    engine = await at.key("resolve", "explain")
    question, _ = explaining.parse(QUESTION)
    await at.resolving.resolve(engine, question)
    await at.connect(connector, kim, **DEAD)
    assert (await explained(at, engine))["row"] == "F20"
    again = {"execution": {"id": "r-1", "attempt": 2}}
    assert (await explained(at, engine, **again))["row"] == "F9"
    assert (await at.resolving.resolve(engine, question)).decision.row == "F20"
    with pytest.raises(Invalid) as refused:
        await explained(at, engine, interactive=True)
    assert refused.value.reason == "decision-conflict"


async def test_a_step_that_waits(at: World) -> None:
    """P1, P4: the pause an answer would meet is told; another key's is joined, one's own found."""
    await at.connector(**PAUSE)
    await at.person(KIM)
    engine, other = await at.key("resolve", "explain"), await at.key("explain")
    question, _ = explaining.parse(QUESTION)
    pause = (await at.resolving.resolve(engine, question)).pause
    assert pause is not None
    own, joined = await explained(at, engine), await explained(at, other)
    assert (own["now"]["row"], own["pause"]["id"]) == ("F11", pause.id)
    assert (joined["now"]["row"], joined["row"], joined["pause"]) == ("P1", "F11", own["pause"])


@pytest.mark.parametrize(
    ("assume", "problem"),
    [
        ({"policies": "pause"}, "/assume/policies unknown_field"),
        ({"policy": "later"}, "/assume/policy not_a_choice"),
        ({"token": True}, "/assume/token not_a_choice"),
        ({"interactive": "yes"}, "/assume/interactive not_a_boolean"),
        ({"interactive": None}, "/assume/interactive required"),
        ({"ran_as_user": True}, "/assume/ran_as_user unknown_field"),
        ([], "/assume not_an_object"),
    ],
)
def test_assumptions_are_read_strictly(assume: Any, problem: str) -> None:
    """api.md: a misspelt assumption is 422; nobody takes what is for what would be."""
    with pytest.raises(Invalid) as refused:
        explaining.parse(QUESTION | {"assume": assume})
    assert [f"{one.pointer} {one.code}" for one in refused.value.problems] == [problem]


def test_every_fact_can_be_assumed() -> None:
    """All that the table asks, but the attempt's own past."""
    assert {*explaining.KINDS, "ran_as_user"} == set(Facts.__dataclass_fields__)


async def test_who_may(at: World) -> None:
    """R137, safety 22: a right of its own; a limited key stays limited; a wrong question is one."""
    await at.connector(**END)
    for caller in (
        await at.key("resolve"),
        await at.key("explain", connectors=("Other",)),
        await at.key("explain", step_types=("create_data",)),
    ):
        with pytest.raises(Forbidden):
            await explained(at, caller)
    with pytest.raises(Invalid):
        await explained(at, await at.key("explain"), step={"id": "s4", "type": "retrieve"})
    assert (await explained(at, await at.administrator()))["row"] == "F19"
