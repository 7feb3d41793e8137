"""The demo: beside `serve --demo` stand pretend programs; the database is filled once."""

import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from broker import bootstrap, logs, premises
from broker.config import Settings
from broker.db import seal
from broker.demo import data, simulator
from broker.demo.simulator import Simulator
from broker.wiring import Broker

KEY_FILE = "encryption.key"
ENV_FILE = "env"
PROGRAMS = Path(__file__).with_name("programs.json")
"""The ticket system, described as an operator would describe it."""


def adopted(settings: Settings) -> Settings:
    """The demo's settings where no key was given and a demo was started here; else the same."""
    folder = settings.of_the_demo
    if settings.encryption_keys is not None or not (folder / KEY_FILE).is_file():
        return settings
    return _own(settings)


@asynccontextmanager
async def beside(settings: Settings, port: int) -> AsyncIterator[tuple[Settings, Simulator]]:
    """The demo's own settings, and the pretend programs answering while the block runs.

    They take the port after the broker's, so that bookmarks hold from one start to the next.
    """
    premises.open_folder(settings.of_the_demo)
    async with _served(port) as pretend, pretend.mailbox.receiving():
        settings = _own(settings).with_(
            simulator_url=pretend.base_url,
            smtp_url=SecretStr(f"smtp://127.0.0.1:{pretend.mailbox.port}"),
            smtp_from="Acme <flows@acme.example>",
        )
        yield settings, pretend


@asynccontextmanager
async def filled(broker: Broker, pretend: Simulator) -> AsyncIterator[dict[str, Any]]:
    """What the ready-file says of the demo, once there is something to see in it.

    While the block runs, `env` in the demo's folder says it to a shell.
    """
    await bootstrap.mark_demo(broker.db)
    with logs.quietly(broker.settings.log_level):
        told = await data.fill(broker, pretend)
    file = broker.settings.data / ENV_FILE
    premises.put(file, _env(broker.base_url, pretend.base_url, told).encode())
    try:
        yield told
    finally:
        file.unlink(missing_ok=True)


def _env(base_url: str, simulator_url: str, told: dict[str, Any]) -> str:
    values = {
        "BASE_URL": base_url,
        "SCIM_URL": told["scim"]["base_url"],
        "SCIM_TOKEN": told["scim"]["token"],
        "API_KEY": told["api_key"]["key"],
        "SIM_URL": simulator_url,
    }
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())


def _own(settings: Settings) -> Settings:
    folder = premises.open_folder(settings.of_the_demo)
    key = premises.kept_key(folder / KEY_FILE, seal.new_key("demo"))
    programs = settings.programs or PROGRAMS
    return settings.with_(data=folder, encryption_keys=SecretStr(key), programs=programs)


@asynccontextmanager
async def _served(port: int) -> AsyncIterator[Simulator]:
    wanted = port + 1 if port else 0
    try:
        context = simulator.serving(port=wanted)
        pretend = await context.__aenter__()
    except OSError:  # somebody else has it
        context = simulator.serving()
        pretend = await context.__aenter__()
    try:
        yield pretend
    finally:
        await context.__aexit__(None, None, None)


def welcome(said: dict[str, Any], broker: str = "broker") -> str:
    """What `make run` prints: where to look, and two calls to try; `broker` is how it was typed."""
    scim, key = said["scim"], said["api_key"]["key"]
    looks = [f"Look around        {broker} admin link"]
    if "admin_link" in said:
        looks = [
            f"Look around        {said['admin_link']}",
            f"A new link         {broker} admin link",
        ]
    lines = [
        f"The broker answers at {said['base_url']}. Ctrl-C ends it.",
        "",
        *looks,
        f"Pretend programs   {said['simulator']}/control",
        f"Pretend mailbox    {said['simulator']}/mailbox",
        "",
        "Push a person, as an identity provider does:",
        f"  curl {scim['base_url']}/Users -H 'Authorization: Bearer {scim['token']}' \\",
        "    -H 'Content-Type: application/scim+json' -d '" + data.PUSHED + "'",
        "",
        "Ask who a flow step runs as:",
        f"  curl {said['base_url']}/v1/resolve -H 'Authorization: Bearer {key}' \\",
        "    -H 'Content-Type: application/json' -d '" + data.ASKED + "'",
    ]
    return "\n".join(lines)
