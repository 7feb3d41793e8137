"""Token sets, sealed: what a person, or the connector user, holds at one connector."""

from dataclasses import replace

from broker.db.database import Transaction
from broker.domain import ids
from broker.domain.clock import DAY
from broker.domain.errors import NotFound
from broker.domain.token_states import Event, after
from broker.domain.tokens import State, TokenSet
from broker.store import jobs
from broker.store.shapes import OR_EMPTY, Shape

CONNECTOR_USER = ""
"""What stands where the set is the connector user's and nobody's own."""
KEEP_ALIVE_LIMIT = 180 * DAY  # T13: nobody asked for the connector, so its grants may die


def read(
    tx: Transaction, project: str, connector_id: str, user_id: str | None, *, lock: bool = False
) -> TokenSet | None:
    """What a person (None: the connector user) holds there; `lock` keeps it as it is."""
    sql = """
        SELECT * FROM tokens
         WHERE project_id = :project AND connector_id = :connector AND user_id = :user
    """
    row = tx.find(
        sql + tx.for_update if lock else sql,
        project=project,
        connector=connector_id,
        user=user_id or CONNECTOR_USER,
    )
    return _SHAPE.one(row)


def locked(tx: Transaction, token: TokenSet) -> TokenSet:
    """A set that was read before, as it is now, held until the unit ends."""
    found = read(tx, token.project, token.connector, token.user, lock=True)
    if found is None:
        raise NotFound()
    return found


def absent(tx: Transaction, project: str, connector_id: str, user_id: str | None) -> TokenSet:
    """A set that holds nothing yet and is not kept."""
    return TokenSet(
        id=ids.new("tks"),
        project=project,
        connector=connector_id,
        user=user_id,
        state=State.ABSENT,
        created_at=tx.now,
        changed_at=tx.now,
    )


def save(tx: Transaction, token: TokenSet, *, due_at: int | None) -> None:
    """Keep a set that this unit holds, the first or what became of it.

    Duplicate where another person of the connector has this provider account (safety 17).
    """
    sql = f"""
        INSERT INTO tokens (project_id, due_at, {_SHAPE.columns})
        VALUES (:project, :due_at, {_SHAPE.values})
        ON CONFLICT (connector_id, user_id) DO UPDATE
           SET due_at = excluded.due_at, {_SHAPE.changes}
         WHERE tokens.project_id = excluded.project_id
    """
    tx.run(sql, **_SHAPE.parameters(token), due_at=due_at)


def begin(tx: Transaction, token: TokenSet) -> TokenSet:
    """The set of a person who has none yet, held: this one, or that of whoever was faster."""
    sql = f"""
        INSERT INTO tokens (project_id, {_SHAPE.columns}) VALUES (:project, {_SHAPE.values})
        ON CONFLICT (connector_id, user_id) DO NOTHING
    """
    tx.run(sql, **_SHAPE.parameters(token))
    return locked(tx, token)


def given(tx: Transaction, token: TokenSet, *, due_at: int | None) -> None:
    """A step is given this version: the background refreshes it ahead of its end."""
    sql = """
        UPDATE tokens SET asked = :version, due_at = :due_at
         WHERE project_id = :project AND id = :id AND version = :version
    """
    tx.run(sql, project=token.project, id=token.id, version=token.version, due_at=due_at)


def look_later(
    tx: Transaction, project: str, connector_id: str, user_id: str, *, due_at: int
) -> None:
    """The background found nothing to do for a set that was due; not again before then."""
    sql = """
        UPDATE tokens SET due_at = :due_at
         WHERE project_id = :project AND connector_id = :connector AND user_id = :user
           AND due_at <= :now
    """
    tx.run(sql, project=project, connector=connector_id, user=user_id, due_at=due_at, now=tx.now)


def lease(tx: Transaction, token: TokenSet) -> None:
    """Keep the lease and the journal of a set that this unit holds, before anybody is called."""
    sql = """
        UPDATE tokens SET fence = :fence, lease_until = :lease_until, journal = :journal
         WHERE project_id = :project AND id = :id
    """
    tx.run(sql, **_SHAPE.parameters(token))


def holder(tx: Transaction, project: str, connector_id: str, account: str) -> str | None:
    """Whose a provider account is at this connector: a person's id, "" for the connector user."""
    sql = """
        SELECT user_id FROM tokens
         WHERE project_id = :project AND connector_id = :connector AND account = :account
           AND state <> 'revoked'
    """
    row = tx.find(sql, project=project, connector=connector_id, account=account)
    return str(row["user_id"]) if row else None


def brought_by(tx: Transaction, project: str, connector_id: str, grant_hash: str) -> str | None:
    """Who brought the refresh token of that hash there; their id, "" for the connector user."""
    sql = """
        SELECT user_id FROM tokens
         WHERE project_id = :project AND connector_id = :connector AND grant_hash = :hash
    """
    row = tx.find(sql, project=project, connector=connector_id, hash=grant_hash)
    return str(row["user_id"]) if row else None


def outdate_minted(tx: Transaction, project: str, connector_id: str) -> None:
    """What tokens were minted of is another thing now: each is minted again when it is asked for.

    A new version, so that no answer to what was sent before is kept.
    """
    sql = """
        UPDATE tokens SET version = version + 1, lease_until = NULL, retry_at = NULL,
               state = CASE WHEN state = 'valid' THEN 'expired' ELSE state END
         WHERE project_id = :project AND connector_id = :connector AND minted = 1
    """
    tx.run(sql, project=project, connector=connector_id)


