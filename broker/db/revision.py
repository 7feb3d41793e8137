"""Which revision a database is at, and which one this code wants: no Alembic needed to ask."""

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


def found(tx: Transaction, *, sqlite: bool) -> str | None:
    """The revision of the database, None where it was never migrated."""
    return current(tx) if tx.find(_SQLITE_TABLE if sqlite else _POSTGRES_TABLE) else None


_SQLITE_TABLE = "SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'alembic_version'"
_POSTGRES_TABLE = """
    SELECT table_name FROM information_schema.tables
     WHERE table_schema = current_schema() AND table_name = 'alembic_version'
"""
