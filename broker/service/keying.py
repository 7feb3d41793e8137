"""What an index finds a resource by: the attributes that have one, and the keys it holds."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from broker.store.resources import Keys
from scim.errors import InvalidValue
from scim.filters import TEXTUAL, comparison_key
from scim.rules import title
from scim.schema import Place, ResourceType
from scim.scopes import Reader, reader

KEY_LIMIT = 256
"""Characters of a key; of a longer text it is the beginning (an index of PostgreSQL has limits)."""
EXTERNAL_LIMIT = 512
PLAIN = {"id": "id", "externalid": "external", "displayname": "display"}
SEVERAL = {"emails.value": "email"}


@cache
def indexed(type: ResourceType) -> Mapping[str, str]:
    """Which field of `Where` answers an equality on which attribute (`Place.key`)."""
    named = title(type)
    plain = PLAIN | ({named.path.lower(): "name"} if named else {})
    columns = {path: plain[path] for path in plain if _is_text(type.find(path, short=False))}
    columns |= {p: SEVERAL[p] for p in SEVERAL if _is_text(type.find(p, short=False), several=True)}
    return columns | ({"members.value": "member"} if "members" in type.apart else {})


def keyed(type: ResourceType, document: Mapping[str, Any], display: str) -> Keys:
    """The keys of a document: each compares as its schema says, as in every filter.

    InvalidValue for an externalId beyond all use, which one engine could index and another not.
    """
    if len(document.get("externalId") or "") > EXTERNAL_LIMIT:
        raise InvalidValue(f'"externalId" is longer than {EXTERNAL_LIMIT} characters.')
    readers = _readers(type)

    def keys(column: str) -> list[str]:
        if column not in readers:
            return []
        read, key = readers[column]
        return [key(each)[:KEY_LIMIT] for each in read(document) if each is not None]

    name, external, shown = (
        next(iter(keys(each)), None) for each in ("name", "external", "display")
    )
    return Keys(name, external, display, shown, tuple(dict.fromkeys(keys("email"))))


@cache
def _readers(type: ResourceType) -> Mapping[str, tuple[Reader, Callable[[Any], Any]]]:
    places = {column: type.find(path, short=False) for path, column in indexed(type).items()}
    return {
        column: (reader(place), comparison_key(place.target))
        for column, place in places.items()
        if place and place.target
    }


def _is_text(place: Place | None, *, several: bool = False) -> bool:
    if place is None or place.attribute is None or place.target is None:
        return False
    return place.target.type in TEXTUAL and place.attribute.multi_valued is several
