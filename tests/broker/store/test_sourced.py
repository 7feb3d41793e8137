"""A directory as its source shows it: everything is found through an index."""

from __future__ import annotations

from broker.db.database import Database, Transaction
from broker.store import resources, seen, sourced
from broker.store.resources import Keys, Shelf
from broker.store.seen import Seen
from tests.watching import Watched, scans

SHELF = Shelf("prj_1", "dir_1", "User")
RUN = "run_1"


def _some(tx: Transaction) -> None:
    """Twelve people; ten have keys, and of these the first eight were seen."""
    for n in range(12):
        keys = Keys(f"p{n}", f"e{n}", f"P{n}")
        resources.insert(tx, SHELF, f"usr_{n}", keys, b"{}", b"{}")
    numbers = sourced.numbers(tx, SHELF, [f"usr_{n}" for n in range(10)])
    sourced.link(tx, SHELF, {number: f"k{id[4:]}" for id, number in numbers.items()})
    found = [Seen("User", f"k{n}", "d", numbers[f"usr_{n}"]) for n in range(8)]
    seen.keep(tx, SHELF.project, RUN, found)


async def test_who_is_there_and_who_is_missing(db: Database) -> None:
    """By key, by name, by externalId; absent is who has a key and was not seen, in pages."""
    await db.write(_some)

    def asked(tx: Transaction) -> None:
        assert sorted(sourced.by_keys(tx, SHELF, ["k1", "k9", "k77"])) == ["k1", "k9"]
        assert sourced.by_keys(tx, Shelf("prj_1", "dir_2", "User"), ["k1"]) == {}
        assert sourced.by_keys(tx, Shelf("prj_2", "dir_1", "User"), ["k1"]) == {}
        (one,) = sourced.matching(tx, SHELF, "name", ["p11", "nobody"])["p11"]
        assert (one.resource.id, one.key) == ("usr_11", None)
        (one,) = sourced.matching(tx, SHELF, "external", ["e3"])["e3"]
        assert (one.resource.id, one.key) == ("usr_3", "k3")
        assert sourced.members(tx, "prj_1", "dir_1", ["k2", "x"]) == {"k2": "usr_2"}
        page = sourced.absent(tx, SHELF, RUN, after=0, limit=1, suspended_too=True)
        assert [row["id"] for row in page] == ["usr_8"]
        after = page[0]["n"]
        page = sourced.absent(tx, SHELF, RUN, after=after, limit=5, suspended_too=True)
        assert [row["id"] for row in page] == ["usr_9"]

    await db.read(asked)


async def test_nothing_is_looked_at_twice(db: Database) -> None:
    """Plans: no statement of a pull walks a table, and absence asks one key of what was seen."""
    await db.write(_some)
    watched = Watched(db)

    def asked(tx: Transaction) -> None:
        sourced.by_keys(tx, SHELF, ["k1", "k2"])
        sourced.matching(tx, SHELF, "external", ["e1", "e2"])
        sourced.matching(tx, SHELF, "name", ["p1", "p2"])
        sourced.numbers(tx, SHELF, ["usr_1", "usr_2"])
        sourced.members(tx, "prj_1", "dir_1", ["k1"])
        sourced.absent(tx, SHELF, RUN, after=0, limit=5, suspended_too=False)
        seen.of(tx, "prj_1", RUN, "User", ["k1"])
        seen.page(tx, "prj_1", RUN, "Member", after="", limit=5)

    await watched.read(asked)
    plans = [plan for plan in await watched.plans() if "SCAN wanted" not in plan]
    assert not [plan for plan in plans if scans(plan)]
    assert any("resource_n" in plan for plan in plans)


async def test_what_was_seen_is_kept_once_and_forgotten_bit_by_bit(db: Database) -> None:
    """A later word replaces an earlier one; forgetting takes as many as it is told."""
    await db.write(_some)

    def again(tx: Transaction) -> None:
        seen.keep(tx, "prj_1", RUN, [Seen("User", "k1", "other", None)])
        assert seen.of(tx, "prj_1", RUN, "User", ["k1", "k2", "k9"]) == {"k1": "other", "k2": "d"}
        seen.anew(tx, "prj_1", RUN, "User")
        assert set(seen.of(tx, "prj_1", RUN, "User", ["k1", "k2"]).values()) == {""}
        turns = 0
        while seen.forget(tx, "prj_1", RUN, 3):
            turns += 1
        assert turns == 3

    await db.write(again)
