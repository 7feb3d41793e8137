"""`broker healthcheck` where its environment does not say it all: where the service listens."""

import asyncio
from urllib.parse import urlsplit

from broker import config
from broker.config import Settings
from broker.db import revision, sqlite
from broker.db.database import Unavailable
from broker.store import installation

BASE_URL = "base-url"  # as broker/wiring.py keeps it, whose import costs more than the question
HERE = "http://127.0.0.1:"


def address(host: str | None, port: int | None) -> tuple[str, int]:
    """Host and port: as said, as set, or the port that `serve` took last; else the default.

    Misconfigured where a setting is wrong.
    """
    settings = config.load(host=host, port=port)
    if "port" in settings.model_fields_set and settings.port:
        return settings.host, settings.port
    return settings.host, asyncio.run(_remembered(settings)) or settings.port


async def _remembered(settings: Settings) -> int | None:
    """The port in the address that `serve` left; None where a server or nobody keeps one.

    PostgreSQL is not asked: it holds what the last of all replicas said, wherever that one runs.
    """
    if settings.encryption_keys is None and settings.of_the_demo.is_dir():
        settings = settings.with_(data=settings.of_the_demo)
    if (path := settings.sqlite_path) is None or not path.is_file():
        return None
    try:
        db = await sqlite.connect(path)
        try:
            if await db.read(revision.found, sqlite=True) is None:
                return None
            kept = await db.read(installation.find, BASE_URL)
        finally:
            await db.close()
    except (OSError, Unavailable):
        return None
    url = (kept or b"").decode()
    return urlsplit(url).port if url.startswith(HERE) else None
