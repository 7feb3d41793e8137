"""How we introduce ourselves to the program behind a connector, and what that needs opened."""

from collections.abc import Mapping
from dataclasses import dataclass

from broker.db.database import Transaction
from broker.db.seal import Seal
from broker.domain.connectors import Connector
from broker.domain.errors import Conflict, NotFound
from broker.store import audit, protected
from providers.capabilities import CanMint, Provider, Registration
from providers.definition import RELAY, Definition, Method, Source
from providers.errors import HostRefused
from providers.places import TWIN, Environment, bound_by
from providers.registry import Registry
from providers.secret import Secret

SECRETS = "connector_secrets"


class Unregistered(Conflict):
    """A connector cannot introduce itself at its program until an administrator has looked."""


class MustEnterAgain(Unregistered):
    """The protected fields were typed for another host; they have to be entered again."""


class EnvironmentGone(Unregistered):
    """The installation offers the connector's environment no more, or none was chosen yet."""


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

    def minter(self, type: str) -> CanMint:
        """How that type of program makes a token nobody signs in for."""
        provider = self.provider(type)
        if not isinstance(provider, CanMint):
            raise LookupError(f"{type} declares tokens that are minted, and cannot mint one")
        return provider

    def definition(self, type: str) -> Definition:
        """What that type of program declares; NotFound where there is no such type."""
        return self.provider(type).definition

    def method(self, connector: Connector) -> Method:
        """Where the tokens of people and of the connector user come from."""
        return self.definition(connector.type).method_of(connector.integration)

    def source(self, connector: Connector, user_id: str | None) -> Source | None:
        """Where the token of a person, or (None) of the connector user, comes from."""
        method = self.method(connector)
        return method.people if user_id else method.connector_user

    def person_suffix(self, connector: Connector) -> str:
        """The suffix of the logons its people are minted for; "" where they sign in (safety 20)."""
        named = (
            self.definition(connector.type).person_field if self.mints_people(connector) else None
        )
        return str(connector.fields.get(named or "", ""))

    def mints_people(self, connector: Connector) -> bool:
        """Whether nobody signs in there, so that a link (F8) would lead nowhere."""
        provider = self.registry.find(connector.type)
        if provider is None:  # the operator's file describes it no more
            return False
        return provider.definition.method_of(connector.integration).people is Source.MINTED

    def require_people(self, connector: Connector) -> None:
        """Conflict where people cannot authenticate themselves there, ever (R20) or now."""
        if not self.definition(connector.type).lets_people(connector.integration):
            raise Conflict(
                "People do not authenticate themselves at a connector of this type.",
                reason="user-auth-not-supported",
            )
        if not self.is_usable(connector):
            raise not_now(connector)

    def require_sign_in(self, connector: Connector) -> None:
        """The same, and Conflict where the broker makes people's tokens, so nobody signs in."""
        self.require_people(connector)
        if self.mints_people(connector):
            raise Conflict(
                "The broker makes people's tokens for this connector itself.",
                reason="minted",
                next="Nobody has to sign in: the first step that needs a token has it made.",
            )

    def place(self, connector: Connector) -> Environment | None:
        """The environment that was chosen; None where the installation offers it no more."""
        chosen = connector.environment or {}
        return self.definition(connector.type).environment(str(chosen.get("name", "")))

    def is_usable(self, connector: Connector) -> bool:
        """Whether steps may ask for it (F1): it is in use, and its environment is there."""
        return connector.is_available and self.place(connector) is not None

    def redirect_uri(self, connector_id: str) -> str:
        """One a connector, so that a code comes back where it was asked for (safety 15)."""
        return f"{self.public_url}/oauth/callback/{connector_id}"

    def public(self, connector: Connector) -> Registration:
        """Who we are at the program, without what is protected: nothing is opened."""
        return self.registered(connector, {})

    def registration(self, tx: Transaction, connector: Connector, *, purpose: str) -> Registration:
        """Who we are at the program, with the protected fields that its form shows.

        Each opening is in the audit with its purpose (R46). MustEnterAgain where a field was
        typed for another place (safety 18), EnvironmentGone; `seal.Unreadable` where its key is
        missing.
        """
        shown = self.definition(connector.type).shown(connector.integration, connector.answers)
        kept = protected.of(tx, connector.project, connector.id)
        opened: dict[str, Secret] = {}
        for one in (kept[field.name] for field in shown if field.name in kept):
            if one.origin != connector.origin:
                raise MustEnterAgain(reason="protected-fields-needed")
            row = secret_row(connector.id, one.field)
            plain = self.seal.open(one.sealed, connector.project, SECRETS, row, "sealed")
            opened[one.field] = Secret(plain.decode())
        if opened:
            said = {"fields": [*opened], "purpose": purpose}
            audit.append(
                tx, connector.project, "broker", "connector.secret.opened", connector.id, **said
            )
        return self.registered(connector, opened)

    def at(self, connector: Connector, binding: str) -> Registration | None:
        """The registration for a place a connector had, without secrets, to revoke what was
        granted there (safety 18); None where the definition has no such place.
        """
        origin, bound = bound_by(binding)
        place = _place(self.definition(connector.type), origin, bound.pop(TWIN, None))
        if place is None:
            return None
        known = {"client_id": str(connector.fields.get("client_id", ""))}
        return Registration(
            environment=place,
            origin=origin,
            redirect_uri=self.redirect_uri(connector.id),
            fields=known | bound,
            integration=connector.integration,
            relay=bound.get(RELAY),
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

    def registered(self, connector: Connector, secrets: Mapping[str, Secret]) -> Registration:
        """Who a connector is at its program, with these protected values; nothing is read."""
        if (place := self.place(connector)) is None:
            raise EnvironmentGone(
                "The connector has no environment that exists here.", reason="no-environment"
            )
        return Registration(
            environment=place,
            origin=bound_by(connector.origin or "")[0],
            redirect_uri=self.redirect_uri(connector.id),
            fields={name: str(value) for name, value in connector.fields.items()},
            secrets=secrets,
            integration=connector.integration,
            relay=_text(connector.fields.get(RELAY)),
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


def _text(value: object) -> str | None:
    return str(value) if value else None


def _place(definition: Definition, origin: str, twin: str | None) -> Environment | None:
    """Which of the environments has that origin; of several the first, or the one named so."""
    for place in definition.environments:
        if twin not in (None, place.name):
            continue
        try:
            found = place.origin_of(None if place.origin else origin)
        except HostRefused:
            continue
        if found == origin:
            return place
    return None
