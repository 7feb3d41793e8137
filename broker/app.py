"""The application: one ASGI function, every face on one screen, live and ready."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route

from broker import bootstrap
from broker.addresses import is_loopback
from broker.db.database import Unavailable, Unstorable
from broker.db.seal import Unreadable
from broker.domain.errors import BrokerError, Invalid
from broker.domain.errors import Unavailable as NotNow
from broker.web import errors
from broker.web.access import Access
from broker.web.api import ccow
from broker.web.api.actions import ActionsFace
from broker.web.api.adoptions import AdoptionsFace
from broker.web.api.authorizations import AuthorizationsFace
from broker.web.api.ccow import CcowFace
from broker.web.api.connectors import ConnectorsFace
from broker.web.api.directories import DirectoriesFace
from broker.web.api.events import EventsFace
from broker.web.api.health import HealthFace
from broker.web.api.licenses import LicensesFace
from broker.web.api.links import LinksFace
from broker.web.api.mappings import MappingsFace
from broker.web.api.pauses import PausesFace
from broker.web.api.project import ProjectFace
from broker.web.api.runs import RunsFace
from broker.web.api.steps import StepsFace
from broker.web.api.testing import TestingFace
from broker.web.api.users import UsersFace
from broker.web.api.webhooks import WebhooksFace
from broker.web.door import Door, Receive, Scope, Seen, Send
from broker.web.pages.connect import ConnectPages
from broker.web.pages.connections import ConnectionPages
from broker.web.pages.contract import ContractPages
from broker.web.pages.desk import Desk
from broker.web.pages.directories import DirectoryPages
from broker.web.pages.doors import DoorPages
from broker.web.pages.invitations import InvitationPages
from broker.web.pages.licenses import LicensePages
from broker.web.pages.people import PeoplePages
from broker.web.pages.runs import RunPages
from broker.web.pages.site import Site, wants_page
from broker.web.rates import Rates
from broker.web.repeating import Repeating
from broker.web.scim import Scim
from broker.wiring import Broker
from scim.endpoints import Endpoints

DRAINING = "draining"
log = structlog.get_logger("broker.app")
SCIM = "/scim/v2/"


def routes(broker: Broker, ready: Callable[[], Awaitable[str | None]]) -> list[BaseRoute]:
    """Every route of the service but SCIM's; the busiest first."""
    of, site = broker, site_of(broker)
    access = Access(of.callers, of.base_url, Repeating(of.replaying), Rates(of.settings.rate))
    return [
        *StepsFace(
            of.resolving, of.batching, of.explaining, of.reporting, of.rejecting, access
        ).routes(),
        *PausesFace(of.pausing, of.releasing, of.holding, access).routes(),
        *EventsFace(of.publishing, access).routes(),
        *WebhooksFace(of.webhooks, access).routes(),
        *ActionsFace(of.authenticating, access).routes(),
        *(CcowFace(of.authenticating, access).routes() if of.settings.ccow else ()),
        *UsersFace(of.managing, of.licensing, of.inviting, access).routes(),
        *LicensesFace(of.licensing, access).routes(),
        *LinksFace(of.authorizing, of.vouching, access).routes(),
        *ConnectorsFace(of.connecting, access).routes(),
        *TestingFace(of.testing, access).routes(),
        *AuthorizationsFace(of.granting, of.importing, of.minting, access).routes(),
        *DirectoriesFace(
            of.configuring, of.scheduling, of.starting, of.removing, of.tracing, access
        ).routes(),
        *AdoptionsFace(of.adopting, access).routes(),
        *MappingsFace(of.drafting, access).routes(),
        *RunsFace(of.syncing, of.reapplying, of.deciding, access).routes(),
        *ProjectFace(of.projects, access).routes(),
        *HealthFace(ready).routes(),
        *pages(of, access, site),
    ]


def pages(of: Broker, access: Access, site: Site) -> list[Route]:
    """What people see: an administrator's desk, and the doors of everybody."""
    desk = Desk(access, site, of.overseeing)
    return [
        *DirectoryPages(
            of.configuring,
            of.scheduling,
            of.starting,
            of.removing,
            of.drafting,
            of.syncing,
            desk,
        ).routes(),
        *RunPages(
            of.configuring, of.syncing, of.reapplying, of.deciding, of.removing, desk
        ).routes(),
        *PeoplePages(
            of.managing, of.licensing, of.inviting, of.adopting, of.configuring, desk
        ).routes(),
        *LicensePages(of.licensing, desk).routes(),
        *DoorPages(of.callers, access, site).routes(),
        *ContractPages(site).routes(),
        *InvitationPages(of.inviting, of.signing_in, access, site).routes(),
        *ConnectionPages(of.connected, of.authorizing, of.reminding, access, site).routes(),
        *ConnectPages(
            of.authorizing,
            of.authenticating,
            of.callers,
            of.signing_in,
            of.vouching,
            access,
            site,
        ).routes(),
    ]


