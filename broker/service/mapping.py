"""Mappings: how what a directory says becomes a profile; each version kept, compiled once."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from broker.db.database import Database, Transaction
from broker.domain import mapping, rules
from broker.domain.directories import Directory
from broker.domain.errors import Problem
from broker.domain.mapping import LOGONS, Mapped, Unfit, Unmatched, Warning
from broker.domain.rules import SEVERAL, WORDS, Making, Rule, Wrong
from broker.service.reading import Members
from broker.store import mappings
from broker.store.mappings import Kept
from scim.reading import Reading, Unreadable, reading
from scim.schema import Catalogue, ResourceType
from scim.values import Warning as Unused
from scim.values import is_empty

UNKNOWN_ATTRIBUTE = "unknown-attribute"
MATCHES = ("externalId", "userName")
MOST_RULES = 100
MOST_IGNORED = 500

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """What one step made of one record: `read`, `match` or `map`; a line of its trace."""

    step: str
    input: Any = None
    output: Any = None
    error: Exception | None = None
    rule: Rule | None = None

    def rendered(self) -> dict[str, Any]:
        """As JSON: `input` is what each source held, where a rule made `output` of it."""
        line = self.rule.rendered() if self.rule else {}
        about = {name: line.get(name) for name in ("to", "rule")}
        error = str(self.error) if self.error else None
        return {"step": self.step, **about, "input": self.input, "output": self.output} | {
            "error": error
        }


@dataclass(frozen=True, slots=True)
class Line:
    """A rule that can be used: how its sources are read, and what is made of them."""

    rule: Rule
    readings: tuple[Reading, ...]
    making: Making

    def step(self, document: Document, extras: Document) -> Step:
        """What its target gets of one person, None for nothing, and how it came about."""
        held = [read(document, extras) for read in self.readings]
        given = dict(zip(self.rule.sources, held, strict=True))
        try:
            made = mapping.fitted(self.rule.to, self.making(held))
        except Unfit as error:
            return Step("map", given, error=error, rule=self.rule)
        return Step("map", given, made or None, rule=self.rule)


@dataclass(frozen=True, slots=True)
class Compiled:
    """One version of a directory's mapping, ready to be used on its people.

    Its lines replace the default of what they fill; what no line fills is the identity of what is
    declared for it. `ignore` names attributes nobody wants. `match` finds a person of a pull among
    those that are here, in this order; whoever nobody is found for is `unmatched`.
    """

    version: int = 0
    lines: tuple[Line, ...] = ()
    ignore: tuple[str, ...] = ()
    match: tuple[str, ...] = MATCHES
    unmatched: Unmatched = Unmatched.CREATE

    def mapped(self, document: Document, extras: Document) -> Mapped:
        """The profile of a person; Invalid where it lacks what is required: that record fails."""
        if not self.lines:
            return mapping.mapped(document)
        made: dict[str, str] = {}
        warnings: list[Warning] = []
        for step in self.steps(document, extras):
            rule = step.rule
            assert rule is not None
            made[rule.to] = step.output or ""
            if rule.required and not step.output:
                raise _lacking(rule, step.error).alone(reason="required-attribute-empty")
            if isinstance(step.error, Unfit):
                about = ", ".join(rule.sources) or rule.to
                warnings.append(Warning(about, f"{rule.to}: {step.error}", step.error.code))
        mapped = mapping.mapped(document, made)
        return Mapped(mapped.profile, (*mapped.warnings, *warnings), mapped.logons)

    def steps(self, document: Document, extras: Document) -> Iterator[Step]:
        """Rule by rule, what it was given and what it made."""
        return (line.step(document, extras) for line in self.lines)

    def warned(self, unused: Iterable[Unused]) -> list[Warning]:
        """What the protocol could not use and no rule names or ignores, as warnings (R120)."""
        return [
            Warning(each.attribute, each.text, UNKNOWN_ATTRIBUTE)
            for each in unused
            if not self._deals_with(each.attribute)
        ]

    def unmapped(self, extras: Document, translated: frozenset[str] = frozenset()) -> list[Warning]:
        """What was kept aside and no rule names or ignores, as warnings (R120).

        `translated` names what a source turned into declared attributes itself.
        """
        text = '"{}" is not an attribute of User; it was kept aside.'
        return [
            Warning(each, text.format(each), UNKNOWN_ATTRIBUTE)
            for each, value in extras.items()
            if each not in translated and not is_empty(value) and not self._deals_with(each)
        ]

    def _deals_with(self, attribute: str) -> bool:
        """Whether a rule names this attribute or a part of it, or it is ignored, alone or whole."""
        lower = attribute.lower()
        named = (source.lower() for line in self.lines for source in line.rule.sources)
        ignored = (each.lower() for each in self.ignore)
        return any(each == lower or each.startswith(lower + ".") for each in named) or any(
            each == lower or lower.startswith((each + ".", each + ":")) for each in ignored
        )

    @property
    def writes_logons(self) -> bool:
        """Whether it needs an administrator's yes (safety 9)."""
        return any(line.rule.to.startswith(LOGONS) for line in self.lines)

    def rendered(self) -> dict[str, Any]:
        """As JSON, in the form it is written in."""
        lines = [line.rule.rendered() for line in self.lines]
        rest = {"match": list(self.match), "unmatched": str(self.unmatched)}
        return {"rules": lines, "ignore": list(self.ignore), **rest}


