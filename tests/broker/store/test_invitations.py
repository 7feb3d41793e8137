"""Invitations and the letters that carry them."""

from __future__ import annotations

from dataclasses import replace

from broker.db.database import Database
from broker.domain.users import INVITATION_LIFETIME
from broker.store import invitations, letters
from tests.broker.store.people import PROJECT, kept, person
from tests.clocks import MovableClock


async def test_one_invitation_and_one_letter_an_epoch(db: Database) -> None:
    """U1, R127: however often it is asked for; a new epoch is a new invitation and letter."""
    kim = person("kim", invite_epoch=1)
    await db.write(kept, kim)
    for user in (kim, kim, replace(kim, invite_epoch=2)):
        await db.write(invitations.insert, user)
    found = await db.read(invitations.of_user, PROJECT, kim.id)
    assert [each.epoch for each in found] == [2, 1]
    assert await db.read(letters.waiting, PROJECT) == 2
    assert await db.read(letters.waiting, "prj_2") == 0


async def test_an_invitation_is_open_until_it_is_used_void_or_old(
    db: Database, clock: MovableClock
) -> None:
    """D2, U10, U18: accepted, voided or 7 days old, it lets nobody in."""
    kim, lee = person("kim", invite_epoch=1), person("lee", invite_epoch=1)
    await db.write(kept, kim, lee)
    for user in (kim, lee):
        await db.write(invitations.insert, user)
    (asked,) = await db.read(invitations.of_user, PROJECT, kim.id)
    assert asked.is_open(clock())
    assert not asked.is_open(clock() + INVITATION_LIFETIME)
    await db.write(invitations.accepted, PROJECT, kim.id)
    await db.write(invitations.void_all, PROJECT, kim.id)
    await db.write(invitations.void_all, PROJECT, lee.id)
    (used,) = await db.read(invitations.of_user, PROJECT, kim.id)
    (void,) = await db.read(invitations.of_user, PROJECT, lee.id)
    assert (used.accepted_at is None, used.voided_at) == (False, None)
    assert (void.accepted_at, void.voided_at is None) == (None, False)
    assert not used.is_open(clock())
    assert not void.is_open(clock())
