"""People for the tests of this folder: invited, unless they say otherwise."""

from __future__ import annotations

from typing import Any

from broker.domain.mapping import Profile
from broker.domain.users import License, Status, SuspendedBy, User

NOW = 1_800_000_000_000_000


def person(status: Status = Status.INVITED, **fields: Any) -> User:
    """A person as the table leaves one in this status; `fields` override."""
    shapes: dict[Status, dict[str, Any]] = {
        Status.INVITED: {"invite_epoch": 1, "invited_at": NOW},
        Status.QUEUED: {"invite_epoch": 1, "accepted": True, "queue_seq": 7},
        Status.ACTIVE: {"license": License.HELD, "accepted": True, "activated_at": NOW},
        Status.SUSPENDED: {"suspended_by": SuspendedBy.DIRECTORY, "idp_active": False},
        Status.DELETED: {"deleted_at": NOW, "idp_active": False},
    }
    known: dict[str, Any] = {
        "id": "usr_1",
        "project": "prj_1",
        "directory": "dir_1",
        "external_id": "e-1",
        "profile": Profile("kim", display_name="Kim Lee"),
        "status": status,
        "created_at": NOW,
        "changed_at": NOW,
    }
    return User(**(known | shapes[status] | fields))
