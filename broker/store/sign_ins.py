"""Sign-ins that have not come back from the identity provider yet: claimed once, by one browser."""

from dataclasses import dataclass

from broker.db.database import Row, Transaction
from broker.domain.clock import MINUTE

LIFETIME = 10 * MINUTE  # promise 19


@dataclass(frozen=True, slots=True)
class SignIn:
    """What a claimed one needs to go on; sealed for table sign_ins, row `state_hash`."""

    project: str
    state_hash: str
    verifier: bytes
    nonce: bytes
    return_to: str


def insert(tx: Transaction, sign_in: SignIn, *, browser_hash: str) -> None:
    """Keep a sign-in that was sent on, for ten minutes and this browser."""
    tx.run(
        """
        INSERT INTO sign_ins (state_hash, project_id, browser_hash, verifier, nonce, return_to,
                              expires_at)
        VALUES (:state_hash, :project, :browser_hash, :verifier, :nonce, :return_to, :expires_at)
        """,
        state_hash=sign_in.state_hash,
        project=sign_in.project,
        browser_hash=browser_hash,
        verifier=sign_in.verifier,
        nonce=sign_in.nonce,
        return_to=sign_in.return_to,
        expires_at=tx.now + LIFETIME,
    )


def claim(tx: Transaction, project: str, state_hash: str, browser_hash: str) -> SignIn | None:
    """Claim the sign-in this callback answers: one UPDATE matches state, browser and time."""
    row = tx.find(
        """
        UPDATE sign_ins SET used_at = :now
         WHERE project_id = :project AND state_hash = :state_hash
           AND browser_hash = :browser_hash AND used_at IS NULL AND expires_at > :now
        RETURNING *
        """,
        project=project,
        state_hash=state_hash,
        browser_hash=browser_hash,
        now=tx.now,
    )
    return _sign_in(row) if row else None


def forget(tx: Transaction, project: str) -> None:
    """Remove those that are over; a state is never used again."""
    tx.run(
        "DELETE FROM sign_ins WHERE project_id = :project AND expires_at <= :now",
        project=project,
        now=tx.now,
    )


def _sign_in(row: Row) -> SignIn:
    return SignIn(
        project=row["project_id"],
        state_hash=row["state_hash"],
        verifier=row["verifier"],
        nonce=row["nonce"],
        return_to=row["return_to"],
    )
