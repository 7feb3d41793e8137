"""The HTTP face: statuses, headers, conditions, and errors that are always SCIM errors."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scim.endpoints import PREFIX
from scim.errors import Busy
from scim.schema import Limits
from scim.tolerance import STRICT
from tests.scim.calling import BROKER, ENTERPRISE, GROUP, PATCH_OP, USER, Client, problem

SEARCH = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"
TITLE = {"op": "replace", "path": "title", "value": "T"}


@pytest.fixture
def client() -> Client:
    return Client()


async def test_a_created_resource_says_where_it_is(client: Client) -> None:
    """RFC 7644 section 3.3: 201 with the resource, Location, ETag, and exactly our media type."""
    answer = await client("POST", "/Users", {"schemas": [USER], "userName": "ada"})
    body = answer.json()
    assert answer.status_code == 201
    assert answer.headers["content-type"] == "application/scim+json"
    assert answer.headers["location"] == body["meta"]["location"]
    assert answer.headers["location"] == f"{client.directory.base_url}/Users/{body['id']}"
    assert answer.headers["etag"] == body["meta"]["version"] == 'W/"1"'


async def test_a_read_is_the_stored_bytes(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read without attribute selection decodes nothing."""
    user = await client.user(title="T", emails=[{"value": "a@x"}])
    group = await client.group("g", user["id"])
    decoded: list[Any] = []
    monkeypatch.setattr("scim.verbs.project", lambda *given: decoded.append(given))
    watched = SimpleNamespace(dumps=orjson.dumps, loads=decoded.append)
    monkeypatch.setattr("scim.verbs.orjson", watched)
    for path in (
        f"/Users/{user['id']}",
        f"/Groups/{group['id']}?excludedAttributes=members",
        "/Users?count=5",
        "/Groups?excludedAttributes=members",
    ):
        assert (await client("GET", path)).status_code == 200
    assert decoded == []


async def test_a_read_shows_what_was_written(client: Client) -> None:
    """What came is answered verbatim, in the case it came in (`idp-behaviour.md` 12, 14)."""
    phones = [{"value": "tel:+1-555", "type": "Work"}]
    user = await client.user("AdA@Example.com", phoneNumbers=phones)
    answer = await client("GET", f"/Users/{user['id']}")
    assert answer.json() == user
    assert (user["userName"], user["phoneNumbers"]) == ("AdA@Example.com", phones)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "GET"])
async def test_attributes_choose_what_any_answer_shows(client: Client, method: str) -> None:
    """RFC 7644 section 3.9: attributes and excludedAttributes hold for reads and writes alike."""
    user = await client.user("first", title="T")
    path = "/Users" if method == "POST" else f"/Users/{user['id']}"
    body: Any = {"schemas": [USER], "userName": "second", "title": "U"}
    if method == "PATCH":
        body = {"schemas": [PATCH_OP], "Operations": [TITLE]}
    if method == "GET":
        body = None
    shown = (await client(method, path + "?attributes=title", body)).json()
    assert shown.keys() == {"schemas", "id", "title"}
    if method == "POST":
        body["userName"] = "third"
    shown = (await client(method, path + "?excludedAttributes=title,meta", body)).json()
    assert shown.keys() == {"schemas", "id", "userName"}


async def test_the_brokers_words_are_there_for_who_asks(client: Client) -> None:
    """The broker extension is read-only and returned on request."""
    user = await client.user("ada", **{BROKER: {"status": "active"}})
    assert BROKER not in user
    shown = (await client("GET", f"/Users/{user['id']}?attributes={BROKER}:status")).json()
    assert shown[BROKER] == {"status": "invited"}
    assert BROKER in shown["schemas"]


async def test_a_patch_answers_with_the_resource(client: Client) -> None:
    """200 with the resource and its new version."""
    user = await client.user()
    answer = await client.patch(f"/Users/{user['id']}", TITLE)
    assert answer.status_code == 200
    assert answer.json()["title"] == "T"
    assert answer.headers["etag"] == answer.json()["meta"]["version"] == 'W/"2"'


