"""The command line; each command imports its own needs, so that a health check costs little."""

import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

JSON = click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")


def main() -> None:
    """Run a command; exit 78 where a setting is wrong, 1 where the command cannot be done."""
    sys.exit(run())


def run(words: list[str] | None = None) -> int:
    """The exit status of a command line."""
    try:
        group.main(words, prog_name="broker", standalone_mode=False)
    except click.Abort:
        return 130
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.exceptions.Exit as error:
        return error.exit_code
    except Exception as error:
        return _complaint(error)
    return 0


def _complaint(error: Exception) -> int:
    """Say what is wrong and what to do; anything unforeseen is raised as it is."""
    from broker.config import EXIT_CONFIG, Misconfigured
    from broker.db.database import Unavailable
    from broker.domain.errors import BrokerError

    if isinstance(error, Misconfigured):
        click.echo(str(error), err=True)
        return EXIT_CONFIG
    if isinstance(error, BrokerError):
        click.echo(" ".join(filter(None, (str(error), error.next))), err=True)
        return 1
    if type(error).__name__ == "Locked":  # of broker.db.migrate, not imported for every complaint
        click.echo(f"{error}; nothing was changed.", err=True)
        return 1
    if isinstance(error, Unavailable):
        click.echo(f"The database does not answer: {error}. Is it running?", err=True)
        return 1
    raise error


class Later(click.Group):
    """A group of commands that are imported once one of them is asked for."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Their names."""
        return self._group().list_commands(context)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """The one of that name."""
        return self._group().get_command(context, name)

    def _group(self) -> click.Group:
        from broker.commands import data

        return data.GROUPS[self.name or ""]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="identity-broker", prog_name="broker")
def group() -> None:
    """The identity broker: who is here, and who a flow step runs as."""


@group.command()
@click.option("--host", help="The address to listen on (BROKER_HOST).")
@click.option("--port", type=int, help="The port; 0 takes a free one (BROKER_PORT).")
@click.option(
    "--demo", is_flag=True, help="Serve invented people and pretend programs, here alone."
)
@click.option("--ready-file", type=click.Path(path_type=Path), help="Written once it answers.")
@click.option("--no-worker", is_flag=True, help="Leave background work to `broker work`.")
@click.option("--no-migrate", is_flag=True, help="Refuse to start on an older database.")
@JSON
def serve(
    host: str | None,
    port: int | None,
    demo: bool,
    ready_file: Path | None,
    no_worker: bool,
    no_migrate: bool,
    as_json: bool,
) -> None:
    """Serve until SIGTERM; migrates the database first."""
    from broker import config, server

    settings = config.load(host=host, port=port)
    if demo:
        server.may_demo(settings)
    server.serve(
        server.Asked(
            settings=settings,
            ready_file=ready_file,
            with_demo=demo,
            with_worker=not no_worker,
            may_migrate=not no_migrate,
            told=_told(as_json, demo),
        )
    )


@group.command()
@JSON
def work(as_json: bool) -> None:
    """Do background work alone, beside `serve --no-worker`, until SIGTERM."""
    from broker import config, server

    server.work(config.load())
    _say({"done": True}, "", as_json)


@group.command()
@click.option("--check", is_flag=True, help="Only look; exit 1 where it is behind.")
@JSON
def migrate(check: bool, as_json: bool) -> None:
    """Bring the database to the newest revision; a lock keeps others waiting."""
    from broker import config
    from broker.commands import migrating

    found = migrating.state(settings := config.load())
    if check:
        _say(found.json, found.words, as_json)
        sys.exit(1 if found.is_behind else 0)
    if found.is_behind:
        found = migrating.done(settings)
    _say(found.json, found.words, as_json)


@group.command()
@click.option("--host", envvar="BROKER_HOST", help="Where it listens (BROKER_HOST).")
@click.option(
    "--port",
    type=int,
    envvar="BROKER_PORT",
    help="Its port (BROKER_PORT); else the one `serve` took last on this data folder.",
)
@JSON
def healthcheck(host: str | None, port: int | None, as_json: bool) -> None:
    """Exit 0 where the service on this machine lives."""
    from http.client import HTTPConnection

    if port is None or (host is None and Path(".env").is_file()):
        from broker.commands import living

        host, port = living.address(host, port)
    host = host or "127.0.0.1"
    where = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    connection = HTTPConnection(where, port, timeout=4)
    try:
        connection.request("GET", "/healthz")
        status = connection.getresponse().status
    except OSError as error:
        _say({"alive": False}, f"Nobody answers on {where}:{port}: {error.strerror}", as_json)
        sys.exit(1)
    finally:
        connection.close()
    words = f"{where}:{port} is alive" if status == 200 else f"{where}:{port} answers {status}"
    _say({"alive": status == 200}, words, as_json)
    sys.exit(0 if status == 200 else 1)


group.add_command(
    Later("project", help="Projects, and the identity provider each of them believes.")
)
group.add_command(
    Later("directory", help="Identity providers that push people here, and their tokens.")
)
group.add_command(Later("apikey", help="The keys that internal services call with."))
group.add_command(Later("admin", help="Administrators."))
group.add_command(Later("seal", help="Encryption keys: which are in use, and a new one for all."))


def _told(as_json: bool, demo: bool) -> Callable[[dict[str, Any]], None]:
    """How `serve` says that it answers; a set-up link only on a terminal (safety 38)."""

    def tell(said: dict[str, Any]) -> None:
        if not sys.stdout.isatty():
            said = {name: value for name, value in said.items() if name != "admin_link"}
        if as_json:
            click.echo(json.dumps(said))
        elif demo:
            from broker.demo import start

            click.echo(start.welcome(said, _typed()))
        elif "admin_link" in said:
            click.echo(f"Become an administrator, once, within 15 minutes: {said['admin_link']}")

    return tell


def _typed() -> str:
    """How this command was started, for whoever is to type it again."""
    program = sys.argv[0]
    if Path(program).name == "__main__.py":
        return shlex.join([sys.executable, "-m", "broker"])
    return shlex.quote(program)


def _say(said: Any, words: str, as_json: bool) -> None:
    click.echo(json.dumps(said) if as_json else words)
