"""Application logons: exact in case, one a person and suffix; suffixes are declared first."""

from broker.db.database import Transaction


def of_user(tx: Transaction, project: str, user_id: str) -> dict[str, str]:
    """The person's logons by suffix."""
    sql = """
        SELECT suffix, value FROM logons
         WHERE project_id = :project AND user_id = :user ORDER BY suffix
    """
    found = tx.all(sql, project=project, user=user_id)
    return {row["suffix"]: row["value"] for row in found}


def of_suffix(tx: Transaction, project: str, user_id: str, suffix: str) -> str | None:
    """The person's logon of a suffix, in whatever case that is spelt."""
    key = suffix.casefold()
    found = of_user(tx, project, user_id)
    return next((value for name, value in found.items() if name.casefold() == key), None)


def put(tx: Transaction, project: str, user_id: str, suffix: str, value: str) -> bool:
    """Give the person this logon; False where somebody else has it (safety 9)."""
    sql = """
        DELETE FROM logons
         WHERE project_id = :project AND user_id = :user AND suffix = :suffix AND value <> :value
    """
    tx.run(sql, project=project, user=user_id, suffix=suffix, value=value)
    sql = """
        INSERT INTO logons (project_id, suffix, value, user_id)
        VALUES (:project, :suffix, :value, :user)
        ON CONFLICT DO NOTHING
    """
    tx.run(sql, project=project, suffix=suffix, value=value, user=user_id)
    return of_user(tx, project, user_id).get(suffix) == value


def drop(tx: Transaction, project: str, user_id: str, suffix: str) -> None:
    """Take this logon away from the person."""
    sql = """
        DELETE FROM logons
         WHERE project_id = :project AND user_id = :user AND suffix = :suffix
    """
    tx.run(sql, project=project, user=user_id, suffix=suffix)


def erase_all(tx: Transaction, project: str, user_id: str) -> None:
    """The person was deleted: nobody has these logons any more (safety 7)."""
    sql = "DELETE FROM logons WHERE project_id = :project AND user_id = :user"
    tx.run(sql, project=project, user=user_id)


def declare(tx: Transaction, project: str, suffix: str) -> str:
    """Declare a suffix; its first spelling, where it was declared in another case (safety 9)."""
    sql = """
        INSERT INTO suffixes (project_id, suffix_key, suffix) VALUES (:project, :key, :suffix)
        ON CONFLICT DO NOTHING
    """
    tx.run(sql, project=project, key=suffix.casefold(), suffix=suffix)
    return declared(tx, project)[suffix.casefold()]


def declared(tx: Transaction, project: str) -> dict[str, str]:
    """The suffixes of the project, as they are spelt, by their casefolded key."""
    sql = "SELECT suffix_key, suffix FROM suffixes WHERE project_id = :project ORDER BY suffix_key"
    found = tx.all(sql, project=project)
    return {row["suffix_key"]: row["suffix"] for row in found}
