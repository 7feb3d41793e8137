"""The operations of a bulk: read one by one, their references resolved, put in an order that works.

Ids of resources to be created are made beforehand, so a reference to a bulkId is a real id at once,
whatever comes first (RFC 7644 section 3.7.2).
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, TypeVar

import orjson

from scim.document import lowered
from scim.errors import InvalidPath, InvalidSyntax, InvalidValue, ScimError
from scim.etag import IfMatch
from scim.exchange import Answer
from scim.fold import fold
from scim.resources import Host
from scim.rules import unique_names
from scim.verbs import Verbs, Wish

REFERENCE = re.compile(r"\AbulkId:(.+)\Z", re.DOTALL)
"""A whole value, as an operation's id is; inside a text it is a text."""

REFERENCES = {
    "$ref": re.compile(r"(?:(?<=/)|\A)bulkId:(.+)\Z", re.DOTALL),
    "path": re.compile(r'(?<=[/"])bulkId:([^"]+)(?=")'),
}
"""The end of a `$ref`, the end of a value in a PATCH path's filter."""

Node = TypeVar("Node", bound=Hashable)

ATTEMPTS: dict[str | None, Literal["create", "replace", "patch", "delete"]] = {
    "POST": "create",
    "PUT": "replace",
    "PATCH": "patch",
    "DELETE": "delete",
}
ANY_VERSION = Wish()

Kind: TypeAlias = Literal["quiet", "ending", "alone"]
"""`quiet` frees no name and ends nothing that another operation may mean; `ending` deletes,
whatever the version; `alone` may do either, so nothing is done beside it."""


@dataclass(slots=True, eq=False)
class Operation:
    """One operation as far as it can be read, and what became of it."""

    method: str | None = None
    bulk_id: str | None = None
    path: str = ""
    verbs: Verbs | None = None
    id: str = ""
    """Whom it is about; what a POST creates gets it."""

    data: Mapping[str, Any] = field(default_factory=dict)
    wish: Wish = ANY_VERSION
    needs: frozenset[Operation] = frozenset()
    """The creations that path and data refer to."""

    keys: frozenset[str] = frozenset()
    """The resource it changes, or the unique values it creates one with."""

    kind: Kind = "quiet"
    problem: ScimError | None = None
    """Why it makes no sense, so that it is not tried."""

    answer: Answer | None = None

    @classmethod
    def read(cls, raw: Any, served: Mapping[str, Verbs]) -> Operation:
        """What the client sent, references not yet resolved; what is malformed is its `problem`."""
        operation = cls()
        try:
            operation._read(raw, served)
        except ScimError as problem:
            operation.problem = problem
        return operation

    @property
    def creates(self) -> str | None:
        """The bulkId of what it is to create."""
        return self.bulk_id if self.method == "POST" else None

    @property
    def failed(self) -> bool:
        """Whether it was tried in vain."""
        return self.answer is not None and self.answer.status >= 400

    def _read(self, raw: Any, served: Mapping[str, Verbs]) -> None:
        if not isinstance(raw, dict):
            raise InvalidSyntax('Each of "Operations" must be an object.')
        given = lowered(raw)
        self.bulk_id, self.path = _text(given, "bulkId"), _text(given, "path") or ""
        method = (_text(given, "method") or "").upper()
        if method not in ATTEMPTS:
            raise InvalidSyntax('"method" must be "POST", "PUT", "PATCH" or "DELETE".')
        self.method = method
        if method == "POST" and not self.bulk_id:
            raise InvalidSyntax('A POST needs a "bulkId".')
        if (version := _text(given, "version")) is not None:
            self.wish = Wish(if_match=IfMatch.parse(version))
        self._aim(served)
        data = given.get("data")
        if method != "DELETE":
            if not isinstance(data, dict):
                raise InvalidSyntax('"data" must be an object.')
            self.data = data

    def _aim(self, served: Mapping[str, Verbs]) -> None:
        endpoint, _, self.id = self.path.strip("/").partition("/")
        verbs = served.get("/" + endpoint)
        if verbs is None or (self.method == "POST") is bool(self.id):
            raise InvalidPath(
                '"path" must be that of a resource type for a POST, else of a resource.'
            )
        self.verbs = verbs
        if self.method == "POST":
            self.id = verbs.resources.new_id()

    def resolve(self, makers: Mapping[str, Operation]) -> None:
        """Put the ids of what will be created in place of references, and see what that takes."""
        if self.problem is not None or self.verbs is None:
            return
        said = orjson.dumps((self.id, self.data))
        if b"bulkId:" in said:
            met: set[Operation] = set()
            try:
                self.id = _resolved(self.id, makers, met)
                self.data = _resolved(self.data, makers, met)
            except ScimError as problem:
                self.problem = problem
                return
            self.needs = frozenset(met)
        names = unique_names(self.verbs.type)
        if self.method == "POST":
            self.keys = frozenset(_claims(self.data, names))
            return
        self.keys = frozenset((self.verbs.location(self.id),))
        if self.method == "DELETE":
            self.kind = "ending" if self.wish is ANY_VERSION else "alone"
        elif any(name.encode() in said.lower() for name in names):
            self.kind = "alone"


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """Operations that stand or fall together: nearly always one, else a circle of POSTs."""

    operations: tuple[Operation, ...]
    needs: frozenset[Operation]
    """The creations that come before it."""

    keys: frozenset[str]
    kind: Kind

    @property
    def lacks(self) -> Operation | None:
        """A creation it needs that is not done yet, well or not."""
        return next((each for each in self.needs if each.answer is None), None)


