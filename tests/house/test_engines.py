"""The databases that tests are given, and that nothing of them outlives the session."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg
import pytest

from broker.db.database import Database
from tests import engines, leashed_postgres
from tests.clocks import MovableClock
from tests.house.product import ROOT
from tests.waiting import until

HANGING = """
import pathlib, signal

def test_hangs(postgres_engine, tmp_path):
    with postgres_engine.database(tmp_path) as url:
        pathlib.Path(__file__).with_name("url").write_text(url)
        signal.pause()
"""


def answers(url: str) -> bool:
    """Whether somebody serves that database."""
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def said(file: Path) -> str:
    """What stands in the file, nothing where there is none yet."""
    return file.read_text() if file.exists() else ""


async def test_each_test_begins_with_an_empty_database(db: Database) -> None:
    """A test finds the newest schema and no row of another."""
    await db.write(lambda tx: tx.run("INSERT INTO installation (name, value) VALUES ('a', 'b')"))
    assert len(await db.read(lambda tx: tx.all("SELECT name FROM installation"))) == 1


async def test_a_test_moves_time(db: Database, clock: MovableClock) -> None:
    """`tx.now` follows the clock that the test holds, on both engines."""
    before = await db.read(lambda tx: tx.now)
    clock.advance(86_400_000_000)
    assert await db.read(lambda tx: tx.now) >= before + 86_400_000_000


async def test_two_databases_share_nothing(
    postgres_engine: engines.PostgresEngine, tmp_path: Path
) -> None:
    """Databases of one session are apart, and gone when their test is."""
    with (
        postgres_engine.database(tmp_path) as one,
        postgres_engine.database(tmp_path) as other,
    ):
        assert one != other
        assert answers(one)
        assert answers(other)
    assert not answers(one)


async def test_a_killed_session_leaves_no_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL for the whole test run, and its PostgreSQL stops by itself."""
    monkeypatch.delenv(engines.SETTING, raising=False)
    (tmp_path / "test_hanging.py").write_text(HANGING)
    words = ["-p", "tests.conftest", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tmp_path)]
    with subprocess.Popen(
        [sys.executable, "-m", "pytest", *words, str(tmp_path / "test_hanging.py")],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
    ) as session:
        try:
            url = await until(lambda: said(tmp_path / "url"))
            assert answers(url)
        finally:
            session.kill()
    await until(lambda: not answers(url))
    folder = Path(url.partition("host=")[2]).parent
    await until(lambda: not folder.exists())


async def test_a_server_that_lost_its_leash_is_swept() -> None:
    """When the watching program is killed too, the next session ends the server."""
    with tempfile.TemporaryDirectory(prefix="sweep-", dir=engines.short_folder()) as parent:
        Path(parent).chmod(0o755)
        leash = subprocess.Popen(
            [sys.executable, leashed_postgres.__file__, parent],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert leash.stdout is not None
        url = f"postgresql://postgres@/postgres?host={leash.stdout.readline().strip()}"
        assert leashed_postgres.sweep(Path(parent)) == []
        leash.kill()
        leash.communicate()
        assert answers(url)
        assert len(leashed_postgres.sweep(Path(parent))) == 1
        assert not answers(url)
        assert list(Path(parent).iterdir()) == []


def test_a_server_that_cannot_be_reached_fails_with_the_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """BROKER_TEST_PG_URL names nobody: the sentence says what to set, and nothing is skipped."""
    monkeypatch.setenv(engines.SETTING, "postgresql://postgres@127.0.0.1:1/postgres")
    with pytest.raises(engines.NoServer, match=engines.SETTING), engines.postgres_server():
        pytest.fail("there is no server on port 1")


def test_a_server_that_cannot_start_fails_with_the_setting() -> None:
    """No PostgreSQL on this machine: the same sentence."""
    with pytest.raises(engines.NoServer, match=engines.SETTING), engines.own_server("false"):
        pytest.fail("`false` starts nothing")


def test_a_named_server_is_used(
    postgres_engine: engines.PostgresEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BROKER_TEST_PG_URL names a server: its databases are made there, and dropped again."""
    with postgres_engine.database(tmp_path) as named:
        monkeypatch.setenv(engines.SETTING, named)
        with engines.postgres_server() as url:
            assert url == named
            other = engines.PostgresEngine(url)
            with other.database(tmp_path) as database:
                assert answers(database)
            other.close()
            assert not answers(database)


def test_a_socket_path_stays_short(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Below a long temporary folder the server moves to one whose socket fits into 107 bytes."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / ("long" * 30)))
    folder = engines.short_folder()
    assert len(f"{folder}/broker-pg-12345678/data/.s.PGSQL.5432") <= 107
