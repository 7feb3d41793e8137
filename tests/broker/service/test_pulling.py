"""Pull runs: what a source shows becomes ours page by page, and what is as it was costs little."""

from __future__ import annotations

from dataclasses import replace

from broker.demo.world import Trouble
from broker.domain.clock import DAY
from broker.domain.runs import Result, Status
from providers.errors import PlaceGone, TryLater
from providers.sources.reading import Page
from tests.clocks import MovableClock
from tests.pulling import Puller, gone, group, person, served, tenant, written
from tests.pushing import House
from tests.watching import Watched

LETTERS = "SELECT id FROM invitations WHERE project_id = :project"


async def test_everybody_is_invited_and_nobody_active(house: House) -> None:
    """R123, R127: over HTTP people come, then groups with their members; the counts add up, and
    an unknown attribute is a warning on its person (R120).
    """
    async with served(house) as (puller, _):
        view = await puller.pull()
        assert (view.run.counts.created, view.run.counts.total) == (125, 125)
        assert view.run.expected == 125
        assert set((await puller.people()).values()) == {"invited"}
        assert len(await puller.inside("Sales")) == 24
        assert view.run.status is Status.PARTIAL_SUCCESS
        assert "shoeSize" in {issue.attribute for issue in view.issues}
        assert len(await house.rows(LETTERS)) == 120


async def test_what_is_as_it_was_writes_no_line(house: House) -> None:
    """R2: a second reading finds all unchanged: counted on the run, and nobody is invited again."""
    puller, _ = await written(house, Page([person(1), person(2)]), Page([group("g", "k1")]))
    await puller.pull()
    view = await puller.pull()
    assert (view.run.counts.unchanged, view.run.counts.total) == (3, 3)
    assert view.run.status is Status.SUCCESS
    assert await puller.records(view.run) == []
    assert len(await house.rows(LETTERS)) == 2


async def test_a_hundred_unchanged_cost_what_ten_cost(house: House, watched: Watched) -> None:
    """What is as it was is read with its whole chunk: no statement is about one person."""
    asked: list[int] = []
    for count in (8, 64):
        puller, _ = await written(house, Page([person(count * 100 + n) for n in range(count)]))
        await puller.pull()
        watched.clear()
        await puller.pull()
        about = ("source_key", "FROM users", "INTO seen", "FROM seen", "INTO records")
        asked.append(sum(any(word in one.sql for word in about) for one in watched.asked))
    assert asked[1] == asked[0]


async def test_a_change_is_a_line_with_before_and_after(house: House) -> None:
    """R119: who changed is updated, and the line says how; all others stay as they were."""
    puller, source = await written(house, Page([person(1), person(2)]))
    await puller.pull()
    source.pages = [Page([person(1, title="Chief"), person(2)])]
    view = await puller.pull()
    assert (view.run.counts.updated, view.run.counts.unchanged) == (1, 1)
    (line,) = await puller.records(view.run)
    assert [(each.path, each.before, each.after) for each in line.changes] == [
        ("title", None, "Chief")
    ]


async def test_of_two_people_with_one_user_name_the_second_fails(house: House) -> None:
    """R3, D4: the first stays who they are, everybody else is taken, the second is one failure
    with what to do; and it stays so with every further reading.
    """
    second = person(7, userName="P1@acme.example")
    puller, _ = await written(house, Page([person(1), second, person(2)]))
    for _ in range(2):
        view = await puller.pull()
        assert view.run.status is Status.PARTIAL_SUCCESS
        assert view.run.counts.failed == 1
        assert view.run.counts.total == 3
        assert sorted(await puller.people()) == ["p1@acme.example", "p2@acme.example"]
        (failed,) = [r for r in await puller.records(view.run) if r.result is Result.FAILED]
        assert failed.external_id == "e7"
        assert failed.message is not None
        assert "taken by usr_" in failed.message
        assert failed.next
    first = next(r for r in await house.rows("SELECT * FROM users WHERE project_id = :project"))
    assert first["external_id"] in ("e1", "e2")


async def test_a_record_without_a_name_fails_alone(house: House) -> None:
    """T7: what cannot become a person is a failure of its own, and the others are taken."""
    puller, _ = await written(house, Page([person(1), person(2, userName=""), person(3)]))
    view = await puller.pull()
    assert (view.run.counts.created, view.run.counts.failed) == (2, 1)


async def test_a_failed_record_is_not_absent(house: House) -> None:
    """R5: somebody who comes with an error is there all the same, and keeps their access."""
    puller, source = await written(house, Page([person(1), person(2)]))
    await puller.pull()
    source.pages = [Page([person(1), person(2, userName=7)], refused=[("k1", "is no object")])]
    view = await puller.pull()
    assert (view.run.counts.failed, view.run.counts.suspended) == (2, 0)
    assert set((await puller.people()).values()) == {"invited"}
    source.pages = [Page([person(1)], refused=[("k2", "is no object"), (None, "has no id")])]
    view = await puller.pull()
    assert view.run.counts.failed == 2
    assert {issue.code for issue in view.issues} == {"unreadable"}
    assert set((await puller.people()).values()) == {"invited"}


