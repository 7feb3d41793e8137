"""POST /ccow: what only the form route has to say, beside what both routes do alike."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, parse_qsl

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.demo.simulator import Simulator
from broker.domain.errors import BrokerError, Conflict, Invalid, NotFound, Unavailable, Unknown
from broker.service.acting import ActionRequest
from broker.web.api import ccow
from tests import engines
from tests.broker.service import outside
from tests.broker.web.performing import FORM, PERFORM, STATUS, Asker, asking, expected, logon, told
from tests.broker.web.rehearsing import KIM
from tests.clocks import MovableClock
from tests.faces import Faces

EHR = expected("EHR")
BOTH = f"{EHR}|{expected('Lab')}"


@pytest.fixture(scope="module")
def pretend() -> Iterator[Simulator]:
    """The identity provider of all these tests."""
    with outside.running() as simulator:
        yield simulator


@pytest.fixture
async def asker(
    sqlite_engine: engines.SqliteEngine, pretend: Simulator, tmp_path: Path, clock: MovableClock
) -> AsyncIterator[Asker]:
    """A program that asks by the form."""
    with sqlite_engine.database(tmp_path) as url:
        async with asking(url, "form", pretend, clock) as made:
            yield made


async def post(asker: Asker, **fields: str) -> httpx.Response:
    """A call of Perform with these fields beside, or instead of, the usual ones."""
    client = asker.rehearsal.service.client
    return await client.post("/ccow", data=PERFORM | fields, headers=asker.headers)


def thrown(answer: httpx.Response) -> str:
    """The exception in a body that has nothing else than its name and a sentence."""
    assert answer.headers["content-type"] == FORM
    [(name, exception), (message, sentence)] = parse_qsl(answer.text, strict_parsing=True)
    assert (name, message, bool(sentence)) == ("exception", "exceptionMessage", True)
    return exception


async def test_the_answer_of_the_binding(asker: Asker) -> None:
    """b.2: actionCoupon, outputNames, outputValues and managerSignature, arrays joined by bars."""
    await asker.knows(KIM, EHR="ksmith")
    fields = {"inputNames": EHR, "inputValues": "ksmith", "idToken": asker.token(KIM)}
    answer = await post(asker, appSignature="x", cpCallBackURL="", cpErrorURL="", **fields)
    assert (answer.status_code, answer.headers["content-type"]) == (200, FORM)
    assert answer.headers["cache-control"] == "no-store"
    said = dict(parse_qsl(answer.text, strict_parsing=True))
    assert said.pop("managerSignature").count(".") == 2
    assert said == {
        "actionCoupon": "1",
        "outputNames": f"{STATUS}|{logon('EHR')}|AuthenticateUser.Ou.Name",
        "outputValues": "Pass|ksmith|Lee^Kim",
    }


async def test_a_client_that_knows_ccow_alone(asker: Asker) -> None:
    """R94: who sends nothing of ours is answered in outputs, at once: no mode, no pending."""
    said = told(await post(asker, inputNames=EHR, inputValues="ksmith"))
    assert (said.status, said.items) == (200, {STATUS: "Fail", logon("EHR"): "ksmith"})


@pytest.mark.parametrize(
    "fields",
    [
        {"INTERFACE": "contextaction", "Method": "PERFORM", "participantcoupon": "1"},
        {"interface": "ContextAction", "method": "Perform", "partcipantCoupon": "1"},
        {"interface": "ContextAction", "method": "Perform"},
    ],
    ids=["any case", "misspelt", "without a coupon"],
)
async def test_r101_fields_in_any_case(asker: Asker, fields: dict[str, str]) -> None:
    """R101: names of fields, interface and method have no case; who calls is the key, so both
    spellings of the participant's coupon are read, and neither is needed.
    """
    client = asker.rehearsal.service.client
    answer = await client.post("/ccow", data=fields, headers=asker.headers)
    assert told(answer).items == {STATUS: "Fail"}


@pytest.mark.parametrize(
    "fields",
    [
        {"inputNames": EHR, "inputValues": "a|b"},
        {"inputNames": BOTH, "inputValues": "a"},
        {"inputNames": BOTH, "inputValues": ""},
        {"inputNames": "", "inputValues": "a"},
        {"inputValues": "a"},
        {"inputNames": BOTH, "inputValues": "a|b|c"},
    ],
)
async def test_r103_names_and_values_match_in_number(asker: Asker, fields: dict[str, str]) -> None:
    """R103: NameValueCountMismatch, also for a value that holds a bar; nothing is performed."""
    answer = await post(asker, idToken=asker.token(KIM), **fields)
    assert (answer.status_code, thrown(answer)) == (200, "NameValueCountMismatch")
    broker = asker.rehearsal.service.broker
    assert await broker.db.read(lambda tx: tx.all("SELECT * FROM actions")) == []


async def test_r103_an_output_with_a_bar(asker: Asker) -> None:
    """R103: a logon with a bar would be two values, so the call says where to read it: JSON has no
    such limit, in and out.
    """
    await asker.knows(KIM, EHR="k|smith")
    answer = await post(asker, idToken=asker.token(KIM), suffixes="EHR")
    assert thrown(answer) == "NameValueCountMismatch"
    path = parse_qs(answer.text)["exceptionMessage"][0].rpartition(" ")[2].rstrip(".")
    client = asker.rehearsal.service.client
    found = told(await client.get(path, headers=asker.headers))
    assert (found.items[STATUS], found.items[logon("EHR")]) == ("Pass", "k|smith")
    body = {"items": {EHR: "k|smith"}, "mode": "sync"}
    echo = await client.post("/v1/actions/AuthenticateUser", json=body, headers=asker.headers)
    assert echo.json()["items"][logon("EHR")] == "k|smith"


@pytest.mark.parametrize(
    ("fields", "exception"),
    [
        ({"interface": "ContextManager"}, "NotImplemented"),
        ({"method": "JoinCommonContext"}, "NotImplemented"),
        ({"method": ""}, "NotImplemented"),
        ({"cookie": "x"}, "GeneralFailure"),
        ({"cpCallBackURL": "javascript:alert(1)"}, "GeneralFailure"),
        ({"cpErrorURL": "/callback"}, "GeneralFailure"),
        ({"partcipantCoupon": "8"}, "GeneralFailure"),
        ({"partcipantCoupon": "8", "PARTCIPANTCOUPON": "9"}, "GeneralFailure"),
        ({"mode": "later"}, "GeneralFailure"),
        ({"suffixes": "a\u202eb"}, "GeneralFailure"),
        ({"idToken": "x" * 16385}, "GeneralFailure"),
        ({"inputNames": EHR, "inputValues": "k\x00smith"}, "GeneralFailure"),
        ({"inputNames": f"{EHR}|{EHR}", "inputValues": "a|a"}, "UnknownItemName"),
        (
            {"inputNames": "|".join(map(str, range(15_000))), "inputValues": "|" * 14_999},
            "GeneralFailure",
        ),
    ],
)
async def test_other_calls(asker: Asker, fields: dict[str, str], exception: str) -> None:
    """b.2: another interface or method is NotImplemented; what is not understood is refused."""
    answer = await post(asker, **fields)
    assert (answer.status_code, thrown(answer)) == (200, exception)


async def test_safety_31_post_alone(asker: Asker) -> None:
    """Safety 31: GET is refused, and so is a call in the address, which would be logged."""
    client, headers = asker.rehearsal.service.client, asker.headers
    answer = await client.get("/ccow", params=PERFORM, headers=headers)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert thrown(answer) == "NotImplemented"
    answer = await client.post("/ccow", params=PERFORM, data=PERFORM, headers=headers)
    assert (answer.status_code, thrown(answer)) == (200, "GeneralFailure")


@pytest.mark.parametrize(
    ("content", "type", "status"),
    [
        (b"{}", "application/json", 415),
        (b"interface=%ff", FORM, 400),
        (b"interface=\xff", FORM, 400),
        (b"a" * (256 * 1024 + 1), FORM, 413),
        (b"&".join([b"a=b"] * 1001), FORM, 400),
    ],
    ids=["json", "no text", "no utf-8", "large", "many"],
)
async def test_what_is_no_form(asker: Asker, content: bytes, type: str, status: int) -> None:
    """What is wrong with the transport has HTTP's own status, and the body is an exception too."""
    client, headers = asker.rehearsal.service.client, asker.headers | {"Content-Type": type}
    answer = await client.post("/ccow", content=content, headers=headers)
    assert (answer.status_code, thrown(answer)) == (status, "GeneralFailure")


