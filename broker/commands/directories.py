"""The commands for directories: what an administrator does on their pages, from a terminal."""

from pathlib import Path
from typing import Any

import click

from broker.commands.operating import BY, Said, dated, id_of, listed, operators
from broker.domain.callers import Caller, Kind
from broker.domain.clock import rfc3339
from broker.domain.directories import Absent, Schedule
from broker.service.configuring import TOLERANCES, DirectoryView
from broker.service.configuring import Said as Told
from broker.service.scheduling import ScheduleView
from broker.service.sourcing import SourceSaid
from broker.store.projects import Project
from broker.wiring import Broker

NONE = "none"
directory = click.Group()
tolerance = click.Choice(TOLERANCES)


@directory.command("list")
@operators
async def list_directories(broker: Broker, project: Project) -> Said:
    """Show every directory."""
    found = [view.directory for view in await broker.configuring.directories(project.id)]
    shown = [
        {
            "id": one.id,
            "name": one.name,
            "state": one.state,
            "base_url": broker.hosting.scim(one.id),
        }
        for one in found
    ]
    return listed(shown, lambda one: f"{one['name']}  {one['state']}")


@directory.command("add")
@click.argument("name")
@click.option(
    "--window-s", default=300, show_default=True, help="The silence, in seconds, that ends a run."
)
@click.option(
    "--tolerance",
    type=tolerance,
    default="standard",
    show_default=True,
    help="How much of an identity provider's dialect is accepted.",
)
@operators
async def add_directory(
    broker: Broker, project: Project, name: str, window_s: int, tolerance: str
) -> Said:
    """Make a directory; prints its SCIM base URL and token, once."""
    made, token = await broker.configuring.add(
        project.id, name, by=BY, tolerance=tolerance, window_s=window_s
    )
    words = f"SCIM base URL  {broker.hosting.scim(made.id)}\nToken          {token}"
    return _pushed(broker, made.id, token, f"{words}\nThe token is shown this once.")


@directory.command("set")
@click.argument("directory")
@click.option("--name", help="Another name.")
@click.option("--window-s", type=int, help="The silence, in seconds, that ends a run.")
@click.option("--tolerance", type=tolerance)
@click.option("--percent", type=int, help="The share of people one run may end by itself.")
@click.option("--least", type=int, help="As many people it always may.")
@click.option("--absent", type=click.Choice([*Absent]), help="What becomes of who is missing.")
@operators
async def set_directory(
    broker: Broker,
    project: Project,
    directory: str,
    name: str | None,
    window_s: int | None,
    tolerance: str | None,
    percent: int | None,
    least: int | None,
    absent: str | None,
) -> Said:
    """Edit a directory (dir_…); what is not said stays as it is."""
    limits = {"percent": percent, "least": least}
    told = Told(
        name=name,
        window_s=window_s,
        tolerance=tolerance,
        holding={each: value for each, value in limits.items() if value is not None} or None,
        absent=Absent(absent) if absent else None,
    )
    return _shown(await broker.configuring.change(_operator(project), directory, told), "set")


@directory.command("source")
@click.argument("directory")
@click.argument("kind")
@click.option("--field", "fields", nargs=2, multiple=True, metavar="NAME VALUE")
@click.option(
    "--secret-file",
    "secrets",
    nargs=2,
    multiple=True,
    type=(str, click.Path(exists=True, path_type=Path)),
    metavar="NAME PATH",
    help="A protected field: its name, and the file that holds it.",
)
@operators
async def set_source(
    broker: Broker,
    project: Project,
    directory: str,
    kind: str,
    fields: tuple[tuple[str, str], ...],
    secrets: tuple[tuple[str, Path], ...],
) -> Said:
    """Read a directory (dir_…) from a source of this KIND: scim, entra, or `none`."""
    typed = dict(fields) | {name: path.read_text().strip() for name, path in secrets}
    told = Told(source=None if kind == NONE else SourceSaid(kind, typed))
    return _shown(await broker.configuring.change(_operator(project), directory, told), "set")


@directory.command("disable")
@click.argument("directory")
@operators
async def disable(broker: Broker, project: Project, directory: str) -> Said:
    """Refuse its pushes with 503 and begin no runs, until it is enabled; nothing is lost."""
    return _shown(await broker.configuring.disable(_operator(project), directory), "disabled")


