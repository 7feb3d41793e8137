"""Bodies that are no JSON, or too much of it: refused, and nothing is stored."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from broker.web import wire
from broker.web.errors import Malformed
from tests.faces import Faces

JSON = {"Content-Type": "application/json"}
BROKEN = [
    b"",
    b"{",
    b"{'a': 1}",
    b'{"a": 1,}',
    b'{"a": NaN}',
    b'{"a": Infinity}',
    b'{"capacity": 1, "capacity": 2}',
    b'{"a": {"b": 1, "b": 1}}',
    b"\xff\xfe",
    b'{"a": "\\u0000"}',
    b'{"a": "\\ud800"}',
    b'{"\\u0000": 1}',
    b"[" * 100_000,
    b'{"a": ' + b"1" * 5000 + b"}",
    b'"\x01"',
]


@pytest.mark.parametrize("content", BROKEN)
async def test_what_is_no_json_is_400(service: Faces, content: bytes) -> None:
    """Malformed bodies are 400 with a problem; the capacity stays as it was."""
    headers = await service.key("users:admin", "users:read") | JSON
    answer = await service.client.put("/v1/licenses", content=content, headers=headers)
    assert answer.status_code == 400, answer.text
    assert answer.json()["code"] == "malformed"
    now = await service.client.get("/v1/licenses", headers=headers)
    assert now.json()["capacity"] is None


@pytest.mark.parametrize("content", [b"[]", b"1", b'"text"', b"null", b"true"])
async def test_what_is_no_object_is_422(service: Faces, content: bytes) -> None:
    """JSON of another shape is an invalid request whose pointer is the whole body."""
    headers = await service.key("users:admin") | JSON
    answer = await service.client.put("/v1/licenses", content=content, headers=headers)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == ""


async def test_a_body_has_its_limit(service: Faces) -> None:
    """More than 256 KB is 413, with or without a Content-Length."""
    headers = await service.key("users:admin") | JSON
    large = b'{"capacity": 1' + b" " * wire.LIMIT + b"}"

    async def in_pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(large), 65_536):
            yield large[start : start + 65_536]

    contents: list[bytes | AsyncIterator[bytes]] = [large, in_pieces()]
    for content in contents:
        answer = await service.client.put("/v1/licenses", content=content, headers=headers)
        assert answer.status_code == 413
        assert answer.json()["code"] == "too-large"


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {},
        JSON | {"Content-Encoding": "gzip"},
    ],
)
async def test_another_media_type_is_415(service: Faces, headers: dict[str, str]) -> None:
    """Only application/json, and never compressed (safety 37)."""
    headers = await service.key("users:admin") | headers
    answer = await service.client.put("/v1/licenses", content=b"{}", headers=headers)
    assert answer.status_code == 415


async def test_a_charset_does_no_harm(service: Faces) -> None:
    """A charset parameter, and capitals, leave application/json what it is."""
    headers = await service.key("users:admin")
    headers |= {"Content-Type": "Application/JSON; charset=utf-8"}
    answer = await service.client.put("/v1/licenses", content=b'{"capacity": 7}', headers=headers)
    assert answer.status_code == 200


@example(b"20000000000000000000")
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_bytes_surprise_the_reader(content: bytes) -> None:
    """Whatever comes is a JSON value that can be kept, or Malformed; never anything else."""
    with contextlib.suppress(Malformed):
        orjson.dumps(wire.parse(content), option=orjson.OPT_PASSTHROUGH_SUBCLASS)
