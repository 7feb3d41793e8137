"""The audit's chain: which committed rows are in it, in which order, and its head."""

from broker.db.database import Row, Transaction

LOOK_BACK = 10_000  # a row numbered earlier may be committed later; older ones no unit still holds


def head(tx: Transaction) -> tuple[int, str]:
    """How many rows are in the chain, and its newest hash."""
    row = tx.find("SELECT position, hash FROM audit_chain ORDER BY position DESC LIMIT 1")
    return (row["position"], row["hash"]) if row else (0, "")


def unchained(tx: Transaction, limit: int) -> list[Row]:
    """Committed rows that are not in the chain yet, in their order: n and digest."""
    last = tx.find("SELECT audit_n FROM audit_chain ORDER BY audit_n DESC LIMIT 1")
    sql = """
        SELECT n, digest FROM audit
         WHERE n > :start
           AND NOT EXISTS (SELECT 1 FROM audit_chain WHERE audit_n = n)
         ORDER BY n
         LIMIT :limit
    """
    return tx.all(sql, start=max(last["audit_n"] - LOOK_BACK, 0) if last else 0, limit=limit)


def append(tx: Transaction, position: int, n: int, hash: str) -> None:
    """Put a row at the end; Duplicate where another replica was first."""
    sql = "INSERT INTO audit_chain (position, audit_n, hash) VALUES (:position, :n, :hash)"
    tx.run(sql, position=position, n=n, hash=hash)