@pytest.mark.parametrize("prefer", ["return=minimal", "respond-async, Return = minimal; foo"])
async def test_a_patch_answers_nothing_where_that_is_preferred(client: Client, prefer: str) -> None:
    """204 for `Prefer: return=minimal`; the change is made all the same."""
    user = await client.user()
    headers = {"Prefer": prefer}
    answer = await client.patch(f"/Users/{user['id']}", TITLE, headers=headers)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["etag"] == 'W/"2"'
    assert "content-type" not in answer.headers
    assert (await client("GET", f"/Users/{user['id']}")).json()["title"] == "T"


async def test_a_big_group_is_not_read_to_answer_a_patch(client: Client) -> None:
    """Above 100 members a PATCH answers 204, unless attributes are asked."""
    most = Limits().members_shown
    users = [(await client.user(f"u{n}"))["id"] for n in range(most + 1)]
    group = await client.group("g", *users[:most])
    path = f"/Groups/{group['id']}"
    rename = {"op": "replace", "path": "displayName", "value": "h"}
    assert len((await client.patch(path, rename)).json()["members"]) == most
    add = {"op": "add", "path": "members", "value": [{"value": users[-1]}]}
    assert (await client.patch(path, add)).status_code == 204
    shown = await client.patch(path + "?attributes=displayName", rename)
    assert shown.json() == {"schemas": [GROUP], "id": group["id"], "displayName": "h"}
    shown = await client.patch(path + "?excludedAttributes=members", rename)
    assert "members" not in shown.json()
    shown = await client.patch(path + "?attributes=members", rename)
    assert len(shown.json()["members"]) == most + 1


@pytest.mark.parametrize(
    "write",
    [
        ("PATCH", {"schemas": [PATCH_OP], "Operations": [TITLE]}),
        ("PATCH", {"schemas": [PATCH_OP], "Operations": []}),
        ("PATCH", {"schemas": [PATCH_OP], "Operations": [{"op": "remove", "path": "locale"}]}),
        ("PUT", {"schemas": [USER], "userName": "ada@example.com", "title": "T"}),
    ],
)
async def test_a_write_of_nothing_keeps_the_version(client: Client, write: Any) -> None:
    """What is already so is written without a new version or lastModified."""
    user = await client.user(title="T")
    method, body = write
    answer = await client(method, f"/Users/{user['id']}", body)
    assert answer.json()["meta"] == user["meta"]


async def test_conditions_are_kept(client: Client) -> None:
    """RFC 7644 section 3.14, RFC 9110 section 13.1: 304 for a read of a known version, 412 for a
    change of it or of an outdated one, `*` for any.
    """
    user = await client.user()
    path = f"/Users/{user['id']}"
    known = await client("GET", path, headers={"If-None-Match": 'W/"9", W/"1"'})
    assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", 'W/"1"')
    assert (await client("GET", path, headers={"If-None-Match": '"2"'})).status_code == 200
    assert (await client("GET", path, headers={"If-None-Match": "*"})).status_code == 304
    for tag, status in [
        ('W/"1"', 200),
        ('W/"1"', 412),
        ("nonsense", 412),
        ('"2"', 200),
        ("*", 200),
    ]:
        value = {"op": "replace", "path": "title", "value": f"{tag} {status}"}
        answer = await client.patch(path, value, headers={"If-Match": tag})
        assert answer.status_code == status
        assert status == 200 or problem(answer)[0] == 412
    body = {"schemas": [USER], "userName": "ada"}
    old = {"If-Match": 'W/"1"'}
    for unwanted in ("*", 'W/"9", W/"4"'):
        unless = {"If-None-Match": unwanted}
        assert problem(await client.patch(path, headers=unless))[0] == 412
        assert problem(await client("PUT", path, body, headers=unless))[0] == 412
        refused = problem(await client("DELETE", path, headers=unless))
        assert refused[0] == 412
        assert "If-None-Match" in refused[2]
    assert problem(await client("PUT", path, body, headers=old))[0] == 412
    assert problem(await client("DELETE", path, headers=old))[0] == 412
    assert (await client("DELETE", path, headers={"If-Match": 'W/"4"'})).status_code == 204


