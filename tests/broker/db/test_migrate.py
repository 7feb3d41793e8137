"""Migrations: declared schema = sum of migrations, one process at a time, the holder named."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from broker.db import migrate, revision
from broker.db.database import Database
from broker.db.schema import metadata


def test_the_declared_schema_is_the_sum_of_the_migrations(database_url: str) -> None:
    """Alembic finds no difference on either engine."""
    engine = migrate._engine(database_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = compare_metadata(context, metadata)
    engine.dispose()
    assert differences == []


async def test_the_revision_is_read_without_alembic(db: Database) -> None:
    """A migrated database is at the newest numbered file, and asking costs one SELECT."""
    assert await db.read(revision.current) == revision.newest()


def test_three_processes_migrate_one_empty_database(tmp_path: Path) -> None:
    """Whoever is second waits, then finds nothing to do; all end well."""
    url = f"sqlite:///{tmp_path / 'fresh.db'}"
    command = [sys.executable, "-c", f"from broker.db import migrate; migrate.upgrade({url!r})"]
    with ThreadPoolExecutor(3) as pool:
        runs = list(
            pool.map(lambda _: subprocess.run(command, capture_output=True, check=False), range(3))
        )
    assert [(run.returncode, run.stderr) for run in runs] == [(0, b"")] * 3


def test_a_held_lock_names_its_holder(database_url: str) -> None:
    """Safety 40: whoever waits too long exits naming the process that migrates."""
    engine = migrate._engine(database_url)
    sqlite = engine.dialect.name == "sqlite"
    lock = migrate._file_lock if sqlite else migrate._postgres_lock
    with lock(engine, 1.0), pytest.raises(migrate.Locked, match=r"process \d+|session \d+"):
        migrate.upgrade(database_url, wait_s=0.2)
    engine.dispose()
    migrate.upgrade(database_url)
