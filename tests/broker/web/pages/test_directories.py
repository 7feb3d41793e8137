"""Directory sync as an administrator sees and changes it (R104, R106, R108, R110 to R116)."""

from __future__ import annotations

import pytest

from broker.db.database import Transaction
from broker.domain.directories import Schedule
from tests.broker.web.pages.conftest import Desk
from tests.browsing import read
from tests.faces import Faces

LIST = "/admin/directories"


async def test_an_empty_house_says_what_to_do(service: Faces) -> None:
    """Without a directory the page says how one is made, here and on the command line."""
    page = await read(await service.administrator(), LIST)
    assert "No directory yet" in page
    assert "broker directory add" in page
    for word in ("Account Administration", "User provisioning", "Directory sync"):
        assert word in page  # R104: the path, in the owner's words


async def test_a_directory_is_added_and_its_token_shown_once(service: Faces) -> None:
    """What the identity provider needs is on the page that comes of it, and on no other."""
    page = await read(await service.administrator(), LIST)
    made = await page.press("Add a directory", name="Acme")
    ((view,),) = [await service.broker.configuring.directories(service.project)]
    assert f"/scim/v2/{view.directory.id}" in made
    token = made.text.partition("Bearer ")[2].split("'")[0]
    pushed = await service.client.get(
        f"/scim/v2/{view.directory.id}/Users", headers={"Authorization": f"Bearer {token}"}
    )
    assert pushed.status_code == 200
    page = await made.follow("I have put it there")
    assert token not in page.html
    again = await read(service.client, LIST)
    refused = await again.press("Add a directory", name="acme")
    assert refused.answer.status_code == 409
    assert "There is a directory named acme already." in refused


async def test_status_and_last_synced_are_those_of_the_api(desk: Desk) -> None:
    """R106: list and page show the same status and the same time as `GET /v1/directories/{id}`."""
    assert "Never" in await desk.read(LIST)
    await desk.push("kim", shoeSize=43)
    await desk.quiet()
    headers = await desk.service.key("directories:read")
    told = await desk.client.get(f"/v1/directories/{desk.directory}", headers=headers)
    last = told.json()["last_run"]
    for path in (LIST, desk.here):
        page = await desk.read(path)
        assert "Last synced" in page or "last synced" in page
        assert f'<time datetime="{last["last_at"]}">' in page.html
        assert last["status"] == "Partial success"
        assert "Partial success" in page
        assert "so far" not in page


async def test_both_ways_lead_to_the_history(desk: Desk) -> None:
    """R116: More options and the link beside the last synced status open the same page."""
    for path in (LIST, desk.here):
        page = await desk.read(path)
        beside, option = page.leads("View sync history"), page.leads("Sync history")
        assert set(beside) == set(option) == {f"{desk.here}/history"}
        assert "More options" in page


async def test_sync_now_leads_to_its_run_and_then_to_the_one_that_goes_on(desk: Desk) -> None:
    """R110, R7: idle, it begins one and says that nothing is fetched; again, it finds that one."""
    await desk.push("kim")
    await desk.quiet()
    page = await desk.read(desk.here)
    assert "nothing to fetch" in page  # T8
    first = await page.press("Sync now")
    assert "The sync has begun." in first
    assert "manual" in first
    again = await page.press("Sync now")
    assert "is going on already" in again
    run = await desk.newest()
    assert first.path.partition("?")[0] == again.path.partition("?")[0] == f"/admin/runs/{run.id}"
    assert len(await desk.service.broker.syncing.runs(desk.service.project)) == 2


async def test_disable_asks_first_and_loses_nothing(desk: Desk) -> None:
    """R111, R112: a page of its own with the alert; then 503 for pushes, Sync now says why not;
    enabling takes the push again, and the configuration is byte for byte what it was.
    """
    await desk.push("kim")
    before = await desk.service.broker.configuring.directory(desk.service.project, desk.directory)
    asked = await (await desk.read(LIST)).follow("Disable")
    assert "suspends the sync for a time; it can be enabled again" in asked
    assert "1 person keeps" in asked
    assert (await desk.read(desk.here)).form("Sync now").disabled == set()
    page = await asked.press("Disable")
    assert "Nothing is lost" in page
    assert "503" in page
    assert page.form("Sync now").disabled == {"Sync now"}
    refused = await desk.scim("POST", "/Users", {"userName": "pat"})
    assert refused.status_code == 503
    assert refused.headers["retry-after"]
    page = await page.press("Enable")
    await desk.push("pat")
    after = await desk.service.broker.configuring.directory(desk.service.project, desk.directory)
    for part in ("name", "tolerance", "window_s", "holding", "absent", "schedule", "state"):
        assert getattr(after.directory, part) == getattr(before.directory, part)
    assert after.tokens[0]["id"] == before.tokens[0]["id"]


async def test_delete_tells_numbers_and_wants_the_name(desk: Desk) -> None:
    """R113 to R115: an alert with numbers, the name typed, then gone for good; people stay."""
    await desk.push("kim", "pat")
    asked = await (await desk.read(desk.here)).follow("Delete configuration")
    assert "This is permanent" in asked
    assert "1 token will be refused" in asked
    assert "2 people stay" in asked
    refused = await asked.press("Delete", name="Other")
    assert refused.answer.status_code == 422
    assert "Type the name of the directory as it is." in refused
    assert "Nothing was changed" in refused
    page = await refused.press("Delete", name="Acme")
    assert "No directory yet" in page
    await desk.read(desk.here, 404)
    assert (await desk.scim("POST", "/Users", {"userName": "lee"})).status_code == 401
    assert "2 people have no directory any more" in page  # the standing banner, safety 12
    people = await desk.read("/admin/people")
    assert "none (detached)" in people