async def test_a_missing_resource_is_404_before_412(client: Client) -> None:
    """A condition on nothing is about nothing: 404."""
    for method, body in (
        ("PATCH", {"Operations": []}),
        ("PUT", {"userName": "a"}),
        ("DELETE", None),
    ):
        answer = await client(method, "/Users/none", body, headers={"If-Match": 'W/"1"'})
        assert problem(answer)[0] == 404


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", "/Users", "GET, HEAD, POST"),
        ("DELETE", "/Groups", "GET, HEAD, POST"),
        ("OPTIONS", "/Users", "GET, HEAD, POST"),
        ("POST", "/Users/u1", "GET, HEAD, PUT, PATCH, DELETE"),
        ("GET", "/Users/.search", "POST"),
        ("GET", "/.search", "POST"),
        ("POST", "/", "GET, HEAD"),
        ("DELETE", "", "GET, HEAD"),
        ("POST", "/Schemas", "GET, HEAD"),
        ("DELETE", "/ResourceTypes/User", "GET, HEAD"),
        ("PATCH", "/ServiceProviderConfig", "GET, HEAD"),
        ("BREW", "/Users", "GET, HEAD, POST"),
    ],
)
async def test_a_method_that_is_not_served_says_which_are(
    client: Client, method: str, path: str, allow: str
) -> None:
    """RFC 9110 section 15.5.6: 405 names what is allowed, as a SCIM error."""
    answer = await client(method, path)
    assert problem(answer)[0] == 405
    assert answer.headers["allow"] == allow


@pytest.mark.parametrize(
    "path",
    [
        "/Nothing",
        "/users",
        "/Users/u1/u2",
        "/Users//u1",
        "/Users/none",
        "/Users/0",
        "/Users/..%2f..%2fetc",
        "/Users/%00",
        "/Users/a%00b",
        "/Users/" + "a" * 300,
        "/Users/%F0%9F%92%A9",
        "/Users/%ff",
        "/Users/'; drop table users",
        "/Groups/none",
        "/Groups/.%2e/Users",
        "/ResourceTypes/Nothing",
        "/Schemas/urn:no:such:schema",
        "/Schemas/a/b",
        "/ServiceProviderConfig/x",
        "/.search/x",
    ],
)
async def test_a_path_to_nothing_is_404(client: Client, path: str) -> None:
    """Unknown endpoints and strange ids are 404 as a SCIM error; PingFederate asks for /Users/0."""
    assert problem(await client("GET", path))[0] == 404


@pytest.mark.parametrize("path", ["/scim/v1/x/Users", "/scim/v2/", "/scim/v2/a b/Users", "/x"])
async def test_a_path_outside_is_404(client: Client, path: str) -> None:
    """Whatever reaches the endpoints by mistake is a SCIM 404."""
    transport = httpx.ASGITransport(app=client.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://broker.example") as outside:
        assert problem(await outside.get(path))[0] == 404


async def test_a_slash_at_the_end_is_forgiven(client: Client) -> None:
    """A base URL typed with a slash still finds its endpoints."""
    user = await client.user()
    assert (await client("GET", "/Users/")).json()["totalResults"] == 1
    assert (await client("GET", f"/Users/{user['id']}/")).json()["id"] == user["id"]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["/Me", "/Me/x"])
async def test_what_is_not_served_says_so(client: Client, method: str, path: str) -> None:
    """Safety 4: /Me is 501 on SCIM tokens, and so is what is not announced."""
    assert problem(await client(method, path))[0] == 501


