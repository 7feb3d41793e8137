"""What is written down of an answer."""

from __future__ import annotations

import orjson

from tests.stepping import KIM, WARNED, World, asked


async def test_warning_reaches_the_panel(at: World) -> None:
    """R12, R13: F10 warns in the answer and in an event, addressed to execution and step."""
    connector = await at.connector(**WARNED)
    await at.connect(connector, None)
    await at.person(KIM)
    answer = (await at.resolving.resolve(await at.key(), asked({"user_name": KIM}))).rendered()
    assert answer["warning"] == {
        "code": "user-auth-fallback",
        "severity": "warning",
        "text": answer["warning"]["text"],
        "execution_id": "r-88412",
        "step_id": "s4",
    }
    [event] = await at.rows("SELECT * FROM events WHERE type = 'decision.warning'")
    [row] = await at.rows("SELECT id FROM connectors")
    told = {"decision_id": answer["decision_id"], "connector": row["id"]}
    assert orjson.loads(event["data"]) == answer["warning"] | told
