"""The shape of an answer, with people and without."""

from __future__ import annotations

from typing import Any

from tests.stepping import (
    ANA,
    DEAD,
    END,
    FALLBACK,
    KIM,
    PUBLIC_URL,
    ROBOT,
    WARNED,
    World,
    asked,
)


async def test_off_is_as_before(at: World) -> None:
    """R3, R6, R7, R33: off, an answer holds no user data, link or warning, and on and off again
    brings back the same answer.
    """
    connector = await at.connector()
    await at.connect(connector, None)
    user = await at.person(KIM)
    await at.connect(connector, user)
    caller = await at.key("resolve")

    async def answer(attempt: int) -> dict[str, Any]:
        request = asked({"user_name": KIM}, attempt=attempt)
        shown = (await at.resolving.resolve(caller, request)).rendered()
        del shown["decision_id"]
        return shown

    before = await answer(1)
    assert before == {
        "version": 1,
        "row": "F3",
        "outcome": "run",
        "status": "resolved",
        "run_as": {"kind": "connector", "provider_account": ROBOT},
        "act": {"sub": caller.id, "on_behalf_of": None},
        "fallback": False,
        "warning": None,
        "pause": None,
        "link": None,
        "reason": None,
    }
    switched = await at.setting(connector, **WARNED)
    assert (await answer(2))["row"] == "F6"
    switched = await at.setting(switched, user_authentication=False)
    assert await answer(3) == before
    await at.setting(switched, user_authentication=True)
    await at.connect(connector, user, **DEAD)
    assert (await answer(4))["row"] == "F10"  # the policy was kept


async def test_answer_of_a_person(at: World) -> None:
    """R1, R5 and api.md "Resolve": two people at one connector run as themselves, by name."""
    connector = await at.connector(**END)
    caller, answers = await at.key(), []
    for attempt, name in enumerate((KIM, ANA), 1):
        user = await at.person(name)
        await at.connect(connector, user)
        request = asked({"user_id": user.id}, attempt=attempt)
        answers.append((await at.resolving.resolve(caller, request)).rendered())
        assert answers[-1]["act"] == {"sub": caller.id, "on_behalf_of": user.id}
    assert [one["run_as"]["user_name"] for one in answers] == [KIM, ANA]
    assert [one["run_as"]["provider_account"] for one in answers] == [KIM, ANA]
    assert all([await at.works(one["credential"]) for one in answers])
    assert answers[0]["credential"]["access_token"] != answers[1]["credential"]["access_token"]
    assert answers[0]["credential"]["token_type"] == "Bearer"
    assert answers[0]["credential"]["expires_at"].endswith("Z")


async def test_fallback_without_a_warning(at: World) -> None:
    """R11: policy 1 falls back, says so, and warns nobody."""
    connector = await at.connector(**FALLBACK)
    await at.connect(connector, None)
    await at.person(KIM)
    answer = (await at.resolving.resolve(await at.key(), asked({"user_name": KIM}))).rendered()
    assert (answer["row"], answer["fallback"], answer["warning"]) == ("F9", True, None)
    assert await at.rows("SELECT * FROM events") == []


async def test_links_are_joined(at: World) -> None:
    """F8, R27, K15: everyone who waits for one person shares one link, and its scopes add up."""
    connector = await at.connector(**END)
    user = await at.person(KIM)
    caller, urls = await at.key(), set()
    for step, scopes in (("s1", ("api",)), ("s2", ("full",))):
        request = asked({"user_name": KIM}, step=step, interactive=True, scopes=scopes)
        link = (await at.resolving.resolve(caller, request)).rendered()["link"]
        assert link["url"] == f"{PUBLIC_URL}/connect/{link['id']}"
        urls.add(link["url"])
    assert len(urls) == 1
    [row] = await at.rows("SELECT * FROM links")
    assert (row["connector_id"], row["user_id"]) == (connector.id, user.id)
    assert set(row["scopes"].split()) == {"api", "full"}