@pytest.mark.parametrize(
    ("token", "directory"),
    [(None, "dir_a"), ("wrong", "dir_a"), ("token-of-dir_a", "dir_b"), ("", "dir_a")],
)
@pytest.mark.parametrize("path", ["/Users", "/Users/u1", "/Me", "/Nothing", ""])
async def test_without_a_token_nothing_is_said(
    client: Client, token: str | None, directory: str, path: str
) -> None:
    """RFC 6750 section 3: 401 with a challenge, before anything about the path is told."""
    client.service.add("dir_b")
    answer = await client("GET", path, token=token, directory=directory)
    assert problem(answer)[0] == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="SCIM"'


async def test_head_is_get_without_its_body(client: Client) -> None:
    """RFC 9110 section 9.3.2: the same headers, no content."""
    user = await client.user()
    for path in (f"/Users/{user['id']}", "/Users", "/Schemas", "/Users/none"):
        get, head = await client("GET", path), await client("HEAD", path)
        assert head.status_code == get.status_code
        assert head.content == b""
        assert head.headers == get.headers


async def test_a_body_may_not_be_larger_than_the_limit(client: Client) -> None:
    """Rule 37: one byte beyond 1 MiB is 413, announced or streamed; the limit itself is read."""
    limit = Limits().body_bytes
    frame = '{"userName": "a", "title": ""}'
    fits = frame.replace('""', '"' + "x" * (limit - len(frame)) + '"').encode()
    assert len(fits) == limit
    assert (await client("POST", "/Users", content=fits)).status_code == 201
    assert problem(await client("POST", "/Users", content=fits + b" "))[0] == 413
    lied = {"Content-Length": "5"}
    assert problem(await client("POST", "/Users", content=fits + b" ", headers=lied))[0] == 413
    assert client.directory.notes.count("unreadable") == 2


@pytest.mark.parametrize(
    ("headers", "content", "status"),
    [
        ({"Content-Encoding": "gzip"}, b"{}", 415),
        ({"Content-Type": "text/plain"}, b"{}", 415),
        ({}, b"{oops", 400),
        ({}, b"", 400),
        ({}, b'{"userName": "a", "userName": "b"}', 400),
        ({}, b'{"userName": "a\\u0000"}', 400),
        ({}, b'{"userName": "\\ud800"}', 400),
        ({"Content-Type": "application/json; charset=utf-16"}, b'{"userName": "a"}', 201),
        ({"Content-Type": "APPLICATION/JSON"}, b'{"userName": "a"}', 201),
    ],
)
async def test_a_body_nobody_can_read_is_no_record(
    client: Client, headers: dict[str, str], content: bytes, status: int
) -> None:
    """`building.md`: unreadable bodies are counted on the run; nothing is refused on record."""
    answer = await client("POST", "/Users", content=content, headers=headers)
    assert answer.status_code == status
    assert client.directory.refusals == []
    assert client.directory.notes == ([] if status == 201 else ["unreadable"])


async def test_a_body_that_makes_no_sense_is_a_record(client: Client) -> None:
    """`building.md`: a changing request that names a resource is a record, refused ones too."""
    user = await client.user()
    path = f"/Users/{user['id']}"
    await client("POST", "/Users", {"externalId": "x1"})
    await client("PUT", path, {"userName": ""})
    await client.patch(path, {"op": "move", "path": "title"})
    told = [(each.op, each.id, why.scim_type) for each, why in client.directory.refusals]
    assert told == [
        ("create", None, "invalidValue"),
        ("replace", user["id"], "invalidValue"),
        ("patch", user["id"], "invalidSyntax"),
    ]
    assert client.directory.refusals[0][0].body == {"externalId": "x1"}
    assert client.directory.notes == []


async def test_reads_are_counted_and_no_record(client: Client) -> None:
    """`building.md`: a Test connection makes no Failure; each read is counted once."""
    for path in ("/Users", "/Users/none", '/Users?filter=x y"', "/Groups?count=0"):
        await client("GET", path)
    await client("POST", "/Users/.search", {"schemas": [SEARCH]})
    assert client.directory.notes == ["read"] * 5
    assert client.directory.refusals == []