async def test_settings_are_edited_as_a_form(desk: Desk) -> None:
    """R108: name, tolerance, window, holding and absent; what was typed stays where it is wrong,
    and who had an older version on the screen overwrites nothing.
    """
    first = await (await desk.read(desk.here)).follow("Edit")
    stale = await desk.read(f"{desk.here}/edit")
    typed = {"name": "Berlin", "tolerance": "strict", "window_s": "60", "count": "7"}
    page = await first.press("Save changes", **typed, absent="delete", pushes=True)
    for words in ("Saved.", "Berlin", "strict", "60 s of silence", "7 people", "pushes included"):
        assert words in page
    view = await desk.service.broker.configuring.directory(desk.service.project, desk.directory)
    holding = view.directory.holding
    assert (holding.count, holding.percent, holding.pushes) == (7, 10, True)
    refused = await stale.press("Save changes", name="Hamburg")
    assert refused.answer.status_code == 412
    assert 'value="Hamburg"' in refused.html
    edit = await desk.read(f"{desk.here}/edit")
    wrong = await edit.press("Save changes", name="Hamburg", window_s="100000")
    assert "window_s is between 1 second and a day." in wrong
    assert 'value="Hamburg"' in wrong.html
    page = await edit.press("Save changes", count="", pushes=False)
    assert "10 % of the people, 5 at least without a decision" in page


async def test_a_schedule_in_words_with_its_next_times(desk: Desk) -> None:
    """R109: cron text becomes a sentence and the next five times; a wrong one changes nothing."""
    edit = await desk.read(f"{desk.here}/edit")
    wrong = await edit.press("Save the schedule", cron="every hour", zone="Europe/Berlin")
    assert wrong.answer.status_code == 422
    assert 'value="every hour"' in wrong.html
    page = await wrong.press("Save the schedule", cron="30 2 * * *", zone="Europe/Berlin")
    assert "(Europe/Berlin)" in page
    assert page.html.partition("Next: ")[2].partition("UTC")[0].count("<time") == 5
    view = await desk.service.broker.configuring.directory(desk.service.project, desk.directory)
    assert view.directory.schedule == Schedule("30 2 * * *", "Europe/Berlin")
    assert "in " in (await desk.read(LIST)).text.partition("Next sync")[2]
    page = await (await desk.read(f"{desk.here}/edit")).press("Save the schedule", cron="")
    assert "<dt>Schedule</dt><dd>none" in page.html


async def test_a_token_is_replaced_without_a_failed_push(desk: Desk) -> None:
    """Two live at a time: make one, push with both, revoke the old one, which alone is refused."""
    page = await desk.read(desk.here)
    made = await page.press("Make a token")
    token = made.text.partition("Bearer ")[2].split("'")[0]
    await desk.push("kim")
    desk.headers["Authorization"], old = f"Bearer {token}", desk.headers["Authorization"]
    await desk.push("pat")
    refused = await page.press("Make a token")
    assert "two living tokens" in refused
    first, _ = (
        await desk.service.broker.configuring.directory(desk.service.project, desk.directory)
    ).tokens
    page = await (await desk.read(desk.here)).press("Revoke", at=f"{first['id']}/revoke")
    assert "Revoked." in page
    await desk.push("lee")
    desk.headers["Authorization"] = old
    assert (await desk.scim("POST", "/Users", {"userName": "ray"})).status_code == 401


async def test_what_has_no_equivalent_stands_beside_the_mapping(desk: Desk) -> None:
    """R120: the mapping in use, and the attributes of the last run that it has no place for."""
    await desk.push("kim", "pat", shoeSize=43)
    page = await desk.read(desk.here)
    assert "every declared attribute is copied as it is" in page
    assert "2 times shoeSize" in page


async def test_a_directory_in_trouble_is_told_everywhere(desk: Desk) -> None:
    """A refused credential is a banner on every page, with the way to it, not a silent stop."""

    def troubling(tx: Transaction) -> None:
        tx.run(
            "UPDATE directories SET trouble = 'The source answered 401.', source = :source",
            source='{"kind": "scim", "settings": {}}',
        )

    await desk.service.broker.db.write(troubling)
    for path in ("/admin/licenses", "/admin/people"):
        page = await desk.read(path)
        assert (
            "cannot be read, and its scheduled syncs are stopped: The source answered 401." in page
        )
        page = await page.follow("See to it")
        assert "Needs you" in page
        assert "token: not set" in page


async def test_names_from_outside_are_text(desk: Desk) -> None:
    """Safety 36: markup in what a directory or an administrator says is shown, never obeyed."""
    edit = await desk.read(f"{desk.here}/edit")
    await edit.press("Save changes", name='<b>"Acme"</b>')
    canary = "<img src=x onerror=alert(1)>"
    ids = await desk.push(canary, displayName=canary, **{canary: 1})
    run = await desk.newest()
    for path in (
        LIST,
        desk.here,
        f"{desk.here}/edit",
        f"{desk.here}/delete",
        f"{desk.here}/history",
        f"/admin/runs/{run.id}?show=all",
        f"/admin/people/{ids[canary]}",
        f"/admin/people/{ids[canary]}/suspend",
    ):
        page = await desk.read(path)
        assert "<img" not in page.html
        assert "<b>" not in page.html


@pytest.mark.parametrize("path", ["", "/edit", "/disable", "/delete", "/history"])
async def test_another_projects_directory_is_missing(desk: Desk, path: str) -> None:
    """Safety 3: an administrator sees the directories of their own project alone."""
    other = await desk.service.other_project()
    made, _ = await desk.service.broker.configuring.add(other, "Theirs", by="test")
    for id in (made.id, "dir_00000000000000000000000000"):
        await desk.read(f"/admin/directories/{id}{path}", 404)
