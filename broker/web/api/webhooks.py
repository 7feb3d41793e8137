"""Webhooks: who is told of events, and what each was told."""

from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.domain.callers import Caller
from broker.domain.errors import NotFound
from broker.domain.webhooks import Delivery, DeliveryState, Webhook
from broker.service.reading import Members
from broker.service.webhooks import URL_LIMIT, Webhooks
from broker.web.access import Access
from broker.web.api import body
from broker.web.api.answers import (
    chosen,
    condition,
    json,
    moment,
    nothing,
    number,
    number_of,
    page,
    page_of,
)
from broker.web.repeating import Repeat


@dataclass(frozen=True, slots=True)
class WebhooksFace:
    """Read with a key; set up by an administrator's session alone: it sends what happens away."""

    webhooks: Webhooks
    access: Access

    def routes(self) -> list[Route]:
        """What this face serves, and the scope each of it needs."""
        route = self.access.route
        return [
            route("GET", "/v1/webhooks", "events:read", self.every),
            route("POST", "/v1/webhooks", None, self.add, Repeat.TOLD_ONCE),
            route("GET", "/v1/webhooks/{id}", "events:read", self.webhook),
            route("PATCH", "/v1/webhooks/{id}", None, self.change),
            route("DELETE", "/v1/webhooks/{id}", None, self.remove),
            route("POST", "/v1/webhooks/{id}/ping", None, self.ping),
            route("POST", "/v1/webhooks/{id}/rotate", None, self.rotate, Repeat.TOLD_ONCE),
            route("POST", "/v1/webhooks/{id}/enable", None, self.enable),
            route("GET", "/v1/webhooks/{id}/deliveries", "events:read", self.deliveries),
            route("POST", "/v1/webhooks/{id}/deliveries/{n}/redeliver", None, self.redeliver),
        ]

    async def every(self, _: Request, caller: Caller) -> Response:
        found = await self.webhooks.every(caller)
        return json({"items": [shown(each) for each in found], "next_cursor": None})

    async def add(self, request: Request, caller: Caller) -> Response:
        with await body.read(request, "url", "types") as said:
            url, types = said.long_text("url", limit=URL_LIMIT), _types(said)
        webhook, secret = await self.webhooks.add(caller, url, types or ("*",))
        return json(shown(webhook) | {"secret": secret}, 201, headers=_tag(webhook))

    async def webhook(self, request: Request, caller: Caller) -> Response:
        return _one(await self.webhooks.get(caller, request.path_params["id"]))

    async def change(self, request: Request, caller: Caller) -> Response:
        version = condition(request)
        with await body.read(request, "url", "types") as said:
            url = said.long_text("url", limit=URL_LIMIT) if said.says("url") else None
            types = _types(said)
        id = request.path_params["id"]
        return _one(await self.webhooks.change(caller, id, url=url, types=types, version=version))

    async def remove(self, request: Request, caller: Caller) -> Response:
        await self.webhooks.remove(caller, request.path_params["id"], version=condition(request))
        return nothing()

    async def ping(self, request: Request, caller: Caller) -> Response:
        await body.nothing(request)
        event = await self.webhooks.ping(caller, request.path_params["id"])
        return json({"event_id": event}, 202)

    async def rotate(self, request: Request, caller: Caller) -> Response:
        await body.nothing(request)
        webhook, secret = await self.webhooks.rotate(caller, request.path_params["id"])
        return json(shown(webhook) | {"secret": secret}, headers=_tag(webhook))

    async def enable(self, request: Request, caller: Caller) -> Response:
        await body.nothing(request)
        return _one(await self.webhooks.enable(caller, request.path_params["id"]))

    async def deliveries(self, request: Request, caller: Caller) -> Response:
        cursor, limit = page_of(request, "state")
        states = chosen(request, "state", DeliveryState) or list(DeliveryState)
        found = await self.webhooks.deliveries(
            caller, request.path_params["id"], states, before=number_of(cursor), limit=limit
        )
        return page(request, found, limit, delivered, lambda one: one.n)

    async def redeliver(self, request: Request, caller: Caller) -> Response:
        await body.nothing(request)
        if (n := number(request.path_params["n"])) is None:
            raise NotFound()
        found = await self.webhooks.redeliver(caller, request.path_params["id"], n)
        return json(delivered(found), 202)


def shown(webhook: Webhook) -> dict[str, Any]:
    """A webhook without its secrets."""
    return {
        "id": webhook.id,
        "url": webhook.url,
        "types": webhook.types,
        "state": webhook.state,
        "reason": webhook.reason,
        "failures": webhook.failures,
        "rests_until": moment(webhook.rests_until),
        "old_secret_until": moment(webhook.old_secret_until),
        "created_by": webhook.created_by,
        "created_at": moment(webhook.created_at),
        "version": webhook.version,
    }


def delivered(delivery: Delivery) -> dict[str, Any]:
    """A delivery: how often it was tried, what came of the last try, when the next one is due."""
    waits = delivery.state is DeliveryState.WAITING
    return {
        "n": delivery.n,
        "event_id": delivery.event,
        "state": delivery.state,
        "tries": delivery.attempt,
        "status": delivery.status,
        "error": delivery.error,
        "next_try_at": moment(delivery.due_at) if waits else None,
        "created_at": moment(delivery.created_at),
        "ended_at": moment(delivery.ended_at),
    }


def _types(said: Members) -> tuple[str, ...] | None:
    """What it listens to; None where the body does not say, and an empty list is wrong."""
    types = said.texts("types") if said.says("types") else None
    if types == ():
        said.wrong("types", "required", "Name a type or a pattern, such as *.")
    return types


def _one(webhook: Webhook) -> Response:
    return json(shown(webhook), headers=_tag(webhook))


def _tag(webhook: Webhook) -> dict[str, str]:
    return {"ETag": f'"{webhook.version}"'}
