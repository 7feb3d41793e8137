"""Token sets, sealed: what a person, or the connector user, holds at one connector."""

from dataclasses import replace

from broker.db.database import Row, Transaction
from broker.domain import ids
from broker.domain.clock import DAY
from broker.domain.errors import NotFound
from broker.domain.token_states import Event, after
from broker.domain.tokens import State, TokenSet
from broker.store import jobs

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
    return _token_set(row) if row else None


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
    tx.run(
        """
        INSERT INTO tokens (id, project_id, connector_id, user_id, state, reason, access_token,
                            refresh_token, scopes, missing_scopes, origin, base_url, account,
                            account_display, claims, obtained_at, expires_at, version, fence,
                            lease_until, journal, failures, retry_at, unclassified,
                            unclassified_since, rejected_at, due_at, frozen, created_at,
                            changed_at)
        VALUES (:id, :project, :connector, :user, :state, :reason, :access,
                :refresh, :scopes, :missing_scopes, :origin, :base_url, :account,
                :account_display, :claims, :obtained_at, :expires_at, :version, :fence,
                :lease_until, :journal, :failures, :retry_at, :unclassified,
                :unclassified_since, :rejected_at, :due_at, :frozen, :created_at,
                :changed_at)
        ON CONFLICT (connector_id, user_id) DO UPDATE
           SET id = excluded.id, state = excluded.state, reason = excluded.reason,
               access_token = excluded.access_token, refresh_token = excluded.refresh_token,
               scopes = excluded.scopes, missing_scopes = excluded.missing_scopes,
               origin = excluded.origin, base_url = excluded.base_url,
               account = excluded.account, account_display = excluded.account_display,
               claims = excluded.claims, obtained_at = excluded.obtained_at,
               expires_at = excluded.expires_at, version = excluded.version,
               fence = excluded.fence, lease_until = excluded.lease_until,
               journal = excluded.journal, failures = excluded.failures,
               retry_at = excluded.retry_at, unclassified = excluded.unclassified,
               unclassified_since = excluded.unclassified_since,
               rejected_at = excluded.rejected_at, due_at = excluded.due_at,
               frozen = excluded.frozen, changed_at = excluded.changed_at
         WHERE tokens.project_id = excluded.project_id
        """,
        **_columns(token),
        due_at=due_at,
    )


def lease(tx: Transaction, token: TokenSet) -> None:
    """Keep the lease and the journal of a set that this unit holds, before anybody is called."""
    tx.run(
        """
        UPDATE tokens SET fence = :fence, lease_until = :lease_until, journal = :journal
         WHERE project_id = :project AND id = :id
        """,
        project=token.project,
        id=token.id,
        fence=token.fence,
        lease_until=token.lease_until,
        journal=token.journal,
    )


def holder(tx: Transaction, project: str, connector_id: str, account: str) -> str | None:
    """Whose a provider account is at this connector: a person's id, "" for the connector user."""
    row = tx.find(
        """
        SELECT user_id FROM tokens
         WHERE project_id = :project AND connector_id = :connector AND account = :account
           AND state <> 'revoked'
        """,
        project=project,
        connector=connector_id,
        account=account,
    )
    return str(row["user_id"]) if row else None


def of_connector(
    tx: Transaction, project: str, connector_id: str, *, after: str = "", limit: int = 50
) -> list[TokenSet]:
    """The people who authorized a connector, by person, those behind `after`."""
    rows = tx.all(
        """
        SELECT * FROM tokens
         WHERE project_id = :project AND connector_id = :connector AND user_id > :after
         ORDER BY user_id LIMIT :limit
        """,
        project=project,
        connector=connector_id,
        after=after,
        limit=limit,
    )
    return [_token_set(row) for row in rows]


def due(tx: Transaction, project: str, limit: int = 100) -> list[tuple[str, str]]:
    """(connector, person) of the sets the background refreshes now, the longest due first.

    Only of connectors that are in use: kept alive, and asked for within 180 days (T13).
    """
    rows = tx.all(
        """
        SELECT t.connector_id, t.user_id
          FROM tokens t JOIN connectors c ON c.id = t.connector_id
         WHERE t.project_id = :project AND c.project_id = :project AND t.due_at <= :now
           AND t.frozen = 0 AND (t.lease_until IS NULL OR t.lease_until <= :now)
           AND c.state IN ('connected', 'needs_reauth')
           AND c.keep_alive = 1 AND COALESCE(c.resolved_at, c.created_at) > :oldest
         ORDER BY t.due_at LIMIT :limit
        """,
        project=project,
        now=tx.now,
        oldest=tx.now - KEEP_ALIVE_LIMIT,
        limit=limit,
    )
    return [(row["connector_id"], row["user_id"]) for row in rows]


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
    rows = tx.all(
        f"""
        SELECT * FROM tokens
         WHERE project_id = :project AND {whose} = :id AND state <> 'revoked' ORDER BY id
        """
        + tx.for_update,
        project=project,
        id=id,
    )
    for row in rows:
        drop(tx, _token_set(row), event, reason)
    return len(rows)


def _columns(token: TokenSet) -> dict[str, object]:
    return {
        "id": token.id,
        "project": token.project,
        "connector": token.connector,
        "user": token.user or CONNECTOR_USER,
        "state": token.state,
        "reason": token.reason,
        "access": token.access,
        "refresh": token.refresh,
        "scopes": " ".join(token.scopes),
        "missing_scopes": " ".join(token.missing_scopes),
        "origin": token.origin,
        "base_url": token.base_url,
        "account": token.account,
        "account_display": token.account_display,
        "claims": token.claims,
        "obtained_at": token.obtained_at,
        "expires_at": token.expires_at,
        "version": token.version,
        "fence": token.fence,
        "lease_until": token.lease_until,
        "journal": token.journal,
        "failures": token.failures,
        "retry_at": token.retry_at,
        "unclassified": token.unclassified,
        "unclassified_since": token.unclassified_since,
        "rejected_at": token.rejected_at,
        "frozen": int(token.frozen),
        "created_at": token.created_at,
        "changed_at": token.changed_at,
    }


def _token_set(row: Row) -> TokenSet:
    return TokenSet(
        id=row["id"],
        project=row["project_id"],
        connector=row["connector_id"],
        user=row["user_id"] or None,
        state=State(row["state"]),
        created_at=row["created_at"],
        changed_at=row["changed_at"],
        version=row["version"],
        reason=row["reason"],
        access=row["access_token"],
        refresh=row["refresh_token"],
        obtained_at=row["obtained_at"],
        expires_at=row["expires_at"],
        scopes=tuple(row["scopes"].split()),
        missing_scopes=tuple(row["missing_scopes"].split()),
        origin=row["origin"],
        base_url=row["base_url"],
        account=row["account"],
        account_display=row["account_display"],
        claims=row["claims"],
        frozen=bool(row["frozen"]),
        fence=row["fence"],
        lease_until=row["lease_until"],
        journal=row["journal"],
        failures=row["failures"],
        retry_at=row["retry_at"],
        unclassified=row["unclassified"],
        unclassified_since=row["unclassified_since"],
        rejected_at=row["rejected_at"],
    )
