"""Nothing sealed is forgotten when the key changes: the table of sealed columns is the schema's."""

from __future__ import annotations

from collections import Counter

from sqlalchemy import LargeBinary

from broker.db.schema import SEALED, metadata
from broker.service.sealing import KEPT

OPEN = {
    "records.raw",
    "replays.answer",  # never one that holds a secret (safety 33)
    "resources.document",
    "resources.extras",
    "users.profile",
}
"""Columns of bytes that are no secret: what a directory said, what was answered."""


def test_every_sealed_column_is_rotated() -> None:
    """Promise 15: each column the schema calls sealed is in the table once, and no other."""
    declared = {
        f"{table.name}.{column.name}"
        for table in metadata.tables.values()
        for column in table.columns
        if column.info == SEALED
    }
    assert Counter(kept.column.words for kept in KEPT) == dict.fromkeys(declared, 1)


def test_every_column_of_bytes_is_sealed_or_known() -> None:
    """R45: bytes that are kept are sealed, unless it is written down that they are no secret."""
    bytes_ = {
        f"{table.name}.{column.name}"
        for table in metadata.tables.values()
        for column in table.columns
        if isinstance(column.type, LargeBinary) and column.info != SEALED
    }
    assert bytes_ == OPEN


def test_rows_are_found_by_their_key() -> None:
    """A batch goes on behind the last row of the one before: its order is the primary key's."""
    for kept in KEPT:
        table = metadata.tables[kept.column.table]
        assert kept.column.key == tuple(column.name for column in table.primary_key.columns)
