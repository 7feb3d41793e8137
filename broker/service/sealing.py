"""Another encryption key: everything sealed is sealed anew, beside whoever works with it."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import orjson

from broker.bootstrap import HASH_KEY, HASH_PLACE
from broker.db.database import Database, Row, Transaction
from broker.db.seal import Seal, Unreadable, key_id
from broker.service import signing
from broker.service.programs import secret_row
from broker.service.projects import secret_place
from broker.store import audit, sealed
from broker.store.sealed import Column

Place = tuple[str, str, str, str]
"""Project, table, row, column: what a value is sealed for."""
AT_ONCE = 200
BREATH_S = 0.005  # between two batches, so that who serves gets at SQLite's one writer
NO_KEY = "?"
"""Stands for the key of what is no sealed value at all."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A sealed column, and what a row of it is sealed for."""

    column: Column
    place: Callable[[Row], Place]


def _row(table: str, name: str, *key: str) -> Kept:
    """The usual place: the row's own project, table, key and column."""

    def place(row: Row) -> Place:
        return row["project_id"], table, row[key[0]], name

    return Kept(Column(table, name, key), place)


def _field(table: str, owner: str) -> Kept:
    """A protected field of a connector or a directory."""

    def place(row: Row) -> Place:
        return row["project_id"], table, secret_row(row[owner], row["field"]), "sealed"

    return Kept(Column(table, "sealed", (owner, "field")), place)


def _leaving(row: Row) -> Place:
    """A token on its way to be revoked stays sealed for the set that it left (K12)."""
    id = str(orjson.loads(row["data"])["token_set"])
    return row["project_id"], "tokens", id, "refresh_token"


KEPT = (
    _row("tokens", "access_token", "id"),
    _row("tokens", "refresh_token", "id"),
    _row("links", "verifier", "id"),
    _row("sign_ins", "verifier", "state_hash"),
    _row("sign_ins", "nonce", "state_hash"),
    _row("webhooks", "secret", "id"),
    _row("webhooks", "old_secret", "id"),
    _field("connector_secrets", "connector_id"),
    _field("directory_secrets", "directory_id"),
    Kept(Column("jobs", "secret", ("id",), ("project_id", "data")), _leaving),
    Kept(
        Column("projects", "oidc_secret", ("id",), ("oidc_issuer",)),
        lambda row: secret_place(row["id"], row["oidc_issuer"]),
    ),
    Kept(Column("projects", "signing_key", ("id",), ()), lambda row: signing.place(row["id"])),
    # the last: until everything else is done, nothing starts without the old key
    Kept(
        Column("installation", "value", ("name",), (), f"name = '{HASH_KEY}'"),
        lambda _: HASH_PLACE,
    ),
)
"""Every sealed column of the schema."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How many values which key has sealed: (`table.column`, key id) -> rows."""

    sealing: str
    known: tuple[str, ...]
    rows: Counter[tuple[str, str]]

    @property
    def keys(self) -> dict[str, int]:
        """Rows by key id: the keys of the ring in their order, then those that are missing."""
        held = dict.fromkeys(self.known, 0)
        for (_, key), count in sorted(self.rows.items()):
            held[key] = held.get(key, 0) + count
        return held

    @property
    def left(self) -> int:
        """How many values another key than the sealing one has sealed."""
        return sum(self.keys.values()) - self.keys[self.sealing]


@dataclass(frozen=True, slots=True)
class Sealing:
    """Changes the key of what is kept; any number of processes may serve, and rotate, meanwhile."""

    db: Database
    seal: Seal

    async def status(self) -> Standing:
        """Which keys are in use; nothing is opened."""
        rows: Counter[tuple[str, str]] = Counter()
        for kept in KEPT:
            async for page in self._pages(kept):
                rows.update((kept.column.words, _key(kept, row)) for row in page)
        return Standing(self.seal.keys[0], self.seal.keys, rows)

    async def rotate(self, *, by: str) -> tuple[int, Standing]:
        """Seal with the first key what others have sealed; how many rows, and what is left.

        A batch is one transaction with its line in the audit: a process that dies has lost at most
        one, and the next one goes on. Left is what no key here opens, and what a process whose
        first key is another one wrote meanwhile.
        """
        done = 0
        for kept in KEPT:
            async for page in self._pages(kept):
                old = [row for row in page if _key(kept, row) != self.seal.keys[0]]
                if old:
                    done += await self.db.write(self._resealing, kept, old, by)
                    await asyncio.sleep(BREATH_S)
        return done, await self.status()

    async def _pages(self, kept: Kept) -> AsyncIterator[list[Row]]:
        page = await self.db.read(sealed.page, kept.column, (), AT_ONCE)
        while page:
            yield page
            last = tuple(page[-1][name] for name in kept.column.key)
            page = await self.db.read(sealed.page, kept.column, last, AT_ONCE)

    def _resealing(self, tx: Transaction, kept: Kept, rows: list[Row], by: str) -> int:
        done = 0
        for row in rows:
            place = kept.place(row)
            try:
                plain = self.seal.open(row[kept.column.name], *place)
            except Unreadable:
                continue
            done += sealed.replace(tx, kept.column, row, self.seal.seal(plain, *place))
        if done:
            where, key = kept.column.words, self.seal.keys[0]
            audit.append(tx, None, by, "seal.rotated", column=where, key=key, rows=done)
        return done


def _key(kept: Kept, row: Row) -> str:
    try:
        return key_id(row[kept.column.name])
    except Unreadable:
        return NO_KEY
