"""Token sets: what one person holds at one connector, and whether it is usable, due or dead."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from broker.domain.clock import DAY, MINUTE, SECOND

SKEW = 60 * SECOND  # clocks differ, and a step needs a moment to use what it is handed
WIDEST_MARGIN = 15 * MINUTE
LONGEST_LIFETIME = 365 * DAY  # an expires_in beyond a year is a mistake, not a promise


class State(StrEnum):
    """What is kept; EXPIRING never is, for only the clock says it, of a valid one.

    ABSENT is no row. EXPIRED is kept where a caller's 401 said so (K11); time says it too.
    """

    ABSENT = "absent"
    VALID = "valid"
    EXPIRING = "expiring"
    EXPIRED = "expired"
    NEEDS_REAUTH = "needs_reauth"
    REVOKED = "revoked"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Grant:
    """What a provider gave; the tokens are sealed, opaque bytes.

    `refresh` None keeps the refresh token there is, `account` None the account (K4).
    `expires_at` counts from our clock, never from the provider's; `ends_at` is when the grant
    itself ends unless it is refreshed before, None where nobody says. A `minted` one has no
    refresh token, and takes the place of one that had. `grant_hash` is the keyed hash of `refresh`.
    """

    access: bytes
    refresh: bytes | None
    expires_at: int
    scopes: tuple[str, ...] = ()
    origin: str | None = None
    base_url: str | None = None
    account: str | None = None
    account_display: str = ""
    token_type: str = "Bearer"
    ends_at: int | None = None
    minted: bool = False
    grant_hash: str | None = None


@dataclass(frozen=True, slots=True)
class TokenSet:
    """What one person, or the connector user (`user` None), holds at one connector.

    `access` and `refresh` are sealed for `origin` (safety 18). `account` is the provider's
    immutable account: the first one is pinned. `fence` numbers the leases, `version` the tokens.
    `journal` is the keyed hash of the refresh token in flight, written before the provider is
    called and cleared by its answer. `claims` goes into the next link (K7). A `frozen` one is
    still refreshed elsewhere (import). A `minted` one has no refresh token and needs none: nobody
    signs in for it. `asked` is the version a step was last given: the background refreshes that
    one ahead of its end. `ends_at` is when the grant lapses unless it is refreshed, `told` the last
    reason somebody was told of, `throttled` how often the provider said 429 (R49). `vouched` is
    the version the program itself called good after a report (K11). `grant_hash` is the keyed hash
    of the refresh token somebody brought, until it is rotated: one person's at a connector.
    """

    id: str
    project: str
    connector: str
    user: str | None
    state: State
    created_at: int
    changed_at: int
    version: int = 0
    reason: str | None = None
    access: bytes | None = None
    refresh: bytes | None = None
    obtained_at: int | None = None
    expires_at: int | None = None
    scopes: tuple[str, ...] = ()
    missing_scopes: tuple[str, ...] = ()
    origin: str | None = None
    base_url: str | None = None
    account: str | None = None
    account_display: str = ""
    claims: str | None = None
    frozen: bool = False
    fence: int = 0
    lease_until: int | None = None
    journal: str | None = None
    failures: int = 0
    retry_at: int | None = None
    unclassified: int = 0
    unclassified_since: int | None = None
    rejected_at: int | None = None
    minted: bool = False
    token_type: str = "Bearer"
    asked: int = 0
    ends_at: int | None = None
    told: str | None = None
    throttled: int = 0
    vouched: int = 0
    grant_hash: str | None = None

    @property
    def is_renewable(self) -> bool:
        """Whether an access token can be had without the person."""
        return self.minted or self.refresh is not None

    def standing(self, now: int) -> State:
        """The state at this moment: a valid one may be expiring or expired by the clock."""
        if self.state is not State.VALID or self.expires_at is None:
            return self.state
        lifetime = self.expires_at - self._since
        remaining = self.expires_at - now
        if remaining <= min(SKEW, margin(lifetime)):
            return State.EXPIRED
        return State.VALID if remaining > margin(lifetime) else State.EXPIRING

    def ahead_at(self, jitter: float) -> int | None:
        """When to refresh it so that nobody waits: inside its margin, while it still serves.

        `jitter`, from 0 to 1, spreads those that came at one time over half of that stretch.
        """
        if self.expires_at is None:
            return None
        wide = margin(self.expires_at - self._since)
        return self.expires_at - wide + int((wide - min(SKEW, wide)) * jitter / 2)

    def idle_at(self, keep_alive: int, jitter: float) -> int:
        """When to refresh it though nobody asks: well before the program gives the grant up.

        Up to a tenth earlier by `jitter`, from 0 to 1, and within three quarters of the grant's
        life where the program told it.
        """
        life = None if self.ends_at is None else (self.ends_at - self._since) * 3 // 4
        wait = keep_alive if life is None else min(keep_alive, life)
        return self._since + int(wait * (1 - jitter / 10))

    @property
    def _since(self) -> int:
        return self.obtained_at or self.created_at

    def is_usable(self, now: int) -> bool:
        """Whether its access token may be handed out; one that is expiring may."""
        return self.standing(now) in (State.VALID, State.EXPIRING)

    def is_due(self, now: int) -> bool:
        """Whether to refresh it now, if nobody else is at it."""
        return (
            self.standing(now) in (State.EXPIRING, State.EXPIRED)
            and self.is_renewable
            and not self.frozen
            and (self.retry_at is None or now >= self.retry_at)
        )

    def is_dead(self, now: int) -> bool:
        """Whether only a person, or the missing key, can make it usable again.

        A frozen one that is over is renewed elsewhere, and nobody here ever sees what came of it.
        """
        standing = self.standing(now)
        is_renewed = self.is_renewable and not self.frozen
        return standing in DEAD or (standing is State.EXPIRED and not is_renewed)

    def is_leased(self, now: int) -> bool:
        """Whether somebody else is refreshing it (K5)."""
        return self.lease_until is not None and now < self.lease_until

    def accepts(self, *, fence: int, version: int) -> bool:
        """Whether a result may be written: newest lease, and no other token since (K4)."""
        return self.fence == fence and self.version == version

    def lacking(self, wanted: Iterable[str]) -> tuple[str, ...]:
        """The scopes that were asked for and not granted (K15)."""
        return tuple(scope for scope in wanted if scope not in self.scopes)

    def is_right_account(self, account: str) -> bool:
        """Whether this provider account is the pinned one, or the first (K2, K3)."""
        return self.account in (None, account)


HOLDING = (State.VALID, State.EXPIRING, State.EXPIRED)
DEAD = (State.ABSENT, State.NEEDS_REAUTH, State.REVOKED, State.UNREADABLE)


def margin(lifetime: int) -> int:
    """How long before its end a token is refreshed: a fifth of its life, at most 15 minutes."""
    return min(WIDEST_MARGIN, lifetime // 5)


def lifetime(expires_in_s: int | None, *, assumed: int) -> int:
    """Microseconds a token lives: what the provider said in seconds, where that makes sense.

    Absent, zero or negative: `assumed`, the definition's guess (Salesforce never says). Beyond a
    year: a year.
    """
    if expires_in_s is None or expires_in_s <= 0:
        return assumed
    return min(expires_in_s * SECOND, LONGEST_LIFETIME)