def site_of(broker: Broker) -> Site:
    """How pages look: the product's name, and whether this is a trial without TLS."""
    parts = urlsplit(broker.base_url)
    is_trial = parts.scheme == "http" and not is_loopback(parts.hostname or "")
    return Site(broker.settings.product, is_trial=is_trial, simulator=broker.settings.simulator_url)


def scim(broker: Broker) -> Endpoints:
    """What identity providers push to."""
    seal = broker.vault.programs.seal
    return Scim(broker.callers, broker.hosting, seal.seal, seal.open).endpoints()


def create(
    broker: Broker,
    *,
    draining: asyncio.Event | None = None,
    seen: Seen | None = None,
    with_worker: bool = True,
) -> Door:
    """The service as one ASGI application; `draining` set makes it unready at once."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with working(broker) if with_worker else nullcontext():
            yield

    telling = Telling(site_of(broker))
    faces = Starlette(
        routes=routes(broker, Readiness(broker, draining or asyncio.Event())),
        exception_handlers={
            BrokerError: telling.refused,
            Unavailable: telling.unavailable,
            Unstorable: telling.unstorable,
            Unreadable: telling.unreadable,
            HTTPException: telling.unroutable,
            Exception: telling.refused,
        },
        lifespan=lifespan,
    )
    faces.router.redirect_slashes = False
    endpoints = scim(broker)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(SCIM):
            await endpoints(scope, receive, send)
        else:
            await faces(scope, receive, send)

    host = urlsplit(broker.base_url).netloc
    return Door(app, host=host, seen=seen or _unseen, changed=broker.worker.wake)


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether this process wants requests: why not, or None."""

    broker: Broker
    draining: asyncio.Event

    async def __call__(self) -> str | None:
        if self.draining.is_set():
            return DRAINING
        try:
            at = await bootstrap.revision_of(self.broker.db, self.broker.settings)
        except Unavailable:
            return "database"
        return "schema" if bootstrap.is_behind(at) else None


@asynccontextmanager
async def working(broker: Broker) -> AsyncIterator[None]:
    """The worker, running while the service answers; what it claimed is finished at the end."""
    task = asyncio.create_task(broker.worker.run())
    try:
        yield
    finally:
        broker.worker.stop()
        await task


def _methods(request: Request) -> str:
    """What an address does, by all its routes (RFC 9110 §15.5.6); the router knows one of them."""
    routes = [each for each in request.app.routes if isinstance(each, Route)]
    here = [each for each in routes if each.matches(request.scope)[0] is not Match.NONE]
    path = min((each.path for each in here), key=lambda path: path.count("{"))
    return ", ".join(
        sorted({name for each in here if each.path == path for name in each.methods or ()})
    )


def _unseen(route: str, method: str, status: int, seconds: float) -> None:
    """Without metrics nobody counts."""


@dataclass(frozen=True, slots=True)
class Telling:
    """What goes wrong, told to whoever asked: a page for people, a problem for programs."""

    site: Site

    async def refused(self, request: Request, error: Exception) -> Response:
        """An error of ours says what it is."""
        return self._told(request, error if isinstance(error, BrokerError) else BrokerError())

    async def unavailable(self, request: Request, _: Exception) -> Response:
        """The database did not do it; asking again is safe."""
        return self._told(request, NotNow())

    async def unstorable(self, request: Request, _: Exception) -> Response:
        """A value that no database of ours has a place for, such as U+0000 in a form."""
        return self._told(request, Invalid("A value cannot be kept.", reason="unstorable-value"))

    async def unreadable(self, request: Request, error: Exception) -> Response:
        """A key is missing: nothing was changed, and with the key it goes on (promise 12)."""
        log.error("sealed value not opened", why=str(error))
        said = "Something that is kept sealed cannot be read now: its encryption key is missing."
        todo = "The operator brings the key back; broker seal status says which one it is."
        return self._told(request, NotNow(said, reason="key-missing", next=todo))

    async def unroutable(self, request: Request, error: Exception) -> Response:
        """No such address, or not with this method: then Allow says which."""
        assert isinstance(error, HTTPException)
        response = self._told(request, errors.from_http(error))
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            response.headers["Allow"] = _methods(request)
        return response

    def _told(self, request: Request, error: BrokerError) -> Response:
        if request.url.path == ccow.PATH:
            return ccow.exception(error)
        if wants_page(request):
            return self.site.problem(request, error)
        return errors.answer(error, errors.request_id(request))
