"""Every type of event there is: what it says has happened, and which members its data may have."""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import NamedTuple

from broker.domain.errors import Problem


class Kind(NamedTuple):
    """One type: what has happened, in the words of docs/events.md, and the members of `data`."""

    meaning: str
    members: tuple[str, ...]


def _kind(meaning: str, members: str) -> Kind:
    return Kind(meaning, tuple(members.split()))


_PAUSE = "pause connector user_id execution step reason version claim_after_s"
_LICENSES = "capacity held queued"
_STATUS = "user_id row cause"

KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "audit.head": _kind("How far the chain of the audit has come.", "count hash"),
        "authorization.connected": _kind(
            "A person has connected their account.", "connector user_id"
        ),
        "authorization.expiring": _kind(
            "A person's grant lapses soon unless it is used.", "connector user_id reason"
        ),
        "authorization.failing": _kind(
            "A person's grant is dead; they have to connect again.", "connector user_id reason"
        ),
        "authorization.recovered": _kind(
            "A grant that was failing or expiring is good again.", "connector user_id reason"
        ),
        "connector.account_changed": _kind(
            "The connector user is another account than before.", "connector"
        ),
        "connector.buttons": _kind(
            "A connector in use asks for buttons in its program.",
            "connector button_action button_object",
        ),
        "connector.connected": _kind(
            "A connector is finished and can be used.", "connector button_action button_object"
        ),
        "connector.deleted": _kind("A connector is gone, with its grants.", "connector"),
        "connector.disabled": _kind("An administrator has disabled a connector.", "connector"),
        "connector.enabled": _kind("A disabled connector is enabled again.", "connector"),
        "connector.expiring": _kind(
            "The connector user's grant lapses soon unless it is used.", "connector reason"
        ),
        "connector.failing": _kind(
            "A connector cannot be used until an administrator looks.", "connector state reason"
        ),
        "connector.recovered": _kind("A failing connector works again.", "connector reason"),
        "decision.warning": _kind(
            "A step ran as the connector user instead of a person: for the Flow Execution Panel.",
            "decision_id connector code severity text execution_id step_id",
        ),
        "directory.deleted": _kind(
            "A directory is gone; its people are detached.", "directory people"
        ),
        "directory.disabled": _kind("A directory takes nothing in.", "directory"),
        "directory.enabled": _kind("A disabled directory takes people in again.", "directory"),
        "licenses.free": _kind("Somebody waits beside a free license.", f"{_LICENSES} free"),
        "licenses.nearly_used": _kind(
            "A share of the licenses is taken: 80, 95, 100 percent.", f"{_LICENSES} percent"
        ),
        "licenses.over_allocated": _kind(
            "More people hold a license than there are.", f"{_LICENSES} over_allocated"
        ),
        "pause.waiting": _kind("A step waits for its person to sign in.", _PAUSE),
        "pause.ready": _kind("A waiting step can go on: claim it.", _PAUSE),
        "pause.claimed": _kind("A flow engine has taken a ready step.", _PAUSE),
        "pause.resumed": _kind("A claimed step ran.", _PAUSE),
        "pause.expired": _kind("A step waited as long as the project allows.", _PAUSE),
        "pause.cancelled": _kind(
            "The flow, the person or the connector of a waiting step is gone.", _PAUSE
        ),
        "pause.failed": _kind("A waiting step was ended, or five sign-ins did not help.", _PAUSE),
        "run.decided": _kind(
            "An administrator has decided about held changes.", "run released rejected undecided"
        ),
        "run.ended": _kind("A sync has ended.", "run directory status"),
        "run.held": _kind("A sync holds changes for an administrator.", "run directory changes"),
        "run.skipped": _kind(
            "A sync of the schedule did not begin.", "run directory due_at reason"
        ),
        "security.link_refused": _kind(
            "Somebody else than its person has opened a link.", "link connector reason"
        ),
        "user.activated": _kind("A person is active.", _STATUS),
        "user.adopted": _kind(
            "A detached person belongs to a directory again.", "user_id directory kept_tokens"
        ),
        "user.deleted": _kind("A person is deleted.", _STATUS),
        "user.invited": _kind("A person is invited.", _STATUS),
        "user.queued": _kind("A person waits for a license.", _STATUS),
        "user.suspended": _kind("A person is suspended.", _STATUS),
        "webhook.disabled": _kind(
            "A webhook is switched off: its receiver answered 410 Gone.", "webhook reason"
        ),
        "webhook.paused": _kind(
            "A webhook is paused: 50 tries in a row have failed.", "webhook reason"
        ),
        "webhook.ping": _kind(
            "An administrator tries a webhook; it is told whatever it listens to.", "webhook"
        ),
    }
)
"""Type -> what it says; docs/events.md has the same lines."""


def chosen(patterns: Iterable[str], pointer: str) -> frozenset[str]:
    """The types that patterns such as `pause.*` name; Invalid, at `pointer`, where one names none.

    `*` stands for any characters; nothing else is special.
    """
    found: set[str] = set()
    for pattern in patterns:
        named = {type for type in KINDS if fits(type, pattern)}
        if not named:
            detail = f"No event is of the type {pattern}."
            raise Problem(pointer, "unknown_type", detail).alone(reason="unknown-type")
        found |= named
    return frozenset(found)


def fits(type: str, pattern: str) -> bool:
    """Whether a pattern names the type."""
    return fnmatchcase(type, pattern.replace("[", "[[]").replace("?", "[?]"))
