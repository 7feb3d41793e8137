"""Links, kept: one open a person and connector; claimed by all proofs together or not at all."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from broker.db.database import Database, Transaction
from broker.domain.clock import DAY, MINUTE
from broker.domain.errors import NotFound
from broker.domain.links import Event, Link, Purpose, State, after
from broker.store import links
from tests.clocks import MovableClock

ACME, OTHER = "prj_acme", "prj_other"
PROOF = {"state_hash": "s", "browser_hash": "b", "session_hash": "c"}


def made(tx: Transaction, /, id: str = "lnk_1", **more: Any) -> Link:
    """A link to Kim, kept if it may be."""
    link = Link(
        id=id,
        project=ACME,
        connector="con_1",
        user="usr_kim",
        purpose=Purpose.CONNECT,
        state=State.OPEN,
        made_by="key:key_1",
        created_at=tx.now,
        expires_at=tx.now + DAY,
    )
    link = replace(link, **more)
    links.insert(tx, link)
    return link


def followed(tx: Transaction) -> Link:
    link = made(tx)
    links.follow(tx, link, **PROOF, verifier=b"sealed")
    return link


async def test_what_is_kept_comes_back(db: Database) -> None:
    """Every field of a link survives."""
    full: dict[str, Any] = {
        "scopes": ("api", "id"), "return_url": "https://flows.example/",
        "other_account": True, "coupon": 7,
    }  # fmt: skip
    link = await db.write(made, **full)
    assert await db.read(links.get, ACME, "lnk_1") == link


async def test_one_link_is_open_for_a_person_and_connector(db: Database) -> None:
    """K1: the database itself refuses a second; once the first has ended there is room."""
    first = await db.write(made)
    await db.write(made, "lnk_2")
    assert await db.read(links.find, ACME, "lnk_2") is None
    assert await db.read(links.open_for, ACME, "con_1", "usr_kim") == first
    await db.write(links.change, replace(first, state=State.VOID))
    await db.write(made, "lnk_2")
    assert await db.read(links.find, ACME, "lnk_2") is not None


async def test_the_wizard_may_have_several(db: Database) -> None:
    """C3: each click on Authorize is a link of its own."""
    for id in ("lnk_1", "lnk_2"):
        await db.write(made, id, purpose=Purpose.WIZARD, user=None)
        assert await db.read(links.find, ACME, id) is not None


@pytest.mark.parametrize(
    "wrong",
    [
        {"project": OTHER},
        {"connector_id": "con_2"},
        {"state_hash": "x"},
        {"browser_hash": "x"},
        {"session_hash": "x"},
        {"session_hash": None},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
async def test_a_claim_needs_every_proof(db: Database, wrong: dict[str, Any]) -> None:
    """Safety 14, 15: one wrong proof finds nothing, and changes nothing."""
    await db.write(followed)
    given: dict[str, Any] = {"project": ACME, "connector_id": "con_1", **PROOF}
    assert await db.write(links.claim, **(given | wrong)) is None
    claimed = await db.write(links.claim, **given)
    assert claimed is not None
    assert (claimed.state, claimed.verifier) == (State.CLAIMED, b"sealed")
    assert await db.write(links.claim, **given) is None, "a link is claimed once"


async def test_a_claim_comes_within_ten_minutes(db: Database, clock: MovableClock) -> None:
    """Promise 19: after that the state is worth nothing."""
    await db.write(followed)
    clock.advance(10 * MINUTE)
    assert await db.write(links.claim, ACME, "con_1", **PROOF) is None


async def test_an_ended_link_keeps_no_verifier(db: Database) -> None:
    """RFC 7636: the verifier is of use for one exchange alone."""
    await db.write(followed)
    claimed = await db.write(links.claim, ACME, "con_1", **PROOF)
    assert claimed is not None
    await db.write(links.change, after(claimed, Event.COMPLETED, now=0))
    assert (await db.read(links.get, ACME, "lnk_1")).verifier is None


async def test_a_person_who_ends_takes_their_links_along(db: Database) -> None:
    """Safety 8: open and claimed ones are void; nobody else's are."""
    await db.write(followed)
    await db.write(made, "lnk_2", user="usr_ana")
    await db.write(links.void_all, OTHER, "usr_kim")
    assert (await db.read(links.get, ACME, "lnk_1")).state is State.OPEN
    await db.write(links.void_all, ACME, "usr_kim")
    assert (await db.read(links.get, ACME, "lnk_1")).state is State.VOID
    assert (await db.read(links.get, ACME, "lnk_2")).state is State.OPEN


async def test_another_project_finds_nothing(db: Database) -> None:
    """Safety 2, 3: a link of another project is a missing link."""
    await db.write(followed)
    with pytest.raises(NotFound):
        await db.read(links.get, OTHER, "lnk_1")
    assert await db.read(links.answered, OTHER, "s") is None
    assert await db.read(links.project_of, "lnk_1") == ACME
    assert await db.read(links.project_of, "lnk_9") is None


async def test_what_nobody_completed_is_overdue(db: Database, clock: MovableClock) -> None:
    """K3: open past its end, or claimed by somebody who never came back."""
    await db.write(followed)
    await db.write(made, "lnk_2", user="usr_ana")
    await db.write(links.claim, ACME, "con_1", **PROOF)
    assert await db.write(links.overdue, ACME) == []
    clock.advance(10 * MINUTE)
    assert [link.id for link in await db.write(links.overdue, ACME)] == ["lnk_1"]
    clock.advance(DAY)
    assert [link.id for link in await db.write(links.overdue, ACME)] == ["lnk_1", "lnk_2"]
    assert await db.write(links.overdue, OTHER) == []
