"""What a change of a person asks of everything that hangs on them, in its transaction."""

from broker.db.database import Transaction
from broker.domain.effects import After, Effect
from broker.domain.licenses import Licenses, Promotion
from broker.domain.users import Status, User
from broker.store import (
    actions,
    audit,
    callers,
    events,
    identities,
    invitations,
    letters,
    licenses,
    links,
    logons,
    pauses,
    tokens,
)

PROMOTED_BY = "broker"
HAPPENED = {
    Status.INVITED: "user.invited",
    Status.QUEUED: "user.queued",
    Status.ACTIVE: "user.activated",
    Status.SUSPENDED: "user.suspended",
    Status.DELETED: "user.deleted",
}
"""The event of coming into a status."""


def carry_out(tx: Transaction, user: User, asked: frozenset[Effect]) -> None:
    """End, write and erase what these effects ask for (safety 7, 8)."""
    if Effect.VOID_INVITATION in asked:
        came_in = user.status in (Status.ACTIVE, Status.QUEUED)
        end = invitations.accepted if came_in else invitations.void_all
        end(tx, user.project, user.id)
    if Effect.INVITE in asked:
        invitations.insert(tx, user)
    reason = f"user-{user.status}"
    if Effect.DROP_TOKENS in asked:
        tokens.drop_all(tx, user.project, user.id, reason)
    if Effect.CANCEL_PAUSES in asked:
        pauses.cancel_all(tx, user.project, user.id, reason)
    if Effect.END_SESSIONS in asked:
        callers.end_all(tx, user.project, user.id)
        links.void_all(tx, user.project, user.id)
        actions.end_all(tx, user.project, user.id)
    if Effect.ERASE in asked:
        logons.erase_all(tx, user.project, user.id)
        identities.erase_all(tx, user.project, user.id)


def announce(tx: Transaction, before: User | None, after: After, by: str) -> None:
    """The event of a change of status, with its row and cause; access that an identity provider
    ended is in the audit too. `before` None is a person who has just come to be.
    """
    user = after.user
    if before and (before.status, before.deleted_at) == (user.status, user.deleted_at):
        return
    happened = HAPPENED[user.status]
    cause = "queue" if by == PROMOTED_BY else by.partition(":")[0]
    events.append(tx, user.project, happened, user_id=user.id, row=after.row, cause=cause)
    if before and before.status is Status.QUEUED and user.is_active:
        once = f"active:{user.id}:{user.version}"
        letters.add(tx, user.project, user.id, "active", once=once)
    if before and user.is_gone and not user.is_barred:
        audit.append(tx, user.project, by, happened, user.id, row=after.row)


def count(tx: Transaction, before: Licenses, row: Licenses) -> Licenses:
    """Keep the licenses as they are after everything that followed from one cause.

    A share of WARNINGS is announced once on the way up (`licenses.nearly_used`), as is that
    somebody waits beside a free license (`licenses.free`), which promotion by hand allows.
    """
    row = row.announced
    if row != before:
        licenses.change(tx, row)
    numbers = {"capacity": row.capacity, "held": row.held, "queued": row.queued}
    if row.warned > before.warned:
        events.append(tx, row.project, "licenses.nearly_used", percent=row.warned, **numbers)
    by_hand = row.promotion is Promotion.MANUAL
    if by_hand and row.is_idle and not (before.is_idle and before.promotion is row.promotion):
        events.append(tx, row.project, "licenses.free", free=row.free, **numbers)
    if row.over_allocated > before.over_allocated:
        over = row.over_allocated
        events.append(tx, row.project, "licenses.over_allocated", over_allocated=over, **numbers)
    return row
