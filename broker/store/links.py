"""Links: one request to one person, claimed by state, browser and session together."""

from broker.db.database import Transaction
from broker.domain.errors import NotFound
from broker.domain.links import STATE_LIFETIME, Event, Link, after
from broker.store.shapes import OR_EMPTY, Shape


def insert(tx: Transaction, link: Link) -> bool:
    """Keep a new link; False where the person has an open one for this connector already."""
    sql = f"""
        INSERT INTO links (project_id, {_SHAPE.columns}) VALUES (:project, {_SHAPE.values})
        ON CONFLICT DO NOTHING RETURNING id
    """
    return tx.find(sql, **_SHAPE.parameters(link)) is not None


def find(tx: Transaction, project: str, id: str, *, lock: bool = False) -> Link | None:
    """The link of that id; with `lock` nobody else changes it until the unit ends."""
    sql = "SELECT * FROM links WHERE project_id = :project AND id = :id"
    return _SHAPE.one(tx.find(sql + tx.for_update if lock else sql, project=project, id=id))


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
    sql = """
        SELECT * FROM links
         WHERE project_id = :project AND connector_id = :connector AND user_id = :user
           AND purpose = 'connect' AND state = 'open'
    """
    row = tx.find(sql + tx.for_update, project=project, connector=connector_id, user=user_id)
    return _SHAPE.one(row)


def connected(tx: Transaction, project: str, connector_id: str, user_id: str, since: int) -> bool:
    """Whether the person came back from the connector's program since then, and was let in (K2)."""
    sql = """
        SELECT id FROM links
         WHERE project_id = :project AND connector_id = :connector AND user_id = :user
           AND purpose = 'connect' AND state = 'done' AND claimed_at >= :since LIMIT 1
    """
    named = {"project": project, "connector": connector_id, "user": user_id}
    return tx.find(sql, **named, since=since) is not None


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
    sql = """
        UPDATE links
           SET state_hash = :state_hash, browser_hash = :browser_hash,
               session_hash = :session_hash, verifier = :verifier, followed_at = :now
         WHERE project_id = :project AND id = :id AND state = 'open'
    """
    tx.run(
        sql,
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
    sql = """
        UPDATE links SET state = 'claimed', claimed_at = :now
         WHERE project_id = :project AND connector_id = :connector AND state = 'open'
           AND state_hash = :state_hash AND browser_hash = :browser_hash
           AND session_hash = :session_hash
           AND expires_at > :now AND followed_at > :oldest
        RETURNING *
    """
    row = tx.find(
        sql,
        project=project,
        connector=connector_id,
        state_hash=state_hash,
        browser_hash=browser_hash,
        session_hash=session_hash,
        now=tx.now,
        oldest=tx.now - STATE_LIFETIME,
    )
    return _SHAPE.one(row)


def answered(tx: Transaction, project: str, state_hash: str) -> Link | None:
    """The link a callback's state belongs to, whoever brings it: to say what went wrong."""
    sql = "SELECT * FROM links WHERE project_id = :project AND state_hash = :state_hash"
    return _SHAPE.one(tx.find(sql, project=project, state_hash=state_hash))


def change(tx: Transaction, link: Link) -> None:
    """Keep what became of a link; one that ended keeps no verifier."""
    sql = """
        UPDATE links
           SET state = :state, reason = :reason, claimed_at = :claimed_at, scopes = :scopes,
               return_url = :return_url,
               verifier = CASE WHEN :state IN ('open', 'claimed') THEN verifier ELSE NULL END
         WHERE project_id = :project AND id = :id
    """
    tx.run(sql, **_SHAPE.parameters(link))


def overdue(tx: Transaction, project: str, limit: int = 100) -> list[Link]:
    """Links past their end, and claims whose holder is gone, locked (K3)."""
    sql = """
        SELECT * FROM links
         WHERE project_id = :project
           AND ((state = 'open' AND expires_at <= :now)
                OR (state = 'claimed' AND claimed_at <= :oldest))
         ORDER BY id LIMIT :limit
    """
    rows = tx.all(
        sql + tx.for_update,
        project=project,
        now=tx.now,
        oldest=tx.now - STATE_LIFETIME,
        limit=limit,
    )
    return _SHAPE.each(rows)


def void_all(tx: Transaction, project: str, user_id: str) -> None:
    """End every link of a person: nothing they began completes any more (safety 8)."""
    sql = """
        UPDATE links SET state = 'void', reason = 'person-not-active', verifier = NULL
         WHERE project_id = :project AND user_id = :user AND state IN ('open', 'claimed')
    """
    tx.run(sql, project=project, user=user_id)


def void_connector(tx: Transaction, project: str, connector_id: str, reason: str) -> None:
    """End every link of a connector that was deleted or went elsewhere (C9, C11)."""
    sql = """
        UPDATE links SET state = 'void', reason = :reason, verifier = NULL
         WHERE project_id = :project AND connector_id = :connector
           AND state IN ('open', 'claimed')
    """
    tx.run(sql, project=project, connector=connector_id, reason=reason)


# The wizard's link has no person, an action's no connector.
_SHAPE = Shape(Link, forms={"user": OR_EMPTY, "connector": OR_EMPTY})
