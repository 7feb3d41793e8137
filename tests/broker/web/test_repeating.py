"""A post under an Idempotency-Key is carried out once (api-conventions.md 2; safety 33)."""

from __future__ import annotations

import ast
import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from broker.db.database import Database
from broker.domain.clock import DAY
from broker.domain.errors import Unavailable
from broker.service.replaying import LONGEST
from broker.service.retaining import Retaining
from tests import serving
from tests.clocks import MovableClock
from tests.faces import Faces, faces
from tests.house.product import ROOT, python, tree

DRAFT = {"name": "Salesforce", "type": "salesforce"}
REPLAYED = "idempotent-replayed"
SECRET = {"token", "access_token", "secret", "claim"}
"""Members of answers that hold a secret."""
HOLDING = {"/v1/connect-sessions", "/v1/users/{id}/invite", "/v1/actions/AuthenticateUser"}
"""Answered with an address that lets somebody in, or with who somebody is (R87)."""
ASKING = {"/v1/resolve", "/v1/resolve/batch", "/v1/resolve/explain", "/ccow"}
"""Asking these again is safe by itself."""


def under(key: str, headers: dict[str, str]) -> dict[str, str]:
    """The headers of a request under this key."""
    return headers | {"Idempotency-Key": key}


async def kept(db: Database) -> list[dict[str, Any]]:
    """What is kept of requests, as it is in the database."""
    return [dict(row) for row in await db.read(lambda tx: tx.all("SELECT * FROM replays"))]


async def tokens(db: Database) -> int:
    """How many SCIM tokens were ever made."""
    found = await db.read(lambda tx: tx.find("SELECT count(*) AS n FROM directory_tokens"))
    assert found is not None
    return int(found["n"])


async def test_the_same_request_gets_the_first_answer(database_url: str) -> None:
    """Same key and body: status, body and ETag of the first, marked; nothing is done again."""
    async with faces(database_url) as at:
        headers = under("order-1", await at.key())
        first = await at.client.post("/v1/connectors", json=DRAFT, headers=headers)
        again = await at.client.post("/v1/connectors", json=DRAFT, headers=headers)
        listed = (await at.client.get("/v1/connectors", headers=headers)).json()
    assert (first.status_code, REPLAYED in first.headers) == (201, False)
    assert (again.status_code, again.headers[REPLAYED]) == (201, "true")
    assert (again.content, again.headers["etag"]) == (first.content, first.headers["etag"])
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert len(listed["items"]) == 1


async def test_a_refusal_is_an_answer_too(service: Faces) -> None:
    """2xx and 4xx are kept: what was refused stays refused under that key, problem and all."""
    headers = under("order-1", await service.key())
    wrong = DRAFT | {"typ": "x"}
    first = await service.client.post("/v1/connectors", json=wrong, headers=headers)
    again = await service.client.post("/v1/connectors", json=wrong, headers=headers)
    assert first.status_code == again.status_code == 422
    assert again.headers["content-type"] == "application/problem+json"
    assert (again.headers[REPLAYED], again.content) == ("true", first.content)


