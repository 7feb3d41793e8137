"""The hostile corpus: requests nobody sends by mistake, and what each is told."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from tests.judges.raw import chunked
from tests.pushing import ENTERPRISE, PATCH_OP, USER

MIB = 2**20
BULK = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
NUL = "\\u0000"


@dataclass(frozen=True, slots=True)
class Case:
    """One request below the directory's base URL, and the status and scimType of its answer."""

    name: str
    method: str
    path: str
    status: int
    scim_type: str | None = None
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    parser: bool = False
    """Whether the HTTP parser refuses it, in plain words, before anybody speaks SCIM."""


def corpus(user: str, group: str) -> Iterator[Case]:
    """Every case; `user` and `group` are the paths of resources that must not change."""
    for name, syntax in SYNTAX.items():
        yield Case(name, "POST", "/Users", 400, "invalidSyntax", syntax)
        yield Case(f"{name} in a PATCH", "PATCH", user, 400, "invalidSyntax", syntax)
        yield Case(f"{name} in a search", "POST", "/Users/.search", 400, "invalidSyntax", syntax)
    for name, value in VALUES.items():
        yield Case(name, "POST", "/Users", 400, "invalidValue", value)
        yield Case(f"{name} in a PUT", "PUT", user, 400, "invalidValue", value)
    for name, (kind, operations) in PATCHES.items():
        yield Case(name, "PATCH", user, 400, kind, patch(operations))
    for name, (kind, operations) in MEMBER_PATCHES.items():
        yield Case(name, "PATCH", group, 400, kind, patch(operations))
    for name, (status, why, parts) in BULKS.items():
        yield Case(name, "POST", "/Bulk", status, why, bulk(**parts))
    yield Case("a deep bulk", "POST", "/Bulk", 400, "invalidSyntax", SYNTAX["100,000 lists"])
    for name, text in FILTERS.items():
        yield Case(name, "POST", "/Users/.search", 400, "invalidFilter", dumped(filter=text))
        if len(quote(text)) < MIB // 32:
            yield Case(
                f"{name} in a URL", "GET", f"/Users?filter={quote(text)}", 400, "invalidFilter"
            )
    for name, (query, kind) in QUERIES.items():
        yield Case(name, "GET", f"/Users?{query}", 400, kind)
    for name, query in HARMLESS.items():
        yield Case(name, "GET", f"/Users?{query}", 200)
    yield from media()
    yield from framing()
    yield from heads(user)


def dumped(**parts: Any) -> bytes:
    """A JSON body of these parts."""
    return json.dumps(parts).encode()


def patch(operations: Any) -> bytes:
    """A PatchOp of these operations."""
    return dumped(schemas=[PATCH_OP], Operations=operations)


def bulk(**parts: Any) -> bytes:
    """A BulkRequest of these parts."""
    return dumped(**{"schemas": [BULK]} | parts)


def holding(raw: bytes) -> bytes:
    """A user with one more attribute, its value as it stands."""
    return b'{"schemas": ["%b"], "userName": "h", "title": %b}' % (USER.encode(), raw)


def op(path: str | None = None, value: Any = "x", op: str = "replace") -> dict[str, Any]:
    """One operation."""
    return {"op": op, "value": value} | ({} if path is None else {"path": path})


