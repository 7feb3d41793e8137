"""Who reaches the pages of administrators, and what they accept of whom."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from starlette.routing import Route

from broker import app
from tests.broker.web.pages.conftest import Desk
from tests.faces import BROWSER, Faces

NOBODY = "xxx_00000000000000000000000000"


def pages(service: Faces) -> Iterator[tuple[str, str]]:
    """Every address of administrators, with ids that name nothing, and its method."""

    async def ready() -> None:
        return None

    for route in app.routes(service.broker, ready):
        if isinstance(route, Route) and route.path.startswith("/admin"):
            path = re.sub(r"\{\w+:int\}", "1", route.path)
            for method in (route.methods or set()) - {"HEAD"}:
                yield method, re.sub(r"\{\w+\}", NOBODY, path)


async def test_only_an_administrators_session_reaches_a_page(service: Faces) -> None:
    """api.md "None of the three kinds of credential opens another kind's routes": nobody, an API
    key with every scope and a SCIM token are 401 on every page, and are told where to go.
    """
    found = list(pages(service))
    assert len(found) > 30
    key = await service.key()
    _, token = await service.broker.configuring.add(service.project, "Acme", by="test")
    for method, path in found:
        for headers in ({}, key, {"Authorization": f"Bearer {token}"}):
            answer = await service.client.request(method, path, headers=BROWSER | headers)
            assert answer.status_code == 401, f"{method} {path}"
            assert "broker admin link" in answer.text


async def test_another_site_changes_nothing(desk: Desk) -> None:
    """A form of another site is 403 on every address that changes something, whatever it says."""
    posts = [path for method, path in pages(desk.service) if method == "POST"]
    assert len(posts) > 15
    for path in posts:
        for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
            accept = {"Accept": "text/html"}
            answer = await desk.client.post(path, headers=accept | headers)
            assert answer.status_code == 403, path


async def test_a_field_nobody_asked_for_is_refused(desk: Desk) -> None:
    """Every form is read by one reader: unknown fields, other bodies and too large ones are not."""
    (person,) = (await desk.push("kim")).values()
    there = {"directories": desk.directory, "runs": (await desk.newest()).id, "people": person}
    for method, path in pages(desk.service):
        if method != "POST":
            continue
        path = path.replace(NOBODY, there.get(path.split("/")[2], ""), 1)
        answer = await desk.client.post(path, data={"canary": "1"}, headers=BROWSER)
        assert answer.status_code == 422, path
        answer = await desk.client.post(path, json={"name": "x"}, headers=BROWSER)
        assert answer.status_code == 415, path
        answer = await desk.client.post(path, data={"name": "x" * 70_000}, headers=BROWSER)
        assert answer.status_code == 413, path
    view = await desk.service.broker.configuring.directory(desk.service.project, desk.directory)
    assert view.directory.version == 1


@pytest.mark.parametrize("path", ["/admin/directories", "/admin/people", "/admin/licenses"])
async def test_one_part_of_the_navigation_is_current(desk: Desk, path: str) -> None:
    """README "Navigation": Account Administration, and where one is in it."""
    page = await desk.read(path)
    assert page.html.count("aria-current") == 1
    assert f'<a href="{path}" aria-current="true">' in page.html
