"""The bench of tokens: what it times is done right, no stopwatch needed."""

from __future__ import annotations

from bench import tokens


async def test_every_token_is_handed_out_and_every_old_one_renewed(database_url: str) -> None:
    """`python -m bench tokens`: its own check finds each person renewed exactly once, and the table
    names both costs on the engine.
    """
    costs = await tokens.measure(database_url, 100, 70)
    assert [cost.what for cost in costs] == ["a usable token", "a refresh, then the token"]
    assert all(cost.per_s > 0 and cost.broker_us > 0 for cost in costs)
    said = tokens.report({"here": costs}, "Today.")
    assert said.count("| here |") == 2
