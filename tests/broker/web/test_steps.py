"""A batch, an explanation and a report as they come over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from broker.demo.simulator import serving
from tests.asking import NAMED, Asking, asking, question
from tests.clocks import MovableClock
from tests.engines import SqliteEngine
from tests.stepping import ANA, END, FALLBACK, LATER


@pytest.fixture
async def engine(
    sqlite_engine: SqliteEngine, tmp_path: Path, clock: MovableClock
) -> AsyncIterator[Asking]:
    """A flow engine before the whole service."""
    with sqlite_engine.database(tmp_path) as url:
        async with serving() as simulator, asking(url, simulator, clock) as found:
            yield found


async def test_a_batch_as_it_is_answered(engine: Asking) -> None:
    """api-conventions 11: in order, with `worst`; a bad item carries its own problem, whose
    pointers lead into the batch; behind the stop `not_evaluated`.
    """
    connector = await engine.at.connector(**END)
    await engine.at.connect(connector, None)
    await engine.kim(connector)
    await engine.at.connect(connector, await engine.at.person(ANA), **LATER)
    found = await engine.batch(
        {"step": {"id": "s1"}},
        {"step": {"id": "s2"}, "subject": {"user_name": ANA}},
        {"step": {"id": "s3", "type": "retrieve"}},
        {"step": {"id": "s4"}},
        defaults=question(NAMED),
        stop="on_error",
    )
    run, wait, problem, rest = found["items"]
    assert (run["row"], run["credential"]["token_type"]) == ("F6", "Bearer")
    assert (wait["outcome"], wait["row"], wait["status"]) == (
        "wait",
        "F7",
        "temporarily-unavailable",
    )
    assert (wait["retry_after_s"] >= 1, wait["message"], "credential" in wait) == (
        True, "The person's sign-in cannot be renewed just now; ask again soon.", False
    )  # fmt: skip
    said = problem["problem"]
    assert (said["status"], said["code"]) == (422, "unknown-step-type")
    assert [each["pointer"] for each in said["errors"]] == ["/items/2/step/type"]
    assert (rest, found["worst"]) == ({"outcome": "not_evaluated"}, 2)
    alone = await engine.decided(NAMED, step="s1")
    assert (alone["decision_id"], alone["version"]) == (run["decision_id"], 2)


async def test_a_decision_has_a_tag(engine: Asking) -> None:
    """api-conventions: `ETag` on every single resource; each look at a decision is another one."""
    await engine.at.connect(await engine.at.connector(), None)
    for version in ('"1"', '"2"'):
        id = (await engine.decided(None))["decision_id"]
        url = f"/v1/decisions/{id}"
        assert (await engine.on.client.get(url, headers=engine.headers)).headers["etag"] == version


async def test_a_hundred_in_one_megabyte(engine: Asking) -> None:
    """api-conventions 2: up to 100 items and 1 MB; more of either is refused whole."""
    await engine.at.connect(await engine.at.connector(), None)
    items: list[Any] = [question(None, step=f"s{n}") for n in range(100)]
    for item in items:
        item["step"]["scopes"] = [f"{n:03}" + "x" * 173 for n in range(50)]
    found = await engine.batch(*items)
    assert len(found["items"]) == 100
    assert len(await engine.at.rows("SELECT n FROM decision_lines")) == 100
    more = await engine.post("/v1/resolve/batch", {"items": [*items, items[0]]})
    assert (more.status_code, more.json()["errors"][0]["pointer"]) == (422, "/items")
    padded = {"items": items, "defaults": {"flow": "x" * 200_000}}
    large = await engine.post("/v1/resolve/batch", padded)
    assert (large.status_code, large.json()["code"]) == (413, "too-large")


async def test_an_explanation_and_its_scope(engine: Asking) -> None:
    """api.md: the same body and `assume`, for who has the scope `explain`; resolve is not it, and
    explaining gives no answer to act on.
    """
    connector = await engine.at.connector(**FALLBACK)
    await engine.at.connect(connector, None)
    await engine.kim(connector)
    found = await engine.explained(NAMED, assume={"token": "not_usable"})
    assert (found["row"], found["now"]["row"], found["connector"]) == ("F9", "F6", connector.id)
    assert "credential" not in found
    assert "decision_id" not in found
    asked = question(NAMED)
    refused = await engine.post(
        "/v1/resolve/explain", asked, headers=await engine.on.key("resolve")
    )
    assert (refused.status_code, refused.json()["code"]) == (403, "insufficient-scope")
    only = await engine.on.key("explain")
    assert (await engine.post("/v1/resolve/explain", asked, headers=only)).status_code == 200
    assert (await engine.post("/v1/resolve", asked, headers=only)).status_code == 403


async def test_a_report_is_of_ones_own(engine: Asking) -> None:
    """Safety 23: a key counts what it asked; all of them are for who may read the audit."""
    await engine.at.connect(await engine.at.connector(), None)
    await engine.decided(None)
    other = await engine.on.key("resolve")
    await engine.post("/v1/resolve", question(None), headers=other)

    async def counted(headers: dict[str, str]) -> list[int]:
        found = await engine.on.client.get("/v1/decisions/report?by=connector", headers=headers)
        return [each["lines"] for each in found.json()["items"]]

    assert await counted(engine.headers) == [2]
    assert await counted(other) == [1]


@pytest.mark.parametrize(
    "query", ["by=flow", "by=user&by=connector", "from=yesterday", "to=2026-01-01", "since=x"]
)
async def test_a_report_is_asked_strictly(engine: Asking, query: str) -> None:
    """api.md: what is no kind or two, no instant with its offset, or no parameter, is 422; the
    request is to be corrected, for there is no body.
    """
    answer = await engine.on.client.get(f"/v1/decisions/report?{query}", headers=engine.headers)
    assert (answer.status_code, answer.json()["next"][:19]) == (422, "Correct the request")
