"""Which directory a SCIM token opens, and what it says where it opens none."""

from __future__ import annotations

import pytest

from broker.db.database import Database
from broker.web.scim import DISABLED_S
from scim.errors import Busy, Unauthorized
from scim.etag import IfMatch
from scim.tolerance import STANDARD, STRICT
from tests import pushing
from tests.faces import faces


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


async def test_a_token_that_was_revoked_elsewhere_ends_at_once(database_url: str) -> None:
    """Safety 1: what one process remembers of a token ends with whatever another commits."""
    async with faces(database_url) as here, faces(database_url) as elsewhere:
        made, token = await here.broker.configuring.add(here.project, "Acme", by="test")
        url, headers = f"/scim/v2/{made.id}/Users", {"Authorization": f"Bearer {token}"}
        for _ in range(2):
            assert (await here.client.get(url, headers=headers)).status_code == 200
        (known,) = await elsewhere.broker.callers.tokens(here.project, made.id)
        await elsewhere.broker.callers.revoke_token(here.project, known["id"], by="test")
        assert (await here.client.get(url, headers=headers)).status_code == 401


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


@pytest.mark.parametrize("sort", ["", "&sortBy=userName", "&sortBy=displayName", "&sortBy=id"])
@pytest.mark.parametrize("order", ["", "&sortOrder=descending"])
async def test_cursors_walk_all_types_there_and_back(db: Database, sort: str, order: str) -> None:
    """RFC 9865: over the root, in every order, the pages of the service are its list by index."""
    async with pushing.calling(await pushing.house(db)) as push:
        for name in ("b", "A", "c", "B2"):
            await push.user(name, displayName=name.upper())
            await push.group(name)
        for filter in ("", "&filter=displayName%20ge%20%22b%22", "&filter=userName%20pr"):
            query = f"/?count=3{filter}{sort}{order}&cursor="
            whole = (
                await push("GET", query.replace("count=3", "count=100")[: -len("&cursor=")])
            ).json()
            expected = [each["id"] for each in whole["Resources"]]
            assert whole["totalResults"] == len(expected)
            forward, back = await _walked(push, query, "nextCursor")
            assert [id for page in forward for id in page] == expected
            backward, _ = await _walked(push, query, "previousCursor", back)
            whole_back = (*reversed(backward), forward[-1])
            assert [id for page in whole_back for id in page] == expected


async def _walked(
    push: pushing.Pusher, query: str, way: str, cursor: str = ""
) -> tuple[list[list[str]], str]:
    """The ids of each page one way, and the last page's way back."""
    pages: list[list[str]] = []
    while True:
        page = (await push("GET", query + cursor)).json()
        pages.append([each["id"] for each in page["Resources"]])
        assert len(pages) < 10
        if way not in page:
            return pages, page.get("previousCursor", "")
        cursor = page[way]


async def test_a_cursor_opens_in_its_directory_alone(db: Database) -> None:
    """Safety 1: another directory's cursor, and one that was changed, are 400 invalidCursor."""
    house = await pushing.house(db)
    async with pushing.calling(house) as push, pushing.calling(house, "Second") as other:
        for name in ("a", "b"):
            await push.user(name)
            await other.user(f"other-{name}")
        cursor = (await push("GET", "/Users?cursor&count=1")).json()["nextCursor"]
        assert (await push("GET", f"/Users?cursor={cursor}")).status_code == 200
        flipped = cursor[:-1] + ("A" if cursor[-1] != "A" else "Q")
        for refused in (
            await other("GET", f"/Users?cursor={cursor}"),
            await push("GET", f"/Groups?cursor={cursor}"),
            await push("GET", f"/Users?cursor={flipped}"),
            await push("GET", f"/Users?cursor={cursor[:20]}"),
            await push("GET", "/Users?cursor=AAAA"),
        ):
            assert refused.status_code == 400
            assert refused.json()["scimType"] == "invalidCursor"
