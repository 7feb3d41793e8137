"""What a process stands on before any service: its database, keys, hashes, schemas, address."""

import os

from broker.config import Misconfigured, Settings
from broker.db import revision, sqlite
from broker.db.database import Clock, Database, system_clock
from broker.db.seal import Hasher, Seal, Unreadable, keys_from
from broker.store import connectors, installation
from providers import custom
from providers.custom import Custom
from providers.registry import BUILT_IN, Registry
from scim.schema import Catalogue

HASH_KEY = "hash-key"
HASH_PLACE = ("", "installation", HASH_KEY, "value")
DEMO_MARK = "demo"
BASE_URL = "base-url"
MAKE_A_KEY = '(umask 077; echo "k1:$(head -c 32 /dev/urandom | base64 | tr -- +/ -_)" > broker.key)'


def catalogue(settings: Settings) -> Catalogue:
    """What SCIM serves: the standard, and what the deployment's own files add to it."""
    if settings.schemas is None:
        return Catalogue.standard()
    from scim import additions  # brings scim2-models: 0.7 s that nobody else should wait for

    try:
        return additions.catalogue(settings.schemas)
    except additions.Unusable as error:
        raise Misconfigured(*(f"BROKER_SCHEMAS: {each}" for each in error.problems)) from None


def programs_of(settings: Settings) -> tuple[Custom, ...]:
    """The programs the deployment's own file describes."""
    if settings.programs is None:
        return ()
    try:
        return custom.load(settings.programs, taken=BUILT_IN)
    except custom.Unusable as error:
        raise Misconfigured(*(f"BROKER_PROGRAMS: {each}" for each in error.problems)) from None


async def require_programs(db: Database, registry: Registry) -> None:
    """Misconfigured where there are connectors of a type that nothing here speaks to any more."""
    used = await db.read(connectors.in_use)
    gone = [(type, count) for type, count in used.items() if registry.find(type) is None]
    if gone:
        raise Misconfigured(
            *(
                f"BROKER_PROGRAMS describes no program {type}, and connectors of that type are"
                f" there: {count}. Bring it back, delete them, then remove it."
                for type, count in gone
            )
        )


async def database_of(settings: Settings, clock: Clock = system_clock) -> Database:
    """The database the settings name; Unavailable where nobody answers, Misconfigured where
    there is nothing to open.
    """
    if (path := settings.sqlite_path) is not None:
        try:
            return await sqlite.connect(path, clock=clock)
        except OSError as error:
            raise Misconfigured(
                f"The database {path} cannot be opened: {error.strerror}."
                " BROKER_DATABASE_URL or BROKER_DATA says where it is."
            ) from None
    try:
        from broker.db import postgres  # its driver is an extra, and SQLite needs none
    except ImportError:
        raise Misconfigured(
            "BROKER_DATABASE_URL names a PostgreSQL, and its driver is not installed;"
            " install the extra `postgres`."
        ) from None
    return await postgres.connect(settings.database, clock=clock)


async def revision_of(db: Database, settings: Settings) -> str | None:
    """The revision the database is at; None where it was never migrated."""
    return await db.read(revision.found, sqlite=settings.sqlite_path is not None)


def is_behind(at: str | None) -> bool:
    """Whether a database has to be migrated before this code can use it."""
    return at is None or at < revision.newest()


async def is_demo(db: Database) -> bool | None:
    """Whether a migrated database holds demo data; None where it holds nothing yet."""
    if await db.read(installation.find, DEMO_MARK) is not None:
        return True
    return None if await db.read(installation.find, HASH_KEY) is None else False


async def mark_demo(db: Database) -> None:
    """Say for good that this database holds demo data (safety 39)."""
    await db.write(installation.keep, DEMO_MARK, b"1")


async def remember_base_url(db: Database, base_url: str) -> None:
    """Where this service answers, for commands beside it that were not told."""
    await db.write(installation.put, BASE_URL, base_url.encode())


async def base_url_of(db: Database, settings: Settings) -> str:
    """Where the service of a database answers: as set, else as the last one that served it said."""
    if settings.public_url is not None:
        return settings.public_url
    kept = await db.read(installation.find, BASE_URL)
    return kept.decode() if kept else f"http://127.0.0.1:{settings.port}"


def seal_of(settings: Settings) -> Seal:
    if settings.encryption_keys is None:
        raise Misconfigured(
            "BROKER_ENCRYPTION_KEYS is not set, and nothing starts without a key. Make one:"
            f" {MAKE_A_KEY}; set BROKER_ENCRYPTION_KEYS_FILE=broker.key and keep a copy elsewhere."
            " To look around first: broker serve --demo."
        )
    try:
        return Seal(keys_from(settings.encryption_keys.get_secret_value()))
    except ValueError as error:
        raise Misconfigured(f"BROKER_ENCRYPTION_KEYS is set, but {error}.") from None


async def hasher_of(db: Database, seal: Seal) -> Hasher:
    """The installation's hashes: one random key, sealed in a row for all replicas."""
    kept = await db.read(installation.find, HASH_KEY)
    if kept is None:
        kept = await db.write(installation.keep, HASH_KEY, seal.seal(os.urandom(32), *HASH_PLACE))
    try:
        return Hasher(seal.open(kept, *HASH_PLACE))
    except Unreadable as error:
        raise Misconfigured(
            f"BROKER_ENCRYPTION_KEYS does not open this database: {error}. Add the key it was"
            " sealed with; keys of old stay in the list until nothing is sealed with them."
        ) from None
