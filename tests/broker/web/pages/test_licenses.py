"""Licenses as an administrator sees and changes them (R129, R130, U17)."""

from __future__ import annotations

import pytest

from broker.domain.subjects import Subject
from tests.broker.web.pages.conftest import Desk
from tests.browsing import read
from tests.faces import BROWSER, Faces

HERE = "/admin/licenses"


async def test_nobody_waits(service: Faces) -> None:
    """Without a limit and without a queue the page says so."""
    page = await read(await service.administrator(), HERE)
    assert "any number may be" in page
    assert "Nobody is waiting." in page


async def queued(desk: Desk, capacity: int, people: int) -> dict[str, str]:
    """So many people ask for a license, in order; their ids."""
    await (await desk.read(HERE)).press("Change number", capacity=str(capacity))
    ids = await desk.push(*(f"p{n:03}" for n in range(people)))
    for id in ids.values():
        await desk.service.broker.licensing.log_in(
            desk.service.project, Subject(user_id=id), "key:test"
        )
    return ids


async def test_who_waits_and_at_which_place(desk: Desk) -> None:
    """R129: the queue with places, since when and why; the places agree with the API."""
    ids = await queued(desk, 3, 5)
    page = await desk.read(HERE)
    assert "3 of 3 · free 0" in page
    assert "All licenses are used." in page
    assert "Queue (2)" in page
    assert [href for href, _ in page.links if "/people/usr_" in href] == [
        f"/admin/people/{ids[name]}" for name in ("p003", "p004")
    ]
    assert "Nobody can be activated while no license is free" in page
    assert page.form("Activate", f"{ids['p003']}/activate").disabled == {"Activate"}


async def test_a_long_queue_is_paged(desk: Desk) -> None:
    """100 places a page; the next one goes on with the next place."""
    await queued(desk, 0, 103)
    page = await desk.read(HERE)
    assert "Queue (103)" in page
    page = await page.follow("Further places")
    rows = page.html.partition("<tbody>")[2]
    assert [rows.count(f'<td class="number">{n}</td>') for n in (100, 101, 103)] == [0, 1, 1]


async def test_raising_the_number_lets_the_next_in(desk: Desk) -> None:
    """R130, U6: with automatic promotion the head becomes active; by hand an administrator says."""
    ids = await queued(desk, 1, 3)
    page = await (await desk.read(HERE)).press("Change number", capacity="2")
    assert "2 of 2" in page
    assert "Queue (1)" in page
    page = await page.press("Change number", promotion="manual", capacity="3")
    assert "2 of 3 · free 1" in page
    assert "when an administrator activates them" in page
    page = await page.press("Activate", at=f"{ids['p002']}/activate")
    assert "Is active and holds a license." in page


async def test_lowering_it_takes_nothing_away(desk: Desk) -> None:
    """U17: over by n, nobody loses access, and there are no new ones until fewer are used."""
    await queued(desk, 5, 5)
    page = await (await desk.read(HERE)).press("Change number", capacity="2", strict=True)
    assert "Over by 3: nobody loses access" in page
    assert "until 1 are used" in page
    state = await desk.service.broker.licensing.state(desk.service.project)
    assert (state.held, state.strict) == (5, True)


async def test_no_number_is_refused_where_it_was_typed(desk: Desk) -> None:
    """What is no number changes nothing, and stands in the form again."""
    page = await (await desk.read(HERE)).press("Change number", capacity="-1")
    assert page.answer.status_code == 422
    assert "Nothing was changed" in page
    assert 'value="-1"' in page.html


@pytest.mark.parametrize(
    "sent",
    [{}, {"capacity": "7"}, {"promotion": "auto"}, {"capacity": "7", "promotion": ""}],
    ids=["nothing", "no promotion", "no capacity", "empty promotion"],
)
async def test_a_form_that_lacks_a_field_changes_nothing(desk: Desk, sent: dict[str, str]) -> None:
    """R130: a missing number is not "any number", nor a missing word the first one: 422, as below
    `/v1`; an empty number is any.
    """
    page = await desk.read(HERE)
    page = await page.press("Change number", capacity="3", promotion="manual", strict=True)
    licensing, project = desk.service.broker.licensing, desk.service.project
    before = await licensing.state(project)
    answer = await page.client.post(HERE, data=sent, headers=BROWSER)
    assert answer.status_code == 422
    assert await licensing.state(project) == before
    await page.press("Change number", capacity="")
    assert (await licensing.state(project)).capacity is None
