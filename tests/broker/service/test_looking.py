"""What a decision looks at: connectors, people in every way they are named, tokens."""

from __future__ import annotations

import pytest

from broker.db.database import Transaction
from broker.domain.connectors import State as ConnectorState
from broker.domain.errors import NotFound
from broker.domain.steps import Outcome
from broker.domain.users import Status, SuspendedBy
from broker.service.reporting import Reporting
from broker.store import logons
from tests.stepping import END, KIM, World, asked


async def test_unknown_connector(at: World) -> None:
    """F1: no connector (R57) and one still in its wizard (R81) are both unavailable."""
    await at.connector("Draft", ConnectorState.DRAFT, expires_at=2**53)
    caller = await at.key()
    for attempt, name in enumerate(("salesforce", "draft"), 1):
        request = asked(None, connector=name, attempt=attempt)
        answer = await at.resolving.resolve(caller, request)
        assert answer.decision.row == "F1"


async def test_an_environment_that_is_gone(at: World) -> None:
    """F1: what the installation offers no more cannot be asked for, even with a token at hand."""
    connector = await at.connector(**END, environment={"name": "gone"})
    user = await at.person(KIM)
    await at.connect(connector, user)
    answer = await at.resolving.resolve(await at.key(), asked({"user_id": user.id}))
    assert answer.decision.row == "F1"


@pytest.mark.parametrize(
    ("subject", "row"),
    [
        ({"user_id": "{id}"}, "F6"),
        ({"user_name": KIM}, "F6"),
        ({"user_name": KIM.upper()}, "F6"),
        ({"user_name": KIM, "directory": "dir_1"}, "F6"),
        ({"user_name": KIM, "directory": "dir_2"}, "F19"),
        ({"external_id": "x-1", "directory": "dir_1"}, "F6"),
        ({"external_id": "X-1", "directory": "dir_1"}, "F19"),
        ({"external_id": "x-1", "directory": "dir_2"}, "F19"),
        ({"logon": "ksmith", "suffix": "EHR"}, "F6"),
        ({"logon": "ksmith", "suffix": "ehr"}, "F6"),
        ({"logon": "Ksmith", "suffix": "EHR"}, "F19"),
        ({"user_name": "gone@acme.example"}, "F2"),
        ({"user_id": "usr_MISSING"}, "F19"),
    ],
)
async def test_ways_to_name_somebody(at: World, subject: dict[str, str], row: str) -> None:
    """api.md "Resolve", safety 6: every way to name a person; a tombstone alone is F2, not F19."""
    connector = await at.connector(**END)
    user = await at.person(KIM, external_id="x-1")
    await at.person("gone@acme.example", Status.DELETED)
    await at.connect(connector, user)

    def mapping(tx: Transaction) -> None:
        logons.declare(tx, at.project, "EHR")
        logons.put(tx, at.project, user.id, "EHR", "ksmith")

    await at.db.write(mapping)
    said = {name: value.format(id=user.id) for name, value in subject.items()}
    answer = await at.resolving.resolve(await at.key(), asked(said))
    assert answer.decision.row == row


@pytest.mark.parametrize(
    ("status", "off", "kind", "row"),
    [
        (Status.SUSPENDED, False, "retrieve_data", "F2"),
        (Status.SUSPENDED, True, "retrieve_data", "F2"),
        (Status.SUSPENDED, False, "create_data", "F2"),
        (Status.ACTIVE, False, "retrieve_data", "F19"),
        (Status.ACTIVE, True, "retrieve_data", "F19"),
        (Status.ACTIVE, False, "create_data", "F19"),
    ],
)
async def test_one_external_id_of_two_people(
    at: World, status: Status, off: bool, kind: str, row: str
) -> None:
    """F2, F19: of two who share an externalId one who is suspended answers, else it is unknown; as
    the connector user such a step never runs, with user authentication off neither.
    """
    connector = await at.connector(**({"user_authentication": False} if off else END))
    await at.connect(connector, None)
    more = {"suspended_by": SuspendedBy.ADMIN} if status is Status.SUSPENDED else {}
    await at.person("twin@acme.example", status, external_id="x-1", **more)
    await at.person(KIM, external_id="x-1")
    said = {"external_id": "x-1", "directory": "dir_1"}
    answer = await at.resolving.resolve(await at.key(), asked(said, step_type=kind))
    assert (answer.decision.row, answer.decision.outcome) == (row, Outcome.ERROR)


async def test_person_of_another_project(at: World) -> None:
    """Safety 3: another project's person, connector and decision are as missing ones."""
    connector = await at.connector(**END)
    user = await at.person(KIM)
    await at.connect(connector, user)
    mine = await at.resolving.resolve(await at.key(), asked({"user_id": user.id}))
    other = await at.elsewhere()
    caller = await other.key()
    theirs = await other.connector("Theirs", **END)
    request = asked({"user_id": user.id}, connector=theirs.id)
    assert (await other.resolving.resolve(caller, request)).decision.row == "F19"
    request = asked({"user_id": user.id}, connector=connector.id, attempt=2)
    assert (await other.resolving.resolve(caller, request)).decision.row == "F1"
    with pytest.raises(NotFound):
        await Reporting(other.db).decision(caller, mine.decision_id)


async def test_missing_scopes(at: World) -> None:
    """K15: a token without a scope the step needs is not usable for it, and is for another."""
    connector = await at.connector(**END)
    await at.connect(connector, await at.person(KIM))
    caller = await at.key()
    for attempt, (scopes, row) in enumerate(((("api",), "F6"), (("full",), "F12")), 1):
        request = asked({"user_name": KIM}, scopes=scopes, attempt=attempt)
        assert (await at.resolving.resolve(caller, request)).decision.row == row


async def test_token_of_another_origin(at: World) -> None:
    """Safety 18: a token that was given for another origin is not handed out."""
    connector = await at.connector(**END)
    user = await at.person(KIM)
    await at.connect(connector, user, origin="https://elsewhere.my.salesforce.com")
    await at.connect(connector, None, origin="https://elsewhere.my.salesforce.com")
    caller = await at.key()
    for attempt, (kind, row) in enumerate((("retrieve_data", "F12"), ("create_data", "F18a")), 1):
        request = asked({"user_name": KIM}, step_type=kind, attempt=attempt)
        assert (await at.resolving.resolve(caller, request)).decision.row == row
