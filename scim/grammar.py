"""The grammar of filters and PATCH paths (RFC 7644 sections 3.4.2.2 and 3.5.2), names unbound."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

import orjson

from scim.errors import InvalidFilter, InvalidPath, ScimError

LONGEST = 8192
MOST_TERMS = 50
DEEPEST = 20

OPERATORS = frozenset({"eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"})

TOKEN = re.compile(
    r"""[ \t\r\n]*(?:
      (?P<name>[A-Za-z$][A-Za-z0-9$_.:\-]*)
    | (?P<text>"(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9A-Fa-f]{4})*")
    | (?P<number>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?![A-Za-z0-9_]))
    | (?P<mark>[()\[\].])
    )""",
    re.VERBOSE,
)
SPACE = re.compile(r"[ \t\r\n]*")


@dataclass(frozen=True, slots=True)
class Compare:
    """`name op value`; the operator in lower case, the value as JSON has it."""

    name: str
    op: str
    value: str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Present:
    """`name pr`"""

    name: str


@dataclass(frozen=True, slots=True)
class Not:
    """`not (inner)`"""

    inner: Node


@dataclass(frozen=True, slots=True)
class All:
    """Terms joined by `and`."""

    terms: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Some:
    """Terms joined by `or`."""

    terms: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Element:
    """`name[inner]`: one value of `name` fulfils `inner`."""

    name: str
    inner: Node


Node: TypeAlias = Compare | Present | Not | All | Some | Element


@dataclass(frozen=True, slots=True)
class ParsedPath:
    """A PATCH path: a name, the filter in brackets if any, the sub-attribute behind them."""

    name: str
    inner: Node | None = None
    sub: str | None = None


def terms(node: Node) -> int:
    """How many comparisons a tree makes."""
    match node:
        case All(inner) | Some(inner):
            return sum(map(terms, inner))
        case Not(inner) | Element(_, inner):
            return terms(inner)
    return 1


def parse_filter(text: str) -> Node:
    """The tree of a filter; InvalidFilter where it is malformed or beyond the limits (rule 37)."""
    parser = _Parser(text, InvalidFilter)
    node = parser.disjunction(0)
    parser.finish()
    return node


def parse_path(text: str) -> ParsedPath:
    """A PATCH path taken apart; InvalidPath where it is malformed or beyond the limits."""
    parser = _Parser(text, InvalidPath)
    path = parser.path()
    parser.finish()
    return path


class _Parser:
    """Recursive descent over tokens; `and` binds tighter than `or`, `not` needs parentheses."""

    def __init__(self, text: str, error: type[ScimError]) -> None:
        self.error = error
        if len(text.encode("utf-8", "replace")) > LONGEST:
            raise self.fault(f"it is longer than {LONGEST} bytes")
        self.tokens = self.scan(text)
        self.position = 0
        self.terms = 0

    def scan(self, text: str) -> list[tuple[str, str]]:
        tokens: list[tuple[str, str]] = []
        position = 0
        while found := TOKEN.match(text, position):
            kind = found.lastgroup or ""
            tokens.append((kind, found[kind]))
            position = found.end()
        if (rest := SPACE.match(text, position)) and rest.end() == len(text):
            tokens.append(("end", ""))
            return tokens
        raise self.fault(f"it cannot be read from character {position + 1} on")

    def fault(self, why: str) -> ScimError:
        subject = "path" if self.error is InvalidPath else "filter"
        return self.error(f"The {subject} is not valid: {why}.")

    def word(self) -> str:
        kind, text = self.tokens[self.position]
        return text.lower() if kind == "name" else ""

    def take(self, kind: str, what: str) -> str:
        found, text = self.tokens[self.position]
        if found != kind:
            where = f'expected before "{text[:40]}"' if text else "missing"
            raise self.fault(f"{what} is {where}")
        self.position += 1
        return text

    def mark(self, sign: str) -> bool:
        """Whether the next token is `sign`; if so it is taken."""
        if self.tokens[self.position] == ("mark", sign):
            self.position += 1
            return True
        return False

    def close(self, sign: str) -> None:
        if not self.mark(sign):
            raise self.fault(f'"{sign}" is missing')

    def finish(self) -> None:
        kind, text = self.tokens[self.position]
        if kind != "end":
            raise self.fault(f'"{text[:40]}" is not expected there')

    def disjunction(self, depth: int, *, inside: bool = False) -> Node:
        terms = [self.conjunction(depth, inside=inside)]
        while self.word() == "or":
            self.position += 1
            terms.append(self.conjunction(depth, inside=inside))
        return terms[0] if len(terms) == 1 else Some(tuple(terms))

    def conjunction(self, depth: int, *, inside: bool) -> Node:
        terms = [self.term(depth, inside=inside)]
        while self.word() == "and":
            self.position += 1
            terms.append(self.term(depth, inside=inside))
        return terms[0] if len(terms) == 1 else All(tuple(terms))

    def term(self, depth: int, *, inside: bool) -> Node:
        if depth > DEEPEST:
            raise self.fault(f"it is nested deeper than {DEEPEST} levels")
        if self.mark("("):
            node = self.disjunction(depth + 1, inside=inside)
            self.close(")")
            return node
        if self.word() == "not" and self.tokens[self.position + 1] == ("mark", "("):
            self.position += 2
            node = self.disjunction(depth + 1, inside=inside)
            self.close(")")
            return Not(node)
        return self.expression(depth, inside=inside)

    def expression(self, depth: int, *, inside: bool) -> Node:
        self.terms += 1
        if self.terms > MOST_TERMS:
            raise self.fault(f"it has more than {MOST_TERMS} terms")
        if self.word() in ("and", "or", "not"):
            raise self.fault(f'an attribute is expected before "{self.word()}"')
        name = self.take("name", "an attribute")
        if not self.mark("["):
            return self.comparison(name)
        if inside:
            raise self.fault("brackets cannot be nested")
        inner = self.disjunction(depth + 1, inside=True)
        self.close("]")
        if self.mark("."):
            # emails[type eq "work"].value eq "x" is outside the grammar of RFC 7644; Entra
            # sends it and means one value that fulfils both.
            last = self.comparison(self.take("name", "a sub-attribute"))
            inner = All((*(inner.terms if isinstance(inner, All) else (inner,)), last))
        return Element(name, inner)

    def comparison(self, name: str) -> Node:
        op = self.word()
        if op != "pr" and op not in OPERATORS:
            raise self.fault(f'an operator is expected after "{name}"')
        self.position += 1
        return Present(name) if op == "pr" else Compare(name, op, self.value())

    def value(self) -> str | int | float | bool | None:
        kind, text = self.tokens[self.position]
        known = {"true": True, "false": False, "null": None}
        if kind == "name" and text.lower() in known:
            self.position += 1
            return known[text.lower()]
        if kind not in ("text", "number"):
            raise self.fault("a value in double quotes, a number, true, false or null is missing")
        self.position += 1
        try:
            value: str | int | float = orjson.loads(text)
        except orjson.JSONDecodeError:
            raise self.fault("it holds a value that is not valid JSON") from None
        if isinstance(value, str) and "\0" in value:
            raise self.fault("it holds the character U+0000")
        return value

    def path(self) -> ParsedPath:
        name = self.take("name", "an attribute")
        if not self.mark("["):
            return ParsedPath(name)
        inner = self.disjunction(1, inside=True)
        self.close("]")
        sub = self.take("name", "a sub-attribute") if self.mark(".") else None
        return ParsedPath(name, inner, sub)
