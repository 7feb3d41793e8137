"""What every operator's command has in common: its options, the broker it asks, its two answers."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any

import click

from broker import bootstrap, config, logs, wiring
from broker.config import Misconfigured, Settings
from broker.demo import start as demo
from broker.domain import clock
from broker.domain.errors import NotFound
from broker.wiring import Broker

BY = "operator"
"""Who did it, in the audit: whoever has the machine is an administrator of every project."""


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
    db = await bootstrap.database_of(settings)
    try:
        if bootstrap.is_behind(await bootstrap.revision_of(db, settings)):
            raise Misconfigured("The database is not at the newest revision; run: broker migrate")
        base_url = await bootstrap.base_url_of(db, settings)
    finally:
        await db.close()
    async with wiring.opened(settings, base_url) as broker:
        yield broker


def listed(shown: list[dict[str, Any]], words: Callable[[dict[str, Any]], str]) -> Said:
    """One line each: its id, and the words for it."""
    return Said(shown, "\n".join(f"{one['id']}  {words(one)}" for one in shown))


def dated(row: dict[str, Any]) -> dict[str, Any]:
    """The row with its moments as text."""
    return {
        name: clock.rfc3339(value) if name.endswith("_at") and value is not None else value
        for name, value in row.items()
    }


def id_of(given: str, prefix: str, credential: str) -> str:
    """`key_…` out of `key_…` or `brk_…_…`, so that what leaked can be pasted and ended."""
    kind, _, rest = given.partition("_")
    if kind not in (prefix, credential) or not rest:
        raise NotFound(f"{prefix}_… is needed, as the list shows it.")
    return f"{prefix}_{rest.partition('_')[0]}"
