"""Statements about several rows, in a few fixed sizes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some

from broker.store import rows


@given(some.integers(0, 3000))
def test_chunks_hold_everything_in_order_and_come_in_few_sizes(count: int) -> None:
    """Ten statement texts serve any number of rows: powers of two up to 512, largest first."""
    items = list(range(count))
    chunks = list(rows.chunks(items))
    assert [item for chunk in chunks for item in chunk] == items
    sizes = [len(chunk) for chunk in chunks]
    assert set(sizes) <= {1 << power for power in range(10)}
    assert sizes == sorted(sizes, reverse=True)


def test_each_row_has_parameters_of_its_own() -> None:
    """Names in braces are numbered, the others are shared by all rows."""
    lines, named = rows.valued("(:run, {code})", [{"code": "a"}, {"code": "b"}])
    assert lines == "(:run, :code_0), (:run, :code_1)"
    assert named == {"code_0": "a", "code_1": "b"}
    assert rows.listed(["x", "y"]) == (":item_0, :item_1", {"item_0": "x", "item_1": "y"})
