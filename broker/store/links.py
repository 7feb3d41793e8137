"""Links: one request to one person, claimed by state, browser and session together."""

from broker.db.database import Row, Transaction
from broker.domain.errors import NotFound
from broker.domain.links import STATE_LIFETIME, Event, Link, Purpose, State, after

NOBODY = ""
"""What stands where a link has no person (the wizard's) or no connector (an action's)."""


def insert(tx: Transaction, link: Link) -> bool:
    """Keep a new link; False where the person has an open one for this connector already."""
    row = tx.find(
        """
        INSERT INTO links (id, project_id, connector_id, user_id, purpose, state, scopes, claims,
                           return_url, other_account, made_by, coupon, created_at,
                           expires_at)
        VALUES (:id, :project, :connector, :user, :purpose, :state, :scopes, :claims,
                :return_url, :other_account, :made_by, :coupon, :created_at, :expires_at)
        ON CONFLICT DO NOTHING RETURNING id
        """,
        id=link.id,
        project=link.project,
        connector=link.connector or NOBODY,
        user=link.user or NOBODY,
        purpose=link.purpose,
        state=link.state,
        scopes=" ".join(link.scopes),
        claims=link.claims,
        return_url=link.return_url,
        other_account=int(link.other_account),
        made_by=link.made_by,
        coupon=link.coupon,
        created_at=link.created_at,
        expires_at=link.expires_at,
    )
    return row is not None


def find(tx: Transaction, project: str, id: str, *, lock: bool = False) -> Link | None:
    """The link of that id; with `lock` nobody else changes it until the unit ends."""
    sql = "SELECT * FROM links WHERE project_id = :project AND id = :id"
    row = tx.find(sql + tx.for_update if lock else sql, project=project, id=id)
    return _link(row) if row else None


def get(tx: Transaction, project: str, id: str, *, lock: bool = False) -> Link:
    """The link of that id; NotFound where there is none."""
    if (link := find(tx, project, id, lock=lock)) is None:
        raise NotFound()
    return link


def project_of(tx: Transaction, id: str) -> str | None:
    """Which project a link is of: all that is said of it before somebody signed in."""
    row = tx.find("SELECT project_id FROM links WHERE id = :id", id=id)
    return str(row["project_id"]) if row else None


def open_for(tx: Transaction, project: str, connector_id: str, user_id: str) -> Link | None:
    """The open link of a person and connector: everyone who waits for it shares it."""
    row = tx.find(
        """
        SELECT * FROM links
         WHERE project_id = :project AND connector_id = :connector AND user_id = :user
           AND purpose = 'connect' AND state = 'open'
        """
        + tx.for_update,
        project=project,
        connector=connector_id,
        user=user_id,
    )
    return _link(row) if row else None


def follow(
    tx: Transaction,
    link: Link,
    *,
    state_hash: str,
    browser_hash: str,
    session_hash: str,
    verifier: bytes,
) -> None:
    """The person goes on to the provider: what has to come back; an earlier try is over (K1)."""
    link = after(link, Event.FOLLOWED, now=tx.now)
    tx.run(
        """
        UPDATE links
           SET state_hash = :state_hash, browser_hash = :browser_hash,
               session_hash = :session_hash, verifier = :verifier, followed_at = :now
         WHERE project_id = :project AND id = :id AND state = 'open'
        """,
        project=link.project,
        id=link.id,
        state_hash=state_hash,
        browser_hash=browser_hash,
        session_hash=session_hash,
        verifier=verifier,
        now=tx.now,
    )


def claim(
    tx: Transaction,
    project: str,
    connector_id: str,
    state_hash: str,
    browser_hash: str,
    session_hash: str | None,
) -> Link | None:
    """Claim the link this callback answers, once: one UPDATE whose WHERE is the proof (K2).

    Connector, state, browser and session all match, within ten minutes, or nothing is found and
    nothing changes (safety 14, 15; promise 19).
    """
    row = tx.find(
        """
        UPDATE links SET state = 'claimed', claimed_at = :now
         WHERE project_id = :project AND connector_id = :connector AND state = 'open'
           AND state_hash = :state_hash AND browser_hash = :browser_hash
           AND session_hash = :session_hash
           AND expires_at > :now AND followed_at > :oldest
        RETURNING *
        """,
        project=project,
        connector=connector_id,
        state_hash=state_hash,
        browser_hash=browser_hash,
        session_hash=session_hash,
        now=tx.now,
        oldest=tx.now - STATE_LIFETIME,
    )
    return _link(row) if row else None


def answered(tx: Transaction, project: str, state_hash: str) -> Link | None:
    """The link a callback's state belongs to, whoever brings it: to say what went wrong."""
    row = tx.find(
        "SELECT * FROM links WHERE project_id = :project AND state_hash = :state_hash",
        project=project,
        state_hash=state_hash,
    )
    return _link(row) if row else None


def change(tx: Transaction, link: Link) -> None:
    """Keep what became of a link; one that ended keeps no verifier."""
    tx.run(
        """
        UPDATE links
           SET state = :state, reason = :reason, claimed_at = :claimed_at, scopes = :scopes,
               claims = :claims,
               verifier = CASE WHEN :state IN ('open', 'claimed') THEN verifier ELSE NULL END
         WHERE project_id = :project AND id = :id
        """,
        project=link.project,
        id=link.id,
        state=link.state,
        reason=link.reason,
        claimed_at=link.claimed_at,
        scopes=" ".join(link.scopes),
        claims=link.claims,
    )


def overdue(tx: Transaction, project: str, limit: int = 100) -> list[Link]:
    """Links past their end, and claims whose holder is gone, locked (K3)."""
    rows = tx.all(
        """
        SELECT * FROM links
         WHERE project_id = :project
           AND ((state = 'open' AND expires_at <= :now)
                OR (state = 'claimed' AND claimed_at <= :oldest))
         ORDER BY id LIMIT :limit
        """
        + tx.for_update,
        project=project,
        now=tx.now,
        oldest=tx.now - STATE_LIFETIME,
        limit=limit,
    )
    return [_link(row) for row in rows]


def void_all(tx: Transaction, project: str, user_id: str) -> None:
    """End every link of a person: nothing they began completes any more (safety 8)."""
    tx.run(
        """
        UPDATE links SET state = 'void', reason = 'person-not-active', verifier = NULL
         WHERE project_id = :project AND user_id = :user AND state IN ('open', 'claimed')
        """,
        project=project,
        user=user_id,
    )


def void_connector(tx: Transaction, project: str, connector_id: str, reason: str) -> None:
    """End every link of a connector that was deleted or went elsewhere (C9, C11)."""
    tx.run(
        """
        UPDATE links SET state = 'void', reason = :reason, verifier = NULL
         WHERE project_id = :project AND connector_id = :connector
           AND state IN ('open', 'claimed')
        """,
        project=project,
        connector=connector_id,
        reason=reason,
    )


def _link(row: Row) -> Link:
    return Link(
        id=row["id"],
        project=row["project_id"],
        connector=row["connector_id"] or None,
        user=row["user_id"] or None,
        purpose=Purpose(row["purpose"]),
        state=State(row["state"]),
        made_by=row["made_by"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        scopes=tuple(row["scopes"].split()),
        claims=row["claims"],
        return_url=row["return_url"],
        other_account=bool(row["other_account"]),
        coupon=row["coupon"],
        state_hash=row["state_hash"],
        browser_hash=row["browser_hash"],
        session_hash=row["session_hash"],
        verifier=row["verifier"],
        claimed_at=row["claimed_at"],
        reason=row["reason"],
    )
