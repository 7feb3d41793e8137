"""Directory sync as an administrator sees it (R104 to R107, R116 to R122)."""

from __future__ import annotations

import html
import re
from typing import Any

import httpx
import pytest

from broker.domain.clock import SECOND
from tests.clocks import MovableClock
from tests.faces import BROWSER, Faces

USER = "urn:ietf:params:scim:schemas:core:2.0:User"


async def push(service: Faces, *people: dict[str, Any], name: str = "Acme") -> list[httpx.Response]:
    """A directory that pushes these people."""
    made, token = await service.broker.syncing.add(service.project, name, by="test", window_s=1)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/scim+json"}
    return [
        await service.client.post(
            f"/scim/v2/{made.id}/Users", json={"schemas": [USER], **person}, headers=headers
        )
        for person in people
    ]


async def page(service: Faces, path: str) -> str:
    """What an administrator reads there."""
    answer = await service.client.get(path, headers=BROWSER)
    assert answer.status_code == 200, answer.text
    return answer.text


def links(text: str, word: str) -> list[str]:
    """Where the links lead whose text or label holds the word."""
    found = re.findall(r'<a href="([^"]+)"([^>]*)>(.*?)</a>', text, re.S)
    return [href for href, more, inner in found if word in more + inner]


async def test_an_empty_house_says_what_to_do(service: Faces) -> None:
    """Without a directory the page names the command that makes one."""
    await service.administrator()
    assert "broker directory add" in await page(service, "/admin/directories")


async def test_the_owners_words_lead_to_a_warning(service: Faces, clock: MovableClock) -> None:
    """Directory sync → View sync history → the run → the record, its warning, what to do (R120)."""
    await push(
        service,
        {"userName": "kim", "externalId": "x-1"},
        {"userName": "pat", "externalId": "x-2", "shoeSize": 43},
    )
    await service.administrator()
    text = await page(service, "/admin/directories")
    for word in ("Account Administration", "User provisioning", "Directory sync", "Last synced"):
        assert word in text
    assert "Partial success so far" in text
    clock.advance(2 * SECOND)
    await service.broker.syncing.close_due()
    text = await page(service, "/admin/directories")
    assert "Partial success" in text
    assert "so far" not in text
    (history,) = links(text, "View sync history")
    text = await page(service, history)
    assert "Sync history" in text
    (run,) = [href for href in links(text, "<time") if "/runs/" in href]
    text = await page(service, run)
    assert "pat" in text
    assert "shoeSize" in text
    assert "kim" not in text
    everything = await page(service, run + "?show=all")
    assert "kim" in everything


async def test_a_failed_record_says_what_happened_and_what_to_do(service: Faces) -> None:
    """A refused push is on the page with its message, beside what was applied (R119)."""
    first, second = await push(
        service, {"userName": "kim", "externalId": "x-1"}, {"userName": "KIM", "externalId": "x-2"}
    )
    assert (first.status_code, second.status_code) == (201, 409)
    await service.administrator()
    (run,) = await service.broker.syncing.runs(service.project)
    text = await page(service, f"/admin/runs/{run.id}")
    (_, record), *_ = await service.broker.syncing.records(service.project, run.id, troubled=True)
    assert record.message
    assert record.message in html.unescape(text)
    assert "Failed" in text


@pytest.mark.parametrize("path", ["directories/{}/history", "runs/{}"])
async def test_another_projects_history_is_missing(service: Faces, path: str) -> None:
    """Safety 3: an administrator sees the history of their own project alone."""
    other = await service.other_project()
    made, _ = await service.broker.syncing.add(other, "Theirs", by="test")
    await service.administrator()
    for id in (made.id, "xxx_00000000000000000000000000"):
        answer = await service.client.get("/admin/" + path.format(id), headers=BROWSER)
        assert answer.status_code == 404


async def test_names_from_outside_are_text(service: Faces) -> None:
    """Safety 36: markup in what a directory sends is shown, never obeyed."""
    canary = "<img src=x onerror=alert(1)>"
    await push(service, {"userName": canary, "externalId": canary, canary: 1}, name='<b>"Acme"</b>')
    await service.administrator()
    (run,) = await service.broker.syncing.runs(service.project)
    for path in (
        "/admin/directories",
        f"/admin/directories/{run.directory}/history",
        f"/admin/runs/{run.id}",
    ):
        text = await page(service, path)
        assert "<img" not in text
        assert "<b>" not in text


async def test_tables_can_be_read_by_ear(service: Faces) -> None:
    """Tables have captions and scoped headers, in a region that can be reached and is named."""
    await push(service, {"userName": "kim", "externalId": "x-1"})
    await service.administrator()
    (run,) = await service.broker.syncing.runs(service.project)
    for path in (
        "/admin/directories",
        f"/admin/directories/{run.directory}/history",
        f"/admin/runs/{run.id}?show=all",
    ):
        text = await page(service, path)
        assert "<caption>" in text
        assert '<th scope="col">' in text
        assert re.search(r'class="scroll" role="region" aria-label="[^"]+" tabindex="0"', text)
        assert "aria-current" in text
