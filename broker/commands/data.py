"""The commands that show or change data, beside a running service on the same database."""

from pathlib import Path
from typing import Any

import click

from broker.commands.directories import directory
from broker.commands.operating import BY, Said, dated, id_of, listed, operators
from broker.commands.sealing import seal
from broker.domain.callers import SCOPES, Caller, Kind
from broker.service.projects import UNSAID, SignIn
from broker.store.projects import Project
from broker.wiring import Broker

UNLIMITED = "unlimited"

project, apikey, admin = click.Group(), click.Group(), click.Group()
GROUPS = {
    "project": project,
    "directory": directory,
    "apikey": apikey,
    "admin": admin,
    "seal": seal,
}


def capacity_of(_: click.Context, __: click.Parameter, typed: str | None) -> int | str | None:
    """A capacity as typed: a number, or the word for no limit; None where nothing was said."""
    if typed is None or typed == UNLIMITED:
        return typed
    if not typed.isdecimal():
        raise click.BadParameter(f"{typed} is neither a number nor {UNLIMITED}.")
    return int(typed)


@project.command("list")
@operators
async def list_projects(broker: Broker, _: Project) -> Said:
    """Show every project."""
    shown = [_project(each) for each in await broker.projects.every()]
    return listed(shown, lambda one: f"{one['name']}  {one['oidc_issuer'] or '-'}")


@project.command("add")
@click.argument("name")
@operators
async def add_project(broker: Broker, _: Project, name: str) -> Said:
    """Make a project with unlimited licenses."""
    made = await broker.projects.add(name, by=BY)
    return Said(_project(made), f"Project {made.name} is {made.id}.")


@project.command("set")
@click.option("--oidc-issuer", help="The one issuer whose sign-ins are believed.")
@click.option("--oidc-client-id", help="Our client id there.")
@click.option("--oidc-secret-file", type=click.Path(exists=True, path_type=Path))
@click.option("--oidc-claim", help="A claim that never changes, as in oid=externalId; '' for none.")
@click.option(
    "--capacity", callback=capacity_of, help=f"How many licenses there are, or {UNLIMITED}."
)
@operators
async def set_project(
    broker: Broker,
    project: Project,
    oidc_issuer: str | None,
    oidc_client_id: str | None,
    oidc_secret_file: Path | None,
    oidc_claim: str | None,
    capacity: int | str | None,
) -> Said:
    """Change a project; what is not said stays as it is."""
    sign_in = None
    if oidc_issuer or oidc_client_id or oidc_secret_file or oidc_claim:
        if not (oidc_issuer and oidc_client_id):
            raise click.UsageError("--oidc-issuer and --oidc-client-id belong together.")
        secret = oidc_secret_file.read_text().strip() if oidc_secret_file else None
        claim = UNSAID if oidc_claim is None else oidc_claim or None
        sign_in = SignIn(oidc_issuer, oidc_client_id, secret, claim)
    had_secret, dropped = project.oidc_secret is not None, ""
    if sign_in is not None:
        project = await broker.projects.change(project.id, by=BY, sign_in=sign_in)
    if had_secret and project.oidc_secret is None:
        dropped = " The old client secret was for another issuer or client and is dropped."
    if capacity is not None:
        # Whoever has the machine is an administrator of every project.
        operator = Caller(Kind.ADMINISTRATOR, project.id, BY)
        await broker.licensing.capacity(operator, capacity if isinstance(capacity, int) else None)
    return Said(_project(project), f"Project {project.name} is set.{dropped}")


@apikey.command("list")
@operators
async def list_keys(broker: Broker, project: Project) -> Said:
    """Show every key, without what it is recognized by."""
    shown = [dated(each) for each in await broker.callers.keys(project.id)]
    return listed(
        shown,
        lambda one: (
            f"{one['name']}  {'revoked' if one['revoked_at'] else 'alive'}  "
            + " ".join(one["scopes"])
        ),
    )


@apikey.command("add")
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    help=f"What it may ask; repeat, or use commas. Scopes: {', '.join(sorted(SCOPES))}.",
)
@click.option("--connector", "connectors", multiple=True, help="Limit the key to this connector.")
@click.option("--step-type", "step_types", multiple=True, help="Limit it to this step type.")
@click.option(
    "--evidence",
    nargs=2,
    multiple=True,
    metavar="ISSUER AUDIENCE",
    help="id_tokens it may present to AuthenticateUser.",
)
@click.option("--return-url", "return_urls", multiple=True, help="Where a person may come back to.")
@operators
async def add_key(
    broker: Broker, project: Project, name: str, scopes: tuple[str, ...], **limits: Any
) -> Said:
    """Make a key; shown once."""
    wanted = sorted({scope for given in scopes for scope in given.replace(",", " ").split()})
    id, key = await broker.callers.add_key(project.id, name, wanted, by=BY, **limits)
    words = f"{key}\nIt is shown this once, and may: {' '.join(wanted)}"
    return Said({"id": id, "key": key, "scopes": wanted}, words)


@apikey.command("revoke")
@click.argument("key")
@operators
async def revoke_key(broker: Broker, project: Project, key: str) -> Said:
    """End a key: its id (key_…), or the key itself."""
    key = id_of(key, "key", "brk")
    await broker.callers.revoke_key(project.id, key, by=BY)
    return Said({"id": key, "revoked": True}, f"{key} is revoked.")


@admin.command("link")
@operators
async def admin_link(broker: Broker, project: Project) -> Said:
    """Print a link that makes whoever opens it an administrator: once, within 15 minutes."""
    url = f"{broker.base_url}/setup/{await broker.callers.setup_link(project.id)}"
    return Said({"url": url}, f"{url}\nIt works once, within 15 minutes.")


def _project(project: Project) -> dict[str, Any]:
    return {
        "id": project.id,
        "name": project.name,
        "oidc_issuer": project.oidc_issuer,
        "oidc_client_id": project.oidc_client_id,
        "oidc_client_secret": {"has_value": project.oidc_secret is not None},
        "oidc_claim": project.oidc_claim,
    }
