"""Statements about several rows at once, in a few fixed sizes, so that each is prepared once."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

T = TypeVar("T")
LARGEST = 512


def chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """The items in order, in runs of 512, then 256, 128 … 1: ten statement texts at most."""
    start, size = 0, LARGEST
    while start < len(items):
        while size > len(items) - start:
            size //= 2
        yield items[start : start + size]
        start += size


def listed(items: Sequence[Any], name: str = "item") -> tuple[str, dict[str, Any]]:
    """What stands between the brackets of IN, and its parameters."""
    parameters = {f"{name}_{place}": item for place, item in enumerate(items)}
    return ", ".join(f":{each}" for each in parameters), parameters


def valued(template: str, items: Sequence[Mapping[str, Any]]) -> tuple[str, dict[str, Any]]:
    """What follows VALUES, and its parameters: `(:run, {code})` once for each item's `code`."""
    parameters: dict[str, Any] = {}
    lines = []
    for place, item in enumerate(items):
        parameters |= {f"{name}_{place}": value for name, value in item.items()}
        lines.append(template.format(**{name: f":{name}_{place}" for name in item}))
    return ", ".join(lines), parameters
