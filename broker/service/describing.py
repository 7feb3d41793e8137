"""What a mapping made of a person, kept: profile, label and logons, where they differ."""

from dataclasses import dataclass

from broker.db.database import Transaction
from broker.domain import user_states
from broker.domain.changes import differences
from broker.domain.mapping import LOGONS, Mapped, Warning
from broker.domain.runs import Change
from broker.domain.users import Event, User
from broker.service import consequences
from broker.store import licenses, logons, resources, users
from scim.fold import fold


@dataclass(frozen=True, slots=True)
class Described:
    """What became of it, for the record: each change by target, and what could not be."""

    changes: tuple[Change, ...] = ()
    warnings: tuple[Warning, ...] = ()


def described(tx: Transaction, user: User, mapped: Mapped, external_id: str | None) -> Described:
    """Keep what a mapping made of a person who is here; status and license stay (D1).

    Duplicate where another person has the userName.
    """
    profile = mapped.profile
    if profile != user.profile or external_id != user.external_id:
        users.describe(tx, user.project, user.id, profile, external_id)
    if fold(profile.email) != fold(user.profile.email):
        _reinvited(tx, user)
    if profile.label != user.profile.label:
        resources.call(tx, user.project, user.id, profile.label)
    given = given_logons(tx, user.project, user.id, mapped)
    told = differences(user.profile.by_target, profile.by_target)
    return Described((*told, *given.changes), given.warnings)


def _reinvited(tx: Transaction, was: User) -> None:
    """Whoever has not accepted yet is invited at their new address, and the link that went to the
    old one is dead (semantics c.1, edge cases).
    """
    licenses.lock(tx, was.project)  # before any person, as everywhere
    user = users.lock(tx, was.project, was.id)
    if user.awaits_acceptance and user.invite_epoch == was.invite_epoch:
        after = user_states.after(user, Event.INVITED_AGAIN, now=tx.now)
        users.change(tx, after.user)
        consequences.carry_out(tx, after.user, after.effects)


def given_logons(tx: Transaction, project: str, id: str, mapped: Mapped) -> Described:
    """Give a person the logons their mapping writes; a warning where somebody else has one.

    What the mapping makes empty is taken away; a suffix it does not write is left alone (safety 9).
    """
    if not mapped.logons:
        return Described()
    held = logons.of_user(tx, project, id)
    warnings: list[Warning] = []
    for suffix, value in mapped.logons.items():
        if not value:
            logons.drop(tx, project, id, suffix)
        elif held.get(suffix) != value and not logons.put(tx, project, id, suffix, value):
            text = f"Somebody else has this logon of {suffix}."
            warnings.append(Warning(LOGONS + suffix, text, "logon-taken"))
    now = logons.of_user(tx, project, id)
    changes = differences(*({LOGONS + name: each[name] for name in each} for each in (held, now)))
    return Described(changes, tuple(warnings))
