"""What every operator's command has in common: its options, the broker it asks, its two answers."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any

import click

from broker import config, logs, wiring
from broker.config import Misconfigured, Settings
from broker.demo import start as demo
from broker.wiring import Broker


@dataclass(frozen=True, slots=True)
class Said:
    """One answer: for programs, and for people."""

    json: Any
    words: str


def operators(verb: Callable[..., Awaitable[Said]]) -> Callable[..., None]:
    """A command out of what it does: `verb` is given the broker, the project, and what was typed.

    Every such command has a project and answers as JSON where asked.
    """

    @click.option("--project", default="default", show_default=True, help="The project's name.")
    @click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")
    @wraps(verb)
    def command(project: str, as_json: bool, **typed: Any) -> None:
        async def answer() -> Said:
            async with beside(settings) as broker:
                return await verb(broker, await broker.projects.named(project), **typed)

        settings = config.load()
        logs.set_up("warning")
        said = asyncio.run(answer())
        click.echo(json.dumps(said.json) if as_json else said.words)

    return command


@asynccontextmanager
async def beside(settings: Settings) -> AsyncIterator[Broker]:
    """The broker's services on the database that a `serve` may be using.

    Without a key of its own a command works on the demo, where one was started in the data folder,
    and says so on standard error.
    """
    given, settings = settings, demo.adopted(settings)
    if settings is not given:
        click.echo(f"on the demo in {settings.data}", err=True)
    if (path := settings.sqlite_path) is not None and not path.is_file():
        raise Misconfigured(f"There is no database at {path} yet; run: broker migrate")
    db = await wiring.connected(settings)
    try:
        if wiring.is_behind(await wiring.revision_of(db, settings)):
            raise Misconfigured("The database is not at the newest revision; run: broker migrate")
        base_url = await wiring.base_url_of(db, settings)
    finally:
        await db.close()
    async with wiring.opened(settings, base_url) as broker:
        yield broker
