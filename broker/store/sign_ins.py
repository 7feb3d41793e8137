"""Sign-ins that have not come back from the identity provider yet: claimed once, by one browser."""

from dataclasses import dataclass

from broker.db.database import Transaction
from broker.domain.clock import MINUTE
from broker.store.shapes import Shape

LIFETIME = 10 * MINUTE  # promise 19


@dataclass(frozen=True, slots=True)
class SignIn:
    """What a claimed one needs to go on; sealed for table sign_ins, row `state_hash`."""

    project: str
    state_hash: str
    verifier: bytes
    nonce: bytes
    return_to: str
    expires_at: int

    @property
    def began_at(self) -> int:
        """When the browser was sent on."""
        return self.expires_at - LIFETIME


def insert(tx: Transaction, sign_in: SignIn, *, browser_hash: str) -> None:
    """Keep a sign-in that was sent on, for ten minutes and this browser."""
    sql = f"""
        INSERT INTO sign_ins (project_id, browser_hash, {_SHAPE.columns})
        VALUES (:project, :browser_hash, {_SHAPE.values})
    """
    tx.run(sql, **_SHAPE.parameters(sign_in), browser_hash=browser_hash)


def claim(tx: Transaction, project: str, state_hash: str, browser_hash: str) -> SignIn | None:
    """Claim the sign-in this callback answers: one UPDATE matches state, browser and time."""
    sql = """
        UPDATE sign_ins SET used_at = :now
         WHERE project_id = :project AND state_hash = :state_hash
           AND browser_hash = :browser_hash AND used_at IS NULL AND expires_at > :now
        RETURNING *
    """
    row = tx.find(
        sql, project=project, state_hash=state_hash, browser_hash=browser_hash, now=tx.now
    )
    return _SHAPE.one(row)


def forget(tx: Transaction, project: str) -> None:
    """Remove those that are over; a state is never used again."""
    sql = "DELETE FROM sign_ins WHERE project_id = :project AND expires_at <= :now"
    tx.run(sql, project=project, now=tx.now)


_SHAPE = Shape(SignIn)
