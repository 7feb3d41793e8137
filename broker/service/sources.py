"""Where a directory is read from, opened: its settings, and its secrets for their origin alone."""

from dataclasses import dataclass

from broker.db.database import Transaction
from broker.db.seal import Seal
from broker.domain.directories import Directory
from broker.domain.errors import Conflict
from broker.service.programs import MustEnterAgain, secret_row
from broker.store import audit, protected
from providers.secret import Secret
from providers.sources.reading import CanReadDirectory, SourceKind
from providers.sources.registry import Sources as Kinds

SECRETS = "directory_secrets"


@dataclass(frozen=True, slots=True)
class Sources:
    """Opens the source of a directory."""

    kinds: Kinds
    seal: Seal

    def kind(self, directory: Directory) -> SourceKind:
        """What kind of source it has; Conflict where it has none, or one nobody here knows."""
        found = self.kinds.find(directory.source.kind) if directory.source else None
        if found is None:
            raise Conflict("The directory has no source that can be read here.", reason="no-source")
        return found

    def opened(self, tx: Transaction, directory: Directory, *, purpose: str) -> CanReadDirectory:
        """The source, ready to be read; the opening of its secrets is in the audit (R46).

        MustEnterAgain where a secret was typed for another origin (safety 18), `seal.Unreadable`
        where its key is missing; ClientMisconfigured where a setting is missing or wrong.
        """
        kind, project = self.kind(directory), directory.project
        assert directory.source is not None
        settings = directory.source.settings
        origin = kind.origin(settings)
        secrets: dict[str, Secret] = {}
        for field, kept in protected.of(tx, project, directory.id).items():
            if kept.origin != origin:
                raise MustEnterAgain(reason="protected-fields-needed")
            row = secret_row(directory.id, field)
            plain = self.seal.open(kept.sealed, project, SECRETS, row, "sealed")
            secrets[field] = Secret(plain.decode())
            opened = {"field": field, "purpose": purpose}
            audit.append(tx, project, "broker", "directory.secret.opened", directory.id, **opened)
        return kind.open(settings, secrets)
