"""Token sets, kept: one a person and connector, one account one person, dropped without a trace."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from broker.db.database import Database, Duplicate, Transaction
from broker.domain.clock import DAY
from broker.domain.connectors import Connector
from broker.domain.connectors import State as ConnectorState
from broker.domain.token_states import leased
from broker.domain.tokens import State, TokenSet
from broker.store import connectors, tokens

ACME, OTHER = "prj_acme", "prj_other"


def holding(tx: Transaction, /, user: str | None = "usr_kim", **more: Any) -> TokenSet:
    """A living set, kept."""
    token = replace(
        tokens.absent(tx, ACME, "con_1", user),
        state=State.VALID,
        version=1,
        access=b"sealed access",
        refresh=b"sealed refresh",
        scopes=("api", "id"),
        origin="https://login.salesforce.com",
        account="00D:005",
        account_display="kim@acme",
        obtained_at=tx.now,
        expires_at=tx.now + DAY,
    )
    token = replace(token, **more)
    tokens.save(tx, token, due_at=tx.now + DAY)
    return token


async def test_what_is_kept_comes_back(db: Database) -> None:
    """Every field of a set survives, sealed bytes untouched, and the first save is an insert."""
    full: dict[str, Any] = {
        "reason": "why", "missing_scopes": ("chatter",), "base_url": "https://acme.example",
        "claims": "{}", "frozen": True, "fence": 3, "lease_until": 4, "journal": "hash",
        "failures": 2, "retry_at": 5, "unclassified": 1, "unclassified_since": 6, "rejected_at": 7,
        "vouched": 1, "grant_hash": "keyed",
    }  # fmt: skip
    kept = await db.write(holding, **full)
    assert await db.read(tokens.read, ACME, "con_1", "usr_kim") == kept


async def test_saving_again_changes_the_one_there_is(db: Database) -> None:
    """One set a person and connector: a second save is a change."""
    kept = await db.write(holding)
    await db.write(lambda tx: tokens.save(tx, replace(kept, version=2), due_at=None))
    assert await db.read(tokens.read, ACME, "con_1", "usr_kim") == replace(kept, version=2)


async def test_one_account_is_one_persons(db: Database) -> None:
    """Safety 17: the database itself refuses a second holder, the connector user among them."""
    await db.write(holding)
    for other in ("usr_ana", None):
        with pytest.raises(Duplicate):
            await db.write(holding, other)
    assert await db.read(tokens.holder, ACME, "con_1", "00D:005") == "usr_kim"


async def test_a_dropped_account_is_free(db: Database) -> None:
    """Safety 17: who was deprovisioned holds no account any more."""
    await db.write(holding)
    assert await db.write(tokens.drop_all, ACME, "usr_kim", "deprovision") == 1
    assert await db.read(tokens.holder, ACME, "con_1", "00D:005") is None
    await db.write(holding, "usr_ana")


async def test_dropping_leaves_nothing_but_the_job(db: Database) -> None:
    """K13: revoked with its reason, secrets erased at once, the sealed bytes in the job alone,
    under the id the set had; a second drop does nothing.
    """
    kept = await db.write(holding)
    for expected in (1, 0):
        assert await db.write(tokens.drop_all, ACME, "usr_kim", "deprovision") == expected
    token = await db.read(tokens.read, ACME, "con_1", "usr_kim")
    assert token is not None
    assert (token.state, token.reason) == (State.REVOKED, "deprovision")
    assert (token.access, token.refresh, token.version) == (None, None, 2)
    assert token.id != kept.id
    [job] = await db.read(lambda tx: tx.all("SELECT * FROM jobs"))
    assert (job["kind"], job["secret"]) == ("revoke", b"sealed refresh")
    assert kept.id in job["data"]


async def test_dropping_spares_everybody_else(db: Database) -> None:
    """K13: one person's sets, of one project."""
    await db.write(holding)
    assert await db.write(tokens.drop_all, ACME, "usr_ana", "deprovision") == 0
    assert await db.write(tokens.drop_all, OTHER, "usr_kim", "deprovision") == 0
    assert await db.write(tokens.drop_connector, ACME, "con_2", "gone") == 0
    assert await db.write(tokens.drop_connector, ACME, "con_1", "gone") == 1


