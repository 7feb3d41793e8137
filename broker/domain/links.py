"""Links: our asking one person for one consent (K1 to K3); a link authorizes nothing by itself."""

from dataclasses import dataclass, replace
from enum import StrEnum

from broker.domain.clock import DAY, MINUTE
from broker.domain.errors import Conflict

LIFETIME = DAY
STATE_LIFETIME = 10 * MINUTE  # from the redirect to the callback


class Purpose(StrEnum):
    """What the person is asked for."""

    CONNECT = "connect"  # their own account
    WIZARD = "wizard"  # the connector user, by an administrator
    ACTION = "action"  # to prove who they are, for AuthenticateUser


class State(StrEnum):
    """Where a link stands; the last three are its ends."""

    OPEN = "open"
    CLAIMED = "claimed"
    DONE = "done"
    FAILED = "failed"
    VOID = "void"  # every link of a person or connector, in one statement (safety 8, 14)


class Event(StrEnum):
    """What can happen to a link."""

    FOLLOWED = "followed"
    CLAIMED = "claimed"
    COMPLETED = "completed"
    REFUSED = "refused"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Link:
    """One request to one person.

    `connector` is None where it completes an action (`coupon`), `user` None for the wizard's.
    The hashes are keyed; `verifier` is sealed. State, browser and person must all match before a
    code is redeemed (safety 14). `scopes` are what to ask for (K15); `reason` says why it failed
    (K3). With `other_account` an administrator agreed that the connector user may be another
    account than before.
    """

    id: str
    project: str
    connector: str | None
    user: str | None
    purpose: Purpose
    state: State
    made_by: str
    created_at: int
    expires_at: int
    scopes: tuple[str, ...] = ()
    return_url: str | None = None
    other_account: bool = False
    coupon: int | None = None
    state_hash: str | None = None
    browser_hash: str | None = None
    session_hash: str | None = None
    verifier: bytes | None = None
    claimed_at: int | None = None
    reason: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether it may still be followed or come back: the overlay "pending" (K1)."""
        return self.state in (State.OPEN, State.CLAIMED)


NEXT = {
    (State.OPEN, Event.FOLLOWED): State.OPEN,  # K1: as often as the person likes
    (State.OPEN, Event.CLAIMED): State.CLAIMED,  # K2: once
    (State.CLAIMED, Event.COMPLETED): State.DONE,  # K2
    (State.OPEN, Event.REFUSED): State.FAILED,  # K3: denied before a code came
    (State.CLAIMED, Event.REFUSED): State.FAILED,  # K3: wrong account, or the code was refused
    (State.OPEN, Event.EXPIRED): State.FAILED,  # K3
    (State.CLAIMED, Event.EXPIRED): State.FAILED,  # K3: whoever claimed it is gone
}


def after(link: Link, event: Event, *, now: int, reason: str | None = None) -> Link:
    """This link once `event` has happened; Conflict where the table has no row.

    A link past its end is neither followed nor claimed. `reason` is why it failed.
    """
    state = NEXT.get((link.state, event))
    late = now >= link.expires_at and event in (Event.FOLLOWED, Event.CLAIMED)
    if state is None or late:
        word = "expired" if late else link.state
        raise Conflict(f"A link that is {word} cannot be {event}", reason=f"link-{word}")
    claimed_at = now if event is Event.CLAIMED else link.claimed_at
    return replace(link, state=state, claimed_at=claimed_at, reason=reason)
