"""The order of a bulk: who is in a circle with whom, and what is done at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scim.batch import Step, circles, read, steps, wave
from scim.exchange import Answer
from tests.scim.bulking import delete, group, patch, post, put, user
from tests.scim.memory import MemoryDirectory

NODES = range(7)


@given(st.lists(st.tuples(st.sampled_from(NODES), st.sampled_from(NODES)), max_size=20))
def test_a_circle_is_who_reaches_one_another(edges: list[tuple[int, int]]) -> None:
    """RFC 7644 section 3.7.1: by the definition of a circle, on any graph, each node once."""
    graph = {node: [end for start, end in edges if start == node] for node in NODES}
    reach = {node: {node} for node in NODES}
    for _ in NODES:
        for node in NODES:
            reach[node] |= {end for each in reach[node] for end in graph[each]}
    together = {frozenset(b for b in reach[a] if a in reach[b]) for a in NODES}
    found = list(circles(graph))
    assert {frozenset(circle) for circle in found} == together
    assert sum(len(circle) for circle in found) == len(NODES)


RENAME = {"op": "replace", "value": {"USERNAME": "b"}}
TITLE = {"op": "replace", "path": "title", "value": "Dr"}


@pytest.mark.parametrize(
    ("operations", "waves"),
    [
        ([post("/Users", f"{n}", user(f"{n}")) for n in range(7)], ["01234", "56"]),
        ([post("/Users", "a", user("a")), post("/Users", "b", user("A"))], ["0", "1"]),
        (
            [patch("/Users/1", TITLE), patch("/Users/2", TITLE), patch("/Users/1", TITLE)],
            ["01", "2"],
        ),
        ([patch("/Users/1", RENAME), patch("/Users/2", TITLE)], ["0", "1"]),
        ([put("/Users/1", user("a")), put("/Users/2", user("b"))], ["0", "1"]),
        ([put("/Groups/1", group("a")), put("/Groups/2", group("b"))], ["01"]),
        ([delete("/Users/1"), delete("/Users/2"), post("/Users", "a", user("a"))], ["01", "2"]),
        ([delete("/Users/1") | {"version": "1"}, delete("/Users/2")], ["0", "1"]),
        (
            [post("/Groups", "g", group("g", "bulkId:u")), post("/Users", "u", user("u"))],
            ["1", "0"],
        ),
        (
            [put("/Users/1", user("a", title="bulkId:u")), post("/Users", "u", user("u"))],
            ["1", "0"],
        ),
        (
            [
                post("/Users", "u", user("u")),
                post("/Groups", "g", group("g", "bulkId:u")),
                post("/Users", "v", user("v")),
                post("/Groups", "h", group("h", "bulkId:v")),
            ],
            ["02", "13"],
        ),
        (
            [
                post("/Users", "u", user("x", title="bulkId:v")),
                post("/Users", "v", user("x")),
                post("/Users", "w", user("w")),
            ],
            ["1", "02"],
        ),
        (
            [
                post("/Groups", "a", group("a", "bulkId:b")),
                post("/Groups", "out", group("out", "bulkId:a")),
                post("/Groups", "b", group("b", "bulkId:a")),
            ],
            ["02", "1"],
        ),
        (
            [
                post("/Groups", "g", group("g", "bulkId:u")),
                delete("/Users/1"),
                delete("/Users/2"),
                patch("/Users/3", RENAME),
                post("/Users", "u", user("u")),
            ],
            ["12", "3", "4", "0"],
        ),
        (
            [
                patch("/Users/1", {"op": "replace", "path": "title", "value": "bulkId:u"}),
                delete("/Users/1"),
                post("/Users", "u", user("u")),
            ],
            ["2", "0", "1"],
        ),
        (
            [
                put("/Users/1", user("a", title="bulkId:u")),
                put("/Users/2", user("b")),
                post("/Users", "u", user("u")),
            ],
            ["2", "0", "1"],
        ),
    ],
)
def test_what_touches_one_another_is_not_done_at_once(operations: Any, waves: list[str]) -> None:
    """RFC 7644 section 3.7: only what cannot tell who came first shares a wave, five at most."""
    made = read(operations, MemoryDirectory("http://broker.example"))
    pending, told = steps(made), []
    while pending:
        now = [each for step in wave(pending, 5) for each in step.operations]
        told.append("".join(sorted(f"{made.index(each)}" for each in now)))
        for each in now:
            each.answer = Answer(204)
        pending = [step for step in pending if step.operations[0].answer is None]
    assert told == waves


class Walked(list[Step]):
    """Steps that count how often somebody goes through them."""

    walks = 0

    def __iter__(self) -> Iterator[Step]:
        """Each of them."""
        self.walks += 1
        return super().__iter__()


def test_what_a_long_chain_needs_is_found_in_one_walk() -> None:
    """Rule 37: the work of a wave grows with the operations, not with their square."""
    chain = [post("/Users", f"{n}", user(f"{n}", manager=f"bulkId:{n + 1}")) for n in range(50)]
    made = [put("/Users/1", user("a", manager="bulkId:0")), *chain, post("/Users", "50", user("z"))]
    pending = Walked(steps(read(made, MemoryDirectory("http://broker.example"))))
    assert wave(pending, 5) == pending[-1:]
    assert pending.walks <= 2
