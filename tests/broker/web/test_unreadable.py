"""A missing encryption key, as everybody meets it: said, survived, and over once it is back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from broker.db.database import Transaction
from broker.db.seal import Seal
from broker.service.sealing import KEPT, Kept
from broker.store import sealed
from tests.broker.web.rehearsing import AMARA, KIM, Rehearsal, query_of

GONE = Seal({"gone": b"g" * 32})


def swapped(tx: Transaction, kept: Kept, value: bytes | None = None) -> bytes:
    """Put a value that nobody here opens, or the given one, into the column's one row."""
    (row,) = sealed.page(tx, kept.column, (), 2)
    put = value or GONE.seal(b"lost", *kept.place(row))
    assert sealed.replace(tx, kept.column, row, put)
    return bytes(row[kept.column.name])


@asynccontextmanager
async def without_key(rehearsal: Rehearsal, column: str) -> AsyncIterator[None]:
    """While the block runs the column's one value is sealed with a key that is not here."""
    db = rehearsal.service.broker.db
    (kept,) = (one for one in KEPT if one.column.words == column)
    was = await db.write(swapped, kept)
    yield
    await db.write(swapped, kept, was)


async def connector(rehearsal: Rehearsal) -> dict[str, Any]:
    """The connector, as an administrator's program sees it."""
    path = f"/v1/connectors/{rehearsal.connector}"
    found: dict[str, Any] = (
        await rehearsal.service.client.get(path, headers=rehearsal.headers)
    ).json()
    return found


async def test_a_connector_s_secret_under_a_missing_key(rehearsal: Rehearsal) -> None:
    """K16, promise 12, R44: the administrator reads which field's key is missing and what to do;
    what is connected stays connected; a sign-in is told to come back, and its callback works
    once the key is there again.
    """
    link = await rehearsal.link(KIM)
    async with rehearsal.browser() as browser:
        await rehearsal.sign_in(browser, link, KIM)
        away = await browser.post(link)
        back = rehearsal.pretend.pages.decide(query_of(away.headers["location"]), KIM.user_name)
        async with without_key(rehearsal, "connector_secrets.sealed"):
            shown = await connector(rehearsal)
            assert shown["state"] == "connected"
            assert shown["fields"]["client_secret"]["has_value"] is True
            (warning,) = [one for one in shown["warnings"] if one["code"] == "unreadable"]
            assert "Consumer secret" in warning["text"]
            refused = await browser.get(back)
            assert refused.status_code == 503
            assert "broker seal status" in refused.text
            assert (await rehearsal.resolve(AMARA, "r-1"))["row"] == "F11"
        assert "unreadable" not in [one["code"] for one in (await connector(rehearsal))["warnings"]]
        assert (await browser.get(back)).status_code == 200
    assert (await rehearsal.resolve(KIM, "r-2"))["credential"]["access_token"]


async def test_the_issuer_s_secret_under_a_missing_key(rehearsal: Rehearsal) -> None:
    """Promise 12: nobody can sign in meanwhile, is told so as 503, and nothing else is touched."""
    link = await rehearsal.link(KIM)
    async with rehearsal.browser() as browser:
        async with without_key(rehearsal, "projects.oidc_secret"):
            refused = await browser.get("/signin", params={"link": link.rpartition("/")[2]})
            assert refused.status_code == 503
            assert "encryption key is missing" in refused.text
            assert (await connector(rehearsal))["state"] == "connected"
        assert (await rehearsal.sign_in(browser, link, KIM)).status_code == 303
