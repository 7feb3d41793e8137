"""The wizard: an administrator sets up a Salesforce connector, from name to policy."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg

from broker.domain.connectors import Policy
from tests.journeys.stage import CLIENT, CLIENT_SECRET, KIM, ROBOT, Stage, query_of, stage

NAME = {"name": "  Salesforce ", "type": "salesforce"}
REST = {
    "environment": {"name": "rehearsal"},
    "options": {"buttons": "install_update"},
    "fields": {"client_id": CLIENT, "client_secret": CLIENT_SECRET, "button_object": "Account"},
}


async def sent(on: Stage, method: str, path: str, body: object = None) -> httpx.Response:
    """What the administrator's browser sends to /v1, and the answer."""
    url = f"{on.broker.base_url}/v1/connectors{path}"
    any_version = {"If-Match": "*"}
    return await on.admin.client.request(method, url, json=body, headers=any_version)


async def done(on: Stage, method: str, path: str, body: object = None) -> dict[str, Any]:
    """The same, where it is meant to work."""
    answer = await sent(on, method, path, body)
    assert answer.is_success, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


async def test_an_administrator_sets_up_salesforce(database_url: str, tmp_path: Path) -> None:
    """C1 to C6, R62 to R80, R3, R8: a draft, its environment, option and secret, Authorize by
    PKCE over HTTP with Deny and then Allow, authorized, connected; off at first, then each policy.
    """
    async with stage(tmp_path, database_url) as on:
        draft = await done(on, "POST", "", NAME)
        assert (draft["name"], draft["state"]) == ("Salesforce", "draft")
        assert (await on.resolve(None)).json()["row"] == "F1"
        path = f"/{draft['id']}"
        early = await sent(on, "POST", f"{path}/authorize", {})
        assert early.status_code == 422
        pointers = [problem["pointer"] for problem in early.json()["errors"]]
        assert "/environment" in pointers

        configured = await done(on, "PATCH", path, REST)
        assert (configured["state"], configured["missing"]) == ("configured", [])
        assert configured["fields"]["client_secret"]["has_value"] is True

        link = (await done(on, "POST", f"{path}/authorize", {}))["url"]
        denied = await on.allow(on.admin, link, ROBOT, "deny")
        assert denied.status_code == 409
        shown = await done(on, "GET", path)
        assert (shown["state"], shown["reason"]) == ("configured", "access_denied")
        assert (await sent(on, "POST", f"{path}/connect")).status_code == 409

        link = (await done(on, "POST", f"{path}/authorize", {}))["url"]
        gone_on = await on.admin.client.post(link)
        asked = query_of(gone_on.headers["location"])
        assert gone_on.headers["location"].startswith(on.simulator.base_url)
        assert (asked["code_challenge_method"], len(asked["code_challenge"])) == ("S256", 43)
        assert urlsplit(asked["redirect_uri"]).path == f"/oauth/callback/{draft['id']}"
        allowed = await on.allow(on.admin, link, ROBOT)
        assert allowed.status_code == 200
        assert (await done(on, "GET", path))["state"] == "authorized"
        assert (await on.resolve(None)).json()["row"] == "F1"

        connected = await done(on, "POST", f"{path}/connect")
        assert connected["state"] == "connected"
        assert connected["connector_user"]["account"] == ROBOT
        assert connected["user_authentication"]["enabled"] is False
        decided = (await on.resolve(None)).json()
        assert (decided["row"], await on.runs_as(decided["credential"])) == ("F3", ROBOT)

        for policy in Policy:
            body = {"enabled": True, "policy": policy.value}
            saved = await done(on, "PUT", f"{path}/user-authentication", body)
            assert saved["user_authentication"]["policy"] == policy
            by_key = await on.engine.put(f"/v1/connectors{path}/user-authentication", json=body)
            assert by_key.status_code == 403
        again = await sent(on, "POST", "", NAME | {"name": "SALESFORCE"})
        assert (again.status_code, again.json()["code"]) == (409, "name-taken")
        second = await sent(on, "POST", "", NAME | {"name": "Second"})
        assert (second.status_code, second.json()["code"]) == (409, "one-connector-per-project")


async def test_no_secret_is_where_somebody_can_read_it(database_url: str, tmp_path: Path) -> None:
    """Promises 13, 17, R44, R45: after a wizard, a sign-in, resolves and a deprovisioning, at
    debug level, neither the database, its journal nor the log holds a token or the client secret.
    """
    async with stage(tmp_path, database_url, BROKER_LOG_LEVEL="debug") as on:
        await on.switch(await on.connector(), enabled=True, policy="pause")
        kim = {"user_id": await on.push(KIM)}
        asked = await on.decided(kim, interactive=True)
        browser = on.browser()
        await on.sign_in(browser, asked["link"]["url"], KIM)
        await on.allow(browser, asked["link"]["url"], KIM.user_name)
        assert (await on.decided(kim, attempt=2))["row"] == "F6"
        secrets = {CLIENT_SECRET}
        for approval in on.simulator.salesforce.approvals:
            secrets |= {approval.refresh_token, *approval.access}
        gone = await on.engine.post(f"/v1/users/{kim['user_id']}/suspend")
        assert gone.status_code == 200, gone.text
        written = everything(database_url)
        log = on.broker.log.read_bytes()
    assert len(secrets) == 5, "two approvals, a refresh and an access token each"
    assert CLIENT.encode() in written, "what is no secret is found there"
    for secret in secrets:
        assert secret.encode() not in written
        assert secret.encode() not in log


def everything(url: str) -> bytes:
    """Every byte of the database: its files, or each of its tables as PostgreSQL copies it."""
    if url.startswith("sqlite:///"):
        file = Path(url.removeprefix("sqlite:///"))
        return b"".join(part.read_bytes() for part in file.parent.glob(file.name + "*"))
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        ).fetchall()
        copied = b""
        for (table,) in tables:
            with connection.cursor().copy(f'COPY "{table}" TO STDOUT (FORMAT binary)') as rows:
                copied += b"".join(bytes(part) for part in rows)
    return copied
