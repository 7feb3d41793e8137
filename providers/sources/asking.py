"""One request to a source, its answer sorted; and a trail that knows when it goes in a circle."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

import orjson

from providers import redaction
from providers.definition import VISIBLE, Field
from providers.egress import Answer, Egress
from providers.errors import ClientMisconfigured, PlaceGone, SourceBroken, TryLater
from providers.oauth2 import TRANSIENT_STATUS
from providers.reading import retry_after
from providers.secret import Secret
from providers.sources.reading import Found, Kind, Problem

P = TypeVar("P", bound="Placed")
PAGE_LIMIT = 16 * 1024 * 1024
PAGE_S = 60.0
PERSON_LIMIT = 256 * 1024
KEY_LIMIT = 256
EMPTY_PAGES = 1000
LONGEST_TRAIL = 1_000_000
TOO_LARGE = "too-large"
NOT_THERE = frozenset({404, 501})
"""Answers of an endpoint a source does not have."""


@dataclass(frozen=True, slots=True)
class Heard:
    """An answer with a JSON object; of a refusal perhaps an empty one."""

    status: int
    body: Mapping[str, Any]

    @property
    def is_good(self) -> bool:
        return self.status < 300


async def ask(
    egress: Egress, url: str, token: Secret, *, accept: str = "application/json"
) -> Heard:
    """GET within a minute and 16 MiB decoded; TryLater with the code `too-large` beyond them.

    What is neither a good answer nor a refusal of just this request raises: TryLater for 429, 5xx
    and bodies that are no JSON object, SourceBroken for redirects, ClientMisconfigured for 401 and
    for a token no header can hold.
    """
    if re.fullmatch(f"[{VISIBLE}]+", token.reveal()) is None:
        raise ClientMisconfigured(
            "token-unsendable", "No header can hold the token: enter it anew."
        )
    headers = {"Authorization": f"Bearer {token.reveal()}", "Accept": accept}
    answer = await egress.get(url, headers=headers, total_s=PAGE_S, limit=PAGE_LIMIT)
    status = answer.status
    if status in TRANSIENT_STATUS or (status >= 500 and status not in NOT_THERE):
        raise TryLater(f"http-{status}", retry_after_s=retry_after(answer))
    if 300 <= status < 400:
        raise SourceBroken(
            "redirect", "The source sends us elsewhere, and redirects are not followed."
        )
    if status == 401:
        raise ClientMisconfigured("http-401", "The source refuses our credentials.")
    body = _object(answer)
    if body is None and status < 300:
        raise TryLater("unparsable", "The answer is no JSON object: a proxy's page, or cut off.")
    return Heard(status, body or {})


def _object(answer: Answer) -> Mapping[str, Any] | None:
    try:
        body = answer.json()
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def broken(heard: Heard, words: object, token: Secret) -> SourceBroken:
    """A refusal that makes no sense, in the source's own words."""
    said = redaction.text(words, [token])
    text = f"The source refuses the request with status {heard.status}."
    return SourceBroken(f"http-{heard.status}", f"{text} It says: {said}" if said else text)


def listed(heard: Heard, name: str) -> Sequence[object]:
    """The records of a page, which stand under this name."""
    records = heard.body.get(name)
    if not isinstance(records, list):
        raise SourceBroken("not-a-list", f"The answer is no page of records: no list {name!r}.")
    return records


def demand(
    problems: Sequence[Problem],
    fields: Sequence[Field] = (),
    secrets: Mapping[str, Secret] | None = None,
) -> None:
    """ClientMisconfigured where a setting is wrong or a secret of these fields is missing."""
    for problem in problems:
        raise ClientMisconfigured("setting", problem.text)
    for field in fields:
        if field.protected and field.required and not (secrets or {}).get(field.name):
            raise ClientMisconfigured("secret-missing", f"{field.label} has to be given.")


class Unreadable(Exception):
    """A record that cannot be taken: its key, where it shows one, and why."""

    def __init__(self, key: str | None, why: str) -> None:
        super().__init__(key, why)
        self.refused = (key, why)


def sifted(
    records: Sequence[object], found: Callable[[Mapping[str, Any]], Found]
) -> tuple[list[Found], list[tuple[str | None, str]]]:
    """What could be read of these records, and what could not, with the reason."""
    good: list[Found] = []
    refused: list[tuple[str | None, str]] = []
    for record in records:
        try:
            if not isinstance(record, dict):
                raise Unreadable(None, "An entry of the list is no record.")
            good.append(found(record))
        except Unreadable as unreadable:
            refused.append(unreadable.refused)
    return good, refused


def key_of(kind: Kind, record: Mapping[str, Any]) -> str:
    """The record's id at the source; Unreadable without one, or where a person is too large."""
    key = record.get("id")
    if not isinstance(key, str) or not 0 < len(key) <= KEY_LIMIT or not key.isprintable():
        raise Unreadable(None, "A record has no id we can keep.")
    if kind == "User" and len(orjson.dumps(record)) > PERSON_LIMIT:
        raise Unreadable(key, f"The record is larger than {PERSON_LIMIT // 1024} KiB.")
    return key


@dataclass(frozen=True, slots=True)
class Trail:
    """Where a reading has been, in constant space: it is stored with each place.

    `steps` counts pages, `empty` those of the last in a row that held nothing; `mark` is the
    digest of an earlier step, moved at powers of two (Brent), so that every circle is met.
    """

    steps: int = 0
    empty: int = 0
    mark: str = ""

    def on(self, step: str, *, found: bool) -> Trail:
        """One page further; SourceBroken where this step was taken before, or nothing comes."""
        digest = hashlib.blake2b(step.encode("utf-8", "replace"), digest_size=12).hexdigest()
        if digest == self.mark:
            raise SourceBroken("in-a-circle", "The source gives the same page again and again.")
        empty = 0 if found else self.empty + 1
        steps = self.steps + 1
        if empty > EMPTY_PAGES or steps > LONGEST_TRAIL:
            raise SourceBroken("endless", "The source gives page after page and comes to no end.")
        moved = steps & (steps - 1) == 0
        return replace(self, steps=steps, empty=empty, mark=digest if moved else self.mark)


class Placed(Protocol):
    """A place in one source."""

    @property
    def source(self) -> str: ...


def place_of(kind: Callable[..., P], text: str, source: str) -> P:
    """The place of this kind a page told; PlaceGone where it is none of this source's."""
    try:
        said = orjson.loads(text)
        place = kind(**{**said, "trail": Trail(**said["trail"])})
    except (ValueError, TypeError, KeyError):
        place = None
    if place is None or place.source != source:
        raise PlaceGone("unknown-place", "This is no place in this source.")
    return place
