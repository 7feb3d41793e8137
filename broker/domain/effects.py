"""What a change of one person asks of others, in the same transaction."""

from dataclasses import dataclass, replace
from enum import StrEnum

from broker.domain.licenses import Licenses
from broker.domain.users import Status, User


class Effect(StrEnum):
    """What the change asks of others, in the same transaction (safety 8)."""

    INVITE = "invite"  # one letter for this user and epoch
    VOID_INVITATION = "void invitation"
    QUEUE = "queue"  # one more waits; the next comer gets the next number
    LEAVE_QUEUE = "leave queue"
    TAKE_LICENSE = "take license"
    FREE_LICENSE = "free license"
    WITHHOLD = "withhold license"  # nobody's until a held change is decided (R5)
    HAND_BACK = "hand back license"  # the withheld one
    PROMOTE = "promote"  # U6, once the license is free
    DROP_TOKENS = "drop tokens"
    CANCEL_PAUSES = "cancel pauses"
    END_SESSIONS = "end sessions"  # sessions, links, connect sessions, pending actions
    ERASE = "erase"  # logons, flags, group and role memberships (safety 7)


@dataclass(frozen=True, slots=True)
class After:
    """The row that answered, the person as changed, and what others have to do for it.

    `bypassed` counts those who wait longer and were passed by an administrator (U7).
    """

    row: str
    user: User
    effects: frozenset[Effect]
    bypassed: int = 0


def between(before: User, user: User) -> frozenset[Effect]:
    """What the difference between two moments of one person asks of others (safety 7, 8)."""
    moved = user.status is not before.status
    again = user.invite_epoch > before.invite_epoch
    erased = moved and user.status is Status.DELETED
    ended = erased or (user.is_gone and not before.is_gone)
    freed = before.is_held and not user.is_held
    handed_back = before.is_withheld and not user.is_withheld
    asked = {
        Effect.INVITE: again,
        Effect.VOID_INVITATION: before.status is Status.INVITED and (moved or again),
        Effect.QUEUE: user.queue_seq is not None and before.queue_seq is None,
        Effect.LEAVE_QUEUE: user.queue_seq is None and before.queue_seq is not None,
        Effect.TAKE_LICENSE: user.is_held and not before.is_held,
        Effect.FREE_LICENSE: freed,
        Effect.WITHHOLD: user.is_withheld and not before.is_withheld,
        Effect.HAND_BACK: handed_back,
        Effect.PROMOTE: (freed or handed_back) and not user.is_withheld,
        Effect.DROP_TOKENS: ended,
        Effect.CANCEL_PAUSES: ended,
        Effect.END_SESSIONS: ended,
        Effect.ERASE: erased,
    }
    return frozenset(effect for effect, applies in asked.items() if applies)


def counted(licenses: Licenses, asked: frozenset[Effect]) -> Licenses:
    """The project's licenses once a change with these effects is written."""
    return replace(
        licenses,
        held=licenses.held + (Effect.TAKE_LICENSE in asked) - (Effect.FREE_LICENSE in asked),
        withheld=licenses.withheld + (Effect.WITHHOLD in asked) - (Effect.HAND_BACK in asked),
        queued=licenses.queued + (Effect.QUEUE in asked) - (Effect.LEAVE_QUEUE in asked),
        queue_last=licenses.queue_last + (Effect.QUEUE in asked),
    )
