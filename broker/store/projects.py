"""Projects: the tenants. Every row, key, directory and connector belongs to one."""

from dataclasses import dataclass

from broker.db.database import Row, Transaction
from broker.domain import ids

DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Project:
    """A project and its identity provider, where it has one."""

    id: str
    name: str
    oidc_issuer: str | None
    oidc_client_id: str | None
    oidc_secret: bytes | None  # sealed: table projects, column oidc_secret@ the issuer's origin
    oidc_claim: str | None
    signing_key: bytes | None  # sealed: table projects, column signing_key


def insert(tx: Transaction, name: str) -> Project | None:
    """A new project with unlimited capacity; None where the name is taken."""
    row = tx.find(
        """
        INSERT INTO projects (id, name, created_at) VALUES (:id, :name, :now)
        ON CONFLICT DO NOTHING RETURNING *
        """,
        id=ids.new("prj"),
        name=name,
        now=tx.now,
    )
    if row is None:
        return None
    tx.run("INSERT INTO licenses (project_id) VALUES (:project)", project=row["id"])
    return _project(row)


def find(tx: Transaction, id: str) -> Project | None:
    """The project of that id."""
    row = tx.find("SELECT * FROM projects WHERE id = :id", id=id)
    return _project(row) if row else None


def named(tx: Transaction, name: str) -> Project | None:
    """The project of that name."""
    row = tx.find("SELECT * FROM projects WHERE name = :name", name=name)
    return _project(row) if row else None


def every(tx: Transaction) -> list[Project]:
    """All projects, by name."""
    return [_project(row) for row in tx.all("SELECT * FROM projects ORDER BY name")]


def set_oidc(
    tx: Transaction, id: str, issuer: str, client_id: str, secret: bytes | None, claim: str | None
) -> None:
    """Name the one identity provider whose sign-ins this project believes (safety 5)."""
    tx.run(
        """
        UPDATE projects
           SET oidc_issuer = :issuer, oidc_client_id = :client, oidc_secret = :secret,
               oidc_claim = :claim, version = version + 1
         WHERE id = :id
        """,
        id=id,
        issuer=issuer,
        client=client_id,
        secret=secret,
        claim=claim,
    )


def set_signing(tx: Transaction, id: str, key: bytes, public: str) -> Project | None:
    """Keep the project's signing key, unless another process was first; the project as it is."""
    tx.run(
        """
        UPDATE projects SET signing_key = :key, signing_public = :public
         WHERE id = :id AND signing_key IS NULL
        """,
        id=id,
        key=key,
        public=public,
    )
    return find(tx, id)


def next_coupon(tx: Transaction, id: str) -> int:
    """An action coupon: positive, per project, never given twice (`providers.md` b.2)."""
    row = tx.find(
        "UPDATE projects SET coupons = coupons + 1 WHERE id = :id RETURNING coupons", id=id
    )
    if row is None:
        raise LookupError(id)
    return int(row["coupons"])


def _project(row: Row) -> Project:
    return Project(
        id=row["id"],
        name=row["name"],
        oidc_issuer=row["oidc_issuer"],
        oidc_client_id=row["oidc_client_id"],
        oidc_secret=row["oidc_secret"],
        oidc_claim=row["oidc_claim"],
        signing_key=row["signing_key"],
    )
