"""Which revision a database is at, and which one this code wants: no Alembic needed to ask."""

from __future__ import annotations

from pathlib import Path

from broker.db.database import Transaction

VERSIONS = Path(__file__).parent / "migrations" / "versions"


def newest() -> str:
    """The revision this code wants: migrations are numbered files, `0001_….py`."""
    return max(path.name for path in VERSIONS.glob("[0-9]*.py"))[:4]


def current(tx: Transaction) -> str | None:
    """The revision of the database; call only where the table is there."""
    row = tx.find("SELECT version_num FROM alembic_version")
    return row["version_num"] if row else None
