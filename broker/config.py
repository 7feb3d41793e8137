"""Every setting: its name, its default, its sentence; what is wrong with one, in one line each."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from broker import addresses

PREFIX = "BROKER_"
TESTS = "BROKER_TEST_"  # the test suite's own; a shell that has them can still serve
DOTENV = Path(".env")
EXIT_CONFIG = 78  # EX_CONFIG of sysexits.h
SECRETS = ("database_url", "encryption_keys", "smtp_url")
_ASSIGNMENT = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z_0-9]*)\s*=")


class Misconfigured(Exception):
    """The service must not start like this; one sentence a problem, each with what to do."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Settings(BaseSettings):
    """The settings, each `BROKER_` and its name in capitals; secrets also as `…_FILE`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", frozen=True
    )

    data: Path = Field(
        Path("data"), description="The folder for the database and all that belongs to it."
    )
    database_url: SecretStr | None = Field(
        None,
        description="`sqlite:///path` or `postgresql://…`; else broker.db in the data folder.",
    )
    host: str = Field("127.0.0.1", description="The address the service listens on.")
    port: int = Field(8080, ge=0, le=65535, description="Its port; 0 takes a free one.")
    public_url: str | None = Field(
        None,
        description="The origin people and programs reach the service at, such as"
        " `https://broker.example.com`; by default http://127.0.0.1 with the port.",
    )
    insecure: bool = Field(
        False, description="1 allows a public address without TLS beyond loopback, for a trial."
    )
    encryption_keys: SecretStr | None = Field(
        None,
        description="`kid:base64url of 32 bytes[,kid:…]`: the first key seals, all of them open.",
    )
    egress_allow: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Private networks outbound calls may reach, such as `10.1.0.0/16,192.168.7.4`.",
    )
    relays: Annotated[Mapping[str, str], NoDecode] = Field(
        {},
        description="HTTP proxies connectors may go through, such as `site=http://10.1.0.9:3128`.",
    )
    simulator_url: str | None = Field(
        None, description="The provider simulator's origin; makes the environment Rehearsal."
    )
    schemas: Path | None = Field(
        None,
        description="A folder of JSON with SCIM schemas and resource types of your own.",
    )
    programs: Path | None = Field(
        None, description="A JSON file of programs of your own; docs/programs.md has its keys."
    )
    ccow: bool = Field(
        False, description="1 serves AuthenticateUser as a CCOW form too, at POST /ccow."
    )
    product: str = Field(
        "Smart Flows", min_length=1, description="The name of the flow product, shown on pages."
    )
    smtp_url: SecretStr | None = Field(
        None,
        description="The mail server, `smtp://user:password@host:587` or smtps; else letters wait.",
    )
    smtp_from: str | None = Field(
        None, description="Who letters are from, such as `Acme <flows@acme.example>`."
    )
    rate: int = Field(
        60_000,
        ge=0,
        description="Requests a minute one API key may make of this process; 0 sets no limit.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least serious line that is logged."
    )
    metrics_port: int | None = Field(
        None, ge=0, le=65535, description="The port of /metrics; without it there are none."
    )
    metrics_host: str = Field("127.0.0.1", description="The address /metrics listens on.")
    drain_s: float = Field(
        0.0,
        ge=0,
        le=300,
        description="Seconds between the first failing /readyz and the closed port, at the end.",
    )

    @field_validator("egress_allow", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        parts = value.split(",") if isinstance(value, str) else value
        if not isinstance(parts, list | tuple):
            return value
        return tuple(str(ip_network(str(part).strip())) for part in parts if str(part).strip())

    @field_validator("relays", mode="before")
    @classmethod
    def _relays(cls, value: object) -> object:
        return addresses.relays(value) if isinstance(value, str) else value

    @field_validator("public_url", "simulator_url")
    @classmethod
    def _origin(cls, value: str | None, info: ValidationInfo) -> str | None:
        return None if value is None else addresses.origin(value, example=str(info.field_name))

    @field_validator("database_url")
    @classmethod
    def _engine(cls, value: SecretStr | None) -> SecretStr | None:
        known = ("sqlite:///", "postgresql://", "postgres://")
        if value is not None and not value.get_secret_value().startswith(known):
            raise ValueError("a database is sqlite:///path or postgresql://…")
        return value

    @property
    def database(self) -> str:
        """The database's URL."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.data / 'broker.db'}"

    @property
    def of_the_demo(self) -> Path:
        """The folder that a demo keeps to itself, below the data folder."""
        return self.data / "demo"

    def with_(self, **changes: object) -> Settings:
        """The same settings with some of them as a caller of this process wants them."""
        return self.model_copy(update=changes)

    @property
    def sqlite_path(self) -> Path | None:
        """The database's file; None where a server holds it."""
        prefix = "sqlite:///"
        if not self.database.startswith(prefix):
            return None
        return Path(self.database.removeprefix(prefix))


def load(dotenv: Path = DOTENV, **said: Any) -> Settings:
    """The settings of this process, `said` on the command line first; Misconfigured otherwise."""
    given = _given(dotenv)
    problems = [*_unknown(given), *_open_dotenv(given, dotenv)]
    secrets, troubles = _secret_files(given)
    problems += troubles
    said = {name: value for name, value in said.items() if value is not None}
    try:
        settings = Settings(_env_file=dotenv, **(secrets | said))  # type: ignore[call-arg]  # pydantic-settings' own keyword, unknown to mypy
    except ValidationError as error:
        raise Misconfigured(*problems, *_invalid(error, given)) from None
    problems += _public_address(settings, given)
    if problems:
        raise Misconfigured(*problems)
    return settings


