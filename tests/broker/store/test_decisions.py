"""Who ran as whom, kept."""

from __future__ import annotations

import asyncio

import pytest

from broker.db.database import Database, Transaction
from broker.domain.errors import NotFound
from broker.store import decisions
from broker.store.decisions import Decision, Line

PROJECT = "prj_1"


def ask(tx: Transaction, key: str = "key_1", step: str = "s1", attempt: int = 1) -> Decision:
    """A question, asked once more."""
    return decisions.ask(tx, PROJECT, key, "r-1", step, attempt, b"{}", "hash")


def line(version: int, identity: str | None = "user", user: str | None = "usr_1") -> Line:
    """An answer."""
    return Line(version, "F6", "run", "resolved", "con_1", identity=identity, user=user)


async def test_one_decision_an_attempt(db: Database) -> None:
    """Safety 23: unique by project, key, execution, step and attempt; each look counts one on."""
    first = await db.write(ask)
    assert (first.version, first.question) == (1, b"{}")
    found = await asyncio.gather(*(db.write(ask) for _ in range(6)))
    assert {one.id for one in found} == {first.id}
    assert sorted(one.version for one in found) == [2, 3, 4, 5, 6, 7]
    others = [await db.write(ask, "key_2"), await db.write(ask, step="s2")]
    others.append(await db.write(ask, attempt=2))
    assert len({first.id, *(one.id for one in others)}) == 4


async def test_what_was_first_asked_stays(db: Database) -> None:
    """Safety 23: the kept question is the first one, whatever is asked later."""
    await db.write(ask)
    again = await db.write(
        decisions.ask, PROJECT, "key_1", "r-1", "s1", 1, b'{"other": 1}', "other"
    )
    kept = await db.read(decisions.find, PROJECT, again.id)
    assert kept is not None
    assert (kept.question, kept.question_hash, again.question_hash) == (b"{}", "hash", "hash")


async def test_asking_again_by_id(db: Database) -> None:
    """P4: a claim looks at its decision once more; one of another project is a missing one."""
    first = await db.write(ask)
    assert (await db.write(decisions.ask_again, PROJECT, first.id)).version == 2
    for project, id in (("prj_2", first.id), (PROJECT, "dec_MISSING")):
        with pytest.raises(NotFound):
            await db.write(decisions.ask_again, project, id)


async def test_ran_as_a_person(db: Database) -> None:
    """F20: whether a line of this attempt ran as the person is read from its lines."""
    first = await db.write(ask)
    await db.write(decisions.append, PROJECT, first.id, line(1, "connector"))
    second = await db.write(ask)
    assert not (await db.read(decisions.earlier, PROJECT, second)).ran_as_user
    await db.write(decisions.append, PROJECT, first.id, line(2))
    third = await db.write(ask)
    assert (await db.read(decisions.earlier, PROJECT, third)).ran_as_user
    other = await db.write(ask, attempt=2)
    assert await db.read(decisions.earlier, PROJECT, other) == decisions.Earlier()


async def test_report(db: Database) -> None:
    """R2: the report counts lines, newest first, by person, by key, by execution, in pages."""
    asked = await db.write(ask)
    for version, user in enumerate(("usr_1", "usr_2", "usr_1"), 1):
        await db.write(decisions.append, PROJECT, asked.id, line(version, user=user))
    by_person = await db.read(decisions.page, PROJECT, user="usr_1")
    assert [one.line.version for one in by_person] == [3, 1]
    assert len(await db.read(decisions.page, PROJECT, key="key_1", execution="r-1")) == 3
    assert await db.read(decisions.page, PROJECT, key="key_2") == []
    assert await db.read(decisions.page, "prj_2") == []
    newest = await db.read(decisions.page, PROJECT, limit=2)
    rest = await db.read(decisions.page, PROJECT, before=newest[-1].n)
    assert [one.line.version for one in newest + rest] == [3, 2, 1]


async def test_line_comes_back(db: Database) -> None:
    """R2: a line holds ids, codes and the facts of the table, and comes back as it was."""
    asked = await db.write(ask)
    kept = Line(
        version=1,
        row="F10",
        outcome="run",
        status="resolved",
        connector="con_1",
        identity="connector",
        user="usr_1",
        provider_account="account",
        token_version=7,
        credential=True,
        fallback=True,
        warning="user-auth-fallback",
        facts={"interactive": False, "policy": "fallback_with_warning"},
    )
    await db.write(decisions.append, PROJECT, asked.id, kept)
    [found] = await db.read(decisions.lines, PROJECT, asked.id)
    assert found.at > 0
    assert {**_values(found), "at": 0} == _values(kept)


def _values(line: Line) -> dict[str, object]:
    return {name: getattr(line, name) for name in Line.__dataclass_fields__}
