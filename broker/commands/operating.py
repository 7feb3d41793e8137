"""What an operator asks for at the command line: each verb answers once, as JSON and as words."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from broker import wiring
from broker.config import Misconfigured, Settings
from broker.demo import start as demo
from broker.domain import clock
from broker.domain.callers import Caller, Kind
from broker.domain.directories import Directory
from broker.domain.errors import NotFound
from broker.service.projects import SignIn
from broker.store.projects import Project
from broker.wiring import Broker

BY = "operator"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Said:
    """One answer: for programs, and for people."""

    json: Any
    words: str


Verb = Callable[[Broker, Project], Awaitable[Said]]


def answer(settings: Settings, project: str, verb: Verb) -> Said:
    """What `verb` says of the project of that name, beside whatever serves the database."""
    return asyncio.run(_answer(settings, project, verb))


async def _answer(settings: Settings, project: str, verb: Verb) -> Said:
    async with beside(settings) as broker:
        return await verb(broker, await broker.projects.named(project))


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


def list_projects() -> Verb:
    """Every project, with its identity provider."""

    async def verb(broker: Broker, _: Project) -> Said:
        shown = [_project(each) for each in await broker.projects.every()]
        lines = [f"{each['id']}  {each['name']}  {each['oidc_issuer'] or '-'}" for each in shown]
        return Said(shown, "\n".join(lines))

    return verb


def add_project(name: str) -> Verb:
    """A new project."""

    async def verb(broker: Broker, _: Project) -> Said:
        made = await broker.projects.add(name, by=BY)
        return Said(_project(made), f"Project {made.name} is {made.id}.")

    return verb


def set_project(sign_in: SignIn | None, capacity: int | str | None) -> Verb:
    """The project's identity provider and capacity; what is not said stays."""

    async def verb(broker: Broker, project: Project) -> Said:
        had_secret, dropped = project.oidc_secret is not None, ""
        if sign_in is not None:
            project = await broker.projects.change(project.id, by=BY, sign_in=sign_in)
        if had_secret and project.oidc_secret is None:
            dropped = " The old client secret was for another issuer or client and is dropped."
        if capacity != KEEP:
            given = None if capacity is None else int(capacity)
            await broker.licensing.capacity(_operator(project), given)
        return Said(_project(project), f"Project {project.name} is set.{dropped}")

    return verb


KEEP = "keep"


def list_directories() -> Verb:
    """Every directory of the project."""

    async def verb(broker: Broker, project: Project) -> Said:
        found = await broker.syncing.directories(project.id)
        shown = [_directory(broker, view.directory) for view in found]
        lines = [f"{each['id']}  {each['name']}  {each['state']}" for each in shown]
        return Said(shown, "\n".join(lines))

    return verb


def add_directory(name: str, window_s: int, tolerance: str) -> Verb:
    """A new directory, with the address and the token its identity provider needs."""

    async def verb(broker: Broker, project: Project) -> Said:
        made, token = await broker.syncing.add(
            project.id, name, by=BY, tolerance=tolerance, window_s=window_s
        )
        base_url = _scim(broker, made.id)
        words = f"SCIM base URL  {base_url}\nToken          {token}\nThe token is shown this once."
        return Said({"directory": made.id, "scim": {"base_url": base_url, "token": token}}, words)

    return verb


def add_token(directory: str) -> Verb:
    """One more SCIM token of a directory."""

    async def verb(broker: Broker, project: Project) -> Said:
        token = await broker.syncing.add_token(project.id, directory, by=BY)
        base_url = _scim(broker, directory)
        words = f"Token  {token}\nIt is shown this once; revoke the old one when nobody uses it."
        return Said({"directory": directory, "scim": {"base_url": base_url, "token": token}}, words)

    return verb


def revoke_token(id: str) -> Verb:
    """End a SCIM token: by its id, or by the token itself."""

    async def verb(broker: Broker, project: Project) -> Said:
        token = _id(id, "tok", "brs")
        await broker.callers.revoke_token(project.id, token, by=BY)
        return Said({"id": token, "revoked": True}, f"{token} is revoked.")

    return verb


def list_keys() -> Verb:
    """Every API key of the project."""

    async def verb(broker: Broker, project: Project) -> Said:
        shown = [_dated(each) for each in await broker.callers.keys(project.id)]
        lines = [
            f"{each['id']}  {each['name']}  {'revoked' if each['revoked_at'] else 'alive'}  "
            + " ".join(each["scopes"])
            for each in shown
        ]
        return Said(shown, "\n".join(lines))

    return verb


def add_key(
    name: str,
    scopes: Iterable[str],
    *,
    connectors: Iterable[str] = (),
    step_types: Iterable[str] = (),
    evidence: Iterable[tuple[str, str]] = (),
    return_urls: Iterable[str] = (),
) -> Verb:
    """A new API key."""

    async def verb(broker: Broker, project: Project) -> Said:
        id, key = await broker.callers.add_key(
            project.id,
            name,
            scopes,
            by=BY,
            connectors=connectors,
            step_types=step_types,
            evidence=evidence,
            return_urls=return_urls,
        )
        words = f"{key}\nIt is shown this once, and may: {' '.join(sorted(set(scopes)))}"
        return Said({"id": id, "key": key, "scopes": sorted(set(scopes))}, words)

    return verb


def revoke_key(id: str) -> Verb:
    """End an API key: by its id, or by the key itself."""

    async def verb(broker: Broker, project: Project) -> Said:
        key = _id(id, "key", "brk")
        await broker.callers.revoke_key(project.id, key, by=BY)
        return Said({"id": key, "revoked": True}, f"{key} is revoked.")

    return verb


def admin_link() -> Verb:
    """A one-time link that makes whoever opens it an administrator, for 15 minutes."""

    async def verb(broker: Broker, project: Project) -> Said:
        url = f"{broker.base_url}/setup/{await broker.callers.setup_link(project.id)}"
        return Said({"url": url}, f"{url}\nIt works once, within 15 minutes.")

    return verb


def _id(given: str, prefix: str, credential: str) -> str:
    """`key_…` out of `key_…` or `brk_…_…`, so that what leaked can be pasted and ended."""
    kind, _, rest = given.partition("_")
    if kind not in (prefix, credential) or not rest:
        raise NotFound(f"{prefix}_… is needed, as the list shows it.")
    return f"{prefix}_{rest.partition('_')[0]}"


def _scim(broker: Broker, directory: str) -> str:
    return f"{broker.base_url}/scim/v2/{directory}"


def _operator(project: Project) -> Caller:
    """Whoever has the machine is an administrator of every project."""
    return Caller(Kind.ADMINISTRATOR, project.id, BY)


def _directory(broker: Broker, directory: Directory) -> dict[str, Any]:
    return {
        "id": directory.id,
        "name": directory.name,
        "state": directory.state,
        "base_url": _scim(broker, directory.id),
    }


def _project(project: Project) -> dict[str, Any]:
    return {
        "id": project.id,
        "name": project.name,
        "oidc_issuer": project.oidc_issuer,
        "oidc_client_id": project.oidc_client_id,
        "oidc_client_secret": {"has_value": project.oidc_secret is not None},
        "oidc_claim": project.oidc_claim,
    }


def _dated(row: dict[str, Any]) -> dict[str, Any]:
    """The row with its moments as text."""
    return {
        name: clock.rfc3339(value) if name.endswith("_at") and value is not None else value
        for name, value in row.items()
    }
