"""Connectors as they are shown: to services as JSON, to administrators on pages; never a secret."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from broker.domain.clock import rfc3339
from broker.domain.connectors import Connector
from broker.domain.tokens import TokenSet
from broker.service import forms
from broker.service.cautioning import Caution
from broker.store.protected import Protected
from providers.definition import Definition, Field, Section


@dataclass(frozen=True, slots=True)
class ConnectorView:
    """A connector with its definition, what is protected of it, and its connector user.

    `redirect_uri` is what its app is registered with at the program (safety 15).
    """

    connector: Connector
    definition: Definition
    redirect_uri: str
    protected: Mapping[str, Protected]
    connector_user: TokenSet | None
    cautions: tuple[Caution, ...] = ()

    @property
    def missing(self) -> tuple[str, ...]:
        """Pointers to what is still needed before it can be authorized."""
        held = [name for name, kept in self.protected.items() if self._fits(kept)]
        return forms.missing(self.definition, self.connector, held)

    def rendered(self) -> dict[str, Any]:
        """The JSON of the view; a protected field says only that it has a value."""
        connector, user = self.connector, self.connector_user
        shown = self.definition.shown(connector.integration, connector.answers)
        return {
            "id": connector.id,
            "name": connector.name,
            "description": connector.description,
            "type": connector.type,
            "state": connector.state.value,
            "reason": connector.reason,
            "integration": connector.integration,
            "environment": dict(connector.environment) if connector.environment else None,
            "options": dict(connector.options),
            "fields": {field.name: self._shown(field) for field in shown},
            "missing": list(self.missing),
            "redirect_uri": self.redirect_uri,
            "user_authentication": {
                "enabled": connector.user_authentication,
                "policy": connector.policy.value,
                "supported": self.definition.lets_people(connector.integration),
            },
            "connector_user": {
                "account": (user.account_display or user.account) if user else None,
                "authorized_by": connector.authorized_by,
                "created_by": connector.created_by,
                "throttled": user.throttled if user else 0,
            },
            "warnings": [asdict(one) for one in self.cautions],
            "keep_alive": connector.keep_alive,
            "created_at": rfc3339(connector.created_at),
            "changed_at": rfc3339(connector.changed_at),
            "expires_at": rfc3339(connector.expires_at) if connector.expires_at else None,
            "version": connector.version,
        }

    def _shown(self, field: Field) -> object:
        if not field.protected:
            return self.connector.fields.get(field.name)
        kept = self.protected.get(field.name)
        has_value = kept is not None and self._fits(kept)
        changed_at = rfc3339(kept.changed_at) if kept and has_value else None
        return {"has_value": has_value, "changed_at": changed_at}

    def _fits(self, kept: Protected) -> bool:
        return kept.origin == self.connector.origin


def type_shown(definition: Definition) -> dict[str, Any]:
    """A type of connector for the list and for whoever builds the form (R36, R37, R43, R50).

    `method` holds where there are no integrations; a section without fields is left out.
    """
    return {
        "type": definition.kind,
        "title": definition.title,
        "single_per_project": definition.single_per_project,
        "user_authentication": definition.user_authentication,
        "environments": [
            {"name": place.name, "label": place.label, "host": place.origin is None}
            for place in definition.environments
        ],
        "options": [asdict(one) for one in definition.options],
        "integrations": [asdict(one) for one in definition.integrations],
        "method": asdict(definition.method),
        "sections": [
            {"title": section, "fields": fields}
            for section in Section
            if (fields := [_field(one) for one in definition.fields if one.section is section])
        ],
        "step_types": [asdict(step) for step in definition.step_types],
        "test": definition.test,
        "warnings": definition.warnings,
    }


def _field(field: Field) -> dict[str, Any]:
    """A field of a section; its integrations in the order of the alphabet."""
    said = asdict(field)
    del said["section"], said["shape"]
    return said | {"integrations": sorted(field.integrations)}
