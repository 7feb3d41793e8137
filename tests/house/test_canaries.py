"""The search for planted secrets can fail: whatever channel one leaves by, its test does."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.canaries import CANARY, CLOSED, HANDED, planted, seen
from tests.house.product import ROOT

LEAKY = """
import logging, sqlite3, sys
import httpx, pytest, structlog
from starlette.responses import PlainTextResponse
from structlog.testing import capture_logs
from broker.domain.errors import Invalid, NotFound
from providers.errors import GrantDead
from providers.secret import Secret
from tests.canaries import HANDED, planted
from tests.serving import command

SECRET = planted("it")

def test_printed():
    print(SECRET)

def test_logged():
    structlog.get_logger("x").debug("connected", who=SECRET)

def test_logged_by_a_library():
    logging.getLogger("x").warning("sent %s", SECRET)

def test_logged_and_looked_at():
    with capture_logs():
        structlog.get_logger("x").info("connected", who={"in": [SECRET]})

def test_written_to_stderr():
    sys.stderr.write(SECRET)

def test_raised_and_swallowed():
    try:
        raise Invalid("no", next=f"try {SECRET}")
    except Invalid:
        pass

def test_raised_by_a_program():
    GrantDead("invalid_grant", f"the token {SECRET} is over")

def test_expected():
    with pytest.raises(ValueError):
        raise ValueError(SECRET)

def test_the_cause_of_what_was_expected():
    with pytest.raises(ValueError):
        try:
            raise KeyError(SECRET)
        except KeyError as error:
            raise ValueError("broken") from error

async def asked(answer, host="127.0.0.1"):
    async with httpx.AsyncClient(transport=httpx.ASGITransport(answer)) as client:
        await client.get(f"http://{host}/x")

async def test_answered():
    await asked(PlainTextResponse(SECRET))

async def test_answered_in_a_header():
    await asked(PlainTextResponse("", headers={"Location": f"/?x={SECRET}"}))

async def test_refused_with_it():
    await asked(PlainTextResponse(SECRET, 422))

async def test_an_access_token_in_a_log():
    print(HANDED)

def test_kept_in_the_database(database_url):
    with sqlite3.connect(database_url.removeprefix("sqlite:///")) as database:
        database.execute("UPDATE licenses SET promotion = 'auto'")
        database.execute("INSERT INTO installation VALUES ('x', ?)", (SECRET.encode(),))

test_kept_in_the_database = pytest.mark.parametrize(
    "database_url", ["sqlite"], indirect=True)(test_kept_in_the_database)

async def test_fine_a_credential_leaves_in_an_answer():
    await asked(PlainTextResponse(HANDED))

async def test_fine_a_program_knows_its_own():
    await asked(PlainTextResponse(SECRET), "localhost")

def test_fine_a_secret_is_not_seen():
    print(Secret(SECRET))
    NotFound(f"{Secret(SECRET)}")
"""
OUTCOME = re.compile(r"^(PASSED|FAILED|ERROR) \S+::(\w+)", re.MULTILINE)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """How tests that leak ended, run by a session of their own under this suite's conftest."""
    folder = tmp_path_factory.mktemp("leaky")
    (folder / "test_leaky.py").write_text(LEAKY)
    said = subprocess.run(
        (
            *(
                sys.executable,
                "-m",
                "pytest",
                "-rA",
                "-p",
                "tests.conftest",
                "-p",
                "no:cacheprovider",
            ),
            *("-o", "asyncio_mode=auto", "-o", f"pythonpath={ROOT}", "--rootdir", str(folder)),
            str(folder),
        ),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    return {name: outcome for outcome, name in OUTCOME.findall(said)} or {said: "nothing ran"}


def test_every_leak_fails_its_test(outcomes: dict[str, str]) -> None:
    """Promises 13, 17: in a log at any level, on a stream, in an error that nobody saw, in an
    answer or its headers, in the database's bytes; and what may be seen is no leak.
    """
    written = re.findall(r"^(?:async )?def (test_\w+)", LEAKY, re.MULTILINE)
    fine = {name for name in written if "_fine_" in name}
    assert set(outcomes) == set(written)
    assert {name for name in written if outcomes[name] == "PASSED"} == fine


@given(before=st.binary(max_size=9), after=st.binary(max_size=9), mark=st.sampled_from(CLOSED))
def test_a_mark_is_seen_in_whatever_form(before: bytes, after: bytes, mark: str) -> None:
    """As it is, in hexadecimal, and in base64 of both alphabets, whatever stands around it."""
    whole = before + mark.encode() + after
    for form in (whole, whole.hex().encode(), base64.b64encode(whole)):
        assert seen(form, mark)
    assert seen(base64.urlsafe_b64encode(whole), mark)


def test_the_marks_are_planted() -> None:
    """What is planted bears the mark, and the two marks are not each other's."""
    assert seen(planted("x").encode(), CANARY)
    assert not seen(planted("x").encode(), HANDED)


def test_nobody_hands_in_an_unmarked_secret() -> None:
    """The helpers that many tests share plant the secrets they hand in."""
    shared = [*Path(ROOT / "tests").glob("*.py"), ROOT / "tests/journeys/stage.py"]
    plain = re.compile(r"""(SECRET|TOKEN|PASSWORD)\b[^=\n]*= ["']""")
    assert [str(file) for file in shared if plain.search(file.read_text())] == []
