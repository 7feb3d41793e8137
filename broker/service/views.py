"""Connectors as they are shown: to services as JSON, to administrators on pages; never a secret."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from broker.domain.clock import rfc3339
from broker.domain.connectors import Connector
from broker.domain.tokens import TokenSet
from broker.service import forms
from broker.store.protected import Protected
from providers.definition import Definition, Field, Section


@dataclass(frozen=True, slots=True)
class ConnectorView:
    """A connector with its definition, what is protected of it, and its connector user."""

    connector: Connector
    definition: Definition
    protected: Mapping[str, Protected]
    connector_user: TokenSet | None

    @property
    def missing(self) -> tuple[str, ...]:
        """Pointers to what is still needed before it can be authorized."""
        held = [name for name, kept in self.protected.items() if self._fits(kept)]
        return forms.missing(self.definition, self.connector, held)

    def rendered(self) -> dict[str, Any]:
        """The JSON of building.md, "Shapes"; a protected field says only that it has a value."""
        connector, user = self.connector, self.connector_user
        shown = forms.shown_fields(self.definition, connector.integration)
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
            "user_authentication": {
                "enabled": connector.user_authentication,
                "policy": connector.policy.value,
                "supported": self.definition.user_authentication,
            },
            "connector_user": {
                "account": (user.account_display or user.account) if user else None,
                "authorized_by": connector.authorized_by,
                "created_by": connector.created_by,
            },
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


@dataclass(frozen=True, slots=True)
class Authorization:
    """Who has authorized a connector, and how that stands."""

    token: TokenSet
    standing: str

    def rendered(self) -> dict[str, Any]:
        """Ids, states and the account's name; no token."""
        token = self.token
        return {
            "user_id": token.user,
            "state": self.standing,
            "reason": token.reason,
            "provider_account": token.account_display or token.account,
            "scopes": list(token.scopes),
            "missing_scopes": list(token.missing_scopes),
            "expires_at": rfc3339(token.expires_at) if token.expires_at else None,
            "changed_at": rfc3339(token.changed_at),
        }


def type_shown(definition: Definition) -> dict[str, Any]:
    """A type of connector for the list and for whoever builds the form (R37, R43)."""
    return {
        "type": definition.kind,
        "title": definition.title,
        "single_per_project": definition.single_per_project,
        "user_authentication": definition.user_authentication,
        "environments": [
            {"name": place.name, "label": place.label, "host": place.origin is None}
            for place in definition.environments
        ],
        "options": [
            {"name": one.name, "label": one.label, "choices": _choices(one.choices)}
            for one in definition.options
        ],
        "integrations": [{"name": one.name, "label": one.label} for one in definition.integrations],
        "sections": [
            {
                "title": section.value,
                "fields": [
                    _field(field) for field in definition.fields if field.section is section
                ],
            }
            for section in Section
        ],
        "step_types": [
            {
                "name": step.name,
                "label": step.label,
                "user_authentication": step.user_authentication,
            }
            for step in definition.step_types
        ],
        "warnings": list(definition.warnings),
    }


def _field(field: Field) -> dict[str, Any]:
    return {
        "name": field.name,
        "label": field.label,
        "kind": field.kind.value,
        "protected": field.protected,
        "required": field.required,
        "choices": _choices(field.choices),
        "default": field.default,
        "help": field.help,
        "integrations": sorted(field.integrations),
    }


def _choices(choices: tuple[Any, ...]) -> list[dict[str, str]]:
    return [{"value": one.value, "label": one.label} for one in choices]
