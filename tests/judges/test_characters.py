"""Characters that mean something elsewhere, and spellings of one name, in a directory."""

from __future__ import annotations

import json
from itertools import product

from broker.db.database import Database
from tests import pushing
from tests.pushing import USER, Pusher

NAMES = [
    *("' OR '1'='1", '" or 1=1 --', "%", "_", "100%_", "\\", "\\%", "(a+)+$", ".*", "[a-z]", "^$"),
    *("x'; DROP TABLE users; --", "$(reboot)", "`id`", "{{7*7}}", "${jndi:ldap://x}", "<script>"),
    *(":name", "%(name)s", "%s", "?1", "=cmd|' /C calc'!A0", "Aa%", "aa_"),
]
"""What means something to SQL, LIKE, a regular expression, a shell or a template."""

SPELLINGS = [
    *("Straße", "STRASSE", "straße", "STRAẞE", "İstanbul", "istanbul", "ıstanbul", "ISTANBUL"),
    *("\u212aelvin", "kelvin", "KELVIN", "\u212bngström", "Ångström", "A\u030angstro\u0308m"),
    *("é", "E\u0301", "ﬁsh", "fish", "ｆish"),
]
"""Names that look alike, or that lower-casing and composing make the same."""

HOLDS = {"eq": str.__eq__, "co": str.__contains__, "sw": str.startswith, "ew": str.endswith}


async def names(push: Pusher, asked: str) -> list[str]:
    """Whom a filter finds."""
    return [each["userName"] for each in (await push.get("/Users", filter=asked))["Resources"]]


async def test_a_metacharacter_is_a_character(db: Database) -> None:
    """Safety 37: a character that means something elsewhere is found where it stands, by every
    operator on a text, and nowhere else.
    """
    wrong = {}
    async with pushing.pushing(await pushing.house(db)) as push:
        for name in NAMES:
            await push.user(name, displayName=name)
        for name, attribute, op in product(NAMES, ("userName", "displayName"), HOLDS):
            asked = f"{attribute} {op} {json.dumps(name)}"
            there = [each for each in NAMES if HOLDS[op](each.lower(), name.lower())]
            if (found := await names(push, asked)) != there:
                wrong[asked] = found
    assert wrong == {}


async def test_who_is_found_is_who_is_taken(db: Database) -> None:
    """A userName is taken exactly where a filter finds somebody by it:
    case and composition do not count, `ß` is not `ss`, `ı` is not `i`.
    """
    taken = []
    async with pushing.pushing(await pushing.house(db)) as push:
        for name in SPELLINGS:
            found = await names(push, f"userName eq {json.dumps(name)}")
            made = await push("POST", "/Users", {"schemas": [USER], "userName": name})
            assert made.status_code == (409 if found else 201), name
            taken += found
    assert taken == [
        *("Straße", "Straße", "istanbul", "\u212aelvin", "\u212aelvin"),
        *("\u212bngström", "\u212bngström", "é"),
    ]