async def test_a_search_is_a_list(client: Client) -> None:
    """RFC 7644 section 3.4.3: filter, order, page and attributes, all at once."""
    for name in ("b", "A", "c"):
        await client.user(name, title="T")
    body = {
        "schemas": [SEARCH],
        "filter": 'title eq "t"',
        "sortBy": "userName",
        "sortOrder": "descending",
        "startIndex": 2,
        "count": 5,
        "attributes": ["userName"],
    }
    answer = await client("POST", "/Users/.search", body)
    found = answer.json()
    assert [each["userName"] for each in found["Resources"]] == ["b", "A"]
    assert (found["totalResults"], found["itemsPerPage"], found["startIndex"]) == (3, 2, 2)
    assert found["Resources"][0].keys() == {"schemas", "id", "userName"}
    assert problem(await client("POST", "/Users/.search", {"filter": "x"}))[1] == "invalidFilter"


@pytest.mark.parametrize(("throttled", "status"), [(False, 503), (True, 429)])
async def test_a_busy_host_says_when_to_come_back(
    client: Client, throttled: bool, status: int
) -> None:
    """A host that cannot serve now is 503, a client that asks too much 429, both with a time."""
    client.directory.busy = Busy(7, throttled=throttled)
    answer = await client("GET", "/Users")
    assert problem(answer)[0] == status
    assert answer.headers["retry-after"] == "7"


async def test_a_broken_host_says_nothing_of_itself(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug is 500 as a SCIM error without a word of the inside, and is raised for the log."""

    def broken(*_: Any) -> Any:
        raise RuntimeError("the secret inside")

    monkeypatch.setattr(type(client.directory), "resources", broken)
    answer = await client("GET", "/Users")
    assert problem(answer)[0] == 500
    assert "secret" not in answer.text
    strict = httpx.ASGITransport(app=client.app)
    headers = {"Authorization": "Bearer token-of-dir_a"}
    async with httpx.AsyncClient(transport=strict, headers=headers) as raising:
        with pytest.raises(RuntimeError, match="inside"):
            await raising.get(client.directory.base_url + "/Users")


async def test_a_client_that_hangs_up_is_not_answered(client: Client) -> None:
    """A body that never ends leaves nothing behind: no answer, no resource, no count."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": f"{PREFIX}dir_a/Users",
        "query_string": b"",
        "headers": [(b"authorization", b"Bearer token-of-dir_a")],
    }
    await client.app(scope, receive, send)
    assert sent == []
    assert client.directory.notes == []


async def test_strictness_is_the_directorys(client: Client) -> None:
    """A request tolerated in one directory is refused in another."""
    body = {"schemas": [USER], "userName": "ada", "active": "True"}
    assert (await client("POST", "/Users", body)).status_code == 201
    assert problem(await Client(STRICT)("POST", "/Users", body))[1] == "invalidValue"


HIDDEN: list[dict[str, Any]] = [
    {"PassWord": "hunter2"},
    {f"{USER}:password": "hunter2"},
    {USER: {"password": "hunter2"}},
    {ENTERPRISE: {"password": "hunter2"}},
    {"name": {"password": "hunter2"}},
    {"password.value": "hunter2"},
    {"urn:example:ext:password": "hunter2"},
    {"urn:example:ext": {"password": "hunter2", "deep": [{"Password": "hunter2"}]}},
    {"emails": [{"value": "a", "password": "hunter2"}]},
]
"""Places where a client may put a password, the right one among them."""


@pytest.mark.parametrize("hidden", HIDDEN)
async def test_a_password_is_taken_and_never_seen_again(client: Client, hidden: Any) -> None:
    """Okta sends one with every user: accepted, in no answer, in no stored byte, in no extra, and
    in no warning, wherever it stands.
    """
    body = {"schemas": [USER], "userName": "ada", **hidden}
    user = (await client("POST", "/Users", body)).json()
    path = f"/Users/{user['id']}"
    await client.patch(path, {"op": "replace", "value": hidden})
    assert (await client("PUT", path, body)).status_code == 200
    rows = client.directory.rows["User"]
    answers = [str(user), (await client("GET", path + "?attributes=password,title")).text]
    assert not any("hunter2" in text for text in [*answers, repr(rows)])


