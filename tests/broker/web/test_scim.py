"""Which directory a SCIM token opens, and what it says where it opens none."""

from __future__ import annotations

import pytest

from broker.db.database import Database
from broker.web.scim import DISABLED_S
from scim.errors import Busy, Unauthorized
from scim.etag import IfMatch
from scim.tolerance import STANDARD, STRICT
from tests import pushing


@pytest.mark.parametrize(("word", "tolerance"), [("standard", STANDARD), ("strict", STRICT)])
async def test_a_token_opens_its_directory(db: Database, word: str, tolerance: object) -> None:
    """Safety 1: the host is that directory's, with its address and its tolerance."""
    house = await pushing.house(db)
    directory, token = await house.directory(tolerance=word)
    host = await house.scim("https://broker.example").admit(directory.id, f"Bearer {token}")
    assert host.base_url == f"https://broker.example/scim/v2/{directory.id}"
    assert host.tolerance is tolerance


async def test_no_other_token_does(db: Database) -> None:
    """Safety 1, 3: none, garbage, an API key, another directory's or project's: Unauthorized."""
    house, other = await pushing.house(db), await pushing.house(db, "other")
    directory, token = await house.directory()
    _, second = await house.directory("Second")
    _, foreign = await other.directory()
    _, key = await house.callers.add_key(house.project, "key", ["resolve"], by="operator")
    scim = house.scim()
    wrong = [None, "", f"Basic {token}", f"Bearer {token}x", f"Bearer {key}"]
    for authorization in (*wrong, f"Bearer {second}", f"Bearer {foreign}"):
        with pytest.raises(Unauthorized):
            await scim.admit(directory.id, authorization)
    with pytest.raises(Unauthorized):
        await scim.admit("dir_nobody", f"Bearer {token}")
    assert house.syncing.noted == {(house.project, directory.id): {"refused": 7}}


@pytest.mark.parametrize(("state", "error"), [("disabled", Busy), ("deleted", Unauthorized)])
async def test_a_directory_that_is_not_enabled_takes_nothing(
    db: Database, state: str, error: type[Exception]
) -> None:
    """R111, R113: disabled says when to come back, deleted is as if it never was."""
    house = await pushing.house(db)
    directory, token = await house.directory()
    sql = "UPDATE directories SET state = :state WHERE project_id = :project"
    await db.write(lambda tx: tx.run(sql, state=state, project=house.project))
    with pytest.raises(error) as refused:
        await house.scim().admit(directory.id, f"Bearer {token}")
    if isinstance(refused.value, Busy):
        assert refused.value.retry_after_s == DISABLED_S


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)  # SQLite is never away
async def test_a_database_that_is_away_is_busy_and_no_fault(db: Database) -> None:
    """A client hears 503 with Retry-After, reads and writes alike, and asks again."""
    house = await pushing.house(db)
    directory, token = await house.directory()
    scim = house.scim()
    host = await scim.admit(directory.id, f"Bearer {token}")
    users = host.resources(pushing.CATALOGUE.by_name["User"])
    await db.close()
    for asked in (
        scim.admit(directory.id, f"Bearer {token}"),
        users.find("usr_1", computed=frozenset()),
        users.delete("usr_1", IfMatch()),
    ):
        with pytest.raises(Busy):
            await asked