SYNTAX = {
    "nothing": b"",
    "null": b"null",
    "a list": b"[]",
    "a text": b'"x"',
    "a number": b"1",
    "half an object": b'{"userName": "a"',
    "an object and more": b'{"userName": "a"} {}',
    "100,000 lists": b"[" * 100_000 + b"]" * 100_000,
    "100,000 objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "500 lists in an attribute": holding(b"[" * 500 + b"]" * 500),
    "a megabyte of opened lists": b'{"x":' + b"[" * (MIB - 10),
    "a number beyond any": holding(b"1e400"),
    "a number of 5,000 digits": holding(b"1" + b"0" * 5000),
    "a negative number beyond any": holding(b"-1e400"),
    "NaN": holding(b"NaN"),
    "Infinity": holding(b"-Infinity"),
    "hexadecimal": holding(b"0x10"),
    "a leading zero": holding(b"007"),
    "a lone surrogate, escaped": holding(rb'"\ud800"'),
    "a reversed pair": holding(rb'"\udc00\ud800"'),
    "a lone surrogate as a name": b'{"userName": "h", "\\udfff": 1}',
    "a lone surrogate in bytes": holding(b'"\xed\xa0\x80"'),
    "bytes that are no UTF-8": holding(b'"\xff\xfe"'),
    "an overlong slash": holding(b'"\xc0\xaf"'),
    "a raw U+0000": holding(b'"\x00"'),
    "a raw line break": holding(b'"a\nb"'),
    "a byte order mark": b"\xef\xbb\xbf" + holding(b'"x"'),
    "UTF-16": holding(b'"x"').decode().encode("utf-16"),
    "UTF-32": holding(b'"x"').decode().encode("utf-32"),
    "a name given twice": b'{"userName": "a", "userName": "b"}',
    "a name given twice, escaped": b'{"userName": "a", "user\\u004eame": "b"}',
    "a name given twice, deep": holding(b'{"a": [{"b": 1, "b": 2}]}'),
    "30,000 names given twice": b"{"
    + b",".join(b'"a%d":1,"a%d":2' % (n, n) for n in range(30_000))
    + b"}",
    "a comment": b'{/* x */"userName": "a"}',
    "a trailing comma": b'{"userName": "a",}',
    "single quotes": b"{'userName': 'a'}",
    "a billion laughs": b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "a">]>',
}
"""What is no JSON object, or none that means one thing."""

VALUES = {
    "U+0000 in a value": holding(b'"a%b"' % NUL.encode()),
    "U+0000 in a name": b'{"userName": "h", "a%b": 1}' % NUL.encode(),
    "U+0000 deep inside": holding(b'{"a": [["%b"]]}' % NUL.encode()),
    "U+0000 in the userName": b'{"userName": "%b"}' % NUL.encode(),
    "a number as a text": holding(b"1"),
    "an object as a text": holding(b'{"value": "x"}'),
    "a list as a text": holding(b'["a", "b"]'),
    "a number of 300 digits as a text": holding(b"1" * 300),
    "a boolean of many words": b'{"userName": "h", "active": "yes"}',
    "a boolean as a number": b'{"userName": "h", "active": 1}',
    "1,001 e-mails": dumped(userName="h", emails=[{"value": f"{n}@x"} for n in range(1001)]),
    "e-mails as an object": dumped(userName="h", emails={"value": "a"}),
    "an extension as a list": dumped(userName="h", **{ENTERPRISE: [1]}),
    "no name at all": dumped(userName=""),
    "a userName of an object": dumped(userName={"$ne": None}),
}
"""JSON whose values do not fit."""

NOBODY = " or ".join(f'value eq "{n}"' for n in range(45))
PATCHES: dict[str, tuple[str, Any]] = {
    "operations as an object": ("invalidSyntax", {"op": "add"}),
    "operations of lists": ("invalidSyntax", [[]]),
    "an op of an object": ("invalidSyntax", [{"op": {"$gt": ""}, "path": "title"}]),
    "an op nobody knows": ("invalidSyntax", [op("title", op="move")]),
    "1,001 operations": ("invalidValue", [op("title")] * 1001),
    "400 filters of 45 terms": ("tooMany", [op(f"roles[{NOBODY}]", op="remove")] * 400),
    "1,000 times a part of every value": ("tooMany", [op("roles.display")] * 1000),
    "20,000 values to remove": (
        "tooMany",
        [op("roles", [{"value": str(n)} for n in range(500)], "remove")] * 40,
    ),
    "a path of an object": ("invalidPath", [{"op": "add", "path": {}, "value": 1}]),
    "a path of 10,000 letters": ("invalidPath", [op("a" * 10_000)]),
    "a path of 3,000 parentheses": (
        "invalidPath",
        [op(f"emails[{'(' * 3000}type pr{')' * 3000}]")],
    ),
    "a path of 10,000 terms": ("invalidPath", [op(f"emails[{' or '.join(['type pr'] * 10_000)}]")]),
    "a path inside a path": ("invalidPath", [op('emails[value[type eq "x"]]')]),
    "a path of SQL": ("invalidPath", [op("title'; DROP TABLE users; --")]),
    "a path that climbs": ("invalidPath", [op("../../title")]),
    "a path of a prototype": ("invalidPath", [op("__proto__.admin", True)]),
    "a path of a regular expression": ("invalidPath", [op("(t+)+$")]),
    "a path to the id": ("mutability", [op("id")]),
    "a path to the past": ("mutability", [op("meta.created")]),
    "nothing to remove": ("noTarget", [{"op": "remove"}]),
    "the name removed": ("mutability", [{"op": "remove", "path": "userName"}]),
    "a value nowhere": ("noTarget", [op('emails[value eq "nobody"].type')]),
    "a value of 500 lists": ("invalidValue", [op("title", [["x"] * 20] * 20)]),
}
"""Operations on a user."""