JUNK = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["op", "path", "value", "type", "Operations", "userName", "x", ENTERPRISE]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=8,
)
PATHS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["members", "emails", 'emails[type eq "work"].value', "name", ENTERPRISE, BROKER]
    ),
)
OPERATIONS = st.lists(
    st.fixed_dictionaries(
        {"op": st.sampled_from(["add", "Replace", "remove"])},
        optional={"path": PATHS, "value": JUNK},
    ),
    max_size=3,
)


@settings(max_examples=150)
@given(
    st.sampled_from(["POST", "PUT", "PATCH"]),
    st.sampled_from(["Users", "Groups"]),
    st.one_of(JUNK, OPERATIONS.map(lambda ops: {"schemas": [PATCH_OP], "Operations": ops})),
)
async def test_no_body_breaks_the_server(method: str, kind: str, body: Any) -> None:
    """R132: any JSON to any endpoint is answered below 500, errors as SCIM errors."""
    client = Client()
    made = await client.user() if kind == "Users" else await client.group()
    path = f"/{kind}" if method == "POST" else f"/{kind}/{made['id']}"
    answer = await client(method, path, body)
    assert answer.status_code in (200, 201, 400)
    if answer.status_code == 400:
        assert problem(answer)[1] is not None
        assert (await client("GET", f"/{kind}/{made['id']}")).json() == made


@settings(max_examples=150)
@given(st.text(max_size=20), st.text(max_size=20))
async def test_no_url_breaks_the_server(path: str, value: str) -> None:
    """R132: any path and any parameter is answered below 500, errors as SCIM errors."""
    client = Client()
    query = urlencode({"filter": value, "count": value})
    for target in ("/" + quote(path), "/Users/" + quote(path), f"/Users?{query}"):
        answer = await client("GET", target)
        assert answer.status_code in (200, 400, 401, 403, 404, 405, 501)
        if answer.status_code != 200:
            problem(answer)


ADDRESS = {"streetAddress": "1 Main St", "postalCode": "12345", "type": "work"}


async def test_an_address_that_comes_again_is_one(client: Client) -> None:
    """RFC 7644 section 3.5.2.1: what is there already changes nothing, however it is spelled."""
    made = await client.user(addresses=[ADDRESS, ADDRESS])
    again = {"op": "add", "path": "addresses", "value": [ADDRESS]}
    answer = await client.patch(f"/Users/{made['id']}", again)
    assert answer.status_code == 200
    assert answer.json()["addresses"] == [ADDRESS]
    assert answer.headers["etag"] == 'W/"1"'


async def test_a_value_is_removed_as_it_compares(client: Client) -> None:
    """Where case does not count (emails.value), it does not when a value is removed either."""
    made = await client.user(emails=[{"value": "A@b.c", "type": "work"}])
    gone = {"op": "remove", "path": "emails", "value": [{"value": "a@B.c", "type": "work"}]}
    answer = await client.patch(f"/Users/{made['id']}", gone)
    assert "emails" not in answer.json()


async def test_padding_may_be_left_out(client: Client) -> None:
    """RFC 7643 section 2.3.6: base64 without its padding is base64."""
    made = await client.user(x509Certificates=[{"value": "YQ"}])
    assert made["x509Certificates"] == [{"value": "YQ"}]


async def test_a_search_names_each_parameter_once(client: Client) -> None:
    """As in documents: of two names that differ only in case neither is taken for the other."""
    body = {"schemas": [SEARCH], "count": 1, "Count": 2}
    assert problem(await client("POST", "/Users/.search", body))[:2] == (400, "invalidSyntax")