@directory.command("enable")
@click.argument("directory")
@operators
async def enable(broker: Broker, project: Project, directory: str) -> Said:
    """Take its pushes again."""
    return _shown(await broker.configuring.enable(_operator(project), directory), "enabled")


@directory.command("sync")
@click.argument("directory")
@operators
async def sync(broker: Broker, project: Project, directory: str) -> Said:
    """Sync now; the run is done by a running service."""
    run = await broker.starting.sync(_operator(project), directory)
    return Said({"run": run.id, "kind": run.kind}, f"{run.id} ({run.kind}) has begun.")


@directory.command("schedule")
@click.argument("directory")
@click.argument("cron", required=False)
@click.option("--zone", default="UTC", show_default=True, help="Such as Europe/Berlin.")
@click.option("--jitter-s", default=0, show_default=True, help="Up to so many seconds later.")
@operators
async def schedule(
    broker: Broker, project: Project, directory: str, cron: str | None, zone: str, jitter_s: int
) -> Said:
    """Sync by this CRON text from now on, or by `none`; without it, show the schedule."""
    if cron is None:
        return _scheduled(await broker.scheduling.get(project.id, directory))
    schedule = None if cron == NONE else Schedule(cron, zone, jitter_s)
    changed = await broker.scheduling.change(_operator(project), directory, schedule)
    return _scheduled(changed)


@directory.command("delete")
@click.argument("directory")
@click.option("--name", help="Its name, typed once more; without it, what would end is shown.")
@operators
async def delete(broker: Broker, project: Project, directory: str, name: str | None) -> Said:
    """Delete a directory (dir_…) for good; its people stay, and are detached."""
    would = await broker.removing.affected(_operator(project), directory)
    ends = ", ".join(f"{count} {what}" for what, count in would.items())
    if name is None:
        words = f"{directory} has {ends}. Say its --name to delete it for good."
        return Said({"id": directory, "deleted": False, "would": would}, words)
    await broker.removing.delete(_operator(project), directory, name)
    words = f"{directory} is deleted ({ends}); its people are detached."
    return Said({"id": directory, "deleted": True, "would": would}, words)


@directory.group("token")
def token() -> None:
    """SCIM tokens: two may live while one replaces the other."""


@token.command("list")
@click.argument("directory")
@operators
async def list_tokens(broker: Broker, project: Project, directory: str) -> Said:
    """Show the tokens of a directory (dir_…), and when each was last used."""
    view = await broker.configuring.directory(project.id, directory)
    shown = [dated(dict(each)) for each in view.tokens]
    return listed(shown, lambda one: f"last used {one['last_used_at'] or 'never'}")


@token.command("add")
@click.argument("directory")
@operators
async def add_token(broker: Broker, project: Project, directory: str) -> Said:
    """Make another token of a directory (dir_…); shown once."""
    token = await broker.configuring.add_token(project.id, directory, by=BY)
    words = f"Token  {token}\nIt is shown this once; revoke the old one when nobody uses it."
    return _pushed(broker, directory, token, words)


@token.command("revoke")
@click.argument("token")
@operators
async def revoke_token(broker: Broker, project: Project, token: str) -> Said:
    """End a token: its id (tok_…), or the token itself."""
    token = id_of(token, "tok", "brs")
    await broker.callers.revoke_token(project.id, token, by=BY)
    return Said({"id": token, "revoked": True}, f"{token} is revoked.")


def _operator(project: Project) -> Caller:
    return Caller(Kind.ADMINISTRATOR, project.id, BY)


def _shown(view: DirectoryView, what: str) -> Said:
    """A directory that was changed; what is protected of its source says only that it is there."""
    one = view.directory
    shown = {"id": one.id, "name": one.name, "state": one.state, "source": view.source}
    return Said(shown, f"Directory {one.name} is {what}.")


def _scheduled(view: ScheduleView) -> Said:
    times = [rfc3339(at) for at in view.next]
    words = "\n".join([view.sentence or "It syncs only when somebody asks.", *times])
    return Said({"sentence": view.sentence, "next": times}, words)


def _pushed(broker: Broker, directory: str, token: str, words: str) -> Said:
    """What an identity provider needs to push to a directory."""
    scim: dict[str, Any] = {"base_url": broker.hosting.scim(directory), "token": token}
    return Said({"directory": directory, "scim": scim}, words)