MEMBER_PATCHES: dict[str, tuple[str, Any]] = {
    "members of numbers": ("invalidValue", [op("members", [1, 2], "add")]),
    "a member of an object": ("invalidValue", [op("members", [{"value": {}}], "add")]),
    "a member changed": ("mutability", [op('members[value eq "x"].value')]),
    "100 filters on members": ("tooMany", [op('members[display co "x"]', op="remove")] * 100),
}
"""Operations on a group."""

BULKS: dict[str, tuple[int, str | None, dict[str, Any]]] = {
    "a bulk of nothing": (400, "invalidSyntax", {}),
    "a bulk of no operation": (400, "invalidSyntax", {"Operations": []}),
    "a bulk of an object": (400, "invalidSyntax", {"Operations": {}}),
    "a bulk of 1,001": (413, None, {"Operations": [{}] * 1001}),
    "fewer errors than none": (400, "invalidValue", {"Operations": [{}], "failOnErrors": -1}),
    "another message": (400, "invalidSyntax", {"schemas": [PATCH_OP], "Operations": [{}]}),
}
"""Bulks refused as a whole."""


def posted(path: str, **more: Any) -> dict[str, Any]:
    """A POST of a bulk, its bulkId like no other."""
    body = {"data": {"userName": "h"}} | more
    return {"method": "POST", "path": path, "bulkId": f"{path} {list(more)}"} | body


CROWD = {"displayName": "g", "members": [{"value": f"bulkId:{n}"} for n in range(9999)]}
BULK_OPERATIONS: dict[str, tuple[str, str | None, Any]] = {
    "an operation of a list": ("400", "invalidSyntax", []),
    "an operation of nothing": ("400", "invalidSyntax", {}),
    "a method nobody knows": ("400", "invalidSyntax", {"method": "BREW", "path": "/Users"}),
    "a reading method": ("400", "invalidSyntax", {"method": "GET", "path": "/Users"}),
    "a method of an object": ("400", "invalidSyntax", {"method": {}, "path": "/Users"}),
    "a path of a number": ("400", "invalidSyntax", {"method": "DELETE", "path": 1}),
    "a path to nothing": ("400", "invalidPath", posted("/Nothing")),
    "a path elsewhere": ("400", "invalidPath", {"method": "DELETE", "path": "http://x/Users/1"}),
    "a path that climbs": ("404", None, {"method": "DELETE", "path": "/Users/../Groups"}),
    "a bulk in a bulk": ("400", "invalidPath", posted("/Bulk")),
    "a search": ("400", "invalidPath", posted("/Users/.search")),
    "the caller": ("400", "invalidPath", {"method": "DELETE", "path": "/Me"}),
    "all users": ("400", "invalidPath", {"method": "DELETE", "path": "/Users"}),
    "no bulkId": ("400", "invalidSyntax", {"method": "POST", "path": "/Users", "data": {}}),
    "a bulkId of an object": ("400", "invalidSyntax", posted("/Users", bulkId={})),
    "data of a text": ("400", "invalidSyntax", posted("/Users", data="x")),
    "data of a list": ("400", "invalidValue", posted("/Users", data={"name": [1]}, bulkId="n")),
    "nobody's reference": ("400", "invalidValue", {"method": "DELETE", "path": "/Users/bulkId:z"}),
    "10,000 references": ("400", "invalidValue", posted("/Groups", data=CROWD)),
    "a version of an object": (
        *("400", "invalidSyntax"),
        {"method": "DELETE", "path": "/Users/u", "version": {}},
    ),
    "1,001 operations inside": (
        *("400", "invalidValue"),
        {"method": "PATCH", "path": "/Users/u", "data": {"Operations": [op("title")] * 1001}},
    ),
}
"""Operations of a bulk, each of which fails alone."""

