"""Projects: the tenants. Every row, key, directory and connector belongs to one."""

from dataclasses import dataclass

from broker.db.database import Transaction
from broker.domain import ids
from broker.domain.errors import NotFound
from broker.store.shapes import JSON, Shape

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
    fields: list[str]  # profile fields of its own, which a mapping may fill
    pause_limit_s: int | None  # how long a step waits for its person; None: as long as it takes
    version: int


def insert(tx: Transaction, name: str) -> Project | None:
    """A new project with unlimited capacity; None where the name is taken."""
    sql = """
        INSERT INTO projects (id, name, created_at) VALUES (:id, :name, :now)
        ON CONFLICT DO NOTHING RETURNING *
    """
    row = tx.find(sql, id=ids.new("prj"), name=name, now=tx.now)
    if row is None:
        return None
    tx.run("INSERT INTO licenses (project_id) VALUES (:project)", project=row["id"])
    return _SHAPE.read(row)


def find(tx: Transaction, id: str) -> Project | None:
    """The project of that id."""
    return _SHAPE.one(tx.find("SELECT * FROM projects WHERE id = :id", id=id))


def get(tx: Transaction, id: str) -> Project:
    """The project of that id; NotFound."""
    if (project := find(tx, id)) is None:
        raise NotFound()
    return project


def named(tx: Transaction, name: str) -> Project | None:
    """The project of that name."""
    return _SHAPE.one(tx.find("SELECT * FROM projects WHERE name = :name", name=name))


def every(tx: Transaction) -> list[Project]:
    """All projects, by name."""
    return _SHAPE.each(tx.all("SELECT * FROM projects ORDER BY name"))


def set_oidc(
    tx: Transaction, id: str, issuer: str, client_id: str, secret: bytes | None, claim: str | None
) -> None:
    """Name the one identity provider whose sign-ins this project believes (safety 5)."""
    sql = """
        UPDATE projects
           SET oidc_issuer = :issuer, oidc_client_id = :client, oidc_secret = :secret,
               oidc_claim = :claim
         WHERE id = :id
    """
    tx.run(sql, id=id, issuer=issuer, client=client_id, secret=secret, claim=claim)


def next_version(tx: Transaction, id: str, seen: int | None) -> Project | None:
    """The project one version on, held until this unit ends; None where `seen` is another's."""
    sql = """
        UPDATE projects SET version = version + 1
         WHERE id = :id AND (CAST(:seen AS bigint) IS NULL OR version = :seen) RETURNING *
    """
    return _SHAPE.one(tx.find(sql, id=id, seen=seen))


def set_fields(tx: Transaction, id: str, fields: list[str]) -> None:
    """Declare the profile fields of its own."""
    sql = "UPDATE projects SET fields = :fields WHERE id = :id"
    tx.run(sql, id=id, fields=JSON.kept(fields))


def set_pause_limit(tx: Transaction, id: str, seconds: int | None) -> None:
    """How long pauses wait that are opened from now on (T4)."""
    sql = "UPDATE projects SET pause_limit_s = :seconds WHERE id = :id"
    tx.run(sql, id=id, seconds=seconds)


def set_signing(tx: Transaction, id: str, key: bytes, public: str) -> Project | None:
    """Keep the project's signing key, unless another process was first; the project as it is."""
    sql = """
        UPDATE projects SET signing_key = :key, signing_public = :public
         WHERE id = :id AND signing_key IS NULL
    """
    tx.run(sql, id=id, key=key, public=public)
    return find(tx, id)


def next_coupon(tx: Transaction, id: str) -> int:
    """An action coupon: positive, per project, never given twice."""
    sql = "UPDATE projects SET coupons = coupons + 1 WHERE id = :id RETURNING coupons"
    row = tx.find(sql, id=id)
    if row is None:
        raise LookupError(id)
    return int(row["coupons"])


_SHAPE = Shape(Project, forms={"fields": JSON})