def read(raw: Sequence[Any], host: Host) -> list[Operation]:
    """Every operation of a bulk with its references resolved; InvalidSyntax for a bulkId twice."""
    served = {type.endpoint: Verbs.on(host, type) for type in host.catalogue.types}
    operations = [Operation.read(item, served) for item in raw]
    makers: dict[str, Operation] = {}
    for each in operations:
        if each.creates is not None and makers.setdefault(each.creates, each) is not each:
            raise InvalidSyntax(f'Two operations have the bulkId "{each.creates}".')
    for each in operations:
        each.resolve(makers)
    return operations


def steps(operations: Sequence[Operation]) -> list[Step]:
    """The operations in the order of the request, those of a circle brought together."""
    if not any(each.needs for each in operations):
        return [Step((each,), each.needs, each.keys, each.kind) for each in operations]
    graph = {each: each.needs for each in operations}
    circle_of = {each: circle for circle in circles(graph) for each in circle}
    joint: dict[tuple[Operation, ...], list[Operation]] = {}
    for each in operations:
        joint.setdefault(circle_of[each], []).append(each)
    return [
        Step(
            tuple(circle),
            frozenset[Operation]().union(*(each.needs for each in circle)).difference(circle),
            frozenset[str]().union(*(each.keys for each in circle)),
            circle[0].kind,
        )
        for circle in joint.values()
    ]


def wave(pending: Sequence[Step], room: int) -> list[Step]:
    """The steps to do at once, of some `room` operations: the first ready ones, all of one kind.

    Only what is `quiet` and waits for a creation is passed by, and by nothing that touches it;
    so a deletion stays before the creation that takes its name. Where nothing can be done so, a
    creation is done that the first step needs.
    """
    chosen: list[Step] = []
    busy: set[str | Operation] = set()
    for step in pending:
        kind = chosen[0].kind if chosen else step.kind
        ready = step.lacks is None
        touched = step.keys if kind == "quiet" and ready else step.keys | step.needs
        if room <= 0 or step.kind != kind or not (ready or kind == "quiet"):
            break
        if ready and not busy.isdisjoint(touched):
            break
        busy |= touched
        if ready:
            chosen.append(step)
            room = 0 if kind == "alone" else room - len(step.operations)
    return chosen or [_needed(pending)]


def _needed(pending: Sequence[Step]) -> Step:
    step_of = {operation: step for step in pending for operation in step.operations}
    step = pending[0]
    while (lacking := step.lacks) is not None:
        step = step_of[lacking]
    return step


def circles(graph: Mapping[Node, Iterable[Node]]) -> Iterator[tuple[Node, ...]]:
    """The nodes of a graph, those together that reach each other (Tarjan), without recursion."""
    low: dict[Node, int] = {}
    entered: dict[Node, int] = {}
    opened: dict[Node, None] = {}
    for root in graph:
        path = [] if root in entered else [(root, iter(graph[root]))]
        while path:
            node, rest = path[-1]
            if node not in entered:
                entered[node] = low[node] = len(entered)
                opened[node] = None
            for each in rest:
                if each not in entered:
                    path.append((each, iter(graph[each])))
                    break
                if each in opened:
                    low[node] = min(low[node], entered[each])
            else:
                path.pop()
                for above, _ in path[-1:]:
                    low[above] = min(low[above], low[node])
                if low[node] == entered[node]:
                    circle = [node]
                    while (last := opened.popitem()[0]) != node:
                        circle.append(last)
                    yield tuple(circle)


def _resolved(
    node: Any, makers: Mapping[str, Operation], met: set[Operation], name: str = ""
) -> Any:
    """The same with ids for references, whose makers go to `met`; InvalidValue for a stray one."""
    if isinstance(node, str) and "bulkId:" in node:
        pattern = REFERENCES.get(name.lower().rpartition(".")[2], REFERENCE)
        return pattern.sub(lambda found: _id(found[1], makers, met), node)
    if isinstance(node, dict):
        path = str(node.get("path", "value"))  # where a PATCH puts its value
        names = {key: path if key == "value" else key for key in node}
        return {key: _resolved(item, makers, met, names[key]) for key, item in node.items()}
    if isinstance(node, list):
        return [_resolved(item, makers, met, name) for item in node]
    return node


def _id(bulk_id: str, makers: Mapping[str, Operation], met: set[Operation]) -> str:
    maker = makers.get(bulk_id)
    if maker is None:
        raise InvalidValue(f'No operation of this request has the bulkId "{bulk_id}".')
    met.add(maker)
    return maker.id


def _claims(data: Mapping[str, Any], names: frozenset[str]) -> Iterator[str]:
    """What a resource to be created wants for itself alone, as far as a look can tell."""
    for key, item in data.items():
        if isinstance(item, dict) and ":" in key:
            yield from _claims(item, names)
        elif isinstance(item, str) and key.rpartition(":")[2].lower() in names:
            yield fold(item)


def _text(given: Mapping[str, Any], name: str) -> str | None:
    value = given.get(name.lower())
    if value is not None and not isinstance(value, str):
        raise InvalidSyntax(f'"{name}" must be a text.')
    return value
