"""Settings become services: what cannot be wired says why, in a sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from broker import bootstrap, wiring
from broker.config import Misconfigured, Settings
from broker.db.database import Database
from broker.store import installation
from tests.faces import KEYS, faces, settings
from tests.scim.own import ACME


@pytest.mark.parametrize("keys", ["canary", "k1:canary", "k1:" + "A" * 43 + ",k1:" + "A" * 43])
async def test_a_key_that_is_none_is_refused(tmp_path: Path, keys: str) -> None:
    """A malformed list of keys ends the start without showing one."""
    said = Settings.model_validate({"data": tmp_path, "encryption_keys": keys})
    with pytest.raises(Misconfigured, match="BROKER_ENCRYPTION_KEYS is set, but") as caught:
        async with wiring.opened(said, "http://127.0.0.1:8080"):
            pytest.fail("it opened")
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"smtp_url": "smtp://u:canary/x@mail"}, "BROKER_SMTP_URL is set, but a mail server is"),
        ({"smtp_url": "smtp://user@mail"}, "a user and a password come together"),
        ({"smtp_url": "smtp://mail"}, "BROKER_SMTP_FROM must say who letters are from"),
        ({"smtp_url": "smtp://mail", "smtp_from": "Acme"}, "a mailbox is flows@acme.example"),
        ({"smtp_url": "smtp://mail", "smtp_from": "a@b.example\nBcc: x@y"}, "a mailbox is"),
    ],
)
async def test_a_mail_server_that_is_none_is_refused(
    tmp_path: Path, said: dict[str, str], why: str
) -> None:
    """Told at the start, with what would be right, and without the password."""
    settings = Settings.model_validate({"data": tmp_path, "encryption_keys": KEYS, **said})
    with pytest.raises(Misconfigured, match=why) as caught:
        async with wiring.opened(settings, "http://127.0.0.1:8080"):
            pytest.fail("it opened")
    assert "canary" not in str(caught.value)


async def test_a_program_in_use_stays_described(database_url: str) -> None:
    """BROKER_PROGRAMS: what connectors are made of is missed at the start, in one line a type."""
    said = settings(database_url)
    used = """
        INSERT INTO connectors (id, project_id, name, name_key, type, state, created_by,
                                created_at, changed_at)
        VALUES ('con_1', 'prj_1', 'T', 't', 'tickets', 'connected', 'x', 0, 0)
    """
    async with faces(database_url) as one:
        await one.broker.db.write(lambda tx: tx.run(used))
    with pytest.raises(Misconfigured) as refused:
        async with wiring.opened(said, "http://127.0.0.1:8080"):
            pytest.fail("it opened")
    [told] = refused.value.problems
    assert told == (
        "BROKER_PROGRAMS describes no program tickets, and connectors of that type are there: 1."
        " Bring it back, delete them, then remove it."
    )
    db = await bootstrap.database_of(said)
    await db.write(lambda tx: tx.run("UPDATE connectors SET state = 'deleted'"))
    await db.close()
    async with wiring.opened(said, "http://127.0.0.1:8080"):
        pass


async def test_a_place_without_a_folder_is_named(tmp_path: Path) -> None:
    """A database that cannot be opened is a setting to correct."""
    with pytest.raises(Misconfigured, match="cannot be opened: No such file or directory"):
        await bootstrap.database_of(settings(f"sqlite:///{tmp_path}/none/x.db"))


async def test_the_postgres_driver_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is not installed the sentence says which extra to install."""
    monkeypatch.delitem(sys.modules, "broker.db.postgres", raising=False)
    monkeypatch.delattr("broker.db.postgres", raising=False)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(Misconfigured, match="the extra `postgres`"):
        await bootstrap.database_of(settings("postgresql://x@127.0.0.1:1/x"))


async def test_hashes_are_the_installations(database_url: str) -> None:
    """Two processes with one key ring make the same hashes; the key itself is sealed."""
    async with faces(database_url) as one, faces(database_url) as other:
        assert one.broker.callers.hasher("x") == other.broker.callers.hasher("x")
        kept = await one.broker.db.read(installation.find, bootstrap.HASH_KEY)
    assert kept is not None
    assert len(kept) > 32


async def test_an_address_is_found_where_none_was_said(db: Database) -> None:
    """Commands beside a service learn where it answers from the database; a setting is before."""
    said = Settings.model_validate({"encryption_keys": KEYS, "port": 9000})
    assert await bootstrap.base_url_of(db, said) == "http://127.0.0.1:9000"
    for url in ("http://127.0.0.1:1", "http://127.0.0.1:2"):
        await bootstrap.remember_base_url(db, url)
    assert await bootstrap.base_url_of(db, said) == "http://127.0.0.1:2"
    said = said.with_(public_url="https://broker.example.com")
    assert await bootstrap.base_url_of(db, said) == "https://broker.example.com"


async def test_the_demo_marks_its_database(db: Database) -> None:
    """Safety 39: empty, other data, demo data are three different answers."""
    assert await bootstrap.is_demo(db) is None
    await db.write(installation.keep, bootstrap.HASH_KEY, b"x")
    assert await bootstrap.is_demo(db) is False
    await bootstrap.mark_demo(db)
    assert await bootstrap.is_demo(db) is True


@pytest.mark.parametrize(("schemas", "judged"), [("", "False"), (str(ACME), "True")])
def test_who_brings_no_schemas_waits_for_no_judge(schemas: str, judged: str) -> None:
    """R138, decision 0016: scim2-models is loaded where a deployment's own files are to be judged,
    and by nobody else.
    """
    code = (
        "import sys; from broker import app, bootstrap; from broker.config import Settings;"
        "bootstrap.catalogue(Settings(_env_file=None)); print('scim2_models' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"BROKER_SCHEMAS": schemas},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == judged


def test_schemas_that_cannot_be_used_are_a_setting_to_correct(tmp_path: Path) -> None:
    """Each fault is a line that begins with the setting and names the file."""
    said = Settings.model_validate({"schemas": tmp_path})
    with pytest.raises(Misconfigured, match=f"BROKER_SCHEMAS: {tmp_path} holds no .json file"):
        bootstrap.catalogue(said)