DEFAULT = Compiled()


@dataclass(frozen=True, slots=True)
class Mappings:
    """The mapping of each directory; the default one is the identity for declared attributes."""

    db: Database
    catalogue: Catalogue
    kept: dict[str, Compiled] = field(default_factory=dict)
    """The newest that was used, by directory."""

    def of(self, tx: Transaction, directory: Directory) -> Compiled:
        """The mapping this directory has; Invalid where its attributes are declared no more."""
        version = directory.mapping_version
        found = self.kept.get(directory.id) if version else DEFAULT
        if found is None or found.version != version:
            kept = mappings.get(tx, directory.project, directory.id, version)
            found = self.kept[directory.id] = self.compiled(kept)
        return found

    def compiled(self, kept: Kept) -> Compiled:
        """A version as it was kept, ready to be used."""
        with Members(kept.mapping, "") as said:
            return compiled(said, self.people, version=kept.version)

    @property
    def people(self) -> ResourceType:
        """What mappings read."""
        return self.catalogue.by_name["User"]


def compiled(
    said: Members,
    type: ResourceType,
    *,
    version: int = 0,
    targets: Collection[str] | None = None,
) -> Compiled:
    """A mapping as it is written; what is wrong joins the problems of `said`.

    `targets` are those a new one may fill; None for one that was held to them before.
    """
    said.close("rules", "ignore", "match", "unmatched")
    lines: list[Line] = []
    for each in said.inners("rules", limit=MOST_RULES):
        line = _line(each, type, targets)
        if line and any(line.rule.to == other.rule.to for other in lines):
            detail = f"Another rule fills {line.rule.to}; first_non_empty and join take several."
            each.wrong("to", "filled_twice", detail)
        lines += [line] if line else []
    match = said.texts("match") if said.has("match") else MATCHES
    for place, by in enumerate(match):
        if by not in MATCHES:
            near = next(iter(get_close_matches(by, MATCHES, n=1)), None)
            said.wrong("match", "not_a_choice", f"One of {', '.join(MATCHES)}.", near, place)
    unmatched = said.choice("unmatched", [*Unmatched], default=Unmatched.CREATE)
    return Compiled(
        version,
        tuple(lines),
        said.texts("ignore", limit=MOST_IGNORED),
        match,
        Unmatched(unmatched or Unmatched.CREATE),
    )


def _line(said: Members, type: ResourceType, targets: Collection[str] | None) -> Line | None:
    """One rule; None where it cannot be used, and the problems say why."""
    to = said.text("to") if targets is None else said.choice("to", [*targets], default=None)
    name = said.choice("rule", [*WORDS], default=None)
    if name is None:
        return None
    word, sources = WORDS[name], said.texts("from", limit=SEVERAL)
    said.close("to", "from", "rule", "required", *word.args)
    if not word.least <= len(sources) <= word.most:
        many = str(word.least) if word.least == word.most else f"{word.least} to {word.most}"
        said.wrong("from", "wrong_count", f"{name} takes {many} in from.")
    given = ((each, _argument(said, each, needed)) for each, needed in word.args.items())
    args = {each: value for each, value in given if value is not None}
    rule = Rule(to or "", name, sources, args, said.yes("required", default=False))
    readings = [_reading(said, type, place, each) for place, each in enumerate(sources)]
    try:
        making = rules.making(rule)
    except Wrong as wrong:
        if said.has(wrong.name):
            said.wrong(wrong.name, "not_usable", str(wrong))
        return None
    return Line(rule, tuple(filter(None, readings)), making)


def _argument(said: Members, name: str, needed: bool) -> Any:
    if name != "table":
        return said.long_text(name) if needed else said.long_text_or_none(name)
    if not said.has(name):
        said.wrong(name, "required", "table is needed.")
    return said.texts_by_name(name)


def _reading(said: Members, type: ResourceType, place: int, name: str) -> Reading | None:
    try:
        return reading(type, name)
    except Unreadable as error:
        said.wrong("from", "never_there", str(error), None, place)
        return None


def _lacking(rule: Rule, error: Exception | None) -> Problem:
    """Why a person fails who lacks what a rule requires."""
    why = error or f"Nothing came as {', '.join(rule.sources) or rule.word}."
    return Problem(f"/{rule.to}", "required", f"{rule.to} is required. {why}")
