"""What happens to a token set: one table (rows K1 to K13, K15, K16), leases, and the 401 rule."""

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum

from broker.domain.clock import HOUR, MINUTE, SECOND
from broker.domain.errors import Conflict
from broker.domain.tokens import HOLDING, Grant, State, TokenSet

LEASE_WAIT = 12 * SECOND  # K5
LONGEST_BACKOFF = 300 * SECOND  # K9
REJECTION_WINDOW = 10 * MINUTE  # K11
UNCLASSIFIED_LIMIT = 5
UNCLASSIFIED_WINDOW = 24 * HOUR


class Event(StrEnum):
    """What can happen to a token set."""

    LINK_ISSUED = "link issued"
    CONNECTED = "connected"
    NOT_CONNECTED = "not connected"  # denied, expired, wrong person, wrong account
    REFRESHED = "refreshed"
    LEASE_LOST = "lease lost"
    GRANT_DEAD = "grant dead"
    PERSON_NEEDED = "person needed"
    MISCONFIGURED = "client misconfigured"
    TRY_LATER = "try later"
    UNCLASSIFIED = "unclassified"
    REJECTED = "rejected"
    REJECTED_AGAIN = "rejected again"
    DISCONNECTED = "disconnected"
    DEPROVISIONED = "deprovisioned"
    SCOPES_MISSING = "scopes missing"
    UNREADABLE = "unreadable"
    READABLE = "readable"


class Verdict(StrEnum):
    """What a caller's report of a 401 comes to (K11)."""

    IGNORE = "ignore"
    EXPIRE = "expire"
    ASK_PROVIDER = "ask provider"


def leased(token: TokenSet, *, journal: str | None, until: int, now: int) -> TokenSet:
    """Leased to the caller until then, with the next fence; Conflict while another holds it (K5).

    `journal` is the keyed hash of the refresh token about to be sent, kept before the provider is
    called, so that a dead process leaves a trace; None where none is sent and none can be lost.
    """
    if token.is_leased(now):
        raise Conflict("Another replica is refreshing this token", reason="token-leased")
    return replace(token, fence=token.fence + 1, lease_until=until, journal=journal)


def why_dead(before_lease: TokenSet) -> str:
    """The reason of a dead grant (K6): an earlier attempt without an answer lost the rotation."""
    return "grant_dead" if before_lease.journal is None else "lost_rotation"


def verdict(token: TokenSet, *, version: int, now: int) -> Verdict:
    """What a report "401 for this version" comes to: one a version counts (K11, safety 25).

    So does the program's own word that it is good. One of ours is minted again however often it is
    refused.
    """
    if version in (0, token.vouched) or version != token.version or not token.is_usable(now):
        return Verdict.IGNORE
    is_second = token.rejected_at is not None and now - token.rejected_at <= REJECTION_WINDOW
    return Verdict.ASK_PROVIDER if is_second and not token.minted else Verdict.EXPIRE


def backoff(failures: int, *, jitter: float) -> int:
    """Microseconds until the next try: 1, 2, 4 … 300 s, a quarter more or less (K9).

    `jitter` is a random number from 0 to 1; `failures` those before this one.
    """
    base = min(LONGEST_BACKOFF, SECOND << min(failures, 9))
    return int(base * (0.75 + jitter / 2))


def _rows(event: Event, to: State | None, *states: State) -> dict[tuple[State, Event], State]:
    """Rows of one event out of these states; `to` None leaves each as it is."""
    return {(state, event): to or state for state in states}


KEPT = tuple(state for state in State if state is not State.ABSENT)
NEXT: Mapping[tuple[State, Event], State] = {
    **_rows(Event.LINK_ISSUED, None, *State),  # K1: pending is the open link, not a state
    **_rows(Event.CONNECTED, State.VALID, *State),  # K2
    **_rows(Event.NOT_CONNECTED, None, *State),  # K3
    **_rows(Event.REFRESHED, State.VALID, *HOLDING),  # K4
    **_rows(Event.LEASE_LOST, None, *HOLDING),  # K5
    **_rows(Event.GRANT_DEAD, State.NEEDS_REAUTH, *HOLDING, State.NEEDS_REAUTH),  # K6
    **_rows(Event.PERSON_NEEDED, State.NEEDS_REAUTH, *HOLDING, State.NEEDS_REAUTH),  # K7
    **_rows(Event.MISCONFIGURED, None, *HOLDING),  # K8: the connector needs an administrator
    **_rows(Event.TRY_LATER, None, *HOLDING),  # K9, K10
    **_rows(Event.UNCLASSIFIED, None, *HOLDING),  # counted; the fifth after a day is K6
    **_rows(Event.REJECTED, State.EXPIRED, State.VALID, State.EXPIRING),  # K11
    **_rows(Event.REJECTED_AGAIN, State.NEEDS_REAUTH, *HOLDING),  # K11
    **_rows(Event.DISCONNECTED, State.REVOKED, *KEPT),  # K12
    **_rows(Event.DEPROVISIONED, State.REVOKED, *KEPT),  # K13
    **_rows(Event.SCOPES_MISSING, None, *HOLDING),  # K15
    **_rows(Event.UNREADABLE, State.UNREADABLE, *HOLDING),  # K16
    (State.UNREADABLE, Event.READABLE): State.VALID,  # K16: the key is back; refused: EXPIRED
}

REASONS = {
    Event.GRANT_DEAD: "grant_dead",
    Event.PERSON_NEEDED: "interaction",
    Event.REJECTED_AGAIN: "rejected_by_resource",
    Event.DISCONNECTED: "user",
    Event.DEPROVISIONED: "deprovision",
    Event.UNREADABLE: "unreadable",
}


