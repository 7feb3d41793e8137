"""The rules of a mapping: a closed list of ways to make a value of ours, so that no code runs."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import re2  # type: ignore[import-untyped]  # ships no types

from broker.domain import names, xpn
from broker.domain.mapping import Unfit

LONGEST = 4096
SEVERAL = 10

Sources: TypeAlias = Sequence[Sequence[Any]]
"""What each source of a rule holds: texts, numbers, booleans, objects; empty where it is absent."""
Making: TypeAlias = Callable[[Sources], str]
"""What a rule makes of its sources, "" for nothing; Unfit where something is there to no avail."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of a mapping: what fills `to`, of which outside attributes, by which word.

    `args` are those of the word. `required`: a person without it fails (T7).
    """

    to: str
    word: str
    sources: tuple[str, ...] = ()
    args: Mapping[str, Any] = field(default_factory=dict)
    required: bool = False

    def rendered(self) -> dict[str, Any]:
        """As JSON, in the form it is written in."""
        said = {"to": self.to, "from": list(self.sources), "rule": self.word}
        return {**said, **self.args, "required": self.required}


class Wrong(ValueError):
    """An argument that a word cannot use: its name, and why."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(why)
        self.name = name


@dataclass(frozen=True, slots=True)
class Word:
    """How many sources a word takes, and by the name of each argument whether it is needed."""

    making: Callable[..., Making]
    """Given the arguments, the way; Wrong names the one that cannot be used."""

    least: int = 1
    most: int = 1
    args: Mapping[str, bool] = field(default_factory=dict)


def texts(sources: Sources) -> Iterator[str]:
    """Every text there is, in the order of the sources; what is blank is none."""
    for each in (value for values in sources for value in values):
        text = _text(each)
        if text.strip():
            yield text


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if value is None:
        return ""
    raise Unfit("It has several parts; name one of them, such as name.givenName.")


def _first(sources: Sources) -> str:
    return next(texts(sources), "")


def _turned(turn: Callable[[str], str]) -> Callable[[], Making]:
    return lambda: lambda sources: turn(_first(sources))


def _constant(value: str) -> Making:
    return lambda _: value


def _join(separator: str = " ") -> Making:
    return lambda sources: separator.join(texts(sources))


def _lookup(table: Mapping[str, str], default: str | None = None) -> Making:
    """Words of the table compare trimmed and without case."""
    lines = {names.key(word): value for word, value in table.items()}
    if not table or len(lines) < len(table):
        raise Wrong("table", "The table needs lines, each with a word of its own, whatever case.")

    def look_up(sources: Sources) -> str:
        text = _first(sources)
        found = lines.get(names.key(text), default) if text else ""
        if found is None:
            raise Unfit("The table has no line for what is there.")
        return found

    return look_up


NAME_PARTS = {
    "family": "familyName",
    "given": "givenName",
    "middle": "middleName",
    "suffix": "honorificSuffix",
    "prefix": "honorificPrefix",
}
"""Words of a name format, and what SCIM calls them (RFC 7643 §4.1.1)."""
_PART = re.compile(r"\{(\w*)\}")


def _name_format(format: str = "{prefix} {given} {middle} {family} {suffix}") -> Making:
    """Of a SCIM name, or of a name as HL7 writes it (XPN)."""
    if not (said := _PART.findall(format)) or any(each not in NAME_PARTS for each in said):
        raise Wrong("format", f"A name format holds parts in braces: {', '.join(NAME_PARTS)}.")

    def formatted(sources: Sources) -> str:
        first = next((each for values in sources for each in values if each), "")
        if isinstance(first, Mapping):
            parts = {ours: _text(first.get(theirs)) for ours, theirs in NAME_PARTS.items()}
        else:
            parts = xpn.parts(_text(first))
        text = _PART.sub(lambda part: parts[part[1]].strip(), format)
        return " ".join(text.split()).strip(" ,") if any(parts.values()) else ""

    return formatted


_GROUP = re.compile(r"\\(\d)")
_OPTIONS = re2.Options()
_OPTIONS.log_errors = False


def _regex(pattern: str, replacement: str | None = None) -> Making:
    r"""The replacement with what was found in it: `\1` to `\9` a group, `\0` the whole match.

    Time is linear in the text whatever the pattern (RE2); by default it is the first group, or the
    whole match of a pattern without groups.
    """
    try:
        compiled = re2.compile(pattern, options=_OPTIONS)
    except re2.error as error:
        why = error.args[0].decode() if error.args else "it is malformed"
        raise Wrong("pattern", f"RE2 cannot use this pattern: {why}.") from None
    template = replacement if replacement is not None else "\\1" if compiled.groups else "\\0"
    if any(int(group) > compiled.groups for group in _GROUP.findall(template)):
        raise Wrong("replacement", f"The pattern has {compiled.groups} groups.")

    def replaced(sources: Sources) -> str:
        text = _first(sources)[:LONGEST]
        found = compiled.search(text)
        if text and not found:
            raise Unfit("The pattern does not match what is there.")
        return _GROUP.sub(lambda group: found[int(group[1])] or "", template) if found else ""

    return replaced


WORDS: Mapping[str, Word] = {
    "copy": Word(lambda: _first),
    "constant": Word(_constant, 0, 0, {"value": True}),
    "lower": Word(_turned(str.lower)),
    "upper": Word(_turned(str.upper)),
    "trim": Word(_turned(str.strip)),
    "join": Word(_join, 1, SEVERAL, {"separator": False}),
    "first_non_empty": Word(lambda: _first, 1, SEVERAL),
    "lookup": Word(_lookup, args={"table": True, "default": False}),
    "name_format": Word(_name_format, args={"format": False}),
    "regex": Word(_regex, args={"pattern": True, "replacement": False}),
    "ignore": Word(lambda: lambda _: "", 0, SEVERAL),
}
"""Every word, and what it takes; `ignore` leaves its target empty."""


def making(rule: Rule) -> Making:
    """The way of a rule, which ends at 4,096 characters; Wrong where an argument is no use."""
    make = WORDS[rule.word].making(**rule.args)

    def bounded(sources: Sources) -> str:
        if len(text := make(sources)) > LONGEST:
            raise Unfit(f"It is longer than {LONGEST} characters.")
        return text

    return bounded
