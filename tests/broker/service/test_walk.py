"""The table walked through the service: every combination of rows that there can be."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from broker.domain.callers import Caller
from broker.domain.connectors import Connector, Policy
from broker.domain.steps import ConnectorUser, Facts, Subject, Token, decide
from broker.domain.users import Status
from broker.service.answering import Answer
from broker.service.asking import StepRequest
from broker.service.batching import LIMIT, Batch, Batching
from broker.service.explaining import Explaining
from tests.stepping import DEAD, KIM, LATER, ROBOT, World

TOKENS: dict[Token, dict[str, Any]] = {
    Token.USABLE: {},
    Token.TRANSIENT: LATER,
    Token.NOT_USABLE: DEAD,
}
CONNECTOR_USERS: dict[ConnectorUser, dict[str, Any]] = {
    ConnectorUser.USABLE: {},
    ConnectorUser.TRANSIENT: LATER,
    ConnectorUser.DEAD: DEAD,
}
KINDS = {True: "retrieve_data", False: "create_data"}
EVERY = 9
"""Of so many questions one is explained too; prime to how they are laid out."""


@dataclass(frozen=True)
class Known:
    """Somebody, or nobody, and what the table is to find of them."""

    named: dict[str, str] | None
    subject: Subject
    enabled: bool = False
    token: Token = Token.NOT_USABLE


async def people(at: World, connector: Connector) -> list[Known]:
    """Everybody a question can be about: each status, and the active with each flag and token."""
    found = [Known(None, Subject.NONE), Known({"user_name": "nobody"}, Subject.UNKNOWN)]
    for status in (Status.INVITED, Status.QUEUED, Status.SUSPENDED, Status.DELETED):
        user = await at.person(f"{status}@acme.example", status)
        found.append(Known({"user_id": user.id}, Subject(status)))
    for enabled, (token, held) in itertools.product((True, False), TOKENS.items()):
        user = await at.person(f"{enabled}-{token}@acme.example", user_authentication=enabled)
        await at.connect(connector, user, as_user=KIM, **held)
        found.append(Known({"user_id": user.id}, Subject.ACTIVE, enabled, token))
    for n in range(2):
        await at.person(f"twin-{n}@acme.example", external_id="twin")
    return [*found, Known({"external_id": "twin", "directory": "dir_1"}, Subject.AMBIGUOUS)]


def questions(everybody: list[Known], e: bool, policy: Policy, s: ConnectorUser) -> list[Facts]:
    """What the table is asked about everybody at a connector that is set so."""
    return [
        Facts(True, e, supported, who.subject, who.enabled, who.token, s, interactive, policy)
        for who, supported, interactive in itertools.product(everybody, KINDS, (False, True))
    ]


def items(everybody: list[Known], execution: str) -> Iterator[dict[str, Any]]:
    """The same questions as a caller asks them."""
    asked = itertools.product(everybody, KINDS, (False, True))
    for place, (who, supported, interactive) in enumerate(asked):
        yield {
            "connector": "salesforce",
            "step": {"id": f"s{place}", "type": KINDS[supported]},
            "execution": {"id": execution},
            "subject": who.named,
            "interactive": interactive,
        }


async def test_every_combination_there_can_be(at: World) -> None:
    """Promise 11, F1 to F19: E, policy, S, C, U, T, subject and mode in all 1,248 combinations that
    rows can be in: the service answers as the pure table does, alone in its line, and explains
    itself with the same row.
    """
    connector = await at.connector()
    everybody, caller = await people(at, connector), await at.key("resolve", "explain")
    seen = set()
    settings = itertools.product((False, True), Policy, ConnectorUser)
    for turn, (e, policy, s) in enumerate(settings):
        connector = await at.setting(connector, user_authentication=e, policy=policy)
        await at.connect(connector, None, as_user=ROBOT, **CONNECTOR_USERS[s])
        expected = [decide(facts).row for facts in questions(everybody, e, policy, s)]
        asked = list(items(everybody, f"r-{turn}"))
        assert (
            await explained(at, caller, asked[turn % EVERY :: EVERY])
            == (expected[turn % EVERY :: EVERY])
        )
        assert await answered(at, caller, asked) == expected
        seen |= set(expected)
    lines = await at.rows("SELECT row FROM decision_lines")
    assert len(lines) == 1248
    assert seen == {f"F{n}" for n in [*range(2, 18), "18a", "18b", 19]}


async def answered(at: World, caller: Caller, asked: list[dict[str, Any]]) -> list[str]:
    """The rows of a batch, all of them answers."""
    assert len(asked) <= LIMIT
    found = await Batching(at.resolving).resolve(caller, Batch.parse({"items": asked}))
    return [one.decision.row for one in found if isinstance(one, Answer)]


async def explained(at: World, caller: Caller, asked: list[dict[str, Any]]) -> list[str]:
    """The rows that the explanations of these questions come to."""
    explaining = Explaining(at.resolving)
    found = [await explaining.explain(caller, StepRequest.parse(one), {}) for one in asked]
    assert all(one.now == one.sight.decision for one in found)
    return [one.now.row for one in found]
