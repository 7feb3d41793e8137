"""Whom a source shows meets who is here: by key, by another name, or for the first time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from broker.domain.clock import MINUTE
from broker.domain.runs import Result
from broker.store import mappings
from providers.sources.reading import Found, Members, Page
from tests.clocks import MovableClock
from tests.pulling import Puller, gone, group, person, written
from tests.pushing import House


async def _pushed(puller: Puller, clock: MovableClock, **body: object) -> str:
    """Somebody who was pushed into the directory before it had a source; their id."""
    people = puller.hosting.users(await puller.directory())
    made = await people.create(puller.accepted(**body), computed=frozenset())
    clock.advance(10 * MINUTE)
    await puller.house.syncing.close_due()
    return made.id


async def test_who_was_pushed_is_matched(house: House, clock: MovableClock) -> None:
    """By externalId, then by userName whatever its case, nobody is made again; from then on by
    the source's own id, so that another userName is a change of the same person.
    """
    said = person(2, externalId=None, userName="Kim@acme.example")
    puller, source = await written(house, Page([person(1), said]))
    first = await _pushed(puller, clock, userName="old@acme.example", externalId="e1")
    second = await _pushed(puller, clock, userName="kim@acme.example")
    view = await puller.pull()
    assert (view.run.counts.created, view.run.counts.updated) == (0, 2)
    assert (await house.person(first)).user_name == "p1@acme.example"
    renamed = replace(said, body={**said.body, "userName": "lee@acme.example"})
    source.pages = [Page([person(1), renamed])]
    await puller.pull()
    assert (await house.person(second)).user_name == "lee@acme.example"


async def test_nobody_takes_the_place_of_another(house: House) -> None:
    """Who is read under one id is never somebody with another, as long as the source shows both;
    once the first has gone from it, a second of that name is the same person come back.
    """
    puller, source = await written(house, Page([person(1)]))
    await puller.pull()
    again = Found("User", "k1-new", person(1).body)
    source.pages = [Page([again])]
    view = await puller.pull()
    assert (view.run.counts.failed, view.run.counts.suspended) == (1, 1)
    view = await puller.pull()
    assert (view.run.counts.updated, view.run.counts.failed) == (1, 0)
    assert await puller.people() == {"p1@acme.example": "invited"}


async def test_a_mapping_may_create_nobody(house: House, clock: MovableClock) -> None:
    """`unmatched` skip: only who is here already is taken; all others are named and left out."""
    puller, _ = await written(house, Page([person(1), person(2)]))
    await _pushed(puller, clock, userName="p1@acme.example")

    mapping: dict[str, Any] = {"rules": [], "match": ["userName"], "unmatched": "skip"}
    await house.db.write(mappings.add, house.project, puller.id, mapping, "admin:setup", 0)
    view = await puller.pull()
    assert (view.run.counts.skipped, view.run.counts.created) == (1, 0)
    assert list(await puller.people()) == ["p1@acme.example"]


async def test_groups_hold_whom_the_source_says(house: House) -> None:
    """Members by the source's ids; who left is out, a group that is gone is deleted."""
    puller, source = await written(
        house, Page([person(n) for n in range(4)]), Page([group("g", "k0", "k1"), group("h")])
    )
    await puller.pull()
    assert await puller.inside("g") == {"p0@acme.example", "p1@acme.example"}
    source.pages = [source.pages[0], Page([group("g", "k1", "k2", displayName="G")])]
    view = await puller.pull()
    assert await puller.inside("G") == {"p1@acme.example", "p2@acme.example"}
    assert (view.run.counts.updated, view.run.counts.deleted) == (1, 1)


async def test_a_group_may_come_before_those_in_it(house: House) -> None:
    """Nested groups in any order; whoever is nobody at all is a warning, and the run goes on."""
    outer, inner = group("outer", "inner", "stranger"), group("inner", "k1")
    puller, _ = await written(house, Page([person(1)]), Page([outer]), Page([inner]))
    view = await puller.pull()
    assert await puller.inside("outer") == {"inner"}
    assert [(issue.code, issue.count) for issue in view.issues] == [("unknown-member", 1)]
    assert view.run.counts.failed == 0


async def test_a_group_in_pieces(house: House) -> None:
    """Microsoft Graph: from the beginning the first piece replaces what was known, the next ones
    add to it; of what changed, each piece is a change.
    """

    def piece(*keys: str, out: tuple[str, ...] = ()) -> Found:
        return Found("Group", "g", {"displayName": "g"}, members=Members(keys, out))

    people = Page([person(n) for n in range(5)])
    puller, source = await written(
        house, people, Page([piece("k0")]), Page([piece("k1"), piece("k2")], delta="4")
    )
    view = await puller.pull()
    assert await puller.inside("g") == {f"p{n}@acme.example" for n in range(3)}
    change = Page([piece("k3", out=("k0",)), Found("User", "k4", gone=True)], delta="5")
    source.pages = [people, people, people, people, change]
    view = await puller.pull()
    assert await puller.inside("g") == {f"p{n}@acme.example" for n in (1, 2, 3)}
    assert (view.run.counts.updated, view.run.counts.suspended) == (1, 1)
    await puller.configure(delta=None)
    source.pages = [people, Page([piece("k4")], delta="4")]
    await puller.pull()
    assert await puller.inside("g") == {"p4@acme.example"}


async def test_who_is_gone_and_unknown_is_nothing(house: House) -> None:
    """A deletion of somebody who never came here is no record."""
    puller, _ = await written(house, Page([gone("User", "k9"), gone("Group", "g9"), person(1)]))
    view = await puller.pull()
    assert view.run.counts.total == 1
    assert [line.result for line in await puller.records(view.run)] == [Result.CREATED]


async def test_an_id_nobody_could_keep_fails_alone(house: House) -> None:
    """A source's id beyond all use is a failure of its record, on both engines alike."""
    odd = [Found("User", "k" * 5000, person(8).body), Found("User", "k\x00", person(9).body)]
    puller, _ = await written(house, Page([person(1), *odd]))
    view = await puller.pull()
    assert (view.run.counts.created, view.run.counts.failed) == (1, 2)
