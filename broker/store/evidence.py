"""Id_tokens that were shown as evidence: a digest each, so that none counts twice (safety 28)."""

from broker.db.database import Transaction


def first_use(tx: Transaction, project: str, hash: str, expires_at: int) -> bool:
    """Whether this evidence was never shown before; from now on it was (safety 28)."""
    sql = """
        INSERT INTO evidence (project_id, hash, expires_at) VALUES (:project, :hash, :expires_at)
        ON CONFLICT DO NOTHING RETURNING hash
    """
    return tx.find(sql, project=project, hash=hash, expires_at=expires_at) is not None


def sweep(tx: Transaction) -> None:
    """Forget the evidence of any project that is too old to be taken anyway."""
    tx.run("DELETE FROM evidence WHERE expires_at <= :now", now=tx.now)
