"""Letters on their way to people: written with their cause, sent later, each once."""

from collections.abc import Iterable
from dataclasses import replace

import orjson

from broker.db.database import Transaction
from broker.domain import ids
from broker.domain.clock import DAY, MINUTE
from broker.domain.letters import A_DAY, Letter, State
from broker.domain.users import User
from broker.store.shapes import Shape
from scim.fold import fold

LEASE = 5 * MINUTE


def add(
    tx: Transaction, project: str, user_id: str, template: str, *, once: str, **data: object
) -> None:
    """Write a letter to the person, unless one of that name was written before."""
    sql = """
        INSERT INTO letters (id, project_id, user_id, template, once, state, data, created_at,
                             due_at)
        VALUES (:id, :project, :user, :template, :once, 'waiting', :data, :now, :now)
        ON CONFLICT DO NOTHING
    """
    tx.run(
        sql,
        id=ids.new("ltr"),
        project=project,
        user=user_id,
        template=template,
        once=once,
        data=orjson.dumps(data).decode(),
        now=tx.now,
    )


def invite(tx: Transaction, user: User) -> None:
    """The letter of the person's invitation: one an epoch, however often asked (U1)."""
    once, epoch = _invitation(user), user.invite_epoch
    add(tx, user.project, user.id, "invitation", once=once, epoch=epoch)


def failure(tx: Transaction, user: User) -> str | None:
    """Why the letter of this epoch could not be delivered; None where it is not so."""
    sql = """
        SELECT error FROM letters
         WHERE project_id = :project AND once = :once AND state = 'failed'
    """
    row = tx.find(sql, project=user.project, once=_invitation(user))
    return row["error"] if row else None


def is_due(tx: Transaction) -> bool:
    """Whether a claim would find something, in any project."""
    return tx.find(f"{_DUE} LIMIT 1", now=tx.now) is not None


def claim(tx: Transaction, limit: int) -> list[Letter]:
    """Those that are due the longest, of any project, leased to one worker."""
    rows = tx.all(
        f"{_DUE} ORDER BY due_at, id LIMIT :limit" + tx.skip_locked, now=tx.now, limit=limit
    )
    sql = "UPDATE letters SET lease_until = :until WHERE id = :id RETURNING *"
    until = tx.now + LEASE
    return [_SHAPE.read(row) for each in rows if (row := tx.find(sql, id=each["id"], until=until))]


def address(tx: Transaction, letter: Letter, to: str) -> tuple[Letter | None, int | None]:
    """Address a claimed letter: as it is held from now on, None where another has it; and from
    when on it may go, where three went there within a day (safety 13).

    Whoever addresses a letter holds the project's row, so that two workers count each other's.
    """
    lock = "SELECT id FROM projects WHERE id = :project"
    tx.find(lock + tx.for_update, project=letter.project)
    sql = """
        UPDATE letters SET address = :address, lease_until = :until
         WHERE project_id = :project AND id = :id AND lease_until = :lease RETURNING id
    """
    held = replace(letter, lease_until=tx.now + LEASE)
    named = {"project": letter.project, "id": letter.id, "address": fold(to)}
    if tx.find(sql, **named, lease=letter.lease_until, until=held.lease_until) is None:
        return None, None
    sql = """
        SELECT COALESCE(sent_at, :now) AS at FROM letters
         WHERE project_id = :project AND address = :address AND id <> :id
           AND (sent_at > :since OR (state = 'waiting' AND lease_until > :now))
         ORDER BY 1 DESC LIMIT :most
    """
    recent = tx.all(sql, **named, now=tx.now, since=tx.now - DAY, most=A_DAY)
    return held, recent[-1]["at"] + DAY if len(recent) == A_DAY else None


def end(tx: Transaction, letter: Letter, state: State, error: str | None = None) -> None:
    """It was sent, failed for good, or nobody wants it any more."""
    sql = """
        UPDATE letters SET state = :state, error = :error, sent_at = :sent, lease_until = NULL
         WHERE project_id = :project AND id = :id AND lease_until = :lease
    """
    sent = tx.now if state is State.SENT else None
    tx.run(sql, **_held(letter), state=state, error=error, sent=sent)


def put_off(
    tx: Transaction, letter: Letter, due: int, error: str | None, *, tries: int = 0
) -> None:
    """It waits until `due`, with the reason; `tries` more have failed."""
    sql = """
        UPDATE letters SET due_at = :due, error = :error, attempt = attempt + :tries,
               lease_until = NULL
         WHERE project_id = :project AND id = :id AND lease_until = :lease
    """
    tx.run(sql, **_held(letter), due=due, error=error, tries=tries)


def give_back(tx: Transaction, claimed: Iterable[Letter], error: str | None) -> None:
    """Whatever of these is still held waits again, at once: no letter was to blame."""
    for letter in claimed:
        put_off(tx, letter, tx.now, error)


def void_invitations(tx: Transaction, project: str, user_id: str) -> None:
    """The person's invitations ended, so their letters are never sent."""
    sql = """
        UPDATE letters SET state = 'void', lease_until = NULL
         WHERE project_id = :project AND user_id = :user AND template = 'invitation'
           AND state = 'waiting'
    """
    tx.run(sql, project=project, user=user_id)


def _invitation(user: User) -> str:
    return f"invitation:{user.id}:{user.invite_epoch}"


def _held(letter: Letter) -> dict[str, object]:
    return {"project": letter.project, "id": letter.id, "lease": letter.lease_until}


_DUE = """
    SELECT id FROM letters
     WHERE state = 'waiting' AND due_at <= :now AND (lease_until IS NULL OR lease_until < :now)
"""
_SHAPE = Shape(Letter)
