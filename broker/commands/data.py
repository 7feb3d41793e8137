"""The commands that show or change data, beside a running service on the same database."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from broker.domain.callers import SCOPES

F = TypeVar("F", bound=Callable[..., Any])
UNLIMITED = "unlimited"


def common(command: F) -> F:
    """Every command has a project and answers as JSON where asked."""
    command = click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")(command)
    return click.option(
        "--project", default="default", show_default=True, help="The project's name."
    )(command)


@click.group()
def project() -> None:
    """Tenants, and the identity provider each of them believes."""


@project.command("list")
@common
def project_list(project: str, as_json: bool) -> None:
    """Show every project."""
    from broker.commands import operating

    _do(operating.list_projects(), project, as_json)


@project.command("add")
@click.argument("name")
@common
def project_add(name: str, project: str, as_json: bool) -> None:
    """Make a project with unlimited licenses."""
    from broker.commands import operating

    _do(operating.add_project(name), project, as_json)


@project.command("set")
@click.option("--oidc-issuer", help="The one issuer whose sign-ins are believed.")
@click.option("--oidc-client-id", help="Our client id there.")
@click.option("--oidc-secret-file", type=click.Path(exists=True, path_type=Path))
@click.option("--oidc-claim", help="A claim that never changes, as in oid=externalId; '' for none.")
@click.option("--capacity", help=f"How many licenses there are, or {UNLIMITED}.")
@common
def project_set(
    oidc_issuer: str | None,
    oidc_client_id: str | None,
    oidc_secret_file: Path | None,
    oidc_claim: str | None,
    capacity: str | None,
    project: str,
    as_json: bool,
) -> None:
    """Change a project; what is not said stays as it is."""
    from broker.commands import operating
    from broker.service.projects import UNSAID, SignIn

    sign_in = None
    if oidc_issuer or oidc_client_id or oidc_secret_file or oidc_claim:
        if not (oidc_issuer and oidc_client_id):
            raise click.UsageError("--oidc-issuer and --oidc-client-id belong together.")
        secret = oidc_secret_file.read_text().strip() if oidc_secret_file else None
        claim = UNSAID if oidc_claim is None else oidc_claim or None
        sign_in = SignIn(oidc_issuer, oidc_client_id, secret, claim)
    _do(operating.set_project(sign_in, _number(capacity)), project, as_json)


@click.group()
def directory() -> None:
    """Identity providers that push people here, and their tokens."""


@directory.command("list")
@common
def directory_list(project: str, as_json: bool) -> None:
    """Show every directory."""
    from broker.commands import operating

    _do(operating.list_directories(), project, as_json)


@directory.command("add")
@click.argument("name")
@click.option(
    "--window-s", default=300, show_default=True, help="The silence, in seconds, that ends a run."
)
@click.option(
    "--tolerance",
    type=click.Choice(["standard", "strict"]),
    default="standard",
    show_default=True,
    help="How much of an identity provider's dialect is accepted.",
)
@common
def directory_add(name: str, window_s: int, tolerance: str, project: str, as_json: bool) -> None:
    """Make a directory; prints its SCIM base URL and token, once."""
    from broker.commands import operating

    _do(operating.add_directory(name, window_s, tolerance), project, as_json)


@directory.group("token")
def token() -> None:
    """SCIM tokens: two may live while one replaces the other."""


@token.command("add")
@click.argument("directory")
@common
def token_add(directory: str, project: str, as_json: bool) -> None:
    """Make another token of a directory (dir_…); shown once."""
    from broker.commands import operating

    _do(operating.add_token(directory), project, as_json)


@token.command("revoke")
@click.argument("token")
@common
def token_revoke(token: str, project: str, as_json: bool) -> None:
    """End a token: its id (tok_…), or the token itself."""
    from broker.commands import operating

    _do(operating.revoke_token(token), project, as_json)


@click.group()
def apikey() -> None:
    """The keys that internal services call with."""


@apikey.command("list")
@common
def apikey_list(project: str, as_json: bool) -> None:
    """Show every key, without what it is recognized by."""
    from broker.commands import operating

    _do(operating.list_keys(), project, as_json)


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
@common
def apikey_add(
    name: str,
    scopes: tuple[str, ...],
    connectors: tuple[str, ...],
    step_types: tuple[str, ...],
    evidence: tuple[tuple[str, str], ...],
    return_urls: tuple[str, ...],
    project: str,
    as_json: bool,
) -> None:
    """Make a key; shown once."""
    from broker.commands import operating

    verb = operating.add_key(
        name,
        [scope for given in scopes for scope in given.replace(",", " ").split()],
        connectors=connectors,
        step_types=step_types,
        evidence=evidence,
        return_urls=return_urls,
    )
    _do(verb, project, as_json)


@apikey.command("revoke")
@click.argument("key")
@common
def apikey_revoke(key: str, project: str, as_json: bool) -> None:
    """End a key: its id (key_…), or the key itself."""
    from broker.commands import operating

    _do(operating.revoke_key(key), project, as_json)


@click.group()
def admin() -> None:
    """Administrators."""


@admin.command("link")
@common
def admin_link(project: str, as_json: bool) -> None:
    """Print a link that makes whoever opens it an administrator: once, within 15 minutes."""
    from broker.commands import operating

    _do(operating.admin_link(), project, as_json)


def _do(verb: Any, project: str, as_json: bool) -> None:
    from broker import config, logs
    from broker.commands import operating

    settings = config.load()
    logs.set_up("warning")
    said = operating.answer(settings, project, verb)
    click.echo(json.dumps(said.json) if as_json else said.words)


def _number(capacity: str | None) -> int | str | None:
    """A capacity as typed: a number, None for unlimited, or the word that changes nothing."""
    if capacity is None:
        return "keep"
    if capacity == UNLIMITED:
        return None
    if not capacity.isdecimal():
        raise click.BadParameter(f"{capacity} is neither a number nor {UNLIMITED}.")
    return int(capacity)