def of_connector(
    tx: Transaction, project: str, connector_id: str, *, after: str = "", limit: int = 50
) -> list[TokenSet]:
    """The people who authorized a connector, by person, those behind `after`."""
    sql = """
        SELECT * FROM tokens
         WHERE project_id = :project AND connector_id = :connector AND user_id > :after
         ORDER BY user_id LIMIT :limit
    """
    rows = tx.all(sql, project=project, connector=connector_id, after=after, limit=limit)
    return _SHAPE.each(rows)


def of_user(tx: Transaction, project: str, user_id: str) -> list[TokenSet]:
    """What a person holds, at every connector."""
    sql = "SELECT * FROM tokens WHERE project_id = :project AND user_id = :user"
    return _SHAPE.each(tx.all(sql, project=project, user=user_id))


def due(tx: Transaction, project: str, limit: int = 1000) -> list[tuple[str, str]]:
    """(connector, person) of the sets the background refreshes now, the longest due first.

    What a step was given or waits for; unused ones only of connectors that are kept alive and were
    asked for within 180 days (T13).
    """
    sql = """
        SELECT t.connector_id, t.user_id
          FROM tokens t JOIN connectors c ON c.id = t.connector_id
         WHERE t.project_id = :project AND c.project_id = :project AND t.due_at <= :now
           AND t.frozen = 0 AND (t.lease_until IS NULL OR t.lease_until <= :now)
           AND c.state IN ('connected', 'needs_reauth')
           AND (t.asked = t.version OR t.retry_at IS NOT NULL
                OR c.keep_alive = 1 AND COALESCE(c.resolved_at, c.created_at) > :oldest)
         ORDER BY t.due_at LIMIT :limit
    """
    rows = tx.all(sql, project=project, now=tx.now, oldest=tx.now - KEEP_ALIVE_LIMIT, limit=limit)
    return [(row["connector_id"], row["user_id"]) for row in rows]


def lapsing(tx: Transaction, project: str, by: int, limit: int = 100) -> list[TokenSet]:
    """Grants that end until then and that nobody refreshes, locked; nobody was told yet.

    A frozen one is refreshed elsewhere, so its end is not ours to tell.
    """
    sql = """
        SELECT t.*
          FROM tokens t JOIN connectors c ON c.id = t.connector_id
         WHERE t.project_id = :project AND c.project_id = :project
           AND t.ends_at > :now AND t.ends_at <= :by AND t.frozen = 0
           AND t.state IN ('valid', 'expired') AND (t.told IS NULL OR t.told <> 'expiring')
           AND (c.state = 'needs_admin' OR c.state IN ('connected', 'needs_reauth')
                AND (c.keep_alive = 0 OR COALESCE(c.resolved_at, c.created_at) <= :oldest))
         ORDER BY t.ends_at LIMIT :limit
    """
    oldest = tx.now - KEEP_ALIVE_LIMIT
    found = tx.all(sql, project=project, now=tx.now, by=by, oldest=oldest, limit=limit)
    held = [locked(tx, token) for token in _SHAPE.each(found)]
    return [token for token in held if token.told != "expiring"]


def told(tx: Transaction, token: TokenSet, reason: str) -> None:
    """Somebody was told that reason: not again, until it is over."""
    sql = "UPDATE tokens SET told = :reason WHERE project_id = :project AND id = :id"
    tx.run(sql, project=token.project, id=token.id, reason=reason)


def drop(tx: Transaction, token: TokenSet, event: Event, reason: str | None = None) -> None:
    """Erase what a set holds and have the provider revoke it (K12, K13).

    The sealed refresh token moves into the revoke job. It stays sealed for the id this set had;
    the set takes a new one, so from now on only that job opens it.
    """
    if token.state is State.REVOKED:
        return
    if token.refresh is not None:
        revoke_later(tx, token.project, token.connector, token.origin, token.id, token.refresh)
    revoked = after(token, event, now=tx.now, reason=reason)
    save(tx, replace(revoked, id=ids.new("tks")), due_at=None)


def revoke_later(
    tx: Transaction, project: str, connector_id: str, origin: str | None, id: str, sealed: bytes
) -> None:
    """Queue the revocation of a token sealed as `refresh_token` of set `id`, for a day (K12)."""
    jobs.add(
        tx,
        "revoke",
        project,
        secret=sealed,
        connector=connector_id,
        origin=origin,
        token_set=id,
        until=tx.now + DAY,
    )


def drop_all(tx: Transaction, project: str, user_id: str, reason: str) -> int:
    """K13: the person was suspended or deleted; how many sets they held.

    State revoked, secrets erased at once, a revoke job for each at the provider.
    """
    return _dropped(tx, project, "user_id", user_id, Event.DEPROVISIONED, reason)


def drop_connector(tx: Transaction, project: str, connector_id: str, reason: str) -> int:
    """C9, C11: the connector is gone or goes elsewhere, with everybody's tokens; how many."""
    return _dropped(tx, project, "connector_id", connector_id, Event.DISCONNECTED, reason)


def _dropped(tx: Transaction, project: str, whose: str, id: str, event: Event, reason: str) -> int:
    sql = f"""
        SELECT * FROM tokens
         WHERE project_id = :project AND {whose} = :id AND state <> 'revoked' ORDER BY id
    """
    rows = tx.all(sql + tx.for_update, project=project, id=id)
    for token in _SHAPE.each(rows):
        drop(tx, token, event, reason)
    return len(rows)


_SHAPE = Shape(
    TokenSet,
    named={"access": "access_token", "refresh": "refresh_token"},
    forms={"user": OR_EMPTY},
    fixed=("connector", "user", "created_at"),
)
