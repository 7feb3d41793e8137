"""What a key may ask about, and what it gets."""

from __future__ import annotations

import orjson
import pytest

from broker.domain.errors import Forbidden, Invalid, Unknown
from tests.stepping import END, KIM, World, asked


@pytest.mark.parametrize(
    ("scopes", "wanted", "row", "leaves"),
    [
        (("resolve",), True, "F6", False),
        (("resolve", "credentials:read"), True, "F6", True),
        (("resolve", "credentials:connector"), True, "F6", False),
        (("resolve", "credentials:read"), True, "F4", False),
        (("resolve", "credentials:connector"), True, "F4", False),
        (("resolve", "credentials:read", "credentials:connector"), True, "F4", True),
        (("resolve", "credentials:read", "credentials:connector"), False, "F6", False),
        (("resolve", "credentials:read", "credentials:connector"), False, "F4", False),
    ],
)
async def test_who_gets_a_credential(
    at: World, scopes: tuple[str, ...], wanted: bool, row: str, leaves: bool
) -> None:
    """Safety 22: who and with what are two rights; the record says whether a credential left."""
    connector = await at.connector(**END)
    await at.connect(connector, None)
    await at.connect(connector, await at.person(KIM))
    kind = "retrieve_data" if row == "F6" else "create_data"
    request = asked({"user_name": KIM}, step_type=kind, credential=wanted)
    answer = await at.resolving.resolve(await at.key(*scopes), request)
    assert (answer.decision.row, answer.decision.outcome) == (row, "run")
    assert ("credential" in answer.rendered()) == leaves
    [line] = await at.rows("SELECT credential FROM decision_lines")
    assert bool(line["credential"]) == leaves
    opened = await at.rows("SELECT detail FROM audit WHERE action = 'token.opened'")
    assert [orjson.loads(one["detail"])["purpose"] for one in opened] == ["resolve"] * leaves


async def test_resolve_needs_its_scope(at: World) -> None:
    """R137: a key without the scope resolve is refused, and an administrator gets no credential."""
    await at.connect(await at.connector(), None)
    with pytest.raises(Forbidden):
        await at.resolving.resolve(await at.key("links:write"), asked(None))
    answer = await at.resolving.resolve(await at.administrator(), asked(None))
    assert answer.decision.row == "F3"
    assert answer.credential is None


async def test_key_revoked_meanwhile(at: World) -> None:
    """Safety 24: a key that was revoked after it was recognized gets no answer."""
    await at.connect(await at.connector(), None)
    caller = await at.key()
    await at.revoke(caller)
    with pytest.raises(Unknown):
        await at.resolving.resolve(caller, asked(None))
    assert await at.rows("SELECT * FROM decisions") == []


async def test_key_limited_to_connectors(at: World) -> None:
    """Safety 3, 22: a limited key hears the same of another's connector and of a missing one."""
    connector = await at.connector()
    other = await at.connector("Other")
    await at.connect(connector, None)
    caller = await at.key(connectors=("Salesforce",), step_types=("retrieve_data",))
    for name in ("salesforce", "SalesForce ", connector.id):
        request = asked(None, connector=name, execution=name)
        assert (await at.resolving.resolve(caller, request)).decision.row == "F3"
    words = set()
    for name in ("other", "missing", other.id, "con_MISSING"):
        with pytest.raises(Forbidden) as refused:
            await at.resolving.resolve(caller, asked(None, connector=name))
        words.add((str(refused.value), refused.value.reason, refused.value.next))
    assert len(words) == 1
    with pytest.raises(Forbidden) as refused:
        await at.resolving.resolve(caller, asked(None, step_type="create_data"))
    assert refused.value.reason == "step-type-not-allowed"


async def test_unknown_step_type(at: World) -> None:
    """Safety 22: a step type the definition does not declare is 422, never F4."""
    await at.connect(await at.connector(**END), None)
    with pytest.raises(Invalid) as refused:
        await at.resolving.resolve(await at.key(), asked(None, step_type="retrieve_date"))
    [problem] = refused.value.problems
    assert (problem.pointer, problem.did_you_mean) == ("/step/type", "retrieve_data")
