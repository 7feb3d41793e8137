"""Sync history, runs and records as an administrator sees them, and what is decided there."""

from __future__ import annotations

import html

import pytest

from tests.broker.web.pages.conftest import Desk
from tests.browsing import Page
from tests.waiting import until


async def held(desk: Desk, *names: str) -> Page:
    """A run that holds the end of everybody's access but one."""
    edit = await desk.read(f"{desk.here}/edit")
    await edit.press("Save changes", count="1", pushes=True)
    ids = await desk.push(*names)
    await desk.quiet()
    await desk.leave(ids.values())
    run = await desk.quiet()
    return await desk.read(f"/admin/runs/{run.id}")


async def test_every_run_once_the_newest_first_and_paged(desk: Desk) -> None:
    """R107: three pages of runs, each run on exactly one of them, in order."""
    assert "No runs yet" in await desk.read(f"{desk.here}/history")
    for n in range(101):
        await desk.push(f"p{n}")
        await desk.quiet()
    runs = await desk.service.broker.syncing.runs(desk.service.project, limit=200)
    seen: list[str] = []
    page = await desk.read(f"{desk.here}/history")
    while True:
        seen += [href for href, _ in page.links if href.startswith("/admin/runs/")]
        if not page.leads("Older runs"):
            break
        page = await page.follow("Older runs")
    assert seen == [f"/admin/runs/{run.id}" for run in runs]


async def test_progress_rises_without_reload_and_without_script(desk: Desk) -> None:
    """R105: a running run asks the browser to read it again; counts rise; the end is the end."""
    await desk.push("kim")
    run = await desk.newest()
    page = await desk.read(f"/admin/runs/{run.id}?show=all&done=started")
    assert page.answer.headers["refresh"] == f"3; url=/admin/runs/{run.id}?show=all"
    assert "<progress" in page.html
    assert "Running" in page
    assert "Success so far" in page
    assert "Records1" in page.text.replace(" ", "")
    await desk.push("pat", "lee")
    again = await desk.read(page.answer.headers["refresh"].partition("url=")[2])
    assert "Records3" in again.text.replace(" ", "")
    assert "last: lee" in again
    still = await page.follow("Stop that")
    assert "refresh" not in still.answer.headers
    await desk.quiet()
    over = await desk.read(f"/admin/runs/{run.id}")
    assert "refresh" not in over.answer.headers
    assert "so far" not in over
    assert "<progress" not in over.html


async def test_a_run_is_stopped(desk: Desk) -> None:
    """A running run has a button that ends it; the history says so."""
    await desk.push("kim")
    run = await desk.newest()
    page = await (await desk.read(f"/admin/runs/{run.id}")).press("Stop")
    assert "It ended early: stopped" in page
    assert (await desk.newest()).reason == "stopped"


async def test_the_owners_words_lead_to_a_warning_and_its_remedy(desk: Desk) -> None:
    """Directory sync → View sync history → the run → the record, its warning, what to do (R120)."""
    await desk.push("kim")
    await desk.push("pat", shoeSize=43)
    await desk.quiet()
    page = await (await desk.read("/admin/directories")).follow("View sync history")
    run = next(href for href, _ in page.links if href.startswith("/admin/runs/"))
    page = await desk.read(run)
    assert "Partial success" in page
    assert "1 × unknown attribute: shoeSize" in page
    assert page.leads("pat")
    assert not page.leads("kim")
    assert "Map the attribute, ignore it" in page
    everything = await page.press("Apply", show="all")
    assert everything.leads("kim")
    created = await everything.press("Apply", show="failed")
    assert "No records." in created
    record = await page.follow("pat")
    assert "shoeSize" in record
    person = await record.follow("Why is this person")
    assert "pat" in person


async def test_what_failed_is_shown_with_its_remedy_and_retried(desk: Desk) -> None:
    """R119: message, what to do, what was sent; one press tries it again in a run of its own."""
    await desk.push("kim")
    refused = await desk.scim("POST", "/Users", {"userName": "KIM", "externalId": "x-2"})
    assert refused.status_code == 409
    run = await desk.quiet()
    page = await desk.read(f"/admin/runs/{run.id}")
    (_, record), *_ = await desk.service.broker.syncing.records(
        desk.service.project, run.id, troubled=True
    )
    assert record.message
    assert record.next
    assert record.message in html.unescape(page.html)
    assert record.next in html.unescape(page.html)
    about = await page.follow("KIM")
    assert "What the directory sent" in about
    assert "x-2" in about
    edited = await desk.scim("PUT", "/Users/" + (await newest_person(desk)), {"userName": "lee"})
    assert edited.status_code == 200, edited.text
    await desk.quiet()
    async with desk.working():
        again = await page.press("Retry failed (1)")
        await until(lambda: is_over(desk))
    again = await desk.read("/admin/runs/" + (await desk.newest()).id)
    assert "failed records tried again" in again.text.lower()
    assert "Success" in again


