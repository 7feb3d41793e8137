"""AuthenticateUser as CCOW's web clients call it: a form in, a form out (R82 to R103)."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.domain.actions import unknown_item
from broker.domain.callers import Caller
from broker.domain.clock import rfc3339
from broker.domain.errors import BrokerError, Invalid, NotFound
from broker.service.acting import ActionAnswer, ActionRequest, topic
from broker.service.authenticating import Authenticating
from broker.service.reading import is_url
from broker.web import errors
from broker.web.access import Access
from broker.web.api.actions import LOOK_S, coupon_of
from broker.web.api.holding import applied, news
from broker.web.repeating import Repeat
from broker.web.wire import FORM, LIMIT, fields

PATH = "/ccow"
BAR = "|"
PERFORM = ("contextaction", "perform")
PARTICIPANTS = ("participantCoupon", "partcipantCoupon")  # the second as a known client spells it
CALLBACKS = ("cpCallBackURL", "cpErrorURL")
OF_CCOW = (
    *("interface", "method", "inputNames", "inputValues", "appSignature"),
    *(*PARTICIPANTS, *CALLBACKS),
)
OURS = ("idToken", "suffixes", "mode", "returnURL", "actionCoupon", "code")
KNOWN = {name.lower(): name for name in (*OF_CCOW, *OURS)}
EXCEPTIONS = {
    "unauthenticated": "AuthenticationFailed",
    "no_route": "NotImplemented",
    "wrong_method": "NotImplemented",
}


class NotOffered(Invalid):
    """Here a context manager only performs actions: interface ContextAction, method Perform."""

    more = MappingProxyType({"ccowException": "NotImplemented"})


class NameValueCountMismatch(Invalid):
    """Names and values differ in number; a bar is no part of either."""

    more = MappingProxyType({"ccowException": "NameValueCountMismatch"})


@dataclass(frozen=True, slots=True)
class CcowFace:
    """`ContextAction::Perform`, by a program with an API key; off unless `BROKER_CCOW`."""

    authenticating: Authenticating
    access: Access

    def routes(self) -> list[Route]:
        """What this face serves, and the scope it needs."""
        route = self.access.route
        # Clients of the standard send no Idempotency-Key, and an answer is not to be kept (R87).
        return [route("POST", "/ccow", "authenticate", self.perform, Repeat.AFRESH)]

    async def perform(self, request: Request, caller: Caller) -> Response:
        """One iteration of Perform: a new action, or where the one of `actionCoupon` stands."""
        if request.url.query:
            raise Invalid("Send it as a form in the body: an address is logged on its way.")
        said, of = _read(await fields(request, LIMIT)), self.authenticating
        if not (text := said.get("actionCoupon")):
            return _answer(await of.perform(caller, _request(said)))
        coupon, code = coupon_of(text), said.get("code")
        if code:
            return _answer(await of.get(caller, coupon, code))
        found = await news(
            of.holding,
            request,
            caller,
            topic(caller.project, coupon),
            lambda: of.get(caller, coupon),
            lambda answer: not answer.is_pending,
            look_s=LOOK_S,
        )
        answer = _answer(found)
        answer.headers.update(applied(request))
        return answer


def exception(error: BrokerError) -> Response:
    """An error as a CCOW exception: what is wrong with a call is 200, as its clients expect;
    what is wrong with its transport or credential has HTTP's own status (decision 0022).
    """
    if isinstance(error, NotFound):
        error = NotFound()  # the words of whoever missed it would tell more (safety 3)
    name = error.more.get("ccowException") or EXCEPTIONS.get(error.code, "GeneralFailure")
    message = " ".join(problem.detail for problem in error.problems) or str(error)
    status = 200 if error.code == "invalid" else errors.status_of(error)
    body = urlencode({"exception": str(name), "exceptionMessage": message})
    return Response(body, status, headers=errors.headers_of(error), media_type=FORM)


def _read(pairs: list[tuple[str, str]]) -> Mapping[str, str]:
    """The fields of a call by their right names, whatever their case (R101)."""
    said: dict[str, str] = {}
    for name, value in pairs:
        known = KNOWN.get(name.lower())
        if known is None:
            raise Invalid(f"There is no field {name!r} here.")
        if known in said or "\x00" in value:
            raise Invalid(f"{known} comes twice, or holds U+0000.")
        said[known] = value
    for name in CALLBACKS:
        if (url := said.get(name)) and not is_url(url):
            raise Invalid(f"{name} is no absolute http or https URL.")
    if len({said[name] for name in PARTICIPANTS if name in said}) > 1:
        raise Invalid("Two participant coupons are named.")
    if (said.get("interface", "").lower(), said.get("method", "").lower()) != PERFORM:
        raise NotOffered()
    return said


def _request(said: Mapping[str, str]) -> ActionRequest:
    """The call as the JSON route would have it, read by the same reader."""
    asked: dict[str, Any] = {"items": _items(said), "mode": said.get("mode") or "sync"}
    if token := said.get("idToken"):
        asked["evidence"] = {"type": "id_token", "value": token}
    if suffixes := said.get("suffixes"):
        asked["suffixes"] = suffixes.split(BAR)
    if url := said.get("returnURL"):
        asked["return_url"] = url
    return ActionRequest.parse(asked)


def _items(said: Mapping[str, str]) -> dict[str, str]:
    """Names and values, which match in number (R103); one name has one value, "" too (R84)."""
    names = said["inputNames"].split(BAR) if said.get("inputNames") else []
    values = said.get("inputValues", "").split(BAR)
    if not names and values == [""]:
        return {}
    if len(names) != len(values):
        raise NameValueCountMismatch(f"{len(names)} names and {len(values)} values were sent.")
    items: dict[str, str] = {}
    for name, value in zip(names, values, strict=True):
        if name in items:
            raise unknown_item(name, "is there twice")
        items[name] = value
    return items


def _answer(answer: ActionAnswer) -> Response:
    """The outputs, and the manager's signature over coupon and items as on the JSON route.

    Pending is 202 without outputs, with what is ours beside it.
    """
    action, verdict = answer.action, answer.action.answer
    items = verdict.items if verdict else {}
    if any(BAR in text for pair in items.items() for text in pair):
        raise NameValueCountMismatch(
            f"An output holds a bar. Read it with GET /v1/actions/{action.coupon}."
        )
    said = {
        "actionCoupon": str(action.coupon),
        "outputNames": BAR.join(items),
        "outputValues": BAR.join(items.values()),
        "managerSignature": answer.signature or "",
    }
    if verdict is None:
        said |= {"status": "pending", "expiresAt": rfc3339(action.expires_at)}
        said |= {"authorizationURL": answer.url} if answer.url else {}
    elif verdict.reason:
        said["reason"] = verdict.reason
    status = 202 if verdict is None else 200
    return Response(urlencode(said), status, headers={"Cache-Control": "no-store"}, media_type=FORM)
