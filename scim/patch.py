"""A PatchOp read as changes: attributes set or cleared, members added or removed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scim.changes import Aside, Change, applied
from scim.document import Accepted, is_message, lowered
from scim.errors import InvalidSyntax, InvalidValue, TooMany
from scim.members import MemberChange
from scim.operations import Reading
from scim.rules import kept_immutable, kept_required
from scim.schema import ResourceType
from scim.tolerance import Tolerance
from scim.values import Warning

URN = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
MOST_OPERATIONS = 1000
MOST_EFFORT = 100_000
"""Questions asked of values in one PATCH: half a second's work, while others wait to write."""


@dataclass(frozen=True, slots=True)
class Patch:
    """All changes of one PATCH request, every name and value checked, in order."""

    type: ResourceType
    changes: tuple[Change, ...]
    members: tuple[MemberChange, ...]
    """What happens to the attribute kept apart, in order, independent of the document."""

    asides: tuple[Aside, ...]
    warnings: tuple[Warning, ...]

    @classmethod
    def parse(
        cls,
        type: ResourceType,
        body: Mapping[str, Any],
        tolerance: Tolerance,
        *,
        id: str | None = None,
    ) -> Patch:
        """The changes a PATCH body asks for; a ScimError names what makes no sense.

        `id` is the id of the resource: a value may repeat it (Okta does), never change it.
        Nothing is applied before everything is understood, so a patch is atomic.
        """
        reading = Reading(type, tolerance, id)
        for operation in _operations(body, tolerance):
            reading.read(operation)
        return cls(
            type,
            tuple(reading.changes),
            tuple(reading.members),
            tuple(reading.asides),
            reading.intake.warnings,
        )

    def apply(self, document: Mapping[str, Any], extras: Mapping[str, Any]) -> Accepted:
        """The document and its extras after every change; pure, all of it or a ScimError.

        `document` is as `scim.document.load` gives it. NoTarget where a path matches nothing
        and does not describe what to create; Mutability where a required attribute is gone or an
        immutable one changed.
        """
        before = dict(document)
        after = before
        effort = 0
        for change in self.changes:
            effort += change.effort(after)
            if effort > MOST_EFFORT:
                raise TooMany("The operations look at more values than one PATCH may.")
            after = applied(after, change)
        kept_required(self.type, before, after)
        kept_immutable(self.type, before, after)
        beside = dict(extras)
        for aside in self.asides:
            aside.apply(beside)
        return Accepted(after, beside, self.warnings)


def _operations(body: Mapping[str, Any], tolerance: Tolerance) -> list[dict[str, Any]]:
    """The operations of a PATCH body, their keys in lower case."""
    parts = lowered(body)
    said = bool(parts.get("schemas")) or tolerance.loose_schemas
    if not said or not is_message(body, URN):
        raise InvalidSyntax(f'"schemas" of a PATCH must name {URN}.')
    operations = parts.get("operations")
    if not isinstance(operations, list):
        raise InvalidSyntax('"Operations" must be a list of operations.')
    if not operations and not tolerance.empty_patches:
        raise InvalidSyntax('"Operations" must hold at least one operation.')
    if len(operations) > MOST_OPERATIONS:
        raise InvalidValue(f'"Operations" holds more than {MOST_OPERATIONS} operations.')
    for operation in operations:
        if not isinstance(operation, dict):
            raise InvalidSyntax('Each of "Operations" must be an object.')
    return [lowered(each) for each in operations]
