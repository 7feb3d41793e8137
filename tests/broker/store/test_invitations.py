"""Invitations and the letters that carry them."""

from __future__ import annotations

from dataclasses import replace

from broker.db.database import Database, Row, Transaction
from broker.domain.users import INVITATION_LIFETIME
from broker.store import invitations
from tests.broker.store.people import PROJECT, kept, person


async def test_one_invitation_and_one_letter_an_epoch(db: Database) -> None:
    """U1, R127: however often it is asked for; a new epoch is a new invitation and letter."""
    kim = person("kim", invite_epoch=1)
    await db.write(kept, kim)
    for user in (kim, kim, replace(kim, invite_epoch=2)):
        await db.write(invitations.insert, user)
    assert [row["epoch"] for row in await db.read(invited, kim.id)] == [1, 2]
    assert [row["state"] for row in await db.read(letters)] == ["waiting"] * 2


async def test_an_invitation_ends_once(db: Database) -> None:
    """D2, U10, U18: accepted or voided, whichever is first, or over after 7 days."""
    kim, lee = person("kim", invite_epoch=1), person("lee", invite_epoch=1)
    await db.write(kept, kim, lee)
    for user in (kim, lee):
        await db.write(invitations.insert, user)
    (asked,) = await db.read(invited, kim.id)
    assert (asked["accepted_at"], asked["voided_at"]) == (None, None)
    assert asked["expires_at"] - asked["created_at"] == INVITATION_LIFETIME
    await db.write(invitations.accepted, PROJECT, kim.id)
    await db.write(invitations.void_all, PROJECT, kim.id)
    await db.write(invitations.void_all, PROJECT, lee.id)
    await db.write(invitations.accepted, PROJECT, lee.id)
    (used,), (void,) = await db.read(invited, kim.id), await db.read(invited, lee.id)
    assert (used["accepted_at"] is None, used["voided_at"]) == (False, None)
    assert (void["accepted_at"], void["voided_at"] is None) == (None, False)


def invited(tx: Transaction, user_id: str) -> list[Row]:
    return tx.all("SELECT * FROM invitations WHERE user_id = :user ORDER BY epoch", user=user_id)


def letters(tx: Transaction) -> list[Row]:
    return tx.all("SELECT * FROM letters WHERE project_id = :project", project=PROJECT)