async def test_safety_31_callbacks_are_never_called(asker: Asker) -> None:
    """Safety 31: cpCallBackURL and cpErrorURL are read, and nobody ever connects to them."""
    called = []

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        called.append(writer.get_extra_info("peername"))
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/callback"
        for fields in (
            {"idToken": asker.token(KIM)},
            {"idToken": "a.b.c"},
            {"mode": "async", "inputNames": EHR, "inputValues": "ksmith"},
            {"inputNames": "x", "inputValues": "y"},
        ):
            await post(asker, cpCallBackURL=url, cpErrorURL=url, **fields)
    broker = asker.rehearsal.service.broker
    later = await broker.db.read(lambda tx: tx.all("SELECT kind FROM jobs"))
    assert (called, later) == ([], [])


async def test_safety_31_off_by_default(service: Faces) -> None:
    """Safety 31: without BROKER_CCOW there is no such route, for a key with every scope."""
    headers = await service.key()
    answer = await service.client.post("/ccow", data=PERFORM, headers=headers)
    assert (answer.status_code, thrown(answer)) == (404, "NotImplemented")


PLAIN = st.text(st.characters(codec="utf-8", exclude_characters="|\x00"), max_size=9)


@given(st.dictionaries(PLAIN.map(lambda end: expected(f"S{end}")), PLAIN, max_size=4))
def test_both_routes_read_alike(items: dict[str, str]) -> None:
    """b.2: what has no bar in it is asked for by the form as it is by JSON, or refused as it is."""

    def outcome(read: Callable[[], ActionRequest]) -> ActionRequest | str:
        try:
            return read()
        except Invalid as error:
            return f"{type(error).__name__}: {error}"

    form = PERFORM | {"inputNames": "|".join(items), "inputValues": "|".join(items.values())}
    by_form = outcome(lambda: ccow._request(ccow._read(list(form.items()))))
    assert by_form == outcome(lambda: ActionRequest.parse({"items": items, "mode": "sync"}))


