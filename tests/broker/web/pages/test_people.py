"""Users as an administrator sees them: the list, one person, why, and what can be done to them."""

from __future__ import annotations

import pytest

from tests.broker.web.pages.conftest import Desk
from tests.browsing import read
from tests.faces import Faces

LIST = "/admin/people"


async def test_nobody_yet(service: Faces) -> None:
    """An empty list says where people come from."""
    page = await read(await service.administrator(), LIST)
    assert "Nobody yet" in page
    assert page.leads("connect a directory") == ["/admin/directories"]


async def test_everybody_on_pages_and_by_status(desk: Desk) -> None:
    """Each person once over all pages; the filter stays in the address of the next page."""
    ids = await desk.push(*(f"p{n:03}" for n in range(101)))
    await desk.leave([ids["p007"]])
    seen: list[str] = []
    page = await desk.read(f"{LIST}?status=invited")
    while True:
        seen += [href.rpartition("/")[2] for href, _ in page.links if "/people/usr_" in href]
        if not page.leads("Further people"):
            break
        page = await page.follow("Further people")
    assert sorted(seen) == sorted(id for name, id in ids.items() if name != "p007")
    page = await (await desk.read(LIST)).press("Apply", status="suspended")
    assert page.leads("p007")
    assert not page.leads("p008")
    assert "Nobody fits." in await page.press("Apply", status="queued")


async def test_why_and_what_led_here(desk: Desk) -> None:
    """One sentence why a person is not active, and the events behind it, the newest first."""
    ids = await desk.push("kim")
    page = await (await desk.read(LIST)).follow("kim")
    assert "has not signed in yet" in page
    page = await page.press("Activate")
    assert "Is active and holds a license." in page
    events = page.text.partition("What led here")[2]
    assert events.index("Activated") < events.index("Invited")
    assert page.path.startswith(f"{LIST}/{ids['kim']}")


async def test_a_license_is_refused_with_the_numbers(desk: Desk) -> None:
    """U8, R130: without a free license the answer says how many there are and who waits."""
    await desk.push("kim")
    await (await desk.read("/admin/licenses")).press("Change number", capacity="0")
    page = await (await desk.read(LIST)).follow("kim")
    refused = await page.press("Activate")
    assert refused.answer.status_code == 409
    assert "0 of 0 licenses are held" in refused


async def test_suspend_asks_first_and_reinstate_undoes_it(desk: Desk) -> None:
    """U11: a page of its own says what ends; a sync does not lift it, an administrator does."""
    await desk.push("kim")
    page = await (await desk.read(LIST)).follow("kim")
    asked = await (await page.press("Activate")).follow("Suspend")
    assert "Access ends at once" in asked
    assert "The license goes to whoever waits longest." in asked
    page = await asked.press("Suspend", reason="left the company")
    assert "An administrator suspended this person" in page
    page = await page.press("Reinstate")
    assert "Reinstated." in page
    assert "becomes active again at the next sign-in" in page


async def test_an_invitation_is_sent_again_or_handed_over(desk: Desk) -> None:
    """U18: a new epoch, or the link itself, shown to the administrator alone and in no address."""
    ids = await desk.push("kim")
    page = await desk.read(f"{LIST}/{ids['kim']}")
    shown = await page.press("Copy the invitation link")
    assert "/invitations/" in shown
    assert "/invitations/" not in shown.path
    link = shown.text.partition("Link")[2]
    page = await page.press("Resend the invitation")
    assert "the link of the old letter is dead" in page
    again = await page.press("Copy the invitation link")
    assert again.text.partition("Link")[2] != link


async def test_letters_that_cannot_leave_are_a_banner(desk: Desk) -> None:
    """Without a mail server letters wait: every page says how many, and what to do meanwhile."""
    assert "letter" not in await desk.read("/admin/licenses")
    await desk.push("kim", "pat")
    page = await desk.read("/admin/licenses")
    assert "2 letters wait" in page
    assert "BROKER_SMTP_URL" in page
    assert (await page.follow("those who are invited")).leads("kim")


async def test_somebody_needs_no_license(desk: Desk) -> None:
    """D3, safety 10: by an administrator, shown on the person and counted on Licenses."""
    await desk.push("kim")
    page = await (await desk.read(LIST)).follow("kim")
    page = await (await page.press("Exempt from licenses")).press("Activate")
    assert "without a license by an administrator's exemption" in page
    assert "1 active person needs no license" in await desk.read("/admin/licenses")
    assert "Needs a license again." in await page.press("Needs a license again")


async def test_who_is_detached_is_ticked_for_adoption(desk: Desk) -> None:
    """Safety 12: the banner leads to ticks; one is given, taken back, or given to everybody."""
    ids = await desk.push("kim", "pat")
    await (await desk.read(f"{desk.here}/delete")).press("Delete", name="Acme")
    page = await (await desk.read(LIST)).follow("Choose who may be adopted")
    page = await page.press("Save changes", adoptable=[ids["kim"]])
    assert await adoptable(desk) == {"kim"}
    page = await page.press("Save changes", adoptable=[ids["pat"]])
    assert await adoptable(desk) == {"pat"}
    await page.press("Everybody may be adopted")
    assert await adoptable(desk) == {"kim", "pat"}
    assert "another may adopt" in await desk.read(f"{LIST}/{ids['kim']}")


async def test_a_tombstone_of_a_deleted_directory_can_be_read(desk: Desk) -> None:
    """U15, R113: who was deleted is still explained, whatever became of the directory."""
    ids = await desk.push("kim")
    await desk.scim("DELETE", f"/Users/{ids['kim']}", {})
    await (await desk.read(f"{desk.here}/delete")).press("Delete", name="Acme")
    page = await (await desk.read(f"{LIST}?status=deleted")).follow("kim")
    assert "The directory deleted this person." in page
    assert page.forms == [page.form("Sign out")]


async def adoptable(desk: Desk) -> set[str]:
    """The names of those who are ticked."""
    found = await desk.service.broker.managing.page(desk.caller)
    return {user.user_name for user in found if user.adoptable}


@pytest.mark.parametrize("path", ["", "/suspend"])
async def test_another_projects_person_is_missing(desk: Desk, path: str) -> None:
    """Safety 3: people of another project are missing, as is somebody who never was."""
    await desk.read(f"{LIST}/usr_00000000000000000000000000{path}", 404)
