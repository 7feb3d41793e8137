"""All pretend programs on one port: `async with serving() as simulator`, or one Starlette app.

It listens on 127.0.0.1 and is reached as http://localhost:PORT, the broker as 127.0.0.1: cookies
do not know ports, so the two need different names.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from email.utils import formatdate

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from broker.demo import answers, docusign, grants, sharepoint, tickets
from broker.demo.control import Control
from broker.demo.docusign import DocuSign
from broker.demo.entra import Entra
from broker.demo.entra_sign_in import EntraSignIn
from broker.demo.hr import Hr
from broker.demo.identity import Identity
from broker.demo.mailbox import Mailbox
from broker.demo.oauth import Program
from broker.demo.salesforce import Salesforce
from broker.demo.salesforce_api import Api
from broker.demo.sharepoint import Farm
from broker.demo.tickets import Tickets
from broker.demo.world import Clock, Switches


@dataclass
class Simulator:
    """Everything pretended, in one hand: tests and rehearsals reach in here.

    `base_url` is what `BROKER_SIMULATOR_URL` names; the identity provider's issuer is
    `base_url + "/identity"`. Nothing is registered at first: see `register` of `salesforce`,
    `identity`, `entra` and of the `state` of each further program, `hr.tokens`, `farm.trusted` and
    `farm.passwords`.
    """

    base_url: str
    clock: Clock = field(default_factory=Clock)
    mailbox: Mailbox = field(default_factory=Mailbox)
    salesforce: grants.State = field(init=False)
    identity: Identity = field(init=False)
    hr: Hr = field(init=False)
    entra: Entra = field(init=False)
    pages: Salesforce = field(init=False)
    microsoft: EntraSignIn = field(init=False)
    farm: Farm = field(init=False)
    docusign: DocuSign = field(init=False)
    tickets: Tickets = field(init=False)

    def __post_init__(self) -> None:
        switches = Switches(answers=answers.SALESFORCE)
        self.salesforce = grants.State(self.base_url, self.clock, switches)
        self.identity = Identity(self.base_url + "/identity", self.clock)
        self.hr = Hr(self.base_url)
        self.entra = Entra(self.base_url, self.clock)
        self.pages = Salesforce(self.salesforce)
        self.microsoft = EntraSignIn(self.entra)
        self.farm = Farm(sharepoint.state(self.base_url, self.clock))
        self.docusign = DocuSign(docusign.state(self.base_url, self.clock))
        self.tickets = Tickets(tickets.state(self.base_url, self.clock))

    @property
    def programs(self) -> dict[str, Program]:
        """Those with a consent page, by the name the control routes call them by."""
        return {
            "salesforce": self.pages,
            "entra": self.microsoft,
            "sharepoint": self.farm,
            "docusign": self.docusign,
            "tickets": self.tickets,
        }


def create(simulator: Simulator) -> Starlette:
    """The simulator as one application."""
    return Starlette(
        routes=[
            *Control(
                simulator.programs,
                simulator.identity,
                simulator.hr,
                simulator.entra,
                simulator.farm,
                simulator.docusign,
            ).routes(),
            *simulator.hr.routes(),
            *simulator.entra.routes(),
            Mount("/identity", routes=simulator.identity.routes()),
            *simulator.mailbox.routes(),
            *(route for program in simulator.programs.values() for route in program.routes()),
            *Api(simulator.salesforce).routes(),
        ]
    )


@contextlib.asynccontextmanager
async def serving(*, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Simulator]:
    """A simulator that answers while the block runs; port 0 takes a free one, told in `base_url`.

    It runs in the caller's event loop and leaves signals to the caller.
    """
    with socket.create_server((host, port)) as listener:
        listener.setblocking(False)
        simulator = Simulator(f"http://localhost:{listener.getsockname()[1]}")
        server = _Server(_config(_Dated(create(simulator), simulator.clock)))
        running = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            await server.answering.wait()
            yield simulator
        finally:
            server.should_exit = True
            await running


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        lifespan="off",
        ws="none",
        log_config=None,
        access_log=False,
        date_header=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )


class _Server(uvicorn.Server):
    """uvicorn inside somebody else's process: says when it answers, and catches no signal."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.answering = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.answering.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Dated:
    """The simulator's own time in `Date`: a program whose clock is wrong shows it there."""

    def __init__(self, app: ASGIApp, clock: Clock) -> None:
        self._app = app
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Date"] = formatdate(self._clock.now(), usegmt=True)
            await send(message)

        await self._app(scope, receive, dated)
