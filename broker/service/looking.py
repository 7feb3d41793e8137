"""What a decision looks at: connector, person and tokens as they are in this transaction."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from broker.db.database import Transaction
from broker.domain.clock import SECOND
from broker.domain.connectors import Connector
from broker.domain.errors import Problem
from broker.domain.steps import (
    ConnectorUser,
    Decision,
    Facts,
    Identity,
    Subject,
    Token,
    decide,
    released,
)
from broker.domain.tokens import State, TokenSet
from broker.domain.users import User
from broker.service.asking import StepRequest
from broker.service.vault import Vault
from broker.store import connectors, tokens, users
from providers.definition import StepType
from providers.registry import Registry


@dataclass(frozen=True, slots=True)
class Sight:
    """Everything the table asked for, and the row that answered.

    `token` is the set the answer rests on: that of whoever it runs as, or waits for.
    """

    connector: Connector | None
    user: User | None
    facts: Facts
    decision: Decision
    token: TokenSet | None = None

    @property
    def key(self) -> tuple[str, str, str | None]:
        """Whose token set the answer rests on, as the vault knows it; only where there is one."""
        if self.token is None:
            raise ValueError("no token set was read")
        return self.token.project, self.token.connector, self.token.user

    @property
    def connector_asks(self) -> bool:
        """Whether people may sign in at the connector; if not, the answer names none (R7)."""
        return self.connector is not None and self.connector.user_authentication

    def retry_after_s(self, now: int) -> int:
        """Seconds until the provider may be asked again; at least 1."""
        retry_at = self.token.retry_at if self.token else None
        return max(1, -((now - (retry_at or now)) // SECOND))


def look(
    tx: Transaction,
    project: str,
    request: StepRequest,
    vault: Vault,
    *,
    ran_as_user: bool = False,
    is_released: bool = False,
    assumed: Mapping[str, Any] | None = None,
) -> Sight:
    """Read what the table needs and no more, and let it answer.

    A token is read only where the row hangs on it, so most steps cost one token set.
    `is_released` says that an administrator let the paused step go to the connector user (P12).
    `assumed` are facts instead of those that were found; with it nothing is opened or written.
    """
    connector = connectors.meant(tx, project, request.connector)
    user, subject = _named(tx, project, request)
    if connector is None:
        return Sight(None, user, Facts(), decide(Facts()))
    facts = _before_tokens(vault, connector, user, subject, request)
    said = assumed or {}
    facts = replace(facts, **said) if said else facts
    judge = released if is_released else decide
    decision, token = judge(facts), None
    if "token" not in said and decision.identity is Identity.USER:
        token = _read(tx, vault, connector, user.id, mends=assumed is None) if user else None
        found = _of_person(token, connector, request.scopes, tx.now)
        if found is not Token.USABLE:
            facts = replace(facts, token=found)
            decision = judge(facts)
    if "connector_user" not in said and decision.identity is Identity.CONNECTOR:
        token = _read(tx, vault, connector, None, mends=assumed is None)
        facts = replace(facts, connector_user=_of_connector(token, connector, tx.now))
        decision = judge(facts)
    if ran_as_user:
        facts = replace(facts, ran_as_user=True)
        decision = judge(facts)
    return Sight(connector, user, facts, decision, token)


def _before_tokens(
    vault: Vault, connector: Connector, user: User | None, subject: Subject, request: StepRequest
) -> Facts:
    """What is known before a token was read: as if all of them were usable."""
    step = step_type(vault.programs.registry, connector, request)
    return Facts(
        connector_available=vault.programs.is_usable(connector),
        user_authentication=connector.user_authentication,
        supported=step.user_authentication,
        subject=subject,
        user_enabled=user is not None and user.user_authentication,
        token=Token.USABLE,
        connector_user=ConnectorUser.USABLE,
        interactive=request.interactive and not vault.programs.mints_people(connector),
        policy=connector.policy,
    )


def step_type(registry: Registry, connector: Connector, request: StepRequest) -> StepType:
    """What the definition says of the step's type; Invalid where it has none such (safety 22)."""
    provider = registry.find(connector.type)
    known = provider.definition.step_types if provider else ()
    for step in known:
        if step.name == request.step_type:
            return step
    types = [step.name for step in known]
    near = get_close_matches(request.step_type, types, n=1)
    detail = f"A connector of the type {connector.type} has no step type {request.step_type}."
    problem = Problem("/step/type", "unknown_step_type", detail, *near)
    raise problem.alone(next=f"Its step types are {', '.join(types)}.")


def _named(tx: Transaction, project: str, request: StepRequest) -> tuple[User | None, Subject]:
    """Whom the call names: of several who fit, one who is suspended answers for all (F2)."""
    if request.subject is None:
        return None, Subject.NONE
    people = users.meant(tx, project, request.subject)
    if len(people) == 1:
        return people[0], Subject(people[0].status.value)
    if any(one.is_gone for one in people):
        return None, Subject.SUSPENDED
    return None, Subject.AMBIGUOUS if people else Subject.UNKNOWN


def _read(
    tx: Transaction, vault: Vault, connector: Connector, user: str | None, *, mends: bool
) -> TokenSet | None:
    """A token set as it counts now; with `mends` an unreadable one is tried again (K16)."""
    token = tokens.read(tx, connector.project, connector.id, user)
    if mends and token is not None and token.state is State.UNREADABLE:
        token = vault.legible(tx, token)
    return vault.begun(tx, connector, user, token)


def _of_person(
    token: TokenSet | None, connector: Connector, scopes: tuple[str, ...], now: int
) -> Token:
    """T: a token for another origin, or short of a scope, is as good as none (K15, safety 18)."""
    if token is None or token.origin != connector.origin or token.lacking(scopes):
        return Token.NOT_USABLE
    if token.is_usable(now):
        return Token.USABLE
    return Token.NOT_USABLE if token.is_dead(now) else Token.TRANSIENT


def _of_connector(token: TokenSet | None, connector: Connector, now: int) -> ConnectorUser:
    """S: what the wizard authorized."""
    if token is None or token.origin != connector.origin or token.is_dead(now):
        return ConnectorUser.DEAD
    return ConnectorUser.USABLE if token.is_usable(now) else ConnectorUser.TRANSIENT
