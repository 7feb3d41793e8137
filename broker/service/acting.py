"""What AuthenticateUser is asked and what it answers: the request, the answer, the discovery."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from broker.domain import actions, names
from broker.domain.actions import AGENT_COUPON, SUBJECT, Action, Expected
from broker.domain.clock import rfc3339
from broker.domain.errors import Invalid
from broker.service.holding import Topic
from broker.service.reading import LIST_LIMIT, Members
from providers.secret import Secret

PROOFS = ("id_token", "none")
MODES = ("sync", "async")


@dataclass(frozen=True, slots=True)
class ActionRequest:
    """One request for an authentication.

    `id_token` None is no evidence: then `is_async` waits for a sign-in and the other mode does
    not, so it fails. `suffixes` are the applications whose logons are asked for.
    """

    expected: tuple[Expected, ...] = ()
    suffixes: tuple[str, ...] = ()
    id_token: Secret | None = None
    is_async: bool = True
    return_url: str | None = None

    @classmethod
    def parse(cls, said: object) -> ActionRequest:
        """The request in a decoded JSON body; Invalid lists what is wrong, UnknownItemName an
        item that AuthenticateUser does not have.
        """
        with Members(said, "") as body:
            body.close("items", "evidence", "suffixes", "mode", "return_url")
            items = body.texts_by_name("items")
            if len(items) > LIST_LIMIT:
                body.wrong("items", "too_many", f"At most {LIST_LIMIT} items.")
            request = cls(
                suffixes=_suffixes(body),
                id_token=_id_token(body),
                is_async=body.choice("mode", MODES, default="async") == "async",
                return_url=body.text_or_none("return_url"),
            )
        return replace(request, expected=actions.expected_of(items))

    @property
    def expects_somebody(self) -> bool:
        """Whether a logon is expected; an empty one expects nobody in particular (R84)."""
        return any(one.logon for one in self.expected)


@dataclass(frozen=True, slots=True)
class ActionAnswer:
    """Where an action stands: done with its verdict, or pending with a link for the person."""

    action: Action
    user_state: str | None = None
    url: str | None = None
    signature: str | None = None

    @property
    def is_pending(self) -> bool:
        """Whether the answer is still to come (202)."""
        return self.action.answer is None

    @property
    def signed_part(self) -> dict[str, object]:
        """What the project's signature covers: coupon and items."""
        verdict = self.action.answer
        return {"actionCoupon": self.action.coupon, "items": dict(verdict.items) if verdict else {}}

    def rendered(self) -> dict[str, Any]:
        """The JSON of the answer."""
        action, verdict = self.action, self.action.answer
        if verdict is not None:
            user = {"id": verdict.user, "state": self.user_state} if verdict.user else None
            return {
                **self.signed_part,
                "user": user,
                "reason": verdict.reason,
                "unmapped": list(verdict.unmapped),
                "managerSignature": self.signature,
            }
        shown = {
            "actionCoupon": action.coupon,
            "status": "pending",
            "version": action.version,
            "expires_at": rfc3339(action.expires_at),
        }
        return shown if self.url is None else shown | {"authorization_url": self.url}


def topic(project: str, coupon: int) -> Topic:
    """What a request is held for until this action has news."""
    return project, f"action:{coupon}"


def discovery(public_key: Mapping[str, str]) -> dict[str, Any]:
    """The JSON of `GET /v1/actions`: the subject, its items, who performs it (R86 to R92)."""
    return {
        "subjects": [
            {
                "label": SUBJECT,
                "type": "Action",
                "synchronization": False,
                "dependencies": [],
                "authentication": {"request": True, "perform": True},
                "mapping_agent_coupon": None,
                "action_agent_coupon": AGENT_COUPON,
                "inputs": [_item(f"{actions.EXPECTED}.<Suffix>", "ST", "User.id.logon.<Suffix>")],
                "outputs": [
                    _item(actions.STATUS, "ST", None),
                    _item(f"{actions.LOGON}.<Suffix>", "ST", "User.id.logon.<Suffix>"),
                    _item(actions.NAME, "XPN", "User.Co.Name"),
                ],
            }
        ],
        "keys": [dict(public_key)],
    }


def _item(name: str, type: str, maps_to: str | None) -> dict[str, Any]:
    return {"name": name, "type": type, "maps_to": maps_to}


def _suffixes(body: Members) -> tuple[str, ...]:
    """The suffixes asked for, as they were spelt; one application once."""
    found: dict[str, str] = {}
    for suffix in body.texts("suffixes"):
        try:
            found.setdefault(names.key(suffix), names.suffix(suffix))
        except Invalid as error:
            body.wrong("suffixes", error.problems[0].code, str(error))
    return tuple(found.values())


def _id_token(body: Members) -> Secret | None:
    """The evidence, where there is some; cookies and sessions never are (safety 28)."""
    evidence = body.inner_or_none("evidence")
    if evidence is None:
        return None
    evidence.close("type", "value")
    if evidence.choice("type", PROOFS, default=None) == "none":
        evidence.long_text_or_none("value")
        return None
    return Secret(evidence.long_text("value"))
