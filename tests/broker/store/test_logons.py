"""Application logons: one person each, exact in case; suffixes once whatever their case."""

from __future__ import annotations

from broker.db.database import Database
from broker.store import logons
from tests.broker.store.people import PROJECT


async def test_a_logon_belongs_to_one_person(db: Database) -> None:
    """Safety 9: taken is taken, in this case; the same person may change or drop theirs."""
    await db.write(logons.declare, PROJECT, "SAP")
    assert await db.write(logons.put, PROJECT, "usr_1", "SAP", "KIM")
    assert not await db.write(logons.put, PROJECT, "usr_2", "SAP", "KIM")
    assert await db.write(logons.put, PROJECT, "usr_2", "SAP", "kim")
    assert await db.write(logons.put, PROJECT, "usr_1", "SAP", "KIM2")
    assert await db.write(logons.put, PROJECT, "usr_2", "SAP", "KIM")
    assert await db.read(logons.of_user, PROJECT, "usr_1") == {"SAP": "KIM2"}
    await db.write(logons.drop, PROJECT, "usr_1", "SAP")
    assert await db.read(logons.of_user, PROJECT, "usr_1") == {}


async def test_a_suffix_is_declared_once_whatever_its_case(db: Database) -> None:
    """Safety 9: unique by casefold, spelt as it was first; a project has its own."""
    assert await db.write(logons.declare, PROJECT, "Straße") == "Straße"
    assert await db.write(logons.declare, PROJECT, "STRASSE") == "Straße"
    assert await db.read(logons.declared, PROJECT) == {"strasse": "Straße"}
    assert await db.read(logons.declared, "prj_2") == {}


async def test_erasing_leaves_none(db: Database) -> None:
    """Safety 7: a deleted person has no logon, and others may have them."""
    for suffix in ("SAP", "ERP"):
        await db.write(logons.put, PROJECT, "usr_1", suffix, "KIM")
    await db.write(logons.erase_all, PROJECT, "usr_1")
    assert await db.read(logons.of_user, PROJECT, "usr_1") == {}
    assert await db.write(logons.put, PROJECT, "usr_2", "SAP", "KIM")
