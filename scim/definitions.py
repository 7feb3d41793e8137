"""Schemas and resource types as JSON has them, and where the standard ones are."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class Definitions:
    """Resource types and schemas as their JSON has them (RFC 7643 sections 6 and 7)."""

    types: list[dict[str, Any]]
    schemas: dict[str, dict[str, Any]]
    common: dict[str, Any]
    """The attributes every resource has; part of no announced schema."""

    @classmethod
    def load(cls, folder: Path | Traversable) -> Definitions:
        """What a folder holds that was written for us, unchecked."""
        found = {
            file.name: orjson.loads(file.read_bytes())
            for file in sorted(folder.iterdir(), key=lambda file: file.name)
            if file.name.endswith(".json")
        }
        types, common = found.pop("resource_types.json"), found.pop("common.json")
        return cls(types, {each["id"]: each for each in found.values()}, common)

    @classmethod
    def standard(cls) -> Definitions:
        """Those of the standard catalogue."""
        return cls.load(resources.files(__package__) / "schemas")
