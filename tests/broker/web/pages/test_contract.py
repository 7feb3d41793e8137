"""The contract for people: Swagger UI under a strict policy, and a page for each problem."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

from tests.browsing import read
from tests.faces import BROWSER, Faces
from tests.house.product import ROOT
from tests.keeping import contract

STATIC = ROOT / "broker" / "web" / "pages" / "static" / "docs"
VERSION = "5.35.0"
CODES = sorted({code for _, code in contract().problems})


@pytest.mark.parametrize(
    ("path", "document"), [("/docs", "/openapi.json"), ("/docs/scim", "/scim/openapi.json")]
)
async def test_the_documents_are_shown_under_a_strict_policy(
    service: Faces, path: str, document: str
) -> None:
    """promise 25: scripts and styles of this service alone, none of them in the page itself, and
    every file it asks for is here under its own type.
    """
    page = await service.client.get(path, headers=BROWSER)
    policy = dict(
        part.split(" ", 1) for part in page.headers["content-security-policy"].split("; ")
    )
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
        "form-action": "'none'",
    }
    assert page.headers["x-content-type-options"] == "nosniff"
    assert f'data-url="{document}"' in page.text
    assert not re.search(r"<script>|\son\w+=|style=|<style|https?://", page.text)
    assert '<a href="/docs">' in page.text or 'href="/docs" aria-current="page"' in page.text
    assert (await service.client.get(document)).json()["openapi"].startswith("3.1")
    for asked in re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text):
        answer = await service.client.get(asked)
        kind = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
        assert answer.headers["content-type"].startswith(kind[asked.rpartition(".")[2]])
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("name", ["LICENSE", "NOTICE", "odd.js", "%2e%2e/broker.css"])
async def test_nothing_else_of_the_folder_is_served(service: Faces, name: str) -> None:
    """Only what the page asks for has an address."""
    assert (await service.client.get(f"/static/docs/{name}")).status_code == 404


def test_swagger_ui_is_here_with_its_license() -> None:
    """Apache-2.0, section 4: the license and the notice go along with what is copied."""
    bundle = (STATIC / "swagger-ui-bundle.js").read_text()
    assert f'"{VERSION}"' in bundle
    assert "Apache License" in (STATIC / "LICENSE").read_text()
    assert "SmartBear" in (STATIC / "NOTICE").read_text()
    [named] = re.findall(r"For license information please see (\S+)", bundle)
    assert (STATIC / named).is_file()


def test_the_wheel_holds_what_is_served(tmp_path: Path) -> None:
    """The contracts and the pages over them are in what an operator installs."""
    builder = WheelBuilder(str(ROOT))
    [wheel] = builder.build(directory=str(tmp_path), versions=["standard"])
    held = set(zipfile.ZipFile(wheel).namelist())
    pages = {str(file.relative_to(ROOT)) for file in (ROOT / "broker/web/pages").rglob("*.*")}
    assert {page for page in pages if not page.endswith(".pyc")} - held == set()
    assert {"broker/openapi/broker.yaml", "broker/openapi/scim.yaml"} <= held


async def test_every_problem_has_a_page(service: Faces) -> None:
    """RFC 9457 §3.1.1: the `type` of a problem leads to what it means, and to what to do."""
    assert len(CODES) > 100
    for code in CODES:
        page = await read(service.client, f"/problems/{code}")
        assert code in page
        assert "What to do:" in page


async def test_the_problems_are_listed(service: Faces) -> None:
    """Whoever programs against the words finds all of them on one page."""
    page = await read(service.client, "/problems")
    assert set(re.findall(r'href="/problems/([^"]+)"', page.html)) == set(CODES)


@pytest.mark.parametrize("word", ["odd", "<script>", "A", "x" * 65, "a.b", "%00", "not_found"])
async def test_no_other_word_has_a_page(service: Faces, word: str) -> None:
    """`/problems/{code}` shows words of the contract, and nothing that somebody typed."""
    answer = await service.client.get(f"/problems/{word}", headers=BROWSER)
    assert answer.status_code == 404
    assert "<script>" not in answer.text
    assert word not in answer.text or word == "A"
