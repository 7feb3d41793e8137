"""AuthenticateUser: who somebody proved to be, or the link under which they may."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from broker.client.words import moment

EXPECTED = "AuthenticateUser.In.ExpectedUserLogon."
STATUS = "AuthenticateUser.Ou.Status"
LOGON = "AuthenticateUser.Ou.Logon."
NAME = "AuthenticateUser.Ou.Name"


@dataclass(frozen=True, slots=True)
class Performed:
    """The verdict of an action; a Fail is one too.

    `items` are the outputs as they were sent, `unmapped` the suffixes in which the person has no
    logon, `signature` is the project's over coupon and items (a detached JWS).
    """

    coupon: int
    items: Mapping[str, str]
    user_id: str | None
    reason: str | None
    unmapped: tuple[str, ...]
    signature: str | None = field(default=None, repr=False)

    @property
    def passed(self) -> bool:
        """Whether the person is proven, expected and active; the case does not matter (R95)."""
        return self._item(STATUS).lower() == "pass"

    @property
    def logons(self) -> dict[str, str]:
        """The logons that are known, by suffix; both exact in case (R97)."""
        at = len(LOGON)
        return {
            name[at:]: value
            for name, value in self.items.items()
            if name[:at].lower() == LOGON.lower()
        }

    @property
    def name(self) -> str:
        """The person's name (XPN, HL7 v2), "" where it is not known (R99)."""
        return self._item(NAME)

    def _item(self, wanted: str) -> str:
        """An output by its name in any case (R101)."""
        found = (value for name, value in self.items.items() if name.lower() == wanted.lower())
        return next(found, "")


@dataclass(frozen=True, slots=True)
class Pending:
    """The person has to open `url`, before `expires_at`; None on a later look."""

    coupon: int
    url: str | None = field(repr=False)
    expires_at: datetime


def read(said: Mapping[str, Any]) -> Performed | Pending:
    """Where an action stands, in a decoded JSON body."""
    if "items" not in said:
        until = moment(said["expires_at"])
        return Pending(said["actionCoupon"], said.get("authorization_url"), until)
    return Performed(
        coupon=said["actionCoupon"],
        items=said["items"],
        user_id=(said.get("user") or {}).get("id"),
        reason=said["reason"],
        unmapped=tuple(said["unmapped"]),
        signature=said.get("managerSignature"),
    )