async def test_another_request_may_not_use_the_key(service: Faces) -> None:
    """Another body, or another query, under a key that was used: 422, and nothing is done."""
    headers = under("order-1", await service.key())
    await service.client.post("/v1/connectors", json=DRAFT, headers=headers)
    for url, name in (("/v1/connectors", "Other"), ("/v1/connectors?x=1", "Salesforce")):
        answer = await service.client.post(url, json=DRAFT | {"name": name}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency-key-reused")
    listed = (await service.client.get("/v1/connectors", headers=headers)).json()["items"]
    assert [each["name"] for each in listed] == ["Salesforce"]


async def test_a_key_belongs_to_its_caller_and_address(service: Faces) -> None:
    """Scoped to credential, method and path: another caller or route is another request."""
    mine, other = await service.key(), await service.key()
    made = await service.push(["kim@acme.example"])
    id = made["kim@acme.example"]
    for headers, path in (
        (mine, f"/v1/users/{id}/suspend"),
        (other, f"/v1/users/{id}/suspend"),
        (mine, f"/v1/users/{id}/activate"),
    ):
        answer = await service.client.post(path, headers=under("order-1", headers))
        assert REPLAYED not in answer.headers


@pytest.mark.parametrize("key", ["", "two words", "x" * 256, "naïve", "tab\tbed"])
async def test_a_key_is_1_to_255_visible_characters(service: Faces, key: str) -> None:
    """Anything else is 422 and does nothing; so are two of them."""
    headers = list((await service.key()).items())
    for given in ([key], ["order-1", "order-2"]):
        keys = [(b"Idempotency-Key", each.encode()) for each in given]
        asked = [(name.encode(), value.encode()) for name, value in headers] + keys
        answer = await service.client.post("/v1/connectors", json=DRAFT, headers=asked)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid-idempotency-key")
    assert await kept(service.broker.db) == []


@pytest.mark.parametrize("words", [b"{", b"x" * (1024 * 1024 + 1)])
async def test_a_body_is_read_as_without_the_key(service: Faces, words: bytes) -> None:
    """What is no JSON is 400, and what is too large 413, with the key as without."""
    headers = await service.key() | {"Content-Type": "application/json"}
    plain = await service.client.post("/v1/connectors", content=words, headers=headers)
    keyed = await service.client.post(
        "/v1/connectors", content=words, headers=under("order-1", headers)
    )
    assert (keyed.status_code, keyed.json()["code"]) == (plain.status_code, plain.json()["code"])


async def test_an_answer_with_a_secret_is_told_once(database_url: str) -> None:
    """Safety 33: a repeat says that it was done and what it is called; no secret is kept."""
    async with faces(database_url) as at:
        headers = under("order-1", await at.key())
        made, _ = await at.broker.configuring.add(at.project, "Acme", by="test")
        url = f"/v1/directories/{made.id}/tokens"
        first, again = [await at.client.post(url, headers=headers) for _ in range(2)]
        secret, rows = first.json()["token"], await kept(at.broker.db)
    assert (first.status_code, again.status_code) == (201, 409)
    said = again.json()
    assert (said["code"], said["answered"], said["id"]) == ("told-once", 201, first.json()["id"])
    assert secret not in again.text
    assert len(rows) == 1
    assert secret.encode() not in rows[0]["answer"]
    assert secret.split("_", 2)[2] not in str(rows)


async def test_who_was_refused_a_secret_may_be_told_why_again(service: Faces) -> None:
    """A refusal holds no secret, so that a repeat gets it whole."""
    headers = under("order-1", await service.key())
    url = "/v1/directories/dir_01M7ZXRMANNR8NWHYY2DJJD7GN/tokens"
    first, again = [await service.client.post(url, headers=headers) for _ in range(2)]
    assert (first.status_code, again.status_code, again.content) == (404, 404, first.content)


async def test_what_failed_on_our_side_is_tried_again(
    service: Faces, monkeypatch: pytest.MonkeyPatch
) -> None:
    """5xx and 429 are not kept: the same key carries the request out once it can be."""
    headers = under("order-1", await service.key())
    kind = type(service.broker.connecting)
    create = kind.create

    failures = [Unavailable(), RuntimeError("broken")]

    async def failing(*_: object, **__: object) -> None:
        raise failures.pop()

    while failures:
        monkeypatch.setattr(kind, "create", failing)
        answer = await service.client.post("/v1/connectors", json=DRAFT, headers=headers)
        assert answer.status_code >= 500
        assert await kept(service.broker.db) == []
    monkeypatch.setattr(kind, "create", create)
    answer = await service.client.post("/v1/connectors", json=DRAFT, headers=headers)
    assert answer.status_code == 201


async def test_nobody_knows_what_a_request_did_that_never_ended(
    service: Faces, clock: MovableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that dies in between: 409 and Retry-After for a while, then the honest answer;
    never a second execution. After a day the key is forgotten.
    """
    headers = under("order-1", await service.key())
    kind = type(service.broker.connecting)
    with monkeypatch.context() as patched:

        async def dying(*_: object, **__: object) -> None:
            raise asyncio.CancelledError

        patched.setattr(kind, "create", dying)
        with pytest.raises(asyncio.CancelledError):
            await service.client.post("/v1/connectors", json=DRAFT, headers=headers)
    told = []
    for wait in (0, LONGEST, DAY):
        clock.advance(wait)
        answer = await service.client.post("/v1/connectors", json=DRAFT, headers=headers)
        said = answer.json()
        told.append((answer.status_code, said.get("code"), answer.headers.get("retry-after")))
    assert told == [
        (409, "request-under-way", "1"),
        (409, "outcome-unknown", None),
        (201, None, None),
    ]


async def test_keys_are_forgotten_after_a_day(database_url: str, clock: MovableClock) -> None:
    """A day later the same key is a new request, and the sweep leaves nothing of the old one."""
    async with faces(database_url, clock=clock) as at:
        headers = under("order-1", await at.key())
        await at.client.post("/v1/connectors", json=DRAFT, headers=headers)
        await Retaining(at.broker.db).sweep()
        assert len(await kept(at.broker.db)) == 1
        clock.advance(DAY)
        await Retaining(at.broker.db).sweep()
        assert await kept(at.broker.db) == []


async def _at_once(clients: list[httpx.AsyncClient], url: str, headers: dict[str, str]) -> None:
    """Twenty at once: one is carried out, the others wait or are told; later ones are told."""
    answers = await asyncio.gather(
        *(clients[n % len(clients)].post(url, headers=headers) for n in range(20))
    )
    codes = Counter(answer.json().get("code", "made") for answer in answers)
    assert codes["made"] == 1
    assert codes.keys() <= {"made", "request-under-way", "told-once"}
    again = await clients[-1].post(url, headers=headers)
    assert (again.status_code, again.json()["code"]) == (409, "told-once")


async def test_twenty_at_once_are_one_execution(database_url: str, db: Database) -> None:
    """20 simultaneous requests with one key at two replicas made one token, on both engines."""
    async with faces(database_url) as one, faces(database_url) as two:
        made, _ = await one.broker.configuring.add(one.project, "Acme", by="test")
        before, headers = await tokens(db), under("order-1", await one.key())
        await _at_once([one.client, two.client], f"/v1/directories/{made.id}/tokens", headers)
        assert await tokens(db) == before + 1


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_two_processes_are_one_execution(
    database_url: str, db: Database, tmp_path: Path
) -> None:
    """The same between two real processes on PostgreSQL."""
    async with (
        serving.serve(tmp_path, database_url, name="one") as one,
        serving.serve(tmp_path, database_url, name="two") as two,
        httpx.AsyncClient(base_url=one.base_url) as first,
        httpx.AsyncClient(base_url=two.base_url) as second,
    ):
        made = await one.command("directory", "add", "Acme")
        key = await one.command("apikey", "add", "engine", "--scope", "directories:write")
        before = await tokens(db)
        headers = under("order-1", {"Authorization": f"Bearer {key['key']}"})
        url = f"/v1/directories/{made['directory']}/tokens"
        await _at_once([first, second], url, headers)
        assert await tokens(db) == before + 1


def _repeats() -> dict[str, str]:
    """Every post of a face, and what its routes say of a repeat: `SAME` unless they say."""
    found = {}
    for path in python("broker/web/api"):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "route":
                method, where, *more = (ast.unparse(each).strip("'") for each in node.args)
                if method == "POST":
                    found[where] = more[2].rpartition(".")[2] if len(more) > 2 else "SAME"
    return found


def _secrets(schema: Any, document: Any) -> set[str]:
    """The members of an answer of that schema that hold a secret."""
    if isinstance(schema, list):
        return {name for each in schema for name in _secrets(each, document)}
    if not isinstance(schema, dict):
        return set()
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return _secrets(document["components"]["schemas"][name], document)
    named = {name for name in SECRET if "string" in str(schema.get("properties", {}).get(name))}
    return named | {name for each in schema.values() for name in _secrets(each, document)}


def test_every_post_that_answers_with_a_secret_tells_it_once() -> None:
    """Safety 33: what the contract says is answered with a secret is not kept for a repeat."""
    document = yaml.safe_load((ROOT / "openapi" / "broker.yaml").read_text())
    repeats = _repeats()
    secret = {
        path
        for path, item in document["paths"].items()
        if path in repeats
        for status, answer in item["post"]["responses"].items()
        if status.startswith("2") and _secrets(answer.get("content"), document)
    }
    told = {path for path, repeat in repeats.items() if repeat != "SAME"}
    assert {"/v1/directories", "/v1/pauses/{id}/claim", "/v1/resolve"} <= secret
    assert secret | HOLDING <= told
    assert {path for path, repeat in repeats.items() if repeat == "AFRESH"} <= ASKING
