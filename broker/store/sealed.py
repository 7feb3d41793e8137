"""Sealed columns as rows: read in the order of their key, replaced where nobody was quicker."""

from dataclasses import dataclass

from broker.db.database import Row, Transaction


@dataclass(frozen=True, slots=True)
class Column:
    """A sealed column of the whole installation.

    `key` finds a row and orders them; `where` leaves out what is not sealed; `names` are further
    columns that say for which place a value is sealed.
    """

    table: str
    name: str
    key: tuple[str, ...]
    names: tuple[str, ...] = ("project_id",)
    where: str = "1 = 1"

    @property
    def words(self) -> str:
        """`table.column`."""
        return f"{self.table}.{self.name}"


def page(tx: Transaction, column: Column, after: tuple[str, ...], limit: int) -> list[Row]:
    """The next rows that hold a value, behind the key `after`; from the first where it is empty."""
    names = ", ".join(dict.fromkeys((*column.key, *column.names, column.name)))
    key, behind = ", ".join(column.key), ", ".join(f":{name}" for name in column.key)
    sql = f"""
        SELECT {names} FROM {column.table}
         WHERE {column.name} IS NOT NULL AND {column.where} AND ({key}) > ({behind})
         ORDER BY {key} LIMIT :limit
    """
    start = dict(zip(column.key, after or ("",) * len(column.key), strict=True))
    return tx.all(sql, limit=limit, **start)


def replace(tx: Transaction, column: Column, row: Row, sealed: bytes) -> bool:
    """Put another value in the place of the one that was read; False where it changed meanwhile."""
    key = " AND ".join(f"{name} = :{name}" for name in column.key)
    sql = f"""
        UPDATE {column.table} SET {column.name} = :sealed
         WHERE {key} AND {column.name} = :before
        RETURNING {column.key[0]}
    """
    found = {name: row[name] for name in column.key}
    return tx.find(sql, sealed=sealed, before=row[column.name], **found) is not None