def after(
    token: TokenSet,
    event: Event,
    *,
    now: int,
    reason: str | None = None,
    grant: Grant | None = None,
    retry_at: int | None = None,
    answered: bool = True,
    scopes: tuple[str, ...] = (),
    claims: str | None = None,
) -> TokenSet:
    """This token set once `event` has happened; Conflict where the table has no row.

    Connecting and refreshing bring a `grant`. `reason` goes before the table's own, such as `admin`
    for a disconnection; where there is neither, the reason stays. A failure says when to retry, and
    one that brought no answer (`answered` False) leaves the journal as it is. `scopes` are the
    missing ones (K15), `claims` what the provider wants of the person (K7).
    """
    standing = token.standing(now)
    if (state := NEXT.get((standing, event))) is None:
        raise Conflict(f"{event}: not of a token that is {standing}", reason=f"token-{standing}")
    if (event in (Event.CONNECTED, Event.REFRESHED)) is (grant is None):
        raise ValueError("connecting and refreshing bring a grant, and nothing else does")
    if grant is not None:
        return _holding(token, event, grant, now)
    changed = replace(
        token,
        state=token.state if state is standing else state,
        reason=reason or REASONS.get(event, token.reason),
        changed_at=now,
    )
    if event in (Event.TRY_LATER, Event.UNCLASSIFIED):
        failed = _failed(changed, retry_at, answered=answered)
        return failed if event is Event.TRY_LATER else _counted(failed, now)
    return _marked(changed, event, now=now, scopes=scopes, claims=claims)


def _marked(
    token: TokenSet, event: Event, *, now: int, scopes: tuple[str, ...], claims: str | None
) -> TokenSet:
    """What else an event changes that brings neither a grant nor another try."""
    match event:
        case Event.GRANT_DEAD | Event.MISCONFIGURED:
            return _answered(token)
        case Event.PERSON_NEEDED:
            return replace(_answered(token), claims=claims)
        case Event.REJECTED:
            return replace(token, rejected_at=now)
        case Event.DISCONNECTED | Event.DEPROVISIONED:
            return _erased(token)
        case Event.SCOPES_MISSING:
            return replace(token, missing_scopes=scopes)
        case Event.READABLE:
            state = State.EXPIRED if _is_refused(token) else State.VALID
            return replace(token, state=state, reason=None)
        case _:
            return token


def _is_refused(token: TokenSet) -> bool:
    """Whether a caller's 401 came for the token that is held, and not for one before it (K11)."""
    obtained_at = token.obtained_at or token.created_at
    return token.rejected_at is not None and token.rejected_at >= obtained_at


def _holding(token: TokenSet, event: Event, grant: Grant, now: int) -> TokenSet:
    """With what the provider gave, counted as the next version; old troubles are over."""
    refresh, grant_hash = _renewing(token, event, grant)
    return replace(
        _answered(token),
        state=State.VALID,
        reason=None,
        changed_at=now,
        version=token.version + 1,
        access=grant.access,
        refresh=refresh,
        grant_hash=grant_hash,
        frozen=token.frozen and event is Event.REFRESHED and not grant.minted,
        obtained_at=now,
        expires_at=grant.expires_at,
        scopes=grant.scopes or token.scopes,
        missing_scopes=(),
        origin=grant.origin or token.origin,
        base_url=grant.base_url or token.base_url,
        account=token.account or grant.account,
        account_display=grant.account_display or token.account_display,
        token_type=grant.token_type,
        ends_at=grant.ends_at,
        minted=grant.minted,
        claims=None,
        failures=0,
        retry_at=None,
        unclassified=0,
        unclassified_since=None,
    )


def _renewing(token: TokenSet, event: Event, grant: Grant) -> tuple[bytes | None, str | None]:
    """The refresh token from now on, and its hash while it is the one that somebody brought.

    A sign-in without one keeps the old one only where it is known to be of the same account.
    """
    if grant.minted:
        return None, None
    is_refreshed = event is Event.REFRESHED
    if grant.refresh is not None:
        is_brought = not is_refreshed or grant.grant_hash == token.grant_hash
        return grant.refresh, grant.grant_hash if is_brought else None
    if is_refreshed or (grant.account is not None and grant.account == token.account):
        return token.refresh, token.grant_hash
    return None, None


def _answered(token: TokenSet) -> TokenSet:
    return replace(token, lease_until=None, journal=None)


def _failed(token: TokenSet, retry_at: int | None, *, answered: bool) -> TokenSet:
    journal = None if answered else token.journal
    failures = token.failures + 1
    return replace(token, lease_until=None, journal=journal, failures=failures, retry_at=retry_at)


def _counted(token: TokenSet, now: int) -> TokenSet:
    """An answer nobody can classify: a day of them, five at least, and the person is asked."""
    since = token.unclassified_since or now
    count = token.unclassified + 1
    counted = replace(token, unclassified=count, unclassified_since=since)
    if count < UNCLASSIFIED_LIMIT or now - since < UNCLASSIFIED_WINDOW:
        return counted
    return replace(counted, state=State.NEEDS_REAUTH, reason="unclassified")


def _erased(token: TokenSet) -> TokenSet:
    """Without its secrets, and with a new version, so that no late result is written (K12)."""
    return replace(
        token,
        access=None,
        refresh=None,
        grant_hash=None,
        frozen=False,
        expires_at=None,
        version=token.version + 1,
        lease_until=None,
        journal=None,
        ends_at=None,
        told=None,
    )