async def newest_person(desk: Desk) -> str:
    """The one person there is."""
    (user,) = await desk.service.broker.managing.page(desk.caller)
    return user.id


async def is_over(desk: Desk) -> bool:
    """Whether a retry has ended."""
    run = await desk.newest()
    return run.kind == "retry" and run.ended_at is not None


async def test_a_held_run_says_what_it_would_do(desk: Desk) -> None:
    """R5: numbers first, the limit beside them, each record by name; the directory points here."""
    page = await held(desk, "kim", "pat", "lee")
    assert "2 changes wait for a decision" in page
    assert "to end the access of 2 people of 3" in page
    assert "One run may do that to 1" in page
    assert "Waiting for a decision" in page
    assert page.form("Release all 2").boxes["records"]
    assert "waits for a decision" in await desk.read(desk.here)
    sync = await (await desk.read(desk.here)).press("Sync now")
    assert "The last sync waits for a decision" in sync


@pytest.mark.parametrize(
    ("button", "suspended"), [("Release all 2", 3), ("Release none", 1)], ids=["all", "none"]
)
async def test_all_or_none_is_released(desk: Desk, button: str, suspended: int) -> None:
    """R6: one press decides all that is left; the run ends, and says who decided."""
    page = await held(desk, "kim", "pat", "lee")
    page = await page.press(button)
    assert "decided" in page
    run = await desk.newest()
    async with desk.working():
        await until(lambda: ended(desk, run.id))
    page = await desk.read(f"/admin/runs/{run.id}?show=all")
    assert "Held changes were decided by admin:" in page
    people = await desk.service.broker.managing.page(desk.caller)
    assert sum(person.status == "suspended" for person in people) == suspended


async def test_some_are_released_record_by_record(desk: Desk) -> None:
    """R6: the ticked one is carried out, another rejected, the rest waits on; who decided stays."""
    page = await held(desk, "kim", "pat", "lee", "ray")
    nothing = await page.press("Release those ticked")
    assert nothing.answer.status_code == 422
    assert "Tick the changes that are meant." in nothing
    first, second, third = page.form("Release none").boxes["records"]
    run = await desk.newest()
    async with desk.working():
        await page.press("Release those ticked", records=[first])
        await until(lambda: left(desk, run.id, 2))
        page = await desk.read(f"/admin/runs/{run.id}")
        assert page.form("Release none").boxes["records"] == [second, third]
        await page.press("Reject those ticked", records=[second])
        await until(lambda: left(desk, run.id, 1))
    record = await desk.read(f"/admin/runs/{run.id}/records/{second}")
    assert "Held, and rejected by admin:" in record
    record = await desk.read(f"/admin/runs/{run.id}/records/{first}")
    assert "Held, and released by admin:" in record


async def ended(desk: Desk, run: str) -> bool:
    """Whether the run is over."""
    return (
        await desk.service.broker.syncing.run(desk.service.project, run)
    ).run.ended_at is not None


async def left(desk: Desk, run: str, count: int) -> bool:
    """Whether so many changes are still held."""
    view = await desk.service.broker.syncing.run(desk.service.project, run)
    return view.run.counts.staged == count


async def test_the_history_of_a_deleted_directory_stays(desk: Desk) -> None:
    """R113: a run whose directory was deleted can still be read, and nothing be done with it."""
    await desk.push("kim")
    run = await desk.quiet()
    await (await desk.read(f"{desk.here}/delete")).press("Delete", name="Acme")
    page = await desk.read(f"/admin/runs/{run.id}?show=all")
    assert "a directory that was deleted" in page
    assert "kim" in await page.follow("kim")


async def test_another_projects_run_is_missing(desk: Desk) -> None:
    """Safety 3: runs and records of another project, and those that never were, are 404 alike."""
    await desk.push("kim")
    run = await desk.newest()
    await desk.read(f"/admin/runs/{run.id}/records/999999", 404)
    await desk.read("/admin/runs/run_00000000000000000000000000", 404)
    other = await desk.service.other_project()
    secret = await desk.service.broker.callers.setup_link(other)
    await desk.client.post(f"/setup/{secret}", headers={"Sec-Fetch-Site": "same-origin"})
    await desk.read(f"/admin/runs/{run.id}", 404)
    await desk.read(f"/admin/runs/{run.id}/records/1", 404)