async def test_what_comes_twice_counts_once(house: House) -> None:
    """A page that shifted shows somebody again: that is nothing new. Where they say something
    else, the later word is the truer one.
    """
    puller, source = await written(
        house, Page([person(1), person(2)]), Page([person(2), person(3)])
    )
    view = await puller.pull()
    assert (view.run.counts.created, view.run.counts.total) == (3, 3)
    source.pages = [Page([person(1, title="A"), person(1, title="B"), person(2), person(3)])]
    await puller.pull()
    (kept,) = await house.rows(
        "SELECT document FROM resources WHERE project_id = :project AND external_key = 'e1'"
    )
    assert b'"title":"B"' in bytes(kept["document"])


async def test_a_pull_goes_on_from_the_page_it_was_at(house: House) -> None:
    """R10: a page that could not be had is asked for again, and none before it; nothing twice."""
    puller, source = await written(house, *(Page([person(n), person(n + 10)]) for n in range(4)))
    source.troubles["2"] = [TryLater("unreachable", "the call failed")] * 2
    view = await puller.pull()
    assert source.asked == [None, "1", "2", "2", "2", "3"]
    assert (view.run.counts.created, view.run.counts.total) == (8, 8)
    assert view.run.reason is None


async def test_a_lost_place_begins_anew_in_the_same_run(house: House) -> None:
    """What was taken before the source lost its place is passed over, not counted twice."""
    puller, source = await written(house, *(Page([person(n)]) for n in range(3)))
    source.troubles["1"] = [PlaceGone("cursor-over")]
    view = await puller.pull()
    assert source.asked == [None, "1", None, "1", "2"]
    assert (view.run.counts.created, view.run.counts.total) == (3, 3)
    assert view.run.reason is None


async def _delta(house: House) -> Puller:
    """A directory of two people, read once, whose source tells what changes from here on."""
    puller, source = await written(house, Page([person(1), person(2)], delta="7"))
    await puller.pull()
    whole = Page([person(1), person(2)], delta="7")
    left = Page([gone("User", "k2")], delta="8")
    source.pages = [*[whole] * 7, left, Page([], delta="8")]
    source.asked.clear()
    return puller


async def test_the_next_pull_reads_what_changed(house: House) -> None:
    """A source with delta places is read from the last one; whoever it calls deleted leaves, and
    whom it does not speak of is not absent.
    """
    puller = await _delta(house)
    view = await puller.pull()
    source = puller.source
    assert source.asked == ["7"]
    assert (view.run.counts.suspended, view.run.counts.total) == (1, 1)
    assert view.run.expected is None
    assert await puller.people() == {"p1@acme.example": "invited", "p2@acme.example": "suspended"}
    await puller.pull()
    assert source.asked == ["7", "8"]


async def test_a_tenant_is_read_once_and_then_what_changed(house: House) -> None:
    """Microsoft Graph over HTTP: everybody, then whoever came, changed or left, and nobody else;
    where Graph lost its place the same run reads everything.
    """
    async with tenant(house) as (puller, simulator):
        view = await puller.pull()
        assert (view.run.counts.created, view.run.counts.failed) == (125, 0)
        assert len(await puller.inside("Sales")) == 24
        staff = simulator.entra.staff
        staff.leave([7])
        staff.come([121])
        staff.change(9, {"jobTitle": "Chief"})
        counts = (await puller.pull()).run.counts
        assert (counts.created, counts.suspended, counts.failed) == (1, 1, 0)
        assert counts.total < 15
        people = await puller.people()
        assert (len(people), list(people.values()).count("suspended")) == (121, 1)
        simulator.entra.switches.set(Trouble.PLACE_GONE, endpoint="users", times=1)
        view = await puller.pull()
        assert (view.run.reason, view.run.counts.failed) == (None, 0)
        assert view.run.counts.unchanged >= 120
        assert await puller.people() == people


async def test_everything_is_read_again_where_what_changed_is_not_enough(
    house: House, clock: MovableClock
) -> None:
    """After a week, under another mapping, from another source: a whole reading."""
    puller = await _delta(house)
    clock.advance(8 * DAY)
    await puller.pull()
    assert puller.source.asked[0] is None
    puller = await _delta(house)
    other = {"kind": "scim", "settings": {"base_url": "https://other.example"}}
    await puller.configure(source=other)
    await puller.pull()
    assert puller.source.asked[0] is None


async def test_what_was_seen_is_forgotten(house: House) -> None:
    """Nothing of what a run had to remember outlives it."""
    puller, _ = await written(house, Page([person(n) for n in range(5)]))
    await puller.pull()
    assert await house.rows("SELECT key FROM seen WHERE project_id = :project") == []


async def test_fields_the_source_translated_need_no_rule(house: House) -> None:
    """Its own words for what SCIM says too are no warning; others are (R120)."""
    known = person(1, mailNickname="p1", salary=1)
    puller, source = await written(house, Page([known]), translated=frozenset({"mailNickname"}))
    view = await puller.pull()
    assert [issue.attribute for issue in view.issues] == ["salary"]
    source.pages = [Page([replace(known, body={**known.body, "salary": None})])]
    view = await puller.pull()
    assert (view.run.warnings, view.run.status) == (0, Status.SUCCESS)
