"""A project's own signature: one ES256 key, made once, sealed, its public half shown."""

from dataclasses import dataclass, field

import orjson

from broker.db.database import Database, Transaction
from broker.db.seal import Seal
from broker.store import projects
from broker.store.projects import Project
from providers.jwt import SigningKey
from providers.secret import Secret


@dataclass(frozen=True, slots=True)
class Signing:
    """Signs what the broker answers. `loaded` holds opened keys by their sealed bytes."""

    db: Database
    seal: Seal
    loaded: dict[bytes, SigningKey] = field(default_factory=dict)

    async def sign(self, project: str, said: dict[str, object]) -> str:
        """A detached JWS (RFC 7515, appendix F) over the canonical JSON of `said`."""
        return (await self._key(project)).sign_detached(canonical(said))

    async def public(self, project: str) -> dict[str, str]:
        """The JWK to check signatures with."""
        return (await self._key(project)).public()

    async def _key(self, project: str) -> SigningKey:
        """The project's key; whoever needs it first makes it, and the first one kept is the key."""
        found = await self.db.peek(projects.get, project)
        if found.signing_key is None:
            made = SigningKey.generate()
            sealed = self.seal.seal(made.private().reveal().encode(), *place(project))
            public = orjson.dumps(made.public()).decode()
            found = await self.db.write(_keeping, project, sealed, public)
        sealed = found.signing_key or b""
        if sealed not in self.loaded:
            opened = self.seal.open(sealed, *place(project))
            self.loaded[sealed] = SigningKey.load(Secret(opened.decode()))
        return self.loaded[sealed]


def canonical(said: dict[str, object]) -> bytes:
    """The bytes a signature covers: JSON with sorted members and no blanks."""
    return orjson.dumps(said, option=orjson.OPT_SORT_KEYS)


def place(project: str) -> tuple[str, str, str, str]:
    """Where a project's key is sealed."""
    return project, "projects", project, "signing_key"


def _keeping(tx: Transaction, project: str, sealed: bytes, public: str) -> Project:
    return projects.set_signing(tx, project, sealed, public) or projects.get(tx, project)