def environment(settings: Settings) -> dict[str, str]:
    """The environment of a child process that works on the same database."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    said = {
        "DATA": str(settings.data),
        "DATABASE_URL": settings.database,
        "DATABASE_URL_FILE": "",  # whatever `.env` says of it
        "LOG_LEVEL": settings.log_level,
    }
    return kept | {PREFIX + name: value for name, value in said.items()}


def _given(dotenv: Path) -> Mapping[str, tuple[str, str]]:
    """Each `BROKER_…` that somebody set: its value, and where that was."""
    given: dict[str, tuple[str, str]] = {}
    if dotenv.is_file():
        for number, line in enumerate(dotenv.read_text().splitlines(), start=1):
            found = _ASSIGNMENT.match(line)
            if found and found[1].upper().startswith(PREFIX):
                value = line[found.end() :].strip().strip("'\"")
                given[found[1].upper()] = value, f"from {dotenv}, line {number}"
    for name, value in os.environ.items():
        if name.upper().startswith(PREFIX):
            given[name.upper()] = value, "from the environment"
    return {name: told for name, told in given.items() if not name.startswith(TESTS)}


def _unknown(given: Mapping[str, tuple[str, str]]) -> Iterator[str]:
    """A misspelt setting would silently do nothing, so it ends the start."""
    known = {_name(field) for field in Settings.model_fields}
    known |= {f"{_name(field)}_FILE" for field in SECRETS}
    for name, (_, source) in given.items():
        if name not in known:
            near = get_close_matches(name, sorted(known), 1, 0.6)
            hint = f"did you mean {near[0]}?" if near else "docs/operating.md lists them all."
            yield f"There is no setting {name} ({source}); {hint}"


def _open_dotenv(given: Mapping[str, tuple[str, str]], dotenv: Path) -> Iterator[str]:
    source = given.get(_name("encryption_keys"), ("", ""))[1]
    if str(dotenv) in source and (mode := dotenv.stat().st_mode & 0o777) & 0o077:
        yield (
            f"{dotenv} holds BROKER_ENCRYPTION_KEYS and others can read it"
            f" (mode {mode:04o}); run: chmod 600 {dotenv}"
        )


def _secret_files(given: Mapping[str, tuple[str, str]]) -> tuple[dict[str, str], list[str]]:
    """The secrets whose `…_FILE` names a file, and what is wrong with those files."""
    secrets: dict[str, str] = {}
    problems: list[str] = []
    for field in SECRETS:
        name = _name(field)
        value, source = given.get(f"{name}_FILE", ("", ""))
        if not value:
            continue
        if given.get(name, ("", ""))[0]:
            problems.append(f"{name} and {name}_FILE ({source}) are both set; keep one of them.")
            continue
        try:
            secrets[field] = Path(value).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not text"
            problems.append(
                f"{name}_FILE is {value} ({source}), but: {why}. Name a file we can read."
            )
            continue
        if field == "encryption_keys" and (open_to := readable_by_others(Path(value))):
            problems.append(f"{name}_FILE is {value} ({source}), and {open_to}")
    return secrets, problems


def readable_by_others(path: Path) -> str | None:
    """Who else can read a key file, with the remedy; None where nobody can (safety 38).

    A group may read a file that another user owns: that is how an orchestrator hands a secret to
    a service that is not root (docs/decisions/0010).
    """
    found = path.stat()
    mode = found.st_mode & 0o777
    if mode & 0o007 or (mode & 0o070 and found.st_uid == os.geteuid()):
        return f"others can read it (mode {mode:04o}); run: chmod 600 {path}"
    return None


def _invalid(error: ValidationError, given: Mapping[str, tuple[str, str]]) -> Iterator[str]:
    """Pydantic's errors as our lines: no link, no type, and no value of a secret."""
    for detail in error.errors(include_url=False, include_context=False):
        field = str(detail["loc"][0])
        value, source = given.get(_name(field), (str(detail["input"]), "from the command line"))
        shown = "set" if field in SECRETS else value
        why = detail["msg"].removeprefix("Value error, ")
        yield f"{_name(field)} is {shown} ({source}), but: {why}. {_sentence(field)}"


def _public_address(settings: Settings, given: Mapping[str, tuple[str, str]]) -> Iterator[str]:
    """https, except on this machine or where a trial says otherwise: tokens travel by it."""
    url = settings.public_url
    if url is None or url.startswith("https://") or settings.insecure:
        return
    if not addresses.is_loopback(urlsplit(url).hostname or ""):
        source = given.get(_name("public_url"), ("", "from the command line"))[1]
        yield (
            f"BROKER_PUBLIC_URL is {url} ({source}), but cookies and OAuth callbacks need https."
            " Put TLS in front and use https://…, or set BROKER_INSECURE=1 for a trial."
        )


def _name(field: str) -> str:
    return PREFIX + field.upper()


def _sentence(field: str) -> str:
    return Settings.model_fields[field].description or ""
