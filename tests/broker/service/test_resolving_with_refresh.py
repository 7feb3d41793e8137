"""What a refresh does to an answer: at most one a token, outside of any transaction."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import replace

import psycopg
import pytest

from broker.db import seal
from broker.db.database import Transaction, Unavailable
from broker.db.seal import Seal
from broker.demo.world import Trouble
from broker.domain.clock import HOUR, MINUTE
from broker.domain.connectors import State as ConnectorState
from broker.service.answering import Wait
from broker.store import tokens
from tests.counting import Counting
from tests.stepping import DEAD, END, EXPIRED, FALLBACK, KIM, OFF, World, asked
from tests.waiting import until


def refreshes(at: World) -> int:
    """How often the provider was asked to refresh."""
    return at.simulator.salesforce.calls["refresh"]


async def test_expired_token_is_refreshed_once(at: World) -> None:
    """F6, K4, K5: many ask while a token is over; one refresh, and a working token for everyone."""
    connector = await at.connector(**END)
    await at.connect(connector, await at.person(KIM), **EXPIRED)
    caller = await at.key()
    answers = await asyncio.gather(
        *(
            at.resolving.resolve(caller, asked({"user_name": KIM}, step=f"s{place}"))
            for place in range(10)
        )
    )
    assert {answer.decision.row for answer in answers} == {"F6"}
    assert refreshes(at) == 1
    assert await at.works(answers[0].rendered()["credential"])
    lines = await at.rows("SELECT row FROM decision_lines")
    assert [line["row"] for line in lines] == ["F6"] * 10


async def test_nothing_is_refreshed_without_need(at: World) -> None:
    """Journey C: in the common case one write unit answers, of few statements, and nobody is
    called.
    """
    connector = await at.connector(**END)
    await at.connect(connector, await at.person(KIM))
    caller = await at.key()
    counting = Counting(at.db)
    resolving = replace(at.resolving, db=counting)
    answer = await resolving.resolve(caller, asked({"user_name": KIM}))
    assert answer.decision.row == "F6"
    assert refreshes(at) == 0
    assert counting.units == ["write"]
    first = counting.statements
    await resolving.resolve(caller, asked({"user_name": KIM}, step="s5"))
    again = counting.statements - first
    assert again <= 8
    assert first == again + 2, "one UPDATE for the version in use, one a day for the connector"


async def test_connector_users_token_is_refreshed(at: World) -> None:
    """F3: the connector user's token is refreshed too, with nobody's own token touched."""
    connector = await at.connector(**OFF)
    await at.connect(connector, None, **EXPIRED)
    await at.connect(connector, await at.person(KIM), **EXPIRED)
    answer = await at.resolving.resolve(await at.key(), asked({"user_name": KIM}))
    assert answer.decision.row == "F3"
    assert await at.works(answer.rendered()["credential"])
    assert refreshes(at) == 1


async def test_dead_grant_falls_back_to_a_refreshed_connector_user(at: World) -> None:
    """R28, F9: the person's grant turns out dead, the connector user's token is over: one refresh
    each, then the policy's answer.
    """
    connector = await at.connector(**FALLBACK)
    await at.connect(connector, await at.person(KIM), **EXPIRED)
    at.simulator.salesforce.revoke(KIM)
    await at.connect(connector, None, **EXPIRED)
    answer = await at.resolving.resolve(await at.key(), asked({"user_name": KIM}))
    assert answer.decision.row == "F9"
    assert await at.works(answer.rendered()["credential"])
    assert refreshes(at) == 2


@pytest.mark.parametrize(
    ("trouble", "row"),
    [
        (Trouble.GRANT_DEAD, "F12"),
        (Trouble.USER_INACTIVE, "F12"),
        (Trouble.PERSON_NEEDED, "F12"),
        (Trouble.BROKEN, "F7"),
        (Trouble.RATE_LIMITED, "F7"),
        (Trouble.HTML, "F7"),
        (Trouble.UNKNOWN, "F7"),
        (Trouble.CLIENT_REFUSED, "F1"),
    ],
)
async def test_what_the_provider_says(at: World, trouble: Trouble, row: str) -> None:
    """F7, F12, K6 to K9: what a failed refresh means for the step; nothing transient changes who
    it runs as, and a misconfigured client is the connector's trouble.
    """
    connector = await at.connector(**END)
    await at.connect(connector, await at.person(KIM), **EXPIRED)
    at.simulator.salesforce.switches.set(trouble, endpoint="token")
    question = at.resolving.resolve(await at.key(), asked({"user_name": KIM}))
    if row == "F7":
        with pytest.raises(Wait) as refused:
            await question
        assert refused.value.more["row"] == "F7"
        assert (refused.value.retry_after_s or 0) >= 1
    else:
        assert (await question).decision.row == row
    assert refreshes(at) == 1
    if row == "F1":
        [kept] = await at.rows("SELECT state FROM connectors")
        assert kept["state"] == ConnectorState.NEEDS_ADMIN


async def test_expiring_token_is_served_while_it_is_refreshed(at: World) -> None:
    """c.2: a token inside its margin is handed out at once and refreshed behind the answer."""
    connector = await at.connector(**END)
    user = await at.person(KIM)
    token = await at.connect(connector, user)

    def soon(tx: Transaction) -> None:
        obtained, expires = tx.now - HOUR, tx.now + 3 * MINUTE
        at.vault.save(tx, connector, replace(token, obtained_at=obtained, expires_at=expires))

    await at.db.write(soon)
    answer = await at.resolving.resolve(await at.key(), asked({"user_name": KIM}))
    assert answer.decision.row == "F6"
    await until(lambda: refreshes(at) == 1)
    await at.vault.landed()
    kept = await at.db.read(tokens.read, at.project, connector.id, user.id)
    assert kept is not None
    assert kept.version == token.version + 1


async def test_unreadable_token(at: World) -> None:
    """K16: a token whose key is missing is not usable; it is again once the key is back."""
    connector = await at.connector(**END)
    await at.connect(connector, await at.person(KIM))
    caller, question = await at.key(), asked({"user_name": KIM})
    strange = Seal(seal.keys_from(seal.new_key("another")))
    programs = replace(at.programs, seal=strange)
    without = replace(at.resolving, vault=replace(at.vault, programs=programs))
    assert (await without.resolve(caller, question)).decision.row == "F12"
    [kept] = await at.rows("SELECT state FROM tokens")
    assert kept["state"] == "unreadable"
    assert (await at.resolving.resolve(caller, question)).decision.row == "F6"


async def test_no_record_no_credential(at: World) -> None:
    """R2, V1: where the line cannot be written no credential leaves, and no line is there."""
    connector = await at.connector(**END)
    await at.connect(connector, await at.person(KIM))
    caller = await at.key()

    def breaking(tx: Transaction) -> None:
        tx.run("ALTER TABLE decision_lines RENAME TO decision_lines_gone")

    await at.db.write(breaking)
    with pytest.raises((sqlite3.Error, psycopg.Error)):
        await at.resolving.resolve(caller, asked({"user_name": KIM}))
    assert await at.rows("SELECT * FROM decisions") == []
    assert await at.rows("SELECT * FROM audit WHERE action = 'token.opened'") == []


async def test_closed_database(at: World) -> None:
    """V1: without a database there is no answer at all: closed by default."""
    caller = await at.key()
    await at.connect(await at.connector(), None)
    await at.db.close()
    with pytest.raises(Unavailable):
        await at.resolving.resolve(caller, asked(None))


async def test_nothing_secret_is_kept(at: World) -> None:
    """R44, R46: no column of any table holds an access or refresh token in the open."""
    connector = await at.connector(**END)
    await at.connect(connector, await at.person(KIM), **DEAD)
    await at.connect(connector, await at.person("Other"), as_user=KIM)
    answer = await at.resolving.resolve(await at.key(), asked({"user_name": "other"}))
    canaries = [answer.rendered()["credential"]["access_token"]]
    canaries += [one.refresh_token for one in at.simulator.salesforce.approvals]
    for table in ("tokens", "decisions", "decision_lines", "audit", "events", "jobs", "letters"):
        for row in await at.rows(f"SELECT * FROM {table}"):
            held = b" ".join(
                value if isinstance(value, bytes) else str(value).encode() for value in row.values()
            )
            assert not any(canary.encode() in held for canary in canaries)
    assert all(canary not in repr(answer) for canary in canaries)