FILTERS = {
    "an empty filter": " ",
    "10,000 terms": " or ".join(f'userName eq "{n}"' for n in range(10_000)),
    "51 terms": " or ".join(f'userName eq "{n}"' for n in range(51)),
    "3,000 parentheses": "(" * 3000 + "userName pr" + ")" * 3000,
    "25 parentheses": "(" * 25 + "userName pr" + ")" * 25,
    "25 negations": "not (" * 25 + "userName pr" + ")" * 25,
    "a filter of 8 KiB and one": f'userName eq "{"x" * 8192}"',
    "SQL": "userName eq 'x' OR 1=1 --",
    "SQL behind a value": 'userName eq "a"; DROP TABLE users',
    "SQL as a union": 'userName eq "a" union select * from tokens',
    "an unknown name": 'nobody eq "x"',
    "an operator nobody knows": 'userName like "%"',
    "a regular expression": "userName matches /(a+)+$/",
    "the password": 'password sw "a"',
    "the password in disguise": f"{USER}:PASSWORD pr",
    "a value before its name": '"a" eq userName',
    "a value that never ends": 'userName eq "a',
    "an escape nobody knows": r'userName eq "\x41"',
    "a lone surrogate": r'userName eq "\ud800"',
    "U+0000": r'userName eq "\u0000"',
    "a number beyond any": "meta.created gt 1e400",
    "NaN": "userName eq NaN",
    "brackets in brackets": 'emails[value[type eq "x"]] pr',
    "brackets that never close": 'emails[type eq "work"',
    "or and nothing": "userName pr or",
    "a date that is none": 'meta.created gt "2026-13-45T99:99:99Z"',
    "a boolean in order": "active gt true",
    "an object": "name eq {}",
}
"""Filters that mean nothing: refused, so that nobody is listed by them."""

QUERIES = {
    "startIndex of 20 digits": ("startIndex=99999999999999999999", "invalidValue"),
    "startIndex of a word": ("startIndex=first", "invalidValue"),
    "startIndex of other digits": ("startIndex=%D9%A1", "invalidValue"),
    "a fractional count": ("count=1.5", "invalidValue"),
    "a count beyond any": ("count=1e400", "invalidValue"),
    "a count of NaN": ("count=NaN", "invalidValue"),
    "a cursor of our own making": ("cursor=AAAA", "invalidCursor"),
    "a cursor of 5,000 letters": ("cursor=" + "A" * 5000, "invalidCursor"),
    "a cursor that is no text": ("cursor=%F0%9F%92%A9", "invalidCursor"),
    "order by SQL": ("sortBy=userName;DROP%20TABLE%20users", "invalidPath"),
    "order by the password": ("sortBy=password", "invalidPath"),
    "order sideways": ("sortBy=userName&sortOrder=sideways", "invalidValue"),
    "order of nothing sideways": ("sortOrder=sideways", "invalidValue"),
    "both lists": ("attributes=title&excludedAttributes=title", "invalidValue"),
    "bytes that are no UTF-8": ("filter=%ff%fe", "invalidSyntax"),
    "a parameter given twice": ("filter=a&FILTER=b", "invalidSyntax"),
}
"""Queries refused for anything but the grammar of their filter."""


LISTING_NOBODY = "&filter=userName%20eq%20%22nobody%22"
HARMLESS = {
    "startIndex far below": "startIndex=-999999999999" + LISTING_NOBODY,
    "startIndex far beyond": "startIndex=999999999999",
    "a count below nothing": "count=-5",
    "a count far beyond": "count=999999999999" + LISTING_NOBODY,
    "10,000 attributes": "attributes=" + ",".join(["name"] * 10_000) + LISTING_NOBODY,
    "50,000 commas": "attributes=" + "," * 50_000 + LISTING_NOBODY,
    "attributes nobody knows": "attributes=__proto__,a.b.c,%5Bx%5D,*,%25" + LISTING_NOBODY,
    "parameters nobody knows": "&".join(f"a{n}=1" for n in range(5_000)) + LISTING_NOBODY,
}
"""Queries that mean something after all, and list nobody."""


