"""Facts of the whole installation: its hash key, its epoch, whether it holds demo data."""

from broker.db.database import Transaction


def find(tx: Transaction, name: str) -> bytes | None:
    """The value kept under that name."""
    row = tx.find("SELECT value FROM installation WHERE name = :name", name=name)
    return row["value"] if row else None


def keep(tx: Transaction, name: str, value: bytes) -> bytes:
    """Keep the value unless one is there already; the one that is there now."""
    sql = "INSERT INTO installation (name, value) VALUES (:name, :value) ON CONFLICT DO NOTHING"
    tx.run(sql, name=name, value=value)
    return find(tx, name) or value


def put(tx: Transaction, name: str, value: bytes) -> None:
    """Keep the value in place of the one that is there."""
    sql = """
        INSERT INTO installation (name, value) VALUES (:name, :value)
        ON CONFLICT (name) DO UPDATE SET value = excluded.value
    """
    tx.run(sql, name=name, value=value)
