"""The process behind `broker serve`: migrates, listens, says that it answers, drains, ends."""

import asyncio
import contextlib
import gc
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import structlog
import uvicorn
import uvloop

from broker import __version__, app, bootstrap, logs, premises, wiring
from broker.addresses import is_loopback
from broker.config import Misconfigured, Settings, environment
from broker.demo import start as demo
from broker.metrics import Metrics
from broker.service.holding import Holding
from broker.web.door import Door

GRACE_S = 30
BACKLOG = 2048
log = structlog.get_logger("broker.server")


@dataclass(frozen=True, slots=True)
class Asked:
    """How this process is to serve; `told` gets what the ready-file says, once it answers."""

    settings: Settings
    ready_file: Path | None = None
    with_demo: bool = False
    with_worker: bool = True
    may_migrate: bool = True
    told: Callable[[dict[str, Any]], None] = lambda _: None


def serve(asked: Asked) -> None:
    """Serve until SIGTERM or SIGINT; Misconfigured where the service must not start like this."""
    logs.set_up(asked.settings.log_level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(asked))


def work(settings: Settings) -> None:
    """Run the worker alone, beside services that have none, until SIGTERM or SIGINT."""
    logs.set_up(settings.log_level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_work(settings))


async def _serve(asked: Asked) -> None:
    premises.open_folder(asked.settings.data)
    if asked.ready_file is not None:  # one that was killed leaves its own behind
        asked.ready_file.unlink(missing_ok=True)
    async with AsyncExitStack() as stack:
        listening = stack.enter_context(_listening(asked))
        port = listening.getsockname()[1]
        settings, simulator = asked.settings, None
        base_url = settings.public_url or f"http://127.0.0.1:{port}"
        if asked.with_demo:
            settings, simulator = await stack.enter_async_context(demo.beside(settings, port))
        await prepared(settings, with_demo=asked.with_demo, may_migrate=asked.may_migrate)
        broker = await stack.enter_async_context(wiring.opened(settings, base_url))
        await bootstrap.remember_base_url(broker.db, base_url)
        told: dict[str, Any] = {"base_url": base_url, "pid": os.getpid()}
        aside: dict[str, Any] = {}
        if simulator is not None:
            aside = {"simulator": simulator.base_url}
            told |= await stack.enter_async_context(demo.filled(broker, simulator))
        elif sys.stdout.isatty():
            aside = {"admin_link": await _setup_link(broker)}
        await _answering(asked, broker, listening, told, aside)


async def _setup_link(broker: wiring.Broker) -> str:
    project = await broker.projects.named("default")
    return f"{broker.base_url}/setup/{await broker.callers.setup_link(project.id)}"


async def _answering(
    asked: Asked,
    broker: wiring.Broker,
    listening: socket.socket,
    told: dict[str, Any],
    aside: dict[str, Any],
) -> None:
    """Answer until the end, and say so once it does; `aside` is for the starter's ears alone."""
    holding = broker.holding
    with contextlib.ExitStack() as stack:
        metrics = None
        if (port := broker.settings.metrics_port) is not None:
            metrics = Metrics()
            stack.enter_context(metrics.serving(broker.settings.metrics_host, port))
        if asked.ready_file is not None:
            stack.callback(asked.ready_file.unlink, missing_ok=True)

        def ready() -> None:
            log.info("ready", version=__version__, base_url=broker.base_url)
            if asked.ready_file is not None:
                premises.put(asked.ready_file, orjson.dumps(told))
            asked.told(told | aside)

        faces = app.create(
            broker,
            draining=holding.closing,
            seen=metrics.seen if metrics else None,
            with_worker=asked.with_worker,
        )
        gc.collect()
        gc.freeze()  # what is here stays: a full collection of it would hold every request up
        server = Server(_config(faces), holding, broker.settings.drain_s, ready)
        await server.serve([listening])


async def _work(settings: Settings) -> None:
    await prepared(settings, with_demo=False, may_migrate=False)
    async with wiring.opened(settings, settings.public_url or "") as broker:
        loop = asyncio.get_running_loop()
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(each, broker.worker.stop)
        log.info("working", version=__version__)
        await broker.worker.run()


async def prepared(settings: Settings, *, with_demo: bool, may_migrate: bool) -> None:
    """Make sure of a database this process may use, migrated; Misconfigured (safety 39)."""
    db = await bootstrap.database_of(settings)
    try:
        at = await bootstrap.revision_of(db, settings)
        is_demo = None if at is None else await bootstrap.is_demo(db)
    finally:
        await db.close()
    if with_demo and is_demo is False:
        raise Misconfigured(
            "--demo wants a database of its own, and BROKER_DATABASE_URL names one that holds"
            " other data. Unset it, or name an empty database."
        )
    if is_demo and not with_demo:
        raise Misconfigured(
            "This database holds demo data, and a service for real people does not start on it."
            " Name another with BROKER_DATABASE_URL or BROKER_DATA, or add --demo."
        )
    if bootstrap.is_behind(at):
        if not may_migrate:
            raise Misconfigured("The database is not at the newest revision; run: broker migrate")
        await asyncio.to_thread(_migrated, settings)


def _migrated(settings: Settings) -> None:
    """Migrate in a child process, so that its imports cost the service nothing."""
    done = subprocess.run(
        [sys.executable, "-m", "broker", "migrate", "--json"],
        env=environment(settings),
        stdout=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.returncode)


def _listening(asked: Asked) -> socket.socket:
    """The port, taken before anything is written; Misconfigured where it cannot be had."""
    settings = asked.settings
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listening = socket.create_server(
            (settings.host, settings.port), family=family, backlog=BACKLOG
        )
    except OSError as error:
        raise Misconfigured(
            f"{settings.host}:{settings.port} cannot be listened on: {error.strerror}."
            f" Choose another: {_elsewhere(settings.port, with_demo=asked.with_demo)}."
        ) from None
    listening.setblocking(False)
    return listening


def _elsewhere(port: int, *, with_demo: bool) -> str:
    """What to type where the port is taken; 0 takes a free one."""
    other = port + 10 if port + 10 < 1 << 16 else 0
    return f"BROKER_PORT={other} make run" if with_demo else f"broker serve --port {other}"


def _config(faces: Door) -> uvicorn.Config:
    return uvicorn.Config(
        faces,
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,  # the public address is a setting, never a header (safety 32)
        server_header=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=GRACE_S,
    )


class Server(uvicorn.Server):
    """uvicorn that says when it answers, and ends by SIGTERM with status 0.

    From the signal on /readyz answers 503 and nobody is held waiting; `drain_s` later the port
    closes, and what is in flight is finished. A second signal ends it at once.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        holding: Holding,
        drain_s: float,
        ready: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._holding = holding
        self._drain_s = drain_s
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        signals = (signal.SIGTERM, signal.SIGINT)
        for each in signals:
            loop.add_signal_handler(each, self._asked_to_stop)
        try:
            yield
        finally:
            for each in signals:
                loop.remove_signal_handler(each)

    def _asked_to_stop(self) -> None:
        if self._holding.closing.is_set():
            self.force_exit = self.should_exit = True
            return
        log.info("draining")
        self._holding.close()
        asyncio.get_running_loop().call_later(self._drain_s, self._close)

    def _close(self) -> None:
        self.should_exit = True


def may_demo(settings: Settings) -> None:
    """Misconfigured unless only this machine can reach it (safety 39)."""
    if not is_loopback(settings.host) or settings.public_url is not None:
        raise Misconfigured(
            "--demo serves this machine alone: leave BROKER_HOST at a loopback address and"
            " BROKER_PUBLIC_URL unset."
        )