def media() -> Iterator[Case]:
    """Bodies of other kinds than JSON."""
    body = holding(b'"x"')
    for kind in (
        *("text/plain", "application/xml", "text/html", "application/x-www-form-urlencoded"),
        *("multipart/form-data; boundary=x", "application/json-patch+json", "*/*", "scim+json"),
    ):
        said = {"Content-Type": kind}
        yield Case(f"sent as {kind}", "POST", "/Users", 415, body=body, headers=said)
    bomb = gzip.compress(b" " * (100 * MIB))
    for coding, sent in {"gzip": bomb, "br": body, "identity, gzip": bomb, "x": body}.items():
        said = {"Content-Encoding": coding}
        yield Case(f"coded as {coding}", "POST", "/Users", 415, body=sent, headers=said)


def framing() -> Iterator[Case]:
    """Bodies whose length is a lie, or more than anybody may send."""
    big = holding(b'"' + b"x" * MIB + b'"')
    stream = {"Transfer-Encoding": "chunked"}
    yield Case("a byte too much", "POST", "/Users", 413, body=big)
    yield Case("a megabyte in chunks", "POST", "/Users", 413, body=chunked(big), headers=stream)
    endless = chunked(b"x" * (16 * MIB))[:-5]
    yield Case("chunks without end", "POST", "/Users", 413, body=endless, headers=stream)
    dust = chunked(b" " * 20_000, size=1)
    yield Case("20,000 chunks of a byte", "POST", "/Users", 400, "invalidSyntax", dust, stream)
    for length in ("1048577", "999999999999", "9" * 18):
        said = {"Content-Length": length}
        yield Case(f"{length} bytes announced", "POST", "/Users", 413, body=b"{}", headers=said)
    for length in ("9" * 40, "-1", "1e3", "0x10", "1, 2"):
        said = {"Content-Length": length}
        yield Case(
            f"{length} announced", "POST", "/Users", 400, body=b"{}", headers=said, parser=True
        )
    yield Case(
        "two framings",
        "POST",
        "/Users",
        400,
        body=b"0\r\n\r\n",
        headers=stream | {"Content-Length": "5"},
        parser=True,
    )
    yield Case(
        "a chunk of no size", "POST", "/Users", 400, body=b"zz\r\n", headers=stream, parser=True
    )
    short = {"Content-Length": "5"}
    yield Case(
        "more than was announced", "POST", "/Users", 400, None, holding(b'"x"'), short, parser=True
    )
    long = {"Content-Length": "500"}
    yield Case("less than was announced", "POST", "/Users", 0, body=b"{}", headers=long)


def heads(user: str) -> Iterator[Case]:
    """Addresses, methods and headers."""
    for id in (
        "..%2f..%2fetc",
        "%2e%2e",
        "a" * 5000,
        "%ff%fe",
        "'%20OR%201=1--",
        "%F0%9F%92%A9",
        "(a+)+$",
    ):
        for method in ("GET", "DELETE"):
            yield Case(f"{method} of the id {id[:20]}", method, f"/Users/{id}", 404)
    yield Case("U+0000 in the id", "GET", "/Users/a%00b", 404)
    yield Case(
        "U+0000 in the filter",
        "GET",
        "/Users?filter=userName%20eq%20%22%00%22",
        400,
        "invalidValue",
    )
    yield Case("an address of 70,000 letters", "GET", "/Users/" + "a" * 70_000, 400, parser=True)
    yield Case("a method nobody knows", "BREW", "/Users", 400, parser=True)
    yield Case("a method in lower case", "get", "/Users", 400, parser=True)
    yield Case("TRACE", "TRACE", "/Users", 405)
    for name, value in {
        "no token": "",
        "no scheme": "x",
        "another scheme": "Basic eDp5",
        "a bare scheme": "Bearer",
        "a token of 30,000 letters": "Bearer " + "x" * 30_000,
        "a token of SQL": "Bearer ' OR 1=1--",
        "a token beyond ASCII": "Bearer ü€😀",
    }.items():
        said = {"Authorization": value}
        yield Case(name, "GET", "/Users", 401, headers=said)
        yield Case(f"{name}, and a body", "POST", "/Users", 401, body=holding(b'"x"'), headers=said)
    tags = ", ".join(f'W/"{n}"' for n in range(1000, 6000))
    for name, value in {"5,000 versions": tags, "no version": "x", "an open quote": 'W/"1'}.items():
        said = {"If-Match": value}
        yield Case(f"{name} to delete", "DELETE", user, 412, headers=said)
        yield Case(f"{name} to patch", "PATCH", user, 412, body=patch([op("title")]), headers=said)
