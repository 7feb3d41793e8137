"""How we introduce ourselves to the program behind a connector, and what that needs opened."""

from dataclasses import dataclass

from broker.db.database import Transaction
from broker.db.seal import Seal
from broker.domain.connectors import Connector
from broker.domain.errors import Conflict, NotFound
from broker.store import audit, protected
from providers.capabilities import Provider, Registration
from providers.definition import Definition, Environment
from providers.errors import HostRefused
from providers.registry import Registry
from providers.secret import Secret

SECRETS = "connector_secrets"


class MustEnterAgain(Conflict):
    """The protected fields were typed for another host; they have to be entered again."""


@dataclass(frozen=True, slots=True)
class Programs:
    """Definitions and providers by type, and the registration of each connector.

    `public_url` has no slash at its end.
    """

    registry: Registry
    seal: Seal
    public_url: str

    def provider(self, type: str) -> Provider:
        """How to speak to that type of program; NotFound where there is no such type."""
        if (provider := self.registry.find(type)) is None:
            raise NotFound()
        return provider

    def definition(self, type: str) -> Definition:
        """What that type of program declares; NotFound where there is no such type."""
        return self.provider(type).definition

    def require_people(self, connector: Connector) -> None:
        """Conflict where people cannot authenticate themselves there, ever (R20) or now."""
        if not self.definition(connector.type).user_authentication:
            raise Conflict(
                "People do not authenticate themselves at a connector of this type.",
                reason="user-auth-not-supported",
            )
        if not connector.is_available:
            raise not_now(connector)

    def redirect_uri(self, connector_id: str) -> str:
        """One a connector, so that a code comes back where it was asked for (safety 15)."""
        return f"{self.public_url}/oauth/callback/{connector_id}"

    def public(self, connector: Connector) -> Registration:
        """Who we are at the program, without what is protected: nothing is opened."""
        return self._registration(connector, connector.origin or "", None)

    def registration(self, tx: Transaction, connector: Connector, *, purpose: str) -> Registration:
        """Who we are at the program, with the client secret.

        Each opening is in the audit with its purpose (R46). MustEnterAgain where the secret was
        typed for another origin (safety 18); `seal.Unreadable` where its key is missing.
        """
        kept = protected.of(tx, connector.project, connector.id).get("client_secret")
        if kept is None:
            return self.public(connector)
        if kept.origin != connector.origin:
            raise MustEnterAgain(reason="protected-fields-needed")
        row = secret_row(connector.id, kept.field)
        plain = self.seal.open(kept.sealed, connector.project, SECRETS, row, "sealed")
        opened = {"field": kept.field, "purpose": purpose}
        audit.append(
            tx, connector.project, "broker", "connector.secret.opened", connector.id, **opened
        )
        return self._registration(connector, kept.origin, Secret(plain.decode()))

    def at(self, connector: Connector, origin: str) -> Registration | None:
        """The registration for an origin a connector had, without secrets, to revoke what was
        granted there (safety 18); None where the definition has no such place.
        """
        place = _place(self.definition(connector.type), origin)
        if place is None:
            return None
        return Registration(
            environment=place,
            origin=origin,
            client_id=str(connector.fields.get("client_id", "")),
            client_secret=None,
            redirect_uri=self.redirect_uri(connector.id),
            fields={},
        )

    def protect(
        self, tx: Transaction, connector: Connector, field: str, value: Secret, *, by: str
    ) -> None:
        """Seal a protected field for this connector and the origin it goes to now (R45)."""
        row = secret_row(connector.id, field)
        plain = value.reveal().encode()
        sealed = self.seal.seal(plain, connector.project, SECRETS, row, "sealed")
        protected.keep(
            tx,
            connector.project,
            connector.id,
            field,
            sealed,
            origin=connector.origin or "",
            by=by,
        )
        audit.append(
            tx, connector.project, by, "connector.secret.changed", connector.id, field=field
        )

    def _registration(
        self, connector: Connector, origin: str, client_secret: Secret | None
    ) -> Registration:
        chosen = connector.environment or {}
        place = self.definition(connector.type).environment(str(chosen.get("name", "")))
        if place is None:
            raise Conflict(
                "The connector has no environment that exists here.", reason="no-environment"
            )
        return Registration(
            environment=place,
            origin=origin,
            client_id=str(connector.fields.get("client_id", "")),
            client_secret=client_secret,
            redirect_uri=self.redirect_uri(connector.id),
            fields={name: str(value) for name, value in connector.fields.items()},
        )


def not_now(connector: Connector) -> Conflict:
    """What a connector says that cannot be used as it stands."""
    return Conflict(
        "The connector cannot be used now.",
        reason="connector-unavailable",
        next=f"It is {connector.state}: an administrator has to look at it.",
    )


def secret_row(connector_id: str, field: str) -> str:
    """The row a protected field is sealed for."""
    return f"{connector_id}/{field}"


def _place(definition: Definition, origin: str) -> Environment | None:
    """Which of the environments has that origin."""
    for place in definition.environments:
        try:
            found = place.origin_of(None if place.origin else origin)
        except HostRefused:
            continue
        if found == origin:
            return place
    return None