async def test_another_project_sees_and_changes_nothing(db: Database) -> None:
    """Safety 2: the project is part of every look and every save."""
    kept = await db.write(holding)
    assert await db.read(tokens.read, OTHER, "con_1", "usr_kim") is None
    assert await db.read(tokens.of_connector, OTHER, "con_1") == []
    stolen = replace(kept, id="tks_stolen", project=OTHER, account=None)
    await db.write(lambda tx: tokens.save(tx, stolen, due_at=None))
    assert await db.read(tokens.read, ACME, "con_1", "usr_kim") == kept


async def test_a_lease_changes_nothing_else(db: Database) -> None:
    """K4: taking the lease writes fence, end and journal, and leaves the tokens alone."""
    kept = await db.write(holding)
    held = leased(kept, journal="hash", until=9, now=0)
    await db.write(tokens.lease, held)
    assert await db.read(tokens.read, ACME, "con_1", "usr_kim") == held


async def test_who_authorized_is_read_page_by_page(db: Database) -> None:
    """People in order, a page at a time; the connector user is not one of them."""
    for name in ("a", "b", "c"):
        await db.write(holding, f"usr_{name}", account=None)
    await db.write(holding, None)  # the connector user
    first = await db.read(tokens.of_connector, ACME, "con_1", limit=2)
    rest = await db.read(tokens.of_connector, ACME, "con_1", after="usr_b", limit=2)
    assert [one.user for one in (*first, *rest)] == ["usr_a", "usr_b", "usr_c"]


async def test_one_refresh_token_is_one_persons(db: Database) -> None:
    """Safety 17: the database itself refuses a second holder, and says who the first one is."""
    await db.write(holding, user="usr_kim", account=None, grant_hash="keyed")
    assert await db.read(tokens.brought_by, ACME, "con_1", "keyed") == "usr_kim"
    assert await db.read(tokens.brought_by, OTHER, "con_1", "keyed") is None
    with pytest.raises(Duplicate):
        await db.write(holding, user="usr_ana", account=None, grant_hash="keyed")


async def test_what_was_minted_is_outdated(db: Database) -> None:
    """R23: of one project, one connector and the minted ones alone; dead ones stay dead."""
    kept = await db.write(holding, user="usr_kim", account="a")
    minted = await db.write(
        holding, user="usr_ana", account="b", minted=True, lease_until=9, retry_at=9
    )
    dead = await db.write(
        holding, user="usr_bo", account="c", minted=True, state=State.NEEDS_REAUTH
    )
    await db.write(tokens.outdate_minted, OTHER, "con_1")
    assert await db.read(tokens.read, ACME, "con_1", "usr_ana") == minted
    await db.write(tokens.outdate_minted, ACME, "con_1")
    outdated: dict[str, Any] = {
        "state": State.EXPIRED,
        "version": 2,
        "lease_until": None,
        "retry_at": None,
    }
    for user, expected in (
        ("usr_kim", kept),
        ("usr_ana", replace(minted, **outdated)),
        ("usr_bo", replace(dead, version=2)),
    ):
        assert await db.read(tokens.read, ACME, "con_1", user) == expected


@pytest.mark.parametrize(
    ("changed", "due"),
    [
        ({}, 1),
        ({"state": ConnectorState.NEEDS_REAUTH}, 1),
        ({"state": ConnectorState.NEEDS_ADMIN}, 0),
        ({"state": ConnectorState.DISABLED}, 0),
        ({"keep_alive": False}, 0),
        ({"created_at": -200 * DAY}, 0),
    ],
)
async def test_only_what_is_in_use_is_due(db: Database, changed: dict[str, Any], due: int) -> None:
    """T13: connected, kept alive, and asked for (or made) within 180 days."""

    def setting(tx: Transaction) -> None:
        age = changed.get("created_at", 0)
        connector = Connector(
            id="con_1",
            project=ACME,
            name="S",
            name_key="s",
            type="salesforce",
            state=ConnectorState.CONNECTED,
            created_by="admin:setup",
            created_at=tx.now + age,
            changed_at=tx.now,
        )
        more = {name: value for name, value in changed.items() if name != "created_at"}
        connectors.insert(tx, replace(connector, **more))
        token = holding(tx)
        tokens.save(tx, token, due_at=tx.now)

    await db.write(setting)
    assert len(await db.write(tokens.due, ACME)) == due
    assert await db.write(tokens.due, OTHER) == []