@given(st.lists(st.tuples(st.sampled_from(sorted(ccow.KNOWN)) | st.text(), st.text())))
def test_any_form_is_read_or_refused(pairs: list[tuple[str, str]]) -> None:
    """api-conventions 8: whatever is sent is a request or an exception, never a fault of ours."""
    called = {name.lower() for name, _ in pairs}
    usual = [(name, value) for name, value in PERFORM.items() if name.lower() not in called]
    try:
        ccow._request(ccow._read([*usual, *pairs]))
    except Invalid as error:
        refused = ccow.exception(error)
        if b"exception=" not in refused.body:
            raise


@pytest.mark.parametrize(
    ("error", "status", "name"),
    [
        (Invalid(), 200, "GeneralFailure"),
        (Unknown(), 401, "AuthenticationFailed"),
        (NotFound("a coupon"), 404, "GeneralFailure"),
        (Conflict(), 409, "GeneralFailure"),
        (BrokerError(), 500, "GeneralFailure"),
        (Unavailable(retry_after_s=3), 503, "GeneralFailure"),
    ],
    ids=["invalid", "unknown", "missing", "conflict", "internal", "unavailable"],
)
def test_errors_as_exceptions(error: BrokerError, status: int, name: str) -> None:
    """api.md: the form route answers CCOW exceptions, and says when to ask again."""
    answer = ccow.exception(error)
    assert answer.status_code == status
    assert dict(parse_qsl(bytes(answer.body).decode())) == {
        "exception": name,
        "exceptionMessage": str(NotFound() if status == 404 else error),
    }
    assert answer.headers.get("retry-after") == ("3" if status == 503 else None)
